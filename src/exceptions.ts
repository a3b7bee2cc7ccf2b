/**
 * Every error and warning of the library, as one tree (reference: "urllib3.exceptions module").
 *
 * ```text
 * Error
 *   HTTPError                        anything that goes wrong in a request
 *     PoolError                      (pool)
 *       ClosedPoolError, EmptyPoolError, FullPoolError
 *       RequestError                 (pool, url)
 *         MaxRetryError              (reason, attempts)
 *           RetryBudgetExhaustedError
 *         HostChangedError           (retries)
 *     TimeoutError
 *       ConnectTimeoutError
 *         NewConnectionError         also a PoolError
 *           NameResolutionError
 *       ReadTimeoutError             also a RequestError, and so a PoolError
 *       DeadlineExceededError        (deadline, bill)
 *     ProtocolError = ConnectionError
 *       ResponseNotChunked
 *     LocationValueError
 *       LocationParseError (location), URLSchemeUnknown (scheme)
 *     IncompleteRead (partial, expected), InvalidChunkLength (length), InvalidHeader, HeaderParsingError,
 *     AuthenticationError (scheme), SSLError, ProxyError, ProxySchemeUnknown, DecodeError, ResponseError, BodyNotHttpLibCompatible,
 *     UnrewindableBodyError, TimeoutStateError, ResponseNotReadError
 *   HTTPWarning                      what `process.emitWarning` is given
 *     SecurityWarning
 *       InsecureRequestWarning, InsecurePlatformWarning, SubjectAltNameWarning, SystemTimeWarning
 *     DependencyWarning, SNIMissingWarning, TimeoutUnitWarning
 * ```
 *
 * Where Python has two bases, the first is extended and `instanceof` answers for both. What was wrong on the operating
 * system's or TLS's side is the `cause`, and its code is `code`; what we know of the place is `phase` and `address`.
 *
 * Errors are made to be logged: the text is one line, without the user-info of URLs and what is named like a secret in their
 * queries (excerpt.ts); pools and what peers sent are there for code, but neither inspecting nor `JSON.stringify` shows them.
 */
import {
  type AttemptBill,
  attemptBill,
  type FailedAttempt,
  failedAttempt,
  type Phase,
  shownBill,
} from './attempt-records.js';
import { attemptJSON, type CauseJSON, type ErrorJSON, errorJSON } from './error-json.js';
import { excerpt, oneLine, withoutPossibleUserinfo, withoutSecrets } from './excerpt.js';

export type { AttemptBill, CauseJSON, ErrorJSON, FailedAttempt, Phase };

/** What an error says of the pool or connection it happened in: only its text is used. */
export interface PoolDescription {
  toString(): string;
}

/** What every error constructor takes last. */
export interface HTTPErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** What was going on. @defaultValue that of the cause */
  readonly phase?: Phase | null | undefined;
  /** The peer, as `127.0.0.1:8080`. @defaultValue that of the cause */
  readonly address?: string | null | undefined;
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
    super(oneLine(message), options.cause === undefined ? undefined : { cause: options.cause });
    if (options.phase != null) show(this, 'phase', options.phase);
    if (options.address != null) show(this, 'address', options.address);
  }

  /** The operating system's or TLS's code of the innermost cause that has one (`ECONNREFUSED`, `CERT_HAS_EXPIRED`). */
  get code(): string | undefined {
    return ofCauses(this, (cause) => {
      const code = ownValue(cause, 'code');
      return typeof code === 'string' ? code : undefined;
    });
  }

  /** What was going on when it happened; null where that is not known, or nothing was. */
  get phase(): Phase | null {
    // Only annotate() gives an error such a property, and a Phase with it.
    return ofCauses(this, (cause) => ownValueOfOurs(cause, 'phase') as Phase | undefined) ?? null;
  }

  /** The peer's address and port, `127.0.0.1:8080` or `[::1]:8080` (a proxy's, where one is used); null where not known. */
  get address(): string | null {
    // As above: annotate() gives it text.
    return ofCauses(this, (cause) => ownValueOfOurs(cause, 'address') as string | undefined) ?? null;
  }

  /** Plain data to log: what happened, where, and why, down eight causes; no stack, no secrets. */
  toJSON(): ErrorJSON {
    return errorJSON(this, details(this), (cause) => (cause instanceof HTTPError ? details(cause) : null));
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

  /** The target that was asked for, without user-info and what is named like a secret in its query. */
  readonly url: string;

  constructor(pool: PoolDescription, url: string, message: string, options: HTTPErrorOptions = {}) {
    super(pool, message, options);
    this.url = withoutSecrets(url);
  }
}

/** TLS failed: the certificate was not accepted, or the handshake broke. */
export class SSLError extends HTTPError {
  static {
    name(SSLError, 'SSLError');
  }

  constructor(message = '', options: HTTPErrorOptions = {}) {
    super(message, options);
    // Node hangs the peer's whole certificate, parsed and raw, on the error for a wrong name: there for code, not printed.
    if (options.cause instanceof Error && Object.hasOwn(options.cause, 'cert')) {
      hide(options.cause, 'cert', ownValue(options.cause, 'cert'));
    }
  }
}

/** A proxy could not be reached, which is the `cause` then, or did not let us through. */
export class ProxyError extends HTTPError {
  static {
    name(ProxyError, 'ProxyError');
  }

  /** The status with which the proxy refused to make a tunnel (407, 403, 502); null where it did not come to that. */
  readonly status: number | null;

  constructor(message = '', options: HTTPErrorOptions & { readonly status?: number | null } = {}) {
    super(message, options);
    this.status = options.status ?? null;
  }
}

/** A scheme of authentication that we speak. */
export type AuthScheme = 'basic' | 'bearer' | 'digest' | 'ntlm';

/**
 * A login could not be carried through: a challenge that is malformed or cannot be answered, a primitive that this Node does not
 * have, a handshake that the server broke. Sending the request again does not mend it.
 *
 * A server that simply refuses the credentials is no error at this level: its 401 is the answer. The message never holds
 * credentials, nor anything derived from them.
 */
export class AuthenticationError extends HTTPError {
  static {
    name(AuthenticationError, 'AuthenticationError');
  }

  readonly scheme: AuthScheme;

  constructor(scheme: AuthScheme, message: string, options: HTTPErrorOptions = {}) {
    super(message, options);
    this.scheme = scheme;
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

/** What {@link MaxRetryError} takes last. */
export interface MaxRetryErrorOptions extends HTTPErrorOptions {
  readonly reason?: Error | null;
  /** All attempts that were made, the last one too. */
  readonly attempts?: readonly FailedAttempt[];
}

/** All retries are used up: `reason` (also the `cause`) is the last failure, and says so where redirects or bad statuses used them up. */
export class MaxRetryError extends RequestError {
  static {
    name(MaxRetryError, 'MaxRetryError');
  }

  /** The failure of the last attempt. */
  declare readonly reason: Error | null;
  /** Every attempt, oldest first, with what it failed of or where it was redirected to. */
  declare readonly attempts: readonly FailedAttempt[];

  constructor(
    pool: PoolDescription,
    url: string,
    options: MaxRetryErrorOptions = {},
    verdict = 'Max retries exceeded',
  ) {
    const reason = options.reason ?? null;
    const because = reason === null ? 'null' : `${reason.name}: ${reason.message}`;
    super(pool, url, `${verdict} with url: ${withoutSecrets(url)} (Caused by ${because})`, {
      ...options,
      cause: options.cause ?? reason ?? undefined,
    });
    // Inspecting shows the reason as the cause already.
    hide(this, 'reason', reason);
    hide(this, 'attempts', Object.freeze((options.attempts ?? []).map(failedAttempt)));
  }
}

/** A retry was allowed, but not by the budget that the manager's requests share: the server has trouble enough. */
export class RetryBudgetExhaustedError extends MaxRetryError {
  static {
    name(RetryBudgetExhaustedError, 'RetryBudgetExhaustedError');
  }

  constructor(pool: PoolDescription, url: string, options: MaxRetryErrorOptions = {}) {
    super(pool, url, options, 'Retry forbidden by the retry budget,');
  }
}

/** A pool was asked for a URL of another host. */
export class HostChangedError extends RequestError {
  static {
    name(HostChangedError, 'HostChangedError');
  }

  /** How many retries were left. */
  declare readonly retries: unknown;

  constructor(pool: PoolDescription, url: string, options: HTTPErrorOptions & { readonly retries?: unknown } = {}) {
    super(pool, url, `Tried to open a foreign host with url: ${withoutSecrets(url)}`, options);
    hide(this, 'retries', options.retries ?? 3);
  }
}

/** A timeout object was used in the wrong order: asked before it was started, or started twice. */
export class TimeoutStateError extends HTTPError {
  static {
    name(TimeoutStateError, 'TimeoutStateError');
  }
}

/** A timeout passed: catches {@link ConnectTimeoutError}, {@link ReadTimeoutError} and {@link DeadlineExceededError} alike. */
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
    this.url = withoutSecrets(url);
  }
}

/**
 * The deadline for everything together passed; `bill` tells what took the time.
 *
 * What was going on then is `phase`, unless it was the wait before the next attempt.
 */
export class DeadlineExceededError extends TimeoutError {
  static {
    name(DeadlineExceededError, 'DeadlineExceededError');
  }

  /** Seconds that were allowed. */
  readonly deadline: number;
  /** What each phase of each attempt took, oldest first. */
  declare readonly bill: readonly AttemptBill[];

  constructor(deadline: number, bill: readonly AttemptBill[], options: HTTPErrorOptions = {}) {
    const attempts = `${bill.length} attempt${bill.length === 1 ? '' : 's'}`;
    const shown = bill.length === 0 ? '' : `: ${shownBill(bill)}`;
    const last = bill.at(-1)?.phases.at(-1)?.phase;
    const phase = last === 'backoff' ? null : last;
    super(`Deadline of ${deadline} s exceeded after ${attempts}${shown}`, { phase, ...options });
    this.deadline = deadline;
    // The message says it: printing it once more would hide the stack.
    hide(this, 'bill', Object.freeze(bill.map(attemptBill)));
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
    super(`Failed to parse: ${excerpt(withoutPossibleUserinfo(location))}${detail}`, options);
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

  /** @param detail - where it stood, or what is supported there */
  constructor(scheme: string | null, options: HTTPErrorOptions & { readonly detail?: string } = {}) {
    const detail = options.detail === undefined ? '' : `: ${options.detail}`;
    super(`Not supported proxy scheme ${scheme === null ? 'null' : excerpt(scheme)}${detail}`, options);
    this.scheme = scheme;
  }
}

/** Parsing found defects in a header section. */
export class HeaderParsingError extends HTTPError {
  static {
    name(HeaderParsingError, 'HeaderParsingError');
  }

  declare readonly defects: readonly unknown[];
  declare readonly unparsedData: string | null;

  constructor(defects: readonly unknown[], unparsedData: string | null, options: HTTPErrorOptions = {}) {
    const unparsed = unparsedData === null ? 'null' : excerpt(unparsedData);
    super(`${defects.map(harmless).join(', ') || 'Unknown'}, unparsed data: ${unparsed}`, options);
    hide(this, 'defects', defects);
    hide(this, 'unparsedData', unparsedData);
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

  /** Plain data to log. */
  toJSON(): { readonly name: string; readonly message: string } {
    return { name: this.name, message: this.message };
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

/**
 * Says where an error happened, as far as neither it nor its causes say so already.
 *
 * @internal
 */
export function annotate(error: unknown, where: Pick<HTTPErrorOptions, 'phase' | 'address'>): void {
  if (!(error instanceof HTTPError)) return;
  if (where.phase != null && error.phase === null) show(error, 'phase', where.phase);
  if (where.address != null && error.address === null) show(error, 'address', where.address);
}

/**
 * Adds to the stack of an error that was made in an event of a socket or timer the lines of whoever waits for it: called from
 * an async function, in the `catch` behind an `await`. Does nothing where they are there.
 *
 * @internal
 */
export function addCallers(error: unknown): void {
  if (!(error instanceof HTTPError) || typeof error.stack !== 'string') return;
  // Not in every runtime: stacks are then as they are.
  if (typeof Error.captureStackTrace !== 'function') return;
  const here: { stack?: string } = {};
  Error.captureStackTrace(here, addCallers);
  // A program may have stacks prepared as something else.
  if (typeof here.stack !== 'string') return;
  const known = new Set(error.stack.split('\n'));
  const callers = here.stack.split('\n').slice(1);
  const missing = callers.filter((line) => !known.has(line));
  // Where the last of them is known, this error was made below the same callers: only the inner lines differ.
  const last = callers.at(-1);
  if (last === undefined || known.has(last)) return;
  error.stack = [error.stack, ...missing].join('\n');
}

/** The name stands on the prototype, as a constant text: a bundler that renames classes must not rename errors. */
function name(errorClass: { readonly prototype: Error }, value: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value, writable: true, configurable: true });
}

/** A property that is there for code but not printed: inspecting an error must not print a pool and its options. */
function hide(error: Error, property: string, value: unknown): void {
  Object.defineProperty(error, property, { value, enumerable: false, configurable: true });
}

/** A property that is printed: only where it says something. */
function show(error: Error, property: string, value: unknown): void {
  Object.defineProperty(error, property, { value, enumerable: true, configurable: true });
}

function ownValue(error: Error, property: string): unknown {
  return Object.getOwnPropertyDescriptor(error, property)?.value;
}

/** Node's errors have an `address` too, without its port. */
function ownValueOfOurs(error: Error, property: string): unknown {
  return error instanceof HTTPError ? ownValue(error, property) : undefined;
}

/** What the nearest cause answers, if any does. */
function ofCauses<T>(error: Error, ask: (cause: Error) => T | undefined): T | undefined {
  let cause: unknown = error.cause;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    const answer = ask(cause);
    if (answer !== undefined) return answer;
    cause = cause.cause;
  }
  return undefined;
}

/** What an error has beside what all have. */
function details(error: HTTPError): Omit<ErrorJSON, keyof CauseJSON> {
  const { phase, address } = error;
  const where = { phase, address };
  if (error instanceof ProxyError) return { ...where, status: error.status };
  if (error instanceof DeadlineExceededError) return { ...where, deadline: error.deadline, bill: error.bill };
  if (error instanceof MaxRetryError) return { ...where, url: error.url, attempts: error.attempts.map(attemptJSON) };
  return error instanceof RequestError ? { ...where, url: error.url } : where;
}

function isA(value: unknown, errorClass: ErrorClass): boolean {
  return (
    typeof value === 'object' && value !== null && Object.prototype.isPrototypeOf.call(errorClass.prototype, value)
  );
}

function isOrExtends(errorClass: ErrorClass, base: ErrorClass): boolean {
  return errorClass === base || Object.prototype.isPrototypeOf.call(base.prototype, errorClass.prototype);
}
