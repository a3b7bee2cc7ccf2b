/** Cases of redirects.test.ts where the content is streamed, and what they leave: history, log lines, TLS on a later hop. */
import { describe, expect, test, vi } from 'vitest';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { LocationValueError, MaxRetryError, UnrewindableBodyError } from '../../src/exceptions.js';
import { addLogHandler } from '../../src/logging.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { Retry } from '../../src/util/retry.js';
import { answer, faultyServer } from '../faults/peer.js';
import { ok, redirectTo, startPeer, testCertificate } from '../pool-peers.js';
import { watchHandles } from '../support/leaks.js';

watchHandles();

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (reason: unknown) => reason,
  );
}

const SECRETS = { Authorization: 'Basic s3cret', Cookie: 'sid=s3cret', 'Proxy-Authorization': 'Basic s3cret' };

describe.each([true, false])('preloadContent: %s', (preloadContent) => {
  test('SEC-053 (CVE-2024-45336): credentials stay off on B, on B again, back on A and on a sub-domain of A', async () => {
    const hops: Record<string, string> = {};
    await using server = await startPeer(({ target, field }) => {
      const next = hops[`${field('host')?.replace(/:.*/, '')}${target}`];
      return next === undefined ? ok('there') : redirectTo(next);
    });
    const at = (host: string, path: string) => `http://${host}:${server.port}${path}`;
    hops['a.test/'] = at('b.test', '/1');
    hops['b.test/1'] = '/2';
    hops['b.test/2'] = at('a.test', '/3');
    hops['a.test/3'] = at('sub.a.test', '/4');
    const lookup: LookupFunction = (_host, _options, callback) => callback(null, ['127.0.0.1']);
    await using http = new PoolManager({ lookup, retries: 9 });
    const response = await http.request('GET', at('a.test', '/'), { headers: SECRETS, preloadContent });
    expect((await response.read()).toString() || response.data.toString()).toBe('there');
    expect(server.requests.map(({ target }) => target)).toEqual(['/', '/1', '/2', '/3', '/4']);
    expect(server.requests[0]?.head).toMatch(/s3cret/);
    for (const { head } of server.requests.slice(1)) expect(head).not.toMatch(/s3cret/);
  });

  test('SEC-055 (CVE-2023-45803): a 303 loses content and its fields; a 307 does not send a spent body in part', async () => {
    let status = 303;
    await using server = await startPeer(({ target }) => (target === '/' ? redirectTo('/next', status) : ok()));
    await using http = new PoolManager();
    const headers = { 'Content-Type': 'text/x', 'Content-Encoding': 'x', 'Transfer-Encoding': 'chunked' };
    const response = await http.request('POST', `${server.url}/`, { body: ['s3cret'], headers, preloadContent });
    await response.read();
    expect(server.requests.at(-1)).toMatchObject({ method: 'GET', target: '/next' });
    expect(server.requests.at(-1)?.head).not.toMatch(/content-|transfer-/i);
    status = 307;
    async function* once() {
      yield 's3cret';
    }
    const failing = http.request('POST', `${server.url}/`, { body: once(), preloadContent });
    expect(await rejection(failing)).toBeInstanceOf(UnrewindableBodyError);
    expect(server.requests).toHaveLength(3);
  });

  const LIMITS: readonly (readonly [string, RequestOptions, number, 'answer' | 'raised'])[] = [
    ['redirect: false', { redirect: false }, 1, 'answer'],
    ['retries: false', { retries: false }, 1, 'answer'],
    ['new Retry({ redirect: 0 })', { retries: new Retry({ redirect: 0 }) }, 1, 'raised'],
    ['new Retry(0)', { retries: new Retry(0) }, 1, 'raised'],
    ['retries: 4', { retries: 4 }, 5, 'raised'],
    ['retries: null', { retries: null }, 21, 'raised'],
  ];

  test.each(LIMITS)(
    'SEC-056 (CVE-2025-50181): %s is as many requests of a loop as it says',
    async (_name, options, seen, end) => {
      await using server = await faultyServer(() => ({ write: answer(302, 'x', 'Location: /\r\n'), after: 'go on' }));
      await using http = new PoolManager();
      await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
      for (const [requester, url] of [
        [http, server.url],
        [pool, '/'],
      ] as const) {
        const before = server.requests.length;
        const outcome = await requester
          .request('GET', url, { ...options, preloadContent })
          .catch((error: unknown) => error);
        if (end === 'raised') expect(outcome).toBeInstanceOf(MaxRetryError);
        else expect(outcome).toMatchObject({ status: 302 });
        expect(server.requests.length - before).toBe(seen);
        // What is returned is still to be read.
        if (end === 'answer' && typeof outcome === 'object' && outcome !== null && 'read' in outcome) {
          await (outcome as { read(): Promise<unknown> }).read();
        }
      }
    },
  );

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/', 'http://', 'http:///x'])(
    'SEC-057, SEC-058 (CVE-2022-33987, CVE-2022-0235): "%s" is an error, and the connection is free again',
    async (location) => {
      await using server = await faultyServer(({ target }) => ({
        write: target === '/ok' ? answer(200, '') : answer(302, 'x', `Location: ${location}\r\n`),
        after: 'go on',
      }));
      await using http = new PoolManager({ maxsize: 1, block: true });
      const error = await rejection(http.request('GET', server.url, { preloadContent }));
      expect(error).toBeInstanceOf(LocationValueError);
      expect((await http.request('GET', `${server.url}/ok`, { poolTimeout: 2 })).status).toBe(200);
      expect(server.requests.map(({ target }) => target)).toEqual(['/', '/ok']);
    },
  );

  test('SEC-059 (CVE-2025-27221): user-info is in no history, no log line and no URL that comes of it', async () => {
    const lines: string[] = [];
    using _handler = addLogHandler({ write: ({ message }) => void lines.push(message) });
    await using b = await startPeer(() => ok('there'));
    await using a = await startPeer(() => redirectTo(`//mallory:hidden@127.0.0.1:${b.port}/x`));
    await using http = new PoolManager();
    const response = await http.request('GET', `http://alice:s3cret@127.0.0.1:${a.port}/`, { preloadContent });
    await response.read();
    const shown = [response.url, ...lines].join('\n');
    expect(shown).not.toMatch(/alice|s3cret|mallory|hidden/);
    expect(lines.join('\n')).toContain('Redirecting');
    expect(a.received + b.received).not.toMatch(/alice|s3cret|mallory|hidden|referer|authorization/i);
  });

  test('SEC-060 (CVE-2020-28168, CVE-2024-50342): the lookup guards each hop: by address, by name, from http to https', async () => {
    const { key, cert } = await testCertificate();
    await using inner = await startPeer(() => ok('s3cret'), { host: '127.0.0.2', tls: { key, cert } });
    let location = '';
    await using outer = await startPeer(() => redirectTo(location));
    const lookup = vi.fn<LookupFunction>((host, _options, callback) => {
      const address = host === 'name.test' ? '127.0.0.2' : host;
      if (address === '127.0.0.2') callback(new Error('refused by policy'), []);
      else callback(null, [address]);
    });
    await using http = new PoolManager({ lookup, caCerts: cert, retries: new Retry(1, { connect: 0 }) });
    for (const [scheme, host] of [
      ['http', '127.0.0.2'],
      ['http', 'name.test'],
      ['https', '127.0.0.2'],
      ['https', 'name.test'],
    ]) {
      location = `${scheme}://${host}:${inner.port}/`;
      const error = await rejection(http.request('GET', outer.url, { preloadContent }));
      expect(error).toBeInstanceOf(MaxRetryError);
      expect(String(error)).toContain('refused by policy');
      expect(lookup.mock.lastCall?.[0]).toBe(host);
    }
    expect(inner.sockets).toEqual([]);
  });
});
