/**
 * What callers say about TLS, resolved: once for all connections of a pool.
 *
 * Everything that can be read or tried is, here and at once; from then on nothing about it changes, so that one
 * configuration always means one thing: the key of a pool, the sessions to resume and what was verified depend on that.
 * What the options are: options.ts. What is done with them: handshake.ts.
 */
import { isIP } from 'node:net';
import tls, { type SecureContext } from 'node:tls';
import { LocationParseError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { checkedElsewhere, type Rules, resolveOptions, textOrNull } from '../options.js';
import { normalizeName } from '../util/host.js';
import { authorities, defaultAuthorities } from './authorities.js';
import { credentials } from './credentials.js';
import { type Fingerprint, parseFingerprint } from './fingerprint.js';
import { checkKeylogFile } from './keylog.js';
import type { TlsOptions } from './options.js';
import {
  CERT_NONE,
  CERT_REQUIRED,
  resolveCertReqs,
  resolveSslVersion,
  resolveTlsVersion,
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
import { SessionStore } from './sessions.js';

/** {@link TlsOptions}, resolved: shared by all connections of a pool. */
export interface TlsConfiguration {
  /** What it was made from. */
  readonly options: TlsOptions;
  /** Whether it is known who answers: by a chain to an authority, or by a fingerprint. */
  readonly isVerified: boolean;
  /** Whether the certificate must come from an authority that is trusted. */
  readonly verifiesChain: boolean;
  /** The one certificate that may be shown; null for any. */
  readonly fingerprint: Fingerprint | null;
  /** The name that the certificate must be for; null for that of the host, false for any. */
  readonly assertHostname: string | false | null;
  /** The name to ask for and to verify, in place of the host's. */
  readonly serverHostname: string | null;
  /** Whether the common name counts in a certificate without alternative names. */
  readonly usesCommonName: boolean;
  readonly alpnProtocols: readonly string[];
  readonly keylogFile: string | null;
  readonly context: SecureContext;
  readonly sessions: SessionStore;
}

type ResolvedTlsOptions = { readonly [K in keyof TlsOptions]-?: Exclude<TlsOptions[K], undefined> };

const RULES: Rules<ResolvedTlsOptions> = {
  certReqs: checkedElsewhere,
  caCerts: checkedElsewhere,
  caCertDir: checkedElsewhere,
  certFile: checkedElsewhere,
  keyFile: checkedElsewhere,
  keyPassword: checkedElsewhere,
  pfx: checkedElsewhere,
  sslVersion: checkedElsewhere,
  sslMinimumVersion: checkedElsewhere,
  sslMaximumVersion: checkedElsewhere,
  ciphers: textOrNull,
  assertHostname: (name, value) => (value === false ? false : hostOrNull(name, value)),
  assertFingerprint: checkedElsewhere,
  serverHostname: hostOrNull,
  sslContext: checkedElsewhere,
  alpnProtocols: protocolsOrNull,
  keylogFile: textOrNull,
};

const DEFAULTS: ResolvedTlsOptions = Object.freeze({
  certReqs: null,
  caCerts: null,
  caCertDir: null,
  certFile: null,
  keyFile: null,
  keyPassword: null,
  pfx: null,
  sslVersion: null,
  sslMinimumVersion: null,
  sslMaximumVersion: null,
  ciphers: null,
  assertHostname: null,
  assertFingerprint: null,
  serverHostname: null,
  sslContext: null,
  alpnProtocols: null,
  keylogFile: null,
});

/** Options that say what a context is made of: they cannot change one that Node has made. */
const OF_CONTEXT = [
  'caCerts',
  'caCertDir',
  'certFile',
  'keyFile',
  'keyPassword',
  'pfx',
  'sslVersion',
  'sslMinimumVersion',
  'sslMaximumVersion',
  'ciphers',
] as const satisfies readonly (keyof TlsOptions)[];

const DEFAULT_SNAPSHOT: ContextSnapshot = Object.freeze({
  settings: DEFAULT_SETTINGS,
  verifyMode: CERT_REQUIRED,
  hostnameChecksCommonName: false,
  alpnProtocols: null,
  keylogFile: null,
});

/** All that our engine speaks: a server that is offered HTTP/2 would choose it. */
const HTTP_1_1 = 'http/1.1';

/** @throws TypeError, RangeError or {@link SSLError} for options that cannot be used, before anything is connected */
export function tlsConfiguration(options: TlsOptions): TlsConfiguration {
  const given = resolveOptions('a TLS connection', options, RULES, DEFAULTS);
  const source: unknown = given.sslContext;
  const base = source instanceof ContextSource ? source._snapshot() : DEFAULT_SNAPSHOT;
  const ready = source === null || source instanceof ContextSource ? null : nodeContext(source, given);
  const verifiesChain = (given.certReqs === null ? base.verifyMode : resolveCertReqs(given.certReqs)) !== CERT_NONE;
  const fingerprint = given.assertFingerprint === null ? null : parseFingerprint(given.assertFingerprint);
  return {
    options: Object.freeze({ ...given }),
    isVerified: verifiesChain || fingerprint !== null,
    verifiesChain,
    fingerprint,
    assertHostname: given.assertHostname,
    serverHostname: given.serverHostname,
    usesCommonName: base.hostnameChecksCommonName,
    alpnProtocols: given.alpnProtocols ?? protocolsOrNull('alpnProtocols', base.alpnProtocols) ?? [HTTP_1_1],
    keylogFile: keylogFile(given, base),
    context: ready ?? secureContext(settings(given, base.settings, source !== null)),
    sessions: new SessionStore(),
  };
}

/**
 * The same for connections that resume no session: to each of them the server shows its certificate, so that a login which is
 * bound to it is bound to the one that the server has now.
 */
export function withoutResumption(configuration: TlsConfiguration): TlsConfiguration {
  return { ...configuration, sessions: new SessionStore(false) };
}

/** What the options say, over what the context says. */
function settings(given: ResolvedTlsOptions, base: ContextSettings, hasContext: boolean): ContextSettings {
  const named = authorities(given.caCerts, given.caCertDir);
  return {
    authorities: hasContext && named !== null ? union(base.authorities, named) : (named ?? base.authorities),
    credentials: credentials(given) ?? base.credentials,
    versions: versions(given, base.versions),
    ciphers: given.ciphers ?? base.ciphers,
    options: base.options,
  };
}

/** As in the reference: authorities that are named beside a context are added to its own. */
function union(own: readonly string[] | null, named: readonly string[]): readonly string[] {
  return [...new Set([...(own ?? defaultAuthorities()), ...named])];
}

function versions(given: ResolvedTlsOptions, base: VersionRange): VersionRange {
  const { sslVersion, sslMinimumVersion, sslMaximumVersion } = given;
  if (sslVersion !== null) {
    if (sslMinimumVersion !== null || sslMaximumVersion !== null) {
      throw new TypeError('Cannot use sslVersion together with sslMinimumVersion or sslMaximumVersion');
    }
    return versionsOf(resolveSslVersion(sslVersion));
  }
  return versionRange(
    sslMinimumVersion === null ? base.minimum : resolveTlsVersion('sslMinimumVersion', sslMinimumVersion),
    sslMaximumVersion === null ? base.maximum : resolveTlsVersion('sslMaximumVersion', sslMaximumVersion),
  );
}

function nodeContext(source: unknown, given: ResolvedTlsOptions): SecureContext {
  // Not in the types, but exported by every version of Node.
  const NodeContext: unknown = Reflect.get(tls, 'SecureContext');
  if (typeof NodeContext !== 'function' || !(source instanceof NodeContext)) {
    throw new TypeError(
      `Cannot use sslContext ${describe(source)}: it must be an SSLContext, or what tls.createSecureContext() gives`,
    );
  }
  for (const name of OF_CONTEXT) {
    if (given[name] === null) continue;
    throw new TypeError(`Cannot use ${name} with a context of Node's own: it was made for good, say it there`);
  }
  // Just seen to be one.
  return source as SecureContext;
}

function keylogFile(given: ResolvedTlsOptions, base: ContextSnapshot): string | null {
  const path = given.keylogFile ?? base.keylogFile;
  if (path !== null) {
    checkKeylogFile('keylogFile', path);
    return path;
  }
  const { SSLKEYLOGFILE: ofEnvironment } = process.env;
  if (!ofEnvironment) return null;
  checkKeylogFile('SSLKEYLOGFILE', ofEnvironment);
  return ofEnvironment;
}

/** A name in the spelling that certificates have, or an address; null for none. */
function hostOrNull(name: string, value: unknown): string | null {
  const text = textOrNull(name, value);
  return text === null ? null : certificateName(name, text);
}

/** @throws TypeError for text that no certificate can be for */
function certificateName(option: string, text: string): string {
  const host = text.endsWith('.') ? text.slice(0, -1) : text;
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  if (isIP(bare) !== 0) return bare.replace(/%.*/, '');
  let why = '';
  try {
    return normalizeName(host, (detail) => {
      why = detail;
      return new LocationParseError(text, { detail });
    });
  } catch (cause) {
    throw new TypeError(`Cannot use ${option} ${describe(text)}: ${why}`, { cause });
  }
}

function protocolsOrNull(name: string, value: unknown): readonly string[] | null {
  if (value === null) return null;
  if (!Array.isArray(value)) {
    throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a list of protocols`);
  }
  for (const protocol of value) {
    if (protocol === HTTP_1_1) continue;
    throw new TypeError(
      `Cannot use ALPN protocol ${describe(protocol)}: it must be "${HTTP_1_1}", which is all we speak`,
    );
  }
  return [...value];
}
