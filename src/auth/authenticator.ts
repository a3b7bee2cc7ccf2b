/**
 * The seam between authentication and the pools: what a scheme is told of a request and its responses, and what it answers.
 *
 * Sans-IO: nothing here or behind it opens a connection, sends a byte or waits for one (a bearer's token function apart). An
 * {@link Authenticator} belongs to one set of credentials, for as long as a pool or manager lives; a {@link Login} belongs to one
 * request. A pool asks a login for a field line before each attempt, shows it each final response, and does as it says.
 *
 * ```text
 *   login = authenticator.login({ role, origin })
 *   loop:   line = login.authorize(hop)      → sent with the request, whole
 *           login.receive(response)          → the response stands, or once around again
 * ```
 *
 * Credentials are for one origin in one role: a hop to any other gets nothing, and neither do the hops after it.
 */
import type { FieldLine } from '../http1/request-head.js';

/** Who is to be convinced: the server (401, WWW-Authenticate, Authorization) or a proxy (407, Proxy-...). */
export type AuthRole = 'origin' | 'proxy';

/** Where a request's credentials may go, and nowhere else. */
export interface AuthPlace {
  readonly role: AuthRole;
  /** Scheme, host and port of the server, or of the proxy, normalised: as `Url.origin` has it. */
  readonly origin: string;
}

/** The content of a request; a `BodySource` is one. */
export type AuthContent =
  | { readonly kind: 'none' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'stream'; readonly replayable: boolean; open(): AsyncIterable<Uint8Array> };

/** One attempt of a request, about to be sent. */
export interface AuthHop {
  /** Of the server it goes to; of the proxy, where the role is a proxy's. */
  readonly origin: string;
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  readonly content: AuthContent;
}

/** The head of a final response. */
export interface AuthResponse {
  readonly status: number;
  /** Whether the connection stays open after it, as far as its head tells. */
  readonly persistent: boolean;
  /** The values of a field, one per line. */
  fieldValues(name: string): readonly string[];
}

/** What a login by connection must know of the connection. The object is its identity: one and the same for its whole life. */
export interface AuthConnection {
  /**
   * The leaf certificate of the server in DER, taken from the very socket that will carry the request; null without TLS. Through
   * a tunnel it is the certificate of the server at its end.
   */
  readonly serverCertificate: Uint8Array | null;
}

/** What is to become of a response: it stands, or the request is sent once more. */
export type RequestVerdict = 'final' | 'again';

/** The same, and over which connection. */
export type ConnectionVerdict = 'final' | 'same-connection' | 'fresh-connection';

/** A login whose proof goes with each request, over whatever connection. */
export interface RequestLogin {
  readonly binding: 'request';
  /**
   * The line to send with this attempt; null for none.
   *
   * @throws AuthenticationError where the server's challenge cannot be answered
   */
  authorize(hop: AuthHop): FieldLine | null | Promise<FieldLine | null>;
  /**
   * Told of each final response; `again` asks for one more attempt at once, at no cost to the retries.
   *
   * @throws AuthenticationError where the refusal cannot be answered; the response is then to be closed
   */
  receive(response: AuthResponse): RequestVerdict | Promise<RequestVerdict>;
}

/** A login that belongs to a connection: every step of it must go over the same one. */
export interface ConnectionLogin {
  readonly binding: 'connection';
  /**
   * The line to send with this attempt over this connection; null once it is logged in.
   *
   * @throws AuthenticationError where the server's challenge cannot be answered; the connection is of no use then
   */
  authorize(hop: AuthHop, connection: AuthConnection): FieldLine | null;
  /**
   * Told of each final response. `same-connection`: once more, over this connection, when the response has been read to its end;
   * should it be lost, over any other. `fresh-connection`: once more, over one that has served nobody; this one is to be closed.
   *
   * @throws AuthenticationError where the challenge is malformed, or the server does not keep the connection
   */
  receive(response: AuthResponse, connection: AuthConnection): ConnectionVerdict;
  /** Whether the connection may serve another request of the same credentials: not in the middle of a login. */
  mayKeep(connection: AuthConnection): boolean;
  /** Whether the server has accepted this login. */
  isLoggedIn(connection: AuthConnection): boolean;
}

export type Login = RequestLogin | ConnectionLogin;

/** Gives so many bytes that nobody can guess. */
export type RandomSource = (size: number) => Uint8Array;

/** Credentials at work: what is remembered from one request to the next. */
export interface Authenticator {
  /** Tells credentials apart without saying what they are; a connection that was logged in belongs to it. */
  readonly key: string;
  /** `connection`: connections must be shared with no other credentials, nor with requests that have none. */
  readonly binding: Login['binding'];
  /** Begins a request. */
  login(place: AuthPlace): Login;
}

/** The words of a role. */
export interface RoleWords {
  readonly status: 401 | 407;
  /** The field that challenges. */
  readonly challenge: string;
  /** The field that answers. */
  readonly answer: string;
  /** The field that comes with a success. */
  readonly success: string;
}

export const ROLE_WORDS: Readonly<Record<AuthRole, RoleWords>> = {
  origin: {
    status: 401,
    challenge: 'WWW-Authenticate',
    answer: 'Authorization',
    success: 'Authentication-Info',
  },
  proxy: {
    status: 407,
    challenge: 'Proxy-Authenticate',
    answer: 'Proxy-Authorization',
    success: 'Proxy-Authentication-Info',
  },
};

/** Lets a login out of its place never, and never back in: whoever was redirected away and back brings a stranger's URL. */
export class Confinement {
  readonly #origin: string;
  #hasLeft = false;

  constructor(place: AuthPlace) {
    this.#origin = place.origin;
  }

  admits(hop: AuthHop): boolean {
    this.#hasLeft ||= hop.origin !== this.#origin;
    return !this.#hasLeft;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }
}
