/**
 * Credentials put to work, one authenticator for each: what a pool or manager keeps beside its connections.
 *
 * Equal credentials share one, so that the nonce that one request was given serves the next, even where each request
 * brings its own `auth` object. Loaded only when there are credentials at all.
 */

import type { Authenticator } from './authenticator.js';
import { BasicAuthenticator } from './basic.js';
import { BearerAuthenticator } from './bearer.js';
import type { Credentials } from './credentials.js';
import { DigestAuthenticator } from './digest.js';
import { NtlmAuthenticator } from './ntlm-login.js';

/** Credentials whose state is kept; beyond that, the least recently used start anew. */
const MAX_CREDENTIALS = 64;

/** The authenticators of one pool or manager. */
export class Authenticators {
  /** From the least to the most recently used. */
  readonly #byKey = new Map<string, Authenticator>();

  get size(): number {
    return this.#byKey.size;
  }

  /** The one for these credentials. */
  of(credentials: Credentials): Authenticator {
    const { key } = credentials;
    const authenticator = this.#byKey.get(key) ?? authenticatorFor(credentials);
    this.#byKey.delete(key);
    this.#byKey.set(key, authenticator);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > MAX_CREDENTIALS && oldest !== undefined) this.#byKey.delete(oldest);
    return authenticator;
  }
}

/** A new authenticator, which knows nothing yet. */
export function authenticatorFor(credentials: Credentials): Authenticator {
  switch (credentials.type) {
    case 'basic':
      return new BasicAuthenticator(credentials);
    case 'bearer':
      return new BearerAuthenticator(credentials);
    case 'digest':
      return new DigestAuthenticator(credentials);
    case 'ntlm':
      return new NtlmAuthenticator(credentials);
  }
}
