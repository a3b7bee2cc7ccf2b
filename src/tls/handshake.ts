/**
 * The TLS handshake, on a connection of its own or over any stream, and the check of who answered.
 *
 * ```text
 *   tlsOpener / tlsOver ── socket ──▶ secured ──▶ chain (OpenSSL) ─▶ fingerprint │ name ──▶ may be written to
 *        ▲                                                                    │
 *        └───────────────── sessions ◀── tickets of verified connections ◀────┘
 * ```
 *
 * No byte of a request is written before the peer is verified: that is what `secured` waits for, in every way in which a
 * link is made. The name is checked here and not by Node: on resumed sessions Node checks none, and its rules are laxer
 * (identity.ts). What is verified, and with what: configuration.ts.
 */
import { isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import tls, { type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { HTTPError, SSLError, SubjectAltNameWarning, SystemTimeWarning } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { type Bounds, bounded, type Verdict, type Wait } from '../transport/bounded.js';
import { ignoreError } from '../transport/race.js';
import { warn } from '../warnings.js';
import { readCertificate } from './certificate.js';
import type { TlsConfiguration } from './configuration.js';
import { DerError } from './der.js';
import {
  CertificateRefused,
  type Chain,
  CLOSED,
  certificatesOf,
  chainOf,
  handshakeFailure,
  wrongHost,
} from './failure.js';
import { checkFingerprint } from './fingerprint.js';
import { matchHost } from './identity.js';
import { appendKeys } from './keylog.js';
import type { Resumable } from './sessions.js';

/** Who is to answer. */
export interface TlsPeer {
  /** A DNS name in ASCII without trailing dot, or an IP address without brackets and zone. */
  readonly host: string;
  readonly port: number;
  /** A proxy's sessions are never offered to an origin of the same name, nor the other way round (SEC-064). */
  readonly role: 'origin' | 'proxy';
}

/** A clock that shows an earlier date is wrong (as of this release), and with it every verdict on a certificate's dates. */
export const RECENT_DATE = new Date(Date.UTC(2026, 0, 1));

/** What `tls.connect` looks up and we do not want, as own properties: a polluted Object.prototype must not set it. */
const UNSET = {
  pskCallback: undefined,
  requestOCSP: undefined,
  enableTrace: undefined,
  isServer: undefined,
  server: undefined,
  socket: undefined,
  path: undefined,
  lookup: undefined,
  timeout: undefined,
  signal: undefined,
  allowHalfOpen: undefined,
  pauseOnConnect: undefined,
  highWaterMark: undefined,
  SNICallback: undefined,
  ALPNCallback: undefined,
  // Must be a number; Node's own. The security level of the ciphers asks for more.
  minDHSize: 1024,
};

/** What is known of a socket whose handshake has begun. */
interface Attempt {
  readonly to: TlsPeer;
  readonly configuration: TlsConfiguration;
  /** The session that was offered; null if none was there. */
  readonly offered: Resumable | null;
  /** Sessions that came before the peer was verified. */
  readonly early: Buffer[];
  /** What the peer shows, as soon as Node has looked at it; never on a resumed session. */
  presented: DetailedPeerCertificate | null;
  /** What the peer showed when it was refused, for the message. */
  refusedChain: Chain;
  /** How sessions of this connection are kept; null until it is verified. */
  resumable: Omit<Resumable, 'session'> | null;
}

const attempts = new WeakMap<Socket, Attempt>();

/**
 * What {@link dial} makes sockets with that speak TLS as soon as they are connected.
 *
 * TLS makes the TCP connection itself: over a socket that is connected already, Node would not heed `onread`.
 */
export function tlsOpener(to: TlsPeer, configuration: TlsConfiguration): (options: TcpNetConnectOpts) => TLSSocket {
  return (options) => {
    const attempt = newAttempt(to, configuration);
    return begun(tls.connect({ ...options, ...handshakeOptions(attempt) }), attempt);
  };
}

/**
 * Begins TLS over a stream that is connected already: a socket behind a proxy, or another TLS socket.
 *
 * What was read from the stream and put back (`unshift`) is the first that TLS reads. The stream is TLS's from here on;
 * closing the socket that comes back closes it. Node heeds no `onread` here. Until {@link secured} listens, an error
 * waits in `socket.errored`.
 */
export function tlsOver(stream: Duplex, to: TlsPeer, configuration: TlsConfiguration): TLSSocket {
  const attempt = newAttempt(to, configuration);
  stream.on('error', ignoreError);
  const socket = tls.connect({ ...handshakeOptions(attempt), socket: stream });
  socket.on('error', ignoreError);
  return begun(socket, attempt);
}

/**
 * Waits until the peer of a socket made by {@link tlsOpener} or {@link tlsOver} is verified, for the same host.
 *
 * @throws SSLError if the handshake fails or the peer is not who it should be, {@link HandshakeTimeout} if it takes too long,
 *   the signal's reason if it was aborted; the socket is closed then
 */
export async function secured(
  socket: Socket,
  to: TlsPeer,
  configuration: TlsConfiguration,
  bounds: Bounds,
): Promise<void> {
  const attempt = attempts.get(socket);
  if (attempt?.configuration !== configuration || attempt.to.host !== to.host || attempt.to.role !== to.role) {
    socket.destroy();
    throw new HTTPError('Bug in urllib3: a socket is to be verified for another peer than it was made for');
  }
  warnOfWrongClock();
  try {
    await bounded(new Handshake(socket, attempt), bounds);
  } catch (error) {
    socket.destroy();
    if (error instanceof HandshakeTimeout || error === bounds.signal?.reason) throw error;
    // A session may be why: the next connection begins anew.
    configuration.sessions.forget(serverOf(to));
    throw handshakeFailure(error, nameToAskFor(to, configuration), attempt.refusedChain);
  }
}

/**
 * The certificate that the peer of a verified socket has proved to be its own, in DER: shown in this handshake, or in that of
 * the session that was resumed, where Node has none. Null without one, and for a socket that is not ours or not verified yet.
 */
export function peerCertificate(socket: Socket): Buffer | null {
  return attempts.get(socket)?.resumable?.certificate ?? null;
}

function newAttempt(to: TlsPeer, configuration: TlsConfiguration): Attempt {
  const offered = configuration.sessions.take(serverOf(to));
  return { to, configuration, offered, early: [], presented: null, refusedChain: [], resumable: null };
}

/** Roles and ports have no blank in them, so that no two servers have one name. */
function serverOf({ role, host, port }: TlsPeer): string {
  return `${role} ${port} ${host}`;
}

function nameToAskFor({ host }: TlsPeer, { serverHostname }: TlsConfiguration): string {
  return serverHostname ?? host;
}

function handshakeOptions(attempt: Attempt): ConnectionOptions {
  const { to, configuration, offered } = attempt;
  const { context, verifiesChain, alpnProtocols } = configuration;
  const name = nameToAskFor(to, configuration);
  return {
    ...UNSET,
    secureContext: context,
    // An IP address is no server name (RFC 6066 section 3).
    servername: isIP(name) === 0 ? name : '',
    // Always given, whatever NODE_TLS_REJECT_UNAUTHORIZED says (SEC-061).
    rejectUnauthorized: verifiesChain,
    checkServerIdentity: (_servername, certificate) => {
      // In truth the one with its issuers: Node asks for that. The name is checked when the handshake is over.
      attempt.presented = certificate as DetailedPeerCertificate;
      return undefined;
    },
    // What is undefined is absent for Node; only its types tell the two apart.
    ...({ ALPNProtocols: alpnProtocols.length === 0 ? undefined : [...alpnProtocols] } as { ALPNProtocols: string[] }),
    ...({ session: offered?.session } as { session: Buffer }),
  };
}

/** Listens to what the handshake brings. */
function begun(socket: TLSSocket, attempt: Attempt): TLSSocket {
  attempts.set(socket, attempt);
  const { configuration, early } = attempt;
  const { keylogFile } = configuration;
  if (keylogFile !== null) socket.on('keylog', (line) => appendKeys(keylogFile, line));
  socket.on('session', (session) => {
    if (attempt.resumable === null) early.push(session);
    else keep(attempt, session);
  });
  let isConnected = !socket.connecting;
  socket.once('connect', () => {
    isConnected = true;
  });
  // Node closes the connection as it refuses a chain, and with it what the peer has shown: so it is looked at just before.
  socket.destroy = (error?: Error) => {
    restoreDestroy(socket);
    if (isConnected) {
      if (error !== undefined) attempt.refusedChain = chainOf(attempt.presented ?? socket.getPeerCertificate(true));
    } else if (attempt.offered !== null) {
      configuration.sessions.putBack(serverOf(attempt.to), attempt.offered);
    }
    return socket.destroy(error);
  };
  return socket;
}

/** HOT: assigned and not deleted, for V8 keeps an object that has lost a property as a slow table, and this one is asked at every write. */
function restoreDestroy(socket: Socket): void {
  socket.destroy = tls.TLSSocket.prototype.destroy;
}

function keep({ configuration, to, resumable }: Attempt, session: Buffer): void {
  if (resumable !== null) configuration.sessions.keep(serverOf(to), { ...resumable, session });
}

class Handshake implements Wait<void> {
  readonly #socket: Socket;
  readonly #attempt: Attempt;
  #listeners: [event: 'secureConnect' | 'error' | 'close', listener: (error?: Error) => void][] = [];

  constructor(socket: Socket, attempt: Attempt) {
    this.#socket = socket;
    this.#attempt = attempt;
  }

  start(verdict: Verdict<void>): void {
    const socket = this.#socket;
    // What happened before anybody listened.
    if (socket.destroyed) return verdict.reject(socket.errored ?? closed());
    this.#listeners = [
      // In the event itself, not in a later turn: nothing is read or written in between.
      ['secureConnect', () => this.#verify(verdict)],
      ['error', (error) => verdict.reject(error)],
      ['close', () => verdict.reject(closed())],
    ];
    for (const [event, listener] of this.#listeners) socket.on(event, listener);
  }

  stop(): void {
    // From here on an error has no one to go to until the link listens: that is in the same turn of the loop.
    this.#socket.on('error', ignoreError);
    for (const [event, listener] of this.#listeners) this.#socket.off(event, listener);
  }

  expire(verdict: Verdict<void>): void {
    verdict.reject(new HandshakeTimeout('The handshake of TLS was not over in time'));
  }

  #verify(verdict: Verdict<void>): void {
    try {
      // Only TLS sockets emit this event.
      verify(this.#socket as TLSSocket, this.#attempt);
      restoreDestroy(this.#socket);
      verdict.resolve();
    } catch (error) {
      verdict.reject(error);
    }
  }
}

function closed(): Error {
  return new Error(CLOSED);
}

/** The connect timeout passed in the handshake; the connection knows its length and says so. */
export class HandshakeTimeout extends Error {}

/** @throws what is wrong with the peer */
function verify(socket: TLSSocket, attempt: Attempt): void {
  const { configuration, offered, early } = attempt;
  const { verifiesChain, fingerprint, alpnProtocols } = configuration;
  // Node has refused the connection already; that it always does is not left to its versions.
  if (verifiesChain && !socket.authorized) throw new CertificateRefused('CERT_UNTRUSTED', 'it could not be verified');
  const { alpnProtocol } = socket;
  if (typeof alpnProtocol === 'string' && !alpnProtocols.includes(alpnProtocol)) {
    throw new SSLError(`The server chose the protocol ${excerpt(alpnProtocol)}, which was not offered to it`);
  }
  const isReused = socket.isSessionReused();
  const shown = isReused ? null : (attempt.presented ?? socket.getPeerCertificate(true));
  // The peer of a resumed session has proved that it is the one that has shown this certificate before.
  const certificate = isReused ? (offered?.certificate ?? null) : (shown?.raw ?? null);
  if (verifiesChain || fingerprint !== null) checkCertificate(certificate, attempt);
  // A server that does not take its session back has lost what it belongs to, and the others with it.
  if (offered !== null && !isReused) configuration.sessions.forget(serverOf(attempt.to));
  attempt.resumable = {
    certificate,
    expiresMs: isReused ? (offered?.expiresMs ?? 0) : expiryOf(shown),
    isSingleUse: socket.getProtocol() === 'TLSv1.3',
  };
  for (const session of early.splice(0)) keep(attempt, session);
  // Some kilobytes, which the connection would hold as long as it lives.
  attempt.presented = null;
}

/** In the order of the reference: a fingerprint, or else `assertHostname`, or else the name that was asked for. */
function checkCertificate(der: Buffer | null, { to, configuration }: Attempt): void {
  const { fingerprint, assertHostname, usesCommonName } = configuration;
  if (der === null) throw new CertificateRefused('CERT_UNTRUSTED', 'the server showed no certificate');
  if (fingerprint !== null) return checkFingerprint(der, fingerprint);
  if (assertHostname === false) return;
  const name = assertHostname ?? nameToAskFor(to, configuration);
  const facts = read(der);
  const match = matchHost(facts, name, usesCommonName);
  if (match === null) throw wrongHost(facts, name);
  if (match === 'common-name') {
    warn(
      new SubjectAltNameWarning(
        `The certificate of ${excerpt(name)} has no subjectAltName and was accepted by its common name, which is deprecated`,
      ),
    );
  }
}

function read(der: Buffer): ReturnType<typeof readCertificate> {
  try {
    return readCertificate(der);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new CertificateRefused('CERT_REJECTED', `the certificate of the server cannot be read: ${error.message}`);
  }
}

/** When the first certificate of a chain expires. */
function expiryOf(leaf: DetailedPeerCertificate | null): number {
  let earliestMs = Number.POSITIVE_INFINITY;
  for (const { valid_to } of certificatesOf(leaf ?? undefined)) {
    const expiresMs = Date.parse(valid_to);
    // A date that cannot be read is none to rely on.
    earliestMs = Math.min(earliestMs, Number.isNaN(expiresMs) ? 0 : expiresMs);
  }
  return earliestMs;
}

function warnOfWrongClock(): void {
  if (Date.now() >= RECENT_DATE.getTime()) return;
  const date = RECENT_DATE.toISOString().slice(0, 10);
  const message = `System time is way off (before ${date}). This will probably lead to SSL verification errors`;
  warn(new SystemTimeWarning(message));
}
