import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

const hostField = (): Record<string, string> => ({ Connection: 'close', Host: `127.0.0.1:${httpbin.port}` });

test('/get shows the query, the fields, the origin and the URL, in sorted and indented JSON', async () => {
  const { status, headers, text } = await ask(`${httpbin.url}/get?b=1&a=%C3%A9&b=2`);
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/json');
  expect(headers['access-control-allow-origin']).toBe('*');
  expect(text).toBe(`{
  "args": {
    "a": "\\u00e9",
    "b": [
      "1",
      "2"
    ]
  },
  "headers": {
    "Connection": "close",
    "Host": "127.0.0.1:${httpbin.port}"
  },
  "origin": "127.0.0.1",
  "url": "${httpbin.url}/get?b=1&a=%C3%A9&b=2"
}
`);
});

test('HEAD /get has the fields of a GET and no content', async () => {
  const { status, headers, bytes } = await ask(`${httpbin.url}/get`, { method: 'HEAD' });
  expect(status).toBe(200);
  expect(Number(headers['content-length'])).toBeGreaterThan(100);
  expect(bytes).toHaveLength(0);
});

describe('a body', () => {
  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('is shown by the endpoint of %s', async (method) => {
    const answer = await ask(`${httpbin.url}/${method.toLowerCase()}?q=1`, {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: '{"a": 1}',
    });
    expect(answer.json()).toEqual({
      args: { q: '1' },
      data: '{"a": 1}',
      files: {},
      form: {},
      headers: { ...hostField(), 'Content-Length': '8', 'Content-Type': 'application/json' },
      json: { a: 1 },
      origin: '127.0.0.1',
      url: `${httpbin.url}/${method.toLowerCase()}?q=1`,
    });
  });

  test('may be a form', async () => {
    const answer = await ask(`${httpbin.url}/post`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: 'field=value&field=other',
    });
    expect(answer.json()).toMatchObject({ data: '', form: { field: ['value', 'other'] }, json: null });
  });

  test('may be multipart, as the FormData of Node writes it', async () => {
    const form = new FormData();
    form.append('a "b"\r\n', 'é');
    form.append('file', new Blob([new Uint8Array([0xff])], { type: 'image/x' }), 'x".bin');
    const answer = await fetch(`${httpbin.url}/post`, { method: 'POST', body: form });
    expect(await answer.json()).toMatchObject({
      form: { 'a "b"\r\n': 'é' },
      files: { file: 'data:image/x;base64,/w==' },
    });
  });

  test('that is malformed multipart is refused, and says why', async () => {
    const answer = await ask(`${httpbin.url}/post`, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/form-data; boundary=B' },
      body: '--C--',
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('The body does not begin with the boundary');
  });
});

test.each(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'])(
  '/anything shows all of a %s, on any path',
  async (method) => {
    const answer = await ask(`${httpbin.url}/anything/x/y?z`, { method });
    expect(answer.json()).toMatchObject({ method, args: { z: '' }, data: '', url: `${httpbin.url}/anything/x/y?z` });
    expect((await ask(`${httpbin.url}/anything`, { method })).json()).toMatchObject({ method, args: {}, json: null });
  },
);

test('/headers writes names in Title-Case and joins equal fields by commas', async () => {
  const answer = await ask(`${httpbin.url}/headers`, { headers: { 'x-http2-FOO_bar': ['1', '2'], 'X-UPPER': 'a' } });
  expect(answer.json()).toEqual({ headers: { ...hostField(), 'X-Http2-Foo_Bar': '1,2', 'X-Upper': 'a' } });
});

test('/ip and /user-agent pick one thing each', async () => {
  expect((await ask(`${httpbin.url}/ip`)).json()).toEqual({ origin: '127.0.0.1' });
  const answer = await ask(`${httpbin.url}/user-agent`, { headers: { 'User-Agent': 'test/1' } });
  expect(answer.json()).toEqual({ 'user-agent': 'test/1' });
  expect((await ask(`${httpbin.url}/user-agent`)).json()).toEqual({ 'user-agent': null });
});

test('/uuid is a new UUID each time', async () => {
  const [one, two] = [await ask(`${httpbin.url}/uuid`), await ask(`${httpbin.url}/uuid`)];
  expect(one.json()).toEqual({
    uuid: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/),
  });
  expect(one.text).not.toBe(two.text);
});

test.each(['POST', 'PUT'])('/sink counts and hashes what a %s carries', async (method) => {
  const body = Buffer.alloc(3_000_000, 'abc');
  const answer = await ask(`${httpbin.url}/sink`, { method, body });
  expect(answer.json()).toEqual({ length: 3_000_000, sha256: createHash('sha256').update(body).digest('hex') });
});
