import { inspect } from 'node:util';
import { beforeAll, describe, expect, expectTypeOf, test, vi } from 'vitest';
import { HTTPConnection, VerifiedHTTPSConnection } from '../../src/connection.js';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../../src/connectionpool.js';
import {
  SOCKSConnection,
  SOCKSHTTPConnectionPool,
  SOCKSHTTPSConnection,
  SOCKSHTTPSConnectionPool,
  type SOCKSOptions,
  SOCKSProxyManager,
  type SOCKSProxyManagerOptions,
} from '../../src/contrib/socks.js';
import {
  ConnectTimeoutError,
  LocationValueError,
  MaxRetryError,
  NameResolutionError,
  NewConnectionError,
  ProtocolError,
  ProxySchemeUnknown,
  SSLError,
} from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { Retry } from '../../src/util/retry.js';
import { type Authority, authority } from '../support/authority.js';
import { timersLeftBy, watchHandles } from '../support/leaks.js';
import { answering, ok, type Peer, peer, type Script, tlsPeer } from '../support/peer.js';
import { type SocksServer, type SocksServerOptions, socksServer } from '../support/socks-server.js';
import { refusingPort } from '../transport/loopback.js';

watchHandles();

let ca: Authority;
beforeAll(async () => {
  ca = await authority();
});

/** Names that exist in a test only, with `localhost` for what is not among them. */
function hosts(table: Record<string, string | readonly string[]>) {
  return vi.fn<LookupFunction>((host, _options, callback) => callback(null, table[host] ?? host));
}

/** The error that a request ends with; a MaxRetryError's reason. */
async function failureOf(request: Promise<unknown>): Promise<Error> {
  const error: unknown = await request.then(
    () => new Error('the request succeeded'),
    (reason: unknown) => reason,
  );
  if (error instanceof MaxRetryError && error.reason !== null) return error.reason;
  if (error instanceof Error) return error;
  throw new Error('what was thrown is no error');
}

function managerFor(proxy: { readonly port: number }, scheme = 'socks5h', options: SOCKSProxyManagerOptions = {}) {
  return new SOCKSProxyManager(`${scheme}://127.0.0.1:${proxy.port}`, options);
}

describe('SOCKSProxyManager', () => {
  test.each([
    { scheme: 'socks4', version: 4, kind: 'ipv4', host: '127.0.0.1' },
    { scheme: 'socks4a', version: 4, kind: 'name', host: 'a.test' },
    { scheme: 'socks5', version: 5, kind: 'ipv4', host: '127.0.0.1' },
    { scheme: 'socks5h', version: 5, kind: 'name', host: 'a.test' },
    { scheme: 'SOCKS5H', version: 5, kind: 'name', host: 'a.test' },
  ])('with $scheme asks the proxy for the $kind $host, and keeps the connection', async ({ scheme, ...asked }) => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using http = managerFor(proxy, scheme, { lookup: hosts({ 'a.test': '127.0.0.1' }) });
    for (let turn = 0; turn < 3; turn++) {
      const response = await http.request('GET', `http://A.test:${origin.port}/path?query`);
      expect(response.data.toString()).toBe('hello');
    }
    expect(proxy.requests).toMatchObject([{ ...asked, port: origin.port, password: null }]);
    const received = origin.connections[0]?.received ?? '';
    expect(received).toMatch(new RegExp(`^GET /path\\?query HTTP/1\\.1\r\nHost: a\\.test:${origin.port}\r\n`));
    expect(received).not.toMatch(/proxy/i);
    http.close();
  });

  test.each(['socks4', 'socks4a', 'socks5', 'socks5h'])('with %s speaks TLS with the target itself', async (scheme) => {
    await using origin = await tlsPeer(await ca.issue('a.test'), answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1', drips: true });
    await using http = managerFor(proxy, scheme, { caCerts: ca.cert, lookup: hosts({ 'a.test': '127.0.0.1' }) });
    const response = await http.request('POST', `https://a.test:${origin.port}/`, { body: 'content' });
    expect(response.data.toString()).toBe('hello');
    await http.request('GET', `https://a.test:${origin.port}/`);
    expect(proxy.requests).toHaveLength(1);
    http.close();
  });

  test('verifies the target, and by its own name', async () => {
    await using origin = await tlsPeer(await ca.issue('other.test', '127.0.0.1'), answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using http = managerFor(proxy, 'socks5h', { caCerts: ca.cert, retries: false });
    expect(await failureOf(http.request('GET', `https://a.test:${origin.port}/`))).toBeInstanceOf(SSLError);
    await using untrusting = managerFor(proxy, 'socks5h', { retries: false });
    expect(await failureOf(untrusting.request('GET', `https://other.test:${origin.port}/`))).toBeInstanceOf(SSLError);
    expect(origin.connections).toEqual([]);
  });

  test('reaches IPv6 addresses as such, of the target and of the proxy', async () => {
    await using origin = await peer(answering(ok('hello')), '::1');
    await using proxy = await socksServer({ host: '::1' });
    for (const scheme of ['socks5', 'socks5h']) {
      await using http = new SOCKSProxyManager(`${scheme}://[::1]:${proxy.port}`);
      const response = await http.request('GET', `http://[::1]:${origin.port}/`);
      expect(response.status).toBe(200);
      http.close();
    }
    const asked = { kind: 'ipv6', host: '0000:0000:0000:0000:0000:0000:0000:0001' };
    expect(proxy.requests).toMatchObject([asked, asked]);
    expect(origin.connections[0]?.received).toContain(`Host: [::1]:${origin.port}`);
  });

  test('sends an international name in ASCII', async () => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using http = managerFor(proxy);
    await http.request('GET', `http://bücher.test:${origin.port}/`);
    expect(proxy.requests).toMatchObject([{ kind: 'name', host: 'xn--bcher-kva.test' }]);
    http.close();
  });

  test('connects to the proxy as to any host: with a race, from the source address', async () => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    // Nobody listens on 127.0.0.2.
    const lookup = hosts({ 'proxy.test': ['127.0.0.2', '127.0.0.1'] });
    const options = { lookup, sourceAddress: ['127.0.0.9', 0] } as const;
    await using http = new SOCKSProxyManager(`socks5h://proxy.test:${proxy.port}/ignored?path`, options);
    await http.request('GET', `http://a.test:${origin.port}/`);
    expect(proxy.accepted.map(({ remoteAddress }) => remoteAddress)).toEqual(['127.0.0.9']);
    http.close();
  });

  test('follows redirects through the proxy, to other hosts too', async () => {
    await using second = await peer(answering(ok('there')));
    await using first = await peer(
      answering(`HTTP/1.1 302 Found\r\nLocation: http://b.test:${second.port}/\r\nContent-Length: 0\r\n\r\n`),
    );
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using http = managerFor(proxy);
    const response = await http.request('GET', `http://a.test:${first.port}/`);
    expect(response.data.toString()).toBe('there');
    expect(proxy.requests.map(({ host }) => host)).toEqual(['a.test', 'b.test']);
    http.close();
  });

  test('moves large bodies both ways unchanged', async () => {
    const body = Buffer.alloc(4 * 1024 ** 2, 'abcdefghijklmnopq');
    await using origin = await peer(async (connection) => {
      await connection.request();
      const received = await connection.take(body.length);
      connection.write(ok(received));
    });
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using http = managerFor(proxy);
    const response = await http.request('PUT', `http://a.test:${origin.port}/`, { body });
    expect(response.data.equals(body)).toBe(true);
    http.close();
  });

  test('has the classes of the reference, and is a PoolManager without an HTTP proxy', async () => {
    await using http = new SOCKSProxyManager('socks5h://user:secret@localhost/path', { numPools: 3, maxsize: 7 });
    expect(http).toBeInstanceOf(PoolManager);
    expect(http.proxy).toBeNull();
    expect(http.proxyUrl).toBe('socks5h://***@localhost/path');
    expect(String(http)).toBe('SOCKSProxyManager(pools=0)');
    expect(http.pools.maxsize).toBe(3);
    const classes = { http: SOCKSHTTPConnectionPool, https: SOCKSHTTPSConnectionPool };
    expect(SOCKSProxyManager.poolClassesByScheme).toEqual(classes);
    expect(http.poolClassesByScheme).toEqual(classes);
    const plain = http.connectionFromUrl('http://a.test');
    const overTls = http.connectionFromHost('a.test', { scheme: 'https' });
    expect(plain).toBeInstanceOf(SOCKSHTTPConnectionPool);
    expect(plain).toBeInstanceOf(HTTPConnectionPool);
    expect(overTls).toBeInstanceOf(SOCKSHTTPSConnectionPool);
    expect(overTls).toBeInstanceOf(HTTPSConnectionPool);
    for (const pool of [plain, overTls]) expect(pool).toMatchObject({ proxy: null, maxsize: 7 });
    expect([plain.ConnectionCls, overTls.ConnectionCls]).toEqual([SOCKSConnection, SOCKSHTTPSConnection]);
    expect(String(plain)).toBe("SOCKSHTTPConnectionPool(host='a.test', port=80)");
    expect(String(overTls)).toBe("SOCKSHTTPSConnectionPool(host='a.test', port=443)");
  });
});

describe('SOCKSProxyManager logs in', () => {
  const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

  test.each<{
    name: string;
    auth?: string;
    options?: SOCKSProxyManagerOptions;
    username: string;
    password: string;
  }>([
    { name: 'with what the URL says', auth: 'user:pass@', username: 'user', password: 'pass' },
    { name: 'with the percent-decoded text of the URL', auth: 'us%40er:p%25%3A@', username: 'us@er', password: 'p%:' },
    { name: 'with a password that has colons', auth: 'user:a:b::@', username: 'user', password: 'a:b::' },
    { name: 'with a username alone', auth: 'user@', username: 'user', password: '' },
    { name: 'with an empty password', auth: 'user:@', username: 'user', password: '' },
    { name: 'with bytes that are no text', auth: 'u%FF:%00%80@', username: 'u\xff', password: '\0\x80' },
    {
      name: 'with international text, as UTF-8',
      auth: 'ü:é@',
      username: latin1(Buffer.from('ü')),
      password: latin1(Buffer.from('é')),
    },
    {
      name: 'with options, literally',
      options: { username: 'us%40er', password: 'ü:' },
      username: 'us%40er',
      password: latin1(Buffer.from('ü:')),
    },
    {
      name: 'with options rather than with the URL',
      auth: 'other:other@',
      options: { username: 'user', password: 'pass' },
      username: 'user',
      password: 'pass',
    },
    {
      name: "with an option's username, and not with the URL's password",
      auth: 'other:other@',
      options: { username: 'user' },
      username: 'user',
      password: '',
    },
    {
      name: "with the URL's username and an option's password",
      auth: 'user:other@',
      options: { password: 'pass' },
      username: 'user',
      password: 'pass',
    },
    {
      name: 'with 255 bytes each',
      options: { username: 'u'.repeat(255), password: 'é'.repeat(127) },
      username: 'u'.repeat(255),
      password: latin1(Buffer.from('é'.repeat(127))),
    },
  ])('$name', async ({ auth = '', options = {}, username, password }) => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1', login: { username, password } });
    await using http = new SOCKSProxyManager(`socks5h://${auth}127.0.0.1:${proxy.port}`, options);
    const response = await http.request('GET', `http://a.test:${origin.port}/`);
    expect(response.status).toBe(200);
    expect(proxy.requests).toMatchObject([{ methods: [0, 2], username, password }]);
    http.close();
  });

  test.each([
    { auth: 'user@', username: 'user' },
    { auth: 'us%20er@', username: 'us er' },
    { auth: '', username: '' },
  ])('with "$auth" as the user id of SOCKS4', async ({ auth, username }) => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using http = new SOCKSProxyManager(`socks4a://${auth}127.0.0.1:${proxy.port}`);
    await http.request('GET', `http://a.test:${origin.port}/`);
    expect(proxy.requests).toMatchObject([{ version: 4, host: 'a.test', username }]);
    http.close();
  });

  test('not where the proxy does not ask, unless it must ask', async () => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    const login = { username: 'user', password: 'pass', retries: false } as const;
    await using http = managerFor(proxy, 'socks5h', login);
    await http.request('GET', `http://a.test:${origin.port}/`);
    expect(proxy.requests).toMatchObject([{ methods: [0, 2], username: null }]);
    http.close();
    await using strict = managerFor(proxy, 'socks5h', { ...login, requireAuthentication: true });
    const error = await failureOf(strict.request('GET', `http://a.test:${origin.port}/`));
    expect(error).toBeInstanceOf(NewConnectionError);
    expect(error.message).toContain('accepts none of the offered authentication methods');
    expect(proxy.requests).toHaveLength(1);
  });
});

describe('new SOCKSProxyManager() refuses', () => {
  test.each(['http://p:1', 'HTTPS://p:1', 'socks://p:1', 'socks6://p:1', 'ftp://p:1', 'p.test:1', '//p:1', '/p', ''])(
    'SEC-090: the proxy "%s", whose version nobody knows',
    (url) => {
      const make = () => new SOCKSProxyManager(url);
      expect(make).toThrow(ProxySchemeUnknown);
      expect(make).toThrow('Unable to determine SOCKS version from');
    },
  );

  test.each<[name: string, url: string, options: object, kind: new (...args: never[]) => Error]>([
    ['a proxy without a host', 'socks5://', {}, LocationValueError],
    ['a proxy without a host, with user-info', 'socks5://user:secret@', {}, LocationValueError],
    ['a URL that is none', 'socks5://user:secret@p:99999', {}, LocationValueError],
    ['a username of 256 bytes', 'socks5://p', { username: 'secret'.padEnd(256) }, RangeError],
    ['a username of 256 bytes in UTF-8', 'socks5://p', { username: 'secret'.padEnd(131, 'é') }, RangeError],
    ['a password of 256 bytes in the URL', `socks5://u:${'secret'.padEnd(256, '-')}@p`, {}, RangeError],
    ['a password without a username', 'socks5://p', { password: 'secret' }, TypeError],
    ['a password for SOCKS4', 'socks4://user:secret@p', {}, TypeError],
    ['a NUL in the user id of SOCKS4', 'socks4://secret%00@p', {}, TypeError],
    ['a username that is no text', 'socks5://p', { username: ['secret'] }, TypeError],
    ['a password that is a number', 'socks5://u@p', { password: 8_157_349 }, TypeError],
    ['a password that is no text', 'socks5://u@p', { password: Buffer.from('secret') }, TypeError],
    ['authentication that is required without a login', 'socks5://p', { requireAuthentication: true }, TypeError],
    ['authentication that is required of SOCKS4', 'socks4://u@p', { requireAuthentication: true }, TypeError],
    ['an option that does not exist', 'socks5://p', { usernam: 'user' }, TypeError],
    ['a second proxy', 'socks5://p', { proxy: 'environment' }, TypeError],
  ])('%s, and does not say what is secret', (_name, url, options, kind) => {
    const make = () => new SOCKSProxyManager(url, options);
    expect(make).toThrow(kind);
    expect(make).not.toThrow(/secret|8157349/);
  });

  test('to be told of the proxy by prototypes', () => {
    const options: SOCKSProxyManagerOptions = Object.create({ username: 'u'.repeat(256) });
    expect(() => new SOCKSProxyManager('socks5://p', options)).not.toThrow();
  });
});

describe('SEC-088 (CVE-2023-38545), SEC-128: who resolves names', () => {
  test.each(['socks4a', 'socks5h'])('with %s the local resolver is asked for the proxy only', async (scheme) => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    const lookup = hosts({ 'proxy.test': '127.0.0.1' });
    await using http = new SOCKSProxyManager(`${scheme}://proxy.test:${proxy.port}`, { lookup });
    for (const host of ['a.test', '192.0.2.1', `${'a'.repeat(63)}.`.repeat(3).concat('a'.repeat(61))]) {
      await http.request('GET', `http://${host}:${origin.port}/`);
      expect(proxy.requests.at(-1)?.host).toBe(host);
    }
    expect(lookup.mock.calls.map(([host]) => host)).toEqual(['proxy.test', 'proxy.test', 'proxy.test']);
    http.close();
  });

  test.each(['socks4', 'socks5'])('with %s no name reaches the proxy, only what the lookup said', async (scheme) => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    let turn = 0;
    const lookup = vi.fn<LookupFunction>((host, _options, callback) => {
      callback(null, host === 'a.test' ? `192.0.2.${++turn}` : '127.0.0.1');
    });
    await using http = new SOCKSProxyManager(`${scheme}://proxy.test:${proxy.port}`, { lookup });
    for (let connections = 1; connections <= 2; connections++) {
      await http.request('GET', `http://a.test:${origin.port}/`);
      expect(proxy.requests.at(-1)).toMatchObject({ kind: 'ipv4', host: `192.0.2.${connections}` });
      http.clear();
    }
    expect(lookup.mock.calls.map(([host]) => host)).toEqual(['a.test', 'proxy.test', 'a.test', 'proxy.test']);
    expect(lookup.mock.calls.map(([, { family }]) => family)).toEqual(
      scheme === 'socks4' ? [4, 0, 4, 0] : [0, 0, 0, 0],
    );
  });

  test('a lookup may refuse an address of a URL as well, before the proxy is dialled', async () => {
    await using proxy = await socksServer();
    const lookup: LookupFunction = (host, _options, callback) => {
      if (host === '169.254.169.254') callback(new Error('not for you'), []);
      else callback(null, host);
    };
    await using http = managerFor(proxy, 'socks5', { lookup, retries: false });
    const error = await failureOf(http.request('GET', 'http://169.254.169.254/'));
    expect(error).toBeInstanceOf(NameResolutionError);
    expect(error.message).toContain('not for you');
    expect(proxy.accepted).toEqual([]);
  });

  test('a name that cannot be resolved here is not sent to the proxy', async () => {
    await using proxy = await socksServer();
    const lookup: LookupFunction = (_host, _options, callback) => callback(new Error('no such host'), []);
    await using http = managerFor(proxy, 'socks5', { lookup, retries: false });
    const error = await failureOf(http.request('GET', 'http://a.test/'));
    expect(error).toBeInstanceOf(NameResolutionError);
    expect(error).toMatchObject({ host: 'a.test', phase: 'resolve' });
    expect(proxy.accepted).toEqual([]);
  });

  test('a resolver that does not answer is bounded by the connect timeout', async () => {
    await using proxy = await socksServer();
    await using http = managerFor(proxy, 'socks5', { lookup: () => {}, retries: false, timeout: 0.05 });
    expect(await failureOf(http.request('GET', 'http://a.test/'))).toBeInstanceOf(ConnectTimeoutError);
    expect(proxy.accepted).toEqual([]);
  });
});

describe('a target with several addresses, resolved here,', () => {
  const lookup = hosts({ 'a.test': ['::1', '192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'] });
  const asked = ({ requests }: SocksServer) => requests.map(({ host }) => host.replace(/^0000:.*/, '::1'));

  test('is asked for at the next one when the proxy does not reach the first', async () => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({
      connectTo: '127.0.0.1',
      reply: ({ host }) => (host === '192.0.2.2' ? null : 4),
    });
    await using http = managerFor(proxy, 'socks5', { lookup });
    const response = await http.request('GET', `http://a.test:${origin.port}/`);
    expect(response.status).toBe(200);
    expect(asked(proxy)).toEqual(['::1', '192.0.2.1', '192.0.2.2']);
    http.close();
  });

  test('is given up after four, in one attempt', async () => {
    await using proxy = await socksServer({ reply: () => 5 });
    await using http = managerFor(proxy, 'socks5', { lookup, retries: false });
    expect(await failureOf(http.request('GET', 'http://a.test/'))).toBeInstanceOf(NewConnectionError);
    expect(asked(proxy)).toEqual(['::1', '192.0.2.1', '192.0.2.2', '192.0.2.3']);
  });

  test('is given up at once when the proxy refuses the request as such', async () => {
    await using proxy = await socksServer({ reply: () => 2 });
    await using http = managerFor(proxy, 'socks5', { lookup, retries: false });
    const error = await failureOf(http.request('GET', 'http://a.test/'));
    expect(error.message).toContain('0x02: Connection not allowed by ruleset');
    expect(asked(proxy)).toEqual(['::1']);
  });

  test('is asked for by IPv4 only with socks4', async () => {
    await using proxy = await socksServer({ reply: () => 0x5b });
    await using http = managerFor(proxy, 'socks4', { lookup, retries: false });
    const error = await failureOf(http.request('GET', 'http://a.test/'));
    expect(error.message).toContain('0x5b: Request rejected or failed');
    expect(asked(proxy)).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']);
  });
});

describe('a proxy that fails', () => {
  const GREETING = 3;

  test.each<[name: string, scheme: string, script: Script, message: string]>([
    [
      'by three bytes, with the socket left open (as proxies do)',
      'socks5h',
      async (proxy) => {
        await proxy.take(GREETING);
        proxy.write('\x05\x00');
        await proxy.take(13);
        proxy.write('\x05\x01\x00');
      },
      'SOCKS5 proxy answered 0x01: General SOCKS server failure',
    ],
    ['by two bytes of SOCKS4', 'socks4a', (proxy) => proxy.write('\x00\x5d'), 'different user-ids'],
    ['as it wants a login', 'socks5h', (proxy) => proxy.write('\x05\xff'), 'it may want a username and password'],
    [
      'by asking for a login that it was not offered',
      'socks5h',
      (proxy) => proxy.write('\x05\x02'),
      'not offered to it',
    ],
    ['as it is an HTTP server', 'socks5', (proxy) => proxy.write('HTTP/1.1 400 Bad Request'), 'sent invalid data'],
    ['as it closes', 'socks5h', (proxy) => proxy.end(), 'The proxy closed the connection in the SOCKS handshake'],
    [
      'as it resets',
      'socks5h',
      async (proxy) => {
        await proxy.take(GREETING);
        proxy.reset();
      },
      'ECONNRESET',
    ],
    [
      'as it closes in the middle of a reply',
      'socks4a',
      (proxy) => proxy.end('\x00\x5a\x00'),
      'The proxy closed the connection in the SOCKS handshake',
    ],
  ])('%s is a NewConnectionError, counted as a connect error', async (_name, scheme, script, message) => {
    await using proxy = await peer(script);
    await using http = managerFor(proxy, scheme, { lookup: hosts({ 'a.test': '192.0.2.1' }) });
    const retries = new Retry({ total: 9, connect: 1, read: 0, other: 0 });
    const error = await http
      .request('POST', 'http://a.test/', { retries, body: 'b' })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaxRetryError);
    const reason = error instanceof MaxRetryError ? error.reason : null;
    expect(reason).toBeInstanceOf(NewConnectionError);
    expect(reason?.message).toContain('Failed to establish a new connection: ');
    expect(reason?.message).toContain(message);
    expect(reason).toMatchObject({ phase: 'proxy', address: `127.0.0.1:${proxy.port}` });
    expect(proxy.connections).toHaveLength(2);
  });

  test('with the wrong password says so, and shows neither it nor the username (SEC-083)', async () => {
    await using proxy = await socksServer({ login: { username: 'user', password: 'right' } });
    const url = `socks5h://someone:secret-word@127.0.0.1:${proxy.port}`;
    await using http = new SOCKSProxyManager(url);
    const error = await http.request('GET', 'http://a.test/', { retries: 0 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaxRetryError);
    const shown = inspect(error, { depth: 12, showHidden: true, getters: true }) + JSON.stringify(error);
    expect(shown).toContain('SOCKS5 authentication failed');
    expect(shown).not.toMatch(/secret-word|someone/);
  });

  test('as it is not there is a NewConnectionError with the code of the system', async () => {
    await using http = managerFor({ port: await refusingPort() }, 'socks5h', { retries: false });
    const error = await failureOf(http.request('GET', 'http://a.test/'));
    expect(error).toBeInstanceOf(NewConnectionError);
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('as it has no address is a NameResolutionError for the name of the proxy', async () => {
    const lookup: LookupFunction = (_host, _options, callback) => callback(new Error('no such host'), []);
    await using http = new SOCKSProxyManager('socks5h://proxy.test', { lookup, retries: false });
    const error = await failureOf(http.request('GET', 'http://a.test/'));
    expect(error).toBeInstanceOf(NameResolutionError);
    expect(error).toMatchObject({ host: 'proxy.test' });
  });

  test('by bytes of a response that nobody has asked for yet is not believed (SEC-123)', async () => {
    await using proxy = await peer(async (connection) => {
      await connection.take(GREETING);
      connection.write('\x05\x00');
      await connection.take(13);
      connection.write(`\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50${ok('forged')}`);
    });
    await using http = managerFor(proxy, 'socks5h', { retries: false });
    const error = await failureOf(http.request('GET', 'http://a.test/'));
    expect([NewConnectionError, ProtocolError].some((kind) => error instanceof kind)).toBe(true);
    await (await proxy.connection(0)).closed;
  });

  test.each([
    { scheme: 'socks4', url: 'http://[2001:db8::1]/', message: 'No IPv4 address for 2001:db8::1' },
    {
      scheme: 'socks4a',
      url: 'http://[2001:db8::1]/',
      message: 'SOCKS4 cannot connect to the IPv6 address 2001:db8::1',
    },
    { scheme: 'socks5h', url: 'http://[fe80::1%25eth0]/', message: 'its zone is of this machine only' },
  ])('to be asked for $url with $scheme is not dialled', async ({ scheme, url, message }) => {
    await using proxy = await socksServer();
    await using http = managerFor(proxy, scheme, { retries: false });
    const error = await failureOf(http.request('GET', url));
    expect(error).toBeInstanceOf(NewConnectionError);
    expect(error.message).toContain(message);
    expect(proxy.accepted).toEqual([]);
  });

  test('SEC-088: a name of more than 255 bytes is refused before the proxy is dialled', async () => {
    await using proxy = await socksServer();
    await using http = managerFor(proxy);
    const long = Array.from({ length: 5 }, () => 'a'.repeat(60)).join('.');
    await expect(http.request('GET', `http://${long}/`)).rejects.toThrow(LocationValueError);
    expect(proxy.accepted).toEqual([]);
  });
});

/** Proxies that stop answering, each a step later; to a client that speaks SOCKS5. */
const STALLS: readonly [name: string, script: Script][] = [
  ['before its first byte', () => {}],
  ['after the method', (proxy) => proxy.write('\x05\x00')],
  ['in the middle of its reply', (proxy) => proxy.write('\x05\x00\x05\x00\x00\x01\x7f')],
];

describe.each(STALLS)('SEC-112: a proxy that stalls %s', (_name, script) => {
  test('is left at the connect timeout, and nothing of it remains', async () => {
    await using proxy = await peer(script);
    await using http = managerFor(proxy, 'socks5h', { retries: false, timeout: 0.08 });
    const left = await timersLeftBy(async () => {
      const beganMs = performance.now();
      const error = await failureOf(http.request('GET', 'https://a.test/'));
      expect(error).toBeInstanceOf(ConnectTimeoutError);
      expect(error).not.toBeInstanceOf(NewConnectionError);
      expect(error.message).toContain('Connection to a.test timed out. (connect timeout=0.08)');
      expect(performance.now() - beganMs).toBeLessThan(1_000);
    });
    expect(left).toBe(0);
    await (await proxy.connection(0)).closed;
  });

  test('is left when the request is aborted', async () => {
    await using proxy = await peer(script);
    await using http = managerFor(proxy, 'socks5h');
    const controller = new AbortController();
    const request = http.request('GET', 'http://a.test/', { signal: controller.signal });
    const connection = await proxy.connection(0);
    await connection.take(3);
    controller.abort(new Error('enough'));
    await expect(request).rejects.toThrow('enough');
    await connection.closed;
  });
});

test('SEC-112: two stalls of a proxy count together', async () => {
  await using proxy = await peer(async (connection) => {
    await connection.take(3);
    await new Promise((resolve) => setTimeout(resolve, 400));
    connection.write('\x05\x00');
  });
  await using http = managerFor(proxy, 'socks5h', { retries: false, timeout: 0.5 });
  const beganMs = performance.now();
  expect(await failureOf(http.request('GET', 'http://a.test/'))).toBeInstanceOf(ConnectTimeoutError);
  expect(performance.now() - beganMs).toBeLessThan(880);
});

describe('SEC-087 (CVE-2026-6734): a connection through SOCKS', () => {
  async function stage(options: SocksServerOptions = {}): Promise<{ origin: Peer; proxy: SocksServer }> {
    return {
      origin: await peer(answering(ok('hello'))),
      proxy: await socksServer({ connectTo: '127.0.0.1', ...options }),
    };
  }

  test('is never used for another target', async () => {
    const { origin, proxy } = await stage();
    await using _origin = origin;
    await using _proxy = proxy;
    await using http = managerFor(proxy);
    for (const host of ['a.test', 'b.test', 'a.test']) await http.request('GET', `http://${host}:${origin.port}/`);
    expect(proxy.requests.map(({ host }) => host)).toEqual(['a.test', 'b.test']);
    expect(origin.connections[0]?.received).not.toContain('b.test');
    http.close();
  });

  test('is never used for another user, nor for one whose password differs in letter case', async () => {
    const { origin, proxy } = await stage();
    await using _origin = origin;
    await using _proxy = proxy;
    const logins = ['user:secret', 'user:Secret', 'User:secret', 'user:secret'];
    const managers = logins.map(
      (login) => new SOCKSProxyManager(`socks4a://${login.split(':')[0]}@127.0.0.1:${proxy.port}`),
    );
    for (const http of managers) await http.request('GET', `http://a.test:${origin.port}/`);
    expect(proxy.requests.map(({ username }) => username)).toEqual(['user', 'user', 'User', 'user']);
    for (const http of managers) http.close();
  });

  test('has a key of its own for each proxy and user, in which no secret can be read', () => {
    const urls = ['socks5://u:secret@p', 'socks5://u:Secret@p', 'socks5h://u:secret@p', 'socks5://u:secret@p:1081'];
    const keys = urls.map((url) => {
      const http = new SOCKSProxyManager(url);
      http.connectionFromUrl('http://a.test');
      return [...http.pools.keys()].join();
    });
    expect(new Set(keys).size).toBe(urls.length);
    expect(keys.join()).not.toMatch(/secret/i);
  });

  test('keeps to the manager’s proxy, whatever a caller puts into the options of a pool', async () => {
    await using proxy = await socksServer();
    await using http = managerFor(proxy);
    const poolKwargs: object = { _socksOptions: { socksVersion: 5, proxyHost: 'evil.test' } };
    const pool = http.connectionFromHost('a.test', { poolKwargs });
    expect(pool).toBe(http.connectionFromHost('a.test'));
  });
});

test('SEC-083: inspecting a manager, its pools and connections shows no password', async () => {
  await using origin = await peer(answering(ok('hello')));
  await using proxy = await socksServer({ connectTo: '127.0.0.1' });
  await using http = new SOCKSProxyManager(`socks5h://user:secret@127.0.0.1:${proxy.port}`);
  const response = await http.request('GET', `http://a.test:${origin.port}/`, { preloadContent: false });
  const pool = http.connectionFromUrl(`http://a.test:${origin.port}/`);
  for (const value of [http, pool, response, response.connection]) {
    const shown = inspect(value, { depth: 12, showHidden: true, getters: true });
    expect(shown).not.toContain('secret');
  }
  expect(JSON.stringify([http, pool])).not.toContain('secret');
  await response.read();
  http.close();
});

describe('without a manager', () => {
  const proxyOf = ({ port }: SocksServer, given: Partial<SOCKSOptions> = {}): SOCKSOptions => ({
    socksVersion: 5,
    proxyHost: '127.0.0.1',
    proxyPort: port,
    rdns: true,
    ...given,
  });

  test('SOCKSConnection runs exchanges through the proxy', async () => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1', login: { username: 'user', password: 'pass' } });
    const _socksOptions = proxyOf(proxy, { username: 'user', password: 'pass' });
    await using connection = new SOCKSConnection('a.test', { port: origin.port, _socksOptions });
    await connection.request('GET', '/');
    const response = await connection.getResponse();
    expect((await response.read()).toString()).toBe('hello');
    expect(proxy.requests).toMatchObject([{ username: 'user', host: 'a.test' }]);
    expect(String(connection)).toBe(`SOCKSConnection(host='a.test', port=${origin.port})`);
  });

  test('SOCKSHTTPSConnection does so over TLS, and is a connection of both kinds', async () => {
    await using origin = await tlsPeer(await ca.issue('a.test'), answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    const options = { port: origin.port, caCerts: ca.cert, _socksOptions: proxyOf(proxy) };
    await using connection = new SOCKSHTTPSConnection('a.test', options);
    await connection.request('GET', '/');
    expect((await connection.getResponse()).status).toBe(200);
    expect(connection.isVerified).toBe(true);
    for (const kind of [SOCKSConnection, VerifiedHTTPSConnection, HTTPConnection])
      expect(connection).toBeInstanceOf(kind);
    expect(new HTTPConnection('a.test')).not.toBeInstanceOf(SOCKSConnection);
    expect(new VerifiedHTTPSConnection('a.test')).not.toBeInstanceOf(SOCKSConnection);
  });

  test('a pool may be made with the proxy, by a port of its own or 1080', async () => {
    await using origin = await peer(answering(ok('hello')));
    await using proxy = await socksServer({ connectTo: '127.0.0.1' });
    await using pool = new SOCKSHTTPConnectionPool('a.test', { port: origin.port, _socksOptions: proxyOf(proxy) });
    expect((await pool.request('GET', '/')).status).toBe(200);
    const lookup = vi.fn<LookupFunction>((_host, _options, callback) => callback(new Error('none'), []));
    const _socksOptions: SOCKSOptions = { socksVersion: 4, proxyHost: 'proxy.test', rdns: true };
    await using other = new SOCKSHTTPSConnectionPool('a.test', { lookup, retries: false, _socksOptions });
    await expect(other.request('GET', '/')).rejects.toMatchObject({ host: 'proxy.test' });
  });

  test.each([SOCKSConnection, SOCKSHTTPSConnection, SOCKSHTTPConnectionPool, SOCKSHTTPSConnectionPool])(
    '%o without a proxy is refused: there is no direct way (SEC-090)',
    (Class) => {
      expect(() => new Class('a.test')).toThrow('Cannot use _socksOptions undefined: they must tell a SOCKS proxy');
    },
  );

  test.each<[name: string, options: object, message: string]>([
    ['another version', { socksVersion: 6 }, 'Cannot use SOCKS version 6: it must be 4 or 5'],
    ['no host', { proxyHost: '' }, 'No host specified'],
    ['a port that is none', { proxyPort: 70_000 }, 'it must be from 0 to 65535'],
    ['an option that does not exist', { proxy: 'p' }, 'a SOCKS proxy has no such option'],
  ])('a proxy with %s is refused', (_name, options, message) => {
    const _socksOptions = { socksVersion: 5, proxyHost: 'p', ...options } as SOCKSOptions;
    expect(() => new SOCKSConnection('a.test', { _socksOptions })).toThrow(message);
  });

  test('the types say what a proxy is', () => {
    expectTypeOf<{ socksVersion: 6; proxyHost: string }>().not.toExtend<SOCKSOptions>();
    expectTypeOf(SOCKSProxyManager).toBeConstructibleWith('socks5://p', { username: 'u', numPools: 3, timeout: 2 });
  });
});
