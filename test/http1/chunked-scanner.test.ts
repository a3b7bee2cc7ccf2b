import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidChunkLength, ProtocolError } from '../../src/exceptions.js';
import { ChunkedScanner } from '../../src/http1/chunked-scanner.js';
import { HeadScanner } from '../../src/http1/head-scanner.js';
import { DEFAULT_RESPONSE_LIMITS, type ResponseLimits } from '../../src/http1/limits.js';
import { shapesOf } from './receive.js';

interface Dechunked {
  readonly content: string;
  readonly outcome: 'complete' | 'waiting' | Error;
  readonly trailers: string;
  readonly leftover: string;
}

describe('ChunkedScanner reads', () => {
  test.each<{ name: string; wire: string; content: string; trailers?: string }>([
    { name: 'one chunk', wire: '5\r\nhello\r\n0\r\n\r\n', content: 'hello' },
    { name: 'several chunks', wire: '5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n', content: 'hello world' },
    { name: 'no chunk', wire: '0\r\n\r\n', content: '' },
    { name: 'a last chunk of many zeros', wire: '0000000000000000\r\n\r\n', content: '' },
    { name: 'zeros before a size', wire: '0000000000000005\r\nhello\r\n0\r\n\r\n', content: 'hello' },
    {
      name: 'hexadecimal digits in both cases',
      wire: 'a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n',
      content: '01234567890123456789a',
    },
    { name: 'framing as content', wire: '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', content: '0\r\n\r\n\r\n' },
    {
      name: 'every kind of extension',
      wire: '2;a\r\nok\r\n2;a;b\r\nok\r\n2;a=b\r\nok\r\n2;a=b;c=d;e\r\nok\r\n0;z=1\r\n\r\n',
      content: 'okokokok',
    },
    { name: 'quoted extensions', wire: '2;a="";b="c;d=\\"\\\\ \t\xe4";e\r\nok\r\n0;q="0"\r\n\r\n', content: 'ok' },
    { name: 'trailers', wire: '2\r\nok\r\n0\r\nA: 1\r\nB:\r\n\r\n', content: 'ok', trailers: 'A: 1\r\nB:\r\n' },
  ])('$name', ({ wire, content, trailers = '' }) => {
    for (const pieces of shapesOf(wire)) {
      expect(dechunk(pieces)).toEqual({ content, outcome: 'complete', trailers, leftover: '' });
    }
    for (const pieces of [[`${wire}0\r\n\r\n`], [...wire, '0\r\n\r\n'], [...wire, ...'0\r\n\r\n']]) {
      expect(dechunk(pieces)).toEqual({ content, outcome: 'complete', trailers, leftover: '0\r\n\r\n' });
    }
    for (let length = 0; length < wire.length; length++) {
      expect(dechunk([wire.slice(0, length)])).toMatchObject({ outcome: 'waiting' });
    }
  });
});

describe('ChunkedScanner refuses, at that very byte,', () => {
  test.each<[name: string, right: string, wrong: string, message: string]>([
    ['no size', '', '\r', 'begins with "\\x0d"'],
    ['an extension without a size', '', ';', 'begins with ";"'],
    ['a blank before a size', '', ' ', 'begins with " "'],
    ['a plus sign', '', '+', 'begins with "+"'],
    ['a minus sign', '', '-', 'begins with "-"'],
    ['a letter that is no digit', '', 'g', 'begins with "g"'],
    ['0x', '0', 'x', 'begins with "0x"'],
    ['an underscore between digits', '5', '_', 'begins with "5_"'],
    ['a blank after a size', '5', ' ', 'begins with "5 "'],
    ['a tab after a size', '5', '\t', 'begins with "5\\x09"'],
    ['a full stop', '5', '.', 'begins with "5."'],
    ['a byte over 0x7f', '5', '\xb2', 'begins with "5²"'],
    ['NUL after a size', '5', '\0', 'begins with "5\\x00"'],
    ['LF alone after a size', '5', '\n', 'begins with "5\\x0a"'],
    ['CR alone after a size', '5\r', 'h', 'does not end in CRLF'],
    ['a 17th digit', '0000000000000000', '0', 'begins with "00000000000000000"'],
    ['a size of 2^53', '20000000000000', '\r', 'begins with "20000000000000"'],
    ['a size of 2^53 with an extension', '20000000000000', ';', 'begins with "20000000000000"'],
    ['a size of 2^64-1', 'ffffffffffffffff', '\r', 'begins with "ffffffffffffffff"'],
    ['an empty extension', '5;', '\r', 'in a chunk extension'],
    ['two semicolons', '5;', ';', 'in a chunk extension'],
    ['a blank before an extension', '5;', ' ', 'in a chunk extension'],
    ['an extension that begins with =', '5;', '=', 'in a chunk extension'],
    ['a blank after the name of an extension', '5;a', ' ', 'in a chunk extension'],
    ['LF after the name of an extension', '5;a', '\n', 'in a chunk extension'],
    ['NUL in the name of an extension', '5;a', '\0', 'in a chunk extension'],
    ['CR in an extension', '5;a\r', 'b', 'does not end in CRLF'],
    ['an extension without its value', '5;a=', '\r', 'in a chunk extension'],
    ['a blank before a value', '5;a=', ' ', 'in a chunk extension'],
    ['a second =', '5;a=b', '=', 'in a chunk extension'],
    ['a blank after a value', '5;a=b', ' ', 'in a chunk extension'],
    ['LF after a value', '5;a=b', '\n', 'in a chunk extension'],
    ['a quote in a value', '5;a=b', '"', 'in a chunk extension'],
    ['CR in quotes', '5;a="b', '\r', 'in a chunk extension'],
    ['LF in quotes', '5;a="b', '\n', 'in a chunk extension'],
    ['NUL in quotes', '5;a="b', '\0', 'in a chunk extension'],
    ['CR behind a backslash', '5;a="b\\', '\r', 'in a chunk extension'],
    ['NUL behind a backslash', '5;a="b\\', '\0', 'in a chunk extension'],
    ['a letter after quotes', '5;a="b"', 'c', 'in a chunk extension'],
    ['LF after quotes', '5;a="b"', '\n', 'in a chunk extension'],
    ['something else after the data', '5\r\nhello', 'X', 'is not followed by CRLF'],
    ['LF alone after the data', '5\r\nhello', '\n', 'is not followed by CRLF'],
    ['CR alone after the data', '5\r\nhello\r', 'X', 'is not followed by CRLF'],
    ['CR CR after the data', '5\r\nhello\r', '\r', 'is not followed by CRLF'],
    ['an empty line after the data', '5\r\nhello\r\n', '\r', 'begins with "\\x0d"'],
    ['LF alone after the last chunk', '0', '\n', 'begins with "0\\x0a"'],
    ['LF alone at the end', '0\r\n', '\n', 'begins with no field name'],
    ['a folded trailer', '0\r\nA: b\r\n', ' ', 'begins with no field name'],
    ['LF in a trailer', '0\r\nA: b', '\n', 'in a field value'],
    ['CR alone at the end', '0\r\n\r', 'X', 'a CR without LF'],
  ])('%s', (_, right, wrong, message) => {
    const { content } = dechunk([right]);
    for (const pieces of shapesOf(right)) {
      expect(dechunk(pieces)).toMatchObject({ content, outcome: 'waiting' });
      const { content: before, outcome } = dechunk([...pieces, `${wrong}hello\r\n0\r\n\r\n`]);
      expect(before).toBe(content);
      expect(outcome).toBeInstanceOf(ProtocolError);
      expect(outcome).toMatchObject({ message: expect.stringContaining(message) });
      expect(dechunk([...pieces, wrong]).outcome).toEqual(outcome);
    }
  });

  test('a size that is none with an InvalidChunkLength as the cause', () => {
    const { outcome } = dechunk(['-5\r\n']);
    expect(outcome).toMatchObject({ cause: { length: '-' } });
    expect(outcome).toHaveProperty('cause', expect.any(InvalidChunkLength));
  });
});

test('ChunkedScanner takes a size up to 2^53-1 and waits for its data', () => {
  for (const size of ['1fffffffffffff', '001FFFFFFFFFFFFF']) {
    expect(dechunk([`${size}\r\nhello`])).toMatchObject({ content: 'hello', outcome: 'waiting' });
  }
});

describe('ChunkedScanner keeps its limits', () => {
  const lines = ['5;a=b', '005;aa', '5;a="', '00005;'].map((begin) =>
    begin.padEnd(30, begin.endsWith(';') ? 'x' : 'y'),
  );

  test.each(lines)('of the bytes of a chunk-size line, counted without its CRLF: %s', (line) => {
    for (const pieces of shapesOf(line)) {
      expect(dechunk(pieces, { maxChunkLineBytes: 30 })).toMatchObject({ outcome: 'waiting' });
      expect(dechunk(pieces, { maxChunkLineBytes: 29 })).toMatchObject({
        outcome: new ProtocolError('A chunk-size line is longer than 29 bytes'),
      });
    }
  });

  test('of a chunk-size line that ends just there, and counts each line anew', () => {
    const wire = '2;abcdef\r\nok\r\n02;abcde\r\nok\r\n0;abcdef\r\n\r\n';
    for (const pieces of shapesOf(wire)) {
      expect(dechunk(pieces, { maxChunkLineBytes: 8 })).toMatchObject({ content: 'okok', outcome: 'complete' });
      expect(dechunk(pieces, { maxChunkLineBytes: 7 })).toMatchObject({ content: '', outcome: expect.any(Error) });
    }
  });

  test('of the extensions of a body: 16 KiB more than its content', () => {
    const chunk = (data: string, extensionBytes: number) =>
      `${data.length.toString(16)};${'x'.repeat(extensionBytes - 1)}\r\n${data}\r\n`;
    const allowance = chunk('a', 4096 - 2).repeat(4);
    const outcomeOf = (wire: string) => dechunk([wire]).outcome;
    expect(outcomeOf(allowance)).toBe('waiting');
    const tooLong = new ProtocolError('The chunk extensions of the response are longer than its content');
    expect(outcomeOf(allowance + chunk('a', 100))).toEqual(tooLong);
    expect(outcomeOf(`${allowance}64\r\n${'a'.repeat(100)}\r\n${chunk('a', 100)}`)).toBe('waiting');
  });
});

test('ChunkedScanner counts extensions and content for each body anew', () => {
  const scanner = new ChunkedScanner(DEFAULT_RESPONSE_LIMITS, new HeadScanner(DEFAULT_RESPONSE_LIMITS));
  const read = (wire: string) => {
    const bytes = Buffer.from(wire);
    scanner.begin();
    let step = scanner.next(bytes, 0, bytes.length);
    while (step === 'content') step = scanner.next(bytes, scanner.position, bytes.length);
    return step;
  };
  const extended = (lines: number) => `1;${'x'.repeat(4000)}\r\na\r\n`.repeat(lines);
  expect(read(`${extended(4)}0\r\n\r\n`)).toBe('end');
  expect(read(`${extended(4)}8000\r\n${'a'.repeat(0x8000)}\r\n0\r\n\r\n`)).toBe('end');
  expect(() => read(extended(5))).toThrow(ProtocolError);
});

test('ChunkedScanner begins again as if nothing had been', () => {
  const trailers = new HeadScanner(DEFAULT_RESPONSE_LIMITS);
  const scanner = new ChunkedScanner({ ...DEFAULT_RESPONSE_LIMITS, maxChunkLineBytes: 6 }, trailers);
  for (const wire of ['5;abcd', '0', '3\r\nab', '2;a="b', '2\r\nok\r\n0\r\n\r\n', '2;abcd\r\nok\r\n0\r\n\r\n']) {
    scanner.begin();
    const bytes = Buffer.from(wire);
    let content = '';
    let step = scanner.next(bytes, 0, bytes.length);
    for (; step === 'content'; step = scanner.next(bytes, scanner.position, bytes.length)) {
      content += bytes.toString('latin1', scanner.contentStart, scanner.contentEnd);
    }
    expect([content, step]).toEqual(
      wire.endsWith('\r\n\r\n') ? ['ok', 'end'] : [wire === '3\r\nab' ? 'ab' : '', 'need-bytes'],
    );
    expect(scanner.position).toBe(bytes.length);
  }
});

test('ChunkedScanner equals the plain version, for bodies whole and damaged', () => {
  const parts = ['5\r\nhello\r\n', 'a;x=y\r\n0123456789\r\n', '0\r\n', '\r\n', 'A: b\r\n', '1\r\n'];
  const oddities = ['\r', '\n', ';', '"', '\\', '=', ' ', '-', 'x', '0', 'f', '\0', '\xe4', ';q="a\\""'];
  const wires = fc
    .array(fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...parts) }, fc.constantFrom(...oddities)), {
      maxLength: 10,
    })
    .map((pieces) => `${pieces.join('')}0\r\n\r\n`);
  fc.assert(
    fc.property(wires, fc.nat(), (wire, cut) => {
      const at = cut % (wire.length + 1);
      const { content, outcome, leftover } = dechunk([wire.slice(0, at), wire.slice(at)]);
      const said = outcome instanceof Error ? 'refused' : { content, leftover, outcome };
      expect(said).toEqual(plainDechunk(wire));
    }),
    { numRuns: 2000 },
  );
});

function dechunk(pieces: readonly string[], limits: Partial<ResponseLimits> = {}): Dechunked {
  const all = { ...DEFAULT_RESPONSE_LIMITS, ...limits };
  const trailers = new HeadScanner(all);
  const scanner = new ChunkedScanner(all, trailers);
  scanner.begin();
  let content = '';
  let leftover = '';
  let outcome: Dechunked['outcome'] = 'waiting';
  try {
    for (const [index, piece] of pieces.entries()) {
      // What lies around the piece is not for it to see.
      const bytes = Buffer.from(`0\r\n\r\n${piece}${index % 2 === 0 ? 'ffff' : '\r\n0\r\n\r\n'}`, 'latin1');
      const end = 5 + piece.length;
      let position = 5;
      while (outcome === 'waiting') {
        const step = scanner.next(bytes, position, end);
        position = scanner.position;
        if (step === 'need-bytes') break;
        if (step === 'end') outcome = 'complete';
        else content += bytes.toString('latin1', scanner.contentStart, scanner.contentEnd);
      }
      leftover += bytes.toString('latin1', position, end);
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    outcome = error;
  }
  return { content, outcome, trailers: outcome === 'complete' ? trailers.text.slice(0, -2) : '', leftover };
}

const SIZE_LINE = /^([0-9A-Fa-f]{1,16})(?:;TOKEN(?:=(?:TOKEN|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*\r\n/;
const SIZE_LINE_PATTERN = new RegExp(SIZE_LINE.source.replaceAll('TOKEN', "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"));
const TRAILER_SECTION = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n/;

/** The plain version, for a body that ends in a way: patterns eat it up from the front. */
function plainDechunk(wire: string): object | 'refused' {
  let rest = wire;
  let content = '';
  for (;;) {
    const line = SIZE_LINE_PATTERN.exec(rest);
    if (line === null) return rest === '' ? { content, leftover: '', outcome: 'waiting' } : 'refused';
    rest = rest.slice(line[0].length);
    const size = Number(`0x${line[1]}`);
    if (size === 0) break;
    content += rest.slice(0, size);
    const after = rest.slice(size, size + 2);
    if (after !== '\r\n'.slice(0, after.length)) return 'refused';
    if (after.length < 2) return { content, leftover: '', outcome: 'waiting' };
    rest = rest.slice(size + 2);
  }
  const trailers = TRAILER_SECTION.exec(rest);
  if (trailers === null) return rest === '' ? { content, leftover: '', outcome: 'waiting' } : 'refused';
  return { content, leftover: rest.slice(trailers[0].length), outcome: 'complete' };
}
