/**
 * Where to: a manager keeps a pool for each place that requests go to, and follows redirects from one to another
 * (reference: "urllib3.poolmanager module").
 *
 * Pools are told apart by everything that changes how a connection behaves, so that a connection made for one configuration
 * never serves another; the one used least recently is given up when there are too many. How often a request is tried in one
 * place is the pool's to know.
 *
 * A manager with a proxy differs in one thing only: which pool a URL belongs to. What is not to go through TLS belongs to the
 * pool of the proxy itself, which passes it on; the rest to pools of their own, whose connections are tunnels. So whatever
 * chooses a pool, redirects too, goes through the proxy.
 */
import type { Login } from './auth/authenticator.js';
import { type AuthByOrigin, credentialsByOrigin } from './auth/by-origin.js';
import type { Credentials } from './auth/credentials.js';
import type { BodySource } from './body/source.js';
import { RecentlyUsedContainer } from './collections.js';
import { connectHost } from './connection.js';
import {
  type ConnectionPoolKw,
  HTTPConnectionPool,
  HTTPSConnectionPool,
  type HTTPSConnectionPoolOptions,
  portByScheme,
} from './connectionpool.js';
import {
  AuthenticationError,
  addCallers,
  LocationValueError,
  ProxySchemeUnknown,
  URLSchemeUnknown,
} from './exceptions.js';
import { describe, withoutUserinfo } from './excerpt.js';
import { fieldLines, type HeadersInput, HTTPHeaderDict } from './headers.js';
import { checkMethod } from './http1/request-head.js';
import { credentialsOf, Logins, ownsConnections } from './login-loop.js';
import { takeRedirect } from './next-attempt.js';
import { boolean, ownOptions, positiveInteger, resolveOptions } from './options.js';
import { type PoolKey, poolKey } from './pool-key.js';
import { type HttpProxy, httpProxy, type ProxyConfig } from './proxy.js';
import { type RedirectedRequest, redirectedRequest } from './redirect.js';
import { RequestMethods } from './request.js';
import {
  type CallPolicy,
  PLAIN_HOP,
  POLICY_DEFAULTS,
  POLICY_RULES,
  type ResolvedUrlopenOptions,
  resolvedAlready,
  resolveUrlopenOptions,
  sourceOf,
  type UrlopenOptions,
  watched,
} from './request-options.js';
import type { HTTPResponse } from './response.js';
import { tlsConfiguration } from './tls/configuration.js';
import { TLS_OPTION_NAMES, type TlsOptions } from './tls/options.js';
import { connectionRequiresHttpTunnel, environmentProxies } from './util/proxy.js';
import { Retry } from './util/retry.js';
import { isSameOrigin, parseUrl, Url } from './util/url.js';

/** What a manager takes: its own options, and those of the pools it makes. */
export interface PoolManagerOptions extends ConnectionPoolKw {
  /**
   * Who makes the requests that do not say, for each origin: `{ 'https://api.example.com': { type: 'bearer', token } }`.
   * Requests to other origins, and redirects from another origin to one of these, are made by nobody.
   *
   * @defaultValue null: nobody, anywhere
   * @throws TypeError for credentials without an origin: those of one request are an option of the request
   * @see docs/authentication.md
   */
  readonly auth?: AuthByOrigin | null | undefined;
  /**
   * Pools that are kept; beyond that, the least recently used one is closed when its requests are done.
   *
   * @defaultValue 10
   */
  readonly numPools?: number | undefined;
  /**
   * `'environment'` asks HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as they are now, for each request's proxy. Without
   * that, nothing in the environment chooses a proxy; for one proxy for all there is {@link ProxyManager}.
   *
   * @defaultValue null: requests go to their hosts directly
   * @throws {@link ProxySchemeUnknown} or {@link LocationParseError} if a variable does not hold the URL of a proxy
   * @see Docs, "Proxies", "From the environment"
   */
  readonly proxy?: 'environment' | null | undefined;
}

/** What a manager for one proxy takes. */
export interface ProxyManagerOptions extends Omit<PoolManagerOptions, 'proxy'> {
  /**
   * Fields for the proxy alone: sent once in CONNECT where there is a tunnel, else with each request. Never part of a request
   * that another than the proxy receives.
   */
  readonly proxyHeaders?: HeadersInput | null | undefined;
  /**
   * What TLS with an https proxy is made of, in place of this manager's `caCerts` and `caCertDir`; of this manager's other
   * options on TLS, none counts for the proxy. With an http proxy there is no TLS, and neither this nor the next two matter.
   */
  readonly proxySslContext?: TlsOptions['sslContext'];
  /** The name that the proxy's certificate must be for, in place of its host's; false for any. */
  readonly proxyAssertHostname?: TlsOptions['assertHostname'];
  /** The fingerprint of the proxy's certificate, as `assertFingerprint` is of a host's. */
  readonly proxyAssertFingerprint?: TlsOptions['assertFingerprint'];
  /**
   * Whether an https proxy is asked for https URLs as for http ones, in place of tunnels: it then sees everything, and whether
   * hosts are verified is its business.
   *
   * @defaultValue false
   */
  readonly useForwardingForHttps?: boolean | undefined;
}

/** What decides which pool a request belongs to. */
export interface RequestContext extends HTTPSConnectionPoolOptions {
  readonly scheme: string;
  readonly host: string;
}

/** Makes the key of a pool from the context of a request. */
export type PoolKeyFunction = (context: RequestContext) => PoolKey;

/** A class of pools. */
export type PoolClass = new (host: string, options?: HTTPSConnectionPoolOptions) => HTTPConnectionPool;

const DEFAULT_NUM_POOLS = 10;

/** Origins whose key is remembered, beyond which they are worked out anew. */
const MAX_KNOWN_ORIGINS = 1_024;

/**
 * Makes requests anywhere; what most users need of this library.
 *
 * @example
 * ```ts
 * const http = new PoolManager({ numPools: 50 });
 * const response = await http.request('GET', 'http://example.com/');
 * ```
 * @see User Guide, "Making requests"; Advanced Usage, "Customizing pool behavior"
 */
export class PoolManager extends RequestMethods {
  /** The proxy of this manager, without the user-info of its URL; a plain one has none. */
  readonly proxy: Url | null = null;
  /** The pools, the most recently used last. */
  readonly pools: RecentlyUsedContainer<PoolKey, HTTPConnectionPool>;
  /** The options that pools are made with. They may hold secrets: neither inspecting nor `JSON.stringify` shows them. */
  declare readonly connectionPoolKw: Readonly<ConnectionPoolKw>;
  /** The class of pools for each scheme; it may be changed. */
  poolClassesByScheme: Record<string, PoolClass> = { http: HTTPConnectionPool, https: HTTPSConnectionPool };
  /** What tells the pools of each scheme apart; it may be changed. */
  keyFnByScheme: Record<string, PoolKeyFunction> = { http: poolKey, https: poolKey };

  /** Where the environment decides over proxies. */
  readonly #environment: EnvironmentManagers | null;
  readonly #keyByOrigin = new Map<string, PoolKey>();
  readonly #defaultRetries: Retry;
  readonly #policy: CallPolicy;
  readonly #auth: ReadonlyMap<string, Credentials> | null;
  readonly #logins = new Logins();

  constructor(options: PoolManagerOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`Cannot use ${describe(options)} as options of a pool manager: they must be an object`);
    }
    const given = ownOptions(options);
    const { numPools, headers, proxy, auth, ...connectionPoolKw } = given;
    super({ headers });
    this.#auth = credentialsByOrigin('auth', auth);
    Object.defineProperty(this, 'connectionPoolKw', { value: Object.freeze(connectionPoolKw) });
    // Not out of `connectionPoolKw`, which is an ordinary object: what Object.prototype has would count (SEC-027).
    const { retries, deadline, crossOriginHeaders } = given;
    this.#defaultRetries = Retry.fromInt(retries);
    this.#policy = resolveOptions('a pool manager', { deadline, crossOriginHeaders }, POLICY_RULES, POLICY_DEFAULTS);
    const limit = numPools === undefined ? DEFAULT_NUM_POOLS : positiveInteger('numPools', numPools);
    this.pools = new RecentlyUsedContainer(limit, { disposeFunc: (pool) => pool._retire() });
    // Misspelt and bad options are refused here, not at the first request.
    new HTTPSConnectionPool('localhost', connectionPoolKw).close();
    this.#environment = asksEnvironment(proxy)
      ? new EnvironmentManagers(this, { numPools, auth, ...connectionPoolKw })
      : null;
  }

  /**
   * Makes a request, wherever its URL leads.
   *
   * @param url - absolute, with scheme http or https
   * @throws {@link LocationValueError} if the URL is not, before any byte is sent; then as {@link HTTPConnectionPool.urlopen}
   */
  override async urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse> {
    const given = resolveUrlopenOptions(options);
    // First what may be refused: then a timer may run.
    const source = sourceOf(given);
    const call = watched(given, this.#policy.deadline);
    try {
      checkMethod(method);
      const first = parseUrl(url);
      const saysWho = this.#auth !== null || (call.auth ?? null) !== null;
      const who = saysWho ? this.#whoMakes(call, first) : NOBODY;
      // What is waited for below must not let the caller change what he has asked for.
      const headers = saysWho ? fieldLines(call.headers ?? this.headers) : (call.headers ?? this.headers);
      const manager = this.#environment === null ? this : await this.#managerFor(first);
      const maker = who instanceof Promise ? await who : who;
      const pool = manager.#poolOf(first, url, maker);
      const isPlain = options === undefined && call === given && this.headers.size === 0 && maker === NOBODY;
      const hop = isPlain ? PLAIN_HOP : resolvedAlready(hopOf(call, headers, source, maker));
      const answer = await pool.urlopen(method, pool._passesOn ? first.url : first.requestUri, hop);
      const location = call.redirect && answer.getRedirectLocation();
      const response = location
        ? await this.#follow({ method, lines: fieldLines(headers), body: source }, first, answer, call, maker)
        : answer;
      if (call !== given) call._watch?.releaseAfter(response);
      return response;
    } catch (error) {
      if (call !== given) call._watch?.release();
      addCallers(error);
      throw error;
    } finally {
      // Whoever gives a stream need not look after it, whatever becomes of the request.
      if (source.kind === 'stream') source.discard?.();
    }
  }

  /**
   * The pool for a host.
   *
   * @throws {@link LocationValueError} without a host, {@link URLSchemeUnknown} for a scheme without a class of pools
   */
  connectionFromHost(
    host: string,
    options: {
      readonly port?: number | null | undefined;
      readonly scheme?: string | null | undefined;
      readonly poolKwargs?: HTTPSConnectionPoolOptions | null | undefined;
    } = {},
  ): HTTPConnectionPool {
    if (typeof host !== 'string' || host === '') throw new LocationValueError('No host specified.');
    const own = ownOptions(options);
    const scheme = schemeName(own.scheme ?? 'http');
    const port = own.port ?? (isKnownScheme(scheme) ? portByScheme[scheme] : null);
    const manager = this.#environment?.managerFor(new Url(scheme, null, connectHost(host), port)) ?? null;
    if (manager !== null) return manager.connectionFromHost(host, options);
    const auth = this.#auth === null ? undefined : this.#authOf(new Url(scheme, null, connectHost(host), port), own);
    return this.connectionFromContext({ ...this._mergePoolKwargs(own.poolKwargs), ...auth, scheme, host, port });
  }

  /** The pool for the host of a URL. */
  connectionFromUrl(
    url: string,
    options: { readonly poolKwargs?: HTTPSConnectionPoolOptions | null | undefined } = {},
  ): HTTPConnectionPool {
    const { scheme, host, port } = parseUrl(url);
    if (host === null) throw new LocationValueError(`No host specified in ${describe(url)}`);
    return this.connectionFromHost(host, { port, scheme, poolKwargs: ownOptions(options).poolKwargs });
  }

  /** The pool for a request context: scheme, host, port, and the options of a pool. */
  connectionFromContext(requestContext: RequestContext): HTTPConnectionPool {
    const scheme = schemeName(requestContext.scheme);
    const keyOf = Object.hasOwn(this.keyFnByScheme, scheme) ? this.keyFnByScheme[scheme] : undefined;
    if (keyOf === undefined) throw new URLSchemeUnknown(scheme);
    const context = scheme === 'http' ? withoutTls(requestContext) : requestContext;
    return this.connectionFromPoolKey(keyOf({ ...context, scheme }), { requestContext: context });
  }

  /**
   * The pool that is kept under a key, made of `requestContext` if it is not there.
   *
   * @throws TypeError if it is not there, and there is nothing to make it of
   */
  connectionFromPoolKey(
    poolKey: PoolKey,
    options: { readonly requestContext?: RequestContext | null | undefined } = {},
  ): HTTPConnectionPool {
    const known = this.pools.get(poolKey);
    if (known !== undefined) return known;
    const { requestContext = null } = ownOptions(options);
    if (requestContext === null) {
      throw new TypeError('Cannot make a pool of its key alone: no pool is kept under it, so requestContext is needed');
    }
    const { scheme, host, ...rest } = requestContext;
    const name = schemeName(scheme);
    const Pool = Object.hasOwn(this.poolClassesByScheme, name) ? this.poolClassesByScheme[name] : undefined;
    if (Pool === undefined) throw new URLSchemeUnknown(scheme);
    const pool = new Pool(host, rest);
    this.pools.set(poolKey, pool);
    return pool;
  }

  /** Gives up all pools: each is closed when its requests are done. The manager can still be used. */
  clear(): void {
    this.pools.clear();
    this.#environment?.clear();
  }

  /** As {@link clear}. */
  close(): void {
    this.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.clear();
  }

  override toString(): string {
    return `PoolManager(pools=${this.pools.size})`;
  }

  /** HOT: the pool of a URL, with one look-up for the key and one for the pool; `npm run bench` small GET. */
  #poolOf(url: Url, given: string, { owner }: Maker): HTTPConnectionPool {
    const { origin } = url;
    if (origin === null) throw withoutOrigin(url, given);
    const mayBeOwned = owner !== null || this.#auth !== null;
    if (mayBeOwned && ownsConnections(owner ?? this.#auth?.get(origin) ?? null)) return this.#poolOwnedBy(owner, url);
    // A function of the caller's may give another key each time.
    const isOwnKey = this.keyFnByScheme[url.scheme ?? ''] === poolKey;
    const key = isOwnKey ? this.#keyByOrigin.get(origin) : undefined;
    const known = key === undefined ? undefined : this.pools.get(key);
    if (known !== undefined) return known;
    const { scheme, host, port } = url;
    const pool = this.connectionFromHost(host ?? '', { scheme, port });
    if (this.#keyByOrigin.size >= MAX_KNOWN_ORIGINS) this.#keyByOrigin.clear();
    const newest = [...this.pools.keys()].at(-1);
    if (newest !== undefined) this.#keyByOrigin.set(origin, newest);
    return pool;
  }

  /** The pool of a URL whose connections belong to these credentials; to nobody, whoever may own others, without any. */
  #poolOwnedBy(owner: Credentials | null, { scheme, host, port }: Url): HTTPConnectionPool {
    if (owner !== null && this._isForwarded(scheme)) {
      throw new AuthenticationError(
        'ntlm',
        'Cannot log in by ntlm through a proxy that passes requests on: the login belongs to a connection, and only the ' +
          'proxy has one to the server; https URLs, which go through tunnels, can be logged in to',
      );
    }
    return this.connectionFromHost(host ?? '', { scheme, port, poolKwargs: { auth: owner } });
  }

  /** What the pool for an origin is told of who makes its requests, unless its own options say that. */
  #authOf(
    { origin }: Url,
    { poolKwargs }: { readonly poolKwargs?: HTTPSConnectionPoolOptions | null | undefined },
  ): { readonly auth: Credentials } | undefined {
    const isSaid = poolKwargs?.auth !== undefined;
    const credentials = isSaid || origin === null ? undefined : this.#auth?.get(origin);
    return credentials === undefined ? undefined : { auth: credentials };
  }

  /** Who makes a request, as far as the origin of its URL goes. */
  #whoMakes(call: ResolvedUrlopenOptions, { origin }: Url): Maker | Promise<Maker> {
    const own = origin === null ? null : (this.#auth?.get(origin) ?? null);
    const credentials = credentialsOf(call.auth, own, fieldLines(call.headers ?? this.headers));
    if (credentials === null || origin === null) return NOBODY;
    if (ownsConnections(credentials)) return { login: undefined, owner: credentials };
    const begun = this.#logins.begin(credentials, { role: 'origin', origin });
    return begun instanceof Promise ? begun.then((login) => ({ login, owner: null })) : { login: begun, owner: null };
  }

  /** @throws {@link LocationValueError} for a URL that no pool of this manager is for */
  #checkReachable(url: Url): void {
    const isKnown = url.origin !== null && Object.hasOwn(this.keyFnByScheme, url.scheme ?? '');
    if (!isKnown) throw withoutOrigin(url, url.url);
  }

  /** The manager for a URL: this one, or that of the proxy which the environment names. */
  async #managerFor(url: Url): Promise<PoolManager> {
    if (url.origin === null || this.#environment === null) return this;
    return (await this.#environment.load(url)) ?? this;
  }

  /** @internal Whether URLs of a scheme are a proxy's to ask for: the pool of all their hosts is its own. */
  protected _isForwarded(_scheme: string | null): boolean {
    return false;
  }

  /** @internal The options of this manager, with those of a call over them. */
  protected _mergePoolKwargs(poolKwargs: HTTPSConnectionPoolOptions | null | undefined): HTTPSConnectionPoolOptions {
    if (poolKwargs === undefined || poolKwargs === null) return this.connectionPoolKw;
    const merged: Record<string, unknown> = { ...this.connectionPoolKw };
    // As in the reference: null takes an option of the manager away.
    for (const [name, value] of Object.entries(poolKwargs)) {
      if (value === null) delete merged[name];
      else if (value !== undefined) merged[name] = value;
    }
    return merged;
  }

  /** The redirects of a request, one hop after the other. */
  async #follow(
    firstRequest: RedirectedRequest,
    firstUrl: Url,
    firstResponse: HTTPResponse,
    call: ResolvedUrlopenOptions,
    firstMaker: Maker,
  ): Promise<HTTPResponse> {
    let maker = firstMaker;
    let response = firstResponse;
    let url = firstUrl;
    let request = firstRequest;
    let retries = response.retries ?? Retry.fromInt(call.retries, { default: this.#defaultRetries });
    const terms = { signal: call.signal, budget: null, watch: call._watch };
    for (;;) {
      const location = response.getRedirectLocation();
      if (!location) return response;
      const { method } = request;
      const { status } = response;
      const attempted = { method, target: url.requestUri, pool: response._pool ?? this, body: request.body };
      const { removeHeadersOnRedirect: removed } = retries;
      const check = (next: Url) => this.#checkReachable(next);
      const taken = await takeRedirect(attempted, url, response, location, retries, terms, check);
      if (taken === null) {
        if (call.preloadContent) await response._preload();
        return response;
      }
      const isSame = isSameOrigin(url, taken.url);
      const crossOriginHeaders = call.crossOriginHeaders ?? this.#policy.crossOriginHeaders;
      request = redirectedRequest(request, { status, isSameOrigin: isSame, removed, crossOriginHeaders });
      call._watch?.current?.redirected(status, taken.url.url, request.method);
      url = taken.url;
      // For good: who comes back from elsewhere brings a stranger's URL.
      if (!isSame) maker = NOBODY;
      // Not before: a pool that was taken earlier may have been given up meanwhile for that of another host.
      const hop = hopOf({ ...call, retries: taken.retries }, request.lines, request.body, maker);
      const manager = this.#environment === null ? this : await this.#managerFor(url);
      const pool = manager.#poolOf(url, url.url, maker);
      const target = pool._passesOn ? url.url : url.requestUri;
      response = await pool.urlopen(request.method, target, resolvedAlready(hop));
      retries = response.retries ?? taken.retries;
    }
  }
}

/**
 * A {@link PoolManager} all of whose requests go through one HTTP proxy.
 *
 * http URLs are asked for in absolute form, over connections to the proxy that all of them share; for https URLs the proxy is
 * asked for tunnels by CONNECT, and TLS with the host runs inside. Credentials in the URL are for the proxy alone.
 *
 * @example
 * ```ts
 * const proxy = new ProxyManager('http://localhost:3128/');
 * const response = await proxy.request('GET', 'http://google.com/');
 * ```
 * @see Advanced Usage, "Proxies"; Reference, "urllib3.poolmanager.ProxyManager"
 */
export class ProxyManager extends PoolManager {
  override readonly proxy: HttpProxy['url'];

  readonly #proxy: HttpProxy;
  /** What is said of TLS with the proxy. */
  readonly #proxyTls: TlsOptions;
  readonly #config: ProxyConfig;

  /**
   * @param proxyUrl - `http://` or `https://`, with user-info for Basic authentication if the proxy wants that; the ports are 80
   *   and 443 by default. A pool stands for its scheme, host and port
   * @throws {@link ProxySchemeUnknown} for another scheme or none, {@link LocationValueError} without a host, TypeError,
   *   RangeError, {@link SSLError} or InvalidHeader for options that cannot be used
   */
  constructor(proxyUrl: string | Url | HTTPConnectionPool, options: ProxyManagerOptions = {}) {
    const given = ownOptions(options);
    const { proxyHeaders, proxySslContext, proxyAssertHostname, proxyAssertFingerprint, ...others } = given;
    const { useForwardingForHttps, ...rest } = ownOptions(others);
    // Not out of `rest`, which is an ordinary object: what Object.prototype has would count (SEC-027).
    const { caCerts, caCertDir } = given;
    if (Object.hasOwn(rest, 'proxy')) {
      throw new TypeError(
        'Cannot use option "proxy": a proxy manager has no such option, its proxy is the first argument',
      );
    }
    const proxy = httpProxy(proxyUrl instanceof HTTPConnectionPool ? urlOf(proxyUrl) : proxyUrl, proxyHeaders ?? null);
    const authorities = proxySslContext == null ? { caCerts, caCertDir } : { sslContext: proxySslContext };
    const proxyTls = {
      ...authorities,
      assertHostname: proxyAssertHostname,
      assertFingerprint: proxyAssertFingerprint,
    };
    // For an http proxy too, which has no use for it: what cannot be used is told whatever the URL says.
    const tls = tlsConfiguration(proxyTls);
    const config: ProxyConfig = {
      tls: proxy.url.scheme === 'https' ? tls : null,
      useForwardingForHttps: boolean('useForwardingForHttps', useForwardingForHttps ?? false),
    };
    super({ ...rest, _proxy: proxy.url, _proxyHeaders: proxy.lines, _proxyConfig: config });
    this.proxy = proxy.url;
    this.#proxy = proxy;
    this.#proxyTls = proxyTls;
    this.#config = config;
  }

  /** The fields for the proxy, the credentials of its URL among them; a copy. */
  get proxyHeaders(): HTTPHeaderDict {
    return new HTTPHeaderDict(this.#proxy.lines);
  }

  /** The pool for a host: of tunnels to it where it is to be reached over TLS, else that of the proxy. */
  override connectionFromHost(
    host: string,
    options: {
      readonly port?: number | null | undefined;
      readonly scheme?: string | null | undefined;
      readonly poolKwargs?: HTTPSConnectionPoolOptions | null | undefined;
    } = {},
  ): HTTPConnectionPool {
    const own = ownOptions(options);
    const scheme = schemeName(own.scheme ?? 'http');
    const isForwarded = this._isForwarded(scheme);
    if (!isForwarded || typeof host !== 'string' || host === '') return super.connectionFromHost(host, options);
    if ((own.poolKwargs?.auth ?? null) !== null) {
      throw new TypeError(
        'Cannot use auth for the pool of a proxy, which is that of all hosts: give it with each request',
      );
    }
    return this.connectionFromContext({
      ...withoutTls({ ...this._mergePoolKwargs(own.poolKwargs), scheme: this.proxy.scheme, host: this.proxy.host }),
      ...this.#proxyTls,
      port: this.proxy.port,
      _forwards: true,
    });
  }

  protected override _isForwarded(scheme: string | null): boolean {
    return !connectionRequiresHttpTunnel(this.proxy, this.#config, scheme);
  }

  override toString(): string {
    return `ProxyManager(proxy=${this.proxy}, pools=${this.pools.size})`;
  }
}

/**
 * A manager all of whose requests go through the proxy at a URL: `new ProxyManager(url, options)`.
 *
 * @see Reference, "urllib3.poolmanager.proxy_from_url"
 */
export function proxyFromUrl(url: string, options: ProxyManagerOptions = {}): ProxyManager {
  return new ProxyManager(url, options);
}

/**
 * A manager whose requests go through the proxies that the environment names, as it is now:
 * `new PoolManager({ ...options, proxy: 'environment' })`.
 */
export function proxyFromEnvironment(options: Omit<PoolManagerOptions, 'proxy'> = {}): PoolManager {
  return new PoolManager({ ...options, proxy: 'environment' });
}

/** The proxies of the environment, with a manager for each: what is one proxy's never meets another. */
class EnvironmentManagers {
  readonly #proxies = environmentProxies();
  readonly #owner: PoolManager;
  readonly #options: Omit<PoolManagerOptions, 'proxy'>;
  readonly #managers = new Map<string, PoolManager>();
  /** Loaded when it is wanted. */
  #socks: SocksSupport | null = null;

  constructor(owner: PoolManager, options: Omit<PoolManagerOptions, 'proxy'>) {
    this.#owner = owner;
    this.#options = options;
  }

  /** As {@link managerFor}, after what the proxy needs has been loaded. */
  async load(url: Url): Promise<PoolManager | null> {
    if (this.#socks === null && isSocks(this.#proxies.proxyFor(url))) {
      const [{ SOCKS_POOL_CLASSES }, { proxyOfUrl }] = await Promise.all([
        import('./contrib/socks/pools.js'),
        import('./contrib/socks/route.js'),
      ]);
      this.#socks = { poolClasses: SOCKS_POOL_CLASSES, routeOf: (proxy) => proxyOfUrl(proxy).route };
    }
    return this.managerFor(url);
  }

  /** The manager of the proxy for a URL; null if there is none. */
  managerFor(url: Url): PoolManager | null {
    const proxy = this.#proxies.proxyFor(url);
    if (proxy === null) return null;
    const known = this.#managers.get(proxy);
    if (known !== undefined) return known;
    const manager = isSocks(proxy) ? this.#socksManager(proxy) : this.#httpManager(proxy);
    this.#managers.set(proxy, manager);
    return manager;
  }

  clear(): void {
    for (const manager of this.#managers.values()) manager.clear();
  }

  #httpManager(proxy: string): PoolManager {
    const manager = new ProxyManager(proxy, this.#options);
    // They may have been changed: pools are made as the owner makes them.
    manager.poolClassesByScheme = this.#owner.poolClassesByScheme;
    manager.keyFnByScheme = this.#owner.keyFnByScheme;
    return manager;
  }

  #socksManager(proxy: string): PoolManager {
    if (this.#socks !== null) return new SocksEnvironmentManager(this.#socks, proxy, this.#options);
    const detail = 'the support of SOCKS is loaded by the first request, and none was made yet';
    throw new ProxySchemeUnknown(parseUrl(proxy).scheme, { detail });
  }
}

/** What SOCKS needs, which the core does not load by itself. */
interface SocksSupport {
  readonly poolClasses: Readonly<Record<'http' | 'https', PoolClass>>;
  routeOf(proxyUrl: string): object;
}

/** The manager of a SOCKS proxy that the environment names: contrib/socks.ts is above this module, and cannot be asked. */
class SocksEnvironmentManager extends PoolManager {
  readonly #route: object;

  constructor({ poolClasses, routeOf }: SocksSupport, proxy: string, options: Omit<PoolManagerOptions, 'proxy'>) {
    super(options);
    this.poolClassesByScheme = { ...poolClasses };
    this.#route = routeOf(proxy);
  }

  override connectionFromContext(requestContext: RequestContext): HTTPConnectionPool {
    // As a variable: the type does not know of the option that only the pools of SOCKS take.
    const context = { ...requestContext, _socksOptions: this.#route };
    return super.connectionFromContext(context);
  }
}

function isSocks(proxy: string | null): boolean {
  return proxy?.startsWith('socks') === true;
}

function asksEnvironment(proxy: unknown): boolean {
  if (proxy === undefined || proxy === null) return false;
  if (proxy === 'environment') return true;
  const shown = typeof proxy === 'string' ? withoutUserinfo(proxy) : proxy;
  throw new TypeError(
    `Cannot use proxy ${describe(shown)}: it must be "environment"; for a proxy of your own, make a ProxyManager`,
  );
}

function urlOf({ scheme, host, port }: HTTPConnectionPool): Url {
  return new Url(scheme, null, host, port);
}

/** Who makes a hop. */
interface Maker {
  /** The login of all hops to this origin; null for none, undefined where logins are the pool's to begin. */
  readonly login: Login | null | undefined;
  /** Whose the connections must be. */
  readonly owner: Credentials | null;
}

const NOBODY: Maker = Object.freeze({ login: null, owner: null });

/** What a pool is told of one hop: redirects are the manager's to follow. */
function hopOf(
  call: ResolvedUrlopenOptions,
  headers: HeadersInput,
  source: BodySource,
  { login, owner }: Maker,
): ResolvedUrlopenOptions {
  return {
    ...call,
    headers,
    auth: owner ?? undefined,
    _login: login,
    _source: source,
    chunked: call.chunked && source.kind !== 'none',
    redirect: false,
    assertSameHost: false,
    _followsRedirects: call.redirect,
    _watch: call._watch ?? null,
  };
}

/** What is said of TLS makes no difference without it. */
function withoutTls({ scheme, host, ...options }: RequestContext): RequestContext {
  const kept = Object.entries(options).filter(([name]) => !TLS_OPTION_NAMES.has(name));
  return { ...Object.fromEntries(kept), scheme, host };
}

function schemeName(scheme: unknown): string {
  if (typeof scheme === 'string') return scheme.toLowerCase();
  throw new TypeError(`Cannot use scheme ${describe(scheme)}: it must be text`);
}

function isKnownScheme(scheme: string): scheme is keyof typeof portByScheme {
  return Object.hasOwn(portByScheme, scheme);
}

function withoutOrigin(url: Url, given: string): LocationValueError {
  const { scheme, host } = url;
  if (scheme !== null && !isKnownScheme(scheme)) return new URLSchemeUnknown(scheme);
  if (host === null || host === '') return new LocationValueError(`No host specified in ${describe(given)}`);
  return new LocationValueError(`Cannot request ${describe(given)}: a URL begins with "http://" or "https://"`);
}

/** Headers that a manager may be given. */
export type { HeadersInput };
