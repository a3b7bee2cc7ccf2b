/**
 * The wire format of Protocol Buffers, as far as URLFetch needs it: varints, fixed numbers, length-delimited fields and the
 * groups of proto2 (protobuf.dev, "Encoding").
 *
 * Pure: a writer that gathers pieces, and a reader that makes a list of fields of a message without knowing its type. The
 * reader trusts no number in the bytes: every length is compared with what is there, and nesting and the number of
 * fields are bounded. What the fields mean: messages.ts.
 */
import { ProtocolError } from '../../exceptions.js';

/** A field as it stands on the wire. What it is called, and whether a varint is a number or a bool, its message knows. */
export type WireField =
  | { readonly number: number; readonly kind: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly number: number; readonly kind: 'group'; readonly fields: readonly WireField[] }
  /** Four or eight bytes: nothing that we read is of this kind. */
  | { readonly number: number; readonly kind: 'fixed' };

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const FIXED32 = 5;

/** A field of 64 bits in groups of seven. */
const MAX_VARINT_BYTES = 10;
const MAX_DEPTH = 16;
/** A response has a header of at most some thousand fields; each field read costs a hundred times its bytes. */
const MAX_FIELDS = 100_000;

/** Puts a message together, field by field. */
export class MessageWriter {
  readonly #pieces: Uint8Array[] = [];

  /** A number from 0 to 2^53 - 1, or a bool. */
  varint(number: number, value: number | boolean): this {
    this.#tag(number, VARINT);
    this.#pieces.push(varintOf(Number(value)));
    return this;
  }

  double(number: number, value: number): this {
    this.#tag(number, FIXED64);
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.#pieces.push(bytes);
    return this;
  }

  /** Bytes as they are, or text as UTF-8. */
  bytes(number: number, value: Uint8Array | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    this.#tag(number, LENGTH);
    this.#pieces.push(varintOf(bytes.length), bytes);
    return this;
  }

  group(number: number, write: (group: MessageWriter) => void): this {
    this.#tag(number, GROUP_START);
    write(this);
    this.#tag(number, GROUP_END);
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  #tag(number: number, wireType: number): void {
    this.#pieces.push(varintOf(number * 8 + wireType));
  }
}

function varintOf(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/**
 * The fields of a message, in order. Their bytes are views into `message`.
 *
 * @throws {@link ProtocolError} for bytes that are no message
 */
export function readFields(message: Buffer): WireField[] {
  return new Reader(message).fieldsUntil(null, 0);
}

class Reader {
  readonly #bytes: Buffer;
  #position = 0;
  #count = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** @param group - the number of the group whose end is wanted; null for the end of the message */
  fieldsUntil(group: number | null, depth: number): WireField[] {
    if (depth > MAX_DEPTH) throw malformed(`its groups are nested more than ${MAX_DEPTH} deep`);
    const fields: WireField[] = [];
    while (this.#position < this.#bytes.length) {
      const tag = this.#varint();
      const number = Number(tag >> 3n);
      const wireType = Number(tag & 7n);
      if (number < 1 || number > 0x1fffffff) throw malformed(`it has a field with the number ${number}`);
      if (wireType === GROUP_END) {
        if (number !== group) throw malformed(`group ${number} ends where it did not begin`);
        return fields;
      }
      if (++this.#count > MAX_FIELDS) throw malformed(`it has more than ${MAX_FIELDS} fields`);
      fields.push(this.#field(number, wireType, depth));
    }
    if (group !== null) throw malformed(`group ${group} does not end`);
    return fields;
  }

  #field(number: number, wireType: number, depth: number): WireField {
    switch (wireType) {
      case VARINT:
        return { number, kind: 'varint', value: this.#varint() };
      case LENGTH:
        return { number, kind: 'bytes', bytes: this.#take(this.#varint()) };
      case GROUP_START:
        return { number, kind: 'group', fields: this.fieldsUntil(number, depth + 1) };
      case FIXED64:
      case FIXED32:
        this.#take(wireType === FIXED64 ? 8n : 4n);
        return { number, kind: 'fixed' };
      default:
        throw malformed(`field ${number} has the wire type ${wireType}`);
    }
  }

  #varint(): bigint {
    let value = 0n;
    for (let index = 0; index < MAX_VARINT_BYTES; index++) {
      const byte = this.#bytes[this.#position];
      if (byte === undefined) throw malformed('it ends in the middle of a number');
      this.#position++;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed(`it has a number of more than ${MAX_VARINT_BYTES} bytes`);
  }

  #take(length: bigint): Buffer {
    if (length > BigInt(this.#bytes.length - this.#position)) throw malformed('a field is longer than what is left');
    const end = this.#position + Number(length);
    const bytes = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return bytes;
  }
}

function malformed(why: string): ProtocolError {
  return new ProtocolError(`Cannot read a message of URLFetch: ${why}`);
}
