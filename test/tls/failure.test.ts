import type { DetailedPeerCertificate } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { readCertificate } from '../../src/tls/certificate.js';
import {
  CertificateRefused,
  type Chain,
  certificatesOf,
  chainOf,
  handshakeFailure,
  lateFailure,
  wrongHost,
} from '../../src/tls/failure.js';
import { rootAuthority } from '../support/tls-certificates.js';

const root = await rootAuthority('Root');
const intermediate = await root.issueAuthority('Intermediate', {
  notBefore: new Date('2020-01-01'),
  notAfter: new Date('2021-02-03T04:05Z'),
});
const leaf = await intermediate.issue({ names: ['a.test'] });
const expired = await intermediate.issue({
  names: ['a.test'],
  notBefore: new Date('2020-01-01'),
  notAfter: new Date('2021-02-03T04:05:06Z'),
});
const future = await intermediate.issue({
  names: ['a.test'],
  notBefore: new Date('2090-01-02T03:04Z'),
  notAfter: new Date('2091-01-01'),
});
const facts = (...certificates: { der: Buffer }[]): Chain => certificates.map(({ der }) => readCertificate(der));

function nodeError(code: string, message = 'of Node'): Error {
  return Object.assign(new Error(message), { code });
}

const say = (code: string, chain: Chain = [], message?: string) =>
  handshakeFailure(nodeError(code, message), 'a.test', chain).message;

describe('handshakeFailure()', () => {
  test('is an SSLError with the cause, its code and the phase', () => {
    const cause = nodeError('CERT_HAS_EXPIRED');
    const error = handshakeFailure(cause, 'a.test', []);
    expect(error).toBeInstanceOf(SSLError);
    expect(error).toMatchObject({
      cause,
      code: 'CERT_HAS_EXPIRED',
      phase: 'tls',
      message: 'TLS with "a.test" failed: of Node',
    });
    const ours = new SSLError('Fingerprints did not match');
    expect(handshakeFailure(ours, 'a.test', [])).toBe(ours);
    expect(ours.phase).toBe('tls');
  });

  test.each<[string, Chain, string]>([
    [
      'CERT_HAS_EXPIRED',
      facts(expired, intermediate),
      'the certificate of the server "a.test" expired on 2021-02-03 04:05 UTC',
    ],
    [
      'CERT_HAS_EXPIRED',
      facts(leaf, intermediate, root),
      'the certificate "Intermediate" in the chain of the server expired on 2021-02-03 04:05 UTC',
    ],
    ['CERT_HAS_EXPIRED', facts(leaf), 'of Node'],
    [
      'CERT_NOT_YET_VALID',
      facts(future),
      'the certificate of the server "a.test" is not valid before 2090-01-02 03:04 UTC',
    ],
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      facts(leaf),
      'the certificate of the server "a.test" is self-signed: no authority that is trusted vouches for it',
    ],
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      facts(leaf, intermediate, root),
      'the certificate of the server "a.test" comes from "Root", an authority that is not trusted',
    ],
    [
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      facts(leaf),
      'the certificate of the server "a.test" was issued by "Intermediate", which is not known: the server does not send an intermediate certificate that it should, or its authority is not trusted',
    ],
    [
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      facts(leaf, intermediate),
      'the certificate "Intermediate" in the chain of the server was issued by "Root", which is not known: its authority is not trusted',
    ],
    [
      'UNABLE_TO_GET_ISSUER_CERT',
      [],
      'the certificate of the server was issued by an issuer without a name, which is not known',
    ],
    ['CERT_SIGNATURE_FAILURE', [], 'is not signed by the authority that it names'],
    ['INVALID_CA', [], 'by one that may not issue certificates'],
    ['PATH_LENGTH_EXCEEDED', [], 'by one that may not issue certificates'],
    ['INVALID_PURPOSE', facts(leaf), 'the certificate of the server "a.test" is not meant for servers'],
    ['CERT_REVOKED', facts(leaf), 'the certificate of the server "a.test" was revoked'],
    ['CERT_CHAIN_TOO_LONG', [], 'too long'],
  ])('of %s, with what was shown (%#)', (code, chain, words) => {
    expect(say(code, chain)).toContain(words);
  });

  test('of a certificate with dates that are none', () => {
    const [known] = facts(leaf);
    if (known === undefined) return expect.fail();
    const strange = { ...known, dnsNames: [], notAfterMs: Number.NEGATIVE_INFINITY };
    expect(say('CERT_HAS_EXPIRED', [strange])).toContain(
      'the certificate of the server "a.test" expired on a date that is none',
    );
  });

  test.each([
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'the server does not speak TLS on this port'],
    ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'the server does not speak TLS on this port'],
    ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'no version of TLS that is allowed here'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'no version of TLS that is allowed here'],
    ['ERR_SSL_NO_PROTOCOLS_AVAILABLE', 'set ciphers to "DEFAULT:@SECLEVEL=0"'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'requires a certificate of the client'],
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'no cipher in common, or it requires a certificate of the client'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'does not accept the certificate of the client'],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'certificate of the client has expired'],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED', 'certificate of the client was revoked'],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', 'knows no host of this name'],
    ['ERR_SSL_DH_KEY_TOO_SMALL', 'the key of the server is too weak'],
    ['ERR_SSL_CA_MD_TOO_WEAK', 'the signature of the server is too weak'],
  ])('of %s', (code, words) => {
    expect(say(code)).toContain(words);
  });

  test.each([
    ['EE certificate key too weak', 'the key of a certificate of the server is too weak'],
    ['CA md too weak', 'the signature of a certificate of the server is too weak, such as SHA-1'],
    [
      'Client network socket disconnected before secure TLS connection was established',
      'the server closed the connection in the TLS handshake',
    ],
    [
      '80BCE301237F0000:error:0A000410:SSL routines:ssl3_read_bytes:bad luck:../deps/x.c:1601:SSL alert number 40\n',
      'TLS with "a.test" failed: bad luck',
    ],
    ['read ECONNRESET', 'TLS with "a.test" failed: read ECONNRESET'],
    ['a\n\x1b[31mforged', 'TLS with "a.test" failed: "a\\x0a\\x1b[31mforged"'],
  ])('of the message %j', (message, words) => {
    expect(say('UNSPECIFIED', [], message)).toContain(words);
  });

  test('of what is no error', () => {
    expect(handshakeFailure('thrown', 'a.test', []).message).toBe('TLS with "a.test" failed: thrown');
  });

  test('of our own checks', () => {
    const [certificate] = facts(leaf);
    if (certificate === undefined) return expect.fail();
    const error = handshakeFailure(wrongHost(certificate, 'b.test'), 'b.test', []);
    expect(error).toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      message: 'TLS with "b.test" failed: the certificate of the server is for "a.test", not for "b.test"',
    });
    expect(error.cause).toBeInstanceOf(CertificateRefused);
  });
});

test('lateFailure() is an SSLError for what TLS says after the handshake, and nothing for the connection below', () => {
  const late = lateFailure(nodeError('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'));
  expect(late).toBeInstanceOf(SSLError);
  expect(late).toMatchObject({
    phase: null,
    message: 'TLS failed: the server requires a certificate of the client (see certFile)',
  });
  expect(lateFailure(nodeError('ERR_SSL_WRONG_VERSION_NUMBER'))?.message).toBe(
    'TLS failed: what came is no TLS: it was damaged or put in on its way',
  );
  for (const other of [nodeError('ECONNRESET'), new Error('x'), null, undefined])
    expect(lateFailure(other)).toBeUndefined();
});

describe('chainOf()', () => {
  /** As Node gives a chain: each with its issuer, the last with itself. */
  function shown(...certificates: { der: Buffer }[]): DetailedPeerCertificate {
    const nodes = certificates.map(({ der }) => ({ raw: der, issuerCertificate: undefined as unknown }));
    for (const [index, node] of nodes.entries()) node.issuerCertificate = nodes[index + 1] ?? node;
    // As much of a certificate as is looked at.
    return nodes[0] as unknown as DetailedPeerCertificate;
  }

  test('reads the certificates from the leaf to the root', () => {
    expect(chainOf(shown(leaf, intermediate, root)).map(({ subject }) => subject.commonNames[0])).toEqual([
      'a.test',
      'Intermediate',
      'Root',
    ]);
    expect(chainOf(undefined)).toEqual([]);
    // What Node gives where there is none.
    expect(chainOf(Object.create(null))).toEqual([]);
  });

  test('SEC-117: reads no more than twenty, and none where one cannot be read', () => {
    expect([...certificatesOf(shown(...Array<typeof leaf>(100).fill(leaf)))]).toHaveLength(20);
    expect(chainOf(shown(leaf, { der: Buffer.from('hello') }))).toEqual([]);
    expect(() => chainOf(shown({ der: Reflect.get({}, 'nothing') ?? null }))).toThrow(TypeError);
  });
});
