/**
 * The Digest scheme (RFC 7616; without qop, RFC 2069): challenges answered by hashes of the password.
 *
 * A nonce that a server has given is used again, with its count going up, for later requests to the same origin, so that only
 * the first is sent twice. A server that finds a nonce stale is answered once more; one that refuses an answer is not. Which
 * challenge is answered: digest-challenge.ts; how: digest-answer.ts. A server's own proof (rspauth) is not looked at: TLS says who answers.
 */
import { randomBytes } from 'node:crypto';
import type { FieldLine } from '../http1/request-head.js';
import {
  type Authenticator,
  type AuthHop,
  type AuthPlace,
  type AuthResponse,
  Confinement,
  type Login,
  type RandomSource,
  type RequestLogin,
  type RequestVerdict,
  ROLE_WORDS,
} from './authenticator.js';
import { parseChallenges } from './challenges.js';
import type { DigestCredentials, UserPassword } from './credentials.js';
import { digestAnswer, hashOfContent } from './digest-answer.js';
import { chooseDigestChallenge, type DigestChallenge } from './digest-challenge.js';

/** Origins whose nonces are remembered; beyond that, the one used longest ago is challenged anew. */
const MAX_ORIGINS = 256;

/** A multiple of 3, so that its base64 needs no padding. */
const CNONCE_BYTES = 24;

/** `nc` has eight digits. */
const MAX_COUNT = 0xffff_ffff;

/** Digest credentials at work. */
export class DigestAuthenticator implements Authenticator {
  readonly binding = 'request';
  readonly #credentials: DigestCredentials;
  readonly #random: RandomSource;
  /** By role and origin: a nonce of one server is nothing to another. */
  readonly #sessions = new Map<string, DigestSession>();

  constructor(credentials: DigestCredentials, random: RandomSource = randomBytes) {
    this.#credentials = credentials;
    this.#random = random;
  }

  get key(): string {
    return this.#credentials.key;
  }

  login(place: AuthPlace): Login {
    return new DigestLogin(place, {
      session: () => this.#sessions.get(keyOf(place)) ?? null,
      begin: (challenge) => this.#begin(place, challenge),
      forget: (session) => this.#forget(place, session),
    });
  }

  #begin(place: AuthPlace, challenge: DigestChallenge): DigestSession {
    const session = new DigestSession(this.#credentials.reveal(), challenge, this.#random);
    const key = keyOf(place);
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MAX_ORIGINS && oldest !== undefined) this.#sessions.delete(oldest);
    return session;
  }

  /** Only if it is still the one: another request may have begun a better one since. */
  #forget(place: AuthPlace, session: DigestSession): void {
    if (this.#sessions.get(keyOf(place)) === session) this.#sessions.delete(keyOf(place));
  }
}

function keyOf({ role, origin }: AuthPlace): string {
  return `${role} ${origin}`;
}

/** The nonces of one place, as the logins there see them. */
interface SessionBook {
  session(): DigestSession | null;
  begin(challenge: DigestChallenge): DigestSession;
  forget(session: DigestSession): void;
}

class DigestLogin implements RequestLogin {
  readonly binding = 'request';
  readonly #place: AuthPlace;
  readonly #book: SessionBook;
  readonly #confinement: Confinement;
  /** What the last attempt was authorized by. */
  #used: DigestSession | null = null;
  /** Whether a challenge of this request has been answered, other than one that called a nonce stale. */
  #hasAnswered = false;
  #hasReplacedStale = false;

  constructor(place: AuthPlace, book: SessionBook) {
    this.#place = place;
    this.#book = book;
    this.#confinement = new Confinement(place);
  }

  authorize(hop: AuthHop): FieldLine | null | Promise<FieldLine | null> {
    this.#used = null;
    if (!this.#confinement.admits(hop)) return null;
    const session = this.#book.session();
    if (session === null || session.isUsedUp) return null;
    this.#used = session;
    const value = session.answer(hop);
    const name = ROLE_WORDS[this.#place.role].answer;
    return typeof value === 'string' ? [name, value] : value.then((text) => [name, text]);
  }

  receive(response: AuthResponse): RequestVerdict {
    if (this.#confinement.hasLeft) return 'final';
    const words = ROLE_WORDS[this.#place.role];
    if (response.status !== words.status) {
      this.#used?.renew(response.fieldValues(words.success));
      return 'final';
    }
    const challenge = chooseDigestChallenge(parseChallenges(response.fieldValues(words.challenge)));
    const mayAnswer = challenge !== null && this.#mayAnswer(challenge);
    if (this.#used !== null) this.#book.forget(this.#used);
    if (!mayAnswer) return 'final';
    this.#book.begin(challenge);
    return 'again';
  }

  /** Each once: a challenge, and that a nonce was stale. A server that calls every nonce stale must not keep us going. */
  #mayAnswer({ isStale, nonce }: DigestChallenge): boolean {
    const isOnlyStale = this.#used !== null && isStale && nonce !== this.#used.nonce;
    if (isOnlyStale && !this.#hasReplacedStale) {
      this.#hasReplacedStale = true;
      return true;
    }
    if (this.#hasAnswered) return false;
    this.#hasAnswered = true;
    return true;
  }
}

/** The use of one nonce, and of those that the server has follow it. */
class DigestSession {
  readonly #user: UserPassword;
  readonly #challenge: DigestChallenge;
  readonly #random: RandomSource;
  /** "-sess" binds the password's hash to it (section 3.4.2): such a session keeps it for all its requests. */
  readonly #firstCnonce: string;
  #nonce: string;
  #count = 0;

  constructor(user: UserPassword, challenge: DigestChallenge, random: RandomSource) {
    this.#user = user;
    this.#challenge = challenge;
    this.#random = random;
    this.#firstCnonce = this.#newCnonce();
    this.#nonce = challenge.nonce;
  }

  get nonce(): string {
    return this.#nonce;
  }

  /** No more requests can be counted: the next one is to be challenged anew. */
  get isUsedUp(): boolean {
    return this.#count === MAX_COUNT;
  }

  /** The value of the field that authorizes a request. */
  answer(hop: AuthHop): string | Promise<string> {
    const { protections } = this.#challenge;
    // "auth" wherever there is a choice: content is protected by TLS, and seldom known before it is sent.
    if (protections.length === 0 || protections.includes('auth')) return this.#answer(hop, null);
    return hashOfContent(this.#challenge, hop.content).then((contentHash) => this.#answer(hop, contentHash));
  }

  /** Takes the nonce that the server wants next (section 3.5), if it says so. */
  renew(lines: readonly string[]): void {
    // The field has the parameters of a challenge, without a scheme before them.
    const [parsed] = parseChallenges(lines.slice(0, 1).map((line) => `x ${line}`));
    const next = parsed?.params.get('nextnonce');
    if (next === undefined || next === this.#nonce || this.#challenge.algorithm.isSession) return;
    this.#nonce = next;
    this.#count = 0;
  }

  #answer({ method, target }: AuthHop, contentHash: string | null): string {
    this.#count++;
    const keepsCnonce = this.#challenge.algorithm.isSession || this.#count === 1;
    return digestAnswer(
      this.#user,
      this.#challenge,
      { method, target, contentHash },
      { nonce: this.#nonce, count: this.#count, cnonce: keepsCnonce ? this.#firstCnonce : this.#newCnonce() },
    );
  }

  #newCnonce(): string {
    return Buffer.from(this.#random(CNONCE_BYTES)).toString('base64');
  }
}
