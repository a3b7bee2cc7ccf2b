/**
 * A PKCS #12 container (RFC 7292) with one private key and some certificates: Node reads them, and cannot write them.
 *
 * The key is shrouded by whoever gives it; certificates are plain, as they are public; the whole is held together by an
 * HMAC, whose key comes from the password by the derivation of appendix B.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';

const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const INTEGER = 0x02;
/** [0], explicit. */
const CONTENT = 0xa0;

const NULL = Buffer.from('0500', 'hex');
const DATA = Buffer.from('06092a864886f70d010701', 'hex');
const SHROUDED_KEY_BAG = Buffer.from('060b2a864886f70d010c0a0102', 'hex');
const CERTIFICATE_BAG = Buffer.from('060b2a864886f70d010c0a0103', 'hex');
const X509_CERTIFICATE = Buffer.from('060a2a864886f70d01091601', 'hex');
const SHA256 = Buffer.from('0609608648016503040201', 'hex');

const ITERATIONS = 2048;
/** The block of SHA-256, in bytes. */
const BLOCK = 64;

/** @param encryptedKey - DER of an EncryptedPrivateKeyInfo under the same password */
export function pkcs12(encryptedKey: Buffer, certificates: readonly Buffer[], password: string): Buffer {
  const bags = [
    der(SEQUENCE, SHROUDED_KEY_BAG, der(CONTENT, encryptedKey)),
    ...certificates.map((certificate) => {
      const bag = der(SEQUENCE, X509_CERTIFICATE, der(CONTENT, der(OCTET_STRING, certificate)));
      return der(SEQUENCE, CERTIFICATE_BAG, der(CONTENT, bag));
    }),
  ];
  const safes = der(SEQUENCE, contentInfo(der(SEQUENCE, ...bags)));
  const salt = randomBytes(8);
  const mac = createHmac('sha256', macKey(password, salt)).update(safes).digest();
  const digest = der(SEQUENCE, der(SEQUENCE, SHA256, NULL), der(OCTET_STRING, mac));
  const iterations = der(INTEGER, Buffer.from([ITERATIONS >> 8, ITERATIONS & 0xff]));
  const macData = der(SEQUENCE, digest, der(OCTET_STRING, salt), iterations);
  return der(SEQUENCE, der(INTEGER, Buffer.from([3])), contentInfo(safes), macData);
}

function contentInfo(content: Buffer): Buffer {
  return der(SEQUENCE, DATA, der(CONTENT, der(OCTET_STRING, content)));
}

/** Appendix B.2 with ID 3, for as many bytes as one SHA-256 gives. */
function macKey(password: string, salt: Buffer): Buffer {
  const bigEndian = Buffer.from(`${password}\0`, 'utf16le').swap16();
  let key = Buffer.concat([Buffer.alloc(BLOCK, 3), filled(salt), filled(bigEndian)]);
  for (let turn = 0; turn < ITERATIONS; turn++) key = createHash('sha256').update(key).digest();
  return key;
}

/** Repeated to whole blocks. */
function filled(bytes: Buffer): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / BLOCK) * BLOCK, bytes);
}

/** One element of DER, of up to 65,535 bytes. */
export function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}
