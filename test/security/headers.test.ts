import { describe, expect, test } from 'vitest';
import { fieldLines, type HeadersInput, HTTPHeaderDict } from '../../src/headers.js';

const SECRET = 's3cret';

describe('SEC-047 (CVE-2025-69224, CVE-2025-69225): field names fold in ASCII only', () => {
  test.each([
    ['U+212A is not k', 'coo\u212aie', 'cookie'],
    ['U+017F is not s', '\u017fet-cookie', 'set-cookie'],
    ['U+0130 is not i', 'v\u0130a', 'via'],
    ['U+00C0 is not U+00E0', 'x-\u00c0', 'x-\u00e0'],
  ])('HTTPHeaderDict: %s', (_, odd, plain) => {
    const headers = new HTTPHeaderDict([
      [plain, 'plain'],
      [odd, 'odd'],
    ]);
    expect(headers.size).toBe(2);
    expect(headers.get(plain)).toBe('plain');
    expect(headers.get(plain.toUpperCase().replace('À', 'à'))).toBe('plain');
    expect(headers.get(odd)).toBe('odd');
    expect(headers.delete(odd)).toBe(true);
    expect(headers.get(plain)).toBe('plain');
  });

  test('HTTPHeaderDict.fromFieldSection() trims no Unicode blank', () => {
    expect(HTTPHeaderDict.fromFieldSection('A: \u00a0b\u00a0\r\n').get('a')).toBe('\u00a0b\u00a0');
  });
});

describe('SEC-019 (CVE-2022-35948, CVE-2026-42037): a header value is turned into text once, or refused', () => {
  const hostile: [string, unknown][] = [
    ['an object with toString', { toString: () => SECRET }],
    ['an object with Symbol.toPrimitive', { [Symbol.toPrimitive]: () => SECRET }],
    ['a String object', Object(SECRET)],
    ['a function', () => SECRET],
    ['a boolean', true],
    ['null', null],
    ['a symbol', Symbol(SECRET)],
    ['a bigint', 7n],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['bytes', Buffer.from(SECRET)],
    ['an array in an array', [[SECRET]]],
    ['null in an array', [SECRET, null]],
    ['undefined in an array', [SECRET, undefined]],
    ['a hole in an array', new Array(1)],
  ];

  test.each(hostile)('fieldLines() refuses %s, names the field and does not show the value', (_, value) => {
    for (const use of [
      // Deliberately of a wrong type: what JavaScript can pass.
      () => fieldLines({ 'X-Token': value } as never),
      () => fieldLines([['X-Token', value]] as never),
      () => new HTTPHeaderDict({ 'X-Token': value } as never),
      () => new HTTPHeaderDict().set('X-Token', value as never),
      () => new HTTPHeaderDict().add('X-Token', value as never),
    ]) {
      expect(use).toThrow(TypeError);
      expect(use).toThrow(/header "X-Token": it must be a string, a finite number or an array of these$/);
      expect(use).not.toThrow(SECRET);
    }
  });

  test('fieldLines() asks a getter once and gives what it answered', () => {
    let asked = 0;
    const input = {
      get 'X-Token'() {
        asked++;
        return asked === 1 ? 'first' : 'second\r\nX-Injected: 1';
      },
    };
    expect(fieldLines(input)).toEqual([['X-Token', 'first']]);
    expect(asked).toBe(1);
  });

  test('fieldLines() asks an array and an iterable once for each element', () => {
    const asked: string[] = [];
    const values = new Proxy(['a', 'b'], {
      get(target, property) {
        if (property === '0' || property === '1') asked.push(property);
        return Reflect.get(target, property);
      },
    });
    expect(fieldLines({ A: values })).toEqual([
      ['A', 'a'],
      ['A', 'b'],
    ]);
    expect(asked).toEqual(['0', '1']);
  });

  test('fieldLines() checks what a subclass of HTTPHeaderDict says', () => {
    class Odd extends HTTPHeaderDict {
      override iteritems(): never {
        // Deliberately of a wrong type: what JavaScript can return.
        return [['X-Token', { toString: () => SECRET }]].values() as never;
      }
    }
    expect(() => fieldLines(new Odd())).toThrow(TypeError);
  });
});

test('SEC-025 (npm advisories 309, 388, 393): fieldLines() writes a number as decimal text, never as memory of that size', () => {
  expect(fieldLines({ 'Content-Length': 1000 })).toEqual([['Content-Length', '1000']]);
  expect(new HTTPHeaderDict({ A: 100 }).get('a')).toBe('100');
});

describe('SEC-027 (CVE-2026-42264, CVE-2026-21710): prototypes are neither read nor written', () => {
  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'HTTPHeaderDict stores the field %s as a plain entry',
    (name) => {
      for (const headers of [
        HTTPHeaderDict.fromFieldSection(`${name}: evil\r\n`),
        new HTTPHeaderDict([[name, 'evil']]),
        new HTTPHeaderDict(JSON.parse(`{"${name}":"evil"}`)),
      ]) {
        expect(headers.get(name)).toBe('evil');
        expect([...headers]).toEqual([[name, 'evil']]);
        expect(JSON.stringify(headers)).toBe(`{"${name}":"evil"}`);
        expect(Object.getPrototypeOf(headers.toJSON())).toBe(Object.prototype);
      }
      expect(new HTTPHeaderDict().get(name)).toBeUndefined();
      expect(new HTTPHeaderDict().has(name)).toBe(false);
      expect(({} as Record<string, unknown>).evil).toBeUndefined();
    },
  );

  test('fieldLines() sees own enumerable properties only', () => {
    Object.defineProperty(Object.prototype, 'Authorization', {
      value: 'evil',
      enumerable: true,
      writable: true,
      configurable: true,
    });
    try {
      const seen = [...fieldLines({ A: '1' }), ...new HTTPHeaderDict({}).iteritems()];
      expect(seen).toEqual([['A', '1']]);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'Authorization');
    }
    const hidden: HeadersInput = Object.defineProperty({ A: '1' }, 'B', { value: '2', enumerable: false });
    expect(fieldLines(hidden)).toEqual([['A', '1']]);
  });
});

describe('SEC-109 (CVE-2023-24534, CVE-2025-67725): very many equal names cost linear time', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i): [string, string] => ['X-Many', `value ${i}`]);

  test.each<[string, (count: number) => HTTPHeaderDict]>([
    ['fromFieldSection()', (count) => HTTPHeaderDict.fromFieldSection('X-Many: value\r\n'.repeat(count))],
    ['extend()', (count) => new HTTPHeaderDict().extend(lines(count))],
    [
      'the constructor with an array',
      (count) => new HTTPHeaderDict({ 'x-many': lines(count).map(([, value]) => value) }),
    ],
    ['copy()', (count) => new HTTPHeaderDict(lines(count)).copy()],
  ])('HTTPHeaderDict: %s and the join of 50,000 lines take well under a second', (_, make) => {
    const start = performance.now();
    const headers = make(50_000);
    expect(headers.get('x-many')?.length).toBeGreaterThan(300_000);
    expect(headers.getList('X-MANY')).toHaveLength(50_000);
    // A quadratic join moves 50,000 times half a megabyte: many seconds, where this takes hundredths of one.
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('HTTPHeaderDict reads a field section once: what was deleted does not come back', () => {
    const headers = HTTPHeaderDict.fromFieldSection('A: 1\r\nB: 2\r\n');
    headers.delete('a');
    expect([...headers.iteritems()]).toEqual([['B', '2']]);
    expect([...headers.copy()]).toEqual([['B', '2']]);
  });
});
