import zlib from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { hasNativeZstd } from '../../src/coding/codings.js';
import { ZlibEngine } from '../../src/coding/engine.js';
import { DecodeError } from '../../src/exceptions.js';

const RAW = zlib.deflateRawSync('content');

afterEach(() => {
  vi.restoreAllMocks();
});

/** As many engines as are kept idle, so that the next one is made anew. */
function takeAllIdle(): ZlibEngine[] {
  return Array.from({ length: 4 }, () => new ZlibEngine('gzip', 'raw'));
}

describe('ZlibEngine', () => {
  test('tells how much of the input its stream had', () => {
    const engine = new ZlibEngine('gzip', 'raw');
    const produced = engine.write(Buffer.concat([Buffer.of(1, 2), RAW, Buffer.of(3, 4, 5)]), 2, 100);
    expect(engine.take(produced).toString()).toBe('content');
    expect(engine.consumed).toBe(RAW.length);
    engine.release();
  });

  test('gives no more than there is room for', () => {
    const engine = new ZlibEngine('gzip', 'raw');
    let text = '';
    let at = 0;
    for (let produced = -1; produced !== 0; at += engine.consumed) {
      produced = engine.write(RAW, at, 3);
      expect(produced).toBeLessThanOrEqual(3);
      text += engine.take(produced).toString();
    }
    expect(text).toBe('content');
    engine.release();
  });

  test('is not to be written to after it failed: that is an error, and not the end of the process', () => {
    const engine = new ZlibEngine('gzip', 'raw');
    expect(() => engine.write(Buffer.of(0xff, 0xff), 0, 100)).toThrow('invalid block type');
    expect(() => engine.write(RAW, 0, 100)).toThrow(DecodeError);
    engine.release();
    engine.release();
  });

  test('keeps at most four streams for the next ones, and closes the others', () => {
    const create = vi.spyOn(zlib, 'createInflateRaw');
    const engines = Array.from({ length: 10 }, () => new ZlibEngine('gzip', 'raw'));
    const made = create.mock.results.map(({ value }) => value);
    const before = made.length;
    expect(before).toBeGreaterThanOrEqual(6);
    for (const engine of engines) engine.release();
    expect(made.filter((stream) => stream.destroyed).length).toBeGreaterThanOrEqual(before - 4);
    for (const engine of takeAllIdle()) engine.release();
    expect(create).toHaveBeenCalledTimes(before);
  });

  test('starts anew with a stream that was left half way', () => {
    for (const algorithm of ['raw', 'br'] as const) {
      const wire = algorithm === 'raw' ? RAW : zlib.brotliCompressSync('content');
      for (let cut = 0; cut < wire.length; cut++) {
        const left = new ZlibEngine('x', algorithm);
        left.write(wire.subarray(0, cut), 0, 2);
        left.release();
        const next = new ZlibEngine('x', algorithm);
        expect(next.take(next.write(wire, 0, 100)).toString()).toBe('content');
        next.release();
      }
    }
  });

  test.each([
    { name: 'no stream', stream: undefined },
    { name: 'no handle', stream: { errored: null, reset() {}, on() {} } },
    { name: 'another handle', stream: { errored: null, reset() {}, on() {}, _handle: { write() {} } } },
    { name: 'no counters', stream: { errored: null, reset() {}, on() {}, _handle: { writeSync() {} } } },
  ])('says so where zlib has $name', ({ stream }) => {
    const idle = takeAllIdle();
    vi.spyOn(zlib, 'createInflateRaw').mockImplementation(() => Object(stream));
    expect(() => new ZlibEngine('gzip', 'raw')).toThrow(DecodeError);
    expect(() => new ZlibEngine('gzip', 'raw')).toThrow(
      `Cannot decode content as "gzip" on Node ${process.version}: its zlib has no synchronous handle`,
    );
    vi.restoreAllMocks();
    for (const engine of idle) engine.release();
  });

  test.skipIf(hasNativeZstd())('says so for zstd, on a Node without it', () => {
    expect(() => new ZlibEngine('zstd', 'zstd')).toThrow(DecodeError);
  });
});
