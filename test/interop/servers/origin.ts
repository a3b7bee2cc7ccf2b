/**
 * An origin behind proxies, in the test's own process: it tells each client what it received, and keeps it for the test.
 *
 * It listens on all of loopback, so that 127.0.0.2 or a name that only a proxy knows lead here too.
 */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import { type Authority, authority, type Identity } from '../../support/authority.js';
import { fingerprint, RANDOM } from './documents.js';

/** One request as the origin received it; what it answers is the same as JSON. */
export interface OriginRequest {
  readonly scheme: 'http' | 'https';
  readonly method: string;
  readonly target: string;
  /** A number for each connection, over both schemes. */
  readonly connection: number;
  readonly headers: http.IncomingHttpHeaders;
  /** As `fingerprint()` has it. */
  readonly body: string;
}

/**
 * Answers `/random.bin` with {@link RANDOM}, `/body` with the request's own body, `/to/STATUS/URL` with a redirect, `/nothing`
 * with 204, `/trickle` with a byte now and then that never ends, and all else with the request as JSON.
 */
export interface Origin extends AsyncDisposable {
  readonly ports: Readonly<Record<'http' | 'https', number>>;
  readonly authority: Authority;
  /** For what else is to be trusted in the same test. */
  readonly identity: Identity;
  readonly requests: readonly OriginRequest[];
  /** Connections that were ever made, and those that still stand. */
  readonly connections: number;
  readonly open: number;
  url(scheme: 'http' | 'https', path?: string, host?: string): string;
  /** The requests whose target holds `marker`. */
  seen(marker: string): readonly OriginRequest[];
  /** Resolves when no connection stands any more. */
  idle(): Promise<void>;
}

/** Names that lead nowhere but where a proxy's own hosts file says; `*.origin.test` is in the certificate. */
export const HOSTS: readonly string[] = Array.from({ length: 10 }, (_, index) => `h${index}.origin.test`);

/** The line of a hosts file that has {@link HOSTS} on loopback. */
export const HOSTS_FILE = `127.0.0.1 localhost ${HOSTS.join(' ')}\n`;

export async function startOrigin(): Promise<Origin> {
  const issuer = await authority();
  const identity = await issuer.issue('localhost', '*.origin.test', '127.0.0.1', '::1');
  const requests: OriginRequest[] = [];
  const numbers = new Map<net.Socket, number>();
  const standing = new Set<net.Socket>();
  const newSocket = (socket: net.Socket) => {
    standing.add(socket);
    socket.on('error', () => {}).once('close', () => standing.delete(socket));
  };
  const answering =
    (scheme: OriginRequest['scheme']) => (request: http.IncomingMessage, response: http.ServerResponse) => {
      const { socket } = request;
      const connection = numbers.get(socket) ?? numbers.size;
      numbers.set(socket, connection);
      answer(request, response, (body) => {
        const { method = '', url: target = '', headers } = request;
        const seen: OriginRequest = { scheme, method, target, connection, headers, body: fingerprint(body) };
        requests.push(seen);
        return seen;
      });
    };
  const servers = {
    http: http.createServer(answering('http')),
    https: https.createServer(identity, answering('https')),
  };
  const ports = { http: await listen(servers.http, newSocket), https: await listen(servers.https, newSocket) };
  return {
    ports,
    authority: issuer,
    identity,
    requests,
    get connections() {
      return numbers.size;
    },
    get open() {
      return standing.size;
    },
    url: (scheme, path = '/', host = '127.0.0.1') => `${scheme}://${host}:${ports[scheme]}${path}`,
    seen: (marker) => requests.filter(({ target }) => target.includes(marker)),
    async idle() {
      await Promise.all([...standing].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    },
    async [Symbol.asyncDispose]() {
      for (const server of [servers.http, servers.https]) {
        server.close();
        server.closeAllConnections();
        await once(server, 'close');
      }
    },
  };
}

async function listen(server: http.Server | https.Server, onSocket: (socket: net.Socket) => void): Promise<number> {
  server.keepAliveTimeout = 60_000;
  server.on('connection', onSocket);
  server.on('tlsClientError', () => {});
  // Without an address: IPv6 and IPv4, or IPv4 alone where there is no other.
  server.listen(0);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  note: (body: Buffer) => OriginRequest,
): void {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    const seen = note(body);
    const [, place, status = '', location = ''] = /^\/([a-z.]*)(?:\/([0-9]+)\/(\S+))?/.exec(seen.target) ?? [];
    switch (place) {
      case 'random.bin':
        return response.setHeader('Content-Length', RANDOM.length).end(RANDOM);
      case 'body':
        return response.end(body);
      case 'to':
        return response.writeHead(Number(status), { Location: decodeURIComponent(location) }).end('moved\n');
      case 'nothing':
        return response.writeHead(204).end();
      case 'trickle':
        return trickle(response);
      default:
        return response.setHeader('Content-Type', 'application/json').end(JSON.stringify(seen));
    }
  });
}

function trickle(response: http.ServerResponse): void {
  const timer = setInterval(() => response.write('.'), 20);
  response.on('close', () => clearInterval(timer));
}
