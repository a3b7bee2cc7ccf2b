/** Security cases of verification: what switches which check off, who is trusted, and that nothing is sent before. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { HTTPError, SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { openSockets, watchHandles } from '../support/leaks.js';
import { type LabServer, SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
let emitted: MockInstance;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => {
  emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => void vi.restoreAllMocks());

function warnings(): string[] {
  return emitted.mock.calls.map(([warning]) => (warning instanceof Error ? warning.name : String(warning)));
}

function managerOf(options: ConnectionPoolKw = {}): PoolManager {
  return new PoolManager({ lookup: lab.lookup, retries: false, timeout: 10, ...options });
}

/** 200, or the error: from the request, or from making the manager. */
async function outcomeOf(server: LabServer, options: ConnectionPoolKw): Promise<unknown> {
  try {
    await using http = managerOf(options);
    return (await http.request('GET', server.url)).status;
  } catch (error) {
    return error;
  }
}

describe('SEC-061 (CVE-2014-9365, CVE-2021-22939, CVE-2016-9015)', () => {
  test.each<[string, SiteName, () => ConnectionPoolKw]>([
    ['the name, not the chain', 'unknownIssuer', () => ({ assertHostname: false })],
    ['the name, not the chain', 'expired', () => ({ assertHostname: false, caCerts: lab.root })],
    ['the name, not the chain', 'selfSigned', () => ({ assertHostname: 'selfsigned.lab.test' })],
    ['nothing: another name to check', 'unknownIssuer', () => ({ serverHostname: 'unknown.lab.test' })],
    ['nothing: roots of one’s own', 'wrongHost', () => ({ caCerts: lab.root })],
    ['nothing: CERT_OPTIONAL', 'wrongHost', () => ({ caCerts: lab.root, certReqs: 'CERT_OPTIONAL' })],
    ['nothing: CERT_OPTIONAL', 'unknownIssuer', () => ({ certReqs: 'CERT_OPTIONAL' })],
    ['nothing: a context', 'unknownIssuer', () => ({ sslContext: createUrllib3Context() })],
    ['nothing: a context with roots', 'wrongHost', () => ({ sslContext: createUrllib3Context(), caCerts: lab.root })],
    ['nothing: a pin that is null', 'wrongHost', () => ({ caCerts: lab.root, assertFingerprint: null })],
    ['nothing: a name that is null', 'wrongHost', () => ({ caCerts: lab.root, assertHostname: null })],
    ['nothing: a name that is undefined', 'wrongHost', () => ({ caCerts: lab.root, assertHostname: undefined })],
  ])('what switches off %s (%s)', async (_what, name, options) => {
    expect(await outcomeOf(await lab.server(name), options())).toBeInstanceOf(SSLError);
    expect(warnings()).toEqual([]);
  });

  test.each([
    { assertHostname: '' },
    { assertHostname: 0 },
    { assertHostname: true },
    { assertHostname: [] },
    { assertFingerprint: '' },
    { assertFingerprint: false },
    { assertFingerprint: 0 },
    { certReqs: '' },
    { certReqs: 'required' },
    { certReqs: 'none' },
    { certReqs: 3 },
    { certReqs: false },
    { caCerts: '' },
    { caCerts: [] },
    { caCerts: false },
    { caCertDir: '' },
    { serverHostname: '' },
    { sslContext: false },
    { sslContext: {} },
  ])('a value that is none, such as %j, never means "off": it is refused', async (options) => {
    const server = await lab.server('wrongHost');
    // Callers without types give anything.
    const given = { caCerts: lab.root, ...options } as ConnectionPoolKw;
    const outcome = await outcomeOf(server, given);
    expect(outcome instanceof TypeError || outcome instanceof HTTPError, String(outcome)).toBe(true);
    expect(warnings()).toEqual([]);
  });

  test('every connection that is not verified warns, and only such', async () => {
    const [good, selfSigned] = [await lab.server('good'), await lab.server('selfSigned')];
    {
      await using http = managerOf({ certReqs: 'CERT_NONE' });
      for (let count = 1; count <= 3; count++) {
        expect((await http.request('GET', selfSigned.url, { headers: { Connection: 'close' } })).status).toBe(200);
        expect(warnings()).toEqual(Array(count).fill('InsecureRequestWarning'));
      }
    }
    emitted.mockClear();
    for (const options of [
      { caCerts: lab.root },
      { caCerts: lab.root, assertHostname: false as const },
      // A pin is a verification, as in urllib3 2.x.
      { certReqs: 'CERT_NONE', assertFingerprint: good.certificate.fingerprint('sha256') } as const,
    ]) {
      expect(await outcomeOf(good, options)).toBe(200);
    }
    expect(warnings()).toEqual([]);
  });
});

describe('SEC-062 (CVE-2013-2037, CVE-2022-32210): nothing of a request is sent before the server is verified', () => {
  const CASES: readonly [SiteName, () => ConnectionPoolKw][] = [
    ['wrongHost', () => ({ caCerts: lab.root })],
    ['expired', () => ({ caCerts: lab.root })],
    ['untrustedRoot', () => ({ caCerts: lab.root })],
    ['ip4Other', () => ({ caCerts: lab.root })],
    ['good', () => ({})],
    ['good', () => ({ caCerts: lab.root, assertHostname: 'other.lab.test' })],
    ['good', () => ({ caCerts: lab.root, serverHostname: 'other.lab.test' })],
    ['good', () => ({ caCerts: lab.root, assertFingerprint: '00'.repeat(32) })],
    ['good', () => ({ certReqs: 'CERT_NONE', assertFingerprint: '00'.repeat(32) })],
  ];

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', async (maxVersion) => {
    for (const [name, options] of CASES) {
      const server = await lab.start(SITES[name], { maxVersion });
      await using http = managerOf(options());
      const request = http.request('POST', server.url, {
        headers: { Authorization: 'Basic c2VjcmV0' },
        body: 'secret',
      });
      await expect(request, name).rejects.toThrow(SSLError);
      expect(openSockets()).toEqual([]);
      for (const connection of server.connections) await connection.closed;
      expect(server.connections.map(({ received }) => received).join('')).toBe('');
    }
  });
});

describe('SEC-065 (CVE-2019-11324, CVE-2026-11564): authorities of one’s own replace all others', () => {
  test('those that Node is given by NODE_EXTRA_CA_CERTS are trusted by default, and not beside caCerts or caCertDir', async () => {
    const server = await lab.server('good');
    const other = lab.file('other.pem', lab.authorities.strangeRoot.pem);
    lab.file('strange/other.pem', lab.authorities.strangeRoot.pem);
    const child = `
      const { PoolManager, createUrllib3Context } = await import('./src/index.js').then(async (all) => ({
        ...all, ...(await import('./src/util/ssl_.js')) }));
      const lookup = (_host, _options, callback) => callback(null, ['127.0.0.1']);
      const outcomes = {};
      for (const [name, options] of Object.entries({
        byDefault: {},
        caCerts: { caCerts: process.env.OTHER },
        pem: { caCerts: (await import('node:fs')).readFileSync(process.env.OTHER, 'latin1') },
        caCertDir: { caCertDir: process.env.OTHER_DIR },
        both: { caCerts: process.env.OTHER, caCertDir: process.env.OTHER_DIR },
        context: { sslContext: createUrllib3Context(), caCerts: process.env.OTHER },
      })) {
        const http = new PoolManager({ lookup, retries: false, ...options });
        outcomes[name] = await http.request('GET', process.env.URL_).then((r) => r.status, (e) => e.code);
        http.clear();
      }
      process.stdout.write(JSON.stringify(outcomes));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', child],
      {
        timeout: 15_000,
        env: {
          ...process.env,
          NODE_EXTRA_CA_CERTS: lab.file('extra.pem', lab.root),
          OTHER: other,
          OTHER_DIR: path.join(lab.folder, 'strange'),
          URL_: server.url,
        },
      },
    );
    const refused = 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY';
    expect(JSON.parse(stdout)).toEqual({
      byDefault: 200,
      caCerts: refused,
      pem: refused,
      caCertDir: refused,
      both: refused,
      context: refused,
    });
  });

  test.each<[string, () => ConnectionPoolKw]>([
    ['caCerts that is not there', () => ({ caCerts: '/nonexistent/roots.pem' })],
    ['caCerts that is a folder', () => ({ caCerts: lab.folder })],
    ['caCerts that is empty', () => ({ caCerts: lab.file('empty.pem', '') })],
    ['caCerts with anything in it', () => ({ caCerts: lab.file('garbage.pem', 'no certificates here') })],
    ['caCerts with a key', () => ({ caCerts: lab.authorities.root.key })],
    ['caCerts, one of them damaged', () => ({ caCerts: lab.root + lab.root.replace(/\n.{20}/, '\n!!!!') })],
    ['caCerts, one of them cut', () => ({ caCerts: lab.root + lab.root.slice(0, 200) })],
    ['caCerts in a list, one of them damaged', () => ({ caCerts: [lab.root, lab.root.replace(/\n.{20}/, '\n!!!!')] })],
    ['caCerts in a list, one of them not there', () => ({ caCerts: [lab.root, '/nonexistent/roots.pem'] })],
    ['caCertDir that is not there', () => ({ caCertDir: '/nonexistent' })],
    ['caCertDir that is a file', () => ({ caCertDir: lab.file('file.pem', lab.root) })],
    ['caCertDir that is empty', () => ({ caCertDir: path.dirname(lab.file('void/sub/x', '')) })],
    ['caCertDir with no certificate in it', () => ({ caCertDir: path.dirname(lab.file('rubbish/x.pem', 'rubbish')) })],
    ['good caCerts beside a caCertDir that is not there', () => ({ caCerts: lab.root, caCertDir: '/nonexistent' })],
  ])('%s raises SSLError that says so, before anything is sent', (_name, options) => {
    const given = options();
    expect(() => managerOf(given)).toThrow(SSLError);
    expect(() => managerOf(given)).toThrow(/caCert(s|Dir)/);
  });

  test('a list of revoked certificates and a text are passed over in caCertDir', async () => {
    const caCertDir = lab.plainFolder();
    lab.file('plain/README', 'Put authorities here');
    lab.file('plain/revoked.r0', '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n');
    expect(await outcomeOf(await lab.server('good'), { caCertDir })).toBe(200);
  });

  test('pools made with other authorities from one manager are held to them, in both orders', async () => {
    const server = await lab.server('good');
    const other = { caCerts: lab.authorities.strangeRoot.pem };
    const orders: readonly (readonly ConnectionPoolKw[])[] = [
      [{ caCerts: lab.root }, other, {}],
      [{}, other, { caCerts: lab.root }],
    ];
    for (const order of orders) {
      await using http = managerOf();
      const outcomes = new Map<unknown, unknown>();
      for (const poolKwargs of [...order, ...order]) {
        const pool = http.connectionFromUrl(server.url, { poolKwargs });
        const outcome = await pool.request('GET', '/').then(
          ({ status }) => status,
          (error: unknown) => error instanceof SSLError,
        );
        outcomes.set(poolKwargs.caCerts, outcome);
      }
      expect([...outcomes].sort()).toEqual(
        [
          [lab.root, 200],
          [other.caCerts, true],
          [undefined, true],
        ].sort(),
      );
    }
  });
});

describe('SEC-071 (CVE-2025-5025, CVE-2025-13034, CVE-2026-80230): pins', () => {
  test('hold whatever else is checked or not, and a prefix or a neighbour is no match', async () => {
    const server = await lab.start({
      host: 'pinned.lab.test',
      certificate: ({ root }) => root.issue({ names: ['pinned.lab.test'] }),
    });
    for (const algorithm of ['sha256', 'sha1', 'md5'] as const) {
      const right = server.certificate.fingerprint(algorithm);
      const last = right.endsWith('0') ? '1' : '0';
      const first = right.startsWith('0') ? '1' : '0';
      const wrong = [right.slice(0, -1) + last, first + right.slice(1), '0'.repeat(right.length)];
      for (const options of [
        { caCerts: lab.root },
        { caCerts: lab.root, assertHostname: false as const },
        { certReqs: 'CERT_NONE' as const },
      ]) {
        const spellings = [right, right.toUpperCase(), right.replace(/(..)(?=.)/g, '$1:')];
        for (const pin of spellings) expect(await outcomeOf(server, { ...options, assertFingerprint: pin })).toBe(200);
        const before = server.connections.length;
        for (const pin of wrong) {
          const outcome = await outcomeOf(server, { ...options, assertFingerprint: pin });
          expect(outcome).toBeInstanceOf(SSLError);
          expect(String(outcome)).toMatch(/fingerprint/i);
        }
        const sent = server.connections.slice(before).map(({ received }) => received);
        expect(sent.join('')).toBe('');
      }
    }
  });

  test('of the authority or of the key are no pins of the certificate', async () => {
    const server = await lab.server('good');
    for (const assertFingerprint of [
      lab.authorities.root.fingerprint('sha256'),
      lab.authorities.intermediate.fingerprint('sha256'),
    ]) {
      expect(await outcomeOf(server, { caCerts: lab.root, assertFingerprint })).toBeInstanceOf(SSLError);
    }
  });

  test.each([
    'a',
    '00'.repeat(15),
    '00'.repeat(17),
    '00'.repeat(19),
    '00'.repeat(33),
    '00'.repeat(48),
    'zz'.repeat(32),
    ':',
  ])('that no digest has (%s) are refused before anything is sent', async (assertFingerprint) => {
    const server = await lab.server('good');
    const before = server.connections.length;
    const outcome = await outcomeOf(server, { certReqs: 'CERT_NONE', assertFingerprint });
    expect(outcome instanceof TypeError || outcome instanceof SSLError, String(outcome)).toBe(true);
    expect(String(outcome)).toMatch(/fingerprint/i);
    expect(
      server.connections
        .slice(before)
        .map(({ received }) => received)
        .join(''),
    ).toBe('');
  });
});
