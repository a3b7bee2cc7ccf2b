/**
 * What can go wrong with URLFetch, by the numbers of its protocol, and the error of this library that each number means.
 *
 * A call fails in one of two layers, with numbers of their own: URLFetch could not fetch (its ErrorCode), or the platform
 * did not carry out the call (RpcError). A transport raises {@link URLFetchError} with the number; {@link translated} is the
 * one place that turns it into what callers know from sockets. Texts that the platform sends along decide nothing.
 */
import {
  HTTPError,
  type HTTPErrorOptions,
  HTTPWarning,
  MaxRetryError,
  type PoolDescription,
  ProtocolError,
  SSLError,
  TimeoutError,
} from '../../exceptions.js';
import { excerpt } from '../../excerpt.js';

/**
 * The platform cannot do what was asked: URLFetch is not there, or a request is beyond its limits.
 *
 * @see Google App Engine, "Limits"
 */
export class AppEnginePlatformError extends HTTPError {
  static {
    name(AppEnginePlatformError, 'AppEnginePlatformError');
  }
}

/** Something was asked for that URLFetch does less well, or not at all; the request is made nevertheless. */
export class AppEnginePlatformWarning extends HTTPWarning {
  static {
    name(AppEnginePlatformWarning, 'AppEnginePlatformWarning');
  }
}

/** Which numbers an {@link URLFetchError} counts in: those of URLFetch, or those of the call to it. */
export type URLFetchErrorLayer = 'urlfetch' | 'rpc';

type Meaning =
  | 'protocol'
  | 'request-too-large'
  | 'response-too-large'
  | 'timeout'
  | 'tls'
  | 'too-many-redirects'
  | 'unavailable';

type Code = readonly [name: string, meaning: Meaning];

const URLFETCH_CODES: ReadonlyMap<number, Code> = new Map([
  [1, ['INVALID_URL', 'protocol']],
  [2, ['FETCH_ERROR', 'protocol']],
  [3, ['UNSPECIFIED_ERROR', 'protocol']],
  [4, ['RESPONSE_TOO_LARGE', 'response-too-large']],
  [5, ['DEADLINE_EXCEEDED', 'timeout']],
  [6, ['SSL_CERTIFICATE_ERROR', 'tls']],
  [7, ['DNS_ERROR', 'protocol']],
  [8, ['CLOSED', 'protocol']],
  [9, ['INTERNAL_TRANSIENT_ERROR', 'protocol']],
  [10, ['TOO_MANY_REDIRECTS', 'too-many-redirects']],
  [11, ['MALFORMED_REPLY', 'protocol']],
  [12, ['CONNECTION_ERROR', 'protocol']],
  [13, ['PAYLOAD_TOO_LARGE', 'request-too-large']],
]);

const RPC_CODES: ReadonlyMap<number, Code> = new Map([
  [0, ['UNKNOWN', 'protocol']],
  [1, ['CALL_NOT_FOUND', 'unavailable']],
  [2, ['PARSE_ERROR', 'protocol']],
  [3, ['SECURITY_VIOLATION', 'unavailable']],
  [4, ['OVER_QUOTA', 'unavailable']],
  [5, ['REQUEST_TOO_LARGE', 'request-too-large']],
  [6, ['CAPABILITY_DISABLED', 'unavailable']],
  [7, ['FEATURE_DISABLED', 'unavailable']],
  [8, ['BAD_REQUEST', 'protocol']],
  [9, ['RESPONSE_TOO_LARGE', 'response-too-large']],
  [10, ['CANCELLED', 'protocol']],
  [11, ['REPLAY_ERROR', 'protocol']],
  [12, ['DEADLINE_EXCEEDED', 'timeout']],
]);

/** The numbers of a response that is longer than can be taken, in either layer. */
export const URLFETCH_RESPONSE_TOO_LARGE = 4;
export const RPC_RESPONSE_TOO_LARGE = 9;

/**
 * What a {@link URLFetch} raises: the number by which the platform says what went wrong. From a request it comes as the
 * `cause` of the error that the number means.
 */
export class URLFetchError extends HTTPError {
  static {
    name(URLFetchError, 'URLFetchError');
  }

  readonly layer: URLFetchErrorLayer;
  /** `ErrorCode` of URLFetch, or `RpcError.ErrorCode`. */
  readonly errorCode: number;
  /** What the platform says of it, unchanged. */
  readonly detail: string;

  constructor(layer: URLFetchErrorLayer, errorCode: number, detail = '', options: HTTPErrorOptions = {}) {
    const [known] = codeOf(layer, errorCode) ?? ['an unknown code'];
    const more = detail === '' ? '' : `: ${excerpt(detail)}`;
    super(
      `${layer === 'urlfetch' ? 'URLFetch' : 'The call of URLFetch'} failed with ${known} (${errorCode})${more}`,
      options,
    );
    this.layer = layer;
    this.errorCode = errorCode;
    this.detail = detail;
  }
}

/** The error that an {@link URLFetchError} means to a caller; its cause is that one. */
export function translated(error: URLFetchError, manager: PoolDescription, url: string): HTTPError {
  const cause = { cause: error };
  const [, meaning] = codeOf(error.layer, error.errorCode) ?? ['', 'protocol'];
  switch (meaning) {
    case 'request-too-large':
      return new AppEnginePlatformError('The request is too large: URLFetch takes 10 MB', cause);
    case 'response-too-large':
      return new AppEnginePlatformError('The response is too large: URLFetch gives 32 MB', cause);
    case 'timeout':
      return new TimeoutError(`${manager}: ${error.message}`, cause);
    case 'tls':
      return new SSLError(error.message, cause);
    case 'too-many-redirects':
      return new MaxRetryError(manager, url, { reason: error });
    case 'unavailable':
      return new AppEnginePlatformError(error.message, cause);
    case 'protocol':
      return new ProtocolError(error.message, cause);
  }
}

function codeOf(layer: URLFetchErrorLayer, errorCode: number): Code | undefined {
  return (layer === 'urlfetch' ? URLFETCH_CODES : RPC_CODES).get(errorCode);
}

/** As in exceptions.ts: on the prototype, and safe from a bundler that renames classes. */
function name(errorClass: { readonly prototype: Error }, value: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value, writable: true, configurable: true });
}
