/**
 * Sends the content of one request: a body source, framed as its head has announced (RFC 9112 sections 6 and 7.1).
 *
 * Written as fast as the link takes it and no faster. What a length was announced for has exactly that length, or the
 * exchange fails and its connection is closed: a byte too many would be read as the next request.
 */
import type { BodySource } from '../body/source.js';
import { HTTPError, ProtocolError } from '../exceptions.js';
import type { RequestFraming } from '../http1/request-head.js';
import type { Link } from '../transport/link.js';

/** Who is told how the sending goes. */
export interface BodyWriterEvents {
  /** The peer took bytes, or is being waited for from now on. */
  progress(): void;
  /** The source is being waited for: that is the caller's time, not the peer's. */
  pausedBySource(): void;
  /** So many bytes of content have been handed over in all. */
  sent(bytes: number): void;
  finished(): void;
  failed(error: Error): void;
}

/** A body in memory is cut into pieces of this size, so that the peer's progress can be seen. */
const PIECE_BYTES = 262_144;

const LAST_CHUNK = '0\r\n\r\n';

export class BodyWriter {
  readonly #link: Link;
  readonly #events: BodyWriterEvents;
  #isStopped = false;
  #isFinished = false;
  #wake: (() => void) | null = null;
  #source: AsyncIterator<Uint8Array> | null = null;
  #sentBytes = 0;

  constructor(link: Link, events: BodyWriterEvents) {
    this.#link = link;
    this.#events = events;
  }

  /** Whether the last byte has been handed to the link. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Begins; how it goes is told by the events. */
  start(body: BodySource, framing: RequestFraming): void {
    // Cannot reject: what fails inside is reported as an event.
    void this.#run(body, framing);
  }

  /** Ends the sending where it is: the response has come, or the exchange has failed. Closes the source. */
  stop(): void {
    this.#isStopped = true;
    this.#closeSource();
    this.#wakeUp();
  }

  onDrain(): void {
    this.#wakeUp();
  }

  async #run(body: BodySource, framing: RequestFraming): Promise<void> {
    try {
      if (framing.kind === 'chunked') await this.#sendChunked(body);
      else await this.#sendWithLength(body, framing.kind === 'length' ? framing.length : 0);
      if (this.#isStopped) return;
      this.#isFinished = true;
      this.#events.finished();
    } catch (error) {
      this.#events.failed(asBodyError(error));
    }
  }

  async #sendChunked(body: BodySource): Promise<void> {
    for await (const piece of this.#pieces(body)) {
      this.#link.cork();
      this.#link.writeText(`${piece.length.toString(16)}\r\n`);
      this.#link.writeBytes(piece);
      const isTaken = this.#link.writeText('\r\n');
      this.#link.uncork();
      await this.#afterWrite(isTaken, piece.length);
    }
    if (!this.#isStopped) this.#link.writeText(LAST_CHUNK);
  }

  async #sendWithLength(body: BodySource, length: number): Promise<void> {
    for await (const piece of this.#pieces(body)) {
      if (this.#sentBytes + piece.length > length) {
        throw new ProtocolError(`The body is longer than its announced ${length} bytes: it was not sent to its end`);
      }
      await this.#afterWrite(this.#link.writeBytes(piece), piece.length);
    }
    if (this.#sentBytes < length && !this.#isStopped) {
      throw new ProtocolError(`The body ended after ${this.#sentBytes} bytes, and ${length} were announced`);
    }
  }

  /** The source's bytes, until the sending is stopped; leaving the loop closes the source. */
  async *#pieces(body: BodySource): AsyncGenerator<Uint8Array, void, undefined> {
    if (body.kind === 'none') return;
    if (body.kind === 'bytes') {
      for (let start = 0; start < body.bytes.length && !this.#isStopped; start += PIECE_BYTES) {
        yield body.bytes.subarray(start, start + PIECE_BYTES);
      }
      return;
    }
    // Not `for await`: the sending may have to end while the source is being waited for.
    const source = body.open()[Symbol.asyncIterator]();
    this.#source = source;
    try {
      for (;;) {
        this.#events.pausedBySource();
        const step = await source.next();
        if (step.done === true || this.#isStopped) return;
        // An empty chunk would be the last one.
        if (step.value.length > 0) yield step.value;
        if (this.#isStopped) return;
      }
    } finally {
      this.#closeSource();
    }
  }

  #closeSource(): void {
    const source = this.#source;
    this.#source = null;
    // What a source says while it is closed early has no one to go to: the exchange is decided.
    source?.return?.().catch(() => {});
  }

  async #afterWrite(isTaken: boolean, length: number): Promise<void> {
    this.#sentBytes += length;
    this.#events.sent(this.#sentBytes);
    this.#events.progress();
    if (isTaken || this.#isStopped) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#events.progress();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

/** What the caller's own source raises, as an error of ours; a mistake in its use stays a TypeError. */
export function asBodyError(error: unknown): Error {
  if (error instanceof HTTPError || error instanceof TypeError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HTTPError(`The request body failed: ${message}`, { cause: error });
}
