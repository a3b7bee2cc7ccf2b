import { expect, test } from 'vitest';
import type { AuthHop, RequestLogin } from '../../src/auth/authenticator.js';
import { BasicAuthenticator } from '../../src/auth/basic.js';
import { resolveAuth } from '../../src/auth/credentials.js';

const ORIGIN = 'https://example.com:443';
const HOP: AuthHop = { origin: ORIGIN, method: 'GET', target: '/', content: { kind: 'none' } };

function loginOf(username: string, password: string, role: 'origin' | 'proxy' = 'origin'): RequestLogin {
  const credentials = resolveAuth('auth', { type: 'basic', username, password });
  if (credentials?.type !== 'basic') throw new Error('not basic');
  const authenticator = new BasicAuthenticator(credentials);
  expect([authenticator.binding, authenticator.key]).toEqual(['request', credentials.key]);
  const login = authenticator.login({ role, origin: ORIGIN });
  if (login.binding !== 'request') throw new Error('not by request');
  return login;
}

test.each([
  ['Aladdin', 'open sesame', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
  ['test', '123£', 'Basic dGVzdDoxMjPCow=='],
  ['u', '', 'Basic dTo='],
])('BasicAuthenticator gives the examples of RFC 7617 sections 2 and 2.1: %s', (username, password, value) => {
  expect(loginOf(username, password).authorize(HOP)).toEqual(['Authorization', value]);
});

test('BasicAuthenticator composes what is written in parts (RFC 7617 section 2.1)', () => {
  expect(loginOf('u', 'e\u0301').authorize(HOP)).toEqual(loginOf('u', '\u00e9').authorize(HOP));
});

test('BasicAuthenticator tells a proxy in the field of a proxy', () => {
  expect(loginOf('u', 'p', 'proxy').authorize(HOP)).toEqual(['Proxy-Authorization', 'Basic dTpw']);
});

test('SEC-096: BasicAuthenticator gives one line without breaks for 10 KiB of password', () => {
  const value = loginOf('u', 'x'.repeat(10_240)).authorize(HOP);
  expect(value).toEqual(['Authorization', expect.stringMatching(/^Basic [A-Za-z0-9+/]{13656}$/)]);
});

test('SEC-093: BasicAuthenticator says nothing to another origin, nor to its own after that, and answers no challenge', () => {
  const login = loginOf('u', 'p');
  expect(login.receive({ status: 401, persistent: true, fieldValues: () => ['Basic realm="x"'] })).toBe('final');
  expect(login.authorize(HOP)).not.toBeNull();
  for (const origin of ['http://example.com:443', 'https://example.com:444', 'https://example.com.:443', ORIGIN]) {
    expect(login.authorize({ ...HOP, origin })).toBeNull();
  }
});
