import { createHash, webcrypto } from 'node:crypto';
import { X509CertificateGenerator } from '@peculiar/x509';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { bindingsOf, channelBindingHash } from '../../src/auth/channel-binding.js';
import { AuthenticationError } from '../../src/exceptions.js';

/** Whether this process is to lack MD5, as a Node in FIPS mode does. */
const fips = vi.hoisted(() => ({ isOn: false }));
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return {
    ...crypto,
    createHash: (hash: string) => {
      if (fips.isOn && hash === 'md5') throw new Error('error:0308010C:digital envelope routines::unsupported');
      return crypto.createHash(hash);
    },
  };
});

test.each([
  ['ea05fefecc6b0bd571dbbc5baa3ed45386d0446835f7b74c85621b9983475f95', '6586e99d81c2fc984e47172fd4dd0310'],
  ['e3ca49271e5089cc48ce82109f1324f41dbeddc29a777410c738f7868c4ff405', '6ea19df066da4622051f9c4f92c6df74'],
])('bindingsOf() gives what Windows computes for the end point %s', (endPoint, bindings) => {
  expect(bindingsOf('ntlm', Buffer.from(endPoint, 'hex')).toString('hex')).toBe(bindings);
});

/** A certificate in DER, signed by itself. */
async function certificate(algorithm: Algorithm): Promise<Buffer> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  if (!('privateKey' in keys)) throw new Error('one key');
  const issued = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    signingAlgorithm: algorithm,
  });
  return Buffer.from(issued.rawData);
}

type Algorithm =
  | webcrypto.RsaHashedKeyGenParams
  | (webcrypto.EcKeyGenParams & { readonly hash: string })
  | { readonly name: 'Ed25519' };

const RSA = { modulusLength: 1024, publicExponent: Uint8Array.of(1, 0, 1) };
const rsa = (hash: string): Algorithm => ({ name: 'RSASSA-PKCS1-v1_5', hash, ...RSA });
const ecdsa = (hash: string): Algorithm => ({ name: 'ECDSA', namedCurve: 'P-256', hash });

const expectedFor = (hash: string | null, der: Uint8Array) =>
  hash === null ? null : bindingsOf('ntlm', createHash(hash).update(der).digest());

test.each<[string, Algorithm, string | null]>([
  ['RSA and SHA-1', rsa('SHA-1'), 'sha256'],
  ['RSA and SHA-256', rsa('SHA-256'), 'sha256'],
  ['RSA and SHA-384', rsa('SHA-384'), 'sha384'],
  ['RSA and SHA-512', rsa('SHA-512'), 'sha512'],
  ['ECDSA and SHA-256', ecdsa('SHA-256'), 'sha256'],
  ['ECDSA and SHA-384', ecdsa('SHA-384'), 'sha384'],
  ['ECDSA and SHA-512', ecdsa('SHA-512'), 'sha512'],
  ['Ed25519, which has no hash of its own', { name: 'Ed25519' }, null],
])('channelBindingHash() takes the hash of the signature (RFC 5929 section 4.1): %s', async (_, algorithm, hash) => {
  const der = await certificate(algorithm);
  expect(channelBindingHash('ntlm', der)).toEqual(expectedFor(hash, der));
  expect(channelBindingHash('ntlm', Uint8Array.from(der))).toEqual(expectedFor(hash, der));
});

test('channelBindingHash() finds nothing in what is no certificate, whatever it is', async () => {
  const der = await certificate(ecdsa('SHA-256'));
  const changed = fc
    .array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    .map((changes) => {
      const copy = Buffer.from(der);
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      expect([null, 16]).toContain(channelBindingHash('ntlm', bytes)?.length ?? null);
    }),
  );
  for (let length = 0; length < der.length; length++) {
    expect(channelBindingHash('ntlm', der.subarray(0, length))).toBeNull();
  }
});

test('bindingsOf() says so when this Node has no MD5 (FIPS mode)', () => {
  fips.isOn = true;
  try {
    expect(() => bindingsOf('ntlm', Buffer.alloc(32))).toThrow(
      new AuthenticationError('ntlm', 'Cannot log in by ntlm: this Node has no md5 (FIPS mode has none)'),
    );
  } finally {
    fips.isOn = false;
  }
});

/** DER by hand: an element of a tag and its content. */
const element = (tag: number, ...content: readonly Uint8Array[]) => {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Uint8Array.of(tag, bytes.length), bytes]);
};
const PSS_OID = element(0x06, Buffer.from('2a864886f70d01010a', 'hex'));
const signedBy = (...algorithm: readonly Uint8Array[]) =>
  element(0x30, element(0x30), element(0x30, ...algorithm), element(0x03, Uint8Array.of(0)));

const oid = (content: string) => element(0x06, Buffer.from(content, 'hex'));
const pss = (hash: Uint8Array) => signedBy(PSS_OID, element(0x30, element(0xa0, element(0x30, hash))));

test.each<[string, Buffer, string | null]>([
  ['md5WithRSAEncryption', signedBy(oid('2a864886f70d010104')), 'sha256'],
  ['sha224WithRSAEncryption', signedBy(oid('2a864886f70d01010e')), 'sha224'],
  ['ecdsa-with-SHA1', signedBy(oid('2a8648ce3d0401')), 'sha256'],
  ['ecdsa-with-SHA224', signedBy(oid('2a8648ce3d040301')), 'sha224'],
  ['dsa-with-sha1', signedBy(oid('2a8648ce380403')), 'sha256'],
  ['dsa-with-sha224', signedBy(oid('608648016503040301')), 'sha224'],
  ['dsa-with-sha256', signedBy(oid('608648016503040302')), 'sha256'],
  ['RSASSA-PSS and SHA-1', pss(oid('2b0e03021a')), 'sha256'],
  ['RSASSA-PSS and SHA-224', pss(oid('608648016503040204')), 'sha224'],
  ['RSASSA-PSS and SHA-256', pss(oid('608648016503040201')), 'sha256'],
  ['RSASSA-PSS and SHA-384', pss(oid('608648016503040202')), 'sha384'],
  ['RSASSA-PSS and SHA-512', pss(oid('608648016503040203')), 'sha512'],
  ['parameters without a hash: SHA-1, so SHA-256', signedBy(PSS_OID, element(0x30)), 'sha256'],
  ['no parameters', signedBy(PSS_OID), 'sha256'],
  [
    'a hash that nobody knows',
    signedBy(PSS_OID, element(0x30, element(0xa0, element(0x30, element(6, Uint8Array.of(42)))))),
    null,
  ],
  ['a hash that is no name', signedBy(PSS_OID, element(0x30, element(0xa0, element(0x30, element(5))))), null],
  ['a hash that is no algorithm', signedBy(PSS_OID, element(0x30, element(0xa0, element(5)))), null],
  ['an algorithm that nobody knows', signedBy(element(6, Uint8Array.of(42))), null],
  ['an algorithm that is no name', signedBy(element(5)), null],
  ['an algorithm that is no sequence', element(0x30, element(0x30), element(5)), null],
  ['a length of five bytes', Buffer.from('308500000000010000', 'hex'), null],
])('channelBindingHash() reads the names of signatures, and gives up at what is none: %s', (_, der, hash) => {
  expect(channelBindingHash('ntlm', der)).toEqual(expectedFor(hash, der));
});
