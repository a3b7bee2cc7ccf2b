/**
 * Connections and pools whose way to their host leads through a SOCKS proxy; in everything else they are as others.
 */
import type { Socket } from 'node:net';
import {
  type ConnectionOptions,
  connectHost,
  HTTPConnection,
  type HTTPSConnectionOptions,
  VerifiedHTTPSConnection,
} from '../../connection.js';
import {
  HTTPConnectionPool,
  type HTTPConnectionPoolOptions,
  HTTPSConnectionPool,
  type HTTPSConnectionPoolOptions,
} from '../../connectionpool.js';
import { ownOptions } from '../../options.js';
import type { ConnectBounds } from '../../transport/bounded.js';
import { type SOCKSOptions, SocksRoute, type Traveller } from './route.js';

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
  return { route: SocksRoute.of(_socksOptions), rest: ownOptions(rest) };
}

/** The pools of a manager whose requests go through a SOCKS proxy. */
export const SOCKS_POOL_CLASSES = Object.freeze({ http: SOCKSHTTPConnectionPool, https: SOCKSHTTPSConnectionPool });
