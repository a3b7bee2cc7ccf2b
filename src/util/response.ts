/**
 * Questions about responses and what is like one (reference: "urllib3.util.response module").
 */
import { HeaderParsingError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { HTTPHeaderDict } from '../headers.js';
import { isFieldValue, isToken } from '../http1/grammar.js';

/** A part of a representation, as Content-Range says it (RFC 9110 section 14.4). */
export interface ContentRange {
  /** `bytes`, as a rule. */
  readonly unit: string;
  /** Position of the first byte; null if the range could not be given (status 416). */
  readonly start: number | null;
  /** Position of the last byte, included; null as `start`. */
  readonly end: number | null;
  /** Length of the whole; null if the server does not know it. */
  readonly size: number | null;
}

const CONTENT_RANGE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (?:([0-9]{1,16})-([0-9]{1,16})|\*)\/(?:([0-9]{1,16})|\*)$/;

/**
 * What a Content-Range field says; null if it does not follow the grammar or contradicts itself.
 *
 * @example
 * ```ts
 * parseContentRange('bytes 0-499/1234'); // { unit: 'bytes', start: 0, end: 499, size: 1234 }
 * ```
 */
export function parseContentRange(value: string): ContentRange | null {
  const match = CONTENT_RANGE.exec(value);
  if (match === null) return null;
  const [, unit = '', first, last, whole] = match;
  const start = first === undefined ? null : Number(first);
  const end = last === undefined ? null : Number(last);
  const size = whole === undefined ? null : Number(whole);
  const isBackwards = start !== null && end !== null && end < start;
  const isBeyond = end !== null && size !== null && end >= size;
  return isBackwards || isBeyond || (start === null && size === null) ? null : { unit, start, end, size };
}

/**
 * Whether a file-like object is closed: a response, a stream, or anything with `isClosed()`, `closed` or `destroyed`.
 *
 * @throws TypeError if it has none of them
 */
export function isFpClosed(obj: unknown): boolean {
  if (typeof obj === 'object' && obj !== null) {
    if ('isClosed' in obj && typeof obj.isClosed === 'function') return Boolean(obj.isClosed());
    if ('closed' in obj && typeof obj.closed === 'boolean') return obj.closed;
    if ('destroyed' in obj && typeof obj.destroyed === 'boolean') return obj.destroyed;
  }
  throw new TypeError(
    `Unable to determine whether ${describe(obj)} is closed: it has no isClosed(), closed or destroyed`,
  );
}

/** Whether a response answers a HEAD request, so that its fields speak of content that is not there. */
export function isResponseToHead(response: { readonly requestMethod: string | null }): boolean {
  return response.requestMethod === 'HEAD';
}

/**
 * Makes sure that headers are well-formed. Those of a response are, or it would not be there; others may not be.
 *
 * @throws TypeError for what is no dictionary of headers, {@link HeaderParsingError} with the names of the fields at fault
 */
export function assertHeaderParsing(headers: HTTPHeaderDict): void {
  if (!(headers instanceof HTTPHeaderDict)) {
    throw new TypeError(`Cannot check ${describe(headers)}: expected an HTTPHeaderDict`);
  }
  const defects = [...headers.iteritems()].filter(([name, value]) => !isToken(name) || !isFieldValue(value));
  if (defects.length > 0) {
    throw new HeaderParsingError(
      defects.map(([name]) => name),
      null,
    );
  }
}
