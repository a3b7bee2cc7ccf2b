import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Authenticators } from '../../src/auth/authenticators.js';
import { type Credentials, resolveAuth } from '../../src/auth/credentials.js';

function credentialsOf(auth: object): Credentials {
  const credentials = resolveAuth('auth', auth);
  if (credentials === null) throw new Error('none');
  return credentials;
}

const user = { username: 'u', password: 'hunter2' };

test('Authenticators gives equal credentials the same authenticator, and others another', () => {
  const all = new Authenticators();
  const types = ['basic', 'digest', 'ntlm'];
  const first = types.map((type) => all.of(credentialsOf({ type, ...user })));
  first.push(all.of(credentialsOf({ type: 'bearer', token: 't' })));
  expect(new Set(first).size).toBe(4);
  expect(first.map(({ binding }) => binding)).toEqual(['request', 'request', 'connection', 'request']);
  expect(types.map((type) => credentialsOf({ type, ...user }).key)).toEqual(first.slice(0, 3).map(({ key }) => key));
  expect(types.map((type) => all.of(credentialsOf({ type, ...user })))).toEqual(first.slice(0, 3));
  expect(all.of(credentialsOf({ type: 'digest', ...user }))).toBe(first[1]);
  expect(all.size).toBe(4);
});

test('Authenticators keeps the 64 that were used last', () => {
  const all = new Authenticators();
  const numbered = (n: number) => all.of(credentialsOf({ type: 'digest', username: `u${n}`, password: 'p' }));
  const [first, second] = [numbered(0), numbered(1)];
  for (let n = 2; n < 64; n++) numbered(n);
  expect(numbered(0)).toBe(first);
  numbered(64);
  expect(all.size).toBe(64);
  expect(numbered(0)).toBe(first);
  expect(numbered(1)).not.toBe(second);
});

test('Authenticators and what they begin show no secret when they are printed', () => {
  const all = new Authenticators();
  const origin = 'http://h:80';
  for (const type of ['basic', 'digest', 'ntlm']) {
    const authenticator = all.of(credentialsOf({ type, ...user }));
    const shown = [all, authenticator, authenticator.login({ role: 'origin', origin })];
    const text = shown
      .map((one) => inspect(one, { showHidden: true, depth: 9 }) + JSON.stringify(one) + String(one))
      .join();
    expect(text).not.toMatch(/hunter2|aHVudGVyMg|dTpodW50ZXIy/);
  }
});
