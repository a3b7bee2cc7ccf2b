import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { readPkcs12 } from '../../src/tls/pkcs12.js';
import { der } from '../support/pkcs12.js';
import { SAMPLES } from './pkcs12-samples.js';

const read = ({ bytes, password }: { bytes: Buffer; password: string | null }) =>
  readPkcs12('pfx "x.p12"', bytes, password === null ? null : Buffer.from(password));

const SEQUENCE = 0x30;
const CONTENT = 0xa0;
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const integer = (...bytes: number[]) => der(0x02, Buffer.from(bytes));
const octets = (...content: Buffer[]) => der(0x04, ...content);
const DATA = '2a864886f70d010701';
const contentInfo = (type: string, ...content: Buffer[]) => der(SEQUENCE, oid(type), der(CONTENT, ...content));
/** A container of these safes, and nothing that holds it together. */
const container = (...safes: Buffer[]) => der(SEQUENCE, integer(3), contentInfo(DATA, octets(der(SEQUENCE, ...safes))));
const bag = (type: string, content: Buffer) => der(SEQUENCE, oid(type), der(CONTENT, content));

describe('readPkcs12()', () => {
  test.each(['aes', 'tripleDes', 'emptyPassword', 'severalSizes', 'plain', 'withoutMac'] as const)(
    'reads the key and its chain, the certificate of the key first: %s',
    (name) => {
      const { key, certificates } = read(SAMPLES[name]);
      const [own = '', authority = '', ...rest] = certificates;
      expect(new X509Certificate(own).checkPrivateKey(key)).toBe(true);
      expect([own, authority].map((pem) => new X509Certificate(pem).subject)).toEqual(['CN=c', 'CN=A']);
      expect(rest).toEqual([]);
    },
  );

  test('needs no password where it is empty', () => {
    expect(read({ ...SAMPLES.emptyPassword, password: null }).certificates).toHaveLength(2);
  });

  test('finds bags in bags, skips what is no certificate of ours, and takes no password at all for an empty one', () => {
    const { key, certificates } = read(SAMPLES.plain);
    const keyBag = bag('2a864886f70d010c0a0101', key.export({ type: 'pkcs8', format: 'der' }));
    const certBag = (type: string) =>
      bag(
        '2a864886f70d010c0a0103',
        der(SEQUENCE, oid(type), der(CONTENT, octets(new X509Certificate(certificates[0] ?? '').raw))),
      );
    const nested = bag(
      '2a864886f70d010c0a0106',
      der(SEQUENCE, certBag('2a864886f70d01091601'), certBag('2a864886f70d01091602')),
    );
    const secret = bag('2a864886f70d010c0a0105', octets());
    const bytes = container(contentInfo(DATA, octets(der(SEQUENCE, keyBag, secret, nested))));
    expect(read({ bytes, password: null }).certificates).toEqual([certificates[0]]);
  });

  test.each<[string, { bytes: Buffer; password: string | null }, string]>([
    ['a wrong password', { ...SAMPLES.aes, password: 'wrong' }, 'keyPassword is wrong'],
    ['no password', { ...SAMPLES.aes, password: null }, 'it is encrypted, keyPassword is needed'],
    ['a wrong password without MAC', { ...SAMPLES.withoutMac, password: 'wrong' }, 'keyPassword is wrong'],
    ['no key', SAMPLES.withoutKey, 'it holds no private key'],
    ['no certificate', SAMPLES.withoutCertificate, 'it holds no certificate that belongs to its key'],
    ['RC2', SAMPLES.rc2, 'its encryption is not supported any more, export it again with AES'],
    ['another cipher', SAMPLES.camellia, 'its encryption is not supported, export it again with AES'],
    ['another MAC', SAMPLES.md5, 'its digest is not supported, export it again with AES'],
    ['nothing', { bytes: Buffer.alloc(0), password: null }, 'it is damaged, or no PKCS #12 container in DER'],
    ['text', { bytes: Buffer.from('hello'), password: null }, 'it is damaged, or no PKCS #12 container in DER'],
    [
      'a container signed by a key',
      { bytes: der(SEQUENCE, integer(3), contentInfo('2a864886f70d010702', octets())), password: null },
      'it is protected by a public key, not by a password',
    ],
    [
      'a safe for a key',
      { bytes: container(contentInfo('2a864886f70d010703', octets())), password: null },
      'a part of it is protected by a public key',
    ],
  ])('raises SSLError for %s', (_name, source, message) => {
    expect(() => read(source)).toThrow(SSLError);
    expect(() => read(source)).toThrow(`Cannot use pfx "x.p12": ${message}`);
  });

  test.each([
    ['none', []],
    ['more than minutes of them', [0x7f, 0xff, 0xff, 0xff]],
    ['more than there are numbers', [1, 2, 3, 4, 5, 6, 7]],
    ['no times', [0]],
  ])('hashes a password no absurd number of times: %s', (_name, iterations) => {
    const parameters = der(SEQUENCE, octets(Buffer.from('salt')), integer(...iterations));
    const algorithm = der(SEQUENCE, oid('2a864886f70d010c0103'), parameters);
    const encrypted = der(SEQUENCE, integer(0), der(SEQUENCE, oid(DATA), algorithm, der(0x80, Buffer.alloc(8))));
    const bytes = container(contentInfo('2a864886f70d010706', encrypted));
    expect(() => read({ bytes, password: 'x' })).toThrow('it is damaged');
  });

  test('tells a wrong password from certificates alone, where there is no MAC', () => {
    const parameters = der(SEQUENCE, octets(Buffer.from('salt')), integer(1));
    const algorithm = der(SEQUENCE, oid('2a864886f70d010c0103'), parameters);
    const encrypted = der(SEQUENCE, integer(0), der(SEQUENCE, oid(DATA), algorithm, der(0x80, Buffer.alloc(8))));
    const bytes = container(contentInfo('2a864886f70d010706', encrypted));
    expect(() => read({ bytes, password: 'x' })).toThrow('keyPassword is wrong');
  });

  test('reads damaged bytes in part, or raises SSLError, and nothing else', () => {
    const { bytes, password } = SAMPLES.plain;
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = byte;
        try {
          read({ bytes: damaged, password });
        } catch (error) {
          expect(error).toBeInstanceOf(SSLError);
        }
      }),
      // Each hashes a password, and the count of that may be what was damaged: up to minutes, so only few.
      { numRuns: 60, seed: 1 },
    );
  });
});
