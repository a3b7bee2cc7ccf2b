/**
 * Certificates for 127.0.0.1, made anew for each run: a chain of three as public servers have it, of which the server shows two
 * and the clients trust the third. By ECDSA on P-256, as most servers have today, or by RSA of 2048 bits.
 */
import { type GenerateResult, generate, type SelfsignedOptions } from 'selfsigned';

export interface Certificate {
  readonly key: string;
  /** What the server shows: its own certificate and that of who issued it. */
  readonly cert: string;
  /** What the clients trust: the issuer of the issuer. */
  readonly root: string;
}

type KeyType = 'ec' | 'rsa';

type Extensions = NonNullable<SelfsignedOptions['extensions']>;

/** One of each kind. */
export interface Certificates {
  readonly ec: Certificate;
  readonly rsa: Certificate;
}

const AUTHORITY: Extensions = [
  { name: 'basicConstraints', cA: true, critical: true },
  { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
];

const SERVER: Extensions = [
  { name: 'basicConstraints', cA: false, critical: true },
  { name: 'keyUsage', digitalSignature: true, critical: true },
  { name: 'extKeyUsage', serverAuth: true },
  {
    name: 'subjectAltName',
    altNames: [
      { type: 7, ip: '127.0.0.1' },
      { type: 2, value: 'localhost' },
    ],
  },
];

export async function makeCertificates(): Promise<Certificates> {
  return { ec: await makeCertificate('ec'), rsa: await makeCertificate('rsa') };
}

async function makeCertificate(keyType: KeyType): Promise<Certificate> {
  const root = await issue(`Benchmark Root ${keyType}`, AUTHORITY, keyType, null);
  const issuer = await issue(`Benchmark Issuer ${keyType}`, AUTHORITY, keyType, root);
  const own = await issue('localhost', SERVER, keyType, issuer);
  return { key: own.private, cert: `${own.cert.trim()}\n${issuer.cert.trim()}\n`, root: `${root.cert.trim()}\n` };
}

/** @param by - who signs it; itself if null */
function issue(
  name: string,
  extensions: Extensions,
  keyType: KeyType,
  by: GenerateResult | null,
): Promise<GenerateResult> {
  return generate([{ name: 'commonName', value: name }], {
    keyType,
    curve: 'P-256',
    keySize: 2048,
    algorithm: 'sha256',
    extensions,
    ...(by === null ? {} : { ca: { key: by.private, cert: by.cert } }),
  });
}
