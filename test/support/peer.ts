/**
 * Peers that do what a test says: raw TCP or TLS servers on a free port of loopback, which write exact bytes and keep what
 * they get. A script runs for each connection and waits on events only: a request has come, the client has gone.
 */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

/** One connection, seen from the server. */
export class PeerConnection {
  /** Which connection of this peer it is: 0 for the first. */
  readonly index: number;
  readonly socket: net.Socket;
  /** Resolves when the connection is gone, however it went. */
  readonly closed: Promise<void>;
  #bytes: Buffer = Buffer.alloc(0);
  #taken = 0;
  #listeners = new Set<() => void>();

  constructor(index: number, socket: net.Socket) {
    this.index = index;
    this.socket = socket;
    this.closed = new Promise((resolve) => void socket.on('close', () => resolve()));
    // A client that leaves in the middle resets the connection: the script is told by `closed`.
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      for (const listener of this.#listeners) listener();
    });
  }

  /** Everything that came so far, as latin1. */
  get received(): string {
    return this.#bytes.toString('latin1');
  }

  get receivedBytes(): number {
    return this.#bytes.length;
  }

  /** The next head, up to and with its empty line. Never settles if the client leaves before. */
  request(): Promise<string> {
    return this.#through('\r\n\r\n');
  }

  /** The next line, with its CRLF. */
  line(): Promise<string> {
    return this.#through('\r\n');
  }

  /** The next `count` bytes, as latin1. */
  async take(count: number): Promise<string> {
    const end = this.#taken + count;
    await this.#when(() => (this.#bytes.length >= end ? true : null));
    const text = this.#bytes.toString('latin1', this.#taken, end);
    this.#taken = end;
    return text;
  }

  /** Writes in one segment, where the kernel allows. */
  write(text: string | Uint8Array): void {
    if (typeof text === 'string') this.socket.write(text, 'latin1');
    else this.socket.write(text);
  }

  /** Writes byte by byte, each in a segment of its own. */
  async drip(text: string): Promise<void> {
    this.socket.setNoDelay(true);
    for (const byte of Buffer.from(text, 'latin1')) {
      await new Promise<void>((resolve) => this.socket.write(Uint8Array.of(byte), () => resolve()));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Writes `piece` again and again, no faster than the client takes it, until the client has gone. */
  async pour(piece: Uint8Array, written: (bytes: number) => void = () => {}): Promise<void> {
    while (!this.socket.destroyed && this.socket.writable) {
      await new Promise<void>((resolve) => void this.socket.write(piece, () => resolve()));
      written(piece.length);
    }
  }

  /** Sends FIN after `text`; what the client sends is still read. */
  end(text = ''): void {
    this.socket.end(text, 'latin1');
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  async #through(border: string): Promise<string> {
    const end = await this.#when(() => {
      const at = this.#bytes.indexOf(border, this.#taken);
      return at === -1 ? null : at + border.length;
    });
    const text = this.#bytes.toString('latin1', this.#taken, end);
    this.#taken = end;
    return text;
  }

  /** Looks again with every byte; stays unsettled if the client leaves before. */
  #when<T>(look: () => T | null): Promise<T> {
    return new Promise((resolve) => {
      const listener = () => {
        const found = look();
        if (found === null) return;
        this.#listeners.delete(listener);
        resolve(found);
      };
      this.#listeners.add(listener);
      listener();
    });
  }
}

export interface Peer extends AsyncDisposable {
  readonly port: number;
  readonly connections: readonly PeerConnection[];
  /** The connection of that index, as soon as it is there. */
  connection(index: number): Promise<PeerConnection>;
}

export type Script = (connection: PeerConnection) => void | Promise<void>;

/** A TCP server that runs `script` for each connection. What a script throws fails the disposal of the peer. */
export function peer(script: Script, host = '127.0.0.1'): Promise<Peer> {
  const server = net.createServer({ noDelay: true });
  return serve(server, 'connection', script, host);
}

/** The same over TLS: the script runs once the handshake is done. */
export async function tlsPeer(options: tls.TlsOptions, script: Script, host = '127.0.0.1'): Promise<Peer> {
  const server = tls.createServer(options);
  server.on('tlsClientError', () => {});
  return await serve(server, 'secureConnection', script, host);
}

async function serve(server: net.Server, event: string, script: Script, host: string): Promise<Peer> {
  const connections: PeerConnection[] = [];
  const sockets = new Set<net.Socket>();
  const arrivals = new Set<() => void>();
  const failures: unknown[] = [];
  server.on('connection', (socket: net.Socket) => sockets.add(socket.on('error', () => {})));
  server.on(event, (socket: net.Socket) => {
    const connection = new PeerConnection(connections.length, socket);
    connections.push(connection);
    for (const arrived of arrivals) arrived();
    Promise.resolve(script(connection)).catch((error: unknown) => failures.push(error));
  });
  server.listen(0, host);
  await once(server, 'listening');
  return {
    port: portOf(server),
    connections,
    connection(index) {
      return new Promise((resolve) => {
        const look = () => {
          const found = connections[index];
          if (found === undefined) return;
          arrivals.delete(look);
          resolve(found);
        };
        arrivals.add(look);
        look();
      });
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** Answers every request with the same bytes, for ever. */
export function answering(response: string): Script {
  return async (connection) => {
    for (;;) {
      await connection.request();
      connection.write(response);
    }
  };
}

/** A response with a Content-Length. */
export function ok(body: string, fields = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
}

export function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on a port');
  return address.port;
}
