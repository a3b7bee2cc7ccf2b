/** SEC-120 and SEC-121 for TLS: a connection made under one configuration never serves another. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { TLS_OPTION_NAMES, type TlsOptions } from '../../src/tls/options.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { watchHandles } from '../support/leaks.js';
import type { Certificate } from '../support/tls-certificates.js';
import { type LabServer, SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
let server: LabServer;
let client: Certificate;
let other: Certificate;
beforeAll(async () => {
  lab = await tlsLab();
  const { root } = lab.authorities;
  server = await lab.start(SITES.good, { requestCert: true, rejectUnauthorized: false });
  client = await root.issue({ commonNames: ['Client'], usage: 'client' });
  other = await root.issue({ commonNames: ['Other'], usage: 'client' });
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

function managerOf(options: ConnectionPoolKw = {}): PoolManager {
  return new PoolManager({ lookup: lab.lookup, retries: false, timeout: 10, caCerts: lab.root, ...options });
}

type Pair = readonly [one: TlsOptions, other: TlsOptions];

/**
 * Values of each option, all good for the same server, with whatever else they need; the option's absence is one of them
 * where it is good too. The compiler demands a row.
 */
const VALUES: { readonly [K in keyof Required<TlsOptions>]: () => readonly TlsOptions[] } = {
  certReqs: () => [{}, { certReqs: 'CERT_REQUIRED' }, { certReqs: 'CERT_NONE' }],
  caCerts: () => [{ caCerts: lab.root }, { caCerts: [lab.root, lab.authorities.strangeRoot.pem] }],
  caCertDir: () => [
    {},
    { caCertDir: lab.plainFolder() },
    { caCertDir: lab.hashedFolder() },
    { caCerts: null, caCertDir: lab.hashedFolder() },
  ],
  certFile: () => [{}, { certFile: bundle('one', client) }, { certFile: bundle('two', other) }],
  keyFile: () => {
    const certFile = bundle('one', client);
    return [
      { certFile, keyFile: certFile },
      { certFile, keyFile: lab.file('one.key', client.key) },
    ];
  },
  keyPassword: () => {
    const keyFile = lab.file('enc.key', client.encryptedKey('secret'));
    const certFile = bundle('one', client);
    return [
      { certFile, keyFile, keyPassword: 'secret' },
      { certFile, keyFile, keyPassword: Buffer.from('secret') },
    ];
  },
  pfx: () => [
    {},
    { pfx: client.pfx('secret'), keyPassword: 'secret' },
    { pfx: other.pfx('secret'), keyPassword: 'secret' },
  ],
  sslVersion: () => [{}, { sslVersion: 'PROTOCOL_TLS' }, { sslVersion: 'PROTOCOL_TLSv1_2' }],
  sslMinimumVersion: () => [{}, { sslMinimumVersion: 'TLSv1.2' }, { sslMinimumVersion: 'TLSv1.3' }],
  sslMaximumVersion: () => [{}, { sslMaximumVersion: 'TLSv1.2' }, { sslMaximumVersion: 'TLSv1.3' }],
  ciphers: () => [{}, { ciphers: 'TLS_AES_128_GCM_SHA256' }, { ciphers: 'TLS_AES_256_GCM_SHA384' }],
  assertHostname: () => [{}, { assertHostname: false }, { assertHostname: 'good.lab.test' }],
  assertFingerprint: () => [
    {},
    { assertFingerprint: server.certificate.fingerprint('sha256') },
    { assertFingerprint: server.certificate.fingerprint('sha1') },
  ],
  serverHostname: () => [{}, { serverHostname: 'good.lab.test' }, { serverHostname: 'good.lab.test.' }],
  sslContext: () => [{}, { sslContext: context() }, { sslContext: context() }],
  alpnProtocols: () => [{}, { alpnProtocols: ['http/1.1'] }, { alpnProtocols: [] }],
  keylogFile: () => [{}, { keylogFile: lab.file('a.log', '') }, { keylogFile: lab.file('b.log', '') }],
};

function bundle(name: string, { chain, key }: Certificate): string {
  return lab.file(`${name}.pem`, chain + key);
}

function context() {
  const made = createUrllib3Context();
  made.loadVerifyLocations({ caData: lab.root });
  return made;
}

async function request(http: PoolManager, url: string, poolKwargs: TlsOptions) {
  const pool = http.connectionFromUrl(url, { poolKwargs: { ...http.connectionPoolKw, ...poolKwargs } });
  return await pool.request('GET', '/');
}

describe('SEC-120 (CVE-2024-35195, CVE-2016-5420, CVE-2021-22924, CVE-2022-27782, CVE-2026-56850): every TLS option keeps connections apart', () => {
  test('there is a row for every option', () => {
    expect(Object.keys(VALUES).sort()).toEqual([...TLS_OPTION_NAMES].sort());
  });

  test.each(Object.keys(VALUES) as (keyof typeof VALUES)[])('%s, each value after each other', async (name) => {
    const values = VALUES[name]();
    for (const [index, first] of values.entries()) {
      for (const second of values.toSpliced(index, 1)) {
        await using http = managerOf();
        const before = server.connections.length;
        for (const options of [first, second, first, second]) {
          expect((await request(http, server.url, options)).status).toBe(200);
        }
        // Each of the two is used again by its like, and by nothing else.
        const counts = server.connections.slice(before).map(({ received }) => received.split('\r\n\r\n').length - 1);
        expect(counts).toEqual([2, 2]);
      }
    }
  });

  test.each<[keyof TlsOptions, SiteName, () => Pair]>([
    ['certReqs', 'selfSigned', () => [{ certReqs: 'CERT_NONE' }, { certReqs: 'CERT_REQUIRED' }]],
    ['caCerts', 'good', () => [{ caCerts: lab.root }, { caCerts: lab.authorities.strangeRoot.pem }]],
    ['caCerts', 'good', () => [{ caCerts: lab.root }, { caCerts: null }]],
    ['assertHostname', 'wrongHost', () => [{ assertHostname: false }, {}]],
    [
      'assertHostname',
      'wrongHost',
      () => [{ assertHostname: 'elsewhere.lab.test' }, { assertHostname: 'wronghost.lab.test' }],
    ],
    ['serverHostname', 'wrongHost', () => [{ serverHostname: 'elsewhere.lab.test' }, {}]],
    ['assertFingerprint', 'good', () => [{}, { assertFingerprint: '00'.repeat(32) }]],
    ['sslMinimumVersion', 'tls12', () => [{}, { sslMinimumVersion: 'TLSv1.3' }]],
    ['sslMaximumVersion', 'tls13', () => [{}, { sslMaximumVersion: 'TLSv1.2' }]],
    ['sslVersion', 'tls13', () => [{}, { sslVersion: 'TLSv1_2' }]],
    ['ciphers', 'tls12', () => [{}, { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256', sslMaximumVersion: 'TLSv1.2' }]],
    ['sslContext', 'good', () => [{}, { sslContext: createUrllib3Context(), caCerts: null }]],
  ])(
    '%s (%s): what the lax request may use is not there for the strict one, in both orders',
    async (_name, site, pair) => {
      const lenient = await lab.server(site);
      const [lax, strict] = pair();
      for (const order of [
        [lax, strict, lax, strict],
        [strict, lax, strict, lax],
      ]) {
        await using http = managerOf();
        for (const options of order) {
          const asked = request(http, lenient.url, options);
          if (options === lax) expect((await asked).status).toBe(200);
          else await expect(asked).rejects.toThrow(SSLError);
        }
      }
    },
  );

  test('a request whose manager is strict is never served by a pool that was made lax', async () => {
    const selfSigned = await lab.start(SITES.selfSigned);
    await using http = managerOf();
    await request(http, selfSigned.url, { certReqs: 'CERT_NONE' });
    await expect(http.request('GET', selfSigned.url)).rejects.toThrow(SSLError);
    expect(selfSigned.connections.at(0)?.received.split('\r\n\r\n')).toHaveLength(2);
  });
});

describe('SEC-121 (CVE-2026-56850, CVE-2016-8616, CVE-2021-22924): TLS values collide only where they are the same', () => {
  const poolOf = (http: PoolManager, poolKwargs: TlsOptions) =>
    http.connectionFromUrl('https://a.lab.test', { poolKwargs });

  test.each<[string, () => Pair]>([
    [
      'the bytes of a pfx',
      () => [
        { pfx: client.pfx('secret'), keyPassword: 'secret' },
        { pfx: client.pfx('secret'), keyPassword: 'secret' },
      ],
    ],
    [
      'the order of caCerts',
      () => [
        { caCerts: [lab.root, lab.authorities.strangeRoot.pem] },
        { caCerts: [lab.authorities.strangeRoot.pem, lab.root] },
      ],
    ],
    ['a list and its text', () => [{ caCerts: lab.root }, { caCerts: [lab.root] }]],
    [
      'letter case of a path',
      () => [{ caCerts: lab.file('ca.pem', lab.root) }, { caCerts: lab.file('CA.pem', lab.root) }],
    ],
    ['contexts that say the same', () => [{ sslContext: context() }, { sslContext: context() }]],
    ['false, and a name', () => [{ assertHostname: false }, { assertHostname: 'false' }]],
    ['false, and null', () => [{ assertHostname: false }, { assertHostname: null }]],
  ])('%s makes a difference', (_name, pair) => {
    const http = managerOf();
    const [one, two] = pair();
    expect(poolOf(http, one)).not.toBe(poolOf(http, two));
    expect(poolOf(http, one)).toBe(poolOf(http, one));
  });

  test('bytes with the same content, and lists with the same members, make none', () => {
    const http = managerOf();
    const pfx = client.pfx('secret');
    expect(poolOf(http, { pfx, keyPassword: 'secret' })).toBe(
      poolOf(http, { pfx: Buffer.from(pfx), keyPassword: 'secret' }),
    );
    expect(poolOf(http, { caCerts: [lab.root] })).toBe(poolOf(http, { caCerts: [lab.root] }));
  });

  test('a file that changes under its name changes nothing of the pools that have read it', async () => {
    const caCerts = lab.file('changing.pem', lab.root);
    await using http = managerOf({ caCerts });
    expect((await http.request('GET', server.url)).status).toBe(200);
    lab.file('changing.pem', lab.authorities.strangeRoot.pem);
    expect((await http.request('GET', server.url, { headers: { Connection: 'close' } })).status).toBe(200);
    expect((await http.request('GET', server.url)).status).toBe(200);
  });
});
