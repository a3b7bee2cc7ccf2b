/**
 * A session runs HTTP/1.1 exchanges on one link, one after the other (RFC 9112 section 9).
 *
 * ```text
 *            exchange()             response complete, request complete,
 *   idle ───────────────▶ busy ───── peer persistent, no byte left over ──▶ idle
 *     │                    │
 *     │ byte, end, error   │ error, timeout, abort, anything else
 *     └────────▶ closed ◀──┘
 * ```
 *
 * It drives the codec (http1/) with what the link brings, writes the request, keeps the read timeout, and says how far an
 * exchange had got when it failed: whether it may be repeated is the pool's to decide. It never retries.
 */
import type { BodySource } from '../body/source.js';
import { DecodeError, HTTPError, type PoolDescription, ProtocolError, ReadTimeoutError } from '../exceptions.js';
import type { ResponseLimits } from '../http1/limits.js';
import type { RequestFraming } from '../http1/request-head.js';
import type { ResponseHead } from '../http1/response-head.js';
import { ResponseParser } from '../http1/response-parser.js';
import type { ExchangeWatcher } from '../timings.js';
import { lateFailure } from '../tls/failure.js';
import { isWriteToClosedPeer, Link, type LinkReceiver } from '../transport/link.js';
import { timerMs } from '../util/timeout.js';
import { BodyWriter } from './body-writer.js';
import { ContentCollector } from './content-collector.js';
import { type ContentFlow, ContentQueue } from './content-queue.js';
import { ExchangeFailure, type Reached } from './exchange-failure.js';

export { ExchangeFailure, type Reached };

/** How far a transfer has got, in bytes of content as framed: content codings on, chunked coding off. */
export interface TransferProgress {
  readonly transferred: number;
  /** All there is to transfer; null if that is not known. */
  readonly total: number | null;
}

/** One request, ready to be sent: everything in it has been checked. */
export interface ExchangeRequest {
  readonly method: string;
  /** As the request line has it; for messages. */
  readonly target: string;
  readonly head: string;
  readonly body: BodySource;
  readonly framing: RequestFraming;
  /** Whether its head says that no other follows on the connection. */
  readonly isLast: boolean;
  /** Whether the content is wanted at once: it is gathered, and stays under the deadline. */
  readonly preloads: boolean;
  /** Tells statuses whose content is to be read from a queue whatever `preloads` says: it is likely not wanted. */
  readonly isDiscardable: ((status: number) => boolean) | null;
  /** Seconds between two reads; null waits for ever. */
  readonly readTimeout: number | null;
  /** When (`performance.now()`) the response must be there: its head, and its content too if that is preloaded. */
  readonly deadline: { readonly atMs: number; readonly total: number } | null;
  /** Bytes that the content may have, decoded; null for no limit. What is announced or comes beyond is refused. */
  readonly maxContentBytes: number | null;
  readonly onInformational: ((head: ResponseHead) => void) | null;
  readonly onUploadProgress: ((progress: TransferProgress) => void) | null;
  readonly onDownloadProgress: ((progress: TransferProgress) => void) | null;
  /** Seconds to wait for 100 (Continue) before the content is sent all the same; null sends it at once. */
  readonly expectContinue: number | null;
  readonly signal: AbortSignal | null;
  /** Told how it goes. */
  readonly watcher: ExchangeWatcher | null;
  /** For messages. */
  readonly pool: PoolDescription;
}

/** What an exchange gives. */
export interface Exchanged {
  readonly head: ResponseHead;
  readonly content: Buffer | ContentQueue;
  /** The trailer section so far: complete once the content is. */
  trailerSection: string;
}

/** Whoever owns the session. */
export interface SessionOwner {
  /**
   * The exchange is over and the session can take another. Called before the exchange's promise settles.
   *
   * @param atMs - since when (`performance.now()`)
   */
  sessionBecameIdle(atMs: number): void;
  /** The link is gone, or is of no use any more. Called once. */
  sessionClosed(): void;
}

interface Exchange {
  readonly request: ExchangeRequest;
  readonly resolve: (exchanged: Exchanged) => void;
  readonly reject: (failure: ExchangeFailure) => void;
  /** null while the request is sent in one piece with its head. */
  writer: BodyWriter | null;
  collector: ContentCollector | null;
  queue: ContentQueue | null;
  exchanged: Exchanged | null;
  onAbort: (() => void) | null;
  deadlineTimer: NodeJS.Timeout | null;
  /** Begins to send the content, while 100 (Continue) is waited for. */
  startBody: (() => void) | null;
  continueTimer: NodeJS.Timeout | null;
}

type SessionState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'busy'; readonly exchange: Exchange }
  | { readonly kind: 'closed' };

const IDLE: SessionState = Object.freeze({ kind: 'idle' });
const CLOSED: SessionState = Object.freeze({ kind: 'closed' });

/** A body up to this goes out in one write with its head: copying it is cheaper than a second write. */
const JOINED_BODY_BYTES = 16_384;

/** A coding makes content that it cannot compress a little longer. */
const CODING_OVERHEAD_BYTES = 65_536;

export class Session implements LinkReceiver, ContentFlow {
  readonly link: Link;
  readonly #owner: SessionOwner;
  readonly #parser: ResponseParser;
  #state: SessionState = IDLE;
  /** Seconds for which the peer said that it keeps an idle connection. */
  keepAliveSeconds: number | null = null;
  #readTimer: NodeJS.Timeout | null = null;
  #readTimerMs = 0;
  /** A timer that fires while no wait runs belongs to a former one, and says nothing. */
  #isWaiting = false;
  /** What was still to be sent when it was last looked at. */
  #unsentBytes = 0;
  /** When what is being read came, once somebody wants to know. */
  #readAtMs: number | null = null;

  constructor(owner: SessionOwner, limits: ResponseLimits) {
    this.#owner = owner;
    this.#parser = new ResponseParser(limits);
    this.link = new Link(this);
  }

  get isIdle(): boolean {
    return this.#state.kind === 'idle' && this.link.isOpen;
  }

  get isClosed(): boolean {
    return this.#state.kind === 'closed';
  }

  /**
   * Sends a request, in the tick of the call, and receives its response.
   *
   * @throws ExchangeFailure (as rejection)
   */
  exchange(request: ExchangeRequest): Promise<Exchanged> {
    if (this.#state.kind !== 'idle')
      throw new HTTPError(`Bug in urllib3: an exchange on a session that is ${this.#state.kind}`);
    const { signal } = request;
    if (signal?.aborted === true) {
      // It tells of aborts to come only. The link is as good as it was.
      request.watcher?.over(signal.reason);
      this.#owner.sessionBecameIdle(performance.now());
      return Promise.reject(new ExchangeFailure(signal.reason, 'nothing-sent', true));
    }
    return new Promise((resolve, reject) => {
      const exchange: Exchange = {
        request,
        resolve,
        reject,
        writer: null,
        collector: null,
        queue: null,
        exchanged: null,
        onAbort: null,
        deadlineTimer: null,
        startBody: null,
        continueTimer: null,
      };
      this.#state = { kind: 'busy', exchange };
      this.#parser.begin(request.method);
      this.#watch(exchange);
      this.#send(exchange);
    });
  }

  /** Nothing runs, and for a while nothing may: stop keeping the process alive, and drop the timer. */
  rest(): void {
    this.link.setReferenced(false);
    this.#clearReadTimer();
    this.#parser.forget();
  }

  /** Closes the link; an exchange in flight fails with `why`. */
  close(why: Error = new ProtocolError('The connection was closed')): void {
    if (this.#state.kind === 'busy') this.#fail(this.#state.exchange, why);
    else this.#closeLink();
  }

  // LinkReceiver

  /** HOT: called for every read; `npm run bench` small GET. */
  onBytes(bytes: Buffer, length: number): void {
    const state = this.#state;
    if (state.kind !== 'busy') {
      // Nothing was asked for: whatever this is, it must not become the answer to the next request.
      this.#closeLink();
      return;
    }
    const { exchange } = state;
    const parser = this.#parser;
    this.#progress();
    this.#readAtMs = null;
    parser.push(bytes, length);
    try {
      for (;;) {
        switch (parser.next()) {
          case 'need-bytes':
            return;
          case 'content':
            if (exchange.request.maxContentBytes !== null) this.#checkSize(exchange.request, parser.contentBytes);
            if (exchange.request.onDownloadProgress !== null) this.#tellDownloadProgress(exchange.request);
            if (exchange.collector !== null) exchange.collector.take(bytes, parser.contentStart, parser.contentEnd);
            else exchange.queue?.take(bytes, parser.contentStart, parser.contentEnd);
            break;
          case 'head':
            this.#onHead(exchange);
            break;
          case 'interim':
            this.#onInterim(exchange);
            break;
          case 'end':
            this.#onContentEnd(exchange);
            return;
          default:
        }
      }
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  onEnd(): void {
    if (this.#state.kind !== 'busy') return this.#closeLink();
    const { exchange } = this.#state;
    this.#readAtMs = null;
    try {
      if (this.#parser.finish()) this.#onContentEnd(exchange);
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  onClose(error: Error | null): void {
    if (this.#state.kind === 'busy') {
      const cause = error ?? undefined;
      const what = this.#parser.hasBegun ? 'Connection broken' : 'Connection aborted.';
      const detail = error === null ? '' : `${what.endsWith('.') ? '' : ':'} ${error.message}`;
      this.#fail(this.#state.exchange, lateFailure(error) ?? new ProtocolError(`${what}${detail}`, { cause }));
    } else {
      this.#closeLink();
    }
  }

  onDrain(): void {
    if (this.#state.kind === 'busy') this.#state.exchange.writer?.onDrain();
  }

  // ContentFlow

  pause(): void {
    this.#isWaiting = false;
    this.link.pause();
  }

  resume(): void {
    this.link.resume();
  }

  waitBegan(): void {
    if (this.#state.kind === 'busy') this.#beginWait(this.#state.exchange.request);
  }

  waitEnded(): void {
    this.#isWaiting = false;
  }

  abandon(): void {
    this.#closeLink();
  }

  // Sending

  #send(exchange: Exchange): void {
    const { request } = exchange;
    const { body, head } = request;
    this.link.setReferenced(true);
    if (body.kind === 'none') {
      this.link.writeText(head);
      request.watcher?.sent();
      this.#beginWait(request);
      return;
    }
    const isJoined = body.kind === 'bytes' && body.bytes.length <= JOINED_BODY_BYTES && request.expectContinue === null;
    if (isJoined && request.framing.kind === 'length') {
      const message = Buffer.allocUnsafe(head.length + body.bytes.length);
      message.write(head, 'latin1');
      message.set(body.bytes, head.length);
      this.link.writeBytes(message);
      request.watcher?.sent();
      this.#beginWait(request);
      if (request.onUploadProgress !== null) this.#tellUploadProgress(exchange, body.bytes.length);
      return;
    }
    const writer = new BodyWriter(this.link, {
      progress: () => this.#onSending(exchange, true),
      pausedBySource: () => this.#onSending(exchange, false),
      sent: (bytes) => this.#tellUploadProgress(exchange, bytes),
      finished: () => this.#onSent(exchange),
      failed: (error) => this.#fail(exchange, error, true),
    });
    exchange.writer = writer;
    this.link.writeText(head);
    const start = () => {
      request.watcher?.sending();
      writer.start(body, request.framing);
    };
    if (request.expectContinue === null) return start();
    exchange.startBody = start;
    request.watcher?.sent();
    exchange.continueTimer = setTimeout(() => this.#continue(exchange), timerMs(request.expectContinue)).unref();
    this.#beginWait(request);
  }

  /** The server has said 100 (Continue), or has had its time to say something. */
  #continue(exchange: Exchange): void {
    const { startBody } = exchange;
    this.#forgetContinue(exchange);
    startBody?.();
  }

  #forgetContinue(exchange: Exchange): void {
    if (exchange.continueTimer !== null) clearTimeout(exchange.continueTimer);
    exchange.continueTimer = null;
    exchange.startBody = null;
  }

  #tellUploadProgress(exchange: Exchange, transferred: number): void {
    const { onUploadProgress, body } = exchange.request;
    if (onUploadProgress === null) return;
    const total = body.kind === 'bytes' ? body.bytes.length : body.kind === 'stream' ? body.length : 0;
    try {
      onUploadProgress({ transferred, total });
    } catch (error) {
      this.#fail(exchange, error, true);
    }
  }

  /** With a coding, what is decoded is measured where it is decoded: here only what could never be few bytes. */
  #checkSize({ maxContentBytes }: ExchangeRequest, bytes: number): void {
    if (maxContentBytes === null) return;
    const allowance = this.#parser.head?.contentEncoding === undefined ? 0 : CODING_OVERHEAD_BYTES;
    if (bytes <= maxContentBytes + allowance) return;
    throw new DecodeError(`The content is longer than maxDecodedSize, ${maxContentBytes} bytes`);
  }

  #tellDownloadProgress(request: ExchangeRequest): void {
    const { head, contentBytes } = this.#parser;
    const total = head?.framing.kind === 'length' ? head.framing.length : null;
    request.onDownloadProgress?.({ transferred: contentBytes, total });
  }

  #onSent(exchange: Exchange): void {
    if (this.#hasHead(exchange)) return;
    exchange.request.watcher?.sent();
    this.#onSending(exchange, true);
  }

  /** Whether the response came before the request was out. */
  #hasHead(exchange: Exchange): boolean {
    return exchange.queue !== null || exchange.collector !== null;
  }

  /** Once the response has come, waiting is for its content, whatever the rest of the request does. */
  #onSending(exchange: Exchange, isPeersTurn: boolean): void {
    // A writer that is stopped while it waits wakes up once more.
    if (this.#state.kind !== 'busy' || this.#state.exchange !== exchange) return;
    if (this.#hasHead(exchange)) return;
    this.#unsentBytes = this.link.unsentBytes;
    if (isPeersTurn) this.#beginWait(exchange.request);
    else this.#isWaiting = false;
  }

  // Receiving

  #onHead(exchange: Exchange): void {
    const { head } = this.#parser;
    if (head === null) throw new HTTPError('Bug in urllib3: a head was announced that is not there');
    // A final response: the content that has not begun is not sent, as the server has decided without it.
    this.#forgetContinue(exchange);
    const { preloads, isDiscardable, watcher } = exchange.request;
    watcher?.head(head.status, this.#cameAtMs());
    const isWanted = isDiscardable?.(head.status) !== true;
    if (isWanted && head.framing.kind === 'length') this.#checkSize(exchange.request, head.framing.length);
    const isGathered = preloads && isWanted;
    if (isGathered) {
      const length = head.framing.kind === 'length' ? head.framing.length : null;
      exchange.collector = new ContentCollector(length);
      if (!this.#isWaiting) this.#beginWait(exchange.request);
      return;
    }
    // From here on the read timeout runs while the reader waits, and the reader hears of failures.
    this.#isWaiting = false;
    // Content that will be read to its end all the same stays under the deadline.
    if (!preloads) clearTimeout(exchange.deadlineTimer ?? undefined);
    const queue = new ContentQueue(this);
    exchange.queue = queue;
    exchange.exchanged = { head, content: queue, trailerSection: '' };
    exchange.resolve(exchange.exchanged);
  }

  #onInterim(exchange: Exchange): void {
    const { head } = this.#parser;
    if (head === null) return;
    if (head.status === 100) this.#continue(exchange);
    exchange.request.onInformational?.(head);
  }

  #onContentEnd(exchange: Exchange): void {
    const { head, trailerSection, leftoverBytes } = this.#parser;
    if (head === null) throw new HTTPError('Bug in urllib3: content ended before a head');
    this.#unwatch(exchange);
    const atMs = this.#cameAtMs();
    exchange.request.watcher?.over(null, atMs);
    this.#isWaiting = false;
    const requestIsComplete = exchange.writer === null || (exchange.writer.isFinished && this.link.isFlushed);
    const mayGoOn = head.persistent && !exchange.request.isLast;
    if (requestIsComplete && mayGoOn && leftoverBytes === 0 && this.link.isOpen) {
      this.#state = IDLE;
      if (head.keepAliveSeconds !== undefined) this.keepAliveSeconds = head.keepAliveSeconds;
      this.#owner.sessionBecameIdle(atMs);
    } else {
      this.#closeLink();
    }
    if (exchange.queue !== null) {
      if (exchange.exchanged !== null) exchange.exchanged.trailerSection = trailerSection;
      exchange.queue.finish();
    } else {
      exchange.resolve({ head, content: exchange.collector?.finish() ?? Buffer.alloc(0), trailerSection });
    }
  }

  /** HOT: a small response is one read, for which one look at the clock is enough. */
  #cameAtMs(): number {
    this.#readAtMs ??= performance.now();
    return this.#readAtMs;
  }

  // Failing

  #fail(exchange: Exchange, error: unknown, isFinal = false): void {
    if (this.#state.kind !== 'busy' || this.#state.exchange !== exchange) return;
    const reached = this.#reached(exchange, error);
    exchange.request.watcher?.over(error);
    this.#closeLink();
    if (exchange.queue !== null) exchange.queue.fail(error);
    else exchange.reject(new ExchangeFailure(error, reached, isFinal));
  }

  #reached({ writer }: Exchange, error: unknown): Reached {
    if (this.#parser.hasBegun) return 'response-began';
    // A request of one write, which the system has refused: the connection was gone, and no byte has left.
    return writer === null && isRefusedWrite(error) ? 'nothing-sent' : 'request-sent';
  }

  #closeLink(): void {
    if (this.#state.kind === 'closed') return;
    const wasBusyWith = this.#state.kind === 'busy' ? this.#state.exchange : null;
    this.#state = CLOSED;
    if (wasBusyWith !== null) {
      this.#unwatch(wasBusyWith);
      wasBusyWith.request.watcher?.over(null);
      wasBusyWith.writer?.stop();
    }
    this.#clearReadTimer();
    this.link.destroy();
    this.#owner.sessionClosed();
  }

  // Waiting

  #watch(exchange: Exchange): void {
    const { signal, deadline } = exchange.request;
    if (signal !== null) {
      exchange.onAbort = () => this.#fail(exchange, signal.reason, true);
      signal.addEventListener('abort', exchange.onAbort, { once: true });
    }
    if (deadline !== null) {
      const leftMs = Math.max(1, Math.ceil(deadline.atMs - performance.now()));
      exchange.deadlineTimer = setTimeout(() => this.#timedOut(exchange, deadline.total), leftMs).unref();
    }
  }

  #unwatch(exchange: Exchange): void {
    if (exchange.onAbort !== null) exchange.request.signal?.removeEventListener('abort', exchange.onAbort);
    if (exchange.deadlineTimer !== null) clearTimeout(exchange.deadlineTimer);
    exchange.onAbort = null;
    exchange.deadlineTimer = null;
    this.#forgetContinue(exchange);
  }

  #beginWait(request: ExchangeRequest): void {
    if (request.readTimeout === null) return;
    this.#isWaiting = true;
    const ms = timerMs(request.readTimeout);
    if (this.#readTimer !== null && this.#readTimerMs === ms) {
      this.#readTimer.refresh();
      return;
    }
    this.#clearReadTimer();
    this.#isWaiting = true;
    this.#readTimerMs = ms;
    this.#readTimer = setTimeout(() => this.#onReadTimer(), ms).unref();
  }

  #progress(): void {
    if (this.#isWaiting) this.#readTimer?.refresh();
  }

  #onReadTimer(): void {
    if (!this.#isWaiting || this.#state.kind !== 'busy') return;
    const { exchange } = this.#state;
    if (this.#isTakingOn(exchange)) this.#beginWait(exchange.request);
    else this.#timedOut(exchange, exchange.request.readTimeout ?? 0);
  }

  /** Whether the peer has taken some of what is being sent since that was last looked at: slowly, but it does. */
  #isTakingOn(exchange: Exchange): boolean {
    if (exchange.writer === null || this.#hasHead(exchange)) return false;
    const before = this.#unsentBytes;
    this.#unsentBytes = this.link.unsentBytes;
    return this.#unsentBytes < before;
  }

  #timedOut(exchange: Exchange, seconds: number): void {
    const { pool, target } = exchange.request;
    this.#fail(exchange, new ReadTimeoutError(pool, target, `Read timed out. (read timeout=${seconds})`));
  }

  #clearReadTimer(): void {
    this.#isWaiting = false;
    if (this.#readTimer === null) return;
    clearTimeout(this.#readTimer);
    this.#readTimer = null;
  }
}

function isRefusedWrite(error: unknown): boolean {
  return error instanceof HTTPError && error.cause instanceof Error && isWriteToClosedPeer(error.cause);
}
