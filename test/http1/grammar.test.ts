import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  equalsIgnoringCase,
  FIELD_VALUE_BYTE,
  HEX_VALUE,
  isFieldValue,
  isRequestTarget,
  isToken,
  listMembers,
  matchesAt,
  TOKEN_BYTE,
  withoutOuterBlanks,
} from '../../src/http1/grammar.js';

const EVERY_UNIT = Array.from({ length: 0x1_0000 }, (_, code) => String.fromCharCode(code));
const DIGITS = '0123456789';
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** As RFC 9110 lists tchar in section 5.6.2. */
const TCHAR = `!#$%&'*+-.^_\`|~${DIGITS}${LETTERS}`;
/** VCHAR of RFC 5234: from "!" to "~". */
const VCHAR = `${TCHAR}"(),/:;<=>?@[\\]{}`;
const OBS_TEXT = EVERY_UNIT.slice(0x80, 0x100).join('');

const unitsWhere = (allowed: (unit: string) => boolean) => EVERY_UNIT.filter(allowed);
const unitsOf = (characters: string) => [...characters].sort();
const bytesWhere = (table: Uint8Array) => [...table.entries()].filter(([, is]) => is === 1).map(([byte]) => byte);
const bytesOf = (characters: string) => [...Buffer.from(characters, 'latin1')].sort((a, b) => a - b);

test('the lists that the classes are held against are those of the RFC in number', () => {
  expect([new Set(TCHAR).size, new Set(VCHAR).size, OBS_TEXT.length]).toEqual([77, 94, 128]);
});

test('isToken() takes tchar (RFC 9110 section 5.6.2) and no other code unit, wherever it stands', () => {
  expect(unitsWhere(isToken)).toEqual(unitsOf(TCHAR));
  expect(unitsWhere((unit) => isToken(`a${unit}`))).toEqual(unitsOf(TCHAR));
  expect(unitsWhere((unit) => isToken(`${unit}a`))).toEqual(unitsOf(TCHAR));
  expect(isToken('')).toBe(false);
});

test('isFieldValue() takes HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5) and no other code unit', () => {
  expect(unitsWhere(isFieldValue)).toEqual(unitsOf(`\t ${VCHAR}${OBS_TEXT}`));
  expect(unitsWhere((unit) => isFieldValue(`a${unit}b`))).toEqual(unitsOf(`\t ${VCHAR}${OBS_TEXT}`));
  expect(isFieldValue('')).toBe(true);
});

test('isRequestTarget() takes VCHAR and no other code unit, and not nothing', () => {
  expect(unitsWhere(isRequestTarget)).toEqual(unitsOf(VCHAR));
  expect(unitsWhere((unit) => isRequestTarget(`/${unit}`))).toEqual(unitsOf(VCHAR));
  expect(isRequestTarget('')).toBe(false);
});

test('TOKEN_BYTE and FIELD_VALUE_BYTE say of bytes what the patterns say of text', () => {
  expect(bytesWhere(TOKEN_BYTE)).toEqual(bytesOf(TCHAR));
  expect(bytesWhere(FIELD_VALUE_BYTE)).toEqual(bytesOf(`\t ${VCHAR}${OBS_TEXT}`));
});

test('HEX_VALUE knows the 22 hexadecimal digits', () => {
  const digits = [...HEX_VALUE.entries()].filter(([, value]) => value !== 255);
  expect(digits.map(([byte]) => String.fromCharCode(byte)).join('')).toBe('0123456789ABCDEFabcdef');
  expect(digits.map(([, value]) => value)).toEqual([...Array(16).keys(), 10, 11, 12, 13, 14, 15]);
});

describe('equalsIgnoringCase()', () => {
  test('folds A to Z and no other code unit', () => {
    for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
      const equal = unitsWhere((unit) => equalsIgnoringCase(unit, letter));
      expect(equal).toEqual([letter.toUpperCase(), letter]);
    }
    for (const other of '-0@[`{^~') expect(unitsWhere((unit) => equalsIgnoringCase(unit, other))).toEqual([other]);
  });

  test.each([
    ['Chunked', 'chunked', true],
    ['chunked', 'chunked', true],
    ['chunke', 'chunked', false],
    ['chunkedd', 'chunked', false],
    ['', 'chunked', false],
    ['', '', true],
    ['chun\u212aed', 'chunked', false],
    ['clo\u017fe', 'close', false],
  ])('%j and %j: %j', (text, name, equal) => {
    expect(equalsIgnoringCase(text, name)).toBe(equal);
  });
});

test('matchesAt() compares at an offset, and not beyond the end', () => {
  expect(matchesAt('A: b\r\nHost: c', 6, 'host')).toBe(true);
  expect(matchesAt('A: b\r\nHost: c', 5, 'host')).toBe(false);
  expect(matchesAt('Hos', 0, 'host')).toBe(false);
  expect(matchesAt('Host', 9, 'host')).toBe(false);
});

describe('withoutOuterBlanks()', () => {
  test('trims SP and HTAB and no other code unit', () => {
    const trimmed = unitsWhere((unit) => withoutOuterBlanks(`${unit}a${unit}`) === 'a');
    expect(trimmed).toEqual(['\t', ' ']);
  });

  test.each([
    ['', ''],
    [' \t ', ''],
    ['a', 'a'],
    [' a \t b\t', 'a \t b'],
    ['\u00a0a\ufeff', '\u00a0a\ufeff'],
  ])('%j: %j', (text, want) => {
    expect(withoutOuterBlanks(text)).toBe(want);
  });

  test('does what one pattern does', () => {
    const texts = fc.string({ unit: fc.constantFrom(' ', '\t', 'a', '\n', '\u00a0') });
    fc.assert(
      fc.property(texts, (text) => {
        expect(withoutOuterBlanks(text)).toBe(text.replace(/^[ \t]+|[ \t]+$/g, ''));
      }),
    );
  });
});

test.each([
  ['', []],
  [',', []],
  [' , \t,', []],
  ['a', ['a']],
  ['a,b', ['a', 'b']],
  [' a ,\tb c\t,,d', ['a', 'b c', 'd']],
])('listMembers() of %j: %j', (value, want) => {
  expect(listMembers(value)).toEqual(want);
});
