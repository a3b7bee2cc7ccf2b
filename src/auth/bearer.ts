/**
 * The Bearer scheme (RFC 6750): a token with every request, unasked, from the caller or from his function.
 *
 * A function is asked again when a server has refused its token; if it gives another one, the request is sent once more.
 */

import { AuthenticationError } from '../exceptions.js';
import type { FieldLine } from '../http1/request-head.js';
import {
  type Authenticator,
  type AuthHop,
  type AuthPlace,
  type AuthResponse,
  Confinement,
  type Login,
  type RequestLogin,
  type RequestVerdict,
  ROLE_WORDS,
} from './authenticator.js';
import { type BearerCredentials, isToken, type TokenFunction } from './credentials.js';

/** A bearer's token at work. */
export class BearerAuthenticator implements Authenticator {
  readonly binding = 'request';
  readonly #credentials: BearerCredentials;

  constructor(credentials: BearerCredentials) {
    this.#credentials = credentials;
  }

  get key(): string {
    return this.#credentials.key;
  }

  login(place: AuthPlace): Login {
    return new BearerLogin(place, this.#credentials);
  }
}

class BearerLogin implements RequestLogin {
  readonly binding = 'request';
  readonly #place: AuthPlace;
  readonly #credentials: BearerCredentials;
  readonly #confinement: Confinement;
  /** The token to send, as far as one is known. */
  #token: string | null = null;
  #wasRefused = false;

  constructor(place: AuthPlace, credentials: BearerCredentials) {
    this.#place = place;
    this.#credentials = credentials;
    this.#confinement = new Confinement(place);
  }

  authorize(hop: AuthHop): FieldLine | null | Promise<FieldLine | null> {
    if (!this.#confinement.admits(hop)) return null;
    const given = this.#credentials.reveal();
    if (typeof given === 'string') return this.#line(given);
    return this.#token === null ? this.#lineOf(given) : this.#line(this.#token);
  }

  receive(response: AuthResponse): RequestVerdict | Promise<RequestVerdict> {
    const given = this.#credentials.reveal();
    const isRefused = response.status === ROLE_WORDS[this.#place.role].status && !this.#confinement.hasLeft;
    if (!isRefused || this.#wasRefused || typeof given === 'string' || this.#token === null) return 'final';
    this.#wasRefused = true;
    return this.#replace(given, this.#token);
  }

  /** Asked once a request, not once an attempt: retries and redirects within the origin bring the same token. */
  async #lineOf(give: TokenFunction): Promise<FieldLine> {
    this.#token = await tokenOf(give, null);
    return this.#line(this.#token);
  }

  async #replace(give: TokenFunction, refused: string): Promise<RequestVerdict> {
    this.#token = await tokenOf(give, refused);
    return this.#token === refused ? 'final' : 'again';
  }

  #line(token: string): FieldLine {
    return [ROLE_WORDS[this.#place.role].answer, `Bearer ${token}`];
  }
}

async function tokenOf(give: TokenFunction, refused: string | null): Promise<string> {
  let token: unknown;
  try {
    token = await give({ refused });
  } catch (cause) {
    throw new AuthenticationError('bearer', 'The function that was to give a bearer token failed', { cause });
  }
  if (isToken(token)) return token;
  throw new AuthenticationError('bearer', 'The function that was to give a bearer token gave no visible ASCII text');
}
