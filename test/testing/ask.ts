/**
 * A client for the tests of the embedded httpbin: `node:http` with a fresh connection per request, so that nothing of
 * ours stands between the test and the server.
 */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect, type Socket } from 'node:net';

export interface Asked {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
  /** The certificate to trust, for https. */
  readonly ca?: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON; throws if it is none. */
  json(): unknown;
}

/** One request, its body sent with Content-Length, and the whole answer. */
export function ask(url: string, { method = 'GET', headers = {}, body, ca }: Asked = {}): Promise<Answered> {
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const request = send(url, { method, headers, agent: false, ...(ca === undefined ? {} : { ca }) });
    request.once('error', reject);
    request.once('response', (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('error', reject);
      response.once('end', () => {
        const bytes = Buffer.concat(pieces);
        const text = bytes.toString('utf8');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    if (body !== undefined) request.setHeader('Content-Length', Buffer.byteLength(body));
    request.end(body);
  });
}

/** Connects, writes `wire` and returns all that comes until the server closes the connection. */
export async function rawExchange(port: number, wire: string): Promise<string> {
  const socket = await connected(port);
  socket.write(wire, 'latin1');
  let received = '';
  for await (const piece of socket.setEncoding('latin1')) received += piece;
  return received;
}

export function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}
