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
import type { BodySource } from './body/source.js';
import type { DecodingLimits } from './coding/codings.js';
import {
  CONNECTION_DEFAULTS,
  CONNECTION_RULES,
  type ConnectionOwner,
  connectHost,
  HTTPConnection,
  type HTTPSConnectionOptions,
  VerifiedHTTPSConnection,
} from './connection.js';
import { ConnectionStore } from './engine/connection-store.js';
import type { Exchanged, ExchangeRequest } from './engine/session.js';
import {
  ClosedPoolError,
  HostChangedError,
  LocationValueError,
  MaxRetryError,
  URLSchemeUnknown,
} from './exceptions.js';
import { describe } from './excerpt.js';
import { fieldLines, HTTPHeaderDict } from './headers.js';
import { asksToClose, checkFieldLines, checkMethod } from './http1/request-head.js';
import type { ResponseHead } from './http1/response-head.js';
import { hasContent, type Message, MessageWriter, type Place, withExpectation } from './message.js';
import { resolveOptions } from './options.js';
import {
  type HTTPConnectionPoolOptions,
  type HTTPSConnectionPoolOptions,
  POOL_DEFAULTS,
  POOL_RULES,
  portByScheme,
  splitOptions,
} from './pool-options.js';
import { redirectedRequest } from './redirect.js';
import { RequestMethods } from './request.js';
import {
  type ResolvedUrlopenOptions,
  resolveUrlopenOptions,
  sourceOf,
  type UrlopenOptions,
} from './request-options.js';
import { HTTPResponse, type HTTPResponseOptions } from './response.js';
import { type TlsConfiguration, tlsConfiguration } from './tls/configuration.js';
import { splitTlsOptions } from './tls/options.js';
import { LifoQueue, type Queue } from './util/queue.js';
import { Retry } from './util/retry.js';
import type { Timeout } from './util/timeout.js';
import { joinUrl, parseUrl, type Url } from './util/url.js';

export { type HTTPConnectionPoolOptions, type HTTPSConnectionPoolOptions, portByScheme };

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
  /** The proxy of this pool, if it has one. */
  readonly proxy: Url | null;
  /** Connections opened so far. */
  numConnections = 0;
  /** Requests sent so far, repeated ones counted each time. */
  numRequests = 0;

  readonly #connectionOptions: HTTPSConnectionOptions;
  readonly #store: ConnectionStore<HTTPConnection>;
  readonly #limits: DecodingLimits;
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
    this.proxy = settings._proxy;
    this.#limits = { maxDecodedSize: settings.maxDecodedSize, maxRatio: settings.maxRatio };
    this.#connectionOptions = { ...connectionSettings, port: this.port };
    this.#writer = new MessageWriter(this.scheme, this.host, this.port);
    this.#store = new ConnectionStore({
      pool: this,
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
    const call = resolveUrlopenOptions(options);
    checkMethod(method);
    const mayRedirect = call.redirect || call._followsRedirects;
    let retries =
      call.retries === undefined && mayRedirect
        ? this.retries
        : Retry.fromInt(call.retries, { redirect: mayRedirect, default: this.retries });
    const body = sourceOf(call);
    let needsFresh = false;
    /** A redirect that the manager follows may need the body yet. */
    let isHandedOn = false;
    this.#activeCalls++;
    try {
      let message = this.#firstMessage(method, url, call, body, retries);
      call.signal?.throwIfAborted();
      if (this.#store.isClosed) throw new ClosedPoolError(this, 'Pool is closed.');
      for (;;) {
        if (message.body.kind === 'stream') message.body.assertUnspent();
        // Not in a function of its own: on the fast path this is the one promise of the attempt.
        let outcome: Outcome;
        const idle = needsFresh || this.#hasLimits(call) ? null : this.#store.takeIdle();
        if (idle === null) {
          outcome = await this.#slowAttempt(message, call, retries, needsFresh);
        } else {
          try {
            const exchanged = await this.#exchange(idle, message, call, retries, null);
            outcome = { kind: 'response', response: this.#respond(exchanged, idle, message, call, retries) };
          } catch (failure) {
            outcome = judge(failure, message, true);
          }
        }
        if (outcome.kind === 'stale-connection') {
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
          if (step === null) return await this.#finished(response, call);
          retries = step.retries;
          message = step.message;
          continue;
        }
        if (mustRetry(message, response, retries)) {
          const left = await this.#afterStatus(message, response, retries, call);
          if (left === null) return await this.#finished(response, call);
          retries = left;
          continue;
        }
        isHandedOn = isWantedByCaller(response, call);
        if (call.preloadContent && !isHandedOn) {
          try {
            const preloading = response._preload();
            if (preloading !== undefined) await preloading;
          } catch (error) {
            const failed = judge(error, message, false);
            if (failed.kind !== 'failed') throw error;
            retries = await this.#afterFailure(message, failed.error, retries, call);
            continue;
          }
        }
        return response;
      }
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
  connectionBecameIdle(connection: HTTPConnection): void {
    this.#store.release(connection);
  }

  /** @internal */
  connectionClosed(connection: HTTPConnection): void {
    this.#store.remove(connection);
  }

  /** @internal What all connections of this pool share of TLS. */
  protected get tls(): TlsConfiguration | undefined {
    return undefined;
  }

  #closeIfDone(): void {
    if (this.#activeCalls === 0) this.#store.close();
  }

  #newConnection(): HTTPConnection {
    this.numConnections++;
    const { tls } = this;
    const options = tls === undefined ? this.#connectionOptions : { ...this.#connectionOptions, _tls: tls };
    const connection = new this.ConnectionCls(this.host, options);
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
    if (call.assertSameHost) throw new HostChangedError(this, url, { retries });
    return this.#writer.placeElsewhere(url);
  }

  // One attempt

  #hasLimits(call: ResolvedUrlopenOptions): boolean {
    return (call.timeout ?? this.timeout).total !== null;
  }

  /** An attempt that has to wait for a connection, to make one, or to mind a total timeout. */
  async #slowAttempt(
    message: Message,
    call: ResolvedUrlopenOptions,
    retries: Retry,
    needsFresh: boolean,
  ): Promise<Outcome> {
    const timeout = (call.timeout ?? this.timeout).clone();
    let isReused = false;
    try {
      const connection = await this.#obtain(call, needsFresh);
      timeout.startConnect();
      isReused = connection.isConnected;
      if (!isReused) {
        try {
          await connection.connect({ timeout: timeout.connectTimeout, signal: call.signal });
        } catch (error) {
          this.#store.remove(connection);
          throw error;
        }
      }
      if (call.signal?.aborted === true) {
        // Aborted since the connection was given: an exchange hears only of aborts to come.
        this.#store.release(connection);
        throw call.signal.reason;
      }
      const { total } = timeout;
      const leftMs = total === null ? 0 : total * 1000 - timeout.getConnectDuration() * 1000;
      const deadline = total === null ? null : { atMs: performance.now() + leftMs, total };
      const exchanged = await this.#exchange(connection, message, call, retries, deadline);
      return { kind: 'response', response: this.#respond(exchanged, connection, message, call, retries) };
    } catch (failure) {
      if (call.signal?.aborted === true && failure === call.signal.reason) throw failure;
      return judge(failure, message, isReused);
    }
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
  ): Promise<Exchanged> {
    this.numRequests++;
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
      pool: this,
    });
  }

  #respond(
    exchanged: Exchanged,
    connection: HTTPConnection,
    message: Message,
    call: ResolvedUrlopenOptions,
    retries: Retry,
  ): HTTPResponse {
    return new this.ResponseCls({
      _exchanged: exchanged,
      decodeContent: call.decodeContent,
      enforceContentLength: call.enforceContentLength,
      pool: this,
      connection,
      retries,
      requestMethod: message.method,
      requestUrl: message.url,
      _limits: this.#limitsFor(call),
    });
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

  /** What is left of the retries, after the pause that they ask for. */
  async #afterFailure(message: Message, error: Error, retries: Retry, call: ResolvedUrlopenOptions): Promise<Retry> {
    const left = retries.increment({ method: message.method, url: message.target, error, _pool: this });
    if (message.body.kind === 'stream') message.body.assertUnspent(error);
    await left.sleep(null, sleepOptions(call));
    return left;
  }

  async #finished(response: HTTPResponse, call: ResolvedUrlopenOptions): Promise<HTTPResponse> {
    if (call.preloadContent) await response._preload();
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
    // First: who has no redirects left gets the response, wherever it points to.
    const left = await this.#spend(retries, message, response, retries.raiseOnRedirect);
    if (left === null) return null;
    let next: Url;
    try {
      next = joinUrl(parseUrl(message.url), location);
    } catch (error) {
      response.close();
      throw error;
    }
    await response.drainConn();
    await left.sleepForRetry(response, sleepOptions(call));
    const isSameOrigin = this.isSameHost(next.url);
    const hop = redirectedRequest(message, {
      status: response.status,
      isSameOrigin,
      removed: retries.removeHeadersOnRedirect,
      crossOriginHeaders: 'strip',
    });
    return {
      retries: left,
      message: this.#writer.message(
        hop,
        this.#place(next.url, call, left),
        call.chunked && hop.body.kind !== 'none' ? 'chunked' : 'any',
      ),
    };
  }

  /** What is left of the retries after a status that is to be retried; null if the response is to be returned. */
  async #afterStatus(
    message: Message,
    response: HTTPResponse,
    retries: Retry,
    call: ResolvedUrlopenOptions,
  ): Promise<Retry | null> {
    const left = await this.#spend(retries, message, response, retries.raiseOnStatus);
    if (left === null) return null;
    await response.drainConn();
    if (message.body.kind === 'stream') message.body.assertUnspent();
    await left.sleep(response, sleepOptions(call));
    return left;
  }

  /** Counts a response against the retries; null if they are used up and that is not to be raised. */
  async #spend(retries: Retry, message: Message, response: HTTPResponse, raises: boolean): Promise<Retry | null> {
    try {
      return retries.increment({ method: message.method, url: message.target, response, _pool: this });
    } catch (error) {
      if (error instanceof MaxRetryError && !raises) return null;
      await response.drainConn();
      throw error;
    }
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
    this.#tls = tlsConfiguration(tls);
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

function informer(tell: NonNullable<ResolvedUrlopenOptions['onInformational']>): (head: ResponseHead) => void {
  return ({ status, reason, fieldSection }) =>
    tell({ status, reason, headers: HTTPHeaderDict.fromFieldSection(fieldSection) });
}

function sleepOptions(call: ResolvedUrlopenOptions): { signal?: AbortSignal } {
  return call.signal === null ? {} : { signal: call.signal };
}

/** The statics of an instance's own class. */
function classOf(pool: HTTPConnectionPool): typeof HTTPConnectionPool {
  // An object's constructor is its class, and here that extends HTTPConnectionPool.
  return pool.constructor as typeof HTTPConnectionPool;
}
