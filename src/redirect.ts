/**
 * What a redirect makes of a request: method, fields and content of the next hop (RFC 9110 section 15.4).
 *
 * The pool and the manager both follow redirects, and both take the step here. As in the reference only 303 changes the
 * method; fields are stripped in every spelling and every copy when the next hop is another origin.
 */
import { type BodySource, NO_BODY } from './body/source.js';
import { asciiLowerCase } from './headers.js';
import type { FieldLine } from './http1/request-head.js';

/** The part of a request that a redirect can change. */
export interface RedirectedRequest {
  readonly method: string;
  readonly lines: readonly FieldLine[];
  readonly body: BodySource;
}

/** Fields that say something of content, and must not stay when it goes. */
const CONTENT_FIELDS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
  'content-length',
  'digest',
  'expect',
  'last-modified',
  'transfer-encoding',
]);

/**
 * @param isSameOrigin - whether scheme, host and port stay
 * @param removed - names of fields that another origin must not see
 */
export function redirectedRequest(
  request: RedirectedRequest,
  status: number,
  isSameOrigin: boolean,
  removed: ReadonlySet<string>,
): RedirectedRequest {
  let { method, lines, body } = request;
  if (status === 303) {
    if (method !== 'HEAD') method = 'GET';
    body = NO_BODY;
    lines = lines.filter(([name]) => !CONTENT_FIELDS.has(asciiLowerCase(name)));
  }
  if (!isSameOrigin) {
    const names = new Set([...removed].map(asciiLowerCase)).add('host');
    lines = lines.filter(([name]) => !names.has(asciiLowerCase(name)));
  }
  return { method, lines, body };
}
