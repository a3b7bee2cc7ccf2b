/**
 * The authorities that a server's certificate may come from: those that a caller names, the system's, or Node's own.
 *
 * What a caller names is all that is trusted, and it is read when a configuration is made: an empty, unreadable or damaged
 * source is an error and never means the defaults (SEC-065). Node's own are Mozilla's; Node itself adds what
 * NODE_EXTRA_CA_CERTS names to them, and we to the system's.
 */
import { readdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import tls from 'node:tls';
import { SSLError } from '../exceptions.js';
import { describe, excerpt } from '../excerpt.js';
import { anyCertificatesIn, certificatesIn, load, loadFile, type PemSource, reasonOf } from './pem.js';

/** One source of authorities: a path, PEM text, bytes in PEM or DER, or 'system' for the operating system's. */
export type AuthoritySource = PemSource;

/** What looking for the system's authorities depends on: this process, but for tests. */
export interface Platform {
  readonly name: string;
  readonly environment: { readonly [name: string]: string | undefined };
  /** Node's own reader (from 22.15 and 23.10 on), where there is one. */
  readonly readStore: ((store: 'system' | 'default') => readonly string[]) | null;
  /** Where distributions keep them, the first that exists counts. */
  readonly bundles: readonly string[];
}

const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Gentoo, Arch, Alpine
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, Red Hat
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // CentOS 7 and later
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/ssl/cert.pem', // Alpine, FreeBSD, OpenBSD
  '/usr/local/share/certs/ca-root-nss.crt', // FreeBSD
  '/etc/openssl/certs/ca-certificates.crt', // NetBSD
];

/**
 * The authorities of `caCerts` and `caCertDir` together, each in PEM; null where neither is given, which means Node's own.
 *
 * @throws TypeError for what is no source, {@link SSLError} for one that cannot be read or holds no certificate
 */
export function authorities(
  caCerts: unknown,
  caCertDir: unknown,
  platform: Platform = thisPlatform(),
): string[] | null {
  if (caCerts === null && caCertDir === null) return null;
  const sources: readonly unknown[] = caCerts === null ? [] : Array.isArray(caCerts) ? caCerts : [caCerts];
  if (caCerts !== null && sources.length === 0) throw new SSLError('Cannot use caCerts []: it holds no certificate');
  const found = sources.flatMap((source) =>
    source === 'system' ? systemAuthorities(platform) : certificatesIn(load('caCerts', source)),
  );
  if (caCertDir !== null) found.push(...authoritiesOfDirectory('caCertDir', caCertDir));
  return [...new Set(found)];
}

/**
 * The certificates of all files in a directory, whatever they are called: the names by hash that OpenSSL needs are as good as
 * any. Files without a certificate (a README, a revocation list) are passed over.
 */
function authoritiesOfDirectory(option: string, path: unknown): string[] {
  if (typeof path !== 'string') {
    throw new TypeError(`Cannot use ${option} ${describe(path)}: it must be the path of a directory`);
  }
  const found = filesOf(option, path).flatMap((file) => anyCertificatesIn(loadFile(option, file)));
  if (found.length === 0)
    throw new SSLError(`Cannot use ${option} ${excerpt(path)}: no file in it holds a certificate`);
  return found;
}

function filesOf(option: string, path: string): string[] {
  try {
    return readdirSync(path)
      .sort()
      .map((name) => join(path, name))
      .filter((file) => !statSync(file).isDirectory());
  } catch (cause) {
    throw new SSLError(`Cannot read ${option} ${excerpt(path)}: ${reasonOf(cause)}`, { cause });
  }
}

function thisPlatform(): Platform {
  // Not in the types of Node 20.
  const read: unknown = Reflect.get(tls, 'getCACertificates');
  return {
    name: process.platform,
    environment: process.env,
    // A function of Node's that takes the name of a store and gives a list of PEM texts.
    readStore: typeof read === 'function' ? (store) => Reflect.apply(read, tls, [store]) as readonly string[] : null,
    bundles: BUNDLES,
  };
}

/** What Node trusts where nobody says anything, each in PEM: needed where something is added to it. */
export function defaultAuthorities(platform: Platform = thisPlatform()): string[] {
  const { readStore } = platform;
  return readStore === null ? [...tls.rootCertificates, ...extraAuthorities(platform)] : [...readStore('default')];
}

/** The operating system's authorities, and those that the environment adds to whatever a process trusts by default. */
function systemAuthorities(platform: Platform): string[] {
  return [...systemStore(platform), ...extraAuthorities(platform)];
}

function extraAuthorities({ environment }: Platform): readonly string[] {
  const { NODE_EXTRA_CA_CERTS: extra } = environment;
  return extra ? certificatesIn(loadFile('NODE_EXTRA_CA_CERTS', extra)) : [];
}

/** As OpenSSL does: what SSL_CERT_FILE and SSL_CERT_DIR name counts in place of everything else. */
function systemStore({ name, environment, readStore, bundles }: Platform): readonly string[] {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: list = '' } = environment;
  const directories = list.split(delimiter).filter((directory) => directory !== '');
  if (file || directories.length > 0) {
    return [
      ...(file ? certificatesIn(loadFile('SSL_CERT_FILE', file)) : []),
      ...directories.flatMap((directory) => authoritiesOfDirectory('SSL_CERT_DIR', directory)),
    ];
  }
  const stored = readStore === null ? [] : readStore('system');
  if (stored.length > 0) return [...stored];
  for (const bundle of bundles) {
    if (statSync(bundle, { throwIfNoEntry: false })?.isFile()) {
      return certificatesIn(loadFile("the system's authorities", bundle));
    }
  }
  throw new SSLError(`Cannot use caCerts "system": ${whyNoStore(name, readStore !== null)}`);
}

function whyNoStore(platform: string, isReadable: boolean): string {
  if (isReadable) return 'the system has no certificate of an authority';
  if (platform === 'darwin' || platform === 'win32') {
    return 'this version of Node cannot read the keychain of macOS or the store of Windows: use Node 22.15 or later, or the path of a bundle';
  }
  return 'no bundle of authorities was found: install ca-certificates, or set SSL_CERT_FILE, or give the path of a bundle';
}
