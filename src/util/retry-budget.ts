/**
 * How much retrying a program may do in all, whatever each request may do by itself: a token bucket that requests fill and
 * retries empty.
 *
 * A server that is down makes every request fail, and a policy of three retries then sends it four times its usual load just
 * when it can bear least. A budget bounds the extra load to a share of the requests. What requests have put in is forgotten
 * after a while, so that an hour of good weather does not pay for a storm of retries; beside it a reserve refills steadily, for
 * programs that make few requests. Forgetting goes by windows, not by the moment of each deposit: what was put in during this
 * window, and during the one before. (A share that fades from the first moment on was tried: with a ratio of 1, the first
 * request that failed could not be retried, for a millisecond had passed.)
 *
 * Redirects are not retries, and neither is the free move away from a connection that was dead before it was asked. Who asks
 * the budget, and what is thrown when it is empty: next-attempt.ts.
 */
import { inspect } from 'node:util';
import { describe } from '../excerpt.js';
import { type Rules, resolveOptions } from '../options.js';

/** What a {@link RetryBudget} allows. */
export interface RetryBudgetOptions {
  /**
   * Retries for each request: 0.2 allows 20 % of extra load, 0 leaves only the reserve.
   *
   * @defaultValue 0.2
   */
  readonly ratio?: number | undefined;
  /**
   * Retries in each second that are allowed however few requests there are; 0 leaves only the share of the requests.
   *
   * @defaultValue 10
   */
  readonly minPerSecond?: number | undefined;
  /**
   * Seconds for which unused retries are kept: those that requests have put in for this time at least and twice as long at most, those
   * of the reserve until it holds `minPerSecond * window` (or one, if that is less and not 0), which is also what it begins with.
   *
   * @defaultValue 10
   */
  readonly window?: number | undefined;
}

type Settings = { readonly [K in keyof RetryBudgetOptions]-?: number };

const RULES: Rules<Settings> = {
  ratio: atLeastZero,
  minPerSecond: atLeastZero,
  window: aboveZero,
};

/** As good as a whole retry: ten times 0.1 is a little less than 1. */
const ENOUGH = 1 - 1e-9;

const DEFAULTS: Settings = Object.freeze({ ratio: 0.2, minPerSecond: 10, window: 10 });

/**
 * Bounds the retries of all requests that share it to a share of these requests.
 *
 * Give one to a manager, whose pools then share it, or to several managers that call the same service. It can only forbid:
 * what a request may retry is said by its `Retry`.
 *
 * @example
 * ```ts
 * const http = new PoolManager({ retries: 5, retryBudget: new RetryBudget({ ratio: 0.1 }) });
 * ```
 *
 * @throws TypeError or RangeError for an unknown option or a value that is not what the option takes
 * @see "Retrying requests", "A budget for all retries"
 */
export class RetryBudget {
  /** Retries for each request. */
  readonly ratio: number;
  /** Retries in each second that are allowed however few requests there are. */
  readonly minPerSecond: number;
  /** Seconds for which unused retries are kept. */
  readonly window: number;
  readonly #windowMs: number;
  /** The most retries that the reserve can hold. */
  readonly #reserveSize: number;
  /** Retries in reserve, as of a time of the monotonic clock. */
  #reserve: number;
  #reserveAtMs: number;
  /** Retries that the requests of this window have put in. */
  #share = 0;
  /** What is left of the window before. */
  #olderShare = 0;
  /** When this window began, on the monotonic clock. */
  #windowAtMs: number;

  constructor(options: RetryBudgetOptions = {}) {
    const { ratio, minPerSecond, window } = resolveOptions('a RetryBudget', options, RULES, DEFAULTS);
    this.ratio = ratio;
    this.minPerSecond = minPerSecond;
    this.window = window;
    this.#windowMs = window * 1000;
    // Less than one would never be a retry.
    this.#reserveSize = minPerSecond === 0 ? 0 : Math.max(1, minPerSecond * window);
    this.#reserve = this.#reserveSize;
    this.#reserveAtMs = performance.now();
    this.#windowAtMs = this.#reserveAtMs;
    Object.freeze(this);
  }

  /** Retries that would be allowed now: a whole number. */
  get available(): number {
    const nowMs = performance.now();
    this.#forget(nowMs);
    return Math.floor(this.#olderShare + this.#share + this.#reserveAt(nowMs) + (1 - ENOUGH));
  }

  /**
   * Counts a new request, whose retries do not count again.
   *
   * HOT: once a request. One look at the clock, which is most of its 65 ns, and one number moves.
   */
  deposit(): void {
    const nowMs = performance.now();
    if (nowMs - this.#windowAtMs >= this.#windowMs) this.#forget(nowMs);
    this.#share += this.ratio;
  }

  /** Takes one retry out of the budget; false if there is none, and then the request must not be retried. */
  tryWithdraw(): boolean {
    const nowMs = performance.now();
    this.#forget(nowMs);
    const reserve = this.#reserveAt(nowMs);
    if (this.#olderShare + this.#share + reserve < ENOUGH) return false;
    // First what is forgotten first.
    const fromOlder = Math.min(1, this.#olderShare);
    const fromShare = Math.min(1 - fromOlder, this.#share);
    this.#olderShare -= fromOlder;
    this.#share -= fromShare;
    this.#reserve = Math.max(0, reserve - (1 - fromOlder - fromShare));
    this.#reserveAtMs = nowMs;
    return true;
  }

  toString(): string {
    const { ratio, minPerSecond, window, available } = this;
    return `RetryBudget(ratio=${ratio}, minPerSecond=${minPerSecond}, window=${window}, available=${available})`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** Begins a new window where the last one is over. */
  #forget(nowMs: number): void {
    const windows = Math.floor((nowMs - this.#windowAtMs) / this.#windowMs);
    if (windows < 1) return;
    this.#olderShare = windows === 1 ? this.#share : 0;
    this.#share = 0;
    this.#windowAtMs += windows * this.#windowMs;
  }

  #reserveAt(nowMs: number): number {
    const refilled = ((nowMs - this.#reserveAtMs) / 1000) * this.minPerSecond;
    return Math.min(this.#reserveSize, this.#reserve + refilled);
  }
}

function atLeastZero(name: string, value: unknown): number {
  const number = finite(name, value);
  if (number < 0) throw new RangeError(`Cannot use ${name} ${number}: it must be a number >= 0`);
  return number;
}

function aboveZero(name: string, value: unknown): number {
  const number = finite(name, value);
  if (number <= 0) throw new RangeError(`Cannot use ${name} ${number}: it must be a number of seconds > 0`);
  return number;
}

function finite(name: string, value: unknown): number {
  if (typeof value !== 'number') throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a number`);
  if (!Number.isFinite(value)) throw new RangeError(`Cannot use ${name} ${value}: it must be a finite number`);
  return value;
}
