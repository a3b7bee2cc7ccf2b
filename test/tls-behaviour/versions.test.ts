/** Which version of TLS and which cipher is spoken with which server, as the options say. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { createUrllib3Context, PROTOCOL_TLSv1_2, resolveSslVersion } from '../../src/util/ssl_.js';
import { watchHandles } from '../support/leaks.js';
import type { Seen, SiteName, TlsLab } from '../support/tls-lab.js';
import { tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());

const VERSIONS = ['tls10', 'tls11', 'tls12', 'tls13'] as const satisfies SiteName[];

async function spokenWith(name: SiteName, options: ConnectionPoolKw): Promise<Seen | 'refused'> {
  const server = await lab.server(name);
  await using http = new PoolManager({
    lookup: lab.lookup,
    retries: false,
    timeout: 10,
    caCerts: lab.root,
    ...options,
  });
  try {
    // The lab's servers answer with this.
    return (await (await http.request('GET', server.url)).json()) as Seen;
  } catch (error) {
    if (error instanceof SSLError) return 'refused';
    throw error;
  }
}

/** OpenSSL 3 has no TLS 1.1 and older at its usual level of security. */
const ANCIENT = { ciphers: 'DEFAULT@SECLEVEL=0' };

test.each<[string, () => ConnectionPoolKw, readonly string[]]>([
  ['by default', () => ({}), ['TLSv1.2', 'TLSv1.3']],
  ['sslMinimumVersion 1.3', () => ({ sslMinimumVersion: 'TLSv1.3' }), ['TLSv1.3']],
  ['sslMinimumVersion 1.2', () => ({ sslMinimumVersion: 'TLSv1.2' }), ['TLSv1.2', 'TLSv1.3']],
  ['sslMaximumVersion 1.2', () => ({ sslMaximumVersion: 'TLSv1.2' }), ['TLSv1.2']],
  ['sslMaximumVersion 1.3', () => ({ sslMaximumVersion: 'TLSv1.3' }), ['TLSv1.2', 'TLSv1.3']],
  ['both 1.2', () => ({ sslMinimumVersion: 'TLSv1.2', sslMaximumVersion: 'TLSv1.2' }), ['TLSv1.2']],
  ['sslMinimumVersion 1.1', () => ({ sslMinimumVersion: 'TLSv1.1', ...ANCIENT }), ['TLSv1.1', 'TLSv1.2', 'TLSv1.3']],
  [
    'sslMinimumVersion 1.0 to 1.1',
    () => ({ sslMinimumVersion: 'TLSv1', sslMaximumVersion: 'TLSv1.1', ...ANCIENT }),
    ['TLSv1', 'TLSv1.1'],
  ],
  ['sslVersion by name', () => ({ sslVersion: 'PROTOCOL_TLSv1_2' }), ['TLSv1.2']],
  ['sslVersion by short name', () => ({ sslVersion: 'TLSv1_2' }), ['TLSv1.2']],
  ['sslVersion as constant', () => ({ sslVersion: PROTOCOL_TLSv1_2 }), ['TLSv1.2']],
  ['sslVersion resolved', () => ({ sslVersion: resolveSslVersion('TLSv1_2') }), ['TLSv1.2']],
  ['sslVersion PROTOCOL_TLS', () => ({ sslVersion: 'PROTOCOL_TLS' }), ['TLSv1.2', 'TLSv1.3']],
  ['sslVersion 1.0', () => ({ sslVersion: 'PROTOCOL_TLSv1', ...ANCIENT }), ['TLSv1']],
  [
    'an sslContext with a minimum',
    () => {
      const context = createUrllib3Context({ sslMinimumVersion: 'TLSv1.3' });
      context.loadVerifyLocations({ caData: lab.root });
      return { sslContext: context, caCerts: null };
    },
    ['TLSv1.3'],
  ],
])('SEC-072 (CVE-2011-3389): %s', async (_name, options, want) => {
  const spoken = await Promise.all(VERSIONS.map((name) => spokenWith(name, options())));
  expect(spoken.flatMap((seen) => (seen === 'refused' ? [] : [seen.protocol]))).toEqual(want);
});

describe('ciphers', () => {
  test('are those that were given', async () => {
    const [rsa, tls12] = ['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-CHACHA20-POLY1305'];
    for (const ciphers of [rsa, tls12]) {
      const seen = await spokenWith('tls12', { ciphers });
      expect(seen).toMatchObject({ protocol: 'TLSv1.2', cipher: ciphers });
    }
    const modern = await spokenWith('tls13', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' });
    expect(modern).toMatchObject({ cipher: 'TLS_CHACHA20_POLY1305_SHA256' });
  });

  test('of TLS 1.3 alone mean TLS 1.3 alone', async () => {
    const ciphers = 'TLS_AES_128_GCM_SHA256';
    expect(await spokenWith('tls12', { ciphers })).toBe('refused');
    expect(await spokenWith('tls13', { ciphers })).toMatchObject({ cipher: 'TLS_AES_128_GCM_SHA256' });
    expect(() => new PoolManager({ ciphers, sslMaximumVersion: 'TLSv1.2' })).toThrow(/ciphers.*TLS 1\.3/);
  });

  test('that nobody has are refused before anything is sent', () => {
    for (const ciphers of ['NO-SUCH-CIPHER', '', '@SECLEVEL=1', ':']) {
      expect(() => new PoolManager({ ciphers })).toThrow(/ciphers/);
    }
  });

  test('that the server has not end with an SSLError', async () => {
    const ciphers = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    expect(await spokenWith('tls12', { ciphers })).toBe('refused');
  });
});

test.each([
  { sslMinimumVersion: 'TLSv1.3', sslMaximumVersion: 'TLSv1.2' },
  { sslMinimumVersion: 'TLSv1.4' },
  { sslMaximumVersion: 'SSLv3' },
  { sslVersion: 'TLS' + 'v9' },
  { sslVersion: 'PROTOCOL_SSLv2' },
  { sslMinimumVersion: 1.2 },
])('%j is refused before anything is sent', (options) => {
  // Callers without types give anything.
  const given = options as ConnectionPoolKw;
  expect(() => new PoolManager(given)).toThrow(/^Cannot use (TLS|SSL|ssl(Version|MinimumVersion|MaximumVersion)) /);
});
