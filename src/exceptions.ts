/**
 * Every error and warning of the library, as one tree (reference: "urllib3.exceptions module").
 *
 * ```text
 * Error
 *   HTTPError                        anything that goes wrong in a request
 *     PoolError                      (pool)
 *       ClosedPoolError, EmptyPoolError, FullPoolError
 *       RequestError                 (pool, url)
 *         MaxRetryError              (reason)
 *         HostChangedError           (retries)
 *     TimeoutError
 *       ConnectTimeoutError
 *         NewConnectionError         also a PoolError
 *           NameResolutionError
 *       ReadTimeoutError             also a RequestError, and so a PoolError
 *     ProtocolError = ConnectionError
 *       ResponseNotChunked
 *     LocationValueError
 *       LocationParseError (location), URLSchemeUnknown (scheme)
 *     IncompleteRead (partial, expected), InvalidChunkLength (length), InvalidHeader, HeaderParsingError,
 *     SSLError, ProxyError, ProxySchemeUnknown, DecodeError, ResponseError, BodyNotHttpLibCompatible,
 *     UnrewindableBodyError, TimeoutStateError, ResponseNotReadError
 *   HTTPWarning                      what `process.emitWarning` is given
 *     SecurityWarning
 *       InsecureRequestWarning, InsecurePlatformWarning, SubjectAltNameWarning, SystemTimeWarning
 *     DependencyWarning, SNIMissingWarning, TimeoutUnitWarning
 * ```
 *
 * Where Python has two bases, the first is extended and `instanceof` answers for both. What was wrong on the operating
 * system's or TLS's side is the `cause`, and its code is `code`.
 */
import { excerpt, withoutUserinfo } from './excerpt.js';

/** What an error says of the pool or connection it happened in: only its text is used. */
export interface PoolDescription {
  toString(): string;
}

/** What every error constructor takes last. */
export interface HTTPErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
}

type ErrorClass = { readonly prototype: object };

/** [class, its second base], for classes that have two in the reference. */
const SECOND_BASES: [ErrorClass, ErrorClass][] = [];

/** How far `code` looks down the chain of causes: a peer-driven chain must not become an endless walk. */
const MAX_CAUSES = 16;

/**
 * The base of every error of this library.
 *
 * @see User Guide, "Errors & exceptions"
 */
export class HTTPError extends Error {
  static {
    name(HTTPError, 'HTTPError');
  }

  constructor(message = '', options: HTTPErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
  }

  /** The operating system's or TLS's code of the innermost cause that has one (`ECONNREFUSED`, `CERT_HAS_EXPIRED`). */
  get code(): string | undefined {
    let error: unknown = this.cause;
    for (let depth = 0; depth < MAX_CAUSES && error instanceof Error; depth++) {
      const own = Object.getOwnPropertyDescriptor(error, 'code')?.value;
      if (typeof own === 'string') return own;
      error = error.cause;
    }
    return undefined;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isA(value, this) || SECOND_BASES.some(([child, base]) => isA(value, child) && isOrExtends(base, this));
  }
}

/** Something went wrong in a pool. */
export class PoolError extends HTTPError {
  static {
    name(PoolError, 'PoolError');
  }

  /** The pool, or the connection, that it happened in. */
  declare readonly pool: PoolDescription;

  constructor(pool: PoolDescription, message: string, options: HTTPErrorOptions = {}) {
    super(`${pool}: ${message}`, options);
    hide(this, 'pool', pool);
  }
}

/** A pool error about one URL. */
export class RequestError extends PoolError {
  static {
    name(RequestError, 'RequestError');
  }

  /** The target that was asked for, without user-info. */
  readonly url: string;

  constructor(pool: PoolDescription, url: string, message: string, options: HTTPErrorOptions = {}) {
    super(pool, message, options);
    this.url = withoutUserinfo(url);
  }
}

/** TLS failed: the certificate was not accepted, or the handshake broke. */
export class SSLError extends HTTPError {
  static {
    name(SSLError, 'SSLError');
  }
}

/** The connection to a proxy failed. */
export class ProxyError extends HTTPError {
  static {
    name(ProxyError, 'ProxyError');
  }
}

/** The content could not be decoded as its Content-Encoding says. */
export class DecodeError extends HTTPError {
  static {
    name(DecodeError, 'DecodeError');
  }
}

/** The peer broke the protocol, or the connection, in the middle of a request or response. */
export class ProtocolError extends HTTPError {
  static {
    name(ProtocolError, 'ProtocolError');
  }
}

/** The former name of {@link ProtocolError}. */
export const ConnectionError = ProtocolError;
export type ConnectionError = ProtocolError;

/** All retries are used up: `reason` (also the `cause`) is the last failure, and says so where redirects or bad statuses used them up. */
export class MaxRetryError extends RequestError {
  static {
    name(MaxRetryError, 'MaxRetryError');
  }

  /** The failure of the last attempt. */
  readonly reason: Error | null;

  constructor(pool: PoolDescription, url: string, options: HTTPErrorOptions & { readonly reason?: Error | null } = {}) {
    const reason = options.reason ?? null;
    const because = reason === null ? 'null' : `${reason.name}: ${reason.message}`;
    super(pool, url, `Max retries exceeded with url: ${withoutUserinfo(url)} (Caused by ${because})`, {
      cause: options.cause ?? reason ?? undefined,
    });
    this.reason = reason;
  }
}

/** A pool was asked for a URL of another host. */
export class HostChangedError extends RequestError {
  static {
    name(HostChangedError, 'HostChangedError');
  }

  /** How many retries were left. */
  readonly retries: unknown;

  constructor(pool: PoolDescription, url: string, options: HTTPErrorOptions & { readonly retries?: unknown } = {}) {
    super(pool, url, `Tried to open a foreign host with url: ${withoutUserinfo(url)}`, options);
    this.retries = options.retries ?? 3;
  }
}

/** A timeout object was used in the wrong order: asked before it was started, or started twice. */
export class TimeoutStateError extends HTTPError {
  static {
    name(TimeoutStateError, 'TimeoutStateError');
  }
}

/** A timeout passed: catches {@link ConnectTimeoutError} and {@link ReadTimeoutError} alike. */
export class TimeoutError extends HTTPError {
  static {
    name(TimeoutError, 'TimeoutError');
  }
}

/** The peer was silent for longer than the read timeout. */
export class ReadTimeoutError extends TimeoutError {
  static {
    name(ReadTimeoutError, 'ReadTimeoutError');
    SECOND_BASES.push([ReadTimeoutError, RequestError]);
  }

  declare readonly pool: PoolDescription;
  readonly url: string;

  constructor(pool: PoolDescription, url: string, message: string, options: HTTPErrorOptions = {}) {
    super(`${pool}: ${message}`, options);
    hide(this, 'pool', pool);
    this.url = withoutUserinfo(url);
  }
}

/** No connection was ready within the connect timeout. */
export class ConnectTimeoutError extends TimeoutError {
  static {
    name(ConnectTimeoutError, 'ConnectTimeoutError');
  }

  /** The connection that was being made, where one is known. */
  declare readonly pool: PoolDescription | null;

  constructor(pool: PoolDescription | null, message: string, options: HTTPErrorOptions = {}) {
    super(pool === null ? message : `${pool}: ${message}`, options);
    hide(this, 'pool', pool);
  }
}

/** A connection could not be made: refused, unreachable, no such host. */
export class NewConnectionError extends ConnectTimeoutError {
  static {
    name(NewConnectionError, 'NewConnectionError');
    SECOND_BASES.push([NewConnectionError, PoolError]);
  }
}

/** The host's name has no address. */
export class NameResolutionError extends NewConnectionError {
  static {
    name(NameResolutionError, 'NameResolutionError');
  }

  readonly host: string;

  constructor(host: string, pool: PoolDescription | null, options: HTTPErrorOptions = {}) {
    const because = options.cause instanceof Error ? ` (${options.cause.message})` : '';
    super(pool, `Failed to resolve ${excerpt(host)}${because}`, options);
    this.host = host;
  }
}

/** The pool has no connection to give, and may not make one: see `block` and `poolTimeout`. */
export class EmptyPoolError extends PoolError {
  static {
    name(EmptyPoolError, 'EmptyPoolError');
  }
}

/** A connection was put into a pool that is full and blocking. */
export class FullPoolError extends PoolError {
  static {
    name(FullPoolError, 'FullPoolError');
  }
}

/** The pool was closed. */
export class ClosedPoolError extends PoolError {
  static {
    name(ClosedPoolError, 'ClosedPoolError');
  }
}

/** Something is wrong with a URL. */
export class LocationValueError extends HTTPError {
  static {
    name(LocationValueError, 'LocationValueError');
  }
}

/** A URL could not be parsed. */
export class LocationParseError extends LocationValueError {
  static {
    name(LocationParseError, 'LocationParseError');
  }

  /** The URL as it was given. */
  declare readonly location: string;

  /** @param detail - what is wrong with it, where that is known */
  constructor(location: string, options: HTTPErrorOptions & { readonly detail?: string } = {}) {
    const detail = options.detail === undefined ? '' : `: ${options.detail}`;
    super(`Failed to parse: ${excerpt(withoutUserinfo(location))}${detail}`, options);
    hide(this, 'location', location);
  }
}

/** The URL's scheme is neither http nor https. */
export class URLSchemeUnknown extends LocationValueError {
  static {
    name(URLSchemeUnknown, 'URLSchemeUnknown');
  }

  readonly scheme: string;

  constructor(scheme: string, options: HTTPErrorOptions = {}) {
    super(`Not supported URL scheme ${excerpt(scheme)}: it must be "http" or "https"`, options);
    this.scheme = scheme;
  }
}

/** The reason inside a {@link MaxRetryError} when bad statuses used the retries up. */
export class ResponseError extends HTTPError {
  static {
    name(ResponseError, 'ResponseError');
  }

  static readonly GENERIC_ERROR = 'too many error responses';
  static readonly SPECIFIC_ERROR = 'too many {statusCode} error responses';
}

/** Reading chunk by chunk needs a response with Transfer-Encoding: chunked. */
export class ResponseNotChunked extends ProtocolError {
  static {
    name(ResponseNotChunked, 'ResponseNotChunked');
  }
}

/** Reading chunk by chunk needs a body that gives the raw chunks. */
export class BodyNotHttpLibCompatible extends HTTPError {
  static {
    name(BodyNotHttpLibCompatible, 'BodyNotHttpLibCompatible');
  }
}

/** The body ended before its announced length; the `cause` of the {@link ProtocolError} that is raised. */
export class IncompleteRead extends HTTPError {
  static {
    name(IncompleteRead, 'IncompleteRead');
  }

  /** Bytes that came. */
  readonly partial: number;
  /** Bytes that were still to come; null where no length was announced. */
  readonly expected: number | null;

  constructor(partial: number, expected: number | null, options: HTTPErrorOptions = {}) {
    super(`IncompleteRead(${partial} bytes read, ${expected ?? 'an unknown number of'} more expected)`, options);
    this.partial = partial;
    this.expected = expected;
  }
}

/** A chunk began with something that is not a chunk size; the `cause` of the {@link ProtocolError} that is raised. */
export class InvalidChunkLength extends HTTPError {
  static {
    name(InvalidChunkLength, 'InvalidChunkLength');
  }

  /** What stood in its place. */
  readonly length: string;

  constructor(length: string, options: HTTPErrorOptions = {}) {
    super(`InvalidChunkLength(got length ${excerpt(length)})`, options);
    this.length = length;
  }
}

/** A header is not acceptable: a caller's, or one of a response that decides about it. */
export class InvalidHeader extends HTTPError {
  static {
    name(InvalidHeader, 'InvalidHeader');
  }
}

/** A proxy URL's scheme is not one that the manager speaks. */
export class ProxySchemeUnknown extends HTTPError {
  static {
    name(ProxySchemeUnknown, 'ProxySchemeUnknown');
  }

  readonly scheme: string | null;

  constructor(scheme: string | null, options: HTTPErrorOptions = {}) {
    super(`Not supported proxy scheme ${scheme === null ? 'null' : excerpt(scheme)}`, options);
    this.scheme = scheme;
  }
}

/** Parsing found defects in a header section. */
export class HeaderParsingError extends HTTPError {
  static {
    name(HeaderParsingError, 'HeaderParsingError');
  }

  readonly defects: readonly unknown[];
  readonly unparsedData: string | null;

  constructor(defects: readonly unknown[], unparsedData: string | null, options: HTTPErrorOptions = {}) {
    const unparsed = unparsedData === null ? 'null' : excerpt(unparsedData);
    super(`${defects.map(harmless).join(', ') || 'Unknown'}, unparsed data: ${unparsed}`, options);
    this.defects = defects;
    this.unparsedData = unparsedData;
  }
}

/** As it is if it is short and printable, else as an excerpt: a field's name may come from a peer. */
function harmless(defect: unknown): string {
  const text = String(defect);
  return /^[\x20-\x7e]{1,120}$/.test(text) ? text : excerpt(text);
}

/** A body had to be sent again and cannot be. */
export class UnrewindableBodyError extends HTTPError {
  static {
    name(UnrewindableBodyError, 'UnrewindableBodyError');
  }
}

/** `data` was asked for before the body had been read. */
export class ResponseNotReadError extends HTTPError {
  static {
    name(ResponseNotReadError, 'ResponseNotReadError');
  }
}

/** The base of every warning; `disableWarnings()` silences it and all below it. */
export class HTTPWarning extends Error {
  static {
    name(HTTPWarning, 'HTTPWarning');
  }
}

/** Something makes requests less secure. */
export class SecurityWarning extends HTTPWarning {
  static {
    name(SecurityWarning, 'SecurityWarning');
  }
}

/** A certificate names its host only in its subject's common name. */
export class SubjectAltNameWarning extends SecurityWarning {
  static {
    name(SubjectAltNameWarning, 'SubjectAltNameWarning');
  }
}

/** An HTTPS request was made without verifying the server. */
export class InsecureRequestWarning extends SecurityWarning {
  static {
    name(InsecureRequestWarning, 'InsecureRequestWarning');
  }
}

/** The system's clock is far in the past, so certificates will seem not yet valid. */
export class SystemTimeWarning extends SecurityWarning {
  static {
    name(SystemTimeWarning, 'SystemTimeWarning');
  }
}

/** Python 2's old TLS; never emitted here. */
export class InsecurePlatformWarning extends SecurityWarning {
  static {
    name(InsecurePlatformWarning, 'InsecurePlatformWarning');
  }
}

/** Python 2 without SNI; never emitted here. */
export class SNIMissingWarning extends HTTPWarning {
  static {
    name(SNIMissingWarning, 'SNIMissingWarning');
  }
}

/** An optional package is missing. */
export class DependencyWarning extends HTTPWarning {
  static {
    name(DependencyWarning, 'DependencyWarning');
  }
}

/** A timeout looks like milliseconds; timeouts here are seconds. */
export class TimeoutUnitWarning extends HTTPWarning {
  static {
    name(TimeoutUnitWarning, 'TimeoutUnitWarning');
  }
}

/** The name stands on the prototype, as a constant text: a bundler that renames classes must not rename errors. */
function name(errorClass: { readonly prototype: Error }, value: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value, writable: true, configurable: true });
}

/** A property that is there for code but not printed: inspecting an error must not print a pool and its options. */
function hide(error: Error, property: string, value: unknown): void {
  Object.defineProperty(error, property, { value, configurable: true });
}

function isA(value: unknown, errorClass: ErrorClass): boolean {
  return (
    typeof value === 'object' && value !== null && Object.prototype.isPrototypeOf.call(errorClass.prototype, value)
  );
}

function isOrExtends(errorClass: ErrorClass, base: ErrorClass): boolean {
  return errorClass === base || Object.prototype.isPrototypeOf.call(base.prototype, errorClass.prototype);
}
