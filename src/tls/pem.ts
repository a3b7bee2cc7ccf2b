/**
 * Certificates as text (PEM, RFC 7468) or bytes (PEM or DER), from a file or from memory.
 *
 * Everything that a caller names is read and checked at once: Node would stop reading at a damaged certificate in silence,
 * and trust only those before it, or nobody. What the certificates are for is known by authorities.ts and credentials.ts.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { RecentlyUsedContainer } from '../collections.js';
import { SSLError } from '../exceptions.js';
import { describe, excerpt } from '../excerpt.js';

/** The path of a file, text in PEM, or bytes in PEM or DER. */
export type PemSource = string | Uint8Array;

/** What a source held, and what to call it in messages. */
export interface Loaded {
  /** Such as `caCerts "/etc/ca.pem"`. */
  readonly label: string;
  readonly bytes: Buffer;
}

const BEGIN = '-----BEGIN ';
const CERTIFICATES = /-----BEGIN (?:X509 )?CERTIFICATE-----[^-]*(?:-----END (?:X509 )?CERTIFICATE-----)?/g;
/** Sources whose certificates are remembered: a directory of authorities has some hundreds. */
const MAX_KNOWN = 512;
/** The first byte of anything in DER that we read. */
const DER_SEQUENCE = 0x30;

/**
 * Reads what an option names.
 *
 * @throws TypeError for what is no source, {@link SSLError} for a file that cannot be read
 */
export function load(option: string, source: unknown): Loaded {
  if (source instanceof Uint8Array) {
    return { label: option, bytes: Buffer.from(source.buffer, source.byteOffset, source.byteLength) };
  }
  if (typeof source !== 'string') {
    throw new TypeError(`Cannot use ${option} ${describe(source)}: it must be a path, text in PEM, or bytes`);
  }
  return source.includes(BEGIN) ? { label: option, bytes: Buffer.from(source, 'latin1') } : loadFile(option, source);
}

/** @throws {@link SSLError} */
export function loadFile(option: string, path: string): Loaded {
  const label = `${option} ${excerpt(path)}`;
  try {
    return { label, bytes: readFileSync(path) };
  } catch (cause) {
    throw new SSLError(`Cannot read ${label}: ${reasonOf(cause)}`, { cause });
  }
}

/**
 * All certificates of what was loaded, each in PEM.
 *
 * @throws {@link SSLError} if one of them is damaged, or there is none
 */
export function certificatesIn(loaded: Loaded): readonly string[] {
  const certificates = anyCertificatesIn(loaded);
  if (certificates.length === 0) throw new SSLError(`Cannot use ${loaded.label}: it holds no certificate`);
  return certificates;
}

/**
 * What was found in bytes, by their digest: OpenSSL takes 25 ms for a bundle of all the world's authorities, and every pool of
 * a manager asks for the same.
 */
const known = new RecentlyUsedContainer<string, readonly string[]>(MAX_KNOWN);

/** As {@link certificatesIn}, but there may be none. */
export function anyCertificatesIn(loaded: Loaded): readonly string[] {
  const digest = createHash('sha256').update(loaded.bytes).digest('base64');
  const found = known.get(digest) ?? parseCertificates(loaded);
  known.set(digest, found);
  return found;
}

function parseCertificates({ label, bytes }: Loaded): string[] {
  const found: readonly (string | Buffer)[] = isDer(bytes)
    ? [bytes]
    : (bytes.toString('latin1').match(CERTIFICATES) ?? []);
  return found.map((certificate) => {
    try {
      return new X509Certificate(certificate).toString();
    } catch (cause) {
      throw new SSLError(`Cannot use ${label}: a certificate in it is damaged`, { cause });
    }
  });
}

function isDer(bytes: Buffer): boolean {
  return bytes[0] === DER_SEQUENCE && !bytes.includes(BEGIN);
}

/** What the system says of a file, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EISDIR':
      return 'it is a directory';
    case 'ENOTDIR':
      return 'a part of the path is no directory';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
