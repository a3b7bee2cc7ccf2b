/**
 * A client's certificate and key out of a PKCS #12 container (RFC 7292): the `.pfx` and `.p12` of Windows, browsers and Java.
 *
 * Node reads them too, but then trusts the authorities that stand in them to vouch for servers, which would be added to
 * those that a caller has named (SEC-065). Here they are only what they are meant to be: the chain that the client sends.
 * Encryption is that of today (PBES2 with AES) and the triple DES of before; RC2 is gone from OpenSSL 3 as well.
 */
import {
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  type KeyObject,
  pbkdf2Sync,
  timingSafeEqual,
  X509Certificate,
} from 'node:crypto';
import { SSLError } from '../exceptions.js';
import {
  children,
  DerError,
  type Element,
  expect,
  INTEGER,
  OBJECT_IDENTIFIER,
  OCTET_STRING,
  only,
  SEQUENCE,
} from './der.js';

/** What a container holds. */
export interface Pkcs12 {
  /** In PEM, that of the key first. */
  readonly certificates: readonly string[];
  readonly key: KeyObject;
}

const CONTENT = 0xa0;
/** [0] of EncryptedContentInfo, primitive. */
const ENCRYPTED_CONTENT = 0x80;

const DATA = '2a864886f70d010701';
const ENCRYPTED_DATA = '2a864886f70d010706';
const KEY_BAG = '2a864886f70d010c0a0101';
const SHROUDED_KEY_BAG = '2a864886f70d010c0a0102';
const CERTIFICATE_BAG = '2a864886f70d010c0a0103';
const SAFE_CONTENTS_BAG = '2a864886f70d010c0a0106';
const X509_CERTIFICATE = '2a864886f70d01091601';
const PBES2 = '2a864886f70d01050d';
const PBKDF2 = '2a864886f70d01050c';
const SHA1_AND_3DES = '2a864886f70d010c0103';

/** By object identifier; of each the name that Node knows. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['2b0e03021a', 'sha1'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);
const HMACS: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d0207', 'sha1'],
  ['2a864886f70d0209', 'sha256'],
  ['2a864886f70d020a', 'sha384'],
  ['2a864886f70d020b', 'sha512'],
]);
const CIPHERS: ReadonlyMap<string, { readonly name: string; readonly keyBytes: number }> = new Map([
  ['60864801650304012a', { name: 'aes-256-cbc', keyBytes: 32 }],
  ['608648016503040116', { name: 'aes-192-cbc', keyBytes: 24 }],
  ['608648016503040102', { name: 'aes-128-cbc', keyBytes: 16 }],
  ['2a864886f70d0307', { name: 'des-ede3-cbc', keyBytes: 24 }],
]);
/** Of SHA-384 and SHA-512; the others have blocks of 64 bytes. */
const LARGE_BLOCK_BYTES = 128;

/** A container may say how often its password is hashed; more than this would take minutes. */
const MAX_ITERATIONS = 10_000_000;

const UNSUPPORTED = 'export it again with AES: openssl pkcs12 -export -keypbe AES-256-CBC -certpbe AES-256-CBC';

/**
 * @param label - what to call the container in messages
 * @throws {@link SSLError} if it is none, is encrypted with another password, or lacks a key or its certificate
 */
export function readPkcs12(label: string, bytes: Buffer, password: Buffer | null): Pkcs12 {
  try {
    const { keys, certificates } = contents(bytes, password ?? Buffer.alloc(0));
    const [key] = keys;
    if (key === undefined) throw new Unusable('it holds no private key');
    const parsed = certificates.map((certificate) => new X509Certificate(certificate));
    const own = parsed.find((certificate) => certificate.checkPrivateKey(key));
    if (own === undefined) throw new Unusable('it holds no certificate that belongs to its key');
    return { key, certificates: [own, ...parsed.filter((other) => other !== own)].map(String) };
  } catch (cause) {
    throw new SSLError(`Cannot use ${label}: ${reasonOf(cause, password !== null)}`, { cause });
  }
}

/** Says itself what is wrong. */
class Unusable extends Error {}

/** The password is not the right one. */
class WrongPassword extends Error {}

function reasonOf(error: unknown, hasPassword: boolean): string {
  if (error instanceof Unusable) return error.message;
  if (!(error instanceof WrongPassword)) return 'it is damaged, or no PKCS #12 container in DER';
  return hasPassword ? 'keyPassword is wrong' : 'it is encrypted, keyPassword is needed';
}

interface Contents {
  readonly keys: KeyObject[];
  readonly certificates: Buffer[];
}

function contents(bytes: Buffer, password: Buffer): Contents {
  const [, authenticated, macData] = children(only(bytes, SEQUENCE).content);
  const [type, explicit] = children(expect(authenticated, SEQUENCE).content);
  if (oidOf(type) !== DATA) throw new Unusable('it is protected by a public key, not by a password');
  const safes = only(expect(explicit, CONTENT).content, OCTET_STRING).content;
  if (macData !== undefined) checkMac(macData, safes, password);
  const found: Contents = { keys: [], certificates: [] };
  for (const safe of children(only(safes, SEQUENCE).content)) readBags(safeContents(safe, password), password, found);
  return found;
}

/** The bags of one safe, decrypted. */
function safeContents(safe: Element, password: Buffer): Buffer {
  const [type, explicit] = children(expect(safe, SEQUENCE).content);
  const { content } = expect(explicit, CONTENT);
  if (oidOf(type) === DATA) return only(content, OCTET_STRING).content;
  if (oidOf(type) !== ENCRYPTED_DATA) throw new Unusable('a part of it is protected by a public key');
  const [, encrypted] = children(only(content, SEQUENCE).content);
  const [, algorithm, bytes] = children(expect(encrypted, SEQUENCE).content);
  return decrypt(expect(algorithm, SEQUENCE), expect(bytes, ENCRYPTED_CONTENT).content, password);
}

function readBags(bags: Buffer, password: Buffer, found: Contents): void {
  for (const bag of children(only(bags, SEQUENCE).content)) {
    const [type, explicit] = children(expect(bag, SEQUENCE).content);
    const { content } = expect(explicit, CONTENT);
    switch (oidOf(type)) {
      case KEY_BAG:
        found.keys.push(createPrivateKey({ key: content, format: 'der', type: 'pkcs8' }));
        break;
      case SHROUDED_KEY_BAG:
        found.keys.push(shroudedKey(content, password));
        break;
      case CERTIFICATE_BAG: {
        const [kind, value] = children(only(content, SEQUENCE).content);
        if (oidOf(kind) !== X509_CERTIFICATE) break;
        found.certificates.push(only(expect(value, CONTENT).content, OCTET_STRING).content);
        break;
      }
      case SAFE_CONTENTS_BAG:
        readBags(content, password, found);
        break;
      default: // Revocation lists and secrets: nothing that a client shows.
    }
  }
}

function shroudedKey(content: Buffer, password: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: content, format: 'der', type: 'pkcs8', passphrase: password });
  } catch (cause) {
    throw new WrongPassword('the key cannot be decrypted', { cause });
  }
}

/** What the container is held together by, which also tells whether the password is right (RFC 7292 section 4). */
function checkMac(macData: Element, safes: Buffer, password: Buffer): void {
  const [info, salt, iterations] = children(expect(macData, SEQUENCE).content);
  const [algorithm, mac] = children(expect(info, SEQUENCE).content);
  const digest = DIGESTS.get(oidOf(children(expect(algorithm, SEQUENCE).content)[0]));
  if (digest === undefined) throw new Unusable(`its digest is not supported, ${UNSUPPORTED}`);
  const expected = expect(mac, OCTET_STRING).content;
  const count = iterations === undefined ? 1 : iterationCount(iterations);
  const saltBytes = expect(salt, OCTET_STRING).content;
  const key = (secret: Buffer) => deriveKey(digest, 3, secret, saltBytes, count, expected.length);
  const isRight = (secret: Buffer) => {
    const actual = createHmac(digest, key(secret)).update(safes).digest();
    return actual.length === expected.length && timingSafeEqual(actual, expected);
  };
  // Without a password some write the empty one, others none at all.
  if (!isRight(bmpPassword(password)) && (password.length > 0 || !isRight(Buffer.alloc(0)))) {
    throw new WrongPassword('the MAC differs');
  }
}

function decrypt(algorithm: Element, bytes: Buffer, password: Buffer): Buffer {
  const [type, parameters] = children(algorithm.content);
  const { cipher, key, iv } = cipherOf(oidOf(type), expect(parameters, SEQUENCE), password);
  try {
    const decipher = createDecipheriv(cipher, key, iv);
    return Buffer.concat([decipher.update(bytes), decipher.final()]);
  } catch (cause) {
    throw new WrongPassword('the certificates cannot be decrypted', { cause });
  }
}

interface CipherChoice {
  readonly cipher: string;
  readonly key: Buffer;
  readonly iv: Buffer;
}

function cipherOf(algorithm: string, parameters: Element, password: Buffer): CipherChoice {
  if (algorithm === PBES2) return pbes2(parameters, password);
  if (algorithm !== SHA1_AND_3DES) throw new Unusable(`its encryption is not supported any more, ${UNSUPPORTED}`);
  const [salt, iterations] = children(parameters.content);
  const derive = (id: number, length: number) =>
    deriveKey(
      'sha1',
      id,
      bmpPassword(password),
      expect(salt, OCTET_STRING).content,
      iterationCount(iterations),
      length,
    );
  return { cipher: 'des-ede3-cbc', key: derive(1, 24), iv: derive(2, 8) };
}

/** RFC 8018 section 6.2, with PBKDF2. */
function pbes2(parameters: Element, password: Buffer): CipherChoice {
  const [derivation, encryption] = children(parameters.content);
  const [kdf, kdfParameters] = children(expect(derivation, SEQUENCE).content);
  const [salt, iterations, ...optional] = children(expect(kdfParameters, SEQUENCE).content);
  const prf = optional.find(({ tag }) => tag === SEQUENCE);
  // Where none is named it is SHA-1.
  const digest = prf === undefined ? 'sha1' : HMACS.get(oidOf(children(prf.content)[0]));
  const [scheme, iv] = children(expect(encryption, SEQUENCE).content);
  const cipher = CIPHERS.get(oidOf(scheme));
  if (oidOf(kdf) !== PBKDF2 || digest === undefined || cipher === undefined) {
    throw new Unusable(`its encryption is not supported, ${UNSUPPORTED}`);
  }
  const saltBytes = expect(salt, OCTET_STRING).content;
  const key = pbkdf2Sync(password, saltBytes, iterationCount(iterations), cipher.keyBytes, digest);
  return { cipher: cipher.name, key, iv: expect(iv, OCTET_STRING).content };
}

/**
 * RFC 7292 appendix B.2.
 *
 * @param id - 1 for a key, 2 for an initialization vector, 3 for the key of a MAC
 */
function deriveKey(
  digest: string,
  id: number,
  password: Buffer,
  salt: Buffer,
  iterations: number,
  length: number,
): Buffer {
  const block = digest === 'sha384' || digest === 'sha512' ? LARGE_BLOCK_BYTES : 64;
  const filled = (bytes: Buffer) =>
    bytes.length === 0 ? bytes : Buffer.alloc(Math.ceil(bytes.length / block) * block, bytes);
  const diversifier = Buffer.alloc(block, id);
  const input = Buffer.concat([filled(salt), filled(password)]);
  const pieces: Buffer[] = [];
  for (let made = 0; made < length; ) {
    let piece = createHash(digest).update(diversifier).update(input).digest();
    for (let turn = 1; turn < iterations; turn++) piece = createHash(digest).update(piece).digest();
    pieces.push(piece);
    made += piece.length;
    const addend = Buffer.alloc(block, piece);
    for (let at = 0; at < input.length; at += block) addOneAnd(input.subarray(at, at + block), addend);
  }
  return Buffer.concat(pieces).subarray(0, length);
}

/** `target` = `target` + `addend` + 1, both big-endian numbers of one length; what does not fit is dropped. */
function addOneAnd(target: Buffer, addend: Buffer): void {
  let carry = 1;
  for (let at = target.length - 1; at >= 0; at--) {
    const sum = (target[at] ?? 0) + (addend[at] ?? 0) + carry;
    target[at] = sum & 0xff;
    carry = sum >> 8;
  }
}

/** Appendix B.1: UTF-16, big-endian, with a zero behind. */
function bmpPassword(password: Buffer): Buffer {
  return Buffer.from(`${password.toString('utf8')}\0`, 'utf16le').swap16();
}

function oidOf(element: Element | undefined): string {
  return expect(element, OBJECT_IDENTIFIER).content.toString('hex');
}

function iterationCount(element: Element | undefined): number {
  const { content } = expect(element, INTEGER);
  const count = content.length > 5 ? Number.NaN : content.readUIntBE(0, content.length);
  if (!(count >= 1 && count <= MAX_ITERATIONS)) throw new DerError('a number of iterations that is none');
  return count;
}
