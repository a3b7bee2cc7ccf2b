/**
 * NTLM over HTTP (MS-NTHT): the login of a connection, carried by the requests on it.
 *
 * ```text
 *   request + NEGOTIATE ──▶ 401 + CHALLENGE ──▶ request + AUTHENTICATE ──▶ anything but 401: the connection is logged in
 * ```
 *
 * The first request on a connection begins the login at once, whole, so that a server that wants none has served it. From
 * then on the server takes every request on that connection for this user's: it belongs to these credentials, and never
 * serves any other (CVE-2014-0015 and its kin). In the middle of a login it serves nobody: mod_auth_gssapi refuses another
 * NEGOTIATE there.
 *
 * Where a server offers Negotiate but not NTLM, the same messages go under that name, as such servers understand them;
 * Kerberos, and SPNEGO around the messages, are not spoken. The messages: ntlm-messages.ts; their order: ntlm.ts.
 */
import { randomBytes } from 'node:crypto';
import { AuthenticationError, HTTPError } from '../exceptions.js';
import { asciiLowerCase } from '../headers.js';
import { equalsIgnoringCase } from '../http1/grammar.js';
import type { FieldLine } from '../http1/request-head.js';
import {
  type AuthConnection,
  type Authenticator,
  type AuthHop,
  type AuthPlace,
  type AuthResponse,
  Confinement,
  type ConnectionLogin,
  type ConnectionVerdict,
  type RandomSource,
  ROLE_WORDS,
} from './authenticator.js';
import { type Challenge, challengeOf, parseChallenges } from './challenges.js';
import { channelBindingHash } from './channel-binding.js';
import { belongTo } from './connection-owners.js';
import type { NtlmCredentials } from './credentials.js';
import { NtlmHandshake } from './ntlm.js';

/** The names under which the messages travel. */
type NtlmScheme = 'NTLM' | 'Negotiate';

/** What a login takes from outside. */
export interface NtlmEnvironment {
  readonly random: RandomSource;
  /** Milliseconds of the epoch. */
  readonly now: () => number;
}

/** How far the login of one connection has come. */
type ConnectionState =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'negotiating'; readonly handshake: NtlmHandshake; readonly scheme: NtlmScheme }
  | {
      readonly kind: 'challenged';
      readonly handshake: NtlmHandshake;
      readonly scheme: NtlmScheme;
      readonly token: string;
    }
  | { readonly kind: 'proving'; readonly handshake: NtlmHandshake }
  | { readonly kind: 'logged-in' }
  | { readonly kind: 'spoiled' };

const ANONYMOUS: ConnectionState = Object.freeze({ kind: 'anonymous' });
const SPOILED: ConnectionState = Object.freeze({ kind: 'spoiled' });

/** Logins begun without one coming to its end: a server that always drops the connection must not keep us going. */
const MAX_BEGUN = 3;

/** Origins that are remembered for wanting the name Negotiate. */
const MAX_ORIGINS = 256;

/** NTLM credentials at work: the connections that they have logged in. */
export class NtlmAuthenticator implements Authenticator {
  readonly binding = 'connection';
  readonly #credentials: NtlmCredentials;
  readonly #environment: NtlmEnvironment;
  readonly #states = {
    origin: new WeakMap<AuthConnection, ConnectionState>(),
    proxy: new WeakMap<AuthConnection, ConnectionState>(),
  };
  readonly #wantNegotiate = new Set<string>();

  constructor(credentials: NtlmCredentials, environment: Partial<NtlmEnvironment> = {}) {
    this.#credentials = credentials;
    this.#environment = { random: environment.random ?? randomBytes, now: environment.now ?? Date.now };
  }

  get key(): string {
    return this.#credentials.key;
  }

  login(place: AuthPlace): ConnectionLogin {
    return new NtlmLogin(place, this.#credentials, this.#environment, this.#states[place.role], this.#wantNegotiate);
  }
}

class NtlmLogin implements ConnectionLogin {
  readonly binding = 'connection';
  readonly #place: AuthPlace;
  readonly #credentials: NtlmCredentials;
  readonly #environment: NtlmEnvironment;
  /** Of all connections of these credentials in this role. */
  readonly #states: WeakMap<AuthConnection, ConnectionState>;
  readonly #wantNegotiate: Set<string>;
  readonly #confinement: Confinement;
  #begun = 0;
  /** Whether a connection that was logged in, and then refused, has been given up for a fresh one. */
  #hasGivenUp = false;

  constructor(
    place: AuthPlace,
    credentials: NtlmCredentials,
    environment: NtlmEnvironment,
    states: WeakMap<AuthConnection, ConnectionState>,
    wantNegotiate: Set<string>,
  ) {
    this.#place = place;
    this.#credentials = credentials;
    this.#environment = environment;
    this.#states = states;
    this.#wantNegotiate = wantNegotiate;
    this.#confinement = new Confinement(place);
  }

  authorize(hop: AuthHop, connection: AuthConnection): FieldLine | null {
    belongTo(this.#credentials.key, connection, this.#place.role);
    if (!this.#confinement.admits(hop)) return null;
    const state = this.#stateOf(connection);
    switch (state.kind) {
      case 'logged-in':
        return null;
      case 'anonymous':
        return this.#begin(connection);
      case 'challenged':
        this.#states.set(connection, { kind: 'proving', handshake: state.handshake });
        return this.#line(state.scheme, state.token);
      case 'negotiating':
      case 'proving':
      case 'spoiled':
        throw new HTTPError(`Bug in urllib3: a request was given a connection whose NTLM login is ${state.kind}`);
    }
  }

  receive(response: AuthResponse, connection: AuthConnection): ConnectionVerdict {
    if (this.#confinement.hasLeft) return 'final';
    const state = this.#stateOf(connection);
    const isRefusal = response.status === ROLE_WORDS[this.#place.role].status;
    switch (state.kind) {
      case 'negotiating':
        return isRefusal ? this.#prove(response, connection, state) : this.#served(connection);
      case 'proving':
        return this.#conclude(response, connection, state.handshake, isRefusal);
      case 'logged-in':
        return isRefusal ? this.#afterRefusal(response, connection) : 'final';
      case 'anonymous':
      case 'challenged':
      case 'spoiled':
        throw new HTTPError(`Bug in urllib3: a response came over a connection whose NTLM login is ${state.kind}`);
    }
  }

  mayKeep(connection: AuthConnection): boolean {
    const { kind } = this.#stateOf(connection);
    return kind === 'anonymous' || kind === 'logged-in';
  }

  isLoggedIn(connection: AuthConnection): boolean {
    return this.#stateOf(connection).kind === 'logged-in';
  }

  #begin(connection: AuthConnection): FieldLine {
    if (this.#begun === MAX_BEGUN) {
      throw new AuthenticationError(
        'ntlm',
        `Cannot log in by ntlm: the connection was lost in the middle of ${MAX_BEGUN} logins`,
      );
    }
    this.#begun++;
    const { serverCertificate } = connection;
    const handshake = new NtlmHandshake({
      names: this.#credentials.reveal(),
      servicePrincipal: `HTTP/${hostOf(this.#place.origin)}`,
      channelBinding: serverCertificate === null ? null : channelBindingHash('ntlm', serverCertificate),
      ...this.#environment,
    });
    const scheme = this.#wantNegotiate.has(this.#place.origin) ? 'Negotiate' : 'NTLM';
    const line = this.#line(scheme, handshake.start());
    this.#states.set(connection, { kind: 'negotiating', handshake, scheme });
    return line;
  }

  /** The server wanted no login for this request. */
  #served(connection: AuthConnection): ConnectionVerdict {
    this.#begun = 0;
    this.#states.set(connection, ANONYMOUS);
    return 'final';
  }

  #prove(
    response: AuthResponse,
    connection: AuthConnection,
    { handshake, scheme }: Extract<ConnectionState, { kind: 'negotiating' }>,
  ): ConnectionVerdict {
    // Unless it comes to an answer, the connection is of no use: it may be half logged in.
    this.#states.set(connection, SPOILED);
    const challenges = this.#challenges(response);
    const token = challengeOf(challenges, asciiLowerCase(scheme))?.token ?? null;
    if (token === null) return this.#changeScheme(challenges, scheme);
    const step = handshake.receive({ kind: 'challenge', token });
    if (!response.persistent) {
      throw new AuthenticationError(
        'ntlm',
        'Cannot log in by ntlm: the server closes the connection in the middle of the login, which belongs to the connection',
      );
    }
    if (step.kind === 'send')
      this.#states.set(connection, { kind: 'challenged', handshake, scheme, token: step.token });
    return 'same-connection';
  }

  /** A server without NTLM may have Negotiate; no other scheme will do. */
  #changeScheme(challenges: readonly Challenge[], scheme: NtlmScheme): ConnectionVerdict {
    const isOnlyNegotiate =
      challengeOf(challenges, 'ntlm') === undefined && challengeOf(challenges, 'negotiate') !== undefined;
    if (scheme === 'Negotiate' || !isOnlyNegotiate) return 'final';
    if (this.#wantNegotiate.size >= MAX_ORIGINS) this.#wantNegotiate.clear();
    this.#wantNegotiate.add(this.#place.origin);
    return 'fresh-connection';
  }

  #conclude(
    response: AuthResponse,
    connection: AuthConnection,
    handshake: NtlmHandshake,
    isRefusal: boolean,
  ): ConnectionVerdict {
    handshake.receive({ kind: isRefusal ? 'refusal' : 'success' });
    if (isRefusal) {
      this.#states.set(connection, SPOILED);
      return 'final';
    }
    this.#begun = 0;
    // MS-N2HT section 2.2.2: a server that logs in each request alone says so.
    const isForOne = response.fieldValues('Persistent-Auth').some((value) => equalsIgnoringCase(value.trim(), 'false'));
    this.#states.set(connection, isForOne ? ANONYMOUS : { kind: 'logged-in' });
    return 'final';
  }

  /** Refused although logged in: the server may have forgotten the login. One fresh connection tells. */
  #afterRefusal(response: AuthResponse, connection: AuthConnection): ConnectionVerdict {
    const challenges = this.#challenges(response);
    const isOffered = ['ntlm', 'negotiate'].some((scheme) => challengeOf(challenges, scheme) !== undefined);
    if (!isOffered) return 'final';
    this.#states.set(connection, SPOILED);
    if (this.#hasGivenUp) return 'final';
    this.#hasGivenUp = true;
    return 'fresh-connection';
  }

  #challenges(response: AuthResponse): readonly Challenge[] {
    return parseChallenges(response.fieldValues(ROLE_WORDS[this.#place.role].challenge));
  }

  #stateOf(connection: AuthConnection): ConnectionState {
    return this.#states.get(connection) ?? ANONYMOUS;
  }

  #line(scheme: NtlmScheme, token: string): FieldLine {
    return [ROLE_WORDS[this.#place.role].answer, `${scheme} ${token}`];
  }
}

/** The host of `scheme://host:port`, without the brackets of an IPv6 address. */
function hostOf(origin: string): string {
  const authority = origin.slice(origin.indexOf('//') + 2);
  return authority.replace(/:[0-9]*$/, '').replace(/^\[(.*)\]$/, '$1');
}
