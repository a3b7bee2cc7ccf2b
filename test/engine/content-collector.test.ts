import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ContentCollector, copyOf } from '../../src/engine/content-collector.js';

const MIB = 1_048_576;

function collect(length: number | null, pieces: readonly Uint8Array[]): Buffer {
  const collector = new ContentCollector(length);
  // As a link lends them: in the middle of one buffer that is used again.
  const lent = Buffer.alloc(Math.max(0, ...pieces.map((piece) => piece.length)) + 6);
  for (const piece of pieces) {
    lent.fill(0xee);
    lent.set(piece, 3);
    collector.take(lent, 3, 3 + piece.length);
  }
  return collector.finish();
}

describe('ContentCollector', () => {
  test('gathers any pieces into the same bytes, with and without a length', () => {
    const pieces = fc.array(
      fc.integer({ min: 0, max: 400_000 }).map((size) => Buffer.alloc(size, `${size};`)),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(pieces, (given) => {
        const whole = Buffer.concat(given);
        expect(collect(whole.length, given).equals(whole)).toBe(true);
        expect(collect(null, given).equals(whole)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test.each([0, 1, 65_535, 65_536, 65_537, MIB, MIB + 1, 5 * MIB + 3])('holds %i bytes that come in reads', (size) => {
    const whole = Buffer.alloc(size, 'urllib3');
    const pieces = Array.from({ length: Math.ceil(size / 65_536) }, (_, at) =>
      whole.subarray(at * 65_536, (at + 1) * 65_536),
    );
    expect(collect(size, pieces).equals(whole)).toBe(true);
    expect(collect(null, pieces).equals(whole)).toBe(true);
  });

  test('gives one Buffer of exactly the length that was announced', () => {
    expect(collect(10_000, [Buffer.alloc(4000), Buffer.alloc(6000)]).buffer.byteLength).toBe(10_000);
  });

  test('SEC-031 (CVE-2025-13836): allocates for what came, not for what is announced', () => {
    const before = process.memoryUsage();
    const collectors = Array.from({ length: 10 }, () => new ContentCollector(1e12));
    for (const collector of collectors) collector.take(Buffer.alloc(1024), 0, 1024);
    const after = process.memoryUsage();
    expect(after.external - before.external).toBeLessThan(10 * MIB);
    expect(collectors.map((collector) => collector.finish().length)).toEqual(Array(10).fill(1024));
  });

  test('takes a million pieces of one byte in little time and memory', () => {
    const collector = new ContentCollector(null);
    const byte = Buffer.from('x');
    for (let count = 0; count < 1_000_000; count++) collector.take(byte, 0, 1);
    expect(collector.finish().length).toBe(1_000_000);
  });
});

test('copyOf() owns what it copied', () => {
  const borrowed = Buffer.from('abcdef');
  const copy = copyOf(borrowed, 1, 4);
  borrowed.fill(0);
  expect(copy.toString()).toBe('bcd');
});
