/**
 * The content of a streamed response between the link, which brings it, and its reader, who takes it when he likes.
 *
 * ```text
 *   link ── take() ──▶ [ piece | piece | piece ] ── read() ──▶ reader
 *           │ asks the flow to pause above the high-water mark, to resume below the low one
 *           └ a reader who waits with a buffer of his own (readInto) gets the bytes copied there at once
 * ```
 *
 * So memory is bounded whatever the content's size, and a reader who waits gets each piece with one copy.
 */
import { HTTPError } from '../exceptions.js';
import { copyOf } from './content-collector.js';

/** What the queue asks of the link below it. */
export interface ContentFlow {
  pause(): void;
  resume(): void;
  /** The reader waits for bytes from now on, so the read timeout runs. */
  waitBegan(): void;
  /** He has got some: what he does with them is his own time. */
  waitEnded(): void;
  /** Content is wanted no more: the connection may be closed. */
  abandon(): void;
}

/** Four reads of the link: enough to keep a reader busy that takes large amounts, little enough for ten thousand readers. */
const HIGH_WATER_BYTES = 262_144;
const LOW_WATER_BYTES = 65_536;

/** A piece costs about 100 bytes however small it is, and one read of the link can bring ten thousand chunks of one byte. */
const HIGH_WATER_PIECES = 4_096;

type Waiter =
  | { readonly kind: 'piece'; readonly most: number; resolve(piece: Buffer | null): void; reject(error: unknown): void }
  | { readonly kind: 'into'; readonly target: Uint8Array; resolve(count: number): void; reject(error: unknown): void };

type End =
  | { readonly kind: 'open' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly error: unknown };

export class ContentQueue {
  readonly #flow: ContentFlow;
  #pieces: Buffer[] = [];
  /** Pieces before this index are read, at most half of them: `shift()` would be quadratic with many tiny pieces. */
  #firstUnread = 0;
  #queuedBytes = 0;
  #isPaused = false;
  #waiter: Waiter | null = null;
  #end: End = { kind: 'open' };

  constructor(flow: ContentFlow) {
    this.#flow = flow;
  }

  /** Whether nothing is left to read and nothing will come. */
  get isExhausted(): boolean {
    return this.#end.kind !== 'open' && this.#queuedBytes === 0;
  }

  /** Called by the link's side: borrowed bytes from `start` to before `end`. */
  take(bytes: Buffer, start: number, end: number): void {
    if (this.#end.kind !== 'open') return;
    const rest = this.#serveWaiter(bytes, start, end);
    if (rest === end) return;
    this.#pieces.push(copyOf(bytes, rest, end));
    this.#queuedBytes += end - rest;
    const isFull = this.#queuedBytes >= HIGH_WATER_BYTES || this.#unreadPieces >= HIGH_WATER_PIECES;
    if (isFull && !this.#isPaused) {
      this.#isPaused = true;
      this.#flow.pause();
    }
  }

  /** Called by the link's side: that was all. */
  finish(): void {
    this.#settle({ kind: 'ended' });
  }

  /** Called by the link's side: what is queued can still be read, then the error is raised. */
  fail(error: unknown): void {
    this.#settle({ kind: 'failed', error });
  }

  /**
   * The next piece, of at most `most` bytes; null at the end.
   *
   * @throws the error that cut the content, once what came before it has been read
   */
  read(most: number): Promise<Buffer | null> {
    if (this.#queuedBytes > 0) return Promise.resolve(this.#dequeue(most));
    return this.#wait((resolve, reject) => ({ kind: 'piece', most, resolve, reject }), null);
  }

  /** Fills the start of `target` with what is there, or with the next bytes that come; 0 at the end. */
  readInto(target: Uint8Array): Promise<number> {
    if (target.length === 0) return Promise.resolve(0);
    if (this.#queuedBytes > 0) return Promise.resolve(this.#dequeueInto(target));
    return this.#wait((resolve, reject) => ({ kind: 'into', target, resolve, reject }), 0);
  }

  /** Drops what is queued and whatever is still to come. */
  abandon(): void {
    this.#pieces = [];
    this.#firstUnread = 0;
    this.#queuedBytes = 0;
    const wasOpen = this.#end.kind === 'open';
    this.#settle({ kind: 'ended' });
    if (wasOpen) this.#flow.abandon();
  }

  #wait<T>(
    makeWaiter: (resolve: (value: T) => void, reject: (error: unknown) => void) => Waiter,
    atEnd: T,
  ): Promise<T> {
    if (this.#end.kind === 'failed') return Promise.reject(this.#end.error);
    if (this.#end.kind === 'ended') return Promise.resolve(atEnd);
    if (this.#waiter !== null) {
      return Promise.reject(new HTTPError('Cannot read: another read of this response is still waiting for bytes'));
    }
    return new Promise((resolve, reject) => {
      this.#waiter = makeWaiter(resolve, reject);
      this.#flow.waitBegan();
    });
  }

  /** Gives borrowed bytes to the reader who waits; returns where the rest begins. */
  #serveWaiter(bytes: Buffer, start: number, end: number): number {
    const waiter = this.#waiter;
    if (waiter === null) return start;
    this.#waiter = null;
    this.#flow.waitEnded();
    if (waiter.kind === 'piece') {
      const rest = Math.min(end, start + waiter.most);
      waiter.resolve(copyOf(bytes, start, rest));
      return rest;
    }
    const rest = Math.min(end, start + waiter.target.length);
    bytes.copy(waiter.target, 0, start, rest);
    waiter.resolve(rest - start);
    return rest;
  }

  #settle(end: End): void {
    if (this.#end.kind !== 'open') return;
    this.#end = end;
    // The link is the next exchange's from here on.
    this.#resume();
    const waiter = this.#waiter;
    if (waiter === null) return;
    this.#waiter = null;
    if (end.kind === 'failed') waiter.reject(end.error);
    else if (waiter.kind === 'piece') waiter.resolve(null);
    else waiter.resolve(0);
  }

  #dequeue(most: number): Buffer {
    const first = this.#pieces[this.#firstUnread];
    if (first === undefined) throw new HTTPError('Bug in urllib3: bytes are counted that are not queued');
    const piece = first.length <= most ? first : first.subarray(0, most);
    this.#drop(first, piece.length);
    return piece;
  }

  #dequeueInto(target: Uint8Array): number {
    let filled = 0;
    while (filled < target.length && this.#queuedBytes > 0) {
      const piece = this.#dequeue(target.length - filled);
      target.set(piece, filled);
      filled += piece.length;
    }
    return filled;
  }

  #drop(first: Buffer, count: number): void {
    if (count < first.length) this.#pieces[this.#firstUnread] = first.subarray(count);
    else if (++this.#firstUnread * 2 >= this.#pieces.length) {
      this.#pieces = this.#pieces.slice(this.#firstUnread);
      this.#firstUnread = 0;
    }
    this.#queuedBytes -= count;
    if (this.#queuedBytes <= LOW_WATER_BYTES && this.#unreadPieces < HIGH_WATER_PIECES) this.#resume();
  }

  get #unreadPieces(): number {
    return this.#pieces.length - this.#firstUnread;
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#flow.resume();
  }
}
