import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { IncompleteRead, MaxRetryError, ProtocolError, ReadTimeoutError } from '../../src/exceptions.js';
import { CLIENTS, concurrently, contentOf, WAYS } from './client.js';
import { curl } from './curl.js';
import { type FAULTS, type Haproxy, startHaproxy } from './servers/haproxy.js';
import { describeWith } from './servers/program.js';

describeWith(['haproxy', 'curl'], 'haproxy', () => {
  let haproxy: Haproxy;
  beforeAll(async () => {
    haproxy = await startHaproxy();
  });
  afterAll(() => haproxy?.stop());

  describe.each(WAYS)('$way', ({ make, preloadContent }) => {
    test.each<{ path: keyof typeof FAULTS; cause?: typeof IncompleteRead }>([
      { path: '/empty' },
      { path: '/garbage' },
      { path: '/half-a-head' },
      { path: '/two-lengths' },
      { path: '/short', cause: IncompleteRead },
      { path: '/short-chunk', cause: IncompleteRead },
      { path: '/no-last-chunk', cause: IncompleteRead },
    ])('$path is a ProtocolError for GET and POST', async ({ path, cause }) => {
      await using client = make(haproxy.faulty);
      for (const method of ['GET', 'POST']) {
        const options = { preloadContent, retries: false, body: method === 'POST' ? 'x' : null } as const;
        const error: unknown = await client
          .request(method, path, options)
          .then((response) => contentOf(response, preloadContent))
          .catch((reason) => reason);
        expect(error).toBeInstanceOf(ProtocolError);
        if (cause !== undefined) expect(error instanceof Error && error.cause).toBeInstanceOf(cause);
      }
    });

    test.each<keyof typeof FAULTS>(['/excess', '/second-response', '/until-close'])(
      '%s is answered, and what follows the content never becomes another answer',
      async (path) => {
        await using client = make(haproxy.faulty, { maxsize: 1, block: true });
        for (let turn = 0; turn < 10; turn++) {
          const response = await client.request('GET', path, { preloadContent, retries: false, poolTimeout: 5 });
          expect((await contentOf(response, preloadContent)).toString()).toBe('abc');
        }
      },
    );

    test('an interim response is told of, and is not the answer', async () => {
      await using client = make(haproxy.faulty);
      const told: number[] = [];
      const onInformational = ({ status }: { status: number }) => void told.push(status);
      const response = await client.request('GET', '/interim', { preloadContent, onInformational });
      expect(response.status).toBe(200);
      expect((await contentOf(response, preloadContent)).toString()).toBe('abc');
      expect(told).toEqual([103]);
    });

    test('1,000 requests, 50 at a time, over at most 10 connections', async () => {
      await using client = make(haproxy.refusing, { maxsize: 10, block: true });
      const ports = await concurrently(1_000, 50, async (index) => {
        const options = { preloadContent, body: index % 2 === 1 ? 'x' : null };
        const response = await client.request(index % 2 === 1 ? 'POST' : 'GET', '/', options);
        return (await contentOf(response, preloadContent)).toString();
      });
      expect(new Set(ports).size).toBe(10);
    });
  });

  describe.each(CLIENTS)('$client', ({ make }) => {
    test('a large POST hears the answer of a server that reads none of it', async () => {
      await using client = make(haproxy.refusing);
      for (let turn = 0; turn < 10; turn++) {
        const body = Buffer.alloc(20 * 1024 ** 2);
        const response = await client.request('POST', '/deny', { body, retries: false });
        expect(response.status).toBe(403);
      }
    });

    test('/reject: a connection that is closed without an answer is tried again, as retries say', async () => {
      await using client = make(haproxy.refusing);
      const error = await client.request('GET', '/reject', { retries: 2 }).catch((reason) => reason);
      expect(error).toBeInstanceOf(MaxRetryError);
      expect(error.reason).toBeInstanceOf(ProtocolError);
    });

    test('/silent: a server that is not heard of again is a ReadTimeoutError', async () => {
      await using client = make(haproxy.refusing);
      const startMs = performance.now();
      await expect(client.request('GET', '/silent', { timeout: 0.3, retries: false })).rejects.toThrow(
        ReadTimeoutError,
      );
      expect(performance.now() - startMs).toBeLessThan(1_500);
    });

    test('/tarpit: an answer that takes its time is waited for', async () => {
      await using client = make(haproxy.refusing);
      const startMs = performance.now();
      expect((await client.request('GET', '/tarpit', { timeout: 5 })).status).toBe(500);
      expect(performance.now() - startMs).toBeGreaterThan(450);
    });

    test('thousands of GETs spaced around the 300 ms after which idle connections are closed: no error', async () => {
      await using client = make(haproxy.impatient, { maxsize: 200 });
      const ports = await concurrently(200, 200, async (index) => {
        const seen: string[] = [];
        for (let turn = 0; turn < 15; turn++) {
          const response = await client.request('GET', '/', { retries: 0 });
          seen.push(response.data.toString());
          // From 285 to 315 ms: at some of them the request and the server's FIN meet on the way.
          await delay(285 + ((index * 7 + turn) % 31));
        }
        return seen;
      });
      const all = ports.flat();
      expect(all).toHaveLength(3_000);
      const connections = new Set(all).size;
      expect(connections, 'some were closed while idle').toBeGreaterThan(200);
      expect(connections, 'some served again').toBeLessThan(3_000);
    });
  });

  test.each<keyof typeof FAULTS>([
    '/empty',
    '/garbage',
    // Not /half-a-head: curl takes what there is of it for a response without fields.
    '/short',
    '/short-chunk',
    '/no-last-chunk',
    '/excess',
    '/until-close',
    '/interim',
  ])('curl and HTTPConnectionPool agree on %s', async (path) => {
    const { hostname, port } = new URL(haproxy.faulty);
    await using pool = new HTTPConnectionPool(hostname, { port: Number(port) });
    const known = await curl(haproxy.faulty + path);
    const content = await pool.request('GET', path, { retries: false }).then(
      (response) => response.data.toString(),
      () => 'refused',
    );
    expect(content).toBe(known.exitCode === 0 ? known.body.toString() : 'refused');
  });
});
