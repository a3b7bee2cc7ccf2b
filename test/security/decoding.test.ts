/**
 * The cases of decoding content that some client has failed at. Chains that are too long: test/coding/codings.test.ts; content
 * that is cut at every byte: test/coding/decode.test.ts, where every encoder is.
 */
import zlib from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Coding, contentCodings } from '../../src/coding/codings.js';
import { decodeBytes, decodeStream } from '../../src/coding/decode.js';
import { ZlibEngine } from '../../src/coding/engine.js';
import { FzstdEngine } from '../../src/coding/fzstd.js';
import { DecodeError } from '../../src/exceptions.js';
import {
  collected,
  cutAt,
  ENCODERS,
  NO_LIMITS,
  sourceOf,
  ZSTD_VECTORS,
  zstdBlockHeader,
  zstdSkippable,
} from '../coding/encoders.js';

const MiB = 1024 * 1024;
const ZEROS = Buffer.alloc(64 * MiB);
const FAST_BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 2 } };

const gzipBomb = zlib.gzipSync(ZEROS);

const BOMBS: { readonly name: string; readonly codings: readonly Coding[]; readonly wire: Buffer }[] = [
  { name: 'gzip', codings: ['gzip'], wire: gzipBomb },
  { name: 'deflate (zlib)', codings: ['deflate'], wire: zlib.deflateSync(ZEROS) },
  { name: 'deflate (raw)', codings: ['deflate'], wire: zlib.deflateRawSync(ZEROS) },
  { name: 'br', codings: ['br'], wire: zlib.brotliCompressSync(ZEROS, FAST_BROTLI) },
  { name: 'zstd', codings: ['zstd'], wire: zstdOfZeros(512) },
  { name: 'gzip in gzip', codings: ['gzip', 'gzip'], wire: zlib.gzipSync(gzipBomb) },
  { name: 'gzip in br', codings: ['br', 'gzip'], wire: zlib.brotliCompressSync(gzipBomb, FAST_BROTLI) },
  { name: 'zstd in deflate', codings: ['deflate', 'zstd'], wire: zlib.deflateSync(zstdOfZeros(512)) },
];

/** Blocks of 128 KiB of zeros, four bytes each. */
function zstdOfZeros(blocks: number): Buffer {
  const block = Buffer.concat([zstdBlockHeader(false, 1, 128 * 1024), Buffer.alloc(1)]);
  const head = Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x50);
  return Buffer.concat([head, Buffer.alloc(4 * blocks, block), zstdBlockHeader(true, 0, 0)]);
}

/** Counts what the decoders give, whoever takes it. */
function spyOnDecoders(): () => number {
  const spies = [vi.spyOn(ZlibEngine.prototype, 'write'), vi.spyOn(FzstdEngine.prototype, 'write')];
  return () => spies.flatMap((spy) => spy.mock.results).reduce((sum, { value }) => sum + (Number(value) || 0), 0);
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(BOMBS)('a bomb of $name', ({ codings, wire }) => {
  test('SEC-100 (CVE-2025-66471, CVE-2026-44432, CVE-2025-69223): decodeStream() decodes no further than its reader has come', async () => {
    const decoded = spyOnDecoders();
    const stream = decodeStream(sourceOf([wire]), codings, NO_LIMITS);
    expect(decoded()).toBe(0);
    let taken = 0;
    for (let reads = 1; reads <= 10; reads++) {
      taken += (await stream.next()).value?.length ?? 0;
      expect(decoded()).toBeLessThanOrEqual(taken + 256 * 1024);
    }
    expect(taken).toBeGreaterThan(256 * 1024);
    await stream.return();
  });

  test('SEC-100: the limits end it before it is held in memory', async () => {
    for (const limits of [
      { maxDecodedSize: 2 * MiB, maxRatio: null },
      { maxDecodedSize: null, maxRatio: 10 },
    ]) {
      const decoded = spyOnDecoders();
      expect(() => decodeBytes(wire, codings, limits)).toThrow(DecodeError);
      await expect(collected(decodeStream(sourceOf([wire]), codings, limits))).rejects.toThrow(DecodeError);
      expect(decoded()).toBeLessThanOrEqual(2 * (2 * MiB + 512 * 1024));
      vi.restoreAllMocks();
    }
  });

  test('SEC-102 (CVE-2026-21441, CVE-2024-22025): decodeStream() decodes nothing more once it is left', async () => {
    const decoded = spyOnDecoders();
    const stream = decodeStream(sourceOf([wire, wire]), codings, NO_LIMITS);
    await stream.next();
    const before = decoded();
    await stream.return();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(decoded()).toBe(before);
  });
});

test('SEC-102: decodeStream() that is left before it began makes no decoder', async () => {
  const created = vi.spyOn(zlib, 'createInflateRaw');
  const decoded = spyOnDecoders();
  const stream = decodeStream(sourceOf([gzipBomb]), ['gzip'], NO_LIMITS);
  await stream.return();
  expect(created).not.toHaveBeenCalled();
  expect(decoded()).toBe(0);
});

describe.each(ENCODERS)('$name', ({ coding, encode }) => {
  test('SEC-103 (CVE-2026-97688): decodeStream() comes to an end, whatever follows the content and wherever it is cut', async () => {
    const wire = Buffer.concat([encode(Buffer.from('content')), Buffer.from('!')]);
    const bodies = [Buffer.alloc(0), wire.subarray(0, 1), Buffer.of(0), wire, wire.subarray(0, -1)];
    for (const body of bodies) {
      for (let cut = 0; cut <= body.length; cut++) {
        const pieces = [body.subarray(0, cut), Buffer.alloc(0), body.subarray(cut)];
        const outcome = await collected(decodeStream(sourceOf(pieces), [coding], NO_LIMITS)).catch(
          (error: unknown) => error,
        );
        if (!(outcome instanceof DecodeError)) expect(['', 'content']).toContain(String(outcome));
      }
    }
  });
});

describe('SEC-104 (CVE-2022-30631, CVE-2025-0725): a million empty parts are no recursion and take linear time', () => {
  test.each([
    { name: 'gzip members', coding: 'gzip' as const, part: zlib.gzipSync('') },
    { name: 'zstd frames to be skipped', coding: 'zstd' as const, part: zstdSkippable(0) },
  ])('of $name', async ({ coding, part }) => {
    const time = async (count: number) => {
      const wire = Buffer.alloc(count * part.length, part);
      const start = performance.now();
      const pieces = cutAt(wire, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
      expect(await collected(decodeStream(sourceOf(pieces), [coding], NO_LIMITS))).toHaveLength(0);
      return performance.now() - start;
    };
    await time(20_000);
    const few = await time(100_000);
    expect(await time(1_000_000)).toBeLessThan(10 * few * 5 + 500);
  });
});

describe('SEC-105: content with a wrong checksum is an error when its end is read', () => {
  test.each(ENCODERS.filter(({ name }) => /gzip|zlib|zstd by hand/.test(name)))(
    '$name',
    async ({ coding, encode, name }) => {
      const content = Buffer.alloc(200_000, 'content ');
      const wire = encode(content);
      const at = name.startsWith('gzip') ? wire.length - 5 : wire.length - 1;
      wire.writeUInt8(wire.readUInt8(at) ^ 1, at);
      const pieces: Buffer[] = [];
      const read = async () => {
        for await (const piece of decodeStream(sourceOf([wire]), [coding], NO_LIMITS)) pieces.push(piece);
      };
      await expect(read()).rejects.toThrow(DecodeError);
      const returned = Buffer.concat(pieces); // and stays returned
      expect(returned.length).toBeGreaterThan(60_000);
      expect(content.subarray(0, returned.length).equals(returned)).toBe(true);
    },
  );
});

test('SEC-106: decodeBytes() rejects plain content that claims a coding, takes none at all, and an unknown coding is none of ours', () => {
  for (const coding of ['gzip', 'deflate', 'br', 'zstd'] as const) {
    expect(() => decodeBytes(Buffer.from('<!doctype html> and so on'), [coding], NO_LIMITS)).toThrow(DecodeError);
    expect(decodeBytes(Buffer.alloc(0), [coding], NO_LIMITS)).toHaveLength(0);
  }
  expect(contentCodings('sdch')).toBe(null);
  expect(contentCodings('gzip, sdch')).toBe(null);
  expect(contentCodings(' GZIP ')).toEqual(['gzip']);
});

test('SEC-107 (CVE-2017-14919, CVE-2022-37434, CVE-2020-8927, CVE-2026-85024): 1000 damaged contents are 1000 decode errors, or harmless, and leave no decoder behind', async () => {
  const streams: { destroyed: boolean }[] = [];
  for (const factory of ['createInflate', 'createInflateRaw', 'createBrotliDecompress'] as const) {
    const create: (...options: never[]) => { destroyed: boolean } = zlib[factory];
    vi.spyOn(zlib, factory).mockImplementation(() => {
      const stream = create();
      streams.push(stream);
      return Object(stream);
    });
  }
  const random = seeded(107);
  const content = Buffer.from(Array.from({ length: 300 }, (_, index) => `line ${index}`).join());
  const wires = ENCODERS.map(({ coding, encode }) => ({ coding, wire: encode(content) }));
  for (const { wire } of ZSTD_VECTORS) wires.push({ coding: 'zstd', wire });
  for (let round = 0; round < 1_000; round++) {
    const { coding, wire } = wires[round % wires.length] ?? { coding: 'gzip', wire: content };
    const damaged = Buffer.from(wire);
    const first = round % 3 === 0 ? 30 : damaged.length; // the header's fields, more often
    for (let count = 1 + random(3); count > 0; count--)
      damaged.writeUInt8(random(256), random(Math.min(first, damaged.length)));
    const bytes = round % 10 === 0 ? Buffer.from(damaged.map(() => random(256))) : damaged;
    const limits = { maxDecodedSize: 4 * MiB, maxRatio: null };
    const pieces = sourceOf(cutAt(bytes, [random(100) / 100]));
    const outcome = await collected(decodeStream(pieces, [coding], limits)).catch((error: unknown) => error);
    if (!Buffer.isBuffer(outcome)) expect(outcome).toBeInstanceOf(DecodeError);
  }
  expect(streams.length).toBeGreaterThan(100);
  expect(streams.filter((stream) => !stream.destroyed).length).toBeLessThanOrEqual(3 * 4); // those kept for the next body
});

/** The same numbers in every run: a linear congruential generator, its high bits. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
