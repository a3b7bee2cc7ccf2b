import { afterEach, describe, expect, test } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../src/connectionpool.js';
import {
  ClosedPoolError,
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  URLSchemeUnknown,
} from '../src/exceptions.js';
import { HTTPHeaderDict } from '../src/headers.js';
import { type PoolKey, poolKey } from '../src/pool-key.js';
import { PoolManager, type PoolManagerOptions } from '../src/poolmanager.js';
import { RequestMethods } from '../src/request.js';
import { Retry } from '../src/util/retry.js';
import { ok, type Peer, redirectTo, reply, type Script, startPeer } from './pool-peers.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function peerOf(script: Script): Promise<Peer> {
  const peer = await startPeer(script);
  opened.push(peer);
  return peer;
}

function managerOf(options: PoolManagerOptions = {}): PoolManager {
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

describe('PoolManager, its pools', () => {
  test('PoolManager has the defaults of the reference', () => {
    const manager = new PoolManager();
    expect(manager).toBeInstanceOf(RequestMethods);
    expect(manager.proxy).toBeNull();
    expect(manager.pools.maxsize).toBe(10);
    expect(manager.connectionPoolKw).toEqual({});
    expect(manager.headers).toEqual(new HTTPHeaderDict());
    expect(manager.poolClassesByScheme).toEqual({ http: HTTPConnectionPool, https: HTTPSConnectionPool });
    expect(manager.keyFnByScheme).toEqual({ http: poolKey, https: poolKey });
    expect(String(manager)).toBe('PoolManager(pools=0)');
  });

  test.each([
    { options: null, error: TypeError },
    { options: 10, error: TypeError },
    { options: { num_pools: 5 }, error: TypeError },
    { options: { numPools: -1 }, error: RangeError },
    { options: { numPools: 0 }, error: RangeError },
    { options: { numPools: '5' }, error: TypeError },
    { options: { maxsize: 0 }, error: RangeError },
    { options: { timeout: -1 }, error: RangeError },
    { options: { certReqs: 'NEVER' }, error: Error },
    { options: { retries: -1.5 }, error: Error },
  ])('PoolManager refuses the options $options when it is made', ({ options, error }) => {
    // What is given is wrong on purpose.
    expect(() => new PoolManager(options as PoolManagerOptions)).toThrow(error);
  });

  test('connectionFromHost(), connectionFromUrl() and connectionFromContext() give one pool for one place', () => {
    const manager = managerOf();
    const pool = manager.connectionFromHost('example.com');
    expect(pool).toBeInstanceOf(HTTPConnectionPool);
    expect(manager.connectionFromHost('EXAMPLE.com', { port: 80, scheme: 'HTTP' })).toBe(pool);
    expect(manager.connectionFromUrl('http://example.com/path?query')).toBe(pool);
    expect(manager.connectionFromUrl('example.com')).toBe(pool);
    expect(manager.connectionFromContext({ scheme: 'http', host: 'example.com', port: 80 })).toBe(pool);
    expect(manager.connectionFromHost('example.com', { port: null, scheme: null, poolKwargs: null })).toBe(pool);
    const secure = manager.connectionFromUrl('https://example.com');
    expect(secure).toBeInstanceOf(HTTPSConnectionPool);
    expect(manager.connectionFromHost('example.com', { scheme: 'https', port: 443 })).toBe(secure);
    expect(manager.connectionFromHost('example.com', { port: 81 })).not.toBe(pool);
    expect(manager.pools.size).toBe(3);
  });

  test('connectionFromPoolKey() keeps a pool under any key', () => {
    const manager = managerOf();
    const requestContext = { scheme: 'http', host: 'a.test', port: 8080 };
    const key = poolKey(requestContext);
    const pool = manager.connectionFromPoolKey(key, { requestContext });
    expect(String(pool)).toBe("HTTPConnectionPool(host='a.test', port=8080)");
    expect(manager.connectionFromPoolKey(key, { requestContext })).toBe(pool);
    expect(manager.connectionFromContext(requestContext)).toBe(pool);
    const unknown = { scheme: 'gopher', host: 'a.test' };
    expect(() => manager.connectionFromPoolKey(poolKey(unknown), { requestContext: unknown })).toThrow(
      URLSchemeUnknown,
    );
    expect(() => manager.connectionFromPoolKey(poolKey({ scheme: 'http', host: 'b.test' }))).toThrow(
      'Cannot make a pool of its key alone: no pool is kept under it, so requestContext is needed',
    );
    expect(manager.connectionFromPoolKey(key)).toBe(pool);
    // @ts-expect-error The context of a request names its scheme.
    expect(() => manager.connectionFromContext({ host: 'a.test' })).toThrow(
      'Cannot use scheme undefined: it must be text',
    );
    expect(() => manager.connectionFromContext(unknown)).toThrow(URLSchemeUnknown);
    expect(() => manager.connectionFromContext({ scheme: 'constructor', host: 'a.test' })).toThrow(URLSchemeUnknown);
  });

  test('poolKwargs: options of the manager, changed for one pool; null takes one away', () => {
    const manager = managerOf({ maxsize: 5, block: true, retries: 7 });
    const own = manager.connectionFromUrl('http://a.test', { poolKwargs: { maxsize: 6, block: null as never } });
    expect(own).toMatchObject({ maxsize: 6, block: false });
    expect(own.retries.total).toBe(7);
    const plain = manager.connectionFromUrl('http://a.test', { poolKwargs: { maxsize: undefined } });
    expect(plain).toMatchObject({ maxsize: 5, block: true });
    expect(manager.connectionFromUrl('http://a.test')).toBe(plain);
    expect(() => manager.connectionFromUrl('http://a.test', { poolKwargs: { maxSize: 1 } as never })).toThrow(
      TypeError,
    );
  });

  test.each([
    ['', LocationValueError],
    ['/path', LocationValueError],
    ['http://', LocationValueError],
    ['http:///path', LocationValueError],
    ['gopher://a.test/', URLSchemeUnknown],
    ['http://[', LocationParseError],
  ])('connectionFromUrl() refuses "%s"', (url, error) => {
    expect(() => managerOf().connectionFromUrl(url)).toThrow(error);
  });

  test('connectionFromHost() refuses what is no host', () => {
    const manager = managerOf();
    for (const host of ['', null, undefined, 5]) {
      expect(() => manager.connectionFromHost(host as never)).toThrow('No host specified.');
    }
    expect(() => manager.connectionFromHost('a.test', { scheme: 'ftp' })).toThrow(URLSchemeUnknown);
  });

  test('keyFnByScheme and poolClassesByScheme can be changed, also after requests', async () => {
    const peer = await peerOf(() => ok());
    class OwnPool extends HTTPConnectionPool {}
    const manager = managerOf();
    await manager.request('GET', peer.url);
    const asked: string[] = [];
    manager.poolClassesByScheme = { ...manager.poolClassesByScheme, http: OwnPool };
    manager.keyFnByScheme = {
      ...manager.keyFnByScheme,
      http: (context) => {
        asked.push(context.host);
        return poolKey({ ...context, host: 'one.for.all' });
      },
    };
    const pool = manager.connectionFromHost('127.0.0.1', { port: peer.port });
    expect(pool).toBeInstanceOf(OwnPool);
    await manager.request('GET', peer.url);
    expect(pool.numRequests).toBe(1);
    expect(asked).not.toHaveLength(0);
    expect(manager.connectionFromHost('other.test', { port: peer.port })).toBe(pool);
  });

  test('a scheme of its own can be added', async () => {
    const peer = await peerOf(() => ok());
    class Local extends HTTPConnectionPool {
      constructor(_host: string) {
        super('127.0.0.1', { port: peer.port });
      }
    }
    const manager = managerOf();
    manager.poolClassesByScheme = { ...manager.poolClassesByScheme, local: Local };
    manager.keyFnByScheme = { ...manager.keyFnByScheme, local: poolKey };
    expect((await manager.request('GET', 'local://anything/x')).status).toBe(200);
    expect(peer.requests[0]?.target).toBe('/x');
  });

  test('numPools: the pool used least recently is given up; its running responses finish first', async () => {
    const [a, b, c] = await Promise.all(
      [1, 2, 3].map(() => peerOf(({ target }) => (target === '/held' ? undefined : ok()))),
    );
    if (a === undefined || b === undefined || c === undefined) throw new Error('three peers');
    const manager = managerOf({ numPools: 2 });
    await manager.request('GET', a.url);
    const held = manager.request('GET', `${a.url}/held`);
    const streamed = await (async () => {
      const pending = manager.request('GET', `${a.url}/held`, { preloadContent: false });
      await a.until(({ requests }) => requests.length === 3);
      a.sockets[1]?.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
      a.sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
      return pending;
    })();
    const pool = manager.connectionFromUrl(a.url);
    await manager.request('GET', b.url);
    await manager.request('GET', c.url);
    expect(manager.pools.size).toBe(2);
    for (const socket of a.sockets) socket.write('half');
    expect((await held).data.toString()).toBe('halfhalf');
    expect((await streamed.read()).toString()).toBe('halfhalf');
    await a.until(({ openSockets }) => openSockets === 0);
    expect(await rejection(pool.request('GET', '/'))).toBeInstanceOf(ClosedPoolError);
    // Asked again, the manager makes a new pool.
    expect((await manager.request('GET', a.url)).status).toBe(200);
    expect(manager.connectionFromUrl(a.url)).not.toBe(pool);
  });

  test('clear(): every pool is closed, and the manager can go on', async () => {
    const peer = await peerOf(() => ok());
    const manager = managerOf();
    await manager.request('GET', peer.url);
    expect(String(manager)).toBe('PoolManager(pools=1)');
    manager.clear();
    expect(manager.pools.size).toBe(0);
    await peer.until(({ openSockets }) => openSockets === 0);
    await manager.request('GET', peer.url);
    expect(peer.sockets).toHaveLength(2);
    manager.close();
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test('a manager finds its pools among very many origins', async () => {
    const peer = await peerOf(() => ok());
    let isAnswering = false;
    const manager = managerOf({
      numPools: 3,
      retries: false,
      lookup: (_host, _options, callback) =>
        isAnswering ? callback(null, '127.0.0.1') : callback(new Error('no such name'), ''),
    });
    for (let n = 0; n < 1_100; n++) await rejection(manager.request('GET', `http://h${n}.test:${peer.port}/`));
    expect(manager.pools.size).toBe(3);
    isAnswering = true;
    for (const n of [0, 1_099, 5, 0]) {
      const response = await manager.request('GET', `http://h${n}.test:${peer.port}/${n}`);
      expect(response.getUrl()).toBe(`http://h${n}.test:${peer.port}/${n}`);
      expect(peer.requests.at(-1)).toMatchObject({ target: `/${n}` });
    }
    expect(peer.sockets).toHaveLength(3);
  });

  test('10,000 concurrent requests over at most 50 sockets all succeed, and clear() leaves nothing', async () => {
    const peer = await peerOf(({ target }) => ok(target));
    const manager = managerOf({ maxsize: 50, block: true });
    const paths = Array.from({ length: 10_000 }, (_, n) => `/${n}`);
    const responses = await Promise.all(paths.map((path) => manager.request('GET', peer.url + path)));
    expect(responses.map(({ data }) => data.toString())).toEqual(paths);
    expect(peer.mostOpenSockets).toBe(50);
    expect(peer.sockets).toHaveLength(50);
    manager.clear();
    await peer.until(({ openSockets }) => openSockets === 0);
  });
});

describe('PoolManager, requests', () => {
  test('headers of the manager go with requests that bring none', async () => {
    const peer = await peerOf(() => ok());
    const manager = managerOf({ headers: { 'X-Manager': '1' } });
    await manager.request('GET', peer.url);
    await manager.request('GET', peer.url, { headers: { 'X-Own': '2' } });
    await manager.request('GET', peer.url, { headers: null });
    await manager.urlopen('GET', peer.url, {});
    manager.headers.set('X-Manager', '3');
    await manager.request('GET', peer.url);
    expect(peer.requests.map(({ field }) => [field('x-manager'), field('x-own')])).toEqual([
      ['1', undefined],
      [undefined, '2'],
      ['1', undefined],
      ['1', undefined],
      ['3', undefined],
    ]);
  });

  test('redirects lead to other hosts, each hop in the history', async () => {
    const b = await peerOf(({ target }) => (target === '/1' ? redirectTo('2') : ok('there')));
    const a = await peerOf(() => redirectTo(`${b.url}/1#fragment`));
    const manager = managerOf();
    for (const options of [undefined, {}, { headers: { A: 'b' } }]) {
      const response = await manager.request('GET', `${a.url}/0?q`, options);
      expect(response.data.toString()).toBe('there');
      expect(response.getUrl()).toBe(`${b.url}/2`);
      expect(response.url).toBe(`${b.url}/2`);
      expect(response.retries?.history).toMatchObject([
        { method: 'GET', url: '/0?q', status: 302, redirectLocation: `${b.url}/1#fragment`, error: null },
        { method: 'GET', url: '/1', status: 302, redirectLocation: '2', error: null },
      ]);
      expect(response.retries?.total).toBe(1);
    }
    expect(a.sockets).toHaveLength(1);
    expect(b.sockets).toHaveLength(1);
  });

  test('a redirect between two hosts works with one pool only', async () => {
    const b = await peerOf(() => ok('there'));
    const a = await peerOf(() => redirectTo(b.url));
    const manager = managerOf({ numPools: 1 });
    expect((await manager.request('GET', a.url)).data.toString()).toBe('there');
    expect((await manager.request('GET', a.url, { preloadContent: false })).status).toBe(200);
  });

  test.each([
    { options: { redirect: false }, status: 302, requests: 1 },
    { options: { retries: false }, status: 302, requests: 1 },
    { options: { retries: new Retry(3, { redirect: false }) }, status: 302, requests: 1 },
    { options: { retries: new Retry(3, { redirect: 1, raiseOnRedirect: false }) }, status: 302, requests: 2 },
    { options: { retries: new Retry(1, { raiseOnRedirect: false }), preloadContent: false }, status: 302, requests: 2 },
    { options: { retries: null, timeout: 5 }, status: 200, requests: 6 },
    { options: { retries: 5 }, status: 200, requests: 6 },
  ] as const)('$options: status $status after $requests requests', async ({ options, status, requests }) => {
    const peer = await peerOf(({ target }) => (target === '/0' ? ok() : redirectTo(`/${Number(target.slice(1)) - 1}`)));
    const response = await managerOf().request('GET', `${peer.url}/5`, options);
    expect(response.status).toBe(status);
    expect(peer.requests).toHaveLength(requests);
    expect(await response.text()).toBe(status === 200 ? 'ok' : 'moved');
    await managerOf().request('GET', `${peer.url}/0`);
  });

  test.each([
    { retries: 0, requests: 1 },
    { retries: 2, requests: 3 },
    { retries: undefined, requests: 4 },
    { retries: new Retry(10, { redirect: 0 }), requests: 1 },
    { retries: new Retry(10, { redirect: 3 }), requests: 4 },
    { retries: null, requests: 21 },
  ])('retries $retries: an endless chain ends after $requests requests', async ({ retries, requests }) => {
    const peer = await peerOf(() => redirectTo('/again'));
    const error = await rejection(managerOf().request('GET', peer.url, { retries }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: { message: 'too many redirects' } });
    expect(peer.requests).toHaveLength(requests);
  });

  test.each([
    ['', LocationValueError],
    ['/path', LocationValueError],
    ['http:///path', LocationValueError],
    ['example.com/path', LocationValueError],
    ['ftp://example.com/', URLSchemeUnknown],
    ['http://[', LocationParseError],
  ])('request() refuses the URL "%s" before anything is sent', async (url, error) => {
    const manager = managerOf({ lookup: () => expect.fail('a name was looked up') });
    expect(await rejection(manager.request('GET', url))).toBeInstanceOf(error);
    expect(await rejection(manager.request('POST', url, { json: 1 }))).toBeInstanceOf(error);
    expect(manager.pools.size).toBe(0);
  });

  test.each([
    ['http://[', LocationParseError],
    ['ftp://127.0.0.1/', URLSchemeUnknown],
    ['http:///x', LocationParseError],
  ])('a Location "%s" is an error for who follows it, and a response for who does not', async (location, error) => {
    const peer = await peerOf(({ target }) => (target === '/ok' ? ok() : redirectTo(location)));
    const manager = managerOf({ maxsize: 1, block: true });
    expect(await rejection(manager.request('GET', peer.url))).toBeInstanceOf(error);
    for (const options of [{ redirect: false }, { retries: false }, { retries: 0 }] as const) {
      const retries =
        'retries' in options && options.retries === 0 ? new Retry(0, { raiseOnRedirect: false }) : undefined;
      const response = await manager.request('GET', peer.url, retries === undefined ? options : { retries });
      expect(response.getRedirectLocation()).toBe(location);
      expect(response.data.toString()).toBe('moved');
    }
    expect((await manager.request('GET', `${peer.url}/ok`, { poolTimeout: 1 })).status).toBe(200);
    expect(manager.pools.size).toBe(1);
  });

  test('retries and redirects share the total', async () => {
    let turn = 0;
    const peer = await peerOf((_request, socket) => {
      if (turn++ % 2 === 0) return redirectTo('/x', 302, { Connection: 'close' });
      socket.resetAndDestroy();
      return undefined;
    });
    expect(await rejection(managerOf().request('GET', peer.url, { retries: 2 }))).toBeInstanceOf(MaxRetryError);
    expect(peer.requests).toHaveLength(3);
  });

  test('a status to be retried is retried after a redirect too', async () => {
    let turn = 0;
    const peer = await peerOf(({ target }) => {
      if (target === '/') return redirectTo('/busy');
      return turn++ === 0 ? reply(503, 'busy', { 'Retry-After': '0' }) : ok('done');
    });
    const response = await managerOf().request('GET', peer.url);
    expect(response.data.toString()).toBe('done');
    expect(response.retries?.history.map(({ status }) => status)).toEqual([302, 503]);
  });

  test('a redirect without Location is a response like any other', async () => {
    const peer = await peerOf(() => reply(302, 'nowhere'));
    const manager = managerOf();
    for (const options of [undefined, {}]) {
      const response = await manager.request('GET', peer.url, options);
      expect(response.status).toBe(302);
      expect(response.data.toString()).toBe('nowhere');
      expect(response.getRedirectLocation()).toBeNull();
    }
  });

  test('Retry-After of a redirect is minded', async () => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/x', 302, { 'Retry-After': '1' }) : ok()));
    const startMs = performance.now();
    const retries = new Retry(3, { retryAfterMax: 0.05 });
    const { signal } = new AbortController();
    await managerOf().request('GET', peer.url, { retries, signal });
    expect(performance.now() - startMs).toBeGreaterThan(45);
  });

  test('a body follows a 307 and a 308, and not a 303', async () => {
    const b = await peerOf(() => ok());
    const a = await peerOf(({ target }) => redirectTo(b.url, Number(target.slice(1))));
    const manager = managerOf();
    for (const status of [301, 302, 303, 307, 308]) {
      await manager.request('POST', `${a.url}/${status}`, { fields: { a: 'b' }, encodeMultipart: false });
    }
    const form = ['POST', 'a=b', 'application/x-www-form-urlencoded'];
    expect(b.requests.map(({ method, body, field }) => [method, body.toString(), field('content-type')])).toEqual([
      form,
      form,
      ['GET', '', undefined],
      form,
      form,
    ]);
  });

  test('connections are shared by all concurrent requests of one manager, after redirects too', async () => {
    const peer = await peerOf(({ target }) =>
      target.startsWith('/r') ? redirectTo(`/${target.slice(2)}`) : ok(target),
    );
    const manager = managerOf({ maxsize: 3, block: true });
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    const answers = await Promise.all(numbers.map((n) => manager.request('GET', `${peer.url}/r${n}`)));
    expect(answers.map(({ data }) => data.toString())).toEqual(numbers.map((n) => `/${n}`));
    expect(peer.mostOpenSockets).toBe(3);
  });

  test('a key may hold any text', () => {
    const key: PoolKey = poolKey({ scheme: 'http', host: 'a.test' });
    const manager = managerOf();
    manager.pools.set(key, new HTTPConnectionPool('a.test'));
    expect(manager.connectionFromHost('a.test')).toBe(manager.pools.get(key));
  });
});
