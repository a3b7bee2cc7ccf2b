import { describe, expect, test } from 'vitest';
import {
  DEFAULT_VERSIONS,
  PROTOCOL_SSLv2,
  PROTOCOL_SSLv3,
  PROTOCOL_SSLv23,
  PROTOCOL_TLS,
  PROTOCOL_TLS_CLIENT,
  PROTOCOL_TLSv1,
  PROTOCOL_TLSv1_1,
  PROTOCOL_TLSv1_2,
  resolveSslVersion,
  resolveTlsVersion,
  TLSVersion,
  versionRange,
  versionsOf,
} from '../../src/tls/requirements.js';

describe('resolveSslVersion()', () => {
  test.each([
    [undefined, PROTOCOL_TLS],
    [null, PROTOCOL_TLS],
    ['TLS', PROTOCOL_TLS],
    ['PROTOCOL_TLS', PROTOCOL_TLS],
    ['SSLv23', PROTOCOL_SSLv23],
    ['PROTOCOL_SSLv23', PROTOCOL_TLS],
    ['TLS_CLIENT', PROTOCOL_TLS_CLIENT],
    ['TLSv1', PROTOCOL_TLSv1],
    ['PROTOCOL_TLSv1_1', PROTOCOL_TLSv1_1],
    ['TLSv1_2', PROTOCOL_TLSv1_2],
    ['SSLv2', PROTOCOL_SSLv2],
    ['PROTOCOL_SSLv3', PROTOCOL_SSLv3],
    [PROTOCOL_TLSv1_2, PROTOCOL_TLSv1_2],
    [PROTOCOL_SSLv2, PROTOCOL_SSLv2],
  ] as const)('gives for %j the constant %i', (candidate, wanted) => {
    expect(resolveSslVersion(candidate)).toBe(wanted);
  });

  test('refuses what is no protocol', () => {
    for (const slip of ['', 'tls', 'TLSv1.2', 'TLSv1_3', 6, -1, true, {}, []]) {
      expect(() => Reflect.apply(resolveSslVersion, undefined, [slip]), String(slip)).toThrow(TypeError);
    }
  });
});

test('versionsOf() gives one version for one, the default for TLS, and refuses SSL', () => {
  expect(versionsOf(PROTOCOL_TLS)).toBe(DEFAULT_VERSIONS);
  expect(versionsOf(PROTOCOL_TLS_CLIENT)).toEqual({ minimum: 'TLSv1.2', maximum: 'TLSv1.3' });
  expect(versionsOf(PROTOCOL_TLSv1)).toEqual({ minimum: 'TLSv1', maximum: 'TLSv1' });
  expect(versionsOf(PROTOCOL_TLSv1_1)).toEqual({ minimum: 'TLSv1.1', maximum: 'TLSv1.1' });
  expect(versionsOf(PROTOCOL_TLSv1_2)).toEqual({ minimum: 'TLSv1.2', maximum: 'TLSv1.2' });
  expect(() => versionsOf(PROTOCOL_SSLv2)).toThrow('Cannot use sslVersion "SSLv2"');
  expect(() => versionsOf(PROTOCOL_SSLv3)).toThrow('Cannot use sslVersion "SSLv3"');
});

test('resolveTlsVersion() takes names and the numbers of TLSVersion', () => {
  for (const name of ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']) expect(resolveTlsVersion('x', name)).toBe(name);
  expect(
    [
      TLSVersion.MINIMUM_SUPPORTED,
      TLSVersion.TLSv1,
      TLSVersion.TLSv1_1,
      TLSVersion.TLSv1_2,
      TLSVersion.TLSv1_3,
      TLSVersion.MAXIMUM_SUPPORTED,
    ].map((number) => resolveTlsVersion('x', number)),
  ).toEqual(['TLSv1', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3', 'TLSv1.3']);
  for (const slip of ['TLSv1_2', 'tlsv1.2', TLSVersion.SSLv3, 1.2, '', true, null]) {
    expect(() => resolveTlsVersion('sslMinimumVersion', slip)).toThrow('Cannot use sslMinimumVersion');
  }
});

test('versionRange() refuses a range in which there is nothing', () => {
  expect(versionRange('TLSv1.2', 'TLSv1.2')).toEqual({ minimum: 'TLSv1.2', maximum: 'TLSv1.2' });
  expect(() => versionRange('TLSv1.3', 'TLSv1.2')).toThrow(RangeError);
});
