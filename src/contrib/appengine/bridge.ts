/**
 * App Engine's own URLFetch: calls over HTTP to the bridge of the runtime, in the name of an incoming request.
 *
 * The bridge stands at API_HOST and API_PORT, takes one message by POST and answers with one. It trusts a call for its
 * ticket, which came with the incoming request and dies with it: {@link withAppengineRequest} carries it through whatever
 * a handler awaits. Written from the protocol as Google's SDKs for Go, Java, PHP and Python speak it; nobody documents that it
 * answers to Node, and it has only been run against a server of our own. The messages: messages.ts.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { HTTPConnectionPool } from '../../connectionpool.js';
import {
  DecodeError,
  EmptyPoolError,
  HTTPError,
  NewConnectionError,
  ProtocolError,
  TimeoutError,
} from '../../exceptions.js';
import { excerpt } from '../../excerpt.js';
import { type HeadersInput, HTTPHeaderDict } from '../../headers.js';
import type { FieldLine } from '../../http1/request-head.js';
import { portOrNull, type Rules, resolveOptions, textOrNull } from '../../options.js';
import type { HTTPResponse } from '../../response.js';
import { Timeout } from '../../util/timeout.js';
import { isAppengineSandbox } from './environ.js';
import { AppEnginePlatformError, RPC_RESPONSE_TOO_LARGE, URLFetchError } from './errors.js';
import { decodeCallReply, encodeCall } from './messages.js';
import type { URLFetch, URLFetchReply, URLFetchRequest } from './urlfetch.js';

export interface URLFetchBridgeOptions {
  /** Where the bridge is. @defaultValue API_HOST, or appengine.googleapis.internal */
  readonly host?: string | null | undefined;
  /** @defaultValue API_PORT, or 10001 */
  readonly port?: number | null | undefined;
  /**
   * The ticket of every call.
   *
   * @defaultValue that of the incoming request, see {@link withAppengineRequest}; then DEFAULT_TICKET
   */
  readonly ticket?: string | null | undefined;
}

interface BridgeSettings {
  readonly host: string | null;
  readonly port: number | null;
  readonly ticket: string | null;
}

const RULES: Rules<BridgeSettings> = { host: textOrNull, port: portOrNull, ticket: textOrNull };
const DEFAULTS: BridgeSettings = Object.freeze({ host: null, port: null, ticket: null });

const DEFAULT_HOST = 'appengine.googleapis.internal';
const DEFAULT_PORT = 10_001;

/** What calls may be on their way at once: the SDKs have the same limit. */
const MAX_CALLS = 100;
/** Seconds for making a connection to the bridge, as in Google's SDK for Go. */
const CONNECT_SECONDS = 10;
/** Seconds that a call may take which names no deadline, as in Google's SDKs. */
const DEFAULT_DEADLINE = 60;
/** Seconds that the bridge has to say itself that the deadline has passed. */
const GRACE = 1;
/** 32 MB of content, and room for its header. */
const MAX_REPLY_BYTES = 33 * 1024 * 1024;

/** What goes from an incoming request to the calls made for it, so that they can be traced. */
const TRACE_FIELDS = ['X-Google-DapperTraceInfo', 'X-Cloud-Trace-Context'] as const;
/** The first of them that an incoming request has is its ticket; the second is the development server's. */
const TICKET_FIELDS = ['X-Appengine-API-Ticket', 'X-Appengine-Dev-Request-Id'] as const;

const incoming = new AsyncLocalStorage<HTTPHeaderDict>();

/**
 * Calls `callback`, and has everything that it does and awaits call URLFetch in the name of an incoming request.
 *
 * @param headers - of the incoming request, as `node:http` or a framework gives them
 * @returns what `callback` returns
 * @example
 * ```ts
 * createServer((request, response) => withAppengineRequest(request.headers, () => handle(request, response)));
 * ```
 */
export function withAppengineRequest<T>(headers: HeadersInput, callback: () => T): T {
  return incoming.run(new HTTPHeaderDict(headers), callback);
}

/** Whether there is a sign of URLFetch: the sandbox, the address of the bridge, or a ticket for it. */
export function isURLFetchAvailable(): boolean {
  return isAppengineSandbox() || Boolean(process.env.API_HOST) || currentTicket() !== null;
}

/**
 * URLFetch, called through the bridge of the runtime; what an `AppEngineManager` uses unless told otherwise.
 *
 * @throws TypeError or RangeError for options that cannot be used, {@link AppEnginePlatformError} for an API_PORT that is none
 */
export class URLFetchBridge implements URLFetch {
  readonly host: string;
  readonly port: number;
  readonly #ticket: string | null;
  #pool: HTTPConnectionPool | null = null;

  constructor(options: URLFetchBridgeOptions = {}) {
    const { host, port, ticket } = resolveOptions('a URLFetch bridge', options, RULES, DEFAULTS);
    this.host = host ?? (process.env.API_HOST || DEFAULT_HOST);
    this.port = port ?? portOfEnvironment();
    this.#ticket = ticket;
  }

  /**
   * @throws {@link URLFetchError}, {@link AppEnginePlatformError} if the bridge cannot be reached, {@link TimeoutError} if it does
   *   not answer, {@link ProtocolError} if it answers what is no reply
   */
  async fetch(request: URLFetchRequest): Promise<URLFetchReply> {
    const seconds = request.deadline ?? DEFAULT_DEADLINE;
    const ticket = this.#ticket ?? currentTicket();
    const response = await this.#call(encodeCall(request, ticket), seconds, request);
    if (response.status !== 200) {
      const said = excerpt(response.data.toString('latin1'));
      throw new ProtocolError(`The call of URLFetch was answered with status ${response.status}: ${said}`);
    }
    return decodeCallReply(response.data);
  }

  /** Closes the connections to the bridge. Later calls open new ones. */
  close(): void {
    this.#pool?.close();
    this.#pool = null;
  }

  toString(): string {
    return `URLFetchBridge(host='${this.host}', port=${this.port})`;
  }

  async #call(message: Buffer, seconds: number, { signal, _watch }: URLFetchRequest): Promise<HTTPResponse> {
    this.#pool ??= new HTTPConnectionPool(this.host, { port: this.port, maxsize: MAX_CALLS, block: true });
    try {
      return await this.#pool.urlopen('POST', '/rpc_http', {
        body: message,
        headers: callHeaders(seconds),
        retries: false,
        redirect: false,
        timeout: new Timeout({ connect: CONNECT_SECONDS, total: seconds + GRACE }),
        poolTimeout: seconds + GRACE,
        decodeContent: false,
        maxDecodedSize: MAX_REPLY_BYTES,
        signal,
        _watch,
      });
    } catch (error) {
      if (signal?.aborted === true || !(error instanceof HTTPError)) throw error;
      throw this.#trouble(error, seconds);
    }
  }

  /** The pool speaks of a connection that callers know nothing of. */
  #trouble(cause: HTTPError, seconds: number): HTTPError {
    if (cause instanceof NewConnectionError) {
      return new AppEnginePlatformError(`URLFetch is not available: ${this} cannot be reached`, { cause });
    }
    if (cause instanceof TimeoutError || cause instanceof EmptyPoolError) {
      return new TimeoutError(`${this}: no reply within ${seconds + GRACE} seconds`, { cause });
    }
    if (cause instanceof DecodeError) return new URLFetchError('rpc', RPC_RESPONSE_TOO_LARGE, '', { cause });
    return new ProtocolError(`The call of URLFetch failed: ${cause.message}`, { cause });
  }
}

function callHeaders(seconds: number): FieldLine[] {
  const request = incoming.getStore();
  const passedOn = TRACE_FIELDS.flatMap((name) =>
    (request?.getList(name) ?? []).map((value): FieldLine => [name, value]),
  );
  return [
    ['X-Google-RPC-Service-Endpoint', 'app-engine-apis'],
    ['X-Google-RPC-Service-Method', '/VMRemoteAPI.CallRemoteAPI'],
    ['X-Google-RPC-Service-Deadline', inDecimal(seconds)],
    ['Content-Type', 'application/octet-stream'],
    ...passedOn,
  ];
}

function currentTicket(): string | null {
  const request = incoming.getStore();
  const [ticket] = TICKET_FIELDS.flatMap((name) => request?.getList(name) ?? []);
  return ticket ?? (process.env.DEFAULT_TICKET || null);
}

/** Never with an exponent. */
function inDecimal(seconds: number): string {
  return seconds.toFixed(6).replace(/\.?0+$/, '');
}

function portOfEnvironment(): number {
  const text = process.env.API_PORT || String(DEFAULT_PORT);
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new AppEnginePlatformError(`URLFetch is not available: API_PORT is ${excerpt(text)}, which is no port`);
}
