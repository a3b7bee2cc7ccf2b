/**
 * Requests that log in: whose credentials a request is made with, and the exchanges that one attempt of it then takes.
 *
 * ```text
 *   attempt ─ authorize ─ exchange ─ receive ─┬─ final ─────────────▶ the response stands
 *      ▲                                      ├─ again ─────────────┐
 *      │                                      ├─ same-connection ───┤ the refusal is drained, the request sent once more
 *      └──────────────────────────────────────┴─ fresh-connection ──┘
 * ```
 *
 * The legs of a login are one attempt to the loop in connectionpool.ts: they cost no retry and no pause. A login that belongs
 * to a connection keeps it in a {@link Seat} until it is over, so that the pool gives it to nobody in the middle. What the
 * schemes say: auth/; when they are loaded: with the first credentials.
 */
import type { Socket } from 'node:net';
import type { Outcome } from './attempt.js';
import type {
  AuthConnection,
  AuthHop,
  AuthPlace,
  AuthResponse,
  ConnectionLogin,
  Login,
  RequestLogin,
} from './auth/authenticator.js';
import type { Authenticators } from './auth/authenticators.js';
import { type Credentials, resolveAuth } from './auth/credentials.js';
import type { ConnectionOwner, HTTPConnection } from './connection.js';
import { ExchangeFailure } from './engine/exchange-failure.js';
import { AuthenticationError, HTTPError, NewConnectionError, TimeoutError } from './exceptions.js';
import { equalsIgnoringCase } from './http1/grammar.js';
import type { FieldLine } from './http1/request-head.js';
import { logger } from './logging.js';
import type { Message } from './message.js';
import { peerCertificate } from './tls/handshake.js';
import { bounded } from './transport/bounded.js';
import { parseUrl } from './util/url.js';

const LOGGER = 'urllib3.connectionpool';

/**
 * Content that is longer, or of no known length, is not sent before its connection is logged in: a server may refuse it at
 * once, and of a connection with half a request on it nothing more can be had. Shorter content goes out with its head.
 */
const LIGHT_BYTES = 16_384;

/** The status of a server that wants a login, or another one. */
const REFUSED = 401;

/** A final response, and what its head says of the connection. */
export type Answer = Extract<Outcome, { readonly kind: 'response' }>;

/** Sends a message over the connection of a seat. */
export type Send = (message: Message) => Promise<Answer>;

/** What a pool does for a request that logs in. */
export interface LoginHouse {
  readonly signal: AbortSignal | null;
  /** Whose the connections are, when no login holds them. */
  readonly owner: ConnectionOwner;
  /** What logs a new connection in before it serves a request; null where the request does that itself. */
  loginMessageFor(message: Message): Message | null;
  withLine(message: Message, line: FieldLine): Message;
  /**
   * One leg of an attempt.
   *
   * @param seat - for the connection, if the login belongs to it
   */
  attempt(message: Message, needsFresh: boolean, seat: Seat | null): Promise<Outcome>;
}

/** Whether a login of these credentials belongs to a connection, which then must serve nobody else. */
export function ownsConnections(credentials: Credentials | null): boolean {
  return credentials?.type === 'ntlm';
}

/**
 * Whose credentials a request is made with; null for nobody's.
 *
 * @param given - what the request itself says; undefined for nothing
 * @param own - what the pool or manager has for it
 * @param lines - the fields of the request: one that says who makes it stands in the place of what the pool or manager has
 * @throws TypeError or RangeError for credentials that cannot be used, and for both ways to say it in one request
 */
export function credentialsOf(
  given: unknown,
  own: Credentials | null,
  lines: readonly FieldLine[],
): Credentials | null {
  const isSaidByField = lines.some(([name]) => equalsIgnoringCase(name, 'authorization'));
  if (given === undefined) return isSaidByField ? null : own;
  const credentials = resolveAuth('auth', given);
  if (credentials !== null && isSaidByField) {
    throw new TypeError('Cannot use auth beside a field Authorization: both would say who makes the request');
  }
  return credentials;
}

/**
 * Keeps apart, in a pool, what must not meet on a connection (CVE-2014-0015 and its kin).
 *
 * @throws TypeError for credentials that the connections of a pool cannot serve
 */
export function checkShareable(credentials: Credentials | null, own: Credentials | null): void {
  if (credentials?.key === own?.key) return;
  if (ownsConnections(own)) {
    throw new TypeError(
      'Cannot make a request without the credentials of the pool: its connections are logged in by ntlm, and say them for ' +
        'every request; use another pool, or a PoolManager',
    );
  }
  if (ownsConnections(credentials)) {
    throw new TypeError(
      'Cannot use auth of type "ntlm" for one request of a pool, whose connections serve others, too: give it to the pool, ' +
        'or make the request with a PoolManager',
    );
  }
}

/** The logins of one pool or manager. What equal credentials have learnt from one request serves the next. */
export class Logins {
  #authenticators: Authenticators | null = null;

  /** Begins a request: at once, but for the first one. */
  begin(credentials: Credentials, place: AuthPlace): Login | Promise<Login> {
    return this.#authenticators === null
      ? this.#loadAndBegin(credentials, place)
      : this.#authenticators.of(credentials).login(place);
  }

  async #loadAndBegin(credentials: Credentials, place: AuthPlace): Promise<Login> {
    const { Authenticators } = await import('./auth/authenticators.js');
    this.#authenticators ??= new Authenticators();
    return this.#authenticators.of(credentials).login(place);
  }
}

/** One attempt of a request that logs in: as many legs as its login asks for. */
export function attemptWithLogin(
  login: Login,
  message: Message,
  needsFresh: boolean,
  house: LoginHouse,
): Promise<Outcome> {
  return login.binding === 'request'
    ? legsOverAny(login, message, needsFresh, house)
    : legsOverOne(login, message, needsFresh, house);
}

/** The proof goes with the request, over whatever connection there is. */
async function legsOverAny(
  login: RequestLogin,
  message: Message,
  needsFresh: boolean,
  house: LoginHouse,
): Promise<Outcome> {
  const hop = hopOf(message);
  let isFresh = needsFresh;
  for (;;) {
    const line = await orAborted(login.authorize(hop), house.signal);
    const outcome = await house.attempt(line === null ? message : house.withLine(message, line), isFresh, null);
    if (outcome.kind !== 'response') return outcome;
    try {
      const verdict = await orAborted(login.receive(authResponse(outcome)), house.signal);
      if (verdict === 'final') return outcome;
      assertUnspent(message);
    } catch (error) {
      outcome.response.close();
      throw error;
    }
    await outcome.response.drainConn();
    isFresh = false;
  }
}

/** The proof is the connection's: all of it has to go over the same one. */
async function legsOverOne(
  login: ConnectionLogin,
  message: Message,
  needsFresh: boolean,
  house: LoginHouse,
): Promise<Outcome> {
  const seat = new Seat(login, house);
  try {
    for (let isFresh = needsFresh; ; ) {
      const outcome = await house.attempt(message, isFresh, seat);
      isFresh = outcome.kind === 'stale-connection' && seat.wantsFresh;
      if (isFresh) continue;
      if (outcome.kind !== 'response') return outcome;
      const verdict = seat.receive(outcome);
      if (verdict === 'final') return outcome;
      assertUnspent(message);
      await outcome.response.drainConn();
      isFresh = verdict === 'fresh-connection';
      if (isFresh) seat.vacate();
    }
  } catch (error) {
    // A response that nobody gets must not keep it; what is idle may be good for others.
    if (seat.kept === null) seat.vacate();
    throw error;
  } finally {
    seat.leave();
  }
}

/**
 * Where a request keeps the connection that it logs in, from the first leg to the end of the last one's content: until then the
 * pool does not hear that the connection is free.
 */
export class Seat implements ConnectionOwner {
  readonly #login: ConnectionLogin;
  readonly #house: LoginHouse;
  #connection: HTTPConnection | null = null;
  /** Of the connection, open or closed since. */
  #link: LoginLink | null = null;
  #isLeaving = false;
  #wantsFresh = false;
  /** Whether the connection had been idle in the pool: its server may have closed it meanwhile. */
  #wasIdle = false;

  constructor(login: ConnectionLogin, house: LoginHouse) {
    this.#login = login;
    this.#house = house;
  }

  /** The connection of the last leg, if the next one can go over it. */
  get kept(): HTTPConnection | null {
    return this.#connection?.isIdle === true ? this.#connection : null;
  }

  /** Whether the login has closed its connection for one that has served nobody. */
  get wantsFresh(): boolean {
    return this.#wantsFresh;
  }

  /** Takes a connection out of the pool's hands, connected or not. */
  take(connection: HTTPConnection): void {
    this.#connection = connection;
    this.#link = null;
    this.#wantsFresh = false;
    this.#wasIdle = connection.isIdle;
    connection.owner = this;
  }

  /**
   * The message with what the login adds to it, for the connection that was taken, which is connected now.
   *
   * @returns null if it has closed the connection, and {@link wantsFresh}
   * @throws {@link AuthenticationError}, or {@link NewConnectionError} if the connection was lost before the message was due
   */
  async authorize(message: Message, send: Send): Promise<Message | null> {
    const link = this.#linked();
    const isReady = link.isPrepared || this.#login.isLoggedIn(link);
    const loginMessage = isReady ? null : this.#house.loginMessageFor(message);
    if (loginMessage !== null) {
      await this.#prepare(loginMessage, send);
      if (this.#wantsFresh) return null;
      link.isPrepared = true;
    }
    return this.#withLine(message);
  }

  /** What becomes of a response that came over the connection. */
  receive(answer: Answer): ReturnType<ConnectionLogin['receive']> {
    return this.#login.receive(authResponse(answer), this.#linked());
  }

  /** Closes the connection: it is of no use to anybody. */
  vacate(): void {
    this.#connection?.close();
  }

  /** The login is over: the connection goes back to the pool as soon as it is free. */
  leave(): void {
    this.#isLeaving = true;
    const connection = this.#connection;
    if (connection?.isIdle === true) this.connectionBecameIdle(connection);
    else if (connection?.isConnected === false) connection.owner = this.#house.owner;
  }

  connectionBecameIdle(connection: HTTPConnection): void {
    // In the middle of a login it waits for the next leg.
    if (!this.#isLeaving) return;
    const { owner } = this.#house;
    connection.owner = owner;
    if (this.#link === null || this.#login.mayKeep(this.#link)) owner.connectionBecameIdle(connection);
    else connection.close();
  }

  connectionClosed(connection: HTTPConnection): void {
    const { owner } = this.#house;
    connection.owner = owner;
    owner.connectionClosed(connection);
  }

  /** Logs the connection in before it serves requests. */
  async #prepare(message: Message, send: Send): Promise<void> {
    for (let hasProved = false; ; hasProved = true) {
      const answer = await this.#sendBefore(() => send(this.#withLine(message)));
      if (answer === null) return this.#giveUp();
      const { response } = answer;
      const verdict = this.receive(answer);
      await response.drainConn();
      if (verdict === 'fresh-connection') return this.#giveUp();
      const isOver = verdict === 'final';
      if (isOver && response.status === REFUSED) throw refusal(message, hasProved);
      if (this.kept === null) throw this.#lost();
      if (isOver) return this.#tellOfOpenDoor(message);
    }
  }

  #giveUp(): void {
    this.vacate();
    this.#wantsFresh = true;
  }

  /**
   * An exchange that must be over before the request itself is sent: what goes wrong in it is a failure to connect.
   *
   * @returns null if the connection had died while it was idle, which is nobody's failure
   */
  async #sendBefore(send: () => Promise<Answer>): Promise<Answer | null> {
    try {
      return await send();
    } catch (failure) {
      if (!(failure instanceof ExchangeFailure) || failure.isFinal) throw failure;
      const { error, reached } = failure;
      const isStale = this.#wasIdle && reached === 'request-sent' && !(error instanceof TimeoutError);
      if (isStale) return null;
      throw this.#lost(error);
    } finally {
      this.#wasIdle = false;
    }
  }

  #tellOfOpenDoor({ target }: Message): void {
    if (!logger.isDebug || this.#login.isLoggedIn(this.#linked())) return;
    logger.debug(LOGGER, `The server asked for no login: ${target}`);
  }

  #withLine(message: Message): Message {
    const line = this.#login.authorize(hopOf(message), this.#linked());
    return line === null ? message : this.#house.withLine(message, line);
  }

  #linked(): LoginLink {
    this.#link ??= linkOf(this.#connection?.socket ?? null);
    return this.#link;
  }

  #lost(cause?: unknown): NewConnectionError {
    const why = cause instanceof Error ? cause.message : 'the server has closed it';
    const message = `Failed to log a new connection in: ${why}`;
    return new NewConnectionError(this.#connection, message, { cause, address: this.#connection?.address ?? null });
  }
}

/** What logins know of a link, from its first request to its last. */
interface LoginLink extends AuthConnection {
  /** Whether it has been logged in before it served requests, where that is wanted. */
  isPrepared: boolean;
}

const links = new WeakMap<Socket, LoginLink>();

function linkOf(socket: Socket | null): LoginLink {
  if (socket === null) throw new HTTPError('Bug in urllib3: a login over a connection that is not connected');
  const link = links.get(socket) ?? { serverCertificate: peerCertificate(socket), isPrepared: false };
  links.set(socket, link);
  return link;
}

function refusal({ target }: Message, hasProved: boolean): AuthenticationError {
  const why = hasProved ? 'the server refuses the credentials' : 'the server does not offer it there';
  return new AuthenticationError('ntlm', `Cannot log in by ntlm at ${target}: ${why}`);
}

function hopOf({ method, target, url, body }: Message): AuthHop {
  const { origin, requestUri } = parseUrl(url);
  if (origin === null) throw new HTTPError('Bug in urllib3: a request to nowhere is to log in');
  // A proxy that is asked for a whole URL asks the server for the path alone.
  return { origin, method, target: target.startsWith('/') ? target : requestUri, content: body };
}

function authResponse({ response, isPersistent }: Answer): AuthResponse {
  return {
    status: response.status,
    persistent: isPersistent,
    fieldValues: (name) => response.headers.getList(name),
  };
}

/** @throws UnrewindableBodyError if the content is spent, and cannot go with another leg */
function assertUnspent({ body }: Message): void {
  if (body.kind === 'stream') body.assertUnspent();
}

/** What others take their time for, such as a function that gives tokens; an abort does not wait for them. */
async function orAborted<T>(value: T | Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (!(value instanceof Promise)) return value;
  return await bounded<T>(
    {
      start: (verdict) => void value.then(verdict.resolve, verdict.reject),
      stop: doNothing,
      expire: doNothing,
    },
    { signal, deadlineMs: null },
  );
}

function doNothing(): void {}

/** Whether content is better not sent in the middle of a login. */
export function isWeighty({ body }: Message): boolean {
  return body.kind === 'stream' || (body.kind === 'bytes' && body.bytes.length > LIGHT_BYTES);
}
