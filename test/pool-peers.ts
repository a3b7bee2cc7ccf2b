/**
 * Peers for tests of pools, managers and responses: a raw TCP server that parses requests by hand, records them, and sends
 * whatever bytes its script says. What a peer saw is read from it; nothing is asserted here.
 */
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { gzipSync } from 'node:zlib';
import { generate } from 'selfsigned';

/** One request as it came over the wire. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  /** The head as it came, without the empty line. */
  readonly head: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** Which connection brought it, from 0. */
  readonly connection: number;
  /** The values of a field, in order. */
  all(name: string): string[];
  /** The value of a field; undefined if it is not there. */
  field(name: string): string | undefined;
}

/** What the peer does with a request: bytes to send, or nothing if the script has written them itself. */
export type Script = (
  request: SeenRequest,
  socket: net.Socket,
) => string | Uint8Array | undefined | Promise<string | Uint8Array | undefined>;

export interface Peer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** Everything that came, of all connections in turn. */
  readonly received: string;
  readonly sockets: readonly net.Socket[];
  readonly openSockets: number;
  readonly mostOpenSockets: number;
  /** Waits until something that the peer sees makes this true. */
  until(isTrue: (peer: Peer) => boolean): Promise<void>;
}

export interface PeerOptions {
  readonly host?: string;
  readonly port?: number;
  readonly tls?: tls.TlsOptions;
}

/** Starts a peer on a free port of loopback. */
export async function startPeer(script: Script, options: PeerOptions = {}): Promise<Peer> {
  const { host = '127.0.0.1' } = options;
  const events = new EventEmitter().setMaxListeners(0);
  const requests: SeenRequest[] = [];
  const sockets: net.Socket[] = [];
  const open = new Set<net.Socket>();
  let received = '';
  let mostOpenSockets = 0;

  const onSocket = (socket: net.Socket): void => {
    const connection = sockets.push(socket) - 1;
    open.add(socket);
    mostOpenSockets = Math.max(mostOpenSockets, open.size);
    let pending = Buffer.alloc(0);
    let isAnswering = false;
    const serve = async (): Promise<void> => {
      if (isAnswering) return;
      isAnswering = true;
      for (
        let parsed = parseRequest(pending, connection);
        parsed !== null;
        parsed = parseRequest(pending, connection)
      ) {
        pending = pending.subarray(parsed.length);
        requests.push(parsed.request);
        events.emit('change');
        const answer = await script(parsed.request, socket);
        if (answer !== undefined && !socket.destroyed) socket.write(answer);
      }
      isAnswering = false;
    };
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1');
      pending = Buffer.concat([pending, bytes]);
      events.emit('change');
      void serve();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      open.delete(socket);
      events.emit('change');
    });
    events.emit('change');
  };
  const server = options.tls === undefined ? net.createServer(onSocket) : tls.createServer(options.tls, onSocket);
  server.on('tlsClientError', () => {});
  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const { port } = address;

  const peer: Peer = {
    port,
    url: `${options.tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    requests,
    sockets,
    get received() {
      return received;
    },
    get openSockets() {
      return open.size;
    },
    get mostOpenSockets() {
      return mostOpenSockets;
    },
    async until(isTrue) {
      while (!isTrue(peer)) await once(events, 'change');
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return peer;
}

/** A response with Content-Length. */
export function reply(status: number, body: string | Uint8Array = '', fields: Record<string, string> = {}): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body);
  const lines = Object.entries({ 'Content-Length': String(bytes.length), ...fields }).map(([n, v]) => `${n}: ${v}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} Reason\r\n${lines.join('')}\r\n`, 'latin1'), bytes]);
}

export function ok(body: string | Uint8Array = 'ok', fields: Record<string, string> = {}): Buffer {
  return reply(200, body, fields);
}

export function redirectTo(location: string, status = 302, fields: Record<string, string> = {}): Buffer {
  return reply(status, 'moved', { Location: location, ...fields });
}

export function gzipped(text: string): Buffer {
  return ok(gzipSync(text), { 'Content-Encoding': 'gzip' });
}

/** A response in the chunked coding, one chunk for each piece. */
export function chunkedReply(pieces: readonly string[], fields: Record<string, string> = {}, trailers = ''): string {
  const lines = Object.entries({ 'Transfer-Encoding': 'chunked', ...fields }).map(([n, v]) => `${n}: ${v}\r\n`);
  const chunks = pieces.map((piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`);
  return `HTTP/1.1 200 OK\r\n${lines.join('')}\r\n${chunks.join('')}0\r\n${trailers}\r\n`;
}

let certificate: Promise<{ readonly key: string; readonly cert: string }> | undefined;

/** A certificate for localhost, 127.0.0.1 and ::1 that signs itself; one for all tests of a file. */
export function testCertificate(): Promise<{ readonly key: string; readonly cert: string }> {
  certificate ??= generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
          { type: 2, value: 'localhost' },
        ],
      },
    ],
  }).then(({ private: key, cert }) => ({ key, cert }));
  return certificate;
}

/** The first complete request of the bytes, and how long it is; null if there is none yet. */
function parseRequest(bytes: Buffer, connection: number): { request: SeenRequest; length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const head = bytes.toString('latin1', 0, headEnd);
  const [requestLine = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = requestLine.split(' ');
  const fields = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  const all = (name: string): string[] =>
    fields.filter(([known]) => known.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  const field = (name: string): string | undefined => all(name)[0];
  const content = parseBody(bytes.subarray(headEnd + 4), field('transfer-encoding'), field('content-length'));
  if (content === null) return null;
  const request = { method, target, head, fields, body: content.body, connection, all, field };
  return { request, length: headEnd + 4 + content.length };
}

function parseBody(
  bytes: Buffer,
  coding: string | undefined,
  announced: string | undefined,
): { body: Buffer; length: number } | null {
  if (coding === undefined) {
    const length = Number(announced ?? '0');
    return bytes.length < length ? null : { body: bytes.subarray(0, length), length };
  }
  const chunks: Buffer[] = [];
  for (let position = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', position);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(bytes.toString('latin1', position, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (bytes.length < next) return null;
    if (size === 0) return { body: Buffer.concat(chunks), length: next };
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    position = next;
  }
}
