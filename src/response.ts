/**
 * What came back (reference: "urllib3.response module"): status, fields, and content, in memory or still on its way.
 *
 * ```text
 *   connection ─▶ ContentReader ─▶ decoding (coding/) ─▶ read / stream / data
 *                 as framed         Content-Encoding off
 * ```
 *
 * Every byte is given exactly once, whichever way it is asked for; content that was preloaded stays as `data`, and can be
 * read or streamed once besides. The connection goes back to its pool by itself when the last byte has come; a response
 * that is given up earlier closes it.
 */
import type { IncomingMessage } from 'node:http';
import { Readable, type Writable } from 'node:stream';
import { type Coding, contentCodings, type DecodingLimits, supportedCodings } from './coding/codings.js';
import { decodeStream, isSmallEnoughForSync, tryDecodeBytes } from './coding/decode.js';
import { type ContentReader, MemoryContent, StreamContent } from './engine/content-reader.js';
import type { Exchanged } from './engine/session.js';
import {
  addCallers,
  annotate,
  BodyNotHttpLibCompatible,
  DecodeError,
  HTTPError,
  IncompleteRead,
  ProtocolError,
  ResponseNotChunked,
  ResponseNotReadError,
} from './exceptions.js';
import { describe, excerpt } from './excerpt.js';
import { type HeadersInput, HTTPHeaderDict } from './headers.js';
import { equalsIgnoringCase, listMembers } from './http1/grammar.js';
import type { AttemptClock, Timings } from './timings.js';
import { type ContentRange, parseContentRange } from './util/response.js';
import type { Retry } from './util/retry.js';
import { quietTimer } from './util/timeout.js';

export {
  BrotliDecoder,
  DeflateDecoder,
  GzipDecoder,
  GzipDecoderState,
  MultiDecoder,
  ZstdDecoder,
} from './coding/decoders.js';

/** Statuses that point to another place (RFC 9110 section 15.4). */
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The piece in which content is taken where the caller names no size. */
const PIECE_BYTES = 65_536;

/** How much of a response nobody wants is read, so that its connection can serve again; more is not worth it. */
const DRAIN_BYTES = 1_048_576;
const DRAIN_MS = 1_000;

const NO_LIMITS: DecodingLimits = Object.freeze({ maxDecodedSize: null, maxRatio: null });
const NO_CODINGS: readonly Coding[] = Object.freeze([]);
const EMPTY = Buffer.alloc(0);

/** Content that has been taken. */
const NOTHING: ContentReader = new MemoryContent(EMPTY);

/** What a response knows of the connection that brings its content. */
export interface ResponseConnection {
  close(): void;
  /** The descriptor of its socket; null if there is none. */
  fileno?(): number | null;
  /** The peer, for errors. */
  readonly address?: string | null;
}

/** What a response knows of its pool. */
export interface ResponsePool {
  toString(): string;
}

/** Bytes that a response can be made of. */
export type ResponseBody = string | Uint8Array | Readable | AsyncIterable<Uint8Array | string>;

export interface HTTPResponseOptions {
  /** Bytes in memory; a stream only with `preloadContent: false`. @defaultValue '' */
  readonly body?: ResponseBody | undefined;
  readonly headers?: HeadersInput | null | undefined;
  /** @defaultValue 0 */
  readonly status?: number | undefined;
  /** 10, 11 or 20. @defaultValue 0 */
  readonly version?: number | undefined;
  readonly reason?: string | null | undefined;
  /** Accepted, and without effect, as in the reference. */
  readonly strict?: number | boolean | undefined;
  /** Whether the content is read and decoded at once. @defaultValue true */
  readonly preloadContent?: boolean | undefined;
  /** Whether the codings of Content-Encoding are taken off. @defaultValue true */
  readonly decodeContent?: boolean | undefined;
  /** What the response was made from. */
  readonly originalResponse?: IncomingMessage | null | undefined;
  readonly pool?: ResponsePool | null | undefined;
  readonly connection?: ResponseConnection | null | undefined;
  /** Accepted as another name of `headers`, used if those are absent. */
  readonly msg?: HeadersInput | null | undefined;
  readonly retries?: Retry | null | undefined;
  /** Whether content shorter than its Content-Length is an error. @defaultValue true */
  readonly enforceContentLength?: boolean | undefined;
  readonly requestMethod?: string | null | undefined;
  readonly requestUrl?: string | null | undefined;
  /** @internal Limits on what decoding may give. */
  readonly _limits?: DecodingLimits | undefined;
  /** @internal What an exchange gave: takes the place of body, headers, status, version and reason. */
  readonly _exchanged?: Exchanged | undefined;
  /** @internal Content that does not come by a connection of ours: takes the place of body. */
  readonly _content?: ContentReader | undefined;
  /** @internal Whether somebody else has taken off the codings that Content-Encoding names. */
  readonly _isDecoded?: boolean | undefined;
  /** @internal What has timed the exchange. */
  readonly _clock?: AttemptClock | undefined;
}

export interface ReadOptions {
  /** Whether content codings are taken off. @defaultValue what the request said */
  readonly decodeContent?: boolean | undefined;
  /** Whether what is read is kept as `data`; a read of everything always is. @defaultValue false */
  readonly cacheContent?: boolean | undefined;
}

/**
 * A response.
 *
 * @example
 * ```ts
 * const response = await http.request('GET', 'http://httpbin.org/ip');
 * response.status; // 200
 * response.data; // <Buffer 7b 0a ...>
 * await response.json(); // { origin: '127.0.0.1' }
 * ```
 * @see User Guide, "Response content"; Advanced Usage, "Streaming and IO"
 */
export class HTTPResponse {
  /** The content codings that can be taken off here. */
  static readonly CONTENT_DECODERS: readonly string[] = supportedCodings();
  /** What failing to decode raises. */
  static readonly DECODER_ERROR_CLASSES: readonly (typeof HTTPError)[] = Object.freeze([DecodeError]);
  static readonly REDIRECT_STATUSES: ReadonlySet<number> = REDIRECT_STATUSES;

  readonly status: number;
  /** 10, 11 or 20: HTTP/1.0, HTTP/1.1, HTTP/2. */
  readonly version: number;
  /** The reason phrase; null if there is none. */
  readonly reason: string | null;
  readonly decodeContent: boolean;
  readonly enforceContentLength: boolean;
  readonly requestMethod: string | null;
  readonly originalResponse: IncomingMessage | null;
  /** What is left of the retries, with the history of what led here; null for a response made by hand. */
  retries: Retry | null;

  readonly #pool: ResponsePool | null;
  readonly #connection: ResponseConnection | null;
  readonly #requestUrl: string | null;
  readonly #limits: DecodingLimits;
  readonly #exchanged: Exchanged | null;
  readonly #clock: AttemptClock | null;
  readonly #isDecodedElsewhere: boolean;
  #content: ContentReader;
  #headers: HTTPHeaderDict | null;
  #data: Buffer | null = null;
  #encodedBytes = 0;
  #decoded: AsyncGenerator<Buffer, void, undefined> | null = null;
  #decodedEnded = false;
  /** From when decoding has begun, content as it came cannot be had. */
  #wasDecoded = false;
  /** One read at a time: two that wait for a decoder would each put what is left over in the place of the other's. */
  #isDecoding = false;
  /** Closed before its end: whoever waits for content then has not come to the end of it. */
  #isGivenUp = false;
  /** What reading raised. */
  #failure: { readonly error: unknown } | null = null;
  /** What was decoded beyond what was asked for, or preloaded: it is given before anything else. */
  #ahead: Buffer = EMPTY;

  constructor(options: HTTPResponseOptions = {}) {
    const exchanged = options._exchanged ?? null;
    this.#exchanged = exchanged;
    this.#clock = options._clock ?? null;
    this.#isDecodedElsewhere = options._isDecoded ?? false;
    this.decodeContent = options.decodeContent ?? true;
    this.enforceContentLength = options.enforceContentLength ?? true;
    this.requestMethod = options.requestMethod ?? null;
    this.originalResponse = options.originalResponse ?? null;
    this.retries = options.retries ?? null;
    this.#pool = options.pool ?? null;
    this.#connection = options.connection ?? null;
    this.#requestUrl = options.requestUrl ?? null;
    this.#limits = options._limits ?? NO_LIMITS;
    if (exchanged !== null) {
      const { head, content } = exchanged;
      this.status = head.status;
      this.version = head.version;
      this.reason = head.reason === '' ? null : head.reason;
      this.#headers = null;
      this.#content = Buffer.isBuffer(content) ? new MemoryContent(content) : content;
      return;
    }
    this.status = options.status ?? 0;
    this.version = options.version ?? 0;
    this.reason = options.reason ?? null;
    this.#headers = new HTTPHeaderDict(options.headers ?? options.msg);
    this.#content = options._content ?? contentOf(options.body ?? EMPTY);
    if (options.preloadContent ?? true) this.#preloadFromMemory(options.body ?? EMPTY);
  }

  /**
   * @internal The response that an exchange gave; its content is in memory or comes from the connection.
   */
  static fromExchange(exchanged: Exchanged, options: HTTPResponseOptions): HTTPResponse {
    return new HTTPResponse({ ...options, _exchanged: exchanged });
  }

  /**
   * A response made of one of Node's own.
   *
   * @param r - as `http.request` gives it, not read yet
   * @param options - as of the constructor; with `preloadContent` (the default) the promise waits for the content
   */
  static async fromHttplib(r: IncomingMessage, options: HTTPResponseOptions = {}): Promise<HTTPResponse> {
    const headers = new HTTPHeaderDict();
    for (let index = 0; index + 1 < r.rawHeaders.length; index += 2) {
      headers.add(r.rawHeaders[index] ?? '', r.rawHeaders[index + 1] ?? '');
    }
    const response = new HTTPResponse({
      status: r.statusCode ?? 0,
      version: r.httpVersionMajor * 10 + r.httpVersionMinor,
      reason: r.statusMessage ?? null,
      headers,
      ...options,
      body: r,
      originalResponse: r,
      preloadContent: false,
    });
    if (options.preloadContent ?? true) await response.read();
    return response;
  }

  /** The fields of the head. */
  get headers(): HTTPHeaderDict {
    this.#headers ??= HTTPHeaderDict.fromFieldSection(this.#exchanged?.head.fieldSection ?? '');
    return this.#headers;
  }

  /** The fields of the trailer section: all there once the content is, empty for most responses. */
  get trailers(): HTTPHeaderDict {
    return HTTPHeaderDict.fromFieldSection(this.#exchanged?.trailerSection ?? '');
  }

  /**
   * The content, once it has been read to its end: at once with `preloadContent`.
   *
   * @throws {@link ResponseNotReadError} before that
   */
  get data(): Buffer {
    if (this.#data !== null) return this.#data;
    if (this.#failure !== null) {
      throw new ResponseNotReadError('The content broke off before its end', { cause: this.#failure.error });
    }
    if (this.#isGivenUp) throw new ResponseNotReadError('The response was closed before its content had been read');
    if (this.closed) return EMPTY;
    throw new ResponseNotReadError(
      'The content has not been read: call "await response.read()" before "response.data"',
    );
  }

  /** The connection that brings the content, until all has come. */
  get connection(): ResponseConnection | null {
    return this.#content.isExhausted ? null : this.#connection;
  }

  /** Whether all content has come and been read; what was preloaded counts as read. */
  get closed(): boolean {
    return this.#hasAllCome && (this.#ahead.length === 0 || this.#data !== null);
  }

  /** The absolute URL that answered; null for a response made by hand. */
  get url(): string | null {
    return this.#requestUrl;
  }

  /** Seconds that each phase of the attempt that this answers took; null for a response made by hand. */
  get timings(): Timings | null {
    return this.#clock?.timings() ?? null;
  }

  /** Whether the content came in the chunked coding, or would have: the answer to a HEAD says how that to a GET comes. */
  get chunked(): boolean {
    if (this.#exchanged?.head.framing.kind === 'chunked') return true;
    return listMembers(this.headers.get('transfer-encoding') ?? '').some((coding) =>
      equalsIgnoringCase(coding, 'chunked'),
    );
  }

  /** As {@link closed}. */
  isClosed(): boolean {
    return this.closed;
  }

  /** As {@link url}. */
  getUrl(): string | null {
    return this.#requestUrl;
  }

  getHeaders(): HTTPHeaderDict {
    return this.headers;
  }

  info(): HTTPHeaderDict {
    return this.headers;
  }

  /** The value of a field, several joined by ', '. */
  getHeader(name: string): string | undefined;
  getHeader<T>(name: string, fallback: T): string | T;
  getHeader(name: string, fallback?: unknown): unknown {
    return this.headers.get(name, fallback);
  }

  /**
   * Where a redirect points to; false if the status is none of a redirect, null if it does not say, or says several things:
   * which of them was meant nobody can know.
   */
  getRedirectLocation(): string | null | false {
    if (!REDIRECT_STATUSES.has(this.status)) return false;
    const [location, ...others] = new Set(this.headers.getList('location'));
    return location === undefined || others.length > 0 ? null : location;
  }

  /** What part of the representation this is, after a request with Range; null if the response does not say. */
  get contentRange(): ContentRange | null {
    const value = this.headers.get('content-range');
    return value === undefined ? null : parseContentRange(value);
  }

  /**
   * The descriptor of the connection's socket, while content comes by it: for looking at, never for reading.
   *
   * @throws {@link HTTPError} if there is none, or the system has no descriptors
   */
  fileno(): number {
    const fd = this.connection?.fileno?.() ?? null;
    if (fd === null) throw new HTTPError('This response has no file descriptor');
    return fd;
  }

  readable(): boolean {
    return true;
  }

  /** Does nothing: there is nothing to flush in what is read. */
  flush(): void {}

  /** Bytes of content taken so far, as they came on the wire: content codings on, chunked coding off. */
  tell(): number {
    return this.#encodedBytes;
  }

  supportsChunkedReads(): boolean {
    return this.#exchanged !== null || this.originalResponse !== null;
  }

  /**
   * Reads content.
   *
   * @param amt - exactly so many bytes, fewer only at the end; absent or null for all that is left, which is then `data`
   * @throws {@link ProtocolError}, {@link ReadTimeoutError} or {@link DecodeError} when the content does not come as announced
   */
  async read(amt?: number | null, options: ReadOptions = {}): Promise<Buffer> {
    const decode = options.decodeContent ?? this.decodeContent;
    if (amt === undefined || amt === null) return await this.#readAll(decode);
    checkAmount('read', amt);
    const wasGivenUp = this.#isGivenUp;
    const pieces: Buffer[] = [];
    let missing = amt;
    while (missing > 0) {
      const piece = await this.#nextPiece(missing, decode);
      if (piece === null) break;
      pieces.push(piece);
      missing -= piece.length;
    }
    if (missing > 0 && !wasGivenUp) this.#checkNotGivenUp();
    const [first] = pieces;
    const bytes = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
    if (options.cacheContent === true) this.#data = bytes;
    return bytes;
  }

  /**
   * Fills the start of a buffer with content that is there or comes next, with as few copies as can be.
   *
   * @returns how many bytes; 0 at the end
   */
  async readInto(buffer: Uint8Array): Promise<number> {
    if (this.#codings(this.decodeContent).length === 0 && this.#decoded === null && this.#data === null) {
      const count = await this.#guarded(this.#content.readInto(buffer), 0);
      this.#encodedBytes += count;
      return count;
    }
    const piece = await this.#nextPiece(buffer.length, this.decodeContent);
    if (piece === null) return 0;
    buffer.set(piece);
    return piece.length;
  }

  /**
   * The content in pieces, as it comes.
   *
   * @param amt - the most bytes of a piece; a piece may have fewer
   * @throws as {@link read}
   */
  async *stream(amt: number = PIECE_BYTES, options: ReadOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    checkAmount('stream', amt);
    const decode = options.decodeContent ?? this.decodeContent;
    for (;;) {
      const piece = await this.#nextPiece(amt, decode);
      if (piece === null) return;
      yield piece;
    }
  }

  /**
   * The content of a chunked response in pieces: a chunk is one piece if it came in one read and is no longer than `amt`.
   *
   * @throws {@link ResponseNotChunked} if the response is not chunked, {@link BodyNotHttpLibCompatible} if it was not made of
   *   an HTTP connection, so that nobody knows its chunks
   */
  async *readChunked(amt: number = PIECE_BYTES, options: ReadOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    if (!this.chunked) {
      throw new ResponseNotChunked('Response is not chunked. Header "Transfer-Encoding: chunked" is missing.');
    }
    if (!this.supportsChunkedReads()) {
      throw new BodyNotHttpLibCompatible(
        'Cannot read chunks: the body of this response did not come by an HTTP connection',
      );
    }
    yield* this.stream(amt, options);
  }

  /** As {@link stream}; leaving the loop early gives the rest up. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.stream();
    } finally {
      this.close();
    }
  }

  /**
   * Writes what is left of the content to a file, or to a stream, which is ended then.
   *
   * @param target - a path (the file is made, or emptied first), a stream of Node's or one of the web's
   * @returns how many bytes were written
   * @throws as {@link read}, or what the file or stream raises; what was written until then stays
   * @example
   * ```ts
   * const response = await http.request('GET', url, { preloadContent: false });
   * await response.saveTo('download.bin');
   * ```
   */
  async saveTo(target: string | URL | Writable | WritableStream): Promise<number> {
    checkTarget(target);
    // Loaded when it is wanted: it needs a file system, which not every runtime has.
    const { saveToFile, saveToWritable, saveToWritableStream } = await import('./engine/save-content.js');
    try {
      if (typeof target === 'string' || target instanceof URL) {
        return await saveToFile(target, (buffer) => this.#wanted(this.readInto(buffer)));
      }
      if (target instanceof WritableStream) return await saveToWritableStream(target, this.#wantedPieces());
      return await saveToWritable(target, this.#wantedPieces());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The content as a stream of Node's; destroying it early gives the rest up. */
  toReadable(): Readable {
    const pieces = this.#wantedPieces();
    // Not Readable.from(): that one cannot be destroyed while it waits for bytes.
    return new Readable({
      highWaterMark: PIECE_BYTES,
      read() {
        pieces.next().then(
          (step) => this.push(step.done === true ? null : step.value),
          (error) => this.destroy(error),
        );
      },
      destroy: (error, done) => {
        this.close();
        done(error);
      },
    });
  }

  /** The content as a stream of the web's. */
  get body(): ReadableStream<Uint8Array> {
    const pieces = this.#wantedPieces();
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const step = await pieces.next();
          if (step.done === true) controller.close();
          else controller.enqueue(step.value);
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
  }

  /** The content as text, in the charset of its Content-Type, else UTF-8. */
  async text(): Promise<string> {
    const bytes = await this.#whole();
    const decoder = textDecoder(this.headers.get('content-type'));
    return decoder.encoding === 'windows-1252' ? fromWindows1252(bytes) : decoder.decode(bytes);
  }

  /**
   * The content, parsed as JSON.
   *
   * @throws {@link DecodeError} if it is no JSON, with status, type and the first characters in the message
   */
  async json<T = unknown>(): Promise<T> {
    const text = new TextDecoder().decode(await this.#whole());
    try {
      // What a server sends is what its caller says it is: T is the caller's word.
      return JSON.parse(text) as T;
    } catch (cause) {
      const type = this.headers.get('content-type');
      const what = `status ${this.status}, ${type === undefined ? 'no Content-Type' : `Content-Type ${excerpt(type)}`}`;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new DecodeError(`The content is no JSON: it begins with ${excerpt(text)} (${what}): ${excerpt(why)}`, {
        cause,
      });
    }
  }

  /**
   * Reads what is left and throws it away, so that the connection can serve again; gives up, and closes it, after 1 MiB or 1 s.
   */
  async drainConn(): Promise<void> {
    if (this.#content.isExhausted) return;
    const timer = quietTimer(() => this.#content.abandon(), DRAIN_MS);
    try {
      for (let drained = 0; drained < DRAIN_BYTES; ) {
        const piece = await this.#content.read(PIECE_BYTES);
        if (piece === null) return;
        drained += piece.length;
      }
    } catch {
      // Content that breaks off while nobody wants it: the connection is closed already.
    } finally {
      clearTimeout(timer);
      this.close();
    }
  }

  /**
   * Gives the connection back to its pool. It goes back by itself when the content has been read; with content left it cannot
   * serve another request, and is closed.
   */
  releaseConn(): void {
    if (!this.#content.isExhausted) this.close();
  }

  /** Gives up what has not been read. */
  close(): void {
    this.#ahead = EMPTY;
    this.#decodedEnded = true;
    // Ends the decoder's handles; it cannot fail, as nothing is read any more.
    void this.#decoded?.return(undefined);
    if (this.#content.isExhausted) return;
    this.#isGivenUp = true;
    this.#content.abandon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  toString(): string {
    return `<HTTPResponse [${this.status}]>`;
  }

  /**
   * @internal Reads and decodes everything; at once, without a promise, when it is in memory and small.
   */
  _preload(): Promise<unknown> | undefined {
    const content = this.#exchanged?.content;
    if (!Buffer.isBuffer(content)) return this.#preloadFromStream();
    const codings = this.#codings(this.decodeContent);
    if (codings.length === 0) {
      this.#keep(content, content.length, false);
      return undefined;
    }
    const decoded = isSmallEnoughForSync(content.length) ? this.#decodedAtOnce(content, codings) : undefined;
    if (decoded === undefined) return this.#preloadFromStream();
    this.#keep(decoded, content.length, true);
    return undefined;
  }

  #decodedAtOnce(content: Buffer, codings: readonly Coding[]): Buffer | undefined {
    try {
      return tryDecodeBytes(content, codings, this.#limits);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  get #hasAllCome(): boolean {
    return this.#decoded === null ? this.#content.isExhausted : this.#decodedEnded;
  }

  #preloadFromMemory(body: ResponseBody): void {
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
      throw new TypeError('Cannot preload a stream: give preloadContent: false and await response.read()');
    }
    const bytes =
      typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const codings = this.#codings(this.decodeContent);
    const data = codings.length === 0 ? bytes : tryDecodeBytes(bytes, codings, this.#limits);
    if (data === undefined) throw new DecodeError('The content is too large to be decoded at once: read it in pieces');
    this.#keep(data, bytes.length, codings.length > 0);
  }

  async #preloadFromStream(): Promise<void> {
    try {
      this.#ahead = await this.#readAll(this.decodeContent);
    } catch (error) {
      // Nobody else will: the caller never sees this response.
      this.close();
      throw error;
    }
  }

  /** All content is here: it is `data`, and can be read once besides. */
  #keep(data: Buffer, encodedBytes: number, wasDecoded: boolean): void {
    this.#data = data;
    this.#ahead = data;
    this.#content = NOTHING;
    this.#encodedBytes = encodedBytes;
    this.#wasDecoded = wasDecoded;
    this.#decodedEnded = true;
  }

  /** The content, for one who takes its end for the end of the whole. */
  async *#wantedPieces(): AsyncGenerator<Buffer, void, undefined> {
    yield* this.stream();
    this.#checkNotGivenUp();
  }

  async #wanted(reading: Promise<number>): Promise<number> {
    const count = await reading;
    if (count === 0) this.#checkNotGivenUp();
    return count;
  }

  #checkNotGivenUp(): void {
    if (this.#isGivenUp) throw new HTTPError('Cannot read on: the response was closed before its end');
  }

  /** What is left, together; kept as `data`. */
  async #readAll(decode: boolean): Promise<Buffer> {
    const wasGivenUp = this.#isGivenUp;
    const pieces: Buffer[] = [];
    for (;;) {
      const piece = await this.#nextPiece(PIECE_BYTES, decode);
      if (piece === null) break;
      pieces.push(piece);
    }
    // Closed between two pieces: what came is not the whole.
    if (!wasGivenUp) this.#checkNotGivenUp();
    const [first] = pieces;
    const bytes = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
    this.#data ??= bytes;
    return bytes;
  }

  async #whole(): Promise<Buffer> {
    if (this.#data === null) await this.#readAll(this.decodeContent);
    return this.data;
  }

  /** The next bytes, at most `most`; null at the end. */
  async #nextPiece(most: number, decode: boolean): Promise<Buffer | null> {
    if (this.#wasDecoded && !decode) throw new HTTPError('Cannot read the content as it came: decoding it has begun');
    if (this.#ahead.length > 0) return this.#takeAhead(most);
    const codings = this.#codings(decode);
    if (codings.length === 0) return await this.#nextEncoded(most);
    if (this.#decodedEnded) return null;
    this.#wasDecoded = true;
    this.#decoded ??= decodeStream(this.#encodedPieces(), codings, this.#limits);
    if (this.#isDecoding) {
      throw new HTTPError('Cannot read: another read of this response is still waiting for bytes');
    }
    this.#isDecoding = true;
    try {
      const step = await this.#decoded.next();
      if (step.done === true) {
        this.#decodedEnded = true;
        return null;
      }
      this.#ahead = step.value;
    } catch (error) {
      addCallers(error);
      this.#fail(error);
      // What cannot be decoded is of no use: its connection must not wait for somebody to read the rest.
      this.#content.abandon();
      throw error;
    } finally {
      this.#isDecoding = false;
    }
    return this.#takeAhead(most);
  }

  #takeAhead(most: number): Buffer {
    const piece = this.#ahead.subarray(0, most);
    this.#ahead = this.#ahead.subarray(piece.length);
    return piece;
  }

  async #nextEncoded(most: number): Promise<Buffer | null> {
    const piece = await this.#guarded(this.#content.read(most), null);
    if (piece !== null) this.#encodedBytes += piece.length;
    return piece;
  }

  async *#encodedPieces(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const piece = await this.#nextEncoded(PIECE_BYTES);
      if (piece === null) return;
      yield piece;
    }
  }

  /** With `enforceContentLength: false`, content that is shorter than announced just ends. */
  async #guarded<T>(reading: Promise<T>, atEnd: T): Promise<T> {
    const wasGivenUp = this.#isGivenUp;
    try {
      const content = await reading;
      if (content === atEnd && !wasGivenUp) this.#checkNotGivenUp();
      return content;
    } catch (error) {
      const isShort =
        error instanceof ProtocolError && error.cause instanceof IncompleteRead && error.cause.expected !== null;
      if (isShort && !this.enforceContentLength) return atEnd;
      addCallers(error);
      this.#fail(error);
      throw error;
    }
  }

  /** Reading has raised this: for good. */
  #fail(error: unknown): void {
    annotate(error, { phase: 'content', address: this.#connection?.address });
    this.#failure ??= { error };
  }

  /** The codings to take off; none if one of them is unknown to us: then the content stays as it came. */
  #codings(decode: boolean): readonly Coding[] {
    if (!decode || this.#isDecodedElsewhere) return NO_CODINGS;
    const value =
      this.#exchanged === null ? this.headers.get('content-encoding') : this.#exchanged.head.contentEncoding;
    return value === undefined ? NO_CODINGS : (contentCodings(value) ?? NO_CODINGS);
  }

  /** @internal The pool that made the request. */
  get _pool(): ResponsePool | null {
    return this.#pool;
  }
}

function contentOf(body: ResponseBody): ContentReader {
  if (typeof body === 'string') return new MemoryContent(Buffer.from(body));
  if (body instanceof Uint8Array) return new MemoryContent(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body) return new StreamContent(body);
  throw new TypeError(`Cannot make a response of ${describe(body)}: its body must be text, bytes or a stream`);
}

function checkAmount(method: string, amt: unknown): void {
  if (typeof amt !== 'number' || !Number.isInteger(amt)) {
    throw new TypeError(`Cannot ${method} ${describe(amt)} bytes: it must be a whole number`);
  }
  const least = method === 'stream' ? 1 : 0;
  if (amt < least) throw new RangeError(`Cannot ${method} ${amt} bytes: it must be at least ${least}`);
}

function checkTarget(target: unknown): void {
  const isPlace = typeof target === 'string' || target instanceof URL || target instanceof WritableStream;
  const isWritable = typeof target === 'object' && target !== null && 'write' in target && 'end' in target;
  if (isPlace || isWritable) return;
  throw new TypeError(`Cannot save to ${describe(target)}: it must be a path, a file: URL or a writable stream`);
}

/** What 0x80 to 0x9F stand for. */
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

/** Of its own, because the TextDecoder of Node 20 and others takes windows-1252, and so latin1 and ASCII, for ISO 8859-1. */
function fromWindows1252(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/[\x80-\x9f]/g, (control) => WINDOWS_1252.charAt(control.charCodeAt(0) - 0x80));
}

/** Of the charset that a Content-Type names; UTF-8 where it names none, or one that is unknown (WHATWG labels). */
function textDecoder(contentType: string | undefined) {
  const label = /;[ \t]*charset="?([^";, \t]+)/i.exec(contentType ?? '')?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(label);
  } catch {
    return new TextDecoder();
  }
}
