/**
 * How often a request may fail before the caller hears of it (reference: "urllib3.util.retry module").
 *
 * A `Retry` is a frozen value: counters that are left, rules, and the history of what happened. Each attempt that fails
 * makes the next value with `increment()`, which is also where an error is given to one counter (connect, read, redirect,
 * status or other) and where exhaustion is raised. The loop that attempts is in connectionpool.ts, what comes between two
 * attempts (log lines, the drain of the response, the pause) in next-attempt.ts; what a redirect does to method and headers
 * is in redirect.ts; the options and how they are checked are in retry-options.ts.
 *
 * Retry-After is either a number of seconds or an HTTP-date (RFC 9110 sections 10.2.3 and 5.6.7), and it comes from the
 * peer: it is read in linear time, capped by `retryAfterMax`, and every wait ends when the caller's signal aborts.
 */
import { type InspectOptions, inspect } from 'node:util';
import { CREDENTIAL_FIELDS } from '../credential-fields.js';
import {
  ConnectTimeoutError,
  InvalidHeader,
  MaxRetryError,
  type PoolDescription,
  ProtocolError,
  ProxyError,
  ReadTimeoutError,
  ResponseError,
  SSLError,
} from '../exceptions.js';
import { describe, excerpt } from '../excerpt.js';
import { withoutOuterBlanks } from '../http1/grammar.js';
import { logger } from '../logging.js';
import { tryParseHttpDate } from './http-date.js';
import {
  asciiUpperCase,
  type Backoff,
  backoffKind,
  FrozenSet,
  fieldNameSet,
  flag,
  givenOptions,
  HistoryLog,
  historyLog,
  made,
  methodSet,
  NO_STATUS,
  OPTION_NAMES,
  RequestHistory,
  type RetryCount,
  type RetryOptions,
  SPENT,
  seconds,
  setting,
  spentCount,
  statusSet,
  unspentCount,
} from './retry-options.js';
import { timerMs } from './timeout.js';

export { type Backoff, RequestHistory, type RetryCount, type RetryOptions };

/** What a `retries` option may be: a number is the total, `false` is no retries at all, `null` is no limit on the total. */
export type Retries = Retry | RetryCount;

/** What a Retry needs to know of a response. */
export interface RetryResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null | undefined };
  getRedirectLocation(): string | null | false;
}

/** What happened in one attempt, for {@link Retry.increment}; nothing at all counts as a failure of unknown kind. */
export interface RetryIncrement {
  readonly method?: string | null | undefined;
  readonly url?: string | null | undefined;
  /** The response, where the server sent one. */
  readonly response?: RetryResponse | null | undefined;
  /** The error, where there was one. */
  readonly error?: Error | null | undefined;
  /** @internal The pool, for the errors that are raised. */
  readonly _pool?: PoolDescription | null | undefined;
  /** @internal In the reference, the traceback to raise again; an error of JavaScript carries its own. */
  readonly _stacktrace?: unknown;
}

/** What {@link Retry.sleep} and {@link Retry.sleepForRetry} take. */
export interface RetrySleepOptions {
  /** The response whose Retry-After counts. */
  readonly response?: RetryResponse | null | undefined;
  /** Ends the sleep: its promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const COUNTS = ['total', 'connect', 'read', 'redirect', 'status', 'other'] as const;

type CountName = (typeof COUNTS)[number];

/** Where nothing else bounds them: redirects that go round must end. */
const MAX_UNCOUNTED_REDIRECTS = 20;

/** `2 ** 1024` is Infinity, and Infinity times a factor of 0 is not a time. */
const MAX_EXPONENT = 1023;

const DIGITS = /^[0-9]+$/;

const CREDENTIAL_NAMES = fieldNameSet('removeHeadersOnRedirect', CREDENTIAL_FIELDS);

/**
 * How often to retry, as a value that never changes: `new Retry(3)`, `new Retry(3, { redirect: 2 })`, `new Retry({ connect: 5 })`.
 *
 * A subclass has the same constructor arguments: `new()` and `increment()` make objects of its class.
 *
 * @example
 * ```ts
 * const retries = new Retry(5, { backoffFactor: 0.1, statusForcelist: [502, 503] });
 * const afterOne = retries.increment({ method: 'GET', url: '/', error });
 * afterOne.total; // 4
 * ```
 *
 * @throws TypeError or RangeError for an unknown option or a value that is not what the option takes
 * @see User Guide, "Retrying requests"
 */
export class Retry {
  /** The methods that are retried by default: a repetition changes nothing on the server. */
  static readonly DEFAULT_ALLOWED_METHODS: ReadonlySet<string> = made(
    methodSet,
    new FrozenSet(['HEAD', 'GET', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']),
  );
  /** @deprecated the former name of {@link DEFAULT_ALLOWED_METHODS} */
  static readonly DEFAULT_METHOD_WHITELIST: ReadonlySet<string> = Retry.DEFAULT_ALLOWED_METHODS;
  /** The statuses with which a Retry-After leads to a retry. */
  static readonly RETRY_AFTER_STATUS_CODES: ReadonlySet<number> = new FrozenSet([413, 429, 503]);
  /**
   * The header fields that a redirect to another origin does not carry by default: Authorization, Cookie, Proxy-Authorization
   * and the fields in which well-known services expect a key or token, such as X-Api-Key and Private-Token.
   *
   * No list of secrets is complete: name your own with `removeHeadersOnRedirect`, or forward only what is known to be harmless
   * with `crossOriginHeaders: 'safelist'`.
   */
  static readonly DEFAULT_REMOVE_HEADERS_ON_REDIRECT: ReadonlySet<string> = new FrozenSet(CREDENTIAL_FIELDS);
  /** @deprecated the former name of {@link DEFAULT_REMOVE_HEADERS_ON_REDIRECT} */
  static readonly DEFAULT_REDIRECT_HEADERS_BLACKLIST: ReadonlySet<string> = Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT;
  /** Seconds that a backoff lasts at most by default. */
  static readonly DEFAULT_BACKOFF_MAX: number = 120;
  /** Seconds. @deprecated the former name of {@link DEFAULT_BACKOFF_MAX} */
  static readonly BACKOFF_MAX: number = Retry.DEFAULT_BACKOFF_MAX;
  /** Seconds that a Retry-After is obeyed at most by default: six hours. */
  static readonly DEFAULT_RETRY_AFTER_MAX: number = 21_600;
  /** What a request does that says nothing of retries: three, redirects among them. */
  static readonly DEFAULT: Retry = new Retry(3);

  readonly total: RetryCount;
  readonly connect: RetryCount;
  readonly read: RetryCount;
  /** `false` was made 0, with `raiseOnRedirect: false`. */
  readonly redirect: number | null;
  readonly status: RetryCount;
  readonly other: RetryCount;
  /** In capitals; null is any method. */
  readonly allowedMethods: ReadonlySet<string> | null;
  readonly statusForcelist: ReadonlySet<number>;
  /** Seconds. */
  readonly backoffFactor: number;
  readonly backoff: Backoff;
  /** Seconds. */
  readonly backoffMax: number;
  /** Seconds. */
  readonly backoffJitter: number;
  readonly raiseOnRedirect: boolean;
  readonly raiseOnStatus: boolean;
  readonly respectRetryAfterHeader: boolean;
  /** Seconds. */
  readonly retryAfterMax: number;
  /** In lower case. */
  readonly removeHeadersOnRedirect: ReadonlySet<string>;
  readonly #log: HistoryLog;

  constructor(options?: RetryOptions);
  constructor(total: RetryCount | undefined, options?: Omit<RetryOptions, 'total'>);
  constructor(first?: RetryCount | RetryOptions, options: Omit<RetryOptions, 'total'> = {}) {
    const given = givenOptions(first, options);
    const count = given.has(SPENT) ? spentCount : unspentCount;
    const redirect = setting(given, 'redirect', count, null);
    const raiseOnRedirect = setting(given, 'raiseOnRedirect', flag, true);
    this.total = setting(given, 'total', count, 10);
    this.connect = setting(given, 'connect', count, null);
    this.read = setting(given, 'read', count, null);
    this.redirect = this.total === false || redirect === false ? 0 : redirect;
    this.status = setting(given, 'status', count, null);
    this.other = setting(given, 'other', count, null);
    this.allowedMethods = setting(given, 'allowedMethods', methodSet, Retry.DEFAULT_ALLOWED_METHODS);
    this.statusForcelist = setting(given, 'statusForcelist', statusSet, NO_STATUS);
    this.backoffFactor = setting(given, 'backoffFactor', seconds, 0);
    this.backoff = setting(given, 'backoff', backoffKind, 'exponential');
    this.backoffMax = setting(given, 'backoffMax', seconds, new.target.BACKOFF_MAX);
    this.backoffJitter = setting(given, 'backoffJitter', seconds, 0);
    this.raiseOnRedirect = raiseOnRedirect && this.total !== false && redirect !== false;
    this.raiseOnStatus = setting(given, 'raiseOnStatus', flag, true);
    this.#log = setting(given, 'history', historyLog, HistoryLog.EMPTY);
    this.respectRetryAfterHeader = setting(given, 'respectRetryAfterHeader', flag, true);
    this.retryAfterMax = setting(given, 'retryAfterMax', seconds, Retry.DEFAULT_RETRY_AFTER_MAX);
    this.removeHeadersOnRedirect = setting(given, 'removeHeadersOnRedirect', fieldNameSet, CREDENTIAL_NAMES);
    // A subclass has fields yet to add, so its objects cannot be frozen here: only what stands here can.
    if (new.target === Retry) Object.freeze(this);
    else
      for (const name of Object.keys(this)) Object.defineProperty(this, name, { writable: false, configurable: false });
  }

  /**
   * What a `retries` option stands for: a Retry is itself, a number is the total, `false` no retries, `null` no limit.
   *
   * @param retries - what was given; `undefined` takes `default`, and that being absent `Retry.DEFAULT`
   */
  static fromInt(
    retries: Retries | undefined,
    options: { readonly redirect?: boolean | undefined; readonly default?: Retries | undefined } = {},
  ): Retry {
    const { redirect, default: fallback } = ownCopy(options);
    const given = retries === undefined ? fallback : retries;
    if (given === undefined) return this.DEFAULT;
    if (given instanceof Retry) return given;
    const converted = new this(given, { redirect: redirect === false ? false : null });
    if (logger.isDebug) logger.debug('urllib3.util.retry', `Converted retries value: ${given} -> ${converted}`);
    return converted;
  }

  /** What has happened, in order. */
  get history(): readonly RequestHistory[] {
    return this.#log.entries;
  }

  /** @deprecated the former name of {@link allowedMethods} */
  get methodWhitelist(): ReadonlySet<string> | null {
    return this.allowedMethods;
  }

  /** A Retry with the same settings, but for those in `options`. */
  new(options: RetryOptions = {}): Retry {
    const given = givenOptions(options);
    const settings: { [name: string]: unknown; [SPENT]?: true } = {};
    for (const name of OPTION_NAMES) {
      if (given.has(name)) settings[name] = given.get(name);
      else settings[name] = name === 'history' ? this.#log : this[name];
    }
    if (given.has(SPENT) || this.#isOverspent) settings[SPENT] = true;
    // The constructor checks each of them, whatever it is.
    return new this.#class(settings as RetryOptions);
  }

  /**
   * Seconds to wait before the next attempt, without regard to Retry-After; 0 after a first failure or a redirect.
   *
   * After the n-th failure in a row that is `backoffFactor * 2 ** (n - 1)`, or with `'full-jitter'` a random part of it; in
   * either case with a random part of `backoffJitter` added, and never more than `backoffMax`.
   */
  getBackoffTime(): number {
    const failures = this.#log.failuresInARow;
    if (failures <= 1) return 0;
    const doubled = Math.min(this.backoffFactor * 2 ** Math.min(failures - 1, MAX_EXPONENT), this.backoffMax);
    const backoff = this.backoff === 'full-jitter' ? Math.random() * doubled : doubled;
    return Math.min(this.backoffMax, backoff + Math.random() * this.backoffJitter);
  }

  /**
   * Seconds that a Retry-After asks to wait, from 0 to `retryAfterMax`; a date that has passed asks for 0.
   *
   * @throws {@link InvalidHeader} for anything but a whole number >= 0 or an HTTP-date
   * @see RFC 9110 section 10.2.3
   */
  parseRetryAfter(retryAfter: string): number {
    if (typeof retryAfter !== 'string') {
      throw new TypeError(`Cannot use Retry-After ${describe(retryAfter)}: it must be the text of the field`);
    }
    const text = withoutOuterBlanks(retryAfter);
    if (DIGITS.test(text)) return Math.min(Number(text), this.retryAfterMax);
    const dateMs = tryParseHttpDate(text);
    if (dateMs === undefined) {
      throw new InvalidHeader(
        `Cannot use Retry-After ${excerpt(retryAfter)}: it must be whole seconds or an HTTP-date`,
      );
    }
    return Math.min(Math.max(0, (dateMs - Date.now()) / 1000), this.retryAfterMax);
  }

  /** Seconds that the Retry-After of `response` asks to wait; null where it has none. See {@link parseRetryAfter}. */
  getRetryAfter(response: RetryResponse): number | null {
    const retryAfter = response.headers.get('Retry-After');
    return retryAfter === undefined || retryAfter === null ? null : this.parseRetryAfter(retryAfter);
  }

  /**
   * Waits for as long as the response's Retry-After asks; says whether there was something to wait for.
   *
   * @throws {@link InvalidHeader}, or the signal's reason
   */
  sleepForRetry(options?: RetrySleepOptions): Promise<boolean>;
  sleepForRetry(
    response: RetryResponse | null | undefined,
    options?: Omit<RetrySleepOptions, 'response'>,
  ): Promise<boolean>;
  async sleepForRetry(first?: RetryResponse | RetrySleepOptions | null, options?: RetrySleepOptions): Promise<boolean> {
    const { response, signal } = sleepOptions(first, options);
    signal?.throwIfAborted();
    return this.#sleepForRetry(response, signal);
  }

  /**
   * Waits before the next attempt: as long as the response's Retry-After asks (if that is respected), else the backoff.
   *
   * @throws {@link InvalidHeader}, or the signal's reason
   */
  sleep(options?: RetrySleepOptions): Promise<void>;
  sleep(response: RetryResponse | null | undefined, options?: Omit<RetrySleepOptions, 'response'>): Promise<void>;
  async sleep(first?: RetryResponse | RetrySleepOptions | null, options?: RetrySleepOptions): Promise<void> {
    const { response, signal } = sleepOptions(first, options);
    signal?.throwIfAborted();
    const slept = this.respectRetryAfterHeader && (await this.#sleepForRetry(response, signal));
    if (!slept) await pause(this.getBackoffTime(), signal);
  }

  /** Whether a response of this status to this method is to be retried, by `statusForcelist` or by its Retry-After. */
  isRetry(method: string, statusCode: number, hasRetryAfter = false): boolean {
    const isForced = this.statusForcelist.has(statusCode);
    const isAnnounced =
      hasRetryAfter && this.respectRetryAfterHeader && this.#class.RETRY_AFTER_STATUS_CODES.has(statusCode);
    if (!isForced && !isAnnounced) return false;
    if (!this.#isMethodRetryable(method)) return false;
    return isForced || this.total === null || (this.total !== false && this.total > 0);
  }

  /** Whether more was retried than allowed: what {@link increment} asks of the object that it made. */
  isExhausted(): boolean {
    return this.#isOverspent || this.#redirectsWithoutEnd();
  }

  /**
   * The Retry after one more failure (or redirect), with one less to go.
   *
   * @throws {@link MaxRetryError} when that was one too many; `error` itself where it must not be retried: with a count that
   * is `false`, or if the request was sent and its method is not allowed to be repeated
   */
  increment(options: RetryIncrement = {}): Retry {
    const { method = null, url = null, response = null, error = null, _pool = null } = ownCopy(options);
    const location = error === null ? response?.getRedirectLocation() || null : null;
    const spentOn = error === null ? responseCount(response, location) : errorCount(error);
    if (error !== null && this.#mustRethrow(spentOn, method)) throw error;

    const status = error === null && response !== null ? response.status : null;
    const spent: SpentOptions = {
      [SPENT]: true,
      total: oneLess(this.total),
      ...(spentOn === null ? {} : { [spentOn]: oneLess(this[spentOn]) }),
      history: this.#log.with(new RequestHistory(method, url, error, status, location)),
    };
    const next = this.new(spent);
    if (!next.isExhausted()) return next;
    throw new MaxRetryError(_pool ?? 'no pool', url ?? '', {
      reason: error ?? new ResponseError(exhaustion(spentOn, status)),
      attempts: next.history,
    });
  }

  toString(): string {
    const { total, connect, read, redirect, status } = this;
    return `Retry(total=${total}, connect=${connect}, read=${read}, redirect=${redirect}, status=${status})`;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return this.history.length === 0 ? this.toString() : `${this} ${inspect(this.history, options)}`;
  }

  get #class(): typeof Retry {
    // Made by Retry or by a class that extends it, whose constructor takes the same arguments (see the class comment).
    return this.constructor as typeof Retry;
  }

  get #isOverspent(): boolean {
    return COUNTS.some((name) => Number(this[name] ?? 0) < 0);
  }

  #redirectsWithoutEnd(): boolean {
    if (this.total !== null || this.redirect !== null) return false;
    return this.#log.redirects > MAX_UNCOUNTED_REDIRECTS;
  }

  #isMethodRetryable(method: string): boolean {
    return this.allowedMethods === null || this.allowedMethods.has(asciiUpperCase(method));
  }

  #mustRethrow(spentOn: CountName | null, method: string | null): boolean {
    if (this.total === false || (spentOn !== null && this[spentOn] === false)) return true;
    return spentOn === 'read' && (method === null || !this.#isMethodRetryable(method));
  }

  async #sleepForRetry(response: RetryResponse | null | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    const retryAfter = response ? this.getRetryAfter(response) : null;
    if (retryAfter === null || retryAfter === 0) return false;
    await pause(retryAfter, signal);
    return true;
  }
}

/** The count that an error is taken from; a proxy's error counts as what it was made of. */
function errorCount(error: Error): CountName {
  const actual = error instanceof ProxyError ? error.cause : error;
  if (actual instanceof ConnectTimeoutError) return 'connect';
  const isOfReading = error instanceof ReadTimeoutError || error instanceof ProtocolError || isLateSslError(error);
  return isOfReading ? 'read' : 'other';
}

/** TLS that broke when a request was on its way already, which the server may have done. */
function isLateSslError(error: Error): boolean {
  return error instanceof SSLError && (error.phase === 'send' || error.phase === 'wait' || error.phase === 'content');
}

function responseCount(response: RetryResponse | null, location: string | null): CountName | null {
  if (location !== null) return 'redirect';
  return response === null ? null : 'status';
}

function exhaustion(spentOn: CountName | null, status: number | null): string {
  if (spentOn === 'redirect') return 'too many redirects';
  if (status === null) return ResponseError.GENERIC_ERROR;
  return ResponseError.SPECIFIC_ERROR.replace('{statusCode}', String(status));
}

function oneLess(count: RetryCount): number | null {
  return count === null ? null : Number(count) - 1;
}

/**
 * Waits on the clock, and keeps the process alive meanwhile; no timer for a time of 0.
 *
 * A time beyond what one timer can take is waited for in slices.
 */
function pause(duration: number, signal: AbortSignal | undefined): Promise<void> {
  if (duration <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    let leftMs = duration * 1000;
    let timer: NodeJS.Timeout;
    const wait = () => {
      if (leftMs <= 0) {
        signal?.removeEventListener('abort', giveUp);
        resolve();
        return;
      }
      const sliceMs = timerMs(leftMs / 1000);
      leftMs -= sliceMs;
      timer = setTimeout(wait, sliceMs);
    };
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', giveUp, { once: true });
    wait();
  });
}

function sleepOptions(
  first: RetryResponse | RetrySleepOptions | null | undefined,
  options: RetrySleepOptions = {},
): RetrySleepOptions {
  const isResponse = first !== null && first !== undefined && 'getRedirectLocation' in first;
  const { response, signal } = ownCopy(isResponse ? { ...options, response: first } : { ...options, ...first });
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal ${describe(signal)}: it must be an AbortSignal`);
  }
  return { response, signal };
}

/** @internal What `increment()` gives to `new()`. */
interface SpentOptions extends RetryOptions {
  readonly [SPENT]: true;
}

/** Own properties only: a polluted `Object.prototype` must not take part in a retry. */
function ownCopy<T extends object>(options: T): T {
  return Object.assign(Object.create(null), options);
}
