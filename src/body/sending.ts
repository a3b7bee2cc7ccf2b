/**
 * One sending of a body: the async iterator that the engine reads chunks from, whatever they come from.
 *
 * The rules that hold for every kind of body stand here once. Chunks are bytes or text (a surrogate pair may be cut by two
 * chunks of text); empty ones are dropped, since an empty chunk ends a chunked message (RFC 9112 section 7.1); a source
 * never gives more or fewer bytes than the length that was announced for it. It is a class, not an async generator: a
 * generator that waits for its source would let `return()` queue up behind that wait, and one that never ran would not clean up.
 * How each kind gives its chunks: pullers.ts.
 */
import { HTTPError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { bytesOf } from './bytes.js';

/** Where chunks come from: the smallest thing that can be asked and let go. */
export interface Puller {
  /** The next chunk, as the source gives it: not yet checked. */
  pull(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>;
  /** Lets the source go before its end; may be called while a `pull()` waits. */
  close(): unknown;
}

const REPLACEMENT_CHARACTER = Uint8Array.of(0xef, 0xbf, 0xbd);
const END: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

export class Sending implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #puller: Puller;
  readonly #length: number | null;
  #state: 'idle' | 'pulling' | 'over' = 'idle';
  #sent = 0;
  /** The source has ended; a cut pair may still have to be sent. */
  #ended = false;
  /** A high surrogate that ended the last chunk of text: its other half may begin the next. */
  #half = '';

  /** @param length - bytes that were announced, or null */
  constructor(puller: Puller, length: number | null) {
    this.#puller = puller;
    this.#length = length;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#state === 'over') return END;
    this.#state = 'pulling';
    try {
      const bytes = await this.#nextBytes();
      if (this.#isOver()) return END;
      this.#state = bytes === undefined ? 'over' : 'idle';
      return bytes === undefined ? END : { done: false, value: bytes };
    } catch (error) {
      if (this.#isOver()) return END;
      this.#state = 'over';
      await letGo(this.#puller);
      throw error;
    }
  }

  /** Ends the sending early. Never rejects: whoever leaves early has a reason that matters more than a failing clean-up. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    const was = this.#state;
    if (was === 'over') return END;
    this.#state = 'over';
    const closing = letGo(this.#puller);
    // A source in the middle of a wait may answer only when that wait ends, or never: nobody is kept waiting for it.
    if (was === 'idle') await closing;
    return END;
  }

  async #nextBytes(): Promise<Uint8Array | undefined> {
    for (;;) {
      const step = this.#ended ? END : await this.#puller.pull();
      if (this.#isOver()) return undefined;
      this.#ended = step.done === true;
      const bytes = this.#ended ? this.#rest() : this.#bytes(step.value);
      this.#count(bytes);
      if (bytes.length > 0) return bytes;
      if (!this.#ended) continue;
      if (this.#length !== null && this.#sent < this.#length) throw this.#wrongLength(String(this.#sent));
      return undefined;
    }
  }

  #bytes(chunk: unknown): Uint8Array {
    if (typeof chunk === 'string') return this.#text(chunk);
    const bytes = bytesOf(chunk);
    if (bytes === undefined) {
      throw new TypeError(`Cannot send ${describe(chunk)} as a chunk of a body: it must be bytes or a string`);
    }
    return this.#half === '' || bytes.length === 0 ? bytes : Buffer.concat([this.#rest(), bytes]);
  }

  #text(chunk: string): Uint8Array {
    const text = this.#half + chunk;
    const last = text.charCodeAt(text.length - 1);
    const cut = last >= 0xd800 && last <= 0xdbff;
    this.#half = cut ? text.slice(-1) : '';
    return Buffer.from(cut ? text.slice(0, -1) : text);
  }

  /** What a cut pair leaves when no text follows. */
  #rest(): Uint8Array {
    if (this.#half === '') return new Uint8Array(0);
    this.#half = '';
    return REPLACEMENT_CHARACTER;
  }

  #count(bytes: Uint8Array): void {
    this.#sent += bytes.length;
    if (this.#length !== null && this.#sent > this.#length) throw this.#wrongLength('more');
  }

  #wrongLength(given: string): HTTPError {
    return new HTTPError(
      `Cannot send the body: its length was announced as ${this.#length} bytes and it gave ${given}`,
    );
  }

  /** A method, because the state may have changed during an await, which narrowing does not see. */
  #isOver(): boolean {
    return this.#state === 'over';
  }
}

async function letGo(puller: Puller): Promise<void> {
  try {
    await puller.close();
  } catch {
    // See return().
  }
}
