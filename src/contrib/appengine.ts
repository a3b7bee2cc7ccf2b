/**
 * Requests by way of Google App Engine's URLFetch (reference: "urllib3.contrib.appengine module").
 *
 * URLFetch makes a whole request for us and follows redirects itself. The manager asks it, turns what it gives into the
 * responses and errors that callers know from sockets, and does what is left of a `Retry`: statuses that are to be retried, and
 * the redirects that the service was not told to follow. These are also all those of a request that carries credentials: the
 * service would take them along wherever it is sent, and src/redirect.ts does not.
 *
 * How the service is reached: appengine/bridge.ts. What its error numbers mean: appengine/errors.ts. Where we are on App
 * Engine at all: appengine/environ.ts.
 */
import { bytesSource } from '../body/content.js';
import { type BodySource, NO_BODY } from '../body/source.js';
import { contentCodings } from '../coding/codings.js';
import {
  addCallers,
  DecodeError,
  LocationValueError,
  MaxRetryError,
  ProtocolError,
  ResponseError,
  URLSchemeUnknown,
} from '../exceptions.js';
import { describe } from '../excerpt.js';
import { fieldLines, type HeadersInput, HTTPHeaderDict } from '../headers.js';
import { equalsIgnoringCase } from '../http1/grammar.js';
import { checkFieldLines, checkMethod, type FieldLine } from '../http1/request-head.js';
import { type CallTerms, retryAfterStatus, takeRedirect } from '../next-attempt.js';
import { boolean, checkedElsewhere, type Rules, resolveOptions } from '../options.js';
import { type RedirectedRequest, redirectedRequest } from '../redirect.js';
import { RequestMethods } from '../request.js';
import {
  CARRIER_INDEPENDENT_OPTIONS,
  type ResolvedUrlopenOptions,
  resolveUrlopenOptions,
  sourceOf,
  type UrlopenOptions,
  watched,
} from '../request-options.js';
import { HTTPResponse } from '../response.js';
import { type Retries, Retry } from '../util/retry.js';
import { Timeout, type TimeoutValue } from '../util/timeout.js';
import { isSameOrigin, joinUrl, parseUrl, type Url } from '../util/url.js';
import { warn } from '../warnings.js';
import { isURLFetchAvailable, URLFetchBridge } from './appengine/bridge.js';
import { isProdAppengine, isProdAppengineMvms } from './appengine/environ.js';
import {
  AppEnginePlatformError,
  AppEnginePlatformWarning,
  translated,
  URLFETCH_RESPONSE_TOO_LARGE,
  URLFetchError,
} from './appengine/errors.js';
import { payloadOf } from './appengine/payload.js';
import type { URLFetch, URLFetchMethod, URLFetchReply } from './appengine/urlfetch.js';

export { URLFetchBridge, type URLFetchBridgeOptions, withAppengineRequest } from './appengine/bridge.js';
export {
  isAppengine,
  isAppengineSandbox,
  isAppengineStandard,
  isLocalAppengine,
  isProdAppengine,
  isProdAppengineMvms,
} from './appengine/environ.js';
export {
  AppEnginePlatformError,
  AppEnginePlatformWarning,
  URLFetchError,
  type URLFetchErrorLayer,
} from './appengine/errors.js';
export type { URLFetch, URLFetchMethod, URLFetchReply, URLFetchRequest } from './appengine/urlfetch.js';

export interface AppEngineManagerOptions {
  /** Sent with requests that bring no headers of their own. */
  readonly headers?: HeadersInput | null | undefined;
  /** For requests that do not say. @defaultValue Retry.DEFAULT: 3 */
  readonly retries?: Retries | undefined;
  /** Whether the service verifies the certificates of servers. @defaultValue true */
  readonly validateCertificate?: boolean | undefined;
  /**
   * Whether the service follows redirects, five at most and without a history; else the manager does, as `retries` says.
   * Requests that carry credentials it never follows.
   *
   * @defaultValue true
   */
  readonly urlfetchRetries?: boolean | undefined;
  /** What fetches. @defaultValue App Engine's own, a {@link URLFetchBridge} */
  readonly urlfetch?: URLFetch | null | undefined;
}

interface Settings {
  readonly headers: HeadersInput | null;
  readonly retries: Retries | undefined;
  readonly validateCertificate: boolean;
  readonly urlfetchRetries: boolean;
  readonly urlfetch: URLFetch | null;
}

const RULES: Rules<Settings> = {
  headers: checkedElsewhere,
  retries: checkedElsewhere,
  validateCertificate: boolean,
  urlfetchRetries: boolean,
  urlfetch: urlfetchOrNull,
};

const DEFAULTS: Settings = Object.freeze({
  headers: null,
  retries: undefined,
  validateCertificate: true,
  urlfetchRetries: true,
  urlfetch: null,
});

/** What the service gives of content at most: 32 MB. */
const MAX_CONTENT_BYTES = 33_554_432;

const METHODS: ReadonlySet<string> = new Set<URLFetchMethod>(['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'PATCH']);
const METHODS_WITH_CONTENT: ReadonlySet<string> = new Set<URLFetchMethod>(['POST', 'PUT', 'PATCH']);

/** Options of a request that have a meaning here. The rest is about connections: refused, unless it asks for nothing. */
const AVAILABLE_OPTIONS: ReadonlySet<string> = new Set([...CARRIER_INDEPENDENT_OPTIONS, 'maxRatio']);

/** One hop, ready to be asked for. */
interface Hop extends RedirectedRequest {
  readonly method: URLFetchMethod;
  readonly url: Url;
}

/** What does not change from hop to hop. */
interface Call {
  readonly options: ResolvedUrlopenOptions;
  readonly terms: CallTerms;
  /** Seconds that the service has for each hop; null for its own default. */
  readonly deadline: number | null;
}

/**
 * Makes requests from App Engine's sandbox, by URLFetch in place of sockets.
 *
 * @example
 * ```ts
 * const http = isAppengineSandbox() ? new AppEngineManager() : new PoolManager();
 * const response = await http.request('GET', 'https://google.com/');
 * ```
 * @throws {@link AppEnginePlatformError} if URLFetch is not available, or not needed because there are sockets
 * @see Google App Engine
 */
export class AppEngineManager extends RequestMethods {
  /** For requests that do not say. */
  readonly retries: Retry;
  readonly validateCertificate: boolean;
  readonly urlfetchRetries: boolean;
  readonly #urlfetch: URLFetch;
  readonly #ownsUrlfetch: boolean;

  constructor(options: AppEngineManagerOptions = {}) {
    const settings = resolveOptions('an App Engine manager', options, RULES, DEFAULTS);
    super({ headers: settings.headers });
    this.retries = Retry.fromInt(settings.retries);
    this.validateCertificate = settings.validateCertificate;
    this.urlfetchRetries = settings.urlfetchRetries;
    if (isProdAppengineMvms()) {
      throw new AppEnginePlatformError('Use a PoolManager in place of AppEngineManager: managed VMs have sockets');
    }
    if (settings.urlfetch === null && !isURLFetchAvailable()) {
      throw new AppEnginePlatformError(
        'URLFetch is not available in this environment: there is neither APPENGINE_RUNTIME, API_HOST nor a ticket',
      );
    }
    this.#urlfetch = settings.urlfetch ?? new URLFetchBridge();
    this.#ownsUrlfetch = settings.urlfetch === null;
    warn(
      new AppEnginePlatformWarning(
        'urllib3 is using URLFetch on Google App Engine instead of sockets; its limits are in docs/app-engine.md',
      ),
    );
  }

  /**
   * Makes a request, and repeats it as `retries` allows.
   *
   * @param url - absolute, with scheme http or https
   * @param options - those about a connection (poolTimeout, chunked, expectContinue, onInformational, progress) are refused
   * @throws TypeError or RangeError for arguments that cannot be used, {@link LocationValueError} for a bad URL,
   *   {@link AppEnginePlatformError} for what URLFetch cannot do, before it is called; then {@link MaxRetryError},
   *   {@link TimeoutError}, {@link SSLError}, {@link ProtocolError} or AppEnginePlatformError, with the
   *   {@link URLFetchError} as their cause
   */
  override async urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse> {
    const given = resolveUrlopenOptions(options);
    const source = sourceOf(given);
    const call = watched(given, null);
    try {
      checkAvailable(options);
      checkMethod(method);
      const known = urlfetchMethod(method);
      checkContent(known, source);
      const target = checkedTarget(parseUrl(url), url);
      const lines = withContentType(checkFieldLines(fieldLines(call.headers ?? this.headers)), source);
      const retries = this.#retriesOf(call);
      const deadline = deadlineOf(options);
      call.signal?.throwIfAborted();
      const payload = await payloadOf(source, call.signal);
      const body = payload === null ? NO_BODY : bytesSource(payload, null);
      const terms = { signal: call.signal, budget: null, watch: call._watch };
      const hop = { method: known, url: target, lines, body };
      const response = await this.#attempts(hop, { options: call, terms, deadline }, retries);
      if (call.preloadContent) await response._preload();
      return response;
    } catch (error) {
      addCallers(error);
      throw error;
    } finally {
      if (call !== given) call._watch?.release();
      if (source.kind === 'stream') source.discard?.();
    }
  }

  /** Closes the connections to the service, unless it was given. The manager can still be used. */
  close(): void {
    if (this.#ownsUrlfetch) this.#urlfetch.close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  override toString(): string {
    return 'AppEngineManager()';
  }

  async #attempts(first: Hop, call: Call, allowed: Retry): Promise<HTTPResponse> {
    let hop = first;
    let retries = allowed;
    for (;;) {
      const { response, url } = await this.#attempt(hop, call, retries);
      const attempted = { method: hop.method, target: addressOf(hop.url), pool: this, body: hop.body };
      const location = call.options.redirect && response.getRedirectLocation();
      if (location) {
        if (retries.raiseOnRedirect && !this.#followsItself(hop, call, retries)) {
          const reason = new ResponseError('too many redirects');
          throw new MaxRetryError(this, attempted.target, { reason, attempts: retries.history });
        }
        const taken = await takeRedirect(attempted, url, response, location, retries, call.terms, checkTarget);
        if (taken === null) return response;
        hop = this.#nextHop(hop, response.status, isSameOrigin(url, taken.url), taken.url, call, retries);
        call.terms.watch?.current?.redirected(response.status, taken.url.url, hop.method);
        retries = taken.retries;
        continue;
      }
      if (!retries.isRetry(hop.method, response.status, response.headers.has('retry-after'))) return response;
      const left = await retryAfterStatus(attempted, response, retries, call.terms);
      if (left === null) return response;
      retries = left;
    }
  }

  /** One call of the service; also where its redirects have led. */
  async #attempt(
    hop: Hop,
    call: Call,
    retries: Retry,
  ): Promise<{ readonly response: HTTPResponse; readonly url: Url }> {
    const { options, terms, deadline } = call;
    const asked = addressOf(hop.url);
    const mayFollow = retries.redirect !== 0 && retries.total !== 0 && retries.total !== false;
    try {
      const reply = await this.#urlfetch.fetch({
        method: hop.method,
        url: asked,
        headers: hop.lines,
        payload: hop.body.kind === 'bytes' ? hop.body.bytes : null,
        followRedirects: options.redirect && mayFollow && !this.#followsItself(hop, call, retries),
        deadline,
        validateCertificate: this.validateCertificate,
        signal: terms.signal,
        _watch: terms.watch ?? null,
      });
      if (reply.contentWasTruncated === true || reply.content.length > MAX_CONTENT_BYTES) {
        throw new URLFetchError('urlfetch', URLFETCH_RESPONSE_TOO_LARGE);
      }
      const url = reply.finalUrl ? whereItLed(hop.url, reply.finalUrl) : hop.url;
      return { response: this.#respond(reply, hop.method, addressOf(url), options, retries), url };
    } catch (error) {
      throw error instanceof URLFetchError ? translated(error, this, asked) : error;
    }
  }

  /** Whether redirects are the manager's to follow: they are where another origin must not see all of the request. */
  #followsItself(hop: Hop, call: Call, retries: Retry): boolean {
    if (!this.urlfetchRetries) return true;
    return this.#nextHop(hop, 302, false, hop.url, call, retries).lines.length < hop.lines.length;
  }

  #nextHop(hop: Hop, status: number, isSameOrigin: boolean, url: Url, { options }: Call, retries: Retry): Hop {
    const removed = retries.removeHeadersOnRedirect;
    const crossOriginHeaders = options.crossOriginHeaders ?? 'strip';
    const next = redirectedRequest(hop, { status, isSameOrigin, removed, crossOriginHeaders });
    return { ...next, method: urlfetchMethod(next.method), url };
  }

  #respond(
    reply: URLFetchReply,
    method: string,
    url: string,
    options: ResolvedUrlopenOptions,
    retries: Retry,
  ): HTTPResponse {
    const headers = new HTTPHeaderDict(reply.headers);
    // In production the service has inflated such content, and says so no more than it says that chunks have been joined.
    if (isProdAppengine() && headers.get('content-encoding') === 'deflate') headers.delete('content-encoding');
    if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') headers.set('transfer-encoding', '');
    checkSize(reply.content, headers, options);
    return new HTTPResponse({
      body: reply.content,
      headers,
      status: reply.statusCode,
      preloadContent: false,
      decodeContent: options.decodeContent,
      enforceContentLength: options.enforceContentLength,
      retries,
      pool: this,
      requestMethod: method,
      requestUrl: url,
      _limits: { maxDecodedSize: options.maxDecodedSize ?? null, maxRatio: options.maxRatio ?? null },
    });
  }

  #retriesOf({ retries, redirect }: ResolvedUrlopenOptions): Retry {
    const resolved = Retry.fromInt(retries, { redirect, default: this.retries });
    if (resolved.connect || resolved.read || resolved.redirect) {
      warn(
        new AppEnginePlatformWarning(
          'URLFetch only supports total retries and does not recognize connect, read or redirect retry parameters',
        ),
      );
    }
    return resolved;
  }
}

/** Seconds that the service is given; null for its own default. */
function deadlineOf(options: UrlopenOptions | undefined): number | null {
  const timeout: Timeout | TimeoutValue | undefined =
    options !== undefined && Object.hasOwn(options, 'timeout') ? options.timeout : undefined;
  if (timeout instanceof Timeout) {
    if (timeout.connect !== null || timeout.read !== null) {
      warn(
        new AppEnginePlatformWarning(
          'URLFetch does not support granular timeout settings, reverting to total or default URLFetch timeout',
        ),
      );
    }
    return timeout.total;
  }
  return typeof timeout === 'number' && Number.isFinite(timeout) ? timeout : null;
}

function checkAvailable(options: UrlopenOptions = {}): void {
  for (const [name, value] of Object.entries(options)) {
    if (AVAILABLE_OPTIONS.has(name) || value === undefined || value === null || value === false) continue;
    throw new TypeError(`Cannot use ${name}: URLFetch has no connection of ours that it could be used for`);
  }
}

/** In capitals, as URLFetch's own libraries write it. */
function urlfetchMethod(method: string): URLFetchMethod {
  const known = method.toUpperCase();
  if (isURLFetchMethod(known)) return known;
  throw new AppEnginePlatformError(`URLFetch does not support method: ${method}`);
}

function isURLFetchMethod(method: string): method is URLFetchMethod {
  return METHODS.has(method);
}

/** The service would leave it out without a word. */
function checkContent(method: URLFetchMethod, source: BodySource): void {
  if (METHODS_WITH_CONTENT.has(method) || source.kind === 'none') return;
  if ((source.kind === 'bytes' ? source.bytes.length : source.length) === 0) return;
  throw new AppEnginePlatformError(`URLFetch sends no content with ${method}: only with POST, PUT and PATCH`);
}

function checkedTarget(url: Url, given: string): Url {
  const { scheme, host } = url;
  if (scheme !== null && scheme !== 'http' && scheme !== 'https') throw new URLSchemeUnknown(scheme);
  if (host === null || host === '') throw new LocationValueError(`No host specified in ${describe(given)}`);
  if (scheme === null) {
    throw new LocationValueError(`Cannot request ${describe(given)}: a URL begins with "http://" or "https://"`);
  }
  return url;
}

function checkTarget(url: Url): void {
  checkedTarget(url, url.url);
}

/** A URL as the service gets it: without user-info, which would become credentials there, and without fragment. */
function addressOf({ scheme, netloc, requestUri }: Url): string {
  return `${scheme}://${netloc}${requestUri}`;
}

function whereItLed(asked: Url, finalUrl: string): Url {
  try {
    return checkedTarget(joinUrl(asked, finalUrl), finalUrl);
  } catch (cause) {
    throw new ProtocolError(`Cannot use the reply of URLFetch: its final URL is ${describe(finalUrl)}`, { cause });
  }
}

function withContentType(lines: readonly FieldLine[], source: BodySource): readonly FieldLine[] {
  const type = source.kind === 'none' ? null : source.contentType;
  if (type === null || lines.some(([name]) => equalsIgnoringCase(name, 'content-type'))) return lines;
  return [...lines, ['Content-Type', type]];
}

/** What is decoded is measured as it is decoded. */
function checkSize(content: Uint8Array, headers: HTTPHeaderDict, options: ResolvedUrlopenOptions): void {
  const { decodeContent, maxDecodedSize } = options;
  if (maxDecodedSize === null || maxDecodedSize === undefined || content.length <= maxDecodedSize) return;
  const codings = decodeContent ? contentCodings(headers.get('content-encoding')) : null;
  if (codings !== null && codings.length > 0) return;
  throw new DecodeError(`The content is longer than maxDecodedSize, ${maxDecodedSize} bytes`);
}

function urlfetchOrNull(name: string, value: unknown): URLFetch | null {
  if (value === null) return null;
  const isOne = typeof value === 'object' && 'fetch' in value && typeof value.fetch === 'function';
  // What a function takes and gives cannot be seen before it is called.
  if (isOne) return value as URLFetch;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be an object with fetch()`);
}
