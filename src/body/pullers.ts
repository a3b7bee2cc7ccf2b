/**
 * How each kind of source gives its chunks, and how it is let go before its end.
 *
 * One small class or function per kind, and no rule that holds for all of them: those are in sending.ts, and which value is of
 * which kind is decided in content.ts. None holds more than one chunk. Buffers are made anew for each chunk, because
 * a socket may still hold the last one.
 */
import type { FileHandle } from 'node:fs/promises';
import type { ReadableStreamDefaultReader } from 'node:stream/web';
import type { Puller } from './sending.js';

/** Bytes read from a file or Blob at once. For a file of 300 MiB, 256 KiB took a quarter less time than 64 KiB; 1 MiB took more again. */
const FILE_CHUNK_BYTES = 256 * 1024;

/** What `read(n)` of a file-like object is asked for at once. */
const READ_BYTES = 64 * 1024;

const END: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

function chunk(value: unknown): IteratorYieldResult<unknown> {
  return { done: false, value };
}

/** A Blob of this or another implementation. */
export interface BlobLike {
  readonly size: number;
  readonly type: string;
  slice(start: number, end: number): BlobLike;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** Anything with Python's `read(n)`. */
export interface ReadableObject {
  /** Up to `amount` bytes; empty, null or undefined at the end. */
  read(amount: number): Readout | Promise<Readout>;
  /** Where the next read begins. With `seek`, makes the body replayable. */
  tell?(): number | Promise<number>;
  /** Makes the next read begin at `position`. */
  seek?(position: number): unknown;
}

type Readout = string | ArrayBuffer | ArrayBufferView | null | undefined;

/** Slices, because `blob.stream()` gives a Blob that is in memory as one chunk, whatever its size. */
export function blobPuller(blob: BlobLike, size: number): Puller {
  let position = 0;
  return {
    async pull() {
      if (position >= size) return END;
      const start = position;
      position = Math.min(start + FILE_CHUNK_BYTES, size);
      return chunk(await blob.slice(start, position).arrayBuffer());
    },
    close() {},
  };
}

/** @param start - null for a file without positions, such as a pipe
 *  @param end - null to read until there is no more */
export function filePuller(file: FileHandle, start: number | null, end: number | null): Puller {
  let position = start ?? 0;
  return {
    async pull() {
      const wanted = end === null ? FILE_CHUNK_BYTES : Math.min(FILE_CHUNK_BYTES, end - position);
      if (wanted <= 0) return END;
      const buffer = Buffer.allocUnsafeSlow(wanted);
      const { bytesRead } = await file.read(buffer, 0, wanted, start === null ? null : position);
      position += bytesRead;
      return bytesRead === 0 ? END : chunk(buffer.subarray(0, bytesRead));
    },
    close() {},
  };
}

/** @param prepare - puts the object at its start, once, before the first read */
export function readPuller(object: ReadableObject, prepare: () => Promise<void>): Puller {
  let prepared = false;
  return {
    async pull() {
      if (!prepared) await prepare();
      prepared = true;
      const readout = await object.read(READ_BYTES);
      return isEnd(readout) ? END : chunk(readout);
    },
    close() {},
  };
}

function isEnd(readout: Readout): boolean {
  if (readout === null || readout === undefined) return true;
  return typeof readout === 'string' ? readout === '' : readout.byteLength === 0;
}

/** @param close - what to do to the source besides `return()` */
export function iteratorPuller(
  iterator: Iterator<unknown> | AsyncIterator<unknown>,
  close: () => unknown = () => {},
): Puller {
  return {
    pull: () => iterator.next(),
    async close() {
      close();
      await iterator.return?.();
    },
  };
}

export function readerPuller(reader: ReadableStreamDefaultReader<unknown>): Puller {
  return {
    async pull() {
      const { done, value } = await reader.read();
      if (!done) return chunk(value);
      reader.releaseLock();
      return END;
    },
    close: () => reader.cancel(),
  };
}

/** One sending after another as one: bytes as they are, `open` when its turn comes. */
export function sequencePuller(pieces: readonly (Uint8Array | SequencePart)[]): Puller {
  let next = 0;
  let current: AsyncIterator<Uint8Array> | undefined;
  return {
    async pull() {
      for (;;) {
        if (current === undefined) {
          const piece = pieces[next++];
          if (piece === undefined) return END;
          if (piece instanceof Uint8Array) return chunk(piece);
          current = piece.open()[Symbol.asyncIterator]();
        }
        const step = await current.next();
        if (step.done !== true) return step;
        current = undefined;
      }
    },
    async close() {
      for (const piece of pieces.slice(next)) {
        if (!(piece instanceof Uint8Array)) piece.discard?.();
      }
      await current?.return?.();
    },
  };
}

interface SequencePart {
  open(): AsyncIterable<Uint8Array>;
  readonly discard?: () => void;
}

/** @param renew - begins a sending; its source may only be known later. `isWanted` says whether it still is. */
export function renewedPuller(
  renew: (isWanted: () => boolean) => Promise<AsyncIterator<Uint8Array> | undefined>,
): Puller {
  let current: AsyncIterator<Uint8Array> | undefined;
  let closed = false;
  return {
    async pull() {
      current ??= await renew(() => !closed);
      return current === undefined ? END : current.next();
    },
    async close() {
      closed = true;
      await current?.return?.();
    },
  };
}
