/**
 * Fields as `application/x-www-form-urlencoded` text, for a query or a body.
 *
 * Spelled as Python's `urllib.parse.urlencode` does (`quote_plus`): letters, digits and `_.-~` stay, a space becomes `+`, every
 * other byte of the UTF-8 form becomes `%XX`. Linear in the input. Forms with files: filepost.ts.
 */
import { describe } from '../excerpt.js';
import { bytesOf } from './bytes.js';

/** One value; `undefined` leaves its name out. */
export type UrlFieldValue = string | number | bigint | boolean | ArrayBuffer | ArrayBufferView | undefined;

/** Fields for {@link urlencode}: an array as a value stands for several values of that name. */
export type UrlFields =
  | { readonly [name: string]: UrlFieldValue | readonly UrlFieldValue[] }
  | Iterable<readonly [name: string, value: UrlFieldValue | readonly UrlFieldValue[]]>;

const LONE_SURROGATE = /\p{Surrogate}/gu;
/** What `encodeURIComponent` leaves alone and Python does not, and its spelling of the space. */
const RESPELLED = /[!'()*]|%20/g;

/**
 * `name=value` pairs joined by `&`, in order, several per name where there are.
 *
 * @param fields - a plain object (whose integer-like names JavaScript puts first), Map, pairs, URLSearchParams or FormData
 * @throws TypeError for fields or a value of another kind, such as a file, naming the field
 * @example
 * ```ts
 * urlencode({ q: 'a b', tag: ['x', 'y'] }); // 'q=a+b&tag=x&tag=y'
 * ```
 */
export function urlencode(fields: UrlFields | URLSearchParams | FormData): string {
  const pairs: string[] = [];
  for (const [name, value] of fieldPairs(fields)) {
    for (const single of Array.isArray(value) ? value : [value]) {
      if (single !== undefined) pairs.push(`${quote(name)}=${quote(single, name)}`);
    }
  }
  return pairs.join('&');
}

/**
 * The [name, value] pairs of whatever `fields` may be; an item that `isOther` accepts comes as a value without a name.
 *
 * @throws TypeError for fields of another kind
 * @internal
 */
export function* fieldPairs(
  fields: unknown,
  isOther: (item: unknown) => boolean = () => false,
): Generator<readonly [name: string, value: unknown]> {
  if (typeof fields !== 'object' || fields === null) throw notFields(fields);
  const isList = Symbol.iterator in fields && typeof fields[Symbol.iterator] === 'function';
  if (!isList && !isPlainObject(fields)) throw notFields(fields);
  // The check above proves it: what has Symbol.iterator as a function is iterable.
  for (const item of isList ? (fields as Iterable<unknown>) : Object.entries(fields)) {
    if (isOther(item)) {
      yield ['', item];
      continue;
    }
    if (!Array.isArray(item) || item.length !== 2 || typeof item[0] !== 'string') {
      throw new TypeError(
        `Cannot use ${describe(item)} as a field: it must be a pair [name, value] whose name is a string`,
      );
    }
    yield [item[0], item[1]];
  }
}

function notFields(fields: unknown): TypeError {
  return new TypeError(
    `Cannot use ${describe(fields)} as fields: they must be a plain object, a Map, pairs, URLSearchParams or FormData`,
  );
}

/** Of this or another realm: only what has Object.prototype's place has a prototype of null. */
function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function quote(value: unknown, name = ''): string {
  switch (typeof value) {
    case 'string':
      return encodeURIComponent(value.replace(LONE_SURROGATE, '\ufffd')).replace(RESPELLED, respell);
    case 'number':
    case 'bigint':
    case 'boolean':
      return quote(String(value));
    default: {
      const bytes = bytesOf(value);
      if (bytes !== undefined) return quoteBytes(bytes);
      throw new TypeError(
        `Cannot encode ${describe(value)} as the value of field ${describe(name)} in a URL or form: it must be a string, number, boolean or bytes; a file needs a multipart form`,
      );
    }
  }
}

function respell(spelled: string): string {
  return spelled === '%20' ? '+' : `%${spelled.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Bytes need not be UTF-8, so each stands for itself. */
function quoteBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += BYTE_SPELLING[byte];
  return text;
}

const BYTE_SPELLING: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  return byte < 0x80 ? quote(String.fromCharCode(byte)) : `%${byte.toString(16).toUpperCase()}`;
});
