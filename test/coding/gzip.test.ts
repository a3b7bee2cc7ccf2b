import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decodeBytes } from '../../src/coding/decode.js';
import { GzipDecoderState } from '../../src/coding/gzip.js';
import { DecodeError } from '../../src/exceptions.js';
import { gzipWithFields, NO_LIMITS } from './encoders.js';

const decode = (wire: Buffer) => decodeBytes(wire, ['gzip'], NO_LIMITS).toString();
const member = zlib.gzipSync('content');
const withFields = gzipWithFields(Buffer.from('content'));

/** `wire` with the byte at `at` changed. */
function spoilt(wire: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(wire);
  copy.writeUInt8(value, at);
  return copy;
}

test('GzipDecoderState has the numbers of the reference', () => {
  expect({ ...GzipDecoderState }).toEqual({ FIRST_MEMBER: 0, OTHER_MEMBERS: 1, SWALLOW_DATA: 2 });
});

describe('gunzip()', () => {
  test.each([
    { name: 'plain text', wire: Buffer.from('plain text'), why: 'it does not begin as gzip does' },
    { name: 'the first magic byte alone', wire: Buffer.of(0x1f), why: 'it ends before its stream does' },
    { name: 'a wrong second magic byte', wire: spoilt(member, 1, 0), why: 'it does not begin as gzip does' },
    { name: 'an unknown method', wire: spoilt(member, 2, 7), why: 'its compression method is unknown' },
    { name: 'a reserved flag', wire: spoilt(member, 3, 0x20), why: 'a reserved flag is set' },
    { name: 'a wrong header checksum', wire: spoilt(withFields, 4, 0), why: 'the checksum of its header is wrong' },
    { name: 'a wrong checksum', wire: spoilt(member, member.length - 8, 0), why: 'its checksum is wrong' },
    { name: 'a wrong length', wire: spoilt(member, member.length - 4, 0), why: 'its length is wrong' },
    { name: 'a broken stream', wire: spoilt(member, 10, 0xff), why: 'invalid block type' },
    {
      name: 'a broken second member',
      wire: Buffer.concat([member, spoilt(member, 10, 0xff)]),
      why: 'invalid block type',
    },
  ])('rejects $name', ({ wire, why }) => {
    expect(() => decode(wire)).toThrow(DecodeError);
    expect(() => decode(wire)).toThrow(`Cannot decode content as "gzip": ${why}`);
  });

  test('gives the error of zlib as the cause, and its code', () => {
    const error = failureOf(() => decode(spoilt(member, 10, 0xff)));
    expect(error).toMatchObject({ code: 'Z_DATA_ERROR', cause: { errno: -3 } });
  });

  test('skips the fields of a header, each of them alone too', () => {
    expect(decode(withFields)).toBe('content');
    const plain = Buffer.from(member);
    const body = plain.subarray(10);
    const head = (flags: number, ...fields: string[]) =>
      Buffer.concat([spoilt(plain.subarray(0, 10), 3, flags), Buffer.from(fields.join(''), 'latin1'), body]);
    expect(decode(head(0x01))).toBe('content'); // FTEXT says nothing
    expect(decode(head(0x04, '\x00\x00'))).toBe('content');
    expect(decode(head(0x04, '\x02\x00', 'ab'))).toBe('content');
    expect(decode(head(0x08, 'name\0'))).toBe('content');
    expect(decode(head(0x10, '\0'))).toBe('content');
    expect(decode(head(0x18, 'x'.repeat(200_000), '\0', 'y\0'))).toBe('content');
  });

  test('takes members until something else follows', () => {
    expect(decode(Buffer.concat([member, withFields, member]))).toBe('contentcontentcontent');
    expect(decode(Buffer.concat([member, member, Buffer.from('garbage'), member]))).toBe('contentcontent');
    expect(decode(Buffer.concat([member, Buffer.alloc(100), member]))).toBe('content');
    expect(decode(Buffer.concat([member, Buffer.from([0x1f, 0x00])]))).toBe('content');
  });
});

function failureOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
