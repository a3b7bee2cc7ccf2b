/** Security cases of waiting: whatever a peer does or leaves undone, every wait ends, and nothing of it is left. */
import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { bodySource } from '../../src/body/source.js';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { ConnectTimeoutError, MaxRetryError, ProtocolError, ReadTimeoutError } from '../../src/exceptions.js';
import { PoolManager, ProxyManager } from '../../src/poolmanager.js';
import { Retry } from '../../src/util/retry.js';
import { Timeout } from '../../src/util/timeout.js';
import { answer, faultyServer } from '../faults/peer.js';
import { ok as okReply, redirectTo, startPeer } from '../pool-peers.js';
import { timersLeftBy, watchHandles } from '../support/leaks.js';
import { answering, ok, type Peer, peer, type Script } from '../support/peer.js';
import { connected, post } from '../support/session.js';

watchHandles();

const MiB = 1_048_576;
const PLAIN = { retries: false } as const;

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (reason: unknown) => reason,
  );
}

function urlOf({ port }: Peer): string {
  return `http://127.0.0.1:${port}/`;
}

describe('SEC-112 (CVE-2018-12122): a peer that does not take what is sent to it is given up after the read timeout', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'timeouts-'));
    const file = await open(join(folder, 'large'), 'w');
    await file.truncate(64 * MiB);
    await file.close();
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function* endless() {
    for (;;) yield Buffer.alloc(65_536);
  }

  const bodies: Record<string, () => unknown> = {
    bytes: () => Buffer.alloc(64 * MiB),
    'a stream': endless,
    'a file': () => open(join(folder, 'large')),
  };

  test.each(Object.entries(bodies))('%s, however it is read', async (_name, make) => {
    for (const preloadContent of [true, false]) {
      await using server = await peer((connection) => void connection.socket.pause());
      const body = await make();
      const left = await timersLeftBy(async () => {
        await using http = new PoolManager({ ...PLAIN, timeout: new Timeout({ connect: 5, read: 0.1 }) });
        // Each is a body.
        const failing = http.request('PUT', urlOf(server), { body: body as Buffer, preloadContent });
        const error = await rejection(failing);
        expect(error).toBeInstanceOf(ReadTimeoutError);
        expect(error).toMatchObject({ phase: 'send', address: `127.0.0.1:${server.port}` });
        server.connections[0]?.socket.resume();
        await server.connections[0]?.closed;
      });
      expect(left).toBe(0);
      if (typeof body === 'object' && body !== null && 'close' in body) await (body as { close(): unknown }).close();
    }
  });

  test('but not one that takes it slowly, however little that is of a piece', async () => {
    await using server = await peer((connection) => void connection.socket.pause());
    using client = await connected(server);
    // No peer of loopback takes little at a time: kernels hold megabytes. What Node tells of it is told here.
    const beganMs = performance.now();
    const elapsedMs = () => performance.now() - beganMs;
    vi.spyOn(client.session.link, 'unsentBytes', 'get').mockImplementation(() => 1_000 - Math.min(300, elapsedMs()));
    const body = bodySource(Buffer.alloc(64 * MiB));
    const failure: unknown = await rejection(client.session.exchange(post(body, 64 * MiB, { readTimeout: 0.1 })));
    expect(failure).toMatchObject({ error: { name: 'ReadTimeoutError' }, reached: 'request-sent' });
    // For 300 ms it was less and less that was left to send.
    expect(elapsedMs()).toBeGreaterThan(295);
  });
});

describe('SEC-112 (undici #5011): the phases of a tunnel are under the connect timeout, those of interim responses under the total', () => {
  test.each([
    ['CONNECT is never answered', () => {}],
    ['its answer breaks off', answering('HTTP/1.1 200')],
    ['TLS behind it is silent', answering('HTTP/1.1 200 OK\r\n\r\n')],
  ] satisfies [string, Script][])('%s', async (_name, script) => {
    await using server = await peer(script);
    const left = await timersLeftBy(async () => {
      await using http = new ProxyManager(urlOf(server), {
        ...PLAIN,
        timeout: new Timeout({ connect: 0.1, read: 20 }),
      });
      const error = await rejection(http.request('GET', 'https://a.test/'));
      const timedOut = error instanceof ConnectTimeoutError || (error as Error).cause instanceof ConnectTimeoutError;
      expect(timedOut, String(error)).toBe(true);
      await server.connections[0]?.closed;
    });
    expect(left).toBe(0);
  });

  test.each([true, false])('SEC-110: interim responses that never end, preloadContent: %s', async (preloadContent) => {
    await using server = await peer(async (connection) => {
      await connection.request();
      const tell = () => connection.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
      const telling = setInterval(tell, 20);
      await connection.closed;
      clearInterval(telling);
    });
    // Each of them is progress, so that no read timeout would end it.
    const timeout = new Timeout({ total: 0.2, read: 0.15 });
    await using http = new PoolManager({ ...PLAIN, timeout, maxInterimResponses: 1_000 });
    const error = await rejection(http.request('GET', urlOf(server), { preloadContent }));
    expect(error).toBeInstanceOf(ReadTimeoutError);
    await server.connections[0]?.closed;
  });
});

describe('SEC-112: timers and listeners', () => {
  test('200 requests with one signal leave no listener on it, however they end (M13)', async () => {
    const { signal } = new AbortController();
    await using server = await faultyServer(({ target, index }) => {
      if (target === '/reset') return { after: 'reset' };
      if (target === '/busy' && index % 2 === 0)
        return { write: answer(503, '', 'Retry-After: 0\r\n'), after: 'go on' };
      if (target === '/moved') return { write: answer(302, '', 'Location: /\r\n'), after: 'go on' };
      return { write: answer(200, 'hello'), after: 'go on' };
    });
    await using http = new PoolManager({ maxsize: 2, block: true, timeout: 20 });
    await using refused = new PoolManager({ retries: 1 });
    const paths = ['', 'busy', 'moved', 'reset', 'streamed', 'closed', 'refused', 'deadline'];
    const run = async (path: string): Promise<void> => {
      if (path === 'refused') return void (await rejection(refused.request('GET', 'http://127.0.0.1:1/', { signal })));
      const options = {
        signal,
        preloadContent: path !== 'streamed' && path !== 'closed',
        deadline: path === 'deadline' ? 60 : null,
      };
      const response = await http.request('GET', `${server.url}/${path}`, options);
      if (path === 'closed') response.close();
      else await response.read();
    };
    const left = await timersLeftBy(async () => {
      const runs = Array.from({ length: 200 }, (_, index) => run(paths[index % paths.length] ?? ''));
      const ends = await Promise.allSettled(runs);
      // Those that are always reset.
      expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(25);
      http.clear();
    });
    expect({ left, listeners: getEventListeners(signal, 'abort').length }).toEqual({ left: 0, listeners: 0 });
  });

  test('more than ten requests at once with one signal are no leak to warn of', async () => {
    const warned = vi.spyOn(process, 'emitWarning');
    const { signal } = new AbortController();
    await using server = await peer(answering(ok('hello')));
    await using http = new PoolManager();
    await Promise.all(Array.from({ length: 30 }, () => http.request('GET', urlOf(server), { signal })));
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  test('no timer of a request that is over, or of a kept connection, keeps a process alive', async () => {
    await using server = await peer(answering(ok('hello')));
    const program = `
      const { PoolManager } = await import(${JSON.stringify(new URL('../../src/poolmanager.ts', import.meta.url).href)});
      const http = new PoolManager({ timeout: 500, deadline: 500, idleTimeout: 500 });
      const url = ${JSON.stringify(urlOf(server))};
      const streamed = await http.request('GET', url, { preloadContent: false });
      await streamed.read();
      console.log((await http.request('GET', url, { signal: AbortSignal.timeout(500_000) })).data.toString());
    `;
    const beganMs = performance.now();
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 15_000 });
    expect(stdout.trim()).toBe('hello');
    expect(performance.now() - beganMs).toBeLessThan(15_000);
  });

  test('a timer of one exchange does not fire into the next on its connection', async () => {
    await using server = await peer(async (connection) => {
      for (;;) {
        const request = await connection.request();
        if (request.startsWith('GET /slow')) await delay(150);
        connection.write(ok('hello'));
      }
    });
    await using http = new PoolManager({ ...PLAIN, maxsize: 1 });
    await http.request('GET', urlOf(server), { timeout: new Timeout({ total: 0.1 }) });
    await http.request('GET', urlOf(server), { timeout: 0.1, deadline: 0.12 });
    expect((await http.request('GET', `${urlOf(server)}slow`, { timeout: 5 })).data.toString()).toBe('hello');
    expect(server.connections).toHaveLength(1);
  });
});

describe('SEC-114 (urllib3 change 3743): the pauses of a pool are those of the formula', () => {
  afterEach(() => void vi.restoreAllMocks());

  /** The pauses that were slept, in seconds; no time passes. */
  function pauses(): number[] {
    const slept: number[] = [];
    const real = globalThis.setTimeout;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms = 0) => {
      const isPause = new Error().stack?.includes('/src/util/retry.ts') === true;
      if (isPause) slept.push(ms / 1000);
      return real(run, isPause ? 0 : ms);
      // As far as the library calls it.
    }) as typeof setTimeout);
    return slept;
  }

  test.each([
    ['0.1, as the reference has it', new Retry(6, { backoffFactor: 0.1 }), [0.2, 0.4, 0.8, 1.6, 3.2]],
    ['1', new Retry(8, { backoffFactor: 1 }), [2, 4, 8, 16, 32, 64, 120]],
    ['with a bound', new Retry(5, { backoffFactor: 1, backoffMax: 5 }), [2, 4, 5, 5]],
    ['none', new Retry(5), []],
  ])('of failures: a backoffFactor of %s', async (_name, retries, wanted) => {
    await using server = await faultyServer(() => ({ after: 'reset' }));
    const slept = pauses();
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, retries, timeout: null });
    const error = await rejection(pool.request('GET', '/'));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect((error as MaxRetryError).reason).toBeInstanceOf(ProtocolError);
    expect(slept).toEqual(wanted);
  });

  test('of statuses; a redirect begins anew, and a Retry-After stands in place of it', async () => {
    const answers = [
      answer(500, ''),
      answer(500, ''),
      answer(500, ''),
      answer(302, '', 'Location: /\r\n'),
      answer(500, ''),
      answer(500, ''),
      answer(503, '', 'Retry-After: 77\r\n'),
      answer(200, 'hello'),
    ];
    await using server = await faultyServer(({ index }) => ({ write: answers[index] ?? '', after: 'go on' }));
    const slept = pauses();
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, timeout: null });
    const retries = new Retry(9, { statusForcelist: [500], backoffFactor: 0.5 });
    expect((await pool.request('GET', '/', { retries })).data.toString()).toBe('hello');
    expect(slept).toEqual([1, 2, 1, 77]);
  });

  test('with full jitter, a part of the formula that is drawn anew each time', async () => {
    await using server = await faultyServer(() => ({ after: 'reset' }));
    const drawn = [0.5, 0, 0.25, 0, 0.75, 0];
    vi.spyOn(Math, 'random').mockImplementation(() => drawn.shift() ?? 0);
    const slept = pauses();
    const retries = new Retry(4, { backoffFactor: 1, backoff: 'full-jitter' });
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, retries, timeout: null });
    await rejection(pool.request('GET', '/'));
    expect(slept).toEqual([1, 1, 6]);
  });
});

describe.each([true, false])(
  'SEC-054 (CVE-2026-40895, CVE-2026-54171): keys in fields of their own, preloadContent: %s',
  (preloadContent) => {
    const KEYS = {
      Authorization: 'Bearer s3cret',
      Cookie: 'sid=s3cret',
      'Proxy-Authorization': 'Basic s3cret',
      'X-Api-Key': 's3cret',
      'API-KEY': 's3cret',
      'x-auth-token': 's3cret',
      'Private-Token': 's3cret',
      'X-Amz-Security-Token': 's3cret',
    };
    const OWN = { 'X-Tenant': 'acme', 'X-Own-Secret': 'hidden', Accept: 'text/plain', 'User-Agent': 'me' };

    const entries = {
      manager: async (url: string, options: object) => {
        await using http = new PoolManager();
        await (await http.request('GET', url, options)).read();
      },
      'manager, its own headers and policy': async (url: string, options: object) => {
        await using http = new PoolManager(options);
        await (await http.request('GET', url, { preloadContent })).read();
      },
      pool: async (url: string, options: object) => {
        const { hostname, port } = new URL(url);
        await using pool = new HTTPConnectionPool(hostname, { port: Number(port) });
        await (await pool.request('GET', '/', { ...options, assertSameHost: false })).read();
      },
    };

    test.each(Object.entries(entries))(
      'another origin sees none of the default set, through a %s',
      async (name, entry) => {
        await using other = await startPeer(() => okReply('there'));
        await using first = await startPeer(({ target }) =>
          target === '/' ? redirectTo(`${other.url}/next`) : okReply(),
        );
        const own = name === 'manager, its own headers and policy' ? {} : { preloadContent };
        await entry(`${first.url}/`, { headers: { ...KEYS, ...OWN }, ...own });
        expect(first.requests[0]?.head.match(/s3cret/g)).toHaveLength(Object.keys(KEYS).length);
        const next = [...other.requests, ...first.requests.slice(1)][0];
        expect(next?.head).not.toMatch(/s3cret/);
        expect(next?.field('x-own-secret')).toBe('hidden');
      },
    );

    test.each(Object.entries(entries))(
      'crossOriginHeaders: "safelist" lets only harmless ones through, for a %s',
      async (name, entry) => {
        await using other = await startPeer(() => okReply('there'));
        await using first = await startPeer(({ target }) =>
          target === '/' ? redirectTo(`${other.url}/next`) : okReply(),
        );
        const own = name === 'manager, its own headers and policy' ? {} : { preloadContent };
        await entry(`${first.url}/`, { headers: { ...KEYS, ...OWN }, crossOriginHeaders: 'safelist', ...own });
        const next = [...other.requests, ...first.requests.slice(1)][0];
        const names = next?.fields.map(([field]) => field.toLowerCase()).sort();
        // Accept-Encoding is our own.
        expect(names).toEqual(['accept', 'accept-encoding', 'host', 'user-agent']);
      },
    );

    test('within the origin all of them go along', async () => {
      await using first = await startPeer(({ target }) => (target === '/' ? redirectTo('/next') : okReply()));
      await using http = new PoolManager({ crossOriginHeaders: 'safelist' });
      await (await http.request('GET', first.url, { headers: { ...KEYS, ...OWN }, preloadContent })).read();
      expect(first.requests[1]?.head.match(/s3cret|hidden|acme/g)).toHaveLength(Object.keys(KEYS).length + 2);
    });
  },
);
