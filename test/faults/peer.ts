/**
 * A server that goes wrong as it is told: raw sockets on a free port of loopback, a plan for each request. It reads whole
 * requests, counts them, and knows how many of its connections are open. Nothing is asserted here.
 */
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { Worker } from 'node:worker_threads';

/** A request that has come whole, with its content. */
export interface FaultyRequest {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  /** Counted from 0. */
  readonly index: number;
}

/** What becomes of one request. */
export interface Plan {
  /** What is sent first. */
  readonly write?: string | Uint8Array;
  /** What has to have happened before it goes on: the client has seen what was sent, for example. */
  readonly until?: Promise<unknown>;
  /** Then it waits for the next request, says nothing more, sends FIN, or resets the connection. */
  readonly after: 'go on' | 'stall' | 'end' | 'reset';
}

export interface FaultyServer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:port`, or with https. */
  readonly url: string;
  /** Requests that came whole. */
  readonly requests: readonly FaultyRequest[];
  readonly openSockets: number;
  /** Waits until something that the server sees makes this true. */
  until(isTrue: (server: FaultyServer) => boolean): Promise<void>;
}

export interface FaultyServerOptions {
  readonly tls?: tls.TlsOptions;
  /** Whether requests are kept to be looked at. @defaultValue true */
  readonly keepsRequests?: boolean;
}

/** Starts a server that does with each request what `plan` says. */
export async function faultyServer(
  plan: (request: FaultyRequest) => Plan,
  { tls: tlsOptions, keepsRequests = true }: FaultyServerOptions = {},
): Promise<FaultyServer> {
  const events = new EventEmitter().setMaxListeners(0);
  const open = new Set<net.Socket>();
  const requests: FaultyRequest[] = [];
  let count = 0;

  const serve = (socket: net.Socket): void => {
    let pending: Buffer = Buffer.alloc(0);
    let isBusy = false;
    const next = async (): Promise<void> => {
      if (isBusy) return;
      isBusy = true;
      for (let parsed = parse(pending, count); parsed !== null; parsed = parse(pending, count)) {
        pending = pending.subarray(parsed.length);
        count++;
        if (keepsRequests) requests.push(parsed.request);
        events.emit('change');
        const { write, until, after } = plan(parsed.request);
        if (write !== undefined && !socket.destroyed) socket.write(write);
        if (until !== undefined) await until;
        if (after === 'reset') socket.resetAndDestroy();
        if (after === 'end') socket.end();
        // What comes after is not answered, for the connection is of no use any more.
        if (after !== 'go on') return;
      }
      isBusy = false;
    };
    socket.on('data', (bytes: Buffer) => {
      pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
      void next();
    });
  };
  const watch = (socket: net.Socket): void => {
    open.add(socket);
    // A client that leaves early resets the connection.
    socket.on('error', () => {});
    socket.on('close', () => {
      open.delete(socket);
      events.emit('change');
    });
    events.emit('change');
  };
  const server = tlsOptions === undefined ? net.createServer({ noDelay: true }, serve) : tls.createServer(tlsOptions);
  server.on('connection', watch);
  if (tlsOptions !== undefined) {
    server.on('secureConnection', (socket: tls.TLSSocket) => serve(socket.on('error', () => {})));
    server.on('tlsClientError', () => {});
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const { port } = address;
  const faulty: FaultyServer = {
    port,
    url: `${tlsOptions === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    requests,
    get openSockets() {
      return open.size;
    },
    async until(isTrue) {
      while (!isTrue(faulty)) await once(events, 'change');
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return faulty;
}

/** A response with Content-Length. */
export function answer(status: number, body: string, fields = ''): string {
  return `HTTP/1.1 ${status} Reason\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`;
}

/** A port where connecting takes for ever: its queue of connections is full, and nobody takes any. Linux drops the rest. */
export interface FullPort extends AsyncDisposable {
  readonly port: number;
}

/** How it is done elsewhere is not known: test with `skipIf(!CAN_FILL_PORTS)`. */
export const CAN_FILL_PORTS = process.platform === 'linux';

/** A listener whose thread sleeps, with as many connections as it has room for. */
export async function fullPort(): Promise<FullPort> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const listener = `
    const { parentPort, workerData } = require('node:worker_threads');
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(workerData, 0, 0);
      server.close();
    });`;
  const worker = new Worker(listener, { eval: true, workerData: gate });
  const [port] = await once(worker, 'message');
  // A backlog of one has room for two. In a thread of their own they are not among the sockets that a test counts.
  const filler = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { once } = require('node:events');
    const fill = () => once(require('node:net').connect(workerData, '127.0.0.1'), 'connect');
    fill().then(fill).then(() => parentPort.postMessage('full'));`;
  const filling = new Worker(filler, { eval: true, workerData: port });
  await once(filling, 'message');
  return {
    port,
    async [Symbol.asyncDispose]() {
      await filling.terminate();
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await worker.terminate();
    },
  };
}

/** The first whole request of the bytes, and how long it is; null if there is none yet. */
function parse(bytes: Buffer, index: number): { readonly request: FaultyRequest; readonly length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const head = bytes.toString('latin1', 0, headEnd);
  const [method = '', target = ''] = head.split(' ', 2);
  const start = headEnd + 4;
  const announced = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  const content = /\r\ntransfer-encoding: *chunked/i.test(head)
    ? chunks(bytes, start)
    : exactly(bytes, start, Number(announced ?? 0));
  return content === null ? null : { request: { method, target, body: content.body, index }, length: content.end };
}

function exactly(bytes: Buffer, start: number, length: number): { readonly body: Buffer; readonly end: number } | null {
  const end = start + length;
  return bytes.length < end ? null : { body: bytes.subarray(start, end), end };
}

function chunks(bytes: Buffer, start: number): { readonly body: Buffer; readonly end: number } | null {
  const pieces: Buffer[] = [];
  for (let position = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', position);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(bytes.toString('latin1', position, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (bytes.length < end) return null;
    if (size === 0) return { body: Buffer.concat(pieces), end };
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    position = end;
  }
}
