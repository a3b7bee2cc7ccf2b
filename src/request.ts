/**
 * What to say: fields, JSON or a body become one target and one content (reference: "urllib3.request module").
 *
 * `request` chooses by method: fields go into the URL of a GET, HEAD, DELETE or OPTIONS, and into the content of the rest.
 * Where a request goes and how often it is tried is known by whoever implements `urlopen`: pools and managers.
 */
import { jsonBody } from './body/json.js';
import { type BodySource, bodySource } from './body/source.js';
import { type UrlFields, urlencode } from './body/urlencode.js';
import { describe } from './excerpt.js';
import { type FieldsInput, multipartSource } from './filepost.js';
import { fieldLines, type HeadersInput, HTTPHeaderDict } from './headers.js';
import { equalsIgnoringCase } from './http1/grammar.js';
import { checkMethod } from './http1/request-head.js';
import { ownOptions } from './options.js';
import type { UrlopenOptions } from './request-options.js';
import type { HTTPResponse } from './response.js';

/** Options of {@link RequestMethods.requestEncodeUrl}. */
export interface RequestEncodeUrlOptions extends UrlopenOptions {
  /** Appended to the URL's query. */
  readonly fields?: UrlFields | URLSearchParams | null | undefined;
}

/** How fields become content. */
export interface MultipartOptions {
  /** Whether fields become `multipart/form-data`; else `application/x-www-form-urlencoded`. @defaultValue true */
  readonly encodeMultipart?: boolean | undefined;
  /** The text between the parts. @defaultValue a random one */
  readonly multipartBoundary?: string | null | undefined;
}

/** Options of {@link RequestMethods.requestEncodeBody}. */
export interface RequestEncodeBodyOptions extends UrlopenOptions, MultipartOptions {
  /** Become the content: a multipart form, or an urlencoded one. */
  readonly fields?: FieldsInput | UrlFields | URLSearchParams | null | undefined;
}

/** Options of {@link RequestMethods.request}. */
export interface RequestOptions extends RequestEncodeBodyOptions {
  /** A value to send as JSON, with its Content-Type. */
  readonly json?: unknown;
}

const ENCODING_OPTIONS = ['json', 'fields', 'encodeMultipart', 'multipartBoundary'] as const;

const METHODS_WITH_FIELDS_IN_URL: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS']);

/**
 * The base of everything that makes requests.
 *
 * @see User Guide, "Request data"
 */
export abstract class RequestMethods {
  /** Sent with every request that brings no headers of its own. */
  headers: HTTPHeaderDict;

  constructor(options: { readonly headers?: HeadersInput | null | undefined } = {}) {
    this.headers = new HTTPHeaderDict(options.headers);
  }

  /**
   * Makes a request. Pools and managers take content that is encoded already; a class of your own may take what is said of how
   * to encode it, as the reference allows.
   */
  abstract urlopen(method: string, url: string, options?: UrlopenOptions & MultipartOptions): Promise<HTTPResponse>;

  /**
   * Makes a request; the way to do it.
   *
   * @example
   * ```ts
   * const response = await http.request('GET', 'http://httpbin.org/get', { fields: { arg: 'value' } });
   * ```
   * @throws TypeError or RangeError for arguments that cannot be used, {@link LocationValueError} for a bad URL, before
   *   any byte is sent; then {@link MaxRetryError} or, with `retries: false`, what went wrong itself
   */
  request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse> {
    if (options === undefined) return this.urlopen(typeof method === 'string' ? upperCase(method) : method, url);
    // HOT: nothing to encode, nothing to copy; an empty object says nothing.
    if (isEncodedAlready(options) && typeof method === 'string') {
      return this.urlopen(upperCase(method), url, Object.keys(options).length === 0 ? undefined : options);
    }
    return this.#request(method, url, options);
  }

  /** Makes a request with `fields` in the URL's query. */
  async requestEncodeUrl(method: string, url: string, options: RequestEncodeUrlOptions = {}): Promise<HTTPResponse> {
    const own = ownOptions(options);
    return await this.urlopen(method, withFields(url, own.fields), without(own, 'fields'));
  }

  /** Makes a request with `fields` as its content. */
  async requestEncodeBody(method: string, url: string, options: RequestEncodeBodyOptions = {}): Promise<HTTPResponse> {
    const own = ownOptions(options);
    const { fields, encodeMultipart = true, multipartBoundary } = own;
    const rest = without(own, 'fields', 'encodeMultipart', 'multipartBoundary');
    if (fields === undefined || fields === null) return await this.urlopen(method, url, rest);
    if (isGiven(rest.body)) {
      throw new TypeError('Cannot send fields and body in one request: both would be its content');
    }
    if (typeof encodeMultipart !== 'boolean') {
      throw new TypeError(`Cannot use encodeMultipart ${describe(encodeMultipart)}: it must be true or false`);
    }
    if (!encodeMultipart) {
      // What a multipart form can hold and an urlencoded one cannot is refused there.
      return await this.#send(method, url, rest, urlencodedSource(fields as UrlFields));
    }
    // The type of the form itself counts: a caller's would lack the boundary.
    const headers = fieldLines(rest.headers ?? this.headers).filter(
      ([name]) => !equalsIgnoringCase(name, 'content-type'),
    );
    const source = multipartSource(fields as FieldsInput, { boundary: multipartBoundary });
    return await this.#send(method, url, { ...rest, headers }, source);
  }

  async #request(method: string, url: string, options: RequestOptions): Promise<HTTPResponse> {
    checkMethod(method);
    const name = upperCase(method);
    const own = ownOptions(options);
    const { json } = own;
    const rest = without(own, 'json');
    if (json !== undefined) return await this.#requestJson(name, url, json, rest);
    if (!METHODS_WITH_FIELDS_IN_URL.has(name)) return await this.requestEncodeBody(name, url, rest);
    const inUrl = without(rest, 'encodeMultipart', 'multipartBoundary');
    // As above: urlencode refuses what it cannot write.
    return await this.requestEncodeUrl(name, url, inUrl as RequestEncodeUrlOptions);
  }

  async #requestJson(method: string, url: string, json: unknown, rest: RequestOptions): Promise<HTTPResponse> {
    if (isGiven(rest.body) || (isGiven(rest.fields) && !METHODS_WITH_FIELDS_IN_URL.has(method))) {
      throw new TypeError('Cannot send json together with body or fields: each would be the content of the request');
    }
    const { fields, encodeMultipart: _, multipartBoundary: __, ...options } = rest;
    return await this.#send(method, withFields(url, fields as UrlFields), options, jsonBody(json));
  }

  #send(method: string, url: string, options: UrlopenOptions, source: BodySource): Promise<HTTPResponse> {
    const { body: _, bodyPos: __, ...rest } = options;
    return this.urlopen(method, url, { ...rest, _source: source });
  }
}

/** Whether no option stands for content, or says how to encode it: they are all for `urlopen` then. */
function isEncodedAlready(options: RequestOptions): boolean {
  if (typeof options !== 'object' || options === null) return false;
  for (const name of ENCODING_OPTIONS) if (Object.hasOwn(options, name)) return false;
  return true;
}

function urlencodedSource(fields: UrlFields): BodySource {
  const source = bodySource(urlencode(fields));
  return source.kind === 'bytes' ? { ...source, contentType: 'application/x-www-form-urlencoded' } : source;
}

/** Between what there is of a query and the fragment. */
function withFields(url: string, fields: UrlFields | URLSearchParams | null | undefined): string {
  if (fields === undefined || fields === null) return url;
  const query = urlencode(fields);
  if (query === '') return url;
  const hash = url.indexOf('#');
  const target = hash === -1 ? url : url.slice(0, hash);
  const fragment = hash === -1 ? '' : url.slice(hash);
  return `${target}${target.includes('?') ? '&' : '?'}${query}${fragment}`;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A token is ASCII, so that there is nothing else to fold. */
function upperCase(method: string): string {
  const upper = method.toUpperCase();
  return upper === method ? method : asciiOnly(method, upper);
}

/** What is no token stays as it is, and is refused as it was given. */
function asciiOnly(method: string, upper: string): string {
  return /^[\u0000-\u007f]*$/.test(method) ? upper : method;
}

/** As {@link ownOptions}, but for some names: `...rest` would be an object with a prototype again. */
function without<T extends object, K extends keyof T & string>(options: T, ...names: readonly K[]): Omit<T, K> {
  const rest = ownOptions(options);
  for (const name of names) delete rest[name];
  return rest;
}
