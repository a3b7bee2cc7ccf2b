/**
 * Defaults and parameters of the reference that show in what happens, as far as the tests of their modules do not show them:
 * the reference was read from its first page to its last, and what no other test held is held here.
 */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { HTTPConnection, HTTPSConnection, VerifiedHTTPSConnection } from '../../src/connection.js';
import {
  connectionFromUrl,
  HTTPConnectionPool,
  type HTTPConnectionPoolOptions,
  HTTPSConnectionPool,
} from '../../src/connectionpool.js';
import { SOCKSProxyManager } from '../../src/contrib/socks.js';
import { MaxRetryError, SSLError } from '../../src/exceptions.js';
import { PoolManager, ProxyManager } from '../../src/poolmanager.js';
import { HTTPResponse } from '../../src/response.js';
import { SO_KEEPALIVE, SOL_SOCKET } from '../../src/util/connection.js';
import { Timeout } from '../../src/util/timeout.js';
import { ok, type Peer, reply, type Script, startPeer } from '../pool-peers.js';
import { authority, selfSigned } from '../support/authority.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function closing<T extends AsyncDisposable>(resource: T): T {
  opened.push(resource);
  return resource;
}

async function peerOf(script: Script): Promise<Peer> {
  return closing(await startPeer(script));
}

function poolOf(peer: Peer, options: HTTPConnectionPoolOptions = {}): HTTPConnectionPool {
  return closing(new HTTPConnectionPool('127.0.0.1', { port: peer.port, ...options }));
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

describe('pools', () => {
  test('maxsize and block: 101 requests at a time open 101 connections, of which 100 are kept', async () => {
    const held: (() => void)[] = [];
    const peer = await peerOf(async () => {
      await new Promise<void>((answer) => {
        held.push(answer);
        if (held.length === 101) for (const each of held) each();
      });
      return ok();
    });
    const pool = poolOf(peer);
    await Promise.all(Array.from({ length: 101 }, () => pool.request('GET', '/')));
    expect([pool.numConnections, peer.mostOpenSockets]).toEqual([101, 101]);
    await peer.until(({ openSockets }) => openSockets === 100);
  });

  test.each([
    ['PoolManager', () => new PoolManager()],
    ['ProxyManager', () => new ProxyManager('http://localhost:3128/')],
    ['SOCKSProxyManager', () => new SOCKSProxyManager('socks5h://localhost:1080/')],
  ])('numPools: a %s keeps ten', (_name, manager) => {
    const made = closing(manager());
    for (let i = 0; i < 12; i++) made.connectionFromUrl(`https://host${i}.test/`);
    expect(made.pools.size).toBe(10);
  });

  test('timeout: after construction it is always a Timeout, which without one is the system default', () => {
    const made = [
      new HTTPConnectionPool('a.test'),
      new HTTPSConnectionPool('a.test'),
      connectionFromUrl('https://a.test/'),
      new HTTPConnection('a.test'),
      new VerifiedHTTPSConnection('a.test'),
    ];
    for (const { timeout } of made) {
      expect(timeout).toBeInstanceOf(Timeout);
      expect([timeout.connectTimeout, timeout.readTimeout, timeout.total]).toEqual([
        Timeout.DEFAULT_TIMEOUT,
        null,
        null,
      ]);
    }
    expect(new HTTPConnectionPool('a.test', { timeout: 3 }).timeout).toBeInstanceOf(Timeout);
  });

  test('port: null is the port of the scheme', () => {
    expect(new HTTPConnectionPool('a.test', { port: null }).port).toBe(80);
    expect(new HTTPSConnectionPool('a.test', { port: null }).port).toBe(443);
    expect(new PoolManager().connectionFromHost('a.test', { port: null, scheme: null }).port).toBe(80);
  });

  test.each([true, false])('strict: %j changes nothing', async (strict) => {
    const peer = await peerOf(() => 'HTTP/1.1 two hundred\r\n\r\n');
    await using connection = new HTTPConnection('127.0.0.1', { port: peer.port, strict });
    expect(await rejection(poolOf(peer, { strict, retries: false }).request('GET', '/'))).toMatchObject({
      name: 'ProtocolError',
    });
    await connection.request('GET', '/');
    expect(await rejection(connection.getResponse())).toMatchObject({ name: 'ProtocolError' });
  });

  test('retries: a pool and a manager try a request again three times, redirects among them', async () => {
    const peer = await peerOf(({ target }) => reply(302, '', { Location: `${target}x` }));
    expect(await rejection(poolOf(peer).request('GET', '/'))).toBeInstanceOf(MaxRetryError);
    expect(await rejection(closing(new PoolManager()).request('GET', `${peer.url}/`))).toBeInstanceOf(MaxRetryError);
    expect(peer.requests.map(({ target }) => target)).toEqual(['/', '/x', '/xx', '/xxx', '/', '/x', '/xx', '/xxx']);
  });

  test.each([undefined, null, true, false])(
    'releaseConn: %j, the connection goes back with the last byte',
    async (said) => {
      let sendRest = () => {};
      const peer = await peerOf(({ target }, socket) => {
        if (target !== '/first') return ok();
        sendRest = () => void socket.write('tent');
        return 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncon';
      });
      const pool = poolOf(peer, { maxsize: 1, block: true, retries: false });
      const first = await pool.urlopen('GET', '/first', { preloadContent: false, releaseConn: said });
      expect(await rejection(pool.urlopen('GET', '/', { poolTimeout: 0 }))).toMatchObject({ name: 'EmptyPoolError' });
      sendRest();
      await first.read();
      expect((await pool.urlopen('GET', '/')).status).toBe(200);
      expect(pool.numConnections).toBe(1);
    },
  );
});

describe('requests', () => {
  test('chunked: a body of known length has its length, unless asked otherwise; no body has no chunks', async () => {
    const peer = await peerOf(() => ok());
    const pool = poolOf(peer);
    await pool.urlopen('POST', '/', { body: 'abc' });
    await pool.urlopen('POST', '/', { body: 'abc', chunked: true });
    await pool.urlopen('POST', '/', { chunked: true });
    expect(
      peer.requests.map((request) => [request.field('content-length'), request.field('transfer-encoding')]),
    ).toEqual([
      ['3', undefined],
      [undefined, 'chunked'],
      ['0', undefined],
    ]);
  });

  test('requestChunked() without a body sends none', async () => {
    const peer = await peerOf(() => ok());
    await using connection = new HTTPConnection('127.0.0.1', { port: peer.port });
    await connection.requestChunked('GET', '/', { headers: { 'X-Own': '1' } });
    expect((await connection.getResponse()).status).toBe(200);
    expect(peer.requests[0]?.field('x-own')).toBe('1');
    expect(peer.requests[0]?.field('transfer-encoding')).toBeUndefined();
  });
});

describe('responses', () => {
  test('stream() gives pieces of 65,536 bytes', async () => {
    const bytes = Buffer.alloc(150_000, 'x');
    const response = new HTTPResponse({ body: Readable.from([bytes]), preloadContent: false });
    const sizes: number[] = [];
    for await (const piece of response.stream()) sizes.push(piece.length);
    expect(sizes).toEqual([65_536, 65_536, 18_928]);
  });

  test('read(amt) keeps nothing, unless cacheContent is said', async () => {
    const response = new HTTPResponse({ body: Readable.from(['content']), preloadContent: false });
    expect(String(await response.read(3))).toBe('con');
    expect(() => response.data).toThrow('The content has not been read');
    expect(String(await response.read(2, { cacheContent: true }))).toBe('te');
    expect(String(response.data)).toBe('te');
  });

  test('requestUrl is what getUrl() gives, connection what brings the content', () => {
    const connection = { close: () => {} };
    const requestUrl = 'http://a.test/x';
    const body = Readable.from(['content']);
    const response = new HTTPResponse({ requestUrl, connection, body, preloadContent: false });
    expect(response.getUrl()).toBe(requestUrl);
    expect(response.connection).toBe(connection);
    expect(new HTTPResponse({ connection, strict: 1 }).connection).toBeNull();
  });
});

describe('connections', () => {
  test('defaultSocketOptions can be added to, and an empty list takes them away', () => {
    const keepAlive = [SOL_SOCKET, SO_KEEPALIVE, 1] as const;
    const more = new HTTPConnection('a.test', { socketOptions: [...HTTPConnection.defaultSocketOptions, keepAlive] });
    expect(more.socketOptions).toEqual([
      [6, 1, 1],
      [SOL_SOCKET, SO_KEEPALIVE, 1],
    ]);
    expect(new HTTPConnection('a.test').socketOptions).toEqual([[6, 1, 1]]);
    expect(new HTTPConnection('a.test', { socketOptions: [] }).socketOptions).toEqual([]);
  });

  test('defaultSocketOptions do not hold for connections to a proxy', async () => {
    const options: (typeof HTTPConnection.defaultSocketOptions)[] = [];
    class Watched extends HTTPConnection {
      constructor(...args: ConstructorParameters<typeof HTTPConnection>) {
        super(...args);
        options.push(this.socketOptions);
      }
    }
    const peer = await peerOf(() => ok());
    const proxy = closing(new ProxyManager(peer.url));
    proxy.connectionFromUrl('http://a.test/').ConnectionCls = Watched;
    expect((await proxy.request('GET', 'http://a.test/')).status).toBe(200);
    expect(options).toEqual([[]]);
  });

  test('setCert() says from the next link on what is verified; what is not given stays, null is the default', async () => {
    const ca = await authority();
    const identity = await ca.issue('127.0.0.1');
    const peer = closing(await startPeer(() => ok(), { tls: identity }));
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await using connection = new HTTPSConnection('127.0.0.1', { port: peer.port });
    expect(await rejection(connection.connect())).toBeInstanceOf(SSLError);

    connection.setCert({ caCerts: ca.cert, certReqs: 'CERT_REQUIRED' });
    await connection.connect();
    expect([connection.isVerified, connection.certReqs, connection.caCerts]).toEqual([true, 'CERT_REQUIRED', ca.cert]);

    connection.close();
    connection.setCert({ assertFingerprint: 'aa'.repeat(32), certReqs: undefined });
    expect(connection.certReqs).toBe('CERT_REQUIRED');
    expect(await rejection(connection.connect())).toMatchObject({ message: expect.stringMatching(/fingerprint/i) });

    const other = await selfSigned('127.0.0.1');
    connection.setCert({ assertFingerprint: null, caCerts: other.cert });
    expect(await rejection(connection.connect())).toBeInstanceOf(SSLError);
    connection.setCert({ certReqs: 'CERT_NONE', assertHostname: false, caCerts: null });
    await connection.connect();
    expect([connection.isVerified, connection.caCerts, warnings.mock.calls.length]).toEqual([false, null, 1]);
    // @ts-expect-error A connection has one host for good.
    expect(() => connection.setCert({ serverHostname: 'a.test' })).toThrow(
      'Cannot change option "serverHostname": it must be one of keyFile, certFile, certReqs',
    );
  });

  test('sourceAddress: without one the system chooses, as with an empty host and port 0', async () => {
    const peer = await peerOf(() => ok());
    for (const sourceAddress of [undefined, null, ['', 0] as const]) {
      await using connection = new HTTPConnection('127.0.0.1', { port: peer.port, sourceAddress });
      await connection.connect();
      expect(connection.socket?.localAddress).toBe('127.0.0.1');
      const { socket } = connection;
      connection.close();
      if (socket !== null && !socket.destroyed) await once(socket, 'close');
    }
  });
});
