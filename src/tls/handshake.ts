/**
 * The TLS handshake, on a connection of its own or over any stream, and the check of who answered.
 *
 * No byte of a request is written before the peer is verified: that is what `secured` waits for, in every way in which a
 * link is made. What is verified, and with what: configuration.ts.
 */
import { isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { SSLError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { type Bounds, bounded, type Verdict, type Wait } from '../transport/bounded.js';
import { ignoreError } from '../transport/race.js';
import type { TlsConfiguration } from './configuration.js';

/** Who is to answer. */
export interface TlsPeer {
  /** A DNS name in ASCII without trailing dot, or an IP address without brackets and zone. */
  readonly host: string;
  readonly port: number;
  /** A proxy's sessions are never offered to an origin of the same name, nor the other way round. */
  readonly role: 'origin' | 'proxy';
}

/** What `tls.connect` looks up and we do not want, as own properties: a polluted Object.prototype must not set it. */
const UNSET = {
  session: undefined,
  pskCallback: undefined,
  requestOCSP: undefined,
  enableTrace: undefined,
  isServer: undefined,
  server: undefined,
  path: undefined,
  lookup: undefined,
  timeout: undefined,
  signal: undefined,
  allowHalfOpen: undefined,
  pauseOnConnect: undefined,
  highWaterMark: undefined,
  SNICallback: undefined,
  ALPNCallback: undefined,
};

/**
 * What {@link dial} makes sockets with that speak TLS as soon as they are connected.
 *
 * TLS makes the TCP connection itself: over a socket that is connected already, Node would not heed `onread`.
 */
export function tlsOpener(to: TlsPeer, configuration: TlsConfiguration): (options: TcpNetConnectOpts) => TLSSocket {
  const handshake = handshakeOptions(to, configuration);
  return (options) => tls.connect({ ...options, ...handshake });
}

/**
 * Begins TLS over a stream that is connected already: a socket behind a proxy, or another TLS socket.
 *
 * What was read from the stream and put back (`unshift`) is the first that TLS reads. The stream is TLS's from here on;
 * closing the socket that comes back closes it. Node heeds no `onread` here. Until {@link secured} listens, an error
 * waits in `socket.errored`.
 */
export function tlsOver(stream: Duplex, to: TlsPeer, configuration: TlsConfiguration): TLSSocket {
  const socket = tls.connect({ ...handshakeOptions(to, configuration), socket: stream });
  socket.on('error', ignoreError);
  return socket;
}

function handshakeOptions(to: TlsPeer, configuration: TlsConfiguration): ConnectionOptions {
  const name = nameToVerify(to, configuration);
  return {
    ...UNSET,
    secureContext: configuration.context,
    // An IP address is no server name (RFC 6066 section 3).
    servername: isIP(name) === 0 ? name : '',
    rejectUnauthorized: configuration.isVerified,
    checkServerIdentity: (_servername, certificate) => tls.checkServerIdentity(name, certificate),
    ALPNProtocols: ['http/1.1'],
  };
}

/**
 * Waits until the peer of a socket made by {@link tlsOpener} or {@link tlsOver} is verified.
 *
 * @throws SSLError if the handshake fails or the peer is not who it should be; the socket is closed then
 */
export async function secured(
  socket: Socket,
  to: TlsPeer,
  configuration: TlsConfiguration,
  bounds: Bounds,
): Promise<void> {
  try {
    await bounded(new Handshake(socket), bounds);
  } catch (error) {
    socket.destroy();
    if (error instanceof HandshakeTimeout || error === bounds.signal?.reason) throw error;
    throw asSslError(error, nameToVerify(to, configuration));
  }
}

function nameToVerify({ host }: TlsPeer, configuration: TlsConfiguration): string {
  return configuration.serverHostname ?? host;
}

const CLOSED = 'The server closed the connection in the TLS handshake';

class Handshake implements Wait<void> {
  readonly #socket: Socket;
  #listeners: [event: 'secureConnect' | 'error' | 'close', listener: (error?: Error) => void][] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  start(verdict: Verdict<void>): void {
    // What happened before anybody listened.
    if (this.#socket.destroyed) return verdict.reject(this.#socket.errored ?? new SSLError(CLOSED));
    this.#listeners = [
      ['secureConnect', () => verdict.resolve()],
      ['error', (error) => verdict.reject(error)],
      ['close', () => verdict.reject(new SSLError(CLOSED))],
    ];
    for (const [event, listener] of this.#listeners) this.#socket.on(event, listener);
  }

  stop(): void {
    // From here on an error has no one to go to until the link listens: that is in the same turn of the loop.
    this.#socket.on('error', ignoreError);
    for (const [event, listener] of this.#listeners) this.#socket.off(event, listener);
  }

  expire(verdict: Verdict<void>): void {
    verdict.reject(new HandshakeTimeout());
  }
}

/** The connect timeout passed in the handshake; the connection knows its length and says so. */
export class HandshakeTimeout extends Error {}

function asSslError(error: unknown, name: string): SSLError {
  if (error instanceof SSLError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SSLError(`TLS with ${excerpt(name)} failed: ${message}`, { cause: error });
}
