import zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBytes, decodeStream } from '../../src/coding/decode.js';
import { DecodeError } from '../../src/exceptions.js';
import { collected, contents, NO_LIMITS, sourceOf } from './encoders.js';

const decode = (wire: Buffer) => decodeBytes(wire, ['deflate'], NO_LIMITS);

describe('inflate()', () => {
  test('tells zlib and raw apart at every level, window and strategy, also when the second byte comes later', async () => {
    const options = fc.record({
      level: fc.integer({ min: 0, max: 9 }),
      windowBits: fc.integer({ min: 9, max: 15 }),
      strategy: fc.integer({ min: 0, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(contents(), options, fc.boolean(), async (content, how, isRaw) => {
        const wire = isRaw ? zlib.deflateRawSync(content, how) : zlib.deflateSync(content, how);
        expect(decode(wire).equals(content)).toBe(true);
        const pieces = [wire.subarray(0, 1), wire.subarray(1)];
        expect((await collected(decodeStream(sourceOf(pieces), ['deflate'], NO_LIMITS))).equals(content)).toBe(true);
      }),
    );
  });

  test('takes one raw byte of content, of which two bytes on the wire say what it is', () => {
    for (let byte = 0; byte < 256; byte++)
      expect(decode(zlib.deflateRawSync(Buffer.of(byte)))).toEqual(Buffer.of(byte));
  });

  test.each([
    { name: 'plain text', wire: Buffer.from('plain text, of no coding') },
    { name: 'one byte of zlib', wire: Buffer.of(0x78) },
    { name: 'one byte of raw', wire: Buffer.of(0x4b) },
    { name: 'a dictionary that we do not have', wire: zlib.deflateSync('text', { dictionary: Buffer.from('tex') }) },
    { name: 'a wrong checksum', wire: Buffer.concat([zlib.deflateSync('text').subarray(0, -1), Buffer.of(0)]) },
    { name: 'gzip', wire: zlib.gzipSync('text') },
  ])('rejects $name', ({ wire }) => {
    expect(() => decode(wire)).toThrow(DecodeError);
    expect(() => decode(wire)).toThrow('Cannot decode content as "deflate": ');
  });
});
