import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { anyCertificatesIn, certificatesIn, load, reasonOf } from '../../src/tls/pem.js';
import { rootAuthority } from '../support/tls-certificates.js';

const folder = mkdtempSync(join(tmpdir(), 'urllib3-pem-'));
afterAll(() => rmSync(folder, { recursive: true }));
const [one, two] = await Promise.all([rootAuthority('One'), rootAuthority('Two')]);

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const certificates = (source: unknown) => certificatesIn(load('caCerts', source));

describe('certificatesIn()', () => {
  test('reads PEM text, bytes in PEM and DER, and files of both, with anything between', () => {
    const text = `# first\n${one.pem}\nsecond:\r\n${two.pem.replaceAll('\n', '\r\n')}`;
    const all = [one.pem, two.pem].map((pem) => pem.trim());
    for (const source of [text, Buffer.from(text), new Uint8Array(Buffer.from(text)), file('a.pem', text)]) {
      expect(certificates(source).map((pem) => pem.trim())).toEqual(all);
    }
    for (const source of [one.der, new Uint8Array(one.der), file('a.der', one.der)]) {
      expect(certificates(source).map((pem) => pem.trim())).toEqual([one.pem.trim()]);
    }
    expect(certificates(one.pem.replaceAll('CERTIFICATE', 'X509 CERTIFICATE'))).toHaveLength(1);
  });

  test('raises SSLError for a certificate that is damaged or cut, wherever it stands, and for none', () => {
    const damaged = one.pem.replace(/(BEGIN CERTIFICATE-----\n.{20})../, '$1!!');
    for (const bad of [damaged, one.pem.slice(0, 200), one.pem.replace(/-----END.*\n/, '')]) {
      for (const source of [bad, `${two.pem}\n${bad}`, `${bad}\n${two.pem}`]) {
        expect(() => certificates(source)).toThrow(SSLError);
        expect(() => certificates(source)).toThrow('Cannot use caCerts: a certificate in it is damaged');
      }
    }
    for (const source of [Buffer.alloc(0), one.key, file('empty.pem', '')]) {
      expect(() => certificates(source)).toThrow('it holds no certificate');
    }
    expect(() => certificates(one.der.subarray(0, 100))).toThrow('a certificate in it is damaged');
    expect(anyCertificatesIn(load('caCerts', one.key))).toEqual([]);
  });
});

describe('load()', () => {
  test('names the file that it cannot read, and why', () => {
    expect(() => load('caCerts', '/nonexistent/a.pem')).toThrow(
      new SSLError('Cannot read caCerts "/nonexistent/a.pem": there is no such file'),
    );
    expect(() => load('certFile', folder)).toThrow(/^Cannot read certFile ".*": it is a directory$/);
    expect(() => load('caCerts', join(file('file', ''), 'below'))).toThrow('a part of the path is no directory');
    expect(() => load('caCerts', 'a\0b')).toThrow(/^Cannot read caCerts "a\\x00b": /);
  });

  test('raises TypeError for what is neither text nor bytes', () => {
    for (const source of [5, {}, [], true, new ArrayBuffer(1)]) expect(() => load('pfx', source)).toThrow(TypeError);
  });
});

test('reasonOf() tells the errors of files in words, and others in their own', () => {
  const systemError = (code: string) => Object.assign(new Error('of the system'), { code });
  expect(reasonOf(systemError('EACCES'))).toBe('permission denied');
  expect(reasonOf(systemError('EPERM'))).toBe('permission denied');
  expect(reasonOf(systemError('EIO'))).toBe('of the system');
  expect(reasonOf('thrown')).toBe('thrown');
});
