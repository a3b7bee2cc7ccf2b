import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fill, saveToFile, saveToWritable, saveToWritableStream } from '../../src/engine/save-content.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'save-content-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const broken = new Error('the content broke off');

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

/** Bytes that differ by their place. */
function content(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff));
}

/** Fills from `bytes`, in reads of the given sizes in turn. */
function filling(bytes: Buffer, sizes: readonly number[] = [65_536]): Fill {
  let at = 0;
  let turn = 0;
  return async (buffer) => {
    const count = Math.min(sizes[turn++ % sizes.length] ?? 1, buffer.length, bytes.length - at);
    bytes.copy(buffer, 0, at, at + count);
    at += count;
    return count;
  };
}

/** `pieces`, and whether the loop over them was left. */
function piecesOf(pieces: readonly Buffer[], failure?: Error) {
  const state = { asked: 0, left: false };
  async function* generate() {
    try {
      for (const piece of pieces) {
        state.asked++;
        yield piece;
      }
      if (failure !== undefined) throw failure;
    } finally {
      state.left = true;
    }
  }
  return { state, iterable: generate() };
}

async function openDescriptors(path: string): Promise<number> {
  const targets = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return targets.filter((target) => target === path).length;
}

describe('saveToFile()', () => {
  test.each([0, 1, 524_287, 524_288, 524_289, 1_048_576, 2_000_003])(
    'saveToFile() writes %d bytes as they are, and says how many',
    async (length) => {
      const path = join(folder, `file-${length}`);
      const bytes = content(length);
      expect(await saveToFile(path, filling(bytes, [65_536, 1, 9_999]))).toBe(length);
      expect((await readFile(path)).equals(bytes)).toBe(true);
    },
  );

  test('saveToFile() empties a file that is there, and takes a file: URL', async () => {
    const path = join(folder, 'there already');
    await writeFile(path, 'something much longer');
    expect(await saveToFile(pathToFileURL(path), filling(Buffer.from('short')))).toBe(5);
    expect(await readFile(path, 'utf8')).toBe('short');
  });

  test('saveToFile() rejects with the error of the system before any content is asked for', async () => {
    let asked = 0;
    const fill = async () => asked++ && 0;
    expect(await rejection(saveToFile(join(folder, 'no', 'such', 'folder'), fill))).toMatchObject({ code: 'ENOENT' });
    expect(await rejection(saveToFile(folder, fill))).toMatchObject({ code: 'EISDIR' });
    expect(asked).toBe(0);
  });

  test('saveToFile() keeps everything that came before the content breaks off, and closes the file', async () => {
    const path = join(folder, 'broken off');
    const bytes = content(1_100_000);
    const good = filling(bytes);
    const fill: Fill = async (buffer) => {
      const count = await good(buffer);
      if (count === 0) throw broken;
      return count;
    };
    expect(await rejection(saveToFile(path, fill))).toBe(broken);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    if (process.platform === 'linux') expect(await openDescriptors(path)).toBe(0);
  });

  test.runIf(process.platform === 'linux')(
    'saveToFile() rejects when the disk is full, and closes the file',
    async () => {
      const before = await openDescriptors('/dev/full');
      expect(await rejection(saveToFile('/dev/full', filling(content(3_000_000))))).toMatchObject({ code: 'ENOSPC' });
      expect(await openDescriptors('/dev/full')).toBe(before);
    },
  );
});

describe('saveToWritable()', () => {
  test('saveToWritable() writes everything, ends the stream, and says how many bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 })),
        fc.integer({ min: 1, max: 100 }),
        async (list, highWaterMark) => {
          const got: Buffer[] = [];
          const target = new Writable({
            highWaterMark,
            write(piece: Buffer, _, done) {
              got.push(piece);
              setImmediate(done);
            },
          });
          const pieces = list.map((bytes) => Buffer.from(bytes));
          const all = Buffer.concat(pieces);
          expect(await saveToWritable(target, piecesOf(pieces).iterable)).toBe(all.length);
          expect(Buffer.concat(got).equals(all)).toBe(true);
          expect(target.writableFinished).toBe(true);
          expect([target.listenerCount('drain')]).toEqual([0]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('saveToWritable() waits for a stream that is full', async () => {
    const target = new PassThrough({ highWaterMark: 10 });
    const { state, iterable } = piecesOf([1, 2, 3].map(() => Buffer.alloc(10)));
    const saving = saveToWritable(target, iterable);
    await new Promise((resolve) => setImmediate(resolve));
    expect(state.asked).toBe(1);
    target.resume();
    expect(await saving).toBe(30);
    expect(state).toEqual({ asked: 3, left: true });
  });

  test.each([
    ['at once', (done: (error: Error) => void) => done(broken)],
    ['later', (done: (error: Error) => void) => void setImmediate(done, broken)],
  ])('saveToWritable() rejects with what the stream raises %s, and lets the content go', async (_, answer) => {
    const target = new Writable({ highWaterMark: 4, write: (_piece, _encoding, done) => answer(done) });
    const { state, iterable } = piecesOf([Buffer.alloc(10), Buffer.alloc(10), Buffer.alloc(10)]);
    expect(await rejection(saveToWritable(target, iterable))).toBe(broken);
    expect(state.asked).toBeLessThan(3);
    expect(state.left).toBe(true);
  });

  test('saveToWritable() rejects when the stream cannot be flushed', async () => {
    const target = new Writable({ write: (_piece, _encoding, done) => done(), final: (done) => done(broken) });
    expect(await rejection(saveToWritable(target, piecesOf([Buffer.alloc(1)]).iterable))).toBe(broken);
  });

  test('saveToWritable() rejects when somebody else destroys the stream while it is waited for', async () => {
    const target = new Writable({ highWaterMark: 1, write() {} });
    const { state, iterable } = piecesOf([Buffer.alloc(10), Buffer.alloc(10)]);
    const saving = rejection(saveToWritable(target, iterable));
    await new Promise((resolve) => setImmediate(resolve));
    target.destroy();
    expect(await saving).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    expect(state).toEqual({ asked: 1, left: true });
  });

  test('saveToWritable() rejects for a stream that is destroyed already', async () => {
    const target = new PassThrough();
    target.destroy();
    await once(target, 'close');
    const { state, iterable } = piecesOf([Buffer.alloc(10), Buffer.alloc(10)]);
    expect(await rejection(saveToWritable(target, iterable))).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    expect(state.asked).toBeLessThan(2);
  });

  test('saveToWritable() destroys the stream when the content breaks off, so that no half looks like a whole', async () => {
    const path = join(folder, 'half');
    const target = createWriteStream(path);
    const { iterable } = piecesOf([Buffer.from('first half')], broken);
    expect(await rejection(saveToWritable(target, iterable))).toBe(broken);
    if (!target.closed) await once(target, 'close').catch(() => {});
    expect(target).toMatchObject({ destroyed: true, errored: broken, writableFinished: false });
  });
});

describe('saveToWritableStream()', () => {
  test('saveToWritableStream() writes everything, closes the stream, and says how many bytes', async () => {
    const got: Uint8Array[] = [];
    let closed = 0;
    const target = new WritableStream<Uint8Array>({
      write: (piece) => void got.push(piece),
      close: () => void closed++,
    });
    const pieces = [Buffer.from('some '), Buffer.from('content')];
    expect(await saveToWritableStream(target, piecesOf(pieces).iterable)).toBe(12);
    expect([Buffer.concat(got).toString(), closed, target.locked]).toEqual(['some content', 1, false]);
  });

  test('saveToWritableStream() rejects with what the stream raises, and lets the content go', async () => {
    const target = new WritableStream({
      write() {
        throw broken;
      },
    });
    const { state, iterable } = piecesOf([Buffer.alloc(10), Buffer.alloc(10)]);
    expect(await rejection(saveToWritableStream(target, iterable))).toBe(broken);
    expect(state).toEqual({ asked: 1, left: true });
    expect(target.locked).toBe(false);
  });

  test('saveToWritableStream() aborts the stream with the error when the content breaks off', async () => {
    const aborted: unknown[] = [];
    const target = new WritableStream({ abort: (reason) => void aborted.push(reason) });
    expect(await rejection(saveToWritableStream(target, piecesOf([Buffer.alloc(10)], broken).iterable))).toBe(broken);
    expect(aborted).toEqual([broken]);
    expect(target.locked).toBe(false);
  });

  test('saveToWritableStream() raises the first error, whatever aborting raises', async () => {
    const target = new WritableStream({
      abort() {
        throw new Error('another');
      },
    });
    expect(await rejection(saveToWritableStream(target, piecesOf([], broken).iterable))).toBe(broken);
  });

  test('saveToWritableStream() refuses a stream that is locked, and leaves the content', async () => {
    const target = new WritableStream();
    target.getWriter();
    const { state, iterable } = piecesOf([Buffer.alloc(10)]);
    expect(await rejection(saveToWritableStream(target, iterable))).toBeInstanceOf(TypeError);
    expect(state).toEqual({ asked: 0, left: false });
  });
});
