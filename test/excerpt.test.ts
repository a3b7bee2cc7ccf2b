import fc from 'fast-check';
import { expect, describe as group, test } from 'vitest';
import {
  describe,
  excerpt,
  oneLine,
  withoutPossibleUserinfo,
  withoutSecrets,
  withoutUserinfo,
} from '../src/excerpt.js';

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
    ['user:pw@host/path', '***@host/path'],
    ['user:pw@host/a//b', '***@host/a//b'],
    ['HTTP://user:pw@host', 'HTTP://***@host'],
    ['http:user:pw@host', '***@host'],
    ['/go?to=http://user:pw@host/&mail=a@b', '/go?to=http://***@host/&mail=a@b'],
    ['http://host/#//user:pw@x', 'http://host/#//***@x'],
    ['*', '*'],
  ])('makes %s into %s', (url, wanted) => {
    expect(withoutUserinfo(url)).toBe(wanted);
  });
});

group('withoutPossibleUserinfo()', () => {
  test.each([
    ['http://user:pass/word@host/', 'http://***@host/'],
    ['http://user:pass#word?@host/', 'http://***@host/'],
    ['//user:pass word@host/a@b', '//***@b'],
    ['user:pa/ss@host', '***@host'],
    ['@host', '***@host'],
    ['a@http://b', '***@http://b'],
    ['http://[/', 'http://[/'],
    ['', ''],
  ])('makes %s into %s', (text, wanted) => {
    expect(withoutPossibleUserinfo(text)).toBe(wanted);
  });
});

group('withoutSecrets()', () => {
  test.each([
    ['http://user:pw@h/?token=abc&b=1#token=x', 'http://***@h/?token=***&b=1#token=x'],
    ['/?password=a&passwd=b&pwd=c&passphrase=d', '/?password=***&passwd=***&pwd=***&passphrase=***'],
    [
      '/?access_token=a&refreshToken=b&X-Amz-Security-Token=c',
      '/?access_token=***&refreshToken=***&X-Amz-Security-Token=***',
    ],
    [
      '/?X-Amz-Signature=a&X-Goog-Signature=b&Signature=c&sig=d',
      '/?X-Amz-Signature=***&X-Goog-Signature=***&Signature=***&sig=***',
    ],
    ['/?client_secret=a&X-Amz-Credential=b&credentials=c', '/?client_secret=***&X-Amz-Credential=***&credentials=***'],
    [
      '/?api_key=a&apikey=b&API-KEY=c&key=d&AWSAccessKeyId=e',
      '/?api_key=***&apikey=***&API-KEY=***&key=***&AWSAccessKeyId=***',
    ],
    ['/?auth=a&jwt=b&sid=c&session=d&sessionid=e', '/?auth=***&jwt=***&sid=***&session=***&sessionid=***'],
    ["/?token=a'b%26c=d&x=y", '/?token=***&x=y'],
    [
      '/?keys=a&monkey=b&tokens=c&author=d&signatures=e&token=&q=token=f',
      '/?keys=a&monkey=b&tokens=c&author=d&signatures=e&token=&q=token=f',
    ],
    ['/token=a', '/token=a'],
  ])('makes %s into %s', (url, wanted) => {
    expect(withoutSecrets(url)).toBe(wanted);
  });
});

group('oneLine()', () => {
  test.each([
    ['as it is: "quoted", \\, 100 %, é 日本 🎉', 'as it is: "quoted", \\, 100 %, é 日本 🎉'],
    ['a\r\nb\tc\0', 'a\\x0d\\x0ab\\x09c\\x00'],
    ['\x1b[2J\x9b\u2028\u202e\u2066\ufeff\ud800', '\\x1b[2J\\x9b\\u2028\\u202e\\u2066\\ufeff\\ud800'],
    ['of http://user:pw@a/ to "//u@b" (a@b)', 'of http://***@a/ to "//***@b" (a@b)'],
    ['http://a/ mail@b', 'http://a/ mail@b'],
    ['url: "/a?token=b" (Caused by x)', 'url: "/a?token=***" (Caused by x)'],
  ])('shows %j as %j', (text, wanted) => {
    expect(oneLine(text)).toBe(wanted);
  });

  test('cuts what is too long, after the user-info, half of which could not be known', () => {
    expect(oneLine('x'.repeat(4_000))).toHaveLength(4_000);
    expect(oneLine('x'.repeat(4_001))).toBe(`${'x'.repeat(4_000)}... (4001 characters)`);
    expect(oneLine(`${'x'.repeat(3_980)}http://user:${'s3cret'.repeat(9)}@h/`)).not.toContain('s3cret');
  });

  test('takes linear time on many slashes and no @', () => {
    const began = performance.now();
    const texts = ['/'.repeat(1_000_000), '//a'.repeat(500_000), `//${'a'.repeat(1_000_000)}`];
    texts.push(
      'token='.repeat(200_000),
      `?${'a-token'.repeat(200_000)}=`,
      '?token='.repeat(200_000),
      `?${'a'.repeat(1_000_000)}`,
    );
    for (const text of texts) oneLine(text);
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test('is one line of bounded length for any text, and the same when done twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const shown = oneLine(text);
        expect(shown).not.toMatch(/[\0-\x1f\x7f-\x9f\u2028-\u202e]/);
        expect(shown.length).toBeLessThan(1_300);
        expect(oneLine(shown)).toBe(shown);
      }),
    );
  });
});
