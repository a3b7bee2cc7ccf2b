/**
 * The content of a preloaded response, gathered into one Buffer as it comes: it never becomes a stream.
 *
 * With a length that is announced and modest, one exact Buffer. A large announcement is believed in steps only, as bytes
 * really come: a peer must not make us allocate what it merely talks of.
 */

/** An announced length up to this is allocated at once. */
const BELIEVED_BYTES = 1_048_576;

/** Beyond, so many times as much as has come is allocated. */
const GROWTH = 4;

const EMPTY = Buffer.alloc(0);

export class ContentCollector {
  readonly #length: number | null;
  #buffer: Buffer = EMPTY;
  #filled = 0;
  #pieces: Buffer[] | null = null;

  /** @param length - the announced length in bytes, null if there is none */
  constructor(length: number | null) {
    this.#length = length;
  }

  /** Copies the bytes from `start` to before `end`. */
  take(bytes: Buffer, start: number, end: number): void {
    if (this.#length === null) {
      this.#pieces ??= [];
      this.#pieces.push(copyOf(bytes, start, end));
      return;
    }
    const needed = this.#filled + (end - start);
    if (needed > this.#buffer.length) this.#grow(this.#length, needed);
    bytes.copy(this.#buffer, this.#filled, start, end);
    this.#filled = needed;
  }

  /** Everything that came. */
  finish(): Buffer {
    if (this.#pieces === null) return this.#buffer;
    const [first] = this.#pieces;
    return this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces);
  }

  #grow(length: number, needed: number): void {
    const size = Math.min(length, Math.max(BELIEVED_BYTES, needed * GROWTH));
    const larger = Buffer.allocUnsafe(size);
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
  }
}

/** An owned copy of borrowed bytes. */
export function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
