/**
 * Content that a response can read, wherever it comes from: a connection (content-queue.ts), memory, or a stream of the
 * caller's. Bytes are as framed: content codings are still on.
 */
import type { Readable } from 'node:stream';
import { ProtocolError } from '../exceptions.js';

export interface ContentReader {
  /** Nothing is left to read, and nothing will come. */
  readonly isExhausted: boolean;
  /** The next piece, of at most `most` bytes, owned by the reader; null at the end. */
  read(most: number): Promise<Buffer | null>;
  /** Fills the start of `target` with bytes that are there or come next; 0 at the end. */
  readInto(target: Uint8Array): Promise<number>;
  /** Nothing more is wanted. */
  abandon(): void;
}

/** {@link ContentReader.readInto} of content whose pieces are in memory by the time they are read. */
export async function copyNext(content: ContentReader, target: Uint8Array): Promise<number> {
  const piece = await content.read(target.length);
  if (piece === null) return 0;
  target.set(piece);
  return piece.length;
}

/** Bytes in memory. */
export class MemoryContent implements ContentReader {
  #rest: Buffer;

  constructor(bytes: Buffer) {
    this.#rest = bytes;
  }

  get isExhausted(): boolean {
    return this.#rest.length === 0;
  }

  async read(most: number): Promise<Buffer | null> {
    if (this.#rest.length === 0) return null;
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  readInto(target: Uint8Array): Promise<number> {
    return copyNext(this, target);
  }

  abandon(): void {
    this.#rest = this.#rest.subarray(this.#rest.length);
  }
}

/** A stream or iterable of bytes that somebody else made. */
export class StreamContent implements ContentReader {
  readonly #iterator: AsyncIterator<Uint8Array | string>;
  #rest: MemoryContent = new MemoryContent(Buffer.alloc(0));
  #isEnded = false;

  constructor(stream: AsyncIterable<Uint8Array | string> | Readable) {
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  get isExhausted(): boolean {
    return this.#isEnded && this.#rest.isExhausted;
  }

  async read(most: number): Promise<Buffer | null> {
    while (this.#rest.isExhausted) {
      if (this.#isEnded) return null;
      const step = await this.#next();
      if (step.done === true) {
        this.#isEnded = true;
        return null;
      }
      this.#rest = new MemoryContent(Buffer.from(step.value));
    }
    return this.#rest.read(most);
  }

  readInto(target: Uint8Array): Promise<number> {
    return copyNext(this, target);
  }

  abandon(): void {
    this.#isEnded = true;
    this.#rest.abandon();
    // The stream is given up: what it says to that has no one to go to.
    this.#iterator.return?.().catch(() => {});
  }

  async #next(): Promise<IteratorResult<Uint8Array | string>> {
    try {
      return await this.#iterator.next();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new ProtocolError(`Connection broken: ${message}`, { cause });
    }
  }
}
