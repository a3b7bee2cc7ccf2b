/**
 * One call of `urlopen`, with all its attempts, for those who want to know: its deadline, and subscribers of diagnostics.ts.
 *
 * A call that has neither is not watched, and pays for nothing here. The manager and the pools below it share one watch, so
 * that redirects and retries count as one call, under one deadline.
 */
import type { HTTPConnection } from './connection.js';
import * as channels from './diagnostics.js';
import { type AttemptBill, DeadlineExceededError, type PoolDescription } from './exceptions.js';
import type { HTTPResponse } from './response.js';
import { AttemptClock } from './timings.js';
import { quietTimer, timerMs } from './util/timeout.js';

let lastRequestId = 0;

/** What an attempt is about. */
export interface AttemptSubject {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
}

/** The watch of a call; null if nobody wants to know. */
export function watchFor(deadline: number | null, signal: AbortSignal | null): CallWatch | null {
  return deadline === null && !isListenedTo() ? null : new CallWatch(deadline, signal);
}

/** HOT: asked for every call. */
function isListenedTo(): boolean {
  return (
    channels.requestStart.hasSubscribers ||
    channels.requestHead.hasSubscribers ||
    channels.requestEnd.hasSubscribers ||
    channels.requestError.hasSubscribers ||
    channels.retry.hasSubscribers ||
    channels.redirect.hasSubscribers
  );
}

export class CallWatch {
  readonly requestId = ++lastRequestId;
  /** Ends the call: the caller's own, or one that knows of the deadline too. */
  readonly signal: AbortSignal | null;
  readonly #attempts: AttemptWatch[] = [];
  #release: (() => void) | null = null;

  constructor(deadline: number | null, signal: AbortSignal | null) {
    this.signal = deadline === null ? signal : this.#deadlineSignal(deadline, signal);
  }

  /** The clock of the next attempt; that of the last one stops. */
  begin({ method, url }: AttemptSubject, pool: PoolDescription): AttemptWatch {
    this.#attempts.at(-1)?.stop();
    const attempt = new AttemptWatch({
      requestId: this.requestId,
      attempt: this.#attempts.length + 1,
      method,
      url,
      pool: String(pool),
    });
    this.#attempts.push(attempt);
    return attempt;
  }

  /** The attempt that was begun last. */
  get current(): AttemptWatch | null {
    return this.#attempts.at(-1) ?? null;
  }

  /** The call has failed: no timer and no listener stays. */
  release(): void {
    this.#release?.();
    this.#release = null;
  }

  /** The call has its response: the deadline holds until its content has come. */
  releaseAfter(response: HTTPResponse): void {
    const { current } = this;
    if (current === null || response.closed || !current.isRunning) this.release();
    else current.onOver = () => this.release();
  }

  #bill(): AttemptBill[] {
    return this.#attempts.map((attempt) => attempt.bill());
  }

  #deadlineSignal(seconds: number, signal: AbortSignal | null): AbortSignal {
    const controller = new AbortController();
    const forward = () => controller.abort(signal?.reason);
    const expire = () => {
      const phase = this.current?.phase ?? null;
      controller.abort(new DeadlineExceededError(seconds, this.#bill(), { phase }));
    };
    const timer = quietTimer(expire, timerMs(seconds));
    this.#release = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', forward);
    };
    if (signal?.aborted === true) forward();
    else signal?.addEventListener('abort', forward, { once: true });
    return controller.signal;
  }
}

/** The clock of one attempt, which tells the channels what it sees. */
export class AttemptWatch extends AttemptClock {
  readonly #event: channels.AttemptEvent;
  #connectionId: number | null = null;
  #status: number | null = null;
  #isOver = false;
  #outcome: string | null = null;
  /** Called once the exchange is over. */
  onOver: (() => void) | null = null;

  constructor(event: channels.AttemptEvent) {
    super();
    this.#event = event;
    if (channels.requestStart.hasSubscribers) channels.requestStart.publish(event);
  }

  /** Whether the exchange is not over yet. */
  get isRunning(): boolean {
    return !this.#isOver;
  }

  /** It has its connection. */
  obtained(connection: HTTPConnection): void {
    this.#connectionId = connection.id;
  }

  override head(status: number, atMs?: number): void {
    super.head(status, atMs);
    this.#status = status;
    if (!channels.requestHead.hasSubscribers) return;
    const connectionId = this.#connectionId;
    channels.requestHead.publish({ ...this.#event, connectionId, status, duration: this.#duration });
  }

  override over(error: unknown, atMs?: number): void {
    super.over(error, atMs);
    if (this.#isOver) return;
    this.#isOver = true;
    if (error === null) this.#publishEnd();
    else this.#publishError(error);
    this.onOver?.();
  }

  /** Another attempt follows, after so many seconds of waiting. */
  retried(error: unknown, status: number | null, delay: number): void {
    if (channels.retry.hasSubscribers) channels.retry.publish({ ...this.#event, error, status, delay });
  }

  redirected(status: number, location: string, nextMethod: string): void {
    if (channels.redirect.hasSubscribers) channels.redirect.publish({ ...this.#event, status, location, nextMethod });
  }

  bill(): AttemptBill {
    const { method, url } = this.#event;
    const outcome = this.#outcome ?? (this.#status === null ? '' : `status ${this.#status}`);
    return { method, url, phases: this.phases(), outcome };
  }

  get #duration(): number {
    return (performance.now() - this.beganMs) / 1000;
  }

  /** The attempt came to nothing, before or in the exchange. */
  #publishError(error: unknown): void {
    this.#outcome = nameOf(error);
    if (!channels.requestError.hasSubscribers) return;
    const connectionId = this.#connectionId;
    channels.requestError.publish({ ...this.#event, connectionId, error, duration: this.#duration });
  }

  #publishEnd(): void {
    const [connectionId, status] = [this.#connectionId, this.#status];
    if (!channels.requestEnd.hasSubscribers || status === null) return;
    channels.requestEnd.publish({ ...this.#event, connectionId, status, duration: this.#duration });
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : String(error);
}
