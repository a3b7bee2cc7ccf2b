/**
 * One field of a multipart form: its name, its data and its part headers (RFC 7578 section 4; reference: "urllib3.fields").
 *
 * Names and file names are written as browsers write them (WHATWG HTML, "multipart/form-data encoding algorithm"): UTF-8 with
 * `"`, CR and LF percent-encoded, so that none can end its quoted string, add a header or begin a part. Part headers are checked
 * where they are printed, on the very text that is sent. How parts become a body: filepost.ts.
 */
import { createRequire } from 'node:module';
import { extname } from 'node:path/posix';
import { blobType, isBlob, type RenewableContent } from './body/content.js';
import { describe } from './excerpt.js';
import { type HeadersInput, HTTPHeaderDict } from './headers.js';
import { isToken } from './http1/grammar.js';

/** What a field may hold: numbers and booleans as their text, else any content a body may have. */
export type FieldData = RenewableContent | number | bigint | boolean;

/** A file: [filename, data] or [filename, data, mimeType]; a filename of null leaves it out, a mimeType of null too. */
export type FileTuple =
  | readonly [filename: string | null | undefined, data: FieldData]
  | readonly [filename: string | null | undefined, data: FieldData, mimeType: string | null | undefined];

/** Writes one parameter of a part header, `name="value"`. */
export type HeaderFormatter = (name: string, value: string | Uint8Array) => string;

/** What the constructor of {@link RequestField} takes. */
export interface RequestFieldOptions {
  readonly filename?: string | null;
  /** Headers to begin with; `makeMultipart()` replaces Content-Disposition, Content-Type and Content-Location. */
  readonly headers?: HeadersInput | null;
  /** @defaultValue {@link formatHeaderParamHtml5} */
  readonly headerFormatter?: HeaderFormatter;
}

/** What `RequestField.fromTuples()` takes. */
export type FromTuplesOptions = Pick<RequestFieldOptions, 'headerFormatter'>;

/** What `makeMultipart()` takes; null, as absent, leaves the header out. */
export interface MakeMultipartOptions {
  /** @defaultValue 'form-data' */
  readonly contentDisposition?: string | null;
  readonly contentType?: string | null;
  readonly contentLocation?: string | null;
}

/** What {@link guessContentType} takes. */
export interface GuessContentTypeOptions {
  /** What to say of an unknown extension, or of none. @defaultValue 'application/octet-stream' */
  readonly default?: string;
}

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

/** What reads first is written first, as in the reference. */
const LEADING_HEADERS = ['Content-Disposition', 'Content-Type', 'Content-Location'] as const;

/** Everything that RFC 9110 section 5.5 keeps out of a field value. Beyond ASCII, part headers are UTF-8 (RFC 7578 section 5.1). */
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Whatever could end or cut a quoted string; of the other controls the reference's rule is kept, since no header may hold them. */
const NOT_IN_QUOTED_PARAM = /["\u0000-\u0008\u000a-\u001f\u007f]/g;
const NEEDS_RFC_2231 = /[^\x20-\x7e]|["\\]/;

/** type "/" subtype, then anything (RFC 9110 section 8.3.1). */
const MEDIA_TYPE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+[\t ]*(;.*)?$/;

/**
 * A field of a form, for `fields` or {@link encodeMultipartFormdata}.
 *
 * @example
 * ```ts
 * const field = new RequestField('report', 'a,b', { filename: 'r.csv', headers: { 'X-Part': '1' } });
 * field.makeMultipart({ contentType: 'text/csv' });
 * field.renderHeaders();
 * // 'Content-Disposition: form-data; name="report"; filename="r.csv"\r\nContent-Type: text/csv\r\nX-Part: 1\r\n\r\n'
 * ```
 *
 * @throws TypeError for a name or filename that is not a string
 */
export class RequestField {
  readonly name: string;
  readonly filename: string | null;
  /** The data of the field. */
  data: FieldData;
  /** The headers of its part; those with an empty value are not written. */
  readonly headers: HTTPHeaderDict;
  headerFormatter: HeaderFormatter;

  constructor(name: string, data: FieldData, options: RequestFieldOptions = {}) {
    const { filename, headers, headerFormatter }: RequestFieldOptions = Object.assign(Object.create(null), options);
    this.name = text('the name of a field', name);
    this.filename = filename === undefined || filename === null ? null : text('a filename', filename);
    this.data = data;
    this.headers = new HTTPHeaderDict(headers);
    this.headerFormatter = headerFormatter ?? formatHeaderParamHtml5;
  }

  /**
   * A field ready for a form, from data alone or a file tuple.
   *
   * The type of a file is the one given, else its Blob's, else guessed from the filename. A Blob that is not in a tuple is a file
   * too, named as it is named (File) or "blob", as in FormData.
   *
   * @throws TypeError for a tuple that is not [filename, data] or [filename, data, mimeType]
   */
  static fromTuples(fieldname: string, value: FieldData | FileTuple, options: FromTuplesOptions = {}): RequestField {
    const { headerFormatter = formatHeaderParamHtml5 }: FromTuplesOptions = Object.assign(Object.create(null), options);
    const { filename, data, contentType } = partOf(fieldname, value);
    const field = new RequestField(fieldname, data, { filename, headerFormatter });
    field.makeMultipart({ contentType });
    return field;
  }

  /** Sets Content-Disposition (with name and filename), Content-Type and Content-Location over what was there. */
  makeMultipart(options: MakeMultipartOptions = {}): void {
    const { contentDisposition, contentType, contentLocation }: MakeMultipartOptions = Object.assign(
      Object.create(null),
      options,
    );
    const parameters = [this.headerFormatter('name', this.name)];
    if (this.filename !== null) parameters.push(this.headerFormatter('filename', this.filename));
    this.headers.set('Content-Disposition', [contentDisposition || 'form-data', ...parameters].join('; '));
    this.headers.set('Content-Type', contentType ?? []);
    this.headers.set('Content-Location', contentLocation ?? []);
  }

  /**
   * The header lines of the part and the empty line after them.
   *
   * @throws TypeError for a header whose name is not a token, or whose value holds a control character
   */
  renderHeaders(): string {
    const lines = [...this.headers.iteritems()].filter(([, value]) => value !== '');
    const leading = LEADING_HEADERS.flatMap((name) =>
      lines.filter(([given]) => isSameName(given, name)).map(([, value]) => headerLine(name, value)),
    );
    const others = lines.filter(([given]) => !LEADING_HEADERS.some((name) => isSameName(given, name)));
    return [...leading, ...others.map(([name, value]) => headerLine(name, value)), '\r\n'].join('');
  }
}

function isSameName(given: string, name: string): boolean {
  return given.length === name.length && given.toLowerCase() === name.toLowerCase();
}

function headerLine(name: string, value: string): string {
  if (!isToken(name))
    throw new TypeError(`Cannot use ${describe(name)} as the name of a part's header: it must be a token`);
  if (CONTROL.test(value)) {
    throw new TypeError(
      `Cannot use ${describe(value)} as ${name} of a part: it must not hold CR, LF, NUL or other control characters`,
    );
  }
  return `${name}: ${value}\r\n`;
}

interface Part {
  readonly filename: string | null;
  readonly data: FieldData;
  readonly contentType: string | null;
}

function partOf(fieldname: string, value: FieldData | FileTuple): Part {
  if (isTuple(value)) return filePart(fieldname, value);
  if (!isBlob(value)) return { filename: null, data: value, contentType: null };
  const name: unknown = Reflect.get(value, 'name');
  return {
    filename: name === undefined ? 'blob' : text('a filename', name),
    data: value,
    contentType: blobType(value) ?? DEFAULT_CONTENT_TYPE,
  };
}

function isTuple(value: FieldData | FileTuple): value is FileTuple {
  return Array.isArray(value);
}

function filePart(fieldname: string, tuple: FileTuple): Part {
  const [filename, data, mimeType] = tuple;
  const isNamed = typeof filename === 'string' || filename === null || filename === undefined;
  if (!isNamed || tuple.length < 2 || tuple.length > 3) {
    throw new TypeError(
      `Cannot use an array of ${tuple.length} as field ${describe(fieldname)}: a file must be [filename, data] or [filename, data, mimeType]; several values of one name must be several pairs [name, value]`,
    );
  }
  const contentType = mimeType === undefined ? typeOf(filename ?? null, data) : mediaType(fieldname, mimeType);
  return { filename: filename ?? null, data, contentType };
}

function typeOf(filename: string | null, data: unknown): string {
  return (isBlob(data) ? blobType(data) : null) ?? guessContentType(filename);
}

function mediaType(fieldname: string, mimeType: unknown): string | null {
  if (mimeType === null || mimeType === '') return null;
  if (typeof mimeType === 'string' && MEDIA_TYPE.test(mimeType)) return mimeType;
  throw new TypeError(
    `Cannot use ${describe(mimeType)} as the MIME type of field ${describe(fieldname)}: it must look like "text/plain"`,
  );
}

function text(what: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`Cannot use ${describe(value)} as ${what}: it must be a string`);
}

interface MimeTypes {
  lookup(extension: string): string | false;
}

let mimeTypes: MimeTypes | undefined;

/**
 * The Content-Type that the extension of `filename` stands for.
 *
 * The table is the `mime-types` package's. It is loaded at the first guess and not before: loading takes 20 ms.
 */
export function guessContentType(filename: string | null | undefined, options: GuessContentTypeOptions = {}): string {
  const { default: fallback = DEFAULT_CONTENT_TYPE }: GuessContentTypeOptions = Object.assign(
    Object.create(null),
    options,
  );
  const extension = filename ? extname(filename) : '';
  if (extension.length < 2) return fallback;
  mimeTypes ??= loadMimeTypes();
  return mimeTypes.lookup(extension) || fallback;
}

function loadMimeTypes(): MimeTypes {
  // An `import` would have to be awaited, and encoding a form is synchronous. The package's documented function has this type.
  try {
    return createRequire(import.meta.url)('mime-types') as MimeTypes;
  } catch {
    // In a bundle, or on an edge runtime, nothing can be looked up at run time: no type is known then.
    return { lookup: () => false };
  }
}

/**
 * `name="value"` as browsers and curl write it: UTF-8 as it is, `"` CR LF (and the controls that no header may hold) as %22 %0D %0A.
 *
 * @param value - bytes are read as UTF-8
 * @see WHATWG HTML, "multipart/form-data encoding algorithm"
 */
export function formatMultipartHeaderParam(name: string, value: string | Uint8Array): string {
  return `${name}="${decoded(value).replace(NOT_IN_QUOTED_PARAM, percentEncoded)}"`;
}

/**
 * The default way to write a parameter: {@link formatMultipartHeaderParam}, which the HTML5 draft that gave the name became.
 */
export function formatHeaderParamHtml5(name: string, value: string | Uint8Array): string {
  return formatMultipartHeaderParam(name, value);
}

/** {@link formatHeaderParamHtml5}, under its oldest name. */
export function formatHeaderParam(name: string, value: string | Uint8Array): string {
  return formatMultipartHeaderParam(name, value);
}

/**
 * `name="value"` for plain ASCII, else `name*=utf-8''...` (RFC 2231 section 4). RFC 7578 section 4.2 forbids it in forms:
 * for servers that know nothing else.
 */
export function formatHeaderParamRfc2231(name: string, value: string | Uint8Array): string {
  const plain = decoded(value);
  if (!NEEDS_RFC_2231.test(plain)) return `${name}="${plain}"`;
  const wellFormed = Buffer.from(plain).toString();
  return `${name}*=utf-8''${encodeURIComponent(wellFormed).replace(/[!'()*]/g, percentEncoded)}`;
}

function decoded(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString();
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
