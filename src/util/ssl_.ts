/**
 * What the reference's `urllib3.util.ssl_` knows of certificate requirements: the constants and their spellings.
 *
 * Only an explicit CERT_NONE switches verification off; a missing or mistaken value never does.
 */
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

const BY_NAME: ReadonlyMap<unknown, CertRequirement> = new Map<unknown, CertRequirement>([
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
  const requirement = BY_NAME.get(candidate);
  if (requirement !== undefined) return requirement;
  throw new TypeError(
    `Cannot use certReqs ${describe(candidate)}: it must be "CERT_REQUIRED", "CERT_OPTIONAL" or "CERT_NONE"`,
  );
}
