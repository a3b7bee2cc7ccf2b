import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { MaxRetryError, ProxyError, SSLError } from '../../src/exceptions.js';
import {
  type PoolManagerOptions,
  ProxyManager,
  type ProxyManagerOptions,
  proxyFromEnvironment,
} from '../../src/poolmanager.js';
import { makeHeaders } from '../../src/util/request.js';
import { Retry } from '../../src/util/retry.js';
import { authority } from '../support/authority.js';
import { concurrently } from './client.js';
import { curl } from './curl.js';
import { describeProxied, seenBy } from './proxied.js';
import { HOSTS, type Origin, startOrigin } from './servers/origin.js';
import { describeWith } from './servers/program.js';
import { cutAfter, type Spoil, startRelay } from './servers/relay.js';
import { freePorts } from './servers/running.js';
import { FORBIDDEN_HOST, SQUID_USER, type Squid, startSquid } from './servers/squid.js';

/** As it stands in the URL of a proxy, and as it goes over the wire. */
const USERINFO = `${SQUID_USER.name}:${encodeURIComponent(SQUID_USER.password)}`;
const CREDENTIALS = `Basic ${Buffer.from(`${SQUID_USER.name}:${SQUID_USER.password}`).toString('base64')}`;

describeWith(['squid', 'openssl', 'curl'], 'squid', () => {
  let origin: Origin;
  let squid: Squid;
  beforeAll(async () => {
    origin = await startOrigin();
    squid = await startSquid(origin.identity, origin.authority.cert);
  });
  afterAll(async () => {
    await squid?.stop();
    await origin?.[Symbol.asyncDispose]();
  });

  const proxy =
    (scheme: 'http' | 'https', userinfo = '') =>
    (port: number, options: PoolManagerOptions) =>
      new ProxyManager(`${scheme}://${userinfo === '' ? '' : `${userinfo}@`}127.0.0.1:${port}`, options);

  for (const scheme of ['http', 'https'] as const) {
    const way = { origin: () => origin, scheme, host: 'h0.origin.test', forwards: scheme === 'http' };
    const what = scheme === 'http' ? 'requests in absolute form' : 'tunnels';
    describeProxied(what, { ...way, proxyPort: () => squid.open.http, make: proxy('http') });
    describeProxied(`${what}, with a password`, {
      ...way,
      proxyPort: () => squid.private.http,
      make: proxy('http', USERINFO),
    });
    describeProxied(`${what}, over TLS with the proxy, with a password`, {
      ...way,
      proxyPort: () => squid.private.https,
      make: proxy('https', USERINFO),
    });
  }

  describeProxied('https in absolute form, over TLS with the proxy', {
    origin: () => origin,
    scheme: 'https',
    host: 'h0.origin.test',
    forwards: true,
    proxyPort: () => squid.open.https,
    make: (port, options) => new ProxyManager(`https://127.0.0.1:${port}`, { ...options, useForwardingForHttps: true }),
  });

  /** A manager without retries, for what is to fail. */
  function once(url: string, options: ProxyManagerOptions = {}): ProxyManager {
    return new ProxyManager(url, { caCerts: origin.authority.cert, retries: false, timeout: 10, ...options });
  }

  describe('credentials', () => {
    test.each(['http', 'https'] as const)(
      'of the proxy reach no origin, those of the origin no proxy (%s)',
      async (scheme) => {
        await using relay = await startRelay(squid.private.http);
        await using http = new ProxyManager(`http://${USERINFO}@127.0.0.1:${relay.port}`, {
          caCerts: origin.authority.cert,
        });
        const marker = `/secrets/${Math.random()}`;
        const headers = makeHeaders({ basicAuth: 'someone:secret' });
        for (let turn = 0; turn < 3; turn++) {
          const response = await http.request('GET', origin.url(scheme, marker, 'h1.origin.test'), { headers });
          expect(response.status).toBe(200);
        }
        for (const { headers: received } of origin.seen(marker)) {
          expect(received.authorization).toBe(headers.authorization);
          expect(JSON.stringify(received)).not.toContain(CREDENTIALS.slice('Basic '.length));
        }
        const [sent = '', ...others] = relay.sent;
        expect(others).toEqual([]);
        // Once for a tunnel, else with each request.
        expect(sent.split(`\r\nProxy-Authorization: ${CREDENTIALS}\r\n`)).toHaveLength(scheme === 'http' ? 4 : 2);
        // To what is not a tunnel the origin's are sent, as to the origin.
        expect(sent.includes(headers.authorization ?? 'nothing')).toBe(scheme === 'http');
      },
    );

    test.each([
      ['none', ''],
      ['wrong ones', 'user:wrong@'],
    ])(
      '%s: 407, as a response where there is no tunnel and as a ProxyError where there is',
      async (_which, userinfo) => {
        for (const [scheme, port] of [
          ['http', squid.private.http],
          ['https', squid.private.https],
        ] as const) {
          await using http = once(`${scheme}://${userinfo}127.0.0.1:${port}`);
          const marker = `/unauthorized/${Math.random()}`;
          const plain = await http.request('GET', origin.url('http', marker));
          expect(plain.status).toBe(407);
          expect(plain.headers.get('proxy-authenticate')).toBe('Basic realm="squid"');
          const error: unknown = await http.request('GET', origin.url('https', marker)).catch((reason) => reason);
          expect(error).toBeInstanceOf(ProxyError);
          expect(error).toMatchObject({
            status: 407,
            message: expect.stringContaining('Proxy Authentication Required'),
          });
          expect(String(error)).not.toContain('wrong');
          expect(origin.seen(marker)).toEqual([]);
        }
      },
    );

    test('are known to squid by the name that the URL has', async () => {
      await using http = once(`http://${USERINFO}@127.0.0.1:${squid.private.http}`);
      const marker = `/named/${Math.random()}`;
      expect((await http.request('GET', origin.url('http', marker))).status).toBe(200);
      expect(await squid.requests(marker, 1)).toMatchObject([{ method: 'GET', status: 200, user: SQUID_USER.name }]);
    });

    test('may be given as a field', async () => {
      const proxyHeaders = makeHeaders({ proxyBasicAuth: `${SQUID_USER.name}:${SQUID_USER.password}` });
      // makeHeaders() encodes as latin1, as the reference does; squid compares bytes.
      expect(proxyHeaders['proxy-authorization']).not.toBe(CREDENTIALS);
      await using http = once(`http://127.0.0.1:${squid.private.http}`, {
        proxyHeaders: { 'Proxy-Authorization': CREDENTIALS },
      });
      expect((await http.request('GET', origin.url('https'))).status).toBe(200);
    });
  });

  describe('failures', () => {
    test('a target that nobody listens at: 503, as a response and as a ProxyError', async () => {
      const [closed] = await freePorts(1);
      await using http = once(`http://127.0.0.1:${squid.open.http}`);
      expect((await http.request('GET', `http://127.0.0.1:${closed}/`)).status).toBe(503);
      const error = http.request('GET', `https://127.0.0.1:${closed}/`);
      await expect(error).rejects.toMatchObject({ name: 'ProxyError', status: 503 });
    });

    test('a name that nobody knows: a 5xx, as a response and as a ProxyError', async () => {
      await using http = once(`http://127.0.0.1:${squid.open.http}`);
      expect((await http.request('GET', 'http://unknown.invalid/')).status).toBeGreaterThanOrEqual(500);
      const error: unknown = await http.request('GET', 'https://unknown.invalid/').catch((reason) => reason);
      expect(error).toBeInstanceOf(ProxyError);
      expect(error instanceof ProxyError && error.status).toBeGreaterThanOrEqual(500);
    });

    test('a host that its rules forbid: 403, as a response and as a ProxyError', async () => {
      await using http = once(`http://127.0.0.1:${squid.open.http}`);
      expect((await http.request('GET', `http://${FORBIDDEN_HOST}/`)).status).toBe(403);
      const error = http.request('GET', `https://${FORBIDDEN_HOST}/`);
      await expect(error).rejects.toMatchObject({ name: 'ProxyError', status: 403 });
    });

    test('no proxy there: a ProxyError, tried again as `connect` says', async () => {
      const [closed] = await freePorts(1);
      for (const scheme of ['http', 'https'] as const) {
        await using http = once(`http://127.0.0.1:${closed}`);
        await expect(http.request('GET', origin.url(scheme))).rejects.toThrow(ProxyError);
        const retries = new Retry({ total: 9, connect: 2, read: 0, other: 0 });
        const error: unknown = await http.request('GET', origin.url(scheme), { retries }).catch((reason) => reason);
        expect(error).toBeInstanceOf(MaxRetryError);
        expect(error).toMatchObject({ reason: expect.any(ProxyError), attempts: { length: 3 } });
      }
    });

    test('a proxy or a target whose authority nobody knows: an error of TLS that tells which, and nothing is sent', async () => {
      const stranger = await authority('A stranger');
      await using relay = await startRelay(squid.private.https);
      const url = `https://${USERINFO}@127.0.0.1:${relay.port}`;
      await using atProxy = once(url, { caCerts: stranger.cert });
      for (const scheme of ['http', 'https'] as const) {
        const unsent = `unsent-${Math.random()}.origin.test`;
        const error: unknown = await atProxy.request('GET', origin.url(scheme, '/', unsent)).catch((reason) => reason);
        expect(error).toBeInstanceOf(ProxyError);
        expect(error).toMatchObject({ cause: expect.any(SSLError) });
        await relay.idle();
        expect(await squid.requests(unsent, 0)).toEqual([]);
      }

      const marker = `/untrusted/${Math.random()}`;
      await using atTarget = once(`http://127.0.0.1:${squid.open.http}`, { caCerts: stranger.cert });
      await expect(atTarget.request('GET', origin.url('https', marker))).rejects.toThrow(SSLError);
      expect(origin.seen(marker)).toEqual([]);
    });

    test('a target that is not who it should be: an SSLError, inside a tunnel as outside', async () => {
      await using http = once(`http://127.0.0.1:${squid.open.http}`);
      // An address of loopback that is not in the certificate.
      await expect(http.request('GET', origin.url('https', '/', '127.0.0.2'))).rejects.toThrow(SSLError);
    });
  });

  describe('an answer to CONNECT that is spoilt on its way', () => {
    /** How many bytes squid's consent has. */
    async function answerBytes(): Promise<number> {
      let first = 0;
      await using relay = await startRelay(squid.open.http, (bytes, before) => {
        if (before === 0) first = bytes.length;
        return bytes;
      });
      await using http = once(`http://127.0.0.1:${relay.port}`);
      await http.request('GET', origin.url('https'));
      return first;
    }

    test('cut at each byte: a ProxyError, and no connection is left', async () => {
      const whole = await answerBytes();
      expect(whole).toBeGreaterThan(20);
      for (let length = 0; length < whole; length++) {
        await using relay = await startRelay(squid.open.http, cutAfter(length));
        await using http = once(`http://127.0.0.1:${relay.port}`);
        const error: unknown = await http.request('GET', origin.url('https')).catch((reason) => reason);
        expect(error, `cut after ${length} bytes`).toBeInstanceOf(ProxyError);
        await relay.idle();
      }
    });

    test.each([
      ['bytes that are no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
      ['zeros', '\0'.repeat(100)],
      ['a head without an end', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(100_000)}`],
      ['a status that is no number', 'HTTP/1.1 abc OK\r\n\r\n'],
      ['the answer to another question', 'HTTP/1.1 304 Not Modified\r\n\r\n'],
    ])('%s: a ProxyError', async (_what, answer) => {
      await using relay = await startRelay(squid.open.http, () => Buffer.from(answer));
      await using http = once(`http://127.0.0.1:${relay.port}`);
      await expect(http.request('GET', origin.url('https'))).rejects.toThrow(ProxyError);
      await relay.idle();
    });

    test('garbage behind it is what TLS finds: an SSLError', async () => {
      const garbage: Spoil = (bytes, before) =>
        before === 0 ? Buffer.concat([bytes, Buffer.from('garbage!')]) : bytes;
      await using relay = await startRelay(squid.open.http, garbage);
      await using http = once(`http://127.0.0.1:${relay.port}`);
      await expect(http.request('GET', origin.url('https'))).rejects.toThrow(SSLError);
      await relay.idle();
    });
  });

  test.each([
    { scheme: 'http', connections: 10 },
    { scheme: 'https', connections: 50 },
  ] as const)(
    '2,000 requests over $scheme to 10 hosts, 50 at a time: $connections connections, and none is left',
    async ({ scheme, connections }) => {
      await using relay = await startRelay(squid.open.http);
      const size = connections / (scheme === 'http' ? 1 : HOSTS.length);
      const http = new ProxyManager(`http://127.0.0.1:${relay.port}`, {
        caCerts: origin.authority.cert,
        numPools: HOSTS.length,
        maxsize: size,
        block: true,
        timeout: 30,
      });
      const marker = `/load/${Math.random()}`;
      const before = { requests: origin.requests.length, connections: origin.connections };
      const hosts = await concurrently(2_000, 50, async (index) => {
        const url = origin.url(scheme, marker, HOSTS[index % HOSTS.length]);
        const isPost = index % 4 === 1;
        const response = await http.request(isPost ? 'POST' : 'GET', url, { body: isPost ? 'abc' : null });
        expect(response.retries?.history).toEqual([]);
        return (await seenBy(response)).headers.host;
      });
      const wanted = Array.from(
        { length: 2_000 },
        (_, index) => `${HOSTS[index % HOSTS.length]}:${origin.ports[scheme]}`,
      );
      expect(hosts).toEqual(wanted);
      expect(origin.requests.length - before.requests, 'each request is sent once').toBe(2_000);
      expect(http.pools.size).toBe(scheme === 'http' ? 1 : HOSTS.length);
      const pools = [...http.pools.keys()].map((key) => http.pools.get(key));
      for (const pool of pools) expect(pool?.numConnections).toBeLessThanOrEqual(size);
      expect(relay.sent.length).toBe(connections);
      expect(relay.open).toBe(connections);
      const atOrigin = origin.connections - before.connections;
      if (scheme === 'https') expect(atOrigin, 'a tunnel leads to a connection').toBe(connections);
      http.clear();
      await relay.idle();
      expect(relay.open).toBe(0);
    },
  );

  test('proxyFromEnvironment() goes through squid, with its password, and past it where NO_PROXY says so', async () => {
    await using relay = await startRelay(squid.private.http);
    const variables = {
      http_proxy: `http://${USERINFO}@127.0.0.1:${relay.port}`,
      HTTPS_PROXY: `http://${USERINFO}@127.0.0.1:${relay.port}`,
      no_proxy: '.direct.test,127.0.0.0/8',
    };
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    try {
      await using http = proxyFromEnvironment({ caCerts: origin.authority.cert, retries: false });
      expect((await http.request('GET', origin.url('http', '/', 'h3.origin.test'))).status).toBe(200);
      expect((await http.request('GET', origin.url('https', '/', 'h3.origin.test'))).status).toBe(200);
      expect(relay.sent).toHaveLength(2);
      expect((await http.request('GET', origin.url('https', '/', '127.0.0.1'))).status).toBe(200);
      expect(relay.sent).toHaveLength(2);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test.each(['http', 'https'] as const)('curl and ProxyManager ask squid the same way (%s)', async (scheme) => {
    await using relay = await startRelay(squid.open.http);
    const url = origin.url(scheme, '/same', 'h2.origin.test');
    await using http = once(`http://127.0.0.1:${relay.port}`);
    await http.request('GET', url);
    const known = await curl('--noproxy', '', '-k', '-x', `http://127.0.0.1:${relay.port}`, url);
    expect(known.exitCode).toBe(0);
    const [ours, theirs] = relay.sent.map((sent) => sent.split('\r\n\r\n')[0]?.split('\r\n') ?? []);
    expect(ours?.[0]).toBe(theirs?.[0]);
    expect(ours?.[1]).toBe(theirs?.[1]);
  });
});
