import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

/** `{base}` stands for the URL of the server. */
test.each([
  ['/redirect/1', '/get'],
  ['/redirect/3', '/relative-redirect/2'],
  ['/redirect/1?absolute=true', '{base}/get'],
  ['/redirect/3?absolute=TRUE', '{base}/absolute-redirect/2'],
  ['/relative-redirect/1', '/get'],
  ['/relative-redirect/2', '/relative-redirect/1'],
  ['/absolute-redirect/1', '{base}/get'],
  ['/absolute-redirect/2', '{base}/absolute-redirect/1'],
])('%s leads to %s', async (path, location) => {
  const answer = await ask(httpbin.url + path);
  expect(answer.status).toBe(302);
  expect(answer.headers.location).toBe(location.replace('{base}', httpbin.url));
});

test.each(['/redirect/4', '/redirect/4?absolute=true', '/relative-redirect/4', '/absolute-redirect/4'])(
  '%s ends at /get after four redirects',
  async (path) => {
    let url = httpbin.url + path;
    for (let hop = 0; hop < 4; hop++) {
      const answer = await ask(url);
      expect(answer.status).toBe(302);
      url = new URL(answer.headers.location ?? '', url).href;
    }
    expect(url).toBe(`${httpbin.url}/get`);
  },
);

test.each([
  '/redirect/0',
  '/relative-redirect/0',
  '/absolute-redirect/0',
  '/redirect-to',
  '/redirect-to?url=a%0D%0AX:y',
])('%s is refused', async (path) => expect((await ask(httpbin.url + path)).status).toBe(400));

test.each([
  ['?url=http://elsewhere.test/', 302, 'http://elsewhere.test/'],
  ['?url=/x&status_code=307', 307, '/x'],
  ['?url=/x&status_code=200', 302, '/x'],
  ['?url=//host/%25a?b%23c', 302, '//host/%a?b#c'],
])('/redirect-to%s answers %d to %s', async (query, status, location) => {
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const answer = await ask(`${httpbin.url}/redirect-to${query}`, { method });
    expect(answer.status).toBe(status);
    expect(answer.headers.location).toBe(location);
  }
});

test('/redirect-to sends a URL beyond ASCII as UTF-8', async () => {
  const { headers } = await ask(`${httpbin.url}/redirect-to?url=/%C3%A9`);
  expect(Buffer.from(headers.location ?? '', 'latin1').toString('utf8')).toBe('/é');
});

test('/redirect-to takes its arguments from a form, too', async () => {
  const answer = await ask(`${httpbin.url}/redirect-to`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'url=/form&status_code=308',
  });
  expect(answer.status).toBe(308);
  expect(answer.headers.location).toBe('/form');
});

test('a redirect links to its target in a page where the target cannot act as markup', async () => {
  const { text } = await ask(`${httpbin.url}/redirect/1?absolute=true`, { headers: { Host: `"><b>&'` } });
  expect(text).toContain('<a href="http://&quot;&gt;&lt;b&gt;&amp;&#39;/get">');
});
