/** Security cases of authentication and cookies, as far as they are about which request carries what: over real connections. */
import fs from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Auth } from '../../src/auth/credentials.js';
import { connectionFromUrl } from '../../src/connectionpool.js';
import { HTTPError } from '../../src/exceptions.js';
import { HTTPHeaderDict } from '../../src/headers.js';
import { PoolManager, type PoolManagerOptions, ProxyManager } from '../../src/poolmanager.js';
import type { HTTPResponse } from '../../src/response.js';
import { request as requestTopLevel } from '../../src/top-level.js';
import { makeHeaders } from '../../src/util/request.js';
import { Retry } from '../../src/util/retry.js';
import { testAuthority } from '../interop/servers/authority.js';
import { ok, type Peer, redirectTo, reply, type Script, startPeer } from '../pool-peers.js';
import { watchHandles } from '../support/leaks.js';
import { PASSWORD, startNtlmServer, USER } from '../support/ntlm-server.js';
import { proxyServer } from '../support/proxy-server.js';

watchHandles();

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function opening<T extends AsyncDisposable>(one: T): T {
  opened.push(one);
  return one;
}

const peerOf = async (script: Script, options?: Parameters<typeof startPeer>[1]): Promise<Peer> =>
  opening(await startPeer(script, options));
const managerOf = (options: PoolManagerOptions = {}) => opening(new PoolManager(options));

const NTLM = { type: 'ntlm', username: USER, password: PASSWORD } as const;
const BASIC = { type: 'basic', username: 'user', password: 'pass' } as const;
const DIGEST = { type: 'digest', username: 'user', password: 'pass' } as const;
const BEARER = { type: 'bearer', token: 'abc' } as const;

const CHALLENGES: readonly string[] = [
  'NTLM',
  'Negotiate',
  'NTLM TlRMTVNTUAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'Basic realm="r"',
  'Digest realm="r", nonce="n", qop="auth"',
  'Bearer realm="r"',
];

const authorizations = ({ requests }: Peer) =>
  requests.flatMap((request) => [...request.all('authorization'), ...request.all('proxy-authorization')]);

describe('SEC-091 (CVE-2014-0015, CVE-2015-3143, CVE-2016-0755): a connection that was logged in serves its own user alone', () => {
  test('requests of other users, or of nobody, on one manager never meet on a connection, in whatever order', async () => {
    const server = opening(await startNtlmServer());
    const client = managerOf({ maxsize: 1, block: true });
    const makers: (Auth | null)[] = [
      NTLM,
      null,
      { ...NTLM, username: 'USER' },
      { ...NTLM, workstation: 'desk' },
      { ...NTLM, domain: 'example' },
      { ...NTLM, password: 'Password' },
      BASIC,
    ];
    const answers = await Promise.all(
      [...makers, ...makers.toReversed(), ...makers].map(async (auth) => {
        const response = await client.request('GET', `${server.url}/page`, { auth });
        return { auth, status: response.status, connection: server.requests.at(-1)?.connection };
      }),
    );
    expect(answers.map(({ status }) => status === 200)).toEqual(
      answers.map(({ auth }) => auth?.type === 'ntlm' && auth.password === PASSWORD),
    );
    const users = new Map<number, Set<string>>();
    for (const { connection, message, user } of server.requests) {
      const known = users.get(connection) ?? new Set();
      users.set(connection, known.add(message === null && user === null ? 'nobody' : 'somebody'));
    }
    for (const known of users.values()) expect(known.size).toBe(1);
    // Four users with the right password: four logins, each on a connection of its own.
    expect(new Set(server.logins).size).toBe(server.logins.length);
    expect(server.logins).toHaveLength(4);
  });

  test('a redirect from elsewhere never goes over a connection that is logged in, nor does one that comes back', async () => {
    const server = opening(await startNtlmServer());
    const away = await peerOf(({ target }) => redirectTo(`${server.url}/transfer${target}`));
    const client = managerOf({ auth: { [server.url]: NTLM } });
    expect((await client.request('GET', `${server.url}/mine`)).status).toBe(200);
    const before = server.requests.length;
    const response = await client.request('GET', `${away.url}/1`);
    expect(response.status).toBe(401);
    expect(server.requests.slice(before)).toMatchObject([{ path: '/transfer/1', user: null, message: null }]);
    expect(server.requests.at(-1)?.connection).not.toBe(0);
    expect((await client.request('GET', `${server.url}/mine`)).status).toBe(200);
    expect(server.logins).toEqual([0]);
  });

  test('a redirect away from it and back is made by nobody from then on', async () => {
    const back: string[] = [];
    const away = await peerOf(() => redirectTo(back[0] ?? ''));
    const server = opening(
      await startNtlmServer({
        intercept: ({ path: at, message }) =>
          at === '/out' && message === null ? { status: 302, fields: { Location: away.url } } : undefined,
      }),
    );
    back.push(`${server.url}/back`);
    const client = managerOf();
    // The first one logs the connection in, so that the second is asked for over it as it is.
    await client.request('GET', `${server.url}/`, { auth: NTLM });
    const response = await client.request('GET', `${server.url}/out`, { auth: NTLM });
    expect(response.status).toBe(401);
    expect(authorizations(away)).toEqual([]);
    expect(server.requests.at(-1)).toMatchObject({ path: '/back', user: null, message: null });
  });

  test('a pool under a key of the caller’s own making is not asked for others, either', async () => {
    const server = opening(await startNtlmServer());
    const client = managerOf();
    const keyOf = client.keyFnByScheme.http;
    if (keyOf === undefined) throw new Error('there is a key function for http');
    client.keyFnByScheme.http = ({ scheme, host, port }) => keyOf({ scheme, host, port });
    expect((await client.request('GET', server.url, { auth: NTLM })).status).toBe(200);
    await expect(client.request('GET', server.url)).rejects.toThrow(/^Cannot make a request without the credentials/);
    const before = server.requests.length;
    await expect(client.request('GET', server.url, { auth: BASIC })).rejects.toThrow(TypeError);
    expect(server.requests).toHaveLength(before);
  });
});

describe('SEC-093 (CVE-2011-2192, CVE-2014-8650, CVE-2026-34515): nobody logs in who was not told to, and to nobody else', () => {
  test.each(CHALLENGES)('401 with %s is returned, and no credentials are made up', async (challenge) => {
    const peer = await peerOf(() => reply(401, 'no', { 'WWW-Authenticate': challenge }));
    const other = await peerOf(() => ok());
    const pool = opening(connectionFromUrl(peer.url));
    const client = managerOf({ auth: { [other.url]: NTLM, [peer.url.replace('127.0.0.1', 'localhost')]: BASIC } });
    for (const response of [await pool.request('GET', '/'), await client.request('GET', peer.url)]) {
      expect([response.status, response.data.toString()]).toEqual([401, 'no']);
    }
    expect(peer.requests).toHaveLength(2);
    expect(authorizations(peer)).toEqual([]);
  });

  test.each(CHALLENGES)(
    '407 with %s from a proxy gets none of the credentials that are for hosts',
    async (challenge) => {
      const refusal = `HTTP/1.1 407 No\r\nProxy-Authenticate: ${challenge}\r\nContent-Length: 0\r\n\r\n`;
      const proxy = opening(await proxyServer({ onForward: () => refusal, onConnect: () => refusal }));
      const client = opening(new ProxyManager(proxy.url, { retries: false, auth: { 'https://host.test': NTLM } }));
      for (const auth of [DIGEST, BEARER] as const) {
        expect((await client.request('GET', 'http://host.test/', { auth })).status).toBe(407);
      }
      await expect(client.request('GET', 'https://host.test/')).rejects.toThrow(HTTPError);
      expect(proxy.heads).toHaveLength(3);
      expect(proxy.heads.join('')).not.toMatch(/proxy-authorization/i);
      expect(proxy.heads.at(-1)).not.toMatch(/authorization/i);
    },
  );

  test.each<[string, Auth, string]>([
    ['digest', DIGEST, 'Basic realm="r"'],
    ['ntlm', NTLM, 'Basic realm="r"'],
    ['ntlm', NTLM, 'Digest realm="r", nonce="n", qop="auth"'],
    ['bearer', BEARER, 'Basic realm="r"'],
  ])('%s does not fall back to another scheme, which the server wants', async (scheme, auth, challenge) => {
    const peer = await peerOf(() => reply(401, 'no', { 'WWW-Authenticate': challenge }));
    expect((await managerOf().request('GET', peer.url, { auth })).status).toBe(401);
    expect(authorizations(peer).map((value) => value.split(' ')[0]?.toLowerCase())).toEqual(
      scheme === 'digest' ? [] : [scheme],
    );
  });

  test.each<[string, Auth]>([
    ['basic', BASIC],
    ['digest', DIGEST],
    ['bearer', BEARER],
    ['bearer by a function', { type: 'bearer', token: () => 'abc' }],
    ['ntlm', NTLM],
  ])('%s goes along on no redirect to another origin, and on none that comes back', async (_, auth) => {
    const home = await peerOf(({ target }) => (target === '/' ? redirectTo(`${away.url}/`) : challenge()));
    const challenge = () => reply(401, 'no', { 'WWW-Authenticate': CHALLENGES.join(', ') });
    const away: Peer = await peerOf(({ target }) => (target === '/' ? redirectTo(`${home.url}/back`) : challenge()));
    const clients = [
      (url: string) => managerOf().request('GET', url, { auth }),
      (url: string) => managerOf({ auth: { [home.url]: auth } }).request('GET', url),
      (url: string) => managerOf().request('GET', url, { auth, preloadContent: false }),
    ];
    for (const get of clients) {
      const response: HTTPResponse = await get(`${home.url}/`);
      expect([response.status, response.url]).toEqual([401, `${home.url}/back`]);
      response.close();
    }
    expect(away.requests).toHaveLength(3);
    expect(authorizations(away)).toEqual([]);
    const back = home.requests.filter(({ target }) => target === '/back');
    expect(back).toHaveLength(3);
    for (const request of back) expect(request.all('authorization')).toEqual([]);
  });

  test('a pool that asks its host for the URL of another one does not say who it is', async () => {
    const peer = await peerOf(() => reply(401, '', { 'WWW-Authenticate': CHALLENGES.join(', ') }));
    for (const auth of [BASIC, DIGEST, BEARER]) {
      const pool = opening(connectionFromUrl(peer.url, { auth }));
      expect((await pool.request('GET', 'http://other.test/', { assertSameHost: false })).status).toBe(401);
    }
    expect(authorizations(peer)).toEqual([]);
  });
});

test('SEC-094 (CVE-2026-54276): a challenge of another origin gets no answer, whatever nonces are known', async () => {
  const challenge = (nonce: string) =>
    reply(401, '', { 'WWW-Authenticate': `Digest realm="r", nonce="${nonce}", qop="auth", domain="/ ${home.url}"` });
  const home: Peer = await peerOf((request) => {
    if (request.field('authorization') === undefined) return challenge('home');
    return request.target === '/away' ? redirectTo(away.url) : ok();
  });
  const away = await peerOf(() => challenge('away'));
  const client = managerOf({ auth: { [home.url]: DIGEST } });
  expect((await client.request('GET', home.url)).status).toBe(200);
  expect((await client.request('GET', `${home.url}/away`)).status).toBe(401);
  expect((await client.request('GET', away.url)).status).toBe(401);
  expect(authorizations(away)).toEqual([]);
  expect(authorizations(home).every((value) => value.includes('nonce="home"'))).toBe(true);
});

test('SEC-095 (CVE-2014-1829, CVE-2024-47081, CVE-2024-11053): no netrc is ever opened, wherever it lies', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'urllib3-netrc-'));
  const peer = await peerOf(({ target }) =>
    target === '/' ? redirectTo('/next') : reply(401, '', { 'WWW-Authenticate': 'Basic realm="r"' }),
  );
  for (const name of ['.netrc', '_netrc']) {
    await writeFile(
      path.join(folder, name),
      'machine 127.0.0.1 login user password pass\ndefault login any password pass\n',
    );
  }
  for (const [name, value] of Object.entries({
    HOME: folder,
    USERPROFILE: folder,
    NETRC: path.join(folder, '.netrc'),
  })) {
    vi.stubEnv(name, value);
  }
  const touched: unknown[] = [];
  for (const object of [fs, fs.promises]) {
    for (const name of Object.keys(object)) {
      const method: unknown = Reflect.get(object, name);
      if (typeof method !== 'function' || /^[A-Z_]/.test(name)) continue;
      // Every function of node:fs takes what it opens first.
      vi.spyOn(object as unknown as Record<string, (...args: unknown[]) => unknown>, name).mockImplementation(function (
        this: unknown,
        ...args
      ) {
        touched.push(args[0]);
        return Reflect.apply(method, this, args);
      });
    }
  }
  syncBuiltinESMExports();
  try {
    const statuses = [
      (await managerOf().request('GET', peer.url)).status,
      (await managerOf({ proxy: 'environment' }).request('GET', peer.url)).status,
      (await opening(connectionFromUrl(peer.url)).request('GET', '/')).status,
    ];
    expect(statuses).toEqual([401, 401, 401]);
  } finally {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  }
  expect(touched.filter((one) => String(one).includes('netrc'))).toEqual([]);
  expect(authorizations(peer)).toEqual([]);
  expect(peer.requests).toHaveLength(6);
});

describe('SEC-096 (CVE-2020-8169): credentials in a URL, and the helper for headers', () => {
  test('user-info of a URL, or of a redirect, is not sent, and does not come back decoded', async () => {
    const peer: Peer = await peerOf(({ target }) =>
      target === '/' ? redirectTo(`http://u:p%0d%0aX-Bad:%201@127.0.0.1:${peer.port}/next`) : ok(),
    );
    const url = `http://user:pass%0d%0aX-Bad:%201@127.0.0.1:${peer.port}/`;
    const pool = opening(connectionFromUrl(url));
    await pool.request('GET', '/');
    await managerOf().request('GET', url);
    await requestTopLevel('GET', url, { headers: { Connection: 'close' } });
    expect(peer.requests).toHaveLength(6);
    expect(peer.received).not.toMatch(/authorization|x-bad|user:|pass/i);
  });

  test('user-info does not stand in the way of credentials that are asked for', async () => {
    const peer = await peerOf(() => ok());
    const url = `http://other:secret@127.0.0.1:${peer.port}/`;
    await managerOf({ auth: { [peer.url]: BASIC } }).request('GET', url);
    expect(authorizations(peer)).toEqual(['Basic dXNlcjpwYXNz']);
  });

  test('makeHeaders() writes 10 KiB without a line break, and refuses control characters without showing them', () => {
    const long = `user:${'ö"\\ '.repeat(2_560)}`;
    expect(makeHeaders({ basicAuth: long }).authorization).toMatch(/^Basic [A-Za-z0-9+/]+=*$/);
    for (const bad of ['us\r\ner:hunter2', 'user:hunter2\u0000', 'user:hunter2\u007f']) {
      expect(() => makeHeaders({ basicAuth: bad })).toThrow(TypeError);
      expect(() => makeHeaders({ basicAuth: bad })).not.toThrow(/hunter2/);
    }
  });
});

test('SEC-097 (CVE-2013-1944, CVE-2022-29248, CVE-2015-2296): no cookie is kept, whatever has set it', async () => {
  const peer = await peerOf(({ target }) => {
    const cookies = 'Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Domain=test; Secure\r\n';
    const interim = `HTTP/1.1 103 Early Hints\r\n${cookies}\r\n`;
    // The proxy below passes a target on as it is once it has seen a 103.
    const head = !target.endsWith('/next') ? 'HTTP/1.1 302 Found\r\nLocation: /next\r\n' : 'HTTP/1.1 200 OK\r\n';
    return `${interim}${head}${cookies}Content-Length: 0\r\n\r\n`;
  });
  const authority = await testAuthority();
  const secure = await peerOf(() => ok('', { 'Set-Cookie': 'c=3' }), {
    tls: { cert: authority.certificate, key: authority.key },
  });
  const proxy = opening(await proxyServer({ consent: 'HTTP/1.1 200 OK\r\nSet-Cookie: d=4; Path=/\r\n\r\n' }));
  const clients = [managerOf(), opening(new ProxyManager(proxy.url, { caCerts: authority.root }))];
  for (const client of clients) {
    for (let turn = 0; turn < 2; turn++) {
      expect((await client.request('GET', peer.url)).headers.getSetCookie()).toHaveLength(2);
    }
  }
  for (let turn = 0; turn < 2; turn++) await clients[1]?.request('GET', secure.url);
  expect(peer.requests).toHaveLength(8);
  expect(secure.requests).toHaveLength(2);
  expect(`${peer.received}${secure.received}${proxy.heads.join('')}`).not.toMatch(/cookie/i);
});

test('SEC-098 (CVE-2026-9679, CVE-2022-35252): lines of Set-Cookie are given one by one, as they came', async () => {
  const lines = [
    'a=%0d%0aX:1; Expires=Wed, 21 Oct 2026 07:28:00 GMT',
    '__Host%2Db=2; SECURE; notpath=/',
    'c="x, y; z"',
    'a=again',
  ];
  const peer = await peerOf(
    () => `HTTP/1.1 200 OK\r\n${lines.map((line) => `Set-Cookie: ${line}\r\n`).join('')}Content-Length: 0\r\n\r\n`,
  );
  const { headers } = await managerOf().request('GET', peer.url);
  expect(headers.getSetCookie()).toEqual(lines);
  expect(headers.getList('set-cookie')).toEqual(lines);
  expect([...headers].filter(([name]) => name === 'Set-Cookie').map(([, value]) => value)).toEqual(lines);
  expect([...headers.iteritems()].filter(([name]) => name === 'Set-Cookie')).toHaveLength(4);
});

describe('SEC-099 (CVE-2026-6276, CVE-2015-3236, CVE-2022-32221, CVE-2023-45286): one request shows in no other', () => {
  const AUTHS: readonly ((index: number) => Auth)[] = [
    (index) => ({ type: 'basic', username: `user${index}`, password: 'x' }),
    (index) => ({ type: 'bearer', token: `token${index}` }),
    (index) => ({ type: 'bearer', token: async () => `async${index}` }),
    (index) => ({ type: 'digest', username: `user${index}`, password: 'x' }),
  ];
  const whoOf = (index: number) =>
    [
      `Basic ${Buffer.from(`user${index}:x`).toString('base64')}`,
      `Bearer token${index}`,
      `Bearer async${index}`,
      `Digest username="user${index}"`,
    ][index % 4];

  test('200 concurrent requests with fields, bodies and credentials of their own, some of them failing and retried', async () => {
    const tries = new Map<string, number>();
    const peer = await peerOf((request, socket) => {
      const count = (tries.get(request.target) ?? 0) + 1;
      tries.set(request.target, count);
      const index = Number(request.target.slice(1));
      if (index % 4 === 3 && request.field('authorization') === undefined) {
        return reply(401, 'who?', { 'WWW-Authenticate': 'Digest realm="r", nonce="n", qop="auth"' });
      }
      if (index % 5 === 0 && count < 3) return reply(503, 'busy');
      if (index % 7 === 0 && count < 2) return void socket.destroy();
      return ok(
        JSON.stringify([
          request.field('x-own'),
          request.field('authorization')?.split(',')[0],
          request.body.toString(),
        ]),
      );
    });
    const headers = new HTTPHeaderDict({ 'X-Default': 'yes' });
    const retries = new Retry({ total: 5, statusForcelist: [503], allowedMethods: null });
    const client = managerOf({ headers, retries, maxsize: 20 });
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const own = Object.freeze({ 'X-Own': `field ${index}` });
        const auth = Object.freeze(AUTHS[index % 4]?.(index));
        const options = Object.freeze({ headers: own, body: Buffer.from(`body ${index}`), auth });
        const response = await client.request('POST', `${peer.url}/${index}`, options);
        expect(await response.json()).toEqual([`field ${index}`, whoOf(index), `body ${index}`]);
      }),
    );
    expect([...headers]).toEqual([['X-Default', 'yes']]);
    expect([...client.headers]).toEqual([['X-Default', 'yes']]);
    // Nothing of all that sticks to the next one.
    expect(await (await client.request('GET', `${peer.url}/1`)).json()).toEqual([null, null, '']);
  });

  test('what the caller changes after the call changes no request, also where its login takes its time', async () => {
    const peer = await peerOf((request) => ok(`${request.field('x-own')} ${request.field('authorization')}`));
    let give = (_token: string) => {};
    const token = new Promise<string>((resolve) => (give = resolve));
    const headers = { 'X-Own': 'first' };
    const auth: { type: 'bearer'; token: () => Promise<string> } = { type: 'bearer', token: () => token };
    const options = { headers, auth };
    for (const client of [managerOf(), opening(connectionFromUrl(peer.url))]) {
      headers['X-Own'] = 'first';
      auth.token = () => token;
      const request = client.request('GET', `${peer.url}/`, options);
      headers['X-Own'] = 'changed';
      auth.token = async () => 'changed';
      give('abc');
      expect((await request).data.toString()).toBe('first Bearer abc');
    }
  });
});
