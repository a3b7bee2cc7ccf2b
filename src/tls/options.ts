/**
 * What callers may say about TLS, and which of their options that is.
 *
 * Read by pools, connections and the keys of pools alike; what the options mean is decided once, in configuration.ts.
 */
import type { SecureContext } from 'node:tls';
import { describe } from '../excerpt.js';
import type { AuthoritySource } from './authorities.js';
import type { CredentialOptions } from './credentials.js';
import type { CertRequirementName, ProtocolName, TlsVersionName } from './requirements.js';
import type { ContextSource } from './secure-context.js';

/** What callers may say about TLS. */
export interface TlsOptions extends CredentialOptions {
  /**
   * Whether the server's certificate must be verified.
   *
   * @defaultValue 'CERT_REQUIRED', or what `sslContext` says; nothing in the environment changes it
   * @see User Guide, "Certificate verification"
   */
  readonly certReqs?: CertRequirementName | null | undefined;
  /**
   * The authorities to trust, and no others: the path of a PEM bundle, PEM text, bytes in PEM or DER, `'system'` for the
   * operating system's, or a list of these.
   *
   * @defaultValue Node's own: Mozilla's, with those of NODE_EXTRA_CA_CERTS
   * @throws {@link SSLError} when a pool is made, if a source cannot be read, is damaged or holds no certificate
   * @see Advanced Usage, "Custom SSL certificates"
   */
  readonly caCerts?: AuthoritySource | readonly AuthoritySource[] | null | undefined;
  /**
   * A directory of authorities to trust, one or more a file, named by hash or as you like; together with `caCerts`, both.
   *
   * @throws {@link SSLError} when a pool is made, if it cannot be read or holds no certificate
   */
  readonly caCertDir?: string | null | undefined;
  /**
   * The client's certificate, followed by its chain if it has one: the path of a PEM file, or PEM text.
   *
   * @throws {@link SSLError} when a pool is made, if it cannot be read, is damaged, or does not belong to the key
   * @see Advanced Usage, "Client certificates"
   */
  readonly certFile?: CredentialOptions['certFile'];
  /**
   * The key of the client's certificate: the path of a PEM file, or PEM text.
   *
   * @defaultValue the file of the certificate
   * @throws {@link SSLError} when a pool is made, if it cannot be read or decrypted, or belongs to another certificate
   */
  readonly keyFile?: CredentialOptions['keyFile'];
  /** The password of an encrypted key, or of `pfx`. */
  readonly keyPassword?: CredentialOptions['keyPassword'];
  /**
   * The client's certificate, chain and key in one PKCS #12 file (`.pfx`, `.p12`): its path, or its bytes. Authorities in it
   * are sent as part of the chain and not trusted.
   *
   * @throws {@link SSLError} when a pool is made, if it cannot be read or decrypted
   */
  readonly pfx?: CredentialOptions['pfx'];
  /**
   * One version of TLS and no other, by its PROTOCOL_ constant. Prefer `sslMinimumVersion`.
   *
   * @defaultValue PROTOCOL_TLS: TLS 1.2 and 1.3
   */
  readonly sslVersion?: ProtocolName | null | undefined;
  /** The oldest version of TLS to speak. @defaultValue 'TLSv1.2' */
  readonly sslMinimumVersion?: TlsVersionName | null | undefined;
  /** The newest version of TLS to speak. @defaultValue 'TLSv1.3' */
  readonly sslMaximumVersion?: TlsVersionName | null | undefined;
  /**
   * The ciphers to offer, in OpenSSL's words. Security level 2 holds (no key under 112 bits of security, no SHA-1) unless the
   * list says otherwise, as TLS 1.0 and 1.1 need: `DEFAULT:@SECLEVEL=0`.
   *
   * @defaultValue Node's
   * @throws {@link SSLError} when a pool is made, if there is no such cipher
   */
  readonly ciphers?: string | null | undefined;
  /**
   * The name or address that the certificate must be for, in place of the host's; false for any.
   *
   * The chain is verified all the same. Not looked at where `assertFingerprint` is given.
   */
  readonly assertHostname?: string | false | null | undefined;
  /**
   * The fingerprint of the one certificate that the server may show, in hexadecimal: md5, sha1 or sha256, told apart by length.
   *
   * Takes the place of the host's name, not of the verification of the chain; with `certReqs: 'CERT_NONE'` the fingerprint is
   * all that is verified, which is what a self-signed certificate needs.
   *
   * @throws {@link SSLError} when a pool is made, if it is no fingerprint; from the request, if the certificate is another
   */
  readonly assertFingerprint?: string | null | undefined;
  /** The name to ask for (SNI) and to verify, in place of the host's. */
  readonly serverHostname?: string | null | undefined;
  /**
   * A context to take everything from that the other options do not say: an {@link SSLContext}, as it is when the pool is
   * made, or what `tls.createSecureContext()` gives.
   */
  readonly sslContext?: ContextSource | SecureContext | null | undefined;
  /**
   * Application protocols to offer (RFC 7301); an empty list for none.
   *
   * @defaultValue ['http/1.1'], which is also the only one there is
   */
  readonly alpnProtocols?: readonly string[] | null | undefined;
  /**
   * A file that session keys are appended to, for Wireshark: whoever has it can read everything.
   *
   * @defaultValue the environment's SSLKEYLOGFILE
   * @throws {@link SSLError} when a pool is made, if it cannot be written
   */
  readonly keylogFile?: string | null | undefined;
}

/** Every name once: the compiler demands them all. */
const NAMES: { readonly [K in keyof Required<TlsOptions>]: true } = {
  certReqs: true,
  caCerts: true,
  caCertDir: true,
  certFile: true,
  keyFile: true,
  keyPassword: true,
  pfx: true,
  sslVersion: true,
  sslMinimumVersion: true,
  sslMaximumVersion: true,
  ciphers: true,
  assertHostname: true,
  assertFingerprint: true,
  serverHostname: true,
  sslContext: true,
  alpnProtocols: true,
  keylogFile: true,
};

/** The names of {@link TlsOptions}: plain-text connections do not take them. */
export const TLS_OPTION_NAMES: ReadonlySet<string> = new Set(Object.keys(NAMES));

/** Splits options into what concerns TLS and the rest, own properties only. */
export function splitTlsOptions<T extends TlsOptions>(
  options: T,
): { readonly tls: TlsOptions; readonly rest: Omit<T, keyof TlsOptions> } {
  const tls: Record<string, unknown> = Object.create(null);
  const rest: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(options)) (TLS_OPTION_NAMES.has(name) ? tls : rest)[name] = value;
  // What is left of T without the names of TlsOptions.
  return { tls, rest: rest as unknown as Omit<T, keyof TlsOptions> };
}

/** `options` with those of `changes` that are given, own properties only. @throws TypeError for a name that is not in `names` */
export function changedTlsOptions(
  options: TlsOptions,
  changes: TlsOptions,
  names: readonly (keyof TlsOptions)[],
): TlsOptions {
  const changed: Record<string, unknown> = { ...options };
  for (const [name, value] of Object.entries(changes)) {
    if (!names.some((known) => known === name)) {
      throw new TypeError(`Cannot change option ${describe(name)}: it must be one of ${names.join(', ')}`);
    }
    if (value !== undefined) changed[name] = value;
  }
  return changed;
}
