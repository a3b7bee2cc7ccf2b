/** Security cases of HTTP proxies: what is verified, which byte goes to whom, and what a proxy may say. */
import { execFile } from 'node:child_process';
import { inspect, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SOCKSProxyManager } from '../../src/contrib/socks.js';
import { ConnectTimeoutError, HTTPError, MaxRetryError, ProxyError, SSLError } from '../../src/exceptions.js';
import type { HeadersInput } from '../../src/headers.js';
import { addLogHandler } from '../../src/logging.js';
import { PoolManager, type PoolManagerOptions, ProxyManager, type ProxyManagerOptions } from '../../src/poolmanager.js';
import type { HTTPResponse } from '../../src/response.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { authority } from '../support/authority.js';
import { watchHandles } from '../support/leaks.js';
import { answering, ok, peer } from '../support/peer.js';
import {
  type ProxyConnection,
  type ProxyServer,
  type ProxyServerOptions,
  proxyServer,
} from '../support/proxy-server.js';
import { socksServer } from '../support/socks-server.js';
import { SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());

/** A proxy over TLS, as which the lab's authorities vouch for loopback. */
async function httpsProxy(options: ProxyServerOptions = {}): Promise<ProxyServer> {
  return await proxyServer({
    identity: (await lab.authorities.root.issue({ names: ['127.0.0.1'] })).identity,
    ...options,
  });
}

function managerOf(proxy: ProxyServer, options: ProxyManagerOptions = {}): ProxyManager {
  return new ProxyManager(proxy.url, {
    caCerts: lab.root,
    lookup: lab.lookup,
    retries: false,
    timeout: 10,
    ...options,
  });
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

/** A context that trusts the lab, with a client's certificate if one is given. */
function contextFor(client?: { chain: string; key: string }) {
  const context = createUrllib3Context();
  context.loadVerifyLocations({ caData: lab.root });
  if (client !== undefined) {
    context.loadCertChain(lab.file('proxy-client.pem', client.chain + client.key));
  }
  return context;
}

const CREDENTIALS = { Authorization: 'Basic b3JpZ2luOnNlY3JldA==', Cookie: 'session=origin' };

describe('SEC-076 (CVE-2022-32210): https through a proxy', () => {
  test('shows the proxy a CONNECT and records of TLS, and nothing that is asked for', async () => {
    const server = await lab.start(SITES.good);
    await using proxy = await proxyServer();
    await using http = managerOf(proxy);
    const url = `${server.url}/secret/path?secret=query`;
    expect((await http.request('POST', url, { headers: CREDENTIALS, body: 'secret body' })).status).toBe(200);
    const received = proxy.connections[0]?.received() ?? '';
    const authority = `good.lab.test:${server.port}`;
    const head = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
    expect(received.startsWith(`${head}\u0016\u0003`)).toBe(true);
    expect(received.slice(head.length)).not.toMatch(/secret|POST|Cookie|Authorization/);
    expect(server.connections[0]?.received).toContain('POST /secret/path?secret=query HTTP/1.1');
  });

  test.each<[SiteName]>([['expired'], ['wrongHost'], ['untrustedRoot'], ['selfSigned']])(
    'verifies an origin inside of the tunnel: %s',
    async (name) => {
      const server = await lab.start(SITES[name]);
      for (const proxy of [await proxyServer(), await httpsProxy()]) {
        await using _closing = proxy;
        await using http = managerOf(proxy);
        const error = await rejection(http.request('GET', server.url, { headers: CREDENTIALS }));
        expect(error).toBeInstanceOf(SSLError);
        await proxy.idle();
      }
      expect(server.connections.map(({ received }) => received).join('')).toBe('');
    },
  );
});

describe('SEC-077 (CVE-2021-28363): the certificate of an https proxy', () => {
  test.each<[name: string, order: object, options: object, isAccepted: boolean]>([
    ['for its address', { names: ['127.0.0.1'] }, {}, true],
    ['for another name', { names: ['other.test'] }, {}, false],
    ['for another name that is asked for', { names: ['other.test'] }, { proxyAssertHostname: 'other.test' }, true],
    ['for any name, if none is asked for', { names: ['other.test'] }, { proxyAssertHostname: false }, true],
    [
      'for its address, where another name is asked for',
      { names: ['127.0.0.1'] },
      { proxyAssertHostname: 'a.test' },
      false,
    ],
    ['with another fingerprint', { names: ['127.0.0.1'] }, { proxyAssertFingerprint: 'ab'.repeat(32) }, false],
    ['of which only the origin’s name is said', { names: ['other.test'] }, { assertHostname: false }, false],
    ['of which only the origin is not verified', { names: ['other.test'] }, { certReqs: 'CERT_NONE' }, false],
    [
      'which has expired',
      { names: ['127.0.0.1'], notAfter: new Date('2021-01-01'), notBefore: new Date('2020-01-01') },
      {},
      false,
    ],
  ])('%s', async (_name, order, options, isAccepted) => {
    const server = await lab.start(SITES.good);
    await using origin = await peer(answering(ok('plain')));
    const { identity } = await lab.authorities.root.issue(order);
    await using proxy = await proxyServer({ identity });
    await using http = managerOf(proxy, options);
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const url of [server.url, `http://127.0.0.1:${origin.port}/`]) {
      const headers = { 'X-Request': 'seen' };
      if (isAccepted) {
        expect((await http.request('GET', url, { headers })).status).toBe(200);
      } else {
        const error = await rejection(http.request('GET', url, { headers }));
        expect(error).toMatchObject({ name: 'ProxyError', cause: expect.any(SSLError) });
      }
    }
    if (!isAccepted) expect(proxy.heads).toEqual([]);
    vi.restoreAllMocks();
  });

  test('the right fingerprint, for an authority that is not trusted otherwise', async () => {
    const server = await lab.start(SITES.good);
    const certificate = await lab.authorities.root.issue({ names: ['127.0.0.1'] });
    await using proxy = await proxyServer({ identity: certificate.identity });
    await using http = managerOf(proxy, { proxyAssertFingerprint: certificate.fingerprint('sha256') });
    expect((await http.request('GET', server.url)).status).toBe(200);
  });

  test('that is not verified is warned of, whatever is said of the origin', async () => {
    const server = await lab.start(SITES.good);
    await using proxy = await httpsProxy();
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const proxySslContext = createUrllib3Context({ certReqs: 'CERT_NONE' });
    await using http = managerOf(proxy, { proxySslContext });
    expect((await http.request('GET', server.url)).status).toBe(200);
    expect(warn.mock.calls.map(([warning]) => String(warning))).toEqual([
      expect.stringContaining("Unverified HTTPS connection is being made to proxy '127.0.0.1'"),
    ]);
    vi.restoreAllMocks();
  });
});

describe('SEC-078 (CVE-2026-97687): TLS with the proxy and TLS with the origin', () => {
  /** Who each handshake showed itself as: the common name of the client's certificate. */
  async function handshakes(
    options: (client: string, proxyClient: { chain: string; key: string }) => ProxyManagerOptions,
  ) {
    const asks = { requestCert: true, rejectUnauthorized: false };
    const server = await lab.start(SITES.good, asks);
    const client = await lab.authorities.root.issue({ commonNames: ['Client of the origin'], usage: 'client' });
    const proxyClient = await lab.authorities.root.issue({ commonNames: ['Client of the proxy'], usage: 'client' });
    const shown: (string | undefined)[] = [];
    await using proxy = await httpsProxy({ tls: asks, onForward: () => ok('forwarded') });
    const file = lab.file('origin-client.pem', client.chain + client.key);
    await using http = managerOf(proxy, options(file, proxyClient));
    const response = await http.request('GET', server.url);
    await http.request('GET', 'http://a.lab.test/');
    for (const { socket } of proxy.connections) {
      const certificate: unknown = Reflect.get(socket, 'getPeerCertificate').call(socket);
      shown.push(Reflect.get(Reflect.get(Object(certificate), 'subject') ?? {}, 'CN'));
    }
    return { origin: ((await response.json()) as { client: string | null }).client, proxy: shown };
  }

  test('show each its own client certificate', async () => {
    const seen = await handshakes((certFile, proxyClient) => ({ certFile, proxySslContext: contextFor(proxyClient) }));
    expect(seen).toEqual({ origin: 'Client of the origin', proxy: ['Client of the proxy', 'Client of the proxy'] });
  });

  test('never show the proxy the certificate that is for the origin', async () => {
    for (const more of [{}, { proxySslContext: contextFor() }]) {
      const seen = await handshakes((certFile) => ({ certFile, ...more }));
      expect(seen).toEqual({ origin: 'Client of the origin', proxy: [undefined, undefined] });
    }
  });

  test('trust each their own authorities, in tunnels and without', async () => {
    const strange = lab.authorities.strangeRoot;
    const { identity } = await strange.issue({ names: ['127.0.0.1'] });
    const server = await lab.start(SITES.good);
    await using proxy = await proxyServer({ identity, onForward: () => ok('forwarded') });
    const trusting = createUrllib3Context();
    trusting.loadVerifyLocations({ caData: strange.pem });
    await using right = managerOf(proxy, { proxySslContext: trusting });
    for (const url of [server.url, 'http://a.lab.test/']) expect((await right.request('GET', url)).status).toBe(200);
    // The authorities of the one do not vouch for the other.
    for (const useForwardingForHttps of [false, true]) {
      await using wrong = managerOf(proxy, { useForwardingForHttps });
      for (const url of [server.url, 'http://a.lab.test/']) {
        expect(await rejection(wrong.request('GET', url))).toBeInstanceOf(ProxyError);
      }
    }
    await using swapped = managerOf(proxy, { caCerts: strange.pem });
    expect(await rejection(swapped.request('GET', server.url))).toBeInstanceOf(SSLError);
  });

  test('verify each, if the other is not: also where requests are forwarded', async () => {
    const { identity } = await lab.authorities.root.issue({ names: ['other.test'] });
    const server = await lab.start(SITES.selfSigned);
    await using proxy = await proxyServer({ identity });
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const useForwardingForHttps of [false, true]) {
      await using http = managerOf(proxy, { certReqs: 'CERT_NONE', useForwardingForHttps });
      expect(await rejection(http.request('GET', server.url))).toBeInstanceOf(ProxyError);
    }
    await using lax = managerOf(proxy, { proxySslContext: createUrllib3Context({ certReqs: 'CERT_NONE' }) });
    const error = await rejection(lax.request('GET', server.url));
    expect(error).toBeInstanceOf(SSLError);
    expect(error).not.toBeInstanceOf(ProxyError);
    vi.restoreAllMocks();
  });
});

describe('SEC-079 (CVE-2003-1605, CVE-2015-3153, CVE-2023-32681): fields of the proxy and fields of the origin', () => {
  const proxyHeaders = { 'X-Proxy-Secret': 'for-the-proxy', 'Proxy-Authorization': 'Basic cHJveHk6c2VjcmV0' };
  const forProxy = /X-Proxy-Secret|for-the-proxy|Proxy-Authorization|cHJveHk6c2VjcmV0/i;
  const forOrigin = /Authorization: Basic b3Jp|Cookie|session=origin/i;

  test('in a tunnel, neither meets the other: on the recorded bytes', async () => {
    for (const proxy of [await proxyServer(), await httpsProxy()]) {
      await using _closing = proxy;
      const server = await lab.start(SITES.good);
      await using http = managerOf(proxy, { proxyHeaders, headers: CREDENTIALS });
      for (let turn = 0; turn < 2; turn++) await http.request('GET', server.url);
      const authority = `good.lab.test:${server.port}`;
      const lines = Object.entries(proxyHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
      expect(proxy.heads).toEqual([`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines.join('')}\r\n`]);
      expect(proxy.connections[0]?.received()).not.toMatch(forOrigin);
      const atOrigin = server.connections.map(({ received }) => received).join('');
      expect(atOrigin).toMatch(forOrigin);
      expect(atOrigin).not.toMatch(forProxy);
    }
  });

  test('in absolute form both go to the proxy, and of the proxy’s none stays in a request that leaves it', async () => {
    const server = await lab.start(SITES.good);
    await using proxy = await proxyServer({
      onForward: () => `HTTP/1.1 302 Found\r\nLocation: ${server.url}/\r\nContent-Length: 0\r\n\r\n`,
    });
    await using http = managerOf(proxy, { proxyHeaders, retries: 3 });
    await http.request('GET', 'http://a.lab.test/', { headers: { ...CREDENTIALS, 'X-Own': 'own' } });
    expect(proxy.heads[0]).toMatch(forProxy);
    expect(proxy.heads[0]).toMatch(forOrigin);
    const atOrigin = server.connections.map(({ received }) => received).join('');
    expect(atOrigin).toContain('X-Own: own');
    expect(atOrigin).not.toMatch(forProxy);
    expect(atOrigin).not.toMatch(forOrigin);
  });
});

describe('SEC-080 (CVE-2026-1502): nothing ends the lines of a CONNECT', () => {
  test.each(['a\r\nX: y', 'a\nX', 'a\u0000', 'a b', 'a%0d%0aX', 'a%00', 'a%20b'])(
    'a host such as %j is refused before the proxy hears of it',
    async (host) => {
      await using proxy = await proxyServer();
      await using http = managerOf(proxy);
      expect(await rejection(http.request('GET', `https://${host}.test/`))).toBeInstanceOf(HTTPError);
      expect(() => http.connectionFromHost(`${host}.test`, { scheme: 'https' })).toThrow(HTTPError);
      expect(proxy.connections).toEqual([]);
    },
  );

  test.each<[HeadersInput]>([
    [{ 'a\r\nb': 'c' }],
    [{ 'a b': 'c' }],
    [{ a: 'b\r\nc: d' }],
    [{ a: 'b\n' }],
    [{ a: 'b\u0000' }],
    [{ a: 'b\u010d\u010ac' }],
  ])('proxyHeaders such as %j are refused when the manager is made', (proxyHeaders) => {
    expect(() => new ProxyManager('http://a.test', { proxyHeaders })).toThrow(HTTPError);
  });

  test.each(['http://a%0d%0aX:b@a.test', 'http://a:b%0aX@a.test', 'http://a%00:b@a.test', 'http://a:\r\nb@a.test'])(
    'the credentials of %j are refused when the manager is made',
    (url) => {
      expect(() => new ProxyManager(url)).toThrow();
    },
  );

  test('an IPv6 target stands in brackets', async () => {
    await using proxy = await proxyServer({ onConnect: () => 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n' });
    await using http = managerOf(proxy);
    await rejection(http.request('GET', 'https://[2001:DB8:0::1]/'));
    expect(proxy.heads).toEqual(['CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n']);
  });
});

describe('SEC-081 (GHSA-pc5p-h8pf-mvwp): an answer that refuses a CONNECT', () => {
  const page = '<h1>Sign in</h1><script>evil()</script>';
  test.each<[string, string]>([
    [
      '302 and a Location',
      'HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n',
    ],
    ['407', 'HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'],
    ['403 and a page', `HTTP/1.1 403 Forbidden\r\nContent-Length: ${page.length}\r\n\r\n${page}`],
    ['500', 'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n'],
    ['429 and a Retry-After', 'HTTP/1.1 429 Later\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n'],
  ])('%s is a ProxyError, no response, and no redirect', async (_name, answer) => {
    await using proxy = await proxyServer({ onConnect: () => answer });
    await using http = managerOf(proxy, { retries: undefined });
    const error = await rejection(http.request('GET', 'https://a.lab.test/', { headers: CREDENTIALS, retries: 1 }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: { name: 'ProxyError', status: Number(answer.slice(9, 12)) } });
    expect(Object.keys(error as object)).not.toContain('headers');
    expect(inspect(error)).not.toMatch(/evil\.test|Set-Cookie|realm/);
    expect(proxy.heads.every((head) => head.startsWith('CONNECT a.lab.test:443 '))).toBe(true);
    expect(proxy.connections.every((connection) => !connection.received().includes('Cookie'))).toBe(true);
    await proxy.idle();
  });

  test('200 followed by plain HTTP: the request is never written', async () => {
    await using proxy = await proxyServer({ onConnect: () => `HTTP/1.1 200 OK\r\n\r\n${ok(page)}` });
    await using http = managerOf(proxy);
    expect(await rejection(http.request('GET', 'https://a.lab.test/', { headers: CREDENTIALS }))).toBeInstanceOf(
      SSLError,
    );
    expect(proxy.connections[0]?.received()).not.toMatch(/GET|Cookie/);
    await proxy.idle();
  });
});

describe('SEC-082 (CVE-2023-38039): the framing of an answer to CONNECT', () => {
  test.each(['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n'])(
    'the tunnel begins after the head, whatever %j says',
    async (field) => {
      const server = await lab.start(SITES.good);
      await using proxy = await proxyServer({ consent: `HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\n${field}\r\n` });
      await using http = managerOf(proxy);
      for (let turn = 0; turn < 2; turn++) expect((await http.request('GET', server.url)).status).toBe(200);
    },
  );

  test('bytes that come with the head are for TLS', async () => {
    // An alert of TLS, in the same segment as the head.
    await using proxy = await proxyServer({
      onConnect: () => 'HTTP/1.1 200 OK\r\n\r\n\u0015\u0003\u0003\u0000\u0002\u0002\u0028',
    });
    await using http = managerOf(proxy);
    const error = await rejection(http.request('GET', 'https://a.lab.test/'));
    expect(error).toBeInstanceOf(SSLError);
    expect(Reflect.get(Object(error), 'code')).toMatch(/ALERT_HANDSHAKE_FAILURE/);
  });

  test('its head has the limits of all heads', async () => {
    await using proxy = await proxyServer({ consent: `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(2_000)}\r\n\r\n` });
    await using http = managerOf(proxy, { maxHeadBytes: 1_000 });
    const error = await rejection(http.request('GET', 'https://127.0.0.1:1/'));
    expect(error).toBeInstanceOf(ProxyError);
  });
});

describe('SEC-083 (CVE-2026-48615, CVE-2015-3448): the password of a proxy', () => {
  const password = 'Tr0ub4dor';
  const encoded = Buffer.from(`user:${password}`).toString('base64');
  const secrets = [password, encoded];

  function leaving(_head: string, { socket }: ProxyConnection): string {
    socket.destroy();
    return '';
  }

  /** Everything that might be printed of something. */
  function renderings(thing: unknown): string {
    const texts = [String(thing), inspect(thing, { depth: 10, showHidden: false }), JSON.stringify(thing)];
    for (let error = thing; error instanceof Error; error = error.cause) {
      texts.push(error.message, error.stack ?? '', inspect(error, { depth: 10 }));
    }
    return texts.join('\n');
  }

  function expectNoSecret(text: string): void {
    for (const secret of secrets) expect(text).not.toContain(secret);
  }

  test.each<[string, ProxyServerOptions]>([
    ['407', { credentials: 'other' }],
    ['a connection that is closed', { onConnect: leaving }],
    ['an answer that is none', { onConnect: () => 'nonsense\r\n\r\n' }],
    [
      'an answer that repeats the request',
      { onConnect: (head) => `HTTP/1.1 403 ${encoded}\r\nContent-Length: ${head.length}\r\n\r\n${head}` },
    ],
    ['a failed handshake of TLS', { onConnect: () => `HTTP/1.1 200 OK\r\n\r\n${ok('no TLS')}` }],
  ])('is in no rendering of an error: %s', async (_name, options) => {
    await using proxy = await proxyServer(options);
    const url = proxy.url.replace('//', `//user:${password}@`);
    await using http = new ProxyManager(url, { retries: 0, timeout: 5 });
    expectNoSecret(renderings(await rejection(http.request('GET', `https://user:${password}@a.test/`))));
    expect(proxy.heads[0]).toContain(encoded);
  });

  test('is in no rendering where the proxy is not reached', async () => {
    await using http = new ProxyManager(`http://user:${password}@127.0.0.1:9`, { retries: 0 });
    for (const scheme of ['http', 'https']) {
      expectNoSecret(renderings(await rejection(http.request('GET', `${scheme}://a.test/`))));
    }
  });

  test('is in no rendering of managers, pools, connections and responses, nor in logs', async () => {
    const lines: string[] = [];
    using _handler = logging((line) => lines.push(line));
    const server = await lab.start(SITES.good);
    await using origin = await peer(answering(ok('plain')));
    for (const proxy of [await proxyServer(), await httpsProxy()]) {
      await using _closing = proxy;
      const url = proxy.url.replace('//', `//user:${password}@`);
      await using http = new ProxyManager(url, { caCerts: lab.root, lookup: lab.lookup });
      const responses: HTTPResponse[] = [];
      for (const target of [server.url, `http://127.0.0.1:${origin.port}`]) {
        responses.push(await http.request('GET', target, { preloadContent: false }));
      }
      const pools = [...http.pools.keys()].map((key) => http.pools.get(key));
      expect(pools).toHaveLength(2);
      const connections = responses.map((response) => response.connection);
      for (const thing of [http, ...pools, ...connections, ...responses, [...http.pools.keys()]])
        expectNoSecret(renderings(thing));
      expect(inspect(http.proxyHeaders)).toContain('***');
      for (const response of responses) await response.drainConn();
      expect(proxy.heads.every((head) => head.includes(encoded))).toBe(true);
    }
    expect(lines.length).toBeGreaterThan(0);
    expectNoSecret(lines.join('\n'));
  });

  function logging(handle: (line: string) => void): Disposable {
    const handler = addLogHandler({ level: 'debug', write: (record) => handle(JSON.stringify(record)) });
    return { [Symbol.dispose]: () => handler.remove() };
  }
});

describe('SEC-050, SEC-051 (CVE-2024-37891, CVE-2026-44431): a redirect to another origin, through proxies', () => {
  const sensitive = { Authorization: 'a', COOKIE: 'b', 'proxy-authorization': 'c' };

  test('drops them by every entry: the manager, and a pool that it gave', async () => {
    await using one = await peer(async (connection) => {
      await connection.request();
      connection.write(`HTTP/1.1 302 Found\r\nLocation: http://localhost:${two.port}/\r\nContent-Length: 0\r\n\r\n`);
    });
    await using two = await peer(answering(ok('there')));
    const url = `http://127.0.0.1:${one.port}/`;
    const entries: readonly ((http: ProxyManager) => Promise<HTTPResponse>)[] = [
      (http) => http.request('GET', url, { headers: sensitive }),
      (http) => http.urlopen('GET', url, { headers: Object.entries(sensitive), preloadContent: false }),
      (http) => http.connectionFromUrl(url).urlopen('GET', url, { headers: sensitive, assertSameHost: false }),
      (http) =>
        http.connectionFromUrl(url).request('GET', url, { headers: new Headers(sensitive), assertSameHost: false }),
    ];
    for (const proxy of [await proxyServer(), await httpsProxy()]) {
      await using _closing = proxy;
      for (const ask of entries) {
        await using http = managerOf(proxy, { retries: 3 });
        const response = await ask(http);
        expect(response.status).toBe(200);
        await response.drainConn();
        const head = proxy.heads.at(-1);
        expect(head).toMatch(new RegExp(`^GET http://localhost:${two.port}/ `));
        expect(head).not.toMatch(/authorization|cookie/i);
      }
    }
    for (const { received } of two.connections) expect(received).not.toMatch(/authorization|cookie/i);
    expect(two.connections.length).toBeGreaterThanOrEqual(entries.length);
  });

  test('keeps them where the origin stays, though the pool is the proxy’s', async () => {
    await using proxy = await proxyServer({
      onForward: (head) =>
        head.startsWith('GET http://a.lab.test/1')
          ? 'HTTP/1.1 302 Found\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n'
          : ok('there'),
    });
    await using http = managerOf(proxy, { retries: 3 });
    const pool = http.connectionFromUrl('http://a.lab.test/');
    await pool.urlopen('GET', 'http://a.lab.test/1', { headers: { Authorization: 'a' }, assertSameHost: false });
    expect(proxy.heads[1]).toMatch(/^GET http:\/\/a\.lab\.test\/2 .*\r\nAuthorization: a\r\n/s);
  });
});

describe('SEC-086 (CVE-2026-6253, CVE-2026-44486): credentials of one proxy', () => {
  test('reach no other proxy and no origin, when redirects change who is asked', async () => {
    const server = await lab.start(SITES.ip4);
    await using one = await proxyServer({
      onForward: () => `HTTP/1.1 302 Found\r\nLocation: ${server.url}/\r\nContent-Length: 0\r\n\r\n`,
    });
    for (const other of [await proxyServer(), null]) {
      vi.stubEnv('http_proxy', one.url.replace('//', '//one:pass@'));
      vi.stubEnv('https_proxy', other?.url ?? '');
      for (const name of ['no_proxy', 'NO_PROXY', 'all_proxy', 'ALL_PROXY', 'HTTPS_PROXY']) vi.stubEnv(name, '');
      const encoded = Buffer.from('one:pass').toString('base64');
      await using http = new PoolManager({ proxy: 'environment', caCerts: lab.root });
      vi.unstubAllEnvs();
      for (let turn = 0; turn < 2; turn++) {
        expect((await http.request('GET', 'http://a.test/')).status).toBe(200);
      }
      expect(one.heads.at(-1)).toContain(encoded);
      for (const connection of other?.connections ?? []) expect(connection.received()).not.toContain(encoded);
      for (const { received } of server.connections) expect(received).not.toMatch(/proxy-authorization/i);
      http.close();
      await other?.[Symbol.asyncDispose]();
    }
  });
});

describe('SEC-087 (CVE-2026-3784, CVE-2016-0755): a connection through a proxy', () => {
  test('serves nobody else: other user, password, letter case, fields or target', async () => {
    const server = await lab.start(SITES.good);
    const second = await lab.start(SITES.good);
    await using proxy = await proxyServer();
    const as = (userinfo: string) => proxy.url.replace('//', `//${userinfo}@`);
    const options = { caCerts: lab.root, lookup: lab.lookup };
    await using base = new PoolManager(options);
    const managers = [
      new ProxyManager(proxy.url, options),
      new ProxyManager(as('user:password'), options),
      new ProxyManager(as('user:Password'), options),
      new ProxyManager(as('User:password'), options),
      new ProxyManager(proxy.url, { ...options, proxyHeaders: { 'X-Tenant': '1' } }),
      new ProxyManager(proxy.url, { ...options, proxyHeaders: { 'X-Tenant': '2' } }),
    ];
    for (let turn = 0; turn < 2; turn++) {
      for (const http of managers) {
        for (const target of [server, second]) expect((await http.request('GET', target.url)).status).toBe(200);
      }
    }
    expect(proxy.heads).toHaveLength(managers.length * 2);
    expect(new Set(proxy.heads).size).toBe(managers.length * 2);
    // Even in one manager, by options of the call.
    const contexts = managers.map((http) => ({ ...http.connectionPoolKw, scheme: 'https', host: 'good.lab.test' }));
    expect(new Set(contexts.map((context) => base.connectionFromContext(context))).size).toBe(managers.length);
    for (const http of managers) http.close();
  });
});

describe('SEC-089 (CVE-2026-9697, CVE-2026-84961): an option on TLS means the same by every way', () => {
  interface Way {
    readonly http: PoolManager;
    close(): Promise<void>;
  }

  const WAYS: Readonly<Record<string, (options: PoolManagerOptions) => Promise<Way>>> = {
    direct: async (options) => wayOf(new PoolManager(options)),
    'http proxy': async (options) => {
      const proxy = await proxyServer();
      return wayOf(new ProxyManager(proxy.url, options), proxy);
    },
    'https proxy': async (options) => {
      const proxy = await httpsProxy();
      return wayOf(new ProxyManager(proxy.url, { ...options, proxySslContext: contextFor() }), proxy);
    },
    SOCKS: async (options) => {
      const proxy = await socksServer({ connectTo: '127.0.0.1' });
      return wayOf(new SOCKSProxyManager(`socks5h://127.0.0.1:${proxy.port}`, options), proxy);
    },
  };

  function wayOf(http: PoolManager, proxy?: AsyncDisposable): Way {
    return {
      http,
      async close() {
        http.close();
        await proxy?.[Symbol.asyncDispose]();
      },
    };
  }

  const TABLE: readonly [
    option: string,
    site: SiteName | 'asksForClient',
    options: () => Promise<PoolManagerOptions>,
    verdict: 'accepted' | 'refused',
  ][] = [
    ['no option', 'good', async () => ({}), 'accepted'],
    ['caCerts of another', 'good', async () => ({ caCerts: lab.authorities.strangeRoot.pem }), 'refused'],
    ['certReqs CERT_NONE', 'selfSigned', async () => ({ certReqs: 'CERT_NONE' }), 'accepted'],
    ['certReqs CERT_REQUIRED', 'selfSigned', async () => ({ certReqs: 'CERT_REQUIRED' }), 'refused'],
    ['a client certificate', 'asksForClient', clientFile, 'accepted'],
    ['no client certificate', 'asksForClient', async () => ({}), 'refused'],
    ['assertHostname of another', 'good', async () => ({ assertHostname: 'other.lab.test' }), 'refused'],
    ['assertHostname false', 'wrongHost', async () => ({ assertHostname: false }), 'accepted'],
    ['another fingerprint', 'good', async () => ({ assertFingerprint: 'ab'.repeat(32) }), 'refused'],
    ['its fingerprint', 'wrongHost', async () => fingerprintOf('wrongHost'), 'accepted'],
    ['another serverHostname', 'good', async () => ({ serverHostname: 'other.lab.test' }), 'refused'],
    ['a newer least version', 'tls12', async () => ({ sslMinimumVersion: 'TLSv1.3' }), 'refused'],
    ['that least version', 'tls12', async () => ({ sslMinimumVersion: 'TLSv1.2' }), 'accepted'],
  ];

  async function clientFile(): Promise<PoolManagerOptions> {
    const client = await lab.authorities.root.issue({ commonNames: ['Client'], usage: 'client' });
    return { certFile: lab.file('matrix-client.pem', client.chain + client.key) };
  }

  async function fingerprintOf(name: SiteName): Promise<PoolManagerOptions> {
    return { assertFingerprint: (await lab.server(name)).certificate.fingerprint('sha256') };
  }

  test.each(TABLE)('%s, with the server that is %s: %4$s', async (_option, site, options, verdict) => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const asks = { requestCert: true, rejectUnauthorized: true, ca: lab.root };
    const { url } = await (site === 'asksForClient' ? lab.start(SITES.good, asks) : lab.server(site));
    const given: PoolManagerOptions = {
      caCerts: lab.root,
      lookup: lab.lookup,
      retries: false,
      timeout: 10,
      ...(await options()),
    };
    const verdicts = await Promise.all(
      Object.entries(WAYS).map(async ([name, make]) => {
        const way = await make(given);
        const seen = await way.http.request('GET', url).then(
          () => 'accepted',
          (error: unknown) => (error instanceof HTTPError && !(error instanceof ProxyError) ? 'refused' : error),
        );
        await way.close();
        return [name, seen];
      }),
    );
    expect(verdicts).toEqual(Object.keys(WAYS).map((name) => [name, verdict]));
    vi.restoreAllMocks();
  });
});

describe('SEC-027 (CVE-2026-42264, CVE-2026-44494): a polluted Object.prototype', () => {
  /** Tells the names for which requests through proxies do not end as they do without pollution. */
  const CHILD = `
    import { createSecureContext } from 'node:tls';
    import { PoolManager, ProxyManager } from './src/poolmanager.ts';
    import { SOCKSProxyManager } from './src/contrib/socks.ts';
    const { url, trusted, strange, socks, root, evil } = JSON.parse(process.env.SETTING);
    const polluting = {
      certReqs: 'CERT_NONE', caCerts: evil, caData: evil, assertHostname: false, serverHostname: 'evil.test',
      sslContext: createSecureContext({ ca: evil }), proxySslContext: createSecureContext({ ca: evil }),
      proxyAssertHostname: false, proxyAssertFingerprint: '00'.repeat(32), useForwardingForHttps: true, _forwards: true,
      _proxyConfig: { tls: null, useForwardingForHttps: true }, _route: { kind: 'forward', name: 'evil' }, _tls: {},
      socket: {}, servername: 'evil.test', session: 'evil', deadline: 0.000001, retries: 9, requireAuthentication: true,
      open() { throw new Error('evil open'); }, lookup() { throw new Error('evil lookup'); },
    };
    const outcome = async (manager) => {
      try {
        return (await manager.request('GET', url)).status;
      } catch (error) {
        return error.cause?.code ?? error.code ?? String(error);
      } finally {
        manager.clear();
      }
    };
    const outcomes = async () => {
      const options = { caCerts: root, retries: false };
      return JSON.stringify([
        await outcome(new ProxyManager(trusted, options)),
        await outcome(new ProxyManager(strange, options)),
        await outcome(new ProxyManager(strange, { retries: false })),
        await outcome(new SOCKSProxyManager(socks, options)),
        await outcome(new PoolManager({ ...options, proxy: 'environment' })),
      ]);
    };
    const before = await outcomes();
    const changed = [];
    for (const [name, value] of Object.entries(polluting)) {
      Object.prototype[name] = value;
      const after = await outcomes().finally(() => delete Object.prototype[name]);
      if (after !== before) changed.push([name, after]);
    }
    console.log(JSON.stringify({ before, changed }));
  `;

  test('neither opens a tunnel to another nor makes a proxy be trusted', async () => {
    const server = await lab.start(SITES.good);
    const evil = await authority('Evil');
    await using trusted = await httpsProxy();
    await using strange = await proxyServer({ identity: await evil.issue('127.0.0.1') });
    await using socks = await socksServer({ connectTo: '127.0.0.1' });
    const setting = {
      url: server.url,
      trusted: trusted.url,
      strange: strange.url,
      socks: `socks5h://127.0.0.1:${socks.port}`,
      root: lab.root,
      evil: evil.cert,
    };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', CHILD],
      { timeout: 15_000, env: { ...process.env, https_proxy: setting.socks, SETTING: JSON.stringify(setting) } },
    );
    const unknown = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';
    expect(JSON.parse(stdout)).toEqual({ before: JSON.stringify([200, unknown, unknown, 200, 200]), changed: [] });
    expect(trusted.heads.filter((head) => !head.startsWith('CONNECT good.lab.test:'))).toEqual([]);
    expect(strange.heads).toEqual([]);
  }, 20_000);
});

describe('SEC-090 (CVE-2026-55568): a proxy’s scheme', () => {
  test.each(['https', 'HTTPS', 'Https'])('%s:// is TLS from the first byte, or an error', async (scheme) => {
    await using proxy = await peer(() => {});
    await using http = new ProxyManager(`${scheme}://127.0.0.1:${proxy.port}`, { retries: false });
    for (const target of ['http://a.test/', 'https://a.test/']) {
      const asked = rejection(http.request('GET', target, { headers: CREDENTIALS, timeout: 0.3 }));
      expect(await asked).toBeInstanceOf(ProxyError);
    }
    for (const { received } of proxy.connections) {
      expect(received.startsWith('\u0016\u0003')).toBe(true);
      expect(received).not.toContain('Cookie');
    }
    expect(proxy.connections).toHaveLength(2);
  });

  test('no request goes out directly because the proxy failed', async () => {
    const server = await lab.start(SITES.ip4);
    await using origin = await peer(answering(ok('plain')));
    await using gone = await peer(({ socket }) => void socket.destroy());
    for (const scheme of ['http', 'https']) {
      await using http = new ProxyManager(`${scheme}://127.0.0.1:${gone.port}`, { caCerts: lab.root, retries: 2 });
      for (const url of [server.url, `http://127.0.0.1:${origin.port}/`]) {
        expect(await rejection(http.request('GET', url))).toBeInstanceOf(MaxRetryError);
      }
    }
    expect(server.connections).toEqual([]);
    expect(origin.connections).toEqual([]);
  });
});

describe('SEC-112 (undici #5011): the connect timeout covers all of the way through a proxy', () => {
  test.each<[string, () => Promise<ProxyServer>]>([
    ['a CONNECT that is not answered', () => proxyServer({ onConnect: () => '' })],
    ['an answer that is cut', () => proxyServer({ onConnect: () => 'HTTP/1.1 200 OK\r\nA:' })],
    ['a CONNECT over TLS that is not answered', () => httpsProxy({ onConnect: () => '' })],
    [
      'TLS that is not answered inside of the tunnel',
      () => proxyServer({ onConnect: () => 'HTTP/1.1 200 OK\r\n\r\n' }),
    ],
  ])('%s', async (_name, start) => {
    await using proxy = await start();
    await using http = managerOf(proxy, { timeout: 0.15 });
    const begunMs = performance.now();
    const error = await rejection(http.request('GET', 'https://a.lab.test/'));
    expect(error).toBeInstanceOf(ConnectTimeoutError);
    expect(String(error)).toContain('timed out. (connect timeout=0.15)');
    expect(performance.now() - begunMs).toBeLessThan(2_000);
    await proxy.idle();
  });
});
