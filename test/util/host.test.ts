import net from 'node:net';
import nodeUrl from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LocationParseError } from '../../src/exceptions.js';
import { internationalLabels, isIPv6, normalizeIPv6, normalizeName } from '../../src/util/host.js';

const failure = (detail: string) => new LocationParseError('http://the.url/', { detail });

describe('normalizeName()', () => {
  test('gives the dotted quad for every way to write an IPv4 address', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), (value) => {
        const bytes = [24, 16, 8, 0].map((bits) => (value >>> bits) & 255);
        const octal = bytes.map((byte) => `0${byte.toString(8)}`).join('.');
        const hexadecimal = bytes.map((byte) => `0X${byte.toString(16)}`).join('.');
        const two = `${bytes[0]}.${value % 2 ** 24}`;
        const three = `${bytes[0]}.${bytes[1]}.${value % 2 ** 16}.`;
        for (const form of [`${value}`, `0x${value.toString(16)}`, octal, hexadecimal, two, three]) {
          expect(normalizeName(form, failure)).toBe(bytes.join('.'));
        }
      }),
    );
  });

  test('gives a name that it leaves alone, or a LocationParseError', () => {
    const label = fc.oneof(
      fc.constantFrom('xn--', 'a', '1', '0x1', 'ü', '例', '\u0301', '-'),
      fc.string({ unit: 'grapheme' }),
    );
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 4 }), (labels) => {
        try {
          const name = normalizeName(labels.join('.'), failure);
          expect(normalizeName(name, failure)).toBe(name);
        } catch (error) {
          expect(error).toBeInstanceOf(LocationParseError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['a b', 'the host holds a character that no host may hold'],
    ['a..b', 'the host has an empty label'],
    ['a'.repeat(64), 'a label of the host is longer than 63 octets'],
    ['a.'.repeat(127), 'the host is longer than 253 octets'],
    ['a.'.repeat(1000), 'the host is longer than 253 octets'],
    ['1.2.3.256', 'the host ends in a number but is not an IPv4 address'],
    ['xn--example-', 'the host is not a valid international name'],
  ])('says what is wrong with %j', (host, detail) => {
    const full = host === 'a.'.repeat(127) ? `${host}a` : host; // 255 octets; 254 with a trailing dot would do
    expect(() => normalizeName(full, failure)).toThrow(detail);
  });
});

describe('normalizeIPv6()', () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });

  test('gives one text for every way to write an address, the one that the parser of the web gives', () => {
    fc.assert(
      fc.property(groups, (words) => {
        const full = `[${words.map((word) => word.toString(16).padStart(4, '0').toUpperCase()).join(':')}]`;
        const compressed = new URL(`http://${full}`).hostname;
        expect(normalizeIPv6(full, failure)).toBe(normalizeIPv6(compressed, failure));
        if (!compressed.startsWith('[::ffff:')) expect(normalizeIPv6(full, failure)).toBe(compressed);
      }),
      { numRuns: 500 },
    );
  });

  test('writes an IPv4 address that is mapped into IPv6 with its dots (RFC 5952 section 5)', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(normalizeIPv6(`[0:0:0:0:0:FFFF:${address}]`, failure)).toBe(`[::ffff:${address}]`);
        expect(normalizeIPv6(new URL(`http://[::ffff:${address}]`).hostname, failure)).toBe(`[::ffff:${address}]`);
      }),
    );
  });

  test.each([
    ['[::1', 'what stands in brackets must be an IPv6 address'],
    ['[1.2.3.4]', 'what stands in brackets must be an IPv6 address'],
    ['[fe80::1%25a b]', 'the zone of the IPv6 address is not the name of an interface'],
  ])('says what is wrong with %j', (host, detail) => {
    expect(() => normalizeIPv6(host, failure)).toThrow(detail);
  });
});

describe('isIPv6()', () => {
  test.each(['::', '::1', '1::', '1:2:3:4:5:6:7::', '::ffff:1.2.3.4', '1:2:3:4:5:6:1.2.3.4', 'fe80::ABcd'])(
    'takes %s',
    (text) => {
      expect(isIPv6(text)).toBe(true);
    },
  );

  test('agrees with Node on any text', () => {
    const word = fc.oneof(
      fc.constantFrom('', '0', 'ffff', '12345', 'g', '1.2.3.4', '01.2.3.4', '256.1.1.1', '1.2.3', '1.2.3.4.', ' 1'),
      fc.nat(0xffff).map((group) => group.toString(16)),
    );
    const text = fc.array(word, { minLength: 1, maxLength: 10 }).map((words) => words.join(':'));
    fc.assert(
      fc.property(fc.oneof({ arbitrary: text, weight: 9 }, fc.string()), (given) => {
        fc.pre(!given.includes('%'));
        expect([given, isIPv6(given)]).toEqual([given, net.isIPv6(given)]);
      }),
      { numRuns: 2_000 },
    );
    expect(isIPv6('fe80::1%eth0')).toBe(false);
  });
});

describe('internationalLabels()', () => {
  const [own, elsewhere] = [internationalLabels(nodeUrl), internationalLabels({})];

  test.each(['münchen', '例', '💩', 'ﬁ', 'ß', 'a\u0301', '\u200d', '1２', '／', '。', 'xn--a', '\ud800'])(
    'maps %j in the same way with and without the functions of Node',
    (label) => {
      // What is no label may come out as anything that is none.
      const known = (text: string) => (text.startsWith('xn--') ? text : '');
      expect(known(elsewhere.toASCII(label))).toBe(known(own.toASCII(label)));
    },
  );

  test.each(['xn--mnchen-3ya', 'xn--fsq', 'xn--ls8h', 'xn--example-', 'xn--a', 'xn--', 'xn--zzzz', 'xn--0'])(
    'judges %s in the same way',
    (label) => {
      expect(elsewhere.isFaithful(label)).toBe(own.isFaithful(label));
    },
  );
});
