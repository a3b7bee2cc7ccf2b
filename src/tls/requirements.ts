/**
 * Certificate requirements and protocol versions: the constants of the reference's `ssl` module, and their spellings.
 *
 * A missing value is the safe one, and a mistaken value is refused: nothing but an explicit CERT_NONE switches verification
 * off, and nothing but an explicit version allows one below TLS 1.2.
 */
import type { SecureVersion } from 'node:tls';
import { describe } from '../excerpt.js';

/** The server's certificate is not verified. */
export const CERT_NONE = 0;
/** On the client's side the same as {@link CERT_REQUIRED}: a server always shows a certificate. */
export const CERT_OPTIONAL = 1;
/** The server's certificate must be valid, from a known authority, and for the host that was asked for. */
export const CERT_REQUIRED = 2;

/** A certificate requirement as a number. */
export type CertRequirement = typeof CERT_NONE | typeof CERT_OPTIONAL | typeof CERT_REQUIRED;

/** A certificate requirement as options take it: the constant, or its name with or without `CERT_`. */
export type CertRequirementName =
  | CertRequirement
  | 'CERT_NONE'
  | 'CERT_OPTIONAL'
  | 'CERT_REQUIRED'
  | 'NONE'
  | 'OPTIONAL'
  | 'REQUIRED';

const REQUIREMENTS: ReadonlyMap<unknown, CertRequirement> = new Map<unknown, CertRequirement>([
  [CERT_NONE, CERT_NONE],
  [CERT_OPTIONAL, CERT_OPTIONAL],
  [CERT_REQUIRED, CERT_REQUIRED],
  ['CERT_NONE', CERT_NONE],
  ['CERT_OPTIONAL', CERT_OPTIONAL],
  ['CERT_REQUIRED', CERT_REQUIRED],
  ['NONE', CERT_NONE],
  ['OPTIONAL', CERT_OPTIONAL],
  ['REQUIRED', CERT_REQUIRED],
]);

/**
 * The constant that a certificate requirement means; without one, CERT_REQUIRED.
 *
 * @throws TypeError for anything that is no requirement: a mistaken spelling must not switch verification off
 * @see Reference, "urllib3.util.resolve_cert_reqs"
 */
export function resolveCertReqs(candidate?: CertRequirementName | null): CertRequirement {
  if (candidate === undefined || candidate === null) return CERT_REQUIRED;
  const requirement = REQUIREMENTS.get(candidate);
  if (requirement !== undefined) return requirement;
  throw new TypeError(
    `Cannot use certReqs ${describe(candidate)}: it must be "CERT_REQUIRED", "CERT_OPTIONAL" or "CERT_NONE"`,
  );
}

/** Gone from OpenSSL: exists by name, and cannot be used. */
export const PROTOCOL_SSLv2 = 0;
/** Broken (RFC 7568): exists by name, and cannot be used. */
export const PROTOCOL_SSLv3 = 1;
/** The newest version that both sides know, from TLS 1.2 on. */
export const PROTOCOL_TLS = 2;
/** The former name of {@link PROTOCOL_TLS}. */
export const PROTOCOL_SSLv23 = 2;
/** TLS 1.0 and nothing else: needs weak `ciphers` too, such as `DEFAULT:@SECLEVEL=0`. */
export const PROTOCOL_TLSv1 = 3;
/** TLS 1.1 and nothing else: needs weak `ciphers` too, such as `DEFAULT:@SECLEVEL=0`. */
export const PROTOCOL_TLSv1_1 = 4;
/** TLS 1.2 and nothing else. */
export const PROTOCOL_TLSv1_2 = 5;
/** As {@link PROTOCOL_TLS}. */
export const PROTOCOL_TLS_CLIENT = 16;

/** A protocol as a number. */
export type Protocol = 0 | 1 | 2 | 3 | 4 | 5 | 16;

/** A protocol as options take it: the constant, or its name with or without `PROTOCOL_`. */
export type ProtocolName = Protocol | ProtocolSpelling | `PROTOCOL_${ProtocolSpelling}`;
type ProtocolSpelling = 'TLS' | 'SSLv23' | 'SSLv2' | 'SSLv3' | 'TLSv1' | 'TLSv1_1' | 'TLSv1_2' | 'TLS_CLIENT';

const PROTOCOLS: ReadonlyMap<unknown, Protocol> = new Map(
  Object.entries<Protocol>({
    SSLv2: PROTOCOL_SSLv2,
    SSLv3: PROTOCOL_SSLv3,
    TLS: PROTOCOL_TLS,
    SSLv23: PROTOCOL_SSLv23,
    TLSv1: PROTOCOL_TLSv1,
    TLSv1_1: PROTOCOL_TLSv1_1,
    TLSv1_2: PROTOCOL_TLSv1_2,
    TLS_CLIENT: PROTOCOL_TLS_CLIENT,
  }).flatMap(([name, protocol]): [unknown, Protocol][] => [
    [name, protocol],
    [`PROTOCOL_${name}`, protocol],
    [protocol, protocol],
  ]),
);

/**
 * The constant that a protocol means; without one, PROTOCOL_TLS.
 *
 * @throws TypeError for anything that is no protocol
 * @see Reference, "urllib3.util.resolve_ssl_version"
 */
export function resolveSslVersion(candidate?: ProtocolName | null): Protocol {
  if (candidate === undefined || candidate === null) return PROTOCOL_TLS;
  const protocol = PROTOCOLS.get(candidate);
  if (protocol !== undefined) return protocol;
  throw new TypeError(
    `Cannot use sslVersion ${describe(candidate)}: it must be "TLS", "TLSv1_2", another PROTOCOL_ constant or its name`,
  );
}

/** Versions of TLS as numbers, as Python's `ssl.TLSVersion` has them. */
export const TLSVersion = Object.freeze({
  MINIMUM_SUPPORTED: -2,
  MAXIMUM_SUPPORTED: -1,
  SSLv3: 768,
  TLSv1: 769,
  TLSv1_1: 770,
  TLSv1_2: 771,
  TLSv1_3: 772,
});

/** A version of TLS as options take it: Node's name, or the number of {@link TLSVersion}. */
export type TlsVersionName = SecureVersion | (typeof TLSVersion)[keyof typeof TLSVersion];

/** The versions that Node can speak, oldest first. */
const VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

const OLDEST: SecureVersion = 'TLSv1';
const NEWEST: SecureVersion = 'TLSv1.3';

/** What a connection may speak: both ends count. */
export interface VersionRange {
  readonly minimum: SecureVersion;
  readonly maximum: SecureVersion;
}

/** TLS 1.0 and 1.1 are not to be used any more (RFC 8996). */
export const DEFAULT_VERSIONS: VersionRange = Object.freeze({ minimum: 'TLSv1.2', maximum: NEWEST });

/** The versions of a protocol. @throws TypeError for SSL 2 and 3, which no OpenSSL of Node's can speak */
export function versionsOf(protocol: Protocol): VersionRange {
  switch (protocol) {
    case PROTOCOL_TLS:
    case PROTOCOL_TLS_CLIENT:
      return DEFAULT_VERSIONS;
    case PROTOCOL_TLSv1:
      return { minimum: 'TLSv1', maximum: 'TLSv1' };
    case PROTOCOL_TLSv1_1:
      return { minimum: 'TLSv1.1', maximum: 'TLSv1.1' };
    case PROTOCOL_TLSv1_2:
      return { minimum: 'TLSv1.2', maximum: 'TLSv1.2' };
    default:
      throw new TypeError(
        `Cannot use sslVersion "SSLv${protocol === PROTOCOL_SSLv2 ? 2 : 3}": it must be one of TLS, which is all that Node speaks`,
      );
  }
}

/** @throws TypeError for what is no version of TLS */
export function resolveTlsVersion(name: string, candidate: unknown): SecureVersion {
  const known = VERSIONS.find((version) => version === candidate);
  if (known !== undefined) return known;
  switch (candidate) {
    case TLSVersion.MINIMUM_SUPPORTED:
      return OLDEST;
    case TLSVersion.MAXIMUM_SUPPORTED:
      return NEWEST;
    case TLSVersion.TLSv1:
      return 'TLSv1';
    case TLSVersion.TLSv1_1:
      return 'TLSv1.1';
    case TLSVersion.TLSv1_2:
      return 'TLSv1.2';
    case TLSVersion.TLSv1_3:
      return 'TLSv1.3';
    default:
      throw new TypeError(
        `Cannot use ${name} ${describe(candidate)}: it must be "TLSv1.2", "TLSv1.3", or "TLSv1" or "TLSv1.1"`,
      );
  }
}

/** @throws RangeError for a range in which there is no version */
export function versionRange(minimum: SecureVersion, maximum: SecureVersion): VersionRange {
  if (VERSIONS.indexOf(minimum) > VERSIONS.indexOf(maximum)) {
    throw new RangeError(
      `Cannot use sslMinimumVersion "${minimum}" with sslMaximumVersion "${maximum}": there is no version between them`,
    );
  }
  return { minimum, maximum };
}
