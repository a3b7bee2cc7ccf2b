import { describe, expect, test } from 'vitest';
import * as util from '../../src/util/index.js';
import * as ssl from '../../src/util/ssl_.js';
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, resolveCertReqs } from '../../src/util/ssl_.js';

describe('resolveCertReqs()', () => {
  test.each([
    [undefined, CERT_REQUIRED],
    [null, CERT_REQUIRED],
    [CERT_NONE, CERT_NONE],
    [CERT_OPTIONAL, CERT_OPTIONAL],
    [CERT_REQUIRED, CERT_REQUIRED],
    ['CERT_NONE', CERT_NONE],
    ['CERT_OPTIONAL', CERT_OPTIONAL],
    ['CERT_REQUIRED', CERT_REQUIRED],
    ['NONE', CERT_NONE],
    ['OPTIONAL', CERT_OPTIONAL],
    ['REQUIRED', CERT_REQUIRED],
  ] as const)('gives for %j the constant %i', (candidate, wanted) => {
    expect(resolveCertReqs(candidate)).toBe(wanted);
  });

  test('SEC-061 (CVE-2021-22939): refuses what is no requirement, so that a slip never switches verification off', () => {
    for (const slip of [
      '',
      'none',
      'required',
      'cert_none',
      'CERT_NON',
      '0',
      3,
      -0.5,
      Number.NaN,
      false,
      true,
      {},
      [],
    ]) {
      expect(() => Reflect.apply(resolveCertReqs, undefined, [slip]), String(slip)).toThrow(TypeError);
    }
    expect(() => Reflect.apply(resolveCertReqs, undefined, ['none'])).toThrow('Cannot use certReqs "none"');
  });
});

test('ssl_ offers the names of the reference, and urllib3/util does too', () => {
  for (const name of [
    'SSLContext',
    'assertFingerprint',
    'createUrllib3Context',
    'isIpaddress',
    'resolveCertReqs',
    'resolveSslVersion',
    'sslWrapSocket',
  ]) {
    expect(ssl, name).toHaveProperty(name, expect.any(Function));
    expect(Reflect.get(util, name), name).toBe(Reflect.get(ssl, name));
  }
  for (const name of ['CERT_NONE', 'PROTOCOL_TLS', 'PROTOCOL_SSLv23', 'PROTOCOL_TLSv1_2', 'OP_NO_COMPRESSION']) {
    expect(ssl, name).toHaveProperty(name, expect.any(Number));
    expect(Reflect.get(util, name), name).toBe(Reflect.get(ssl, name));
  }
});
