import { Readable } from 'node:stream';
import { describe, expect, test, vi } from 'vitest';
import { type ContentReader, MemoryContent, StreamContent } from '../../src/engine/content-reader.js';
import { ProtocolError } from '../../src/exceptions.js';

async function* pieces(...given: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* given;
}

const READERS: { name: string; make(): ContentReader }[] = [
  { name: 'MemoryContent', make: () => new MemoryContent(Buffer.from('abcdefg')) },
  { name: 'StreamContent of an iterable', make: () => new StreamContent(pieces('ab', '', Buffer.from('cdefg'))) },
  { name: 'StreamContent of a Readable', make: () => new StreamContent(Readable.from(['abc', 'defg'])) },
];

describe.each(READERS)('$name', ({ make }) => {
  test('read() gives every byte once, at most so many at a time, then null', async () => {
    const reader = make();
    const read: string[] = [];
    for (let piece = await reader.read(3); piece !== null; piece = await reader.read(3)) {
      expect(piece.length).toBeLessThanOrEqual(3);
      read.push(piece.toString());
    }
    expect(read.join('')).toBe('abcdefg');
    expect(reader.isExhausted).toBe(true);
    expect(await reader.read(3)).toBeNull();
  });

  test('readInto() fills the start of the target, then gives 0', async () => {
    const reader = make();
    const target = Buffer.alloc(5, '.');
    const read: string[] = [];
    for (let count = await reader.readInto(target); count > 0; count = await reader.readInto(target)) {
      read.push(target.toString('latin1', 0, count));
    }
    expect(read.join('')).toBe('abcdefg');
  });

  test('abandon() drops what is left', async () => {
    const reader = make();
    await reader.read(1);
    reader.abandon();
    expect(reader.isExhausted).toBe(true);
    expect(await reader.read(3)).toBeNull();
  });
});

test('StreamContent raises what its stream raises as a ProtocolError with the cause', async () => {
  const cause = new Error('disk on fire');
  const failing = new StreamContent(
    (async function* () {
      yield 'ab';
      throw cause;
    })(),
  );
  expect((await failing.read(9))?.toString()).toBe('ab');
  await expect(failing.read(9)).rejects.toMatchObject({ message: 'Connection broken: disk on fire', cause });
  const strange = new StreamContent({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject('text') }) });
  await expect(strange.read(9)).rejects.toThrow(new ProtocolError('Connection broken: text'));
});

test('StreamContent.abandon() closes its stream, and does not mind how that ends', () => {
  const close = vi.fn(() => Promise.reject(new Error('too late')));
  const next = () => Promise.resolve({ done: false, value: 'a' });
  new StreamContent({ [Symbol.asyncIterator]: () => ({ next, return: close }) }).abandon();
  expect(close).toHaveBeenCalledOnce();
});
