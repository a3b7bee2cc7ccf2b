/**
 * Requests over any WHATWG `fetch`: the manager for edge runtimes and browsers, where there are no sockets.
 *
 * The same options, errors, retries, redirects and responses as those of `PoolManager`: what is to be sent comes from request.ts
 * and body/, how often from attempt.ts, next-attempt.ts and `Retry`, what a redirect carries from redirect.ts. This file asks
 * `fetch` once for each attempt and each hop. What a `fetch` cannot do is refused at once, or warned of: docs/edge-runtimes.md.
 *
 * One attempt: fetch/exchange.ts. What a request looks like to a `fetch`: fetch/outgoing.ts. What its errors mean:
 * fetch/errors.ts. Nothing here may load sockets, TLS, name resolution or the engine: test/contrib/fetch-imports.test.ts.
 */
import { judge, mustRetry, type Outcome } from '../attempt.js';
import type { BodySource } from '../body/source.js';
import type { DecodingLimits } from '../coding/codings.js';
import { addCallers, LocationValueError, URLSchemeUnknown } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { fieldLines, type HeadersInput } from '../headers.js';
import { checkFieldLines, checkMethod } from '../http1/request-head.js';
import { logger } from '../logging.js';
import { type Attempted, type CallTerms, retryAfterFailure, retryAfterStatus, takeRedirect } from '../next-attempt.js';
import { checkedElsewhere, ownOptions, type Rules, resolveOptions } from '../options.js';
import type { PoolManagerOptions } from '../poolmanager.js';
import { type CrossOriginHeaders, type RedirectedRequest, redirectedRequest } from '../redirect.js';
import { RequestMethods } from '../request.js';
import {
  CARRIER_INDEPENDENT_OPTIONS,
  type CallPolicy,
  LIMIT_RULES,
  POLICY_DEFAULTS,
  POLICY_RULES,
  type ResolvedUrlopenOptions,
  resolveUrlopenOptions,
  sourceOf,
  type UrlopenOptions,
  watched,
} from '../request-options.js';
import { HTTPResponse } from '../response.js';
import { AttemptClock } from '../timings.js';
import { type Retries, Retry } from '../util/retry.js';
import { RetryBudget } from '../util/retry-budget.js';
import { Timeout, type TimeoutValue, toTimeout } from '../util/timeout.js';
import { isSameOrigin, parseUrl, type Url } from '../util/url.js';
import { warn } from '../warnings.js';
import { FetchPlatformWarning } from './fetch/errors.js';
import { type Fetch, type Fetched, fetchOnce } from './fetch/exchange.js';
import { outgoingFields, type Platform, platform } from './fetch/outgoing.js';

export { FetchPlatformError, FetchPlatformWarning } from './fetch/errors.js';
export type { Fetch };

/** What a {@link FetchManager} takes: of the options of a `PoolManager`, those that are not about connections. */
export interface FetchManagerOptions
  extends Pick<
    PoolManagerOptions,
    'headers' | 'retries' | 'timeout' | 'deadline' | 'crossOriginHeaders' | 'retryBudget' | 'maxDecodedSize'
  > {
  /**
   * What makes the requests; called with a URL as text, and options.
   *
   * @defaultValue `globalThis.fetch`, as it is when a request is made
   */
  readonly fetch?: Fetch | null | undefined;
  /**
   * Who follows redirects: `'manager'`, by the rules of every other manager; or `'fetch'`, by its own, where the runtime hides
   * redirects from scripts. A request with fields that another origin must not see is never followed by fetch.
   *
   * @defaultValue 'manager'; in browsers 'fetch'
   * @see Edge runtimes, "Redirects"
   */
  readonly redirects?: RedirectFollower | undefined;
}

/** See {@link FetchManagerOptions.redirects}. */
export type RedirectFollower = 'manager' | 'fetch';

interface Settings extends CallPolicy {
  readonly headers: HeadersInput | null;
  readonly retries: Retries | undefined;
  readonly timeout: Timeout;
  readonly retryBudget: RetryBudget | null;
  readonly maxDecodedSize: number | null;
  readonly fetch: Fetch | null;
  readonly redirects: RedirectFollower | null;
}

const RULES: Rules<Settings> = {
  headers: checkedElsewhere,
  retries: checkedElsewhere,
  timeout: (name, value) => toTimeout(checkedElsewhere<Timeout | TimeoutValue>(name, value)),
  ...POLICY_RULES,
  retryBudget: budgetOrNull,
  maxDecodedSize: LIMIT_RULES.maxDecodedSize,
  fetch: fetchOrNull,
  redirects: checkRedirects,
};

const DEFAULTS: Settings = Object.freeze({
  headers: null,
  retries: undefined,
  timeout: new Timeout(),
  ...POLICY_DEFAULTS,
  retryBudget: null,
  maxDecodedSize: null,
  fetch: null,
  redirects: null,
});

/** Options of a request that have a meaning here. */
const AVAILABLE_OPTIONS: ReadonlySet<string> = new Set([...CARRIER_INDEPENDENT_OPTIONS, 'onDownloadProgress']);

/** Why the others have none. */
const REASONS: { readonly [name in keyof UrlopenOptions]?: string } = {
  maxRatio: 'fetch does not tell how many bytes came before it decoded them; bound them by maxDecodedSize',
  chunked: 'fetch frames the content itself',
  expectContinue: 'fetch does not wait for 100 (Continue)',
  onInformational: 'fetch does not tell of interim responses',
  onUploadProgress: 'fetch does not tell how much has been sent',
  auth: 'a fetch manager does not log in; give an Authorization header, such as makeHeaders({ basicAuth }) makes',
};

/** WHATWG Fetch section 2.2.1, "forbidden method". */
const FORBIDDEN_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

const METHODS_WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD']);

const LOGGER = 'urllib3.contrib.fetch';

/** One hop, ready to be asked for. */
interface Hop extends RedirectedRequest {
  readonly url: Url;
}

/** What does not change from hop to hop. */
interface Call {
  readonly options: ResolvedUrlopenOptions;
  readonly terms: CallTerms;
  readonly timeout: Timeout;
  readonly crossOriginHeaders: CrossOriginHeaders;
  readonly maxDecodedSize: number | null;
}

/**
 * Makes requests by `fetch`, wherever there is one: Cloudflare Workers, Deno, Bun, browsers, or Node.
 *
 * @example
 * ```ts
 * const http = new FetchManager({ retries: 5, timeout: 10 });
 * const response = await http.request('GET', 'https://example.com/');
 * ```
 * @see Edge runtimes
 */
export class FetchManager extends RequestMethods {
  /** For requests that do not say. */
  readonly retries: Retry;
  /** For requests that do not say; always a Timeout. */
  readonly timeout: Timeout;
  /** Who follows redirects. */
  readonly redirects: RedirectFollower;
  readonly #settings: Settings;
  readonly #platform: Platform;
  readonly #warned = new Set<string>();

  /** @throws TypeError or RangeError for options that cannot be used; those of `PoolManager` about connections are none here */
  constructor(options: FetchManagerOptions = {}) {
    checkOptions(options);
    const settings = resolveOptions('a fetch manager', options, RULES, DEFAULTS);
    if (settings.fetch === null && typeof globalThis.fetch !== 'function') {
      throw new TypeError('Cannot make a FetchManager: this runtime has no fetch, and none was given');
    }
    super({ headers: settings.headers });
    this.#settings = settings;
    this.#platform = platform();
    this.retries = Retry.fromInt(settings.retries);
    this.timeout = settings.timeout;
    this.redirects = settings.redirects ?? (this.#platform.isBrowser ? 'fetch' : 'manager');
  }

  /**
   * Makes a request, wherever its URL leads.
   *
   * @param url - absolute, with scheme http or https
   * @param options - those that a `fetch` has no use for are refused
   * @throws TypeError or RangeError for arguments that cannot be used, {@link LocationValueError} for a bad URL, before `fetch`
   *   is called; then {@link MaxRetryError} or what went wrong itself
   */
  override async urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse> {
    const given = resolveUrlopenOptions(options);
    const settings = this.#settings;
    const call = watched(given, settings.deadline);
    const source = sourceOf(given);
    try {
      checkAvailable(options);
      checkMethod(method);
      const target = checkedTarget(parseUrl(url), url);
      this.#checkBody(method, source);
      const lines = checkFieldLines(fieldLines(call.headers ?? this.headers));
      const timeout = call.timeout ?? settings.timeout;
      if (typeof timeout.connect === 'number' && timeout.read === null && timeout.total === null) {
        this.#warnOnce(
          'a connect timeout without a read or total timeout bounds nothing: fetch does not tell when it has connected',
        );
      }
      const mayRedirect = call.redirect;
      const retries =
        call.retries === undefined && mayRedirect
          ? this.retries
          : Retry.fromInt(call.retries, { redirect: mayRedirect, default: this.retries });
      call.signal?.throwIfAborted();
      settings.retryBudget?.deposit();
      const response = await this.#attempts(
        { method, url: target, lines, body: source },
        {
          options: call,
          terms: { signal: call.signal, budget: settings.retryBudget, watch: call._watch },
          timeout,
          crossOriginHeaders: call.crossOriginHeaders ?? settings.crossOriginHeaders,
          maxDecodedSize: call.maxDecodedSize === undefined ? settings.maxDecodedSize : call.maxDecodedSize,
        },
        retries,
      );
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

  /** Does nothing: the connections are the runtime's. The manager can still be used. */
  clear(): void {}

  /** As {@link clear}. */
  close(): void {}

  async [Symbol.asyncDispose](): Promise<void> {}

  override toString(): string {
    return 'FetchManager()';
  }

  async #attempts(first: Hop, call: Call, allowed: Retry): Promise<HTTPResponse> {
    const { options, terms } = call;
    let hop = first;
    let retries = allowed;
    for (;;) {
      if (hop.body.kind === 'stream') hop.body.assertUnspent();
      const attempted = { method: hop.method, target: hop.url.requestUri, pool: this, body: hop.body };
      const outcome = await this.#attempt(hop, attempted, call, retries);
      if (outcome.kind !== 'response') {
        retries = await retryAfterFailure(attempted, outcome.error, retries, terms);
        continue;
      }
      const { response } = outcome;
      // As in the reference, an empty Location points nowhere.
      const location = options.redirect && response.getRedirectLocation();
      if (location) {
        const taken = await takeRedirect(attempted, hop.url, response, location, retries, terms, checkTarget);
        if (taken === null) return await finished(response, options);
        const { status } = response;
        const next = nextHop(hop, status, isSameOrigin(hop.url, taken.url), taken.url, call, retries);
        terms.watch?.current?.redirected(status, taken.url.url, next.method);
        hop = next;
        retries = taken.retries;
        continue;
      }
      if (mustRetry(hop, response, retries)) {
        const left = await retryAfterStatus(attempted, response, retries, terms);
        if (left === null) return await finished(response, options);
        retries = left;
        continue;
      }
      try {
        return await finished(response, options);
      } catch (error) {
        const failed = judged(error, hop, 'content', terms);
        retries = await retryAfterFailure(attempted, failed.error, retries, terms);
      }
    }
  }

  async #attempt(hop: Hop, attempted: Attempted, call: Call, retries: Retry): Promise<FetchOutcome> {
    const { options, terms, maxDecodedSize } = call;
    const url = addressOf(hop.url);
    const fields = outgoingFields(hop.method, hop.lines, hop.body, this.#platform);
    const clock = terms.watch?.begin({ method: hop.method, url }, this) ?? new AttemptClock();
    const asked = { pool: this, target: attempted.target, host: hop.url.host ?? '' };
    const follows = this.#isFollowedByFetch(hop, call, retries);
    try {
      const found = await fetchOnce(this.#settings.fetch ?? defaultFetch, {
        method: hop.method,
        url,
        fields,
        body: hop.body,
        asked,
        follows,
        timeout: call.timeout,
        preloads: options.preloadContent,
        signal: terms.signal,
        maxContentBytes: maxDecodedSize,
        onDownloadProgress: options.onDownloadProgress,
        clock,
      });
      if (logger.isDebug) {
        logger.debug(LOGGER, `${hop.url.origin} "${hop.method} ${asked.target}" ${found.status} ${found.length}`);
      }
      const response = this.#respond(found, hop, follows && found.url !== '' ? found.url : url, call, retries, clock);
      return { kind: 'response', response };
    } catch (failure) {
      return judged(failure, hop, clock.phase, terms);
    }
  }

  /** Whether redirects are fetch's to follow: never where another origin must not see all of the request. */
  #isFollowedByFetch(hop: Hop, call: Call, retries: Retry): boolean {
    const { redirect, total } = retries;
    const mayFollow = call.options.redirect && redirect !== 0 && total !== 0 && total !== false;
    if (this.redirects === 'manager' || !mayFollow) return false;
    if (nextHop(hop, 302, false, hop.url, call, retries).lines.length < hop.lines.length) return false;
    if (redirect !== null)
      this.#warnOnce('fetch follows redirects itself, up to 20: the number of redirects in retries is not heeded');
    return true;
  }

  #respond(
    found: Fetched,
    hop: Hop,
    requestUrl: string,
    { options, maxDecodedSize }: Call,
    retries: Retry,
    clock: AttemptClock,
  ): HTTPResponse {
    const limits: DecodingLimits = { maxDecodedSize, maxRatio: null };
    return new HTTPResponse({
      _content: found.content,
      _isDecoded: found.isDecoded,
      _clock: clock,
      _limits: limits,
      status: found.status,
      reason: found.reason === '' ? null : found.reason,
      headers: found.headers,
      preloadContent: false,
      decodeContent: options.decodeContent,
      enforceContentLength: options.enforceContentLength,
      pool: this,
      retries,
      requestMethod: hop.method,
      requestUrl,
    });
  }

  /** @throws TypeError for what a `fetch` sends with no request, or not with this one */
  #checkBody(method: string, source: BodySource): void {
    if (FORBIDDEN_METHODS.has(method.toUpperCase())) {
      throw new TypeError(`Cannot use method ${describe(method)}: fetch forbids it`);
    }
    const length = source.kind === 'none' ? 0 : source.kind === 'bytes' ? source.bytes.length : source.length;
    if (length === 0) return;
    if (METHODS_WITHOUT_BODY.has(method.toUpperCase())) {
      throw new TypeError(`Cannot send a body with ${method}: fetch forbids it`);
    }
    if (source.kind !== 'stream' || source.blob !== undefined || this.#platform.takesStreams) return;
    throw new TypeError(
      'Cannot send a stream as the body: the fetch of this runtime takes none; give it as bytes or a Blob',
    );
  }

  #warnOnce(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    warn(new FetchPlatformWarning(text));
  }
}

type Failed = Extract<Outcome, { readonly kind: 'failed' }>;
type FetchOutcome = { readonly kind: 'response'; readonly response: HTTPResponse } | Failed;

/** As {@link judge}, but for what is no failure of an attempt: the deadline, or what the caller has aborted the request with. */
function judged(failure: unknown, hop: Hop, phase: AttemptClock['phase'], { signal }: CallTerms): Failed {
  if (signal?.aborted === true && failure === signal.reason) throw failure;
  const outcome = judge(failure, hop, false, { phase, address: null });
  if (outcome.kind !== 'failed') throw failure;
  return outcome;
}

async function finished(response: HTTPResponse, { preloadContent }: ResolvedUrlopenOptions): Promise<HTTPResponse> {
  if (preloadContent) await response._preload();
  return response;
}

/** Found anew for each request: tests and tools put others in its place. */
function defaultFetch(...args: Parameters<Fetch>): ReturnType<Fetch> {
  return globalThis.fetch(...args);
}

function nextHop(hop: Hop, status: number, isSame: boolean, url: Url, call: Call, retries: Retry): Hop {
  const { removeHeadersOnRedirect: removed } = retries;
  const { crossOriginHeaders } = call;
  return { ...redirectedRequest(hop, { status, isSameOrigin: isSame, removed, crossOriginHeaders }), url };
}

/** @throws TypeError for what other managers have and this one cannot, in the words of this one */
function checkOptions(options: FetchManagerOptions): void {
  for (const name of Object.keys(options ?? {})) {
    if (Object.hasOwn(RULES, name)) continue;
    const why = 'connections, proxies and TLS are those of the runtime, and logging in is not for it';
    throw new TypeError(`Cannot use option ${describe(name)}: a fetch manager has no such option; ${why}`);
  }
}

function checkAvailable(options: UrlopenOptions = {}): void {
  for (const [name, value] of Object.entries(ownOptions(options))) {
    if (name === 'decodeContent' && value === false) {
      throw new TypeError('Cannot use decodeContent false: fetch takes content codings off itself');
    }
    if (AVAILABLE_OPTIONS.has(name) || value === undefined || value === null || value === false) continue;
    const reason = Object.hasOwn(REASONS, name)
      ? Reflect.get(REASONS, name)
      : 'fetch has no connection of ours that it could be used for';
    throw new TypeError(`Cannot use ${name}: ${reason}`);
  }
}

function checkTarget(url: Url): void {
  checkedTarget(url, url.url);
}

/** @throws {@link LocationValueError} for a URL that cannot be fetched, or in which `fetch` would see another host */
function checkedTarget(url: Url, given: string): Url {
  const { scheme, host } = url;
  if (scheme !== null && scheme !== 'http' && scheme !== 'https') throw new URLSchemeUnknown(scheme);
  if (host === null || host === '') throw new LocationValueError(`No host specified in ${describe(given)}`);
  if (scheme === null) {
    throw new LocationValueError(`Cannot request ${describe(given)}: a URL begins with "http://" or "https://"`);
  }
  const address = addressOf(url);
  const theirs = URL.canParse(address) ? parseUrl(new URL(address).href) : null;
  if (theirs !== null && isSameOrigin(url, theirs)) return url;
  throw new LocationValueError(`Cannot request ${describe(given)}: to fetch its host is no host, or another one`);
}

/** A URL as `fetch` gets it: without user-info, which it refuses, and without fragment. */
function addressOf({ scheme, netloc, requestUri }: Url): string {
  return `${scheme}://${netloc}${requestUri}`;
}

function fetchOrNull(name: string, value: unknown): Fetch | null {
  if (value === null) return null;
  // What a function takes and gives cannot be seen before it is called.
  if (typeof value === 'function') return value as Fetch;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a function like the global fetch`);
}

function checkRedirects(name: string, value: unknown): RedirectFollower {
  if (value === 'manager' || value === 'fetch') return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be "manager" or "fetch"`);
}

function budgetOrNull(name: string, value: unknown): RetryBudget | null {
  if (value === null || value instanceof RetryBudget) return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a RetryBudget, or null for none`);
}
