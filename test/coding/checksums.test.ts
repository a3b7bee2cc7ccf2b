import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32, crc32ByTable } from '../../src/coding/crc32.js';
import { XXHash64 } from '../../src/coding/xxhash64.js';
import * as plain from './encoders.js';

test('crc32() and crc32ByTable() give the check value of RFC 1952', () => {
  expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
  expect(crc32ByTable(Buffer.from('123456789'))).toBe(0xcbf43926);
});

test('crc32() and crc32ByTable() go on from the bytes before', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (one, two) => {
      const whole = plain.crc32(Buffer.concat([one, two]));
      expect(crc32(Buffer.from(two), crc32(Buffer.from(one)))).toBe(whole);
      expect(crc32ByTable(Buffer.from(two), crc32ByTable(Buffer.from(one)))).toBe(whole);
    }),
  );
});

// The vectors of the xxHash repository's sanity test are of other bytes; these are its documented ones, and zstd's checksums.
test.each([
  ['', 0x51d8e999],
  ['a', 0xa98c6e5b],
  ['abc', 0xad770999],
])('XXHash64 hashes %j', (text, want) => {
  const hash = new XXHash64();
  hash.update(Buffer.from(text));
  expect(hash.low32()).toBe(want);
});

test('XXHash64 hashes what zstd hashed', () => {
  for (const { content, wire } of plain.ZSTD_VECTORS.filter(({ name }) => !name.includes('no-check'))) {
    const hash = new XXHash64();
    hash.update(content);
    expect(hash.low32()).toBe(wire.readUInt32LE(wire.length - 4));
  }
});

test('XXHash64 does not mind how the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
      (bytes, cuts) => {
        const whole = new XXHash64();
        whole.update(bytes);
        const parts = new XXHash64();
        for (const part of plain.cutAt(Buffer.from(bytes), cuts)) parts.update(part);
        expect(parts.low32()).toBe(whole.low32());
      },
    ),
  );
});

test('crc32() is linear over a megabyte', () => {
  const bytes = randomBytes(1_000_000);
  expect(crc32(bytes)).toBe(crc32ByTable(bytes));
});
