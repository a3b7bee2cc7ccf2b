import zlib from 'node:zlib';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  BrotliDecoder,
  ContentDecoder,
  DeflateDecoder,
  GzipDecoder,
  GzipDecoderState,
  MultiDecoder,
  ZstdDecoder,
} from '../../src/coding/decoders.js';
import { DecodeError } from '../../src/exceptions.js';
import { zstdFrame } from './encoders.js';

const content = Buffer.from('content '.repeat(1_000));
const NOTHING = new Uint8Array();

const CASES = [
  { name: 'GzipDecoder', newDecoder: () => new GzipDecoder(), wire: zlib.gzipSync(content) },
  { name: 'DeflateDecoder', newDecoder: () => new DeflateDecoder(), wire: zlib.deflateSync(content) },
  { name: 'DeflateDecoder (raw)', newDecoder: () => new DeflateDecoder(), wire: zlib.deflateRawSync(content) },
  { name: 'BrotliDecoder', newDecoder: () => new BrotliDecoder(), wire: zlib.brotliCompressSync(content) },
  { name: 'ZstdDecoder', newDecoder: () => new ZstdDecoder(), wire: zstdFrame(content) },
  {
    name: 'MultiDecoder',
    newDecoder: () => new MultiDecoder('deflate, X-GZIP'),
    wire: zlib.gzipSync(zlib.deflateSync(content)),
  },
];

describe.each(CASES)('$name', ({ newDecoder, wire }) => {
  test('decodes at once', () => {
    const decoder = newDecoder();
    expect(decoder).toBeInstanceOf(ContentDecoder);
    expect(decoder.decompress(wire).equals(content)).toBe(true);
    expect(decoder.hasUnconsumedTail).toBe(false);
    expect(decoder.flush()).toHaveLength(0);
    expect(decoder.flush()).toHaveLength(0);
  });

  test('decodes in parts, from any Uint8Array, which may be overwritten', () => {
    const decoder = newDecoder();
    const shared = new Uint8Array(100);
    const parts: Buffer[] = [];
    for (let at = 0; at < wire.length; at += 7) {
      const part = wire.subarray(at, at + 7);
      shared.set(part, 50);
      parts.push(decoder.decompress(shared.subarray(50, 50 + part.length)));
    }
    expect(Buffer.concat([...parts, decoder.flush()]).equals(content)).toBe(true);
  });

  test('gives no more than maxLength at once', () => {
    const decoder = newDecoder();
    const own = Uint8Array.from(wire);
    const parts = [decoder.decompress(own, { maxLength: 900 })];
    own.fill(0);
    while (decoder.hasUnconsumedTail) parts.push(decoder.decompress(NOTHING, { maxLength: 900.5 }));
    expect(parts.map((part) => part.length).filter((length) => length > 0)).toEqual([...Array(8).fill(900), 800]);
    expect(Buffer.concat([...parts, decoder.flush()]).equals(content)).toBe(true);
  });

  test('gives all the rest on flush()', () => {
    const decoder = newDecoder();
    const first = decoder.decompress(wire, { maxLength: 10 });
    expect(Buffer.concat([first, decoder.flush()]).equals(content)).toBe(true);
  });

  test('rejects what is cut short on flush(), and nothing at all is not', () => {
    const decoder = newDecoder();
    decoder.decompress(wire.subarray(0, -1));
    expect(() => decoder.flush()).toThrow(DecodeError);
    expect(() => decoder.flush()).toThrow(DecodeError);
    expect(newDecoder().flush()).toHaveLength(0);
  });

  test('rejects what is not sound, then and from then on', () => {
    const decoder = newDecoder();
    expect(() => decoder.decompress(Buffer.alloc(100, 0xff))).toThrow(DecodeError);
    expect(() => decoder.decompress(wire)).toThrow(DecodeError);
    expect(() => decoder.flush()).toThrow(DecodeError);
  });

  test('takes bytes only, until flush() only', () => {
    const decoder = newDecoder();
    // @ts-expect-error a string is not bytes
    expect(() => decoder.decompress('text')).toThrow(TypeError);
    // @ts-expect-error an array of another type neither
    expect(() => decoder.decompress(new Uint16Array(2))).toThrow('it must be a Uint8Array');
    for (const maxLength of [0, -1, Number.NaN]) {
      expect(() => decoder.decompress(wire, { maxLength })).toThrow(RangeError);
    }
    decoder.flush();
    expect(() => decoder.decompress(wire)).toThrow('Cannot decompress after flush(): a decoder is for one body');
  });
});

describe('GzipDecoder', () => {
  test('goes through the states of the reference', () => {
    const decoder = new GzipDecoder();
    expectTypeOf(decoder.state).toEqualTypeOf<0 | 1 | 2>();
    const wire = zlib.gzipSync('content');
    expect(decoder.state).toBe(GzipDecoderState.FIRST_MEMBER);
    expect(decoder.decompress(wire.subarray(0, 20)).toString()).toBe('content'.slice(0, 7));
    expect(decoder.state).toBe(GzipDecoderState.FIRST_MEMBER);
    decoder.decompress(wire.subarray(20));
    expect(decoder.state).toBe(GzipDecoderState.OTHER_MEMBERS);
    expect(decoder.decompress(wire).toString()).toBe('content');
    expect(decoder.state).toBe(GzipDecoderState.OTHER_MEMBERS);
    expect(decoder.decompress(Buffer.from('garbage'))).toHaveLength(0);
    expect(decoder.state).toBe(GzipDecoderState.SWALLOW_DATA);
    expect(decoder.decompress(wire)).toHaveLength(0);
    expect(decoder.flush()).toHaveLength(0);
  });
});

describe('MultiDecoder()', () => {
  test('gives back what it is given where there is no coding', () => {
    const decoder = new MultiDecoder('identity');
    expect(decoder.decompress(content, { maxLength: 10 }).toString()).toBe('content co');
    expect(decoder.decompress(NOTHING)).toHaveLength(content.length - 10);
  });

  test.each(['sdch', 'gzip, sdch'])('rejects %j, of which it does not know all', (modes) => {
    expect(() => new MultiDecoder(modes)).toThrow(TypeError);
    expect(() => new MultiDecoder(modes)).toThrow(
      `Cannot decode "${modes}": it must list "gzip", "deflate", "br" or "zstd"`,
    );
  });

  test('rejects what is no text, and more than five codings', () => {
    // @ts-expect-error a list is not a Content-Encoding value
    expect(() => new MultiDecoder(['gzip'])).toThrow('Cannot decode an array: modes must be a string');
    expect(() => new MultiDecoder('gzip,gzip,gzip,gzip,gzip,gzip')).toThrow(DecodeError);
  });
});
