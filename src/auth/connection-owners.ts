/**
 * Whose a connection is, once a login has been tried on it: the server takes all that is said on it for that user's.
 *
 * The last check before a request is written, not the first: pools keep apart what belongs to different credentials. It is
 * for the bug that makes them mix.
 */
import { HTTPError } from '../exceptions.js';
import type { AuthRole } from './authenticator.js';

const OWNERS: Readonly<Record<AuthRole, WeakMap<object, string>>> = { origin: new WeakMap(), proxy: new WeakMap() };

/** The key of the credentials that a connection belongs to; null if it belongs to none. */
export function ownerOf(connection: object, role: AuthRole = 'origin'): string | null {
  return OWNERS[role].get(connection) ?? null;
}

/**
 * Makes a connection belong to some credentials, for good.
 *
 * @throws HTTPError if it belongs to others
 */
export function belongTo(key: string, connection: object, role: AuthRole): void {
  const owner = ownerOf(connection, role);
  if (owner === key) return;
  if (owner !== null) {
    throw new HTTPError('Bug in urllib3: a request was given a connection that is logged in with other credentials');
  }
  OWNERS[role].set(connection, key);
}
