/**
 * Requests through a SOCKS proxy (reference: "urllib3.contrib.socks module"): SOCKS4, 4A and 5, with local or remote DNS.
 *
 * A connection of this module differs from others in one thing, the way to its host: {@link SocksRoute} dials the proxy, as
 * any host is dialled, and has it connect to the target. What is said there is known by transport/socks.ts. Everything above,
 * TLS with the target included, does not know of the proxy, and the proxy sees none of it: requests are in origin form, and no
 * field is for it.
 *
 * An optional part: nothing in the core imports it.
 */
import type { Socket } from 'node:net';
import { type InspectOptions, inspect } from 'node:util';
import {
  type ConnectionOptions,
  connectHost,
  type DialTarget,
  HTTPConnection,
  type HTTPSConnectionOptions,
  VerifiedHTTPSConnection,
} from '../connection.js';
import {
  HTTPConnectionPool,
  type HTTPConnectionPoolOptions,
  HTTPSConnectionPool,
  type HTTPSConnectionPoolOptions,
} from '../connectionpool.js';
import { LocationValueError, NameResolutionError, NewConnectionError, ProxySchemeUnknown } from '../exceptions.js';
import { describe, excerpt, withoutUserinfo } from '../excerpt.js';
import { boolean, ownOptions, portOrNull, type Rules, resolveOptions } from '../options.js';
// biome-ignore lint/suspicious/noImportCycles: there this module is loaded on demand, when both have long been complete
import { type PoolClass, PoolManager, type PoolManagerOptions, type RequestContext } from '../poolmanager.js';
import { HandshakeTimeout } from '../tls/handshake.js';
import type { ConnectBounds } from '../transport/bounded.js';
import { attemptOrder } from '../transport/race.js';
import { type LookupFunction, ResolveError, resolveHost } from '../transport/resolve.js';
import {
  checkLogin,
  SocksError,
  SocksHandshake,
  type SocksLogin,
  type SocksTarget,
  type SocksVersion,
} from '../transport/socks.js';
import { socksTunnel } from '../transport/socks-tunnel.js';
import { parseUrl } from '../util/url.js';

/** Of RFC 1928. */
const DEFAULT_PORT = 1080;

/** Addresses of a target that a proxy is asked for, each on a connection of its own; a name has seldom more that differ. */
const MAX_TARGET_ADDRESSES = 4;

/** What each scheme of a proxy's URL means. */
const SCHEMES: ReadonlyMap<string | null, { readonly socksVersion: SocksVersion; readonly rdns: boolean }> = new Map([
  ['socks4', { socksVersion: 4, rdns: false }],
  ['socks4a', { socksVersion: 4, rdns: true }],
  ['socks5', { socksVersion: 5, rdns: false }],
  ['socks5h', { socksVersion: 5, rdns: true }],
]);

/** A SOCKS proxy, for a connection or pool that is made without {@link SOCKSProxyManager}. */
export interface SOCKSOptions {
  readonly socksVersion: SocksVersion;
  readonly proxyHost: string;
  /** @defaultValue 1080 */
  readonly proxyPort?: number | null | undefined;
  /** The user id of SOCKS4, the username of SOCKS5. */
  readonly username?: string | null | undefined;
  /** Of SOCKS5. */
  readonly password?: string | null | undefined;
  /** Whether names go to the proxy, in place of addresses that this machine finds for them. @defaultValue false */
  readonly rdns?: boolean | undefined;
  /** As in {@link SOCKSProxyManagerOptions}. @defaultValue false */
  readonly requireAuthentication?: boolean | undefined;
}

interface ResolvedSOCKSOptions {
  readonly socksVersion: SocksVersion;
  readonly proxyHost: string;
  readonly proxyPort: number | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly rdns: boolean;
  readonly requireAuthentication: boolean;
}

const SOCKS_RULES: Rules<ResolvedSOCKSOptions> = {
  socksVersion: (_name, value) => {
    if (value === 4 || value === 5) return value;
    throw new TypeError(`Cannot use SOCKS version ${describe(value)}: it must be 4 or 5`);
  },
  proxyHost: (_name, value) => connectHost(value),
  proxyPort: portOrNull,
  username: secret,
  password: secret,
  rdns: boolean,
  requireAuthentication: boolean,
};

const SOCKS_DEFAULTS: ResolvedSOCKSOptions = {
  socksVersion: 5,
  proxyHost: '',
  proxyPort: null,
  username: null,
  password: null,
  rdns: false,
  requireAuthentication: false,
};

/** As `textOrNull`, for what no message may show. */
function secret(name: string, value: unknown): string | null {
  if (value === null || typeof value === 'string') return value;
  throw new TypeError(`Cannot use a ${name} of type ${typeof value}: it must be text`);
}

/** What a route needs to know of the connection whose way it is. */
interface Traveller {
  /** Where to, as a URL has it. */
  readonly host: string;
  readonly port: number;
  /** How errors call it. */
  readonly connection: HTTPConnection;
  readonly lookup: LookupFunction | null;
  dial(target: DialTarget): Promise<Socket>;
}

/**
 * The way through one proxy. Pools are told apart by its identity: no key holds a password, and inspecting shows none.
 *
 * @internal
 */
export class SocksRoute {
  readonly #options: Omit<ResolvedSOCKSOptions, 'username' | 'password' | 'requireAuthentication'>;
  readonly #login: SocksLogin | null;

  /**
   * @param login - in place of `username` and `password`, in bytes
   * @throws TypeError, RangeError or LocationValueError for what cannot be used
   */
  constructor(options: SOCKSOptions, login?: Omit<SocksLogin, 'isRequired'> | null) {
    const resolved = resolveOptions('a SOCKS proxy', options, SOCKS_RULES, SOCKS_DEFAULTS);
    const { username, password, requireAuthentication, ...rest } = resolved;
    this.#options = { ...rest, proxyHost: connectHost(rest.proxyHost) };
    const given = login ?? loginOf(username, password);
    this.#login = given === null ? null : { ...given, isRequired: requireAuthentication };
    if (this.#login !== null) checkLogin(rest.socksVersion, this.#login);
    if (requireAuthentication && (this.#login === null || rest.socksVersion === 4)) {
      throw new TypeError('Cannot require authentication: that is for SOCKS5 with a username and password');
    }
  }

  /** `options` as a route, which it may be already. */
  static of(options: unknown): SocksRoute {
    if (options instanceof SocksRoute) return options;
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`Cannot use _socksOptions ${describe(options)}: they must tell a SOCKS proxy`);
    }
    // The constructor checks every option.
    return new SocksRoute(options as SOCKSOptions);
  }

  /**
   * A socket that leads to the traveller's host.
   *
   * A name that is resolved here may have several addresses: those that the proxy does not reach are given up for the next.
   */
  async open(traveller: Traveller, bounds: ConnectBounds): Promise<Socket> {
    let failure: unknown;
    for (const host of await this.#targets(traveller, bounds)) {
      try {
        return await this.#connect(host, traveller, bounds);
      } catch (error) {
        if (!(error instanceof NewConnectionError && isUnreached(error.cause))) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** What the proxy is asked for, one after the other: addresses, or the one name. */
  async #targets({ host, connection, lookup }: Traveller, bounds: ConnectBounds): Promise<readonly string[]> {
    const { rdns, socksVersion } = this.#options;
    const bare = host.startsWith('[') ? host.slice(1, -1).replace('%25', '%') : host;
    if (rdns) return [bare];
    bounds.enter?.('resolve');
    try {
      const addresses = await resolveHost(bare, { ...bounds, lookup, family: socksVersion === 4 ? 4 : 0 });
      return attemptOrder(addresses)
        .slice(0, MAX_TARGET_ADDRESSES)
        .map(({ address }) => address);
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error;
      if (error.kind === 'timeout') throw new HandshakeTimeout(error.message);
      throw new NameResolutionError(connection.host, connection, { cause: error.cause ?? error, phase: 'resolve' });
    }
  }

  async #connect(host: string, { connection, port, dial }: Traveller, bounds: ConnectBounds): Promise<Socket> {
    const { proxyHost, proxyPort } = this.#options;
    const handshake = this.#handshake({ host, port }, connection);
    const socket = await dial({ host: proxyHost, port: proxyPort ?? DEFAULT_PORT, link: null });
    const address = addressOf(socket);
    bounds.enter?.('proxy');
    try {
      await socksTunnel(socket, handshake, bounds);
      return socket;
    } catch (error) {
      if (error instanceof HandshakeTimeout || error === bounds.signal?.reason) throw error;
      throw refused(connection, error, address);
    }
  }

  /** Before anything is dialled: what the target cannot be asked for is known already. */
  #handshake(target: SocksTarget, connection: HTTPConnection): SocksHandshake {
    try {
      return new SocksHandshake(this.#options.socksVersion, target, this.#login);
    } catch (error) {
      throw refused(connection, error, null);
    }
  }

  toString(): string {
    const { socksVersion, rdns, proxyHost, proxyPort } = this.#options;
    const scheme = `socks${socksVersion}${rdns ? (socksVersion === 4 ? 'a' : 'h') : ''}`;
    return `${scheme}://${this.#login === null ? '' : '***@'}${proxyHost}:${proxyPort ?? DEFAULT_PORT}`;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `SocksRoute ${inspect(this.toString(), options)}`;
  }
}

function refused(connection: HTTPConnection, cause: unknown, address: string | null): NewConnectionError {
  const because = cause instanceof Error ? cause.message : String(cause);
  const message = `Failed to establish a new connection: ${because}`;
  return new NewConnectionError(connection, message, { cause, phase: 'proxy', address });
}

function isUnreached(cause: unknown): boolean {
  return cause instanceof SocksError && cause.failure === 'unreachable';
}

function addressOf({ remoteAddress, remotePort }: Socket): string | null {
  if (remoteAddress === undefined) return null;
  return `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`;
}

function loginOf(username: string | null, password: string | null): Omit<SocksLogin, 'isRequired'> | null {
  if (username === null && password === null) return null;
  return { username: Buffer.from(username ?? ''), password: Buffer.from(password ?? '') };
}

/** The user-info of a URL: what stands before its first colon, and after it, each percent-decoded. */
function loginOfUrl(auth: string): Omit<SocksLogin, 'isRequired'> {
  const colon = auth.indexOf(':');
  if (colon < 0) return { username: percentDecoded(auth), password: Buffer.alloc(0) };
  return { username: percentDecoded(auth.slice(0, colon)), password: percentDecoded(auth.slice(colon + 1)) };
}

/** Into bytes, which need not be UTF-8. The text is ASCII: parseUrl has encoded the rest. */
function percentDecoded(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9A-F]{2})/gi, (_encoded, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  );
}

/** What the connections of this module take beside those of {@link HTTPConnection}. */
export interface SOCKSConnectionOptions extends ConnectionOptions {
  /** The proxy. */
  readonly _socksOptions?: SOCKSOptions | SocksRoute | undefined;
}

export interface SOCKSHTTPSConnectionOptions extends HTTPSConnectionOptions, SOCKSConnectionOptions {}

/**
 * A plain-text HTTP connection by way of a SOCKS proxy.
 *
 * @see Reference, "urllib3.contrib.socks.SOCKSConnection"
 */
export class SOCKSConnection extends HTTPConnection {
  static override readonly displayName: string = 'SOCKSConnection';

  readonly #open: (bounds: ConnectBounds) => Promise<Socket>;

  constructor(host: string, options: SOCKSConnectionOptions = {}) {
    const { route, rest } = splitRoute(options);
    super(host, rest);
    this.#open = (bounds) =>
      route.open(
        traveller(this, host, rest, (target) => this.dial(target, bounds)),
        bounds,
      );
  }

  /** @internal */
  protected override openTunnel(bounds: ConnectBounds): Promise<Socket> {
    return this.#open(bounds);
  }

  /** Those over TLS are connections through SOCKS too, though they extend the class of those over TLS. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const isOne = Function.prototype[Symbol.hasInstance].call(this, value);
    return isOne || (this === SOCKSConnection && value instanceof SOCKSHTTPSConnection);
  }
}

/**
 * The same over TLS with the target, which is verified by its own name.
 *
 * @see Reference, "urllib3.contrib.socks.SOCKSHTTPSConnection"
 */
export class SOCKSHTTPSConnection extends VerifiedHTTPSConnection {
  static override readonly displayName: string = 'SOCKSHTTPSConnection';

  readonly #open: (bounds: ConnectBounds) => Promise<Socket>;

  constructor(host: string, options: SOCKSHTTPSConnectionOptions = {}) {
    const { route, rest } = splitRoute(options);
    super(host, rest);
    this.#open = (bounds) =>
      route.open(
        traveller(this, host, rest, (target) => this.dial(target, bounds)),
        bounds,
      );
  }

  /** @internal */
  protected override openTunnel(bounds: ConnectBounds): Promise<Socket> {
    return this.#open(bounds);
  }
}

function traveller(
  connection: HTTPConnection,
  host: string,
  { lookup }: ConnectionOptions,
  dial: Traveller['dial'],
): Traveller {
  return { host: connectHost(host), port: connection.port, connection, lookup: lookup ?? null, dial };
}

/** What the pools of this module take beside those of {@link HTTPConnectionPool}. */
export interface SOCKSHTTPConnectionPoolOptions extends HTTPConnectionPoolOptions {
  /** The proxy. */
  readonly _socksOptions?: SOCKSOptions | SocksRoute | undefined;
}

export interface SOCKSHTTPSConnectionPoolOptions extends HTTPSConnectionPoolOptions, SOCKSHTTPConnectionPoolOptions {}

/**
 * Plain-text connections to one host by way of a SOCKS proxy.
 *
 * @see Reference, "urllib3.contrib.socks.SOCKSHTTPConnectionPool"
 */
export class SOCKSHTTPConnectionPool extends HTTPConnectionPool {
  static override readonly displayName: string = 'SOCKSHTTPConnectionPool';
  static override ConnectionCls = SOCKSConnection;

  readonly #route: SocksRoute;

  constructor(host: string, options: SOCKSHTTPConnectionPoolOptions = {}) {
    const { route, rest } = splitRoute(options);
    super(host, rest);
    this.#route = route;
  }

  /** @internal */
  protected override get connectionExtras(): SOCKSConnectionOptions {
    return { _socksOptions: this.#route };
  }
}

/**
 * The same over TLS with the target.
 *
 * @see Reference, "urllib3.contrib.socks.SOCKSHTTPSConnectionPool"
 */
export class SOCKSHTTPSConnectionPool extends HTTPSConnectionPool {
  static override readonly displayName: string = 'SOCKSHTTPSConnectionPool';
  static override ConnectionCls = SOCKSHTTPSConnection;

  readonly #route: SocksRoute;

  constructor(host: string, options: SOCKSHTTPSConnectionPoolOptions = {}) {
    const { route, rest } = splitRoute(options);
    super(host, rest);
    this.#route = route;
  }

  /** @internal */
  protected override get connectionExtras(): SOCKSHTTPSConnectionOptions {
    return { _socksOptions: this.#route };
  }
}

/** Without a proxy there is no way: it is never the direct one. */
function splitRoute<T extends { readonly _socksOptions?: unknown }>(
  options: T,
): { readonly route: SocksRoute; readonly rest: Omit<T, '_socksOptions'> } {
  const { _socksOptions, ...rest } = ownOptions(options);
  return { route: SocksRoute.of(_socksOptions), rest };
}

/** What {@link SOCKSProxyManager} takes beside those of {@link PoolManager}. */
export interface SOCKSProxyManagerOptions extends Omit<PoolManagerOptions, 'proxy'> {
  /** The user id of SOCKS4, the username of SOCKS5. @defaultValue that of the proxy's URL */
  readonly username?: string | null | undefined;
  /** The password of SOCKS5. @defaultValue that of the proxy's URL, unless a username is given here */
  readonly password?: string | null | undefined;
  /**
   * Whether a SOCKS5 proxy must ask for the username and password: one that would go on without is left.
   *
   * For proxies that decide by the user where requests come from or may go to.
   *
   * @defaultValue false
   * @throws {@link NewConnectionError} inside a {@link MaxRetryError}, from the request
   */
  readonly requireAuthentication?: boolean | undefined;
}

/**
 * A {@link PoolManager} all of whose connections go through a SOCKS proxy.
 *
 * | proxy's URL | version | who resolves names |
 * | --- | --- | --- |
 * | `socks5h://` | SOCKS5 | the proxy |
 * | `socks5://` | SOCKS5 | this machine |
 * | `socks4a://` | SOCKS4A | the proxy |
 * | `socks4://` | SOCKS4, IPv4 only | this machine |
 *
 * @example
 * ```ts
 * const proxy = new SOCKSProxyManager('socks5h://localhost:8889/');
 * const response = await proxy.request('GET', 'http://google.com/');
 * ```
 * @see Reference, "urllib3.contrib.socks.SOCKSProxyManager"
 */
export class SOCKSProxyManager extends PoolManager {
  static readonly poolClassesByScheme: Readonly<Record<'http' | 'https', PoolClass>> = Object.freeze({
    http: SOCKSHTTPConnectionPool,
    https: SOCKSHTTPSConnectionPool,
  });

  override poolClassesByScheme: Record<string, PoolClass> = { ...SOCKSProxyManager.poolClassesByScheme };

  /** The URL of the proxy, without its user-info. */
  readonly proxyUrl: string;

  readonly #route: SocksRoute;

  /**
   * @param proxyUrl - `socks5h://user:password@host:1080`, with any scheme of the table above; user and password are
   *   percent-decoded, the port is 1080 by default
   * @throws {@link ProxySchemeUnknown} for another scheme, {@link LocationValueError}, TypeError or RangeError for what cannot
   *   be used
   */
  constructor(proxyUrl: string, options: SOCKSProxyManagerOptions = {}) {
    const { username, password, requireAuthentication, ...rest } = ownOptions(options);
    if (Object.hasOwn(rest, 'proxy')) {
      throw new TypeError('Cannot use option "proxy": the proxy of a SOCKS proxy manager is its first argument');
    }
    const url = parseUrl(proxyUrl);
    const scheme = SCHEMES.get(url.scheme);
    if (scheme === undefined) {
      const detail = `Unable to determine SOCKS version from ${excerpt(withoutUserinfo(proxyUrl))}`;
      throw new ProxySchemeUnknown(url.scheme, { detail });
    }
    if (url.host === null || url.host === '') {
      throw new LocationValueError(`No host specified in ${excerpt(withoutUserinfo(proxyUrl))}`);
    }
    super(rest);
    const login = url.auth === null || username != null ? null : loginOfUrl(url.auth);
    const other = secret('password', password ?? null);
    const overruled = login === null || other === null ? login : { ...login, password: Buffer.from(other) };
    this.proxyUrl = withoutUserinfo(url.url);
    this.#route = new SocksRoute(
      { ...scheme, proxyHost: url.host, proxyPort: url.port, username, password, requireAuthentication },
      overruled,
    );
  }

  override connectionFromContext(requestContext: RequestContext): HTTPConnectionPool {
    // As a variable: the type does not know of the option that only the pools of this manager take.
    const context = { ...requestContext, _socksOptions: this.#route };
    return super.connectionFromContext(context);
  }

  override toString(): string {
    return `SOCKSProxyManager(pools=${this.pools.size})`;
  }
}
