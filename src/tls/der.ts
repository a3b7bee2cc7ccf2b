/**
 * Values in DER (X.690), as certificates and containers of keys are written: tag, length, contents.
 *
 * Elements are views of the bytes they stand in. Nothing is believed: what does not fit is a {@link DerError}.
 */

export const INTEGER = 0x02;
export const OCTET_STRING = 0x04;
export const OBJECT_IDENTIFIER = 0x06;
export const SEQUENCE = 0x30;

/** A value with what stands inside it. */
export interface Element {
  readonly tag: number;
  /** The contents, without tag and length. */
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

/** Bytes that are not what they should be. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** `element`, if it is there and of that type. */
export function expect(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw new DerError(`not an element of type ${tag}`);
  return element;
}

/** The one element that `bytes` are. */
export function only(bytes: Buffer, tag: number): Element {
  const [first, second] = children(bytes);
  if (second !== undefined) throw new DerError('bytes after the end');
  return expect(first, tag);
}

/** The elements that stand one after the other in `bytes`. */
export function children(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    const { length, start } = lengthAt(bytes, at + 1);
    const end = start + length;
    if (end > bytes.length) throw new DerError('an element that is longer than what it stands in');
    elements.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return elements;
}

/** The length that is written at `at`, and where what it counts begins (X.690 section 8.1.3). */
function lengthAt(bytes: Buffer, at: number): { readonly length: number; readonly start: number } {
  const first = bytes[at];
  if (first === undefined) throw new DerError('an element without length');
  if (first < 0x80) return { length: first, start: at + 1 };
  const count = first & 0x7f;
  // Four bytes count to 4 GiB; none at all is the indefinite form, which DER does not have.
  if (count === 0 || count > 4 || at + 1 + count > bytes.length) throw new DerError('a length that is none');
  return { length: bytes.readUIntBE(at + 1, count), start: at + 1 + count };
}
