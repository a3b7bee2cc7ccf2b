/**
 * Pools whose connections are logged in by NTLM before they serve requests (reference: "urllib3.contrib.ntlmpool module").
 *
 * ```text
 *   connect ─ GET authurl + NEGOTIATE ─ 401 + CHALLENGE ─ GET authurl + AUTHENTICATE ─ anything but 401 ─ requests, as they are
 * ```
 *
 * Names for what every pool can do: the login is `auth` of type "ntlm", kept to its connections by login-loop.ts; the
 * messages (NTLMv2 with a MIC and channel bindings) are in auth/. What is added here is the URL that each connection is
 * logged in at, so that a request with content that can be sent only once never has to begin a login itself.
 */
import { type NtlmCredentials, resolveAuth } from '../auth/credentials.js';
import {
  HTTPConnectionPool,
  type HTTPConnectionPoolOptions,
  HTTPSConnectionPool,
  type HTTPSConnectionPoolOptions,
} from '../connectionpool.js';
import { HostChangedError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { fieldLines, type HeadersInput } from '../headers.js';
import { equalsIgnoringCase } from '../http1/grammar.js';

import { splitOptions } from '../pool-options.js';

export { AuthenticationError } from '../exceptions.js';

/** What a pool takes beside its user, his password, and where to log in: the options of any pool over TLS but `auth`. */
export type NTLMConnectionPoolOptions = Omit<HTTPSConnectionPoolOptions, 'auth'>;

/** The same without TLS. */
export type NTLMHTTPConnectionPoolOptions = Omit<HTTPConnectionPoolOptions, 'auth'>;

/** Whom a pool logs in, and where. */
interface NtlmUser {
  readonly rawuser: string;
  readonly user: string;
  readonly domain: string;
  readonly authurl: string;
  readonly credentials: NtlmCredentials;
}

/**
 * A pool over TLS that logs each new connection in by NTLM before it serves requests, and again when the server drops it.
 *
 * The connections serve the requests of this pool alone, to its host alone; they resume no TLS session, as the login is bound
 * to the certificate that the server shows on each of them.
 *
 * @example
 * ```ts
 * const pool = new NTLMConnectionPool('DOMAIN\\user', 'password', '/login', 'intranet.example.com');
 * const response = await pool.request('GET', '/');
 * ```
 * @see Reference, "urllib3.contrib.ntlmpool.NTLMConnectionPool"; RFC 4559, MS-NTHT
 */
export class NTLMConnectionPool extends HTTPSConnectionPool {
  static override readonly displayName: string = 'NTLMConnectionPool';

  /** As it was given. */
  readonly rawuser: string;
  /** Without the domain before a backslash. */
  readonly user: string;
  /** What stands before the first backslash, in capitals; empty if there is none. */
  readonly domain: string;
  /** Where connections are logged in, as it was given. */
  readonly authurl: string;

  /**
   * @param user - `DOMAIN\user`, `user@realm`, or `user`
   * @param pw - is not to be had back from the pool
   * @param authurl - a path of the host, or a whole URL, that the server gives to nobody who is not logged in
   * @throws TypeError or RangeError for what cannot be used, {@link HostChangedError} if `authurl` is of another host
   * @throws AuthenticationError (from requests) if the server refuses the login, or breaks it off
   */
  constructor(user: string, pw: string, authurl: string, host: string, options: NTLMConnectionPoolOptions = {}) {
    const ntlm = ntlmUser(user, pw, authurl, options);
    super(host, { ...options, auth: ntlm.credentials, _authurl: authurl });
    if (!this.isSameHost(authurl)) throw new HostChangedError(this, authurl);
    ({ rawuser: this.rawuser, user: this.user, domain: this.domain, authurl: this.authurl } = ntlm);
  }
}

/**
 * As {@link NTLMConnectionPool}, without TLS: for servers that have none. Anyone on the way can read and change what is sent,
 * and guess at the password; nothing binds the login to the server.
 */
export class NTLMHTTPConnectionPool extends HTTPConnectionPool {
  static override readonly displayName: string = 'NTLMHTTPConnectionPool';

  /** As it was given. */
  readonly rawuser: string;
  /** Without the domain before a backslash. */
  readonly user: string;
  /** What stands before the first backslash, in capitals; empty if there is none. */
  readonly domain: string;
  /** Where connections are logged in, as it was given. */
  readonly authurl: string;

  /** As of {@link NTLMConnectionPool}. */
  constructor(user: string, pw: string, authurl: string, host: string, options: NTLMHTTPConnectionPoolOptions = {}) {
    const ntlm = ntlmUser(user, pw, authurl, options);
    super(host, { ...options, auth: ntlm.credentials, _authurl: authurl });
    if (!this.isSameHost(authurl)) throw new HostChangedError(this, authurl);
    ({ rawuser: this.rawuser, user: this.user, domain: this.domain, authurl: this.authurl } = ntlm);
  }
}

function ntlmUser(
  rawuser: unknown,
  password: unknown,
  authurl: unknown,
  options: { readonly headers?: HeadersInput | null | undefined },
): NtlmUser {
  // Spread below, null would be no options.
  splitOptions(options);
  if (typeof authurl !== 'string' || authurl === '') {
    throw new TypeError(`Cannot use authurl ${describe(authurl)}: it must be a path or a URL of the host`);
  }
  if (Object.hasOwn(options, 'auth')) {
    throw new TypeError('Cannot use option "auth": an NTLM pool is told its user and password by its first arguments');
  }
  if (fieldLines(options.headers).some(([name]) => equalsIgnoringCase(name, 'authorization'))) {
    throw new TypeError(
      'Cannot use a field Authorization for all requests of an NTLM pool: its connections say who asks',
    );
  }
  const { username, domain } = namesOf(rawuser, password);
  // As in the reference. The directory compares without case, and the proof is over what is sent.
  const capitals = domain.toUpperCase();
  const credentials = ntlmCredentials({ type: 'ntlm', username, password, domain: capitals });
  // ntlmCredentials() has seen that it is text.
  return { rawuser: rawuser as string, user: username, domain: capitals, authurl, credentials };
}

/** Checks both, and takes the name apart. */
function namesOf(username: unknown, password: unknown): ReturnType<NtlmCredentials['reveal']> {
  return ntlmCredentials({ type: 'ntlm', username, password }).reveal();
}

function ntlmCredentials(auth: unknown): NtlmCredentials {
  // Of type "ntlm" in, of type "ntlm" out.
  return resolveAuth('the pool', auth) as NtlmCredentials;
}
