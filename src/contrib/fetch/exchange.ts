/**
 * One request and its response over a `fetch`, within the limits of one attempt. It never retries, and follows no redirect
 * itself.
 *
 * How the three timeouts are understood where connecting cannot be told from waiting (docs/edge-runtimes.md): the head may take
 * `connect` and `read` together, each further piece `read`, and all until the head (until the end of what is preloaded)
 * `total`.
 */
import type { BodySource } from '../../body/source.js';
import { type Coding, contentCodings } from '../../coding/codings.js';
import { asBodyError } from '../../engine/body-writer.js';
import { type ContentReader, MemoryContent } from '../../engine/content-reader.js';
import { ExchangeFailure } from '../../engine/exchange-failure.js';
import type { TransferProgress } from '../../engine/session.js';
import { annotate, HTTPError, ProtocolError, ReadTimeoutError } from '../../exceptions.js';
import { HTTPHeaderDict } from '../../headers.js';
import type { AttemptClock } from '../../timings.js';
import type { Timeout } from '../../util/timeout.js';
import { FetchContent, tooLong } from './content.js';
import { type Asked, exchangeError, FetchPlatformError } from './errors.js';
import { type OutgoingBody, outgoingBody } from './outgoing.js';
import { Waits } from './waits.js';

/** Any WHATWG `fetch`. */
export type Fetch = typeof globalThis.fetch;

/** One request, ready to be sent: everything in it has been checked. */
export interface FetchRequest {
  readonly method: string;
  readonly url: string;
  readonly fields: [string, string][];
  readonly body: BodySource;
  readonly asked: Asked;
  /** Whether `fetch` follows redirects itself. */
  readonly follows: boolean;
  readonly timeout: Timeout;
  /** Whether the content stays under `timeout.total`. */
  readonly preloads: boolean;
  readonly signal: AbortSignal | null;
  /** Bytes that content without codings may have; null for no limit. */
  readonly maxContentBytes: number | null;
  readonly onDownloadProgress: ((progress: TransferProgress) => void) | null;
  readonly clock: AttemptClock;
}

/** What came back. */
export interface Fetched {
  readonly status: number;
  /** '' if there is none. */
  readonly reason: string;
  /** What answered, where `fetch` says. */
  readonly url: string;
  readonly headers: HTTPHeaderDict;
  readonly content: ContentReader;
  /** Whether codings that Content-Encoding names are off. */
  readonly isDecoded: boolean;
  /** Of the content; null if it is not announced. */
  readonly length: number | null;
}

/** Statuses whose responses have no content, whatever they announce (RFC 9110 section 6.4.1). */
const STATUSES_WITHOUT_CONTENT: ReadonlySet<number> = new Set([204, 205, 304]);

const ONLY_DIGITS = /^[0-9]+$/;

/** How content in a coding begins, where it does in a way of its own. */
const MAGIC: { readonly [coding in Coding]?: readonly number[] } = {
  gzip: [0x1f, 0x8b],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

/**
 * Runs an exchange up to the head of its response.
 *
 * @throws ExchangeFailure, or the caller's reason to abort
 */
export async function fetchOnce(fetch: Fetch, request: FetchRequest): Promise<Fetched> {
  const { asked, clock, timeout, signal } = request;
  const { pool, target } = asked;
  const waits = new Waits(
    signal,
    (seconds) => new ReadTimeoutError(pool, target, `Read timed out. (read timeout=${seconds})`),
  );
  let body: OutgoingBody | null = null;
  const over = (error: unknown) => {
    waits.release();
    body?.letGo();
    clock.over(error);
  };
  clock.enter('wait');
  try {
    if (timeout.total !== null) waits.beginTotal(timeout.total);
    body = outgoingBody(request.body, () => waits.progress());
    const response = await waits.until(callFetch(fetch, request, body, waits.signal), headSeconds(timeout));
    if (!request.preloads) waits.endTotal();
    clock.head(response.status);
    return await fetched(response, request, waits, over);
  } catch (error) {
    const failure = failureOf(error, body, waits, asked);
    annotate(failure.error, { phase: clock.phase });
    over(failure.error);
    // Whatever `fetch` still does is of no use.
    waits.end(failure.error);
    if (signal?.aborted === true && failure.error === signal.reason) throw signal.reason;
    throw failure;
  }
}

/** In an async function, so that what is thrown at once is a rejection like any other. */
async function callFetch(
  fetch: Fetch,
  { url, method, fields, follows }: FetchRequest,
  { body }: OutgoingBody,
  signal: AbortSignal,
): Promise<Response> {
  const init: RequestInit = { method, headers: fields, redirect: follows ? 'follow' : 'manual', signal };
  if (body !== null) {
    // All that is sent is a body to fetch; the declaration does not know of memory that may be shared, which is copied before.
    Object.assign(init, { body: body as NonNullable<RequestInit['body']>, duplex: 'half' });
  }
  const response = await fetch(url, init);
  // One that did not listen to the abort: nobody waits for its response any more.
  if (signal.aborted) response.body?.cancel().catch(() => {});
  return response;
}

async function fetched(
  response: Response,
  request: FetchRequest,
  waits: Waits,
  over: (error: unknown) => void,
): Promise<Fetched> {
  checkKind(response);
  const { status, statusText: reason, url, body } = response;
  const headers = new HTTPHeaderDict();
  for (const [name, value] of response.headers) addField(headers, name, value);
  const hasContent = request.method !== 'HEAD' && !STATUSES_WITHOUT_CONTENT.has(status) && body !== null;
  const codings = contentCodings(headers.get('content-encoding')) ?? [];
  const announced = headers.get('content-length') ?? '';
  const length =
    ONLY_DIGITS.test(announced) && headers.get('content-encoding') === undefined ? Number(announced) : null;
  const head = { status, reason, url, headers, length };
  if (!hasContent) {
    if (body !== null) body.cancel().catch(() => {});
    over(null);
    return { ...head, content: new MemoryContent(Buffer.alloc(0)), isDecoded: true };
  }
  const maxBytes = request.maxContentBytes;
  if (maxBytes !== null && length !== null && length > maxBytes) throw tooLong(maxBytes);
  const { asked, timeout } = request;
  // Only zstd is not common to all: who does not know one coding of a list takes off none.
  const mayBeCoded = codings.includes('zstd');
  const content = new FetchContent(body, {
    asked,
    waits,
    readSeconds: readSeconds(timeout),
    length,
    maxBytes: mayBeCoded ? null : maxBytes,
    onProgress: request.onDownloadProgress,
    over,
  });
  const isDecoded = !(mayBeCoded && beginsWith(await content.peek(), MAGIC[codings[0] ?? 'br']));
  return { ...head, content, isDecoded };
}

/** @throws FetchPlatformError for a redirect that the runtime does not show */
function checkKind({ type, status }: Response): void {
  if (type === 'opaqueredirect') {
    throw new FetchPlatformError(
      'Cannot tell where the redirect leads: this runtime hides redirects from scripts and can only follow them itself (redirects: "fetch"), which it is not to for this request',
    );
  }
  if (status < 200)
    throw new ProtocolError(`Connection aborted. fetch gave a response of type "${type}" and status ${status}`);
}

/** Several lines come as one; of those that must not be joined, Set-Cookie comes apart, and a URL holds no blank. */
function addField(headers: HTTPHeaderDict, name: string, value: string): void {
  const values = name.toLowerCase() === 'location' ? value.split(', ') : [value];
  for (const one of values) headers.add(name, one);
}

function beginsWith(content: Buffer, magic: readonly number[] | undefined): boolean {
  return magic?.every((byte, index) => content[index] === byte) ?? false;
}

function failureOf(error: unknown, body: OutgoingBody | null, waits: Waits, asked: Asked): ExchangeFailure {
  if (waits.verdict !== null) return new ExchangeFailure(waits.verdict.error, 'request-sent');
  if (body === null) return new ExchangeFailure(error, 'nothing-sent', true);
  if (body.failure !== null) return new ExchangeFailure(asBodyError(body.failure.error), 'request-sent', true);
  if (error instanceof FetchPlatformError) return new ExchangeFailure(error, 'response-began', true);
  const isOurs = error instanceof HTTPError;
  return new ExchangeFailure(isOurs ? error : exchangeError(error, asked), 'request-sent');
}

function headSeconds({ connect, read }: Timeout): number | null {
  return typeof read === 'number' ? read + (typeof connect === 'number' ? connect : 0) : null;
}

function readSeconds({ read }: Timeout): number | null {
  return typeof read === 'number' ? read : null;
}
