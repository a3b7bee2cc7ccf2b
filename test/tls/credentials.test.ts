import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { type CredentialOptions, credentials } from '../../src/tls/credentials.js';
import { rootAuthority } from '../support/tls-certificates.js';

const folder = mkdtempSync(join(tmpdir(), 'urllib3-credentials-'));
afterAll(() => rmSync(folder, { recursive: true }));
const root = await rootAuthority('Root');
const intermediate = await root.issueAuthority('Intermediate');
const client = await intermediate.issue({ names: ['client.test'], usage: 'client' });
const rsa = await root.issue({ names: ['rsa.test'], usage: 'client', key: 'RSA-2048' });

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const files = {
  cert: file('client.pem', client.chain),
  key: file('client.key', client.key),
  both: file('both.pem', client.chain + client.key),
  encrypted: file('encrypted.key', client.encryptedKey('secret')),
  old: file('old.key', client.traditionalEncryptedKey('secret')),
  other: file('other.key', root.key),
};
const der = (pem: string, type: 'pkcs8' | 'pkcs1' | 'sec1', more: object = {}) =>
  createPrivateKey(pem).export({ type, format: 'der', ...more });

/** What is told apart by identity of content only. */
const same = (options: CredentialOptions) =>
  expect(credentials(options)).toEqual(credentials({ certFile: files.both }));

describe('credentials()', () => {
  test('are none where none are given', () => {
    expect(credentials({})).toBeNull();
    expect(credentials({ certFile: null, keyFile: undefined, pfx: null, keyPassword: null })).toBeNull();
  });

  test('SEC-027 (CVE-2026-42264): are not taken from prototypes', () => {
    const polluted: CredentialOptions = Object.create({ certFile: '/nowhere', pfx: '/nowhere', keyPassword: 'secret' });
    expect(credentials(polluted)).toBeNull();
  });

  test('are read from files, text and bytes, with the key beside the certificate or apart', () => {
    const { certificate, key } = credentials({ certFile: files.both }) ?? expect.fail();
    expect(certificate.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(createPrivateKey(key).equals(createPrivateKey(client.key))).toBe(true);
    same({ certFile: files.cert, keyFile: files.key });
    same({ certFile: client.chain, keyFile: client.key });
    same({ certFile: Buffer.from(client.chain), keyFile: Buffer.from(client.key) });
  });

  test('are decrypted, whatever the key is encrypted as', () => {
    same({ certFile: files.cert, keyFile: files.encrypted, keyPassword: 'secret' });
    same({ certFile: files.cert, keyFile: files.old, keyPassword: Buffer.from('secret') });
    same({ certFile: client.chain + client.encryptedKey('secret'), keyPassword: 'secret' });
    // A password that is not needed does no harm: a rotation may leave it.
    same({ certFile: files.both, keyPassword: 'secret' });
  });

  test('are read from DER', () => {
    for (const type of ['pkcs8', 'sec1'] as const) {
      same({ certFile: client.chain, keyFile: file(`${type}.der`, der(client.key, type)) });
    }
    const encrypted = der(client.key, 'pkcs8', { cipher: 'aes-256-cbc', passphrase: 'secret' });
    same({ certFile: client.chain, keyFile: encrypted, keyPassword: 'secret' });
    expect(credentials({ certFile: rsa.der, keyFile: der(rsa.key, 'pkcs1') })).not.toBeNull();
  });

  test('are read from PKCS #12', () => {
    same({ pfx: client.pfx('secret'), keyPassword: 'secret' });
    same({ pfx: file('client.p12', client.pfx('secret')), keyPassword: Buffer.from('secret') });
  });

  test.each<[string, CredentialOptions, string | RegExp]>([
    [
      'a certificate that is not there',
      { certFile: '/no.pem' },
      'Cannot read certFile "/no.pem": there is no such file',
    ],
    ['a key that is not there', { certFile: files.cert, keyFile: '/no.key' }, 'Cannot read keyFile "/no.key"'],
    ['a container that is not there', { pfx: '/no.p12' }, 'Cannot read pfx "/no.p12": there is no such file'],
    ['a file without certificate', { certFile: files.key }, 'client.key": it holds no certificate'],
    ['a file without key', { certFile: files.cert }, 'client.pem": it holds no private key'],
    ['a key file without key', { certFile: files.cert, keyFile: files.cert }, 'client.pem": it holds no private key'],
    [
      'a key of another certificate',
      { certFile: files.cert, keyFile: files.other },
      /other\.key": the key does not belong to certFile ".*client\.pem"/,
    ],
    [
      'a key of another certificate in one file',
      { certFile: client.pem + root.key },
      'Cannot use certFile: the key does not belong to the certificate in it',
    ],
    [
      'a chain before the certificate',
      { certFile: intermediate.pem + client.pem, keyFile: files.key },
      'must stand first in it',
    ],
    [
      'an encrypted key without password',
      { certFile: files.cert, keyFile: files.encrypted },
      'encrypted.key": the key is encrypted, keyPassword is needed',
    ],
    [
      'a key encrypted in the old way without password',
      { certFile: files.cert, keyFile: files.old },
      'old.key": the key is encrypted, keyPassword is needed',
    ],
    [
      'a wrong password',
      { certFile: files.cert, keyFile: files.encrypted, keyPassword: 'wrong' },
      'keyPassword is wrong or the file is damaged',
    ],
    [
      'a damaged key',
      { certFile: files.cert, keyFile: client.key.replace(/\n.{8}/, '\n!!!!!!!!') },
      'Cannot use keyFile: the private key is damaged',
    ],
    [
      'bytes that are no key',
      { certFile: files.cert, keyFile: Buffer.from('hello') },
      'Cannot use keyFile: the private key is damaged',
    ],
    [
      'bytes that are no container',
      { pfx: Buffer.from('hello') },
      'Cannot use pfx: it is damaged, or no PKCS #12 container',
    ],
  ])('raise SSLError that names what cannot be used, for %s', (_name, options, message) => {
    expect(() => credentials(options)).toThrow(SSLError);
    expect(() => credentials(options)).toThrow(message);
  });

  test.each<[object, string]>([
    [{ keyFile: files.key }, 'Cannot use keyFile without certFile'],
    [{ keyPassword: 'secret' }, 'Cannot use keyPassword without certFile or pfx'],
    [{ pfx: client.pfx('secret'), certFile: files.cert }, 'Cannot use pfx together with certFile or keyFile'],
    [{ pfx: client.pfx('secret'), keyFile: files.key }, 'Cannot use pfx together with certFile or keyFile'],
    [{ certFile: 5 }, 'Cannot use certFile 5'],
    [{ certFile: files.cert, keyPassword: 5 }, 'Cannot use keyPassword 5'],
  ])('raise TypeError for options that do not go together: %#', (options, message) => {
    expect(() => credentials(options)).toThrow(TypeError);
    expect(() => credentials(options)).toThrow(message);
  });

  test('never tell the password or the key', () => {
    try {
      credentials({ certFile: files.cert, keyFile: files.encrypted, keyPassword: 'hunter2' });
    } catch (error) {
      expect(String(error)).not.toContain('hunter2');
    }
  });
});
