import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cascade } from '../../src/coding/cascade.js';
import { hasNativeZstd } from '../../src/coding/codings.js';
import { decodeBytes } from '../../src/coding/decode.js';
import { ZlibEngine } from '../../src/coding/engine.js';
import { type FrameEngine, FzstdEngine } from '../../src/coding/fzstd.js';
import { unzstd } from '../../src/coding/zstd.js';
import { DecodeError } from '../../src/exceptions.js';
import {
  contents,
  cutAt,
  NO_LIMITS,
  ZSTD_HUGE_WINDOW,
  ZSTD_VECTORS,
  zstdBlockHeader,
  zstdFrame,
  zstdSkippable,
} from './encoders.js';

const ENGINES: { readonly name: string; readonly newEngine: () => FrameEngine }[] = [
  { name: 'fzstd', newEngine: () => new FzstdEngine() },
];
if (hasNativeZstd()) ENGINES.push({ name: 'Node', newEngine: () => new ZlibEngine('zstd', 'zstd') });

const MAGIC = Buffer.of(0x28, 0xb5, 0x2f, 0xfd);

describe.each(ENGINES)('unzstd() by $name', ({ newEngine }) => {
  function decode(pieces: readonly Buffer[], room = 65_536): Buffer {
    const cascade = new Cascade([(inbox) => unzstd(inbox, newEngine)]);
    const decoded: Buffer[] = [];
    for (const piece of [...pieces, null]) {
      const borrowed = piece === null ? null : Buffer.from(piece);
      if (borrowed === null) cascade.end();
      else cascade.give(borrowed);
      for (let step = cascade.step(room); step !== 'end' && step !== 'need-bytes'; step = cascade.step(room)) {
        if (step instanceof Buffer) expect(decoded.push(step) && step.length).toBeLessThanOrEqual(room);
      }
      borrowed?.fill(0xee);
    }
    return Buffer.concat(decoded);
  }

  test.each(ZSTD_VECTORS)('decodes what the zstd program made: $name', ({ content, wire }) => {
    expect(decode([wire]).equals(content)).toBe(true);
    expect(decode([wire], 1_000).equals(content)).toBe(true);
    expect(decode(Array.from(wire, (byte) => Buffer.of(byte))).equals(content)).toBe(true);
    const between = zstdSkippable(3, 15);
    expect(decode([Buffer.concat([between, wire, wire, between, wire])])).toHaveLength(3 * content.length);
  });

  test('decodes any frames, with any to be skipped between them, wherever they are cut', () => {
    const frames = fc.array(fc.oneof(contents(), fc.nat(200)), { minLength: 1, maxLength: 4 });
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });
    fc.assert(
      fc.property(frames, cuts, (list, places) => {
        const wire = Buffer.concat(
          list.map((one) => (typeof one === 'number' ? zstdSkippable(one, one % 16) : zstdFrame(one))),
        );
        const content = Buffer.concat(list.filter((one) => typeof one !== 'number'));
        expect(decode(cutAt(wire, places)).equals(content)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test.each(ZSTD_VECTORS)('rejects every cut of $name, and every change it can see', ({ content, wire }) => {
    const stride = content.length > 100_000 ? 9 : 1;
    for (let length = 1; length < wire.length; length += stride) {
      expect(() => decode([wire.subarray(0, length)]), `${length}`).toThrow('it ends before its stream does');
    }
    for (let at = 0; at < wire.length; at += stride) {
      const changed = Buffer.from(wire);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x10, at);
      try {
        decode([changed]);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    }
  });

  test.each([
    { name: 'plain text', wire: Buffer.from('plain text'), why: 'what should be a frame does not begin as one' },
    { name: 'a window of 128 MiB', wire: ZSTD_HUGE_WINDOW, why: 'it needs a window of 134217728 bytes, and 8388608' },
    {
      name: 'a single segment of 1 TiB',
      wire: Buffer.concat([MAGIC, Buffer.of(0xe0, 0, 0, 0, 0, 0, 1, 0, 0), zstdBlockHeader(true, 0, 0)]),
      why: 'it needs a window of 1099511627776 bytes',
    },
    { name: 'a reserved bit', wire: Buffer.concat([MAGIC, Buffer.of(0x08, 0)]), why: 'a reserved bit is set' },
    { name: 'a dictionary', wire: Buffer.concat([MAGIC, Buffer.of(0x01, 0, 7)]), why: 'it needs a dictionary' },
    {
      name: 'a block of an unknown type',
      wire: Buffer.concat([MAGIC, Buffer.of(0, 0), zstdBlockHeader(true, 3, 0)]),
      why: 'the type of a block is unknown',
    },
    {
      name: 'a block that is too large',
      wire: Buffer.concat([MAGIC, Buffer.of(0, 0x50), zstdBlockHeader(true, 1, 131_073), Buffer.of(0)]),
      why: 'a block of 131073 bytes is larger than a block may be',
    },
  ])('rejects $name', ({ wire, why }) => {
    expect(() => decode([wire])).toThrow(DecodeError);
    expect(() => decode([wire])).toThrow(`Cannot decode content as "zstd": ${why}`);
  });

  test('rejects a wrong checksum and a wrong length', () => {
    const frame = zstdFrame(Buffer.from('content'));
    const checksum = Buffer.concat([frame.subarray(0, -1), Buffer.of(frame.readUInt8(frame.length - 1) ^ 1)]);
    expect(() => decode([checksum])).toThrow(DecodeError);
    const length = Buffer.from(frame);
    length.writeUInt8(8, 5);
    expect(() => decode([length])).toThrow(DecodeError);
  });

  test('takes a frame that names dictionary 0, or two bytes of length', () => {
    const block = Buffer.concat([zstdBlockHeader(true, 1, 300), Buffer.from('x')]);
    expect(decode([Buffer.concat([MAGIC, Buffer.of(0x03, 0, 0, 0, 0, 0), block])])).toHaveLength(300);
    expect(decode([Buffer.concat([MAGIC, Buffer.of(0x60, 44, 0), block])])).toHaveLength(300);
  });

  test('M1: gives both of two frames in one packet, as in two', () => {
    const one = zstdFrame(Buffer.from('one, '));
    const two = zstdFrame(Buffer.from('two'));
    expect(decode([Buffer.concat([one, two])]).toString()).toBe('one, two');
    expect(decode([one, two]).toString()).toBe('one, two');
  });

  test('rejects an engine that stops inside a frame', () => {
    const engine = newEngine();
    const stuck: FrameEngine = {
      consumed: 0,
      write: () => 0,
      take: () => Buffer.alloc(0),
      reset: () => engine.reset(),
      release: () => engine.release(),
    };
    const cascade = new Cascade([(inbox) => unzstd(inbox, () => stuck)]);
    cascade.give(zstdFrame(Buffer.from('content')));
    expect(() => [cascade.step(), cascade.step()]).toThrow('a frame ends before its last block');
  });
});

describe('FzstdEngine', () => {
  test.each([
    { name: 'is missing', found: () => createRequire(import.meta.url)('a-package-that-is-not-there') },
    { name: 'is another', found: () => ({ decompress: () => {} }) },
    { name: 'is nothing', found: () => undefined },
  ])('names the package to install when it $name', ({ found }) => {
    expect(() => new FzstdEngine(found)).toThrow(DecodeError);
    expect(() => new FzstdEngine(found)).toThrow(/on Node v[\d.]+: install the package "fzstd"/);
  });

  test('passes on what fzstd throws, whatever it is', () => {
    class Decompress {
      push(): void {
        throw 'a text';
      }
    }
    const engine = new FzstdEngine(() => ({ Decompress }));
    expect(() => engine.write(Buffer.of(1), 0, 10)).toThrow('Cannot decode content as "zstd": a text');
  });
});

test('decodeBytes() decodes zstd on this Node', () => {
  for (const { content, wire } of ZSTD_VECTORS)
    expect(decodeBytes(wire, ['zstd'], NO_LIMITS).equals(content)).toBe(true);
});
