/**
 * What callers may say about TLS, and which of their options that is.
 *
 * Read by pools, connections and the keys of pools alike; what the options mean is decided once, in the configuration.
 */
import type { CertRequirementName } from '../util/ssl_.js';

/** What callers may say about TLS. */
export interface TlsOptions {
  /**
   * Whether the server's certificate must be verified.
   *
   * @defaultValue 'CERT_REQUIRED'
   * @see User Guide, "Certificate verification"
   */
  readonly certReqs?: CertRequirementName | null | undefined;
  /**
   * The authorities to trust, in place of Node's own: the path of a PEM bundle, or PEM text.
   *
   * @throws {@link SSLError} when a pool is made, if the file cannot be read or holds no certificate
   * @see Advanced Usage, "Custom SSL certificates"
   */
  readonly caCerts?: string | null | undefined;
  /** The name to ask for (SNI) and to verify, in place of the host's. */
  readonly serverHostname?: string | null | undefined;
}

/** The names of {@link TlsOptions}: plain-text connections do not take them. */
export const TLS_OPTION_NAMES: ReadonlySet<string> = new Set<keyof TlsOptions>([
  'certReqs',
  'caCerts',
  'serverHostname',
]);

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
