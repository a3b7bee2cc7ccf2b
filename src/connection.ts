/**
 * A connection to one host: it makes its link (TCP, or TLS over TCP) and runs exchanges on it, one at a time
 * (reference: "urllib3.connection module").
 *
 * How bytes become messages is known by http1/, how an exchange goes by engine/session.ts, how a link is made by
 * transport/. Here is what the reference's users know of a connection, and what the pool needs of one: is it
 * connected, may it be used again, tell me when it is idle or gone. Whether to try again is the pool's to decide.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { bodySource, NO_BODY, type RequestBody } from './body/source.js';
import { type Exchanged, type ExchangeRequest, Session, type SessionOwner } from './engine/session.js';
import {
  addCallers,
  annotate,
  ConnectTimeoutError,
  HTTPError,
  InsecureRequestWarning,
  LocationValueError,
  NameResolutionError,
  NewConnectionError,
  ProxyError,
} from './exceptions.js';
import { describe } from './excerpt.js';
import { fieldLines, type HeadersInput } from './headers.js';
import { DEFAULT_RESPONSE_LIMITS, type ResponseLimits } from './http1/limits.js';
import {
  asksToClose,
  checkFieldLines,
  checkMethod,
  checkTarget,
  type FieldLine,
  renderHead,
  requestFraming,
} from './http1/request-head.js';
import {
  boolean,
  checkedElsewhere,
  functionOrNull,
  ownOptions,
  portOrNull,
  positiveInteger,
  type Rules,
  resolveOptions,
  signalOrNull,
} from './options.js';
import { HTTPResponse } from './response.js';
import { AttemptClock } from './timings.js';
import { type TlsConfiguration, tlsConfiguration } from './tls/configuration.js';
import { HandshakeTimeout, secured, type TlsPeer, tlsOpener, tlsOver } from './tls/handshake.js';
import { changedTlsOptions, splitTlsOptions, type TlsOptions } from './tls/options.js';
import type { ConnectBounds, ConnectPhase } from './transport/bounded.js';
import { DialError, type DialOptions, dial } from './transport/dial.js';
import type { Link } from './transport/link.js';
import { ignoreError } from './transport/race.js';
import type { LookupFunction } from './transport/resolve.js';
import { checkSocketOptions, IPPROTO_TCP, type SocketOption, TCP_NODELAY } from './transport/socket-options.js';
import { openTunnel } from './transport/tunnel.js';
import { Timeout, type TimeoutValue, toTimeout } from './util/timeout.js';
import { parseUrl } from './util/url.js';
import { warn } from './warnings.js';

let lastConnectionId = 0;

/** What is known of a host, for each connection to it. */
export interface ConnectionOptions extends Partial<ResponseLimits> {
  /** @defaultValue the scheme's: 80 or 443 */
  readonly port?: number | null | undefined;
  /** Python 2 only: accepted, and without effect, as the reference says of Python 3. */
  readonly strict?: boolean | undefined;
  /** Seconds; a number holds for connecting and for each read. @defaultValue Timeout.DEFAULT_TIMEOUT: wait for ever */
  readonly timeout?: Timeout | TimeoutValue | undefined;
  /** The local [host, port] to connect from; '' and 0 for any. */
  readonly sourceAddress?: readonly [host: string, port: number] | null | undefined;
  /**
   * Options of the socket as [level, option, value].
   *
   * @defaultValue HTTPConnection.defaultSocketOptions: TCP_NODELAY; an empty list for none
   */
  readonly socketOptions?: readonly SocketOption[] | null | undefined;
  /** Asked for the host's addresses in place of the system's resolver, in the form of `dns.lookup`. */
  readonly lookup?: LookupFunction | null | undefined;
  /** @internal The proxy that a pool goes through. */
  readonly _route?: ProxyRoute | null | undefined;
}

/**
 * What a connection has to do with a proxy: its own host is one, which passes requests on; or one makes it a tunnel to its
 * host, by CONNECT.
 */
export type ProxyRoute =
  | { readonly kind: 'forward'; readonly name: string }
  | {
      readonly kind: 'tunnel';
      /** The proxy's, as a URL has it. */
      readonly host: string;
      readonly port: number;
      /** For a proxy that is reached over TLS. */
      readonly tls: TlsConfiguration | null;
      /** The fields of CONNECT, checked. */
      readonly lines: readonly FieldLine[];
      /** For messages: `http://proxy.example:3128`. */
      readonly name: string;
    };

/** {@link ConnectionOptions} with everything decided. */
export interface ConnectionSettings extends ResponseLimits {
  readonly port: number | null;
  readonly strict: boolean;
  readonly timeout: Timeout;
  readonly sourceAddress: readonly [host: string, port: number] | null;
  readonly socketOptions: readonly SocketOption[] | null;
  readonly lookup: LookupFunction | null;
  readonly _route: ProxyRoute | null;
}

export const CONNECTION_RULES: Rules<ConnectionSettings> = {
  port: portOrNull,
  strict: boolean,
  timeout: (_name, value) => toTimeout(checkedElsewhere<Timeout | TimeoutValue>(_name, value)),
  sourceAddress: checkedElsewhere,
  socketOptions: (_name, value) => (value === null ? null : checkSocketOptions(value)),
  lookup: functionOrNull,
  _route: checkedElsewhere,
  maxHeadBytes: positiveInteger,
  maxFields: positiveInteger,
  maxInterimResponses: positiveInteger,
  maxChunkLineBytes: positiveInteger,
};

export const CONNECTION_DEFAULTS: ConnectionSettings = Object.freeze({
  ...DEFAULT_RESPONSE_LIMITS,
  port: null,
  strict: false,
  timeout: new Timeout(),
  sourceAddress: null,
  socketOptions: null,
  lookup: null,
  _route: null,
});

interface ConnectSettings {
  /** undefined takes the connection's own. */
  readonly timeout: TimeoutValue | undefined;
  readonly signal: AbortSignal | null;
  readonly enter: ConnectBounds['enter'];
}

const CONNECT_RULES: Rules<ConnectSettings> = {
  timeout: (_name, value) => new Timeout({ connect: checkedElsewhere<TimeoutValue>(_name, value) }).connect,
  signal: signalOrNull,
  enter: functionOrNull,
};

const CONNECT_DEFAULTS: ConnectSettings = Object.freeze({ timeout: undefined, signal: null, enter: null });

const REQUEST_RULES: Rules<ConnectionRequestOptions> = {
  body: checkedElsewhere,
  headers: checkedElsewhere,
  signal: signalOrNull,
};

/** What a single connection, without a pool, takes with a request. */
export interface ConnectionRequestOptions {
  readonly body?: RequestBody | null | undefined;
  readonly headers?: HeadersInput | null | undefined;
  readonly signal?: AbortSignal | null | undefined;
}

/** Where a socket is to lead: this connection's host, or a proxy. */
export interface DialTarget {
  /** As a URL has it: an IPv6 address in brackets. */
  readonly host: string;
  readonly port: number;
  /** Who reads the socket from its first byte; null if it is to be read as a stream. */
  readonly link: Link | null;
  /** Makes the socket, if it is to be no plain TCP socket. */
  readonly open?: DialOptions['open'];
}

/** Whoever keeps connections: told once for each event. */
export interface ConnectionOwner {
  /**
   * The exchange is over, and another can begin.
   *
   * @param atMs - since when (`performance.now()`), where that has been looked up
   */
  connectionBecameIdle(connection: HTTPConnection, atMs?: number): void;
  /** The link is gone for good. */
  connectionClosed(connection: HTTPConnection): void;
}

/**
 * An error class of its own, as in the reference, where it stands for the operating system's.
 *
 * @see {@link ProtocolError}, which is `ConnectionError` in the module of exceptions
 */
export class ConnectionError extends HTTPError {
  static {
    Object.defineProperty(ConnectionError.prototype, 'name', { value: 'ConnectionError' });
  }
}

/** Stands in the reference for a connection class that cannot be imported; here it is of no use but its name. */
export class DummyConnection {}

/**
 * A plain-text HTTP/1.1 connection to one host.
 *
 * @example
 * ```ts
 * const connection = new HTTPConnection('example.com', { timeout: 5 });
 * await connection.request('GET', '/');
 * const response = await connection.getResponse();
 * connection.close();
 * ```
 * @see Reference, "urllib3.connection.HTTPConnection"
 */
export class HTTPConnection implements SessionOwner {
  static readonly defaultPort: number = 80;
  static readonly scheme: string = 'http';
  /** Without Nagle's algorithm. */
  static readonly defaultSocketOptions: readonly SocketOption[] = Object.freeze([
    Object.freeze([IPPROTO_TCP, TCP_NODELAY, 1] as const),
  ]);
  /** Whether connections of this class verify their host; an instance tells of itself. */
  static readonly isVerified: boolean = false;

  readonly port: number;
  readonly timeout: Timeout;
  readonly socketOptions: readonly SocketOption[];
  readonly sourceAddress: readonly [host: string, port: number] | null;
  /** @internal Set by the pool that keeps this connection. */
  owner: ConnectionOwner | null = null;
  /** @internal When it became idle, on the clock of `performance.now()`. */
  idleSinceMs = 0;
  /** @internal Requests that were sent on the present link. */
  exchangeCount = 0;
  /** @internal Counted from 1 in the process. */
  readonly id = ++lastConnectionId;
  /** @internal When the present link was made, or the last one, on the clock of `performance.now()`; null without any. */
  connectedAtMs: number | null = null;

  readonly #dnsHost: string;
  readonly #settings: ConnectionSettings;
  #session: Session | null = null;
  /** Gives up the link that is being made. */
  #connecting: AbortController | null = null;
  #isVerified = false;
  #pendingResponse: Promise<HTTPResponse> | null = null;
  #address: string | null = null;

  constructor(host: string, options: ConnectionOptions = {}) {
    const settings = resolveOptions('a connection', options, CONNECTION_RULES, CONNECTION_DEFAULTS);
    const { defaultPort, defaultSocketOptions } = classOf(this);
    this.#settings = settings;
    this.#dnsHost = connectHost(host);
    this.port = settings.port ?? defaultPort;
    this.timeout = settings.timeout;
    this.socketOptions = settings.socketOptions ?? defaultSocketOptions;
    this.sourceAddress = settings.sourceAddress;
  }

  /**
   * The host without the dot that may end it: a certificate never has that dot, and some servers do not expect it in Host.
   * The name that is resolved keeps it, for with it no search domain is tried.
   */
  get host(): string {
    return this.#dnsHost.endsWith('.') ? this.#dnsHost.slice(0, -1) : this.#dnsHost;
  }

  get scheme(): string {
    return classOf(this).scheme;
  }

  get defaultPort(): number {
    return classOf(this).defaultPort;
  }

  /** Whether the peer's certificate was verified when this connection was made. */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  /** The socket below, while there is one: for looking at, not for reading. */
  get socket(): Socket | null {
    return this.#session?.link.socket ?? null;
  }

  /** The address and port of the peer, or of the proxy: `127.0.0.1:80`, `[::1]:80`; null before there is one. */
  get address(): string | null {
    return this.#address;
  }

  /** The version of TLS, such as `TLSv1.3`; null without TLS or a link. */
  get tlsVersion(): string | null {
    const { socket } = this;
    return socket instanceof TLSSocket ? socket.getProtocol() : null;
  }

  /** The descriptor of the socket below; null without one, and on Windows. */
  fileno(): number | null {
    // Node shows it nowhere else than on the handle of the socket.
    const handle: unknown = Reflect.get(this.socket ?? {}, '_handle');
    const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
    return typeof fd === 'number' && fd >= 0 ? fd : null;
  }

  /** Whether a link stands, in use or not. */
  get isConnected(): boolean {
    return this.#session?.link.isOpen === true;
  }

  /** Whether a link stands that no exchange uses. */
  get isIdle(): boolean {
    return this.#session?.isIdle === true;
  }

  /** Seconds for which the server said that it keeps an idle connection. */
  get keepAliveSeconds(): number | null {
    return this.#session?.keepAliveSeconds ?? null;
  }

  /**
   * Makes the link, unless it stands.
   *
   * @throws {@link NameResolutionError}, {@link NewConnectionError}, {@link ConnectTimeoutError}, {@link SSLError}
   */
  async connect(
    options: {
      readonly timeout?: TimeoutValue;
      readonly signal?: AbortSignal | null;
      /** @internal Told which part of connecting begins. */
      readonly enter?: ConnectBounds['enter'];
    } = {},
  ): Promise<void> {
    const { timeout: given, signal, enter } = resolveOptions('connect()', options, CONNECT_RULES, CONNECT_DEFAULTS);
    if (this.isConnected) return;
    const timeout = given === undefined ? this.timeout.connectTimeout : given;
    const seconds = typeof timeout === 'number' ? timeout : null;
    if (this.#connecting !== null) throw new HTTPError('Cannot connect: the connection is being made already');
    const giveUp = new AbortController();
    const stopFollowing = follow(giveUp, signal);
    let phase: ConnectPhase | null = null;
    const bounds: ConnectBounds = {
      signal: giveUp.signal,
      deadlineMs: seconds === null ? null : performance.now() + seconds * 1000,
      enter: (begun) => {
        phase = begun;
        enter?.(begun);
      },
    };
    this.#connecting = giveUp;
    this.#address = null;
    const session = new Session(this, this.#settings);
    try {
      await this.openLink(session.link, this.#dnsHost, bounds);
      // Its last wait may have been won just before.
      giveUp.signal.throwIfAborted();
      if (!session.isIdle) throw new NewConnectionError(this, 'The connection was closed as soon as it was made');
    } catch (error) {
      session.close();
      const isAtProxy = this.#settings._route?.kind === 'forward';
      const isGivenUp = giveUp.signal.aborted && error === giveUp.signal.reason;
      const failure = this.#connectError(isAtProxy && !isGivenUp ? new UnreachedProxy(error) : error, seconds);
      annotate(failure, { phase, address: this.#address });
      throw failure;
    } finally {
      stopFollowing();
      this.#connecting = null;
    }
    this.exchangeCount = 0;
    this.connectedAtMs = performance.now();
    this.#session = session;
  }

  /**
   * Sends a request; {@link getResponse} then gives what came back.
   *
   * @param url - the target in origin form, such as `/path?query`
   */
  request(method: string, url: string, options: ConnectionRequestOptions = {}): Promise<void> {
    return this.#request(method, url, options, false);
  }

  /** As {@link request}, with the body in the chunked coding whatever its length. */
  requestChunked(method: string, url: string, options: ConnectionRequestOptions = {}): Promise<void> {
    return this.#request(method, url, options, true);
  }

  /** The response to the request that was sent last; its content is streamed. */
  async getResponse(): Promise<HTTPResponse> {
    const response = this.#pendingResponse;
    if (response === null) throw new HTTPError('Cannot get a response: no request was sent, or it has been answered');
    this.#pendingResponse = null;
    try {
      return await response;
    } catch (error) {
      addCallers(error);
      throw error;
    }
  }

  /** Closes the link, also one that is being made; an exchange in flight fails. The connection can be connected again. */
  close(): void {
    this.#connecting?.abort(new NewConnectionError(this, 'The connection was closed while it was being made'));
    this.#session?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  toString(): string {
    return `${classOf(this).displayName}(host='${this.host}', port=${this.port})`;
  }

  /** @internal What a class is called in messages, whatever a bundler calls it. */
  static readonly displayName: string = 'HTTPConnection';

  /**
   * @internal One exchange on the idle link, begun in the tick of the call.
   * @throws ExchangeFailure (as rejection)
   */
  exchange(request: ExchangeRequest): Promise<Exchanged> {
    if (this.#session === null)
      throw new HTTPError('Bug in urllib3: an exchange on a connection that is not connected');
    this.exchangeCount++;
    return this.#session.exchange(request);
  }

  /** @internal Nothing is to be sent for a while: the process may end, and no timer runs. */
  rest(): void {
    this.#session?.rest();
  }

  /** @internal */
  sessionBecameIdle(atMs: number): void {
    this.owner?.connectionBecameIdle(this, atMs);
  }

  /** @internal */
  sessionClosed(): void {
    this.owner?.connectionClosed(this);
  }

  /**
   * Connects `link` to the host, over TLS or not; how bytes get there at all is {@link openTunnel}'s to say.
   *
   * @internal
   */
  protected async openLink(link: Link, host: string, bounds: ConnectBounds): Promise<void> {
    const tunnel = this.openTunnel(bounds);
    if (tunnel !== null) return link.adopt(await tunnel);
    const socket = await this.dial({ host, port: this.port, link }, bounds);
    link.attach(socket);
    socket.off('error', ignoreError);
  }

  /**
   * A way to the host that is not a direct one: through a proxy. Plain connections and those over TLS ask here, and go on
   * alike: TLS with the host runs over what comes back.
   *
   * Whoever overrides it dials the proxy with {@link dial} and `link: null`, says `bounds.enter?.('proxy')` as its handshake
   * begins, and runs that under {@link bounded} with the same bounds: one deadline and one signal hold for all of connecting.
   * What it has read beyond its handshake it puts back with `socket.unshift()`: that is the host's. Of its listeners none may
   * be left but {@link ignoreError}, which `dial` has put there. Before it throws it destroys the socket; it throws a
   * {@link HandshakeTimeout} when the deadline passes, the signal's reason when that is aborted, else an error of ours; a
   * DialError of `dial` may pass as it is.
   *
   * @returns a connected socket all of whose bytes are the host's, made without `onread`; null for a direct connection
   * @internal
   */
  protected openTunnel(bounds: ConnectBounds): Promise<Socket> | null {
    const { _route: route } = this.#settings;
    return route?.kind === 'tunnel' ? this.#tunnelThrough(route, bounds) : null;
  }

  async #tunnelThrough(proxy: ProxyRoute & { kind: 'tunnel' }, bounds: ConnectBounds): Promise<Socket> {
    const socket = await this.#reach(proxy, bounds);
    bounds.enter?.('proxy');
    await openTunnel(socket, { host: this.#dnsHost, port: this.port }, proxy.lines, this.#settings, bounds);
    return socket;
  }

  /** A socket to the proxy, over TLS if it wants that. */
  async #reach({ host, port, tls }: ProxyRoute & { kind: 'tunnel' }, bounds: ConnectBounds): Promise<Socket> {
    try {
      if (tls === null) return await this.dial({ host, port, link: null }, bounds);
      const peer: TlsPeer = { host: nameOnCertificate(host), port, role: 'proxy' };
      const socket = await this.dial({ host, port, link: null, open: tlsOpener(peer, tls) }, bounds);
      bounds.enter?.('tls');
      await secured(socket, peer, tls, bounds);
      if (!tls.isVerified) warnOfUnverified(`connection is being made to proxy '${host}'`);
      return socket;
    } catch (error) {
      throw bounds.signal?.aborted && error === bounds.signal.reason ? error : new UnreachedProxy(error);
    }
  }

  /** @internal A connected socket, within the bounds and with what this connection has been told of sockets. */
  protected async dial(target: DialTarget, { signal, deadlineMs, enter }: ConnectBounds): Promise<Socket> {
    const { host, port, link } = target;
    const socket = await dial({
      // A URL writes the % before an IPv6 zone as %25 (RFC 6874); the system knows it by its name.
      host: host.startsWith('[') ? host.slice(1, -1).replace('%25', '%') : host,
      port,
      timeoutMs: deadlineMs === null ? null : Math.max(1, deadlineMs - performance.now()),
      sourceAddress: this.sourceAddress,
      socketOptions: this.socketOptions,
      lookup: this.#settings.lookup,
      signal,
      enter,
      onread: link === null ? null : () => link.onread(),
      open: Object.hasOwn(target, 'open') ? target.open : undefined,
    });
    // Asked for while the socket stands: afterwards it has forgotten.
    this.#address = peerAddress(socket);
    return socket;
  }

  /** @internal What the host of this connection is to the requests that are sent on it. */
  protected get role(): TlsPeer['role'] {
    return this.#settings._route?.kind === 'forward' ? 'proxy' : 'origin';
  }

  /** @internal */
  protected setVerified(isVerified: boolean): void {
    this.#isVerified = isVerified;
  }

  async #request(method: string, url: string, given: ConnectionRequestOptions, chunked: boolean): Promise<void> {
    const options = resolveOptions('a request of a connection', given, REQUEST_RULES, {});
    checkMethod(method);
    checkTarget(url);
    const lines = checkFieldLines(fieldLines(options.headers));
    const body = options.body === undefined ? NO_BODY : bodySource(options.body);
    const length = body.kind === 'none' ? undefined : body.kind === 'bytes' ? body.bytes.length : body.length;
    const framing = requestFraming(method, lines, length, chunked);
    const contentType = body.kind === 'none' ? null : body.contentType;
    const head = renderHead(
      method,
      url,
      hostField(this.host, this.port, this.defaultPort),
      lines,
      framing,
      contentType,
    );
    const clock = new AttemptClock();
    await this.connect({ signal: options.signal ?? null, enter: (phase) => clock.enter(phase) });
    if (!this.isIdle) throw new HTTPError('Cannot send a request: the response to the last one is not read to its end');
    const exchanged = this.exchange({
      method,
      target: url,
      head,
      body,
      framing,
      isLast: asksToClose(lines),
      isDiscardable: null,
      preloads: false,
      readTimeout: this.timeout.total === null ? this.timeout.readTimeout : this.timeout.total,
      deadline: null,
      maxContentBytes: null,
      onInformational: null,
      onUploadProgress: null,
      onDownloadProgress: null,
      expectContinue: null,
      signal: options.signal ?? null,
      watcher: clock,
      pool: this,
    });
    const about = { requestMethod: method, requestUrl: url, connection: this, _clock: clock };
    this.#pendingResponse = exchanged.then(
      (received) => HTTPResponse.fromExchange(received, about),
      (failure) => {
        annotate(failure.error, { phase: clock.phase, address: this.#address });
        throw failure.error;
      },
    );
    // Told to whoever calls getResponse(); nobody may, and that must not end the process.
    this.#pendingResponse.catch(() => {});
  }

  #connectError(error: unknown, seconds: number | null): unknown {
    const { _route: route } = this.#settings;
    if (!(error instanceof UnreachedProxy) || route === null) return this.#linkError(error, this.host, seconds);
    const cause = this.#linkError(error.error, route.name, seconds);
    if (!(cause instanceof HTTPError)) return cause;
    const hint = speaksNoTls(cause)
      ? '. It seems to speak HTTP without TLS: its URL may have to begin with http://'
      : '';
    return new ProxyError(`Cannot connect to proxy ${route.name} (${cause.name}: ${cause.message})${hint}`, { cause });
  }

  /** @param host - who was to be connected to, for messages */
  #linkError(error: unknown, host: string, seconds: number | null): unknown {
    const timedOut = error instanceof HandshakeTimeout || (error instanceof DialError && error.phase === 'timeout');
    if (timedOut) {
      const message = `Connection to ${host} timed out. (connect timeout=${seconds})`;
      return new ConnectTimeoutError(this, message, { cause: error, address: dialledAddress(error) });
    }
    if (!(error instanceof DialError)) return error;
    if (error.phase === 'resolve') {
      const name = error.host === this.#dnsHost ? this.host : error.host;
      return new NameResolutionError(name, this, { cause: error.cause });
    }
    const cause = error.cause ?? error;
    const address = dialledAddress(error);
    return new NewConnectionError(this, `Failed to establish a new connection: ${error.message}`, { cause, address });
  }
}

/** Why a proxy could not be reached, on its way to where errors are made. */
class UnreachedProxy {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** OpenSSL's ways to say that what answered is no TLS. */
function speaksNoTls(error: HTTPError): boolean {
  return error.code === 'ERR_SSL_WRONG_VERSION_NUMBER' || error.code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG';
}

/** A zone says by which interface, not who answers, and a final dot how to resolve: no certificate has them. */
function nameOnCertificate(host: string): string {
  if (host.startsWith('[')) return host.slice(1, -1).replace(/%.*/, '');
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

function warnOfUnverified(what: string): void {
  warn(new InsecureRequestWarning(`Unverified HTTPS ${what}. Adding certificate verification is strongly advised`));
}

/** What a connection over TLS takes beside {@link ConnectionOptions}. */
export interface HTTPSConnectionOptions extends ConnectionOptions, TlsOptions {
  /** @internal What a pool has resolved for all its connections. */
  readonly _tls?: TlsConfiguration | undefined;
}

const CERTIFICATE_OPTIONS = [
  'keyFile',
  'certFile',
  'certReqs',
  'keyPassword',
  'caCerts',
  'assertHostname',
  'assertFingerprint',
  'caCertDir',
] as const satisfies readonly (keyof TlsOptions)[];

/** What {@link VerifiedHTTPSConnection.setCert} takes. */
export type CertificateOptions = Pick<TlsOptions, (typeof CERTIFICATE_OPTIONS)[number]>;

/**
 * An HTTP/1.1 connection over TLS, whose server is verified unless that is switched off.
 *
 * @see Reference, "urllib3.connection.VerifiedHTTPSConnection"
 */
export class VerifiedHTTPSConnection extends HTTPConnection {
  static override readonly defaultPort: number = 443;
  static override readonly scheme: string = 'https';
  static override readonly displayName: string = 'HTTPSConnection';

  #tls: TlsConfiguration;

  constructor(host: string, options: HTTPSConnectionOptions = {}) {
    // Own properties only: a polluted Object.prototype must not switch verification off.
    const { _tls, ...given } = ownOptions(options);
    const { tls, rest } = splitTlsOptions(given);
    super(host, rest);
    this.#tls = _tls ?? tlsConfiguration(tls);
  }

  /** As it was given; null for the default. */
  get certReqs(): NonNullable<TlsOptions['certReqs']> | null {
    return this.#tls.options.certReqs ?? null;
  }

  /** As it was given; null for the default. */
  get caCerts(): NonNullable<TlsOptions['caCerts']> | null {
    return this.#tls.options.caCerts ?? null;
  }

  /** As it was given; null for the default. */
  get caCertDir(): string | null {
    return this.#tls.options.caCertDir ?? null;
  }

  /** As it was given; null for the default. */
  get sslVersion(): NonNullable<TlsOptions['sslVersion']> | null {
    return this.#tls.options.sslVersion ?? null;
  }

  /** As it was given; null for none. */
  get assertFingerprint(): string | null {
    return this.#tls.options.assertFingerprint ?? null;
  }

  /**
   * Changes what is shown to the server and what is verified of it, from the next link on; what is not given stays.
   *
   * @throws TypeError or {@link SSLError} for options that cannot be used
   * @see Reference, "VerifiedHTTPSConnection.set_cert"
   */
  setCert(options: CertificateOptions): void {
    this.#tls = tlsConfiguration(changedTlsOptions(this.#tls.options, options, CERTIFICATE_OPTIONS));
  }

  protected override async openLink(link: Link, host: string, bounds: ConnectBounds): Promise<void> {
    const peer: TlsPeer = { host: nameOnCertificate(host), port: this.port, role: this.role };
    // One for all of it: `setCert` may be called meanwhile.
    const tls = this.#tls;
    const tunnel = this.openTunnel(bounds);
    const socket =
      tunnel === null
        ? await this.dial({ host, port: this.port, link, open: tlsOpener(peer, tls) }, bounds)
        : tlsOver(await tunnel, peer, tls);
    bounds.enter?.('tls');
    await secured(socket, peer, tls, bounds);
    if (tunnel === null) link.attach(socket);
    else link.adopt(socket);
    this.setVerified(tls.isVerified);
    if (!tls.isVerified) warnOfUnverified(`request is being made to host '${this.host}'`);
  }
}

export const HTTPSConnection = VerifiedHTTPSConnection;
export type HTTPSConnection = VerifiedHTTPSConnection;

export const UnverifiedHTTPSConnection = VerifiedHTTPSConnection;
export type UnverifiedHTTPSConnection = VerifiedHTTPSConnection;

/**
 * The value of Host (RFC 9110 section 7.2): the port only where it is not the scheme's, an address without its zone.
 *
 * @param host - an IPv6 address with its brackets
 */
export function hostField(host: string, port: number, defaultPort: number): string {
  const name = withoutZone(host);
  return port === defaultPort ? name : `${name}:${port}`;
}

/** An IPv6 address without the zone that means something on this machine only. */
export function withoutZone(host: string): string {
  const zone = host.startsWith('[') ? host.indexOf('%') : -1;
  return zone === -1 ? host : `${host.slice(0, zone)}]`;
}

/** A host as a URL has it, normalised; an IPv6 address may come without its brackets. */
export function connectHost(host: unknown): string {
  if (typeof host !== 'string') throw new TypeError(`Cannot use host ${describe(host)}: it must be text`);
  if (host === '') throw new LocationValueError('No host specified');
  const isBareAddress = host.includes(':') && !host.startsWith('[');
  const url = parseUrl(`http://${isBareAddress ? `[${host}]` : host}`);
  if (url.host === null || url.auth !== null || url.port !== null || url.path !== null || url.query !== null) {
    throw new LocationValueError(
      `Cannot use host ${describe(host)}: it must be a name or an address, and nothing else`,
    );
  }
  return url.host;
}

/** Aborts `controller` when `signal` is, until the result is called. */
function follow(controller: AbortController, signal: AbortSignal | null): () => void {
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted === true) abort();
  else signal?.addEventListener('abort', abort);
  return () => signal?.removeEventListener('abort', abort);
}

function peerAddress({ remoteAddress, remotePort }: Socket): string | null {
  return remoteAddress === undefined ? null : addressText(remoteAddress, remotePort);
}

/** The last address that was tried. */
function dialledAddress(error: unknown): string | null {
  const attempt = error instanceof DialError ? error.attempts.at(-1) : undefined;
  return error instanceof DialError && attempt !== undefined ? addressText(attempt.address, error.port) : null;
}

function addressText(address: string, port: number | undefined): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** The statics of an instance's own class. */
function classOf(connection: HTTPConnection): typeof HTTPConnection {
  // An object's constructor is its class, and here that extends HTTPConnection.
  return connection.constructor as typeof HTTPConnection;
}
