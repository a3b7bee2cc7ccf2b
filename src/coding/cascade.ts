/**
 * One body's decoders, the first on the wire and each further one on the output of the one before, and the limits on what comes out.
 *
 * It is pulled: `step` does a bounded piece of work and says what came of it, so a decoder never works ahead of whoever reads. Bytes
 * given that are not needed yet stay as they are. The limits hold for every layer: in a chain, the output of an inner one may be
 * huge though hardly anything leaves the last.
 */
import { DecodeError } from '../exceptions.js';
import { unbrotli } from './brotli.js';
import type { Coding, DecodingLimits } from './codings.js';
import { inflate } from './deflate.js';
import { gunzip } from './gzip.js';
import { type Decoding, Inbox, PIECE_BYTES } from './inbox.js';
import { unzstd } from './zstd.js';

/**
 * What came of one step: a piece of at most 64 KiB, owned by whoever gets it; `'again'`, work was done and nothing came out yet;
 * `'need-bytes'`; or `'end'`, all has been given and decoded.
 */
export type Step = Buffer | 'again' | 'need-bytes' | 'end';

/** A decoder that is to read from the inbox it is given. */
export type NewDecoding = (inbox: Inbox) => Decoding;

export const UNLIMITED: DecodingLimits = Object.freeze({ maxDecodedSize: null, maxRatio: null });

/** Below it, a ratio says nothing: a small text of one letter has a high one, and does no harm. */
export const RATIO_FLOOR_BYTES = 1024 * 1024;

const DECODINGS: { readonly [C in Coding]: NewDecoding } = {
  gzip: (inbox) => gunzip(inbox),
  deflate: inflate,
  br: unbrotli,
  zstd: (inbox) => unzstd(inbox),
};

/** The decoders for `codings`, in their order. */
export function decodingsOf(codings: readonly Coding[]): NewDecoding[] {
  return codings.map((coding) => DECODINGS[coding]);
}

interface Stage {
  readonly inbox: Inbox;
  readonly decoding: Decoding;
  decoded: number;
}

export class Cascade {
  readonly #stages: Stage[] = [];
  readonly #limits: DecodingLimits;
  readonly #wire: Buffer[] = [];
  #wireBytes = 0;
  #hasEnded = false;
  #failure: unknown;

  /** @param decodings - the one on the wire first; with none, what is given comes out */
  constructor(decodings: readonly NewDecoding[], limits: DecodingLimits = UNLIMITED) {
    this.#limits = limits;
    for (const newDecoding of decodings) {
      const inbox = new Inbox();
      this.#stages.push({ inbox, decoding: newDecoding(inbox), decoded: 0 });
    }
  }

  /** Adds bytes from the wire. Borrowed: they must stay as they are until `step` says that it needs bytes. */
  give(bytes: Uint8Array): void {
    const owner = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < owner.length; at += PIECE_BYTES) this.#wire.push(owner.subarray(at, at + PIECE_BYTES));
  }

  /** Says that no more bytes will come. */
  end(): void {
    this.#hasEnded = true;
  }

  /**
   * Decodes a little further.
   *
   * @param room - bytes that the piece may have, from 1 to 64 KiB
   * @throws {@link DecodeError} for bytes that are not sound, that end too early, or pass a limit; and from then on
   */
  step(room = PIECE_BYTES): Step {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#step(this.#stages.length - 1, room);
    } catch (error) {
      this.#failure = error;
      this.close();
      throw error;
    }
  }

  /** Gives back what the decoders hold. Nothing more can be decoded. Doing it twice is fine. */
  close(): void {
    this.#wire.length = 0;
    for (const stage of this.#stages) stage.decoding.return();
  }

  #step(index: number, room: number): Step {
    const stage = this.#stages[index];
    if (stage === undefined) return this.#stepOnWire(room);
    stage.inbox.room = room;
    const { done, value: piece } = stage.decoding.next();
    if (done === true) return 'end';
    if (piece instanceof Buffer) {
      stage.decoded += piece.length;
      this.#judge(stage.decoded);
      return piece;
    }
    const input = this.#step(index - 1, PIECE_BYTES);
    if (input === 'again' || input === 'need-bytes') return input;
    if (input === 'end') stage.inbox.ended = true;
    else stage.inbox.give(input);
    return 'again';
  }

  #stepOnWire(room: number): Step {
    const piece = this.#wire.shift();
    if (piece === undefined) return this.#hasEnded ? 'end' : 'need-bytes';
    this.#wireBytes += piece.length;
    if (this.#stages.length > 0) return piece;
    if (piece.length > room) this.#wire.unshift(piece.subarray(room));
    return Buffer.from(piece.subarray(0, room));
  }

  #judge(decoded: number): void {
    const { maxDecodedSize, maxRatio } = this.#limits;
    if (maxDecodedSize !== null && decoded > maxDecodedSize) {
      throw new DecodeError(`Cannot decode content to more than ${maxDecodedSize} bytes, its maxDecodedSize`);
    }
    if (maxRatio === null || decoded <= RATIO_FLOOR_BYTES) return;
    const used = this.#wireBytes - (this.#stages[0]?.inbox.left ?? 0);
    if (decoded > used * maxRatio) {
      throw new DecodeError(`Cannot decode content to more than ${maxRatio} times its ${used} bytes, its maxRatio`);
    }
  }
}
