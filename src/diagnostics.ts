/**
 * What happens to requests and connections, as data on channels of `node:diagnostics_channel`, for tracing and metrics.
 *
 * A channel without subscribers costs one question: call sites ask `hasSubscribers` before they build an event. Events are
 * small frozen objects that name things (numbers, texts) and hold none (no pool, socket, header or body), so that keeping
 * them keeps nothing else, and printing them shows no secret: URLs have no user-info, and in their queries no values of what is named like a secret.
 *
 * Subscribers run in the middle of the request. What one throws does not reach the request: Node reports it as an
 * uncaught exception. Lines for people are made by logging.ts.
 */
import { type Channel, channel } from 'node:diagnostics_channel';
import { withoutSecrets } from './excerpt.js';

/** Which attempt of which request. */
export interface AttemptEvent {
  /** One number for a call of `request` or `urlopen` with all its attempts and redirects; counted from 1 in the process. */
  readonly requestId: number;
  /** Counted from 1 within the request: every retry and every redirect is one more. */
  readonly attempt: number;
  readonly method: string;
  /** Absolute, without fragment and secrets. */
  readonly url: string;
  /** The pool, as it prints itself: `HTTPConnectionPool(host="localhost", port=80)`. */
  readonly pool: string;
}

/** `urllib3:request:start`: an attempt begins; it has no connection yet. */
export interface RequestStartEvent extends AttemptEvent {}

/** `urllib3:request:head`: the status line and header section of the final response are there. */
export interface RequestHeadEvent extends AttemptEvent {
  /** Null where connections are not ours to know, as over `fetch`. */
  readonly connectionId: number | null;
  readonly status: number;
  /** Seconds since the attempt began: waiting for a connection, making one, sending and waiting. */
  readonly duration: number;
}

/** `urllib3:request:end`: the response was read to its end, or given up by its owner. */
export interface RequestEndEvent extends AttemptEvent {
  /** As in {@link RequestHeadEvent}. */
  readonly connectionId: number | null;
  readonly status: number;
  /** Seconds since the attempt began. */
  readonly duration: number;
}

/** `urllib3:request:error`: an attempt failed; whether there will be another is told by `urllib3:retry`. */
export interface RequestErrorEvent extends AttemptEvent {
  /** Null where none was had: refused, timed out in the queue. */
  readonly connectionId: number | null;
  readonly error: unknown;
  /** Seconds since the attempt began. */
  readonly duration: number;
}

/** Which connection. */
export interface ConnectionEvent {
  /** Counted from 1 in the process. */
  readonly connectionId: number;
  /** The pool or connection, as it prints itself. */
  readonly pool: string;
  /** The peer's address and port, `127.0.0.1:8080` or `[::1]:8080`: a proxy's, where one is used; null where not known. */
  readonly address: string | null;
}

/** `urllib3:connection:open`: a connection was made, with TLS and through the proxy where asked for. */
export interface ConnectionOpenEvent extends ConnectionEvent {
  /** `TLSv1.3`; null without TLS. */
  readonly tls: string | null;
  /** Seconds that it took. */
  readonly duration: number;
}

/** `urllib3:connection:reuse`: a connection that served before serves another request. */
export interface ConnectionReuseEvent extends ConnectionEvent {
  /** How many exchanges it had served before. */
  readonly exchanges: number;
}

/** `urllib3:connection:close`: a connection that had been open is closed, by either side. */
export interface ConnectionCloseEvent extends ConnectionEvent {
  /** How many exchanges it had served. */
  readonly exchanges: number;
  /** Seconds that it was open. */
  readonly duration: number;
}

/** `urllib3:retry`: the attempt failed, or its status asks for another; after `delay` there will be one. */
export interface RetryEvent extends AttemptEvent {
  /** Why, where the attempt failed. */
  readonly error: unknown;
  /** Why, where a response asks for it: its status. */
  readonly status: number | null;
  /** Seconds to wait before the next attempt: backoff, or what Retry-After asks for. */
  readonly delay: number;
}

/** `urllib3:redirect`: a response sends the request elsewhere, and it goes there. */
export interface RedirectEvent extends AttemptEvent {
  readonly status: number;
  /** Where it goes: absolute, without secrets. */
  readonly location: string;
  /** The method of the next attempt: a 303 makes most a GET. */
  readonly nextMethod: string;
}

/**
 * One of the channels, typed. `node:diagnostics_channel` reaches the same one by its name.
 *
 * @example
 * requestHead.subscribe(({ method, url, status, duration }) => histogram.record(duration, { method, status }));
 */
export class DiagnosticsChannel<Event extends object> {
  readonly name: string;
  readonly #channel: Channel;
  /** Each subscriber, and what stands for it in Node's channel. */
  readonly #listeners = new Map<(event: Event) => void, (message: unknown) => void>();

  /** @internal */
  constructor(name: string) {
    this.name = name;
    this.#channel = channel(name);
  }

  /** Does anyone listen? To be asked before an event is built. */
  get hasSubscribers(): boolean {
    return this.#channel.hasSubscribers;
  }

  /**
   * Tells all subscribers, at once and in order.
   *
   * @internal
   */
  publish(event: Event): void {
    this.#channel.publish(Object.freeze(harmless(event)));
  }

  /** Subscribing the same function twice is as once. */
  subscribe(listener: (event: Event) => void): void {
    if (this.#listeners.has(listener)) return;
    // Only publish() above puts messages on the channel, or someone who took the name for the same meaning.
    const onMessage = (message: unknown) => listener(message as Event);
    this.#listeners.set(listener, onMessage);
    this.#channel.subscribe(onMessage);
  }

  /** @returns whether it was subscribed */
  unsubscribe(listener: (event: Event) => void): boolean {
    const onMessage = this.#listeners.get(listener);
    if (onMessage === undefined) return false;
    this.#listeners.delete(listener);
    this.#channel.unsubscribe(onMessage);
    return true;
  }
}

export const requestStart = new DiagnosticsChannel<RequestStartEvent>('urllib3:request:start');
export const requestHead = new DiagnosticsChannel<RequestHeadEvent>('urllib3:request:head');
export const requestEnd = new DiagnosticsChannel<RequestEndEvent>('urllib3:request:end');
export const requestError = new DiagnosticsChannel<RequestErrorEvent>('urllib3:request:error');
export const connectionOpen = new DiagnosticsChannel<ConnectionOpenEvent>('urllib3:connection:open');
export const connectionReuse = new DiagnosticsChannel<ConnectionReuseEvent>('urllib3:connection:reuse');
export const connectionClose = new DiagnosticsChannel<ConnectionCloseEvent>('urllib3:connection:close');
export const retry = new DiagnosticsChannel<RetryEvent>('urllib3:retry');
export const redirect = new DiagnosticsChannel<RedirectEvent>('urllib3:redirect');

/** A copy whose URLs have no secrets: whoever publishes need not think of it. */
function harmless<Event extends object>(event: Event): Event {
  const copy: Event = { ...event };
  for (const name of ['url', 'location']) {
    const value: unknown = Reflect.get(copy, name);
    if (typeof value === 'string') Reflect.set(copy, name, withoutSecrets(value));
  }
  return copy;
}
