/**
 * How long a request may wait (reference: "urllib3.util.timeout module"), in seconds.
 *
 * A `Timeout` is a setting (three numbers, never changed) and, once cloned for a request and started, a stopwatch for the
 * connect phase, from which the time left for reading follows. Durations are taken from the monotonic clock. The timers
 * themselves are in the connection; `timerMs` is how seconds become what `setTimeout` can take.
 */

import { TimeoutStateError, TimeoutUnitWarning } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { warn } from '../warnings.js';

const DEFAULT_TIMEOUT: unique symbol = Symbol('Timeout.DEFAULT_TIMEOUT');

/** Seconds; `null` waits for ever; `Timeout.DEFAULT_TIMEOUT` is the system default, which in Node is to wait for ever. */
export type TimeoutValue = number | null | typeof DEFAULT_TIMEOUT;

/** The three limits of a {@link Timeout}, each in seconds. */
export interface TimeoutOptions {
  /**
   * Seconds for connecting and then waiting for the response together; `null` sets no such limit.
   *
   * Shortens `connect` and `read` where those are longer. It does not bound a body that keeps coming.
   *
   * @defaultValue null
   */
  readonly total?: TimeoutValue | undefined;
  /**
   * Seconds until a connection must be ready; `null` waits for ever.
   *
   * @defaultValue Timeout.DEFAULT_TIMEOUT
   * @throws {@link ConnectTimeoutError} from the request
   */
  readonly connect?: TimeoutValue | undefined;
  /**
   * Seconds to wait between two reads of the response; `null` waits for ever.
   *
   * Counts from the last byte received, so a server that trickles can hold a request open: bound that with a `deadline`.
   *
   * @defaultValue Timeout.DEFAULT_TIMEOUT
   * @throws {@link ReadTimeoutError} from the request, or from `read()` while streaming
   */
  readonly read?: TimeoutValue | undefined;
}

type OptionName = keyof TimeoutOptions;

/** Longer than anyone waits for a response: most likely milliseconds. Ten minutes. */
const UNLIKELY_SECONDS = 600;

/** The longest time that `setTimeout` takes; one more and it fires after 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

let unitWarningEmitted = false;

/**
 * The timeouts of a request, in seconds: `new Timeout(10)` limits the total, `new Timeout({ connect: 2, read: 7 })` the phases.
 *
 * Infinity is accepted and means `null`. One object can be shared by any number of requests: each takes a clone.
 *
 * @example
 * ```ts
 * const timeout = new Timeout({ connect: 2, read: 7 });
 * timeout.connectTimeout; // 2
 * ```
 *
 * @throws TypeError for anything that is not a number, null or `Timeout.DEFAULT_TIMEOUT`; RangeError for NaN and numbers <= 0
 * @see User Guide, "Using timeouts"
 */
export class Timeout {
  /** Stands for the system default, which in Node is to wait for ever. */
  static readonly DEFAULT_TIMEOUT: typeof DEFAULT_TIMEOUT = DEFAULT_TIMEOUT;

  /** Seconds for connecting and waiting for the response together, as it was set. */
  readonly total: number | null;
  /** Seconds for connecting, as it was set; {@link connectTimeout} is what applies. */
  readonly connect: TimeoutValue;
  /** Seconds between two reads, as it was set; {@link readTimeout} is what applies. */
  readonly read: TimeoutValue;
  /** When the connect phase began, on the monotonic clock. */
  #connectStartMs: number | undefined;

  constructor(timeout: Timeout | TimeoutValue | TimeoutOptions = {}) {
    if (timeout instanceof Timeout) {
      // What is in a Timeout has been checked: each request clones the pool's.
      this.total = timeout.total;
      this.connect = timeout.connect;
      this.read = timeout.read;
      return;
    }
    const given = ownOptions(timeout);
    const total = checkedValue('total', given.total ?? null);
    this.total = total === DEFAULT_TIMEOUT ? null : total;
    this.connect = checkedValue('connect', given.connect === undefined ? DEFAULT_TIMEOUT : given.connect);
    this.read = checkedValue('read', given.read === undefined ? DEFAULT_TIMEOUT : given.read);
  }

  /** A Timeout with the same seconds for connecting and for reading, and no total: what a plain number as `timeout` means. */
  static fromFloat(timeout: TimeoutValue): Timeout {
    return new Timeout({ connect: timeout, read: timeout });
  }

  /** A Timeout with the same settings that has not been started. */
  clone(): Timeout {
    return new Timeout(this);
  }

  /**
   * Starts the stopwatch of the connect phase; returns its start in seconds of the monotonic clock.
   *
   * @throws {@link TimeoutStateError} if it was started before
   */
  startConnect(): number {
    if (this.#connectStartMs !== undefined) throw new TimeoutStateError('Timeout timer has already been started');
    this.#connectStartMs = performance.now();
    return this.#connectStartMs / 1000;
  }

  /**
   * Seconds since {@link startConnect}.
   *
   * @throws {@link TimeoutStateError} if it was not started
   */
  getConnectDuration(): number {
    if (this.#connectStartMs === undefined) {
      throw new TimeoutStateError('Cannot get the connect duration of a timer that has not started');
    }
    return (performance.now() - this.#connectStartMs) / 1000;
  }

  /** Seconds that connecting may take: the shorter of `connect` and `total`; `null` or the system default without either. */
  get connectTimeout(): TimeoutValue {
    if (this.total === null) return this.connect;
    return typeof this.connect === 'number' ? Math.min(this.connect, this.total) : this.total;
  }

  /**
   * Seconds that the next read may take; `null` waits for ever.
   *
   * With a `total` it is what connecting has left of it, at most `read`, at least 0.
   *
   * @throws {@link TimeoutStateError} if it depends on the connect phase and that was not started
   */
  get readTimeout(): number | null {
    const read = typeof this.read === 'number' ? this.read : null;
    if (this.total === null) return read;
    if (read === null) return Math.max(0, this.total - this.getConnectDuration());
    if (this.#connectStartMs === undefined) return read;
    return Math.max(0, Math.min(this.total - this.getConnectDuration(), read));
  }

  toString(): string {
    return `Timeout(connect=${shown(this.connect)}, read=${shown(this.read)}, total=${shown(this.total)})`;
  }
}

/** What a `timeout` option means: a Timeout is itself, a number holds for each phase, `null` waits for ever. */
export function toTimeout(value: Timeout | TimeoutValue): Timeout {
  return value instanceof Timeout ? value : Timeout.fromFloat(value);
}

/** Milliseconds for `setTimeout`: whole, at least 1, and never so many (24.8 days) that the timer overflows into firing at once. */
export function timerMs(seconds: number): number {
  return Math.min(Math.max(Math.ceil(seconds * 1000), 1), MAX_TIMER_MS);
}

/** Own properties only: a polluted `Object.prototype` must not set a timeout. */
function ownOptions(timeout: TimeoutValue | TimeoutOptions): { readonly [K in OptionName]?: unknown } {
  if (typeof timeout !== 'object' || timeout === null) return { total: timeout };
  const own: { [K in OptionName]?: unknown } = Object.create(null);
  for (const [name, value] of Object.entries(timeout)) {
    if (name !== 'total' && name !== 'connect' && name !== 'read') {
      throw new TypeError(`Cannot make a Timeout with ${describe(name)}: its options are total, connect and read`);
    }
    own[name] = value;
  }
  return own;
}

function checkedValue(name: OptionName, value: unknown): TimeoutValue {
  if (value === null || value === DEFAULT_TIMEOUT) return value;
  if (typeof value !== 'number') {
    throw new TypeError(`Timeout value ${name} was ${describe(value)}, but it must be a number of seconds or null`);
  }
  if (!(value > 0)) {
    throw new RangeError(
      `Attempted to set ${name} timeout to ${value}, but the timeout cannot be set to a value less than or equal to 0`,
    );
  }
  if (value === Number.POSITIVE_INFINITY) return null;
  if (value > UNLIKELY_SECONDS) warnOfUnit(name, value);
  return value;
}

function warnOfUnit(name: OptionName, seconds: number): void {
  if (unitWarningEmitted) return;
  unitWarningEmitted = true;
  warn(new TimeoutUnitWarning(`The ${name} timeout is ${seconds} seconds: timeouts are seconds, not milliseconds`));
}

function shown(value: TimeoutValue): string {
  return value === DEFAULT_TIMEOUT ? 'DEFAULT_TIMEOUT' : String(value);
}

/** Starts a timer that keeps no process alive. In browsers, and some edge runtimes, timers are numbers, and never do. */
export function quietTimer(onTime: () => void, ms: number): NodeJS.Timeout {
  const timer = setTimeout(onTime, ms);
  if (typeof timer === 'object') timer.unref();
  return timer;
}

/** Seconds since the epoch, with fractions (reference: "urllib3.util.current_time"). */
export function currentTime(): number {
  return Date.now() / 1000;
}
