/**
 * Secrets are planted wherever a caller can put one, real requests fail in every way that loopback can make them fail, and each
 * rendering of what comes out (errors, log lines, events, pools) is searched for them.
 */
import { createPrivateKey } from 'node:crypto';
import diagnosticsChannel from 'node:diagnostics_channel';
import type net from 'node:net';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { connectionFromUrl } from '../../src/connectionpool.js';
import * as diagnostics from '../../src/diagnostics.js';
import type * as exceptions from '../../src/exceptions.js';
import { addLogHandler, type LogHandler } from '../../src/logging.js';
import { PoolManager, ProxyManager } from '../../src/poolmanager.js';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { Retry } from '../../src/util/retry.js';
import { ok, type Peer, redirectTo, reply, type Script, startPeer, testCertificate } from '../pool-peers.js';

/** Found by one search, whichever of them leaked and wherever it was cut. */
const CANARY = 'c4nary';
const USERINFO = `${CANARY}-user:${CANARY}-password`;

const HEADERS = {
  Authorization: `Bearer ${CANARY}-authorization`,
  Cookie: `session=${CANARY}-cookie`,
  'X-Api-Key': `${CANARY}-key`,
  'Proxy-Authorization': `Basic ${CANARY}-proxy`,
};

const FIELDS = { password: `${CANARY}-field` };

/** How the peer fails, by path. */
const FAULTS: Record<string, Script> = {
  '/ok': () => ok('fine', { 'Set-Cookie': `session=${CANARY}-set` }),
  '/reset': (_, socket) => void (socket as net.Socket).resetAndDestroy(),
  '/reset-in-head': (_, socket) => {
    socket.end('HTTP/1.1 200 OK\r\nContent-');
    return undefined;
  },
  '/silent': () => undefined,
  '/bad-head': () => 'HTTP/1.1 20x Who knows\r\n\r\n',
  '/two-lengths': () => 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
  '/short': (_, socket) => {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    return undefined;
  },
  '/half': () => 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
  '/bad-chunk': () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
  '/not-gzip': () => ok('plain', { 'Content-Encoding': 'gzip' }),
  '/busy': () => reply(503),
  '/loop': ({ field }) => redirectTo(`http://${USERINFO}@${field('host')}/loop`),
  '/elsewhere': () => redirectTo(`http://${USERINFO}@127.0.0.1:1/`, 307),
  '/moved': () => redirectTo('/ok', 307),
  '/bad-location': () => redirectTo(`http://${USERINFO}@[/`),
};

let peer: Peer;
let tlsPeer: Peer;
beforeAll(async () => {
  const serve: Script = (request, socket) => FAULTS[request.target.replace(/\?.*/, '')]?.(request, socket);
  peer = await startPeer(serve);
  tlsPeer = await startPeer(serve, { tls: await testCertificate() });
});
afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  await tlsPeer[Symbol.asyncDispose]();
});

/** All that was logged, warned of and published in a test. */
const told: string[] = [];
let handler: LogHandler;
const onEvent = (event: unknown, name: string | symbol) =>
  told.push(...renderings(event).map((text) => `${String(name)} ${text}`));
const CHANNELS = Object.values(diagnostics).filter((value) => value instanceof diagnostics.DiagnosticsChannel);

beforeEach(() => {
  told.length = 0;
  handler = addLogHandler({ write: (record) => void told.push(...renderings(record)) });
  for (const { name } of CHANNELS) diagnosticsChannel.subscribe(name, onEvent);
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void told.push(...renderings(warning)));
});
afterEach(() => {
  handler.remove();
  for (const { name } of CHANNELS) diagnosticsChannel.unsubscribe(name, onEvent);
  vi.restoreAllMocks();
});

/** Everything that somebody might write to a log of a value. */
function renderings(value: unknown): string[] {
  const texts = [
    String(value),
    inspect(value, { depth: 10 }),
    inspect(value, { depth: 10, showHidden: false, compact: true }),
  ];
  texts.push(JSON.stringify(value) ?? '');
  if (value instanceof Error) {
    texts.push(value.message, value.stack ?? '', inspect(structuredClone(value), { depth: 10 }));
    texts.push(...renderings({ ...value }));
  }
  return texts;
}

function expectNoSecret(texts: readonly string[]): void {
  expect(texts.filter((text) => text.includes(CANARY))).toEqual([]);
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  if (!(outcome instanceof Error)) throw new Error(`not an error: ${inspect(outcome)}`);
  return outcome;
}

/** A URL of the peer with a secret in it. */
function at(path: string, { port } = peer, scheme = 'http'): string {
  return `${scheme}://${USERINFO}@127.0.0.1:${port}${path}`;
}

const LIMITS = { timeout: 0.05, headers: HEADERS } as const;

type Call = (manager: PoolManager) => Promise<unknown>;

/** What is done, and the class of the error that it must raise. */
const FAILURES: Record<string, { readonly call: Call; readonly raises: keyof typeof exceptions }> = {
  'a refused connection': {
    call: (manager) => manager.request('GET', `http://${USERINFO}@127.0.0.1:1/`, { headers: HEADERS, retries: 1 }),
    raises: 'MaxRetryError',
  },
  'a refused connection without retries': {
    call: (manager) => manager.request('GET', `http://${USERINFO}@127.0.0.1:1/`, { headers: HEADERS, retries: false }),
    raises: 'NewConnectionError',
  },
  'a host without address': {
    call: () => {
      const missing = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
      const lookup: LookupFunction = (_host, _options, done) => done(missing, '', 4);
      const pool = connectionFromUrl(`http://${USERINFO}@nx.example/`, { lookup });
      return pool.request('GET', '/', { headers: HEADERS, retries: false });
    },
    raises: 'NameResolutionError',
  },
  'a host whose address does not come': {
    call: () => {
      const pool = connectionFromUrl(`http://${USERINFO}@slow.example/`, { lookup: () => {} });
      return pool.request('GET', '/', { ...LIMITS, retries: false });
    },
    raises: 'ConnectTimeoutError',
  },
  'a reset': {
    call: (manager) => manager.request('POST', at('/reset'), { headers: HEADERS, fields: FIELDS }),
    raises: 'ProtocolError',
  },
  'a reset with retries': {
    call: (manager) => manager.request('GET', at('/reset'), { headers: HEADERS, fields: FIELDS, retries: 2 }),
    raises: 'MaxRetryError',
  },
  'an end within the head': {
    call: (manager) => manager.request('GET', at('/reset-in-head'), { headers: HEADERS, retries: false }),
    raises: 'ProtocolError',
  },
  'a silent peer': {
    call: (manager) => manager.request('PUT', at('/silent'), { ...LIMITS, json: FIELDS, retries: false }),
    raises: 'ReadTimeoutError',
  },
  'a head that is none': {
    call: (manager) => manager.request('GET', at('/bad-head'), { headers: HEADERS, retries: false }),
    raises: 'ProtocolError',
  },
  'two lengths': {
    call: (manager) => manager.request('GET', at('/two-lengths'), { headers: HEADERS, retries: false }),
    raises: 'ProtocolError',
  },
  'a short body': {
    call: (manager) => manager.request('GET', at('/short'), { headers: HEADERS, retries: false }),
    raises: 'ProtocolError',
  },
  'a chunk that is none': {
    call: (manager) => manager.request('GET', at('/bad-chunk'), { headers: HEADERS, retries: false }),
    raises: 'ProtocolError',
  },
  'content that is not gzip': {
    call: (manager) => manager.request('GET', at('/not-gzip'), { headers: HEADERS, retries: false }),
    raises: 'DecodeError',
  },
  'a status too often': {
    call: (manager) =>
      manager.request('GET', at('/busy'), { headers: HEADERS, retries: new Retry(2, { statusForcelist: [503] }) }),
    raises: 'MaxRetryError',
  },
  'a redirect loop': {
    call: (manager) => manager.request('GET', at('/loop'), { headers: HEADERS, retries: 3 }),
    raises: 'MaxRetryError',
  },
  'a redirect to a dead host': {
    call: (manager) => manager.request('POST', at('/elsewhere'), { headers: HEADERS, json: FIELDS, retries: 2 }),
    raises: 'MaxRetryError',
  },
  'a redirect to what is no URL': {
    call: (manager) => manager.request('GET', at('/bad-location'), { headers: HEADERS }),
    raises: 'LocationParseError',
  },
  'a body that cannot be sent again': {
    call: (manager) =>
      manager.request('POST', at('/moved'), { headers: HEADERS, body: Readable.from([`${CANARY}-body`]) }),
    raises: 'UnrewindableBodyError',
  },
  'a full pool': {
    call: async () => {
      await using pool = connectionFromUrl(at('/'), { block: true, maxsize: 1 });
      await using _held = await pool.request('GET', '/half', { preloadContent: false });
      return await pool.request('GET', '/ok', { headers: HEADERS, poolTimeout: 0.01, retries: false });
    },
    raises: 'EmptyPoolError',
  },
  'a closed pool': {
    call: async () => {
      const pool = connectionFromUrl(at('/'));
      await pool.close();
      return await pool.request('GET', '/ok', { headers: HEADERS });
    },
    raises: 'ClosedPoolError',
  },
  'a URL of another host': {
    call: (manager) =>
      manager.connectionFromUrl(at('/')).urlopen('GET', `http://${USERINFO}@other.example/`, { headers: HEADERS }),
    raises: 'HostChangedError',
  },
  'a certificate of nobody': {
    call: (manager) => manager.request('GET', at('/ok', tlsPeer, 'https'), { headers: HEADERS, retries: false }),
    raises: 'SSLError',
  },
  'TLS to a server without it': {
    call: (manager) => manager.request('GET', at('/ok', peer, 'https'), { ...LIMITS, headers: HEADERS, retries: 1 }),
    raises: 'MaxRetryError',
  },
  'a URL that is none': {
    call: (manager) => manager.request('GET', `http://${CANARY}:${CANARY}/${CANARY}@h/`, { headers: HEADERS }),
    raises: 'LocationParseError',
  },
  'an unknown scheme': {
    call: (manager) => manager.request('GET', `ftp://${USERINFO}@h/`, { headers: HEADERS }),
    raises: 'URLSchemeUnknown',
  },
  'a deadline': {
    call: (manager) => manager.request('GET', at('/silent'), { headers: HEADERS, deadline: 0.05 }),
    raises: 'DeadlineExceededError',
  },
};

/** Mistakes of the caller: no error of ours, but no place for a secret either. */
const MISTAKES: Record<string, Call> = {
  'a header value with a line end': (manager) =>
    manager.request('GET', at('/ok'), { headers: { ...HEADERS, 'X-Api-Key': `${CANARY}\r\nX: y` } }),
  'a header value beyond latin1': (manager) =>
    manager.request('GET', at('/ok'), { headers: { ...HEADERS, Authorization: `${CANARY} \u{1f511}` } }),
  'a header that is an object': (manager) =>
    // A caller without types.
    manager.request('GET', at('/ok'), {
      headers: { Authorization: { token: CANARY } } as unknown as Record<string, string>,
    }),
  'a body of no known kind': (manager) =>
    // A caller without types.
    manager.request('POST', at('/ok'), { headers: HEADERS, body: { secret: CANARY } as unknown as string }),
  'JSON that goes round': (manager) => {
    const round: Record<string, unknown> = { secret: CANARY };
    round.self = round;
    return manager.request('POST', at('/ok'), { headers: HEADERS, json: round });
  },
};

describe('C9, SEC-118 (CVE-2024-6104, CVE-2015-3448): no rendering of an error, log line or event shows a secret', () => {
  test.each(Object.entries(FAILURES))('%s', async (_, { call, raises }) => {
    await using manager = new PoolManager();
    const error = await failureOf(call(manager));
    expect(error.name).toBe(raises);
    expectNoSecret(renderings(error));
    expectNoSecret(told);
    expectNoSecret(renderings(manager));
  });

  test.each(Object.entries(MISTAKES))('the mistake of %s', async (_, call) => {
    await using manager = new PoolManager();
    expectNoSecret(renderings(await failureOf((async () => await call(manager))())));
    expectNoSecret(told);
  });

  test('a request that went well, with its response, its pool and its manager', async () => {
    const { Authorization, Cookie } = HEADERS;
    await using manager = new PoolManager({ headers: { Authorization, Cookie } });
    const response = await manager.request('POST', at('/ok'), { fields: FIELDS });
    expect(response.status).toBe(200);
    expectNoSecret(told);
    for (const name of ['request:start', 'connection:open', 'request:head', 'request:end']) {
      expect(told.some((text) => text.startsWith(`urllib3:${name} `))).toBe(true);
    }
    expect(told.some((text) => text.includes('"POST /ok HTTP/1.1" 200'))).toBe(true);
    for (const value of [manager, manager.connectionFromUrl(at('/')), response]) {
      expectNoSecret([String(value), inspect(value, { depth: 10 })]);
    }
  });

  test('a manager whose key has a password', async () => {
    const keyPassword = `${CANARY}-key-password`;
    const { key, cert } = await testCertificate();
    const locked = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: keyPassword } as const;
    const keyFile = createPrivateKey(key).export(locked).toString();
    const manager = new PoolManager({ certFile: cert, keyFile, keyPassword });
    expectNoSecret(renderings(manager));
    expectNoSecret(renderings(manager.connectionFromUrl('https://h/')));
  });

  test('an unverified host, of which a warning tells', async () => {
    await using manager = new PoolManager({ certReqs: 'CERT_NONE' });
    await manager.request('GET', at('/ok', tlsPeer, 'https'), { headers: HEADERS });
    expect(told.some((text) => text.includes('InsecureRequestWarning'))).toBe(true);
    expectNoSecret(told);
  });
});

/** A proxy that wants credentials for a tunnel to `tls.example`, makes one to nowhere for `garbage.example`, and answers the rest itself. */
const PROXY: Script = ({ method, target }, socket) => {
  if (method !== 'CONNECT') return ok('by proxy');
  if (target.startsWith('closed.')) return void socket.destroy();
  return target.startsWith('garbage.') ? 'HTTP/1.1 200 OK\r\n\r\nnot TLS' : reply(407, 'credentials please');
};

describe('SEC-083 (CVE-2026-48615): the credentials of a proxy are in no error, log line, event or object', () => {
  let proxy: Peer;
  beforeAll(async () => {
    proxy = await startPeer(PROXY);
  });
  afterAll(() => proxy[Symbol.asyncDispose]());

  function through(port: number): ProxyManager {
    const proxyHeaders = { 'X-Proxy-Token': `${CANARY}-proxy-token` };
    return new ProxyManager(`http://${USERINFO}@127.0.0.1:${port}`, { proxyHeaders, retries: false });
  }

  test.each([
    ['a proxy that refuses connections, for http', () => 1, 'http://h.example/', 'ProxyError'],
    ['a proxy that refuses connections, for https', () => 1, 'https://h.example/', 'ProxyError'],
    ['a proxy that answers 407', () => proxy.port, 'https://h.example/', 'ProxyError'],
    ['a proxy that closes the connection', () => proxy.port, 'https://closed.example/', 'ProxyError'],
    ['a tunnel to what speaks no TLS', () => proxy.port, 'https://garbage.example/', 'SSLError'],
  ])('%s', async (_, port, url, raises) => {
    await using manager = through(port());
    const target = url.replace('//', `//${USERINFO}@`);
    const error = await failureOf(manager.request('GET', target, { headers: HEADERS }));
    expect(error.name).toBe(raises);
    expectNoSecret(renderings(error));
    expectNoSecret(told);
    expectNoSecret(renderings(manager));
    expectNoSecret(renderings(manager.connectionFromUrl(target)));
  });

  test('a request that it passes on', async () => {
    await using manager = through(proxy.port);
    const response = await manager.request('GET', `http://${USERINFO}@h.example/`, { headers: HEADERS });
    expect(response.data.toString()).toBe('by proxy');
    expect(proxy.received).toContain(`X-Proxy-Token: ${CANARY}-proxy-token`);
    expect(told.length).toBeGreaterThan(3);
    expectNoSecret(told);
    for (const value of [manager, manager.connectionFromUrl('http://h.example/'), response]) {
      expectNoSecret([String(value), inspect(value, { depth: 10 })]);
    }
  });
});
