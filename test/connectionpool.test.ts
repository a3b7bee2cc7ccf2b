import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { HTTPConnection, VerifiedHTTPSConnection } from '../src/connection.js';
import {
  ConnectionPool,
  connectionFromUrl,
  HTTPConnectionPool,
  type HTTPConnectionPoolOptions,
  HTTPSConnectionPool,
  portByScheme,
} from '../src/connectionpool.js';
import {
  ClosedPoolError,
  DecodeError,
  EmptyPoolError,
  HostChangedError,
  HTTPError,
  IncompleteRead,
  InvalidHeader,
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  NewConnectionError,
  ProtocolError,
  ReadTimeoutError,
  ResponseError,
  SSLError,
  UnrewindableBodyError,
  URLSchemeUnknown,
} from '../src/exceptions.js';
import { RequestMethods } from '../src/request.js';
import { HTTPResponse } from '../src/response.js';
import { LifoQueue } from '../src/util/queue.js';
import { Retry } from '../src/util/retry.js';
import { Timeout } from '../src/util/timeout.js';
import {
  chunkedReply,
  gzipped,
  ok,
  type Peer,
  redirectTo,
  reply,
  type Script,
  startPeer,
  testCertificate,
} from './pool-peers.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function peerOf(script: Script): Promise<Peer> {
  const peer = await startPeer(script);
  opened.push(peer);
  return peer;
}

function poolOf(peer: Peer, options: HTTPConnectionPoolOptions = {}): HTTPConnectionPool {
  const pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port, ...options });
  opened.push(pool);
  return pool;
}

/** What a promise is rejected with; a failure of the test if it is not. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

describe('HTTPConnectionPool, what it is', () => {
  test('HTTPConnectionPool is a pool and a RequestMethods, with the names of the reference', () => {
    const pool = new HTTPConnectionPool('Example.COM');
    expect(pool).toBeInstanceOf(ConnectionPool);
    expect(pool).toBeInstanceOf(RequestMethods);
    expect(pool).toMatchObject({ scheme: 'http', host: 'example.com', port: 80, maxsize: 100, block: false });
    expect(pool.ConnectionCls).toBe(HTTPConnection);
    expect(pool.ResponseCls).toBe(HTTPResponse);
    expect(pool.QueueCls).toBe(LifoQueue);
    expect(pool.timeout).toBeInstanceOf(Timeout);
    expect(pool.retries).toBe(Retry.DEFAULT);
    expect(pool.proxy).toBeNull();
    expect(String(pool)).toBe("HTTPConnectionPool(host='example.com', port=80)");
    expect(HTTPConnectionPool.scheme).toBe('http');
    expect(portByScheme).toEqual({ http: 80, https: 443 });
  });

  test('HTTPSConnectionPool has the scheme and the port of TLS', () => {
    const pool = new HTTPSConnectionPool('example.com');
    expect(pool).toBeInstanceOf(HTTPConnectionPool);
    expect(pool).toMatchObject({ scheme: 'https', port: 443 });
    expect(pool.ConnectionCls).toBe(VerifiedHTTPSConnection);
    expect(String(pool)).toBe("HTTPSConnectionPool(host='example.com', port=443)");
  });

  test('ConnectionPool is a base that can be used alone', async () => {
    await using pool = new ConnectionPool('[::1]', { port: 8080 });
    expect(pool).toMatchObject({ scheme: null, host: '[::1]', port: 8080 });
    expect(new ConnectionPool('a.test').port).toBeNull();
    expect(String(pool)).toBe("ConnectionPool(host='[::1]', port=8080)");
    expect(pool).not.toBeInstanceOf(HTTPConnectionPool);
    expect({}).not.toBeInstanceOf(ConnectionPool);
    class Own extends ConnectionPool {}
    expect(new HTTPConnectionPool('a.test')).not.toBeInstanceOf(Own);
    pool.close();
  });

  test.each([
    { options: 5, error: TypeError, says: 'must be an object' },
    { options: null, error: TypeError, says: 'must be an object' },
    { options: { maxSize: 5 }, error: TypeError, says: '"maxSize"' },
    { options: { maxsize: 0 }, error: RangeError, says: 'at least 1' },
    { options: { maxsize: 1.5 }, error: TypeError, says: 'whole number' },
    { options: { maxsize: '5' }, error: TypeError, says: 'whole number' },
    { options: { block: 1 }, error: TypeError, says: 'true or false' },
    { options: { port: 70_000 }, error: RangeError, says: '65535' },
    { options: { timeout: 0 }, error: RangeError, says: 'timeout' },
    { options: { timeout: '5' }, error: TypeError, says: 'Timeout value' },
    { options: { retries: 'many' }, error: TypeError, says: 'many' },
    { options: { idleTimeout: -1 }, error: RangeError, says: 'idleTimeout' },
    { options: { socketOptions: [[1, 2, 3]] }, error: TypeError, says: 'socket option' },
    { options: { headers: 'a: b' }, error: TypeError, says: 'as headers' },
    { options: { certReqs: 'CERT_NONE' }, error: TypeError, says: '"certReqs"' },
  ])('HTTPConnectionPool refuses the options $options', ({ options, error, says }) => {
    // What is given is wrong on purpose.
    const make = () => new HTTPConnectionPool('a.test', options as HTTPConnectionPoolOptions);
    expect(make).toThrow(error);
    expect(make).toThrow(says);
  });

  test.each(['', 'a.test/x', 'a.test:80', 'user@a.test', 'a test', 'a.test?x', '[::1'])(
    'HTTPConnectionPool refuses the host "%s"',
    (host) => {
      expect(() => new HTTPConnectionPool(host)).toThrow(LocationValueError);
    },
  );

  test('connectionFromUrl() makes the pool that the URL needs', () => {
    expect(String(connectionFromUrl('http://google.com/mail'))).toBe("HTTPConnectionPool(host='google.com', port=80)");
    const secure = connectionFromUrl('https://google.com:8443/', { maxsize: 10, certReqs: 'CERT_NONE' });
    expect(String(secure)).toBe("HTTPSConnectionPool(host='google.com', port=8443)");
    expect(secure.maxsize).toBe(10);
    expect(String(connectionFromUrl('google.com:8080', { maxsize: 3 }))).toBe(
      "HTTPConnectionPool(host='google.com', port=8080)",
    );
    expect(() => connectionFromUrl('ftp://google.com')).toThrow(URLSchemeUnknown);
    expect(() => connectionFromUrl('/path')).toThrow(LocationValueError);
    expect(() => connectionFromUrl('http://')).toThrow(LocationValueError);
    expect(() => connectionFromUrl('http://[')).toThrow(LocationParseError);
  });

  test.each([
    ['http://google.com/', 'http://google.com/', true],
    ['http://google.com/', 'http://GOOGLE.com:80/abracadabra', true],
    ['http://google.com/', '/x', true],
    ['http://google.com/', '//evil.test/x', true],
    ['http://google.com:80/', 'http://google.com', true],
    ['http://google.com/', 'google.com', true],
    ['https://google.com:443/', 'https://google.com', true],
    ['http://[2607:f8b0::1%25en0]/', 'http://[2607:F8B0::1%en0]', true],
    ['http://google.com:42/', 'http://google.com', false],
    ['http://google.com/', 'https://google.com/', false],
    ['http://google.com:80', 'https://google.com:80', false],
    ['https://google.com/', 'http://google.com:443/', false],
    ['http://google.com/', 'http://yahoo.com/', false],
    ['http://google.com/', 'http://google.com./', false],
    ['http://google.com/', '', false],
    ['http://google.com/', '?query', false],
  ])('isSameHost(): a pool for %s and %s: %s', (own, url, isSame) => {
    expect(connectionFromUrl(own).isSameHost(url)).toBe(isSame);
  });
});

describe('HTTPConnectionPool, connections', () => {
  test('urlopen() uses the connection again that became idle last', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    await Promise.all([1, 2, 3].map((n) => pool.urlopen('GET', `/${n}`)));
    expect(peer.sockets).toHaveLength(3);
    const before = peer.requests.length;
    for (const path of ['/a', '/b', '/c']) await pool.urlopen('GET', path);
    const again = peer.requests.slice(before).map(({ connection }) => connection);
    expect(new Set(again).size).toBe(1);
    expect(again[0]).toBe(peer.requests[before - 1]?.connection);
    expect(pool).toMatchObject({ numConnections: 3, numRequests: 6 });
  });

  test('maxsize: more connections than that may be open, but no more are kept', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer, { maxsize: 2 });
    await Promise.all([1, 2, 3, 4, 5].map(() => pool.urlopen('GET', '/')));
    expect(peer.mostOpenSockets).toBe(5);
    await peer.until(({ openSockets }) => openSockets === 2);
    await pool.urlopen('GET', '/');
    expect(peer.sockets).toHaveLength(5);
  });

  test('block: no more than maxsize are ever open, and who waits first is served first', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer, { maxsize: 2, block: true });
    const paths = Array.from({ length: 50 }, (_, n) => `/${n}`);
    await Promise.all(paths.map((path) => pool.urlopen('GET', path)));
    expect(peer.mostOpenSockets).toBe(2);
    const inOrder = peer.requests.map(({ target }) => target);
    // Two connections: each request is at most one place from where it was asked for.
    for (const [place, target] of inOrder.entries()) expect(Math.abs(Number(target.slice(1)) - place)).toBeLessThan(2);
  });

  test('poolTimeout: who waits longer gets EmptyPoolError, once and as it is, whatever the retries', async () => {
    const peer = await peerOf(({ target }) => (target === '/held' ? undefined : ok()));
    const pool = poolOf(peer, { maxsize: 1, block: true });
    const held = pool.urlopen('GET', '/held', { preloadContent: false });
    await peer.until(({ requests }) => requests.length === 1);
    for (const retries of [undefined, false, 5] as const) {
      for (const poolTimeout of [0, 0.02]) {
        const startMs = performance.now();
        const error = await rejection(pool.urlopen('GET', '/', { poolTimeout, retries }));
        expect(error).toBeInstanceOf(EmptyPoolError);
        expect(performance.now() - startMs).toBeLessThan(poolTimeout * 1000 + 1_000);
      }
    }
    const waiting = pool.urlopen('GET', '/later', { poolTimeout: 10 });
    peer.sockets[0]?.write(ok('late'));
    expect((await (await held).read()).toString()).toBe('late');
    expect((await waiting).data.toString()).toBe('ok');
  });

  test('close(): idle connections close at once, waiters and later requests get ClosedPoolError', async () => {
    const peer = await peerOf(({ target }) => (target === '/held' ? undefined : ok()));
    const pool = poolOf(peer, { maxsize: 2, block: true });
    await pool.urlopen('GET', '/');
    await Promise.all([pool.urlopen('GET', '/a'), pool.urlopen('GET', '/b')]);
    const held = pool.urlopen('GET', '/held');
    const held2 = pool.urlopen('GET', '/held');
    await peer.until(({ requests }) => requests.length === 5);
    const waiter = rejection(pool.urlopen('GET', '/'));
    pool.close();
    pool.close();
    expect(await waiter).toBeInstanceOf(ClosedPoolError);
    expect(await rejection(pool.urlopen('GET', '/'))).toBeInstanceOf(ClosedPoolError);
    for (const socket of peer.sockets) socket.write(ok('in use'));
    expect((await held).data.toString()).toBe('in use');
    expect((await held2).data.toString()).toBe('in use');
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test('asyncDispose closes the pool', async () => {
    const peer = await peerOf(() => ok());
    {
      await using pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port });
      await pool.request('GET', '/');
    }
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test('idleTimeout: an idle connection is closed after so many seconds, or sooner if its server says so', async () => {
    const peer = await peerOf(({ target }) => ok('', target === '/says' ? { 'Keep-Alive': 'timeout=0.04' } : {}));
    const pool = poolOf(peer, { idleTimeout: 0.03 });
    await pool.urlopen('GET', '/');
    await peer.until(({ openSockets }) => openSockets === 0);
    await pool.urlopen('GET', '/');
    expect(peer.sockets).toHaveLength(2);
  });

  test('ConnectionCls, ResponseCls and QueueCls can be replaced', async () => {
    const peer = await peerOf(() => ok());
    const queues: LifoQueue<HTTPConnection>[] = [];
    class OwnConnection extends HTTPConnection {}
    class OwnResponse extends HTTPResponse {}
    class OwnQueue extends LifoQueue<HTTPConnection> {
      constructor() {
        super();
        queues.push(this);
      }
    }
    class OwnPool extends HTTPConnectionPool {
      static override ConnectionCls = OwnConnection;
      static override ResponseCls = OwnResponse;
      override get QueueCls() {
        return OwnQueue;
      }
    }
    await using pool = new OwnPool('127.0.0.1', { port: peer.port });
    expect(await pool.request('GET', '/')).toBeInstanceOf(OwnResponse);
    expect([...(queues[0] ?? [])][0]).toBeInstanceOf(OwnConnection);
  });

  test('connection options reach the connection: sourceAddress, lookup, limits', async () => {
    const peer = await peerOf(({ target }) => ok('', target === '/many' ? { A: '1', B: '2', C: '3' } : {}));
    const asked: string[] = [];
    await using pool = new HTTPConnectionPool('a.test', {
      port: peer.port,
      sourceAddress: ['127.0.0.2', 0],
      maxFields: 2,
      lookup: (hostname, _options, callback) => {
        asked.push(hostname);
        callback(null, '127.0.0.1');
      },
    });
    await pool.request('GET', '/');
    expect(asked).toEqual(['a.test']);
    expect(peer.sockets[0]?.remoteAddress).toBe('127.0.0.2');
    expect(peer.requests[0]?.field('host')).toBe(`a.test:${peer.port}`);
    expect(await rejection(pool.request('GET', '/many', { retries: false }))).toBeInstanceOf(ProtocolError);
  });
});

describe('urlopen(), stale connections', () => {
  /** Closes each connection so many milliseconds after an answer, without having announced it. */
  function closing(afterMs: number | null): Script {
    return (_request, socket) => {
      socket.write(ok());
      if (afterMs === null) socket.end();
      else setTimeout(() => socket.destroy(), afterMs);
      return undefined;
    };
  }

  test.each([
    { afterMs: null, retries: false },
    { afterMs: 0, retries: false },
    { afterMs: 1, retries: false },
    { afterMs: 5, retries: false },
  ] as const)(
    'a server that closes $afterMs ms after each answer makes no GET fail, with retries $retries',
    async ({ afterMs, retries }) => {
      const peer = await peerOf(closing(afterMs));
      const pool = poolOf(peer, { maxsize: 20, block: true });
      for (let n = 0; n < 300; n++) {
        const response = await pool.urlopen('GET', `/${n}`, { retries });
        expect(response.retries?.history).toEqual([]);
      }
      const paths = Array.from({ length: 800 }, (_, n) => `/c${n}`);
      const responses = await Promise.all(paths.map((path) => pool.urlopen('GET', path, { retries })));
      expect(responses.every(({ data }) => data.toString() === 'ok')).toBe(true);
      expect(pool.numRequests).toBeGreaterThanOrEqual(1_100);
    },
  );

  /** Answers the first request of a connection; at the second, resets the connection without an answer. */
  const oncePerConnection = (): Script => {
    const seen = new Set<number>();
    return ({ connection }, socket) => {
      if (!seen.has(connection)) {
        seen.add(connection);
        return ok();
      }
      socket.resetAndDestroy();
      return undefined;
    };
  };

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])(
    'a %s moves from a dead connection to a fresh one, without costing a retry',
    async (method) => {
      const peer = await peerOf(oncePerConnection());
      const pool = poolOf(peer);
      await pool.urlopen('GET', '/warm');
      const response = await pool.urlopen(method, '/x', { retries: false });
      expect(response.status).toBe(200);
      expect(response.retries?.history).toEqual([]);
      expect(peer.requests.map(({ target, connection }) => [target, connection])).toEqual([
        ['/warm', 0],
        ['/x', 0],
        ['/x', 1],
      ]);
    },
  );

  test('a PUT with a body that can be sent again moves with it', async () => {
    const peer = await peerOf(oncePerConnection());
    const pool = poolOf(peer);
    await pool.urlopen('GET', '/warm');
    const response = await pool.urlopen('PUT', '/x', { body: 'content', retries: false });
    expect(response.status).toBe(200);
    expect(peer.requests.at(-1)?.body.toString()).toBe('content');
  });

  test('SEC-126: a POST on a dead connection is not repeated, and reports', async () => {
    const peer = await peerOf(oncePerConnection());
    const pool = poolOf(peer);
    for (const retries of [undefined, false, 5] as const) {
      const before = peer.requests.length;
      await pool.urlopen('GET', '/warm');
      expect(await rejection(pool.urlopen('POST', '/x', { body: 'x', retries }))).toBeInstanceOf(ProtocolError);
      expect(peer.requests.length - before).toBe(2);
    }
  });

  test('SEC-126: a PUT with a one-shot stream is not repeated', async () => {
    const peer = await peerOf(oncePerConnection());
    const pool = poolOf(peer);
    async function* oneShot() {
      yield 'content';
    }
    await pool.urlopen('GET', '/warm');
    const raw = await rejection(pool.urlopen('PUT', '/x', { body: oneShot(), retries: false }));
    expect(raw).toBeInstanceOf(ProtocolError);
    expect(peer.requests).toHaveLength(2);
    await pool.urlopen('GET', '/warm');
    const unrewindable = await rejection(pool.urlopen('PUT', '/x', { body: oneShot(), retries: 3 }));
    expect(unrewindable).toBeInstanceOf(UnrewindableBodyError);
    expect(peer.requests).toHaveLength(4);
  });

  test('SEC-126: a request moves at most once an attempt, and then costs retries', async () => {
    let isDead = false;
    const peer = await peerOf((_request, socket) => {
      if (!isDead) return ok();
      socket.resetAndDestroy();
      return undefined;
    });
    const pool = poolOf(peer);
    await pool.urlopen('GET', '/warm');
    isDead = true;
    expect(await rejection(pool.urlopen('GET', '/x', { retries: false }))).toBeInstanceOf(ProtocolError);
    expect(peer.requests).toHaveLength(3);
    isDead = false;
    await pool.urlopen('GET', '/warm');
    isDead = true;
    const error = await rejection(pool.urlopen('GET', '/x', { retries: 2 }));
    expect(error).toBeInstanceOf(MaxRetryError);
    // The warm one, the stale one, and three attempts.
    expect(peer.requests).toHaveLength(3 + 1 + 1 + 3);
  });

  test('SEC-126: a request never moves once a byte of its response has come', async () => {
    const seen = new Set<number>();
    const peer = await peerOf(({ connection }, socket) => {
      if (!seen.has(connection)) {
        seen.add(connection);
        return ok();
      }
      socket.end('H');
      return undefined;
    });
    const pool = poolOf(peer);
    await pool.urlopen('GET', '/warm');
    expect(await rejection(pool.urlopen('GET', '/x', { retries: false }))).toBeInstanceOf(ProtocolError);
    expect(peer.requests).toHaveLength(2);
  });

  test('a read timeout on a connection that is used again is a timeout, not a stale connection', async () => {
    const peer = await peerOf(({ target }) => (target === '/silent' ? undefined : ok()));
    const pool = poolOf(peer);
    await pool.urlopen('GET', '/warm');
    const timeouts = [new Timeout({ read: 0.03 }), new Timeout({ total: 0.03 })];
    for (const timeout of timeouts) {
      const before = peer.requests.length;
      const error = await rejection(pool.urlopen('GET', '/silent', { timeout, retries: false }));
      expect(error).toBeInstanceOf(ReadTimeoutError);
      expect(peer.requests.length - before).toBe(1);
      await pool.urlopen('GET', '/warm');
    }
  });
});

describe('urlopen(), aborts', () => {
  test('urlopen() with a signal that is aborted already sends nothing', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    const reason = new Error('changed my mind');
    expect(await rejection(pool.urlopen('GET', '/', { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(peer.sockets).toHaveLength(0);
  });

  test('an abort while the response is waited for closes the connection, and is not retried', async () => {
    const peer = await peerOf(({ target }) => (target === '/silent' ? undefined : ok()));
    const pool = poolOf(peer);
    for (const options of [{}, { preloadContent: false }, { timeout: new Timeout({ total: 5 }) }]) {
      const controller = new AbortController();
      const before = peer.requests.length;
      const failed = rejection(pool.urlopen('GET', '/silent', { ...options, signal: controller.signal }));
      await peer.until(({ requests }) => requests.length > before);
      const reason = new HTTPResponse();
      controller.abort(reason);
      expect(await failed).toBe(reason);
      await peer.until(({ openSockets }) => openSockets === 0);
      expect(peer.requests.length - before).toBe(1);
    }
    expect((await pool.urlopen('GET', '/')).status).toBe(200);
  });

  test('an abort between connecting and sending is heard, and the connection is kept', async () => {
    const peer = await peerOf(() => ok());
    const controller = new AbortController();
    class Aborting extends HTTPConnection {
      override async connect(options: Parameters<HTTPConnection['connect']>[0]): Promise<void> {
        await super.connect(options);
        controller.abort();
      }
    }
    class Pool extends HTTPConnectionPool {
      static override ConnectionCls = Aborting;
    }
    await using pool = new Pool('127.0.0.1', { port: peer.port, maxsize: 1, block: true });
    const { signal } = controller;
    expect(await rejection(pool.urlopen('GET', '/', { signal }))).toBe(signal.reason);
    expect((await pool.urlopen('GET', '/')).status).toBe(200);
    expect(peer.requests).toHaveLength(1);
    expect(peer.sockets).toHaveLength(1);
  });

  test('an aborted waiter leaves the queue, and the connection goes to the next one', async () => {
    const peer = await peerOf(({ target }) => (target === '/held' ? undefined : ok(target)));
    const pool = poolOf(peer, { maxsize: 1, block: true });
    const held = pool.urlopen('GET', '/held');
    await peer.until(({ requests }) => requests.length === 1);
    const controller = new AbortController();
    const aborted = rejection(pool.urlopen('GET', '/aborted', { signal: controller.signal }));
    const next = pool.urlopen('GET', '/next');
    controller.abort();
    expect(await aborted).toBe(controller.signal.reason);
    peer.sockets[0]?.write(ok());
    await held;
    expect((await next).data.toString()).toBe('/next');
    expect(peer.requests.map(({ target }) => target)).toEqual(['/held', '/next']);
  });

  test('an abort ends the wait before a retry', async () => {
    const peer = await peerOf(() => reply(503, '', { 'Retry-After': '60' }));
    const pool = poolOf(peer);
    const controller = new AbortController();
    const failed = rejection(pool.urlopen('GET', '/', { signal: controller.signal }));
    await peer.until(({ requests }) => requests.length === 1);
    setTimeout(() => controller.abort(), 20);
    expect(await failed).toBe(controller.signal.reason);
    expect(peer.requests).toHaveLength(1);
  });
});

describe('urlopen(), retries', () => {
  /** Answers in turn; the last one again and again. */
  function inTurn(...answers: (Buffer | string | 'reset')[]): Script {
    let turn = 0;
    return (_request, socket) => {
      const answer = answers[Math.min(turn++, answers.length - 1)];
      if (answer !== 'reset') return answer;
      socket.resetAndDestroy();
      return undefined;
    };
  }

  test.each([
    { retries: undefined, requests: 4, error: MaxRetryError },
    { retries: 1, requests: 2, error: MaxRetryError },
    { retries: 0, requests: 1, error: MaxRetryError },
    { retries: false, requests: 1, error: ProtocolError },
    { retries: new Retry({ read: 2 }), requests: 3, error: MaxRetryError },
    { retries: new Retry({ read: false }), requests: 1, error: ProtocolError },
    {
      retries: new Retry({ connect: 0, status: 0, other: 0, redirect: 0, total: 2 }),
      requests: 3,
      error: MaxRetryError,
    },
  ] as const)(
    'a server that resets: $requests requests and $error.name with retries $retries',
    async ({ retries, requests, error }) => {
      const peer = await peerOf(inTurn('reset'));
      const failure = await rejection(poolOf(peer).urlopen('GET', '/path', { retries }));
      expect(failure).toBeInstanceOf(error);
      expect(peer.requests).toHaveLength(requests);
      if (failure instanceof MaxRetryError) {
        expect(failure.url).toBe('/path');
        expect(failure.reason).toBeInstanceOf(ProtocolError);
        expect(failure.cause).toBe(failure.reason);
      }
    },
  );

  test('retries of the pool hold for requests that do not say', async () => {
    const peer = await peerOf(inTurn('reset'));
    await rejection(poolOf(peer, { retries: 1 }).urlopen('GET', '/'));
    expect(peer.requests).toHaveLength(2);
    expect(await rejection(poolOf(peer, { retries: false }).urlopen('GET', '/'))).toBeInstanceOf(ProtocolError);
    expect(peer.requests).toHaveLength(3);
  });

  test('retries: null never uses up the total', async () => {
    const peer = await peerOf(inTurn(...Array.from({ length: 15 }, () => 'reset' as const), ok()));
    const response = await poolOf(peer).urlopen('GET', '/', { retries: null });
    expect(response.retries?.history).toHaveLength(15);
    expect(response.retries?.total).toBeNull();
  });

  test('a refused connection costs connect, for a POST too', async () => {
    const peer = await startPeer(() => ok());
    const { port } = peer;
    await peer[Symbol.asyncDispose]();
    const pool = new HTTPConnectionPool('127.0.0.1', { port });
    const error = await rejection(pool.urlopen('POST', '/', { retries: new Retry({ connect: 2 }) }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(NewConnectionError), code: 'ECONNREFUSED' });
    expect(pool.numConnections).toBe(3);
    expect(await rejection(pool.urlopen('GET', '/', { retries: false }))).toBeInstanceOf(NewConnectionError);
  });

  test('a POST that was sent is not repeated, unless its method is allowed', async () => {
    const peer = await peerOf(inTurn('reset', ok()));
    const pool = poolOf(peer);
    expect(await rejection(pool.urlopen('POST', '/'))).toBeInstanceOf(ProtocolError);
    const again = await peerOf(inTurn('reset', ok()));
    const retries = new Retry(3, { allowedMethods: null });
    const response = await poolOf(again).urlopen('POST', '/', { body: 'x', retries });
    expect(response.status).toBe(200);
    expect(again.requests.map(({ body }) => body.toString())).toEqual(['x', 'x']);
  });

  test.each([413, 429, 503])('a %s with Retry-After is repeated after that time', async (status) => {
    const peer = await peerOf(inTurn(reply(status, 'busy', { 'Retry-After': '1' }), ok()));
    const startMs = performance.now();
    const response = await poolOf(peer).urlopen('GET', '/', { retries: new Retry(3, { retryAfterMax: 0.05 }) });
    expect(response.status).toBe(200);
    expect(performance.now() - startMs).toBeGreaterThan(45);
    expect(response.retries?.history).toMatchObject([{ method: 'GET', url: '/', status, redirectLocation: null }]);
    // The busy answer was drained, and its connection used again.
    expect(peer.sockets).toHaveLength(1);
  });

  test.each([
    { name: 'without Retry-After', status: 503, fields: {}, retries: undefined, method: 'GET' },
    { name: 'of another status', status: 500, fields: { 'Retry-After': '0' }, retries: undefined, method: 'GET' },
    { name: 'for a POST', status: 503, fields: { 'Retry-After': '0' }, retries: undefined, method: 'POST' },
    { name: 'with retries false', status: 503, fields: { 'Retry-After': '0' }, retries: false, method: 'GET' },
    { name: 'with retries 0', status: 503, fields: { 'Retry-After': '0' }, retries: 0, method: 'GET' },
    {
      name: 'with respectRetryAfterHeader false',
      status: 503,
      fields: { 'Retry-After': '0' },
      retries: new Retry(3, { respectRetryAfterHeader: false }),
      method: 'GET',
    },
  ] as const)('a busy answer is given as it is $name', async ({ status, fields, retries, method }) => {
    const peer = await peerOf(() => reply(status, 'busy', { ...fields }));
    const response = await poolOf(peer).urlopen(method, '/', { retries });
    expect(response.status).toBe(status);
    expect(response.data.toString()).toBe('busy');
    expect(peer.requests).toHaveLength(1);
  });

  test('a busy answer with Retry-After is given up when the retries are used up', async () => {
    const peer = await peerOf(() => reply(503, 'busy', { 'Retry-After': '0' }));
    const response = await poolOf(peer).urlopen('GET', '/', { retries: 2 });
    expect(response.status).toBe(503);
    expect(response.data.toString()).toBe('busy');
    expect(peer.requests).toHaveLength(3);
  });

  test('a Retry-After that cannot be read is an InvalidHeader', async () => {
    const peer = await peerOf(() => reply(503, 'busy', { 'Retry-After': 'soon' }));
    expect(await rejection(poolOf(peer).urlopen('GET', '/'))).toBeInstanceOf(InvalidHeader);
  });

  test('statusForcelist: such a status is retried, and reported when the retries are used up', async () => {
    const peer = await peerOf(inTurn(reply(500, 'first'), reply(502, 'second'), ok('third')));
    const retries = new Retry({ status: 2, statusForcelist: [500, 502] });
    const response = await poolOf(peer).urlopen('GET', '/', { retries });
    expect(response.data.toString()).toBe('third');
    expect(response.retries?.history.map(({ status }) => status)).toEqual([500, 502]);

    const bad = await peerOf(() => reply(500, 'bad'));
    const error = await rejection(poolOf(bad).urlopen('GET', '/', { retries }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(ResponseError) });
    expect(String(error)).toContain('too many 500 error responses');
    expect(bad.requests).toHaveLength(3);
  });

  test.each([true, false])(
    'raiseOnStatus: false gives the last response, preloaded or not (%s)',
    async (preloadContent) => {
      const peer = await peerOf(() => reply(500, 'bad'));
      const pool = poolOf(peer);
      const retries = new Retry(1, { statusForcelist: [500], raiseOnStatus: false });
      const response = await pool.urlopen('GET', '/', { retries, preloadContent });
      expect(response.status).toBe(500);
      expect(await response.text()).toBe('bad');
      expect(peer.requests).toHaveLength(2);
      await pool.urlopen('GET', '/', { retries: false });
      expect(peer.sockets).toHaveLength(1);
    },
  );

  test('backoffFactor: the wait grows from the second failure in a row', async () => {
    const peer = await peerOf(inTurn('reset', 'reset', 'reset', ok()));
    const startMs = performance.now();
    await poolOf(peer).urlopen('GET', '/', { retries: new Retry(3, { backoffFactor: 0.02 }) });
    const elapsedMs = performance.now() - startMs;
    expect(elapsedMs).toBeGreaterThan(115);
  });

  test('a response that breaks off is retried for a GET, and reported for a POST', async () => {
    const short: Script = (_request, socket) => {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort');
      return undefined;
    };
    const peer = await peerOf(short);
    for (const enforceContentLength of [true]) {
      const error = await rejection(poolOf(peer).urlopen('GET', '/', { retries: 1, enforceContentLength }));
      expect(error).toBeInstanceOf(MaxRetryError);
      expect(error).toMatchObject({
        reason: { name: 'ProtocolError', cause: { name: 'IncompleteRead', partial: 5, expected: 5 } },
      });
    }
    expect(peer.requests).toHaveLength(2);
    const error = await rejection(poolOf(peer).urlopen('POST', '/'));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toMatchObject({ cause: expect.any(IncompleteRead) });
    expect(peer.requests).toHaveLength(3);
    const tolerant = await poolOf(peer).urlopen('GET', '/', { enforceContentLength: false });
    expect(tolerant.data.toString()).toBe('short');
  });

  test('a busy response whose content breaks off is retried like any other', async () => {
    let turn = 0;
    const peer = await peerOf((_request, socket) => {
      if (++turn === 2) return ok();
      socket.end('HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nshort');
      return undefined;
    });
    const response = await poolOf(peer).urlopen('GET', '/', { retries: 1 });
    expect(response.status).toBe(200);
    turn = 2;
    expect(await rejection(poolOf(peer).urlopen('GET', '/', { retries: false }))).toBeInstanceOf(ProtocolError);
  });

  test('content that cannot be decoded is a DecodeError, and is not fetched again', async () => {
    for (const body of ['no gzip at all', `no gzip at all${'x'.repeat(100_000)}`]) {
      const peer = await peerOf(() => ok(body, { 'Content-Encoding': 'gzip' }));
      const pool = poolOf(peer);
      expect(await rejection(pool.urlopen('GET', '/'))).toBeInstanceOf(DecodeError);
      expect(peer.requests).toHaveLength(1);
      const raw = await pool.urlopen('GET', '/', { decodeContent: false });
      expect(raw.data.toString()).toBe(body);
    }
  });

  test('a certificate that is not trusted is an SSLError, in a MaxRetryError unless retries are off', async () => {
    await using peer = await startPeer(() => ok(), { tls: await testCertificate() });
    await using pool = new HTTPSConnectionPool('127.0.0.1', { port: peer.port });
    const error = await rejection(pool.urlopen('GET', '/', { retries: 1 }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(SSLError) });
    expect(await rejection(pool.urlopen('GET', '/', { retries: false }))).toBeInstanceOf(SSLError);
    expect(peer.requests).toHaveLength(0);
  });

  test('a body that fails is the cause of what is raised, and is not tried again', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    const failure = new RangeError('the body failed');
    async function* failing() {
      yield 'begin';
      throw failure;
    }
    const error = await rejection(pool.urlopen('PUT', '/', { body: failing() }));
    expect(error).toBeInstanceOf(HTTPError);
    expect(error).toMatchObject({ cause: failure });
    await peer.until(({ openSockets }) => openSockets === 0);
    expect((await pool.urlopen('GET', '/')).status).toBe(200);
  });

  test('total timeout: bounds connect and response together, and a second attempt has its own', async () => {
    const peer = await peerOf(() => undefined);
    const startMs = performance.now();
    const error = await rejection(
      poolOf(peer).urlopen('GET', '/', { timeout: new Timeout({ total: 0.04, read: 5 }), retries: 1 }),
    );
    expect(error).toMatchObject({ reason: expect.any(ReadTimeoutError) });
    expect(performance.now() - startMs).toBeGreaterThan(75);
    expect(peer.requests).toHaveLength(2);
  });

  test('onInformational is told of interim responses', async () => {
    const peer = await peerOf(() => `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n${ok().toString('latin1')}`);
    const told: unknown[] = [];
    const response = await poolOf(peer).urlopen('GET', '/', {
      onInformational: ({ status, reason, headers }) => told.push([status, reason, headers.get('link')]),
    });
    expect(response.status).toBe(200);
    expect(told).toEqual([[103, 'Early Hints', '</a.css>']]);
  });
});

describe('urlopen(), redirects of a pool', () => {
  test('redirects within the host are followed, up to the number of retries', async () => {
    const peer = await peerOf(({ target }) => {
      const left = Number(target.slice(1));
      return left === 0 ? ok('there') : redirectTo(`/${left - 1}`);
    });
    const pool = poolOf(peer);
    const response = await pool.urlopen('GET', '/3');
    expect(response.data.toString()).toBe('there');
    expect(response.getUrl()).toBe(`${peer.url}/0`);
    expect(
      response.retries?.history.map(({ url, status, redirectLocation }) => [url, status, redirectLocation]),
    ).toEqual([
      ['/3', 302, '/2'],
      ['/2', 302, '/1'],
      ['/1', 302, '/0'],
    ]);
    expect(peer.sockets).toHaveLength(1);
    expect(await rejection(pool.urlopen('GET', '/4'))).toBeInstanceOf(MaxRetryError);
    const last = await pool.urlopen('GET', '/4', { retries: new Retry(2, { raiseOnRedirect: false }) });
    expect(last.status).toBe(302);
    expect(last.data.toString()).toBe('moved');
    expect((await pool.urlopen('GET', '/4', { redirect: false })).status).toBe(302);
    expect((await pool.urlopen('GET', '/4', { retries: false })).data.toString()).toBe('moved');
    const streamed = await pool.urlopen('GET', '/4', { retries: false, preloadContent: false });
    expect(await streamed.text()).toBe('moved');
  });

  test('a redirect to another host is refused by a pool', async () => {
    const peer = await peerOf(({ target }) =>
      redirectTo(target === '/port' ? 'http://127.0.0.1:1/' : 'http://a.test/'),
    );
    const pool = poolOf(peer);
    for (const path of ['/host', '/port']) {
      const error = await rejection(pool.urlopen('GET', path));
      expect(error).toBeInstanceOf(HostChangedError);
    }
    await peer.until(({ openSockets }) => openSockets === 1);
    expect(peer.sockets).toHaveLength(1);
  });

  test('assertSameHost: false asks the own host for the whole URL, and strips what another origin must not see', async () => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('http://u:p@a.test/x#f') : ok()));
    const response = await poolOf(peer).urlopen('GET', '/', {
      assertSameHost: false,
      headers: { Authorization: 'secret', 'X-Kept': 'yes', Host: 'own.test' },
    });
    expect(response.getUrl()).toBe('http://a.test/x');
    const [, second] = peer.requests;
    expect(second?.target).toBe('http://a.test/x');
    expect(second?.field('host')).toBe('a.test');
    expect(second?.field('authorization')).toBeUndefined();
    expect(second?.field('x-kept')).toBe('yes');
    const withPort = await poolOf(peer).urlopen('GET', 'http://a.test:8080/x', { assertSameHost: false });
    expect(withPort.getUrl()).toBe('http://a.test:8080/x');
    expect(peer.requests.at(-1)?.field('host')).toBe('a.test:8080');
    expect(await rejection(poolOf(peer).urlopen('GET', 'x', { assertSameHost: false }))).toBeInstanceOf(
      LocationValueError,
    );
  });

  test('a Location that cannot be read is a LocationParseError, and nothing stays behind', async () => {
    const peer = await peerOf(({ target }) => (target === '/ok' ? ok() : redirectTo('http://[')));
    const pool = poolOf(peer, { maxsize: 1, block: true });
    expect(await rejection(pool.urlopen('GET', '/'))).toBeInstanceOf(LocationParseError);
    expect((await pool.urlopen('GET', '/ok', { poolTimeout: 1 })).status).toBe(200);
    // Who does not follow redirects does not mind.
    for (const options of [{ redirect: false }, { retries: false }] as const) {
      const response = await pool.urlopen('GET', '/', options);
      expect(response.getRedirectLocation()).toBe('http://[');
      expect(response.data.toString()).toBe('moved');
    }
  });

  test('after a 303 the request is a GET, for the retries too', async () => {
    let turn = 0;
    const peer = await peerOf(({ method }, socket) => {
      if (method === 'POST') return redirectTo('/seen', 303, { Connection: 'close' });
      if (++turn > 1) return ok('got');
      socket.resetAndDestroy();
      return undefined;
    });
    const response = await poolOf(peer).urlopen('POST', '/', { body: 'x', chunked: true });
    expect(response.data.toString()).toBe('got');
    expect(peer.requests.map(({ method, body }) => [method, body.toString()])).toEqual([
      ['POST', 'x'],
      ['GET', ''],
      ['GET', ''],
    ]);
    expect(response.retries?.history.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });

  test('Retry-After of a redirect is minded', async () => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/x', 302, { 'Retry-After': '1' }) : ok()));
    const startMs = performance.now();
    await poolOf(peer).urlopen('GET', '/', { retries: new Retry(3, { retryAfterMax: 0.05 }) });
    expect(performance.now() - startMs).toBeGreaterThan(45);
  });
});

describe('urlopen(), what is sent', () => {
  test('a plain GET has Host, Accept-Encoding and User-Agent, and nothing else', async () => {
    const peer = await peerOf(() => ok());
    await poolOf(peer).urlopen('GET', '/a?b=c');
    expect(peer.requests[0]?.head.replace(/urllib3-node\/[\d.]+/, 'urllib3-node/x')).toBe(
      `GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:${peer.port}\r\nAccept-Encoding: identity\r\nUser-Agent: urllib3-node/x`,
    );
  });

  test('headers of the pool go with requests that bring none; those of a request replace them', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer, { headers: { 'X-Pool': '1' } });
    await pool.urlopen('GET', '/');
    await pool.urlopen('GET', '/', { headers: { 'X-Own': '2' } });
    await pool.urlopen('GET', '/', { headers: null });
    expect(peer.requests.map(({ field }) => [field('x-pool'), field('x-own')])).toEqual([
      ['1', undefined],
      [undefined, '2'],
      ['1', undefined],
    ]);
  });

  test('targets are encoded, and a pool remembers no more of them than it should', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    for (let n = 0; n < 600; n++) await pool.urlopen('GET', `/${n} \u00e9`);
    expect(peer.requests.at(-1)?.target).toBe('/599%20%C3%A9');
    const long = `/${'x'.repeat(5_000)}`;
    for (const path of [long, long, `${peer.url}/absolute?x#fragment`]) await pool.urlopen('GET', path);
    expect(peer.requests.slice(-3).map(({ target }) => target)).toEqual([long, long, '/absolute?x']);
  });

  test('chunked: the body is sent in the chunked coding', async () => {
    const peer = await peerOf(() => ok());
    await poolOf(peer).urlopen('PUT', '/', { body: 'content', chunked: true });
    expect(peer.requests[0]?.field('transfer-encoding')).toBe('chunked');
    expect(peer.requests[0]?.body.toString()).toBe('content');
  });

  test('trailers and chunks of the response arrive', async () => {
    const peer = await peerOf(() => chunkedReply(['one', 'two'], { Trailer: 'X-Sum' }, 'X-Sum: 6\r\n'));
    const response = await poolOf(peer).urlopen('GET', '/');
    expect(response.data.toString()).toBe('onetwo');
    expect(response.chunked).toBe(true);
    expect(response.trailers.get('x-sum')).toBe('6');
  });

  test('compressed content is decoded, small and large', async () => {
    const large = 'compress me '.repeat(50_000);
    const peer = await peerOf(({ target }) => gzipped(target === '/large' ? large : 'small'));
    const pool = poolOf(peer);
    expect((await pool.urlopen('GET', '/small')).data.toString()).toBe('small');
    expect((await pool.urlopen('GET', '/large')).data.toString()).toBe(large);
  });

  test('maxDecodedSize and maxRatio of the pool hold for requests that do not say', async () => {
    const peer = await peerOf(() => gzipped('\0'.repeat(4_000_000)));
    const pool = poolOf(peer, { maxDecodedSize: 1_000, maxRatio: 2 });
    expect(await rejection(pool.urlopen('GET', '/'))).toBeInstanceOf(DecodeError);
    expect(await rejection(pool.urlopen('GET', '/', { maxDecodedSize: null }))).toBeInstanceOf(DecodeError);
    expect(await rejection(pool.urlopen('GET', '/', { maxRatio: null }))).toBeInstanceOf(DecodeError);
    const response = await pool.urlopen('GET', '/', { maxDecodedSize: null, maxRatio: null });
    expect(response.data).toHaveLength(4_000_000);
  });

  test('expectContinue: the content waits for the server, which may answer without it', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    const response = await pool.urlopen('PUT', '/', {
      body: 'content',
      expectContinue: 0.02,
      headers: { expect: 'x' },
    });
    expect(response.status).toBe(200);
    expect(peer.requests[0]?.all('expect')).toEqual(['100-continue']);
    expect(peer.requests[0]?.body.toString()).toBe('content');
    await pool.urlopen('GET', '/', { expectContinue: true });
    expect(peer.requests[1]?.field('expect')).toBeUndefined();
  });

  test('a pool that a manager has given up closes when its requests are done', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    const running = pool.urlopen('GET', '/');
    pool._retire();
    expect((await running).status).toBe(200);
    await peer.until(({ openSockets }) => openSockets === 0);
    expect(await rejection(pool.urlopen('GET', '/'))).toBeInstanceOf(ClosedPoolError);
  });

  test('an error on an idle connection ends no process', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    await pool.urlopen('GET', '/');
    peer.sockets[0]?.resetAndDestroy();
    await peer.until(({ openSockets }) => openSockets === 0);
    await sleep(5);
    expect((await pool.urlopen('GET', '/', { retries: false })).status).toBe(200);
    expect(peer.sockets).toHaveLength(2);
  });

  test('a server that is gone is a refused connection', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    server.close();
    await once(server, 'close');
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const pool = connectionFromUrl(`http://127.0.0.1:${port}/`, { retries: false });
    expect(await rejection(pool.request('GET', '/'))).toBeInstanceOf(NewConnectionError);
  });
});
