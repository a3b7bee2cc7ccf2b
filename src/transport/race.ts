/**
 * The race of connections to several addresses of one host: Happy Eyeballs (RFC 8305 sections 4 and 5).
 *
 * The families take turns, beginning with the resolver's first. An attempt begins 250 ms after the one before it, or at
 * once when one fails; the attempts overlap, the first that connects wins and the others are destroyed. (Node's own
 * `autoSelectFamily` gives an attempt up when the next begins, so an address that needs 260 ms never connects.)
 *
 * Here are only the order and the clock. What a socket is opened with: dial.ts. Where the addresses come from: resolve.ts.
 */
import type net from 'node:net';
import { type Bounds, bounded, type Verdict, type Wait } from './bounded.js';
import type { Address } from './resolve.js';

/** RFC 8305 section 5, Connection Attempt Delay: the recommended fixed value. */
export const ATTEMPT_DELAY_MS = 250;

/** An answer of DNS may hold thousands of addresses: this many are tried (SEC-119). */
export const MAX_ATTEMPTS = 64;

/** An attempt that came to nothing. */
export interface FailedAttempt {
  readonly address: string;
  readonly error: Error;
}

/** No attempt connected: all failed, or the deadline passed; `attempts` stand in the order in which they failed. */
export class RaceError extends Error {
  override readonly name = 'RaceError';
  readonly kind: 'failed' | 'timeout';
  readonly attempts: readonly FailedAttempt[];

  constructor(kind: 'failed' | 'timeout', attempts: readonly FailedAttempt[]) {
    super(messageOf(attempts));
    this.kind = kind;
    this.attempts = attempts;
  }
}

/**
 * Keeps an `error` event of a socket that nobody looks at from ending the process.
 *
 * Stands on every socket from before its first event. The winner still has it: whoever takes the socket over attaches
 * a listener of its own and then takes this one off.
 */
export function ignoreError(): void {}

/**
 * Connects to the first of `addresses` that answers.
 *
 * @param openSocket - makes a socket that is connecting to the address; what it throws counts as a failed attempt
 * @throws RaceError if none connects
 */
export function raceConnect(
  addresses: readonly Address[],
  openSocket: (address: Address) => net.Socket,
  bounds: Bounds,
): Promise<net.Socket> {
  return bounded(new Race(attemptOrder(addresses), openSocket), bounds);
}

/** The families in turn, beginning with the first address's (RFC 8305 section 4, First Address Family Count 1). */
export function attemptOrder(addresses: readonly Address[]): readonly Address[] {
  if (addresses.length < 2) return addresses;
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const other = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const order: Address[] = [];
  for (let turn = 0; turn < Math.max(first.length, other.length) && order.length < MAX_ATTEMPTS; turn++) {
    order.push(...first.slice(turn, turn + 1), ...other.slice(turn, turn + 1));
  }
  return order.slice(0, MAX_ATTEMPTS);
}

/** The last error stands for all: a list of up to 64 would be no message. */
function messageOf(attempts: readonly FailedAttempt[]): string {
  const last = attempts.at(-1);
  if (last === undefined) return 'no address was tried';
  return attempts.length === 1 ? last.error.message : `${last.error.message}, the last of ${attempts.length} addresses`;
}

interface Attempt {
  readonly address: string;
  readonly socket: net.Socket;
  /** Takes the race's listeners off the socket. */
  detach(): void;
}

class Race implements Wait<net.Socket> {
  readonly #waiting: Address[];
  readonly #openSocket: (address: Address) => net.Socket;
  readonly #running = new Set<Attempt>();
  readonly #failed: FailedAttempt[] = [];
  #nextStart: NodeJS.Timeout | undefined;

  constructor(order: readonly Address[], openSocket: (address: Address) => net.Socket) {
    this.#waiting = [...order];
    this.#openSocket = openSocket;
  }

  start(verdict: Verdict<net.Socket>): void {
    clearTimeout(this.#nextStart);
    for (let address = this.#waiting.shift(); address !== undefined; address = this.#waiting.shift()) {
      if (!this.#open(address, verdict)) continue;
      if (this.#waiting.length > 0) this.#nextStart = setTimeout(() => this.start(verdict), ATTEMPT_DELAY_MS);
      return;
    }
    if (this.#running.size === 0) verdict.reject(new RaceError('failed', this.#failed));
  }

  stop(): void {
    clearTimeout(this.#nextStart);
    for (const { socket, detach } of this.#running) {
      detach();
      socket.destroy();
    }
    this.#running.clear();
  }

  expire(verdict: Verdict<net.Socket>): void {
    const unanswered = Array.from(this.#running, ({ address }) => ({
      address,
      error: new Error(`no answer from ${address}`),
    }));
    verdict.reject(new RaceError('timeout', [...this.#failed, ...unanswered]));
  }

  /** Begins one attempt; false if it has failed already. */
  #open(target: Address, verdict: Verdict<net.Socket>): boolean {
    const { address } = target;
    let socket: net.Socket;
    try {
      socket = this.#openSocket(target);
    } catch (error) {
      this.#failed.push({ address, error: error instanceof Error ? error : new Error(String(error)) });
      return false;
    }
    const connected = () => {
      leave();
      verdict.resolve(socket);
    };
    const failed = (error: Error) => {
      leave();
      socket.destroy();
      this.#failed.push({ address, error });
      this.start(verdict);
    };
    const closed = () => failed(new Error(`closed before it was connected to ${address}`));
    const detach = () => void socket.off('connect', connected).off('error', failed).off('close', closed);
    const attempt: Attempt = { address, socket, detach };
    const leave = () => {
      detach();
      this.#running.delete(attempt);
    };
    socket.on('error', ignoreError).on('connect', connected).on('error', failed).on('close', closed);
    this.#running.add(attempt);
    return true;
  }
}
