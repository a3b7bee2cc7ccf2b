/**
 * Channel bindings of the type tls-server-end-point (RFC 5929 section 4): they tie a login to the certificate of the server it
 * was meant for, so that whoever stands between cannot pass it on.
 *
 * The certificate is hashed with the hash of its own signature, which Node does not tell: the DER is walked just as far.
 */
import type { AuthScheme } from '../exceptions.js';
import { newHash } from './hashes.js';

const PREFIX = 'tls-server-end-point:';

/** The hashes of signature algorithms, by the content of their object identifiers in hex; MD5 and SHA-1 count as SHA-256. */
const HASH_BY_OID: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d010104', 'sha256'], // md5WithRSAEncryption
  ['2a864886f70d010105', 'sha256'], // sha1WithRSAEncryption
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010e', 'sha224'],
  ['2a8648ce3d0401', 'sha256'], // ecdsa-with-SHA1
  ['2a8648ce3d040301', 'sha224'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2a8648ce380403', 'sha256'], // dsa-with-sha1
  ['608648016503040301', 'sha224'], // dsa-with-sha224
  ['608648016503040302', 'sha256'], // dsa-with-sha256
  // The hashes themselves, as the parameters of RSASSA-PSS name them.
  ['2b0e03021a', 'sha256'], // id-sha1
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
  ['608648016503040204', 'sha224'],
]);

const RSASSA_PSS = '2a864886f70d01010a';

const TAG = { oid: 0x06, sequence: 0x30, firstParameter: 0xa0 } as const;

/**
 * The bindings to a server, hashed as MS-NLMP section 2.2.2.1 has them in an attribute.
 *
 * @param certificate - of the server, in DER
 * @returns null where RFC 5929 defines none: a signature whose algorithm has no hash of its own (Ed25519), or is not known
 */
export function channelBindingHash(scheme: AuthScheme, certificate: Uint8Array): Buffer | null {
  const hash = signatureHash(Buffer.from(certificate.buffer, certificate.byteOffset, certificate.byteLength));
  if (hash === null) return null;
  return bindingsOf(scheme, newHash(scheme, hash).update(certificate).digest());
}

/** The hash of a `gss_channel_bindings_struct` without addresses: two types and two lengths that are 0. */
export function bindingsOf(scheme: AuthScheme, endPointHash: Uint8Array): Buffer {
  const applicationData = Buffer.concat([Buffer.from(PREFIX, 'latin1'), endPointHash]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(applicationData.length);
  return newHash(scheme, 'md5').update(Buffer.alloc(16)).update(length).update(applicationData).digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { oid, parameters }, signature } (RFC 5280). */
function signatureHash(certificate: Buffer): string | null {
  const [outer] = elements(certificate);
  const [, algorithm] = outer === undefined ? [] : elements(outer.content);
  const [oid, parameters] = algorithm?.tag === TAG.sequence ? elements(algorithm.content) : [];
  if (oid?.tag !== TAG.oid) return null;
  const name = oid.content.toString('hex');
  return name === RSASSA_PSS ? pssHash(parameters) : (HASH_BY_OID.get(name) ?? null);
}

/** RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, ... } (RFC 4055 section 3.1). */
function pssHash(parameters: Element | undefined): string | null {
  const [first] = parameters?.tag === TAG.sequence ? elements(parameters.content) : [];
  if (first?.tag !== TAG.firstParameter) return 'sha256';
  const [algorithm] = elements(first.content);
  const [oid] = algorithm?.tag === TAG.sequence ? elements(algorithm.content) : [];
  return oid?.tag === TAG.oid ? (HASH_BY_OID.get(oid.content.toString('hex')) ?? null) : null;
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

/** The elements that stand side by side in some DER; those before the first that does not fit. */
function elements(der: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at + 2 <= der.length; ) {
    const tag = der.readUInt8(at);
    const first = der.readUInt8(at + 1);
    // 0x80 and more: so many bytes of length follow. Four would be a certificate of 4 GiB.
    const lengthBytes = first < 0x80 ? 0 : first - 0x80;
    const start = at + 2 + lengthBytes;
    if (lengthBytes > 4 || start > der.length) break;
    const end = start + (lengthBytes === 0 ? first & 0x7f : der.readUIntBE(at + 2, lengthBytes));
    if (end > der.length) break;
    found.push({ tag, content: der.subarray(start, end) });
    at = end;
  }
  return found;
}
