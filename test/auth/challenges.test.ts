import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Challenge, challengeOf, parseChallenges } from '../../src/auth/challenges.js';

/** A challenge as a test writes it: [scheme, token] or [scheme, params]. */
type Plain = readonly [string, (string | null | Record<string, string>)?];

const plain = ({ scheme, token, params }: Challenge): Plain =>
  token !== null ? [scheme, token] : params.size === 0 ? [scheme] : [scheme, Object.fromEntries(params)];

const parsed = (...lines: readonly string[]) => parseChallenges(lines).map(plain);

describe('what RFC 9110 section 11.6.1 allows', () => {
  const CASES: readonly (readonly [string, readonly string[], readonly Plain[]])[] = [
    ['nothing', [], []],
    ['an empty line', [''], []],
    ['only commas and blanks', [' , ,\t,'], []],
    ['a scheme alone', ['NTLM'], [['ntlm']]],
    ['schemes alone', ['Negotiate, NTLM'], [['negotiate'], ['ntlm']]],
    ['a token', ['NTLM TlRMTVNTUAACAAAA'], [['ntlm', 'TlRMTVNTUAACAAAA']]],
    ['a padded token before another scheme', ['Negotiate oYG1==, NTLM'], [['negotiate', 'oYG1=='], ['ntlm']]],
    ['every character of token68', ['X aZ0-._~+/='], [['x', 'aZ0-._~+/=']]],
    [
      'the example of the section',
      ['Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'],
      [
        ['basic', { realm: 'simple' }],
        ['newauth', { realm: 'apps', type: '1', title: 'Login to "apps"' }],
      ],
    ],
    [
      'lines in their order',
      ['Negotiate', 'NTLM', 'Basic realm="a, b=c"'],
      [['negotiate'], ['ntlm'], ['basic', { realm: 'a, b=c' }]],
    ],
    ['blanks around the sign, as bad senders have them', ['Basic realm = "x"'], [['basic', { realm: 'x' }]]],
    ['tabs', ['Basic\trealm="x"\t,\tNTLM'], [['basic', { realm: 'x' }], ['ntlm']]],
    ['empty members', [',,Basic realm=x,,NTLM,'], [['basic', { realm: 'x' }], ['ntlm']]],
    ['names in any case', ['BASIC REALM="x"'], [['basic', { realm: 'x' }]]],
    ['an empty value in quotes', ['Basic realm=""'], [['basic', { realm: '' }]]],
    ['bytes beyond ASCII', ['Basic realm="caf\xe9"'], [['basic', { realm: 'caf\xe9' }]]],
    [
      'values that servers fail to quote',
      ['Digest nonce=ab/c==, domain=/x:y'],
      [['digest', { nonce: 'ab/c==', domain: '/x:y' }]],
    ],
  ];

  test.each(CASES)('parseChallenges() reads %s', (_, lines, expected) => {
    expect(parsed(...lines)).toEqual(expected);
  });
});

describe('what fits no grammar', () => {
  const CASES: readonly (readonly [string, string, readonly Plain[]])[] = [
    ['a quoted value without an end', 'NTLM, Basic realm="x', [['ntlm']]],
    ['an escape at the end', 'NTLM, Basic realm="x\\', [['ntlm']]],
    ['a parameter without a scheme', 'realm="x"', []],
    ['a parameter without a value', 'Digest a="b", realm=, NTLM', []],
    ['a value of two words', 'NTLM, Basic realm=two words', [['ntlm']]],
    ['text after a quoted value', 'Basic realm="x"y', []],
    ['a token and parameters', 'NTLM abc, realm="x"', [['ntlm', 'abc']]],
    ['two tokens', 'NTLM abc def', []],
    ['a parameter twice', 'Digest realm="a", REALM="b", NTLM', []],
    ['a line end in a value', 'Basic realm="a\r\nX: y", NTLM', []],
    ['a NUL in a value', 'Basic realm="\0"', []],
    ['a control in an unquoted value', 'Basic realm=a\x01', []],
    ['a scheme that is none', '"Basic" realm="x"', []],
    ['an equals sign for a name', 'Basic ="x"', []],
  ];

  test.each(CASES)('parseChallenges() gives up the rest of a line at %s', (_, line, expected) => {
    expect(parsed(line)).toEqual(expected);
  });

  test('parseChallenges() reads the other lines all the same', () => {
    expect(parsed('Basic realm="x', 'NTLM')).toEqual([['ntlm']]);
  });

  test('parseChallenges() reads 64 challenges, and challenges of 64 parameters', () => {
    const schemes = Array.from({ length: 100 }, (_, n) => `S${n}`).join(', ');
    expect(parsed(schemes, 'NTLM')).toHaveLength(64);
    const params = (count: number) => Array.from({ length: count }, (_, n) => `p${n}=${n}`).join(', ');
    expect(parseChallenges([`Digest ${params(64)}`])[0]?.params.size).toBe(64);
    expect(parsed(`Digest ${params(65)}`, 'NTLM')).toEqual([['ntlm']]);
  });
});

test('challengeOf() gives the first challenge of a scheme', () => {
  const challenges = parseChallenges(['Digest realm="a", NTLM, Digest realm="b"']);
  expect(challengeOf(challenges, 'digest')?.params.get('realm')).toBe('a');
  expect(challengeOf(challenges, 'basic')).toBeUndefined();
});

const TOKEN = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,8}$/);
const QUOTABLE = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,12}$/);
const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

const CHALLENGE = fc.oneof(
  fc.tuple(TOKEN, fc.stringMatching(/^[A-Za-z0-9\-._~+/]{1,8}={0,2}$/)).map(([scheme, token]) => ({
    text: `${scheme} ${token}`,
    read: [scheme.toLowerCase(), token] as Plain,
  })),
  TOKEN.map((scheme) => ({ text: scheme, read: [scheme.toLowerCase()] as Plain })),
  fc
    .tuple(
      TOKEN,
      fc.uniqueArray(fc.tuple(TOKEN, QUOTABLE), {
        minLength: 1,
        maxLength: 5,
        selector: ([name]) => name.toLowerCase(),
      }),
    )
    .map(([scheme, params]) => ({
      text: `${scheme} ${params.map(([name, value]) => `${name}=${quote(value)}`).join(', ')}`,
      read: [
        scheme.toLowerCase(),
        Object.fromEntries(params.map(([name, value]) => [name.toLowerCase(), value])),
      ] as Plain,
    })),
);

test('parseChallenges() reads back whatever challenges are written, in one line or in several', () => {
  fc.assert(
    fc.property(fc.array(CHALLENGE, { maxLength: 6 }), (challenges) => {
      const expected = challenges.map(({ read }) => read);
      expect(parsed(challenges.map(({ text }) => text).join(', '))).toEqual(expected);
      expect(parsed(...challenges.map(({ text }) => text))).toEqual(expected);
    }),
  );
});

test('parseChallenges() throws on no text, and gives no text that could end a field line', () => {
  const nasty = fc.string({
    unit: fc.constantFrom(
      '"',
      '\\',
      ',',
      '=',
      ' ',
      '\t',
      'a',
      'B',
      '/',
      '\r',
      '\n',
      '\0',
      'é',
      '\u2028',
      'realm',
      'NTLM ',
    ),
    maxLength: 60,
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(nasty, fc.string({ unit: 'binary-ascii' })), { maxLength: 3 }), (lines) => {
      for (const { scheme, token, params } of parseChallenges(lines)) {
        const texts = [scheme, token ?? '', ...[...params].flat()];
        expect(texts.filter((text) => /[^\t\x20-\xff]|\x7f/.test(text))).toEqual([]);
      }
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['an unfinished quoted value', (n: number) => `Basic realm="${'a'.repeat(n)}`],
  ['escapes', (n: number) => `Basic realm="${'\\"'.repeat(n / 2)}`],
  ['one long word', (n: number) => 'a'.repeat(n)],
  ['blanks', (n: number) => `Basic${' '.repeat(n)}"`],
  ['blanks before a sign', (n: number) => `Basic realm${' '.repeat(n)}x`],
  ['padding', (n: number) => `NTLM a${'='.repeat(n)}"`],
  ['commas', (n: number) => ','.repeat(n)],
  ['parameters', (n: number) => `Digest ${'a=b,'.repeat(n / 4)}`],
  ['schemes', (n: number) => 'a b,'.repeat(n / 4)],
])('parseChallenges() takes linear time on 1 MiB of %s', (_, lineOf) => {
  const line = lineOf(1 << 20);
  const started = performance.now();
  parseChallenges([line]);
  // Quadratic work on so much would take hours.
  expect(performance.now() - started).toBeLessThan(2_000);
});
