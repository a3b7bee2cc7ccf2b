import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { NtlmHandshake, type NtlmReply } from '../../src/auth/ntlm.js';
import { responseKey } from '../../src/auth/ntlm-crypto.js';
import { AuthenticationError, HTTPError } from '../../src/exceptions.js';

/** Whether this process is to lack MD5, as a Node in FIPS mode does. */
const fips = vi.hoisted(() => ({ isOn: false }));
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return {
    ...crypto,
    createHmac: (...args: Parameters<typeof crypto.createHmac>) => {
      if (fips.isOn) throw new Error('error:0308010C:digital envelope routines::unsupported');
      return crypto.createHmac(...args);
    },
  };
});

/** From a real exchange of gss-ntlmssp; its user's password was "pass". */
const CHALLENGE =
  'TlRMTVNTUAACAAAADgAOADgAAAAVgoniBD5AQmPgZx8AAAAAAAAAAD4APgBGAAAABgIAAAAAAA9JAE4AVABFAFIATwBQAAEACABXAEUAQgAxAAIADgBJAE4AVABFAFIATwBQAAMABAB2AG0ABgAEAAAAAAAHAAgAirMVrHR63QEAAAAA';

const handshake = (more: Partial<ConstructorParameters<typeof NtlmHandshake>[0]> = {}) =>
  new NtlmHandshake({
    names: { username: 'user', domain: 'INTEROP', password: 'hunter2', workstation: '' },
    servicePrincipal: 'HTTP/127.0.0.1',
    channelBinding: null,
    random: (size) => Buffer.alloc(size, 7),
    now: () => 0,
    ...more,
  });

function begun(more?: Parameters<typeof handshake>[0]): NtlmHandshake {
  const login = handshake(more);
  login.start();
  return login;
}

const challenge = (token: string): NtlmReply => ({ kind: 'challenge', token });
const REFUSAL: NtlmReply = { kind: 'refusal' };
const SUCCESS: NtlmReply = { kind: 'success' };

test('NtlmHandshake sends NEGOTIATE, answers the challenge, and is accepted', () => {
  const login = handshake();
  expect(login.start()).toMatch(/^TlRMTVNTUAABAAAA/);
  const step = login.receive(challenge(CHALLENGE));
  expect(step).toEqual({ kind: 'send', token: expect.stringMatching(/^TlRMTVNTUAADAAAA/) });
  expect(login.receive(SUCCESS)).toEqual({ kind: 'accepted' });
});

test.each([
  ['the beginning', begun],
  [
    'the proof',
    () => {
      const login = begun();
      login.receive(challenge(CHALLENGE));
      return login;
    },
  ],
])('NtlmHandshake is refused after %s', (_, made) => {
  expect(made().receive(REFUSAL)).toEqual({ kind: 'refused' });
});

test('NtlmHandshake takes a success at the beginning: the server wants no login', () => {
  expect(begun().receive(SUCCESS)).toEqual({ kind: 'accepted' });
});

test('NtlmHandshake draws 8 bytes, and tells its own time only to a server that tells none', () => {
  const random = vi.fn((size: number) => Buffer.alloc(size, 9));
  const withTime = begun({ random }).receive(challenge(CHALLENGE));
  expect(random.mock.calls).toEqual([[8]]);
  expect(begun({ random, now: () => 1e12 }).receive(challenge(CHALLENGE))).toEqual(withTime);
  const bare = Buffer.from(CHALLENGE, 'base64').subarray(0, 48);
  bare.writeUInt32LE(1, 20);
  bare.writeUInt16LE(0, 12);
  const token = bare.toString('base64');
  const early = begun({ random }).receive(challenge(token));
  expect(begun({ random, now: () => 1e12 }).receive(challenge(token))).not.toEqual(early);
});

test('NtlmHandshake proves the password and not another, so that a server can check it', () => {
  const step = begun().receive(challenge(CHALLENGE));
  const other = begun({ names: { username: 'user', domain: 'INTEROP', password: 'hunter3', workstation: '' } });
  expect(step).not.toEqual(other.receive(challenge(CHALLENGE)));
  expect(responseKey('user', 'INTEROP', 'hunter2')).toHaveLength(16);
});

test.each([
  ['a start when begun', begun(), (login: NtlmHandshake) => login.start(), 'started when it was negotiating'],
  ['a reply when new', handshake(), (login: NtlmHandshake) => login.receive(SUCCESS), 'told a reply when it was new'],
])('NtlmHandshake takes %s for a bug', (_, login, act, expected) => {
  expect(() => act(login)).toThrow(new HTTPError(`Bug in urllib3: an NTLM login was ${expected}`));
});

test('NtlmHandshake takes no second challenge', () => {
  const login = begun();
  login.receive(challenge(CHALLENGE));
  expect(() => login.receive(challenge(CHALLENGE))).toThrow(
    new AuthenticationError('ntlm', 'Cannot log in by ntlm: the server answered the proof with a new challenge'),
  );
});

test.each([
  ['SPNEGO', 'oYGgMIGdoAMKAQ==', 'it is too short'],
  ['text', 'not-base64_~', 'it is no base64'],
  ['padding in the middle', 'Tl==RMTVNTUA', 'it is no base64'],
  ['too little padding', 'TlRMTVNTUAA', 'it is no base64'],
  ['1 MiB', 'A'.repeat(1 << 20), 'it has 1048576 characters'],
])('SEC-092 (CVE-2017-8816): NtlmHandshake refuses a challenge of %s, and is over then', (_, token, what) => {
  const login = begun();
  const expected = `Cannot read the server's NTLM challenge: ${what}`;
  expect(() => login.receive(challenge(token))).toThrow(new AuthenticationError('ntlm', expected));
  expect(() => login.receive(SUCCESS)).toThrow('told a reply when it was refused');
});

test('SEC-092: NtlmHandshake takes or refuses any token, and never fails otherwise', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String({ maxLength: 300 })), (token) => {
      let error: unknown;
      try {
        begun().receive(challenge(token));
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(AuthenticationError);
    }),
  );
});

test('NtlmHandshake says so when this Node has no MD5 (FIPS mode)', () => {
  fips.isOn = true;
  try {
    expect(() => begun().receive(challenge(CHALLENGE))).toThrow(
      new AuthenticationError('ntlm', 'Cannot log in by ntlm: this Node has no md5 (FIPS mode has none)'),
    );
  } finally {
    fips.isOn = false;
  }
});

test('NtlmHandshake shows no password when it is printed', () => {
  const login = begun();
  expect(inspect(login, { showHidden: true, depth: 9 }) + JSON.stringify(login)).not.toContain('hunter2');
});
