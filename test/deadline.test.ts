/** The `deadline` of a request: it ends the call wherever it is, and its error is a bill of what took the time. */
import { getEventListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { HTTPConnectionPool } from '../src/connectionpool.js';
import { DeadlineExceededError, type Phase, TimeoutError } from '../src/exceptions.js';
import { PoolManager, type PoolManagerOptions } from '../src/poolmanager.js';
import type { RequestOptions } from '../src/request.js';
import type { LookupFunction } from '../src/transport/resolve.js';
import { Retry } from '../src/util/retry.js';
import { answer, CAN_FILL_PORTS, type FullPort, fullPort } from './faults/peer.js';
import { timersLeftBy, watchHandles } from './support/leaks.js';
import { answering, ok, type Peer, type PeerConnection, peer, type Script } from './support/peer.js';

watchHandles();

const DEADLINE = 0.15;
const toLoopback: LookupFunction = (_host, _options, callback) => callback(null, ['127.0.0.1']);
const silent: Script = () => {};

let full: FullPort | undefined;
beforeAll(async () => {
  if (CAN_FILL_PORTS) full = await fullPort();
});
afterAll(async () => await full?.[Symbol.asyncDispose]());

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (reason: unknown) => reason,
  );
}

async function exceeded(promise: Promise<unknown>): Promise<DeadlineExceededError> {
  const error = await rejection(promise);
  if (!(error instanceof DeadlineExceededError)) throw error;
  return error;
}

/** Seconds of the whole bill. */
function sum({ bill }: DeadlineExceededError): number {
  return bill.flatMap(({ phases }) => phases).reduce((total, { seconds }) => total + seconds, 0);
}

/** Seconds of each phase of the whole bill. */
function byPhase({ bill }: DeadlineExceededError): Partial<Record<Phase | 'backoff', number>> {
  const times: Partial<Record<Phase | 'backoff', number>> = {};
  for (const { phase, seconds } of bill.flatMap(({ phases }) => phases)) times[phase] = (times[phase] ?? 0) + seconds;
  return times;
}

interface Case {
  readonly name: string;
  /** Where it hangs. */
  readonly phase: Phase | null;
  readonly script: Script;
  readonly options?: PoolManagerOptions;
  readonly request?: RequestOptions;
  readonly method?: string;
  readonly url?: (server: Peer) => string;
  /** Attempts on the bill; one if it does not say. */
  readonly attempts?: number;
  /** The phase that took most of the time, if it is not where it hangs. */
  readonly longest?: Phase | 'backoff';
}

const drip =
  (head: string): Script =>
  async (connection) => {
    await connection.request();
    connection.write(head);
    const dripping = setInterval(() => connection.write('x'), 10);
    await connection.closed;
    clearInterval(dripping);
  };

/** Answers each request after a while, with a redirect to itself. */
const slowRedirect: Script = async (connection) => {
  for (;;) {
    await connection.request();
    await delay(40);
    connection.write(answer(302, '', 'Location: /\r\n'));
  }
};

const CASES: readonly Case[] = [
  {
    name: 'the answer of a lookup is waited for',
    phase: 'resolve',
    script: silent,
    options: { lookup: () => {} },
    url: ({ port }) => `http://a.test:${port}/`,
  },
  {
    name: 'a connection is waited for',
    phase: 'connect',
    script: silent,
    url: () => `http://127.0.0.1:${full?.port}/`,
  },
  { name: 'TLS is waited for', phase: 'tls', script: silent, url: ({ port }) => `https://127.0.0.1:${port}/` },
  {
    name: 'a big body is not taken',
    phase: 'send',
    script: (connection) => void connection.socket.pause(),
    method: 'POST',
    request: { body: Buffer.alloc(32 * 1_048_576) },
  },
  {
    name: 'the body does not come from its source',
    phase: 'send',
    script: silent,
    method: 'POST',
    request: { body: never() },
  },
  { name: 'the head is waited for', phase: 'wait', script: silent },
  { name: 'the head drips', phase: 'wait', script: drip('HTTP/1.1 200 OK\r\nX-A: ') },
  {
    name: 'the content drips (M4)',
    phase: 'content',
    script: drip('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n'),
  },
  {
    name: 'it waits for the next attempt',
    phase: null,
    script: answering(answer(503, '')),
    request: { retries: new Retry(5, { statusForcelist: [503], backoffFactor: 20 }) },
    attempts: 2,
    longest: 'backoff',
  },
  {
    name: 'it waits as a Retry-After asks',
    phase: null,
    script: answering(answer(503, '', 'Retry-After: 60\r\n')),
    longest: 'backoff',
  },
  {
    name: 'it waits as the Retry-After of a redirect asks',
    phase: null,
    script: answering(answer(302, '', 'Location: /\r\nRetry-After: 60\r\n')),
    longest: 'backoff',
  },
  {
    name: 'one redirect follows the other',
    phase: 'wait',
    script: slowRedirect,
    request: { retries: 100 },
    attempts: 4,
  },
  {
    name: 'the content of a redirect is thrown away',
    phase: 'content',
    script: drip('HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 100000\r\n\r\n'),
  },
];

async function* never(): AsyncGenerator<Uint8Array, void, undefined> {
  await new Promise(() => {});
  yield new Uint8Array();
}

// Clocks of a busy machine are late now and then: never three times in a row.
describe('DeadlineExceededError names what was going on, and its bill adds up to the deadline (M4, C4)', {
  retry: 2,
}, () => {
  const runnable = CASES.filter(({ phase }) => phase !== 'connect' || CAN_FILL_PORTS);
  describe.each(['request', 'manager'] as const)('of a %s', (level) => {
    test.each(runnable.map((one) => [one.name, one] as const))('while %s', async (_name, one) => {
      const { phase, script, options = {}, request = {}, method = 'GET', attempts = 1 } = one;
      const { signal } = new AbortController();
      await using server = await peer(script);
      const manager = level === 'manager' ? { deadline: DEADLINE } : {};
      const call = level === 'request' ? { deadline: DEADLINE } : {};
      const url = one.url?.(server) ?? `http://127.0.0.1:${server.port}/`;
      let error: DeadlineExceededError | undefined;
      const left = await timersLeftBy(async () => {
        await using http = new PoolManager({ lookup: toLoopback, ...options, ...manager });
        // A body that comes once is given anew to each test.
        const body = request.body !== undefined && !Buffer.isBuffer(request.body) ? never() : request.body;
        error = await exceeded(http.request(method, url, { ...request, body, signal, ...call }));
        http.clear();
        for (const connection of server.connections) await closedSoon(connection);
      });
      if (error === undefined) throw new Error('it did not fail');
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error).toMatchObject({ deadline: DEADLINE, phase });
      expect(error.bill).toHaveLength(attempts);
      expect(Math.abs(sum(error) - DEADLINE)).toBeLessThan(0.02);
      const [longest] = Object.entries(byPhase(error)).sort(([, one], [, other]) => other - one)[0] ?? [];
      expect(longest).toBe(one.longest ?? phase);
      expect({ left, listeners: getEventListeners(signal, 'abort').length }).toEqual({ left: 0, listeners: 0 });
    });
  });

  test('while a connection of a pool that blocks is waited for, of the pool', async () => {
    await using server = await peer(drip('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n'));
    await using pool = new HTTPConnectionPool('127.0.0.1', {
      port: server.port,
      block: true,
      maxsize: 1,
      deadline: DEADLINE,
    });
    const held = await pool.request('GET', '/', { preloadContent: false, deadline: null });
    const error = await exceeded(pool.request('GET', '/'));
    expect(error).toMatchObject({ phase: 'queue', deadline: DEADLINE });
    expect(error.bill).toMatchObject([{ method: 'GET', phases: [{ phase: 'queue' }], outcome: '' }]);
    expect(Math.abs(sum(error) - DEADLINE)).toBeLessThan(0.02);
    held.close();
    const after = await exceeded(pool.request('GET', '/'));
    expect(after.phase).toBe('content');
  });

  test('tells of every attempt: what failed, what was waited, what was redirected', async () => {
    let turn = 0;
    await using server = await peer(async (connection) => {
      for (;;) {
        await connection.request();
        const answers = [answer(500, ''), answer(302, '', 'Location: /next\r\n')];
        if (turn === 2) return connection.reset();
        const text = answers[turn++];
        if (text !== undefined) connection.write(text);
      }
    });
    await using http = new PoolManager({ retries: new Retry(9, { statusForcelist: [500], backoffFactor: 30 }) });
    const error = await exceeded(
      http.request('GET', `http://127.0.0.1:${server.port}/?token=abc`, { deadline: DEADLINE }),
    );
    expect(error.bill.map(({ url, outcome }) => [new URL(url).pathname + new URL(url).search, outcome])).toEqual(
      [
        ['/?token=***', 'status 500'],
        ['/?token=***', 'status 302'],
        // The reset of a connection that was used before costs nothing: it moves to a fresh one.
        ['/next', 'ProtocolError'],
        ['/next', 'ProtocolError'],
        ['/next', 'ProtocolError'],
      ].slice(0, error.bill.length),
    );
    expect(error.message).toMatch(
      /^Deadline of 0\.15 s exceeded after \d attempts: GET \S+\/\?token=\*\*\* \[.*: status 500\].*backoff \d\.\d{3}/,
    );
    expect(Math.abs(sum(error) - DEADLINE)).toBeLessThan(0.02);
  });
});

/** The client has gone; what it had sent may have to be read first. */
async function closedSoon(connection: PeerConnection): Promise<void> {
  connection.socket.resume();
  await connection.closed;
}

describe('a deadline, and content that is streamed', () => {
  test('holds until the content is read: a body that trickles is cut (M4)', async () => {
    await using server = await peer(drip('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n'));
    await using http = new PoolManager();
    const url = `http://127.0.0.1:${server.port}/`;
    const response = await http.request('GET', url, { deadline: DEADLINE, preloadContent: false, timeout: 5 });
    const error = await exceeded(response.read());
    expect(error).toMatchObject({ phase: 'content', bill: [{ outcome: 'status 200' }] });
    await server.connections[0]?.closed;
  });

  test('ends a response that nobody reads', async () => {
    await using server = await peer(drip('HTTP/1.1 200 OK\r\n\r\n'));
    await using http = new PoolManager();
    const url = `http://127.0.0.1:${server.port}/`;
    const response = await http.request('GET', url, { deadline: DEADLINE, preloadContent: false });
    await (await server.connection(0)).closed;
    // What had come can still be had.
    await exceeded(response.read());
    expect(() => response.data).toThrow('The content broke off before its end');
  });

  const ends = {
    read: async (url: string, options: RequestOptions) => {
      await using http = new PoolManager();
      return void (await (await http.request('GET', url, options)).read());
    },
    closed: async (url: string, options: RequestOptions) => {
      await using http = new PoolManager();
      (await http.request('GET', url, options)).close();
    },
    preloaded: async (url: string, options: RequestOptions) => {
      await using http = new PoolManager();
      await http.request('GET', url, { ...options, preloadContent: true });
    },
    'preloaded by a pool': async (url: string, options: RequestOptions) => {
      const { hostname, port } = new URL(url);
      await using pool = new HTTPConnectionPool(hostname, { port: Number(port) });
      await pool.request('GET', '/', { ...options, preloadContent: true });
    },
    'returned as the last one of several': async (url: string, options: RequestOptions) => {
      const { hostname, port } = new URL(url);
      const retries = new Retry(1, { statusForcelist: [200], raiseOnStatus: false });
      await using pool = new HTTPConnectionPool(hostname, { port: Number(port) });
      await (await pool.request('GET', '/', { ...options, retries })).read();
      await pool.request('GET', '/', { ...options, retries, preloadContent: true });
    },
    'returned as the last redirect': async (url: string, options: RequestOptions) => {
      const { hostname, port } = new URL(url);
      const retries = new Retry(0, { raiseOnRedirect: false });
      await using pool = new HTTPConnectionPool(hostname, { port: Number(port) });
      await (await pool.request('GET', '/302', { ...options, retries })).read();
      await pool.request('GET', '/302', { ...options, retries, preloadContent: true });
      await using http = new PoolManager();
      await (await http.request('GET', `${url}302`, { ...options, retries })).read();
    },
  };

  test.each(Object.keys(ends))('ends with the content: %s, no timer and no listener is left', async (end) => {
    const { signal } = new AbortController();
    await using server = await peer(async (connection) => {
      for (;;) {
        const request = await connection.request();
        connection.write(request.startsWith('GET /302') ? answer(302, 'x', 'Location: /302\r\n') : ok('hello'));
      }
    });
    const left = await timersLeftBy(async () => {
      const run = Object.entries(ends).find(([name]) => name === end)?.[1] ?? expect.fail(end);
      await run(`http://127.0.0.1:${server.port}/`, { deadline: 60, preloadContent: false, signal });
    });
    expect({ left, listeners: getEventListeners(signal, 'abort').length }).toEqual({ left: 0, listeners: 0 });
  });
});

describe('a deadline, and what else may end a request', () => {
  test.each([
    ['before it begins', 0],
    ['while it waits', 1],
  ])("the caller's signal keeps its own reason: %s", async (_name, requests) => {
    const controller = new AbortController();
    const reason = new Error('gone');
    if (requests === 0) controller.abort(reason);
    await using server = await peer(async (connection) => {
      await connection.request();
      controller.abort(reason);
    });
    await using http = new PoolManager();
    const url = `http://127.0.0.1:${server.port}/`;
    expect(await rejection(http.request('GET', url, { deadline: 5, signal: controller.signal }))).toBe(reason);
    expect(server.connections).toHaveLength(requests);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  test('an attempt that times out in time is retried, and the deadline ends them all', async () => {
    await using server = await peer(silent);
    await using http = new PoolManager({ timeout: 0.04, retries: 50 });
    const error = await exceeded(http.request('GET', `http://127.0.0.1:${server.port}/`, { deadline: 0.3 }));
    expect(error.bill.length).toBeGreaterThan(2);
    expect(error.bill.at(0)?.outcome).toBe('ReadTimeoutError');
    expect(error.bill.at(-1)?.outcome).toBe('');
  });

  test('null of the request switches that of the manager off', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      await delay(60);
      connection.write(ok('late'));
    });
    await using http = new PoolManager({ deadline: 0.02 });
    const response = await http.request('GET', `http://127.0.0.1:${server.port}/`, { deadline: null });
    expect(response.data.toString()).toBe('late');
  });

  test.each([
    ['a method that is none', 'GE T', {}],
    ['a body that is none', 'POST', { body: 7 }],
    ['retries that are none', 'GET', { retries: 'many' }],
    ['headers that are none', 'GET', { headers: { 'a b': '' } }],
    ['a host that is another', 'GET', { url: 'http://a.test/' }],
  ])(
    'leaves no timer and no listener behind %s',
    async (_name, method, { url = '/', ...given }: Record<string, unknown>) => {
      const { signal } = new AbortController();
      // What no type allows.
      const options = { ...given, signal, deadline: 60 } as RequestOptions;
      const left = await timersLeftBy(async () => {
        await using pool = new HTTPConnectionPool('127.0.0.1', { port: 1 });
        await rejection(pool.urlopen(method, String(url), options));
        await using http = new PoolManager();
        await rejection(http.urlopen(method, url === '/' ? 'http://127.0.0.1:1/' : 'no url', options));
      });
      expect({ left, listeners: getEventListeners(signal, 'abort').length }).toEqual({ left: 0, listeners: 0 });
    },
  );

  test.each([0, -1, Number.NaN, '5', {}])('%j is no deadline', async (deadline) => {
    // What no type allows.
    const options = { deadline } as unknown as RequestOptions;
    expect(() => new PoolManager(options as PoolManagerOptions)).toThrow(/deadline/);
    expect(await rejection(new PoolManager().request('GET', 'http://127.0.0.1:1/', options))).toMatchObject({
      message: expect.stringContaining('deadline'),
    });
  });

  test('Infinity is none', async () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    await using server = await peer(answering(ok('hello')));
    await using http = new PoolManager({ deadline: Number.POSITIVE_INFINITY });
    expect((await http.request('GET', `http://127.0.0.1:${server.port}/`)).status).toBe(200);
    expect(setTimer.mock.calls.filter(([, ms]) => Number(ms) > 2 ** 30)).toEqual([]);
    vi.restoreAllMocks();
  });
});
