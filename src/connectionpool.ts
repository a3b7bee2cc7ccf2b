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
import type { BodySource } from './body/source.js';
import type { DecodingLimits } from './coding/codings.js';
import type { ConnectionOwner } from './connection.js';
import {
  CONNECTION_DEFAULTS,
  CONNECTION_RULES,
  type ConnectionOptions,
  connectHost,
  HTTPConnection,
  type HTTPSConnectionOptions,
  hostField,
  VerifiedHTTPSConnection,
} from './connection.js';
import { ConnectionStore } from './engine/connection-store.js';
import { type Exchanged, ExchangeFailure, type ExchangeRequest } from './engine/session.js';
import {
  ClosedPoolError,
  DecodeError,
  EmptyPoolError,
  HostChangedError,
  HTTPError,
  LocationValueError,
  MaxRetryError,
  TimeoutError,
  URLSchemeUnknown,
} from './exceptions.js';
import { describe } from './excerpt.js';
import { fieldLines, type HeadersInput, HTTPHeaderDict } from './headers.js';
import { equalsIgnoringCase } from './http1/grammar.js';
import {
  asksToClose,
  checkFieldLines,
  checkMethod,
  checkTarget,
  defaultHeadTail,
  type FieldLine,
  type RequestFraming,
  renderHead,
  requestFraming,
} from './http1/request-head.js';
import type { ResponseHead } from './http1/response-head.js';
import { boolean, checkedElsewhere, positiveInteger, type Rules, resolveOptions, secondsOrNull } from './options.js';
import { redirectedRequest } from './redirect.js';
import { RequestMethods } from './request.js';
import {
  LIMIT_RULES,
  type ResolvedUrlopenOptions,
  resolveUrlopenOptions,
  sourceOf,
  type UrlopenOptions,
} from './request-options.js';
import { HTTPResponse, type HTTPResponseOptions } from './response.js';
import { TLS_OPTION_NAMES, type TlsConfiguration, type TlsOptions, tlsConfiguration } from './transport/tls.js';
import { LifoQueue, type Queue } from './util/queue.js';
import { type Retries, Retry } from './util/retry.js';
import type { Timeout } from './util/timeout.js';
import { joinUrl, parseUrl, type Url } from './util/url.js';

/** The port that each scheme has by default. */
export const portByScheme: Readonly<Record<'http' | 'https', number>> = Object.freeze({ http: 80, https: 443 });

/** What a pool takes beside the options of its connections. */
export interface HTTPConnectionPoolOptions extends ConnectionOptions {
  /**
   * Connections that are kept for later; with `block`, that may be open at all.
   *
   * @defaultValue 100
   */
  readonly maxsize?: number | undefined;
  /** Whether a request waits while `maxsize` connections are in use, in place of opening one more. @defaultValue false */
  readonly block?: boolean | undefined;
  /** Sent with requests that bring no headers of their own. */
  readonly headers?: HeadersInput | null | undefined;
  /** For requests that do not say. @defaultValue Retry.DEFAULT: 3 */
  readonly retries?: Retries | undefined;
  /**
   * Seconds for which an idle connection is kept, less if its server announces less; null until its server closes it.
   *
   * @defaultValue 60
   */
  readonly idleTimeout?: number | null | undefined;
  /**
   * Bytes that decoded content may have at most; null for no limit.
   *
   * @defaultValue null
   * @throws {@link DecodeError} from the request, or from reading
   */
  readonly maxDecodedSize?: number | null | undefined;
  /**
   * How many times larger decoded content may be than what came, looked at beyond the first MiB; null for no limit.
   *
   * @defaultValue null
   * @throws {@link DecodeError} from the request, or from reading
   */
  readonly maxRatio?: number | null | undefined;
  /** @internal */
  readonly _proxy?: Url | null | undefined;
  /** @internal */
  readonly _proxyHeaders?: HeadersInput | null | undefined;
}

interface PoolSettings extends DecodingLimits {
  readonly maxsize: number;
  readonly block: boolean;
  readonly headers: HeadersInput | null;
  readonly retries: Retries | undefined;
  readonly idleTimeout: number | null;
  readonly _proxy: Url | null;
  readonly _proxyHeaders: HeadersInput | null;
}

const POOL_RULES: Rules<PoolSettings> = {
  maxsize: positiveInteger,
  block: boolean,
  headers: checkedElsewhere,
  retries: checkedElsewhere,
  idleTimeout: secondsOrNull,
  ...LIMIT_RULES,
  _proxy: checkedElsewhere,
  _proxyHeaders: checkedElsewhere,
};

const POOL_DEFAULTS: PoolSettings = Object.freeze({
  maxsize: 100,
  block: false,
  headers: null,
  retries: undefined,
  idleTimeout: 60,
  maxDecodedSize: null,
  maxRatio: null,
  _proxy: null,
  _proxyHeaders: null,
});

/** Methods that may be repeated without asking (RFC 9110 section 9.2.2). */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);

/** A pool asks for the same few targets again and again; beyond so many it starts anew. */
const MAX_KNOWN_TARGETS = 512;
const MAX_KNOWN_TARGET_LENGTH = 2_048;

/** A class of connections. */
export interface ConnectionClass {
  new (host: string, options?: HTTPSConnectionOptions): HTTPConnection;
  readonly defaultPort: number;
}

/** A class of responses. */
export interface ResponseClass {
  new (options?: HTTPResponseOptions): HTTPResponse;
}

/** One hop of a request: everything that is written, and what for. */
interface Message {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** The absolute URL. */
  readonly url: string;
  /** The value of Host. */
  readonly host: string;
  readonly lines: readonly FieldLine[];
  readonly body: BodySource;
  readonly head: string;
  readonly framing: RequestFraming;
}

/** What one attempt gave, or how it failed. */
type Outcome =
  | { readonly kind: 'response'; readonly response: HTTPResponse }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'stale-connection' };

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
  readonly #origin: string;
  readonly #hostField: string;
  readonly #headTail: string;
  readonly #knownTargets = new Map<string, string>();
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
    const dotless = this.host.endsWith('.') ? this.host.slice(0, -1) : this.host;
    this.#hostField = hostField(dotless, this.port, portByScheme[this.scheme]);
    this.#headTail = defaultHeadTail(this.#hostField);
    this.#origin = `${this.scheme}://${hostField(this.host, this.port, portByScheme[this.scheme])}`;
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
            const exchanged = await this.#exchange(idle, message, call, null);
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
    if (url.startsWith('/')) return true;
    const { scheme, host, port } = parseUrl(url);
    if (host === null) return false;
    const effectiveScheme = scheme ?? 'http';
    return effectiveScheme === this.scheme && host === this.host && (port ?? portByScheme[this.scheme]) === this.port;
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

  // What is sent

  #firstMessage(method: string, url: string, call: ResolvedUrlopenOptions, body: BodySource, retries: Retry): Message {
    const given = checkFieldLines(fieldLines(call.headers ?? this.headers));
    const waits = call.expectContinue !== null && hasContent(body);
    const lines = waits ? withExpectation(given) : given;
    return this.#message(method, this.#place(url, call, retries), lines, body, call.chunked);
  }

  #message(
    method: string,
    place: { readonly target: string; readonly url: string; readonly host: string },
    lines: readonly FieldLine[],
    body: BodySource,
    chunked: boolean,
  ): Message {
    const { target, url, host } = place;
    const framing = requestFraming(method, lines, lengthOf(body), chunked);
    const isPlain = lines.length === 0 && framing.kind === 'none' && host === this.#hostField;
    const contentType = body.kind === 'none' ? null : body.contentType;
    const head = isPlain
      ? `${method} ${target}${this.#headTail}`
      : renderHead(method, target, host, lines, framing, contentType);
    return { method, target, url, host, lines, body, head, framing };
  }

  /** Where a request goes: a path of this host, or with `assertSameHost: false` a whole URL, as a proxy is asked for it. */
  #place(url: string, call: ResolvedUrlopenOptions, retries: Retry): { target: string; url: string; host: string } {
    if (typeof url !== 'string') throw new TypeError(`Cannot request ${describe(url)}: a URL must be text`);
    if (url.startsWith('/')) {
      const target = this.#encodedTarget(url);
      return { target, url: this.#origin + target, host: this.#hostField };
    }
    if (this.isSameHost(url)) {
      const target = parseUrl(url).requestUri;
      return { target, url: this.#origin + target, host: this.#hostField };
    }
    if (call.assertSameHost) throw new HostChangedError(this, url, { retries });
    const { scheme, host, port, requestUri } = parseUrl(url);
    if (scheme === null || host === null) {
      throw new LocationValueError(`Cannot request ${describe(url)}: it must be a path or an absolute URL`);
    }
    const authority = port === null ? host : `${host}:${port}`;
    const absolute = `${scheme}://${authority}${requestUri}`;
    return { target: absolute, url: absolute, host: authority };
  }

  /** A path is only ever a path: `//x/y` too, which elsewhere would name a host. */
  #encodedTarget(path: string): string {
    const known = this.#knownTargets.get(path);
    if (known !== undefined) return known;
    const target = parseUrl(this.#origin + path).requestUri;
    checkTarget(target);
    if (this.#knownTargets.size >= MAX_KNOWN_TARGETS) this.#knownTargets.clear();
    if (path.length <= MAX_KNOWN_TARGET_LENGTH) this.#knownTargets.set(path, target);
    return target;
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
      const exchanged = await this.#exchange(connection, message, call, deadline);
      return { kind: 'response', response: this.#respond(exchanged, connection, message, call, retries) };
    } catch (failure) {
      if (call.signal?.aborted === true && failure === call.signal.reason) throw failure;
      return judge(failure, message, isReused);
    }
  }

  async #obtain(call: ResolvedUrlopenOptions, needsFresh: boolean): Promise<HTTPConnection> {
    for (;;) {
      const connection = this.#store.take() ?? (await this.#store.wait(call.poolTimeout, call.signal));
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
      preloads: call.preloadContent && call.enforceContentLength,
      isLast: asksToClose(message.lines),
      isDiscardable: call.redirect || call._followsRedirects ? isRedirectOrBusy : isBusy,
      readTimeout: timeout.total === null ? read : Math.min(read ?? timeout.total, timeout.total),
      deadline,
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
    const hop = redirectedRequest(message, response.status, isSameOrigin, retries.removeHeadersOnRedirect);
    return {
      retries: left,
      message: this.#message(
        hop.method,
        this.#place(next.url, call, left),
        hop.lines,
        hop.body,
        call.chunked && hop.body.kind !== 'none',
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

/** What a pool of TLS connections takes. */
export interface HTTPSConnectionPoolOptions extends HTTPConnectionPoolOptions, TlsOptions {}

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

/** Told by what failed and how far it had got. An abort, and what is not ours to judge, is thrown. */
function judge(failure: unknown, message: Message, wasReused: boolean): Outcome {
  if (!(failure instanceof ExchangeFailure)) {
    if (failure instanceof HTTPError && !isBeyondRetry(failure)) return { kind: 'failed', error: failure };
    throw failure;
  }
  const { error, reached, isFinal } = failure;
  if (isFinal || !(error instanceof HTTPError)) throw error;
  // A server that is only slow has not closed the connection: to ask it again at once would double its load.
  const isDead = wasReused && reached === 'request-sent' && !(error instanceof TimeoutError);
  const mayMove = isDead && IDEMPOTENT_METHODS.has(message.method);
  if (mayMove && isReplayable(message.body)) return { kind: 'stale-connection' };
  return { kind: 'failed', error };
}

/** What another attempt does not mend: no connection to be had, a URL that names no host, content that cannot be decoded. */
function isBeyondRetry(error: HTTPError): boolean {
  return (
    error instanceof EmptyPoolError ||
    error instanceof ClosedPoolError ||
    error instanceof LocationValueError ||
    error instanceof DecodeError
  );
}

function mustRetry(message: Message, response: HTTPResponse, retries: Retry): boolean {
  const { status } = response;
  // Looked for only where it counts: it would have the whole head parsed.
  const hasRetryAfter = Retry.RETRY_AFTER_STATUS_CODES.has(status) && response.headers.has('retry-after');
  return retries.isRetry(message.method, status, hasRetryAfter);
}

function isReplayable(body: BodySource): boolean {
  return body.kind !== 'stream' || body.replayable;
}

function withExpectation(lines: readonly FieldLine[]): readonly FieldLine[] {
  return [...lines.filter(([name]) => !equalsIgnoringCase(name, 'expect')), ['Expect', '100-continue']];
}

/** Without any, there is nothing to wait with (RFC 9110 section 10.1.1). */
function hasContent(body: BodySource): boolean {
  const length = lengthOf(body);
  return length !== undefined && length !== 0;
}

function lengthOf(body: BodySource): number | null | undefined {
  switch (body.kind) {
    case 'none':
      return undefined;
    case 'bytes':
      return body.bytes.length;
    case 'stream':
      return body.length;
    default:
      return body satisfies never;
  }
}

/** Statuses after which a request may be repeated, so that their content may not be wanted. */
function isBusy(status: number): boolean {
  return Retry.RETRY_AFTER_STATUS_CODES.has(status);
}

function isRedirectOrBusy(status: number): boolean {
  return status >= 300 && (HTTPResponse.REDIRECT_STATUSES.has(status) || isBusy(status));
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

/** A pool's options are its own, and those of its connections. */
function splitOptions(options: HTTPConnectionPoolOptions): {
  pool: Record<string, unknown>;
  connection: Record<string, unknown>;
} {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`Cannot use ${describe(options)} as options of a connection pool: they must be an object`);
  }
  const pool: Record<string, unknown> = Object.create(null);
  const connection: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(options)) {
    (Object.hasOwn(CONNECTION_RULES, name) ? connection : pool)[name] = value;
  }
  return { pool, connection };
}

function splitTlsOptions(options: HTTPSConnectionPoolOptions): { tls: TlsOptions; rest: HTTPConnectionPoolOptions } {
  const tls: Record<string, unknown> = Object.create(null);
  const rest: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(options)) (TLS_OPTION_NAMES.has(name) ? tls : rest)[name] = value;
  return { tls, rest };
}

/** The statics of an instance's own class. */
function classOf(pool: HTTPConnectionPool): typeof HTTPConnectionPool {
  // An object's constructor is its class, and here that extends HTTPConnectionPool.
  return pool.constructor as typeof HTTPConnectionPool;
}
