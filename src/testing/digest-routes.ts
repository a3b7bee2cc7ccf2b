/**
 * Endpoints behind Digest authentication (RFC 7616): MD5, SHA-256 and SHA-512, qop auth and auth-int.
 *
 * Nonces are kept by the server, not in cookies as httpbin does: an answer is accepted only for a nonce that this
 * server gave out, with a nonce count above those seen, and as often as the path allows. A good answer to any other
 * nonce is told `stale=TRUE`, so that a client tries again without asking its user.
 */
import { createHash, randomBytes } from 'node:crypto';
import { credentialBytes } from './auth-routes.js';
import type { Exchange } from './exchange.js';
import { Refusal } from './refusal.js';
import { GET, type Handler, type PathParams, type Route } from './router.js';

const REALM = 'urllib3 httpbin';
/** Beyond this many, the oldest nonces are forgotten and so become stale. */
const MAX_NONCES = 1000;

const HASHES: ReadonlyMap<string, string> = new Map([
  ['MD5', 'md5'],
  ['SHA-256', 'sha256'],
  ['SHA-512', 'sha512'],
]);

/** The nonces of one server, each with the count it was last used with and how often it was. */
class NonceBook {
  readonly #uses = new Map<string, { readonly count: number; readonly times: number }>();

  issue(): string {
    const nonce = randomBytes(16).toString('hex');
    this.#uses.set(nonce, { count: 0, times: 0 });
    const [oldest = ''] = this.#uses.keys();
    if (this.#uses.size > MAX_NONCES) this.#uses.delete(oldest);
    return nonce;
  }

  /** Counts a use; false if the nonce is unknown, used up, or this count was seen before. */
  use(nonce: string, count: number, maxTimes: number): boolean {
    const use = this.#uses.get(nonce);
    if (use === undefined || count <= use.count || use.times >= maxTimes) return false;
    this.#uses.set(nonce, { count, times: use.times + 1 });
    return true;
  }
}

/** What the path asks for: names that httpbin does not know mean its defaults. */
interface Terms {
  readonly algorithm: string;
  readonly qops: readonly string[];
  /** How often one nonce may be used. */
  readonly maxTimes: number;
}

function termsOf(params: PathParams): Terms {
  const algorithm = params.text('algorithm');
  const qop = params.text('qop');
  const staleAfter = params.text('stale_after');
  if (!/^(?:\d*|never)$/.test(staleAfter)) throw new Refusal(400, 'stale_after must be a whole number or "never"');
  return {
    algorithm: HASHES.has(algorithm) ? algorithm : 'MD5',
    qops: qop === 'auth' || qop === 'auth-int' ? [qop] : ['auth', 'auth-int'],
    maxTimes: /^\d+$/.test(staleAfter) ? Number(staleAfter) : Number.POSITIVE_INFINITY,
  };
}

/** The parameters of `Digest name=value, ...`; undefined if the field is not of that form. */
function parseCredentials(field: string | undefined): Map<string, string> | undefined {
  const list = /^digest +(.*)$/i.exec(field ?? '')?.[1];
  if (list === undefined) return undefined;
  const parameters = new Map<string, string>();
  const next = /([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))(?:[ \t]*,[ \t]*|$)/y;
  while (next.lastIndex < list.length) {
    const found = next.exec(list);
    if (found === null) return undefined;
    const [, name = '', quoted, token = ''] = found;
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? token);
  }
  return parameters;
}

/** Whether the `response` is the one that the user and password of the path give (RFC 7616 section 3.4). */
function isRightAnswer(
  exchange: Exchange,
  params: PathParams,
  terms: Terms,
  credentials: Map<string, string>,
  body: Buffer,
): boolean {
  const given = (name: string): string => credentials.get(name) ?? '';
  const hash = (...parts: (string | Buffer)[]): string => {
    const digest = createHash(HASHES.get(terms.algorithm) ?? 'md5');
    for (const [index, part] of parts.entries()) digest.update(index === 0 ? '' : ':').update(part);
    return digest.digest('hex');
  };
  if (!terms.qops.includes(given('qop')) || (credentials.get('algorithm') ?? 'MD5') !== terms.algorithm) return false;
  if (given('realm') !== REALM || ![exchange.target, exchange.rawTarget].includes(given('uri'))) return false;
  if (!/^[\da-f]{8}$/i.test(given('nc')) || given('cnonce') === '') return false;

  const a2 = given('qop') === 'auth' ? [] : [hash(body)];
  const ha2 = hash(exchange.method, given('uri'), ...a2);
  const users = credentialBytes(params.text('user'));
  return credentialBytes(params.text('password')).some((password, charset) => {
    const user = users[charset];
    if (user?.toString('latin1') !== given('username')) return false;
    const ha1 = hash(user, REALM, password);
    return given('response') === hash(ha1, given('nonce'), given('nc'), given('cnonce'), given('qop'), ha2);
  });
}

/** The routes of one server: they share its nonces. */
export function digestRoutes(): readonly Route[] {
  const nonces = new NonceBook();

  const challenge = (exchange: Exchange, { algorithm, qops }: Terms, stale: boolean): void => {
    const parameters = [
      `realm="${REALM}"`,
      `nonce="${nonces.issue()}"`,
      `qop="${qops.join(', ')}"`,
      `opaque="${randomBytes(16).toString('hex')}"`,
      `algorithm=${algorithm}`,
      `stale=${stale ? 'TRUE' : 'FALSE'}`,
    ];
    exchange.send({ status: 401, fields: { 'WWW-Authenticate': `Digest ${parameters.join(', ')}` } });
  };

  const handler: Handler = async (exchange, params) => {
    const terms = termsOf(params);
    const credentials = parseCredentials(exchange.field('authorization'));
    const body = await exchange.body();
    if (credentials === undefined || !isRightAnswer(exchange, params, terms, credentials, body)) {
      return challenge(exchange, terms, false);
    }
    const count = Number.parseInt(credentials.get('nc') ?? '', 16);
    if (!nonces.use(credentials.get('nonce') ?? '', count, terms.maxTimes)) return challenge(exchange, terms, true);
    exchange.sendJson({ authenticated: true, user: params.text('user') });
  };

  const path = '/digest-auth/{qop}/{user}/{password}';
  return [
    { path, methods: GET, summary: 'Digest authentication with MD5; qop is auth or auth-int', handler },
    { path: `${path}/{algorithm}`, methods: GET, summary: 'The same with MD5, SHA-256 or SHA-512', handler },
    { path: `${path}/{algorithm}/{stale_after}`, methods: GET, summary: 'Nonces go stale after so many uses', handler },
  ];
}
