/**
 * Why TLS failed, in plain words: which certificate, what is wrong with it, and what can be done.
 *
 * Node's and OpenSSL's errors stay the `cause`, and their code the `code`. Whatever a peer has written (names in its
 * certificates) stands in quotes, escaped and cut.
 */
import type { DetailedPeerCertificate } from 'node:tls';
import { annotate, SSLError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { type CertificateFacts, nameText, readCertificate } from './certificate.js';
import { DerError } from './der.js';
import { presentedNames } from './identity.js';

/** What a server has shown, its own certificate first. */
export type Chain = readonly CertificateFacts[];

/** A chain longer than this is not looked at: OpenSSL itself stops at 100. */
const MAX_CHAIN = 20;

/** Refused by our own checks, with a code as Node has for its. */
export class CertificateRefused extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The certificate is not for the host. The code is the one that Node's own check gives. */
export function wrongHost(certificate: CertificateFacts, name: string): CertificateRefused {
  const message = `the certificate of the server ${presentedNames(certificate, name)}`;
  return new CertificateRefused('ERR_TLS_CERT_ALTNAME_INVALID', message);
}

/** The certificates of a chain as Node gives them, each with its issuer, the last often with itself. */
export function* certificatesOf(leaf: DetailedPeerCertificate | undefined): Generator<DetailedPeerCertificate> {
  let certificate: DetailedPeerCertificate | undefined = leaf;
  for (let depth = 0; depth < MAX_CHAIN && certificate?.raw !== undefined; depth++) {
    yield certificate;
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
}

/** As far as it can be read: this is for messages. */
export function chainOf(leaf: DetailedPeerCertificate | undefined): Chain {
  try {
    return Array.from(certificatesOf(leaf), ({ raw }) => readCertificate(raw));
  } catch (error) {
    if (error instanceof DerError) return [];
    throw error;
  }
}

/** The error of a handshake that failed, as ours. */
export function handshakeFailure(error: unknown, name: string, chain: Chain): SSLError {
  if (error instanceof SSLError) return phased(error);
  return phased(new SSLError(`TLS with ${excerpt(name)} failed: ${why(error, chain)}`, { cause: error }));
}

/**
 * The error that ended a connection after its handshake, where TLS made it: in TLS 1.3 a server says only then that it wants
 * a certificate of the client. Undefined for errors of the connection below.
 *
 * The phase is left to whoever knows it: a request was sent by then, and may have been done.
 */
export function lateFailure(error: unknown): SSLError | undefined {
  const code = codeOf(error);
  if (code === undefined || !code.startsWith('ERR_SSL_')) return undefined;
  // It did speak TLS, or there would have been no handshake.
  const said = NOT_TLS.has(code) ? 'what came is no TLS: it was damaged or put in on its way' : why(error, []);
  return new SSLError(`TLS failed: ${said}`, { cause: error });
}

/** OpenSSL's ways to say that what was read is no record of TLS. */
const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_HTTP_REQUEST',
]);

function phased(error: SSLError): SSLError {
  annotate(error, { phase: 'tls' });
  return error;
}

function why(error: unknown, chain: Chain): string {
  if (error instanceof CertificateRefused) return error.message;
  const code = codeOf(error) ?? '';
  const message = error instanceof Error ? error.message : String(error);
  return ofChain(code, chain) ?? ofHandshake(code) ?? ofMessage(message) ?? reasonIn(message);
}

/** What OpenSSL says of a certificate (`man X509_STORE_CTX_get_error`). */
function ofChain(code: string, chain: Chain): string | null {
  const [leaf] = chain;
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return validity(chain, (facts, nowMs) =>
        facts.notAfterMs < nowMs ? `expired on ${dateText(facts.notAfterMs)}` : null,
      );
    case 'CERT_NOT_YET_VALID':
      return validity(chain, (facts, nowMs) =>
        facts.notBeforeMs > nowMs ? `is not valid before ${dateText(facts.notBeforeMs)}` : null,
      );
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `${certificateText(leaf, 0)} is self-signed: no authority that is trusted vouches for it`;
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return `${certificateText(leaf, 0)} comes from ${issuerText(chain.at(-1))}, an authority that is not trusted`;
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return unknownIssuer(chain);
    case 'CERT_SIGNATURE_FAILURE':
      return 'a certificate of the server is not signed by the authority that it names';
    case 'INVALID_CA':
    case 'PATH_LENGTH_EXCEEDED':
      return 'a certificate of the server was issued by one that may not issue certificates';
    case 'INVALID_PURPOSE':
      return `${certificateText(leaf, 0)} is not meant for servers`;
    case 'CERT_REVOKED':
      return `${certificateText(leaf, 0)} was revoked`;
    case 'CERT_CHAIN_TOO_LONG':
      return 'the chain of the certificates of the server is too long';
    default:
      return null;
  }
}

/** Each certificate that `complaint` has something to say of; of the leaf first. */
function validity(chain: Chain, complaint: (facts: CertificateFacts, nowMs: number) => string | null): string | null {
  const nowMs = Date.now();
  for (const [depth, facts] of chain.entries()) {
    const said = complaint(facts, nowMs);
    if (said !== null) return `${certificateText(facts, depth)} ${said}`;
  }
  return null;
}

/** An issuer that neither the server has sent nor anybody trusts: which of the two is missing cannot be known. */
function unknownIssuer(chain: Chain): string {
  const depth = Math.max(0, chain.length - 1);
  const last = chain[depth];
  const issuer = issuerText(last);
  const advice =
    depth === 0
      ? 'the server does not send an intermediate certificate that it should, or its authority is not trusted'
      : 'its authority is not trusted';
  return `${certificateText(last, depth)} was issued by ${issuer}, which is not known: ${advice}`;
}

/** What went wrong before there was a certificate to look at, by the codes of OpenSSL's alerts and reasons. */
function ofHandshake(code: string): string | null {
  if (NOT_TLS.has(code)) return 'the server does not speak TLS on this port, it sent something else (plain text?)';
  switch (code) {
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
    case 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION':
    case 'ERR_SSL_UNSUPPORTED_SSL_VERSION':
      return 'the server speaks no version of TLS that is allowed here (see sslMinimumVersion and sslMaximumVersion)';
    case 'ERR_SSL_NO_PROTOCOLS_AVAILABLE':
      return 'the versions of TLS that are allowed need weaker ciphers: set ciphers to "DEFAULT:@SECLEVEL=0"';
    case 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED':
      return 'the server requires a certificate of the client (see certFile)';
    case 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE':
    case 'ERR_SSL_TLSV1_ALERT_HANDSHAKE_FAILURE':
    case 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE':
      return 'the server refused the handshake: no cipher in common, or it requires a certificate of the client (see certFile)';
    case 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE':
    case 'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE':
    case 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA':
    case 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN':
    case 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN':
    case 'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE':
    case 'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR':
    case 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED':
      return 'the server does not accept the certificate of the client';
    case 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED':
    case 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED':
      return 'the server says that the certificate of the client has expired';
    case 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED':
    case 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED':
      return 'the server says that the certificate of the client was revoked';
    case 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME':
    case 'ERR_SSL_TLSV1_ALERT_UNRECOGNIZED_NAME':
      return 'the server knows no host of this name';
    case 'ERR_SSL_DH_KEY_TOO_SMALL':
    case 'ERR_SSL_EE_KEY_TOO_SMALL':
      return 'the key of the server is too weak (see the option ciphers)';
    case 'ERR_SSL_CA_MD_TOO_WEAK':
    case 'ERR_SSL_WRONG_SIGNATURE_TYPE':
    case 'ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS':
      return 'the signature of the server is too weak (see the option ciphers)';
    default:
      return null;
  }
}

/** Verdicts that Node gives no code of their own, by OpenSSL's words. */
function ofMessage(message: string): string | null {
  if (/key too (?:weak|small)/i.test(message)) {
    return 'the key of a certificate of the server is too weak (see the option ciphers)';
  }
  if (/md too weak|signature algorithm/i.test(message)) {
    return 'the signature of a certificate of the server is too weak, such as SHA-1 (see the option ciphers)';
  }
  if (/disconnected before secure|socket hang up/i.test(message)) return CLOSED;
  return null;
}

export const CLOSED = 'the server closed the connection in the TLS handshake';

/** Of OpenSSL's `error:0A000410:SSL routines:function:reason:file:line` the reason; of other messages all. */
function reasonIn(message: string): string {
  const reason = /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/.exec(message)?.[1];
  return reason ?? (/^[\x20-\x7e]{1,200}$/.test(message) ? message : excerpt(message));
}

function certificateText(facts: CertificateFacts | undefined, depth: number): string {
  const name = facts === undefined ? '' : ` ${excerpt(firstName(facts, depth))}`;
  return depth === 0 ? `the certificate of the server${name}` : `the certificate${name} in the chain of the server`;
}

/** A server is known by the names it is for, an authority by its own. */
function firstName(facts: CertificateFacts, depth: number): string {
  return (depth === 0 ? facts.dnsNames[0] : undefined) ?? nameText(facts.subject);
}

function issuerText(facts: CertificateFacts | undefined): string {
  return facts === undefined ? 'an issuer without a name' : excerpt(nameText(facts.issuer));
}

/** In UTC, to the minute; a certificate may name a time that no Date has. */
function dateText(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime())
    ? 'a date that is none'
    : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
