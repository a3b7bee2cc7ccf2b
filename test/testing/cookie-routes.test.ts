import { generate } from 'selfsigned';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requestCookies } from '../../src/testing/cookie-routes.js';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test('/cookies shows the cookies of the request', async () => {
  const answer = await ask(`${httpbin.url}/cookies`, { headers: { Cookie: 'b=2; a=1' } });
  expect(answer.text).toBe('{\n  "cookies": {\n    "a": "1",\n    "b": "2"\n  }\n}\n');
  expect((await ask(`${httpbin.url}/cookies`)).json()).toEqual({ cookies: {} });
});

test.each([
  ['/cookies/set?a=1&b=2', ['a=1; Path=/', 'b=2; Path=/']],
  ['/cookies/set/name/value', ['name=value; Path=/']],
  ['/cookies/set/name/a%20%22%3B%C3%A9', ['name="a \\042\\073\\303\\251"; Path=/']],
  [
    '/cookies/delete?a&b=',
    [
      'a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/',
      'b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/',
    ],
  ],
])('%s sets cookies and leads to /cookies', async (path, lines) => {
  const answer = await ask(httpbin.url + path);
  expect(answer.status).toBe(302);
  expect(answer.headers.location).toBe('/cookies');
  expect(answer.headers['set-cookie']).toEqual(lines);
});

test('/cookies/set marks cookies as Secure over https', async () => {
  const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  await using secure = await startHttpbin({ tls: { cert, key } });
  const answer = await ask(`${secure.url}/cookies/set/a/1`, { ca: cert });
  expect(answer.headers['set-cookie']).toEqual(['a=1; Secure; Path=/']);
});

test.each(['/cookies/set?a%20b=1', '/cookies/set/a%3D/1', '/cookies/delete?=x'])('%s is refused', async (path) => {
  expect((await ask(httpbin.url + path)).status).toBe(400);
});

test.each([
  [undefined, {}],
  ['', {}],
  ['a', {}],
  ['=x', {}],
  ['a=1;a=2; b = c=d ', { a: '1', b: 'c=d' }],
  ['a="x \\073\\303\\251"; b="; c=""', { a: 'x ;é', b: '"', c: '' }],
])('requestCookies(%j) is %j', (field, want) => expect(requestCookies(field)).toEqual(want));
