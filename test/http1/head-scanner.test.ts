import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../src/exceptions.js';
import { HeadScanner } from '../../src/http1/head-scanner.js';
import { DEFAULT_RESPONSE_LIMITS, type ResponseLimits } from '../../src/http1/limits.js';
import { shapesOf } from './receive.js';
import { responses } from './samples.js';

type Section = 'head' | 'trailers';

interface Scanned {
  /** How many bytes the section has; -1 if it goes on. */
  readonly length: number;
  readonly text: string;
  /** What stands after the status line. */
  readonly fieldsStart: number;
  /** [name, what is between colon and CRLF] of each line. */
  readonly lines: readonly (readonly [string, string])[];
}

const STATUS_LINE = /^HTTP\/1\.[01] [1-9][0-9]{2}( [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*$/;

describe('HeadScanner finds the end and the lines of', () => {
  test.each<{ name: string; section?: Section; wire: string; fieldsStart: number; lines: Scanned['lines'] }>([
    {
      name: 'a usual head',
      wire: 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n',
      fieldsStart: 17,
      lines: [
        ['Date', ' x'],
        ['Content-Length', ' 5'],
      ],
    },
    { name: 'a head without fields', wire: 'HTTP/1.0 404 Not Found\r\n\r\n', fieldsStart: 24, lines: [] },
    { name: 'an empty reason', wire: 'HTTP/1.1 200 \r\n\r\n', fieldsStart: 15, lines: [] },
    { name: 'no reason and no blank', wire: 'HTTP/1.1 200\r\n\r\n', fieldsStart: 14, lines: [] },
    { name: 'a reason of blanks and latin1', wire: 'HTTP/1.1 999 \t \xe4\xff\r\n\r\n', fieldsStart: 19, lines: [] },
    {
      name: 'odd lines that the grammar allows',
      wire: 'HTTP/1.1 200 OK\r\nA:\r\n!#$:\t \r\nA: b: c\r\n__proto__:\x80\xff\r\n\r\n',
      fieldsStart: 17,
      lines: [
        ['A', ''],
        ['!#$', '\t '],
        ['A', ' b: c'],
        ['__proto__', '\x80\xff'],
      ],
    },
    { name: 'no trailers', section: 'trailers', wire: '\r\n', fieldsStart: 0, lines: [] },
    {
      name: 'trailers',
      section: 'trailers',
      wire: 'A: 1\r\nB:2\r\n\r\n',
      fieldsStart: 0,
      lines: [
        ['A', ' 1'],
        ['B', '2'],
      ],
    },
  ])('$name', ({ section = 'head', wire, fieldsStart, lines }) => {
    const want = { length: wire.length, text: wire, fieldsStart, lines };
    for (const pieces of shapesOf(wire)) {
      expect(scan(section, pieces)).toEqual(want);
      expect(scan(section, [...pieces.slice(0, -1), `${pieces.at(-1)}HTTP/1.1 `])).toEqual(want);
    }
  });
});

describe('HeadScanner refuses, at that very byte,', () => {
  const fields = 'HTTP/1.1 200 OK\r\nA: b\r\n';

  test.each<[name: string, right: string, wrong: string, message: string]>([
    ['an empty line before the status line', '', '\r', 'begin with "HTTP/1."'],
    ['a lower-case protocol', '', 'h', 'begin with "HTTP/1."'],
    ['another protocol', '', 'I', 'begin with "HTTP/1."'],
    ['HTTP/2', 'HTTP/', '2', 'begin with "HTTP/1."'],
    ['HTTP/11.1', 'HTTP/1', '1', 'begin with "HTTP/1."'],
    ['HTTP/1.2', 'HTTP/1.', '2', 'a version other than'],
    ['HTTP/1.10', 'HTTP/1.1', '0', 'no blank after the version'],
    ['a tab after the version', 'HTTP/1.1', '\t', 'no blank after the version'],
    ['two blanks after the version', 'HTTP/1.1 ', ' ', 'three digits from 100'],
    ['a status from 0', 'HTTP/1.1 ', '0', 'three digits from 100'],
    ['a sign before the status', 'HTTP/1.1 ', '+', 'three digits from 100'],
    ['a status of two digits', 'HTTP/1.1 20', ' ', 'three digits from 100'],
    ['a status of two digits and CR', 'HTTP/1.1 20', '\r', 'three digits from 100'],
    ['a status of four digits', 'HTTP/1.1 200', '0', 'three digits'],
    ['a letter in the status', 'HTTP/1.1 2', 'x', 'three digits from 100'],
    ['LF after the status', 'HTTP/1.1 200', '\n', 'three digits'],
    ['a tab after the status', 'HTTP/1.1 200', '\t', 'three digits'],
    ['LF after the reason', 'HTTP/1.1 200 OK', '\n', 'in the reason phrase'],
    ['NUL in the reason', 'HTTP/1.1 200 O', '\0', 'in the reason phrase'],
    ['DEL in the reason', 'HTTP/1.1 200 O', '\x7f', 'in the reason phrase'],
    ['CR in the reason', 'HTTP/1.1 200 O\r', 'K', 'a CR without LF'],
    ['CR CR LF after the reason', 'HTTP/1.1 200 OK\r', '\r', 'a CR without LF'],
    ['a blank before the first field', 'HTTP/1.1 200 OK\r\n', ' ', 'begins with no field name'],
    ['a tab before the first field', 'HTTP/1.1 200 OK\r\n', '\t', 'begins with no field name'],
    ['a fold with a blank', fields, ' ', 'begins with no field name'],
    ['a fold with a tab', fields, '\t', 'begins with no field name'],
    ['an empty name', fields, ':', 'begins with no field name'],
    ['LF where a line begins', fields, '\n', 'begins with no field name'],
    ['a name in quotes', fields, '"', 'begins with no field name'],
    ['a latin1 name', fields, '\xe4', 'begins with no field name'],
    ['a blank before the colon', `${fields}B`, ' ', 'in a field name'],
    ['a tab before the colon', `${fields}B`, '\t', 'in a field name'],
    ['NUL in a name', `${fields}B`, '\0', 'in a field name'],
    ['a latin1 letter in a name', `${fields}B`, '\xe4', 'in a field name'],
    ['a line without a colon', `${fields}B`, '\r', 'in a field name'],
    ['LF in a name', `${fields}B`, '\n', 'in a field name'],
    ['NUL in a value', `${fields}B: `, '\0', 'in a field value'],
    ['LF in a value', `${fields}B: c`, '\n', 'in a field value'],
    ['ESC in a value', `${fields}B: c`, '\x1b', 'in a field value'],
    ['DEL in a value', `${fields}B: c`, '\x7f', 'in a field value'],
    ['CR in a value', `${fields}B: c\r`, 'd', 'a CR without LF'],
    ['CR CR LF after a value', `${fields}B: c\r`, '\r', 'a CR without LF'],
    ['CR without LF at the end', `${fields}\r`, 'X', 'a CR without LF'],
    ['CR CR at the end', `${fields}\r`, '\r', 'a CR without LF'],
  ])('%s', (_, right, wrong, message) => {
    for (const pieces of shapesOf(right)) {
      expect(scan('head', pieces)).toMatchObject({ length: -1 });
      expect(scan('head', [...pieces, wrong])).toMatch(/^Malformed response: /);
      expect(scan('head', [...pieces, wrong])).toContain(message);
    }
    expect(scan('head', [`${right}${wrong}\r\n\r\n`])).toContain(message);
  });

  test('each control byte in name, value, reason and at the begin of a trailer', () => {
    const controls = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code)).filter((c) =>
      /[^\x20-\x7e]/.test(c),
    );
    expect(controls).toHaveLength(33);
    for (const control of controls) {
      expect(scan('head', [`${fields}B${control}`])).toMatch(/field name/);
      if (control !== '\r') expect(scan('trailers', [control])).toMatch(/no field name/);
      if (control === '\r' || control === '\t') continue;
      expect(scan('head', [`${fields}B: ${control}`])).toMatch(/field value/);
      expect(scan('head', [`HTTP/1.1 200 ${control}`])).toMatch(/reason phrase/);
    }
  });
});

describe('HeadScanner keeps its limits', () => {
  const head = 'HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\n\r\n';

  test('of bytes: a section of that size is read, one more byte is refused', () => {
    const shorter = `The response's head or trailer section is longer than ${head.length - 1} bytes`;
    for (const pieces of shapesOf(head)) {
      expect(scan('head', pieces, { maxHeadBytes: head.length })).toMatchObject({ length: head.length });
      expect(scan('head', pieces, { maxHeadBytes: head.length - 1 })).toBe(shorter);
    }
  });

  test('of bytes, of a line without end too, at the byte that is too much', () => {
    for (const begin of ['HTTP/1.1 200 ', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\nA:']) {
      const full = begin.padEnd(100, 'x');
      for (const pieces of [[full], [...full]]) {
        expect(scan('head', pieces, { maxHeadBytes: 100 })).toMatchObject({ length: -1 });
        expect(scan('head', [...pieces, 'x'], { maxHeadBytes: 100 })).toMatch(/longer than 100 bytes$/);
      }
    }
  });

  test('of fields: as many are read, one more is refused where it begins', () => {
    for (const pieces of shapesOf(head)) {
      expect(scan('head', pieces, { maxFields: 3 })).toMatchObject({ length: head.length });
      expect(scan('head', pieces, { maxFields: 2 })).toBe('The response has more than 2 fields in one section');
    }
    expect(scan('head', ['HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA'], { maxFields: 2 })).toMatch(/more than 2 fields/);
  });

  test('of fields, where many more come than it first has room for', () => {
    const lines = Array.from({ length: 1999 }, (_, i): [string, string] => [`X-${i}`, ` ${i}`]);
    const text = lines.map(([name, value]) => `${name}:${value}\r\n`).join('');
    const want = { length: text.length + 2, text: `${text}\r\n`, fieldsStart: 0, lines };
    expect(scan('trailers', [`${text}\r\n`])).toEqual(want);
    expect(scan('trailers', `${text}\r\n`.match(/.{1,1000}/gs) ?? [])).toEqual(want);
  });
});

test('HeadScanner begins again as if nothing had been', () => {
  const scanner = new HeadScanner(DEFAULT_RESPONSE_LIMITS);
  const first = Buffer.from('HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n');
  const second = Buffer.from('__HTTP/1.0 404 No\r\nC: 3\r\n\r\n');
  const third = Buffer.from('D: 4\r\n\r\n');
  scanner.beginHead();
  expect(scanner.scan(first, 0, first.length)).toBe(first.length);
  scanner.beginHead();
  expect(scanner.scan(second, 2, second.length)).toBe(second.length);
  expect(seenBy(scanner)).toEqual({ text: second.toString().slice(2), fieldsStart: 17, lines: [['C', ' 3']] });
  scanner.forget();
  expect(scanner.text).toBe('');
  scanner.beginTrailers();
  expect(scanner.scan(third, 0, third.length)).toBe(third.length);
  expect(seenBy(scanner)).toEqual({ text: 'D: 4\r\n\r\n', fieldsStart: 0, lines: [['D', ' 4']] });
});

describe('HeadScanner equals the plain version', () => {
  const pieces = [
    '\r\n',
    '\r',
    '\n',
    ':',
    ' ',
    '\t',
    '\0',
    'A',
    'a: b\r\n',
    '\xe4',
    '\x7f',
    '2',
    '0',
    'HTTP/1.1 ',
    '"',
  ];
  const edits = fc.array(fc.record({ at: fc.nat(200), removed: fc.nat(2), put: fc.constantFrom('', ...pieces) }), {
    maxLength: 3,
  });
  const heads = fc.record({ sample: responses, edits }).map(({ sample, edits }) =>
    edits.reduce((wire, { at, removed, put }) => {
      const where = at % (wire.length + 1);
      return wire.slice(0, where) + put + wire.slice(where + removed);
    }, sample.wire),
  );

  test('for heads, whole and damaged, at every byte and for every cut', () => {
    fc.assert(
      fc.property(heads, fc.nat(), (wire, cut) => {
        for (let length = 0; length <= Math.min(wire.length, 150); length++) {
          const part = wire.slice(0, length);
          const at = cut % (length + 1);
          const scanned = scan('head', [part.slice(0, at), part.slice(at)]);
          expect(typeof scanned === 'string' ? 'refused' : scanned).toEqual(plainScan('head', part));
        }
      }),
      { numRuns: 150 },
    );
  });

  test('for trailers, at every byte and for every cut', () => {
    const sections = fc.array(fc.constantFrom('a: b\r\n', ...pieces), { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(sections, fc.nat(), (wire, cut) => {
        for (let length = 0; length <= wire.length; length++) {
          const part = wire.slice(0, length);
          const at = cut % (length + 1);
          const scanned = scan('trailers', [part.slice(0, at), part.slice(at)]);
          expect(typeof scanned === 'string' ? 'refused' : scanned).toEqual(plainScan('trailers', part));
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** What the scanner says of the pieces: what it found, or the message with which it refused them. */
function scan(section: Section, pieces: readonly string[], limits: Partial<ResponseLimits> = {}): Scanned | string {
  const scanner = new HeadScanner({ ...DEFAULT_RESPONSE_LIMITS, ...limits });
  if (section === 'head') scanner.beginHead();
  else scanner.beginTrailers();
  let before = 0;
  try {
    for (const [index, piece] of pieces.entries()) {
      // What lies around the piece is not for it to see.
      const bytes = Buffer.from(`\r\n${piece}${index % 2 === 0 ? 'xxxx' : '\r\n\r\n'}`, 'latin1');
      const after = scanner.scan(bytes, 2, piece.length + 2);
      if (after !== -1) return { length: before + after - 2, ...seenBy(scanner) };
      before += piece.length;
    }
    return { length: -1, text: '', fieldsStart: 0, lines: [] };
  } catch (error) {
    if (error instanceof ProtocolError) return error.message;
    throw error;
  }
}

function seenBy({ text, fieldsStart, lines, lineCount }: HeadScanner): Omit<Scanned, 'length'> {
  const found = Array.from({ length: lineCount }, (_, line): [string, string] => {
    const [start, colon, end] = lines.slice(line * 3);
    return [text.slice(start, colon), text.slice((colon ?? Number.NaN) + 1, end)];
  });
  return { text, fieldsStart, lines: found };
}

/** The plain version: the text is split at CRLF, and patterns judge its lines. */
function plainScan(section: Section, wire: string): Scanned | 'refused' {
  const rows = wire.split('\r\n');
  const last = rows.pop() ?? '';
  const statusLine = section === 'head' ? rows.shift() : undefined;
  if (section === 'head' && statusLine === undefined) return isBegunStatusLine(last) ? GOES_ON : 'refused';
  if (statusLine !== undefined && !STATUS_LINE.test(statusLine)) return 'refused';
  const end = rows.indexOf('');
  const matches = (end === -1 ? rows : rows.slice(0, end)).map((row) => FIELD_LINE.exec(row));
  const lines = matches.flatMap((match) => (match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const]));
  if (lines.length < matches.length) return 'refused';
  if (end === -1) return isBegunFieldLine(last) ? GOES_ON : 'refused';
  const fieldsStart = statusLine === undefined ? 0 : statusLine.length + 2;
  const length = fieldsStart + lines.reduce((sum, [name, value]) => sum + name.length + value.length + 3, 0) + 2;
  return { length, text: wire.slice(0, length), fieldsStart, lines };
}

const GOES_ON: Scanned = { length: -1, text: '', fieldsStart: 0, lines: [] };

/** With what it lacks taken from a status line that is right, it is one. */
function isBegunStatusLine(text: string): boolean {
  const begun = text.length > 12 ? text.replace(/\r$/, '') : text;
  return STATUS_LINE.test(begun + 'HTTP/1.1 100'.slice(begun.length));
}

function isBegunFieldLine(text: string): boolean {
  return text === '\r' || FIELD_NAME.test(text) || FIELD_LINE.test(text.replace(/\r$/, ''));
}
