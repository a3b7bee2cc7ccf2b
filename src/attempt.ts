/**
 * What one attempt of a request came to: a response, a failure that another attempt may mend, or a connection that was dead
 * before it was asked (RFC 9110 section 9.2.2).
 *
 * Pure decisions for the loop in connectionpool.ts: what may be tried again there is told by how far an exchange had got.
 */

import type { BodySource } from './body/source.js';
import { ExchangeFailure } from './engine/exchange-failure.js';
import {
  AuthenticationError,
  annotate,
  ClosedPoolError,
  DecodeError,
  EmptyPoolError,
  HTTPError,
  type HTTPErrorOptions,
  LocationValueError,
  TimeoutError,
} from './exceptions.js';
import type { Message } from './message.js';
import type { ResolvedUrlopenOptions } from './request-options.js';
import { HTTPResponse } from './response.js';
import { Retry } from './util/retry.js';

/** Methods that may be repeated without asking (RFC 9110 section 9.2.2). */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);

/** What a repetition would send again. */
export type Attempted = Pick<Message, 'method' | 'body'>;

/** What was going on, and with whom. */
export type Where = Pick<HTTPErrorOptions, 'phase' | 'address'>;

/** What one attempt gave, or how it failed. */
export type Outcome =
  | {
      readonly kind: 'response';
      readonly response: HTTPResponse;
      /** Whether the connection stays open after it, as far as both heads tell. */
      readonly isPersistent: boolean;
    }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'stale-connection' };

/**
 * Told by what failed and how far it had got. An abort, and what is not ours to judge, is thrown.
 *
 * @param where - what an error that is ours is to know of the phase and the peer
 */
export function judge(failure: unknown, message: Attempted, wasReused: boolean, where: Where = {}): Outcome {
  annotate(failure instanceof ExchangeFailure ? failure.error : failure, where);
  if (!(failure instanceof ExchangeFailure)) {
    if (failure instanceof HTTPError && !isBeyondRetry(failure)) return { kind: 'failed', error: failure };
    throw failure;
  }
  const { error, reached, isFinal } = failure;
  if (isFinal || !(error instanceof HTTPError) || isBeyondRetry(error)) throw error;
  // A server that is only slow has not closed the connection: to ask it again at once would double its load.
  const isDead = wasReused && reached !== 'response-began' && !(error instanceof TimeoutError);
  const mayMove = isDead && (reached === 'nothing-sent' || IDEMPOTENT_METHODS.has(message.method));
  if (mayMove && isReplayable(message.body)) return { kind: 'stale-connection' };
  return { kind: 'failed', error };
}

/**
 * What another attempt does not mend: no connection to be had, a URL that names no host, content that cannot be decoded, a
 * login that is refused.
 */
function isBeyondRetry(error: HTTPError): boolean {
  return (
    error instanceof EmptyPoolError ||
    error instanceof ClosedPoolError ||
    error instanceof LocationValueError ||
    error instanceof DecodeError ||
    error instanceof AuthenticationError
  );
}

export function mustRetry(message: Pick<Attempted, 'method'>, response: HTTPResponse, retries: Retry): boolean {
  const { status } = response;
  // Looked for only where it counts, as it has the whole head parsed. A class of the caller's may count other statuses.
  const mayCount = Retry.RETRY_AFTER_STATUS_CODES.has(status) || retries.constructor !== Retry;
  return retries.isRetry(message.method, status, mayCount && response.headers.has('retry-after'));
}

function isReplayable(body: BodySource): boolean {
  return body.kind !== 'stream' || body.replayable;
}

/** Tells the statuses whose content is likely not wanted: another request will follow. */
export function discardable(call: ResolvedUrlopenOptions, retries: Retry): (status: number) => boolean {
  // Content that may end early is not gathered: what came of it could not be told.
  if (!call.enforceContentLength) return anyStatus;
  const usual = call.redirect || call._followsRedirects ? isRedirectOrBusy : isBusy;
  const { statusForcelist } = retries;
  const mayLogIn = (call._login ?? null) !== null;
  if (statusForcelist.size === 0 && !mayLogIn) return usual;
  return (status) => (mayLogIn && status === 401) || statusForcelist.has(status) || usual(status);
}

function anyStatus(): boolean {
  return true;
}

/** Statuses after which a request may be repeated, so that their content may not be wanted. */
function isBusy(status: number): boolean {
  return Retry.RETRY_AFTER_STATUS_CODES.has(status);
}

function isRedirectOrBusy(status: number): boolean {
  return status >= 300 && (HTTPResponse.REDIRECT_STATUSES.has(status) || isBusy(status));
}
