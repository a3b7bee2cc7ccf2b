/**
 * Contexts as Python's `ssl` module has them, and wrapping a socket by hand (reference: "urllib3.util.SSLContext",
 * "urllib3.util.ssl_wrap_socket").
 *
 * A context is a collection of settings that may be changed until it is used: whoever uses it, a pool or `wrapSocket`,
 * takes a copy (secure-context.ts). All checks of a peer are those of handshake.ts.
 */
import { constants } from 'node:crypto';
import net from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { describe } from '../excerpt.js';
import { boolean, knownOptions, ownOptions, textOrNull } from '../options.js';
import { type AuthoritySource, authorities, defaultAuthorities } from './authorities.js';
import { tlsConfiguration } from './configuration.js';
import { type Credentials, credentials, type Password } from './credentials.js';
import { secured, tlsOver } from './handshake.js';
import type { TlsOptions } from './options.js';
import type { PemSource } from './pem.js';
import {
  CERT_NONE,
  CERT_REQUIRED,
  type CertRequirement,
  type CertRequirementName,
  PROTOCOL_TLS_CLIENT,
  type Protocol,
  type ProtocolName,
  resolveCertReqs,
  resolveSslVersion,
  resolveTlsVersion,
  type TlsVersionName,
  type VersionRange,
  versionRange,
  versionsOf,
} from './requirements.js';
import {
  type ContextSettings,
  type ContextSnapshot,
  ContextSource,
  DEFAULT_SETTINGS,
  secureContext,
} from './secure-context.js';

/** Of `options`: no SSL 2, which OpenSSL does not have any more. */
export const OP_NO_SSLv2: number = constants.SSL_OP_NO_SSLv2;
/** Of `options`: no SSL 3, which Node does not have any more. */
export const OP_NO_SSLv3: number = constants.SSL_OP_NO_SSLv3;
/** Of `options`: no compression, which has made CRIME possible. */
export const OP_NO_COMPRESSION: number = constants.SSL_OP_NO_COMPRESSION;
/** Of `options`: no tickets, and so no sessions to resume in most places. */
export const OP_NO_TICKET: number = constants.SSL_OP_NO_TICKET;

/** What {@link SSLContext.loadVerifyLocations} takes; at least one of them. */
export interface VerifyLocations {
  /** As the option `caCerts`. */
  readonly caFile?: AuthoritySource | readonly AuthoritySource[] | null | undefined;
  /** As the option `caCertDir`. */
  readonly caPath?: string | null | undefined;
  /** PEM text, or bytes in PEM or DER. */
  readonly caData?: PemSource | null | undefined;
}

const LOCATIONS = { caFile: true, caPath: true, caData: true } as const;

/** What {@link SSLContext.wrapSocket} takes beside the socket. */
export interface WrapSocketOptions {
  /** @defaultValue false, and nothing else: this is a client */
  readonly serverSide?: boolean | undefined;
  /** @defaultValue true, and nothing else: Node begins at once */
  readonly doHandshakeOnConnect?: boolean | undefined;
  /** @defaultValue true, and nothing else: Node tells an end without close_notify as an end */
  readonly suppressRaggedEofs?: boolean | undefined;
  /** The name to ask for and to verify; needed unless `checkHostname` is off. */
  readonly serverHostname?: string | null | undefined;
  /** Aborting it gives the handshake up. */
  readonly signal?: AbortSignal | null | undefined;
}

const WRAP_OPTIONS = {
  serverSide: true,
  doHandshakeOnConnect: true,
  suppressRaggedEofs: true,
  serverHostname: true,
  signal: true,
} as const;

/**
 * Settings of TLS that several pools can share.
 *
 * It trusts nobody until authorities are loaded. A pool takes a copy when it is made: what is changed later holds for later
 * pools.
 *
 * @example
 * ```ts
 * const context = createUrllib3Context();
 * context.loadDefaultCerts();
 * context.loadCertChain('client.pem', { keyFile: 'client.key' });
 * const http = new PoolManager({ sslContext: context });
 * ```
 * @see Reference, "urllib3.util.SSLContext"
 */
export class SSLContext extends ContextSource {
  /** The PROTOCOL_ constant that it was made with. */
  readonly protocol: Protocol;
  /** Bits of the OP_ constants and others of OpenSSL's. */
  options = DEFAULT_SETTINGS.options;
  /**
   * Whether the common name counts where a certificate has no list of alternative names; each time it does, a
   * {@link SubjectAltNameWarning} says so.
   */
  hostnameChecksCommonName = false;
  /** The file that session keys are appended to; see the option `keylogFile`. */
  keylogFilename: string | null = null;
  /** Whether authorities of Node's own are trusted. */
  #trustsDefaults = false;
  #authorities: readonly string[] = [];
  #credentials: Credentials | null = null;
  #versions: VersionRange;
  #ciphers: string | null = null;
  #alpnProtocols: readonly string[] | null = null;
  #verifyMode: CertRequirement = CERT_REQUIRED;
  #checkHostname = true;

  constructor(protocol: ProtocolName = PROTOCOL_TLS_CLIENT) {
    super();
    this.protocol = resolveSslVersion(protocol);
    this.#versions = versionsOf(this.protocol);
  }

  /** Whether certificates are verified: CERT_REQUIRED, CERT_OPTIONAL (which is the same) or CERT_NONE. */
  get verifyMode(): CertRequirement {
    return this.#verifyMode;
  }

  /** As in Python, `checkHostname` must be switched off before verification is. */
  set verifyMode(mode: CertRequirementName) {
    const resolved = resolveCertReqs(mode);
    if (resolved === CERT_NONE && this.#checkHostname) {
      throw new TypeError('Cannot set verifyMode to CERT_NONE: set checkHostname to false before');
    }
    this.#verifyMode = resolved;
  }

  /** Whether `wrapSocket` verifies the name; a pool does unless `assertHostname` is false. */
  get checkHostname(): boolean {
    return this.#checkHostname;
  }

  /** As in Python, switching it on switches verification on. */
  set checkHostname(checks: boolean) {
    this.#checkHostname = boolean('checkHostname', checks);
    if (checks && this.#verifyMode === CERT_NONE) this.#verifyMode = CERT_REQUIRED;
  }

  /** The oldest version of TLS that is spoken. */
  get minimumVersion(): VersionRange['minimum'] {
    return this.#versions.minimum;
  }

  set minimumVersion(version: TlsVersionName) {
    this.#versions = { ...this.#versions, minimum: resolveTlsVersion('minimumVersion', version) };
  }

  /** The newest version of TLS that is spoken. */
  get maximumVersion(): VersionRange['maximum'] {
    return this.#versions.maximum;
  }

  set maximumVersion(version: TlsVersionName) {
    this.#versions = { ...this.#versions, maximum: resolveTlsVersion('maximumVersion', version) };
  }

  /** Trusts Node's own authorities: Mozilla's, with those of NODE_EXTRA_CA_CERTS. */
  loadDefaultCerts(options: { readonly purpose?: 'serverAuth' | undefined } = {}): void {
    const { purpose = 'serverAuth' } = knownOptions('loadDefaultCerts()', options, { purpose: true });
    if (purpose !== 'serverAuth') {
      throw new TypeError(
        `Cannot use purpose ${describe(purpose)}: it must be "serverAuth", servers are what we verify`,
      );
    }
    this.#trustsDefaults = true;
  }

  /**
   * Trusts more authorities.
   *
   * @throws TypeError if nothing is given, {@link SSLError} for what cannot be read or holds no certificate
   */
  loadVerifyLocations(locations: VerifyLocations): void {
    const given = knownOptions('loadVerifyLocations()', locations, LOCATIONS);
    const { caFile = null, caPath = null, caData = null } = given;
    const loaded = [...(authorities(caFile, caPath) ?? []), ...(authorities(caData, null) ?? [])];
    if (loaded.length === 0)
      throw new TypeError('Cannot load no locations: one of caFile, caPath and caData is needed');
    this.#authorities = [...new Set([...this.#authorities, ...loaded])];
  }

  /**
   * The client's certificate with its chain.
   *
   * @throws {@link SSLError} for files that cannot be read or decrypted, or that do not belong together
   */
  loadCertChain(
    certFile: PemSource,
    options: { readonly keyFile?: PemSource | null | undefined; readonly password?: Password | null | undefined } = {},
  ): void {
    const { keyFile, password } = knownOptions('loadCertChain()', options, { keyFile: true, password: true });
    this.#credentials = credentials({ certFile, keyFile, keyPassword: password });
  }

  /** @throws {@link SSLError} if OpenSSL knows none of them */
  setCiphers(ciphers: string): void {
    const checked = textOrNull('ciphers', ciphers);
    secureContext({ ...DEFAULT_SETTINGS, ciphers: checked });
    this.#ciphers = checked;
  }

  /** The application protocols to offer (RFC 7301). A pool speaks HTTP/1.1 and takes no context that offers another. */
  setAlpnProtocols(alpnProtocols: readonly string[]): void {
    if (!Array.isArray(alpnProtocols) || !alpnProtocols.every(isProtocolName)) {
      throw new TypeError(
        `Cannot use ALPN protocols ${describe(alpnProtocols)}: they must be a list of names of 1 to 255 bytes`,
      );
    }
    this.#alpnProtocols = [...alpnProtocols];
  }

  /** @throws TypeError always: NPN is gone, from TLS 1.3 and from Node */
  setNpnProtocols(npnProtocols: readonly string[]): never {
    const given = describe(npnProtocols);
    throw new TypeError(
      `Cannot use NPN for ${given}: it is gone from TLS, and ALPN has taken its place: call setAlpnProtocols()`,
    );
  }

  /**
   * Speaks TLS over a connected socket, or another stream of bytes both ways, and verifies who answers.
   *
   * @param sock - is the TLS socket's from here on
   * @returns a socket whose peer is verified, as far as `verifyMode` and `checkHostname` say
   * @throws TypeError without `serverHostname` while `checkHostname` is on; {@link SSLError} from the handshake
   */
  async wrapSocket(sock: Duplex, options: WrapSocketOptions = {}): Promise<TLSSocket> {
    const given = knownOptions('wrapSocket()', options, WRAP_OPTIONS);
    refuseOtherThan('serverSide', given.serverSide, false, 'this is a client');
    refuseOtherThan('doHandshakeOnConnect', given.doHandshakeOnConnect, true, 'Node begins the handshake at once');
    refuseOtherThan(
      'suppressRaggedEofs',
      given.suppressRaggedEofs,
      true,
      'Node does not tell such an end from another',
    );
    const serverHostname = given.serverHostname ?? null;
    if (this.#checkHostname && serverHostname === null) {
      throw new TypeError('Cannot verify the name of the server: checkHostname needs serverHostname');
    }
    const assertHostname = this.#checkHostname ? null : (false as const);
    // Unlike a pool, whoever wraps by hand may speak anything.
    const protocols = this.#alpnProtocols ?? [];
    return await wrapped(sock, { sslContext: this, serverHostname, assertHostname }, given.signal ?? null, protocols);
  }

  /** @internal */
  override _snapshot(): ContextSnapshot {
    const named = this.#authorities;
    const withDefaults = named.length === 0 ? null : [...new Set([...defaultAuthorities(), ...named])];
    const settings: ContextSettings = {
      authorities: this.#trustsDefaults ? withDefaults : named,
      credentials: this.#credentials,
      versions: versionRange(this.#versions.minimum, this.#versions.maximum),
      ciphers: this.#ciphers,
      options: checkedOptions(this.options),
    };
    return {
      settings,
      verifyMode: this.#verifyMode,
      hostnameChecksCommonName: boolean('hostnameChecksCommonName', this.hostnameChecksCommonName),
      alpnProtocols: this.#alpnProtocols,
      keylogFile: textOrNull('keylogFilename', this.keylogFilename),
    };
  }
}

/** What {@link createUrllib3Context} takes. */
export interface Urllib3ContextOptions {
  /** @defaultValue PROTOCOL_TLS_CLIENT */
  readonly sslVersion?: ProtocolName | null | undefined;
  /** @defaultValue CERT_REQUIRED */
  readonly certReqs?: CertRequirementName | null | undefined;
  /** @defaultValue no SSL 2 and 3, no compression */
  readonly options?: number | null | undefined;
  /** @defaultValue Node's */
  readonly ciphers?: string | null | undefined;
  readonly sslMinimumVersion?: TlsVersionName | null | undefined;
  readonly sslMaximumVersion?: TlsVersionName | null | undefined;
}

const CONTEXT_OPTIONS = {
  sslVersion: true,
  certReqs: true,
  options: true,
  ciphers: true,
  sslMinimumVersion: true,
  sslMaximumVersion: true,
} as const;

/**
 * A context with the settings that this library would choose: TLS 1.2 and 1.3, verification on, no authorities yet.
 *
 * @see Reference, "urllib3.util.ssl_wrap_socket"
 */
export function createUrllib3Context(options: Urllib3ContextOptions = {}): SSLContext {
  const given = knownOptions('createUrllib3Context()', options, CONTEXT_OPTIONS);
  const { sslVersion, certReqs, options: bits, ciphers, sslMinimumVersion, sslMaximumVersion } = given;
  if (sslVersion != null && (sslMinimumVersion != null || sslMaximumVersion != null)) {
    throw new TypeError('Cannot use sslVersion together with sslMinimumVersion or sslMaximumVersion');
  }
  const context = new SSLContext(sslVersion ?? PROTOCOL_TLS_CLIENT);
  if (sslMinimumVersion != null) context.minimumVersion = sslMinimumVersion;
  if (sslMaximumVersion != null) context.maximumVersion = sslMaximumVersion;
  if (ciphers != null) context.setCiphers(ciphers);
  if (bits != null) context.options = checkedOptions(bits);
  const requirement = resolveCertReqs(certReqs);
  context.checkHostname = requirement !== CERT_NONE;
  context.verifyMode = requirement;
  return context;
}

/** What {@link sslWrapSocket} takes beside the socket; each as the option of a pool. */
export interface SslWrapSocketOptions
  extends Pick<
    TlsOptions,
    | 'keyFile'
    | 'certFile'
    | 'certReqs'
    | 'caCerts'
    | 'serverHostname'
    | 'sslVersion'
    | 'ciphers'
    | 'caCertDir'
    | 'keyPassword'
    | 'sslContext'
  > {
  /** Aborting it gives the handshake up. */
  readonly signal?: AbortSignal | null | undefined;
}

/**
 * Speaks TLS over a connected socket and verifies who answers: the chain, and the name if `serverHostname` is given.
 *
 * @param sock - is the TLS socket's from here on
 * @throws {@link SSLError}
 * @see Reference, "urllib3.util.ssl_wrap_socket"
 */
export async function sslWrapSocket(sock: Duplex, options: SslWrapSocketOptions = {}): Promise<TLSSocket> {
  const { signal, serverHostname, ...rest } = ownOptions(options);
  const assertHostname = serverHostname == null ? (false as const) : null;
  return await wrapped(sock, { ...rest, serverHostname, assertHostname }, signal ?? null);
}

async function wrapped(
  sock: Duplex,
  options: TlsOptions,
  signal: AbortSignal | null,
  protocols: readonly string[] = ['http/1.1'],
): Promise<TLSSocket> {
  if (!(sock instanceof Duplex)) {
    throw new TypeError(`Cannot speak TLS over ${describe(sock)}: it must be a socket or another Duplex stream`);
  }
  const configuration = { ...tlsConfiguration({ ...options, alpnProtocols: [] }), alpnProtocols: protocols };
  const host = configuration.serverHostname ?? addressOf(sock);
  const to = { host, port: 0, role: 'origin' } as const;
  const socket = tlsOver(sock, to, configuration);
  await secured(socket, to, configuration, { signal, deadlineMs: null });
  return socket;
}

/** What messages call the server where no name is given. */
function addressOf(stream: Duplex): string {
  return (stream instanceof net.Socket ? stream.remoteAddress : undefined) ?? '0.0.0.0';
}

function refuseOtherThan(name: string, value: unknown, only: boolean, why: string): void {
  if (value !== undefined && value !== only) throw new TypeError(`Cannot use ${name} ${describe(value)}: ${why}`);
}

function isProtocolName(name: unknown): boolean {
  return typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= 255;
}

function checkedOptions(options: unknown): number {
  if (typeof options === 'number' && Number.isInteger(options) && options >= 0) return options;
  throw new TypeError(`Cannot use options ${describe(options)}: they must be the sum of OP_ constants`);
}
