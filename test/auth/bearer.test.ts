import { expect, test, vi } from 'vitest';
import type { AuthHop, RequestLogin } from '../../src/auth/authenticator.js';
import { BearerAuthenticator } from '../../src/auth/bearer.js';
import { type BearerAuth, resolveAuth } from '../../src/auth/credentials.js';
import { AuthenticationError } from '../../src/exceptions.js';

const ORIGIN = 'https://example.com:443';
const HOP: AuthHop = { origin: ORIGIN, method: 'GET', target: '/', content: { kind: 'none' } };
const response = (status: number) => ({
  status,
  persistent: true,
  fieldValues: () => ['Bearer error="invalid_token"'],
});

function loginOf(token: BearerAuth['token'], role: 'origin' | 'proxy' = 'origin'): RequestLogin {
  const credentials = resolveAuth('auth', { type: 'bearer', token });
  if (credentials?.type !== 'bearer') throw new Error('not bearer');
  const authenticator = new BearerAuthenticator(credentials);
  expect([authenticator.binding, authenticator.key]).toEqual(['request', credentials.key]);
  const login = authenticator.login({ role, origin: ORIGIN });
  if (login.binding !== 'request') throw new Error('not by request');
  return login;
}

test('BearerAuthenticator sends a token with each attempt (RFC 6750 section 2.1), and lets a refusal stand', () => {
  const login = loginOf('mF_9.B5f-4.1JqM');
  expect(login.authorize(HOP)).toEqual(['Authorization', 'Bearer mF_9.B5f-4.1JqM']);
  expect(login.receive(response(401))).toBe('final');
  expect(loginOf('t', 'proxy').authorize(HOP)).toEqual(['Proxy-Authorization', 'Bearer t']);
});

test('BearerAuthenticator asks a function once a request, whatever the attempts', async () => {
  const give = vi.fn(async () => 'one');
  const login = loginOf(give);
  expect(await login.authorize(HOP)).toEqual(['Authorization', 'Bearer one']);
  expect(await login.receive(response(503))).toBe('final');
  expect(await login.authorize(HOP)).toEqual(['Authorization', 'Bearer one']);
  expect(give.mock.calls).toEqual([[{ refused: null }]]);
});

test('BearerAuthenticator asks again after a refusal, and sends once more what is new', async () => {
  const give = vi.fn(({ refused }: { refused: string | null }) => (refused === null ? 'old' : 'new'));
  const login = loginOf(give);
  await login.authorize(HOP);
  expect(await login.receive(response(401))).toBe('again');
  expect(await login.authorize(HOP)).toEqual(['Authorization', 'Bearer new']);
  expect(await login.receive(response(401))).toBe('final');
  expect(give.mock.calls).toEqual([[{ refused: null }], [{ refused: 'old' }]]);
});

test('BearerAuthenticator lets a refusal stand if the function has no other token, or none was sent', async () => {
  const login = loginOf(() => 'same');
  expect(await login.receive(response(401))).toBe('final');
  await login.authorize(HOP);
  expect(await login.receive(response(407))).toBe('final');
  expect(await login.receive(response(401))).toBe('final');
});

test.each([
  ['throws', () => Promise.reject(new Error('secret')), 'The function that was to give a bearer token failed'],
  ['gives a line end', () => 'a\r\nb', 'The function that was to give a bearer token gave no visible ASCII text'],
  ['gives nothing', () => '', 'The function that was to give a bearer token gave no visible ASCII text'],
])('BearerAuthenticator raises an error when the function %s', async (_, give, expected) => {
  const error = await Promise.resolve(loginOf(give).authorize(HOP)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AuthenticationError);
  expect(error).toMatchObject({ message: expected, scheme: 'bearer', name: 'AuthenticationError' });
});

test('SEC-093: BearerAuthenticator says nothing to another origin, and does not even ask for a token', async () => {
  const give = vi.fn(() => 'token');
  const login = loginOf(give);
  expect(login.authorize({ ...HOP, origin: 'https://evil.example:443' })).toBeNull();
  expect(login.authorize(HOP)).toBeNull();
  expect(login.receive(response(401))).toBe('final');
  expect(give).not.toHaveBeenCalled();
});
