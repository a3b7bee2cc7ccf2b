import { afterAll, beforeAll, expect, test } from 'vitest';
import { jpegImage, pngImage, SVG_IMAGE } from '../../src/testing/images.js';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test.each([
  ['/image/png', 'image/png', pngImage()],
  ['/image/jpeg', 'image/jpeg', jpegImage()],
  ['/image/svg', 'image/svg+xml', Buffer.from(SVG_IMAGE)],
])('%s is a picture of type %s', async (path, type, bytes) => {
  const answer = await ask(httpbin.url + path);
  expect(answer.headers['content-type']).toBe(type);
  expect(answer.bytes.equals(bytes)).toBe(true);
});

test.each([
  [undefined, 'image/png'],
  ['*/*', 'image/png'],
  ['image/*', 'image/png'],
  ['IMAGE/PNG', 'image/png'],
  ['image/jpeg, image/png', 'image/jpeg'],
  ['text/html, image/svg+xml', 'image/svg+xml'],
])('/image for Accept: %s is %s', async (accept, type) => {
  const answer = await ask(`${httpbin.url}/image`, { headers: accept === undefined ? {} : { Accept: accept } });
  expect(answer.headers['content-type']).toBe(type);
});

test('/image is 406 where no type that it has is accepted', async () => {
  const answer = await ask(`${httpbin.url}/image`, { headers: { Accept: 'image/webp, text/*' } });
  expect(answer.status).toBe(406);
  expect(answer.json()).toHaveProperty('accept');
});
