/**
 * Which connections a pool has, and who gets the next one.
 *
 * ```text
 *   take() ── idle one, last used first ──────────────▶ caller
 *        └─── new one, if more may be open ───────────▶ caller
 *        └─── none: wait(), first come first served ──▶ caller, when one becomes idle or a place becomes free
 * ```
 *
 * Decisions are synchronous; connecting and closing is done by others. Whoever waits is served in the very call that frees
 * a connection or a place, so that no one who comes later can be faster, and the number of open connections never passes
 * `maxsize` when the pool blocks. Idle connections are given up when their keep-alive time is over, and do not keep the
 * process alive.
 */
import { ClosedPoolError, EmptyPoolError, type PoolDescription } from '../exceptions.js';
import { logger } from '../logging.js';
import { bounded, type Verdict, type Wait } from '../transport/bounded.js';
import type { Queue } from '../util/queue.js';
import { timerMs } from '../util/timeout.js';

/** What the store needs of a connection. */
export interface StoredConnection {
  readonly isIdle: boolean;
  readonly keepAliveSeconds: number | null;
  idleSinceMs: number;
  rest(): void;
  close(): void;
}

export interface StoreOptions<C> {
  readonly pool: PoolDescription;
  /** For log lines. */
  readonly host: string;
  readonly maxsize: number;
  readonly block: boolean;
  /** Seconds for which an idle connection is kept; null keeps it until its server closes it. */
  readonly idleTimeout: number | null;
  /** Holds the idle connections. */
  readonly idle: Queue<C>;
  /** Makes a connection that is not connected yet. */
  create(): C;
}

/** A server's own keep-alive time is not used to its end: its clock began earlier, and a request takes time to arrive. */
const SAFETY_MARGIN_SECONDS = 1;

/** So few waiters are not worth looking at. */
const TIDY_LEAST = 64;

export class ConnectionStore<C extends StoredConnection> {
  readonly #options: StoreOptions<C>;
  readonly #idle: Queue<C>;
  /** Every connection that holds a place: idle, in use, or being connected. */
  readonly #open = new Set<C>();
  /** In order of arrival; those who gave up are still there until their turn comes. */
  #waiters: Waiter<C>[] = [];
  #firstWaiter = 0;
  /** At this many, those who gave up are cleared away: their turn may be long in coming. */
  #tidyAt = TIDY_LEAST;
  #isClosed = false;
  #isResting = false;
  #sweepTimer: NodeJS.Timeout | null = null;
  #sweepAtMs = Number.POSITIVE_INFINITY;

  constructor(options: StoreOptions<C>) {
    this.#options = options;
    this.#idle = options.idle;
  }

  /** Connections that are open or being opened. */
  get openCount(): number {
    return this.#open.size;
  }

  get idleCount(): number {
    return this.#idle.size;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * An idle connection that is good for another request; null if there is none.
   *
   * HOT: whoever has looked at the clock says what it said.
   */
  takeIdle(nowMs = performance.now()): C | null {
    for (;;) {
      const connection = this.#idle.get();
      if (connection === undefined) return null;
      if (connection.isIdle && nowMs < this.#expiryMs(connection)) return connection;
      connection.close();
    }
  }

  /** An idle connection, or a new one; null if the caller has to wait. */
  take(): C | null {
    this.#throwIfClosed();
    return this.takeIdle() ?? (this.#mayOpen() ? this.#add() : null);
  }

  /** A new connection, in the place of an idle one if there is no other; null if the caller has to wait. */
  takeNew(): C | null {
    this.#throwIfClosed();
    if (!this.#mayOpen()) this.takeIdle()?.close();
    return this.#mayOpen() ? this.#add() : null;
  }

  /**
   * Waits for a connection: an idle one, or a new one that is not connected yet.
   *
   * @param seconds - how long; null for as long as it takes
   * @throws EmptyPoolError when the time is over, ClosedPoolError if the pool closes, the signal's reason if it is aborted
   */
  wait(seconds: number | null, signal: AbortSignal | null): Promise<C> {
    const waiter = new Waiter<C>(this.#options.pool);
    if (this.#waiters.length >= this.#tidyAt) this.#tidy();
    this.#waiters.push(waiter);
    const deadlineMs = seconds === null ? null : performance.now() + seconds * 1000;
    return bounded(waiter, { signal, deadlineMs });
  }

  /** The connection is free again: for who waits first, else for later, else not wanted. */
  release(connection: C, nowMs = performance.now()): void {
    if (!this.#open.has(connection)) return connection.close();
    const waiter = this.#nextWaiter();
    if (waiter !== null) return waiter.give(connection);
    if (this.#isClosed) return connection.close();
    if (this.#idle.size >= this.#options.maxsize) return this.#discard(connection);
    connection.idleSinceMs = nowMs;
    this.#idle.put(connection);
    this.#scheduleSweep(this.#expiryMs(connection));
    this.#scheduleRest();
  }

  /** The connection is gone, so its place is free. */
  remove(connection: C): void {
    if (!this.#open.delete(connection)) return;
    this.#idle.delete(connection);
    if (this.#isClosed || !this.#mayOpen()) return;
    const waiter = this.#nextWaiter();
    if (waiter !== null) waiter.give(this.#add());
  }

  /** Closes what is idle and turns away who waits. What is in use is closed when it is released. */
  close(): void {
    this.#isClosed = true;
    for (;;) {
      const connection = this.#idle.get();
      if (connection === undefined) break;
      connection.close();
    }
    for (let waiter = this.#nextWaiter(); waiter !== null; waiter = this.#nextWaiter()) {
      waiter.refuse(new ClosedPoolError(this.#options.pool, 'Pool is closed.'));
    }
    this.#clearSweep();
  }

  #discard(connection: C): void {
    if (logger.isWarning) {
      const { host, maxsize } = this.#options;
      const line = `Connection pool is full, discarding connection: ${host}. Connection pool size: ${maxsize}`;
      logger.warning('urllib3.connectionpool', line);
    }
    connection.close();
  }

  #mayOpen(): boolean {
    return !this.#options.block || this.#open.size < this.#options.maxsize;
  }

  #add(): C {
    const connection = this.#options.create();
    this.#open.add(connection);
    return connection;
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw new ClosedPoolError(this.#options.pool, 'Pool is closed.');
  }

  #nextWaiter(): Waiter<C> | null {
    while (this.#firstWaiter < this.#waiters.length) {
      const waiter = this.#waiters[this.#firstWaiter++];
      if (this.#firstWaiter * 2 > this.#waiters.length) {
        this.#waiters = this.#waiters.slice(this.#firstWaiter);
        this.#firstWaiter = 0;
      }
      if (waiter?.isWaiting === true) return waiter;
    }
    return null;
  }

  #tidy(): void {
    this.#waiters = this.#waiters.slice(this.#firstWaiter).filter((waiter) => waiter.isWaiting);
    this.#firstWaiter = 0;
    this.#tidyAt = Math.max(TIDY_LEAST, this.#waiters.length * 2);
  }

  /** When an idle connection must not be used any more. */
  #expiryMs(connection: C): number {
    const { idleTimeout } = this.#options;
    const announced = connection.keepAliveSeconds;
    const own = idleTimeout ?? Number.POSITIVE_INFINITY;
    const peers =
      announced === null ? Number.POSITIVE_INFINITY : announced - Math.min(SAFETY_MARGIN_SECONDS, announced / 2);
    return connection.idleSinceMs + Math.min(own, peers) * 1000;
  }

  /** One timer for all: it is set when the first becomes idle, and looks again when it fires. */
  #scheduleSweep(atMs: number): void {
    if (atMs >= this.#sweepAtMs) return;
    this.#clearSweep();
    this.#sweepAtMs = atMs;
    const delayMs = timerMs((atMs - performance.now()) / 1000);
    this.#sweepTimer = setTimeout(() => this.#sweep(), delayMs).unref();
  }

  #sweep(): void {
    this.#clearSweep();
    const nowMs = performance.now();
    const idle = [...this.#idle];
    for (const connection of idle) {
      const expiryMs = this.#expiryMs(connection);
      if (expiryMs <= nowMs) {
        this.#idle.delete(connection);
        connection.close();
      } else {
        this.#scheduleSweep(expiryMs);
      }
    }
  }

  #clearSweep(): void {
    if (this.#sweepTimer !== null) clearTimeout(this.#sweepTimer);
    this.#sweepTimer = null;
    this.#sweepAtMs = Number.POSITIVE_INFINITY;
  }

  /**
   * A connection that is still idle when the loop has turned lets the process end. Not at once: under load it is taken
   * again in the same turn, and telling the socket twice a request costs more than looking once a turn.
   */
  #scheduleRest(): void {
    if (this.#isResting) return;
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      for (const connection of this.#idle) connection.rest();
    });
  }
}

/** Someone who waits for a connection. */
class Waiter<C> implements Wait<C> {
  readonly #pool: PoolDescription;
  #verdict: Verdict<C> | null = null;

  constructor(pool: PoolDescription) {
    this.#pool = pool;
  }

  get isWaiting(): boolean {
    return this.#verdict !== null;
  }

  give(connection: C): void {
    this.#verdict?.resolve(connection);
  }

  refuse(error: Error): void {
    this.#verdict?.reject(error);
  }

  start(verdict: Verdict<C>): void {
    this.#verdict = verdict;
  }

  stop(): void {
    this.#verdict = null;
  }

  expire(verdict: Verdict<C>): void {
    verdict.reject(new EmptyPoolError(this.#pool, 'Pool reached maximum size and no more connections are allowed.'));
  }
}
