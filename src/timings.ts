/**
 * What took how long in one attempt of a request: a list of marks, from which everything else is worked out when asked for.
 *
 * HOT: `npm run bench` small GET. Looking at the clock costs 50 to 150 ns, more than all else here, so a moment that somebody
 * has looked up already is handed on: on a connection that stands, timing a small response takes no look of its own.
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
  /** The head of the final response is there. Moments are on the clock of `performance.now()`; now, where none is given. */
  head(status: number, atMs?: number): void;
  /** The exchange is over: complete (null), or given up because of `error`. */
  over(error: unknown, atMs?: number): void;
}

type ClockPhase = Phase | 'backoff';

interface Mark {
  readonly phase: ClockPhase;
  readonly beganMs: number;
}

/** A stopwatch for one attempt, which knows the phase it is in. */
export class AttemptClock implements ExchangeWatcher {
  /** When it was made, which is when its first phase begins: whoever makes it goes on in the same turn. */
  readonly beganMs = performance.now();
  // HOT: on a connection that stands there are two marks, wait and content, which need no list.
  #first: ClockPhase | null = null;
  #second: ClockPhase | null = null;
  #secondMs = 0;
  #others: Mark[] | null = null;
  #endMs: number | null = null;

  /** The phase that runs, or the last one; null in a pause. */
  get phase(): Phase | null {
    const phase = this.#others?.at(-1)?.phase ?? this.#second ?? this.#first;
    return phase === 'backoff' ? null : phase;
  }

  enter(phase: ClockPhase, atMs?: number): void {
    this.#endMs = null;
    if (this.#first === null) {
      this.#first = phase;
    } else if (this.#second === null) {
      this.#second = phase;
      this.#secondMs = atMs ?? performance.now();
    } else {
      this.#others ??= [];
      this.#others.push({ phase, beganMs: atMs ?? performance.now() });
    }
  }

  /** Nothing runs from here on. */
  stop(atMs?: number): void {
    this.#endMs ??= atMs ?? performance.now();
  }

  sending(): void {
    this.enter('send');
  }

  sent(): void {
    this.enter('wait');
  }

  head(_status: number, atMs?: number): void {
    this.enter('content', atMs);
  }

  over(_error: unknown, atMs?: number): void {
    this.stop(atMs);
  }

  /** The phases in their order, up to now where one still runs; a phase that came again is there again. */
  phases(): PhaseTime[] {
    const marks: Mark[] = [];
    if (this.#first !== null) marks.push({ phase: this.#first, beganMs: this.beganMs });
    if (this.#second !== null) marks.push({ phase: this.#second, beganMs: this.#secondMs });
    marks.push(...(this.#others ?? []));
    const endMs = this.#endMs ?? performance.now();
    return marks.map(({ phase, beganMs }, index) => {
      const endedMs = marks[index + 1]?.beganMs ?? endMs;
      return { phase, seconds: (endedMs - beganMs) / 1000 };
    });
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
