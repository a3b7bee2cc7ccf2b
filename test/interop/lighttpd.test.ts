import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { concurrently, contentOf, WAYS } from './client.js';
import { curl } from './curl.js';
import { fingerprint, HELLO, RANDOM, TEXT } from './servers/documents.js';
import { LIGHTTPD_CODINGS, startLighttpd } from './servers/lighttpd.js';
import { describeWith } from './servers/program.js';
import type { RunningServer } from './servers/running.js';

describeWith(['lighttpd', 'curl'], 'lighttpd', () => {
  let lighttpd: RunningServer;
  beforeAll(async () => {
    lighttpd = await startLighttpd();
  });
  afterAll(() => lighttpd?.stop());

  describe.each(WAYS)('$way', ({ make, preloadContent }) => {
    test.each(LIGHTTPD_CODINGS)('GET decodes %s', async (coding) => {
      await using client = make(lighttpd.origin());
      const options = { preloadContent, headers: { 'Accept-Encoding': coding } };
      const response = await client.request('GET', '/text.txt', options);
      expect(response.headers.get('content-encoding')).toBe(coding);
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(TEXT));
    });

    test('GET of a file, of a range, and over a redirect', async () => {
      await using client = make(lighttpd.origin());
      const file = await client.request('GET', '/random.bin', { preloadContent });
      expect(fingerprint(await contentOf(file, preloadContent))).toBe(fingerprint(RANDOM));
      const headers = { Range: 'bytes=100-199999' };
      const range = await client.request('GET', '/random.bin', { preloadContent, headers });
      expect(range.status).toBe(206);
      const content = await contentOf(range, preloadContent);
      expect(fingerprint(content)).toBe(fingerprint(RANDOM.subarray(100, 200_000)));
      const moved = await client.request('GET', '/away', { preloadContent });
      expect(await contentOf(moved, preloadContent)).toEqual(HELLO);
    });

    test('1,000 requests, 50 at a time, with 10 on each connection at most', async () => {
      await using client = make(lighttpd.origin(), { maxsize: 10, block: true });
      const contents = await concurrently(1_000, 50, async (index) => {
        const options = { preloadContent, body: index % 2 === 1 ? 'x'.repeat(index) : null };
        const response = await client.request(index % 2 === 1 ? 'POST' : 'GET', '/hello.txt', options);
        return `${response.status} ${(await contentOf(response, preloadContent)).length}`;
      });
      expect(new Set(contents.filter((_, index) => index % 2 === 0))).toEqual(new Set([`200 ${HELLO.length}`]));
      const post = await curl('--data-binary', 'x', `${lighttpd.origin()}/hello.txt`);
      const posted = new Set(contents.filter((_, index) => index % 2 === 1));
      expect(posted).toEqual(new Set([`${post.status} ${post.body.length}`]));
    });
  });

  test.each(['/hello.txt', '/random.bin', '/nowhere', '/away'])(
    'curl and HTTPConnectionPool agree on %s',
    async (path) => {
      const { hostname, port } = new URL(lighttpd.origin());
      await using pool = new HTTPConnectionPool(hostname, { port: Number(port) });
      const response = await pool.request('GET', path, { redirect: false });
      const known = await curl(lighttpd.origin() + path);
      expect(`${response.status} ${fingerprint(response.data)}`).toBe(`${known.status} ${fingerprint(known.body)}`);
    },
  );
});
