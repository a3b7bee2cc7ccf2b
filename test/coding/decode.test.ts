import { randomBytes } from 'node:crypto';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Cascade } from '../../src/coding/cascade.js';
import type { Coding, DecodingLimits } from '../../src/coding/codings.js';
import { decodeBytes, decodeStream, isSmallEnoughForSync, tryDecodeBytes } from '../../src/coding/decode.js';
import { type ContentDecoder, MultiDecoder } from '../../src/coding/decoders.js';
import { gunzip, gunzipSmall } from '../../src/coding/gzip.js';
import { DecodeError } from '../../src/exceptions.js';
import { collected, contents, cutAt, ENCODERS, type Encoder, NO_LIMITS, sourceOf } from './encoders.js';

const cuts = () => fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });
const encoders = () => fc.constantFrom(...ENCODERS);

/** Each layer, with the cuts at which its members begin. */
const layers = () => fc.array(fc.record({ encoder: encoders(), members: cuts() }), { minLength: 1, maxLength: 3 });

function encoded(content: Buffer, encoder: Encoder, members: readonly number[]): Buffer {
  const parts = encoder.isRepeatable ? cutAt(content, members) : [content];
  return Buffer.concat(parts.map((part) => encoder.encode(part)));
}

function inParts(decoder: ContentDecoder, pieces: readonly Buffer[], maxLength: number | undefined): Buffer {
  const options = maxLength === undefined ? {} : { maxLength };
  const decoded: Buffer[] = [];
  for (const piece of pieces) {
    const borrowed = Buffer.from(piece);
    decoded.push(decoder.decompress(borrowed, options));
    borrowed.fill(0xee);
  }
  while (decoder.hasUnconsumedTail && decoded.length < 50) decoded.push(decoder.decompress(Buffer.alloc(0), options));
  if (maxLength !== undefined) for (const part of decoded) expect(part.length).toBeLessThanOrEqual(maxLength);
  return Buffer.concat([...decoded, decoder.flush()]);
}

test('decodeBytes(), decodeStream() and MultiDecoder undo every chain of codings, of several members, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      contents(),
      layers(),
      cuts(),
      fc.option(fc.integer({ min: 1, max: 99_999 }), { nil: undefined }),
      async (content, chain, wireCuts, maxLength) => {
        let wire = content;
        for (const { encoder, members } of chain) wire = encoded(wire, encoder, members);
        const codings = chain.map(({ encoder }) => encoder.coding).reverse();
        const pieces = cutAt(wire, wireCuts);
        expect(decodeBytes(wire, codings, NO_LIMITS).equals(content)).toBe(true);
        expect(tryDecodeBytes(wire, codings, NO_LIMITS)?.equals(content)).toBe(true);
        expect((await collected(decodeStream(sourceOf(pieces), codings, NO_LIMITS))).equals(content)).toBe(true);
        const modes = [...codings].reverse().join(', ');
        expect(inParts(new MultiDecoder(modes), pieces, maxLength).equals(content)).toBe(true);
      },
    ),
    { numRuns: 120 },
  );
});

describe.each(ENCODERS)('$name', ({ coding, encode, isRepeatable, ignoresGarbage }) => {
  const content = Buffer.from('some content, some content, some more: '.repeat(3));

  test('decodeStream() yields the same byte by byte', async () => {
    const wire = encode(content);
    const decoded = await collected(decodeStream(sourceOf(cutAt(wire, steps(wire.length))), [coding], NO_LIMITS));
    expect(decoded.toString()).toBe(content.toString());
  });

  test('SEC-105: decodeBytes() and decodeStream() reject every content that is cut short, even by one byte', async () => {
    const first = encode(content);
    const wire = isRepeatable ? Buffer.concat([first, encode(content)]) : first;
    for (let length = 1; length < wire.length; length++) {
      if (length === first.length) continue;
      const part = wire.subarray(0, length);
      expect(() => decodeBytes(part, [coding], NO_LIMITS), `${length} of ${wire.length}`).toThrow(DecodeError);
      const pieces = length % 3 === 0 ? [part] : cutAt(part, steps(length));
      await expect(collected(decodeStream(sourceOf(pieces), [coding], NO_LIMITS))).rejects.toThrow(DecodeError);
    }
  });

  test('decodeBytes() gives nothing for nothing', async () => {
    expect(decodeBytes(Buffer.alloc(0), [coding], NO_LIMITS)).toHaveLength(0);
    expect(decodeBytes(Buffer.alloc(0), [coding, coding], NO_LIMITS)).toHaveLength(0);
    expect(decodeBytes(encode(Buffer.alloc(0)), [coding], NO_LIMITS)).toHaveLength(0);
    expect(await collected(decodeStream(sourceOf([]), [coding, 'br'], NO_LIMITS))).toHaveLength(0);
  });

  test(`SEC-104: what follows the content is ${ignoresGarbage ? 'ignored' : 'an error'}, wherever it is cut`, async () => {
    const wire = Buffer.concat([encode(content), Buffer.from('\0garbage, not another member')]);
    for (let cut = 0; cut <= wire.length; cut++) {
      const pieces = [wire.subarray(0, cut), wire.subarray(cut)];
      const decoded = collected(decodeStream(sourceOf(pieces), [coding], NO_LIMITS));
      if (ignoresGarbage) expect((await decoded).equals(content)).toBe(true);
      else await expect(decoded).rejects.toThrow(DecodeError);
    }
  });
});

describe('decodeStream()', () => {
  test('yields pieces of 1 byte to 64 KiB, which it never touches again', async () => {
    const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(300_000, 'x')]);
    for (const codings of [['gzip'], [], ['gzip', 'br']] satisfies Coding[][]) {
      let wire: Buffer = content;
      if (codings.includes('br'))
        wire = zlib.brotliCompressSync(wire, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } });
      if (codings.includes('gzip')) wire = zlib.gzipSync(wire);
      const pieces: Buffer[] = [];
      for await (const piece of decodeStream(sourceOf([wire]), codings, NO_LIMITS)) {
        expect(piece.length).toBeGreaterThan(0);
        expect(piece.length).toBeLessThanOrEqual(65_536);
        pieces.push(piece);
      }
      expect(Buffer.concat(pieces).equals(content)).toBe(true);
    }
  });

  test('yields a large piece after many tiny ones by itself', async () => {
    const wire = Buffer.concat([
      Buffer.alloc(4_000, zlib.gzipSync('')),
      zlib.gzipSync('ab'),
      zlib.gzipSync(Buffer.alloc(70_000)),
    ]);
    const many = Array.from({ length: 9 }, () => zlib.gzipSync(Buffer.alloc(3_500)));
    const lengths: number[] = [];
    const source = sourceOf([Buffer.concat([...many, wire])]);
    for await (const piece of decodeStream(source, ['gzip'], NO_LIMITS)) lengths.push(piece.length);
    expect(lengths).toEqual([31_502, 65_536, 4_464]);
  });

  test('asks for more only when what came has been taken', async () => {
    const wire = zlib.gzipSync(randomBytes(500_000));
    let asked = 0;
    async function* source() {
      for (let at = 0; at < wire.length; at += 50_000) {
        asked++;
        yield wire.subarray(at, at + 50_000);
      }
    }
    const decoded = decodeStream(source(), ['gzip'], NO_LIMITS);
    expect(asked).toBe(0);
    await decoded.next();
    expect(asked).toBe(1);
    await decoded.next();
    expect(asked).toBe(2);
    await decoded.return();
    expect(asked).toBe(2);
  });

  test('returns its source when it is left, and when it fails', async () => {
    const returned = vi.fn();
    async function* source(bytes: Buffer) {
      try {
        for (;;) yield bytes;
      } finally {
        returned();
      }
    }
    for await (const _ of decodeStream(source(zlib.gzipSync('text')), ['gzip'], NO_LIMITS)) break;
    expect(returned).toHaveBeenCalledTimes(1);
    await expect(collected(decodeStream(source(Buffer.from('plain')), ['gzip'], NO_LIMITS))).rejects.toThrow(
      DecodeError,
    );
    expect(returned).toHaveBeenCalledTimes(2);
  });

  test('passes the errors of its source on', async () => {
    async function* source() {
      yield zlib.gzipSync('text').subarray(0, 12);
      throw new RangeError('of the source');
    }
    await expect(collected(decodeStream(source(), ['gzip'], NO_LIMITS))).rejects.toThrow(RangeError);
  });

  test('lets other work be done while much comes out of little', async () => {
    const wire = zlib.gzipSync(Buffer.alloc(16 * 1024 * 1024));
    let turns = 0;
    const immediate = function count() {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(immediate);
    await collected(decodeStream(sourceOf([wire]), ['gzip'], NO_LIMITS));
    clearImmediate(timer);
    expect(turns).toBeGreaterThanOrEqual(7); // every 2 MiB
  });

  test('gathers tiny pieces, so that they cost no more than others', async () => {
    const wire = Buffer.alloc(22 * 2_000, zlib.gzipSync('ab'));
    const pieces: Buffer[] = [];
    for await (const piece of decodeStream(sourceOf([wire]), ['gzip'], NO_LIMITS)) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe('ab'.repeat(2_000));
    expect(pieces.length).toBeLessThan(10);
  });
});

describe('the limits', () => {
  const bomb = zlib.gzipSync(Buffer.alloc(4 * 1024 * 1024));
  const twice = zlib.gzipSync(bomb);

  test.each<{ name: string; limits: DecodingLimits; want: string }>([
    { name: 'maxDecodedSize', limits: { maxDecodedSize: 100_000, maxRatio: null }, want: 'to more than 100000 bytes' },
    { name: 'maxRatio', limits: { maxDecodedSize: null, maxRatio: 20 }, want: 'to more than 20 times' },
  ])('$name stops a bomb, before it is held in memory', async ({ limits, want }) => {
    expect(() => decodeBytes(bomb, ['gzip'], limits)).toThrow(DecodeError);
    expect(() => tryDecodeBytes(bomb, ['gzip'], limits)).toThrow(want);
    let bytes = 0;
    const read = async () => {
      for await (const piece of decodeStream(sourceOf([bomb]), ['gzip'], limits)) bytes += piece.length;
    };
    await expect(read()).rejects.toThrow(want);
    expect(bytes).toBeLessThanOrEqual(1024 * 1024);
  });

  test('hold for what an inner layer gives, though nothing leaves the last', () => {
    const nested = zlib.gzipSync(Buffer.alloc(4_000_000, zlib.gzipSync('')));
    expect(decodeBytes(nested, ['gzip', 'gzip'], NO_LIMITS)).toHaveLength(0);
    expect(() => decodeBytes(nested, ['gzip', 'gzip'], { maxDecodedSize: 100_000, maxRatio: null })).toThrow(
      DecodeError,
    );
    expect(tryDecodeBytes(nested, ['gzip', 'gzip'], NO_LIMITS)).toBe(undefined);
  });

  test('maxDecodedSize allows exactly that many bytes', async () => {
    const wire = zlib.gzipSync(Buffer.alloc(1_000));
    expect(decodeBytes(wire, ['gzip'], { maxDecodedSize: 1_000, maxRatio: null })).toHaveLength(1_000);
    expect(() => decodeBytes(wire, ['gzip'], { maxDecodedSize: 999, maxRatio: null })).toThrow(DecodeError);
    expect(() => decodeBytes(wire, ['gzip'], { maxDecodedSize: 0, maxRatio: null })).toThrow(DecodeError);
  });

  test('maxRatio is judged once over 1 MiB has come out, by the bytes used until then', () => {
    const small = zlib.gzipSync(Buffer.alloc(1024 * 1024));
    expect(decodeBytes(small, ['gzip'], { maxDecodedSize: null, maxRatio: 1 })).toHaveLength(1024 * 1024);
    expect(decodeBytes(twice, ['gzip', 'gzip'], { maxDecodedSize: null, maxRatio: 100_000 })).toHaveLength(
      4 * 1024 * 1024,
    );
    const padded = Buffer.concat([bomb, Buffer.alloc(1024 * 1024)]);
    expect(() => decodeBytes(padded, ['gzip'], { maxDecodedSize: null, maxRatio: 900 })).toThrow(DecodeError);
  });
});

test('tryDecodeBytes() leaves what is no small piece of work to decodeStream()', () => {
  expect(tryDecodeBytes(zlib.gzipSync(Buffer.alloc(1024 * 1024)), ['gzip'], NO_LIMITS)).toHaveLength(1024 * 1024);
  expect(tryDecodeBytes(zlib.gzipSync(Buffer.alloc(3 * 1024 * 1024)), ['gzip'], NO_LIMITS)).toBe(undefined);
});

test('decodeBytes() and tryDecodeBytes() return the bytes themselves where there is no coding', () => {
  const bytes = Buffer.from('plain');
  expect(decodeBytes(bytes, [], NO_LIMITS)).toBe(bytes);
  expect(tryDecodeBytes(bytes, [], NO_LIMITS)).toBe(bytes);
});

test('isSmallEnoughForSync() is true to 64 KiB', () => {
  expect(isSmallEnoughForSync(0)).toBe(true);
  expect(isSmallEnoughForSync(65_536)).toBe(true);
  expect(isSmallEnoughForSync(65_537)).toBe(false);
});

test('gunzipSmall() gives what gunzip() gives, or leaves it to it', () => {
  const changes = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), by: fc.nat(255) });
  fc.assert(
    fc.property(
      contents(),
      fc.option(changes, { freq: 2 }),
      fc.uint8Array({ maxLength: 3 }),
      (content, change, after) => {
        const wire = Buffer.concat([zlib.gzipSync(content), after]);
        if (change !== null) {
          const at = Math.floor(change.at * wire.length);
          wire.writeUInt8(wire.readUInt8(at) ^ change.by, at);
        }
        const quick = gunzipSmall(wire, 65_536);
        if (quick !== undefined) expect(quick.equals(wholly(wire))).toBe(true);
        if (quick === undefined && change === null && after.length === 0)
          expect(content.length).toBeGreaterThan(65_535);
      },
    ),
    { numRuns: 500 },
  );
});

function wholly(wire: Buffer): Buffer {
  const cascade = new Cascade([(inbox) => gunzip(inbox)]);
  cascade.give(wire);
  cascade.end();
  const pieces: Buffer[] = [];
  for (let step = cascade.step(); step !== 'end'; step = cascade.step()) if (step instanceof Buffer) pieces.push(step);
  return Buffer.concat(pieces);
}

function steps(length: number): number[] {
  return Array.from({ length }, (_, index) => index / length);
}
