/**
 * The embedded httpbin: its life from `startHttpbin` to `close`, and what happens to each request that arrives.
 *
 * A test peer stands on `node:http` and knows nothing of the client it tests. It listens on loopback unless told
 * otherwise, serves no files, and bounds bodies and delays. Closing it ends every socket at once, busy or idle; the
 * handlers that were waiting notice and stop. The endpoints: routes.ts.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { isIPv6, type Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { inspect } from 'node:util';
import { Exchange } from './exchange.js';
import { escapeHtml } from './html.js';
import { ClientLeft, Refusal } from './refusal.js';
import { ANY_METHOD, allowedMethods, Router } from './router.js';
import { httpbinRoutes } from './routes.js';

/** How long an idle connection is kept: longer than any test, so that it is the client that decides. */
const KEEP_ALIVE_MS = 120_000;

/** What the server of `https` endpoints needs: at least its certificate and key. */
export type HttpbinTlsOptions = TlsOptions & {
  readonly cert: NonNullable<TlsOptions['cert']>;
  readonly key: NonNullable<TlsOptions['key']>;
};

/** Where and how {@link startHttpbin} listens. */
export interface HttpbinOptions {
  /**
   * TCP port; 0 takes any that is free.
   *
   * @defaultValue 0
   */
  readonly port?: number | undefined;
  /**
   * Address or name to listen on; anything but loopback lets others in.
   *
   * @defaultValue '127.0.0.1'
   */
  readonly host?: string | undefined;
  /**
   * Serves https with this certificate and key (PEM), and whatever else `tls.createServer` takes.
   *
   * @defaultValue none: plain http
   */
  readonly tls?: HttpbinTlsOptions | undefined;
}

/**
 * A running server.
 *
 * @example
 * ```ts
 * await using httpbin = await startHttpbin();
 * const response = await fetch(`${httpbin.url}/get?arg=value`);
 * ```
 */
export interface Httpbin extends AsyncDisposable {
  /** Where it answers, without a slash at the end: `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Connections accepted since the start. */
  readonly connections: number;
  /** Connections that are open now. */
  readonly openSockets: number;
  /** Requests whose head has arrived since the start. */
  readonly requests: number;
  /** Stops listening and ends every connection, busy ones too. May be called again. */
  close(): Promise<void>;
}

/**
 * Starts a server that answers like httpbin.org, for tests, examples and first steps without the Internet.
 *
 * @throws TypeError or RangeError for bad options; the operating system's error if the port cannot be had
 */
export async function startHttpbin(options: HttpbinOptions = {}): Promise<Httpbin> {
  const { port = 0, host = '127.0.0.1', tls } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`Cannot listen on port ${inspect(port)}: it must be an integer from 0 to 65535`);
  }
  if (typeof host !== 'string' || host === '') {
    throw new TypeError(`Cannot listen on host ${inspect(host)}: it must be an address or a name`);
  }
  if (tls !== undefined && !(tls.cert && tls.key)) {
    throw new TypeError('Cannot serve https without a certificate and its key: tls must have both cert and key');
  }
  const server = tls === undefined ? createServer() : createHttpsServer(tls);
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // Connections come in later turns of the event loop, so none is missed here.
  return new EmbeddedHttpbin(server, tls === undefined ? 'http' : 'https', host);
}

class EmbeddedHttpbin implements Httpbin {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #scheme: 'http' | 'https';
  readonly #router = new Router(httpbinRoutes());
  readonly #sockets = new Set<Socket>();
  #connections = 0;
  #requests = 0;
  #closed: Promise<void> | undefined;

  constructor(server: Server, scheme: 'http' | 'https', host: string) {
    this.#server = server;
    this.#scheme = scheme;
    this.host = host;
    this.port = listeningPort(server);
    this.url = `${scheme}://${reachableHost(host)}:${this.port}`;
    server.on('connection', (socket: Socket) => {
      this.#connections++;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request, response) => {
      this.#requests++;
      // Cannot reject: whatever a handler throws becomes a response or the end of one.
      void this.#answer(request, response);
    });
  }

  get connections(): number {
    return this.#connections;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  get requests(): number {
    return this.#requests;
  }

  close(): Promise<void> {
    this.#closed ??= this.#endEverything();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #endEverything(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // The server is 'closed' a little before its sockets have told so.
    const ended = [...this.#sockets].map((socket) => once(socket.destroy(), 'close'));
    await Promise.all([stopped, ...ended]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(request, response, this.#scheme);
    try {
      await this.#dispatch(exchange);
    } catch (error) {
      explain(exchange, error);
    }
  }

  #dispatch(exchange: Exchange): void | Promise<void> {
    const { method, path } = exchange;
    const found = this.#router.find(path);
    if (found === undefined) {
      if (path === '*' && method === 'OPTIONS') return answerOptions(exchange, [...ANY_METHOD, 'HEAD', 'OPTIONS']);
      throw new Refusal(404, `There is no endpoint at ${path}; / lists them`);
    }
    const allowed = allowedMethods(found.route);
    if (method === 'OPTIONS') return answerOptions(exchange, allowed);
    if (!allowed.includes(method)) {
      throw new Refusal(405, `${method} is not for ${found.route.path}`, { Allow: allowed.join(', ') });
    }
    return found.route.handler(exchange, found.params);
  }
}

/** OPTIONS, also as the preflight of a browser. */
function answerOptions(exchange: Exchange, allowed: readonly string[]): void {
  const asked = exchange.field('access-control-request-headers');
  exchange.send({
    fields: {
      Allow: allowed.join(', '),
      'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE, PATCH, OPTIONS',
      'Access-Control-Max-Age': '3600',
      ...(asked === undefined ? {} : { 'Access-Control-Allow-Headers': asked }),
    },
  });
}

/** What the client gets instead of an answer when a handler throws. */
function explain(exchange: Exchange, error: unknown): void {
  if (error instanceof ClientLeft || exchange.isGone) return;
  if (exchange.hasBegun) return exchange.abort();
  const { status, message, fields } =
    error instanceof Refusal ? error : new Refusal(500, `Bug in the embedded httpbin: ${inspect(error)}`);
  const reason = STATUS_CODES[status] ?? '';
  exchange.send(
    { status, fields },
    `<!doctype html>\n<title>${status} ${reason}</title>\n<h1>${reason}</h1>\n<p>${escapeHtml(message)}</p>\n`,
  );
}

function listeningPort(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('Bug in urllib3: a TCP server has no port');
  return address.port;
}

/** The host as a URL names it: IPv6 in brackets, and the loopback address for "any address", which nobody can dial. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return isIPv6(host) ? `[${host}]` : host;
}
