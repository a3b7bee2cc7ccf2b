/**
 * A wait that can be won, lost, aborted or late: one judge, and the first verdict stands.
 *
 * Every wait of the transport (an answer of DNS, a race of connections, a readable socket) goes through here, so that
 * on every way out the timer is cleared, the signal's listener removed and the work stopped before the promise settles.
 * What is waited for is the {@link Wait}'s business; turning its errors into ours is the caller's.
 */

/** What ends a wait from outside. */
export interface Bounds {
  /** Aborting it rejects the wait with its reason. */
  readonly signal: AbortSignal | null;
  /** The moment, on the clock of `performance.now()`, at which the wait expires; null for never. */
  readonly deadlineMs: number | null;
}

/** A part of making a link. */
export type ConnectPhase = 'resolve' | 'connect' | 'proxy' | 'tls';

/** Bounds of making a link; whoever makes it says as each part begins. */
export interface ConnectBounds extends Bounds {
  readonly enter: ((phase: ConnectPhase) => void) | null;
}

/** Where a wait reports how it ended; calls after the first do nothing. */
export interface Verdict<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** Something that takes time. */
export interface Wait<T> {
  /** Begins; may report at once. Not called if the bounds have been reached already. */
  start(verdict: Verdict<T>): void;
  /** Called once, as soon as the wait is over, however it ended: nothing of it may be left afterwards. */
  stop(): void;
  /** The deadline has passed: says what that means, now or soon. */
  expire(verdict: Verdict<T>): void;
}

/** The longest time that a Node timer takes (24.8 days); a deadline beyond it is none. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Runs `wait` within `bounds`. */
export function bounded<T>(wait: Wait<T>, { signal, deadlineMs }: Bounds): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let over = false;
    const end = (): boolean => {
      if (over) return false;
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      wait.stop();
      return true;
    };
    const verdict: Verdict<T> = {
      resolve: (value) => void (end() && resolve(value)),
      reject: (reason) => void (end() && reject(reason)),
    };
    const abort = () => verdict.reject(signal?.reason);

    if (signal?.aborted) return abort();
    if (deadlineMs !== null) {
      const remainingMs = deadlineMs - performance.now();
      if (remainingMs <= 0) return wait.expire(verdict);
      if (remainingMs <= MAX_TIMER_MS) timer = setTimeout(() => wait.expire(verdict), remainingMs);
    }
    signal?.addEventListener('abort', abort);
    try {
      wait.start(verdict);
    } catch (error) {
      verdict.reject(error);
    }
  });
}
