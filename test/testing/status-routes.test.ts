import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test.each([200, 201, 206, 300, 400, 404, 500, 503, 599, 999])('/status/%d answers with it', async (status) => {
  const answer = await ask(`${httpbin.url}/status/${status}`, { method: 'POST', body: 'ignored' });
  expect(answer).toMatchObject({ status, text: '' });
  expect(answer.headers['content-length']).toBe('0');
});

test.each([204, 304])('/status/%d has no content and announces none', async (status) => {
  const answer = await ask(`${httpbin.url}/status/${status}`);
  expect(answer).toMatchObject({ status, text: '' });
  expect(answer.headers).not.toHaveProperty('content-length');
  expect(answer.headers).not.toHaveProperty('content-type');
});

test.each([
  [301, 'location', '/redirect/1'],
  [302, 'location', '/redirect/1'],
  [303, 'location', '/redirect/1'],
  [305, 'location', '/redirect/1'],
  [307, 'location', '/redirect/1'],
  [308, 'location', '/redirect/1'],
  [401, 'www-authenticate', 'Basic realm="Fake Realm"'],
  [407, 'proxy-authenticate', 'Basic realm="Fake Realm"'],
  [418, 'x-more-info', 'https://www.rfc-editor.org/rfc/rfc2324'],
])('/status/%d has the field %s: %s', async (status, name, value) => {
  const answer = await ask(`${httpbin.url}/status/${status}`);
  expect(answer.status).toBe(status);
  expect(answer.headers[name]).toBe(value);
});

test('/status says what belongs to 402, 406 and 418', async () => {
  expect((await ask(`${httpbin.url}/status/402`)).text).toBe('Payment required\n');
  expect((await ask(`${httpbin.url}/status/406`)).json()).toMatchObject({
    accept: expect.arrayContaining(['image/png']),
  });
  expect((await ask(`${httpbin.url}/status/418`)).text).toContain("I'm a teapot");
});

test.each([
  ['200,500', 0, 200],
  ['200,500', 0.49, 200],
  ['200,500', 0.5, 500],
  ['200:9,500:1', 0.89, 200],
  ['200:9,500:1', 0.91, 500],
  ['200:0,500:0.5', 0, 500],
])('/status/%s chooses by weight: at %d it is %d', async (codes, random, status) => {
  const spy = vi.spyOn(Math, 'random').mockReturnValue(random);
  try {
    expect((await ask(`${httpbin.url}/status/${codes}`)).status).toBe(status);
  } finally {
    spy.mockRestore();
  }
});

test.each(['x', '100', '199', '1000', '200,x', '200:x,500', '200:0,500:0', '200,'])(
  '/status/%s is refused',
  async (codes) => {
    expect((await ask(`${httpbin.url}/status/${codes}`)).status).toBe(400);
  },
);
