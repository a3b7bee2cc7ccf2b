/**
 * The reference's decoders: bytes in, what they decode to out, at once and as far as it goes.
 *
 * They are what a response uses inside, for whoever has bytes of another origin. Responses themselves go through decode.ts, which
 * bounds what comes out; here the caller does, with `maxLength`.
 */
import { describe, excerpt } from '../excerpt.js';
import { Cascade, decodingsOf, type NewDecoding } from './cascade.js';
import { type Coding, contentCodings } from './codings.js';
import { GzipDecoderState, type GzipProgress, gunzip } from './gzip.js';
import { PIECE_BYTES } from './inbox.js';

export { GzipDecoderState };

/** What {@link ContentDecoder.decompress} may be told. */
export interface DecompressOptions {
  /**
   * The most bytes to return; what is left comes with the next call, which may bring no new data.
   *
   * @defaultValue no limit: all that `data` decodes to
   */
  readonly maxLength?: number;
}

/** Undoes a content coding, in parts. The base of the decoders. */
export class ContentDecoder {
  readonly #cascade: Cascade;
  #hasMore = false;
  #isFlushed = false;

  /** @internal */
  protected constructor(decodings: readonly NewDecoding[]) {
    this.#cascade = new Cascade(decodings);
  }

  /** Whether there may be more to come of the data given so far, because `maxLength` held it back. */
  get hasUnconsumedTail(): boolean {
    return this.#hasMore;
  }

  /**
   * What `data` decodes to, as far as can be told without the data after it.
   *
   * @throws {@link DecodeError} for data that is not sound; and for whatever is done after
   * @throws TypeError for anything but bytes, or after `flush`
   */
  decompress(data: Uint8Array, options: DecompressOptions = {}): Buffer {
    const { maxLength = Number.POSITIVE_INFINITY } = options;
    if (!(data instanceof Uint8Array))
      throw new TypeError(`Cannot decompress ${describe(data)}: it must be a Uint8Array`);
    if (typeof maxLength !== 'number' || !(maxLength >= 1)) {
      throw new RangeError(`Cannot use maxLength ${describe(maxLength)}: it must be a number of bytes >= 1`);
    }
    if (this.#isFlushed) throw new TypeError('Cannot decompress after flush(): a decoder is for one body');
    // What is held back outlives this call, and `data` is the caller's.
    this.#cascade.give(options.maxLength === undefined ? data : Buffer.from(data));
    return this.#drained(maxLength);
  }

  /**
   * Says that all data has been given, and returns what was held back.
   *
   * @throws {@link DecodeError} if the content is not complete
   */
  flush(): Buffer {
    this.#isFlushed = true;
    this.#cascade.end();
    return this.#drained(Number.POSITIVE_INFINITY);
  }

  #drained(maxLength: number): Buffer {
    const pieces: Buffer[] = [];
    for (let left = Math.floor(maxLength); left > 0; ) {
      const step = this.#cascade.step(Math.min(left, PIECE_BYTES));
      if (step instanceof Buffer) {
        pieces.push(step);
        left -= step.length;
      } else if (step !== 'again') {
        this.#hasMore = false;
        return Buffer.concat(pieces);
      }
    }
    this.#hasMore = true;
    return Buffer.concat(pieces);
  }
}

/**
 * Decodes gzip: any number of members, and whatever follows them that is none is ignored.
 *
 * @example
 * ```ts
 * const decoder = new GzipDecoder();
 * const text = Buffer.concat([decoder.decompress(part1), decoder.decompress(part2), decoder.flush()]);
 * ```
 */
export class GzipDecoder extends ContentDecoder {
  readonly #progress: GzipProgress;

  constructor() {
    const progress: GzipProgress = { state: GzipDecoderState.FIRST_MEMBER };
    super([(inbox) => gunzip(inbox, progress)]);
    this.#progress = progress;
  }

  /** Where in the body it is: one of {@link GzipDecoderState}. */
  get state(): 0 | 1 | 2 {
    return this.#progress.state;
  }
}

/** Decodes deflate, in zlib's wrapping or without it. */
export class DeflateDecoder extends ContentDecoder {
  constructor() {
    super(decodingsOf(['deflate']));
  }
}

/** Decodes br (brotli). */
export class BrotliDecoder extends ContentDecoder {
  constructor() {
    super(decodingsOf(['br']));
  }
}

/** Decodes zstd (Zstandard). Before Node 22.15 it needs the package fzstd, and its absence is a {@link DecodeError} on first use. */
export class ZstdDecoder extends ContentDecoder {
  constructor() {
    super(decodingsOf(['zstd']));
  }
}

/** Decodes a chain of codings: `new MultiDecoder('deflate, gzip')` undoes gzip first, as it was applied last. */
export class MultiDecoder extends ContentDecoder {
  /**
   * @param modes - the codings in the order in which they were applied: a Content-Encoding value
   * @throws {@link DecodeError} for more than five of them
   * @throws TypeError for one that is unknown
   */
  constructor(modes: string) {
    super(decodingsOf(codingsIn(modes)));
  }
}

function codingsIn(modes: string): readonly Coding[] {
  if (typeof modes !== 'string') throw new TypeError(`Cannot decode ${describe(modes)}: modes must be a string`);
  const codings = contentCodings(modes);
  if (codings !== null) return codings;
  throw new TypeError(`Cannot decode ${excerpt(modes)}: it must list "gzip", "deflate", "br" or "zstd"`);
}
