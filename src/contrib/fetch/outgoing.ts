/**
 * What a request is to a `fetch`: fields and body in the form that it takes, without what it decides over itself.
 *
 * Fetch frames requests and manages connections, so that the fields about these are not sent; browsers keep some more from
 * scripts (WHATWG Fetch, "forbidden request-header"). Whatever is left out is told once, as a warning.
 */
import type { ReadableStream as WebStream } from 'node:stream/web';
import type { BodySource, StreamSource } from '../../body/content.js';
import { asciiLowerCase } from '../../headers.js';
import { type FieldLine, requestFraming, USER_AGENT } from '../../http1/request-head.js';
import { warn } from '../../warnings.js';
import { FetchPlatformWarning } from './errors.js';

/** What a runtime offers beside `fetch` itself, looked at once. */
export interface Platform {
  /** Whether fields are kept from scripts, as in browsers, which also hide redirects from them. */
  readonly isBrowser: boolean;
  /** Whether a request takes a stream as its body: some browsers would send its name as text. */
  readonly takesStreams: boolean;
}

/** Said of the connection, the framing or the origin: a `fetch` refuses them, ignores them, or writes its own beside them. */
const DECIDED_BY_FETCH: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** The names that were warned of. */
const warnedOf = new Set<string>();

/** For requests that are never made. */
const NOWHERE = 'http://localhost/';

export function platform(): Platform {
  const { Request, ReadableStream } = globalThis;
  if (typeof Request !== 'function') return { isBrowser: false, takesStreams: true };
  return {
    isBrowser: !new Request(NOWHERE, { headers: [['Cookie', 'a=b']] }).headers.has('cookie'),
    takesStreams: takesStreams(Request, new ReadableStream()),
  };
}

/** A stream that was taken for an object like any other has become text, and that has a type. */
function takesStreams(RequestClass: typeof Request, body: ReadableStream): boolean {
  try {
    return !new RequestClass(NOWHERE, { method: 'POST', body, duplex: 'half' }).headers.has('content-type');
  } catch {
    return false;
  }
}

/**
 * The fields as `fetch` is given them: with the defaults of every other manager where they can be sent, without what would not
 * arrive.
 *
 * @throws InvalidHeader if the fields and the body contradict each other
 */
export function outgoingFields(
  method: string,
  lines: readonly FieldLine[],
  body: BodySource,
  { isBrowser }: Platform,
): [string, string][] {
  requestFraming(method, lines, lengthOf(body), false);
  const sent = lines
    .filter(([name]) => isSent(asciiLowerCase(name), body))
    .map(([name, value]): FieldLine => [name, value]);
  const names = new Set(sent.map(([name]) => asciiLowerCase(name)));
  const added: FieldLine[] = [];
  if (!isBrowser) {
    if (!names.has('accept-encoding')) added.push(['Accept-Encoding', 'identity']);
    if (!names.has('user-agent')) added.push(['User-Agent', USER_AGENT]);
  }
  const contentType = body.kind === 'none' ? null : body.contentType;
  if (contentType !== null && !names.has('content-type')) added.push(['Content-Type', contentType]);
  const all = [...added, ...sent];
  return (isBrowser ? all.filter(survives) : all).map(([name, value]) => [name, value]);
}

function isSent(name: string, body: BodySource): boolean {
  // That of bytes is written by fetch; a stream has none but the caller's, where the runtime lets it through.
  if (name === 'content-length') return body.kind === 'stream';
  if (!DECIDED_BY_FETCH.has(name)) return true;
  warnOnce(name, 'fetch decides over it itself');
  return false;
}

/** Asked of the runtime itself: its list is longer than that of the standard, or shorter. */
function survives([name, value]: FieldLine): boolean {
  if (new Request(NOWHERE, { headers: [[name, value]] }).headers.has(name)) return true;
  warnOnce(asciiLowerCase(name), 'this runtime keeps it from scripts');
  return false;
}

function warnOnce(name: string, why: string): void {
  if (warnedOf.has(name)) return;
  warnedOf.add(name);
  warn(new FetchPlatformWarning(`The header "${name}" of a request is not sent: ${why}`));
}

function lengthOf(body: BodySource): number | null | undefined {
  if (body.kind === 'none') return undefined;
  return body.kind === 'bytes' ? body.bytes.length : body.length;
}

/** One sending of a body. */
export interface OutgoingBody {
  /** For `fetch`; null for none. */
  readonly body: Uint8Array | Blob | WebStream<Uint8Array> | null;
  /** What the caller's own source failed of; null if it did not. */
  readonly failure: { readonly error: unknown } | null;
  /** Lets the source go, if it has not been read to its end. */
  letGo(): void;
}

/**
 * @param onProgress - called when `fetch` asks for more of a stream
 * @throws UnrewindableBodyError if it was sent before and cannot be sent again
 */
export function outgoingBody(source: BodySource, onProgress: () => void): OutgoingBody {
  if (source.kind === 'stream') return streamedBody(source, onProgress);
  const isEmpty = source.kind === 'none' || source.bytes.length === 0;
  return { body: isEmpty ? null : source.bytes, failure: null, letGo() {} };
}

function streamedBody(source: StreamSource, onProgress: () => void): OutgoingBody {
  // Sent with its length, by every runtime, and not read into memory.
  if (source.blob !== undefined) return { body: source.blob(), failure: null, letGo() {} };
  const chunks = source.open()[Symbol.asyncIterator]();
  let failure: { readonly error: unknown } | null = null;
  // Never rejects: see Sending.return().
  const letGo = () => void chunks.return?.();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        onProgress();
        try {
          const step = await chunks.next();
          if (step.done === true) controller.close();
          else controller.enqueue(step.value);
          onProgress();
        } catch (error) {
          failure = { error };
          throw error;
        }
      },
      cancel: letGo,
    },
    { highWaterMark: 0 },
  );
  return {
    body,
    get failure() {
      return failure;
    },
    letGo,
  };
}
