/**
 * An HTTP proxy on loopback that keeps every byte it is sent: it passes requests in absolute form on, makes tunnels for
 * CONNECT, and fails as its test says. Over TLS, and with a password, if wanted.
 *
 * Written against sockets, not against node:http, so that what a client sent is there as it came, malformed or not. Names
 * lead to loopback, whatever they are: a test's target is told by its port.
 */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { Identity } from './authority.js';

export interface ProxyServerOptions {
  /** Speaks TLS, as this. */
  readonly identity?: Identity;
  /** More for TLS, such as asking for a client's certificate. */
  readonly tls?: tls.TlsOptions;
  /** What Proxy-Authorization must be; without it, 407. */
  readonly credentials?: string;
  /** Sent in answer to a CONNECT, in place of making the tunnel; null does as ever. */
  readonly onConnect?: (head: string, connection: ProxyConnection) => string | null;
  /** What stands in the consent to a CONNECT. @defaultValue a status line and an empty line */
  readonly consent?: string;
  /** Where a tunnel leads, in place of the port that was asked for. */
  readonly leadsTo?: number;
  /** Answers a request in absolute form, in place of passing it on. */
  readonly onForward?: (head: string, connection: ProxyConnection) => string | null;
}

/** One connection of a client to the proxy. */
export interface ProxyConnection {
  readonly socket: net.Socket;
  /** Everything that the client sent, through a tunnel too, as latin1. */
  received(): string;
  /** The heads of the requests that it made of the proxy itself: CONNECT, or in absolute form. */
  readonly heads: readonly string[];
}

export interface ProxyServer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:port`, or https. */
  readonly url: string;
  readonly connections: readonly ProxyConnection[];
  /** All heads of all connections, in order. */
  readonly heads: readonly string[];
  /** Connections of clients that still stand. */
  readonly open: number;
  /** Resolves when no connection of a client stands any more. */
  idle(): Promise<void>;
}

const NOT_AUTHORIZED =
  'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n';

export async function proxyServer(options: ProxyServerOptions = {}): Promise<ProxyServer> {
  const connections: Connection[] = [];
  const heads: string[] = [];
  const raw = new Set<net.Socket>();
  const { identity } = options;
  const server = identity === undefined ? net.createServer() : tls.createServer({ ...identity, ...options.tls });
  let tellGone = () => {};
  server.on('connection', (socket: net.Socket) => {
    raw.add(socket.on('error', () => {}));
    socket.on('close', () => {
      raw.delete(socket);
      tellGone();
    });
  });
  server.on('tlsClientError', () => {});
  server.on(identity === undefined ? 'connection' : 'secureConnection', (socket: net.Socket) => {
    connections.push(new Connection(socket, options, heads));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const { port } = address;
  return {
    port,
    url: `${identity === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    connections,
    heads,
    get open() {
      return raw.size;
    },
    idle() {
      return new Promise((resolve) => {
        tellGone = () => {
          if (raw.size === 0) resolve();
        };
        tellGone();
      });
    },
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.close();
      for (const socket of raw) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

class Connection implements ProxyConnection {
  readonly socket: net.Socket;
  readonly heads: string[] = [];
  readonly #options: ProxyServerOptions;
  readonly #allHeads: string[];
  readonly #pieces: Buffer[] = [];
  /** Of the requests to the proxy: what is no head yet. */
  #pending: Buffer = Buffer.alloc(0);
  /** To where everything goes that the client sends from now on. */
  #onward: net.Socket | null = null;

  constructor(socket: net.Socket, options: ProxyServerOptions, allHeads: string[]) {
    this.socket = socket;
    this.#options = options;
    this.#allHeads = allHeads;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      this.#pieces.push(bytes);
      if (this.#onward !== null) this.#onward.write(bytes);
      else this.#take(bytes);
    });
    socket.on('end', () => this.#onward?.end());
    socket.on('close', () => this.#onward?.destroy());
  }

  received(): string {
    return Buffer.concat(this.#pieces).toString('latin1');
  }

  close(): void {
    this.socket.destroy();
    this.#onward?.destroy();
  }

  #take(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    const end = this.#pending.indexOf('\r\n\r\n');
    if (end === -1) return;
    const head = this.#pending.toString('latin1', 0, end + 4);
    const rest = this.#pending.subarray(end + 4);
    this.#pending = Buffer.alloc(0);
    this.heads.push(head);
    this.#allHeads.push(head);
    const { credentials, onConnect, onForward } = this.#options;
    const given = /\r\nproxy-authorization: ([^\r]*)\r\n/i.exec(head)?.[1];
    if (credentials !== undefined && given !== credentials) {
      this.socket.write(NOT_AUTHORIZED);
    } else if (head.startsWith('CONNECT ')) {
      const answer = onConnect?.(head, this) ?? null;
      if (answer === null) this.#tunnel(head, rest);
      else this.socket.write(answer, 'latin1');
    } else {
      const answer = onForward?.(head, this) ?? null;
      if (answer === null) this.#forward(head, rest);
      else this.socket.write(answer, 'latin1');
    }
  }

  #tunnel(head: string, rest: Buffer): void {
    const asked = Number(/^CONNECT \S*:([0-9]+) /.exec(head)?.[1]);
    const onward = net.connect(this.#options.leadsTo ?? asked, '127.0.0.1', () => {
      this.socket.write(this.#options.consent ?? 'HTTP/1.1 200 Connection established\r\n\r\n', 'latin1');
      onward.pipe(this.socket);
    });
    if (rest.length > 0) onward.write(rest);
    onward.on('error', () =>
      this.socket.write('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nnope\n', 'latin1'),
    );
    this.#onward = onward;
  }

  /** One request, and the next when its answer has gone back: each on a connection of its own. */
  #forward(head: string, rest: Buffer): void {
    const parts = /^(\S+) http:\/\/([^/ ]+?)(?::([0-9]+))?(\/\S*)? (HTTP\/1\.1\r\n.*)$/s.exec(head);
    if (parts === null) return void this.socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', 'latin1');
    const [, method, , port = '80', path = '/', fields = ''] = parts;
    const onward = net.connect(this.#options.leadsTo ?? Number(port), '127.0.0.1');
    // At once, not when it is connected: what comes next is written behind it.
    onward.write(`${method} ${path} ${fields.replace(/\r\nProxy-[^\r]*/g, '')}`, 'latin1');
    if (rest.length > 0) onward.write(rest);
    this.#onward = onward;
    onward.on('error', () =>
      this.socket.write('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nnope\n', 'latin1'),
    );
    let answer: Buffer = Buffer.alloc(0);
    onward.on('data', (bytes: Buffer) => {
      this.socket.write(bytes);
      answer = Buffer.concat([answer, bytes]);
      if (!isComplete(answer.toString('latin1'), method === 'HEAD')) return;
      onward.destroy();
      this.#onward = null;
    });
    onward.on('end', () => this.socket.end());
  }
}

/** Whether an answer has come to its end, as far as its fields tell. */
function isComplete(answer: string, hasNoContent: boolean): boolean {
  const end = answer.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const head = answer.slice(0, end);
  if (hasNoContent || /^HTTP\/1\.1 (?:204|304)/.test(head)) return true;
  const length = /\r\nContent-Length: ([0-9]+)/i.exec(head)?.[1];
  if (length !== undefined) return answer.length - end - 4 >= Number(length);
  return /\r\nTransfer-Encoding: chunked/i.test(head) && answer.endsWith('\r\n0\r\n\r\n');
}
