/**
 * What a redirect makes of a request: method, fields and content of the next hop (RFC 9110 section 15.4).
 *
 * The pool and the manager both follow redirects, and both take the step here. As in the reference only 303 changes the
 * method. What another origin is not told is a matter of policy: all but the fields known to be secret ('strip'), or
 * nothing but the fields known to be harmless ('safelist'); in every spelling and every copy, and never again on a later hop.
 */
import { type BodySource, NO_BODY } from './body/source.js';
import { describe } from './excerpt.js';
import { asciiLowerCase } from './headers.js';
import type { FieldLine } from './http1/request-head.js';

/** The part of a request that a redirect can change. */
export interface RedirectedRequest {
  readonly method: string;
  readonly lines: readonly FieldLine[];
  readonly body: BodySource;
}

/**
 * What goes along on a redirect to another origin: `'strip'` is every field but those of `removeHeadersOnRedirect`, as in the
 * reference; `'safelist'` is none of those either, and of the others only those that are known to be harmless.
 */
export type CrossOriginHeaders = 'strip' | 'safelist';

/** What a step depends on beside the request. */
export interface RedirectStep {
  /** Of the response that redirects. */
  readonly status: number;
  /** Whether scheme, host and port stay. */
  readonly isSameOrigin: boolean;
  /** Names of fields that another origin must not see. */
  readonly removed: ReadonlySet<string>;
  readonly crossOriginHeaders: CrossOriginHeaders;
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
 * What 'safelist' lets through: fields that say what the sender can take or what its content is, not who it is.
 *
 * Left out on purpose: From and Referer (who, and where from: RFC 9110 sections 10.1.2 and 10.1.3), Origin, Content-Location
 * (a URL), Via and Forwarded (the way inside the sender's network), and whatever no specification defines.
 */
const HARMLESS_FIELDS: ReadonlySet<string> = new Set([
  // What can be used (RFC 9110 section 12.5), in how much of a hurry (RFC 9218), and by what program (RFC 9110 section 10.1.5).
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'priority',
  'user-agent',
  // What the content is (RFC 9110 section 8; RFC 9530) and how it is framed: without these it would arrive as something else.
  // Where a 303 takes the content away, it has taken them, too.
  'content-type',
  'content-encoding',
  'content-language',
  'content-length',
  'content-digest',
  'repr-digest',
  'digest',
  'transfer-encoding',
  'trailer',
  'expect',
  // Which part of it (RFC 9110 section 14.2). It must not come without its If-Range, or parts of two versions are joined.
  'range',
  // Preconditions (RFC 9110 section 13.1): a PUT that has lost its If-Match would overwrite what it was to spare.
  // A validator names a version and gives no right to it.
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  // How old an answer may be (RFC 9111 section 5), and what this one connection is for (RFC 9110 sections 7.6.1 and 10.1.4).
  'cache-control',
  'pragma',
  'connection',
  'te',
  // The wish not to be tracked, which matters most towards third parties.
  'dnt',
  'sec-gpc',
]);

/** The request that follows one which was answered with a redirect. */
export function redirectedRequest(request: RedirectedRequest, step: RedirectStep): RedirectedRequest {
  let { method, lines, body } = request;
  if (step.status === 303) {
    if (method !== 'HEAD') method = 'GET';
    body = NO_BODY;
    lines = lines.filter(([name]) => !CONTENT_FIELDS.has(asciiLowerCase(name)));
  }
  return { method, lines: step.isSameOrigin ? lines : linesForOthers(lines, step), body };
}

/** The fields that another origin may see; Host is never among them, for it names the origin before. */
function linesForOthers(
  lines: readonly FieldLine[],
  { removed, crossOriginHeaders }: RedirectStep,
): readonly FieldLine[] {
  const withheld = new Set([...removed].map(asciiLowerCase)).add('host');
  return lines.filter(([spelling]) => {
    const name = asciiLowerCase(spelling);
    return !withheld.has(name) && (crossOriginHeaders === 'strip' || HARMLESS_FIELDS.has(name));
  });
}

/** @throws TypeError for what is no policy */
export function checkCrossOriginHeaders(value: unknown): CrossOriginHeaders {
  if (value === 'strip' || value === 'safelist') return value;
  throw new TypeError(`Cannot use crossOriginHeaders ${describe(value)}: it must be "strip" or "safelist"`);
}
