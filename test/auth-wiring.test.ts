/** How credentials reach requests: from pools, managers and requests themselves, and what a login costs and may not do. */
import { once } from 'node:events';
import http from 'node:http';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import type { AuthByOrigin } from '../src/auth/by-origin.js';
import { credentialsByOrigin } from '../src/auth/by-origin.js';
import { type Auth, resolveAuth } from '../src/auth/credentials.js';
import { connectionFromUrl, HTTPConnectionPool, HTTPSConnectionPool } from '../src/connectionpool.js';
import { AppEngineManager } from '../src/contrib/appengine.js';
import { SOCKSProxyManager } from '../src/contrib/socks.js';
import {
  AuthenticationError,
  DeadlineExceededError,
  MaxRetryError,
  ProtocolError,
  ReadTimeoutError,
  UnrewindableBodyError,
} from '../src/exceptions.js';
import { PoolManager, type PoolManagerOptions, ProxyManager } from '../src/poolmanager.js';
import type { RequestOptions } from '../src/request.js';
import type { HTTPResponse } from '../src/response.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';
import { Retry } from '../src/util/retry.js';
import { Timeout } from '../src/util/timeout.js';
import { testAuthority } from './interop/servers/authority.js';
import { ok, type Peer, redirectTo, reply, type Script, type SeenRequest, startPeer } from './pool-peers.js';
import { watchHandles } from './support/leaks.js';
import { PASSWORD as NTLM_PASSWORD, USER as NTLM_USER, startNtlmServer } from './support/ntlm-server.js';
import { portOf } from './support/peer.js';
import { proxyServer } from './support/proxy-server.js';
import { socksServer } from './support/socks-server.js';

watchHandles();

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function opening<T extends AsyncDisposable>(one: T): T {
  opened.push(one);
  return one;
}

const peerOf = async (script: Script): Promise<Peer> => opening(await startPeer(script));
const managerOf = (options: PoolManagerOptions = {}) => opening(new PoolManager(options));
const poolOf = (url: string, options: Parameters<typeof connectionFromUrl>[1] = {}) =>
  opening(connectionFromUrl(url, options));

const BASIC = { type: 'basic', username: 'user', password: 'pass' } as const;
const BASIC_LINE = 'Basic dXNlcjpwYXNz';
const DIGEST = { type: 'digest', username: 'user', password: 'pass' } as const;
const BEARER = { type: 'bearer', token: 'abc' } as const;
const NTLM = { type: 'ntlm', username: NTLM_USER, password: NTLM_PASSWORD } as const;

/** A server that wants Digest, and takes any answer; the nonces count. */
function digestScript(more: (request: SeenRequest) => ReturnType<Script> | undefined = () => undefined): Script {
  let nonce = 0;
  return (request) => {
    const intercepted = more(request);
    if (intercepted !== undefined) return intercepted;
    if (request.field('authorization')?.startsWith('Digest ') === true) return ok(request.body);
    const challenge = `Digest realm="r", qop="auth", algorithm=SHA-256, nonce="n${++nonce}"`;
    return reply(401, 'who are you?', { 'WWW-Authenticate': challenge });
  };
}

async function* onceOnly(text: string): AsyncGenerator<string> {
  yield text;
}

/** The ways to say who makes a request. */
const WAYS: readonly [string, (url: string, auth: Auth, options?: RequestOptions) => Promise<HTTPResponse>][] = [
  ['a request of a manager', (url, auth, options) => managerOf().request('GET', url, { auth, ...options })],
  ['a request of a pool', (url, auth, options) => poolOf(url).request('GET', url, { auth, ...options })],
  ['a pool', (url, auth, options) => poolOf(url, { auth }).request('GET', url, options)],
  [
    'a manager, by origin',
    (url, auth, options) => managerOf({ auth: { [new URL(url).origin]: auth } }).request('GET', url, options),
  ],
  [
    'a pool of a manager',
    (url, auth, options) =>
      managerOf({ auth: { [new URL(url).origin]: auth } })
        .connectionFromUrl(url)
        .request('GET', url, options),
  ],
];

describe.each(WAYS)('auth of %s', (_, get) => {
  test.each<[string, Auth, string]>([
    ['basic', BASIC, '/basic-auth/user/pass'],
    ['digest', DIGEST, '/digest-auth/auth/user/pass'],
    ['digest with SHA-256', DIGEST, '/digest-auth/auth/user/pass/SHA-256'],
    ['digest with auth-int', DIGEST, '/digest-auth/auth-int/user/pass/SHA-512'],
    ['bearer', BEARER, '/bearer'],
    ['bearer by a function', { type: 'bearer', token: async () => 'abc' }, '/bearer'],
  ])('%s logs in, without a retry', async (_name, auth, path) => {
    const response = await get(httpbin.url + path, auth, { retries: false });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ authenticated: true });
  });

  test.each<[string, Auth, string]>([
    ['basic', BASIC, '/basic-auth/user/other'],
    ['digest', DIGEST, '/digest-auth/auth/user/other'],
    ['bearer', { type: 'bearer', token: () => 'abc' }, '/status/401'],
  ])('%s gives a refusal back as it is', async (_name, auth, path) => {
    const response = await get(httpbin.url + path, auth);
    expect(response.status).toBe(401);
    expect(response.data).toBeInstanceOf(Buffer);
  });

  test.each<[string, unknown, RegExp]>([
    ['another type', { type: 'kerberos' }, /of type "kerberos"/],
    ['no password', { type: 'basic', username: 'user' }, /^Cannot use the password of auth.*: it must be text$/],
  ])('of %s is refused before any byte', async (_name, auth, message) => {
    const peer = await peerOf(() => ok());
    // The types would not have it.
    const made = (async () => get(peer.url, auth as Auth))();
    await expect(made).rejects.toThrow(TypeError);
    await expect(made).rejects.toThrow(message);
    expect(peer.sockets).toHaveLength(0);
  });

  test('streams its content, after a login too', async () => {
    const url = `${httpbin.url}/digest-auth/auth/user/pass`;
    const response = await get(url, DIGEST, { preloadContent: false });
    expect(JSON.parse((await response.read()).toString())).toMatchObject({ authenticated: true });
  });
});

describe('credentials beside a field Authorization', () => {
  const headers = { 'X-Own': '1', authorization: 'Own words' };

  test.each<[string, (url: string) => { request: PoolManager['request'] }]>([
    ['pool', (url) => poolOf(url, { auth: BASIC })],
    ['manager', (url) => managerOf({ auth: { [url]: BASIC } })],
  ])('of a %s give way to it, and no login begins', async (_, make) => {
    const peer = await peerOf(() => reply(401, '', { 'WWW-Authenticate': 'Basic realm="r"' }));
    const client = make(peer.url);
    expect((await client.request('GET', `${peer.url}/`, { headers })).status).toBe(401);
    expect(peer.requests.map((request) => request.all('authorization'))).toEqual([['Own words']]);
  });

  test('of a request are one word too many', async () => {
    const peer = await peerOf(() => ok());
    for (const client of [poolOf(peer.url), managerOf(), managerOf({ headers })]) {
      const request = client.request(
        'GET',
        `${peer.url}/`,
        client.headers.size === 0 ? { auth: BASIC, headers } : { auth: BASIC },
      );
      await expect(request).rejects.toThrow(/^Cannot use auth beside a field Authorization/);
    }
    expect(peer.sockets).toHaveLength(0);
  });

  test('are switched off by null, and the field goes along', async () => {
    const peer = await peerOf(() => ok());
    for (const client of [poolOf(peer.url, { auth: BASIC }), managerOf({ auth: { [peer.url]: BASIC } })]) {
      await client.request('GET', `${peer.url}/`, { auth: null });
      await client.request('GET', `${peer.url}/`, { auth: null, headers });
      await client.request('GET', `${peer.url}/`, { auth: { ...BASIC, username: 'other' } });
    }
    const line = `Basic ${Buffer.from('other:pass').toString('base64')}`;
    const seen = [undefined, 'Own words', line];
    expect(peer.requests.map((request) => request.field('authorization'))).toEqual([...seen, ...seen]);
  });
});

describe('a login over any connection', () => {
  test('is challenged once: later requests use the nonce, over as many connections as they like', async () => {
    const peer = await peerOf(digestScript());
    const client = managerOf({ auth: { [peer.url]: DIGEST } });
    await client.request('GET', `${peer.url}/`);
    await Promise.all(Array.from({ length: 20 }, () => client.request('GET', `${peer.url}/`)));
    expect(peer.requests).toHaveLength(22);
    const counts = peer.requests.slice(1).map((request) => /nc=([0-9a-f]{8})/.exec(request.head)?.[1]);
    expect(new Set(counts).size).toBe(21);
  });

  test('remembers it where each request brings its own credentials, and for nobody else', async () => {
    const peer = await peerOf(digestScript());
    const client = managerOf();
    for (let turn = 0; turn < 3; turn++) await client.request('GET', `${peer.url}/`, { auth: { ...DIGEST } });
    expect(peer.requests).toHaveLength(4);
    await client.request('GET', `${peer.url}/`, { auth: { ...DIGEST, password: 'Pass' } });
    expect(peer.requests).toHaveLength(6);
  });

  test('uses the connection of the refusal again, and does not keep its content', async () => {
    const peer = await peerOf(digestScript());
    const downloaded: number[] = [];
    const onDownloadProgress = ({ transferred }: { transferred: number }) => void downloaded.push(transferred);
    const pool = poolOf(peer.url, { auth: DIGEST });
    const response = await pool.request('POST', '/', { body: 'content', onDownloadProgress });
    expect(response.data.toString()).toBe('content');
    expect(peer.requests.map(({ body, connection }) => `${connection} ${body}`)).toEqual(['0 content', '0 content']);
    expect([pool.numConnections, pool.numRequests]).toEqual([1, 2]);
    expect(response.retries?.history).toEqual([]);
  });

  test.each([false, true])('repeats chunked content (made by a function: %s), as it was', async (isFunction) => {
    const peer = await peerOf(digestScript());
    const pieces = ['con', 'tent'];
    const body = isFunction ? () => pieces.join('') : pieces.join('');
    const response = await poolOf(peer.url, { auth: DIGEST }).request('POST', '/', { body, chunked: true });
    expect(response.data.toString()).toBe('content');
    expect(peer.requests.map((request) => request.field('transfer-encoding'))).toEqual(['chunked', 'chunked']);
  });

  test('raises UnrewindableBodyError where content can be sent only once', async () => {
    const peer = await peerOf(digestScript());
    const client = managerOf({ auth: { [peer.url]: DIGEST } });
    await expect(client.request('POST', `${peer.url}/`, { body: onceOnly('content') })).rejects.toThrow(
      UnrewindableBodyError,
    );
    // Once there is a nonce, such content goes, too.
    await client.request('GET', `${peer.url}/`);
    expect((await client.request('POST', `${peer.url}/`, { body: onceOnly('content') })).data.toString()).toBe(
      'content',
    );
  });

  test('sends content that can be sent only once after 100 (Continue), as the refusal comes before that', async () => {
    const server = http.createServer();
    server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'WWW-Authenticate': 'Digest realm="r", nonce="n", qop="auth"' }).end();
        return;
      }
      response.writeContinue();
      request.pipe(response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push({
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        server.close();
      },
    });
    const pool = poolOf(`http://127.0.0.1:${portOf(server)}`, { auth: DIGEST });
    const response = await pool.request('POST', '/', { body: onceOnly('content'), expectContinue: 10 });
    expect(response.data.toString()).toBe('content');
  });

  test('lets retries go on: by status, after a failure, and over a dead connection', async () => {
    let failures = 1;
    let busy = 1;
    const peer = await peerOf((request, socket) => {
      if (request.target === '/busy' && busy-- > 0) return reply(503);
      if (request.target === '/dead' && failures-- > 0) return void socket.destroy();
      return ok(request.field('authorization') ?? '');
    });
    const pool = poolOf(peer.url, { auth: BASIC, retries: new Retry({ total: 2, statusForcelist: [503] }) });
    for (const path of ['/', '/busy', '/dead']) {
      expect((await pool.request('GET', path)).data.toString()).toBe(BASIC_LINE);
    }
    expect(peer.requests).toHaveLength(5);
    failures = 1;
    // A POST is not repeated over another connection, so its failure comes out.
    await expect(pool.request('POST', '/dead', { retries: false })).rejects.toThrow(ProtocolError);
  });

  test('is over before a status in statusForcelist counts: the last 401 does', async () => {
    const peer = await peerOf(() =>
      reply(401, 'no', { 'WWW-Authenticate': 'Digest realm="r", nonce="n", qop="auth"' }),
    );
    const retries = new Retry({ total: 1, statusForcelist: [401] });
    await expect(poolOf(peer.url, { auth: DIGEST, retries }).request('GET', '/')).rejects.toThrow(MaxRetryError);
    // Challenge and answer, twice.
    expect(peer.requests.length).toBeLessThanOrEqual(4);
    expect(peer.requests.length).toBeGreaterThanOrEqual(3);
  });

  test('goes along on redirects within the origin, through pool and manager', async () => {
    const peer = await peerOf(({ target }) => (target === '/a' ? redirectTo('/b') : ok()));
    await poolOf(peer.url, { auth: BASIC }).request('GET', '/a');
    await managerOf({ auth: { [peer.url]: BASIC } }).request('GET', `${peer.url}/a`);
    await managerOf().request('GET', `${peer.url}/a`, { auth: BASIC });
    expect(peer.requests.map((request) => request.field('authorization'))).toEqual(Array(6).fill(BASIC_LINE));
  });

  test('asks for a token once a request, and once more when it was refused', async () => {
    const asked: unknown[] = [];
    const token = ({ refused }: { readonly refused: string | null }) => {
      asked.push(refused);
      return refused === null ? 'stale' : 'fresh';
    };
    const peer = await peerOf((request) => (request.field('authorization') === 'Bearer fresh' ? ok('in') : reply(401)));
    const response = await poolOf(peer.url, { auth: { type: 'bearer', token } }).request('GET', '/', {
      retries: false,
    });
    expect([response.data.toString(), asked]).toEqual(['in', [null, 'stale']]);
  });

  test('closes a response whose refusal it cannot answer, and is not retried', async () => {
    const peer = await peerOf(() => `HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\nhalf`);
    const cause = new Error('no more tokens');
    const token = ({ refused }: { readonly refused: string | null }) => {
      if (refused === null) return 'first';
      throw cause;
    };
    const request = managerOf().request('GET', `${peer.url}/`, { auth: { type: 'bearer', token }, retries: 9 });
    await expect(request).rejects.toMatchObject({ name: 'AuthenticationError', cause });
    await peer.until(({ openSockets }) => openSockets === 0);
    expect(peer.requests).toHaveLength(1);
  });

  test.each<[string, boolean]>([
    ['before the request', false],
    ['after a refusal', true],
  ])('does not wait for a token %s once the request is aborted', async (_, isAfterRefusal) => {
    const peer = await peerOf(() => reply(401, 'no'));
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    const token = ({ refused }: { readonly refused: string | null }): string | Promise<string> => {
      if (isAfterRefusal && refused === null) return 'first';
      asked();
      return new Promise<string>(() => {});
    };
    const controller = new AbortController();
    const pool = poolOf(peer.url, { auth: { type: 'bearer', token }, maxsize: 1, block: true });
    const request = pool.request('GET', '/', { signal: controller.signal });
    await isAsked;
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(request).rejects.toBe(reason);
    // The place in the pool is free again.
    expect((await pool.request('GET', '/', { auth: null, poolTimeout: 1 })).status).toBe(401);
  });

  test('has, with all its legs, the total time of one attempt, and the deadline of the call', async () => {
    let isSlow = true;
    const peer = await peerOf(
      digestScript((request) => (request.field('authorization') !== undefined && isSlow ? '' : undefined)),
    );
    const pool = poolOf(peer.url, { auth: DIGEST, retries: false });
    await expect(pool.request('GET', '/', { timeout: new Timeout(0.1) })).rejects.toThrow(ReadTimeoutError);
    const error: unknown = await pool.request('GET', '/', { deadline: 0.1 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DeadlineExceededError);
    isSlow = false;
    expect((await pool.request('GET', '/', { timeout: new Timeout(5), deadline: 5 })).status).toBe(200);
  });

  test('is a chain of attempts to those who watch', async () => {
    const peer = await peerOf(digestScript());
    const pool = poolOf(peer.url, { auth: DIGEST, deadline: 30 });
    const response = await pool.request('GET', '/', { preloadContent: false });
    await response.read();
    expect(response.timings?.queue).toBeGreaterThanOrEqual(0);
    expect(peer.requests).toHaveLength(2);
  });
});

describe('PoolManager, whose auth is by origin', () => {
  test('sends credentials to exactly that origin', async () => {
    const [home, other] = [await peerOf(() => ok()), await peerOf(() => ok())];
    const client = managerOf({ auth: { [`${home.url.replace('http', 'HTTP')}/`]: BASIC } });
    for (const url of [home.url, `${home.url}/path`, other.url, home.url.replace('127.0.0.1', 'localhost')]) {
      await client.request('GET', url);
    }
    expect(home.requests.map((request) => request.field('authorization'))).toEqual([BASIC_LINE, BASIC_LINE, undefined]);
    expect(other.requests.map((request) => request.field('authorization'))).toEqual([undefined]);
  });

  test('fills in the port that is the scheme’s own, and leaves out what is null', () => {
    const byOrigin = credentialsByOrigin('auth', {
      'https://A.example': BASIC,
      'http://a.example:80/': BEARER,
      'http://b.example': null,
      'http://c.example': undefined,
    });
    expect([...(byOrigin?.keys() ?? [])]).toEqual(['https://a.example:443', 'http://a.example:80']);
    expect(credentialsByOrigin('auth', {})).toBeNull();
    expect(credentialsByOrigin('auth', null)).toBeNull();
    expect(credentialsByOrigin('auth', Object.create({ 'http://a.example': BASIC }))).toBeNull();
  });

  test.each<[string, unknown, RegExp]>([
    ['credentials without an origin', BASIC, /for which origin/],
    ['the same, checked before', resolveAuth('auth', BASIC), /for which origin/],
    ['text', 'hunter2', /for which origin/],
    ['a host', { 'api.example.com': BASIC }, /"api\.example\.com": it must be an origin/],
    ['a path', { 'https://api.example.com/v1': BASIC }, /without a path/],
    ['a query', { 'https://api.example.com/?a': BASIC }, /without a path/],
    ['another scheme', { 'ftp://api.example.com': BASIC }, /must be an origin/],
    ['no URL', { 'http://[': BASIC }, /must be an origin/],
    ['user-info', { 'https://me:hunter2@api.example.com': BASIC }, /must be an origin/],
    ['an origin twice', { 'http://a.test': BASIC, 'http://A.test:80/': BEARER }, /"http:\/\/a\.test:80" twice/],
    [
      'bad credentials',
      { 'http://a.test': { type: 'bearer', token: 'hunter2 hunter2' } },
      /auth for "http:\/\/a\.test:80"/,
    ],
  ])('refuses %s, and repeats no secret', (_, auth, message) => {
    const make = () => new PoolManager({ auth: auth as AuthByOrigin });
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(make).not.toThrow(/hunter2/);
  });

  test('does not take credentials without an origin by its types, either', () => {
    expectTypeOf<typeof BASIC>().not.toExtend<PoolManagerOptions['auth']>();
    expectTypeOf<{ 'https://a.test': typeof BASIC }>().toExtend<PoolManagerOptions['auth']>();
  });

  test('gives its pools the credentials of their origin, unless they are told other ones', async () => {
    const peer = await peerOf(() => ok());
    const client = managerOf({ auth: { [peer.url]: BASIC } });
    const bare = client.connectionFromUrl(peer.url, { poolKwargs: { auth: null } });
    const other = client.connectionFromUrl(peer.url, { poolKwargs: { auth: BEARER } });
    const own = client.connectionFromUrl(peer.url);
    expect(new Set([bare, other, own]).size).toBe(3);
    for (const pool of [bare, other, own]) await pool.request('GET', '/');
    expect(peer.requests.map((request) => request.field('authorization'))).toEqual([
      undefined,
      'Bearer abc',
      BASIC_LINE,
    ]);
    await client.request('GET', peer.url);
    expect(client.pools.size).toBe(3);
  });

  test('shows them nowhere', async () => {
    const peer = await peerOf(() => ok());
    const secret = 'correct horse';
    const auth = { ...BASIC, password: secret };
    const client = managerOf({ auth: { [peer.url]: auth } });
    const pool = poolOf(peer.url, { auth });
    const responses = [await client.request('GET', peer.url), await pool.request('GET', '/')];
    const encoded = Buffer.from(`user:${secret}`).toString('base64');
    for (const shown of [client, pool, responses, [...client.pools.keys()]]) {
      const text = inspect(shown, { depth: 12 }) + JSON.stringify(Object(shown).connectionPoolKw ?? null);
      expect(text).not.toContain(secret);
      expect(text).not.toContain(encoded);
    }
  });

  test('reads what it is told at once: a later change of it changes no request under way', async () => {
    const peer = await peerOf(() => ok());
    const auth = { type: 'basic', username: 'user', password: 'pass' };
    const headers: Record<string, string> = { 'X-Own': '1' };
    const request = managerOf().request('GET', peer.url, { auth: auth as Auth, headers });
    auth.password = 'changed';
    headers.Authorization = 'changed';
    headers['X-Own'] = 'changed';
    await request;
    expect(peer.requests.map(({ field }) => [field('authorization'), field('x-own')])).toEqual([[BASIC_LINE, '1']]);
  });

  test('refuses URLs that name no host as ever', async () => {
    await expect(managerOf().request('GET', '/path', { auth: BASIC })).rejects.toThrow(/No host|must|begins/);
  });
});

describe('NTLM by the option auth', () => {
  test.each([
    ['a request of a manager', { auth: NTLM }, {}],
    ['a manager, by origin', {}, { isOfManager: true }],
  ] as const)(
    'of %s logs in connections that serve nobody else',
    async (_, options, { isOfManager = false }: { isOfManager?: boolean }) => {
      const server = opening(await startNtlmServer());
      const client = managerOf(isOfManager ? { auth: { [server.url]: NTLM } } : {});
      for (const path of ['/one', '/two']) {
        const response = await client.request('POST', server.url + path, { ...options, body: 'x', retries: false });
        expect(await response.json()).toMatchObject({ user: NTLM_USER, path, body: 'x' });
      }
      expect(server.logins).toEqual([0]);
      const nobody = await client.request('GET', `${server.url}/open`, { auth: null });
      expect(await nobody.json()).toMatchObject({ user: null, connection: 1 });
      const basic = await client.request('GET', `${server.url}/open`, { auth: BASIC });
      expect(await basic.json()).toMatchObject({ user: null, connection: 1 });
      const ownField = await client.request('GET', `${server.url}/open`, { headers: { Authorization: 'x' } });
      expect(await ownField.json()).toMatchObject({ user: null, connection: 1 });
      expect(client.pools.size).toBe(2);
    },
  );

  test('of a pool gives a refusal back as it is, on a connection that is not used again', async () => {
    const server = opening(await startNtlmServer());
    const pool = poolOf(server.url, { auth: { ...NTLM, password: 'wrong' }, retries: 9 });
    for (const connection of [0, 1]) {
      const response = await pool.request('GET', '/');
      expect([response.status, response.data.toString()]).toEqual([401, 'Log in']);
      expect(server.requests.at(-1)).toMatchObject({ connection, message: 'authenticate' });
    }
    expect(server.complaints).toEqual(['wrong password', 'wrong password']);
    expect(server.requests).toHaveLength(4);
  });

  test('of a pool goes on over another connection where the first one was lost in the middle, and not for ever', async () => {
    let drops = 1;
    const server = opening(
      await startNtlmServer({
        intercept: ({ message }) =>
          message === 'negotiate' && drops-- > 0
            ? { status: 401, fields: { 'WWW-Authenticate': 'NTLM', Connection: 'close' } }
            : undefined,
      }),
    );
    const pool = poolOf(server.url, { auth: NTLM, retries: false });
    expect((await pool.request('GET', '/')).status).toBe(401);
    expect((await pool.request('GET', '/')).status).toBe(200);
  });

  test('is an AuthenticationError where the challenge was more than is drained, three times', async () => {
    const server = opening(await startNtlmServer({ refusal: 'x'.repeat(3 * 1024 ** 2) }));
    const pool = poolOf(server.url, { auth: NTLM, retries: false });
    await expect(pool.request('GET', '/')).rejects.toThrow(/lost in the middle of 3 logins/);
    expect(server.requests).toHaveLength(3);
  });

  test.each<[string, () => RequestOptions['body']]>([
    ['is long', () => Buffer.alloc(100_000, 'x')],
    ['can be sent only once', () => onceOnly('x'.repeat(100_000))],
  ])('logs a connection in without the content, where that %s', async (_, body) => {
    const server = opening(await startNtlmServer());
    const pool = poolOf(server.url, { auth: NTLM, retries: false, maxsize: 1, block: true });
    const headers = { 'Content-Type': 'text/plain', 'X-Own': '1' };
    for (const path of ['/one', '/two']) {
      const response = await pool.request('POST', path, { body: body(), headers });
      expect(await response.json()).toMatchObject({ user: NTLM_USER, body: 'x'.repeat(100_000) });
    }
    expect(
      server.requests.map(({ method, path, message, fields }) => [method, path, message, fields['content-type']]),
    ).toEqual([
      ['HEAD', '/one', 'negotiate', undefined],
      ['HEAD', '/one', 'authenticate', undefined],
      ['POST', '/one', null, 'text/plain'],
      ['POST', '/two', null, 'text/plain'],
    ]);
    expect(server.requests.every(({ fields }) => fields['x-own'] === '1')).toBe(true);
  });

  test('does so for content that waits for 100 (Continue), too', async () => {
    const server = opening(await startNtlmServer());
    const options = { body: 'x', expectContinue: 10, retries: false } as const;
    const response = await poolOf(server.url, { auth: NTLM }).request('POST', '/', options);
    expect(await response.json()).toMatchObject({ user: NTLM_USER, body: 'x' });
    expect(server.requests.map(({ method, fields }) => [method, fields.expect])).toEqual([
      ['HEAD', undefined],
      ['HEAD', undefined],
      ['POST', '100-continue'],
    ]);
    expect(server.connectionCount).toBe(1);
  });

  test('does not send such content to a server that refuses the login', async () => {
    const server = opening(await startNtlmServer());
    const pool = poolOf(server.url, { auth: { ...NTLM, password: 'wrong' } });
    const request = pool.request('POST', '/', { body: onceOnly('x') });
    await expect(request).rejects.toThrow('Cannot log in by ntlm at /: the server refuses the credentials');
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD']);
  });

  test('sends such content whole to a server that wants no login, with the beginning of one', async () => {
    const server = opening(await startNtlmServer());
    const pool = poolOf(server.url, { auth: NTLM, retries: false });
    for (const path of ['/open/1', '/open/2']) {
      const response = await pool.request('POST', path, { body: onceOnly('x') });
      expect(await response.json()).toMatchObject({ user: null, body: 'x' });
    }
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD', 'POST', 'POST']);
    // What wants a login now gets one, but not that content twice.
    await expect(pool.request('POST', '/closed', { body: onceOnly('x') })).rejects.toThrow(UnrewindableBodyError);
    expect((await pool.request('POST', '/closed', { body: Buffer.alloc(50_000, 'x') })).status).toBe(200);
  });

  test('takes another connection for it where the one that was idle has died, at no cost', async () => {
    let drops = 1;
    const server = opening(
      await startNtlmServer({ intercept: ({ method }) => (method === 'HEAD' && drops-- > 0 ? 'drop' : undefined) }),
    );
    const pool = poolOf(server.url, { auth: NTLM, retries: false });
    await pool.request('GET', '/open');
    expect((await pool.request('POST', '/', { body: onceOnly('x') })).status).toBe(200);
    expect(server.logins).toEqual([1]);
  });

  test('of one request of a pool is refused: its connections serve others, too', async () => {
    const server = opening(await startNtlmServer());
    await expect(poolOf(server.url).request('GET', '/', { auth: NTLM })).rejects.toThrow(
      /^Cannot use auth of type "ntlm" for one request of a pool.*give it to the pool/,
    );
    expect(server.connectionCount).toBe(0);
  });

  test('waits its turn in a pool that blocks, and gives the connection to the next in line', async () => {
    const server = opening(await startNtlmServer());
    const pool = poolOf(server.url, { auth: NTLM, maxsize: 1, block: true });
    const responses = await Promise.all(Array.from({ length: 10 }, () => pool.request('GET', '/')));
    expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(server.logins).toEqual([0]);
    expect(server.requests).toHaveLength(11);
  });

  test('is aborted while it waits for a connection, and takes none away', async () => {
    const server = opening(await startNtlmServer());
    const pool = poolOf(server.url, { auth: NTLM, maxsize: 1, block: true });
    const first = await pool.request('GET', '/', { preloadContent: false });
    const controller = new AbortController();
    const second = pool.request('GET', '/', { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(second).rejects.toThrow('enough');
    await first.read();
    expect((await pool.request('GET', '/')).status).toBe(200);
    expect(server.logins).toEqual([0]);
  });

  test('over TLS is bound to the certificate of the server, through a tunnel too', async () => {
    const authority = await testAuthority();
    const tls = { cert: authority.certificate, key: authority.key };
    const server = opening(await startNtlmServer({ tls }));
    const proxy = opening(await proxyServer());
    const clients = [
      managerOf({ caCerts: authority.root }),
      opening(new ProxyManager(proxy.url, { caCerts: authority.root, auth: { [server.url]: NTLM } })),
    ];
    for (const client of clients) {
      expect((await client.request('GET', server.url, { auth: NTLM })).status).toBe(200);
    }
    expect([server.logins, server.complaints]).toEqual([[0, 1], []]);
    expect(proxy.heads).toHaveLength(1);
  });
});

describe('credentials through proxies that pass requests on', () => {
  test('go to the host, with the path that the host sees', async () => {
    const peer = await peerOf(digestScript());
    const proxy = opening(await proxyServer());
    const client = opening(new ProxyManager(proxy.url, { auth: { [peer.url]: DIGEST } }));
    expect((await client.request('GET', `${peer.url}/path?query`)).status).toBe(200);
    expect(peer.requests[1]?.field('authorization')).toContain('uri="/path?query"');
    expect(proxy.heads[0]).toContain(`GET ${peer.url}/path?query HTTP/1.1`);
  });

  test('are none that log in connections: those are the proxy’s', async () => {
    const proxy = opening(await proxyServer());
    const client = opening(new ProxyManager(proxy.url, { auth: { 'http://host.example': NTLM } }));
    await expect(client.request('GET', 'http://host.example/')).rejects.toThrow(AuthenticationError);
    await expect(client.request('GET', 'http://host.example/')).rejects.toThrow(/proxy that passes requests on/);
    const options = { poolKwargs: { auth: BASIC } };
    expect(() => client.connectionFromHost('host.example', options)).toThrow(/Cannot use auth for the pool of a proxy/);
    expect(proxy.connections).toHaveLength(0);
  });

  test('are as ever through those that the environment names', async () => {
    const peer = await peerOf(() => ok());
    const proxy = opening(await proxyServer());
    const before = { ...process.env };
    Object.assign(process.env, { HTTP_PROXY: proxy.url, http_proxy: proxy.url, NO_PROXY: '', no_proxy: '' });
    try {
      const client = managerOf({ proxy: 'environment', auth: { [peer.url]: BASIC } });
      await client.request('GET', `${peer.url}/`);
      await client.request('GET', `${peer.url}/`, { auth: BEARER });
    } finally {
      for (const name of ['HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
    expect(peer.requests.map((request) => request.field('authorization'))).toEqual([BASIC_LINE, 'Bearer abc']);
    expect(proxy.heads).toHaveLength(2);
  });
});

test('SOCKSProxyManager takes auth by origin, and logs connections in through its proxy', async () => {
  const server = opening(await startNtlmServer());
  const socks = opening(await socksServer());
  const client = opening(new SOCKSProxyManager(`socks5://127.0.0.1:${socks.port}`, { auth: { [server.url]: NTLM } }));
  for (let turn = 0; turn < 2; turn++) expect((await client.request('GET', server.url)).status).toBe(200);
  expect([server.logins, server.requests.length]).toEqual([[0], 3]);
  const basic = await client.request('GET', `${server.url}/open`, { auth: BASIC });
  expect([basic.status, server.requests.at(-1)?.fields.authorization]).toEqual([200, BASIC_LINE]);
});

test('AppEngineManager has no auth, and says so', async () => {
  const client = opening(
    new AppEngineManager({ urlfetch: { fetch: () => expect.fail('nothing is to be asked for') } }),
  );
  await expect(client.request('GET', 'http://a.test/', { auth: BASIC })).rejects.toThrow(/^Cannot use auth:/);
  expect(() => new AppEngineManager({ auth: { 'http://a.test': BASIC } } as never)).toThrow(/auth/);
});

test('HTTPSConnectionPool takes auth as HTTPConnectionPool does, and refuses what is none', () => {
  for (const Pool of [HTTPConnectionPool, HTTPSConnectionPool]) {
    const pool = new Pool('a.test', { auth: NTLM });
    pool.close();
    expect(() => Reflect.construct(Pool, ['a.test', { auth: 'hunter2' }])).toThrow(TypeError);
    expect(() => Reflect.construct(Pool, ['a.test', { auth: 'hunter2' }])).not.toThrow(/hunter2/);
  }
});
