/** Security cases of redirects, through every entry that follows them over direct connections. */
import net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../../src/connectionpool.js';
import {
  HTTPError,
  LocationValueError,
  MaxRetryError,
  UnrewindableBodyError,
  URLSchemeUnknown,
} from '../../src/exceptions.js';
import { type HeadersInput, HTTPHeaderDict } from '../../src/headers.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';
import { HTTPResponse } from '../../src/response.js';
import { request as requestTopLevel } from '../../src/top-level.js';
import { Retry } from '../../src/util/retry.js';
import { ok, type Peer, redirectTo, reply, type Script, startPeer, testCertificate } from '../pool-peers.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
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

type Entry = (url: string, options: RequestOptions) => Promise<HTTPResponse>;

function poolFor(url: string): HTTPConnectionPool {
  const { hostname, port } = new URL(url);
  const pool = new HTTPConnectionPool(hostname, { port: Number(port) });
  opened.push(pool);
  return pool;
}

/** Every entry that follows redirects. A pool asks its own host for the other origin, as one asks a proxy. */
const ENTRIES: Readonly<Record<string, Entry>> = {
  'PoolManager.request()': (url, options) => managerOf().request('GET', url, options),
  'PoolManager.urlopen()': (url, options) => managerOf().urlopen('GET', url, options),
  'PoolManager.requestEncodeUrl()': (url, options) =>
    managerOf().requestEncodeUrl('GET', url, { headers: options.headers }),
  'PoolManager, streamed': (url, options) => managerOf().request('GET', url, { ...options, preloadContent: false }),
  'PoolManager, headers of its own': (url, { headers }) => managerOf({ headers }).request('GET', url),
  'request()': (url, options) => requestTopLevel('GET', url, options),
  'HTTPConnectionPool.request()': (url, options) =>
    poolFor(url).request('GET', '/', { ...options, assertSameHost: false }),
  'HTTPConnectionPool.urlopen(), streamed': (url, options) =>
    poolFor(url).urlopen('GET', '/', { ...options, assertSameHost: false, preloadContent: false }),
  'a pool of a manager': (url, options) =>
    managerOf()
      .connectionFromUrl(url)
      .request('GET', '/', { ...options, assertSameHost: false }),
};

const SECRETS = { Authorization: 'Basic c2VjcmV0', Cookie: 'sid=secret', 'Proxy-Authorization': 'Basic cHJveHk=' };

describe.each(Object.keys(ENTRIES))('%s', (name) => {
  const entry: Entry = (url, options) => ENTRIES[name]?.(url, options) ?? expect.fail(name);

  test.each([301, 302, 303, 307, 308])(
    'SEC-048, SEC-049, SEC-050, SEC-051 (CVE-2018-20060, CVE-2023-43804, CVE-2024-37891, CVE-2026-44431): a %s to another port carries no credentials',
    async (status) => {
      const b = await peerOf(() => ok());
      const a = await peerOf(({ target }) => (target === '/' ? redirectTo(`${b.url}/next`, status) : ok()));
      await entry(a.url, { headers: { ...SECRETS, 'X-Kept': 'yes' } });
      expect(a.requests[0]?.field('authorization')).toBe(SECRETS.Authorization);
      const next = [...b.requests, ...a.requests.slice(1)];
      expect(next).toHaveLength(1);
      expect(next[0]?.field('x-kept')).toBe('yes');
      for (const secret of Object.keys(SECRETS)) expect(next[0]?.all(secret)).toEqual([]);
    },
  );

  test('SEC-048: a redirect within the origin, however it is spelt, keeps them', async () => {
    let turn = 0;
    const peer: Peer = await peerOf(({ target }) => {
      if (target !== '/') return ok();
      return turn++ % 2 === 0 ? redirectTo(`HTTP://127.0.0.1:${peer.port}/next`) : redirectTo('next');
    });
    for (const _ of ['absolute', 'relative']) {
      await entry(peer.url, { headers: SECRETS });
      expect(peer.requests.at(-1)?.target).toBe('/next');
      for (const [field, value] of Object.entries(SECRETS)) expect(peer.requests.at(-1)?.field(field)).toBe(value);
    }
  });

  const SHAPES: Readonly<Record<string, HeadersInput>> = {
    'an object': { AUTHORIZATION: 'a', cookie: 'b', 'proxy-Authorization': 'c' },
    'arrays as values': { Authorization: ['a', 'b'], COOKIE: ['c', 'd'] },
    'a Map': new Map([
      ['authorization', 'a'],
      ['Authorization', 'b'],
      ['cOOkie', 'c'],
    ]),
    Headers: new Headers({ Authorization: 'a', Cookie: 'b' }),
    pairs: [
      ['Authorization', 'a'],
      ['authorization', 'b'],
      ['AUTHORIZATION', 'c'],
      ['Cookie', 'd'],
      ['cookie', 'e'],
    ],
    HTTPHeaderDict: new HTTPHeaderDict([
      ['Authorization', 'a'],
      ['AUTHORIZATION', 'b'],
      ['Cookie', 'c'],
    ]),
  };

  test.each(Object.keys(SHAPES))('SEC-052 (CVE-2018-25091): no copy in no spelling survives in %s', async (shape) => {
    const b = await peerOf(() => ok());
    const a = await peerOf(({ target }) => (target === '/' ? redirectTo(`${b.url}/next`) : ok()));
    await entry(a.url, { headers: SHAPES[shape] });
    expect(a.requests[0]?.all('authorization').length).toBeGreaterThan(0);
    const [next] = [...b.requests, ...a.requests.slice(1)];
    expect(next?.head).toMatch(/^GET \S+next HTTP/);
    expect(next?.head).not.toMatch(/authorization|cookie/i);
  });
});

describe('other origins', () => {
  test('SEC-048: another name for the same address, a sub-domain and a trailing dot are other origins', async () => {
    const lookup = vi.fn((_host, _options, callback) => callback(null, '127.0.0.1'));
    let location = '';
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo(location) : ok()));
    for (const host of ['b.test', 'sub.a.test', 'test', 'a.test.', 'xa.test']) {
      location = `http://${host}:${peer.port}/next`;
      await managerOf({ lookup }).request('GET', `http://a.test:${peer.port}/`, { headers: SECRETS });
      expect(peer.requests.at(-1)?.target).toBe('/next');
      expect(peer.requests.at(-1)?.head, host).not.toMatch(/secret|cHJveHk/);
    }
    location = `http://A.TEST:${peer.port}/next`;
    await managerOf({ lookup }).request('GET', `http://a.test:${peer.port}/`, { headers: SECRETS });
    expect(peer.requests.at(-1)?.field('cookie')).toBe(SECRETS.Cookie);
  });

  describe('SEC-048: http and https', () => {
    let secure: Peer;
    let plain: Peer;
    let caCerts: string;
    let location = '';
    beforeAll(async () => {
      const { key, cert } = await testCertificate();
      caCerts = cert;
      const script: Script = ({ target }) => (target === '/' ? redirectTo(location) : ok());
      secure = await startPeer(script, { tls: { key, cert } });
      plain = await startPeer(script);
    });
    afterAll(async () => {
      await secure[Symbol.asyncDispose]();
      await plain[Symbol.asyncDispose]();
    });

    test('https to http, and http to https, carry no credentials', async () => {
      const manager = managerOf({ caCerts });
      for (const [from, to] of [
        [secure, plain],
        [plain, secure],
      ] as const) {
        location = `${to.url}/next`;
        const response = await manager.request('GET', from.url, { headers: SECRETS });
        expect(response.getUrl()).toBe(`${to.url}/next`);
        expect(to.requests.at(-1)?.head).not.toMatch(/secret|cHJveHk/);
      }
    });

    test('a pool of https refuses a redirect to http', async () => {
      location = `http://127.0.0.1:${secure.port}/next`;
      await using pool = new HTTPSConnectionPool('127.0.0.1', { port: secure.port, caCerts });
      expect(await rejection(pool.request('GET', '/'))).toMatchObject({ name: 'HostChangedError' });
    });
  });

  test('SEC-053 (CVE-2024-45336, CVE-2023-45289): once stripped, credentials stay off for the rest of the chain', async () => {
    const hops: Record<string, string> = {};
    const script: Script = ({ target, field }) => {
      const next = hops[`${field('host')}${target}`];
      return next === undefined ? ok() : redirectTo(next);
    };
    const a = await peerOf(script);
    const b = await peerOf(script);
    hops[`127.0.0.1:${a.port}/`] = `${b.url}/1`;
    hops[`127.0.0.1:${b.port}/1`] = '/2';
    hops[`127.0.0.1:${b.port}/2`] = `${a.url}/3`;
    await managerOf().request('GET', a.url, { headers: SECRETS });
    const later = [...b.requests, ...a.requests.slice(1)];
    expect(later.map(({ target }) => target)).toEqual(['/1', '/2', '/3']);
    for (const { head } of later) expect(head).not.toMatch(/secret|cHJveHk/);
  });

  test('SEC-054 (CVE-2026-40895): removeHeadersOnRedirect takes names of the caller’s, and only an empty list takes none', async () => {
    const b = await peerOf(() => ok());
    const a = await peerOf(({ target }) => (target === '/' ? redirectTo(`${b.url}/next`) : ok()));
    const headers = { ...SECRETS, 'X-API-Key': 'key' };
    const own = new Retry(3, { removeHeadersOnRedirect: ['x-api-KEY', 'Authorization'] });
    await managerOf().request('GET', a.url, { headers, retries: own });
    expect(b.requests.at(-1)?.field('x-api-key')).toBeUndefined();
    expect(b.requests.at(-1)?.field('authorization')).toBeUndefined();
    expect(b.requests.at(-1)?.field('cookie')).toBe(SECRETS.Cookie);
    await managerOf({ retries: own }).request('GET', a.url, { headers });
    expect(b.requests.at(-1)?.field('x-api-key')).toBeUndefined();
    await poolFor(a.url).request('GET', '/', { headers, retries: own, assertSameHost: false });
    expect(a.requests.at(-1)?.field('x-api-key')).toBeUndefined();
    await managerOf().request('GET', a.url, { headers, retries: new Retry(3, { removeHeadersOnRedirect: [] }) });
    expect(b.requests.at(-1)?.field('authorization')).toBe(SECRETS.Authorization);
  });
});

describe('methods and bodies', () => {
  test.each(['manager', 'pool'])(
    'SEC-055 (CVE-2023-45803): a 303 loses content and its fields, through a %s',
    async (entry) => {
      const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/next', 303) : ok()));
      const headers = {
        'Content-Type': 'text/x',
        'Content-Language': 'de',
        'Content-Encoding': 'x',
        Digest: 'x',
        'X-Kept': '1',
      };
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        for (const options of [{ body: 'secret' }, { body: 'secret', chunked: true }]) {
          const requester = entry === 'manager' ? managerOf() : poolFor(peer.url);
          await requester.urlopen(method, entry === 'manager' ? peer.url : '/', { ...options, headers });
          const next = peer.requests.at(-1);
          expect(next?.method).toBe('GET');
          expect(next?.body).toHaveLength(0);
          expect(next?.head).not.toMatch(/content-|transfer-|digest/i);
          expect(next?.field('x-kept')).toBe('1');
        }
      }
      await managerOf().request('HEAD', peer.url);
      expect(peer.requests.at(-1)).toMatchObject({ method: 'HEAD', target: '/next' });
      await managerOf().request('POST', peer.url, { fields: { secret: 'x' } });
      expect(peer.requests.at(-1)?.head).not.toMatch(/content-/i);
    },
  );

  test.each([
    ['manager', 307],
    ['manager', 308],
    ['pool', 307],
    ['pool', 308],
  ] as const)('SEC-055: a one-shot body is not sent empty or in part, through a %s on a %s', async (entry, status) => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/next', status) : ok()));
    async function* oneShot() {
      yield 'content';
    }
    const requester = entry === 'manager' ? managerOf() : poolFor(peer.url);
    const url = entry === 'manager' ? peer.url : '/';
    expect(await rejection(requester.urlopen('POST', url, { body: oneShot() }))).toBeInstanceOf(UnrewindableBodyError);
    expect(peer.requests).toHaveLength(1);
    expect(peer.received.split('POST /next')).toHaveLength(1);
    const response = await requester.urlopen('POST', url, { body: () => oneShot() });
    expect(response.status).toBe(200);
    expect(peer.requests.at(-1)?.body.toString()).toBe('content');
  });
});

describe('SEC-056 (CVE-2025-50181, CVE-2025-50182): redirects can be switched off and are bounded', () => {
  const SWITCHES: readonly (readonly [string, RequestOptions, number])[] = [
    ['redirect: false', { redirect: false }, 0],
    ['retries: false', { retries: false }, 0],
    ['retries: 0', { retries: 0 }, 0],
    ['new Retry(0)', { retries: new Retry(0) }, 0],
    ['new Retry({ redirect: 0 })', { retries: new Retry({ redirect: 0 }) }, 0],
    ['new Retry({ redirect: false })', { retries: new Retry({ redirect: false }) }, 0],
    ['new Retry(false)', { retries: new Retry(false) }, 0],
    ['retries: 2', { retries: 2 }, 2],
    ['new Retry({ redirect: 2 })', { retries: new Retry({ redirect: 2 }) }, 2],
    ['retries: null', { retries: null }, 20],
  ];

  test.each(SWITCHES)(
    '%s, of the request, the manager and the pool: the target gets no request too many',
    async (_name, options, allowed) => {
      const target = await peerOf(() => redirectTo('/loop'));
      const guard = await peerOf(() => redirectTo(`${target.url}/loop`));
      const ofRequest = () => managerOf().request('GET', guard.url, options);
      const { retries } = options;
      const ofManager = () => managerOf({ retries }).request('GET', guard.url, { redirect: options.redirect });
      const ofPool = () => {
        const { host, port } = { host: '127.0.0.1', port: target.port };
        return new HTTPConnectionPool(host, { port, retries }).request('GET', '/', { redirect: options.redirect });
      };
      for (const make of [ofRequest, ofManager, ofPool]) {
        const before = target.requests.length;
        const outcome = await make().catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(MaxRetryError);
        else expect(outcome).toMatchObject({ status: 302 });
        // The pool's first request goes to the target itself.
        expect(target.requests.length - before).toBe(make === ofPool ? allowed + 1 : allowed);
      }
    },
  );

  test('2,000 hops are a loop, not a stack', async () => {
    const peer = await peerOf(({ target }) => {
      const left = Number(target.slice(1));
      return left === 0 ? ok('there') : reply(302, '', { Location: `/${left - 1}` });
    });
    // Not 10,000: each hop copies the history before it, so that the cost grows with the square.
    const response = await managerOf().request('GET', `${peer.url}/2000`, { retries: 2_000 });
    expect(response.data.toString()).toBe('there');
    expect(response.retries?.history).toHaveLength(2_000);
  });
});

describe('SEC-057 (CVE-2009-0037, CVE-2011-1521, CVE-2022-33987): other protocols', () => {
  test.each([
    'file:///etc/passwd',
    'unix:/var/run/docker.sock',
    'http+unix://%2Fvar%2Frun%2Fdocker.sock/info',
    'ftp://127.0.0.1/x',
    'data:text/plain,x',
    'javascript:alert(1)',
    'ldap://127.0.0.1/',
  ])('a Location "%s" is refused, and nothing is opened', async (location) => {
    const peer = await peerOf(({ target }) => (target === '/ok' ? ok() : redirectTo(location)));
    const manager = managerOf({ maxsize: 1, block: true });
    await manager.request('GET', `${peer.url}/ok`);
    const connect = vi.spyOn(net, 'connect');
    const error = await rejection(manager.request('GET', peer.url));
    expect(error).toBeInstanceOf(LocationValueError);
    if (!location.startsWith('data')) expect(error).toBeInstanceOf(URLSchemeUnknown);
    expect(await rejection(poolFor(peer.url).request('GET', '/'))).toBeInstanceOf(HTTPError);
    const dialled = connect.mock.calls.flatMap(([given]) => (typeof given === 'object' ? [JSON.stringify(given)] : []));
    for (const options of dialled) expect(options).toContain(`"port":${peer.port}`);
    expect((await manager.request('GET', `${peer.url}/ok`, { poolTimeout: 2 })).status).toBe(200);
  });
});

describe('SEC-058 (CVE-2022-0235, CVE-2023-26159, CVE-2026-25765): Location is read in one way only', () => {
  test.each([
    { location: '//127.0.0.1:PORT/x', target: '/x', own: false },
    { location: '/x', target: '/x', own: true },
    { location: 'x?y', target: '/dir/x?y', own: true },
    { location: '?y', target: '/dir/page?y', own: true },
    { location: '../x', target: '/x', own: true },
    { location: '/a/../../x', target: '/x', own: true },
    { location: '#fragment', target: '/dir/page', own: true },
    { location: '', target: 'nowhere', own: true },
    { location: '/x y%zz', target: '/x%20y%25zz', own: true },
    { location: '/\u00c3\u00a9', target: '/%C3%A9', own: true },
    { location: '/\u00e9', target: '/%E9', own: true },
    { location: '/\\127.0.0.1:PORT/x', target: '/%5C127.0.0.1:PORT/x', own: true },
    { location: '\\\\127.0.0.1:PORT/x', target: '/dir/%5C%5C127.0.0.1:PORT/x', own: true },
  ])('"$location" leads to $target', async ({ location, target, own }) => {
    const b = await peerOf(() => ok());
    const at = (text: string) => text.replaceAll('PORT', String(b.port));
    let isFirst = true;
    const a = await peerOf(() => {
      if (!isFirst) return ok();
      isFirst = false;
      return Buffer.from(`HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ${at(location)}\r\n\r\n`, 'latin1');
    });
    const response = await managerOf({ retries: 1 })
      .request('GET', `${a.url}/dir/page`, { headers: SECRETS })
      .catch((error: unknown) => error);
    const [next] = own ? a.requests.slice(1) : b.requests;
    if (location === '') {
      // It would mean "this very page" (RFC 3986 section 5.2.2); as in the reference, it is none.
      expect(response).toMatchObject({ status: 302 });
      expect(a.requests).toHaveLength(1);
      return;
    }
    expect(next?.target).toBe(at(target));
    expect(response).toMatchObject({ url: `${own ? a.url : b.url}${at(target)}` });
    expect(next?.field('cookie')).toBe(own ? SECRETS.Cookie : undefined);
    expect(own ? b.sockets : a.requests.slice(1)).toHaveLength(0);
  });

  test.each(['http:x', 'http:///x', 'http://', 'ht tp://x/', 'http://127.0.0.1:99999/', 'http://a\\@b/'])(
    '"%s" is an error, and the connection is free again',
    async (location) => {
      const peer = await peerOf(({ target }) =>
        target === '/ok' ? ok() : `HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ${location}\r\n\r\n`,
      );
      const asked: string[] = [];
      const manager = managerOf({
        maxsize: 1,
        block: true,
        lookup: (host, _options, callback) => {
          asked.push(host);
          callback(null, host);
        },
      });
      const outcome = await manager.request('GET', peer.url, { retries: 1 }).catch((error: unknown) => error);
      expect(outcome).toBeInstanceOf(LocationValueError);
      expect(peer.requests).toHaveLength(1);
      expect(asked).toEqual(['127.0.0.1']);
      expect((await manager.request('GET', `${peer.url}/ok`, { poolTimeout: 1 })).status).toBe(200);
    },
  );

  test('two Location lines that differ are followed nowhere, two that agree are one', async () => {
    const b = await peerOf(() => ok());
    const a = await peerOf(({ target }) =>
      target === '/ok'
        ? ok()
        : `HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ${b.url}/1\r\nLocation: ${b.url}/2\r\n\r\n`,
    );
    const outcome = await managerOf()
      .request('GET', a.url)
      .catch((error: unknown) => error);
    expect(outcome).toSatisfy((value) => value instanceof HTTPError || (value as HTTPResponse).status === 302);
    expect(b.requests).toHaveLength(0);
    expect(
      new HTTPResponse({
        status: 302,
        headers: [
          ['Location', '/x'],
          ['location', '/x'],
        ],
      }).getRedirectLocation(),
    ).toBe('/x');
  });
});

test('SEC-059 (CVE-2025-27221): user-info of URL and Location goes nowhere, and no Referer is added', async () => {
  const b = await peerOf(({ target }) => (target === '/1' ? redirectTo('/2') : ok()));
  const a = await peerOf(() => redirectTo(`http://mallory:hidden@127.0.0.1:${b.port}/1`));
  const response = await managerOf().request('GET', `http://alice:s3cret@127.0.0.1:${a.port}/`);
  const wire = a.received + b.received;
  expect(wire).not.toMatch(/alice|s3cret|mallory|hidden|referer|authorization/i);
  expect(response.getUrl()).toBe(`${b.url}/2`);
  const relative = await peerOf(({ target }) => (target === '/' ? redirectTo('//127.0.0.1:1/x') : ok()));
  const error = await rejection(managerOf().request('GET', `http://alice:s3cret@127.0.0.1:${relative.port}/`));
  expect(String(error)).not.toMatch(/alice|s3cret/);
});

test('SEC-060 (CVE-2020-28168, CVE-2023-28155): a lookup that refuses addresses is asked on every hop', async () => {
  const inner = await peerOf(() => ok('secret'), { host: '127.0.0.2' });
  let location = '';
  const outer = await peerOf(() => redirectTo(location));
  const asked: string[] = [];
  const manager = managerOf({
    retries: new Retry(1, { connect: 0 }),
    lookup: (host, _options, callback) => {
      asked.push(host);
      const address = host === 'name.test' ? '127.0.0.2' : host;
      if (address === '127.0.0.2') callback(new Error('refused by policy'), '');
      else callback(null, address);
    },
  });
  for (const host of ['127.0.0.2', 'name.test']) {
    location = `http://${host}:${inner.port}/`;
    expect(await rejection(manager.request('GET', outer.url))).toBeInstanceOf(HTTPError);
    expect(asked.at(-1)).toBe(host);
  }
  expect(inner.sockets).toHaveLength(0);
});

test('SEC-113 (CVE-2024-24750): an endless body of a redirect or a busy answer is read to a limit, then its connection closed', async () => {
  const endless =
    (head: string): Script =>
    ({ target }, socket) => {
      if (target === '/next') return ok('there');
      socket.write(`HTTP/1.1 ${head}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      const pour = () => {
        while (!socket.destroyed && socket.write(chunk));
        if (!socket.destroyed) socket.once('drain', pour);
      };
      pour();
      return undefined;
    };
  const peer = await peerOf(endless('302 Found\r\nLocation: /next'));
  for (const requester of [managerOf(), poolFor(peer.url)]) {
    const response = await requester.request('GET', requester instanceof PoolManager ? peer.url : '/');
    expect(response.data.toString()).toBe('there');
  }
  await peer.until(({ openSockets }) => openSockets === 2);
  // What the client took; the rest is in the kernel's buffers.
  for (const socket of peer.sockets) expect(socket.bytesWritten).toBeLessThan(16 * 1024 * 1024);
  let turn = 0;
  const busy = await peerOf((request, socket) =>
    turn++ === 0 ? endless('503 Busy\r\nRetry-After: 0')(request, socket) : ok('done'),
  );
  expect((await managerOf().request('GET', busy.url)).data.toString()).toBe('done');
});
