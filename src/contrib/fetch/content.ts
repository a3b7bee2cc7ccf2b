/**
 * The content of a response that `fetch` brings: its stream, with the limits that a caller has set.
 *
 * A `fetch` takes content codings off itself, so that the bytes counted here are decoded ones; where there is no coding they are
 * what Content-Length counts, and content that is shorter is noticed even where a `fetch` does not.
 */
import type { ReadableStream, ReadableStreamDefaultReader } from 'node:stream/web';
import { type ContentReader, copyNext } from '../../engine/content-reader.js';
import type { TransferProgress } from '../../engine/session.js';
import { DecodeError, ProtocolError } from '../../exceptions.js';
import { describe } from '../../excerpt.js';
import { type Asked, contentError, incomplete } from './errors.js';
import type { Waits } from './waits.js';

export interface FetchContentOptions {
  readonly asked: Asked;
  readonly waits: Waits;
  /** Seconds that the next piece may take; null for ever. */
  readonly readSeconds: number | null;
  /** Bytes that are announced; null where that is not known, or is about something else. */
  readonly length: number | null;
  /** Bytes that may come; null for no limit. */
  readonly maxBytes: number | null;
  readonly onProgress: ((progress: TransferProgress) => void) | null;
  /** Called once, when the content has come (null), broken off, or was given up (null). */
  readonly over: (error: unknown) => void;
}

const EMPTY = Buffer.alloc(0);

export class FetchContent implements ContentReader {
  readonly #reader: ReadableStreamDefaultReader<unknown>;
  readonly #options: FetchContentOptions;
  #rest: Buffer = EMPTY;
  #received = 0;
  #isEnded = false;

  constructor(stream: ReadableStream<unknown>, options: FetchContentOptions) {
    this.#reader = stream.getReader();
    this.#options = options;
  }

  get isExhausted(): boolean {
    return this.#isEnded && this.#rest.length === 0;
  }

  async read(most: number): Promise<Buffer | null> {
    while (this.#rest.length === 0) {
      if (this.#isEnded) return null;
      await this.#pull();
    }
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  readInto(target: Uint8Array): Promise<number> {
    return copyNext(this, target);
  }

  abandon(): void {
    this.#rest = EMPTY;
    this.#end(null);
  }

  /** Looks at the first bytes without taking them; empty if there are none. */
  async peek(): Promise<Buffer> {
    while (this.#rest.length === 0 && !this.#isEnded) await this.#pull();
    return this.#rest;
  }

  async #pull(): Promise<void> {
    const { waits, readSeconds, length, asked } = this.#options;
    try {
      const step = await waits.until(this.#reader.read(), readSeconds);
      if (this.#isEnded) return;
      if (step.done) {
        if (length !== null && this.#received < length) throw incomplete(this.#received, length - this.#received);
        this.#end(null);
      } else this.#take(step.value);
    } catch (error) {
      // Given up meanwhile: nobody wants to know.
      if (this.#isEnded) return;
      const known = waits.verdict !== null || isOurs(error);
      const expected = length === null ? null : length - this.#received;
      const failure = known ? error : contentError(error, asked, this.#received, expected);
      this.#end(failure);
      throw failure;
    }
  }

  #take(chunk: unknown): void {
    if (!ArrayBuffer.isView(chunk))
      throw new ProtocolError(`Connection broken: fetch gave ${describe(chunk)} as content`);
    this.#rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#received += this.#rest.length;
    const { waits, maxBytes, length, onProgress } = this.#options;
    if (maxBytes !== null && this.#received > maxBytes) throw tooLong(maxBytes);
    if (onProgress === null) return;
    try {
      onProgress({ transferred: this.#received, total: length });
    } catch (error) {
      // The caller's own: raised as it is.
      waits.end(error);
      throw error;
    }
  }

  #end(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    // What a stream says to being given up, or what it had failed of already, has no one to go to.
    this.#reader.cancel(error).catch(() => {});
    this.#options.over(error);
  }
}

export function tooLong(maxBytes: number): DecodeError {
  return new DecodeError(`The content is longer than maxDecodedSize, ${maxBytes} bytes`);
}

function isOurs(error: unknown): boolean {
  return error instanceof ProtocolError || error instanceof DecodeError;
}
