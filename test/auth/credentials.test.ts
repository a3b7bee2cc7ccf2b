import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type Credentials, isToken, resolveAuth } from '../../src/auth/credentials.js';

function resolved(auth: unknown): Credentials {
  const credentials = resolveAuth('auth', auth);
  if (credentials === null) throw new Error('none');
  return credentials;
}

const revealed = (auth: unknown) => resolved(auth).reveal();
const message = (auth: unknown): string => {
  try {
    resolveAuth('auth', auth);
  } catch (error) {
    return String(error);
  }
  return expect.fail('nothing was thrown');
};

const user = { username: 'user', password: 'pass' } as const;

test('resolveAuth() takes null, credentials of each type, and what it has made', () => {
  expect(resolveAuth('auth', null)).toBeNull();
  expect(revealed({ type: 'basic', ...user })).toEqual(user);
  expect(revealed({ type: 'digest', username: 'a:b', password: '' })).toEqual({ username: 'a:b', password: '' });
  expect(revealed({ type: 'bearer', token: '1|abc' })).toBe('1|abc');
  const give = () => 'token';
  expect(revealed({ type: 'bearer', token: give })).toBe(give);
  const made = resolved({ type: 'ntlm', ...user });
  expect(resolveAuth('auth', made)).toBe(made);
});

test.each([
  ['user', undefined, '', 'user'],
  ['DOMAIN\\user', undefined, 'DOMAIN', 'user'],
  ['a\\b\\c', undefined, 'a', 'b\\c'],
  ['\\user', undefined, '', 'user'],
  ['user@realm.example', undefined, '', 'user@realm.example'],
  ['a\\b', 'Domain', 'Domain', 'a\\b'],
  ['user', '', '', 'user'],
])('resolveAuth() reads the NTLM name %s with domain %s', (username, domain, expectedDomain, expectedUser) => {
  expect(revealed({ type: 'ntlm', username, password: 'p', domain })).toEqual({
    username: expectedUser,
    password: 'p',
    domain: expectedDomain,
    workstation: '',
  });
});

test('resolveAuth() keeps the password of NTLM as it stands, lone surrogates and control characters too', () => {
  const password = '\ud800\u0007é';
  expect(revealed({ type: 'ntlm', username: 'u', password, workstation: 'PC' })).toMatchObject({
    password,
    workstation: 'PC',
  });
});

test.each<[string, unknown, string]>([
  ['text', 'user:pass', 'TypeError: Cannot use the auth given: it must be an object with a type, or null'],
  ['undefined', undefined, 'TypeError: Cannot use the auth given: it must be an object with a type, or null'],
  [
    'no type',
    { ...user },
    'TypeError: Cannot use auth of type undefined: it must be "basic", "bearer", "digest" or "ntlm"',
  ],
  [
    'a type that is a name of Object.prototype',
    { type: 'constructor' },
    'TypeError: Cannot use auth of type "constructor": it must be "basic", "bearer", "digest" or "ntlm"',
  ],
  [
    'an option of another type',
    { type: 'basic', ...user, domain: 'X' },
    'TypeError: Cannot use option "domain": auth of type "basic" has no such option',
  ],
  ['no username', { type: 'basic', password: 'p' }, 'TypeError: Cannot use the username of auth: it must be text'],
  [
    'an empty username',
    { type: 'digest', ...user, username: '' },
    'TypeError: Cannot use the username of auth: it must not be empty',
  ],
  ['no password', { type: 'digest', username: 'u' }, 'TypeError: Cannot use the password of auth: it must be text'],
  [
    'no token',
    { type: 'bearer' },
    'TypeError: Cannot use the token of auth: it must be visible ASCII characters, or a function that gives them',
  ],
  [
    'an NTLM name without a user',
    { type: 'ntlm', ...user, username: 'D\\' },
    'TypeError: Cannot use the username of auth: it must name a user after the backslash',
  ],
  [
    'a workstation of 1,025 characters',
    { type: 'ntlm', ...user, workstation: 'x'.repeat(1_025) },
    'RangeError: Cannot use the workstation of auth: it must have at most 1024 characters',
  ],
])('resolveAuth() refuses %s', (_, auth, expected) => {
  expect(message(auth)).toBe(expected);
});

describe('security', () => {
  test('SEC-096 (CVE-2020-8169): resolveAuth() refuses what would shift or end the fields that credentials are written into', () => {
    expect(message({ type: 'basic', ...user, username: 'a:b' })).toContain('must not hold a colon');
    for (const mark of ['\r\n', '\n', '\0', '\x7f', '\x85']) {
      for (const type of ['basic', 'digest']) {
        expect(message({ type, ...user, username: `a${mark}` })).toContain('must not hold control characters');
        expect(message({ type, ...user, password: `a${mark}` })).toContain('must not hold control characters');
      }
      expect(message({ type: 'ntlm', ...user, domain: `a${mark}` })).toContain('must not hold control characters');
      expect(message({ type: 'bearer', token: `a${mark}` })).toContain('must be visible ASCII');
    }
    expect(message({ type: 'basic', ...user, password: '\ud800' })).toContain('must be well-formed Unicode');
    expect(message({ type: 'bearer', token: 'two words' })).toContain('must be visible ASCII');
    expect(message({ type: 'bearer', token: 'jüwel' })).toContain('must be visible ASCII');
  });

  test('SEC-092 (CVE-2018-14618): resolveAuth() refuses NTLM names whose lengths could wrap', () => {
    for (const part of ['username', 'password', 'domain', 'workstation']) {
      expect(message({ type: 'ntlm', ...user, [part]: 'x'.repeat(70_000) })).toContain('at most 1024 characters');
    }
  });

  test('resolveAuth() repeats no value in a message', () => {
    const secret = 'hunter2';
    const bad = [
      secret,
      { type: 'basic', username: `${secret}:`, password: 'p' },
      { type: 'digest', username: 'u', password: `${secret}\n` },
      { type: 'bearer', token: `${secret} ` },
      { type: 'ntlm', username: 'u', password: secret.repeat(1_000) },
    ];
    for (const auth of bad) expect(message(auth)).not.toContain(secret);
  });

  test('resolveAuth() gives credentials that no printing shows', () => {
    for (const auth of [
      { type: 'basic', username: 'u', password: 'hunter2' },
      { type: 'digest', username: 'u', password: 'hunter2' },
      { type: 'ntlm', username: 'u', password: 'hunter2' },
      { type: 'bearer', token: 'hunter2' },
    ]) {
      const credentials = resolved(auth);
      const shown = [
        inspect(credentials, { showHidden: true, depth: 9 }),
        JSON.stringify(credentials),
        String(credentials),
      ];
      expect(shown.join(), auth.type).not.toMatch(/hunter2|username/);
      expect(JSON.stringify({ ...credentials })).toBe(`{"type":"${auth.type}"}`);
    }
  });

  test('resolveAuth() copies: what a caller does to his object later changes nothing', () => {
    const auth = { type: 'basic', username: 'u', password: 'p' };
    const credentials = resolved(auth);
    auth.password = 'other';
    expect(credentials.reveal()).toEqual({ username: 'u', password: 'p' });
  });

  test('resolveAuth() takes nothing from a polluted Object.prototype', () => {
    Object.defineProperty(Object.prototype, 'password', { value: 'polluted', configurable: true });
    try {
      expect(message({ type: 'basic', username: 'u' })).toContain('the password of auth');
    } finally {
      Reflect.deleteProperty(Object.prototype, 'password');
    }
  });

  test('SEC-091 (CVE-2016-8616): Credentials.key is the same for the same credentials alone, letter case and all', () => {
    const give = () => 'x';
    const all = [
      { type: 'basic', username: 'u', password: 'p' },
      { type: 'digest', username: 'u', password: 'p' },
      { type: 'digest', username: 'u', password: 'P' },
      { type: 'digest', username: 'U', password: 'p' },
      { type: 'digest', username: 'u","p', password: '' },
      { type: 'ntlm', username: 'u', password: 'p' },
      { type: 'ntlm', username: 'u', password: 'p', domain: 'D' },
      { type: 'ntlm', username: 'u', password: 'p', domain: 'd' },
      { type: 'ntlm', username: 'u', password: 'p', workstation: 'D' },
      { type: 'ntlm', username: 'u', password: '\ud800' },
      { type: 'ntlm', username: 'u', password: '\ud801' },
      { type: 'bearer', token: 'x' },
      { type: 'bearer', token: 'function' },
      { type: 'bearer', token: give },
      { type: 'bearer', token: () => 'x' },
    ];
    const keys = all.map((auth) => resolved(auth).key);
    expect(new Set(keys).size).toBe(all.length);
    expect(all.map((auth) => resolved({ ...auth }).key)).toEqual(keys);
    expect(resolved({ type: 'ntlm', username: 'D\\u', password: 'p' }).key).toBe(keys[6]);
  });
});

test('isToken() takes visible ASCII, and not nothing', () => {
  expect([isToken('!~'), isToken(''), isToken(7), isToken('a b')]).toEqual([true, false, false, false]);
});
