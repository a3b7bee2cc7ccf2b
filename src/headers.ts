/**
 * The fields of a message, as a user sees and gives them (RFC 9110 section 5).
 *
 * `HTTPHeaderDict` answers whatever the case of the name, and keeps each name's first spelling, the order, and every
 * value. Names fold in ASCII only: U+212A (the Kelvin sign) is not a "k". Everything stands in a `Map`, so a field called
 * `__proto__` is a field like any other. The dictionary of a response is lazy: it is the text of the field section until
 * somebody asks.
 *
 * Not here: which characters a name or value may have (http1/grammar.ts, applied by the head writer to the strings that
 * `fieldLines` made), and what the fields say about framing (decided by the codec from the same bytes, never from here).
 */

import { type InspectOptions, inspect } from 'node:util';
import { CREDENTIAL_FIELDS } from './credential-fields.js';
import { HTTPError } from './exceptions.js';
import { describe } from './excerpt.js';
import type { FieldLine } from './http1/request-head.js';

/** What a caller may give as one field's value; an array makes one field line per element. */
export type HeaderValue = string | number | readonly (string | number)[];

/** What a caller may give as headers: a plain object, an `HTTPHeaderDict`, WHATWG `Headers`, a `Map`, or pairs. */
export type HeadersInput =
  | { readonly [name: string]: HeaderValue | undefined }
  | Iterable<readonly [name: string, value: HeaderValue | undefined]>;

export type { FieldLine };

/** Its first spelling, then its values in order. */
type Field = [name: string, first: string, ...more: string[]];

const NO_LINES: readonly FieldLine[] = Object.freeze([]);

/** Shown as stars where a dictionary is printed. */
const SECRET: ReadonlySet<string> = new Set(['Set-Cookie', ...CREDENTIAL_FIELDS].map((name) => name.toLowerCase()));

const SP = 0x20;
const HTAB = 0x09;
const NON_ASCII = /[^\0-\x7f]/;
const ASCII_CAPITALS = /[A-Z]+/g;

/**
 * A case-insensitive dictionary of header fields with several values per name.
 *
 * @example
 * ```ts
 * const headers = new HTTPHeaderDict({ 'Content-Length': '33' });
 * headers.add('Via', '1.1 a');
 * headers.add('via', '1.1 b');
 * headers.get('VIA'); // '1.1 a, 1.1 b'
 * String(headers); // "HTTPHeaderDict({'Content-Length': '33', 'Via': '1.1 a, 1.1 b'})"
 * ```
 *
 * @throws TypeError for a name or value that is not text (or a finite number), naming the field and never its value
 * @see User Guide, "Response content"; RFC 9110 section 5.3
 */
export class HTTPHeaderDict {
  /** A field section that nobody has asked about yet; null once its lines are in `#fields`. */
  #unread: string | null = null;
  #fields: Map<string, Field> | null = null;

  constructor(input?: HeadersInput | null) {
    if (input !== undefined && input !== null) this.extend(input);
  }

  /**
   * The dictionary of a received head.
   *
   * HOT: once per response. It stores the text; most users ask for one or two names, many for none.
   *
   * @param section - latin1 text of already validated lines, `name:OWS value OWS CRLF` each
   * @internal
   */
  static fromFieldSection(section: string): HTTPHeaderDict {
    const headers = new HTTPHeaderDict();
    headers.#unread = section;
    return headers;
  }

  /** How many different names there are. */
  get size(): number {
    return this.#read().size;
  }

  /** All values of `name`, joined by ', '; `fallback` where there is none. For cookies: {@link getSetCookie}. */
  get(name: string): string | undefined;
  get<T>(name: string, fallback: T): string | T;
  get(name: string, fallback?: unknown): unknown {
    const field = this.#read().get(asciiLowerCase(name));
    return field === undefined ? fallback : merged(field);
  }

  /** The values of `name`, one per field line; an empty list where there is none. */
  getList(name: string): string[] {
    return this.#read().get(asciiLowerCase(name))?.slice(1) ?? [];
  }

  /** The values of Set-Cookie, one per field line. */
  getSetCookie(): string[] {
    return this.getList('set-cookie');
  }

  has(name: string): boolean {
    return this.#read().has(asciiLowerCase(name));
  }

  /** Puts `value` in the place of every value that `name` has; the first spelling stays. An empty list removes the name. */
  set(name: string, value: HeaderValue): this {
    const [first, ...more] = coerceEach(name, value);
    const fields = this.#read();
    const key = asciiLowerCase(name);
    if (first === undefined) fields.delete(key);
    else fields.set(key, [fields.get(key)?.[0] ?? name, first, ...more]);
    return this;
  }

  /** Adds a value to those that `name` already has. */
  add(name: string, value: HeaderValue): this {
    for (const text of coerceEach(name, value)) addLine(this.#read(), name, text);
    return this;
  }

  /** {@link add}, under the name it has in WHATWG `Headers`. */
  append(name: string, value: HeaderValue): this {
    return this.add(name, value);
  }

  /** Adds every field line of `input`; what is there stays. */
  extend(input: HeadersInput): this {
    const fields = this.#read();
    for (const [name, value] of fieldLines(input)) addLine(fields, name, value);
    return this;
  }

  /** Removes `name` with all its values; says whether it was there. */
  delete(name: string): boolean {
    return this.#read().delete(asciiLowerCase(name));
  }

  /** {@link delete} that does not say whether the name was there. */
  discard(name: string): void {
    this.delete(name);
  }

  /** The different names, in their first spelling. */
  keys(): IterableIterator<string> {
    return Array.from(this.#read().values(), ([name]) => name).values();
  }

  /** For each of {@link keys}, what {@link get} gives. */
  values(): IterableIterator<string> {
    return Array.from(this.#read().values(), merged).values();
  }

  /** One [name, merged value] per name, but one pair per line for Set-Cookie, which cannot be merged (RFC 9110 section 5.3). */
  entries(): IterableIterator<[name: string, value: string]> {
    return this.#pairs((key) => key !== 'set-cookie').values();
  }

  /** {@link entries}, under the name it has in Python. */
  items(): IterableIterator<[name: string, value: string]> {
    return this.entries();
  }

  /** One [name, value] per field line; the lines of one name stand together. */
  iteritems(): IterableIterator<[name: string, value: string]> {
    return this.#pairs(() => false).values();
  }

  [Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    return this.entries();
  }

  /** Calls `callback` for each of {@link entries}. */
  forEach(callback: (value: string, name: string, headers: HTTPHeaderDict) => void): void {
    for (const [name, value] of this.entries()) callback(value, name, this);
  }

  /** A dictionary with the same fields, which no change to this one reaches. */
  copy(): HTTPHeaderDict {
    const copy = new HTTPHeaderDict();
    copy.#unread = this.#unread;
    if (this.#fields !== null) copy.#fields = new Map(Array.from(this.#fields, ([key, field]) => [key, [...field]]));
    return copy;
  }

  /** A plain object for `JSON.stringify`: merged values; a list for Set-Cookie lines if there are several. */
  toJSON(): Record<string, string | string[]> {
    return Object.fromEntries(
      Array.from(this.#read(), ([key, field]) => {
        const isList = key === 'set-cookie' && field.length > 2;
        return [field[0], isList ? field.slice(1) : merged(field)];
      }),
    );
  }

  /** `HTTPHeaderDict({'Content-Length': '33', ...})`, without the values of fields that carry credentials. */
  toString(): string {
    const shown = Array.from(this.#read(), ([key, field]) => {
      return `${quote(field[0])}: ${SECRET.has(key) ? "'***'" : quote(merged(field))}`;
    });
    return `HTTPHeaderDict({${shown.join(', ')}})`;
  }

  /** What `console.log` and `util.inspect` print: names and values (a list where there are several), credentials as stars. */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    const shown = Array.from(this.#read(), ([key, field]) => {
      const values = SECRET.has(key) ? ['***'] : field.slice(1);
      return [field[0], values.length === 1 ? values[0] : values];
    });
    return `HTTPHeaderDict ${inspect(Object.fromEntries(shown), options)}`;
  }

  #read(): Map<string, Field> {
    if (this.#fields !== null) return this.#fields;
    const fields = new Map<string, Field>();
    if (this.#unread !== null) {
      readFieldSection(this.#unread, fields);
      this.#unread = null;
    }
    this.#fields = fields;
    return fields;
  }

  #pairs(mayMerge: (key: string) => boolean): [name: string, value: string][] {
    const pairs: [string, string][] = [];
    for (const [key, field] of this.#read()) {
      if (field.length === 2) pairs.push([field[0], field[1]]);
      else if (mayMerge(key)) pairs.push([field[0], merged(field)]);
      else for (const value of field.slice(1)) pairs.push([field[0], value]);
    }
    return pairs;
  }
}

/**
 * The lines that `input` stands for, in order and as spelled, with each value turned into text exactly once.
 *
 * What comes out is what must be validated and written: nothing of the caller's is asked twice. Only a plain object's own
 * enumerable properties are headers; `undefined` values are left out, so that `{ Accept: maybe }` works.
 *
 * @throws TypeError for headers, a name or a value of another kind, never showing the value
 * @internal
 */
export function fieldLines(input: HeadersInput | null | undefined): readonly FieldLine[] {
  if (input === undefined || input === null) return NO_LINES;
  if (typeof input !== 'object') throw notHeaders(input);
  // A subclass may say what its size does not.
  if (Object.getPrototypeOf(input) === HTTPHeaderDict.prototype && 'size' in input && input.size === 0) return NO_LINES;
  const lines: FieldLine[] = [];
  if (input instanceof HTTPHeaderDict) pushPairs(input.iteritems(), lines);
  else if (isPairs(input)) pushPairs(input, lines);
  else if (isPlainObject(input)) pushProperties(input, lines);
  else throw notHeaders(input);
  return lines;
}

/** `text` with A to Z made small and nothing else: `toLowerCase` would also turn U+212A into "k". */
export function asciiLowerCase(text: string): string {
  // For ASCII the engine's own folding is the same, and gives back the very string if there is nothing to do.
  return NON_ASCII.test(text) ? text.replace(ASCII_CAPITALS, (capitals) => capitals.toLowerCase()) : text.toLowerCase();
}

/** HOT: the first use of a response's headers. Index arithmetic, one pass, two slices per line; oracle in the test. */
function readFieldSection(section: string, fields: Map<string, Field>): void {
  for (let start = 0; start < section.length; ) {
    const lineEnd = section.indexOf('\r\n', start);
    const end = lineEnd < 0 ? section.length : lineEnd;
    const colon = section.indexOf(':', start);
    if (colon < 0 || colon > end) throw new HTTPError('Bug in urllib3: a validated field line has no colon');
    let valueStart = colon + 1;
    let valueEnd = end;
    while (valueStart < valueEnd && isBlank(section.charCodeAt(valueStart))) valueStart++;
    while (valueEnd > valueStart && isBlank(section.charCodeAt(valueEnd - 1))) valueEnd--;
    // The codec took the name for a token, so the engine's own folding is that of ASCII.
    const name = section.slice(start, colon);
    addValue(fields, name.toLowerCase(), name, section.slice(valueStart, valueEnd));
    start = end + 2;
  }
}

function addLine(fields: Map<string, Field>, name: string, value: string): void {
  addValue(fields, asciiLowerCase(name), name, value);
}

function addValue(fields: Map<string, Field>, key: string, name: string, value: string): void {
  const field = fields.get(key);
  if (field === undefined) fields.set(key, [name, value]);
  else field.push(value);
}

/** One join over the list of values: linear, however many equal names a peer sends. */
function merged(field: Field): string {
  return field.length === 2 ? field[1] : field.slice(1).join(', ');
}

/** `value` as text, one per field line. */
function coerceEach(name: unknown, value: unknown): readonly string[] {
  const checkedName = fieldName(name);
  return Array.isArray(value)
    ? Array.from(value, (element: unknown) => coerce(checkedName, element))
    : [coerce(checkedName, value)];
}

function pushLines(name: unknown, value: unknown, lines: FieldLine[]): void {
  if (value === undefined) return;
  const checkedName = fieldName(name);
  if (typeof value === 'string') lines.push([checkedName, value]);
  else for (const text of coerceEach(checkedName, value)) lines.push([checkedName, text]);
}

function pushPairs(pairs: Iterable<unknown>, lines: FieldLine[]): void {
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new TypeError('Cannot use these headers: an iterable of headers must give [name, value] pairs');
    }
    pushLines(pair[0], pair[1], lines);
  }
}

function pushProperties(object: { readonly [name: string]: unknown }, lines: FieldLine[]): void {
  for (const name of Object.keys(object)) pushLines(name, object[name], lines);
}

function coerce(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  const kind = value === null ? 'null' : `a value of type ${typeof value}`;
  throw new TypeError(
    `Cannot use ${kind} as header ${describe(name)}: it must be a string, a finite number or an array of these`,
  );
}

function fieldName(name: unknown): string {
  if (typeof name === 'string') return name;
  throw new TypeError(`Cannot use ${describe(name)} as a header name: it must be a string`);
}

function isPairs(input: object): input is Iterable<unknown> {
  // Looked up once, and not on Object.prototype: a plain object is iterable only if it says so itself.
  return isPlainObject(input) ? Object.hasOwn(input, Symbol.iterator) : Symbol.iterator in input;
}

/** Made by braces, in any realm. Anything else that is not iterable (a promise, a class instance) is a mistake worth naming. */
function isPlainObject(value: object): value is { readonly [name: string]: unknown } {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function notHeaders(input: unknown): TypeError {
  // Not shown even in part: text in this place is often "Authorization: ..."
  const kind = typeof input === 'object' ? describe(input) : `a value of type ${typeof input}`;
  return new TypeError(
    `Cannot use ${kind} as headers: it must be a plain object, HTTPHeaderDict, Headers, Map or pairs`,
  );
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

/** Python's `repr` of a text: one line in single quotes, controls escaped. */
function quote(text: string): string {
  return inspect(text, { compact: true, breakLength: Number.POSITIVE_INFINITY });
}
