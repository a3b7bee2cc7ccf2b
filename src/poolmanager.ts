/**
 * Where to: a manager keeps a pool for each place that requests go to, and follows redirects from one to another
 * (reference: "urllib3.poolmanager module").
 *
 * Pools are told apart by everything that changes how a connection behaves, so that a connection made for one configuration
 * never serves another; the one used least recently is given up when there are too many. How often a request is tried in one
 * place is the pool's to know.
 */
import type { BodySource } from './body/source.js';
import { RecentlyUsedContainer } from './collections.js';
import {
  HTTPConnectionPool,
  HTTPSConnectionPool,
  type HTTPSConnectionPoolOptions,
  portByScheme,
} from './connectionpool.js';
import { addCallers, LocationValueError, URLSchemeUnknown } from './exceptions.js';
import { describe } from './excerpt.js';
import { fieldLines, type HeadersInput } from './headers.js';
import { checkMethod } from './http1/request-head.js';
import { takeRedirect } from './next-attempt.js';
import { ownOptions, positiveInteger, resolveOptions } from './options.js';
import { type PoolKey, poolKey } from './pool-key.js';
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
import { TLS_OPTION_NAMES } from './tls/options.js';
import { Retry } from './util/retry.js';
import { isSameOrigin, parseUrl, type Url } from './util/url.js';

/** What a manager takes: its own options, and those of the pools it makes. */
export interface PoolManagerOptions extends HTTPSConnectionPoolOptions {
  /**
   * Pools that are kept; beyond that, the least recently used one is closed when its requests are done.
   *
   * @defaultValue 10
   */
  readonly numPools?: number | undefined;
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
  /** The proxy of this manager; a plain one has none. */
  readonly proxy: Url | null = null;
  /** The pools, the most recently used last. */
  readonly pools: RecentlyUsedContainer<PoolKey, HTTPConnectionPool>;
  /** The options that pools are made with. */
  readonly connectionPoolKw: Readonly<HTTPSConnectionPoolOptions>;
  /** The class of pools for each scheme; it may be changed. */
  poolClassesByScheme: Record<string, PoolClass> = { http: HTTPConnectionPool, https: HTTPSConnectionPool };
  /** What tells the pools of each scheme apart; it may be changed. */
  keyFnByScheme: Record<string, PoolKeyFunction> = { http: poolKey, https: poolKey };

  readonly #keyByOrigin = new Map<string, PoolKey>();
  readonly #defaultRetries: Retry;
  readonly #policy: CallPolicy;

  constructor(options: PoolManagerOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`Cannot use ${describe(options)} as options of a pool manager: they must be an object`);
    }
    const { numPools, headers, ...connectionPoolKw } = ownOptions(options);
    super({ headers });
    this.connectionPoolKw = Object.freeze(connectionPoolKw);
    this.#defaultRetries = Retry.fromInt(connectionPoolKw.retries);
    const { deadline, crossOriginHeaders } = connectionPoolKw;
    this.#policy = resolveOptions('a pool manager', { deadline, crossOriginHeaders }, POLICY_RULES, POLICY_DEFAULTS);
    const limit = numPools === undefined ? DEFAULT_NUM_POOLS : positiveInteger('numPools', numPools);
    this.pools = new RecentlyUsedContainer(limit, { disposeFunc: (pool) => pool._retire() });
    // Misspelt and bad options are refused here, not at the first request.
    new HTTPSConnectionPool('localhost', connectionPoolKw).close();
  }

  /**
   * Makes a request, wherever its URL leads.
   *
   * @param url - absolute, with scheme http or https
   * @throws {@link LocationValueError} if the URL is not, before any byte is sent; then as {@link HTTPConnectionPool.urlopen}
   */
  override async urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse> {
    const given = resolveUrlopenOptions(options);
    const call = watched(given, this.#policy.deadline);
    const source = sourceOf(call);
    try {
      checkMethod(method);
      const first = parseUrl(url);
      const pool = this.#poolOf(first, url);
      const isPlain = options === undefined && call === given && this.headers.size === 0;
      const hop = isPlain ? PLAIN_HOP : resolvedAlready(hopOf(call, call.headers ?? this.headers, source));
      const answer = await pool.urlopen(method, first.requestUri, hop);
      const location = call.redirect && answer.getRedirectLocation();
      const response = location
        ? await this.#follow(
            { method, lines: fieldLines(call.headers ?? this.headers), body: source },
            first,
            answer,
            call,
          )
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
    const scheme = (own.scheme ?? 'http').toLowerCase();
    const port = own.port ?? (isKnownScheme(scheme) ? portByScheme[scheme] : null);
    return this.connectionFromContext({ ...this.#merged(own.poolKwargs), scheme, host, port });
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
    const scheme = requestContext.scheme.toLowerCase();
    const keyOf = Object.hasOwn(this.keyFnByScheme, scheme) ? this.keyFnByScheme[scheme] : undefined;
    if (keyOf === undefined) throw new URLSchemeUnknown(scheme);
    const context = scheme === 'http' ? withoutTls(requestContext) : requestContext;
    return this.connectionFromPoolKey(keyOf({ ...context, scheme }), { requestContext: context });
  }

  /** The pool that is kept under a key, made if it is not there. */
  connectionFromPoolKey(poolKey: PoolKey, options: { readonly requestContext: RequestContext }): HTTPConnectionPool {
    const known = this.pools.get(poolKey);
    if (known !== undefined) return known;
    const { scheme, host, ...rest } = options.requestContext;
    const name = scheme.toLowerCase();
    const Pool = Object.hasOwn(this.poolClassesByScheme, name) ? this.poolClassesByScheme[name] : undefined;
    if (Pool === undefined) throw new URLSchemeUnknown(scheme);
    const pool = new Pool(host, rest);
    this.pools.set(poolKey, pool);
    return pool;
  }

  /** Gives up all pools: each is closed when its requests are done. The manager can still be used. */
  clear(): void {
    this.pools.clear();
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
  #poolOf(url: Url, given: string): HTTPConnectionPool {
    const { origin } = url;
    if (origin === null) throw withoutOrigin(url, given);
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

  /** @throws {@link LocationValueError} for a URL that no pool of this manager is for */
  #checkReachable(url: Url): void {
    const isKnown = url.origin !== null && Object.hasOwn(this.keyFnByScheme, url.scheme ?? '');
    if (!isKnown) throw withoutOrigin(url, url.url);
  }

  #merged(poolKwargs: HTTPSConnectionPoolOptions | null | undefined): HTTPSConnectionPoolOptions {
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
  ): Promise<HTTPResponse> {
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
      const attempted = { method, target: url.requestUri, pool: response._pool ?? this };
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
      // Not before: a pool that was taken earlier may have been given up meanwhile for that of another host.
      const hop = hopOf({ ...call, retries: taken.retries }, request.lines, request.body);
      response = await this.#poolOf(url, url.url).urlopen(request.method, url.requestUri, resolvedAlready(hop));
      retries = response.retries ?? taken.retries;
    }
  }
}

/** What a pool is told of one hop: redirects are the manager's to follow. */
function hopOf(call: ResolvedUrlopenOptions, headers: HeadersInput, source: BodySource): ResolvedUrlopenOptions {
  return {
    ...call,
    headers,
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
