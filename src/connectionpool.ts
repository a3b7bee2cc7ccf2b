/**
 * How often: the pool of connections to one host, and the loop that tries a request until it is answered or given up
 * (reference: "urllib3.connectionpool module").
 *
 * ```text
 *   urlopen ─ take a connection ─ exchange ─┬─ failed ────▶ Retry.increment ─ sleep ─┐
 *      ▲                                    ├─ redirect ──▶ next hop ────────────────┤
 *      │                                    ├─ bad status ▶ Retry.increment ─ sleep ─┤
 *      └────────────────────────────────────│────────────────────────────────────────┘
 *                                           └─ else ──────▶ response
 * ```
 *
 * The only place that catches and classifies what goes wrong in a request. A pooled connection that its server closed
 * while it was idle is not the caller's fault: a repeatable request moves to a fresh connection, once an attempt, without
 * costing a retry. A free connection is taken and written to in the tick of the call.
 */

import { discardable, judge, mustRetry, type Outcome } from './attempt.js';
import type { Login } from './auth/authenticator.js';
import type { Credentials } from './auth/credentials.js';
import { type BodySource, NO_BODY } from './body/source.js';
import type { CallWatch } from './call-watch.js';
import type { DecodingLimits } from './coding/codings.js';
import {
  CONNECTION_DEFAULTS,
  CONNECTION_RULES,
  type ConnectionOwner,
  type ConnectionSettings,
  connectHost,
  HTTPConnection,
  type HTTPSConnectionOptions,
  type ProxyRoute,
  VerifiedHTTPSConnection,
} from './connection.js';
import { connectionClose, connectionOpen, connectionReuse } from './diagnostics.js';
import { ConnectionStore } from './engine/connection-store.js';
import { type Exchanged, ExchangeFailure, type ExchangeRequest } from './engine/session.js';
import { addCallers, ClosedPoolError, HostChangedError, LocationValueError, URLSchemeUnknown } from './exceptions.js';
import { describe } from './excerpt.js';
import { fieldLines, HTTPHeaderDict } from './headers.js';
import { asksToClose, checkFieldLines, checkMethod } from './http1/request-head.js';
import type { ResponseHead } from './http1/response-head.js';
import { logger } from './logging.js';
import {
  type Answer,
  attemptWithLogin,
  checkShareable,
  credentialsOf,
  isWeighty,
  Logins,
  ownsConnections,
  type Seat,
  type Send,
} from './login-loop.js';
import { hasContent, type Message, MessageWriter, type Place, withExpectation } from './message.js';
import { type Attempted, type CallTerms, retryAfterFailure, retryAfterStatus, takeRedirect } from './next-attempt.js';
import { resolveOptions } from './options.js';
import {
  type ConnectionPoolKw,
  type HTTPConnectionPoolOptions,
  type HTTPSConnectionPoolOptions,
  POOL_DEFAULTS,
  POOL_RULES,
  portByScheme,
  splitOptions,
} from './pool-options.js';
import { httpProxy, proxyRoute } from './proxy.js';
import { type CrossOriginHeaders, type RedirectStep, redirectedRequest } from './redirect.js';
import { RequestMethods } from './request.js';
import {
  NO_WISHES,
  type ResolvedUrlopenOptions,
  resolveUrlopenOptions,
  sourceOf,
  type UrlopenOptions,
  watched,
} from './request-options.js';
import { HTTPResponse, type HTTPResponseOptions } from './response.js';
import { AttemptClock } from './timings.js';
import { type TlsConfiguration, tlsConfiguration, withoutResumption } from './tls/configuration.js';
import { splitTlsOptions } from './tls/options.js';
import { LifoQueue, type Queue } from './util/queue.js';
import { Retry } from './util/retry.js';
import type { RetryBudget } from './util/retry-budget.js';
import { Timeout, type TimeoutValue } from './util/timeout.js';
import { isSameOrigin, parseUrl, type Url } from './util/url.js';

const LOGGER = 'urllib3.connectionpool';

/** A step that takes the content off a request, and the fields that tell of it. */
const WITHOUT_CONTENT: RedirectStep = {
  status: 303,
  isSameOrigin: true,
  removed: new Set(),
  crossOriginHeaders: 'strip',
};

export { type ConnectionPoolKw, type HTTPConnectionPoolOptions, type HTTPSConnectionPoolOptions, portByScheme };

/** A class of connections. */
export interface ConnectionClass {
  new (host: string, options?: HTTPSConnectionOptions): HTTPConnection;
  readonly defaultPort: number;
}

/** A class of responses. */
export interface ResponseClass {
  new (options?: HTTPResponseOptions): HTTPResponse;
}

/**
 * The base of all pools of connections.
 *
 * @see Reference, "urllib3.connectionpool.ConnectionPool"
 */
export class ConnectionPool {
  static readonly scheme: string | null = null;
  /** Holds the idle connections; {@link HTTPConnectionPool} uses it. */
  static QueueCls: new () => Queue<HTTPConnection> = LifoQueue;

  readonly host: string;
  readonly port: number | null;

  constructor(host: string, options: { readonly port?: number | null | undefined } = {}) {
    this.host = connectHost(host);
    this.port = options.port ?? null;
  }

  get scheme(): string | null {
    return null;
  }

  /** Closes all pooled connections; there are none at this level. */
  close(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  toString(): string {
    return `ConnectionPool(host='${this.host}', port=${this.port})`;
  }

  /** Pools of HTTP connections are pools, though they extend RequestMethods. */
  static [Symbol.hasInstance](value: unknown): boolean {
    const isOne = Function.prototype[Symbol.hasInstance].call(this, value);
    return isOne || (this === ConnectionPool && value instanceof HTTPConnectionPool);
  }
}

/**
 * Connections to one host, kept and used again by any number of concurrent requests.
 *
 * @example
 * ```ts
 * const pool = new HTTPConnectionPool('google.com', { maxsize: 10, block: true });
 * const response = await pool.request('GET', '/');
 * ```
 * @see Advanced Usage, "Customizing pool behavior"
 */
export class HTTPConnectionPool extends RequestMethods implements ConnectionOwner {
  static readonly scheme: 'http' | 'https' = 'http';
  static readonly displayName: string = 'HTTPConnectionPool';
  static ConnectionCls: ConnectionClass = HTTPConnection;
  static ResponseCls: ResponseClass = HTTPResponse;

  /** The class of connections that this pool makes. */
  ConnectionCls: ConnectionClass = classOf(this).ConnectionCls;
  /** The class of responses that this pool gives. */
  ResponseCls: ResponseClass = classOf(this).ResponseCls;

  /** Normalised: lower case, ASCII, an IPv6 address in brackets. */
  readonly host: string;
  readonly port: number;
  readonly maxsize: number;
  readonly block: boolean;
  /** For requests that do not say; always a Timeout. */
  readonly timeout: Timeout;
  /** For requests that do not say. */
  readonly retries: Retry;
  /** The proxy of this pool, if it has one, without the user-info of its URL. */
  readonly proxy: Url | null;
  /** @internal Whether the host is a proxy that is asked for whole URLs. */
  readonly _passesOn: boolean;
  /** Connections opened so far. */
  numConnections = 0;
  /** Requests sent so far, repeated ones counted each time. */
  numRequests = 0;

  readonly #connectionOptions: HTTPSConnectionOptions;
  readonly #store: ConnectionStore<HTTPConnection>;
  readonly #limits: DecodingLimits;
  readonly #deadline: number | null;
  readonly #crossOriginHeaders: CrossOriginHeaders;
  readonly #budget: RetryBudget | null;
  readonly #auth: Credentials | null;
  readonly #authurl: string | null;
  readonly #logins = new Logins();
  readonly #writer: MessageWriter;
  #activeCalls = 0;
  #isRetired = false;

  constructor(host: string, options: HTTPConnectionPoolOptions = {}) {
    const { pool, connection } = splitOptions(options);
    const settings = resolveOptions('a connection pool', pool, POOL_RULES, POOL_DEFAULTS);
    const connectionSettings = resolveOptions('a connection pool', connection, CONNECTION_RULES, CONNECTION_DEFAULTS);
    super({ headers: settings.headers });
    this.host = connectHost(host);
    this.port = connectionSettings.port ?? portByScheme[this.scheme];
    this.maxsize = settings.maxsize;
    this.block = settings.block;
    this.timeout = connectionSettings.timeout;
    this.retries = Retry.fromInt(settings.retries);
    const proxy = settings._proxy === null ? null : httpProxy(settings._proxy, settings._proxyHeaders);
    const isProxy = settings._forwards ?? this.scheme === 'http';
    const forwardsHttps = settings._proxyConfig?.useForwardingForHttps ?? false;
    this.proxy = proxy?.url ?? null;
    this.#deadline = settings.deadline;
    this.#crossOriginHeaders = settings.crossOriginHeaders;
    this.#budget = settings.retryBudget;
    this.#auth = settings.auth;
    this.#authurl = settings._authurl;
    this.#limits = { maxDecodedSize: settings.maxDecodedSize, maxRatio: settings.maxRatio };
    this.#connectionOptions = {
      ...connectionSettings,
      port: this.port,
      ...(proxy === null ? {} : proxied(connectionSettings, proxyRoute(proxy, settings._proxyConfig, isProxy))),
    };
    const passesOn = proxy !== null && isProxy ? { lines: proxy.lines, forwardsHttps } : null;
    this._passesOn = passesOn !== null;
    this.#writer = new MessageWriter(this.scheme, this.host, this.port, passesOn);
    this.#store = new ConnectionStore({
      pool: this,
      host: this.host,
      maxsize: this.maxsize,
      block: this.block,
      idleTimeout: settings.idleTimeout,
      idle: new this.QueueCls(),
      create: () => this.#newConnection(),
    });
  }

  get scheme(): 'http' | 'https' {
    return classOf(this).scheme;
  }

  /** The class that holds the idle connections. */
  get QueueCls(): new () => Queue<HTTPConnection> {
    return ConnectionPool.QueueCls;
  }

  /**
   * Makes a request, and repeats it as `retries` allows.
   *
   * @param url - a path with its query, or an absolute URL of this host
   * @throws TypeError or RangeError for arguments that cannot be used, {@link HostChangedError} for a URL of another host,
   *   {@link ClosedPoolError}, before any byte is sent; then {@link MaxRetryError} or what went wrong itself
   * @see Reference, "HTTPConnectionPool.urlopen"
   */
  override async urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse> {
    const given = resolveUrlopenOptions(options);
    checkMethod(method);
    const mayRedirect = given.redirect || given._followsRedirects;
    let retries =
      given.retries === undefined && mayRedirect
        ? this.retries
        : Retry.fromInt(given.retries, { redirect: mayRedirect, default: this.retries });
    const body = sourceOf(given);
    // Not before all that may be refused: from here on a timer may run.
    let call = watched(given, this.#deadline);
    const watch = call._watch ?? null;
    /** The watch, if it was made here and is to be let go here. */
    const ownWatch = call === given ? null : watch;
    let needsFresh = false;
    /** A redirect that the manager follows may need the body yet. */
    let isHandedOn = false;
    this.#activeCalls++;
    this.#budget?.deposit();
    try {
      let message = this.#firstMessage(method, url, call, body, retries);
      if (this.#auth !== null || (call.auth ?? null) !== null) {
        const begun = this.#beginLogin(call, message);
        call = begun instanceof Promise ? await begun : begun;
      }
      const login = call._login ?? null;
      call.signal?.throwIfAborted();
      if (this.#store.isClosed) throw new ClosedPoolError(this, 'Pool is closed.');
      for (;;) {
        if (message.body.kind === 'stream') message.body.assertUnspent();
        const clock = watch === null ? new AttemptClock() : watch.begin(message, this);
        // Not in a function of its own: on the fast path this is the one promise of the attempt.
        let outcome: Outcome;
        const isSlow = needsFresh || login !== null || this.#hasLimits(call);
        const idle = isSlow ? null : this.#store.takeIdle(clock.beganMs);
        if (login !== null) {
          outcome = await this.#attemptWithLogin(login, message, call, retries, needsFresh, clock);
        } else if (idle === null) {
          outcome = await this.#slowAttempt(message, call, retries, needsFresh, clock);
        } else {
          try {
            const exchanged = await this.#exchange(idle, message, call, retries, null, clock);
            outcome = this.#respond(exchanged, idle, message, call, retries, clock);
          } catch (failure) {
            outcome = judge(failure, message, true, { phase: clock.phase, address: idle.address });
          }
        }
        if (outcome.kind === 'stale-connection') {
          if (logger.isDebug) logger.debug(LOGGER, `Resetting dropped connection: ${this.host}`);
          needsFresh = true;
          continue;
        }
        needsFresh = false;
        if (outcome.kind === 'failed') {
          retries = await this.#afterFailure(message, outcome.error, retries, call);
          continue;
        }
        const { response } = outcome;
        // As in the reference, an empty Location points nowhere.
        const location = call.redirect && response.getRedirectLocation();
        if (location) {
          const step = await this.#redirect(message, response, location, retries, call);
          if (step === null) return await this.#finished(response, call, ownWatch);
          retries = step.retries;
          message = step.message;
          continue;
        }
        if (mustRetry(message, response, retries)) {
          const left = await retryAfterStatus(this.#attempted(message), response, retries, this.#terms(call));
          if (left === null) return await this.#finished(response, call, ownWatch);
          retries = left;
          continue;
        }
        isHandedOn = isWantedByCaller(response, call);
        if (call.preloadContent && !isHandedOn) {
          try {
            const preloading = response._preload();
            if (preloading !== undefined) await preloading;
          } catch (error) {
            if (isAbort(error, call)) throw error;
            const failed = judge(error, message, false, { phase: 'content', address: null });
            if (failed.kind !== 'failed') throw error;
            retries = await this.#afterFailure(message, failed.error, retries, call);
            continue;
          }
        }
        ownWatch?.releaseAfter(response);
        return response;
      }
    } catch (error) {
      ownWatch?.release();
      addCallers(error);
      throw error;
    } finally {
      this.#activeCalls--;
      // Does nothing to a body whose sending has begun.
      if (!isHandedOn && body.kind === 'stream') body.discard?.();
      if (this.#isRetired) this.#closeIfDone();
    }
  }

  /** Whether a URL is of this pool's host; a path is. */
  isSameHost(url: string): boolean {
    return this.#writer.isSameHost(url);
  }

  /**
   * Closes the pool: idle connections at once, those in use when their response has been read. Later requests raise
   * {@link ClosedPoolError}.
   */
  close(): void {
    this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  override toString(): string {
    return `${classOf(this).displayName}(host='${this.host}', port=${this.port})`;
  }

  /** @internal Closes the pool once the requests that use it are done. */
  _retire(): void {
    this.#isRetired = true;
    this.#closeIfDone();
  }

  /** @internal */
  connectionBecameIdle(connection: HTTPConnection, atMs?: number): void {
    this.#store.release(connection, atMs);
  }

  /** @internal */
  connectionClosed(connection: HTTPConnection): void {
    if (connectionClose.hasSubscribers) publishClose(connection, this);
    this.#store.remove(connection);
  }

  /** @internal What all connections of this pool share of TLS. */
  protected get tls(): TlsConfiguration | undefined {
    return undefined;
  }

  /** @internal Whether its connections belong to the credentials of this pool. */
  protected get ownsConnections(): boolean {
    return ownsConnections(this.#auth);
  }

  /** @internal What connections are told beside their own options, such as of the proxy that they go through. */
  protected get connectionExtras(): HTTPSConnectionOptions | undefined {
    return undefined;
  }

  #closeIfDone(): void {
    if (this.#activeCalls === 0) this.#store.close();
  }

  #newConnection(): HTTPConnection {
    this.numConnections++;
    if (logger.isDebug) {
      const scheme = this.scheme.toUpperCase();
      logger.debug(LOGGER, `Starting new ${scheme} connection (${this.numConnections}): ${this.host}:${this.port}`);
    }
    const { tls } = this;
    const options = tls === undefined ? this.#connectionOptions : { ...this.#connectionOptions, _tls: tls };
    const connection = new this.ConnectionCls(this.host, { ...options, ...this.connectionExtras });
    connection.owner = this;
    return connection;
  }

  #firstMessage(method: string, url: string, call: ResolvedUrlopenOptions, body: BodySource, retries: Retry): Message {
    const given = checkFieldLines(fieldLines(call.headers ?? this.headers));
    const waits = call.expectContinue !== null && hasContent(body);
    const lines = waits ? withExpectation(given) : given;
    const coding = call.chunked ? 'chunked' : 'any';
    return this.#writer.message({ method, lines, body }, this.#place(url, call, retries), coding);
  }

  #place(url: string, call: ResolvedUrlopenOptions, retries: Retry): Place {
    const here = this.#writer.placeHere(url);
    if (here !== null) return here;
    // What is sent over a connection that is logged in counts as said by this user, whoever has thought of the URL.
    const isElsewhere = !call.assertSameHost && !this.ownsConnections && this.#writer.mayAskFor(url);
    if (!isElsewhere) throw new HostChangedError(this, url, { retries });
    return this.#writer.placeElsewhere(url);
  }

  /**
   * The call with its login; without one, if it has no credentials.
   *
   * @throws TypeError or RangeError for credentials that this pool cannot use
   */
  #beginLogin(
    call: ResolvedUrlopenOptions,
    message: Message,
  ): ResolvedUrlopenOptions | Promise<ResolvedUrlopenOptions> {
    const isDecided = call._login !== undefined;
    const credentials = isDecided ? null : credentialsOf(call.auth, this.#auth, message.lines);
    checkShareable(credentials, this.#auth);
    if (credentials === null) return isDecided ? call : { ...call, _login: null };
    // What a request brings is for its URL, what the pool has is for its host.
    const url = call.auth === undefined ? (this.#writer.placeHere('/')?.url ?? message.url) : message.url;
    const login = this.#logins.begin(credentials, { role: 'origin', origin: parseUrl(url).origin ?? '' });
    return login instanceof Promise ? login.then((_login) => ({ ...call, _login })) : { ...call, _login: login };
  }

  // One attempt

  #hasLimits(call: ResolvedUrlopenOptions): boolean {
    return (call.timeout ?? this.timeout).total !== null;
  }

  /** An attempt with all the legs that its login takes; together they have the time of one. */
  #attemptWithLogin(
    login: Login,
    message: Message,
    call: ResolvedUrlopenOptions,
    retries: Retry,
    needsFresh: boolean,
    firstClock: AttemptClock,
  ): Promise<Outcome> {
    const coding = message.framing.kind === 'chunked' ? 'chunked' : 'any';
    const beganMs = performance.now();
    let clock: AttemptClock | null = firstClock;
    return attemptWithLogin(login, message, needsFresh, {
      signal: call.signal,
      owner: this,
      loginMessageFor: (leg) => this.#loginMessage(leg, call, retries),
      withLine: (to, line) =>
        this.#writer.message({ method: to.method, lines: [...to.lines, line], body: to.body }, to, coding),
      attempt: (leg, isFresh, seat) => {
        const timed = clock === null ? this.#withinTotal(call, performance.now() - beganMs) : call;
        const legClock = clock ?? call._watch?.begin(message, this) ?? new AttemptClock();
        clock = null;
        return this.#slowAttempt(leg, timed, retries, isFresh, legClock, seat);
      },
    });
  }

  /** What logs a connection in before it serves a message: `authurl`, or else what weighs less than the message itself. */
  #loginMessage(message: Message, call: ResolvedUrlopenOptions, retries: Retry): Message | null {
    if (this.#authurl !== null) {
      const lines = checkFieldLines(fieldLines(this.headers));
      return this.#writer.message(
        { method: 'GET', lines, body: NO_BODY },
        this.#place(this.#authurl, call, retries),
        'any',
      );
    }
    // A refusal that comes before 100 (Continue) leaves half a request on the connection, too.
    const waits = call.expectContinue !== null && hasContent(message.body);
    if (!waits && !isWeighty(message)) return null;
    const { lines } = redirectedRequest(message, WITHOUT_CONTENT);
    return this.#writer.message({ method: 'HEAD', lines, body: NO_BODY }, message, 'any');
  }

  /** The call, with what is left of its total timeout. */
  #withinTotal(call: ResolvedUrlopenOptions, spentMs: number): ResolvedUrlopenOptions {
    const { total, connect, read } = call.timeout ?? this.timeout;
    if (total === null) return call;
    return { ...call, timeout: new Timeout({ total: Math.max(0.001, total - spentMs / 1000), connect, read }) };
  }

  /**
   * An attempt that has to wait for a connection, to make one, to log one in, or to mind a total timeout.
   *
   * @param seat - what keeps the connection while it is logged in
   */
  async #slowAttempt(
    message: Message,
    call: ResolvedUrlopenOptions,
    retries: Retry,
    needsFresh: boolean,
    clock: AttemptClock,
    seat: Seat | null = null,
  ): Promise<Outcome> {
    const timeout = (call.timeout ?? this.timeout).clone();
    let isReused = false;
    let connection: HTTPConnection | null = seat?.kept ?? null;
    try {
      if (connection === null) {
        clock.enter('queue');
        connection = await this.#obtain(call, needsFresh);
        seat?.take(connection);
      }
      timeout.startConnect();
      isReused = connection.isConnected;
      if (!isReused) await this.#connect(connection, timeout.connectTimeout, call.signal, clock);
      if (call.signal?.aborted === true) {
        // Aborted since the connection was given: an exchange hears only of aborts to come.
        if (seat === null) this.#store.release(connection);
        throw call.signal.reason;
      }
      const { total } = timeout;
      const leftMs = total === null ? 0 : total * 1000 - timeout.getConnectDuration() * 1000;
      const deadline = total === null ? null : { atMs: performance.now() + leftMs, total };
      let sent: Message | null = message;
      if (seat !== null) {
        const sender = this.#loginSender(connection, call, retries, deadline);
        sent = await seat.authorize(message, sender);
        if (sent === null) return { kind: 'stale-connection' };
      }
      const exchanged = await this.#exchange(connection, sent, call, retries, deadline, clock);
      return this.#respond(exchanged, connection, sent, call, retries, clock);
    } catch (failure) {
      clock.over(failure instanceof ExchangeFailure ? failure.error : failure);
      if (isAbort(failure, call)) throw failure;
      return judge(failure, message, isReused, { phase: clock.phase, address: connection?.address ?? null });
    }
  }

  /** Sends what only logs a connection in: nobody is told of it but the logger, and its content nobody wants. */
  #loginSender(
    connection: HTTPConnection,
    { timeout, signal, deadline, auth, _login }: ResolvedUrlopenOptions,
    retries: Retry,
    until: ExchangeRequest['deadline'],
  ): Send {
    const call = { ...NO_WISHES, timeout, signal, deadline, auth, _login };
    return async (message) => {
      const clock = new AttemptClock();
      const exchanged = await this.#exchange(connection, message, call, retries, until, clock);
      return this.#respond(exchanged, connection, message, call, retries, clock);
    };
  }

  async #connect(
    connection: HTTPConnection,
    timeout: TimeoutValue,
    signal: AbortSignal | null,
    clock: AttemptClock,
  ): Promise<void> {
    const beganMs = performance.now();
    try {
      await connection.connect({ timeout, signal, enter: (phase) => clock.enter(phase) });
    } catch (error) {
      this.#store.remove(connection);
      throw error;
    }
    publishOpen(connection, this, (performance.now() - beganMs) / 1000);
  }

  async #obtain(call: ResolvedUrlopenOptions, needsFresh: boolean): Promise<HTTPConnection> {
    for (;;) {
      const taken = needsFresh ? this.#store.takeNew() : this.#store.take();
      const connection = taken ?? (await this.#store.wait(call.poolTimeout, call.signal));
      // A connection that was handed over may have been closed before its taker came to run.
      const isUnconnected = connection.exchangeCount === 0 && !connection.isConnected;
      if (isUnconnected || (connection.isIdle && !needsFresh)) return connection;
      connection.close();
    }
  }

  #exchange(
    connection: HTTPConnection,
    message: Message,
    call: ResolvedUrlopenOptions,
    retries: Retry,
    deadline: ExchangeRequest['deadline'],
    clock: AttemptClock,
  ): Promise<Exchanged> {
    this.numRequests++;
    call._watch?.current?.obtained(connection);
    if (connectionReuse.hasSubscribers && connection.exchangeCount > 0) publishReuse(connection, this);
    const timeout = call.timeout ?? this.timeout;
    const read = typeof timeout.read === 'number' ? timeout.read : null;
    return connection.exchange({
      method: message.method,
      target: message.target,
      head: message.head,
      body: message.body,
      framing: message.framing,
      preloads: call.preloadContent,
      isLast: asksToClose(message.lines),
      isDiscardable: discardable(call, retries),
      readTimeout: timeout.total === null ? read : Math.min(read ?? timeout.total, timeout.total),
      deadline,
      maxContentBytes: this.#limitsFor(call).maxDecodedSize,
      onInformational: call.onInformational === null ? null : informer(call.onInformational),
      onUploadProgress: call.onUploadProgress,
      onDownloadProgress: call.onDownloadProgress,
      expectContinue: hasContent(message.body) ? call.expectContinue : null,
      signal: call.signal,
      watcher: clock,
      pool: this,
    });
  }

  #respond(
    exchanged: Exchanged,
    connection: HTTPConnection,
    message: Message,
    call: ResolvedUrlopenOptions,
    retries: Retry,
    clock: AttemptClock,
  ): Answer {
    if (logger.isDebug) this.#logExchange(message, exchanged.head);
    const response = new this.ResponseCls({
      _exchanged: exchanged,
      _clock: clock,
      decodeContent: call.decodeContent,
      enforceContentLength: call.enforceContentLength,
      pool: this,
      connection,
      retries,
      requestMethod: message.method,
      requestUrl: message.url,
      _limits: this.#limitsFor(call),
    });
    return { kind: 'response', response, isPersistent: exchanged.head.persistent };
  }

  #limitsFor({ maxDecodedSize, maxRatio }: ResolvedUrlopenOptions): DecodingLimits {
    const own = this.#limits;
    if (maxDecodedSize === undefined && maxRatio === undefined) return own;
    return {
      maxDecodedSize: maxDecodedSize === undefined ? own.maxDecodedSize : maxDecodedSize,
      maxRatio: maxRatio === undefined ? own.maxRatio : maxRatio,
    };
  }

  // After a failure, or a response

  #attempted(message: Message): Attempted {
    return { method: message.method, target: message.target, pool: this, body: message.body };
  }

  #terms({ signal, _watch }: ResolvedUrlopenOptions): CallTerms {
    return { signal, budget: this.#budget, watch: _watch };
  }

  #afterFailure(message: Message, error: Error, retries: Retry, call: ResolvedUrlopenOptions): Promise<Retry> {
    return retryAfterFailure(this.#attempted(message), error, retries, this.#terms(call));
  }

  /** @param watch - the call's own, if this pool has made it */
  async #finished(
    response: HTTPResponse,
    call: ResolvedUrlopenOptions,
    watch: CallWatch | null,
  ): Promise<HTTPResponse> {
    if (call.preloadContent) await response._preload();
    watch?.releaseAfter(response);
    return response;
  }

  /** The next hop; null if redirects are used up and the response is to be returned. */
  async #redirect(
    message: Message,
    response: HTTPResponse,
    location: string,
    retries: Retry,
    call: ResolvedUrlopenOptions,
  ): Promise<{ readonly retries: Retry; readonly message: Message } | null> {
    const from = parseUrl(message.url);
    const taken = await takeRedirect(this.#attempted(message), from, response, location, retries, this.#terms(call));
    if (taken === null) return null;
    const next = taken.url.url;
    const hop = redirectedRequest(message, {
      status: response.status,
      // Of the URLs, not of this pool's host: that may be a proxy, and then is neither's (SEC-051).
      isSameOrigin: isSameOrigin(from, taken.url),
      removed: retries.removeHeadersOnRedirect,
      crossOriginHeaders: call.crossOriginHeaders ?? this.#crossOriginHeaders,
    });
    call._watch?.current?.redirected(response.status, next, hop.method);
    return {
      retries: taken.retries,
      message: this.#writer.message(
        hop,
        this.#place(next, call, taken.retries),
        call.chunked && hop.body.kind !== 'none' ? 'chunked' : 'any',
      ),
    };
  }

  #logExchange({ method, target }: Message, head: ResponseHead): void {
    const origin = `${this.scheme}://${this.host}:${this.port}`;
    const { framing } = head;
    // As in the reference: null is a length that is not announced.
    const announced = framing.kind === 'length' ? framing.length : null;
    const length = framing.kind === 'none' ? 0 : announced;
    const version = `HTTP/${Math.floor(head.version / 10)}.${head.version % 10}`;
    logger.debug(LOGGER, `${origin} "${method} ${target} ${version}" ${head.status} ${length}`);
  }
}

/**
 * The same over TLS. Servers are verified unless that is switched off.
 *
 * @see Reference, "urllib3.connectionpool.HTTPSConnectionPool"
 */
export class HTTPSConnectionPool extends HTTPConnectionPool {
  static override readonly scheme: 'http' | 'https' = 'https';
  static override readonly displayName: string = 'HTTPSConnectionPool';
  static override ConnectionCls: ConnectionClass = VerifiedHTTPSConnection;

  readonly #tls: TlsConfiguration;

  constructor(host: string, options: HTTPSConnectionPoolOptions = {}) {
    const { tls, rest } = splitTlsOptions(options);
    super(host, rest);
    const configuration = tlsConfiguration(tls);
    this.#tls = this.ownsConnections ? withoutResumption(configuration) : configuration;
  }

  protected override get tls(): TlsConfiguration {
    return this.#tls;
  }
}

/**
 * A pool for the host of a URL.
 *
 * @example
 * ```ts
 * const pool = connectionFromUrl('http://google.com/', { maxsize: 10 });
 * const response = await pool.request('GET', '/');
 * ```
 * @throws {@link LocationValueError} if the URL has no host or another scheme than http and https
 */
export function connectionFromUrl(url: string, options: HTTPSConnectionPoolOptions = {}): HTTPConnectionPool {
  const { scheme, host, port } = parseUrl(url);
  if (host === null || host === '') throw new LocationValueError(`No host specified in ${describe(url)}`);
  const effectivePort = port === null ? {} : { port };
  if (scheme === 'https') return new HTTPSConnectionPool(host, { ...options, ...effectivePort });
  if (scheme !== null && scheme !== 'http') throw new URLSchemeUnknown(scheme);
  return new HTTPConnectionPool(host, { ...options, ...effectivePort });
}

/** A redirect that the manager will follow is not read: it drains it, or reads it itself. */
function isWantedByCaller(response: HTTPResponse, call: ResolvedUrlopenOptions): boolean {
  return call._followsRedirects && Boolean(response.getRedirectLocation());
}

/** Whether it is the deadline, or what the caller has aborted the request with: no failure of an attempt, whatever it is. */
function isAbort(error: unknown, { signal }: ResolvedUrlopenOptions): boolean {
  return signal?.aborted === true && error === signal.reason;
}

function informer(tell: NonNullable<ResolvedUrlopenOptions['onInformational']>): (head: ResponseHead) => void {
  return ({ status, reason, fieldSection }) =>
    tell({ status, reason, headers: HTTPHeaderDict.fromFieldSection(fieldSection) });
}

function publishOpen(connection: HTTPConnection, pool: HTTPConnectionPool, duration: number): void {
  if (!connectionOpen.hasSubscribers) return;
  const { id, address, tlsVersion } = connection;
  connectionOpen.publish({ connectionId: id, pool: String(pool), address, tls: tlsVersion, duration });
}

function publishReuse(connection: HTTPConnection, pool: HTTPConnectionPool): void {
  const { id, address, exchangeCount } = connection;
  connectionReuse.publish({ connectionId: id, pool: String(pool), address, exchanges: exchangeCount });
}

function publishClose(connection: HTTPConnection, pool: HTTPConnectionPool): void {
  const { id, address, exchangeCount, connectedAtMs } = connection;
  if (connectedAtMs === null) return;
  const duration = (performance.now() - connectedAtMs) / 1000;
  connectionClose.publish({ connectionId: id, pool: String(pool), address, exchanges: exchangeCount, duration });
}

/** As in the reference, small segments wait behind a proxy (Nagle's algorithm), unless the caller says what he wants. */
function proxied({ socketOptions }: ConnectionSettings, _route: ProxyRoute): HTTPSConnectionOptions {
  return { socketOptions: socketOptions ?? [], _route };
}

/** The statics of an instance's own class. */
function classOf(pool: HTTPConnectionPool): typeof HTTPConnectionPool {
  // An object's constructor is its class, and here that extends HTTPConnectionPool.
  return pool.constructor as typeof HTTPConnectionPool;
}
