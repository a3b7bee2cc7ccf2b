/** Security cases of pools: what may share a connection, who gets which answer, and what an error leaves behind. */
import { execFile } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { CONNECTION_RULES } from '../../src/connection.js';
import { HTTPConnectionPool, HTTPSConnectionPool, type HTTPSConnectionPoolOptions } from '../../src/connectionpool.js';
import { EmptyPoolError, HTTPError, SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { UrlopenOptions } from '../../src/request-options.js';
import type { TlsOptions } from '../../src/tls/options.js';
import { IPPROTO_TCP, TCP_NODELAY } from '../../src/util/connection.js';
import { Retry } from '../../src/util/retry.js';
import { RetryBudget } from '../../src/util/retry-budget.js';
import { Timeout } from '../../src/util/timeout.js';
import { parseUrl } from '../../src/util/url.js';
import { ok, type Peer, type Script, startPeer, testCertificate } from '../pool-peers.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function peerOf(script: Script, options: Parameters<typeof startPeer>[1] = {}): Promise<Peer> {
  const peer = await startPeer(script, options);
  opened.push(peer);
  return peer;
}

function managerOf(options: ConstructorParameters<typeof PoolManager>[0] = {}): PoolManager {
  const manager = new PoolManager(options);
  opened.push(manager);
  return manager;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

describe('SEC-120 (CVE-2024-35195, CVE-2016-5420, CVE-2022-27782): what changes a connection changes its pool', async () => {
  const { key, cert } = await testCertificate();
  const lookup = (host: string, _options: unknown, callback: (error: null, address: string) => void) =>
    callback(null, host);

  /** Two values of each option. The compiler demands a row for a new one; those of TLS: tls-behaviour/pool-keys.test.ts. */
  const ROWS: { readonly [K in Exclude<keyof HTTPSConnectionPoolOptions, keyof TlsOptions>]-?: [unknown, unknown] } = {
    port: [1, 2],
    strict: [true, false],
    deadline: [5, 6],
    crossOriginHeaders: ['strip', 'safelist'],
    retryBudget: [new RetryBudget(), new RetryBudget()],
    timeout: [5, new Timeout({ connect: 5 })],
    sourceAddress: [
      ['127.0.0.1', 0],
      ['127.0.0.2', 0],
    ],
    socketOptions: [[], [[IPPROTO_TCP, TCP_NODELAY, 0]]],
    lookup: [lookup, lookup.bind(null)],
    maxHeadBytes: [10_000, 20_000],
    maxFields: [100, 200],
    maxInterimResponses: [1, 2],
    maxChunkLineBytes: [100, 200],
    maxsize: [1, 2],
    block: [true, false],
    headers: [{ A: '1' }, { A: '2' }],
    retries: [1, false],
    idleTimeout: [1, 2],
    maxDecodedSize: [1_000, 2_000],
    maxRatio: [10, 20],
    auth: [
      { type: 'basic', username: 'user', password: 'a' },
      { type: 'basic', username: 'user', password: 'A' },
    ],
    _authurl: ['/a', '/b'],
    _proxy: [parseUrl('http://user:a@proxy.test'), parseUrl('http://user:A@proxy.test')],
    _proxyHeaders: [{ 'Proxy-Authorization': 'a' }, { 'Proxy-Authorization': 'A' }],
    _proxyConfig: [
      { tls: null, useForwardingForHttps: false },
      { tls: null, useForwardingForHttps: true },
    ],
    _forwards: [true, false],
    _route: [
      { kind: 'forward', name: 'http://a.test' },
      { kind: 'forward', name: 'http://b.test' },
    ],
  };
  /** These do not change a direct connection to one port; their pools differ all the same. */
  const NOT_ON_THE_WIRE = new Set(['port', '_proxy', '_proxyHeaders', '_proxyConfig', '_forwards', '_route']);

  test('there is a row for every option', () => {
    for (const name of Object.keys(CONNECTION_RULES)) expect(ROWS).toHaveProperty(name);
    for (const name of Object.keys(ROWS)) {
      const make = () => new HTTPSConnectionPool('a.test', { [name]: Reflect.get(ROWS, name)[0] });
      expect(make, name).not.toThrow();
    }
  });

  test.each(Object.entries(ROWS))('%s, in both orders', async (name, [one, other]) => {
    const peer = await peerOf(() => ok(), { tls: { key, cert } });
    for (const [first, second] of [
      [one, other],
      [other, one],
    ]) {
      const manager = managerOf({ caCerts: cert });
      const place = { scheme: 'https', port: peer.port };
      const pools = [first, second].map((value) => {
        const poolKwargs: HTTPSConnectionPoolOptions = { [name]: value };
        const context = {
          ...manager.connectionPoolKw,
          scheme: 'https',
          host: '127.0.0.1',
          port: peer.port,
          ...poolKwargs,
        };
        const pool = manager.connectionFromContext(context);
        expect(manager.connectionFromContext({ ...context })).toBe(pool);
        if (name !== 'port') expect(manager.connectionFromHost('127.0.0.1', { ...place, poolKwargs })).toBe(pool);
        return pool;
      });
      expect(pools[0]).not.toBe(pools[1]);
      if (NOT_ON_THE_WIRE.has(name)) continue;
      const before = peer.sockets.length;
      for (const pool of pools) expect((await pool.request('GET', '/')).status).toBe(200);
      expect(peer.sockets.length - before).toBe(2);
    }
  });

  test('a connection that was not verified never serves a request that wants it verified', async () => {
    const peer = await peerOf(() => ok(), { tls: { key, cert } });
    const manager = managerOf({ retries: false });
    const unverified = manager.connectionFromUrl(peer.url, { poolKwargs: { certReqs: 'CERT_NONE' } });
    expect((await unverified.request('GET', '/')).status).toBe(200);
    expect(await rejection(manager.request('GET', peer.url))).toBeInstanceOf(SSLError);
    expect(peer.requests).toHaveLength(1);
  });
});

describe('SEC-121 (CVE-2026-56850, CVE-2016-8616, CVE-2022-27775): keys collide only where they should', () => {
  test('pools of a manager: letter case, delimiters, bytes, zones and __proto__ count; case of scheme and host does not', () => {
    const manager = managerOf();
    const poolOf = (host: string, poolKwargs: HTTPSConnectionPoolOptions = {}) =>
      manager.connectionFromHost(host, { scheme: 'https', poolKwargs });
    expect(poolOf('A.test')).toBe(poolOf('a.TEST'));
    expect(manager.connectionFromUrl('HTTPS://a.test:443')).toBe(poolOf('a.test'));
    expect(poolOf('[fe80::1%25a]')).not.toBe(poolOf('[fe80::1%25b]'));
    const headers = (value: Record<string, string>) => poolOf('a.test', { headers: value });
    expect(headers({ a: 'b', c: 'd' })).not.toBe(headers({ a: 'b, c: d' }));
    expect(headers({ password: 'Secret' })).not.toBe(headers({ password: 'secret' }));
    const polluted: Record<string, string> = JSON.parse('{ "__proto__": "x" }');
    expect(headers(polluted)).not.toBe(headers({}));
    expect(headers(polluted)).toBe(headers(polluted));
  });
});

describe('SEC-122 (CVE-2026-4873, CVE-2021-22946): http and https never share a connection', () => {
  test.each([
    ['https', 'http'],
    ['http', 'https'],
  ])('%s, then %s on the same host and port', async (first, second) => {
    const { key, cert } = await testCertificate();
    const secure = await peerOf(() => ok('secure'), { tls: { key, cert } });
    const manager = managerOf({ caCerts: cert, retries: false });
    const get = (scheme: string) => manager.request('GET', `${scheme}://127.0.0.1:${secure.port}/${scheme}`);
    const outcomes: Record<string, unknown> = {};
    for (const scheme of [first, second, first, second]) outcomes[scheme] = await get(scheme).catch((e: unknown) => e);
    expect(outcomes.https).toMatchObject({ status: 200 });
    expect(outcomes.http).toBeInstanceOf(HTTPError);
    // Only what came over TLS is seen as a request there.
    expect(new Set(secure.requests.map(({ target }) => target))).toEqual(new Set(['/https']));
    expect(manager.pools.size).toBe(2);
    const [a, b] = ['http', 'https'].map((scheme) => manager.connectionFromUrl(`${scheme}://127.0.0.1:${secure.port}`));
    expect(a).toBeInstanceOf(HTTPConnectionPool);
    expect(b).toBeInstanceOf(HTTPSConnectionPool);
    expect(a).not.toBe(b);
  });
});

describe('SEC-125 (CVE-2023-46137): a connection carries one request at a time', () => {
  test.each([1, 2, 3, 5])(
    '500 requests over maxsize %d, with aborts and double releases: everyone gets the own answer',
    async (maxsize) => {
      let overlaps = 0;
      const peer = await peerOf(async ({ target, connection }, socket) => {
        const before = socket.bytesRead;
        const size = Number(target.length * 7919) % 3;
        for (let turns = 0; turns < size; turns++) await turn();
        if (socket.bytesRead !== before) overlaps++;
        return ok(`${target} ${connection}`.padEnd(50 + size * 40_000));
      });
      await using pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port, maxsize, block: true });
      let answers = 0;
      let aborts = 0;
      const one = async (n: number): Promise<void> => {
        const controller = new AbortController();
        const isAborted = n % 4 === 1;
        const options: UrlopenOptions = { signal: controller.signal, preloadContent: n % 3 !== 0 };
        const path = `/${'x'.repeat(n % 11)}${n}`;
        const request = pool.urlopen('GET', path, options).then(async (response) => {
          if (n % 3 !== 0) return response.data;
          if (n % 5 === 0) {
            // Given up with content left.
            response.releaseConn();
            response.releaseConn();
            response.close();
            return null;
          }
          const content = await response.read();
          response.releaseConn();
          response.close();
          response.releaseConn();
          return content;
        });
        if (isAborted) void turn().then(() => controller.abort());
        try {
          const content = await request;
          if (content !== null) expect(content.toString().split(' ')[0]).toBe(path);
          answers++;
        } catch (error) {
          if (!isAborted) throw error;
          expect(error).toBe(controller.signal.reason);
          aborts++;
        }
      };
      await Promise.all(Array.from({ length: 500 }, (_, n) => one(n)));
      expect(answers + aborts).toBe(500);
      expect(aborts).toBeGreaterThan(0);
      expect(overlaps).toBe(0);
      await peer.until(({ openSockets }) => openSockets <= maxsize);
      expect((await pool.urlopen('GET', '/last', { poolTimeout: 1 })).status).toBe(200);
    },
  );
});

describe('SEC-127 (CVE-2025-47279): no failure keeps a place in the pool', () => {
  async function* failingBody() {
    yield 'x';
    throw new Error('failing body');
  }
  const FAILURES: Readonly<
    Record<string, { readonly answer?: string | null; readonly options?: () => UrlopenOptions }>
  > = {
    'a reset': { answer: null },
    garbage: { answer: 'garbage\r\n\r\n' },
    'a head that is too large': { answer: `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(100_000)}\r\n\r\n` },
    'framing that is ambiguous': {
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    'content that is no gzip': {
      answer: 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbad!',
    },
    'a redirect that leads nowhere': {
      answer: 'HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n',
    },
    'a redirect to another host': {
      answer: 'HTTP/1.1 302 Found\r\nLocation: http://a.test/\r\nContent-Length: 0\r\n\r\n',
    },
    'a Retry-After that cannot be read': {
      answer: 'HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n',
    },
    'a read timeout': { answer: '', options: () => ({ timeout: 0.002 }) },
    'a total timeout': { answer: '', options: () => ({ timeout: new Timeout({ total: 0.002 }) }) },
    'an abort': { answer: '', options: () => ({ signal: AbortSignal.timeout(2) }) },
    'a body that fails': { answer: '', options: () => ({ body: failingBody() }) },
    'a response that is given up': {
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      options: () => ({ preloadContent: false }),
    },
  };

  test.each(Object.entries(FAILURES))('100 times %s', async (_name, { answer, options }) => {
    const peer = await peerOf(({ target }, socket) => {
      if (target === '/ok') return ok();
      if (answer === null) socket.resetAndDestroy();
      return answer === null || answer === '' ? undefined : answer;
    });
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port, maxsize: 1, block: true });
    for (let n = 0; n < 100; n++) {
      const given: UrlopenOptions = { poolTimeout: 5, retries: n % 2 === 0 ? new Retry(1) : false, ...options?.() };
      const redirects = answer?.includes('302') === true ? { retries: new Retry(1) } : {};
      const outcome = await pool.urlopen('POST', '/fail', { ...given, ...redirects }).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).not.toBeInstanceOf(EmptyPoolError);
      else await (outcome as AsyncDisposable)[Symbol.asyncDispose]();
    }
    expect((await pool.urlopen('GET', '/ok', { poolTimeout: 1 })).status).toBe(200);
    await peer.until(({ openSockets }) => openSockets === 1);
  });

  test('100 names that do not resolve, and 100 handshakes that fail', async () => {
    const peer = await peerOf(() => ok());
    let failures = 0;
    await using pool = new HTTPConnectionPool('a.test', {
      port: peer.port,
      maxsize: 1,
      block: true,
      lookup: (_host, _options, callback) => {
        if (++failures <= 100) callback(new Error('no such name'), '');
        else callback(null, '127.0.0.1');
      },
    });
    for (let n = 0; n < 100; n++) await rejection(pool.urlopen('GET', '/', { retries: false, poolTimeout: 1 }));
    expect((await pool.urlopen('GET', '/', { poolTimeout: 1 })).status).toBe(200);

    const { key, cert } = await testCertificate();
    const secure = await peerOf(() => ok(), { tls: { key, cert } });
    await using untrusting = new HTTPSConnectionPool('127.0.0.1', { port: secure.port, maxsize: 1, block: true });
    for (let n = 0; n < 30; n++) {
      const error = await rejection(untrusting.urlopen('GET', '/', { retries: false, poolTimeout: 1 }));
      expect(error).toBeInstanceOf(SSLError);
    }
    await secure.until(({ openSockets }) => openSockets === 0);
  });
});

test('SEC-130 (CVE-2026-16728): two identical concurrent GETs are two requests, and no Range is ever added', async () => {
  const peer = await peerOf(() => ok());
  const manager = managerOf();
  await Promise.all([manager.request('GET', peer.url), manager.request('GET', peer.url)]);
  expect(peer.requests).toHaveLength(2);
  expect(peer.received).not.toMatch(/range/i);
});

describe('SEC-027 (CVE-2026-42264, CVE-2026-44494, CVE-2026-40175): a polluted Object.prototype changes no request', () => {
  const CHILD = `
    import { PoolManager } from './src/poolmanager.ts';
    import { HTTPConnectionPool } from './src/connectionpool.ts';
    import { request } from './src/top-level.ts';
    const url = process.env.PEER_URL;
    const port = Number(new URL(url).port);
    const evil = {
      proxy: 'http://127.0.0.1:1', _proxy: 'http://127.0.0.1:1', _proxyHeaders: { A: 'b' }, auth: 'a:b', method: 'DELETE',
      headers: { 'X-Evil': '1' }, socketPath: '/nowhere', ca: 'x', caCerts: '/nowhere', certReqs: 'CERT_NONE',
      rejectUnauthorized: false, servername: 'evil.test', serverHostname: 'evil.test', body: 'evil', json: { evil: 1 },
      fields: { evil: 1 }, bodyPos: 1, chunked: true, redirect: false, retries: false, timeout: 0.000001, total: 0.000001,
      poolTimeout: 0, preloadContent: false, decodeContent: false, maxDecodedSize: 1, maxRatio: 1, maxsize: 1, block: true,
      numPools: 0, poolKwargs: { port: 1 }, sourceAddress: ['127.0.0.9', 0], socketOptions: [[9, 9, 9]],
      lookup() { throw new Error('evil lookup'); }, maxFields: 1, maxHeadBytes: 1, idleTimeout: 0, encodeMultipart: false,
      multipartBoundary: 'evil', expectContinue: true, assertSameHost: false, _source: { kind: 'bytes' }, host: '127.0.0.66',
      scheme: 'https', release: 1, enforceContentLength: false, removeHeadersOnRedirect: [], onInformational: 5,
    };
    for (const [name, value] of Object.entries(evil)) {
      Object.defineProperty(Object.prototype, name, { value, writable: true, configurable: true, enumerable: true });
    }
    const results = [];
    const manager = new PoolManager();
    const pool = new HTTPConnectionPool('127.0.0.1', { port });
    try {
      const { VerifiedHTTPSConnection } = await import('./src/connection.ts');
      new VerifiedHTTPSConnection('a.test');
      results.push([200, 'connection']);
    } catch (error) {
      results.push([String(error), 'connection']);
    }
    for (const make of [
      () => manager.request('GET', url + '/a'),
      () => manager.request('GET', url + '/b', {}),
      () => manager.request('POST', url + '/c', { json: { a: 1 } }),
      () => manager.request('POST', url + '/d', { fields: { a: '1' } }),
      () => manager.request('GET', url + '/redirect', { headers: { 'X-Own': '1' } }),
      () => manager.urlopen('GET', url + '/e', {}),
      () => manager.connectionFromUrl(url).request('GET', '/f'),
      () => pool.urlopen('GET', '/g', {}),
      () => request('GET', url + '/h'),
      () => manager.request('GET', url + '/redirect'),
      () => manager.requestEncodeBody('POST', url + '/i', { fields: { a: '1' } }),
      () => manager.requestEncodeUrl('GET', url + '/j'),
    ]) {
      const response = await make().catch((error) => ({ status: String(error), data: '' }));
      results.push([response.status, response.data.toString()]);
    }
    for (const name of Object.keys(evil)) delete Object.prototype[name];
    console.log(JSON.stringify(results));
  `;

  test('requests of every entry, in a process of their own', async () => {
    const peer = await peerOf(({ target }) =>
      target === '/redirect'
        ? `HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n__proto__: x\r\nconstructor: y\r\n\r\n`
        : ok(target),
    );
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', CHILD],
      { timeout: 15_000, env: { ...process.env, PEER_URL: peer.url } },
    );
    expect(JSON.parse(stdout)).toEqual(
      ['connection', '/a', '/b', '/c', '/d', '/there', '/e', '/f', '/g', '/h', '/there', '/i', '/j'].map((t) => [
        200,
        t,
      ]),
    );
    expect(peer.received).not.toMatch(/evil|proxy|expect/i);
    const methods = peer.requests.map(({ method, target }) => `${method} ${target}`);
    expect(methods.filter((method) => method.startsWith('POST'))).toEqual(['POST /c', 'POST /d', 'POST /i']);
    expect(methods).toHaveLength(14);
    expect(peer.requests[2]?.body.toString()).toBe('{"a":1}');
    expect(peer.requests[3]?.field('content-type')).toContain('multipart/form-data');
    for (const index of [0, 1, 4, 5, 6, 7, 8, 9]) expect(peer.requests[index]?.body).toHaveLength(0);
  });

  test('response fields called __proto__ and constructor are plain entries', async () => {
    const peer = await peerOf(() =>
      ok('', { ['__proto__']: 'x', constructor: 'y', toString: 'z' } as Record<string, string>),
    );
    const raw = await peerOf(() => 'HTTP/1.1 200 OK\r\n__proto__: x\r\nconstructor: y\r\nContent-Length: 0\r\n\r\n');
    const { headers } = await managerOf().request('GET', raw.url);
    expect(headers.get('__proto__')).toBe('x');
    expect(headers.get('constructor')).toBe('y');
    expect(headers.get('toString')).toBeUndefined();
    expect((await managerOf().request('GET', peer.url)).headers.get('tostring')).toBe('z');
    expect(Object.prototype).not.toHaveProperty('x');
  });
});
