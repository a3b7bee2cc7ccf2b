/**
 * Pins: the digest of the one certificate that a server may show (reference: "urllib3.util.assert_fingerprint").
 *
 * Which digest it is follows from its length. All of it is compared, in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { SSLError } from '../exceptions.js';
import { describe, excerpt } from '../excerpt.js';

/** The digest of a certificate in DER. */
export interface Fingerprint {
  readonly algorithm: 'md5' | 'sha1' | 'sha256';
  readonly digest: Buffer;
  /** As it was given, for messages and for telling configurations apart. */
  readonly text: string;
}

const ALGORITHM_BY_DIGITS: ReadonlyMap<number, Fingerprint['algorithm']> = new Map([
  [32, 'md5'],
  [40, 'sha1'],
  [64, 'sha256'],
] as const);

/**
 * @param text - hexadecimal; colons and letter case make no difference
 * @throws TypeError for what is no text, {@link SSLError} for a text that is no digest of a known length
 */
export function parseFingerprint(text: unknown): Fingerprint {
  if (typeof text !== 'string') {
    throw new TypeError(`Cannot use fingerprint ${describe(text)}: it must be text in hexadecimal`);
  }
  const digits = text.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]*$/.test(digits)) throw new SSLError(`Fingerprint is not hexadecimal: ${excerpt(text)}`);
  const algorithm = ALGORITHM_BY_DIGITS.get(digits.length);
  if (algorithm === undefined) throw new SSLError(`Fingerprint of invalid length: ${excerpt(text)}`);
  return { algorithm, digest: Buffer.from(digits, 'hex'), text };
}

/**
 * @param certificate - in DER
 * @throws {@link SSLError} if it is not the one that was pinned
 */
export function checkFingerprint(certificate: Uint8Array, { algorithm, digest, text }: Fingerprint): void {
  const actual = createHash(algorithm).update(certificate).digest();
  if (timingSafeEqual(actual, digest)) return;
  throw new SSLError(`Fingerprints did not match. Expected ${excerpt(text)}, got "${actual.toString('hex')}"`);
}

/**
 * Checks a certificate against a fingerprint: md5, sha1 or sha256, told apart by length.
 *
 * @param cert - the certificate in DER; null is a peer that showed none
 * @param fingerprint - hexadecimal; colons and letter case make no difference
 * @throws {@link SSLError} if they do not match, or the fingerprint is none
 * @see Reference, "urllib3.util.assert_fingerprint"
 */
export function assertFingerprint(cert: Uint8Array | null, fingerprint: string): void {
  const pin = parseFingerprint(fingerprint);
  if (cert === null) throw new SSLError('No certificate for the peer.');
  if (!(cert instanceof Uint8Array)) {
    throw new TypeError(`Cannot use certificate ${describe(cert)}: it must be bytes in DER`);
  }
  checkFingerprint(cert, pin);
}
