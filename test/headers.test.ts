import { inspect } from 'node:util';
import vm from 'node:vm';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { asciiLowerCase, fieldLines, type HeadersInput, HTTPHeaderDict } from '../src/headers.js';

const VIA = [
  ['Via', '1.1 a'],
  ['Accept', '*/*'],
  ['via', '1.1 b'],
] as const;

function section(lines: readonly (readonly [string, string])[]): string {
  return lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}

describe.each([
  ['pairs', () => new HTTPHeaderDict(VIA)],
  ['a field section', () => HTTPHeaderDict.fromFieldSection(section(VIA))],
  ['a copy', () => new HTTPHeaderDict(VIA).copy()],
  ['a copy of an unread field section', () => HTTPHeaderDict.fromFieldSection(section(VIA)).copy()],
])('HTTPHeaderDict made of %s', (_, make) => {
  test('get() joins the values of a name in any case, and falls back', () => {
    const headers = make();
    expect(headers.get('VIA')).toBe('1.1 a, 1.1 b');
    expect(headers.get('accept')).toBe('*/*');
    expect(headers.get('absent')).toBeUndefined();
    expect(headers.get('absent', 'fallback')).toBe('fallback');
    expect(headers.get('via', null)).toBe('1.1 a, 1.1 b');
  });

  test('getList() gives one value per line, and a list of its own', () => {
    const headers = make();
    expect(headers.getList('via')).toEqual(['1.1 a', '1.1 b']);
    expect(headers.getList('absent')).toEqual([]);
    headers.getList('via').push('changed');
    expect(headers.getList('via')).toEqual(['1.1 a', '1.1 b']);
  });

  test('keys(), values(), entries(), items() and iteration merge, in order and in the first spelling', () => {
    const headers = make();
    const wanted = [
      ['Via', '1.1 a, 1.1 b'],
      ['Accept', '*/*'],
    ];
    expect([...headers.keys()]).toEqual(['Via', 'Accept']);
    expect([...headers.values()]).toEqual(['1.1 a, 1.1 b', '*/*']);
    expect([...headers.entries()]).toEqual(wanted);
    expect([...headers.items()]).toEqual(wanted);
    expect([...headers]).toEqual(wanted);
    const seen: unknown[] = [];
    headers.forEach((value, name, dict) => {
      seen.push([name, value, dict === headers]);
    });
    expect(seen).toEqual(wanted.map((pair) => [...pair, true]));
  });

  test('iteritems() gives one pair per line', () => {
    expect([...make().iteritems()]).toEqual([
      ['Via', '1.1 a'],
      ['Via', '1.1 b'],
      ['Accept', '*/*'],
    ]);
  });

  test('size and has() count names, not lines', () => {
    const headers = make();
    expect(headers.size).toBe(2);
    expect(headers.has('ACCEPT')).toBe(true);
    expect(headers.has('absent')).toBe(false);
  });

  test('set() replaces every value and keeps place and first spelling', () => {
    const headers = make().set('VIA', '1.1 c').set('X-New', 7);
    expect([...headers]).toEqual([
      ['Via', '1.1 c'],
      ['Accept', '*/*'],
      ['X-New', '7'],
    ]);
    expect(headers.set('via', ['a', 'b']).getList('via')).toEqual(['a', 'b']);
    expect(headers.set('via', []).has('via')).toBe(false);
  });

  test('add(), append() and extend() add to what is there', () => {
    const headers = make().add('accept', 'text/html').append('VIA', ['1.1 c', '1.1 d']).extend({ Accept: 'x', New: 1 });
    expect(headers.getList('accept')).toEqual(['*/*', 'text/html', 'x']);
    expect(headers.getList('via')).toEqual(['1.1 a', '1.1 b', '1.1 c', '1.1 d']);
    expect(headers.get('new')).toBe('1');
    expect(headers.extend(headers).getList('new')).toEqual(['1', '1']);
  });

  test('delete() and discard() take a name out with all its values', () => {
    const headers = make();
    expect(headers.delete('VIA')).toBe(true);
    expect(headers.delete('via')).toBe(false);
    expect(headers.discard('accept')).toBeUndefined();
    expect(headers.discard('accept')).toBeUndefined();
    expect(headers.size).toBe(0);
  });

  test('copy() is apart from its original', () => {
    const headers = make();
    const copy = headers.copy();
    copy.add('via', 'c').delete('accept');
    expect(headers.getList('via')).toEqual(['1.1 a', '1.1 b']);
    expect(headers.has('accept')).toBe(true);
    headers.add('via', 'd');
    expect(copy.getList('via')).toEqual(['1.1 a', '1.1 b', 'c']);
  });
});

describe('HTTPHeaderDict', () => {
  test('takes every kind of input', () => {
    const inputs: [string, HeadersInput | null | undefined, string[][]][] = [
      ['nothing', undefined, []],
      ['null', null, []],
      [
        'a plain object',
        { A: '1', B: ['2', '3'], C: 4, D: undefined },
        [
          ['A', '1'],
          ['B', '2'],
          ['B', '3'],
          ['C', '4'],
        ],
      ],
      ['an object without prototype', Object.assign(Object.create(null), { A: '1' }), [['A', '1']]],
      ['an object of another realm', vm.runInNewContext('({ A: "1" })'), [['A', '1']]],
      [
        'an iterable made by braces',
        {
          *[Symbol.iterator]() {
            yield ['A', '1'] as const;
          },
        },
        [['A', '1']],
      ],
      [
        'an HTTPHeaderDict',
        new HTTPHeaderDict({ A: ['1', '2'] }),
        [
          ['A', '1'],
          ['A', '2'],
        ],
      ],
      [
        'Headers',
        new Headers([
          ['B', '2'],
          ['A', '1'],
          ['Set-Cookie', 'x'],
          ['Set-Cookie', 'y'],
        ]),
        [
          ['a', '1'],
          ['b', '2'],
          ['set-cookie', 'x'],
          ['set-cookie', 'y'],
        ],
      ],
      [
        'a Map',
        new Map<string, string | number>([
          ['A', '1'],
          ['B', 2],
        ]),
        [
          ['A', '1'],
          ['B', '2'],
        ],
      ],
      [
        'pairs',
        [
          ['A', '1'],
          ['B', ['2', '3']],
          ['C', undefined],
        ],
        [
          ['A', '1'],
          ['B', '2'],
          ['B', '3'],
        ],
      ],
      [
        'a generator of pairs',
        (function* () {
          yield ['A', '1'] as const;
        })(),
        [['A', '1']],
      ],
    ];
    for (const [name, input, wanted] of inputs) {
      expect([...new HTTPHeaderDict(input).iteritems()], name).toEqual(wanted);
      // Asked again where that is possible: a generator gives its pairs only once.
      if (!name.includes('generator')) expect(fieldLines(input), name).toEqual(wanted);
    }
  });

  test('HeadersInput has no place for objects and functions', () => {
    expectTypeOf<Headers>().toExtend<HeadersInput>();
    expectTypeOf<HTTPHeaderDict>().toExtend<HeadersInput>();
    expectTypeOf<Map<string, string>>().toExtend<HeadersInput>();
    expectTypeOf<{ A: string; B?: readonly string[] }>().toExtend<HeadersInput>();
    // @ts-expect-error a function is no header value
    expect(() => new HTTPHeaderDict({ A: () => '1' })).toThrow(TypeError);
  });

  test('keeps the lines of Set-Cookie apart wherever it iterates', () => {
    const headers = new HTTPHeaderDict([
      ['Set-Cookie', 'a=1; Expires=Mon, 01 Jan 2035 00:00:00 GMT'],
      ['X', '1'],
      ['set-cookie', 'b=2'],
    ]);
    expect(headers.getSetCookie()).toEqual(['a=1; Expires=Mon, 01 Jan 2035 00:00:00 GMT', 'b=2']);
    expect([...headers]).toEqual([
      ['Set-Cookie', 'a=1; Expires=Mon, 01 Jan 2035 00:00:00 GMT'],
      ['Set-Cookie', 'b=2'],
      ['X', '1'],
    ]);
    expect(headers.get('set-cookie')).toBe('a=1; Expires=Mon, 01 Jan 2035 00:00:00 GMT, b=2');
    expect([...headers.keys()]).toEqual(['Set-Cookie', 'X']);
    expect(new HTTPHeaderDict().getSetCookie()).toEqual([]);
  });

  test('toString() is the listing of the reference, on one line and without credentials', () => {
    const headers = new HTTPHeaderDict({ 'Content-Length': '33', Via: ['a', 'b'] });
    expect(String(headers)).toBe("HTTPHeaderDict({'Content-Length': '33', 'Via': 'a, b'})");
    expect(String(new HTTPHeaderDict())).toBe('HTTPHeaderDict({})');
    expect(String(new HTTPHeaderDict({ A: 'a long line\nof a \x1b[31mforged log and more' }))).toBe(
      "HTTPHeaderDict({'A': 'a long line\\nof a \\x1B[31mforged log and more'})",
    );
    expect(String(new HTTPHeaderDict({ AUTHORIZATION: 'Basic s3cret', cookie: 's3cret' }))).toBe(
      "HTTPHeaderDict({'AUTHORIZATION': '***', 'cookie': '***'})",
    );
  });

  test('inspect() prints a plain listing without credentials', () => {
    const headers = new HTTPHeaderDict({ 'Content-Length': '33', Via: ['a', 'b'], 'Proxy-Authorization': 's3cret' });
    expect(inspect(headers, { breakLength: Number.POSITIVE_INFINITY })).toBe(
      "HTTPHeaderDict { 'Content-Length': '33', Via: [ 'a', 'b' ], 'Proxy-Authorization': '***' }",
    );
  });

  test('toJSON() is a plain object', () => {
    const headers = new HTTPHeaderDict({ Via: ['a', 'b'], 'Set-Cookie': ['x', 'y'], Authorization: 'Basic eA==' });
    expect(JSON.stringify(headers)).toBe('{"Via":"a, b","Set-Cookie":["x","y"],"Authorization":"Basic eA=="}');
    expect(headers.add('set-cookie', 'z').set('Set-Cookie', 'one').toJSON()).toStrictEqual({
      Via: 'a, b',
      'Set-Cookie': 'one',
      Authorization: 'Basic eA==',
    });
  });

  test('keys(), values() and entries() are of the moment when they were asked for', () => {
    const headers = new HTTPHeaderDict({ A: '1', B: '2' });
    for (const name of headers.keys()) headers.delete(name);
    expect(headers.size).toBe(0);
  });

  test('fromFieldSection() trims SP and HTAB only', () => {
    const headers = HTTPHeaderDict.fromFieldSection(
      'A: \t x y \t\r\nB:\u00a0z\u00a0\r\nC:\r\nD:   \r\nE:a:b\r\nF: no line end',
    );
    expect([...headers]).toEqual([
      ['A', 'x y'],
      ['B', '\u00a0z\u00a0'],
      ['C', ''],
      ['D', ''],
      ['E', 'a:b'],
      ['F', 'no line end'],
    ]);
    expect(HTTPHeaderDict.fromFieldSection('').size).toBe(0);
  });

  test('fromFieldSection() says so if it was given a line that nobody validated', () => {
    const broken = () => HTTPHeaderDict.fromFieldSection('no colon\r\nA: 1\r\n');
    expect(broken).not.toThrow();
    expect(() => broken().size).toThrow('Bug in urllib3: a validated field line has no colon');
    expect(() => HTTPHeaderDict.fromFieldSection('nothing').size).toThrow('Bug in urllib3');
  });

  test('fromFieldSection() reads what a plain reader reads', () => {
    const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
    const value = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(token, value), { maxLength: 30 }), (lines) => {
        const read = HTTPHeaderDict.fromFieldSection(lines.map(([name, text]) => `${name}:${text}\r\n`).join(''));
        const plain = new HTTPHeaderDict();
        for (const [name, text] of lines) plain.add(name, text.replace(/^[ \t]+|[ \t]+$/g, ''));
        expect([...read.iteritems()]).toEqual([...plain.iteritems()]);
      }),
    );
  });

  test('behaves like a plain list of lines under any series of changes', () => {
    const name = fc.constantFrom('a', 'A', 'b', 'B', 'Set-Cookie', '__proto__', 'constructor');
    const value = fc.constantFrom('1', '2', '');
    const change = fc.oneof(
      fc.tuple(fc.constant('add' as const), name, value),
      fc.tuple(fc.constant('set' as const), name, value),
      fc.tuple(fc.constant('delete' as const), name, value),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const headers = new HTTPHeaderDict();
        const model: { name: string; values: string[] }[] = [];
        for (const [kind, key, text] of changes) {
          const at = model.findIndex((field) => field.name.toLowerCase() === key.toLowerCase());
          const field = model[at];
          if (kind === 'add') {
            headers.add(key, text);
            if (field === undefined) model.push({ name: key, values: [text] });
            else field.values.push(text);
          } else if (kind === 'set') {
            headers.set(key, text);
            if (field === undefined) model.push({ name: key, values: [text] });
            else field.values = [text];
          } else {
            expect(headers.delete(key)).toBe(field !== undefined);
            if (field !== undefined) model.splice(at, 1);
          }
        }
        expect([...headers.iteritems()]).toEqual(
          model.flatMap(({ name, values }) => values.map((text) => [name, text])),
        );
        expect(headers.size).toBe(model.length);
      }),
    );
  });
});

describe('fieldLines()', () => {
  test.each([
    ['text', 'Authorization: Basic s3cret', 'a value of type string'],
    ['a number', 7, 'a value of type number'],
    ['a function', () => 's3cret', 'a value of type function'],
    ['a promise', Promise.resolve({}), 'an object (Promise)'],
    [
      'an instance of a class',
      new (class Mine {
        a = '1';
      })(),
      'an object (Mine)',
    ],
    ['an object that inherits', Object.create({ inherited: '1' }), 'an object (Object)'],
  ])('rejects %s as headers', (_, input, kind) => {
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => fieldLines(input as never)).toThrow(
      new TypeError(`Cannot use ${kind} as headers: it must be a plain object, HTTPHeaderDict, Headers, Map or pairs`),
    );
  });

  test.each([[['A']], [['A', '1', '2']], ['AB'], [null]])('rejects %j where a pair should be', (pair) => {
    // Deliberately of a wrong type, as above.
    expect(() => fieldLines([pair] as never)).toThrow(
      new TypeError('Cannot use these headers: an iterable of headers must give [name, value] pairs'),
    );
  });

  test('rejects a name that is not a string', () => {
    // Deliberately of a wrong type, as above.
    expect(() => fieldLines([[7, '1']] as never)).toThrow('Cannot use 7 as a header name: it must be a string');
    expect(() => new HTTPHeaderDict().set(null as never, '1')).toThrow('Cannot use null as a header name');
  });

  test('writes numbers in decimal', () => {
    expect(fieldLines({ A: 0, B: -0, C: 1.5, D: 33 })).toEqual([
      ['A', '0'],
      ['B', '0'],
      ['C', '1.5'],
      ['D', '33'],
    ]);
  });
});

test('asciiLowerCase() folds A to Z and nothing else', () => {
  expect(asciiLowerCase('Content-LENGTH')).toBe('content-length');
  expect(asciiLowerCase('É-\u212a-\u0130-AB')).toBe('É-\u212a-\u0130-ab');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
      const plain = [...text].map((c) => (c >= 'A' && c <= 'Z' ? c.toLowerCase() : c)).join('');
      expect(asciiLowerCase(text)).toBe(plain);
    }),
  );
});
