/**
 * What all connections of one configuration share inside OpenSSL: authorities, credentials, versions, ciphers.
 *
 * A context is immutable, costs milliseconds and up to a megabyte, most of it for the authorities; so equal settings that
 * name their own share one, whichever pools they belong to. Settings come from options (configuration.ts) or from an
 * {@link SSLContext} (context.ts), which is copied when it is used.
 */
import { constants, createHash } from 'node:crypto';
import tls, { type SecureContext, type SecureContextOptions } from 'node:tls';
import { RecentlyUsedContainer } from '../collections.js';
import { SSLError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import type { Credentials } from './credentials.js';
import { type CertRequirement, DEFAULT_VERSIONS, type VersionRange } from './requirements.js';

/** What is decided of a context. */
export interface ContextSettings {
  /** In PEM; null for Node's own. */
  readonly authorities: readonly string[] | null;
  readonly credentials: Credentials | null;
  readonly versions: VersionRange;
  /** Null for Node's own. */
  readonly ciphers: string | null;
  /** Bits of OpenSSL's SSL_OP_ constants, over its defaults. */
  readonly options: number;
}

export const DEFAULT_SETTINGS: ContextSettings = Object.freeze({
  authorities: null,
  credentials: null,
  versions: DEFAULT_VERSIONS,
  ciphers: null,
  options: constants.SSL_OP_NO_SSLv2 | constants.SSL_OP_NO_SSLv3 | constants.SSL_OP_NO_COMPRESSION,
});

/** An {@link SSLContext} as it was at one moment. */
export interface ContextSnapshot {
  readonly settings: ContextSettings;
  readonly verifyMode: CertRequirement;
  readonly hostnameChecksCommonName: boolean;
  /** Null for the default. */
  readonly alpnProtocols: readonly string[] | null;
  readonly keylogFile: string | null;
}

/** What snapshots can be taken of: the base of {@link SSLContext}. */
export abstract class ContextSource {
  /** @internal */
  abstract _snapshot(): ContextSnapshot;
}

/** What `tls.createSecureContext` looks up and we do not want, as own properties: a polluted Object.prototype must not set it. */
const UNSET = {
  pfx: undefined,
  passphrase: undefined,
  crl: undefined,
  dhparam: undefined,
  ecdhCurve: undefined,
  sigalgs: undefined,
  secureProtocol: undefined,
  privateKeyEngine: undefined,
  privateKeyIdentifier: undefined,
  clientCertEngine: undefined,
  sessionIdContext: undefined,
  sessionTimeout: undefined,
  ticketKeys: undefined,
  honorCipherOrder: undefined,
  allowPartialTrustChain: undefined,
  certificateCompression: undefined,
};

/**
 * What OpenSSL asks of keys and signatures (`man SSL_CTX_set_security_level`): 112 bits, that is RSA from 2048 bits on, no SHA-1.
 * Node's own level depends on its version, this does not.
 */
const SECURITY_LEVEL = '@SECLEVEL=2';

/**
 * For lists that name ciphers of TLS 1.3 only: OpenSSL takes the level with a cipher of older versions, which are then not
 * spoken. Node alone would leave such lists at its own level.
 */
const CARRIER = 'ECDHE-RSA-AES128-GCM-SHA256';

/** Contexts with authorities of their own; each may take a megabyte. */
const MAX_SHARED = 16;

const shared = new RecentlyUsedContainer<string, SecureContext>(MAX_SHARED);

/** @throws {@link SSLError} if OpenSSL does not take the settings */
export function secureContext(settings: ContextSettings): SecureContext {
  // Those with Node's authorities are quick to make, and what its authorities are may change (`tls.setDefaultCACertificates`).
  if (settings.authorities === null) return newContext(settings);
  const key = createHash('sha256').update(JSON.stringify(settings)).digest('base64');
  const known = shared.get(key);
  if (known !== undefined) return known;
  const context = newContext(settings);
  shared.set(key, context);
  return context;
}

function newContext({ authorities, credentials, versions, ciphers, options }: ContextSettings): SecureContext {
  const list = ciphers ?? tls.DEFAULT_CIPHERS;
  const isOnlyTls13 = namesOnlyTls13(list);
  if (isOnlyTls13 && versions.maximum !== 'TLSv1.3') {
    throw new SSLError(
      `Cannot use ciphers ${excerpt(list)}: all are of TLS 1.3, which is not among the versions to speak`,
    );
  }
  // What is undefined there is absent for Node; only its types tell the two apart.
  const given = {
    ...UNSET,
    // Without any, nobody is trusted; only where the option is absent does Node take its own.
    ca: authorities === null ? undefined : [...authorities],
    cert: credentials?.certificate,
    key: credentials?.key,
    minVersion: isOnlyTls13 ? 'TLSv1.3' : versions.minimum,
    maxVersion: versions.maximum,
    ciphers: withSecurityLevel(isOnlyTls13 ? `${list}:${CARRIER}` : list),
    secureOptions: options,
  } as SecureContextOptions;
  try {
    return tls.createSecureContext(given);
  } catch (cause) {
    throw refused(cause, ciphers);
  }
}

function withSecurityLevel(ciphers: string): string {
  return ciphers.includes('@SECLEVEL=') ? ciphers : `${ciphers}:${SECURITY_LEVEL}`;
}

function namesOnlyTls13(ciphers: string): boolean {
  const names = ciphers.split(':').filter((name) => !name.startsWith('@'));
  return names.length > 0 && names.every((name) => name.startsWith('TLS_'));
}

function refused(cause: unknown, ciphers: string | null): SSLError {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (ciphers !== null && /cipher/i.test(message)) {
    return new SSLError(`Cannot use ciphers ${excerpt(ciphers)}: OpenSSL knows none of these`, { cause });
  }
  if (/key too small|md too weak/.test(message)) {
    return new SSLError('Cannot use certFile: its key or its signature is too weak (see the option ciphers)', {
      cause,
    });
  }
  return new SSLError(`Cannot use these options of TLS: ${message}`, { cause });
}
