/**
 * The character classes of HTTP/1.1 (RFC 9110 section 5.6.2, RFC 9112 sections 2 to 5), each once as a pattern for what we
 * write and once as a byte table for what we read.
 *
 * Case is folded in ASCII only: `toLowerCase` maps U+212A to "k", and a field name must not.
 */

/** token = 1*tchar (RFC 9110 section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Not in field-value: field-vchar, SP and HTAB are (RFC 9110 section 5.5); code points over U+00FF have no latin1 byte. */
const NOT_IN_FIELD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Not in any form of request-target (RFC 9112 section 3.2): those are visible ASCII throughout. */
const NOT_IN_TARGET = /[^\x21-\x7e]/;

/** 1 for each byte of a token. */
export const TOKEN_BYTE = byteTable((byte) => TOKEN.test(String.fromCharCode(byte)));

/** 1 for each byte of a field value or reason phrase. */
export const FIELD_VALUE_BYTE = byteTable((byte) => !NOT_IN_FIELD_VALUE.test(String.fromCharCode(byte)));

/** The value of each hexadecimal digit; 255 for every other byte. */
export const HEX_VALUE = hexTable();

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

export function isFieldValue(text: string): boolean {
  return !NOT_IN_FIELD_VALUE.test(text);
}

export function isRequestTarget(text: string): boolean {
  return text !== '' && !NOT_IN_TARGET.test(text);
}

/** `text` equals `lowerCaseName`, ASCII letters folded. */
export function equalsIgnoringCase(text: string, lowerCaseName: string): boolean {
  return text.length === lowerCaseName.length && matchesAt(text, 0, lowerCaseName);
}

/** `lowerCaseName` stands in `text` at `offset`, ASCII letters folded. */
export function matchesAt(text: string, offset: number, lowerCaseName: string): boolean {
  for (let i = 0; i < lowerCaseName.length; i++) {
    const wanted = lowerCaseName.charCodeAt(i);
    const found = text.charCodeAt(offset + i);
    const isUpperCaseLetter = found >= 0x41 && found <= 0x5a;
    if ((isUpperCaseLetter ? found + 0x20 : found) !== wanted) return false;
  }
  return true;
}

/** Without SP and HTAB at both ends: OWS (RFC 9110 section 5.6.3). `trim()` would also take U+00A0 and U+FEFF. */
export function withoutOuterBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/** The members of a comma-separated list, blanks around them and empty members dropped (RFC 9110 section 5.6.1). */
export function listMembers(value: string): string[] {
  return value.split(',').map(withoutOuterBlanks).filter(isNotEmpty);
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

function isNotEmpty(text: string): boolean {
  return text !== '';
}

function byteTable(contains: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (contains(byte) ? 1 : 0));
}

function hexTable(): Uint8Array {
  const table = new Uint8Array(256).fill(255);
  for (let value = 0; value < 16; value++) {
    const digit = value.toString(16);
    table[digit.charCodeAt(0)] = value;
    table[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return table;
}
