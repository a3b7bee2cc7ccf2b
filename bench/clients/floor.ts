/**
 * The floor: the least that any client on Node's sockets must do.
 *
 * A constant request string, one shared read buffer (`onread`, so no stream and no allocation per read), the status, the
 * Content-Length and `Connection: close` looked up by plain search, and the content counted. No timeouts, no errors but
 * those of the socket, no other framing: not a client, but what the others are measured by.
 */
import { once } from 'node:events';
import { connect as connectTcp, type OnReadOpts, type Socket, type TcpSocketConnectOpts } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { expectOk, type OpenSession, type SessionOptions } from './client.js';
import { nextChunk } from './source.js';

/** Reads are synchronous, so one buffer serves all sockets; on Windows they are posted ahead and need one each. */
const SHARED = process.platform === 'win32' ? null : Buffer.allocUnsafe(64 * 1024);

interface Reply {
  readonly resolve: (bytes: number) => void;
  readonly reject: (error: Error) => void;
  /** Where content goes that must be looked at; `null` to count only. */
  readonly keep: Buffer[] | null;
}

export const open: OpenSession = async (options) => {
  const idle: Link[] = [];
  const all = new Set<Link>();
  const { host } = new URL(options.origin);
  const heads = new Map<string, string>();

  function take(): Link {
    const reused = idle.pop();
    if (reused !== undefined) return reused;
    const link = new Link(options, (reusable) => {
      if (reusable) idle.push(link);
      else all.delete(link);
    });
    all.add(link);
    return link;
  }

  function headOf(path: string): string {
    const known = heads.get(path);
    if (known !== undefined) return known;
    const accept = options.gzip ? 'Accept-Encoding: gzip\r\n' : '';
    const head = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${accept}\r\n`;
    heads.set(path, head);
    return head;
  }

  return {
    async get(path) {
      if (!options.gzip) return await take().exchange(headOf(path), null);
      const chunks: Buffer[] = [];
      await take().exchange(headOf(path), chunks);
      return gunzipSync(Buffer.concat(chunks)).length;
    },
    download: (path) => take().exchange(headOf(path), null),
    async upload(path, sizeBytes) {
      const link = take();
      const chunks: Buffer[] = [];
      const head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${sizeBytes}\r\n\r\n`;
      const answered = link.exchange(head, chunks);
      await Promise.all([link.pour(sizeBytes), answered]);
      return Number(Buffer.concat(chunks).toString());
    },
    async close() {
      for (const link of all) link.destroy();
    },
  };
};

class Link {
  readonly #socket: Socket;
  readonly #giveBack: (reusable: boolean) => void;
  #reply: Reply | null = null;
  /** The bytes of a head that has not come whole, else empty. */
  #partialHead = '';
  /** Bytes of content that have come; `null` while the head has not. */
  #received: number | null = null;
  #contentLength = 0;
  #reusable = true;

  constructor(options: SessionOptions, giveBack: (reusable: boolean) => void) {
    this.#giveBack = giveBack;
    this.#socket = dial(options, (size, buffer) => {
      this.#read(size, buffer);
      return true;
    });
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error) => this.#reply?.reject(error));
    this.#socket.on('close', () => this.#reply?.reject(new Error('Cannot finish the response: the peer closed')));
  }

  exchange(head: string, keep: Buffer[] | null): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#reply = { resolve, reject, keep };
      this.#socket.write(head, 'latin1');
    });
  }

  async pour(sizeBytes: number): Promise<void> {
    for (let left = sizeBytes; left > 0; ) {
      const chunk = nextChunk(left);
      left -= chunk.length;
      if (!this.#socket.write(chunk) && left > 0) await once(this.#socket, 'drain');
    }
  }

  destroy(): void {
    this.#reply = null;
    this.#socket.destroy();
  }

  #read(size: number, buffer: Uint8Array): void {
    const reply = this.#reply;
    if (reply === null) return this.destroy();
    try {
      const start = this.#received === null ? this.#readHead(size, buffer) : 0;
      if (this.#received === null) return;
      if (reply.keep !== null) reply.keep.push(Buffer.from(buffer.subarray(start, size)));
      this.#received += size - start;
      if (this.#received >= this.#contentLength) this.#finish(reply);
    } catch (error) {
      reply.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Looks for the end of the head; returns where content starts in `buffer`. */
  #readHead(size: number, buffer: Uint8Array): number {
    const before = this.#partialHead.length;
    const text = this.#partialHead + Buffer.from(buffer.buffer, buffer.byteOffset, size).toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#partialHead = text;
      return size;
    }
    this.#partialHead = '';
    expectOk(Number(text.slice(9, 12)));
    const length = text.indexOf('Content-Length: ');
    if (length < 0 || length > end) throw new Error('Cannot count a response without Content-Length');
    this.#contentLength = Number.parseInt(text.slice(length + 16, length + 36), 10);
    const close = text.indexOf('Connection: close');
    this.#reusable = close < 0 || close > end;
    this.#received = 0;
    return end + 4 - before;
  }

  #finish(reply: Reply): void {
    const received = this.#received ?? 0;
    this.#received = null;
    this.#reply = null;
    if (!this.#reusable) this.#socket.destroy();
    this.#giveBack(this.#reusable);
    reply.resolve(received);
  }
}

function dial({ origin, ca }: SessionOptions, callback: OnReadOpts['callback']): Socket {
  const { protocol, hostname, port } = new URL(origin);
  const onread = { buffer: SHARED ?? Buffer.allocUnsafe(64 * 1024), callback };
  const target: TcpSocketConnectOpts & ConnectionOptions = { host: hostname, port: Number(port), onread };
  return protocol === 'https:' ? connectTls({ ...target, ca }) : connectTcp(target);
}
