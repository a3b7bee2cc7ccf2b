import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { assertFingerprint } from '../../src/tls/fingerprint.js';

const certificate = Buffer.from('any bytes: a fingerprint is of bytes');
const hex = (algorithm: string) => createHash(algorithm).update(certificate).digest('hex');
const colons = (text: string) => (text.match(/../g) ?? []).join(':');

describe('assertFingerprint()', () => {
  test.each(['md5', 'sha1', 'sha256'])(
    'takes %s by its length, in either case, with and without colons',
    (algorithm) => {
      for (const text of [hex(algorithm), hex(algorithm).toUpperCase(), colons(hex(algorithm))]) {
        expect(() => assertFingerprint(certificate, text)).not.toThrow();
        expect(() => assertFingerprint(new Uint8Array(certificate), text)).not.toThrow();
      }
    },
  );

  test('SEC-071 (CVE-2025-5025): one digit makes a difference, wherever it stands', () => {
    for (const algorithm of ['md5', 'sha1', 'sha256']) {
      const text = hex(algorithm);
      for (let at = 0; at < text.length; at++) {
        const other = `${text.slice(0, at)}${text[at] === '0' ? '1' : '0'}${text.slice(at + 1)}`;
        expect(() => assertFingerprint(certificate, other)).toThrow(SSLError);
      }
      const message = `Fingerprints did not match. Expected "${'0'.repeat(text.length)}", got "${text}"`;
      expect(() => assertFingerprint(certificate, '0'.repeat(text.length))).toThrow(message);
    }
  });

  test('SEC-071: a text of another length, or of other letters, is refused and not shortened or filled up', () => {
    const sha256 = hex('sha256');
    for (const text of ['', ':', 'a', sha256.slice(2), `${sha256}00`, hex('sha512'), hex('sha384')]) {
      expect(() => assertFingerprint(certificate, text)).toThrow('Fingerprint of invalid length');
    }
    for (const text of [
      'z'.repeat(64),
      `${sha256.slice(1)} `,
      `${sha256.slice(2)}\u0660\u0660`,
      `0x${sha256.slice(2)}`,
    ]) {
      expect(() => assertFingerprint(certificate, text)).toThrow('Fingerprint is not hexadecimal');
    }
  });

  test('raises SSLError for a peer without certificate, and TypeError for what is neither bytes nor text', () => {
    expect(() => assertFingerprint(null, hex('sha256'))).toThrow(new SSLError('No certificate for the peer.'));
    expect(() => Reflect.apply(assertFingerprint, undefined, ['text', hex('sha256')])).toThrow(
      'Cannot use certificate "text"',
    );
    expect(() => Reflect.apply(assertFingerprint, undefined, [certificate, 5])).toThrow('Cannot use fingerprint 5');
  });
});
