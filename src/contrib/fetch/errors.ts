/**
 * What a `fetch` reports, as the errors of this library: the only place that translates.
 *
 * Fetch says little: a TypeError for everything that goes wrong in the network. Node's, Deno's and Bun's hang a cause on it, whose
 * code tells more; those of browsers do not. What cannot be told apart is a ProtocolError, so that only methods that may be
 * repeated are tried again. What ended because we ended it (timeouts, aborts) never comes here: exchange.ts knows why.
 */
import {
  ConnectTimeoutError,
  DecodeError,
  HTTPError,
  HTTPWarning,
  IncompleteRead,
  NameResolutionError,
  NewConnectionError,
  type PoolDescription,
  ProtocolError,
  ReadTimeoutError,
  SSLError,
} from '../../exceptions.js';

/** What was asked for cannot be done over the `fetch` of this runtime. */
export class FetchPlatformError extends HTTPError {
  static {
    name(FetchPlatformError, 'FetchPlatformError');
  }
}

/** The `fetch` of this runtime does something in another way than was asked for, or not at all. */
export class FetchPlatformWarning extends HTTPWarning {
  static {
    name(FetchPlatformWarning, 'FetchPlatformWarning');
  }
}

/** The request that failed, for messages. */
export interface Asked {
  readonly pool: PoolDescription;
  /** As the request line has it. */
  readonly target: string;
  readonly host: string;
}

/** Of the system's resolver, and of c-ares. */
const RESOLVE_CODES: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EAI_FAIL', 'ENODATA']);

/** Of connect(2), and `ConnectionRefused` and the like of Bun. */
const CONNECT_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
  'ConnectionRefused',
  'FailedToOpenSocket',
]);

const CONNECT_TIMEOUT_CODES: ReadonlySet<string> = new Set(['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT']);
const READ_TIMEOUT_CODES: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** OpenSSL's verdicts on certificates, as Node names them, and what breaks a handshake. */
const TLS_CODE =
  /^(?:CERT_|CRL_|ERR_TLS_|ERR_SSL_|EPROTO$|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERROR_IN_CERT_|HOSTNAME_MISMATCH$|INVALID_CA$|PATH_LENGTH_|INVALID_PURPOSE$)/;

/** zlib's, and those of its brotli and zstd. */
const DECODE_CODE = /^(?:Z_|ERR__ERROR_|ERR_BROTLI|ERR_ZSTD|ZSTD_error_)/;

/** How deep a cause may lie. */
const MAX_CAUSES = 8;

/** Why there is no response. */
export function exchangeError(error: unknown, asked: Asked): HTTPError {
  const { pool, target, host } = asked;
  const { code, message, wasSecure } = innermost(error);
  const options = { cause: error };
  if (wasSecure) return new SSLError(message, { ...options, phase: 'tls' });
  if (RESOLVE_CODES.has(code)) return new NameResolutionError(host, pool, { ...options, phase: 'resolve' });
  if (CONNECT_CODES.has(code)) {
    const text = `Failed to establish a new connection: ${message}`;
    return new NewConnectionError(pool, text, { ...options, phase: 'connect' });
  }
  if (CONNECT_TIMEOUT_CODES.has(code)) {
    return new ConnectTimeoutError(pool, `Connection to ${host} timed out: ${message}`, {
      ...options,
      phase: 'connect',
    });
  }
  if (READ_TIMEOUT_CODES.has(code)) return new ReadTimeoutError(pool, target, `Read timed out: ${message}`, options);
  return new ProtocolError(`Connection aborted. ${message}`, options);
}

/**
 * Why content broke off.
 *
 * @param partial - bytes that had come
 * @param expected - bytes that were still to come; null if that is not known
 */
export function contentError(error: unknown, asked: Asked, partial: number, expected: number | null): HTTPError {
  const { code, message } = innermost(error);
  const options = { cause: error };
  if (DECODE_CODE.test(code)) return new DecodeError(`Cannot decode the content: ${message}`, options);
  if (READ_TIMEOUT_CODES.has(code)) {
    return new ReadTimeoutError(asked.pool, asked.target, `Read timed out: ${message}`, options);
  }
  // A peer that resets, or breaks the protocol, as against one that just ends.
  if (code !== '' && code !== 'UND_ERR_SOCKET') return new ProtocolError(`Connection broken: ${message}`, options);
  return incomplete(partial, expected, error);
}

/** Content that ended before its announced length. */
export function incomplete(partial: number, expected: number | null, error?: unknown): ProtocolError {
  const cause = new IncompleteRead(partial, expected, error === undefined ? {} : { cause: error });
  return new ProtocolError(`Connection broken: ${cause.message}`, { cause });
}

interface Innermost {
  /** Of the deepest cause that has one, '' if none has. */
  readonly code: string;
  /** Of that cause, or of the deepest. */
  readonly message: string;
  readonly wasSecure: boolean;
}

function innermost(error: unknown): Innermost {
  let code = '';
  let message = String(error);
  let cause: unknown = error;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    const own = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
    // An AggregateError of several addresses has a code, and no text of its own.
    if (own !== '' || code === '') message = cause.message === '' ? own : cause.message;
    if (own !== '') code = own;
    cause = cause.cause;
  }
  return { code, message, wasSecure: TLS_CODE.test(code) };
}

/** As in exceptions.ts: on the prototype, and safe from a bundler that renames classes. */
function name(errorClass: { readonly prototype: Error }, value: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value, writable: true, configurable: true });
}
