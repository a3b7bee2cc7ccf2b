/**
 * How text from outside (a peer, a caller) is shown in an error message: in quotes, escaped, on one line, cut.
 *
 * Log lines are built from messages, so a peer must not be able to forge one, colour a terminal or fill a disk.
 */

const MAX_SHOWN = 120;

/** The longest message of an error and the longest log line: room for a URL and two causes, none for a page. */
const MAX_LINE = 4_000;

/** Controls, the Unicode line ends, and the marks that turn the reading direction (Trojan Source, CVE-2021-42574). */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"\\\ud800-\udfff]/g;

/** The same for text that is shown without quotes, where a well-formed pair of surrogates is a character like others. */
const UNSAFE_IN_LINE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/gu;

/** The user-info of any URL that stands in a text: up to the last @ before the authority ends. */
const USERINFO = /(?<=\/\/)[^\s/?#"]*(?=@)/g;

/** The value of a query parameter that is named like a secret: `access_token`, `X-Amz-Signature`, `clientSecret`, `key`. */
const SECRET_PARAMETER =
  /(?<=[?&](?:[\w.-]*(?:pass(?:word|wd|phrase)|pwd|secret|token|signature|credentials?|api[_-]?key|access[_-]?key(?:id)?)|key|sig|auth|jwt|sid|session(?:id)?)=)[^&#\s"]+/gi;

/** `text` in double quotes, with everything escaped that could act on a log or a terminal, at most 120 characters. */
export function excerpt(text: string): string {
  const cut = text.length > MAX_SHOWN;
  const shown = (cut ? text.slice(0, MAX_SHOWN) : text).replace(UNSAFE, escapeUnit);
  return cut ? `"${shown}"... (${text.length} characters)` : `"${shown}"`;
}

/** A value of any type for a message about bad input: strings as {@link excerpt}, the rest by kind and short form. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return excerpt(value);
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'an array' : `an object (${constructorName(value)})`;
    default:
      return String(value);
  }
}

/**
 * A URL for a message, without its user-info: `http://user:pw@host/` becomes `http://***@host/`, with or without a scheme.
 * That of URLs inside it, as in a query, is cut as well.
 */
export function withoutUserinfo(url: string): string {
  const start = authorityStart(url);
  const end = url.slice(start).search(/[/?#]/);
  const authority = end < 0 ? url.slice(start) : url.slice(start, start + end);
  const rest = end < 0 ? '' : url.slice(start + end);
  const at = authority.lastIndexOf('@');
  const shown = at < 0 ? authority : `***${authority.slice(at)}`;
  return url.slice(0, start) + shown + rest.replace(USERINFO, '***');
}

/**
 * A URL for a message, without its user-info and without the values of query parameters that are named like secrets:
 * `/a?token=x&b=1` becomes `/a?token=***&b=1`. A name tells nobody anything, and signed URLs are credentials.
 */
export function withoutSecrets(url: string): string {
  return withoutUserinfo(url).replace(SECRET_PARAMETER, '***');
}

/**
 * The same as {@link withoutUserinfo} for text that is no URL, so that nobody knows where its authority ends: all before the last @ may be a secret,
 * as in `http://user:pass/word@host/`.
 */
export function withoutPossibleUserinfo(text: string): string {
  const at = text.lastIndexOf('@');
  return at < 0 ? text : `${text.slice(0, Math.min(authorityStart(text), at))}***${text.slice(at)}`;
}

/** Behind `scheme://` or `//`; else 0: what does not begin with a slash begins with its authority, a path has none at all. */
function authorityStart(url: string): number {
  return /^(?:[a-z][a-z0-9+.-]*:)?\/\//i.exec(url)?.[0].length ?? 0;
}

/**
 * A whole message: on one line, with everything escaped that could act on a log or a terminal, its URLs {@link withoutSecrets}, cut.
 *
 * Whoever puts peers' text or URLs into it has quoted and stripped them; this is for what nobody thought of, such as the
 * message of a foreign error. Takes linear time: no two matches can share a character.
 */
export function oneLine(text: string): string {
  // Cut last: half a URL has no @ to be known by.
  const line = text.replace(USERINFO, '***').replace(SECRET_PARAMETER, '***').replace(UNSAFE_IN_LINE, escapeUnit);
  return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}... (${text.length} characters)` : line;
}

function escapeUnit(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`;
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

function constructorName(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'Object';
}
