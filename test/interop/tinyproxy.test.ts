import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProxyError } from '../../src/exceptions.js';
import { type PoolManagerOptions, ProxyManager } from '../../src/poolmanager.js';
import { makeHeaders } from '../../src/util/request.js';
import { Retry } from '../../src/util/retry.js';
import { describeProxied, seenBy } from './proxied.js';
import { type Origin, startOrigin } from './servers/origin.js';
import { describeWith } from './servers/program.js';
import { cutAfter, startRelay } from './servers/relay.js';
import { freePorts } from './servers/running.js';
import { startTinyproxy, TINYPROXY_USER, type Tinyproxy } from './servers/tinyproxy.js';

describeWith(['tinyproxy'], 'tinyproxy', () => {
  let origin: Origin;
  const proxies: { open?: Tinyproxy; private?: Tinyproxy; narrow?: Tinyproxy } = {};
  const port = (which: keyof typeof proxies) => proxies[which]?.port ?? 0;
  beforeAll(async () => {
    origin = await startOrigin();
    proxies.open = await startTinyproxy('open');
    proxies.private = await startTinyproxy('private');
    proxies.narrow = await startTinyproxy(origin.ports.https);
  });
  afterAll(async () => {
    await Promise.all(Object.values(proxies).map((proxy) => proxy.stop()));
    await origin?.[Symbol.asyncDispose]();
  });

  const proxy = (userinfo: string) => (at: number, options: PoolManagerOptions) =>
    new ProxyManager(`http://${userinfo}127.0.0.1:${at}`, options);

  describeProxied('requests in absolute form', {
    origin: () => origin,
    scheme: 'http',
    forwards: true,
    closesAlways: true,
    proxyPort: () => port('open'),
    // It does not announce that it closes: what is sent too soon is never read, and is not sent twice if it is tried again.
    make: (at, options) => proxy('')(at, { ...options, retries: new Retry(50, { allowedMethods: null }) }),
  });
  describeProxied('tunnels, by a consent in HTTP/1.0', {
    origin: () => origin,
    scheme: 'https',
    proxyPort: () => port('open'),
    make: proxy(''),
  });
  describeProxied('tunnels, with a password', {
    origin: () => origin,
    scheme: 'https',
    proxyPort: () => port('private'),
    make: proxy(`${TINYPROXY_USER}@`),
  });

  function once(at: number, userinfo = ''): ProxyManager {
    return new ProxyManager(`http://${userinfo}127.0.0.1:${at}`, {
      caCerts: origin.authority.cert,
      retries: false,
      timeout: 10,
    });
  }

  test('a GET that meets the end of a connection is tried again without being told', async () => {
    await using http = new ProxyManager(`http://127.0.0.1:${port('open')}`);
    const marker = `/again/${Math.random()}`;
    for (let turn = 0; turn < 20; turn++)
      expect((await http.request('GET', origin.url('http', marker))).status).toBe(200);
    expect(origin.seen(marker)).toHaveLength(20);
  });

  test('it names itself to the origin of a request, and not inside a tunnel', async () => {
    await using http = once(port('open'));
    const plain = await seenBy(await http.request('GET', origin.url('http')));
    expect(plain.headers.via).toContain('tinyproxy');
    const tunnelled = await seenBy(await http.request('GET', origin.url('https')));
    expect(tunnelled.headers).not.toHaveProperty('via');
  });

  test('credentials of the proxy reach no origin, those of the origin no proxy but in a request that it passes on', async () => {
    await using relay = await startRelay(port('private'));
    await using http = once(relay.port, `${TINYPROXY_USER}@`);
    const marker = `/secrets/${Math.random()}`;
    const headers = makeHeaders({ basicAuth: 'someone:secret' });
    await http.request('GET', origin.url('http', marker), { headers });
    await http.request('GET', origin.url('https', marker), { headers });
    const expected = makeHeaders({ proxyBasicAuth: TINYPROXY_USER })['proxy-authorization'] ?? 'nothing';
    for (const received of origin.seen(marker)) {
      expect(received.headers.authorization).toBe(headers.authorization);
      expect(JSON.stringify(received.headers)).not.toContain(expected);
    }
    expect(origin.seen(marker)).toHaveLength(2);
    const [forwarded, tunnel] = relay.sent;
    expect(forwarded).toContain(expected);
    expect(tunnel).toContain(expected);
    expect(tunnel).not.toContain(headers.authorization);
  });

  describe('failures', () => {
    test.each([
      { which: 'no password', userinfo: '', status: 407 },
      { which: 'a wrong one', userinfo: 'user:wrong@', status: 401 },
    ])(
      '$which: $status, as a response and as a ProxyError, on a connection that closes',
      async ({ userinfo, status }) => {
        await using relay = await startRelay(port('private'));
        await using http = once(relay.port, userinfo);
        expect((await http.request('GET', origin.url('http'))).status).toBe(status);
        const error: unknown = await http.request('GET', origin.url('https')).catch((reason) => reason);
        expect(error).toBeInstanceOf(ProxyError);
        expect(error).toMatchObject({ status });
        await relay.idle();
      },
    );

    test('a port that its rules forbid: 403, with what it says of that', async () => {
      await using http = once(port('narrow'));
      expect((await http.request('GET', origin.url('https'))).status).toBe(200);
      const [other] = await freePorts(1);
      const error = http.request('GET', `https://127.0.0.1:${other}/`);
      await expect(error).rejects.toMatchObject({ name: 'ProxyError', status: 403 });
    });

    test('a target that nobody listens at: a 5xx, as a response and as a ProxyError', async () => {
      const [closed] = await freePorts(1);
      await using http = once(port('open'));
      expect((await http.request('GET', `http://127.0.0.1:${closed}/`)).status).toBeGreaterThanOrEqual(500);
      const error: unknown = await http.request('GET', `https://127.0.0.1:${closed}/`).catch((reason) => reason);
      expect(error).toBeInstanceOf(ProxyError);
      expect(error instanceof ProxyError && error.status).toBeGreaterThanOrEqual(500);
    });

    test('a proxy that stops in the middle of its consent: a ProxyError, and no connection is left', async () => {
      for (const length of [0, 1, 20, 60]) {
        await using relay = await startRelay(port('open'), cutAfter(length));
        await using http = once(relay.port);
        await expect(http.request('GET', origin.url('https')), `${length} bytes`).rejects.toThrow(ProxyError);
        await relay.idle();
      }
    });
  });
});
