/**
 * Certificates of every kind, good and bad, made on the fly: what the lab of TLS servers (tls-lab.ts) presents.
 *
 * Keys are elliptic unless a case is about RSA, so that a certificate costs about a millisecond. Who issues and who trusts
 * whom is here; the PKCS #12 container is in pkcs12.ts; `authority()` of authority.ts is enough for tests that only need TLS.
 */
import { createHash, KeyObject, webcrypto } from 'node:crypto';
import net from 'node:net';
import * as x509 from '@peculiar/x509';
import { pkcs12 } from './pkcs12.js';

x509.cryptoProvider.set(webcrypto);

const DAY_MS = 86_400_000;

const SUBJECT_ALT_NAME = '2.5.29.17';

/** An entry of subjectAltName. */
export interface AltName {
  readonly type: 'dns' | 'ip' | 'url' | 'email';
  readonly value: string;
}

/** What a certificate is to say; the defaults make one that a client accepts. */
export interface Order {
  /** Names and IP addresses, or entries of another type; none for a certificate without subjectAltName. */
  readonly names?: readonly (string | AltName)[];
  /** @defaultValue the first name */
  readonly commonNames?: readonly string[];
  /** @defaultValue yesterday */
  readonly notBefore?: Date;
  /** @defaultValue in a month */
  readonly notAfter?: Date;
  readonly key?: 'P-256' | 'RSA-2048' | 'RSA-1024';
  /** Of the signature upon it. */
  readonly hash?: 'SHA-256' | 'SHA-1';
  readonly usage?: 'server' | 'client';
  /** The contents of subjectAltName extensions, byte by byte, beside that of `names`. */
  readonly rawAltNames?: readonly Uint8Array[];
}

/** A certificate with its private key. */
export class Certificate {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;
  /** Who vouches for it; null if it does so itself. */
  readonly #issuer: Certificate | null;

  constructor(keys: webcrypto.CryptoKeyPair, certificate: x509.X509Certificate, issuer: Certificate | null) {
    this.#keys = keys;
    this.#certificate = certificate;
    this.#issuer = issuer;
  }

  /** PEM, of this certificate alone. */
  get pem(): string {
    return `${this.#certificate.toString('pem')}\n`;
  }

  get der(): Buffer {
    return Buffer.from(this.#certificate.rawData);
  }

  /** PEM, as a server presents it: up to, but not with, the root. */
  get chain(): string {
    return [this.pem, ...this.#intermediates.map(({ pem }) => pem)].join('');
  }

  /** PEM, of the authority at the top. */
  get root(): string {
    return this.#issuer === null ? this.pem : this.#issuer.root;
  }

  /** PEM, PKCS #8. */
  get key(): string {
    return this.#key.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  /** PEM, PKCS #8 under a password. */
  encryptedKey(passphrase: string): string {
    return this.#key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString();
  }

  /** PEM, PKCS #1 or SEC 1, encrypted as OpenSSL did it long ago: with a header that says so. */
  traditionalEncryptedKey(passphrase: string): string {
    return this.#key.export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString();
  }

  /** Key, certificate and intermediates in one container. */
  pfx(passphrase: string): Buffer {
    const key = this.#key.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase });
    return pkcs12(key, [this.der, ...this.#intermediates.map(({ der }) => der)], passphrase);
  }

  /** In hexadecimal digits, as a pin names it. */
  fingerprint(algorithm: 'md5' | 'sha1' | 'sha256'): string {
    return createHash(algorithm).update(this.der).digest('hex');
  }

  /** What `tls.createServer` takes. */
  get identity(): { readonly key: string; readonly cert: string } {
    return { key: this.key, cert: this.chain };
  }

  get #intermediates(): readonly Certificate[] {
    const issuer = this.#issuer;
    return issuer === null || issuer.#issuer === null ? [] : [issuer, ...issuer.#intermediates];
  }

  get #key(): KeyObject {
    return KeyObject.from(this.#keys.privateKey);
  }

  /** Makes a certificate that this one vouches for. */
  async issue(order: Order): Promise<Certificate> {
    return await this.#sign(await keysFor(order), order, [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        order.usage === 'client' ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
      ]),
    ]);
  }

  /** Makes an authority that this one vouches for. */
  async issueAuthority(name: string, order: Order = {}): Promise<Certificate> {
    return await this.#sign(await keysFor(order), { ...order, commonNames: [name] }, AUTHORITY_EXTENSIONS);
  }

  async #sign(keys: webcrypto.CryptoKeyPair, order: Order, extensions: x509.Extension[]): Promise<Certificate> {
    const certificate = await x509.X509CertificateGenerator.create({
      ...(await commonParts(order, keys, extensions)),
      issuer: this.#certificate.subjectName,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: { name: 'ECDSA', hash: order.hash ?? 'SHA-256' },
    });
    return new Certificate(keys, certificate, this);
  }
}

const AUTHORITY_EXTENSIONS = [
  new x509.BasicConstraintsExtension(true, undefined, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
];

/** An authority that vouches for itself: what clients trust. */
export async function rootAuthority(name: string): Promise<Certificate> {
  return await selfIssued({ commonNames: [name] }, AUTHORITY_EXTENSIONS);
}

/** A server's certificate that nobody else vouches for. */
export async function selfSignedCertificate(order: Order): Promise<Certificate> {
  return await selfIssued(order, [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
  ]);
}

async function selfIssued(order: Order, extensions: x509.Extension[]): Promise<Certificate> {
  const keys = await keysFor(order);
  const { subject, ...parts } = await commonParts(order, keys, extensions);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...parts,
    name: subject,
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: order.hash ?? 'SHA-256' },
  });
  return new Certificate(keys, certificate, null);
}

async function commonParts(order: Order, keys: webcrypto.CryptoKeyPair, extensions: x509.Extension[]) {
  const { names = [] } = order;
  const altNames = names.map((name) => (typeof name === 'string' ? altName(name) : name));
  const commonNames = order.commonNames ?? altNames.slice(0, 1).map(({ value }) => value.slice(0, 64));
  return {
    subject: commonNames.map((name) => ({ CN: [name] })),
    notBefore: order.notBefore ?? new Date(Date.now() - DAY_MS),
    notAfter: order.notAfter ?? new Date(Date.now() + 30 * DAY_MS),
    extensions: [
      ...extensions,
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(altNames.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(altNames)]),
      ...(order.rawAltNames ?? []).map((content) => new x509.Extension(SUBJECT_ALT_NAME, false, content)),
    ],
  };
}

function altName(name: string): AltName {
  return { type: net.isIP(name) === 0 ? 'dns' : 'ip', value: name };
}

async function keysFor({ key = 'P-256' }: Order): Promise<webcrypto.CryptoKeyPair> {
  const { subtle } = webcrypto;
  if (key === 'P-256') return await subtle.generateKey({ name: 'ECDSA', namedCurve: key }, true, ['sign', 'verify']);
  return await subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: key === 'RSA-1024' ? 1024 : 2048,
      publicExponent: Uint8Array.of(1, 0, 1),
      hash: 'SHA-256',
    },
    true,
    ['sign', 'verify'],
  );
}
