/**
 * Many requests at once against a server that fails at random: what is true of each of them, and of what is left afterwards.
 * The faults come from a seeded generator, so that a run can be had again as far as the network allows.
 */
import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { HTTPError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';
import { Retry } from '../../src/util/retry.js';
import { Timeout } from '../../src/util/timeout.js';
import { testCertificate } from '../pool-peers.js';
import { answer, type FaultyRequest, type FaultyServer, faultyServer, type Plan } from './peer.js';

export interface ChaosReport {
  /** How often a call ended in which way: `200`, `503`, the class of an error with that of its reason. */
  readonly ends: Readonly<Record<string, number>>;
  /** The first of the calls that ended in what no documentation speaks of, or with content that the server has not sent. */
  readonly wrong: readonly string[];
  /** How often the server did what it should not. */
  readonly injected: Readonly<Record<string, number>>;
  /** Listeners that were left on the signal that all calls shared. */
  readonly listeners: number;
  /** Connections that the servers have still open, once the manager is cleared. */
  readonly openSockets: number;
}

export interface ChaosOptions {
  readonly seed: number;
  readonly requests: number;
  readonly concurrency: number;
  /** Of all answers, how many are faults. */
  readonly share: number;
}

/** Everything that a call may raise here, with what may be the reason of a MaxRetryError. */
const DOCUMENTED: ReadonlySet<string> = new Set([
  'ProtocolError',
  'ReadTimeoutError',
  'MaxRetryError of ProtocolError',
  'MaxRetryError of ReadTimeoutError',
  'MaxRetryError of ResponseError',
  'MaxRetryError of NewConnectionError',
  'MaxRetryError of SSLError',
  'UnrewindableBodyError',
]);

const RETRIES = [3, false, 0, new Retry(5, { allowedMethods: null, statusForcelist: [500] })] as const;

export async function chaos({ seed, requests, concurrency, share }: ChaosOptions): Promise<ChaosReport> {
  const random = generator(seed);
  const ends: Record<string, number> = {};
  const injected: Record<string, number> = {};
  const wrong: string[] = [];
  await using untrusted = await faultyServer(() => ({ after: 'stall' }), { tls: await testCertificate() });
  const faults = Object.entries(faultsWith(untrusted));
  const plan = (request: FaultyRequest): Plan => {
    if (random() >= share) return { write: whatIsAskedFor(request), after: 'go on' };
    const [name, fault] = faults[Math.floor(random() * faults.length)] ?? ['', whatIsAskedFor];
    injected[name] = (injected[name] ?? 0) + 1;
    const made = fault(request);
    return typeof made === 'string' ? { write: made, after: 'go on' } : made;
  };
  await using server = await faultyServer(plan, { keepsRequests: false });
  const http = new PoolManager({ maxsize: concurrency, timeout: new Timeout({ connect: 10, read: 0.15 }) });
  const { signal } = new AbortController();
  let sent = 0;

  const one = async (index: number, token: string): Promise<string> => {
    const size = Math.floor(random() ** 4 * 60_000);
    const options: RequestOptions = { signal, retries: RETRIES[index % RETRIES.length] };
    const response = await http.request(...message(index, `${server.url}/${token}/${size}`, token, options));
    // Of those that are streamed some are given up in the middle.
    if (response.status !== 200 || index % 30 !== 0) await response.read();
    else for await (const piece of response) if (piece.length > 0) return 'given up';
    const { status, data, headers } = response;
    const isWhole = headers.get('x-checksum') === checksum(data) && data.toString().startsWith(`${token} `);
    if (status === 200 && !isWhole) wrong.push(`${token}: ${data.length} bytes that the server has not sent`);
    return String(status);
  };
  const lane = async (): Promise<void> => {
    while (sent < requests) {
      const index = sent++;
      const token = `token-${index}`;
      const end = await one(index, token).catch((error: unknown) => nameOf(error));
      if (!DOCUMENTED.has(end) && !/^(200|302|500|503|given up)$/.test(end)) wrong.push(`${token}: ${end}`);
      ends[end] = (ends[end] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  http.clear();
  await server.until(({ openSockets }) => openSockets === 0);
  await untrusted.until(({ openSockets }) => openSockets === 0);
  const listeners = getEventListeners(signal, 'abort').length;
  return {
    ends,
    wrong: wrong.slice(0, 20),
    injected,
    listeners,
    openSockets: server.openSockets + untrusted.openSockets,
  };
}

/** Each gives what is sent, or does more than that. */
function faultsWith(untrusted: FaultyServer): Record<string, (request: FaultyRequest) => string | Plan> {
  const cut = (request: FaultyRequest, share: number): string => {
    const whole = whatIsAskedFor(request);
    const headEnd = whole.indexOf('\r\n\r\n') + 4;
    return whole.slice(0, share < 0 ? headEnd / 2 : headEnd + (whole.length - headEnd) * share);
  };
  return {
    'reset before the head': () => ({ after: 'reset' }),
    'closed before the head': () => ({ after: 'end' }),
    'reset in the head': (request) => ({ write: cut(request, -1), after: 'reset' }),
    'reset in the body': (request) => ({ write: cut(request, 0.5), after: 'reset' }),
    'stalled head': (request) => ({ write: cut(request, -1), after: 'stall' }),
    'stalled body': (request) => ({ write: cut(request, 0.5), after: 'stall' }),
    'short body': (request) => ({ write: cut(request, 0.9), after: 'end' }),
    garbage: () => ({ write: '\0\x01garbage\r\n\r\n', after: 'stall' }),
    'garbage after the answer': (request) => ({ write: `${whatIsAskedFor(request)}HTTP/1.1 200 OK`, after: 'stall' }),
    'closed after the answer': (request) => ({ write: whatIsAskedFor(request), after: 'end' }),
    '500': () => answer(500, 'sorry'),
    '503': () => answer(503, 'sorry'),
    '503 with Retry-After': () => answer(503, 'sorry', 'Retry-After: 0\r\n'),
    'redirect loop': ({ target }) => answer(302, 'sorry', `Location: ${target}\r\n`),
    'redirect to a dead host': () => answer(302, 'sorry', 'Location: http://127.0.0.1:1/\r\n'),
    'redirect to a host that is not trusted': () => answer(302, 'sorry', `Location: ${untrusted.url}/\r\n`),
  };
}

/** `/token/size`: the token, and so many bytes after it. */
function whatIsAskedFor({ target, body }: FaultyRequest): string {
  const [, token = '', size = '0'] = target.split('/');
  if (body.length > 0 && body.toString() !== `body of ${token}`) return answer(400, 'another body');
  const content = `${token} ${token.repeat(Math.ceil(Number(size) / token.length))}`;
  return answer(200, content, `X-Checksum: ${checksum(content)}\r\n`);
}

/** GETs mostly, and some with a body of each kind; every tenth is streamed. */
function message(index: number, url: string, token: string, options: RequestOptions): [string, string, RequestOptions] {
  const preloadContent = index % 10 !== 0;
  const body = `body of ${token}`;
  async function* once() {
    yield body;
  }
  switch (index % 7) {
    case 1:
      return ['POST', url, { ...options, preloadContent, body }];
    case 2:
      return ['PUT', url, { ...options, preloadContent, body }];
    case 3:
      return ['PUT', url, { ...options, preloadContent, body: once() }];
    default:
      return ['GET', url, { ...options, preloadContent }];
  }
}

function nameOf(error: unknown): string {
  if (!(error instanceof HTTPError)) return String(error);
  const reason: unknown = 'reason' in error ? error.reason : null;
  return reason instanceof Error ? `${error.name} of ${reason.name}` : error.name;
}

function checksum(content: string | Uint8Array): string {
  return createHash('sha1').update(content).digest('hex');
}

/** Mulberry32: 32 bits of state, enough for dice. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
