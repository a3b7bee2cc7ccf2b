/**
 * What a caller may give as the body of a request, and the {@link BodySource} that the engine makes of it.
 *
 * The door of this folder. A FormData is a multipart form (filepost.ts); every other kind is content (content.ts); no body and
 * what is not acceptable are decided here, before any byte is sent.
 */
import { describe } from '../excerpt.js';
import { multipartSource } from '../filepost.js';
import type { BodyPosition } from '../util/request.js';
import { type BodySource, type Content, contentSource, contentSourceAt, isTagged } from './content.js';

export type { BodySource } from './content.js';

/**
 * The body of a request:
 *
 * - a string, sent as UTF-8; bytes (Uint8Array, ArrayBuffer, any view);
 * - a Blob or File, whose type becomes the Content-Type; FormData, sent as multipart/form-data; URLSearchParams;
 * - a Node Readable, a WHATWG ReadableStream, an async iterable or an iterator of bytes or strings: sent once. A retry or redirect that
 *   needs it again raises `UnrewindableBodyError`. Left early, it is destroyed, cancelled or returned;
 * - an array or other collection of bytes or strings;
 * - a `FileHandle` of `node:fs/promises`, sent from its beginning (or `bodyPos`) to the size it has now; it stays open;
 * - an object with `read(n)`, and with `tell()` and `seek(position)` if it can be sent again;
 * - a function that returns one of these (but for FormData, which can be sent again itself) for each attempt. Its headers are
 *   written before it is called: give Content-Type, and Content-Length if known.
 */
export type RequestBody = Content | FormData | (() => Content | Promise<Content>);

/** A request without a body. */
export const NO_BODY: BodySource = Object.freeze({ kind: 'none' });

/** What {@link bodySource} takes. */
export interface BodySourceOptions {
  /** Where a file-like body begins, also at the first attempt; absent: where it stands (a FileHandle: 0). */
  readonly bodyPos?: BodyPosition | null | undefined;
}

/**
 * The source for a body of any kind; {@link NO_BODY} for null and undefined.
 *
 * @throws TypeError for a value that is no body (numbers, plain objects), or cannot be sent (a stream that is used up or locked)
 */
export function bodySource(body: RequestBody | null | undefined, options: BodySourceOptions = {}): BodySource {
  if (body === null || body === undefined) return NO_BODY;
  if (isFormData(body)) return multipartSource(body);
  const { bodyPos }: BodySourceOptions = Object.assign(Object.create(null), options);
  if (bodyPos !== null && bodyPos !== undefined) return contentSourceAt(body, bodyPos);
  const source = contentSource(body);
  if (source !== undefined) return source;
  throw new TypeError(
    `Cannot send ${describe(body)} as a body: it must be a string, bytes, a Blob, FormData, URLSearchParams, a stream, an iterable of bytes or strings, a FileHandle, an object with read() or a function that returns one of these`,
  );
}

function isFormData(body: RequestBody): body is FormData {
  return typeof body === 'object' && body !== null && isTagged(body, 'FormData') && Symbol.iterator in body;
}
