/**
 * What a client shows of itself: its certificate with the chain to its authority, and the key that proves it.
 *
 * Read and tried when a configuration is made: a missing file, a password that is missing or wrong, a key of another
 * certificate are told then, and not in the words of a handshake that a server broke off.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { SSLError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { ownOptions } from '../options.js';
import { certificatesIn, type Loaded, load, type PemSource } from './pem.js';
import { readPkcs12 } from './pkcs12.js';

/** A password of a key or of a PKCS #12 file. */
export type Password = string | Uint8Array;

/** The options that name a client's certificate and key. */
export interface CredentialOptions {
  readonly certFile?: PemSource | null | undefined;
  readonly keyFile?: PemSource | null | undefined;
  readonly keyPassword?: Password | null | undefined;
  readonly pfx?: PemSource | null | undefined;
}

/** A client's certificate with its chain, and its key without a password: both in PEM. */
export interface Credentials {
  readonly certificate: string;
  readonly key: string;
}

/**
 * @returns null where no certificate is given
 * @throws TypeError for options that do not go together, {@link SSLError} for files that cannot be used
 */
export function credentials(options: CredentialOptions): Credentials | null {
  const { certFile = null, keyFile = null, pfx = null, keyPassword = null } = ownOptions(options);
  const password = passwordOf(keyPassword);
  if (pfx !== null) {
    if (certFile !== null || keyFile !== null) {
      throw new TypeError('Cannot use pfx together with certFile or keyFile: it holds a certificate and a key itself');
    }
    const { label, bytes } = load('pfx', pfx);
    const { certificates, key } = readPkcs12(label, bytes, password);
    return pair(label, certificates, label, key);
  }
  if (certFile === null) {
    if (keyFile === null && password === null) return null;
    throw new TypeError(
      keyFile === null
        ? 'Cannot use keyPassword without certFile or pfx: there is no key that it could open'
        : 'Cannot use keyFile without certFile: a key alone says nothing',
    );
  }
  const certificate = load('certFile', certFile);
  // As in the reference: without a file of its own, the key stands in that of the certificate.
  const keyed = keyFile === null ? certificate : load('keyFile', keyFile);
  return pair(certificate.label, certificatesIn(certificate), keyed.label, privateKey(keyed, password));
}

function passwordOf(password: unknown): Buffer | null {
  if (password === null) return null;
  if (typeof password === 'string') return Buffer.from(password, 'utf8');
  if (password instanceof Uint8Array) return Buffer.from(password);
  throw new TypeError(`Cannot use keyPassword ${describe(password)}: it must be text or bytes`);
}

/** The key of the first certificate: any other would be refused by the server, or by Node with words about values. */
function pair(certLabel: string, certificates: readonly string[], keyLabel: string, key: KeyObject): Credentials {
  const owner = certificates.findIndex((certificate) => new X509Certificate(certificate).checkPrivateKey(key));
  if (owner === -1) {
    const which = certLabel === keyLabel ? 'the certificate in it' : certLabel;
    throw new SSLError(`Cannot use ${keyLabel}: the key does not belong to ${which}`);
  }
  if (owner > 0) {
    throw new SSLError(`Cannot use ${certLabel}: the certificate that belongs to the key must stand first in it`);
  }
  // What a PKCS #8 key is exported as is text.
  return { certificate: certificates.join(''), key: key.export({ type: 'pkcs8', format: 'pem' }) as string };
}

function privateKey({ label, bytes }: Loaded, password: Buffer | null): KeyObject {
  const text = bytes.toString('latin1');
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    const isEncrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4,ENCRYPTED/m.test(text);
    return parseKey(label, isEncrypted, password, () =>
      createPrivateKey(password === null ? { key: bytes } : { key: bytes, passphrase: password }),
    );
  }
  if (text.includes('-----BEGIN ')) throw new SSLError(`Cannot use ${label}: it holds no private key`);
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    try {
      return createPrivateKey({ key: bytes, format: 'der', type });
    } catch {
      // Not of this type; what is of none is told below.
    }
  }
  return parseKey(label, false, password, () =>
    createPrivateKey({
      key: bytes,
      format: 'der',
      type: 'pkcs8',
      ...(password === null ? {} : { passphrase: password }),
    }),
  );
}

function parseKey(label: string, isEncrypted: boolean, password: Buffer | null, parse: () => KeyObject): KeyObject {
  try {
    if (isEncrypted && password === null)
      throw new SSLError(`Cannot use ${label}: the key is encrypted, keyPassword is needed`);
    return parse();
  } catch (cause) {
    if (cause instanceof SSLError) throw cause;
    const why = isEncrypted
      ? 'the key cannot be decrypted, keyPassword is wrong or the file is damaged'
      : 'the private key is damaged';
    throw new SSLError(`Cannot use ${label}: ${why}`, { cause });
  }
}
