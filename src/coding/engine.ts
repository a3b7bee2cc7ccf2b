/**
 * Decompression in steps: so many bytes in, at most so many out, now.
 *
 * Decoding that is bounded, incremental and synchronous needs the three together, and the public interface of `node:zlib` has
 * only two at a time: the streams are asynchronous (62 µs of CPU for a JSON text of 10 KB, against 16 here), the `...Sync`
 * functions want the whole input and tell neither what came out before an error nor where in the input a stream ended.
 * So this drives the handle inside a zlib stream, as the stream's own synchronous path does: `_handle.writeSync` and the
 * counters in `_writeState`. They are not documented; they have been the same since Node 9 and packages that half of
 * npm rests on call them (pngjs; minizlib, and so tar and npm itself, their caller `_processChunk`). Both are looked for,
 * never assumed: without them nothing is called and the error says which Node it was. Errors are read from the stream's public
 * `errored`. A handle that has been closed must not be written to (Node aborts the process), so it is asked for
 * anew for each write: a stream that failed has none.
 *
 * Streams are kept for the next body, since making one costs more than decoding 10 KB with it (41 µs against 13).
 */
import zlib from 'node:zlib';
import { DecodeError } from '../exceptions.js';
import { corrupt, type Inbox, more, PIECE_BYTES } from './inbox.js';

/** Decompresses one stream of bytes, in steps. */
export interface Engine {
  /** How many bytes of input the last `write` has used: all of them, unless room ran out or the stream ended. */
  readonly consumed: number;
  /**
   * Decodes `bytes` from index `from` on into at most `room` bytes (at most 64 KiB), and tells how many came: `take` them.
   *
   * @throws {@link DecodeError} where the bytes are not sound
   */
  write(bytes: Buffer, from: number, room: number): number;
  /** A copy of what the last `write` gave. */
  take(produced: number): Buffer;
  /** Makes ready for another stream. */
  reset(): void;
  /** Gives back what the engine holds. The engine is not to be used again. */
  release(): void;
}

/** What one zlib stream decodes: deflate in zlib's wrapping, deflate alone, brotli, zstd. */
export type Algorithm = 'zlib' | 'raw' | 'br' | 'zstd';

interface ZlibStream {
  readonly errored: Error | null;
  on(event: 'error', listener: () => void): unknown;
  close(): void;
  reset(): void;
}

interface ZlibHandle {
  writeSync(
    flush: number,
    input: Buffer,
    inputAt: number,
    inputLength: number,
    output: Buffer,
    outputAt: number,
    outputLength: number,
  ): void;
}

/** Streams without work. An idle zlib window has 32 KiB; the others give their memory back when they are reset. */
const IDLE: { readonly [A in Algorithm]: ZlibStream[] } = { zlib: [], raw: [], br: [], zstd: [] };
const MAX_IDLE = 4;

/** One for the process: it is filled and copied from without anything in between. */
const SCRATCH = Buffer.allocUnsafeSlow(PIECE_BYTES);
const NOTHING = Buffer.alloc(0);

/** `Z_NO_FLUSH`, `BROTLI_OPERATION_PROCESS` and `ZSTD_e_continue` are one number. */
const PROCESS = 0;

/** The engine over Node's own zlib, brotli and zstd. */
export class ZlibEngine implements Engine {
  readonly #coding: string;
  readonly #algorithm: Algorithm;
  readonly #stream: ZlibStream;
  /** Where the handle leaves what is left of the room and of the input. */
  readonly #counters: Uint32Array;
  consumed = 0;

  /** @param coding - the name for errors */
  constructor(coding: string, algorithm: Algorithm) {
    this.#coding = coding;
    this.#algorithm = algorithm;
    this.#stream = IDLE[algorithm].pop() ?? newStream(coding, algorithm);
    this.#counters = countersOf(this.#stream) ?? unsupported(coding);
  }

  write(bytes: Buffer, from: number, room: number): number {
    return this.#write(PROCESS, bytes, from, room);
  }

  take(produced: number): Buffer {
    return copyOf(SCRATCH, produced);
  }

  reset(): void {
    this.#stream.reset();
  }

  /**
   * Checks that the stream has come to its end.
   *
   * @throws {@link DecodeError} if it has not
   */
  finish(): void {
    const { BROTLI_OPERATION_FINISH, Z_FINISH } = zlib.constants;
    this.#write(this.#algorithm === 'br' ? BROTLI_OPERATION_FINISH : Z_FINISH, NOTHING, 0, PIECE_BYTES);
  }

  release(): void {
    const idle = IDLE[this.#algorithm];
    if (this.#stream.errored !== null) return; // destroyed by its error
    if (idle.length >= MAX_IDLE) return this.#stream.close();
    this.#stream.reset();
    idle.push(this.#stream);
  }

  #write(flush: number, bytes: Buffer, from: number, room: number): number {
    const length = bytes.length - from;
    const handle = handleOf(this.#stream) ?? unsupported(this.#coding);
    handle.writeSync(flush, bytes, from, length, SCRATCH, 0, room);
    const error = this.#stream.errored;
    if (error !== null) throw corrupt(this.#coding, error.message, error);
    const [roomLeft = room, inputLeft = length] = this.#counters;
    this.consumed = length - inputLeft;
    return room - roomLeft;
  }
}

/** Decodes with `engine` until its stream ends; true then, and false if the input ended first. */
export function* run(
  inbox: Inbox,
  engine: Engine,
  seen?: (piece: Buffer) => void,
): Generator<Buffer | null, boolean, undefined> {
  let isFull = false;
  while (isFull || (yield* more(inbox))) {
    const room = inbox.room;
    const produced = engine.write(inbox.bytes, inbox.at, room);
    inbox.at += engine.consumed;
    isFull = produced === room;
    if (produced > 0) {
      const piece = engine.take(produced);
      seen?.(piece);
      yield piece;
    }
    // An engine that has room and input, and takes neither, is at the end of its stream.
    if (inbox.left > 0 && !isFull) return true;
  }
  return false;
}

/** The first `length` bytes of `buffer`, owned by whoever gets them. */
export function copyOf(buffer: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  buffer.copy(copy, 0, 0, length);
  return copy;
}

function newStream(coding: string, algorithm: Algorithm): ZlibStream {
  const stream: unknown = create(algorithm);
  if (!isZlibStream(stream) || handleOf(stream) === undefined) return unsupported(coding);
  stream.on('error', () => {}); // it is read from `errored`, and without a listener it would end the process
  return stream;
}

function create(algorithm: Algorithm): unknown {
  switch (algorithm) {
    case 'zlib':
      return zlib.createInflate();
    case 'raw':
      return zlib.createInflateRaw();
    case 'br':
      return zlib.createBrotliDecompress();
    case 'zstd':
      return createZstd();
  }
}

/** Not in the types of Node 20, nor in Node 20. */
function createZstd(): unknown {
  const factory: unknown = Reflect.get(zlib, 'createZstdDecompress');
  return typeof factory === 'function' ? factory() : undefined;
}

function isZlibStream(stream: unknown): stream is ZlibStream {
  return typeof stream === 'object' && stream !== null && 'errored' in stream && 'reset' in stream;
}

function handleOf(stream: ZlibStream): ZlibHandle | undefined {
  const handle: unknown = Reflect.get(stream, '_handle');
  return isHandle(handle) ? handle : undefined;
}

function isHandle(handle: unknown): handle is ZlibHandle {
  return typeof handle === 'object' && handle !== null && 'writeSync' in handle;
}

function countersOf(stream: ZlibStream): Uint32Array | undefined {
  const counters: unknown = Reflect.get(stream, '_writeState');
  return counters instanceof Uint32Array ? counters : undefined;
}

function unsupported(coding: string): never {
  throw new DecodeError(
    `Cannot decode content as "${coding}" on Node ${process.version}: its zlib has no synchronous handle`,
  );
}
