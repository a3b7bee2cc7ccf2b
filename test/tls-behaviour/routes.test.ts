/**
 * Security cases of TLS by every route: through a tunnel of an HTTP proxy, of an HTTPS proxy, and through SOCKS, the origin
 * is verified as strictly as without. Cases of the proxy itself are with the tests of proxies.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { SOCKSProxyManager } from '../../src/contrib/socks.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager, type PoolManagerOptions, ProxyManager } from '../../src/poolmanager.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { openSockets, watchHandles } from '../support/leaks.js';
import { proxyServer } from '../support/proxy-server.js';
import { socksServer } from '../support/socks-server.js';
import { type LabServer, type Seen, SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

/** A manager whose requests go that way, and what it needs. */
interface Route extends AsyncDisposable {
  readonly http: PoolManager;
}

const ROUTES: Record<string, (options: PoolManagerOptions) => Promise<Route>> = {
  direct: async (options) => {
    const http = new PoolManager(options);
    return { http, [Symbol.asyncDispose]: () => http[Symbol.asyncDispose]() };
  },
  'through an HTTP proxy': async (options) => {
    const proxy = await proxyServer();
    return routed(new ProxyManager(proxy.url, options), proxy);
  },
  'through an HTTPS proxy': async (options) => {
    // What is said of the origin does not concern the proxy: it has a context of its own.
    const { identity } = await lab.authorities.root.issue({ names: ['127.0.0.1'] });
    const proxy = await proxyServer({ identity });
    const proxyTls = { proxySslContext: trusting() };
    return routed(new ProxyManager(proxy.url, { ...options, ...proxyTls }), proxy);
  },
  'through SOCKS': async (options) => {
    const proxy = await socksServer({ connectTo: '127.0.0.1' });
    return routed(new SOCKSProxyManager(`socks5h://127.0.0.1:${proxy.port}`, options), proxy);
  },
};

function trusting() {
  const context = createUrllib3Context();
  context.loadVerifyLocations({ caData: lab.root });
  return context;
}

function routed(http: PoolManager, proxy: AsyncDisposable): Route {
  return {
    http,
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function given(options: PoolManagerOptions): PoolManagerOptions {
  return { lookup: lab.lookup, retries: false, timeout: 10, caCerts: lab.root, ...options };
}

describe.each(Object.entries(ROUTES))('%s', (_route, make) => {
  test('TLS is spoken with the origin: its name, its certificate, the client’s', async () => {
    const server = await lab.start(SITES.good, { requestCert: true, rejectUnauthorized: false });
    const client = await lab.authorities.root.issue({ commonNames: ['Client'], usage: 'client' });
    await using route = await make(given({ certFile: lab.file('client.pem', client.chain + client.key) }));
    const response = await route.http.request('GET', server.url);
    expect(await response.json()).toMatchObject({ sni: 'good.lab.test', client: 'Client', alpn: 'http/1.1' });
  });

  test.each<[string, SiteName, PoolManagerOptions]>([
    ['SEC-062: a certificate that has expired', 'expired', {}],
    ['SEC-062: a certificate for another name', 'wrongHost', {}],
    ['SEC-062: an authority that is not trusted', 'untrustedRoot', {}],
    ['SEC-062: a certificate without alternative names', 'commonNameOnly', {}],
    ['SEC-065 (CVE-2019-11324): an authority that is not among those given', 'good', { caCerts: null }],
    ['SEC-071 (CVE-2025-5025): another fingerprint', 'good', { assertFingerprint: '00'.repeat(32) }],
    [
      'SEC-071 (CVE-2025-13034): another fingerprint, and nothing else verified',
      'good',
      { assertFingerprint: '00'.repeat(32), certReqs: 'CERT_NONE', caCerts: null },
    ],
    ['another assertHostname', 'good', { assertHostname: 'other.lab.test' }],
    ['another serverHostname', 'good', { serverHostname: 'other.lab.test' }],
    ['SEC-072 (CVE-2011-3389): TLS 1.2 where 1.3 is the least', 'tls12', { sslMinimumVersion: 'TLSv1.3' }],
    ['SEC-072 (CVE-2011-3389): TLS 1.1', 'tls11', {}],
  ])('%s: refused, and nothing of the request is sent', async (_case, name, options) => {
    const server = await lab.start(SITES[name]);
    await using route = await make(given(options));
    for (let count = 0; count < 2; count++) {
      const request = route.http.request('GET', server.url, { headers: { Authorization: 'Basic c2VjcmV0' } });
      await expect(request).rejects.toThrow(SSLError);
    }
    await expect.poll(() => openSockets()).toEqual([]);
    expect(server.connections.map(({ received }) => received).join('')).toBe('');
    expect(server.resumptions).not.toContain(true);
  });

  test.each<[string, SiteName, (server: LabServer) => PoolManagerOptions]>([
    ['its fingerprint', 'wrongHost', ({ certificate }) => ({ assertFingerprint: certificate.fingerprint('sha256') })],
    ['the name it has', 'wrongHost', () => ({ assertHostname: 'elsewhere.lab.test' })],
    ['no name', 'wrongHost', () => ({ assertHostname: false })],
    ['nothing', 'selfSigned', () => ({ certReqs: 'CERT_NONE', caCerts: null })],
  ])('with %s asked for, a server that has it is accepted', async (_what, name, options) => {
    const server = await lab.server(name);
    await using route = await make(given(options(server)));
    expect((await route.http.request('GET', server.url)).status).toBe(200);
  });

  test('SEC-063 (CVE-2025-68121): sessions are resumed for the same origin, and for no other', async () => {
    const server = await lab.start(SITES.good);
    await using route = await make(given({}));
    const seen: Seen[] = [];
    for (let count = 0; count < 2; count++) {
      const response = await route.http.request('GET', server.url, { headers: { Connection: 'close' } });
      // The lab's servers answer with this.
      seen.push((await response.json()) as Seen);
    }
    expect(seen.map(({ isResumed }) => isResumed)).toEqual([false, true]);
    const other = `https://other.lab.test:${server.port}`;
    await expect(route.http.request('GET', other)).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(server.resumptions.slice(2)).not.toContain(true);
  });
});

describe('SEC-064 (CVE-2021-22890): a proxy that poses as the origin, inside the tunnel that it made', () => {
  /** Whatever is asked for, the tunnel leads back to the proxy's machine, which knows the tickets that the proxy gave. */
  async function trap() {
    const ticketKeys = randomBytes(48);
    const itself = await lab.start(SITES.ip4, { ticketKeys });
    const proxy = await proxyServer({
      identity: itself.certificate.identity,
      tls: { ticketKeys },
      leadsTo: itself.port,
    });
    return { itself, proxy };
  }

  test('its certificate does not help it, nor do its tickets', async () => {
    const { itself, proxy } = await trap();
    await using _closing = proxy;
    await using http = new ProxyManager(proxy.url, given({}));
    for (let count = 0; count < 3; count++) {
      await expect(http.request('GET', 'https://origin.lab.test')).rejects.toThrow(SSLError);
    }
    expect(itself.resumptions).not.toContain(true);
    expect(itself.connections.map(({ received }) => received).join('')).toBe('');
  });

  test('nor where the origin has the very name and port of the proxy: that has tickets of its own', async () => {
    const { itself, proxy } = await trap();
    await using _closing = proxy;
    await using http = new ProxyManager(proxy.url, given({}));
    const options = { headers: { Connection: 'close' } };
    for (let count = 0; count < 2; count++) await http.request('GET', `https://127.0.0.1:${proxy.port}`, options);
    expect(itself.resumptions).toEqual([false, true]);
  });
});
