import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type UrlFields, urlencode } from '../../src/body/urlencode.js';

const UNRESERVED = 'ABCabc019_.-~';

test.each<[string, UrlFields | URLSearchParams | FormData, string]>([
  ['a plain object', { a: '1', b: 'x y' }, 'a=1&b=x+y'],
  ['several values of one name', { tag: ['x', 'y', 3] }, 'tag=x&tag=y&tag=3'],
  ['an empty list of values', { a: [], b: '' }, 'b='],
  [
    'pairs, in order and repeated',
    [
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
    ],
    'b=1&a=2&b=3',
  ],
  ['a Map', new Map([['k', 'v&w']]), 'k=v%26w'],
  ['URLSearchParams', new URLSearchParams('q=a+b&q=c'), 'q=a+b&q=c'],
  ['FormData', formData({ n: 'ä' }), 'n=%C3%A4'],
  ['an object without prototype', Object.assign(Object.create(null), { a: 'b' }), 'a=b'],
  ['undefined: left out', { a: undefined, b: [undefined, '1'] }, 'b=1'],
  [
    'numbers, booleans, BigInt',
    { n: -1.5, t: true, f: false, big: 2n ** 70n },
    'n=-1.5&t=true&f=false&big=1180591620717411303424',
  ],
  ['bytes as they are', { b: Uint8Array.of(0x20, 0x41, 0x7e, 0x7f, 0x80, 0xff) }, 'b=+A~%7F%80%FF'],
  ['an ArrayBuffer', { b: Uint8Array.of(0x2a).buffer }, 'b=%2A'],
  ['what Python leaves alone', { [UNRESERVED]: UNRESERVED }, `${UNRESERVED}=${UNRESERVED}`],
  ['what encodeURIComponent would leave', { a: "!'()*" }, 'a=%21%27%28%29%2A'],
  [
    'reserved and control characters',
    { a: '+/?#[]@:;=,$&%"\r\n\0' },
    'a=%2B%2F%3F%23%5B%5D%40%3A%3B%3D%2C%24%26%25%22%0D%0A%00',
  ],
  ['lone surrogates', { '\ud800': 'x\udc00y😀' }, '%EF%BF%BD=x%EF%BF%BDy%F0%9F%98%80'],
  ['nothing', {}, ''],
])('urlencode() takes %s', (_, fields, want) => {
  expect(urlencode(fields)).toBe(want);
});

test.each<[string, unknown, string]>([
  ['a string', 'a=b', 'fields'],
  ['null', null, 'fields'],
  ['a class instance', new Date(0), 'fields'],
  ['an item that is no pair', ['ab'], 'a pair'],
  ['a name that is no string', [[1, 'x']], 'a pair'],
  ['null as a value', { a: null }, '"a"'],
  ['a nested object', { a: { b: 'c' } }, '"a"'],
  ['a nested list', { a: [['b']] }, '"a"'],
  [
    'a file',
    { photo: ['x.png', new Blob(['x'])] },
    '"photo" in a URL or form: it must be a string, number, boolean or bytes; a file',
  ],
])('urlencode() refuses %s and says what it wants', (_, fields, want) => {
  // Callers without types give anything.
  expect(() => urlencode(fields as UrlFields)).toThrow(TypeError);
  expect(() => urlencode(fields as UrlFields)).toThrow(want);
});

test('urlencode() is read back as it was by another decoder', () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(wellFormed(), wellFormed())), (pairs) => {
      const encoded = urlencode(pairs);
      expect([...new URLSearchParams(encoded)]).toEqual(pairs);
      expect(encoded).toMatch(/^[A-Za-z0-9_.~+%=&-]*$/);
    }),
  ));

test('urlencode() takes linear time', () => {
  const started = performance.now();
  expect(urlencode({ a: '\ud800é '.repeat(100_000) }).length).toBeGreaterThan(1_000_000);
  expect(performance.now() - started).toBeLessThan(2_000);
});

function wellFormed() {
  return fc.string({ unit: 'grapheme' });
}

function formData(fields: Record<string, string>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}
