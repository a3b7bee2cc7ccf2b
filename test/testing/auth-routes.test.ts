import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

const basic = (credentials: string, charset: BufferEncoding = 'utf8'): { Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(credentials, charset).toString('base64')}`,
});

test.each(['/basic-auth', '/hidden-basic-auth'])('%s lets the right user in', async (path) => {
  const answer = await ask(`${httpbin.url}${path}/user/pass`, { headers: basic('user:pass') });
  expect(answer).toMatchObject({ status: 200, text: '{\n  "authenticated": true,\n  "user": "user"\n}\n' });
});

test.each(['utf8', 'latin1'] as const)('/basic-auth takes credentials in %s', async (charset) => {
  const answer = await ask(`${httpbin.url}/basic-auth/us%C3%A9r/p%3Aw`, { headers: basic('usér:p:w', charset) });
  expect(answer.status).toBe(200);
});

test.each([
  {},
  basic('user:wrong'),
  basic('user'),
  basic('userpass:'),
  { Authorization: 'Basic ???' },
  { Authorization: 'Bearer dXNlcjpwYXNz' },
])('/basic-auth challenges %j, and /hidden-basic-auth knows of nothing', async (headers) => {
  const shown = await ask(`${httpbin.url}/basic-auth/user/pass`, { headers });
  expect(shown.status).toBe(401);
  expect(shown.headers['www-authenticate']).toBe('Basic realm="Fake Realm"');
  const hidden = await ask(`${httpbin.url}/hidden-basic-auth/user/pass`, { headers });
  expect(hidden.status).toBe(404);
  expect(hidden.headers).not.toHaveProperty('www-authenticate');
});

test('/bearer shows any token, and challenges without one', async () => {
  const answer = await ask(`${httpbin.url}/bearer`, { headers: { Authorization: 'Bearer abc.def' } });
  expect(answer.json()).toEqual({ authenticated: true, token: 'abc.def' });
  for (const headers of [{}, { Authorization: 'Basic eA==' }]) {
    const refused = await ask(`${httpbin.url}/bearer`, { headers });
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBe('Bearer');
  }
});
