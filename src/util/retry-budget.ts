/**
 * How much retrying a program may do in all, whatever each request may do by itself: a token bucket that requests fill and
 * retries empty.
 *
 * A server that is down makes every request fail, and a policy of three retries then sends it four times its usual load just
 * when it can bear least. A budget bounds the extra load to a share of the requests. What requests have put in fades exponentially (after `window` seconds, 37 % of it is left), so that an hour of good
 * weather does not pay for a storm of retries; beside it a reserve refills steadily, for programs that make few requests.
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
   * Seconds for which requests and unused reserve count: the reserve holds `minPerSecond * window` retries at most (one at least,
   * unless `minPerSecond` is 0), and of what the requests have put in, 37 % is left after this time and 5 % after three times as long.
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
  /** Seconds for which requests and unused reserve count. */
  readonly window: number;
  readonly #windowMs: number;
  /** The most retries that the reserve can hold. */
  readonly #reserveSize: number;
  /** Retries in reserve, as of a time of the monotonic clock. */
  #reserve: number;
  #reserveAtMs: number;
  /** Retries that requests have paid for, as of a time of the monotonic clock. */
  #share = 0;
  #shareAtMs: number;

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
    this.#shareAtMs = this.#reserveAtMs;
    Object.freeze(this);
  }

  /** Retries that would be allowed now: a whole number. */
  get available(): number {
    const nowMs = performance.now();
    return Math.floor(this.#shareAt(nowMs) + this.#reserveAt(nowMs) + (1 - ENOUGH));
  }

  /**
   * Counts a new request, whose retries do not count again.
   *
   * HOT: once a request, so that two numbers move and no more.
   */
  deposit(): void {
    const nowMs = performance.now();
    this.#share = this.#shareAt(nowMs) + this.ratio;
    this.#shareAtMs = nowMs;
  }

  /** Takes one retry out of the budget; false if there is none, and then the request must not be retried. */
  tryWithdraw(): boolean {
    const nowMs = performance.now();
    const share = this.#shareAt(nowMs);
    const reserve = this.#reserveAt(nowMs);
    if (share + reserve < ENOUGH) return false;
    // First what would fade.
    const fromShare = Math.min(1, share);
    this.#share = share - fromShare;
    this.#shareAtMs = nowMs;
    this.#reserve = Math.max(0, reserve - (1 - fromShare));
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

  #shareAt(nowMs: number): number {
    return this.#share * Math.exp((this.#shareAtMs - nowMs) / this.#windowMs);
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
