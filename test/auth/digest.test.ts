import { describe, expect, test, vi } from 'vitest';
import type { AuthContent, AuthHop, AuthResponse, RequestLogin } from '../../src/auth/authenticator.js';
import { type Challenge, challengeOf, parseChallenges } from '../../src/auth/challenges.js';
import { type DigestCredentials, resolveAuth } from '../../src/auth/credentials.js';
import { DigestAuthenticator } from '../../src/auth/digest.js';
import { AuthenticationError } from '../../src/exceptions.js';
import { isFieldValue } from '../../src/http1/grammar.js';

/** Hashes that this process is to lack, as a Node in FIPS mode does. */
const missing = vi.hoisted(() => new Set<string>());
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return {
    ...crypto,
    createHash: (hash: string) => {
      if (missing.has(hash)) throw new Error('error:0308010C:digital envelope routines::unsupported');
      return crypto.createHash(hash);
    },
  };
});

const ORIGIN = 'http://www.example.org:80';
const PLACE = { role: 'origin', origin: ORIGIN } as const;

function credentialsOf(username: string, password: string): DigestCredentials {
  const credentials = resolveAuth('auth', { type: 'digest', username, password });
  if (credentials?.type !== 'digest') throw new Error('not digest');
  return credentials;
}

/** Draws what a published example drew: cnonces in base64. */
function drawing(...cnonces: readonly string[]): () => Buffer {
  const left = [...cnonces];
  return () => Buffer.from(left.shift() ?? '', 'base64');
}

function loginOf(authenticator: DigestAuthenticator, place: Parameters<DigestAuthenticator['login']>[0] = PLACE) {
  const login = authenticator.login(place);
  if (login.binding !== 'request') throw new Error('not by request');
  return login;
}

function hop(method: string, target: string, content: AuthContent = { kind: 'none' }, origin = ORIGIN): AuthHop {
  return { origin, method, target, content };
}

function response(status: number, fields: Readonly<Record<string, readonly string[]>> = {}): AuthResponse {
  return { status, persistent: true, fieldValues: (name) => fields[name] ?? [] };
}

const refusal = (...lines: readonly string[]) => response(401, { 'WWW-Authenticate': lines });

/** A request that is challenged, and then the value that it is sent with. */
async function answerTo(login: RequestLogin, challenges: readonly string[], to: AuthHop): Promise<string | undefined> {
  expect(await login.authorize(to)).toBeNull();
  if ((await login.receive(refusal(...challenges))) === 'final') return undefined;
  return (await login.authorize(to))?.[1];
}

/** The parameters of an answer; what a server would read. */
function paramsOf(value: string | undefined): Record<string, string> {
  return Object.fromEntries(digestIn(value).params);
}

function digestIn(value: string | undefined): Challenge {
  const found = challengeOf(parseChallenges([value ?? '']), 'digest');
  if (found === undefined) throw new Error(`no digest in ${value}`);
  return found;
}

describe('published examples', () => {
  const EXAMPLE =
    'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
  const CNONCE = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';
  const MD5 = `Digest ${EXAMPLE}, algorithm=MD5`;
  const SHA_256 = `Digest ${EXAMPLE}, algorithm=SHA-256`;

  test.each([
    ['MD5', [MD5], '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', [SHA_256], '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    ['both: the stronger', [MD5, SHA_256], '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ])('DigestAuthenticator answers the example of RFC 7616 section 3.9.1: %s', async (_, challenges, expected) => {
    const authenticator = new DigestAuthenticator(credentialsOf('Mufasa', 'Circle of Life'), drawing(CNONCE));
    const value = await answerTo(loginOf(authenticator), challenges, hop('GET', '/dir/index.html'));
    expect(paramsOf(value)).toEqual({
      username: 'Mufasa',
      realm: 'http-auth@example.org',
      uri: '/dir/index.html',
      algorithm: expected.length === 32 ? 'MD5' : 'SHA-256',
      nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
      nc: '00000001',
      cnonce: CNONCE,
      qop: 'auth',
      response: expected,
      opaque: 'FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS',
    });
    expect(value).toMatch(/, qop=auth, nc=00000001, /);
  });

  test('DigestAuthenticator answers the example of RFC 7616 section 3.9.2: SHA-512-256, charset and userhash', async () => {
    const challenge =
      'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDssOS", charset=UTF-8, userhash=true';
    const authenticator = new DigestAuthenticator(
      credentialsOf('Jäsøn Doe', 'Secret, or not?'),
      drawing('NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm'),
    );
    const value = await answerTo(loginOf(authenticator), [challenge], hop('GET', '/doe.json'));
    // The RFC's own userhash is one of SHA-512 cut short; these are of SHA-512/256, made by Python's hashlib.
    expect(paramsOf(value)).toMatchObject({
      username: '793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b',
      response: '7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c',
      userhash: 'true',
      algorithm: 'SHA-512-256',
    });
  });

  test('DigestAuthenticator answers the example of RFC 2617 section 3.5, to a server that names no algorithm', async () => {
    const challenge =
      'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    const authenticator = new DigestAuthenticator(credentialsOf('Mufasa', 'Circle Of Life'), drawing('0a4f113b'));
    const value = await answerTo(loginOf(authenticator), [challenge], hop('GET', '/dir/index.html'));
    expect(paramsOf(value)).toMatchObject({ response: '6629fae49393a05397450978507c4ef1', cnonce: '0a4f113b' });
    expect(value).not.toContain('algorithm');
  });

  test('DigestAuthenticator answers a challenge of RFC 2069, as corrected by its erratum 749', async () => {
    const challenge =
      'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    const authenticator = new DigestAuthenticator(credentialsOf('Mufasa', 'CircleOfLife'));
    const value = await answerTo(loginOf(authenticator), [challenge], hop('GET', '/dir/index.html'));
    expect(paramsOf(value)).toEqual({
      username: 'Mufasa',
      realm: 'testrealm@host.com',
      nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093',
      uri: '/dir/index.html',
      response: '1949323746fe6a43ef61f9606e7febea',
      opaque: '5ccc069c403ebaf9f0171e9517f40e41',
    });
  });
});

const CHALLENGE = 'Digest realm="here", nonce="n1", qop="auth", algorithm=SHA-256';
const withNonce = (nonce: string, more = '') => CHALLENGE.replace('n1', nonce) + more;

function authenticatorFor(username = 'user', password = 'pass'): DigestAuthenticator {
  return new DigestAuthenticator(credentialsOf(username, password));
}

describe('the nonce', () => {
  test('DigestAuthenticator uses a nonce again for later requests, counting up, with a new cnonce each time', async () => {
    const authenticator = authenticatorFor();
    const first = paramsOf(await answerTo(loginOf(authenticator), [CHALLENGE], hop('GET', '/a')));
    const second = loginOf(authenticator);
    const later = [paramsOf((await second.authorize(hop('GET', '/b')))?.[1])];
    later.push(paramsOf((await loginOf(authenticator).authorize(hop('PUT', '/c')))?.[1]));
    expect([first, ...later].map(({ nonce, nc, uri }) => [nonce, nc, uri])).toEqual([
      ['n1', '00000001', '/a'],
      ['n1', '00000002', '/b'],
      ['n1', '00000003', '/c'],
    ]);
    expect(new Set([first, ...later].map(({ cnonce }) => cnonce)).size).toBe(3);
    expect(await second.receive(response(200))).toBe('final');
  });

  test('DigestAuthenticator keeps the cnonce of a "-sess" session, to which the hash of the password is bound', async () => {
    const challenge = 'Digest realm="here", nonce="n1", qop="auth", algorithm=MD5-sess';
    const authenticator = new DigestAuthenticator(credentialsOf('user', 'pass'), drawing('AAAA', 'BBBB'));
    const first = paramsOf(await answerTo(loginOf(authenticator), [challenge], hop('GET', '/a')));
    const login = loginOf(authenticator);
    const second = paramsOf((await login.authorize(hop('GET', '/b')))?.[1]);
    // Made by Python's hashlib.
    expect([first.cnonce, first.response]).toEqual(['AAAA', 'e5807056df6d964b3b060d2054bf6931']);
    expect([second.cnonce, second.nc, second.response]).toEqual([
      'AAAA',
      '00000002',
      '780d7fb6668cb0306239e2076c451b66',
    ]);
    await login.receive(response(200, { 'Authentication-Info': ['nextnonce="other"'] }));
    expect(paramsOf((await loginOf(authenticator).authorize(hop('GET', '/b')))?.[1]).nonce).toBe('n1');
  });

  test('DigestAuthenticator sends the cnonce of a "-sess" session even without qop', async () => {
    const challenge = 'Digest realm="here", nonce="n1", algorithm=MD5-sess';
    const authenticator = new DigestAuthenticator(credentialsOf('user', 'pass'), drawing('AAAA'));
    const params = paramsOf(await answerTo(loginOf(authenticator), [challenge], hop('GET', '/a')));
    expect(params).toMatchObject({ cnonce: 'AAAA', response: '4662fd60f433541417a32ea2d3505b58' });
    expect(params.nc).toBeUndefined();
  });

  test('DigestAuthenticator answers once more when only the nonce was stale, and then no more', async () => {
    const login = loginOf(authenticatorFor());
    await answerTo(login, [CHALLENGE], hop('GET', '/'));
    expect(await login.receive(refusal(withNonce('n2', ', stale=TRUE')))).toBe('again');
    expect(paramsOf((await login.authorize(hop('GET', '/')))?.[1])).toMatchObject({ nonce: 'n2', nc: '00000001' });
    expect(await login.receive(refusal(withNonce('n3', ', stale=true')))).toBe('final');
  });

  test('DigestAuthenticator lets a refusal stand, and does not begin the next request with what was refused', async () => {
    const authenticator = authenticatorFor();
    const login = loginOf(authenticator);
    await answerTo(login, [CHALLENGE], hop('GET', '/'));
    expect(await login.receive(refusal(withNonce('n2')))).toBe('final');
    expect(await loginOf(authenticator).authorize(hop('GET', '/'))).toBeNull();
  });

  test('DigestAuthenticator takes "stale" with the same nonce for a refusal', async () => {
    const login = loginOf(authenticatorFor());
    await answerTo(login, [CHALLENGE], hop('GET', '/'));
    expect(await login.receive(refusal(`${CHALLENGE}, stale=true`))).toBe('final');
  });

  test('DigestAuthenticator answers a new realm at the origin that it has a nonce for', async () => {
    const authenticator = authenticatorFor();
    await answerTo(loginOf(authenticator), [CHALLENGE], hop('GET', '/'));
    const login = loginOf(authenticator);
    await login.authorize(hop('GET', '/elsewhere'));
    expect(await login.receive(refusal('Digest realm="there", nonce="n9", qop="auth"'))).toBe('again');
    expect(paramsOf((await login.authorize(hop('GET', '/elsewhere')))?.[1])).toMatchObject({
      realm: 'there',
      nc: '00000001',
    });
  });

  test('DigestAuthenticator leaves a nonce that another request has begun since', async () => {
    const authenticator = authenticatorFor();
    const [slow, quick] = [loginOf(authenticator), loginOf(authenticator)];
    await answerTo(slow, [CHALLENGE], hop('GET', '/'));
    await quick.authorize(hop('GET', '/'));
    expect(await quick.receive(refusal(withNonce('n2', ', stale=true')))).toBe('again');
    expect(await slow.receive(refusal(withNonce('n3')))).toBe('final');
    expect(paramsOf((await quick.authorize(hop('GET', '/')))?.[1]).nonce).toBe('n2');
  });

  test('DigestAuthenticator goes on with the nonce that Authentication-Info names next (RFC 7616 section 3.5)', async () => {
    const authenticator = authenticatorFor();
    const login = loginOf(authenticator);
    await answerTo(login, [CHALLENGE], hop('GET', '/'));
    await login.receive(response(200, { 'Authentication-Info': ['qop=auth, nextnonce="n2", rspauth="x"'] }));
    const next = loginOf(authenticator);
    expect(paramsOf((await next.authorize(hop('GET', '/')))?.[1])).toMatchObject({ nonce: 'n2', nc: '00000001' });
    await next.receive(response(200, { 'Authentication-Info': ['nextnonce="n2"'] }));
    expect(paramsOf((await next.authorize(hop('GET', '/')))?.[1])).toMatchObject({ nonce: 'n2', nc: '00000002' });
  });

  test('DigestAuthenticator remembers the nonces of 256 origins', async () => {
    const authenticator = authenticatorFor();
    const places = Array.from({ length: 257 }, (_, n) => ({ role: 'origin', origin: `http://h${n}:80` }) as const);
    for (const place of places) {
      await answerTo(loginOf(authenticator, place), [CHALLENGE], hop('GET', '/', { kind: 'none' }, place.origin));
    }
    const lines = places.map((place) =>
      loginOf(authenticator, place).authorize({ ...hop('GET', '/'), origin: place.origin }),
    );
    expect(lines.map((line) => line === null).indexOf(false)).toBe(1);
  });
});

describe('what is asked for', () => {
  test.each([
    ['another scheme', ['Basic realm="here"']],
    ['an algorithm that nobody knows', ['Digest realm="here", nonce="n", algorithm=WHIRLPOOL']],
    ['a protection that nobody knows', ['Digest realm="here", nonce="n", qop="auth-conf"']],
    ['no realm', ['Digest nonce="n"']],
    ['no nonce', ['Digest realm="here"']],
    ['no challenge', []],
  ])('DigestAuthenticator lets the 401 stand that has %s', async (_, challenges) => {
    expect(await loginOf(authenticatorFor()).receive(refusal(...challenges))).toBe('final');
  });

  test('DigestAuthenticator answers for a proxy with the fields of a proxy', async () => {
    const place = { role: 'proxy', origin: ORIGIN } as const;
    const login = loginOf(authenticatorFor(), place);
    expect(await login.receive(refusal(CHALLENGE))).toBe('final');
    expect(await login.receive(response(407, { 'Proxy-Authenticate': [CHALLENGE] }))).toBe('again');
    expect((await login.authorize(hop('CONNECT', 'www.example.org:443')))?.[0]).toBe('Proxy-Authorization');
  });

  const INT = 'Digest realm="here", nonce="n1", qop="auth-int", algorithm=MD5';
  async function* twice() {
    yield Buffer.from('a=');
    yield Buffer.from('b');
  }

  test.each<[string, AuthContent, string]>([
    ['no content', { kind: 'none' }, '56ceb2930a80c8daf91e9a94c3e227a3'],
    ['bytes', { kind: 'bytes', bytes: Buffer.from('a=b') }, '520c6834d051ce23504bfca9af5a1bbb'],
    [
      'a stream that can be read again',
      { kind: 'stream', replayable: true, open: twice },
      '520c6834d051ce23504bfca9af5a1bbb',
    ],
  ])('DigestAuthenticator protects %s where the server demands it (auth-int)', async (_, content, expected) => {
    const authenticator = new DigestAuthenticator(credentialsOf('user', 'pass'), drawing('AAAA'));
    const value = await answerTo(loginOf(authenticator), [INT], hop('POST', '/', content));
    // Made by Python's hashlib.
    expect(paramsOf(value)).toMatchObject({ qop: 'auth-int', response: expected });
  });

  test('DigestAuthenticator says that content which can be read only once cannot be protected', async () => {
    const content: AuthContent = { kind: 'stream', replayable: false, open: () => expect.fail('opened') };
    const login = loginOf(authenticatorFor());
    await expect(answerTo(login, [INT], hop('POST', '/', content))).rejects.toThrow(
      new AuthenticationError(
        'digest',
        'Cannot log in by digest with qop=auth-int: the body can be read only once, and its hash must be sent before it',
      ),
    );
  });

  test('DigestAuthenticator writes a name beyond ASCII as a server can read it', async () => {
    const utf8 = 'Digest realm="here", nonce="n1", qop="auth", charset=UTF-8';
    const names = async (challenge: string, name: string) =>
      (await answerTo(loginOf(authenticatorFor(name)), [challenge], hop('GET', '/')))?.match(/username\*?=[^,]*/)?.[0];
    expect(await names(utf8, "Jäsøn (D'oe)*")).toBe("username*=UTF-8''J%C3%A4s%C3%B8n%20%28D%27oe%29%2A");
    expect(await names(utf8, 'Mufasa')).toBe('username="Mufasa"');
    expect(await names(CHALLENGE, 'Jäsøn')).toBe('username="Jäsøn"');
    expect(await names(CHALLENGE, 'Łukasz')).toBe(`username="${Buffer.from('Łukasz').toString('latin1')}"`);
  });

  test('DigestAuthenticator hashes composed and decomposed names alike for a server that asks for UTF-8', async () => {
    const utf8 = 'Digest realm="here", nonce="n1", qop="auth", charset=UTF-8';
    const values = ['é', 'e\u0301'].map((name) => {
      const authenticator = new DigestAuthenticator(credentialsOf(name, name), drawing('AAAA'));
      return answerTo(loginOf(authenticator), [utf8], hop('GET', '/'));
    });
    const [composed, decomposed] = await Promise.all(values);
    expect(decomposed).toBe(composed);
  });
});

describe('security', () => {
  test('SEC-094 (CVE-2026-54276): DigestAuthenticator gives no answer to another origin, whatever nonces it has', async () => {
    const authenticator = authenticatorFor();
    const login = loginOf(authenticator);
    await answerTo(login, [CHALLENGE], hop('GET', '/'));
    const elsewhere = hop('GET', '/', { kind: 'none' }, 'http://evil.example:80');
    expect(await login.authorize(elsewhere)).toBeNull();
    expect(await login.receive(refusal(CHALLENGE))).toBe('final');
    expect(await login.authorize(hop('GET', '/'))).toBeNull();
    const other = loginOf(authenticator, { role: 'origin', origin: 'http://evil.example:80' });
    expect(await other.authorize(elsewhere)).toBeNull();
    expect(await loginOf(authenticator, { role: 'proxy', origin: ORIGIN }).authorize(hop('GET', '/'))).toBeNull();
  });

  test('SEC-094: DigestAuthenticator writes quotes and backslashes of realm and nonce into one well-formed line', async () => {
    const challenge = String.raw`Digest realm="a\"b\\c, nc=x", nonce="\\\"", qop="auth", opaque="\""`;
    const value = (await answerTo(loginOf(authenticatorFor('u"\\')), [challenge], hop('GET', '/'))) ?? '';
    expect(paramsOf(value)).toMatchObject({
      realm: 'a"b\\c, nc=x',
      nonce: '\\"',
      opaque: '"',
      username: 'u"\\',
      nc: '00000001',
    });
    expect(isFieldValue(value)).toBe(true);
  });

  test.each(['\r', '\n', '\0', '\u2028'])(
    'SEC-094: DigestAuthenticator does not answer a nonce with %j in it',
    async (mark) => {
      for (const part of ['realm', 'nonce', 'opaque']) {
        const challenge = `Digest realm="r", nonce="n", qop="auth", opaque="o"`.replace(
          `${part}="`,
          `${part}="${mark}`,
        );
        expect(await loginOf(authenticatorFor()).receive(refusal(challenge))).toBe('final');
      }
    },
  );

  test('SEC-094: DigestAuthenticator draws cnonces of 24 bytes that never come twice', async () => {
    const cnonces = await Promise.all(
      Array.from(
        { length: 200 },
        async () => paramsOf(await answerTo(loginOf(authenticatorFor()), [CHALLENGE], hop('GET', '/'))).cnonce,
      ),
    );
    expect(new Set(cnonces).size).toBe(200);
    expect(cnonces.every((cnonce) => cnonce !== undefined && Buffer.from(cnonce, 'base64').length === 24)).toBe(true);
  });

  test('SEC-094 (CVE-2026-11856): DigestAuthenticator answers the strongest challenge of several, on one line or more', async () => {
    const weak = 'Digest realm="here", nonce="weak", qop="auth", algorithm=MD5';
    const strong = 'Digest realm="here", nonce="strong", qop="auth", algorithm=SHA-512-256';
    for (const lines of [[weak, strong], [`${weak}, Basic realm="x", ${strong}`], [strong, weak]]) {
      expect(paramsOf(await answerTo(loginOf(authenticatorFor()), lines, hop('GET', '/'))).nonce).toBe('strong');
    }
  });

  test('DigestAuthenticator falls back to a hash that this Node has, and says so if it has none', async () => {
    const sha = CHALLENGE;
    const md5 = 'Digest realm="here", nonce="weak", qop="auth"';
    try {
      missing.add('sha256');
      expect(paramsOf(await answerTo(loginOf(authenticatorFor()), [sha, md5], hop('GET', '/'))).nonce).toBe('weak');
      missing.add('md5');
      expect(() => loginOf(authenticatorFor()).receive(refusal(md5))).toThrow(
        new AuthenticationError('digest', 'Cannot log in by digest: this Node has no md5 (FIPS mode has none)'),
      );
    } finally {
      missing.clear();
    }
  });
});
