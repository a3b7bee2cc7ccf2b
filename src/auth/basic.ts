/**
 * The Basic scheme (RFC 7617): name and password with every request, unasked.
 *
 * In UTF-8, in the normal form that section 2.1 asks for; `makeHeaders({ basicAuth })` is the reference's way, which takes
 * latin1 where it can. A challenge changes nothing: what was refused once would be refused again.
 */
import type { FieldLine } from '../http1/request-head.js';
import {
  type Authenticator,
  type AuthHop,
  type AuthPlace,
  Confinement,
  type Login,
  ROLE_WORDS,
} from './authenticator.js';
import type { BasicCredentials } from './credentials.js';

/** Basic credentials at work. */
export class BasicAuthenticator implements Authenticator {
  readonly binding = 'request';
  readonly #credentials: BasicCredentials;

  constructor(credentials: BasicCredentials) {
    this.#credentials = credentials;
  }

  get key(): string {
    return this.#credentials.key;
  }

  login(place: AuthPlace): Login {
    const confinement = new Confinement(place);
    const { username, password } = this.#credentials.reveal();
    const userPass = Buffer.from(`${username}:${password}`.normalize('NFC')).toString('base64');
    const line: FieldLine = [ROLE_WORDS[place.role].answer, `Basic ${userPass}`];
    return {
      binding: 'request',
      authorize: (hop: AuthHop) => (confinement.admits(hop) ? line : null),
      receive: () => 'final',
    };
  }
}
