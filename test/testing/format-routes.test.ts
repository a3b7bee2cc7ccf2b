import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test.each([
  ['/html', 'text/html; charset=utf-8', /^<!doctype html>.*Herman Melville/s],
  ['/json', 'application/json', /^\{\n {2}"slideshow": \{\n {4}"author": /],
  ['/xml', 'application/xml', /^<\?xml version="1\.0"[ -~\n]*<slideshow [ -~\n]*<\/slideshow>\n$/],
  ['/robots.txt', 'text/plain', /^User-agent: \*\nDisallow: \/deny\n$/],
  ['/deny', 'text/plain', /YOU SHOULDN'T BE HERE\n$/],
  ['/encoding/utf8', 'text/html; charset=utf-8', /é.*€.*𝄞/s],
])('%s is a document of type %s', async (path, type, content) => {
  const answer = await ask(httpbin.url + path);
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe(type);
  expect(answer.text).toMatch(content);
});

test.each([
  ['/gzip', 'gzip', 'gzipped', gunzipSync],
  ['/deflate', 'deflate', 'deflated', inflateSync],
  ['/brotli', 'br', 'brotli', brotliDecompressSync],
] as const)('%s is JSON in the content coding %s', async (path, coding, member, decode) => {
  const answer = await ask(httpbin.url + path, { headers: { 'X-A': 'é' } });
  expect(answer.headers).toMatchObject({ 'content-encoding': coding, 'content-type': 'application/json' });
  expect(JSON.parse(decode(answer.bytes).toString('utf8'))).toEqual({
    [member]: true,
    headers: { Connection: 'close', Host: `127.0.0.1:${httpbin.port}`, 'X-A': 'é' },
    method: 'GET',
    origin: '127.0.0.1',
  });
});

test.each([
  ['aMOp', 'hé'],
  ['SXQgd29ya3M=', 'It works'],
  ['Pz8_', '???'],
  ['Pz8%2F', '???'],
])('/base64/%s is %j', async (encoded, text) => {
  expect(await ask(`${httpbin.url}/base64/${encoded}`)).toMatchObject({ status: 200, text });
});

test.each(['a!b', '_w==', 'a=b'])('/base64/%s is refused', async (encoded) => {
  expect((await ask(`${httpbin.url}/base64/${encoded}`)).status).toBe(400);
});

test('/links leads to a page of links to its like', async () => {
  expect((await ask(`${httpbin.url}/links/3`)).headers.location).toBe('/links/3/0');
  expect((await ask(`${httpbin.url}/links/3/1`)).text).toBe(
    "<html><head><title>Links</title></head><body><a href='/links/3/0'>0</a> 1 <a href='/links/3/2'>2</a> </body></html>",
  );
  expect((await ask(`${httpbin.url}/links/0/9`)).text.match(/<a /g)).toHaveLength(1);
  expect((await ask(`${httpbin.url}/links/999/0`)).text.match(/<a /g)).toHaveLength(199);
});
