/**
 * What a caller may say of one request, and the rules by which it becomes what the layers below work with.
 *
 * `undefined` inherits from the pool or manager, `null` is "none". Resolved once, at the entry; below, nobody asks whether
 * something was given.
 */
import events from 'node:events';
import type { Login } from './auth/authenticator.js';
import type { Auth, Credentials } from './auth/credentials.js';
import { type BodySource, bodySource, NO_BODY, type RequestBody } from './body/source.js';
import { type CallWatch, watchFor } from './call-watch.js';
import type { DecodingLimits } from './coding/codings.js';
import type { TransferProgress } from './engine/session.js';
import { describe } from './excerpt.js';
import type { HeadersInput, HTTPHeaderDict } from './headers.js';
import {
  boolean,
  checkedElsewhere,
  functionOrNull,
  positiveInteger,
  type Rules,
  resolveOptions,
  secondsOrNull,
  signalOrNull,
} from './options.js';
import { type CrossOriginHeaders, checkCrossOriginHeaders } from './redirect.js';
import type { Retries } from './util/retry.js';
import { type Timeout, type TimeoutValue, timerMs, toTimeout } from './util/timeout.js';

export type { TransferProgress };

/** An interim (1xx) response, as `onInformational` is told of it. */
export interface InformationalResponse {
  readonly status: number;
  readonly reason: string;
  readonly headers: HTTPHeaderDict;
}

/** Options of one request, for `urlopen` and all that stand on it. */
export interface UrlopenOptions {
  /** The content to send. */
  readonly body?: RequestBody | null | undefined;
  /** Fields to send; they replace the pool's or manager's own. */
  readonly headers?: HeadersInput | null | undefined;
  /**
   * A number of retries in all; `false` for none, so that errors and redirects come as they are; null for no limit.
   *
   * @defaultValue the pool's, or `Retry.DEFAULT`: 3
   * @see User Guide, "Retrying requests"
   */
  readonly retries?: Retries | undefined;
  /** Whether redirects are followed. @defaultValue true */
  readonly redirect?: boolean | undefined;
  /**
   * Whether a URL of another host is refused; without that, a pool asks its own host for it, as one asks a proxy.
   *
   * @defaultValue true
   * @throws {@link HostChangedError}
   */
  readonly assertSameHost?: boolean | undefined;
  /** Seconds; a number holds for connecting and for each read, null waits for ever. @defaultValue the pool's */
  readonly timeout?: Timeout | TimeoutValue | undefined;
  /**
   * Seconds to wait for a connection of a pool that blocks; null waits for ever, 0 does not wait.
   *
   * @defaultValue null
   * @throws {@link EmptyPoolError}
   */
  readonly poolTimeout?: number | null | undefined;
  /**
   * Taken for the reference's sake. A connection goes back to its pool by itself when the last byte of the content has come,
   * whatever this says, and never before.
   */
  readonly releaseConn?: boolean | null | undefined;
  /** Whether the body is sent in the chunked coding, whatever its length. @defaultValue false */
  readonly chunked?: boolean | undefined;
  /** Where a file-like body begins. @defaultValue where it stands */
  readonly bodyPos?: number | null | undefined;
  /** Whether the content is read and decoded before the promise resolves; else read it from the response. @defaultValue true */
  readonly preloadContent?: boolean | undefined;
  /** Whether content codings (gzip, ...) are taken off. @defaultValue true */
  readonly decodeContent?: boolean | undefined;
  /** Whether content shorter than its Content-Length is an error. @defaultValue true */
  readonly enforceContentLength?: boolean | undefined;
  /**
   * Bytes that the content may have at most, with codings taken off; null for no limit.
   *
   * @defaultValue the pool's
   * @throws {@link DecodeError}
   */
  readonly maxDecodedSize?: number | null | undefined;
  /**
   * How many times larger the decoded content may be than what came, looked at beyond the first MiB; null for no limit.
   *
   * @defaultValue the pool's
   * @throws {@link DecodeError}
   */
  readonly maxRatio?: number | null | undefined;
  /**
   * Whether to wait for 100 (Continue) before the content is sent, and for how many seconds at most: `true` is 1 second.
   * A server that answers with a final status, such as 417 or 401, gets no byte of it.
   *
   * @defaultValue false
   * @see RFC 9110 section 10.1.1
   */
  readonly expectContinue?: boolean | number | undefined;
  /** Told how much of the content has been sent. */
  readonly onUploadProgress?: ((progress: TransferProgress) => void) | null | undefined;
  /** Told how much of the response's content has come. */
  readonly onDownloadProgress?: ((progress: TransferProgress) => void) | null | undefined;
  /** Told of each interim (1xx) response. */
  readonly onInformational?: ((response: InformationalResponse) => void) | null | undefined;
  /**
   * Seconds for everything together: waiting for a connection, DNS, connecting, TLS, sending, waiting, the content (a streamed
   * one until it is read to its end), and all retries, pauses and redirects; null for no such limit.
   *
   * @defaultValue the pool's or manager's: null
   * @throws {@link DeadlineExceededError}, which says what each phase of each attempt took
   * @see docs/timeouts.md
   */
  readonly deadline?: number | null | undefined;
  /**
   * What a redirect to another origin is sent of the request's fields: all but those of `removeHeadersOnRedirect` ('strip'),
   * or of those only what is known to be harmless, such as Accept and User-Agent ('safelist').
   *
   * @defaultValue the pool's or manager's: 'strip'
   * @see docs/retrying-requests.md
   */
  readonly crossOriginHeaders?: CrossOriginHeaders | undefined;
  /**
   * Who makes the request: `{ type: 'basic', username, password }`, and likewise 'digest', 'bearer' (`token`) and 'ntlm'; null
   * for nobody, whatever the pool or manager has. It is for the origin of the request's URL alone: redirects to another
   * origin go without it, and come back without it.
   *
   * @defaultValue the pool's, or what the manager has for the origin, unless a field Authorization is among `headers`
   * @throws TypeError beside a field Authorization; {@link AuthenticationError} if the login cannot be carried through
   * @see docs/authentication.md
   */
  readonly auth?: Auth | Credentials | null | undefined;
  /** Ends the request, wherever it is: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined;
  /** @internal The body as a source already, in place of `body`. */
  readonly _source?: BodySource | undefined;
  /** @internal The caller follows redirects itself: their content is not wanted. */
  readonly _followsRedirects?: boolean | undefined;
  /** @internal The watch of the call that this is a part of. */
  readonly _watch?: CallWatch | null | undefined;
  /** @internal See {@link resolvedAlready}: stands for all others. */
  readonly _resolved?: ResolvedUrlopenOptions | undefined;
}

/** {@link UrlopenOptions} with everything decided but what only a pool knows: null then. */
export interface ResolvedUrlopenOptions {
  readonly body: RequestBody | null;
  readonly headers: HeadersInput | null | undefined;
  readonly retries: Retries | undefined;
  readonly redirect: boolean;
  readonly assertSameHost: boolean;
  readonly timeout: Timeout | null;
  readonly poolTimeout: number | null;
  readonly releaseConn: boolean | null;
  readonly chunked: boolean;
  readonly bodyPos: number | null;
  readonly preloadContent: boolean;
  readonly decodeContent: boolean;
  readonly enforceContentLength: boolean;
  /** undefined takes the pool's. */
  readonly maxDecodedSize: number | null | undefined;
  /** undefined takes the pool's. */
  readonly maxRatio: number | null | undefined;
  /** Seconds. */
  readonly expectContinue: number | null;
  readonly onUploadProgress: ((progress: TransferProgress) => void) | null;
  readonly onDownloadProgress: ((progress: TransferProgress) => void) | null;
  readonly onInformational: ((response: InformationalResponse) => void) | null;
  /** Seconds; undefined takes the pool's. */
  readonly deadline: number | null | undefined;
  /** undefined takes the pool's. */
  readonly crossOriginHeaders: CrossOriginHeaders | undefined;
  /** As it was given: whoever sends the request checks it, at once. */
  readonly auth: Auth | Credentials | null | undefined;
  readonly signal: AbortSignal | null;
  readonly _source: BodySource | null;
  readonly _followsRedirects: boolean;
  /** undefined as long as nobody has asked whether there is to be one. */
  readonly _watch: CallWatch | null | undefined;
  /** What `auth` has become: null for none, undefined as long as nobody has decided. */
  readonly _login: Login | null | undefined;
}

/**
 * Options that have a meaning whatever carries the request, sockets of ours or not; assertSameHost and releaseConn have as little
 * as with any manager.
 */
export const CARRIER_INDEPENDENT_OPTIONS = [
  'body',
  'bodyPos',
  'headers',
  'retries',
  'redirect',
  'crossOriginHeaders',
  'timeout',
  'deadline',
  'signal',
  'preloadContent',
  'decodeContent',
  'enforceContentLength',
  'maxDecodedSize',
  'assertSameHost',
  'releaseConn',
  '_source',
] as const satisfies readonly (keyof UrlopenOptions)[];

/** The limits on decoding: a pool has them too. */
export const LIMIT_RULES: Rules<DecodingLimits> = {
  maxDecodedSize: (name, value) => (value === null ? null : positiveInteger(name, value)),
  maxRatio: ratioOrNull,
};

/** What holds for a call with all its hops: pools and managers have defaults for it. */
export interface CallPolicy {
  /** Seconds. */
  readonly deadline: number | null;
  readonly crossOriginHeaders: CrossOriginHeaders;
}

export const POLICY_RULES: Rules<CallPolicy> = {
  deadline: deadlineOrNull,
  crossOriginHeaders: (_name, value) => checkCrossOriginHeaders(value),
};

export const POLICY_DEFAULTS: CallPolicy = Object.freeze({ deadline: null, crossOriginHeaders: 'strip' });

/** How long a server has to say 100 (Continue): one that does not know of it stays silent. */
const CONTINUE_SECONDS = 1;

const RULES: Rules<ResolvedUrlopenOptions> = {
  body: checkedElsewhere,
  headers: checkedElsewhere,
  retries: checkedElsewhere,
  redirect: boolean,
  assertSameHost: boolean,
  timeout: (name, value) => toTimeout(checkedElsewhere<Timeout | TimeoutValue>(name, value)),
  poolTimeout: secondsOrNull,
  releaseConn: (name, value) => (value === null ? null : boolean(name, value)),
  chunked: boolean,
  bodyPos: checkedElsewhere,
  preloadContent: boolean,
  decodeContent: boolean,
  enforceContentLength: boolean,
  ...LIMIT_RULES,
  expectContinue: continueSecondsOrNull,
  onUploadProgress: functionOrNull,
  onDownloadProgress: functionOrNull,
  onInformational: functionOrNull,
  ...POLICY_RULES,
  auth: checkedElsewhere,
  signal: signalOrNull,
  _source: checkedElsewhere,
  _followsRedirects: boolean,
  _watch: checkedElsewhere,
  _login: checkedElsewhere,
};

const DEFAULTS: ResolvedUrlopenOptions = Object.freeze({
  body: null,
  headers: undefined,
  retries: undefined,
  redirect: true,
  assertSameHost: true,
  timeout: null,
  poolTimeout: null,
  releaseConn: null,
  chunked: false,
  bodyPos: null,
  preloadContent: true,
  decodeContent: true,
  enforceContentLength: true,
  maxDecodedSize: undefined,
  maxRatio: undefined,
  expectContinue: null,
  onUploadProgress: null,
  onDownloadProgress: null,
  onInformational: null,
  deadline: undefined,
  crossOriginHeaders: undefined,
  auth: undefined,
  signal: null,
  _source: null,
  _followsRedirects: false,
  _watch: undefined,
  _login: undefined,
});

/**
 * Options that have been resolved, as {@link UrlopenOptions}: what a manager gives to a pool, which takes them as they are.
 *
 * HOT: a request with options is resolved once, not once a layer; `npm run bench` small GET, ratio 0.5.
 */
export function resolvedAlready(resolved: ResolvedUrlopenOptions): UrlopenOptions {
  return { _resolved: resolved };
}

/** What a manager tells a pool of a request without options: one object for all, as nothing in it changes. */
export const PLAIN_HOP: UrlopenOptions = Object.freeze(
  resolvedAlready(
    Object.freeze({
      ...DEFAULTS,
      redirect: false,
      assertSameHost: false,
      _followsRedirects: true,
      _watch: null,
      _login: null,
    }),
  ),
);

/** A request of our own, of which only whether it is answered counts. */
export const NO_WISHES: ResolvedUrlopenOptions = Object.freeze({
  ...DEFAULTS,
  redirect: false,
  preloadContent: false,
  maxDecodedSize: null,
  maxRatio: null,
});

/** @throws TypeError or RangeError naming the option, the value and what was wanted */
export function resolveUrlopenOptions(options: UrlopenOptions | undefined): ResolvedUrlopenOptions {
  if (options === undefined) return DEFAULTS;
  const isObject = typeof options === 'object' && options !== null;
  const resolved = isObject && Object.hasOwn(options, '_resolved') ? options._resolved : undefined;
  return resolved ?? resolveOptions('a request', options, RULES, DEFAULTS);
}

/** The request's body as a source. */
export function sourceOf(options: ResolvedUrlopenOptions): BodySource {
  if (options._source !== null) return options._source;
  return options.body === null ? NO_BODY : bodySource(options.body, { bodyPos: options.bodyPos });
}

/**
 * The call with a watch of its own, if anybody wants to know of it and it is not a part of one that has a watch.
 *
 * @param deadline - seconds, where the call says nothing
 */
export function watched(call: ResolvedUrlopenOptions, deadline: number | null): ResolvedUrlopenOptions {
  if (call._watch !== undefined) return call;
  // A signal for many requests at a time is no leak, as Node would warn of 11 listeners: each request takes its own off again.
  // Elsewhere nobody counts, and there is no such function.
  if (call.signal !== null) events.setMaxListeners?.(0, call.signal);
  const watch = watchFor(call.deadline === undefined ? deadline : call.deadline, call.signal);
  return watch === null ? call : { ...call, signal: watch.signal, _watch: watch };
}

function deadlineOrNull(name: string, value: unknown): number | null {
  const seconds = secondsOrNull(name, value);
  if (seconds === 0) throw new RangeError(`Cannot use ${name} 0: it must be a number of seconds > 0, or null`);
  // Longer than any timer (24.8 days) is none, as it is for the waits of the transport: it must not fire before its time.
  return seconds === null || timerMs(seconds) < seconds * 1000 ? null : seconds;
}

function ratioOrNull(name: string, value: unknown): number | null {
  if (value === null) return null;
  if (typeof value === 'number' && value >= 1) return value;
  throw new RangeError(`Cannot use ${name} ${String(value)}: it must be a number >= 1, or null for no limit`);
}

function continueSecondsOrNull(name: string, value: unknown): number | null {
  if (value === true) return CONTINUE_SECONDS;
  if (value === false) return null;
  if (typeof value === 'number' && value > 0) return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be true, false or a number of seconds > 0`);
}
