/**
 * What comes between two attempts of a request: a retry is spent, waited for and told; a redirect is taken.
 *
 * The loops of the pool (attempts) and of the manager (hops from host to host) both come here, so that counting, budget,
 * draining, pauses, log lines and events are the same for either. Whether there is to be another attempt was decided
 * before (attempt.ts); what the next one writes is decided after (redirect.ts, message.ts).
 */
import { setImmediate } from 'node:timers/promises';
import type { BodySource } from './body/source.js';
import type { CallWatch } from './call-watch.js';
import {
  MaxRetryError,
  type PoolDescription,
  ProxyError,
  ResponseError,
  RetryBudgetExhaustedError,
} from './exceptions.js';
import { withoutUserinfo } from './excerpt.js';
import { logger } from './logging.js';
import type { HTTPResponse } from './response.js';
import type { Retry } from './util/retry.js';
import type { RetryBudget } from './util/retry-budget.js';
import { joinUrl, type Url } from './util/url.js';

/** The request whose attempt is over. */
export interface Attempted {
  readonly method: string;
  /** As the request line had it. */
  readonly target: string;
  readonly pool: PoolDescription;
  /** What a repetition would have to send again. */
  readonly body: BodySource;
}

/** What the pauses and accounts of one call depend on. */
export interface CallTerms {
  readonly signal: AbortSignal | null;
  readonly budget: RetryBudget | null;
  readonly watch: CallWatch | null | undefined;
}

const RETRY_LOGGER = 'urllib3.util.retry';
const POOL_LOGGER = 'urllib3.connectionpool';
const MANAGER_LOGGER = 'urllib3.poolmanager';

/**
 * What is left of the retries after a failure, once the pause that they ask for is over.
 *
 * @throws the failure itself where it must not be retried, MaxRetryError where it was one too many
 */
export async function retryAfterFailure(
  attempted: Attempted,
  error: Error,
  retries: Retry,
  terms: CallTerms,
): Promise<Retry> {
  const { method, target, pool } = attempted;
  const left = retries.increment({ method, url: target, error, _pool: pool });
  assertUnspent(attempted, error);
  if (isSettled(error)) throw new MaxRetryError(pool, target, { reason: error, attempts: left.history });
  withdraw(terms, attempted, error, left);
  tellOfIncrement(attempted, left);
  if (logger.isWarning) {
    const cause = `${error.name}: ${error.message}`;
    logger.warning(POOL_LOGGER, `Retrying (${left}) after connection broken by '${cause}': ${target}`);
  }
  await pause(terms, () => left.sleep(null, sleepOptions(terms)), error, null);
  return left;
}

/** As {@link retryAfterFailure}, after a status; null if the retries are used up and the response is to be returned. */
export async function retryAfterStatus(
  attempted: Attempted,
  response: HTTPResponse,
  retries: Retry,
  terms: CallTerms,
): Promise<Retry | null> {
  const left = await spend(attempted, response, retries, retries.raiseOnStatus, terms);
  if (left === null) return null;
  tellOfIncrement(attempted, left);
  if (logger.isDebug) logger.debug(POOL_LOGGER, `Retry: ${attempted.target}`);
  await response.drainConn();
  await pause(terms, () => left.sleep(response, sleepOptions(terms)), null, response.status);
  return left;
}

/** Where a redirect leads, and what is left of the retries. */
export interface RedirectTaken {
  readonly retries: Retry;
  readonly url: Url;
}

/**
 * The redirect that a response asks for; null if the redirects are used up and the response is to be returned.
 *
 * @param from - what answered with it
 * @param check - of a manager, which may go anywhere: throws where the next URL cannot be gone to, and the response is given up
 */
export async function takeRedirect(
  attempted: Attempted,
  from: Url,
  response: HTTPResponse,
  location: string,
  retries: Retry,
  terms: CallTerms,
  check: ((next: Url) => void) | null = null,
): Promise<RedirectTaken | null> {
  // First: who has no redirects left gets the response, wherever it points to.
  const left = await spend(attempted, response, retries, retries.raiseOnRedirect, null);
  if (left === null) return null;
  let url: Url;
  try {
    url = joinUrl(from, location);
    check?.(url);
    // Before anybody waits: only a 303 goes on without the content.
    if (response.status !== 303) assertUnspent(attempted);
  } catch (error) {
    response.close();
    throw error;
  }
  tellOfIncrement(attempted, left);
  tellOfRedirect(from, url, check !== null);
  await response.drainConn();
  terms.watch?.current?.enter('backoff');
  if (left.respectRetryAfterHeader) await left.sleepForRetry(response, sleepOptions(terms));
  return { retries: left, url };
}

/**
 * Counts a response against the retries; null if they are used up and that is not to be raised.
 *
 * @param terms - of a repetition; null for a redirect, which may lead on without the body, and is no load of our making
 */
async function spend(
  attempted: Attempted,
  response: HTTPResponse,
  retries: Retry,
  raises: boolean,
  terms: CallTerms | null,
): Promise<Retry | null> {
  const { method, target, pool } = attempted;
  try {
    const left = retries.increment({ method, url: target, response, _pool: pool });
    if (terms !== null) {
      assertUnspent(attempted);
      withdraw(terms, attempted, statusFailure(response), left);
    }
    return left;
  } catch (error) {
    if (error instanceof MaxRetryError && !raises) return null;
    await response.drainConn();
    throw error;
  }
}

/** The same credentials once more, and again, are a way to have an account locked. */
function isSettled(error: Error): boolean {
  return error instanceof ProxyError && (error.status === 407 || error.status === 401);
}

/** @throws UnrewindableBodyError before anybody waits for an attempt that cannot be made */
function assertUnspent({ body }: Attempted, cause?: Error): void {
  if (body.kind === 'stream') body.assertUnspent(cause);
}

/** @throws RetryBudgetExhaustedError if the budget has nothing left for another attempt */
function withdraw({ budget }: CallTerms, attempted: Attempted, reason: Error, left: Retry): void {
  if (budget === null || budget.tryWithdraw()) return;
  const { pool, target } = attempted;
  throw new RetryBudgetExhaustedError(pool, target, { reason, attempts: left.history });
}

function statusFailure({ status }: HTTPResponse): ResponseError {
  return new ResponseError(ResponseError.SPECIFIC_ERROR.replace('{statusCode}', String(status)));
}

function tellOfIncrement({ target }: Attempted, left: Retry): void {
  if (logger.isDebug) logger.debug(RETRY_LOGGER, `Incremented Retry for (url='${withoutUserinfo(target)}'): ${left}`);
}

/** As in the reference: that a request leaves for elsewhere is of interest to more people. */
function tellOfRedirect(from: Url, to: Url, isOfManager: boolean): void {
  if (!(isOfManager ? logger.isInfo : logger.isDebug)) return;
  const line = `Redirecting ${withoutUserinfo(from.url)} -> ${withoutUserinfo(to.url)}`;
  if (isOfManager) logger.info(MANAGER_LOGGER, line);
  else logger.debug(POOL_LOGGER, line);
}

/** The pause before a retry, told once it is over: how long it takes, only a clock knows. */
async function pause(
  { watch }: CallTerms,
  sleep: () => Promise<void>,
  error: Error | null,
  status: number | null,
): Promise<void> {
  const attempt = watch?.current ?? null;
  const beganMs = performance.now();
  attempt?.enter('backoff');
  await sleep();
  // What fails without any I/O (no route, no such source address) may fail for ever: timers and aborts must get their turn.
  await setImmediate();
  attempt?.retried(error, status, (performance.now() - beganMs) / 1000);
}

function sleepOptions({ signal }: CallTerms): { signal?: AbortSignal } {
  return signal === null ? {} : { signal };
}
