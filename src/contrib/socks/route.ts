/**
 * The way to a host through a SOCKS proxy: {@link SocksRoute} dials the proxy, as any host is dialled, and has it connect to
 * the target. What is said there is known by transport/socks.ts.
 */
import type { Socket } from 'node:net';
import { type InspectOptions, inspect } from 'node:util';
import { connectHost, type DialTarget, type HTTPConnection } from '../../connection.js';
import { LocationValueError, NameResolutionError, NewConnectionError, ProxySchemeUnknown } from '../../exceptions.js';
import { describe, excerpt, withoutUserinfo } from '../../excerpt.js';
import { boolean, ownOptions, portOrNull, type Rules, resolveOptions } from '../../options.js';
import { HandshakeTimeout } from '../../tls/handshake.js';
import type { ConnectBounds } from '../../transport/bounded.js';
import { attemptOrder } from '../../transport/race.js';
import { type LookupFunction, ResolveError, resolveHost } from '../../transport/resolve.js';
import {
  checkLogin,
  SocksError,
  SocksHandshake,
  type SocksLogin,
  type SocksTarget,
  type SocksVersion,
} from '../../transport/socks.js';
import { socksTunnel } from '../../transport/socks-tunnel.js';
import { parseUrl } from '../../util/url.js';

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
export interface Traveller {
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
    bounds.enter?.('proxy');
    try {
      await socksTunnel(socket, handshake, bounds);
      return socket;
    } catch (error) {
      if (error instanceof HandshakeTimeout || error === bounds.signal?.reason) throw error;
      throw refused(connection, error);
    }
  }

  /** Before anything is dialled: what the target cannot be asked for is known already. */
  #handshake(target: SocksTarget, connection: HTTPConnection): SocksHandshake {
    try {
      return new SocksHandshake(this.#options.socksVersion, target, this.#login);
    } catch (error) {
      throw refused(connection, error);
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

/** The connection adds the address of the proxy. */
function refused(connection: HTTPConnection, cause: unknown): NewConnectionError {
  const because = cause instanceof Error ? cause.message : String(cause);
  const message = `Failed to establish a new connection: ${because}`;
  return new NewConnectionError(connection, message, { cause, phase: 'proxy' });
}

function isUnreached(cause: unknown): boolean {
  return cause instanceof SocksError && cause.failure === 'unreachable';
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

/** Who is to log in, in place of what a proxy's URL says. */
export interface SOCKSLoginOptions {
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

/** The proxy that a URL names, and the URL without its user-info. */
export function proxyOfUrl(
  proxyUrl: string,
  login: SOCKSLoginOptions = {},
): { readonly route: SocksRoute; readonly shownUrl: string } {
  const { username, password, requireAuthentication } = ownOptions(login);
  const url = parseUrl(proxyUrl);
  const scheme = SCHEMES.get(url.scheme);
  if (scheme === undefined) {
    const detail = `Unable to determine SOCKS version from ${excerpt(withoutUserinfo(proxyUrl))}`;
    throw new ProxySchemeUnknown(url.scheme, { detail });
  }
  if (url.host === null || url.host === '') {
    throw new LocationValueError(`No host specified in ${excerpt(withoutUserinfo(proxyUrl))}`);
  }
  const ofUrl = url.auth === null || username != null ? null : loginOfUrl(url.auth);
  const other = secret('password', password ?? null);
  const overruled = ofUrl === null || other === null ? ofUrl : { ...ofUrl, password: Buffer.from(other) };
  const options = { ...scheme, proxyHost: url.host, proxyPort: url.port, username, password, requireAuthentication };
  return { route: new SocksRoute(options, overruled), shownUrl: withoutUserinfo(url.url) };
}
