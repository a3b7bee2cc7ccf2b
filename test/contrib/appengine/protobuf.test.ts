import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageWriter, readFields, type WireField } from '../../../src/contrib/appengine/protobuf.js';
import { ProtocolError } from '../../../src/exceptions.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('MessageWriter', () => {
  test.each([
    ['a varint of one byte', new MessageWriter().varint(1, 127), '087f'],
    ['a varint of two bytes', new MessageWriter().varint(1, 300), '08ac02'],
    ['the largest whole number', new MessageWriter().varint(1, Number.MAX_SAFE_INTEGER), '08ffffffffffffff0f'],
    ['a tag of two bytes', new MessageWriter().varint(16, 1), '800101'],
    ['a bool', new MessageWriter().varint(7, true).varint(7, false), '38013800'],
    ['a double', new MessageWriter().double(8, 5), '410000000000001440'],
    ['text as UTF-8', new MessageWriter().bytes(2, 'é'), '1202c3a9'],
    ['no bytes', new MessageWriter().bytes(2, new Uint8Array(0)), '1200'],
    ['a group', new MessageWriter().group(3, (group) => group.bytes(4, 'A').bytes(5, 'b')), '1b2201412a01621c'],
    ['nothing', new MessageWriter(), ''],
  ])('writes %s', (_name, writer, wanted) => {
    expect(writer.finish().toString('hex')).toBe(wanted);
  });
});

describe('readFields()', () => {
  test('reads every wire type, and gives bytes without copying them', () => {
    const message = hex('08ac02 1202c3a9 1b2201411c 410000000000001440 4d01020304');
    const fields = readFields(message);
    expect(fields).toEqual([
      { number: 1, kind: 'varint', value: 300n },
      { number: 2, kind: 'bytes', bytes: Buffer.from('é') },
      { number: 3, kind: 'group', fields: [{ number: 4, kind: 'bytes', bytes: Buffer.from('A') }] },
      { number: 8, kind: 'fixed' },
      { number: 9, kind: 'fixed' },
    ]);
    const text = fields[1];
    expect(text?.kind === 'bytes' && text.bytes.buffer === message.buffer).toBe(true);
  });

  test('reads a negative number as its 64 bits', () => {
    expect(readFields(hex('08 ffffffffffffffffff01'))).toEqual([
      { number: 1, kind: 'varint', value: 0xffffffffffffffffn },
    ]);
  });

  test.each([
    ['a number that is cut', '08 80', 'in the middle of a number'],
    ['a tag that is cut', '80', 'in the middle of a number'],
    ['a number of eleven bytes', '08 8080808080808080808001', 'more than 10 bytes'],
    ['bytes that are cut', '12 05 6162', 'longer than what is left'],
    ['a length beyond all memory', '12 ffffffffffffffffff01', 'longer than what is left'],
    ['eight bytes that are cut', '41 00000000000000', 'longer than what is left'],
    ['four bytes that are cut', '4d 000000', 'longer than what is left'],
    ['a group that does not end', '1b 220141', 'group 3 does not end'],
    ['a group that ends as another', '1b 24', 'group 4 ends where it did not begin'],
    ['the end of a group that did not begin', '1c', 'group 3 ends where it did not begin'],
    ['field 0', '00 01', 'a field with the number 0'],
    ['a field beyond the last number', '80 80 80 80 10 01', 'a field with the number 536870912'],
    ['wire type 6', '0e', 'field 1 has the wire type 6'],
    ['wire type 7', '0f', 'field 1 has the wire type 7'],
  ])('rejects %s', (_name, bytes, why) => {
    expect(() => readFields(hex(bytes))).toThrow(ProtocolError);
    expect(() => readFields(hex(bytes))).toThrow(`Cannot read a message of URLFetch: `);
    expect(() => readFields(hex(bytes))).toThrow(why);
  });

  test('bounds how deep groups are nested', () => {
    const nested = (depth: number) => hex('1b'.repeat(depth) + '1c'.repeat(depth));
    expect(readFields(nested(16))).toHaveLength(1);
    expect(() => readFields(nested(17))).toThrow('its groups are nested more than 16 deep');
    expect(() => readFields(nested(1_000_000))).toThrow(ProtocolError);
  });

  test('bounds how many fields there are, also in groups', () => {
    const fields = (count: number) => Buffer.alloc(2 * count, hex('0801'));
    expect(readFields(fields(100_000))).toHaveLength(100_000);
    expect(() => readFields(fields(100_001))).toThrow('it has more than 100000 fields');
    expect(() => readFields(Buffer.concat([hex('1b'), fields(100_000), hex('1c')]))).toThrow('more than 100000 fields');
  });

  test('reads what was written', () => {
    const numbers = fc.integer({ min: 1, max: 0x1fffffff });
    const { fields } = fc.letrec<{ fields: WireField[]; field: WireField }>((tie) => ({
      fields: fc.array(tie('field'), { maxLength: 5, depthIdentifier: 'groups' }),
      field: fc.oneof(
        { depthSize: 'small', depthIdentifier: 'groups', maxDepth: 10 },
        fc.record({ number: numbers, kind: fc.constant('varint' as const), value: fc.maxSafeNat().map(BigInt) }),
        fc.record({
          number: numbers,
          kind: fc.constant('bytes' as const),
          bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        }),
        fc.record({ number: numbers, kind: fc.constant('fixed' as const) }),
        fc.record({ number: numbers, kind: fc.constant('group' as const), fields: tie('fields') }),
      ),
    }));
    fc.assert(
      fc.property(fields, (wanted) => {
        const writer = new MessageWriter();
        write(writer, wanted);
        expect(readFields(writer.finish())).toEqual(wanted);
      }),
    );
  });

  test('gives fields or a ProtocolError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          readFields(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});

function write(writer: MessageWriter, fields: readonly WireField[]): void {
  for (const field of fields) {
    if (field.kind === 'varint') writer.varint(field.number, Number(field.value));
    else if (field.kind === 'bytes') writer.bytes(field.number, field.bytes);
    else if (field.kind === 'fixed') writer.double(field.number, 1);
    else writer.group(field.number, (group) => write(group, field.fields));
  }
}
