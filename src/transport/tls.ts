/**
 * TLS over a connected socket: one configuration for many links, and the handshake with the check of who answered.
 *
 * The secure context (roots, versions) costs milliseconds to make and is made once per configuration. No byte of a request
 * is written before the peer is verified: that is what `secured` waits for.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import tls, { type SecureContext, type TLSSocket } from 'node:tls';
import { SSLError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { textOrNull } from '../options.js';
import type { TlsOptions } from '../tls/options.js';
import { CERT_NONE, resolveCertReqs } from '../util/ssl_.js';
import { type Bounds, bounded, type Verdict, type Wait } from './bounded.js';

/** {@link TlsOptions}, resolved: shared by all connections of a pool. */
export interface TlsConfiguration {
  readonly isVerified: boolean;
  readonly serverHostname: string | null;
  readonly context: SecureContext;
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

const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*(?:-----END CERTIFICATE-----)?/g;

/** @throws TypeError or SSLError for options that cannot be used */
export function tlsConfiguration(options: TlsOptions): TlsConfiguration {
  const caCerts = textOrNull('caCerts', options.caCerts ?? null);
  return {
    isVerified: resolveCertReqs(options.certReqs) !== CERT_NONE,
    serverHostname: textOrNull('serverHostname', options.serverHostname ?? null),
    context: tls.createSecureContext({
      minVersion: 'TLSv1.2',
      ...(caCerts === null ? {} : { ca: authorities(caCerts) }),
    }),
  };
}

/**
 * The certificates of PEM text, each. Not to have any is an error here, and so is a damaged one: Node would stop reading
 * there in silence, and trust only those before it, or nobody.
 */
function authorities(caCerts: string): string[] {
  const pem = caCerts.includes('-----BEGIN ') ? caCerts : readBundle(caCerts);
  const certificates = pem.match(PEM_CERTIFICATES);
  if (certificates === null) throw new SSLError(`Cannot use caCerts ${excerpt(caCerts)}: it holds no certificate`);
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw new SSLError(`Cannot use caCerts ${excerpt(caCerts)}: a certificate in it is damaged`, { cause });
    }
  }
  return certificates;
}

function readBundle(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (cause) {
    throw new SSLError(`Cannot read caCerts ${excerpt(path)}`, { cause });
  }
}

/**
 * What {@link dial} makes sockets with that speak TLS as soon as they are connected.
 *
 * TLS makes the TCP connection itself: over a socket that is connected already, Node would not heed `onread`.
 *
 * @param host - a DNS name in ASCII without trailing dot, or an IP address without brackets
 */
export function tlsOpener(host: string, configuration: TlsConfiguration): (options: TcpNetConnectOpts) => TLSSocket {
  const name = nameToVerify(host, configuration);
  return (options) =>
    tls.connect({
      ...UNSET,
      ...options,
      secureContext: configuration.context,
      // An IP address is no server name (RFC 6066 section 3).
      servername: isIP(name) === 0 ? name : '',
      rejectUnauthorized: configuration.isVerified,
      checkServerIdentity: (_servername, certificate) => tls.checkServerIdentity(name, certificate),
      ALPNProtocols: ['http/1.1'],
    });
}

/**
 * Waits until the peer of a socket made by {@link tlsOpener} is verified, for the same host.
 *
 * @throws SSLError if the handshake fails or the peer is not who it should be; the socket is closed then
 */
export async function secured(
  socket: Socket,
  host: string,
  configuration: TlsConfiguration,
  bounds: Bounds,
): Promise<void> {
  try {
    await bounded(new Handshake(socket), bounds);
  } catch (error) {
    socket.destroy();
    if (error instanceof HandshakeTimeout || error === bounds.signal?.reason) throw error;
    throw asSslError(error, nameToVerify(host, configuration));
  }
}

function nameToVerify(host: string, configuration: TlsConfiguration): string {
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
    this.#socket.on('error', ignoreLateError);
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

/** A socket that is given up may still report; there is no one left to tell. */
function ignoreLateError(): void {}
