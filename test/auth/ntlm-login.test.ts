import { describe, expect, test } from 'vitest';
import type {
  AuthConnection,
  AuthHop,
  AuthPlace,
  AuthResponse,
  ConnectionLogin,
} from '../../src/auth/authenticator.js';
import { channelBindingHash } from '../../src/auth/channel-binding.js';
import { ownerOf } from '../../src/auth/connection-owners.js';
import { type NtlmCredentials, resolveAuth } from '../../src/auth/credentials.js';
import { NtlmAuthenticator } from '../../src/auth/ntlm-login.js';
import { AuthenticationError, HTTPError } from '../../src/exceptions.js';

const ORIGIN = 'http://intranet.example:80';
const PLACE: AuthPlace = { role: 'origin', origin: ORIGIN };
const HOP: AuthHop = { origin: ORIGIN, method: 'GET', target: '/', content: { kind: 'none' } };
const CHALLENGE =
  'TlRMTVNTUAACAAAADgAOADgAAAAVgoniBD5AQmPgZx8AAAAAAAAAAD4APgBGAAAABgIAAAAAAA9JAE4AVABFAFIATwBQAAEACABXAEUAQgAxAAIADgBJAE4AVABFAFIATwBQAAMABAB2AG0ABgAEAAAAAAAHAAgAirMVrHR63QEAAAAA';

function credentialsOf(username = 'user', password = 'pass'): NtlmCredentials {
  const credentials = resolveAuth('auth', { type: 'ntlm', username, password });
  if (credentials?.type !== 'ntlm') throw new Error('not ntlm');
  return credentials;
}

const authenticatorFor = (...user: readonly string[]) => new NtlmAuthenticator(credentialsOf(...user));
const connection = (serverCertificate: Uint8Array | null = null): AuthConnection => ({ serverCertificate });

interface Reply {
  readonly persistent?: boolean;
  readonly fields?: Readonly<Record<string, readonly string[]>>;
}

function response(status: number, { persistent = true, fields = {} }: Reply = {}): AuthResponse {
  return { status, persistent, fieldValues: (name) => fields[name] ?? [] };
}

const refusal = (...challenges: readonly string[]) => response(401, { fields: { 'WWW-Authenticate': challenges } });
const OFFER = refusal('Negotiate', 'NTLM');
const challenged = (scheme = 'NTLM') => refusal(`${scheme} ${CHALLENGE}`);

/** Up to the proof, which is yet to be sent. */
function challengedLogin(authenticator: NtlmAuthenticator, on: AuthConnection): ConnectionLogin {
  const login = authenticator.login(PLACE);
  login.authorize(HOP, on);
  expect(login.receive(challenged(), on)).toBe('same-connection');
  return login;
}

function loggedIn(authenticator: NtlmAuthenticator, on: AuthConnection, final = response(200)): ConnectionLogin {
  const login = challengedLogin(authenticator, on);
  login.authorize(HOP, on);
  expect(login.receive(final, on)).toBe('final');
  return login;
}

const tokenOf = (line: readonly string[] | null) => Buffer.from(line?.[1]?.split(' ')[1] ?? '', 'base64');

test('NtlmAuthenticator logs a connection in, once: later requests on it bring nothing', () => {
  const authenticator = authenticatorFor();
  const on = connection();
  const login = authenticator.login(PLACE);
  expect(login.authorize(HOP, on)).toEqual(['Authorization', expect.stringMatching(/^NTLM TlRMTVNTUAABAAAA/)]);
  expect(login.receive(challenged('ntlm'), on)).toBe('same-connection');
  expect(login.mayKeep(on)).toBe(false);
  expect(login.authorize(HOP, on)).toEqual(['Authorization', expect.stringMatching(/^NTLM TlRMTVNTUAADAAAA/)]);
  expect(login.isLoggedIn(on)).toBe(false);
  expect(login.receive(response(404), on)).toBe('final');
  expect([login.isLoggedIn(on), login.mayKeep(on)]).toEqual([true, true]);

  const next = authenticator.login(PLACE);
  expect(next.authorize(HOP, on)).toBeNull();
  expect(next.receive(response(500), on)).toBe('final');
  expect(next.authorize(HOP, connection())).not.toBeNull();
});

test('NtlmAuthenticator tells a proxy in the fields of a proxy, and keeps its logins apart from those of servers', () => {
  const authenticator = authenticatorFor();
  const on = connection();
  const login = authenticator.login({ role: 'proxy', origin: ORIGIN });
  expect(login.authorize(HOP, on)?.[0]).toBe('Proxy-Authorization');
  const challenge = response(407, { fields: { 'Proxy-Authenticate': [`NTLM ${CHALLENGE}`] } });
  expect(login.receive(challenge, on)).toBe('same-connection');
  expect(login.authorize(HOP, on)?.[0]).toBe('Proxy-Authorization');
  expect(login.receive(response(401), on)).toBe('final');
  expect(login.isLoggedIn(on)).toBe(true);
  expect(authenticator.login(PLACE).isLoggedIn(on)).toBe(false);
});

test('NtlmAuthenticator leaves a connection as it is whose server wants no login', () => {
  const authenticator = authenticatorFor();
  const on = connection();
  const login = authenticator.login(PLACE);
  login.authorize(HOP, on);
  expect(login.receive(response(200), on)).toBe('final');
  expect([login.mayKeep(on), login.isLoggedIn(on)]).toEqual([true, false]);
  expect(authenticator.login(PLACE).authorize(HOP, on)).not.toBeNull();
});

test.each([
  ['the beginning', [OFFER]],
  ['the proof', [challenged(), OFFER]],
  ['the proof, with a challenge', [challenged(), challenged()]],
])('NtlmAuthenticator lets a refusal of %s stand, and gives the connection up', (_, [first, second]) => {
  const on = connection();
  const login = authenticatorFor().login(PLACE);
  login.authorize(HOP, on);
  const verdicts = [login.receive(first ?? OFFER, on)];
  if (second !== undefined) {
    login.authorize(HOP, on);
    verdicts.push(login.receive(second, on));
  }
  expect(verdicts.at(-1)).toBe('final');
  expect([login.mayKeep(on), login.isLoggedIn(on)]).toEqual([false, false]);
});

test('NtlmAuthenticator says Negotiate to a server that offers only that, from then on at once', () => {
  const authenticator = authenticatorFor();
  const login = authenticator.login(PLACE);
  const [first, second, third] = [connection(), connection(), connection()];
  login.authorize(HOP, first);
  expect(login.receive(refusal('Negotiate', 'Basic realm="x"'), first)).toBe('fresh-connection');
  expect(login.mayKeep(first)).toBe(false);
  expect(login.authorize(HOP, second)?.[1]).toMatch(/^Negotiate TlRMTVNTUAABAAAA/);
  expect(login.receive(challenged('Negotiate'), second)).toBe('same-connection');
  expect(login.authorize(HOP, second)?.[1]).toMatch(/^Negotiate TlRMTVNTUAADAAAA/);
  expect(login.receive(response(200), second)).toBe('final');
  const other = authenticator.login(PLACE);
  expect(other.authorize(HOP, third)?.[1]).toMatch(/^Negotiate TlRMTVNTUAABAAAA/);
  expect(other.receive(refusal('Negotiate'), third)).toBe('final');
});

test('NtlmAuthenticator remembers 256 origins that want Negotiate, and then begins anew', () => {
  const authenticator = authenticatorFor();
  const sent = (origin: string) => {
    const on = connection();
    const login = authenticator.login({ role: 'origin', origin });
    const line = login.authorize({ ...HOP, origin }, on);
    login.receive(refusal('Negotiate'), on);
    return line?.[1].split(' ')[0];
  };
  const origins = Array.from({ length: 257 }, (_, n) => `http://h${n}:80`);
  expect(new Set(origins.map(sent))).toEqual(new Set(['NTLM']));
  expect([sent('http://h256:80'), sent('http://h0:80')]).toEqual(['Negotiate', 'NTLM']);
});

test('NtlmAuthenticator logs in for each request where the server says that a login does not last (MS-N2HT)', () => {
  const authenticator = authenticatorFor();
  const on = connection();
  const login = loggedIn(authenticator, on, response(200, { fields: { 'Persistent-Auth': ['False'] } }));
  expect([login.isLoggedIn(on), login.mayKeep(on)]).toEqual([false, true]);
  expect(authenticator.login(PLACE).authorize(HOP, on)).not.toBeNull();
  expect(
    loggedIn(authenticator, connection(), response(200, { fields: { 'Persistent-Auth': ['true'] } })),
  ).toBeDefined();
});

test('NtlmAuthenticator gives up a connection whose login the server has forgotten, for one fresh one', () => {
  const authenticator = authenticatorFor();
  const [old, fresh] = [connection(), connection()];
  loggedIn(authenticator, old);
  const login = authenticator.login(PLACE);
  expect(login.authorize(HOP, old)).toBeNull();
  expect(login.receive(OFFER, old)).toBe('fresh-connection');
  expect(login.mayKeep(old)).toBe(false);
  expect(login.authorize(HOP, fresh)).not.toBeNull();
  login.receive(challenged(), fresh);
  login.authorize(HOP, fresh);
  expect(login.receive(response(200), fresh)).toBe('final');
  login.authorize(HOP, fresh);
  expect(login.receive(OFFER, fresh)).toBe('final');
  expect(login.mayKeep(fresh)).toBe(false);
});

test('NtlmAuthenticator lets a 401 stand that offers no NTLM, and keeps the connection', () => {
  const authenticator = authenticatorFor();
  const on = connection();
  loggedIn(authenticator, on);
  const login = authenticator.login(PLACE);
  login.authorize(HOP, on);
  expect(login.receive(refusal('Bearer'), on)).toBe('final');
  expect(login.mayKeep(on)).toBe(true);
});

test('NtlmAuthenticator raises an error when the server closes the connection in the middle of the login', () => {
  const on = connection();
  const login = authenticatorFor().login(PLACE);
  login.authorize(HOP, on);
  const closing = response(401, { persistent: false, fields: { 'WWW-Authenticate': [`NTLM ${CHALLENGE}`] } });
  expect(() => login.receive(closing, on)).toThrow(
    new AuthenticationError(
      'ntlm',
      'Cannot log in by ntlm: the server closes the connection in the middle of the login, which belongs to the connection',
    ),
  );
  expect(login.mayKeep(on)).toBe(false);
});

test('NtlmAuthenticator begins again when a connection is lost in the middle of a login, but not for ever', () => {
  const login = authenticatorFor().login(PLACE);
  for (let lost = 0; lost < 3; lost++) {
    const on = connection();
    login.authorize(HOP, on);
    login.receive(challenged(), on);
  }
  expect(() => login.authorize(HOP, connection())).toThrow(
    new AuthenticationError('ntlm', 'Cannot log in by ntlm: the connection was lost in the middle of 3 logins'),
  );
});

test('NtlmAuthenticator does not count logins that came to their end: a request may be tried on many connections', () => {
  const authenticator = authenticatorFor();
  const login = authenticator.login(PLACE);
  for (let attempt = 0; attempt < 8; attempt++) {
    const on = connection();
    expect(login.authorize(HOP, on)).not.toBeNull();
    if (attempt % 2 === 0) {
      login.receive(challenged(), on);
      login.authorize(HOP, on);
    }
    expect(login.receive(response(503), on)).toBe('final');
  }
});

describe('what is bound', () => {
  const named = (message: Buffer, id: number) => {
    const offset = message.readUInt32LE(24) + 44;
    for (let at = offset; message.readUInt16LE(at) !== 0; at += 4 + message.readUInt16LE(at + 2)) {
      if (message.readUInt16LE(at) === id) return message.subarray(at + 4, at + 4 + message.readUInt16LE(at + 2));
    }
    return null;
  };
  const proofFor = (origin: string, on: AuthConnection) => {
    const login = authenticatorFor().login({ role: 'origin', origin });
    login.authorize({ ...HOP, origin }, on);
    login.receive(challenged(), on);
    return tokenOf(login.authorize({ ...HOP, origin }, on));
  };

  test.each([
    ['http://intranet.example:80', 'HTTP/intranet.example'],
    ['https://[2001:db8::1]:8443', 'HTTP/2001:db8::1'],
    ['http://intranet', 'HTTP/intranet'],
  ])('NtlmAuthenticator names the service of %s', (origin, service) => {
    expect(named(proofFor(origin, connection()), 9)?.toString('utf16le')).toBe(service);
  });

  test('NtlmAuthenticator binds a login to the certificate of the server, and to nothing without one', () => {
    // SEQUENCE { SEQUENCE {}, SEQUENCE { sha256WithRSAEncryption }, BIT STRING }
    const certificate = Buffer.from('30123000300b06092a864886f70d01010b030100', 'hex');
    expect(named(proofFor(ORIGIN, connection(certificate)), 10)).toEqual(channelBindingHash('ntlm', certificate));
    expect(channelBindingHash('ntlm', certificate)).toHaveLength(16);
    expect(named(proofFor(ORIGIN, connection()), 10)).toBeNull();
  });
});

describe('security', () => {
  test("SEC-091 (CVE-2014-0015, CVE-2015-3143): NtlmAuthenticator makes a connection its own, and touches no other user's", () => {
    const on = connection();
    expect(ownerOf(on)).toBeNull();
    loggedIn(authenticatorFor('user', 'pass'), on);
    expect(ownerOf(on)).toBe(credentialsOf('user', 'pass').key);
    for (const other of [
      ['User', 'pass'],
      ['user', 'Pass'],
      ['D\\user', 'pass'],
    ]) {
      expect(() =>
        authenticatorFor(...other)
          .login(PLACE)
          .authorize(HOP, on),
      ).toThrow(
        new HTTPError('Bug in urllib3: a request was given a connection that is logged in with other credentials'),
      );
    }
    expect(authenticatorFor('user', 'pass').login(PLACE).authorize(HOP, on)).not.toBeNull();
  });

  test('SEC-092 (CVE-2018-14618): NtlmAuthenticator sends nothing on a connection whose challenge was malformed', () => {
    const on = connection();
    const login = authenticatorFor().login(PLACE);
    login.authorize(HOP, on);
    expect(() => login.receive(refusal('NTLM TlRMTVNTUAACAAAA'), on)).toThrow(AuthenticationError);
    expect(login.mayKeep(on)).toBe(false);
    expect(() => login.authorize(HOP, on)).toThrow(
      'Bug in urllib3: a request was given a connection whose NTLM login is spoiled',
    );
  });

  test('SEC-093 (CVE-2026-34515): NtlmAuthenticator sends nothing to another origin, nor to its own after that', () => {
    const login = authenticatorFor().login(PLACE);
    for (const origin of ['https://intranet.example:443', 'http://evil.example:80', ORIGIN]) {
      const on = connection();
      expect(login.authorize({ ...HOP, origin }, on)).toBeNull();
      expect(login.receive(challenged(), on)).toBe('final');
      expect(login.isLoggedIn(on)).toBe(false);
    }
  });

  test('SEC-093: NtlmAuthenticator answers no other scheme: not Basic, not Digest', () => {
    const on = connection();
    const login = authenticatorFor().login(PLACE);
    login.authorize(HOP, on);
    expect(login.receive(refusal('Basic realm="x"', 'Digest realm="x", nonce="n"'), on)).toBe('final');
  });

  test('NtlmAuthenticator takes a request or a response out of turn for a bug', () => {
    const on = connection();
    const login = authenticatorFor().login(PLACE);
    expect(() => login.receive(response(200), on)).toThrow('Bug in urllib3');
    login.authorize(HOP, on);
    expect(() => login.authorize(HOP, on)).toThrow('Bug in urllib3');
    login.receive(challenged(), on);
    expect(() => login.receive(response(200), on)).toThrow('Bug in urllib3');
  });
});
