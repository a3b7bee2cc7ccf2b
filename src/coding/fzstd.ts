/**
 * zstd frames where Node has no zstd (before 22.15 and 23.8): the optional package fzstd, in plain JavaScript.
 *
 * It is looked for when the first such body arrives, not before: importing this loads nothing. The package decodes blocks; what it
 * leaves out is done here: a decoder per frame, the frame's checksum and size, output in pieces. zstd.ts gives it one part of a
 * frame at a time, which bounds what it can decode ahead to one block of 128 KiB. It moves its whole window for each block, so tiny
 * blocks in a large window are slow (40 µs each in 2 MiB): decode.ts pauses after so many of them, whatever comes out.
 */
import { createRequire } from 'node:module';
import { DecodeError } from '../exceptions.js';
import { copyOf, type Engine } from './engine.js';
import { corrupt } from './inbox.js';
import { XXHash64 } from './xxhash64.js';

/** What a decoder of zstd frames has to offer. */
export interface FrameEngine extends Engine {
  /** All of a frame has been written. More may come out: `write` once more, with nothing. */
  endFrame?(checks: FrameChecks): void;
}

/** What a frame says of its content. */
export interface FrameChecks {
  /** The low four bytes of its XXH64; null where the frame has none. */
  readonly checksum: number | null;
  /** Its length in bytes; null where the frame does not say. */
  readonly contentSize: bigint | null;
}

interface Fzstd {
  readonly Decompress: new (ondata: (block: Uint8Array) => void) => { push(part: Uint8Array, isFinal: boolean): void };
}

type Frame = InstanceType<Fzstd['Decompress']>;

const NOTHING: Buffer = Buffer.alloc(0);

/** The engine over fzstd. */
export class FzstdEngine implements FrameEngine {
  readonly #fzstd: Fzstd;
  #frame: Frame;
  #hash = new XXHash64();
  #decoded = 0;
  /** Decoded and not yet asked for: one block at most, of the last `write`. */
  #blocks: Buffer[] = [];
  #output = NOTHING;
  consumed = 0;

  /** @param require - finds the package */
  constructor(require: (name: string) => unknown = createRequire(import.meta.url)) {
    this.#fzstd = load(require);
    this.#frame = this.#newFrame();
  }

  write(bytes: Buffer, from: number, room: number): number {
    this.consumed = bytes.length - from;
    // A copy: fzstd keeps what it cannot use yet, and these bytes are only borrowed.
    if (this.consumed > 0) this.#push(copyOf(bytes.subarray(from), this.consumed), false);
    const [block = NOTHING, ...rest] = this.#blocks;
    this.#output = block.subarray(0, room);
    this.#blocks = block.length > room ? [block.subarray(room), ...rest] : rest;
    return this.#output.length;
  }

  take(produced: number): Buffer {
    return copyOf(this.#output, produced);
  }

  endFrame({ checksum, contentSize }: FrameChecks): void {
    this.#push(NOTHING, true);
    if (contentSize !== null && contentSize !== BigInt(this.#decoded)) throw corrupt('zstd', 'its length is wrong');
    if (checksum !== null && checksum !== this.#hash.low32()) throw corrupt('zstd', 'its checksum is wrong');
    this.reset();
  }

  reset(): void {
    this.#frame = this.#newFrame();
    this.#hash = new XXHash64();
    this.#decoded = 0;
  }

  release(): void {
    this.#blocks = [];
  }

  #newFrame(): Frame {
    return new this.#fzstd.Decompress((block) => {
      this.#hash.update(block);
      this.#decoded += block.length;
      if (block.length > 0) this.#blocks.push(Buffer.from(block.buffer, block.byteOffset, block.length));
    });
  }

  #push(part: Buffer, isFinal: boolean): void {
    try {
      this.#frame.push(part, isFinal);
    } catch (error) {
      throw corrupt('zstd', error instanceof Error ? error.message : String(error), error);
    }
  }
}

function load(require: (name: string) => unknown): Fzstd {
  try {
    const found = require('fzstd');
    if (isFzstd(found)) return found;
  } catch (cause) {
    throw missing(cause);
  }
  throw missing();
}

function missing(cause?: unknown): DecodeError {
  return new DecodeError(
    `Cannot decode content as "zstd" on Node ${process.version}: install the package "fzstd" (or use Node 22.15 or newer)`,
    { cause },
  );
}

function isFzstd(found: unknown): found is Fzstd {
  return typeof found === 'object' && found !== null && 'Decompress' in found && typeof found.Decompress === 'function';
}
