import fc from 'fast-check';
import { expect, describe as group, test } from 'vitest';
import { describe, excerpt, withoutUserinfo } from '../src/excerpt.js';

group('excerpt()', () => {
  test.each([
    ['', '""'],
    ['plain', '"plain"'],
    ['"quoted" \\ back', '"\\"quoted\\" \\\\ back"'],
    ['a\r\nforged line', '"a\\x0d\\x0aforged line"'],
    ['\x1b[31mred\x07', '"\\x1b[31mred\\x07"'],
    ['\x7f\x85', '"\\x7f\\x85"'],
    ['a\u2028b\u2029c', '"a\\u2028b\\u2029c"'],
    ['\u202egnp.exe', '"\\u202egnp.exe"'],
    ['\u2066\u200b\ufeff\u00ad\u061c', '"\\u2066\\u200b\\ufeff\\xad\\u061c"'],
    ['\ud800', '"\\ud800"'],
    ['é ü 日本', '"é ü 日本"'],
  ])('shows %j in quotes', (text, shown) => {
    expect(excerpt(text)).toBe(shown);
  });

  test('cuts what is longer than 120 characters, and says how long it was', () => {
    expect(excerpt('x'.repeat(120))).toBe(`"${'x'.repeat(120)}"`);
    expect(excerpt('x'.repeat(121))).toBe(`"${'x'.repeat(120)}"... (121 characters)`);
    expect(excerpt('\n'.repeat(1_000_000)).length).toBeLessThan(600);
  });

  test('is one line of bounded length for any text, with nothing that acts on a terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const shown = excerpt(text);
        expect(shown).not.toMatch(/[\0-\x1f\x7f-\x9f\u2028-\u202e]/);
        expect(shown.length).toBeLessThan(800);
        expect(shown.slice(1).replace(/\\./g, '')).toMatch(/^[^"]*"(\.\.\. \(\d+ characters\))?$/);
      }),
    );
  });
});

group('describe()', () => {
  class Mine {}
  test.each<[unknown, string]>([
    ['text\n', '"text\\x0a"'],
    [7, '7'],
    [-0, '0'],
    [Number.NaN, 'NaN'],
    [7n, '7'],
    [true, 'true'],
    [undefined, 'undefined'],
    [null, 'null'],
    [[1, 2], 'an array'],
    [{ toString: () => 's3cret' }, 'an object (Object)'],
    [new Mine(), 'an object (Mine)'],
    [new Map(), 'an object (Map)'],
    [Object.create(null), 'an object (Object)'],
    [{ constructor: { name: 7 } }, 'an object (Object)'],
    [() => 's3cret', 'a function'],
    [Mine, 'a function'],
    [Symbol('s3cret'), 'a symbol'],
  ])('names %o as %s', (value, wanted) => {
    expect(describe(value)).toBe(wanted);
  });
});

group('withoutUserinfo()', () => {
  test.each([
    ['http://user:pw@host/path', 'http://***@host/path'],
    ['http://user@host', 'http://***@host'],
    ['http://a:b@c:d@host/', 'http://***@host/'],
    ['//user:pw@host/', '//***@host/'],
    ['http://user:pw@host?q=a@b', 'http://***@host?q=a@b'],
    ['http://user:pw@host#a@b', 'http://***@host#a@b'],
    ['http://host/a@b', 'http://host/a@b'],
    ['http://host', 'http://host'],
    ['/path@x', '/path@x'],
    ['', ''],
  ])('makes %s into %s', (url, wanted) => {
    expect(withoutUserinfo(url)).toBe(wanted);
  });
});
