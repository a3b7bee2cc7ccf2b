/**
 * Requests through a SOCKS proxy (reference: "urllib3.contrib.socks module"): SOCKS4, 4A and 5, with local or remote DNS.
 *
 * A connection of this module differs from others in one thing, the way to its host (socks/route.ts). Everything above, TLS with
 * the target included, does not know of the proxy, and the proxy sees none of it: requests are in origin form, and no field is
 * for it.
 *
 * An optional part: nothing in the core imports it.
 */
import type { HTTPConnectionPool } from '../connectionpool.js';
import { ownOptions } from '../options.js';
import { type PoolClass, PoolManager, type PoolManagerOptions, type RequestContext } from '../poolmanager.js';
import { SOCKS_POOL_CLASSES } from './socks/pools.js';
import { proxyOfUrl, type SOCKSLoginOptions, type SocksRoute } from './socks/route.js';

export {
  SOCKSConnection,
  type SOCKSConnectionOptions,
  SOCKSHTTPConnectionPool,
  type SOCKSHTTPConnectionPoolOptions,
  SOCKSHTTPSConnection,
  type SOCKSHTTPSConnectionOptions,
  SOCKSHTTPSConnectionPool,
  type SOCKSHTTPSConnectionPoolOptions,
} from './socks/pools.js';
export type { SOCKSOptions, SocksRoute } from './socks/route.js';

/** What {@link SOCKSProxyManager} takes beside those of {@link PoolManager}. */
export interface SOCKSProxyManagerOptions extends Omit<PoolManagerOptions, 'proxy'>, SOCKSLoginOptions {}

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
  static readonly poolClassesByScheme: Readonly<Record<'http' | 'https', PoolClass>> = SOCKS_POOL_CLASSES;

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
    super(rest);
    const { route, shownUrl } = proxyOfUrl(proxyUrl, { username, password, requireAuthentication });
    this.proxyUrl = shownUrl;
    this.#route = route;
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
