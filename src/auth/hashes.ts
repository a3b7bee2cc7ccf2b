/**
 * Hashes by the names that `node:crypto` has for them, where a missing one is an error that says what to do.
 *
 * MD5 is the one that can be missing: Node in FIPS mode refuses it, and Digest and NTLM are built on it.
 */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { AuthenticationError, type AuthScheme } from '../exceptions.js';

/** A hash to be fed. */
export function newHash(scheme: AuthScheme, hash: string): Hash {
  try {
    return createHash(hash);
  } catch (cause) {
    throw unavailable(scheme, hash, cause);
  }
}

/** The HMAC-MD5 of the parts, one after the other. */
export function hmacMd5(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  let hmac: Hmac;
  try {
    hmac = createHmac('md5', key);
  } catch (cause) {
    throw unavailable('ntlm', 'md5', cause);
  }
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** Whether this Node has a hash. */
export function isAvailable(hash: string): boolean {
  try {
    createHash(hash);
    return true;
  } catch {
    return false;
  }
}

function unavailable(scheme: AuthScheme, hash: string, cause: unknown): AuthenticationError {
  const why = `Cannot log in by ${scheme}: this Node has no ${hash} (FIPS mode has none)`;
  return new AuthenticationError(scheme, why, { cause });
}
