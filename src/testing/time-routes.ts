/**
 * Endpoints that take their time: /delay before the answer, /drip during it.
 *
 * Every time is bounded, and its timer is gone as soon as the client is.
 */
import { echoWithoutJson } from './echo-routes.js';
import type { Exchange } from './exchange.js';
import { finalStatus, Refusal, seconds, wholeNumber } from './refusal.js';
import { ANY_METHOD, GET, type Handler, type Route } from './router.js';

/** The longest delay and the longest drip, in milliseconds: httpbin's bound. */
const MAX_WAIT_MS = 10_000;

const MAX_DRIP_BYTES = 10 * 1024 * 1024;

/** The time that `text` gives in seconds, within the bound, in milliseconds. */
export function boundedMs(text: string, what: string): number {
  return Math.min(seconds(text, what) * 1000, MAX_WAIT_MS);
}

const delay: Handler = async (exchange, params) => {
  const waitMs = boundedMs(params.text('seconds'), 'The delay');
  const answer = await echoWithoutJson(exchange);
  await exchange.sleep(waitMs);
  exchange.sendJson(answer);
};

const drip: Handler = async (exchange) => {
  const { query } = exchange;
  const length = Math.min(wholeNumber(query.get('numbytes') ?? '10', 'numbytes'), MAX_DRIP_BYTES);
  if (length === 0) throw new Refusal(400, 'numbytes must be at least 1');
  const durationMs = boundedMs(query.get('duration') ?? '2', 'duration');
  const delayMs = boundedMs(query.get('delay') ?? '0', 'delay');
  const status = finalStatus(query.get('code') ?? '200');
  await exchange.sleep(delayMs);
  await exchange.stream({ status, type: 'application/octet-stream', length }, drops(exchange, length, durationMs));
};

/** `length` asterisks spread evenly over the duration, the first at once; none is followed by a wait in vain. */
async function* drops(exchange: Exchange, length: number, durationMs: number): AsyncGenerator<Buffer> {
  const startMs = performance.now();
  const pauseMs = durationMs / length;
  let sent = 0;
  while (sent < length) {
    // A timer may be late and is never shorter than 1 ms, so what has become due meanwhile goes out together.
    const elapsedMs = performance.now() - startMs;
    const due = pauseMs === 0 ? length : Math.min(length, Math.floor(elapsedMs / pauseMs) + 1);
    if (due > sent) yield Buffer.alloc(due - sent, '*');
    sent = due;
    if (sent < length) await exchange.sleep(Math.max(0, sent * pauseMs - (performance.now() - startMs)));
  }
}

export const TIME_ROUTES: readonly Route[] = [
  {
    path: '/delay/{seconds}',
    methods: ANY_METHOD,
    summary: 'An answer after so many seconds (10 at most)',
    handler: delay,
  },
  { path: '/drip', methods: GET, summary: 'Bytes over time (?numbytes=&duration=&delay=&code=)', handler: drip },
];
