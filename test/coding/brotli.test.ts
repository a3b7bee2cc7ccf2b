import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decodeBytes } from '../../src/coding/decode.js';
import { DecodeError } from '../../src/exceptions.js';
import { NO_LIMITS } from './encoders.js';

const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_MODE, BROTLI_PARAM_QUALITY } = zlib.constants;

describe('unbrotli()', () => {
  test.each([0, 1, 5, 9, 11])('decodes quality %i, small and large windows', (quality) => {
    const content = Buffer.from(Array.from({ length: 2_000 }, (_, index) => `line ${index}\n`).join(''));
    for (const window of [10, 16, 24]) {
      const params = {
        [BROTLI_PARAM_QUALITY]: quality,
        [BROTLI_PARAM_LGWIN]: window,
        [BROTLI_PARAM_MODE]: quality % 3,
      };
      const wire = zlib.brotliCompressSync(content, { params });
      expect(decodeBytes(wire, ['br'], NO_LIMITS).equals(content)).toBe(true);
    }
  });

  test.each([
    { name: 'plain text', wire: Buffer.from('plain text, of no coding') },
    { name: 'gzip', wire: zlib.gzipSync('text') },
    { name: 'zeros that never end', wire: Buffer.alloc(1) },
  ])('rejects $name', ({ wire }) => {
    expect(() => decodeBytes(wire, ['br'], NO_LIMITS)).toThrow(DecodeError);
    expect(() => decodeBytes(wire, ['br'], NO_LIMITS)).toThrow('Cannot decode content as "br": ');
  });
});
