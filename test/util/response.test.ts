import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeaderParsingError } from '../../src/exceptions.js';
import { HTTPHeaderDict } from '../../src/headers.js';
import { HTTPResponse } from '../../src/response.js';
import { assertHeaderParsing, isFpClosed, isResponseToHead, parseContentRange } from '../../src/util/response.js';

describe('parseContentRange()', () => {
  test.each([
    ['bytes 0-499/1234', { unit: 'bytes', start: 0, end: 499, size: 1234 }],
    ['bytes 1233-1233/1234', { unit: 'bytes', start: 1233, end: 1233, size: 1234 }],
    ['bytes 42-1233/*', { unit: 'bytes', start: 42, end: 1233, size: null }],
    ['bytes */1234', { unit: 'bytes', start: null, end: null, size: 1234 }],
    ['bytes */0', { unit: 'bytes', start: null, end: null, size: 0 }],
    ['x-rows 000-001/0010', { unit: 'x-rows', start: 0, end: 1, size: 10 }],
    ['bytes 0-9007199254740990/9007199254740991', { unit: 'bytes', start: 0, end: 2 ** 53 - 2, size: 2 ** 53 - 1 }],
  ])('parseContentRange() reads %s (RFC 9110 section 14.4)', (value, want) => {
    expect(parseContentRange(value)).toEqual(want);
  });

  test.each([
    ['a range that ends before it starts', 'bytes 5-4/10'],
    ['a range that ends beyond the whole', 'bytes 0-10/10'],
    ['a range of nothing', 'bytes 0-0/0'],
    ['neither a range nor a size', 'bytes */*'],
    ['no unit', ' 0-1/2'],
    ['a unit that is no token', 'by/tes 0-1/2'],
    ['no size', 'bytes 0-1'],
    ['a blank too many', 'bytes  0-1/2'],
    ['blanks inside', 'bytes 0 - 1/2'],
    ['a sign', 'bytes 0-+1/2'],
    ['hexadecimal digits', 'bytes 0-0x1/2'],
    ['a fraction', 'bytes 0-1.5/2'],
    ['digits that are not of ASCII', 'bytes 0-١/2'],
    ['a number beyond what can be counted', 'bytes 0-99999999999999999/*'],
    ['a second range', 'bytes 0-1/2, 3-4/5'],
    ['a line end', 'bytes 0-1/2\n'],
    ['nothing', ''],
  ])('parseContentRange() gives null for %s', (_, value) => {
    expect(parseContentRange(value)).toBeNull();
  });

  test('parseContentRange() reads back whatever can be written', () => {
    const ranges = fc.record({
      start: fc.nat(),
      length: fc.integer({ min: 1, max: 2 ** 31 }),
      rest: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(ranges, ({ start, length, rest }) => {
        const end = start + length - 1;
        const size = rest === null ? null : end + 1 + rest;
        expect(parseContentRange(`bytes ${start}-${end}/${size ?? '*'}`)).toEqual({ unit: 'bytes', start, end, size });
      }),
    );
  });

  test('SEC-115 (CVE-2022-25881): parseContentRange() takes linear time on long values', () => {
    const started = performance.now();
    for (const part of ['bytes ', '0', '-', '/', '*', ' ']) {
      expect(parseContentRange(`bytes ${part.repeat(64_000)}`)).toBeNull();
      expect(parseContentRange(part.repeat(64_000))).toBeNull();
    }
    expect(performance.now() - started).toBeLessThan(100);
  });
});

describe('isFpClosed()', () => {
  test('isFpClosed() asks isClosed(), closed and destroyed, in that order', () => {
    expect(isFpClosed({ isClosed: () => 1, closed: false })).toBe(true);
    expect(isFpClosed({ isClosed: () => false, closed: true })).toBe(false);
    expect(isFpClosed({ closed: true, destroyed: false })).toBe(true);
    expect(isFpClosed({ isClosed: 'no function', closed: false, destroyed: true })).toBe(false);
    expect(isFpClosed({ closed: Promise.resolve(), destroyed: true })).toBe(true);
  });

  test('isFpClosed() tells of a response and of a stream', async () => {
    const response = new HTTPResponse({ body: Readable.from(['x']), preloadContent: false });
    expect(isFpClosed(response)).toBe(false);
    await response.read();
    expect(isFpClosed(response)).toBe(true);
    const stream = new PassThrough();
    expect(isFpClosed(stream)).toBe(false);
    stream.destroy();
    await once(stream, 'close');
    expect(isFpClosed(stream)).toBe(true);
  });

  test.each([
    [null, 'null'],
    ['closed', '"closed"'],
    [{ isClosed: true, closed: 1, destroyed: 'no' }, 'object'],
  ])('isFpClosed() refuses %s, which does not say', (value, shown) => {
    expect(() => isFpClosed(value)).toThrow(TypeError);
    expect(() => isFpClosed(value)).toThrow('it has no isClosed(), closed or destroyed');
    expect(() => isFpClosed(value)).toThrow(shown);
  });
});

test('isResponseToHead() is true for the answer to HEAD only', () => {
  expect(isResponseToHead(new HTTPResponse({ requestMethod: 'HEAD' }))).toBe(true);
  expect(isResponseToHead(new HTTPResponse({ requestMethod: 'GET' }))).toBe(false);
  // Methods are case-sensitive (RFC 9110 section 9.1).
  expect(isResponseToHead({ requestMethod: 'head' })).toBe(false);
  expect(isResponseToHead({ requestMethod: null })).toBe(false);
});

describe('assertHeaderParsing()', () => {
  test('assertHeaderParsing() says nothing of fields that are well-formed', () => {
    assertHeaderParsing(new HTTPHeaderDict());
    assertHeaderParsing(new HTTPHeaderDict({ 'Content-Type': 'text/plain', 'X-Empty': '', 'X-Latin': '\u00e9\tx' }));
  });

  test.each([
    ['a name that is no token', [['a b', 'x']], ['a b']],
    ['a value with a line end', [['a', 'x\r\nb: y']], ['a']],
    [
      'a value with NUL, next to good ones',
      [
        ['ok', '1'],
        ['bad', '\0'],
        ['worse:', '2'],
      ],
      ['bad', 'worse:'],
    ],
    [
      'one bad value of several',
      [
        ['a', 'x'],
        ['a', '\n'],
      ],
      ['a'],
    ],
  ] as const)('assertHeaderParsing() raises HeaderParsingError for %s', (_, pairs, names) => {
    const headers = HTTPHeaderDict.fromFieldSection('');
    const unchecked: readonly (readonly [string, string])[] = pairs;
    for (const [name, value] of unchecked) headers.add(name, value);
    const error = caught(() => assertHeaderParsing(headers));
    expect(error).toBeInstanceOf(HeaderParsingError);
    expect(error).toMatchObject({ defects: names, unparsedData: null });
  });

  test('SEC-118: the message of assertHeaderParsing() is one line, and has no value', () => {
    const error = caught(() => assertHeaderParsing(new HTTPHeaderDict([['a\r\n\u001bforged: line', 'secret']])));
    expect(String(error)).toContain('forged');
    expect(String(error)).not.toMatch(/[\r\n\u001b]|secret/);
  });

  test.each([null, undefined, {}, new Map(), 'a: b'])(
    'assertHeaderParsing() refuses %s, which is no HTTPHeaderDict',
    (value) => {
      // As a caller without types may.
      expect(() => assertHeaderParsing(value as unknown as HTTPHeaderDict)).toThrow(TypeError);
      expect(() => assertHeaderParsing(value as unknown as HTTPHeaderDict)).toThrow('expected an HTTPHeaderDict');
    },
  );
});

function caught(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return expect.fail('nothing was thrown');
}
