/**
 * The head of a request as one latin1 string, and how its content will be framed (RFC 9112 sections 3 and 6).
 *
 * The string that is checked is the string that is written: a code point over U+00FF would lose its high byte on the way
 * and U+010D U+010A arrive as CR LF, so nothing is encoded after the check. Field names and order go out as given; exactly
 * one Host and one framing field are there, whatever the caller gave.
 */
import { InvalidHeader } from '../exceptions.js';
import { describe, excerpt } from '../excerpt.js';
import { VERSION } from '../version.js';
import {
  equalsIgnoringCase,
  isFieldValue,
  isRequestTarget,
  isToken,
  listMembers,
  withoutOuterBlanks,
} from './grammar.js';

/** One field line: its name and its value. */
export type FieldLine = readonly [name: string, value: string];

/** How a request's content is delimited; 'length' with 0 is written too, for methods that expect content. */
export type RequestFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' };

export const USER_AGENT = `urllib3-node/${VERSION}`;

/** Methods whose request is told to be empty when it is (RFC 9110 section 8.6): servers answer 411 to a POST without. */
const METHODS_EXPECTING_CONTENT: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

const NO_CONTENT: RequestFraming = Object.freeze({ kind: 'none' });
const EMPTY_CONTENT: RequestFraming = Object.freeze({ kind: 'length', length: 0 });
const CHUNKED: RequestFraming = Object.freeze({ kind: 'chunked' });

const ONLY_DIGITS = /^[0-9]+$/;

/** Found without looking at their letters, for they are nearly all there are. */
const USUAL_METHODS: ReadonlySet<unknown> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
]);

/** @throws TypeError if it is no token: checked before any I/O, for it is written as it is */
export function checkMethod(method: unknown): asserts method is string {
  if (USUAL_METHODS.has(method) || (typeof method === 'string' && isToken(method))) return;
  throw new TypeError(`Cannot use method ${describe(method)}: it must be a token such as "GET" (RFC 9110 section 9.1)`);
}

/** @throws TypeError if it holds anything but visible ASCII */
export function checkTarget(target: string): void {
  if (isRequestTarget(target)) return;
  throw new TypeError(`Cannot use request target ${excerpt(target)}: it must be visible ASCII, percent-encoded`);
}

/**
 * Checks the caller's field lines, with outer blanks trimmed from the values.
 *
 * @throws InvalidHeader naming the field, not the value: that may be a secret
 */
export function checkFieldLines(lines: readonly FieldLine[]): readonly FieldLine[] {
  if (lines.length === 0) return lines;
  let hosts = 0;
  const checked = lines.map(([name, value]): FieldLine => {
    if (!isToken(name)) throw new InvalidHeader(`Cannot use header name ${excerpt(name)}: it must be a token`);
    if (!isFieldValue(value)) {
      const wanted = 'it may hold visible characters up to U+00FF, blanks and tabs, and no CR, LF or NUL';
      throw new InvalidHeader(`Cannot use the value of header ${excerpt(name)}: ${wanted}`);
    }
    if (equalsIgnoringCase(name, 'host') && /[\t ]/.test(withoutOuterBlanks(value))) {
      throw new InvalidHeader(
        `Cannot use Host ${excerpt(value)}: a host and port hold no blank (RFC 9110 section 7.2)`,
      );
    }
    if (equalsIgnoringCase(name, 'host') && ++hosts > 1) {
      throw new InvalidHeader('Cannot use two Host headers: a request has exactly one (RFC 9112 section 3.2)');
    }
    return [name, withoutOuterBlanks(value)];
  });
  return checked;
}

/** Whether a request says that it is the last on its connection (RFC 9112 section 9.6). */
export function asksToClose(lines: readonly FieldLine[]): boolean {
  return lines.some(
    ([name, value]) =>
      equalsIgnoringCase(name, 'connection') &&
      listMembers(value).some((option) => equalsIgnoringCase(option, 'close')),
  );
}

/**
 * Decides how the content is framed, from what is known of it and what the caller's fields say of it.
 *
 * @param length - of the content in bytes; null if not known before it is sent; undefined if there is none
 * @throws InvalidHeader if the caller's Content-Length or Transfer-Encoding contradict each other or the content
 */
export function requestFraming(
  method: string,
  lines: readonly FieldLine[],
  length: number | null | undefined,
  chunkedWanted: boolean,
): RequestFraming {
  const given = givenFraming(lines);
  if (given === 'chunked' || (chunkedWanted && length !== undefined)) {
    if (typeof given === 'number') refuseFraming('Content-Length and chunked coding exclude each other');
    return length === undefined ? refuseFraming('Transfer-Encoding was given and there is no body') : CHUNKED;
  }
  if (given !== null) {
    if (length === undefined && given !== 0) refuseFraming(`Content-Length is ${given} and there is no body`);
    if (typeof length === 'number' && length !== given) {
      refuseFraming(`Content-Length is ${given} and the body has ${length} bytes`);
    }
    return { kind: 'length', length: given };
  }
  if (length === undefined) return METHODS_EXPECTING_CONTENT.has(method) ? EMPTY_CONTENT : NO_CONTENT;
  return length === null ? CHUNKED : { kind: 'length', length };
}

/**
 * Everything of a head that is the same for all requests of an origin that bring no fields of their own.
 *
 * @param host - the value of Host
 */
export function defaultHeadTail(host: string): string {
  return ` HTTP/1.1\r\nHost: ${host}\r\nAccept-Encoding: identity\r\nUser-Agent: ${USER_AGENT}\r\n\r\n`;
}

/**
 * Writes a head. All parts are checked already.
 *
 * @param contentType - the body's own type, used if the caller gave none
 */
export function renderHead(
  method: string,
  target: string,
  host: string,
  lines: readonly FieldLine[],
  framing: RequestFraming,
  contentType: string | null,
): string {
  let hasHost = false;
  let hasAcceptEncoding = false;
  let hasUserAgent = false;
  let hasContentType = contentType === null;
  let given = '';
  for (const [name, value] of lines) {
    switch (name.length) {
      case 4:
        if (equalsIgnoringCase(name, 'host')) hasHost = true;
        break;
      case 10:
        hasUserAgent ||= equalsIgnoringCase(name, 'user-agent');
        break;
      case 12:
        hasContentType ||= equalsIgnoringCase(name, 'content-type');
        break;
      case 14:
        if (equalsIgnoringCase(name, 'content-length')) continue;
        break;
      case 15:
        hasAcceptEncoding ||= equalsIgnoringCase(name, 'accept-encoding');
        break;
      case 17:
        if (equalsIgnoringCase(name, 'transfer-encoding')) continue;
        break;
      default:
    }
    given += `${name}: ${value}\r\n`;
  }
  let head = `${method} ${target} HTTP/1.1\r\n`;
  if (!hasHost) head += `Host: ${host}\r\n`;
  if (!hasAcceptEncoding) head += 'Accept-Encoding: identity\r\n';
  if (!hasUserAgent) head += `User-Agent: ${USER_AGENT}\r\n`;
  if (framing.kind === 'length') head += `Content-Length: ${framing.length}\r\n`;
  else if (framing.kind === 'chunked') head += 'Transfer-Encoding: chunked\r\n';
  if (!hasContentType) head += `Content-Type: ${contentType}\r\n`;
  return `${head}${given}\r\n`;
}

/** What the caller's own framing fields say: a length, chunked, or nothing. */
function givenFraming(lines: readonly FieldLine[]): number | 'chunked' | null {
  let given: number | 'chunked' | null = null;
  for (const [name, value] of lines) {
    if (equalsIgnoringCase(name, 'content-length')) {
      if (given !== null) refuseFraming('Content-Length was given next to another Content-Length or Transfer-Encoding');
      given = ONLY_DIGITS.test(value) ? Number(value) : Number.NaN;
      if (!Number.isSafeInteger(given)) refuseFraming(`Content-Length ${excerpt(value)} is not a number of bytes`);
    } else if (equalsIgnoringCase(name, 'transfer-encoding')) {
      if (given !== null)
        refuseFraming('Transfer-Encoding was given next to Content-Length or another Transfer-Encoding');
      if (!equalsIgnoringCase(value, 'chunked')) refuseFraming(`Transfer-Encoding ${excerpt(value)} is not "chunked"`);
      given = 'chunked';
    }
  }
  return given;
}

function refuseFraming(why: string): never {
  throw new InvalidHeader(`Cannot frame the request: ${why}`);
}
