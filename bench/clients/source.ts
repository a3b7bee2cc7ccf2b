/**
 * Bodies to upload, generated as they are asked for: the same 64 KiB again and again, so that neither a disk nor the
 * making of the bytes is part of what is measured.
 */
import { Readable } from 'node:stream';

const CHUNK = Buffer.alloc(64 * 1024, 'urllib3 ');

/** A Node stream of `sizeBytes` bytes. */
export function nodeStream(sizeBytes: number): Readable {
  let left = sizeBytes;
  return new Readable({
    highWaterMark: CHUNK.length,
    read() {
      if (left === 0) {
        this.push(null);
        return;
      }
      const chunk = nextChunk(left);
      left -= chunk.length;
      this.push(chunk);
    },
  });
}

/** A web stream of `sizeBytes` bytes. */
export function webStream(sizeBytes: number): ReadableStream<Uint8Array> {
  let left = sizeBytes;
  return new ReadableStream({
    pull(controller) {
      const chunk = nextChunk(left);
      left -= chunk.length;
      controller.enqueue(chunk);
      if (left === 0) controller.close();
    },
  });
}

/** The next chunk of a body of which `left` bytes are still to come. */
export function nextChunk(left: number): Buffer {
  return left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
}
