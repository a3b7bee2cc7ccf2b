import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../../src/connectionpool.js';
import {
  AuthenticationError,
  NTLMConnectionPool,
  type NTLMConnectionPoolOptions,
  NTLMHTTPConnectionPool,
  type NTLMHTTPConnectionPoolOptions,
} from '../../src/contrib/ntlmpool.js';
import {
  ClosedPoolError,
  DeadlineExceededError,
  HostChangedError,
  MaxRetryError,
  NewConnectionError,
  UnrewindableBodyError,
} from '../../src/exceptions.js';
import { addLogHandler } from '../../src/logging.js';
import { Timeout } from '../../src/util/timeout.js';
import { testAuthority } from '../interop/servers/authority.js';
import { watchHandles } from '../support/leaks.js';
import {
  DOMAIN,
  type NtlmServer,
  type NtlmServerOptions,
  PASSWORD,
  type SeenRequest,
  startNtlmServer,
  USER,
} from '../support/ntlm-server.js';

watchHandles();

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const authority = await testAuthority();
const TLS = { cert: authority.certificate, key: authority.key };

async function serverOf(options: NtlmServerOptions = {}): Promise<NtlmServer> {
  const server = await startNtlmServer(options);
  opened.push(server);
  return server;
}

function poolOf(
  { port }: NtlmServer,
  options: NTLMHTTPConnectionPoolOptions & { readonly pw?: string; readonly authurl?: string } = {},
): NTLMHTTPConnectionPool {
  const { pw = PASSWORD, authurl = '/login', ...rest } = options;
  const pool = new NTLMHTTPConnectionPool(`${DOMAIN}\\${USER}`, pw, authurl, '127.0.0.1', { port, ...rest });
  opened.push(pool);
  return pool;
}

function securePoolOf({ port }: NtlmServer, options: NTLMConnectionPoolOptions = {}): NTLMConnectionPool {
  const given = { port, caCerts: authority.root, ...options };
  const pool = new NTLMConnectionPool(USER, PASSWORD, '/login', 'localhost', given);
  opened.push(pool);
  return pool;
}

/** What each request was, as `connection method path message`. */
const summary = ({ requests }: NtlmServer) =>
  requests.map(({ connection, method, path, message }) => `${connection} ${method} ${path} ${message ?? '-'}`);

const loginOn = (connection: number, path = '/login') => [
  `${connection} GET ${path} negotiate`,
  `${connection} GET ${path} authenticate`,
];

/** Intercepts the first so many requests that match. */
function first(
  count: number,
  matches: (request: SeenRequest) => boolean,
  what: ReturnType<NonNullable<NtlmServerOptions['intercept']>>,
): NonNullable<NtlmServerOptions['intercept']> {
  let left = count;
  return (request) => (matches(request) && left-- > 0 ? what : undefined);
}

const isProof = ({ message }: SeenRequest) => message === 'authenticate';

/** The server closes its only connection, and the pool has heard of it. */
async function dropped(server: NtlmServer): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    const heard = () => {
      unsubscribe('urllib3:connection:close', heard);
      resolve();
    };
    subscribe('urllib3:connection:close', heard);
  });
  server.drop();
  await closed;
}

async function rejection(promise: Promise<unknown>): Promise<Error> {
  const reason: unknown = await promise.then(
    (value) => expect.fail(`resolved to ${inspect(value)}`),
    (error: unknown) => error,
  );
  if (!(reason instanceof Error)) throw new Error('not an error');
  return reason;
}

async function* onceOnly(text: string): AsyncGenerator<string> {
  yield text;
}

describe('NTLMConnectionPool', () => {
  test('logs a connection in, bound to its certificate, and then sends requests as they are', async () => {
    const server = await serverOf({ tls: TLS });
    const pool = securePoolOf(server);
    for (const path of ['/one', '/two']) {
      const response = await pool.request('GET', path, { headers: { 'X-Own': 'yes' } });
      expect(await response.json()).toMatchObject({ user: USER, path });
    }
    expect(summary(server)).toEqual([...loginOn(0), '0 GET /one -', '0 GET /two -']);
    expect(server.complaints).toEqual([]);
    expect(server.requests.map(({ fields }) => fields['x-own'] ?? null)).toEqual([null, null, 'yes', 'yes']);
    expect([pool.numConnections, pool.numRequests]).toEqual([1, 4]);
  });

  test('resumes no session of TLS: each connection sees the certificate that its login is bound to', async () => {
    const server = await serverOf({ tls: TLS });
    const pool = securePoolOf(server);
    for (let turn = 0; turn < 3; turn++) {
      expect((await pool.request('GET', '/', { headers: { Connection: 'close' } })).status).toBe(200);
    }
    expect([server.logins, server.resumedCount]).toEqual([[0, 1, 2], 0]);
  });

  test('is a pool over TLS, or without it, with the names of the reference', () => {
    const pool = new NTLMConnectionPool('corp\\jdoe', 'secret', '/login', 'intranet.example');
    expect(pool).toBeInstanceOf(HTTPSConnectionPool);
    expect([pool.scheme, NTLMConnectionPool.scheme, pool.port]).toEqual(['https', 'https', 443]);
    expect(pool).toMatchObject({ rawuser: 'corp\\jdoe', user: 'jdoe', domain: 'CORP', authurl: '/login' });
    expect(String(pool)).toBe("NTLMConnectionPool(host='intranet.example', port=443)");
    const plain = new NTLMHTTPConnectionPool('jdoe@corp.example', 'secret', '/', 'intranet.example');
    expect(plain).toBeInstanceOf(HTTPConnectionPool);
    expect(plain).not.toBeInstanceOf(HTTPSConnectionPool);
    expect(plain).toMatchObject({ user: 'jdoe@corp.example', domain: '', scheme: 'http', port: 80 });
    expect(String(plain)).toBe("NTLMHTTPConnectionPool(host='intranet.example', port=80)");
    expect(inspect([pool, plain], { depth: 9, showHidden: true })).not.toContain('secret');
  });

  test.each([
    ['corp\\jdoe', 'CORP', 'jdoe'],
    ['a\\b\\c', 'A', 'b\\c'],
    ['\\jdoe', '', 'jdoe'],
    ['jdoe', '', 'jdoe'],
    ['jdoe@corp.example', '', 'jdoe@corp.example'],
  ])('takes the name %s apart', (name, domain, user) => {
    expect(new NTLMConnectionPool(name, 'x', '/', 'a.test')).toMatchObject({ domain, user });
  });

  test.each<[string, () => unknown, RegExp]>([
    ['no name', () => new NTLMConnectionPool('', 'x', '/', 'a.test'), /username/],
    ['a name that is none', () => Reflect.construct(NTLMConnectionPool, [1, 'x', '/', 'a.test']), /username/],
    ['no password', () => Reflect.construct(NTLMConnectionPool, ['u', undefined, '/', 'a.test']), /password/],
    ['no authurl', () => new NTLMConnectionPool('u', 'x', '', 'a.test'), /authurl/],
    [
      'other options than an object',
      () => Reflect.construct(NTLMConnectionPool, ['u', 'x', '/', 'a.test', null]),
      /null/,
    ],
    ['auth', () => Reflect.construct(NTLMConnectionPool, ['u', 'x', '/', 'a.test', { auth: null }]), /auth/],
    [
      'a field Authorization for all',
      () => new NTLMHTTPConnectionPool('u', 'x', '/', 'a.test', { headers: { authorization: 'x' } }),
      /Authorization/,
    ],
    [
      'options of TLS without TLS',
      () => Reflect.construct(NTLMHTTPConnectionPool, ['u', 'x', '/', 'a.test', { caCerts: 'x' }]),
      /caCerts/,
    ],
  ])('refuses %s', (_, make, what) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(what);
  });

  test.each([NTLMConnectionPool, NTLMHTTPConnectionPool])('%o refuses an authurl of another host', (Pool) => {
    expect(() => new Pool('u', 'x', 'http://b.test/', 'a.test')).toThrow(HostChangedError);
  });

  test('takes a whole URL of its host as authurl', async () => {
    const server = await serverOf();
    const pool = poolOf(server, { authurl: `${server.url}/in?now=1#here` });
    expect((await pool.request('GET', '/')).status).toBe(200);
    expect(summary(server)).toEqual([...loginOn(0, '/in?now=1'), '0 GET / -']);
  });
});

describe('A login of NTLMHTTPConnectionPool', () => {
  test('sends content that can be sent only once, for no request has to be repeated', async () => {
    const server = await serverOf();
    const response = await poolOf(server).request('POST', '/form', { body: onceOnly('a=b'), retries: false });
    expect(await response.json()).toMatchObject({ user: USER, method: 'POST', body: 'a=b' });
    expect(summary(server)).toEqual([...loginOn(0), '0 POST /form -']);
  });

  test('brings the fields of the pool, and reads refusals of any length', async () => {
    const server = await serverOf({ refusal: 'x'.repeat(100_000) });
    const pool = poolOf(server, { headers: { 'User-Agent': 'robot' } });
    expect((await pool.request('GET', '/')).status).toBe(200);
    expect(server.requests.map(({ fields }) => fields['user-agent'])).toEqual(['robot', 'robot', 'robot']);
    expect(server.connectionCount).toBe(1);
  });

  test.each([
    ['a wrong password', {}, { pw: 'hunter2' }, 'the server refuses the credentials', 2],
    ['another scheme', { offers: ['Basic realm="x"'] as const }, {}, 'the server does not offer it there', 1],
  ])('ends in one error after %s, without a retry', async (_, serverOptions, options, why, requestCount) => {
    const server = await serverOf(
      requestCount === 1
        ? { intercept: () => ({ status: 401, fields: { 'WWW-Authenticate': 'Basic realm="x"' } }) }
        : serverOptions,
    );
    const pool = poolOf(server, { retries: 10, ...options });
    const lines: string[] = [];
    const handler = addLogHandler({ write: ({ message }) => void lines.push(message) });
    const error = await rejection(pool.request('GET', '/')).finally(() => handler.remove());
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error.message).toBe(`Cannot log in by ntlm at /login: ${why}`);
    expect(server.requests).toHaveLength(requestCount);
    expect(lines.length).toBeGreaterThan(0);
    for (const text of [...lines, inspect(error, { depth: 9 }), error.stack, JSON.stringify(error)]) {
      expect(text).not.toMatch(/hunter2|TlRMTVNT/);
    }
    await server.until(({ requests }) => requests.length === requestCount);
    // The next request tries anew, on a connection of its own.
    await expect(pool.request('GET', '/')).rejects.toThrow(AuthenticationError);
    expect(server.connectionCount).toBe(2);
  });

  test('is not missed where authurl is open, and a debug line says so; requests then log in themselves', async () => {
    const server = await serverOf();
    const pool = poolOf(server, { authurl: '/open' });
    const lines: string[] = [];
    const handler = addLogHandler({ write: ({ message }) => void lines.push(message) });
    try {
      expect(await (await pool.request('GET', '/open/2')).json()).toMatchObject({ user: null });
      expect(await (await pool.request('GET', '/closed')).json()).toMatchObject({ user: USER });
    } finally {
      handler.remove();
    }
    expect(lines).toContain('The server asked for no login: /open');
    expect(server.connectionCount).toBe(1);
  });

  test('is made again when the server has dropped the connection', async () => {
    const server = await serverOf();
    const pool = poolOf(server, { retries: false });
    for (let turn = 0; turn < 3; turn++) {
      expect((await pool.request('POST', '/', { body: onceOnly('x') })).status).toBe(200);
      await dropped(server);
    }
    expect(server.logins).toEqual([0, 1, 2]);
    expect(summary(server)).toEqual([0, 1, 2].flatMap((at) => [...loginOn(at), `${at} POST / -`]));
  });

  test('is made again when the server has dropped the connection as a request was on its way', async () => {
    const server = await serverOf({ intercept: first(1, ({ path }) => path === '/late', 'drop') });
    const pool = poolOf(server, { retries: false });
    await pool.request('GET', '/');
    expect((await pool.request('GET', '/late')).status).toBe(200);
    expect(summary(server)).toEqual([...loginOn(0), '0 GET / -', '0 GET /late -', ...loginOn(1), '1 GET /late -']);
  });

  test('is made again, once, when a server has forgotten it; then its refusal is the answer', async () => {
    const forgets = ({ path }: SeenRequest) => path === '/forgotten';
    const refusal = { status: 401, fields: { 'WWW-Authenticate': 'NTLM' }, body: 'who?' };
    const server = await serverOf({ intercept: first(3, forgets, refusal) });
    const pool = poolOf(server, { retries: false });
    const refused = await pool.request('GET', '/forgotten');
    expect([refused.status, refused.data.toString()]).toEqual([401, 'who?']);
    expect((await pool.request('GET', '/forgotten')).status).toBe(200);
    expect(server.logins).toEqual([0, 1, 2, 3]);
  });

  test('is given up where it was forgotten and the content can be sent only once', async () => {
    const refusal = { status: 401, fields: { 'WWW-Authenticate': 'NTLM' } };
    const server = await serverOf({ intercept: first(1, ({ path }) => path === '/', refusal) });
    const sent = poolOf(server).request('POST', '/', { body: onceOnly('x') });
    await expect(sent).rejects.toThrow(UnrewindableBodyError);
    await server.until(({ connectionCount }) => connectionCount === 1);
  });

  test('is made for each request with a server that says Persistent-Auth: false', async () => {
    const server = await serverOf({ persists: false });
    const pool = poolOf(server);
    for (const path of ['/one', '/two']) {
      expect(await (await pool.request('POST', path, { body: 'x' })).json()).toMatchObject({ user: USER, body: 'x' });
    }
    expect(server.connectionCount).toBe(1);
    expect(server.logins).toEqual([0, 0, 0]);
  });

  test('takes a fresh connection to say Negotiate to a server that offers only that, from then on at once', async () => {
    const server = await serverOf({ offers: ['Negotiate'] });
    const pool = poolOf(server, { retries: false });
    expect((await pool.request('POST', '/', { body: onceOnly('x') })).status).toBe(200);
    expect(summary(server)).toEqual(['0 GET /login -', ...loginOn(1), '1 POST / -']);
    await dropped(server);
    expect((await pool.request('GET', '/')).status).toBe(200);
    expect(server.logins).toEqual([1, 2]);
  });

  test('counts as connecting when it is broken off: it is retried whatever the method', async () => {
    const server = await serverOf({ intercept: first(2, isProof, 'drop') });
    const pool = poolOf(server, { retries: 2 });
    const response = await pool.request('POST', '/', { body: onceOnly('x') });
    expect(response.status).toBe(200);
    expect(response.retries?.history).toMatchObject([{ error: { name: 'NewConnectionError' } }, {}]);
    expect(server.logins).toEqual([2]);
  });

  test.each<[string, NtlmServerOptions, RegExp]>([
    [
      'is dropped at the proof',
      { intercept: first(9, isProof, 'drop') },
      /Failed to log a new connection in: Remote end closed/,
    ],
    [
      'is closed after the login',
      { intercept: first(9, isProof, { status: 200, fields: { Connection: 'close' } }) },
      /Failed to log a new connection in: the server has closed it/,
    ],
    ['is refused with more than is drained', { refusal: 'x'.repeat(3 * 1024 ** 2) }, /the server has closed it/],
  ])('raises NewConnectionError when the connection %s', async (_, options, message) => {
    const pool = poolOf(await serverOf(options), { retries: false });
    const error = await rejection(pool.request('GET', '/'));
    expect(error).toBeInstanceOf(NewConnectionError);
    expect(error.message).toMatch(message);
  });

  test('raises AuthenticationError when the server closes the connection in its middle, and says so', async () => {
    const isFirst = ({ message }: SeenRequest) => message === 'negotiate';
    const challenge = `NTLM ${Buffer.from('NTLMSSP\0\x02', 'latin1').toString('base64')}`;
    const malformed = { status: 401, fields: { 'WWW-Authenticate': challenge } };
    const server = await serverOf({ intercept: first(9, isFirst, malformed) });
    await expect(poolOf(server).request('GET', '/')).rejects.toThrow(AuthenticationError);
    expect(server.requests).toHaveLength(1);
  });

  test('100 concurrent requests over at most 10 connections, each of which is logged in exactly once', async () => {
    const server = await serverOf();
    const pool = poolOf(server, { maxsize: 10, block: true });
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const response = await pool.request('POST', `/${index}`, { body: `body ${index}`, retries: false });
        return await response.json();
      }),
    );
    for (const [index, answer] of answers.entries()) {
      expect(answer).toMatchObject({ user: USER, path: `/${index}`, body: `body ${index}` });
    }
    expect(server.connectionCount).toBe(10);
    expect([...server.logins].sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, index) => index));
    expect(server.requests).toHaveLength(120);
  });

  test('ends with the abort of its request, and leaves a pool that works', async () => {
    const server = await serverOf({ intercept: first(1, isProof, 'ignore') });
    const pool = poolOf(server, { maxsize: 1, block: true });
    const controller = new AbortController();
    const request = pool.request('GET', '/', { signal: controller.signal });
    await server.until(({ requests }) => requests.some(isProof));
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(request).rejects.toBe(reason);
    expect((await pool.request('GET', '/')).status).toBe(200);
    expect(server.logins).toEqual([1]);
  });

  test.each([
    ['read', { timeout: new Timeout({ read: 0.05 }), retries: false } as const, NewConnectionError],
    ['total', { timeout: new Timeout({ total: 0.05 }), retries: false } as const, NewConnectionError],
    ['deadline', { deadline: 0.05 }, DeadlineExceededError],
    ['retries', { timeout: new Timeout({ read: 0.05 }), retries: 1 }, MaxRetryError],
  ])('is bounded by %s', async (_, options, ErrorClass) => {
    const pool = poolOf(await serverOf({ intercept: first(9, isProof, 'ignore') }));
    await expect(pool.request('GET', '/', options)).rejects.toThrow(ErrorClass);
  });

  test('does not survive the closing of its pool', async () => {
    const server = await serverOf({ intercept: first(1, isProof, 'ignore') });
    const pool = poolOf(server);
    const request = pool.request('GET', '/', { timeout: new Timeout({ read: 0.2 }) });
    await server.until(({ requests }) => requests.some(isProof));
    pool.close();
    await expect(request).rejects.toThrow(ClosedPoolError);
  });

  test('with streamed content, the connection comes back when that has been read, and only then', async () => {
    const server = await serverOf();
    const pool = poolOf(server, { maxsize: 1, block: true });
    const streamed = await pool.request('GET', '/', { preloadContent: false });
    const next = pool.request('GET', '/next');
    await streamed.read();
    expect((await next).status).toBe(200);
    expect(server.connectionCount).toBe(1);
    const given = await pool.request('GET', '/', { preloadContent: false });
    given.close();
    expect((await pool.request('GET', '/')).status).toBe(200);
    expect(server.logins).toEqual(server.connectionCount === 1 ? [0] : [0, 1]);
  });
});

describe('SEC-091 (CVE-2014-0015, CVE-2015-3143): NTLMHTTPConnectionPool keeps its connections to its own user and host', () => {
  test.each([
    ['nobody', { auth: null }, TypeError],
    ['another user', { auth: { type: 'ntlm', username: 'other', password: PASSWORD } }, TypeError],
    ['another scheme', { auth: { type: 'basic', username: USER, password: PASSWORD } }, TypeError],
    ['a field Authorization', { headers: { authorization: 'Basic eDp5' } }, TypeError],
  ] as const)('it refuses requests of %s before any byte', async (_, options, ErrorClass) => {
    const server = await serverOf();
    const pool = poolOf(server);
    const error = await rejection(pool.request('GET', '/', options));
    expect(error).toBeInstanceOf(ErrorClass);
    expect(inspect(error)).not.toContain(PASSWORD);
    expect(server.connectionCount).toBe(0);
  });

  test('it asks no other host, not even when told to, or redirected', async () => {
    const location = 'http://other.example/';
    const server = await serverOf({
      intercept: first(1, ({ path }) => path === '/away', { status: 302, fields: { Location: location } }),
    });
    const pool = poolOf(server);
    const options = { assertSameHost: false, retries: false } as const;
    await expect(pool.request('GET', location, options)).rejects.toThrow(HostChangedError);
    expect(server.connectionCount).toBe(0);
    await expect(pool.request('GET', '/away', { assertSameHost: false })).rejects.toThrow(HostChangedError);
    expect(summary(server)).toEqual([...loginOn(0), '0 GET /away -']);
  });

  test('it serves requests that name its own credentials', async () => {
    const server = await serverOf();
    const auth = { type: 'ntlm', username: USER, domain: DOMAIN, password: PASSWORD } as const;
    expect((await poolOf(server).request('GET', '/', { auth })).status).toBe(200);
  });
});
