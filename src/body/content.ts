/**
 * Every kind of value that can be content, of a request or of one part of a form, as one {@link BodySource}: what is known of
 * it before it is sent (length, type, whether it can be sent again), and how a sending begins.
 *
 * Kinds are told apart by what they can do rather than by class where other implementations are common (streams, Blobs), and
 * nothing of the caller's runs before a sending begins. FormData and what is not acceptable: source.ts.
 */
import { fstatSync, readSync, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { UnrewindableBodyError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { type BodyPosition, FAILED_TELL, rewindBody, setFilePosition } from '../util/request.js';
import { bytesOf, type Chunk } from './bytes.js';
import {
  type BlobLike,
  blobPuller,
  filePuller,
  iteratorPuller,
  type ReadableObject,
  readerPuller,
  readPuller,
  renewedPuller,
  sequencePuller,
} from './pullers.js';
import { type Puller, Sending } from './sending.js';

/** A body as the engine sends it. */
export type BodySource =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'bytes';
      readonly bytes: Uint8Array;
      /** The Content-Type that this kind of body implies, unless the caller says another. */
      readonly contentType: string | null;
    }
  | StreamSource;

/** A body that is read while it is sent. */
export interface StreamSource {
  readonly kind: 'stream';
  /** Its bytes, where known before it is read. A sending gives exactly as many, or fails. */
  readonly length: number | null;
  readonly contentType: string | null;
  /** Whether `open()` may be called again after a sending has begun. */
  readonly replayable: boolean;
  /**
   * Checks that a sending may begin, as far as that is known before one does.
   *
   * @param cause - what makes another sending necessary
   * @throws {@link UnrewindableBodyError} if the body has been sent and cannot be sent again
   */
  assertUnspent(cause?: Error): void;
  /**
   * Begins one sending of the body. Chunks are never empty; `return()` lets the source go, also in the middle of a `next()`.
   *
   * @throws {@link UnrewindableBodyError} here or from the first `next()` when the body cannot be sent (again)
   */
  open(): AsyncIterable<Uint8Array>;
  /** There for a source that must be let go even if no sending begins: destroys a one-shot stream. */
  readonly discard?: () => void;
  /** There for a source of Blobs and memory: the same bytes as one Blob without a type, which nothing was read of. */
  readonly blob?: () => Blob;
}

/** Content of one request or one part. */
export type Content =
  | Chunk
  | Blob
  | URLSearchParams
  | NodeJS.ReadableStream
  | ReadableStream
  | Iterable<Chunk>
  | AsyncIterable<Chunk>
  | FileHandle
  | ReadableObject;

/** Content, or a function that gives it anew for each attempt. */
export type RenewableContent = Content | (() => Content | Promise<Content>);

/** Up to here, pieces in memory are joined into one buffer, which is one write; beyond, they are sent as they lie: a copy would double them. */
const JOIN_UP_TO_BYTES = 1024 * 1024;

/** Pieces up to this size are worth copying to save a write. */
const SMALL_BYTES = 64 * 1024;

/** Content types, and part headers, as they may be written: visible ASCII and blanks. */
const CONTENT_TYPE = /^[\x20-\x7e\t]*$/;

/** Iterables of pairs: fields or headers that were given as the body by mistake. */
const PAIR_LISTS = ['Map', 'FormData', 'Headers'] as const;

/** One-shot sources whose sending has begun, in whatever request: they have nothing more to give. */
const begun = new WeakSet<object>();

/**
 * The source for `value`, or undefined where it is of no acceptable kind.
 *
 * @throws TypeError when `value` cannot be sent: a stream that is used up or locked, a closed file
 */
export function contentSource(value: unknown): BodySource | undefined {
  if (typeof value === 'string') return bytesSource(Buffer.from(value), null);
  const bytes = bytesOf(value);
  if (bytes !== undefined) return bytesSource(bytes, null);
  if (isFunction(value)) return functionSource(value);
  return typeof value === 'object' && value !== null ? objectSource(value) : undefined;
}

function objectSource(value: object): BodySource | undefined {
  if (isBlob(value)) return blobSource(value);
  if (isTagged(value, 'URLSearchParams')) {
    return bytesSource(Buffer.from(String(value)), 'application/x-www-form-urlencoded;charset=UTF-8');
  }
  if (isFileHandle(value)) return fileSource(value, 0);
  if (isNodeStream(value)) return nodeStreamSource(value);
  if (isWebStream(value)) return webStreamSource(value);
  if (Array.isArray(value)) return memorySource(value.map(arrayChunk), null);
  if (isSeekable(value)) return readSource(value, null);
  if (isAsyncIterable(value)) return asyncIterableSource(value);
  if (isIterable(value) && !PAIR_LISTS.some((tag) => isTagged(value, tag))) return iterableSource(value);
  return isReadableObject(value) ? readSource(value, null) : undefined;
}

/**
 * The source for a file-like body that begins at `bodyPos`, also at the first attempt.
 *
 * @throws TypeError for a body that is not file-like, or a position that is not one
 */
export function contentSourceAt(value: unknown, bodyPos: unknown): BodySource {
  if (bodyPos !== FAILED_TELL && !(typeof bodyPos === 'number' && Number.isSafeInteger(bodyPos) && bodyPos >= 0)) {
    throw new TypeError(`Cannot send the body from position ${describe(bodyPos)}: bodyPos must be an integer >= 0`);
  }
  if (typeof value === 'object' && value !== null && !isNodeStream(value)) {
    if (isFileHandle(value) && bodyPos !== FAILED_TELL) return fileSource(value, bodyPos);
    if (isSeekable(value)) return readSource(value, bodyPos);
  }
  throw new TypeError(
    `Cannot send ${describe(value)} from a position: bodyPos is for a FileHandle or an object with read() and seek()`,
  );
}

export function bytesSource(bytes: Uint8Array, contentType: string | null): BodySource {
  return { kind: 'bytes', bytes, contentType };
}

/** Pieces that are all in memory: one buffer while that is cheap. */
export function memorySource(pieces: readonly Uint8Array[], contentType: string | null): BodySource {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return bytesSource(only, contentType);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return length <= JOIN_UP_TO_BYTES
    ? bytesSource(Buffer.concat(pieces, length), contentType)
    : largeSource(joined(pieces), length, contentType);
}

function largeSource(pieces: readonly Uint8Array[], length: number, contentType: string | null): BodySource {
  return streamSource({ length, contentType, pull: () => sequencePuller(pieces) });
}

/** Sources one after another. They can be sent again when all of them can. */
export function sequenceSource(sources: readonly BodySource[], contentType: string): BodySource {
  const streams = sources.filter((source) => source.kind === 'stream');
  if (streams.length === 0) return memorySource(sources.flatMap(bytesIn), contentType);
  const length = sources.reduce<number | null>((sum, source) => plus(sum, source), 0);
  const pieces = joined(
    sources.flatMap<Uint8Array | StreamSource>((source) => (source.kind === 'stream' ? source : bytesIn(source))),
  );
  const pull = () => sequencePuller(pieces);
  const blob = blobOf(pieces);
  if (streams.every((stream) => stream.replayable)) return streamSource({ length, contentType, pull, blob });
  const discard = () => {
    for (const stream of streams) stream.discard?.();
  };
  return oneShotSource({}, 'a form with a part that can be read only once', { length, contentType, pull, discard });
}

/** Undefined unless every piece is in memory or a Blob. */
function blobOf(pieces: readonly (Uint8Array | StreamSource)[]): (() => Blob) | undefined {
  const isBlobLike = (piece: Uint8Array | StreamSource) => piece instanceof Uint8Array || piece.blob !== undefined;
  if (!pieces.every(isBlobLike)) return undefined;
  return () => new Blob(pieces.map((piece) => (piece instanceof Uint8Array ? piece : (piece.blob?.() ?? ''))));
}

function bytesIn(source: BodySource): Uint8Array[] {
  return source.kind === 'bytes' ? [source.bytes] : [];
}

function plus(sum: number | null, source: BodySource): number | null {
  if (source.kind !== 'stream') return sum === null || source.kind === 'none' ? sum : sum + source.bytes.length;
  return sum === null || source.length === null ? null : sum + source.length;
}

/** Neighbours that are small become one piece: the head of a part and what stands before it are one write. */
function joined<T extends object>(pieces: readonly (Uint8Array | T)[]): (Uint8Array | T)[] {
  const result: (Uint8Array | T)[] = [];
  let run: Uint8Array[] = [];
  let size = 0;
  const endRun = () => {
    if (run.length > 0) result.push(Buffer.concat(run, size));
    run = [];
    size = 0;
  };
  for (const piece of pieces) {
    const isSmall = piece instanceof Uint8Array && piece.length <= SMALL_BYTES;
    if (!isSmall || size + piece.length > SMALL_BYTES) endRun();
    if (isSmall) {
      run.push(piece);
      size += piece.length;
    } else result.push(piece);
  }
  endRun();
  return result;
}

interface StreamParts {
  readonly length?: number | null;
  readonly contentType?: string | null;
  /** Begins a sending. */
  readonly pull: () => Puller;
  readonly blob?: (() => Blob) | undefined;
}

function streamSource({ length = null, contentType = null, pull, blob }: StreamParts): StreamSource {
  const open = () => new Sending(pull(), length);
  const ways = blob === undefined ? { open } : { open, blob };
  return { kind: 'stream', length, contentType, replayable: true, assertUnspent() {}, ...ways };
}

/** @param identity - the object that is used up by one sending, in whatever request */
function oneShotSource(
  identity: object,
  what: string,
  { length = null, contentType = null, pull, discard }: StreamParts & { readonly discard: () => unknown },
): StreamSource {
  const assertUnspent = (cause?: Error) => {
    if (begun.has(identity)) throw cannotSendAgain(what, cause);
  };
  return {
    kind: 'stream',
    length,
    contentType,
    replayable: false,
    assertUnspent,
    open() {
      assertUnspent();
      begun.add(identity);
      return new Sending(pull(), length);
    },
    discard() {
      if (begun.has(identity)) return;
      begun.add(identity);
      discard();
    },
  };
}

function cannotSendAgain(what: string, cause?: Error): UnrewindableBodyError {
  const advice = 'give a function that returns a new one for each attempt';
  return new UnrewindableBodyError(`Cannot send the body again: it is ${what}; ${advice}`, { cause });
}

function arrayChunk(chunk: unknown): Uint8Array {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : bytesOf(chunk);
  if (bytes === undefined) {
    throw new TypeError(`Cannot send ${describe(chunk)} as a chunk of a body: it must be bytes or a string`);
  }
  return bytes;
}

// Functions

function functionSource(give: () => unknown): StreamSource {
  const renew = async (isWanted: () => boolean) => {
    const value = await give();
    const source = typeof value === 'function' ? undefined : contentSource(value);
    if (source === undefined) {
      throw new TypeError(
        `Cannot send what the body's function returned, ${describe(value)}: it must return a string, bytes, a Blob, a stream, an iterable or an object with read()`,
      );
    }
    const stream = source.kind === 'stream' ? source : streamSource({ pull: () => sequencePuller(bytesIn(source)) });
    if (isWanted()) return stream.open()[Symbol.asyncIterator]();
    stream.discard?.();
    return undefined;
  };
  return streamSource({ pull: () => renewedPuller(renew) });
}

// Blobs

export function isBlob(value: unknown): value is BlobLike {
  if (value instanceof Blob) return true;
  if (typeof value !== 'object' || value === null) return false;
  const isNamed = isTagged(value, 'Blob') || isTagged(value, 'File');
  return isNamed && hasMethod(value, 'slice') && hasMethod(value, 'arrayBuffer');
}

/** The type of a Blob, read once; null where it has none. */
export function blobType(blob: BlobLike): string | null {
  const type: unknown = blob.type;
  if (typeof type !== 'string' || !CONTENT_TYPE.test(type)) {
    throw new TypeError(`Cannot use the type ${describe(type)} of a Blob: it must be a media type in visible ASCII`);
  }
  return type === '' ? null : type;
}

function blobSource(blob: BlobLike): BodySource {
  const size: unknown = blob.size;
  const contentType = blobType(blob);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new TypeError(`Cannot send a Blob of size ${describe(size)}: it must be a number of bytes`);
  }
  if (size === 0) return bytesSource(new Uint8Array(0), contentType);
  // A Blob of another implementation is nothing that the runtime could send.
  const same = blob instanceof Blob ? () => blob.slice(0, size, '') : undefined;
  return streamSource({ length: size, contentType, pull: () => blobPuller(blob, size), blob: same });
}

// Files and file-like objects

function isFileHandle(value: object): value is FileHandle {
  return 'fd' in value && typeof value.fd === 'number' && hasMethod(value, 'read') && hasMethod(value, 'stat');
}

function fileSource(file: FileHandle, start: number): BodySource {
  const stats = statsOf(file);
  if (!stats.isFile()) {
    return oneShotSource(file, 'a file without positions', { pull: () => filePuller(file, null, null), discard() {} });
  }
  // Files that the system makes up (in /proc) say that they are empty, and are not.
  if (stats.size === 0 && readSync(file.fd, new Uint8Array(1), 0, 1, start) > 0) {
    return streamSource({ pull: () => filePuller(file, start, null) });
  }
  const end = Math.max(start, stats.size);
  return streamSource({ length: end - start, pull: () => filePuller(file, start, end) });
}

function statsOf(file: FileHandle): Stats {
  try {
    return fstatSync(file.fd);
  } catch (cause) {
    throw new TypeError('Cannot send the file: its FileHandle is closed', { cause });
  }
}

function isReadableObject(value: object): value is ReadableObject {
  return hasMethod(value, 'read');
}

function isSeekable(value: object): value is ReadableObject {
  return hasMethod(value, 'read') && hasMethod(value, 'seek');
}

/** Replayable when it can go back to where it stood, which is recorded at the first attempt. */
function readSource(object: ReadableObject, bodyPos: BodyPosition | null): StreamSource {
  const mayGoBack = hasMethod(object, 'seek') && (bodyPos !== null || hasMethod(object, 'tell'));
  let start: BodyPosition | null = bodyPos;
  let isBegun = false;
  const prepare = async () => {
    if (isBegun) return rewindBody(object, start);
    isBegun = true;
    start = await setFilePosition(object, bodyPos);
  };
  const assertUnspent = (cause?: Error) => {
    if (isBegun && !mayGoBack) throw cannotSendAgain('an object with read() but not both tell() and seek()', cause);
  };
  return {
    kind: 'stream',
    length: null,
    contentType: null,
    get replayable() {
      return mayGoBack && start !== FAILED_TELL;
    },
    assertUnspent,
    open() {
      assertUnspent();
      return new Sending(readPuller(object, prepare), null);
    },
  };
}

// Streams

interface NodeStream {
  on(event: 'error' | 'close', listener: (error: unknown) => void): unknown;
  pipe(destination: PassThrough): unknown;
  destroy?(error?: Error): unknown;
  readonly destroyed?: boolean;
  readonly errored?: Error | null;
  readonly readableEnded?: boolean;
}

function isNodeStream(value: object): value is NodeStream {
  const isReadable = isAsyncIterable(value) || ('readable' in value && value.readable === true);
  return isReadable && hasMethod(value, 'pipe') && hasMethod(value, 'on');
}

/**
 * A stream of Node. Its errors are listened to from now on: one that comes before its turn, such as a file that is not
 * there, must fail the request and not the process.
 */
function nodeStreamSource(stream: NodeStream): StreamSource {
  const isUsedUp = stream.readableEnded === true || (stream.destroyed === true && !stream.errored);
  if (isUsedUp && !begun.has(stream)) {
    throw new TypeError('Cannot send the stream: it has already been read to its end or destroyed');
  }
  stream.on('error', () => {});
  const iterable = isAsyncIterable(stream) ? stream : fromLegacyStream(stream);
  const destroy = () => stream.destroy?.();
  return oneShotSource(stream, 'a stream that can be read only once', {
    pull: () => iteratorPuller(iterable[Symbol.asyncIterator](), destroy),
    discard: destroy,
  });
}

/** A stream of Node's first days (the `form-data` package gives one): it can only be piped, and may flow before its turn. */
function fromLegacyStream(stream: NodeStream): PassThrough {
  const through = new PassThrough();
  through.on('error', () => {});
  stream.on('error', (error) => through.destroy(error instanceof Error ? error : new Error(String(error))));
  stream.on('close', () => {
    if (!through.writableEnded) through.destroy();
  });
  stream.pipe(through);
  return through;
}

function isWebStream(value: object): value is ReadableStream {
  return hasMethod(value, 'getReader');
}

function webStreamSource(stream: ReadableStream): StreamSource {
  if (!begun.has(stream)) {
    if (stream.locked) throw new TypeError('Cannot send the stream: it is locked to another reader');
    // The declaration knows only streams of Node; the documentation of isDisturbed() names these too.
    if (Readable.isDisturbed(stream as unknown as Readable))
      throw new TypeError('Cannot send the stream: it has already been read from or cancelled');
  }
  return oneShotSource(stream, 'a stream that can be read only once', {
    pull: () => readerPuller(stream.getReader()),
    // A failing cancel is the stream's own trouble: nothing of it was wanted.
    discard: () => void stream.cancel().catch(() => {}),
  });
}

// Iterables

/**
 * One-shot: most asynchronous iterables stand for something that is used up, and one that is and does not say so would send
 * an empty or shortened body at the second attempt. The function form is there for those that can begin anew.
 */
function asyncIterableSource(iterable: AsyncIterable<unknown>): StreamSource {
  return oneShotSource(iterable, 'an async iterable, which may be usable only once', {
    pull: () => iteratorPuller(iterable[Symbol.asyncIterator]()),
    discard() {},
  });
}

/** A collection is replayable; an iterator (a generator object) is not, nor what hands out the same iterator again. */
function iterableSource(iterable: Iterable<unknown>): StreamSource {
  const what = 'an iterator, which can be used only once';
  if (hasMethod(iterable, 'next')) {
    return oneShotSource(iterable, what, { pull: () => iteratorPuller(iterable[Symbol.iterator]()), discard() {} });
  }
  return streamSource({
    pull() {
      const iterator = iterable[Symbol.iterator]();
      if (begun.has(iterator)) throw cannotSendAgain(what);
      begun.add(iterator);
      return iteratorPuller(iterator);
    },
  });
}

// What a value can do

function isFunction(value: unknown): value is () => unknown {
  return typeof value === 'function';
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return hasMethod(value, Symbol.asyncIterator);
}

function isIterable(value: object): value is Iterable<unknown> {
  return hasMethod(value, Symbol.iterator);
}

/** By its name for `Object.prototype.toString`, which other implementations of a web class have too. */
export function isTagged(value: object, tag: string): boolean {
  return Symbol.toStringTag in value && value[Symbol.toStringTag] === tag;
}

function hasMethod(value: object, name: string | symbol): boolean {
  return typeof Reflect.get(value, name) === 'function';
}
