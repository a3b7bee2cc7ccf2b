/**
 * The content of a preloaded response, gathered into one Buffer as it comes: it never becomes a stream.
 *
 * With a length that is announced and modest, one exact Buffer. A large announcement is believed in steps only, as bytes
 * really come: a peer must not make us allocate what it merely talks of.
 */

/** An announced length up to this is allocated at once. */
const BELIEVED_BYTES = 1_048_576;

/** Beyond, so many times as much as has come is allocated, at least this much. */
const GROWTH = 4;
const FIRST_STEP_BYTES = 262_144;

const EMPTY = Buffer.alloc(0);

/** Without an announced length, what comes after the first piece is gathered in slabs, so that tiny chunks stay cheap. */
const SLAB_BYTES = 65_536;

export class ContentCollector {
  readonly #length: number | null;
  readonly #fullSlabs: Buffer[] = [];
  #buffer: Buffer = EMPTY;
  #filled = 0;

  /** @param length - the announced length in bytes, null if there is none */
  constructor(length: number | null) {
    this.#length = length;
  }

  /** Copies the bytes from `start` to before `end`. */
  take(bytes: Buffer, start: number, end: number): void {
    const needed = this.#filled + (end - start);
    if (needed > this.#buffer.length) {
      if (this.#length === null) return this.#takeIntoSlabs(bytes, start, end);
      this.#grow(this.#length, needed);
    }
    bytes.copy(this.#buffer, this.#filled, start, end);
    this.#filled = needed;
  }

  /** Everything that came. */
  finish(): Buffer {
    const last = this.#filled === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#filled);
    return this.#fullSlabs.length === 0 ? last : Buffer.concat([...this.#fullSlabs, last]);
  }

  #grow(length: number, needed: number): void {
    const size = length <= BELIEVED_BYTES ? length : Math.min(length, Math.max(FIRST_STEP_BYTES, needed * GROWTH));
    const larger = Buffer.allocUnsafe(size);
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
  }

  #takeIntoSlabs(bytes: Buffer, start: number, end: number): void {
    const fits = this.#buffer.length - this.#filled;
    bytes.copy(this.#buffer, this.#filled, start, start + fits);
    const isFirst = this.#buffer.length === 0;
    if (!isFirst) this.#fullSlabs.push(this.#buffer);
    const rest = end - start - fits;
    this.#buffer = Buffer.allocUnsafe(isFirst ? rest : Math.max(SLAB_BYTES, rest));
    bytes.copy(this.#buffer, 0, start + fits, end);
    this.#filled = rest;
  }
}

/** An owned copy of borrowed bytes. */
export function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
