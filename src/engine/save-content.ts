/**
 * Content into a file or a stream of the caller's, as fast as that takes it and no faster.
 *
 * Into a file the bytes go through two buffers in turn: one is filled while the other is written, so that each byte is
 * copied once and nothing is allocated for it, however long the content.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { WritableStream } from 'node:stream/web';

/** Fills the start of a buffer; 0 at the end of the content. */
export type Fill = (buffer: Uint8Array) => Promise<number>;

/** Large enough that a write costs little beside the bytes, small enough to forget. */
const FILE_BUFFER_BYTES = 524_288;

/** Writes to the file at `path`, made or emptied first; returns how many bytes. */
export async function saveToFile(path: string | URL, fill: Fill): Promise<number> {
  const file = await open(path, 'w');
  try {
    return await copyToFile(file, fill);
  } finally {
    await file.close();
  }
}

async function copyToFile(file: FileHandle, fill: Fill): Promise<number> {
  let filling = Buffer.allocUnsafeSlow(FILE_BUFFER_BYTES);
  let writing = Buffer.allocUnsafeSlow(FILE_BUFFER_BYTES);
  let written: Promise<unknown> = Promise.resolve();
  let total = 0;
  try {
    for (;;) {
      const { count, failure } = await fillUp(filling, fill);
      await written;
      if (count === 0 && failure === null) return total;
      [filling, writing] = [writing, filling];
      written = writeAll(file, writing.subarray(0, count), total);
      // Awaited at the next turn, or below.
      written.catch(() => {});
      total += count;
      if (failure !== null) throw failure.error;
    }
  } finally {
    await written;
  }
}

/** What came before content breaks off is worth keeping: a download can be taken up from there. */
async function fillUp(
  buffer: Buffer,
  fill: Fill,
): Promise<{ readonly count: number; readonly failure: { readonly error: unknown } | null }> {
  let filled = 0;
  try {
    while (filled < buffer.length) {
      const count = await fill(buffer.subarray(filled));
      if (count === 0) break;
      filled += count;
    }
  } catch (error) {
    return { count: filled, failure: { error } };
  }
  return { count: filled, failure: null };
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Writes to a stream of Node's and ends it, or destroys it if the content breaks off; returns how many bytes. */
export async function saveToWritable(target: Writable, pieces: AsyncIterable<Buffer>): Promise<number> {
  const closed = finished(target, { readable: false });
  // Heard of below, at whichever write or at the end.
  closed.catch(() => {});
  let total = 0;
  try {
    for await (const piece of pieces) {
      total += piece.length;
      if (!target.write(piece)) await Promise.race([drained(target), closed]);
      if (target.destroyed) break;
    }
  } catch (error) {
    // Neither left open nor ended, as if that were all; `finished` listens to what the stream says of it.
    target.destroy(error instanceof Error ? error : undefined);
    throw error;
  }
  target.end();
  await closed;
  return total;
}

/** Writes to a stream of the web's and closes it; returns how many bytes. */
export async function saveToWritableStream(target: WritableStream, pieces: AsyncIterable<Buffer>): Promise<number> {
  const writer = target.getWriter();
  let total = 0;
  try {
    for await (const piece of pieces) {
      await writer.ready;
      total += piece.length;
      await writer.write(piece);
    }
    await writer.close();
    return total;
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  } finally {
    writer.releaseLock();
  }
}

function drained(target: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      target.off('drain', done);
      target.off('close', done);
      resolve();
    };
    target.on('drain', done);
    target.on('close', done);
  });
}
