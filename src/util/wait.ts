/**
 * Waiting until a socket can be read or written (reference: `urllib3.util.wait_for_read`, `wait_for_write`).
 *
 * As with `select`, a socket that has ended or failed is ready: the next read or write says so at once. Only Node's
 * streams are seen: a socket with `onread` delivers its bytes to a callback, so for it there is nothing to wait for.
 */
import { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { describe } from '../excerpt.js';
import { type Bounds, bounded, type Verdict, type Wait } from '../transport/bounded.js';

/** How long to wait. */
export interface WaitOptions {
  /** Seconds to wait; `null` or absent waits for ever, 0 only looks. */
  readonly timeout?: number | null | undefined;
  /** Aborting it ends the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined;
}

/**
 * Waits until `sock` can be read: true if it has bytes, has ended or is closed; false if the timeout passed.
 *
 * Nothing is taken from the socket, and whether it flows or is paused does not change. If it flows, the bytes go to its
 * `data` listeners, and their coming is what is waited for.
 *
 * @throws TypeError or RangeError for a timeout that is no number of seconds >= 0
 */
export async function waitForRead(sock: Readable, options: WaitOptions = {}): Promise<boolean> {
  const bounds = boundsOf(options);
  const flows = sock.readableFlowing === true;
  if (!flows) sock.read(0); // makes Node read, and takes nothing
  const isReady = () => sock.readableLength > 0 || !sock.readable;
  return bounded(new Readiness(sock, flows ? 'data' : 'readable', isReady), bounds);
}

/**
 * Waits until `sock` can be written: true if it is connected and takes bytes without queueing them beyond its
 * high-water mark, or is closed; false if the timeout passed.
 *
 * @throws TypeError or RangeError for a timeout that is no number of seconds >= 0
 */
export async function waitForWrite(sock: Writable, options: WaitOptions = {}): Promise<boolean> {
  const isReady = () => !sock.writable || !(sock.writableNeedDrain || isConnecting(sock));
  return bounded(new Readiness(sock, 'drain', isReady), boundsOf(options));
}

function isConnecting(sock: Writable): boolean {
  return 'connecting' in sock && sock.connecting === true;
}

/** Listeners are attached by EventEmitter's own methods: a stream's would change whether it flows. */
const { on, off } = EventEmitter.prototype;

/** Events after which a socket may be ready, or have become useless, which counts as ready. */
const CHANGES = ['connect', 'end', 'close'];

class Readiness implements Wait<boolean> {
  readonly #sock: EventEmitter;
  readonly #readyEvent: string;
  readonly #isReady: () => boolean;
  #verdict: Verdict<boolean> | undefined;
  #lastLook: NodeJS.Immediate | undefined;

  constructor(sock: EventEmitter, readyEvent: 'readable' | 'data' | 'drain', isReady: () => boolean) {
    this.#sock = sock;
    this.#readyEvent = readyEvent;
    this.#isReady = isReady;
  }

  start(verdict: Verdict<boolean>): void {
    this.#verdict = verdict;
    on.call(this.#sock, this.#readyEvent, this.#came);
    for (const change of CHANGES) on.call(this.#sock, change, this.#look);
    this.#look();
  }

  stop(): void {
    clearImmediate(this.#lastLook);
    off.call(this.#sock, this.#readyEvent, this.#came);
    for (const change of CHANGES) off.call(this.#sock, change, this.#look);
  }

  /** One more turn: timers run before sockets are looked at, and a late timer must not hide bytes that are there. */
  expire(verdict: Verdict<boolean>): void {
    this.#lastLook = setImmediate(() => verdict.resolve(this.#isReady()));
  }

  readonly #came = (): void => this.#verdict?.resolve(true);

  readonly #look = (): void => {
    if (this.#isReady()) this.#came();
  };
}

function boundsOf(options: WaitOptions): Bounds {
  const given: WaitOptions = Object.assign(Object.create(null), options);
  const timeout: unknown = given.timeout ?? null;
  const signal = given.signal ?? null;
  if (timeout === null) return { signal, deadlineMs: null };
  if (typeof timeout !== 'number' || Number.isNaN(timeout)) {
    throw new TypeError(`Cannot use timeout ${describe(timeout)}: it must be a number of seconds, or null`);
  }
  if (timeout < 0) throw new RangeError(`Cannot use timeout ${timeout}: it must be a number of seconds >= 0`);
  // At least a millisecond, so that a timeout of 0 still begins to read before it looks.
  return { signal, deadlineMs: performance.now() + Math.max(timeout * 1000, 1) };
}
