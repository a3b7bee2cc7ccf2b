/**
 * Shortcuts for the head of a request, and putting a file-like body back to where it began (reference: "urllib3.util.request").
 *
 * What these functions return is for the caller to send: every character that could end a field line is refused here already.
 * Which bodies can be sent again, and when, is decided in body/content.ts.
 */
import { supportedCodings } from '../coding/codings.js';
import { UnrewindableBodyError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { isFieldValue } from '../http1/grammar.js';

/** What {@link makeHeaders} takes. */
export interface MakeHeadersOptions {
  /** Adds `connection: keep-alive`. */
  readonly keepAlive?: boolean | null;
  /** true: every content coding that this process can decode; a list is joined by commas; a string is used as it is. */
  readonly acceptEncoding?: boolean | string | readonly string[] | null;
  /** Adds `user-agent`. */
  readonly userAgent?: string | null;
  /** `user:password` for `authorization: Basic ...`. Latin-1 where it can be, as in the reference; else UTF-8 (RFC 7617 section 2.1). */
  readonly basicAuth?: string | null;
  /** `user:password` for `proxy-authorization: Basic ...`, encoded like `basicAuth`. */
  readonly proxyBasicAuth?: string | null;
  /** Adds `cache-control: no-cache`. */
  readonly disableCache?: boolean | null;
}

const CONTROL = /[\u0000-\u001f\u007f]/;
const BEYOND_LATIN_1 = /[^\u0000-\u00ff]/;

/**
 * A plain object of request headers, with lower-case names.
 *
 * @example
 * ```ts
 * makeHeaders({ keepAlive: true, userAgent: 'Batman/1.0' });
 * // { connection: 'keep-alive', 'user-agent': 'Batman/1.0' }
 * ```
 *
 * @throws TypeError for a value that is not text or holds a control character; the message never shows credentials
 * @see reference, "urllib3.util.request.make_headers"
 */
export function makeHeaders(options: MakeHeadersOptions = {}): Record<string, string> {
  // Own properties only: a polluted Object.prototype must not add credentials.
  const given: MakeHeadersOptions = Object.assign(Object.create(null), options);
  const headers: Record<string, string> = {};
  if (given.acceptEncoding) headers['accept-encoding'] = codingList(given.acceptEncoding);
  if (given.userAgent) headers['user-agent'] = fieldValue('userAgent', given.userAgent);
  if (given.keepAlive) headers.connection = 'keep-alive';
  if (given.basicAuth) headers.authorization = basic('basicAuth', given.basicAuth);
  if (given.proxyBasicAuth) headers['proxy-authorization'] = basic('proxyBasicAuth', given.proxyBasicAuth);
  if (given.disableCache) headers['cache-control'] = 'no-cache';
  return headers;
}

function codingList(acceptEncoding: true | string | readonly string[]): string {
  if (acceptEncoding === true) return supportedCodings().join(',');
  if (!Array.isArray(acceptEncoding)) return fieldValue('acceptEncoding', acceptEncoding);
  return Array.from(acceptEncoding, (coding: unknown) => fieldValue('acceptEncoding', coding)).join(',');
}

function fieldValue(option: string, value: unknown): string {
  if (typeof value === 'string' && isFieldValue(value)) return value;
  throw new TypeError(
    `Cannot use ${describe(value)} as ${option}: it must be a string of Latin-1 characters without control characters`,
  );
}

/** RFC 7617 section 2: neither user-id nor password may hold control characters. */
function basic(option: string, credentials: unknown): string {
  if (typeof credentials !== 'string' || CONTROL.test(credentials)) {
    throw new TypeError(
      `Cannot use the ${option} given: it must be a string "user:password" without control characters`,
    );
  }
  const charset = BEYOND_LATIN_1.test(credentials) ? 'utf8' : 'latin1';
  return `Basic ${Buffer.from(credentials, charset).toString('base64')}`;
}

/** Stands for a position that could not be recorded: sending the body again must fail, and only then. */
export const FAILED_TELL: unique symbol = Symbol('urllib3.failedTell');

/** Where a body began, for {@link rewindBody}. */
export type BodyPosition = number | typeof FAILED_TELL;

/**
 * Moves `body` to `pos` where one is given; else records where it stands, for later.
 *
 * @returns the position; {@link FAILED_TELL} where `tell()` fails; null where there is nothing to record
 * @throws what {@link rewindBody} throws, where `pos` is given
 */
export async function setFilePosition(body: unknown, pos?: BodyPosition | null): Promise<BodyPosition | null> {
  if (pos !== undefined && pos !== null) {
    await rewindBody(body, pos);
    return pos;
  }
  const tell = method(body, 'tell');
  if (tell === undefined) return null;
  try {
    const position: unknown = await tell();
    return isPosition(position) ? position : FAILED_TELL;
  } catch {
    return FAILED_TELL;
  }
}

/**
 * Moves `body` back to a position that {@link setFilePosition} gave, for a redirect or a retry.
 *
 * @throws {@link UnrewindableBodyError} when the position could not be recorded, or the body has no `seek()` or it fails
 * @throws TypeError for any other `bodyPos` that is not an integer
 */
export async function rewindBody(body: unknown, bodyPos: BodyPosition | null): Promise<void> {
  if (bodyPos === FAILED_TELL) {
    throw new UnrewindableBodyError(
      'Unable to record the position of the body, so it cannot be rewound for a redirect or retry',
    );
  }
  if (!isPosition(bodyPos)) {
    throw new TypeError(`Cannot rewind the body to ${describe(bodyPos)}: bodyPos must be an integer >= 0`);
  }
  const seek = method(body, 'seek');
  if (seek === undefined) {
    throw new UnrewindableBodyError('Cannot rewind the body for a redirect or retry: it has no seek()');
  }
  try {
    await seek(bodyPos);
  } catch (cause) {
    throw new UnrewindableBodyError('An error occurred when rewinding the body for a redirect or retry', { cause });
  }
}

function isPosition(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function method(body: unknown, name: string): ((...args: unknown[]) => unknown) | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const found: unknown = Reflect.get(body, name);
  if (typeof found !== 'function') return undefined;
  return (...args) => Reflect.apply(found, body, args);
}
