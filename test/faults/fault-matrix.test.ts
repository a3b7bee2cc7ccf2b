/**
 * What can go wrong × what was asked × how it may be retried: for each, what is raised, how often the server was asked, what
 * is remembered, and that nothing stays open. The tables are written from the documentation (docs/retrying-requests.md, the
 * reference's "urllib3.util.retry module"), so that the engine is held to them and not they to it.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { HTTPError, MaxRetryError } from '../../src/exceptions.js';
import { PoolManager, type PoolManagerOptions } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';
import type { HTTPResponse } from '../../src/response.js';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { type Retries, Retry } from '../../src/util/retry.js';
import { Timeout } from '../../src/util/timeout.js';
import { testCertificate } from '../pool-peers.js';
import { watchHandles } from '../support/leaks.js';
import {
  answer,
  CAN_FILL_PORTS,
  type FaultyRequest,
  type FaultyServer,
  type FullPort,
  faultyServer,
  fullPort,
  type Plan,
} from './peer.js';

watchHandles();

/** What is asked. A body that comes once cannot be sent again. */
const MESSAGES = {
  GET: { method: 'GET' },
  POST: { method: 'POST', body: () => 'content' },
  PUT: { method: 'PUT', body: () => 'content' },
  'POST once': { method: 'POST', body: () => once('content') },
  'PUT once': { method: 'PUT', body: () => once('content') },
} satisfies Record<string, { readonly method: string; readonly body?: () => RequestOptions['body'] }>;

type MessageName = keyof typeof MESSAGES;

// The keys are those just above.
const MESSAGE_NAMES = Object.keys(MESSAGES) as MessageName[];

/** How it may be retried. */
const RETRIES = {
  absent: undefined,
  false: false,
  '0': 0,
  '3': 3,
  'each counted': new Retry({ total: 9, connect: 1, read: 2, redirect: 1, status: 1, other: 1 }),
  'each false': new Retry({ total: 9, connect: false, read: false, redirect: false, status: false, other: false }),
  'any method': new Retry(1, { allowedMethods: null, statusForcelist: [500, 503] }),
  'not raised': new Retry(1, { statusForcelist: [500, 503], raiseOnStatus: false, raiseOnRedirect: false }),
  'no Retry-After': new Retry(1, { respectRetryAfterHeader: false }),
} satisfies Record<string, Retries | undefined>;

type RetriesName = keyof typeof RETRIES;

// As above.
const RETRIES_NAMES = Object.keys(RETRIES) as RetriesName[];

/**
 * How often it is tried, and how it ends: `raw`, the error itself; `max`, a MaxRetryError of it; `answer`, the last response;
 * `unrewindable`, the body would have to be sent again. Columns: GET, POST, PUT, POST once, PUT once.
 */
type Row = readonly [get: Cell, post: Cell, put: Cell, postOnce: Cell, putOnce: Cell];
type Cell = `${number} ${'raw' | 'max' | 'answer' | 'unrewindable'}`;
type Table = Readonly<Record<RetriesName, Row>>;

/** Nothing was sent: any method may be tried again, and a body that comes once has not begun to come. */
const NOTHING_SENT: Table = {
  absent: ['4 max', '4 max', '4 max', '4 max', '4 max'],
  false: ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  '0': ['1 max', '1 max', '1 max', '1 max', '1 max'],
  '3': ['4 max', '4 max', '4 max', '4 max', '4 max'],
  'each counted': ['2 max', '2 max', '2 max', '2 max', '2 max'],
  'each false': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'any method': ['2 max', '2 max', '2 max', '2 max', '2 max'],
  'not raised': ['2 max', '2 max', '2 max', '2 max', '2 max'],
  'no Retry-After': ['2 max', '2 max', '2 max', '2 max', '2 max'],
};

/** The request was sent: only what may be repeated is, and an error of another method is raised as it is. */
const SENT: Table = {
  absent: ['4 max', '1 raw', '4 max', '1 raw', '1 unrewindable'],
  false: ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  '0': ['1 max', '1 raw', '1 max', '1 raw', '1 max'],
  '3': ['4 max', '1 raw', '4 max', '1 raw', '1 unrewindable'],
  'each counted': ['3 max', '1 raw', '3 max', '1 raw', '1 unrewindable'],
  'each false': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'any method': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'not raised': ['2 max', '1 raw', '2 max', '1 raw', '1 unrewindable'],
  'no Retry-After': ['2 max', '1 raw', '2 max', '1 raw', '1 unrewindable'],
};

/** An answer like any other, unless its status is listed. */
const BAD_STATUS: Table = {
  absent: ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  false: ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  '0': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  '3': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  'each counted': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  'each false': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  'any method': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'not raised': ['2 answer', '1 answer', '2 answer', '1 answer', '1 unrewindable'],
  'no Retry-After': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
};

/** A 503 that says when to come back. When the total is used up it is an answer again: nobody listed it. */
const BUSY: Table = {
  absent: ['4 answer', '1 answer', '4 answer', '1 answer', '1 unrewindable'],
  false: ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  '0': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  '3': ['4 answer', '1 answer', '4 answer', '1 answer', '1 unrewindable'],
  'each counted': ['2 max', '1 answer', '2 max', '1 answer', '1 unrewindable'],
  'each false': ['1 max', '1 answer', '1 max', '1 answer', '1 max'],
  'any method': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'not raised': ['2 answer', '1 answer', '2 answer', '1 answer', '1 unrewindable'],
  'no Retry-After': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
};

/** A 302 keeps method and body, and any method may be redirected. */
const REDIRECT_LOOP: Table = {
  absent: ['4 max', '4 max', '4 max', '1 unrewindable', '1 unrewindable'],
  false: ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  '0': ['1 max', '1 max', '1 max', '1 max', '1 max'],
  '3': ['4 max', '4 max', '4 max', '1 unrewindable', '1 unrewindable'],
  'each counted': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'each false': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  'any method': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'not raised': ['2 answer', '2 answer', '2 answer', '1 unrewindable', '1 unrewindable'],
  'no Retry-After': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
};

/** Redirect and failures share the total; here the number is that of all of them, and all but the first are failures. */
const DEAD_END: Table = {
  absent: ['4 max', '4 max', '4 max', '1 unrewindable', '1 unrewindable'],
  false: ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  '0': ['1 max', '1 max', '1 max', '1 max', '1 max'],
  '3': ['4 max', '4 max', '4 max', '1 unrewindable', '1 unrewindable'],
  'each counted': ['3 max', '3 max', '3 max', '1 unrewindable', '1 unrewindable'],
  'each false': ['1 answer', '1 answer', '1 answer', '1 answer', '1 answer'],
  'any method': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'not raised': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
  'no Retry-After': ['2 max', '2 max', '2 max', '1 unrewindable', '1 unrewindable'],
};

/** Content that the caller reads is the caller's: no failure of it is retried. */
const BROKEN_WHILE_READ: Table = {
  absent: ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  false: ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  '0': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  '3': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'each counted': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'each false': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'any method': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'not raised': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
  'no Retry-After': ['1 raw', '1 raw', '1 raw', '1 raw', '1 raw'],
};

interface Fault {
  readonly name: string;
  readonly table: Table;
  /** The same, where the caller reads the content. */
  readonly whenStreamed?: Table;
  /** What went wrong, and when. */
  readonly error: string;
  readonly phase: string | null;
  /** What the server does with a request. */
  readonly plan?: (request: FaultyRequest, seen: Promise<void>) => Plan;
  /** Where the request goes; the server, if it does not say. */
  readonly url?: (server: FaultyServer) => string;
  readonly isTls?: boolean;
  readonly options?: PoolManagerOptions;
  /** How many of the requests the server sees. */
  readonly seen?: (tried: number) => number;
  /** How many connections are kept for the next request. */
  readonly kept: 0 | 1;
}

/** Nothing that is to come in time comes so late. */
const PATIENT = new Timeout({ connect: 20, read: 20 });
const READ_SOON = { timeout: new Timeout({ connect: 20, read: 0.06 }) };
const CONNECT_SOON = { timeout: new Timeout({ connect: 0.06, read: 20 }) };

/** Nobody listens there. */
const DEAD = 'http://dead.test:1/';
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';

let full: FullPort | undefined;
let certificate: Awaited<ReturnType<typeof testCertificate>>;
beforeAll(async () => {
  certificate = await testCertificate();
  if (CAN_FILL_PORTS) full = await fullPort();
  return async () => await full?.[Symbol.asyncDispose]();
});

const FAULTS: readonly Fault[] = [
  {
    name: 'refused',
    table: NOTHING_SENT,
    error: 'NewConnectionError',
    phase: 'connect',
    url: () => DEAD,
    seen: () => 0,
    kept: 0,
  },
  {
    name: 'stalled lookup',
    table: NOTHING_SENT,
    error: 'ConnectTimeoutError',
    phase: 'resolve',
    options: { ...CONNECT_SOON, lookup: () => {} },
    seen: () => 0,
    kept: 0,
  },
  {
    name: 'stalled connect',
    table: NOTHING_SENT,
    error: 'ConnectTimeoutError',
    phase: 'connect',
    options: CONNECT_SOON,
    url: () => `http://127.0.0.1:${full?.port}/`,
    seen: () => 0,
    kept: 0,
  },
  {
    name: 'stalled TLS handshake',
    table: NOTHING_SENT,
    error: 'ConnectTimeoutError',
    phase: 'tls',
    options: CONNECT_SOON,
    url: ({ port }) => `https://127.0.0.1:${port}/`,
    seen: () => 0,
    kept: 0,
  },
  {
    name: 'TLS failure',
    table: NOTHING_SENT,
    error: 'SSLError',
    phase: 'tls',
    isTls: true,
    seen: () => 0,
    kept: 0,
  },
  {
    name: 'reset before the head',
    table: SENT,
    error: 'ProtocolError',
    phase: 'wait',
    plan: () => ({ after: 'reset' }),
    kept: 0,
  },
  {
    name: 'closed before the head',
    table: SENT,
    error: 'ProtocolError',
    phase: 'wait',
    plan: () => ({ after: 'end' }),
    kept: 0,
  },
  {
    name: 'reset in the head',
    table: SENT,
    error: 'ProtocolError',
    phase: 'wait',
    plan: () => ({ write: HEAD.slice(0, 30), after: 'reset' }),
    kept: 0,
  },
  {
    name: 'garbage',
    table: SENT,
    error: 'ProtocolError',
    phase: 'wait',
    plan: () => ({ write: 'SSH-2.0-OpenSSH_9.6\r\n', after: 'stall' }),
    kept: 0,
  },
  {
    name: 'stalled head',
    table: SENT,
    error: 'ReadTimeoutError',
    phase: 'wait',
    plan: () => ({ write: HEAD.slice(0, 30), after: 'stall' }),
    options: READ_SOON,
    kept: 0,
  },
  {
    name: 'reset in the body',
    table: SENT,
    whenStreamed: BROKEN_WHILE_READ,
    error: 'ProtocolError',
    phase: 'content',
    // What was not read yet when a reset comes may be lost.
    plan: (_request, seen) => ({ write: `${HEAD}12345`, until: seen, after: 'reset' }),
    kept: 0,
  },
  {
    name: 'stalled body',
    table: SENT,
    whenStreamed: BROKEN_WHILE_READ,
    error: 'ReadTimeoutError',
    phase: 'content',
    plan: () => ({ write: `${HEAD}12345`, after: 'stall' }),
    options: READ_SOON,
    kept: 0,
  },
  {
    name: 'short body',
    table: SENT,
    whenStreamed: BROKEN_WHILE_READ,
    error: 'ProtocolError',
    phase: 'content',
    plan: () => ({ write: `${HEAD}12345`, after: 'end' }),
    kept: 0,
  },
  {
    name: 'garbage in the body',
    table: SENT,
    whenStreamed: BROKEN_WHILE_READ,
    error: 'ProtocolError',
    phase: 'content',
    plan: () => ({ write: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nzz\r\n', after: 'stall' }),
    kept: 0,
  },
  ...[500, 503].map((status) => ({
    name: `${status}`,
    table: BAD_STATUS,
    error: `too many ${status} error responses`,
    phase: null,
    plan: (): Plan => ({ write: answer(status, 'sorry'), after: 'go on' }),
    kept: 1 as const,
  })),
  {
    name: '500 with Retry-After',
    table: BAD_STATUS,
    error: 'too many 500 error responses',
    phase: null,
    plan: () => ({ write: answer(500, 'sorry', 'Retry-After: 0\r\n'), after: 'go on' }),
    kept: 1,
  },
  {
    name: '503 with Retry-After',
    table: BUSY,
    error: 'too many 503 error responses',
    phase: null,
    plan: () => ({ write: answer(503, 'sorry', 'Retry-After: 0\r\n'), after: 'go on' }),
    kept: 1,
  },
  {
    name: 'redirect loop',
    table: REDIRECT_LOOP,
    error: 'too many redirects',
    phase: null,
    plan: () => ({ write: answer(302, 'sorry', 'Location: /\r\n'), after: 'go on' }),
    kept: 1,
  },
  {
    name: 'redirect to a dead host',
    table: DEAD_END,
    error: 'NewConnectionError',
    phase: 'connect',
    plan: () => ({ write: answer(302, 'sorry', `Location: ${DEAD}\r\n`), after: 'go on' }),
    seen: () => 1,
    kept: 1,
  },
];

/** All that is to be told of one call. */
interface Outcome {
  /** The status of the response, the class of the error. */
  readonly ended: number | string;
  /** Of a MaxRetryError: the class of the error, or the message of a bad answer. */
  readonly reason: string | null;
  readonly phase: string | null;
  /** Attempts that are remembered, by the error or the response; null for an error that remembers none. */
  readonly history: number | null;
  /** Requests that the server saw, each with all of its body. */
  readonly seen: number;
  /** Connections that are open afterwards, and those once the manager is cleared. */
  readonly open: readonly [number, number];
}

function wanted(fault: Fault, cell: Cell): Outcome {
  const [count, end] = cell.split(' ');
  const tried = Number(count);
  const isAnswer = fault.kept === 1;
  const seen = fault.seen?.(tried) ?? tried;
  const open: Outcome['open'] = [fault.kept, 0];
  // One that was redirected nowhere has failed of nothing but that.
  const tooMany = fault.name === 'redirect to a dead host' && tried === 1;
  const { reason, phase } = tooMany ? { reason: 'too many redirects', phase: null } : { ...fault, reason: fault.error };
  switch (end) {
    case 'raw':
      return { ended: fault.error, reason: null, phase, history: null, seen, open };
    case 'max':
      return { ended: 'MaxRetryError', reason, phase, history: tried, seen, open };
    case 'unrewindable':
      return {
        ended: 'UnrewindableBodyError',
        reason: null,
        phase: isAnswer ? null : phase,
        history: null,
        seen,
        open,
      };
    default: {
      const status = fault.name.startsWith('redirect') ? 302 : Number(fault.name.slice(0, 3));
      return { ended: status, reason: null, phase: null, history: tried - 1, seen, open };
    }
  }
}

async function outcomeOf(
  fault: Fault,
  message: MessageName,
  retries: Retries | undefined,
  preloadContent: boolean,
  least: number,
) {
  const { method, ...rest } = MESSAGES[message];
  const seen = signal();
  await using server = await faultyServer(
    (request) => fault.plan?.(request, seen.promise) ?? { after: 'stall' },
    fault.isTls === true ? { tls: certificate } : {},
  );
  let lookups = 0;
  const { lookup = toLoopback, ...options } = fault.options ?? {};
  await using http = new PoolManager({
    timeout: PATIENT,
    ...options,
    lookup: (...args) => {
      lookups++;
      lookup?.(...args);
    },
  });
  const body = 'body' in rest ? rest.body() : undefined;
  const onDownloadProgress = () => seen.resolve();
  const call = { body, retries, preloadContent, onDownloadProgress };
  const ended = await settled(http.request(method, fault.url?.(server) ?? server.url, call));
  // A client that does not wait may be done before the server has looked: for more than these nobody waits.
  await server.until(({ requests }) => requests.length >= least);
  await server.until(({ openSockets: count }) => count === fault.kept);
  const before = server.openSockets;
  http.clear();
  await server.until(({ openSockets: count }) => count === 0);
  for (const request of server.requests) expect(request.body.toString()).toBe(body === undefined ? '' : 'content');
  return { ...ended, seen: server.requests.length, open: [before, server.openSockets], lookups };
}

/** How a call ended, its content read. */
async function settled(call: Promise<HTTPResponse>): Promise<Pick<Outcome, 'ended' | 'reason' | 'phase' | 'history'>> {
  try {
    const response = await call;
    const content = (await response.read()).toString() || response.data.toString();
    expect(content).toBe('sorry');
    return { ended: response.status, reason: null, phase: null, history: response.retries?.history.length ?? -1 };
  } catch (error) {
    if (!(error instanceof HTTPError)) throw error;
    const { name, phase } = error;
    if (!(error instanceof MaxRetryError)) return { ended: name, reason: null, phase, history: null };
    const reason = error.reason?.name === 'ResponseError' ? error.reason.message : (error.reason?.name ?? null);
    return { ended: name, reason, phase, history: error.attempts.length };
  }
}

const toLoopback: LookupFunction = (_host, _options, callback) => callback(null, ['127.0.0.1']);

async function* once(text: string): AsyncGenerator<string, void, undefined> {
  yield text;
}

function signal(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}

describe.each(FAULTS)('$name', (fault) => {
  test
    .skipIf(fault.name === 'stalled connect' && !CAN_FILL_PORTS)
    .concurrent.each(
      [true, false].flatMap((preload) => MESSAGE_NAMES.map((name, column) => [name, preload, column] as const)),
    )('%s, preloadContent: %s: as the table says, whatever the retries', async (message, preloadContent, column) => {
    const table = preloadContent ? fault.table : (fault.whenStreamed ?? fault.table);
    const outcomes: Record<string, unknown> = {};
    const expected: Record<string, unknown> = {};
    await Promise.all(
      RETRIES_NAMES.map(async (name) => {
        const cell = table[name][column] ?? expect.fail('no such column');
        const want = wanted(fault, cell);
        const { lookups, ...outcome } = await outcomeOf(fault, message, RETRIES[name], preloadContent, want.seen);
        outcomes[name] = outcome;
        expected[name] = want;
        // Where no request arrives, a connection is tried for each attempt.
        if (fault.table === NOTHING_SENT) expect(`${name}: ${lookups}`).toBe(`${name}: ${Number.parseInt(cell, 10)}`);
      }),
    );
    expect(outcomes).toEqual(expected);
  });
});

describe('the error of content that breaks while it is read', () => {
  test('knows the phase and the peer, and stands behind `data`', async () => {
    await using server = await faultyServer(() => ({ write: `${HEAD}12345`, after: 'end' }));
    await using http = new PoolManager({ timeout: PATIENT });
    const response = await http.request('GET', server.url, { preloadContent: false });
    const error = await response.read().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'ProtocolError', phase: 'content', address: `127.0.0.1:${server.port}` });
    expect(error).toMatchObject({ cause: { name: 'IncompleteRead', partial: 5, expected: 5 } });
    expect(() => response.data).toThrow('The content broke off before its end');
  });
});

describe('retries: null', () => {
  // A redirect is not among them: of these 20 are followed.
  const FAILING = FAULTS.filter(({ plan, name }) => plan !== undefined && !/redirect|^500|^503$/.test(name));

  test.concurrent.each(FAILING.map((fault) => [fault.name, fault] as const))(
    'goes on after 12 times "%s", until it is answered',
    async (_name, { plan, options, error }) => {
      const seen: ReturnType<typeof signal>[] = [];
      await using server = await faultyServer((request) => {
        const next = signal();
        seen.push(next);
        if (request.index === 12) return { write: answer(200, 'at last'), after: 'go on' };
        return plan?.(request, next.promise) ?? expect.fail('a fault without a plan');
      });
      await using http = new PoolManager({ timeout: PATIENT, ...options, retries: null });
      const response = await http.request('GET', server.url, { onDownloadProgress: () => seen.at(-1)?.resolve() });
      expect(response.data.toString()).toBe('at last');
      const history = response.retries?.history ?? [];
      expect(history.map((entry) => entry.error?.name ?? `too many ${entry.status} error responses`)).toEqual(
        Array.from({ length: 12 }, () => error),
      );
    },
  );

  test('follows 20 redirects', async () => {
    await using server = await faultyServer(() => ({ write: answer(302, '', 'Location: /\r\n'), after: 'go on' }));
    await using http = new PoolManager({ timeout: PATIENT });
    const error = await http.request('GET', server.url, { retries: null }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'MaxRetryError', reason: { message: 'too many redirects' } });
    expect(server.requests).toHaveLength(21);
  });
});
