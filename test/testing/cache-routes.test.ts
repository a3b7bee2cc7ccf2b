import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test('/cache answers with validators, and 304 to whoever has any', async () => {
  const answer = await ask(`${httpbin.url}/cache`);
  expect(answer.json()).toMatchObject({ args: {}, url: `${httpbin.url}/cache` });
  expect(answer.headers.etag).toMatch(/^[\da-f]{32}$/);
  expect(Date.parse(answer.headers['last-modified'] ?? '')).toBeGreaterThan(Date.now() - 60_000);
  for (const name of ['If-Modified-Since', 'If-None-Match']) {
    expect(await ask(`${httpbin.url}/cache`, { headers: { [name]: 'x' } })).toMatchObject({ status: 304, text: '' });
  }
});

test('/cache/N says for how long', async () => {
  const answer = await ask(`${httpbin.url}/cache/60`);
  expect(answer.status).toBe(200);
  expect(answer.headers['cache-control']).toBe('public, max-age=60');
});

test.each([
  [{}, 200],
  [{ 'If-None-Match': '"tag"' }, 304],
  [{ 'If-None-Match': 'W/"other", W/"tag"' }, 304],
  [{ 'If-None-Match': '*' }, 304],
  [{ 'If-None-Match': 'other' }, 200],
  [{ 'If-Match': 'tag' }, 200],
  [{ 'If-Match': '*' }, 200],
  [{ 'If-Match': '"other"' }, 412],
  [{ 'If-Match': '"other"', 'If-None-Match': '"other"' }, 200],
])('/etag/tag answers a request with %j by %d', async (headers, status) => {
  const answer = await ask(`${httpbin.url}/etag/tag`, { headers });
  expect(answer.status).toBe(status);
  expect(answer.headers.etag).toBe(status === 412 ? undefined : 'tag');
});

test.each(['GET', 'POST'])(
  '/response-headers sends the query of a %s as fields, and shows them with its own length',
  async (method) => {
    const answer = await ask(`${httpbin.url}/response-headers?X-A=1&X-A=2&x-b=%C3%A9`, { method });
    expect(answer.headers['x-a']).toBe('1, 2');
    expect(Buffer.from(String(answer.headers['x-b']), 'latin1').toString('utf8')).toBe('é');
    expect(answer.json()).toEqual({
      'Content-Length': String(answer.bytes.length),
      'Content-Type': 'application/json',
      'X-A': ['1', '2'],
      'x-b': 'é',
    });
    expect(answer.headers['content-length']).toBe(String(answer.bytes.length));
  },
);

test('/response-headers finds its length where one more digit changes it', async () => {
  for (let extra = 0; extra < 30; extra++) {
    const answer = await ask(`${httpbin.url}/response-headers?a=${'x'.repeat(extra)}`);
    expect(answer.json()).toMatchObject({ 'Content-Length': String(answer.bytes.length) });
  }
});

test('/response-headers lets the query choose the type', async () => {
  const answer = await ask(`${httpbin.url}/response-headers?content-type=text/x`);
  expect(answer.headers['content-type']).toBe('text/x');
  expect(answer.json()).toMatchObject({ 'Content-Type': 'text/x' });
});

test.each([
  'Content-Length=1',
  'transfer-encoding=chunked',
  'Connection=close',
  'a%20b=c',
  'a=%0D%0Ab:c',
  'Content-Type=a&Content-Type=b',
])('/response-headers?%s is refused', async (query) =>
  expect((await ask(`${httpbin.url}/response-headers?${query}`)).status).toBe(400),
);
