import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeHeaders } from '../../src/util/request.js';
import { CLIENTS, concurrently, contentOf, WAYS } from './client.js';
import { curl } from './curl.js';
import { APACHE_CREDENTIALS, type Apache, startApache } from './servers/apache.js';
import { fingerprint, HELLO, RANDOM, TEXT } from './servers/documents.js';
import { describeWith } from './servers/program.js';

/** httpd announces its keep-alive only to those who ask for it. */
const KEEP_ALIVE = makeHeaders({ keepAlive: true });

describeWith(['apache2', 'curl'], 'Apache httpd', () => {
  let apache: Apache;
  beforeAll(async () => {
    apache = await startApache();
  });
  afterAll(() => apache?.stop());

  describe.each(WAYS)('$way', ({ make, preloadContent }) => {
    test.each([
      { path: '/hello.txt', want: HELLO },
      { path: '/random.bin', want: RANDOM },
    ])('GET gives $path as it is on the disk', async ({ path, want }) => {
      await using client = make(apache.main);
      const response = await client.request('GET', path, { preloadContent });
      expect(response).toMatchObject({ status: 200, version: 11, chunked: false });
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(want));
    });

    test.each([
      { coding: 'gzip', path: '/text.txt', isChunked: true },
      { coding: 'br', path: '/brotli/text.txt', isChunked: false },
    ])('GET decodes $coding (chunked: $isChunked)', async ({ coding, path, isChunked }) => {
      await using client = make(apache.main);
      const headers = makeHeaders({ acceptEncoding: coding });
      const response = await client.request('GET', path, { preloadContent, headers });
      expect(response.headers.get('content-encoding')).toBe(coding);
      expect(response.chunked).toBe(isChunked);
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(TEXT));
    });

    test('GET of a range', async () => {
      await using client = make(apache.main);
      const headers = { Range: 'bytes=1000-299999' };
      const response = await client.request('GET', '/random.bin', { preloadContent, headers });
      expect(response.status).toBe(206);
      const content = await contentOf(response, preloadContent);
      expect(fingerprint(content)).toBe(fingerprint(RANDOM.subarray(1_000, 300_000)));
    });

    test("POST of a large body is answered as curl's small one is, and so is the next", async () => {
      await using client = make(apache.main);
      for (const chunked of [false, true]) {
        const response = await client.request('POST', '/hello.txt', { preloadContent, body: RANDOM, chunked });
        const known = await curl('--data-binary', `${RANDOM.length}`, `${apache.main}/hello.txt`);
        expect(response.status).toBe(known.status);
        expect((await contentOf(response, preloadContent)).equals(known.body)).toBe(true);
      }
    });

    test('makeHeaders() writes credentials that httpd takes, in UTF-8', async () => {
      await using client = make(apache.main);
      const path = '/private/hello.txt';
      const refused = await client.request('GET', path, { preloadContent });
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toBe('Basic realm="private"');
      await contentOf(refused, preloadContent);
      const headers = makeHeaders({ basicAuth: Buffer.from(APACHE_CREDENTIALS).toString('latin1') });
      const response = await client.request('GET', path, { preloadContent, headers });
      expect(response.status).toBe(200);
      expect(await contentOf(response, preloadContent)).toEqual(HELLO);
    });

    test('307 repeats a POST with its body', async () => {
      await using client = make(apache.main);
      const marker = `?again=${Math.random()}`;
      const response = await client.request('POST', `/307${marker}`, { preloadContent, body: RANDOM });
      await contentOf(response, preloadContent);
      const seen = await apache.requests(marker, 2);
      expect(seen.map(({ request, status }) => `${request.split(/[ ?]/, 2).join(' ')} ${status}`)).toEqual([
        'POST /307 307',
        `POST /hello.txt ${response.status}`,
      ]);
    });

    test('1,000 requests, 50 at a time, over at most 10 connections at once, each of 100 requests', async () => {
      await using client = make(apache.main, { maxsize: 10, block: true });
      const marker = `?many=${Math.random()}`;
      const contents = await concurrently(1_000, 50, async (index) => {
        const isPost = index % 2 === 1;
        const options = isPost ? { preloadContent, body: 'x' } : { preloadContent };
        const response = await client.request(isPost ? 'POST' : 'GET', `/hello.txt${marker}`, options);
        return (await contentOf(response, preloadContent)).toString();
      });
      expect(new Set(contents)).toEqual(new Set([HELLO.toString()]));
      const seen = await apache.requests(marker, 1_000);
      expect(seen).toHaveLength(1_000);
      expect(Math.max(...seen.map(({ nth }) => nth))).toBeLessThanOrEqual(100);
      expect(new Set(seen.map(({ clientPort }) => clientPort)).size).toBeLessThanOrEqual(20);
    });
  });

  describe.each(CLIENTS)('$client', ({ make }) => {
    test('250 requests in a row need three connections, because httpd ends each after 101', async () => {
      await using client = make(apache.main);
      const marker = `?row=${Math.random()}`;
      for (let index = 0; index < 250; index++) {
        const options = { retries: false, headers: KEEP_ALIVE } as const;
        const response = await client.request('GET', `/hello.txt${marker}`, options);
        if (index === 0) expect(response.headers.get('keep-alive')).toBe('timeout=5, max=100');
      }
      const seen = await apache.requests(marker, 250);
      expect(new Set(seen.map(({ clientPort }) => clientPort)).size).toBe(3);
      expect(seen.filter(({ nth }) => nth === 0)).toHaveLength(3);
    });

    test('a connection is given up before the time that httpd announces is over', async () => {
      await using client = make(apache.brief);
      const marker = `?brief=${Math.random()}`;
      const options = { retries: false, headers: KEEP_ALIVE } as const;
      const first = await client.request('GET', `/hello.txt${marker}`, options);
      expect(first.headers.get('keep-alive')).toBe('timeout=1');
      await client.request('POST', `/hello.txt${marker}`, { ...options, body: 'x' });
      await delay(700);
      await client.request('POST', `/hello.txt${marker}`, { ...options, body: 'x' });
      const seen = await apache.requests(marker, 3);
      expect(seen.map(({ nth }) => nth)).toEqual([0, 1, 0]);
    });

    test('POSTs spaced around the announced time meet no closed connection', async () => {
      await using client = make(apache.brief, { maxsize: 40 });
      await concurrently(40, 40, async (index) => {
        for (let turn = 0; turn < 4; turn++) {
          const options = { retries: false, headers: KEEP_ALIVE, body: 'x' } as const;
          const response = await client.request('POST', '/hello.txt', options);
          expect(response.status).toBe(200);
          await delay(980 + index);
        }
      });
    });
  });
});
