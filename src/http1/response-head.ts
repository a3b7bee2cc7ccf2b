/**
 * What the head of a response means: version, status, how its content is framed and whether its connection may be used again
 * (RFC 9112 sections 4, 6.3 and 9.3).
 *
 * Everything that decides is read here, eagerly, from the very text that the header dictionary is later made of, so that the
 * two can never disagree. The branches of `responseFraming` stand in the RFC's order and carry its numbers; where we are
 * stricter (any doubt is an error), the branch says so.
 */
import { InvalidHeader, ProtocolError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { equalsIgnoringCase, listMembers, matchesAt, withoutOuterBlanks } from './grammar.js';
import type { ScannedSection } from './head-scanner.js';

/** How the content of a response is delimited on the wire (RFC 9112 section 6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close-delimited' };

export interface ResponseHead {
  /** 10 or 11: HTTP/1.0 or HTTP/1.1. */
  readonly version: 10 | 11;
  readonly status: number;
  readonly reason: string;
  /** The field lines as they came, each with its CRLF, in latin1. */
  readonly fieldSection: string;
  readonly framing: Framing;
  /** Whether the peer leaves the connection open for another request. */
  readonly persistent: boolean;
  /** Seconds for which the peer says it will keep an idle connection (`Keep-Alive: timeout=`). */
  readonly keepAliveSeconds: number | undefined;
  readonly contentEncoding: string | undefined;
}

const NO_CONTENT: Framing = Object.freeze({ kind: 'none' });
const CHUNKED: Framing = Object.freeze({ kind: 'chunked' });
const CLOSE_DELIMITED: Framing = Object.freeze({ kind: 'close-delimited' });

const ONLY_DIGITS = /^[0-9]+$/;
const KEEP_ALIVE_TIMEOUT = /^timeout=([0-9]{1,9})$/i;

/** The values of the fields that say how a message ends, several lines of a name joined as one list. */
interface FramingFields {
  contentLength: string | undefined;
  transferEncoding: string | undefined;
  connection: string | undefined;
  keepAlive: string | undefined;
  contentEncoding: string | undefined;
}

/**
 * Gives a scanned head its meaning.
 *
 * @param method - of the request that it answers: a HEAD's response has no content
 * @throws ProtocolError when two readings of its framing are possible
 */
export function interpretHead(section: ScannedSection, method: string): ResponseHead {
  const { text, fieldsStart } = section;
  const status = digitAt(text, 9) * 100 + digitAt(text, 10) * 10 + digitAt(text, 11);
  const version = digitAt(text, 7) === 1 ? 11 : 10;
  const fields = framingFields(section);
  const framing = responseFraming(method, status, version, fields);
  return {
    version,
    status,
    reason: fieldsStart > 15 ? text.slice(13, fieldsStart - 2) : '',
    fieldSection: text.slice(fieldsStart, -2),
    framing,
    persistent:
      framing.kind !== 'close-delimited' && !isTunnel(method, status) && isPersistent(version, fields.connection),
    keepAliveSeconds: fields.keepAlive === undefined ? undefined : keepAliveTimeout(fields.keepAlive),
    contentEncoding: fields.contentEncoding,
  };
}

/** Names are told apart by their lengths first: of a usual head, few lines come to the comparison. */
function framingFields(section: ScannedSection): FramingFields {
  const fields: FramingFields = {
    contentLength: undefined,
    transferEncoding: undefined,
    connection: undefined,
    keepAlive: undefined,
    contentEncoding: undefined,
  };
  const { text, lines, lineCount } = section;
  for (let line = 0; line < lineCount; line++) {
    const start = lines[line * 3] as number; // the scanner wrote three numbers for each of lineCount lines
    const colon = lines[line * 3 + 1] as number;
    switch (colon - start) {
      case 10:
        if (matchesAt(text, start, 'connection')) fields.connection = joined(fields.connection, section, line);
        else if (matchesAt(text, start, 'keep-alive')) fields.keepAlive = joined(fields.keepAlive, section, line);
        break;
      case 14:
        if (matchesAt(text, start, 'content-length'))
          fields.contentLength = joined(fields.contentLength, section, line);
        break;
      case 16:
        if (matchesAt(text, start, 'content-encoding')) {
          fields.contentEncoding = joined(fields.contentEncoding, section, line);
        }
        break;
      case 17:
        if (matchesAt(text, start, 'transfer-encoding')) {
          fields.transferEncoding = joined(fields.transferEncoding, section, line);
        }
        break;
      default:
    }
  }
  return fields;
}

function joined(former: string | undefined, section: ScannedSection, line: number): string {
  const { text, lines } = section;
  const value = withoutOuterBlanks(text.slice((lines[line * 3 + 1] as number) + 1, lines[line * 3 + 2])); // as above
  return former === undefined ? value : `${former},${value}`;
}

/** RFC 9112 section 6.3, by its numbers. */
function responseFraming(method: string, status: number, version: 10 | 11, fields: FramingFields): Framing {
  // 2, and before all others: of a tunnel these fields say nothing, so that there is nothing in them to doubt.
  if (isTunnel(method, status)) return NO_CONTENT;
  const { contentLength, transferEncoding } = fields;
  // Stricter than 3 and 4: both fields, or a faulty one, are refused even where the message has no content.
  if (transferEncoding !== undefined) {
    if (contentLength !== undefined) refuse('both Transfer-Encoding and Content-Length are there');
    if (version === 10) refuse('Transfer-Encoding in an HTTP/1.0 response');
    if (!equalsIgnoringCase(transferEncoding, 'chunked')) {
      refuse(`Transfer-Encoding is ${excerpt(transferEncoding)}, and only a single "chunked" is understood`);
    }
  }
  const length = contentLength === undefined ? undefined : parseContentLength(contentLength);
  // 1
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NO_CONTENT;
  // 4
  if (transferEncoding !== undefined) return CHUNKED;
  // 5, 6
  if (length !== undefined) return length === 0 ? NO_CONTENT : { kind: 'length', length };
  // 8
  return CLOSE_DELIMITED;
}

/** Whether all that follows the head is another protocol's, so that no response follows on the connection. */
function isTunnel(method: string, status: number): boolean {
  return method === 'CONNECT' && status >= 200 && status < 300;
}

/** A list of equal lengths counts as one (RFC 9112 section 6.3, number 5). `Number()` alone would take "+5", "0x5", "". */
function parseContentLength(value: string): number {
  const digits = ONLY_DIGITS.test(value) ? value : onlyMember(value);
  const length = Number(digits);
  if (!Number.isSafeInteger(length)) refuse(`Content-Length ${excerpt(value)} is too large`);
  return length;
}

function onlyMember(value: string): string {
  const members = value.split(',').map(withoutOuterBlanks);
  const [first] = members;
  const isOneLength = first !== undefined && ONLY_DIGITS.test(first) && members.every((member) => member === first);
  return isOneLength ? first : refuse(`Content-Length is ${excerpt(value)}`);
}

function isPersistent(version: 10 | 11, connection: string | undefined): boolean {
  if (connection === undefined) return version === 11;
  if (equalsIgnoringCase(connection, 'keep-alive')) return true;
  const options = listMembers(connection);
  if (options.some((option) => equalsIgnoringCase(option, 'close'))) return false;
  return version === 11 || options.some((option) => equalsIgnoringCase(option, 'keep-alive'));
}

function keepAliveTimeout(value: string): number | undefined {
  for (const parameter of listMembers(value)) {
    const seconds = KEEP_ALIVE_TIMEOUT.exec(parameter)?.[1];
    if (seconds !== undefined) return Number(seconds);
  }
  return undefined;
}

function digitAt(text: string, index: number): number {
  return text.charCodeAt(index) - 0x30;
}

function refuse(why: string): never {
  const cause = new InvalidHeader(why);
  throw new ProtocolError(`Ambiguous framing of the response: ${why}`, { cause });
}
