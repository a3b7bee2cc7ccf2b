import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../src/connectionpool.js';
import {
  ConnectTimeoutError,
  DeadlineExceededError,
  HostChangedError,
  InvalidHeader,
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  NameResolutionError,
  NewConnectionError,
  ProtocolError,
  ProxyError,
  ProxySchemeUnknown,
  SSLError,
} from '../src/exceptions.js';
import { PoolManager, ProxyManager, proxyFromEnvironment, proxyFromUrl } from '../src/poolmanager.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';
import { connectionRequiresHttpTunnel } from '../src/util/proxy.js';
import { Retry } from '../src/util/retry.js';
import { parseUrl } from '../src/util/url.js';
import { type Authority, authority, type Identity } from './support/authority.js';
import { watchHandles } from './support/leaks.js';
import { answering, ok, type Peer, peer, tlsPeer } from './support/peer.js';
import { type ProxyServer, type ProxyServerOptions, proxyServer } from './support/proxy-server.js';
import { refusingPort } from './transport/loopback.js';

watchHandles();

let ca: Authority;
let identity: Identity;
let plain: Httpbin;
let secure: Httpbin;
beforeAll(async () => {
  ca = await authority();
  identity = await ca.issue('localhost', '127.0.0.1', '::1');
  plain = await startHttpbin();
  secure = await startHttpbin({ tls: { key: identity.key, cert: identity.cert } });
});
afterAll(async () => {
  await plain.close();
  await secure.close();
});

/** The two kinds of proxies, for tests that must hold for both. */
const PROXIES: readonly [name: string, start: (options?: ProxyServerOptions) => Promise<ProxyServer>][] = [
  ['an http proxy', (options) => proxyServer(options)],
  ['an https proxy', (options) => proxyServer({ identity, ...options })],
];

function managerOf(proxy: ProxyServer, options: ConstructorParameters<typeof ProxyManager>[1] = {}): ProxyManager {
  return new ProxyManager(proxy.url, { caCerts: ca.cert, ...options });
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

describe('ProxyManager, its proxy', () => {
  test.each<[url: string, proxy: string]>([
    ['http://localhost:3128/', 'http://localhost:3128'],
    ['http://proxy.test', 'http://proxy.test:80'],
    ['HTTPS://Proxy.Test', 'https://proxy.test:443'],
    ['http://user:password@proxy.test/path?query', 'http://proxy.test:80'],
    ['http://[::1]:3128', 'http://[::1]:3128'],
  ])('%s is %s', (url, proxy) => {
    const manager = new ProxyManager(url);
    expect(String(manager.proxy)).toBe(proxy);
    expect(String(manager)).toBe(`ProxyManager(proxy=${proxy}, pools=0)`);
    expect(String(proxyFromUrl(url).proxy)).toBe(proxy);
  });

  test('may be a Url, or a pool', () => {
    expect(String(new ProxyManager(parseUrl('http://a.test:1')).proxy)).toBe('http://a.test:1');
    expect(String(new ProxyManager(new HTTPSConnectionPool('a.test')).proxy)).toBe('https://a.test:443');
  });

  test.each<[url: string, error: unknown]>([
    ['ftp://a.test', ProxySchemeUnknown],
    ['socks5://a.test', ProxySchemeUnknown],
    ['socks6://a.test', ProxySchemeUnknown],
    ['//a.test', ProxySchemeUnknown],
    ['a.test:80', ProxySchemeUnknown],
    ['localhost:3128', ProxySchemeUnknown],
    ['', ProxySchemeUnknown],
    ['http://', LocationValueError],
    ['http:///path', LocationValueError],
    ['http://a b', LocationParseError],
    ['http://a:b%0Dc@a.test', TypeError],
    ['http://a%00:b@a.test', TypeError],
  ])('%j is refused when the manager is made (SEC-090)', (url, error) => {
    expect(() => new ProxyManager(url)).toThrow(error as new () => Error);
    // What is refused must not be shown if it may be a password.
    expect(() => new ProxyManager(url)).not.toThrow(/b%0D/);
  });

  test.each<[name: string, options: object, error: unknown]>([
    ['a misspelt option', { proxyHeader: {} }, TypeError],
    ['a proxy beside the proxy', { proxy: 'environment' }, TypeError],
    ['a field that ends a line', { proxyHeaders: { a: 'b\r\nc: d' } }, InvalidHeader],
    ['a field name that is none', { proxyHeaders: { 'a b': 'c' } }, InvalidHeader],
    ['framing of a content that is not there', { proxyHeaders: { 'content-length': '5' } }, InvalidHeader],
    ['a chunked coding of nothing', { proxyHeaders: { 'Transfer-Encoding': 'chunked' } }, InvalidHeader],
    ['forwarding that is neither true nor false', { useForwardingForHttps: 'yes' }, TypeError],
    ['no options at all', 'options' as unknown as object, TypeError],
  ])('%s is refused', (_name, options, error) => {
    expect(() => new ProxyManager('http://a.test', options)).toThrow(error as new () => Error);
  });

  test.each(['http', 'https'])('bad options on TLS with an %s proxy are refused when the manager is made', (scheme) => {
    const make = (options: object) => () => new ProxyManager(`${scheme}://a.test`, options);
    expect(make({ proxyAssertFingerprint: 'x' })).toThrow(SSLError);
    expect(make({ proxyAssertHostname: true })).toThrow(TypeError);
    expect(make({ proxySslContext: {} })).toThrow(TypeError);
    expect(make({ caCerts: '/nowhere' })).toThrow(SSLError);
  });

  test('proxyHeaders is a copy, with the credentials of the URL unless the caller gave some', () => {
    const credentialsOf = (url: string, proxyHeaders = {}) =>
      new ProxyManager(url, { proxyHeaders }).proxyHeaders.get('proxy-authorization');
    const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
    expect(credentialsOf('http://a.test')).toBe(undefined);
    expect(credentialsOf('http://user:password@a.test')).toBe(basic('user:password'));
    expect(credentialsOf('http://user@a.test')).toBe(basic('user:'));
    expect(credentialsOf('http://us%3Aer:pass%40w%3ard@a.test')).toBe(basic('us:er:pass@w:rd'));
    expect(credentialsOf('http://a:b:c@a.test')).toBe(basic('a:b:c'));
    expect(credentialsOf('http://%C3%BC:%E2%82%AC@a.test')).toBe(basic('ü:€'));
    expect(credentialsOf('http://ü:p@a.test')).toBe(basic('ü:p'));
    expect(credentialsOf('http://a:b@a.test', { 'proxy-authorization': 'Bearer x' })).toBe('Bearer x');
    const manager = new ProxyManager('http://a.test', { proxyHeaders: { a: 'b' } });
    manager.proxyHeaders.set('a', 'c');
    expect(manager.proxyHeaders.get('a')).toBe('b');
  });
});

describe.each(PROXIES)('ProxyManager with %s', (_name, start) => {
  test('asks it for http URLs in absolute form, on one kept connection, whatever their hosts', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    for (const host of ['127.0.0.1', 'localhost', '127.0.0.1']) {
      const response = await http.request('GET', `http://user:pw@${host}:${plain.port}/get?a=b#fragment`);
      expect(await response.json()).toMatchObject({ args: { a: 'b' } });
      expect(response.getUrl()).toBe(`http://${host}:${plain.port}/get?a=b`);
    }
    const head = (host: string) =>
      `GET http://${host}:${plain.port}/get?a=b HTTP/1.1\r\nHost: ${host}:${plain.port}\r\nAccept-Encoding: identity\r\nUser-Agent: urllib3-node/0.1.0\r\nAccept: */*\r\n\r\n`;
    expect(proxy.heads).toEqual(['127.0.0.1', 'localhost', '127.0.0.1'].map(head));
    expect(proxy.connections).toHaveLength(1);
    expect(http.pools.size).toBe(1);
    const pool = http.connectionFromUrl('http://anywhere.test/');
    expect([pool.host, pool.port, pool.scheme]).toEqual([http.proxy.host, http.proxy.port, http.proxy.scheme]);
    expect(pool.numRequests).toBe(3);
  });

  test('asks it for a tunnel to each host of https URLs, once a connection', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    for (const host of ['127.0.0.1', 'localhost', '127.0.0.1']) {
      const response = await http.request('GET', `https://${host}:${secure.port}/headers`);
      expect(await response.json()).toMatchObject({ headers: { Host: `${host}:${secure.port}` } });
    }
    const authorities = [`127.0.0.1:${secure.port}`, `localhost:${secure.port}`];
    expect(proxy.heads).toEqual(authorities.map((name) => `CONNECT ${name} HTTP/1.1\r\nHost: ${name}\r\n\r\n`));
    expect(http.pools.size).toBe(2);
    const pool = http.connectionFromHost('localhost', { scheme: 'https', port: secure.port });
    expect([pool.numConnections, pool.numRequests]).toEqual([1, 1]);
    expect(String(pool.proxy)).toBe(String(http.proxy));
  });

  test('sends the fields of the request over its own, and Accept unless one is given', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy, {
      headers: { 'X-Manager': 'm' },
      proxyHeaders: { 'X-Proxy': 'p', 'X-Both': 'p' },
    });
    const headers = { accept: 'text/plain', 'x-both': 'r', 'X-Request': 'r' };
    await http.request('GET', `${plain.url}/get`, { headers });
    await http.request('GET', `${plain.url}/get`);
    const fields = proxy.heads.map((head) => head.split('\r\n').slice(4, -2));
    expect(fields).toEqual([
      ['accept: text/plain', 'X-Request: r', 'X-Proxy: p', 'X-Both: p'],
      ['Accept: */*', 'X-Manager: m', 'X-Proxy: p', 'X-Both: p'],
    ]);
  });

  test('sends bodies of all kinds through it: bytes, streams, in length and chunked', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    const bytes = Buffer.alloc(300_000, 'ab');
    for (const { url } of [plain, secure]) {
      for (const body of [
        bytes,
        Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]),
        new Blob([bytes]),
      ]) {
        const response = await http.request('POST', `${url}/post`, { body });
        const { data } = (await response.json()) as { data: string };
        expect(data === bytes.toString()).toBe(true);
      }
      expect((await http.request('POST', `${url}/post`, { fields: { a: 'b' } })).status).toBe(200);
      expect((await http.request('HEAD', `${url}/get`)).status).toBe(200);
    }
    expect(proxy.heads.filter((head) => head.startsWith('CONNECT '))).toHaveLength(1);
  });

  test('streams content from it, and uses the connection again', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    for (const { url } of [plain, secure]) {
      for (let turn = 0; turn < 2; turn++) {
        const response = await http.request('GET', `${url}/bytes/100000`, { preloadContent: false });
        let length = 0;
        for await (const piece of response.stream(10_000)) length += piece.length;
        expect(length).toBe(100_000);
      }
    }
    expect(proxy.connections).toHaveLength(2);
  });

  test('follows redirects from http to https and back, every hop through it', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    const there = `${secure.url}/redirect-to?url=${encodeURIComponent(`${plain.url}/get`)}`;
    const response = await http.request('GET', `${plain.url}/redirect-to?url=${encodeURIComponent(there)}`);
    expect(response.status).toBe(200);
    expect(response.retries?.history).toHaveLength(2);
    expect(proxy.heads.map((head) => head.split(' ')[0])).toEqual(['GET', 'CONNECT', 'GET']);
  });

  test('repeats through it what a bad status asks for', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    const retries = new Retry({ total: 2, statusForcelist: [503], raiseOnStatus: false });
    const response = await http.request('GET', `${plain.url}/status/503`, { retries });
    expect(response.status).toBe(503);
    expect(proxy.heads).toHaveLength(3);
  });

  test('tells it who asks', async () => {
    const credentials = `Basic ${Buffer.from('user:pass word').toString('base64')}`;
    await using proxy = await start({ credentials });
    const url = proxy.url.replace('//', '//user:pass%20word@');
    await using http = new ProxyManager(url, { caCerts: ca.cert });
    for (const { url } of [plain, secure]) expect((await http.request('GET', `${url}/get`)).status).toBe(200);
    await using stranger = managerOf(proxy, { retries: false });
    const refused = await rejection(stranger.request('GET', `${secure.url}/get`));
    expect(refused).toBeInstanceOf(ProxyError);
    expect(refused).toMatchObject({ status: 407 });
    // The same credentials again and again could lock an account: retries do not mend it.
    await using patient = managerOf(proxy, { retries: 5 });
    const before = proxy.heads.length;
    const exhausted = await rejection(patient.request('GET', `${secure.url}/get`));
    expect(exhausted).toBeInstanceOf(MaxRetryError);
    expect(exhausted).toMatchObject({ reason: { status: 407 }, attempts: [expect.anything()] });
    expect(proxy.heads.length - before).toBe(1);
    // What the proxy itself answers to a request in absolute form is an ordinary response.
    expect((await stranger.request('GET', `${plain.url}/get`)).status).toBe(407);
  });

  test('gives up what it has when it is closed', async () => {
    await using proxy = await start();
    const http = managerOf(proxy);
    for (const { url } of [plain, secure]) await http.request('GET', `${url}/get`);
    http.close();
    await proxy.idle();
  });

  test('runs many requests at once, with as many connections as a pool may have', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy, { maxsize: 3, block: true });
    const urls = Array.from({ length: 60 }, (_, index) => `${index % 2 === 0 ? plain.url : secure.url}/get`);
    const responses = await Promise.all(urls.map((url) => http.request('GET', url)));
    expect(responses.every(({ status }) => status === 200)).toBe(true);
    expect(proxy.connections).toHaveLength(6);
  });

  test('does not leave connections behind that are aborted in any phase', async () => {
    await using proxy = await start({ onConnect: () => '' });
    await using http = managerOf(proxy);
    for (const delayMs of [0, 1, 5, 20]) {
      const signal = AbortSignal.timeout(delayMs);
      expect(await rejection(http.request('GET', 'https://a.test/', { signal }))).toBe(signal.reason);
    }
    await proxy.idle();
  });

  test('covers all of connecting by the connect timeout (SEC-112)', async () => {
    await using proxy = await start({ onConnect: () => 'HTTP/1.1 100 Continue\r\n\r\n' });
    await using http = managerOf(proxy, { retries: 0 });
    const error = await rejection(http.request('GET', 'https://a.test/', { timeout: 0.1 }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(ConnectTimeoutError) });
    await proxy.idle();
    await using deaf = await peer(() => {});
    await using other = await start({ leadsTo: deaf.port });
    const http2 = managerOf(other, { retries: false });
    const inTls = await rejection(http2.request('GET', 'https://a.test/', { timeout: 0.1 }));
    expect(inTls).toBeInstanceOf(ConnectTimeoutError);
    await other.idle();
  });

  test('speaks TLS with the host inside of the tunnel, and verifies it', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy, { retries: false });
    const error = await rejection(http.request('GET', `https://other.test:${secure.port}/`));
    expect(error).toBeInstanceOf(SSLError);
    expect(error).not.toBeInstanceOf(ProxyError);
    await proxy.idle();
  });

  test('answers 502 for a host that it does not reach', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy, { retries: false });
    const port = await refusingPort();
    expect((await http.request('GET', `http://127.0.0.1:${port}/`)).status).toBe(502);
    const refused = await rejection(http.request('GET', `https://127.0.0.1:${port}/`));
    expect(refused).toMatchObject({ name: 'ProxyError', status: 502, message: expect.stringContaining('with "nope"') });
  });

  test('uses a new connection when it closes one that is kept', async () => {
    await using proxy = await start();
    await using http = managerOf(proxy);
    for (const { url } of [plain, secure]) {
      await http.request('GET', `${url}/get`);
      for (const connection of proxy.connections) connection.socket.destroy();
      await proxy.idle();
      expect((await http.request('GET', `${url}/get`)).status).toBe(200);
    }
  });
});

describe('ProxyManager, when the proxy cannot be reached', () => {
  test.each(['http', 'https'])(
    'a port that refuses is a ProxyError for %s URLs, and counts as connect',
    async (scheme) => {
      const port = await refusingPort();
      await using http = new ProxyManager(`http://127.0.0.1:${port}`);
      const error = await rejection(
        http.request('GET', `${scheme}://a.test/`, { retries: new Retry({ connect: 2, read: 9 }) }),
      );
      expect(error).toBeInstanceOf(MaxRetryError);
      const reason = error instanceof MaxRetryError ? error.reason : null;
      expect(reason).toBeInstanceOf(ProxyError);
      expect(reason).toMatchObject({ code: 'ECONNREFUSED', status: null, cause: expect.any(NewConnectionError) });
      expect(String(reason)).toContain(`Cannot connect to proxy http://127.0.0.1:${port} (NewConnectionError: `);
      const pool = http.connectionFromUrl(`${scheme}://a.test/`);
      expect(pool.numConnections).toBe(3);
    },
  );

  test.each(['http', 'https'])(
    'a name without address is a ProxyError for %s URLs, of the proxy and not the host',
    async (scheme) => {
      const lookup = (_host: string, _options: object, done: (error: Error, address: string) => void) =>
        done(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), '');
      await using http = new ProxyManager('http://proxy.test', { retries: false, lookup });
      const error = await rejection(http.request('GET', `${scheme}://a.test/`));
      expect(error).toMatchObject({ name: 'ProxyError', cause: expect.any(NameResolutionError) });
      expect(String(error)).toContain('Failed to resolve "proxy.test"');
    },
  );

  test.each(['http', 'https'])(
    'a proxy that is silent in its own handshake of TLS is a ProxyError for %s URLs',
    async (scheme) => {
      await using deaf = await peer(() => {});
      await using http = new ProxyManager(`https://127.0.0.1:${deaf.port}`, { retries: false, timeout: 0.1 });
      const error = await rejection(http.request('GET', `${scheme}://a.test/`));
      expect(error).toMatchObject({ name: 'ProxyError', cause: expect.any(ConnectTimeoutError) });
      const cause = error instanceof ProxyError ? error.cause : null;
      expect(String(cause)).toContain(`Connection to https://127.0.0.1:${deaf.port} timed out. (connect timeout=0.1)`);
    },
  );

  test('an https proxy that speaks no TLS is a ProxyError that says what may be wrong', async () => {
    await using bare = await peer(({ socket }) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await using http = new ProxyManager(`https://127.0.0.1:${bare.port}`, { retries: false });
    for (const scheme of ['http', 'https']) {
      const error = await rejection(http.request('GET', `${scheme}://a.test/`));
      expect(error).toMatchObject({ name: 'ProxyError', cause: expect.any(SSLError) });
      expect(String(error)).toMatch(/its URL may have to begin with http:\/\/$/);
    }
  });

  test('an abort stays what it is', async () => {
    await using deaf = await peer(() => {});
    await using http = new ProxyManager(`https://127.0.0.1:${deaf.port}`);
    for (const scheme of ['http', 'https']) {
      const signal = AbortSignal.timeout(30);
      expect(await rejection(http.request('GET', `${scheme}://a.test/`, { signal }))).toBe(signal.reason);
      // A deadline is ours, and still no failure of the proxy.
      const late = await rejection(http.request('GET', `${scheme}://a.test/`, { deadline: 0.03, retries: false }));
      expect(late).toBeInstanceOf(DeadlineExceededError);
    }
  });
});

describe('ProxyManager({ useForwardingForHttps })', () => {
  test('asks an https proxy for https URLs in absolute form, and no other', async () => {
    const answer = ok('forwarded');
    await using trusted = await proxyServer({ identity, onForward: () => answer });
    await using http = managerOf(trusted, { useForwardingForHttps: true, proxyHeaders: { 'X-Proxy': 'p' } });
    expect((await http.request('GET', 'https://a.test/x')).data.toString()).toBe('forwarded');
    expect((await http.request('GET', 'http://b.test/y')).data.toString()).toBe('forwarded');
    expect(trusted.heads.map((head) => head.split('\r\n')[0])).toEqual([
      'GET https://a.test/x HTTP/1.1',
      'GET http://b.test/y HTTP/1.1',
    ]);
    expect(http.pools.size).toBe(1);
    await using open = await proxyServer({ onForward: () => answer });
    await using tunnelling = managerOf(open, { useForwardingForHttps: true });
    expect((await tunnelling.request('GET', `${secure.url}/get`)).status).toBe(200);
    expect(open.heads[0]).toMatch(/^CONNECT /);
  });

  test.each<[proxy: string | null, forwards: boolean | null, scheme: string | null, requires: boolean]>([
    [null, null, 'https', false],
    ['http://a.test', null, 'http', false],
    ['http://a.test', null, 'https', true],
    ['http://a.test', true, 'https', true],
    ['https://a.test', null, 'https', true],
    ['https://a.test', false, 'https', true],
    ['https://a.test', true, 'https', false],
    ['https://a.test', true, 'http', false],
    ['http://a.test', null, null, true],
  ])('connectionRequiresHttpTunnel(%s, %s, %s) is %s', (proxy, forwards, scheme, requires) => {
    const url = proxy === null ? null : parseUrl(proxy);
    const config = forwards === null ? null : { useForwardingForHttps: forwards };
    expect(connectionRequiresHttpTunnel(url, config, scheme)).toBe(requires);
  });
});

describe('pools with a proxy of their own', () => {
  test('HTTPSConnectionPool({ _proxy }) makes tunnels to its host', async () => {
    await using proxy = await proxyServer();
    const _proxy = parseUrl(proxy.url);
    const options = { port: secure.port, caCerts: ca.cert, _proxy, _proxyHeaders: { 'X-Proxy': 'p' } };
    await using pool = new HTTPSConnectionPool('localhost', options);
    expect((await pool.request('GET', '/get')).status).toBe(200);
    const authority = `localhost:${secure.port}`;
    expect(proxy.heads).toEqual([`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nX-Proxy: p\r\n\r\n`]);
    expect(String(pool.proxy)).toBe(proxy.url);
  });

  test('HTTPConnectionPool({ _proxy }) has the proxy as its host, as in the reference', async () => {
    await using proxy = await proxyServer();
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: proxy.port, _proxy: parseUrl(proxy.url) });
    const response = await pool.request('GET', `${plain.url}/get`, { assertSameHost: false });
    expect(response.status).toBe(200);
    expect(await rejection(pool.request('GET', `${plain.url}/get`))).toBeInstanceOf(HostChangedError);
    expect(proxy.heads).toHaveLength(1);
  });

  test('a URL of the proxy itself goes to it in absolute form, a path in origin form', async () => {
    await using proxy = await proxyServer({ onForward: () => ok('own') });
    await using http = new ProxyManager(proxy.url);
    await http.request('GET', `${proxy.url}/a`);
    await http.connectionFromUrl(proxy.url).request('GET', '/b');
    expect(proxy.heads.map((head) => head.split('\r\n')[0])).toEqual([
      `GET ${proxy.url}/a HTTP/1.1`,
      'GET /b HTTP/1.1',
    ]);
  });

  test('_proxy that is no parsed URL is refused', () => {
    const options = { _proxy: 'http://a.test' as unknown as null };
    expect(() => new HTTPConnectionPool('a.test', options)).toThrow(TypeError);
  });

  test('behind a proxy no socket option is set by default, as the documentation says', async () => {
    const noDelay = vi.spyOn((await import('node:net')).Socket.prototype, 'setNoDelay');
    await using proxy = await proxyServer();
    await using http = managerOf(proxy);
    await http.request('GET', `${plain.url}/get`);
    expect(noDelay).not.toHaveBeenCalledWith(true);
    noDelay.mockRestore();
  });
});

describe('SEC-076: a pool that passes requests on', () => {
  test('is never asked for an https URL in absolute form, by no redirect and no path that says so', async () => {
    const location = `HTTP/1.1 302 Found\r\nLocation: https://a.test/secret\r\nContent-Length: 0\r\n\r\n`;
    await using proxy = await proxyServer({ onForward: () => location });
    await using http = new ProxyManager(proxy.url, { retries: 3 });
    const pool = http.connectionFromUrl('http://a.test/');
    const asked = pool.urlopen('GET', 'http://a.test/', { assertSameHost: false });
    expect(await rejection(asked)).toBeInstanceOf(HostChangedError);
    expect(await rejection(pool.urlopen('GET', 'https://a.test/', { assertSameHost: false }))).toBeInstanceOf(
      HostChangedError,
    );
    expect(proxy.heads).toHaveLength(1);
  });

  test('over TLS neither, not even for a URL of the proxy itself', async () => {
    await using proxy = await proxyServer({ identity, onForward: () => ok('seen') });
    await using http = managerOf(proxy);
    const pool = http.connectionFromUrl('http://a.test/');
    for (const url of ['https://a.test/', `${proxy.url}/`]) {
      expect(await rejection(pool.urlopen('GET', url, { assertSameHost: false }))).toBeInstanceOf(HostChangedError);
    }
    expect(proxy.heads).toEqual([]);
  });
});

describe("PoolManager({ proxy: 'environment' })", () => {
  /** Runs with these variables and no other that counts. */
  async function withEnvironment(variables: Record<string, string>, run: () => Promise<void>): Promise<void> {
    const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'REQUEST_METHOD'];
    for (const name of [...names, ...names.map((upper) => upper.toLowerCase())]) vi.stubEnv(name, undefined);
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    try {
      await run();
    } finally {
      vi.unstubAllEnvs();
    }
  }

  test('goes through the proxy of each URL, and directly where there is none', async () => {
    await using one = await proxyServer();
    await using two = await proxyServer();
    const variables = { http_proxy: one.url, HTTPS_PROXY: two.url, NO_PROXY: 'localhost' };
    await withEnvironment(variables, async () => {
      await using http = new PoolManager({ proxy: 'environment', caCerts: ca.cert });
      for (const { url, port } of [plain, secure]) {
        const scheme = url.split(':')[0];
        expect((await http.request('GET', `${url}/get`)).status).toBe(200);
        expect((await http.request('GET', `${scheme}://localhost:${port}/get`)).status).toBe(200);
      }
      expect(one.heads.map((head) => head.split(' ')[0])).toEqual(['GET']);
      expect(two.heads.map((head) => head.split(' ')[0])).toEqual(['CONNECT']);
      expect(String(http.connectionFromUrl(`${plain.url}/`).proxy)).toBe(one.url);
      expect(String(http.connectionFromUrl(`${secure.url}/`).proxy)).toBe(two.url);
      expect(http.connectionFromUrl('http://localhost/').proxy).toBe(null);
      expect(http.pools.size).toBe(3);
    });
  });

  test('makes pools of the classes that it was given', async () => {
    class OwnPool extends HTTPConnectionPool {}
    await withEnvironment({ http_proxy: 'http://proxy.test' }, async () => {
      await using http = new PoolManager({ proxy: 'environment' });
      http.poolClassesByScheme = { ...http.poolClassesByScheme, http: OwnPool };
      expect(http.connectionFromUrl('http://a.test/')).toBeInstanceOf(OwnPool);
    });
  });

  test('follows each hop of a redirect by the proxy of its own URL (SEC-086)', async () => {
    const password = Buffer.from('u:hidden').toString('base64');
    await using one = await proxyServer();
    await using two = await proxyServer();
    const variables = { http_proxy: one.url.replace('//', '//u:hidden@'), https_proxy: two.url };
    await withEnvironment(variables, async () => {
      await using http = proxyFromEnvironment({ caCerts: ca.cert });
      const there = `${secure.url}/redirect-to?url=${encodeURIComponent(`${plain.url}/headers`)}`;
      const url = `${plain.url}/redirect-to?url=${encodeURIComponent(there)}`;
      const response = await http.request('GET', url);
      expect(response.status).toBe(200);
      expect(await response.text()).not.toContain(password);
      expect(one.heads.map((head) => head.includes(password))).toEqual([true, true]);
      expect(two.connections.map((connection) => connection.received().includes(password))).toEqual([false]);
    });
  });

  test('loads SOCKS when it is named, and cannot give a pool before', async () => {
    const port = await refusingPort();
    await withEnvironment({ all_proxy: `socks5h://127.0.0.1:${port}` }, async () => {
      await using http = new PoolManager({ proxy: 'environment', retries: false });
      expect(() => http.connectionFromUrl('http://a.test/')).toThrow(ProxySchemeUnknown);
      expect(await rejection(http.request('GET', 'http://a.test/'))).toBeInstanceOf(NewConnectionError);
      expect(http.connectionFromUrl('http://a.test/').host).toBe('a.test');
    });
  });

  test('takes the environment as it is when the manager is made, and refuses one that is wrong', async () => {
    await withEnvironment({ http_proxy: 'ftp://a.test' }, async () => {
      expect(() => new PoolManager({ proxy: 'environment' })).toThrow(ProxySchemeUnknown);
    });
    const gone = await refusingPort();
    await withEnvironment({}, async () => {
      await using http = new PoolManager({ proxy: 'environment' });
      vi.stubEnv('http_proxy', `http://127.0.0.1:${gone}`);
      expect((await http.request('GET', `${plain.url}/get`)).status).toBe(200);
    });
  });

  test('SEC-084 (CVE-2016-5385): asks nobody unless it is told to, whatever the environment holds', async () => {
    const port = await refusingPort();
    const proxy = `http://127.0.0.1:${port}`;
    const variables = { HTTP_PROXY: proxy, http_proxy: proxy, HTTPS_PROXY: proxy, ALL_PROXY: proxy };
    await withEnvironment(variables, async () => {
      for (const options of [{}, { proxy: null }, { proxy: undefined }]) {
        await using http = new PoolManager({ ...options, caCerts: ca.cert });
        for (const { url } of [plain, secure]) expect((await http.request('GET', `${url}/get`)).status).toBe(200);
      }
    });
    await withEnvironment({ HTTP_PROXY: proxy, REQUEST_METHOD: 'GET' }, async () => {
      await using http = new PoolManager({ proxy: 'environment' });
      expect((await http.request('GET', `${plain.url}/get`)).status).toBe(200);
    });
  });

  test.each(['http://user:hidden@a.test', true, {}, ''])(
    'proxy: %j is refused, and not shown with a password',
    (proxy) => {
      const make = () => new PoolManager({ proxy: proxy as 'environment' });
      expect(make).toThrow(/make a ProxyManager/);
      expect(make).not.toThrow(/hidden/);
    },
  );

  test('a URL without host is refused before anybody is asked', async () => {
    await withEnvironment({ all_proxy: 'http://a.test' }, async () => {
      await using http = new PoolManager({ proxy: 'environment' });
      expect(await rejection(http.request('GET', '/path'))).toBeInstanceOf(LocationValueError);
    });
  });
});

describe('a proxy that breaks off', () => {
  let origin: Peer;
  beforeAll(async () => {
    origin = await tlsPeer(identity, answering(ok('fine')));
  });
  afterAll(() => origin[Symbol.asyncDispose]());

  test('in the middle of an answer is a ProtocolError, as without proxy', async () => {
    await using proxy = await proxyServer({
      onForward: (_head, { socket }) => {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
        return '';
      },
    });
    await using http = new ProxyManager(proxy.url, { retries: false });
    expect(await rejection(http.request('GET', 'http://a.test/'))).toBeInstanceOf(ProtocolError);
  });

  test('between CONNECT and TLS leaves no request anywhere', async () => {
    await using proxy = await proxyServer({
      onConnect: (_head, { socket }) => {
        socket.end('HTTP/1.1 200 OK\r\n\r\n');
        return '';
      },
    });
    await using http = new ProxyManager(proxy.url, { retries: 1, caCerts: ca.cert });
    const error = await rejection(http.request('GET', `https://127.0.0.1:${origin.port}/`));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(proxy.heads).toHaveLength(2);
    await proxy.idle();
    expect(origin.connections).toHaveLength(0);
  });
});
