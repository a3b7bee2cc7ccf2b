import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nameText, readCertificate } from '../../src/tls/certificate.js';
import { children, DerError, only, SEQUENCE } from '../../src/tls/der.js';
import { der } from '../support/pkcs12.js';
import { rootAuthority, selfSignedCertificate } from '../support/tls-certificates.js';

const leaf = await (await rootAuthority('Test root')).issue({
  names: ['a.test', '*.b.test', '127.0.0.1', '::1', { type: 'url', value: 'https://c.test/' }],
  commonNames: ['first', 'second'],
  notBefore: new Date('2020-01-02T03:04:05Z'),
  notAfter: new Date('2060-01-02T03:04:05Z'),
});

describe('readCertificate()', () => {
  test('reads names, addresses and dates', () => {
    expect(readCertificate(leaf.der)).toEqual({
      subject: { commonNames: ['first', 'second'], organization: null },
      issuer: { commonNames: ['Test root'], organization: null },
      notBeforeMs: Date.parse('2020-01-02T03:04:05Z'),
      notAfterMs: Date.parse('2060-01-02T03:04:05Z'),
      hasAlternativeNames: true,
      dnsNames: ['a.test', '*.b.test'],
      addresses: [Buffer.from([127, 0, 0, 1]), Buffer.from('00000000000000000000000000000001', 'hex')],
      isSelfIssued: false,
    });
  });

  test('says so where there are no alternative names, and where a certificate names itself as its issuer', async () => {
    const { der } = await selfSignedCertificate({ commonNames: ['a.test'] });
    expect(readCertificate(der)).toMatchObject({ hasAlternativeNames: false, dnsNames: [], isSelfIssued: true });
  });

  test('agrees with Node on every root that Node has', () => {
    for (const pem of tls.rootCertificates) {
      const certificate = new X509Certificate(pem);
      const facts = readCertificate(certificate.raw);
      expect(facts.notBeforeMs).toBe(Date.parse(certificate.validFrom));
      expect(facts.notAfterMs).toBe(Date.parse(certificate.validTo));
      expect(facts.hasAlternativeNames).toBe(certificate.subjectAltName !== undefined);
      const { commonNames, organization } = facts.subject;
      for (const name of commonNames)
        if (/^[ -~]+$/.test(name)) expect(certificate.subject).toContain(name.slice(0, 10));
      if (organization !== null) expect(certificate.subject).toContain('O=');
    }
  });

  test('SEC-070: reads damaged bytes as a certificate or raises DerError, and nothing else', () => {
    fc.assert(
      fc.property(fc.nat(leaf.der.length - 1), fc.nat(255), fc.nat(leaf.der.length), (at, byte, length) => {
        for (const damaged of [Buffer.from(leaf.der), leaf.der.subarray(0, length)]) {
          if (damaged.length === leaf.der.length) damaged[at] = byte;
          try {
            readCertificate(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(DerError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('reads a version 1 certificate, without version, extensions and names', () => {
    const time = (tag: number, text: string) => der(tag, Buffer.from(text));
    const v1 = certificate(
      [integer(1), der(SEQUENCE)],
      der(SEQUENCE, time(0x17, '990101000000Z'), time(0x18, '00010101000000Z')),
    );
    const facts = readCertificate(v1);
    expect(facts).toMatchObject({ hasAlternativeNames: false, notBeforeMs: Date.UTC(1999, 0, 1) });
    expect(new Date(facts.notAfterMs).toISOString()).toBe('0001-01-01T00:00:00.000Z');
  });

  test.each([
    [
      'a time without seconds',
      der(SEQUENCE, der(0x17, Buffer.from('9901010000Z')), der(0x17, Buffer.from('9901010000Z'))),
    ],
    ['no time', der(SEQUENCE)],
    ['a time that is no sequence', der(0x04)],
  ])('raises DerError for %s', (_name, validity) => {
    expect(() => readCertificate(certificate([integer(1), der(SEQUENCE)], validity))).toThrow(DerError);
  });

  test('raises DerError for two lists of alternative names: which of them counts would be a guess', () => {
    const list = der(
      SEQUENCE,
      Buffer.from('0603551d11', 'hex'),
      der(0x04, der(SEQUENCE, der(0x82, Buffer.from('a.test')))),
    );
    const valid = der(SEQUENCE, der(0x17, Buffer.from('990101000000Z')), der(0x17, Buffer.from('990101000000Z')));
    const extensions = (...all: Buffer[]) => der(0xa3, der(SEQUENCE, ...all));
    const one = certificate([integer(1), der(SEQUENCE)], valid, extensions(list));
    expect(readCertificate(one).dnsNames).toEqual(['a.test']);
    expect(() => readCertificate(certificate([integer(1), der(SEQUENCE)], valid, extensions(list, list)))).toThrow(
      'two lists of alternative names',
    );
  });

  test('reads names in UTF-8, in UTF-16 and in Latin 1, and refuses one without value', () => {
    const valid = der(SEQUENCE, der(0x17, Buffer.from('990101000000Z')), der(0x17, Buffer.from('990101000000Z')));
    const named = (...attribute: Buffer[]) =>
      certificate([integer(1), der(SEQUENCE), der(SEQUENCE, der(0x31, der(SEQUENCE, ...attribute)))], valid, null);
    const commonName = Buffer.from('0603550403', 'hex');
    const organization = Buffer.from('060355040a', 'hex');
    const issuerOf = (...attribute: Buffer[]) => readCertificate(named(...attribute)).issuer;
    expect(issuerOf(commonName, der(0x0c, Buffer.from('bücher')))).toMatchObject({ commonNames: ['bücher'] });
    expect(issuerOf(commonName, der(0x1e, Buffer.from('00fc0062', 'hex')))).toMatchObject({ commonNames: ['üb'] });
    expect(issuerOf(commonName, der(0x1e, Buffer.from('00fc00', 'hex')))).toMatchObject({ commonNames: ['ü'] });
    expect(issuerOf(organization, der(0x13, Buffer.from([0xfc])))).toMatchObject({ organization: 'ü' });
    expect(() => issuerOf(commonName)).toThrow('an attribute without value');
  });
});

describe('children()', () => {
  test.each([
    ['an element longer than what it stands in', '0405ff'],
    ['an element without length', '04'],
    ['an indefinite length', '3080'],
    ['a length of five bytes', '30850000000001ff'],
    ['a length that is cut', '3082ff'],
  ])('raises DerError for %s', (_name, hex) => {
    expect(() => children(Buffer.from(hex, 'hex'))).toThrow(DerError);
  });

  test('reads lengths of several bytes', () => {
    const content = Buffer.alloc(300, 1);
    expect(children(der(0x04, content))).toMatchObject([{ tag: 0x04, content }]);
  });
});

test('only() raises DerError for bytes after the end', () => {
  expect(() => only(Buffer.from('30003000', 'hex'), SEQUENCE)).toThrow('bytes after the end');
  expect(() => only(Buffer.alloc(0), SEQUENCE)).toThrow(DerError);
});

test('nameText() is the last common name, or the organization, or says that there is neither', () => {
  expect(nameText({ commonNames: ['a', 'b'], organization: 'c' })).toBe('b');
  expect(nameText({ commonNames: [], organization: 'c' })).toBe('c');
  expect(nameText({ commonNames: [], organization: null })).toBe('a certificate without a name');
});

function integer(value: number): Buffer {
  return der(0x02, Buffer.from([value]));
}

/** As far as it is read: serial number, algorithm, issuer; validity, subject, key; extensions. */
function certificate(
  [serial = integer(1), algorithm = der(SEQUENCE), issuer = der(SEQUENCE)]: Buffer[],
  validity: Buffer,
  extensions: Buffer | null = null,
): Buffer {
  const fields = [serial, algorithm, issuer, validity, der(SEQUENCE), der(SEQUENCE)];
  return der(
    SEQUENCE,
    der(SEQUENCE, ...fields, ...(extensions === null ? [] : [extensions])),
    der(SEQUENCE),
    der(0x03),
  );
}
