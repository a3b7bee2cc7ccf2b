/**
 * The service that fetches for us, as this library sees it: one request in, one reply out, all of it in memory.
 *
 * App Engine's own is bridge.ts; a test gives an object of its own. Retries, redirects that the service is not told to
 * follow, decoding and errors as callers know them are the manager's (../appengine.ts).
 */
import type { CallWatch } from '../../call-watch.js';
import type { FieldLine } from '../../http1/request-head.js';

/** The methods that URLFetch knows. */
export type URLFetchMethod = 'GET' | 'POST' | 'HEAD' | 'PUT' | 'DELETE' | 'PATCH';

/** What is to be fetched. */
export interface URLFetchRequest {
  readonly method: URLFetchMethod;
  /** Absolute, without user-info and fragment. */
  readonly url: string;
  readonly headers: readonly FieldLine[];
  /** At most 10,485,760 bytes; null for none. */
  readonly payload: Uint8Array | null;
  /** Whether the service follows redirects, five at most. */
  readonly followRedirects: boolean;
  /** Seconds until the service gives up; null for its own default, five. */
  readonly deadline: number | null;
  readonly validateCertificate: boolean;
  /** Aborting it ends the call: its promise rejects with the signal's reason. */
  readonly signal: AbortSignal | null;
  /** @internal The watch of the call that this is a part of. */
  readonly _watch?: CallWatch | null | undefined;
}

/** What was fetched. */
export interface URLFetchReply {
  readonly statusCode: number;
  /** In order; a name may stand there several times. */
  readonly headers: readonly FieldLine[];
  readonly content: Uint8Array;
  /** Whether the content was longer than the service gives, and is not all here. @defaultValue false */
  readonly contentWasTruncated?: boolean | undefined;
  /** Where redirects have led; null without any. @defaultValue null */
  readonly finalUrl?: string | null | undefined;
}

/** A service that fetches. */
export interface URLFetch {
  /** @throws {@link URLFetchError} with the number of what went wrong */
  fetch(request: URLFetchRequest): Promise<URLFetchReply>;
  /** Lets go of what is held for later calls. */
  close?(): void;
}
