/**
 * What took how long in one attempt of a request: a list of marks, from which everything else is worked out when asked for.
 *
 * HOT: three marks a request; `npm run bench` small GET, ratio under 0.02.
 */
import type { Phase } from './exceptions.js';

/** Seconds that each phase of the last attempt took; 0 for what did not happen, as on a connection that was there already. */
export interface Timings {
  /** Waiting for a connection of a pool that blocks. */
  readonly queue: number;
  /** Resolving the host's name. */
  readonly resolve: number;
  /** Connecting to its addresses. */
  readonly connect: number;
  /** Being let through by a proxy. */
  readonly proxy: number;
  /** The TLS handshake. */
  readonly tls: number;
  /** Sending the request, as far as it takes longer than handing it to the system. */
  readonly send: number;
  /** Waiting for the head of the response. */
  readonly wait: number;
  /** Receiving the content; so far, while it is being read. */
  readonly content: number;
  /** All of them. */
  readonly total: number;
}

/** A phase that ended, or that runs. */
export interface PhaseTime {
  readonly phase: Phase | 'backoff';
  readonly seconds: number;
}

/** Told how an exchange goes. */
export interface ExchangeWatcher {
  /** The request begins to be sent, with content that may take its time. */
  sending(): void;
  /** All of the request was handed to the system. */
  sent(): void;
  /** The head of the final response is there. */
  head(status: number): void;
  /** The exchange is over: complete (null), or given up because of `error`. */
  over(error: unknown): void;
}

/** A stopwatch for one attempt, which knows the phase it is in. */
export class AttemptClock implements ExchangeWatcher {
  /** [phase, when it began, phase, when it began, ...] */
  readonly #marks: (Phase | 'backoff' | number)[] = [];
  #endMs: number | null = null;

  /** The phase that runs, or the last one; null in a pause. */
  get phase(): Phase | null {
    const phase = this.#marks.at(-2);
    return typeof phase === 'string' && phase !== 'backoff' ? phase : null;
  }

  enter(phase: Phase | 'backoff'): void {
    this.#endMs = null;
    this.#marks.push(phase, performance.now());
  }

  /** Nothing runs from here on. */
  stop(): void {
    this.#endMs ??= performance.now();
  }

  sending(): void {
    this.enter('send');
  }

  sent(): void {
    this.enter('wait');
  }

  head(_status: number): void {
    this.enter('content');
  }

  over(_error: unknown): void {
    this.stop();
  }

  /** The phases in their order, up to now where one still runs; a phase that came again is there again. */
  phases(): PhaseTime[] {
    const marks = this.#marks;
    const phases: PhaseTime[] = [];
    for (let index = 0; index + 1 < marks.length; index += 2) {
      const phase = marks[index];
      const beganMs = Number(marks[index + 1]);
      const endedMs = Number(marks[index + 3] ?? this.#endMs ?? performance.now());
      if (typeof phase === 'string') phases.push({ phase, seconds: (endedMs - beganMs) / 1000 });
    }
    return phases;
  }

  timings(): Timings {
    const timings = { queue: 0, resolve: 0, connect: 0, proxy: 0, tls: 0, send: 0, wait: 0, content: 0, total: 0 };
    for (const { phase, seconds } of this.phases()) {
      if (phase === 'backoff') continue;
      timings[phase] += seconds;
      timings.total += seconds;
    }
    return timings;
  }
}
