import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { type Answered, ask, rawExchange } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

const HASHES: Record<string, string> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512': 'sha512' };

/** The parameters of a challenge, by the grammar that this server uses. */
function challengeOf({ status, headers }: Answered): Record<string, string> {
  expect(status).toBe(401);
  const field = headers['www-authenticate'] ?? '';
  expect(field).toMatch(/^Digest (?:\w+=(?:"[^"]*"|[\w-]+)(?:, |$))+$/);
  return Object.fromEntries(
    [...field.matchAll(/(\w+)=(?:"([^"]*)"|([\w-]+))/g)].map(([, name, a, b]) => [name, a ?? b]),
  );
}

/** An Authorization field by RFC 7616 section 3.4; `change` replaces parameters after all was computed. */
function answerTo(
  challenge: Record<string, string>,
  {
    path,
    user = 'user',
    password = 'pass',
    qop = 'auth',
    nc = 1,
    body = '',
    change = {},
  }: {
    path: string;
    user?: string;
    password?: string;
    qop?: string;
    nc?: number;
    body?: string;
    change?: Record<string, string>;
  },
): { Authorization: string } {
  const { algorithm = 'MD5', realm = '', nonce = '' } = challenge;
  const hash = (...parts: string[]): string =>
    createHash(HASHES[algorithm] ?? '')
      .update(parts.join(':'))
      .digest('hex');
  const count = nc.toString(16).padStart(8, '0');
  const ha2 = qop === 'auth-int' ? hash('GET', path, hash(body)) : hash('GET', path);
  const response = hash(hash(user, realm, password), nonce, count, 'abc', qop, ha2);
  const parameters = { username: user, realm, nonce, uri: path, response, cnonce: 'abc', ...change };
  const quoted = Object.entries(parameters).map(([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`);
  return {
    Authorization: `Digest ${[...quoted, `algorithm=${change.algorithm ?? algorithm}`, `qop=${qop}`, `nc=${change.nc ?? count}`].join(', ')}`,
  };
}

test.each([
  { path: '/digest-auth/auth/user/pass', algorithm: 'MD5', offered: 'auth', qop: 'auth' },
  { path: '/digest-auth/auth-int/user/pass', algorithm: 'MD5', offered: 'auth-int', qop: 'auth-int' },
  { path: '/digest-auth/any/user/pass', algorithm: 'MD5', offered: 'auth, auth-int', qop: 'auth-int' },
  { path: '/digest-auth/auth/user/pass/MD5', algorithm: 'MD5', offered: 'auth', qop: 'auth' },
  { path: '/digest-auth/auth/user/pass/SHA-256', algorithm: 'SHA-256', offered: 'auth', qop: 'auth' },
  { path: '/digest-auth/auth-int/user/pass/SHA-512', algorithm: 'SHA-512', offered: 'auth-int', qop: 'auth-int' },
  { path: '/digest-auth/auth/user/pass/ROT13', algorithm: 'MD5', offered: 'auth', qop: 'auth' },
  { path: '/digest-auth/auth/user/pass/MD5/never?q=1', algorithm: 'MD5', offered: 'auth', qop: 'auth' },
])('$path challenges with $algorithm and lets the right answer in', async ({ path, algorithm, offered, qop }) => {
  const challenge = challengeOf(await ask(httpbin.url + path));
  expect(challenge).toMatchObject({ algorithm, qop: offered, stale: 'FALSE', realm: 'urllib3 httpbin' });
  expect(challenge.opaque).toMatch(/^[\da-f]{32}$/);
  const body = qop === 'auth-int' ? 'content' : '';
  const answer = await ask(httpbin.url + path, { headers: answerTo(challenge, { path, qop, body }), body });
  expect(answer.json()).toEqual({ authenticated: true, user: 'user' });
});

test('/digest-auth takes a user with quotes and letters beyond ASCII', async () => {
  const path = '/digest-auth/auth/%22us%C3%A9r%22/pass';
  const challenge = challengeOf(await ask(httpbin.url + path));
  const { Authorization } = answerTo(challenge, { path, user: '"usér"' });
  const headers = { Authorization: Buffer.from(Authorization).toString('latin1') };
  expect((await ask(httpbin.url + path, { headers })).status).toBe(200);
});

const PATH = '/digest-auth/auth/user/pass';

test.each([
  { name: 'a wrong password', headers: { password: 'wrong' } },
  { name: 'another user', headers: { user: 'other' } },
  { name: 'another target', headers: { change: { uri: '/get' } } },
  { name: 'another realm', headers: { change: { realm: 'other' } } },
  { name: 'another algorithm', headers: { change: { algorithm: 'SHA-256' } } },
  { name: 'a qop that was not offered', headers: { qop: 'auth-int' } },
  { name: 'a malformed nonce count', headers: { change: { nc: '1' } } },
  { name: 'no cnonce', headers: { change: { cnonce: '' } } },
])('/digest-auth challenges anew for $name', async ({ headers }) => {
  const challenge = challengeOf(await ask(httpbin.url + PATH));
  const again = await ask(httpbin.url + PATH, { headers: answerTo(challenge, { path: PATH, ...headers }) });
  expect(challengeOf(again)).toMatchObject({ stale: 'FALSE' });
});

test.each(['Basic dTpw', 'Digest', 'Digest username="u', 'Digest username=u nonce=x', 'Digest username=u'])(
  '/digest-auth challenges anew for the credentials %j',
  async (Authorization) => {
    const answer = await ask(httpbin.url + PATH, { headers: { Authorization } });
    expect(challengeOf(answer)).toMatchObject({ stale: 'FALSE' });
  },
);

test('/digest-auth says stale for a right answer with a nonce that is not its own', async () => {
  const challenge = { ...challengeOf(await ask(httpbin.url + PATH)), nonce: 'forged' };
  const answer = await ask(httpbin.url + PATH, { headers: answerTo(challenge, { path: PATH }) });
  expect(challengeOf(answer)).toMatchObject({ stale: 'TRUE' });
});

test('/digest-auth says stale for a nonce count that was used before, and takes the next one', async () => {
  const challenge = challengeOf(await ask(httpbin.url + PATH));
  const statuses: number[] = [];
  for (const nc of [1, 1, 2, 16]) {
    statuses.push((await ask(httpbin.url + PATH, { headers: answerTo(challenge, { path: PATH, nc }) })).status);
  }
  expect(statuses).toEqual([200, 401, 200, 200]);
});

test('/digest-auth lets a nonce go stale after the uses that the path allows', async () => {
  const path = `${PATH}/MD5/2`;
  const challenge = challengeOf(await ask(httpbin.url + path));
  const answers: Answered[] = [];
  for (const nc of [1, 2, 3])
    answers.push(await ask(httpbin.url + path, { headers: answerTo(challenge, { path, nc }) }));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 401]);
  const fresh = challengeOf(answers[2] ?? expect.unreachable());
  expect(fresh.stale).toBe('TRUE');
  expect((await ask(httpbin.url + path, { headers: answerTo(fresh, { path }) })).status).toBe(200);
});

test('/digest-auth forgets the oldest nonce when it has given out 1000 more', async () => {
  await using fresh = await startHttpbin();
  const oldest = challengeOf(await ask(fresh.url + PATH));
  const second = challengeOf(await ask(fresh.url + PATH));
  const get = `GET ${PATH} HTTP/1.1\r\nHost: x\r\n`;
  await rawExchange(fresh.port, `${`${get}\r\n`.repeat(998)}${get}Connection: close\r\n\r\n`);
  const isStale = (challenge: Record<string, string>) =>
    ask(fresh.url + PATH, { headers: answerTo(challenge, { path: PATH }) }).then(({ status }) => status === 401);
  expect(await isStale(second)).toBe(false);
  expect(await isStale(oldest)).toBe(true);
});

test('/digest-auth refuses a number of uses that is none', async () => {
  expect((await ask(`${httpbin.url}${PATH}/MD5/soon`)).status).toBe(400);
});
