/**
 * What the SSLError of each broken server of the lab says: in plain words, what is wrong with which certificate.
 *
 * The words are for people, so only what a person needs is looked for: which host, which certificate, since when, who
 * issued it, what was presented. Codes and verdicts are in verdicts.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { MaxRetryError, SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { watchHandles } from '../support/leaks.js';
import { type LabServer, SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());

async function errorOf(server: LabServer, options: ConnectionPoolKw = {}): Promise<SSLError> {
  await using http = new PoolManager({
    lookup: lab.lookup,
    retries: false,
    timeout: 10,
    caCerts: lab.root,
    ...options,
  });
  const error: unknown = await http.request('GET', server.url).catch((reason: unknown) => reason);
  if (!(error instanceof SSLError)) throw new Error('there was no SSLError', { cause: error });
  return error;
}

const SAYS: Partial<Record<SiteName, readonly RegExp[]>> = {
  expired: [/expired/, /2021-01-01/, /CN=expired\.lab\.test|"expired\.lab\.test"/],
  notYetValid: [/not (yet )?valid/, /2090-01-01/],
  // Not the server's own certificate is at fault, and that is said.
  expiredIntermediate: [/expired/, /2021-01-01/, /Lab intermediate of old/],
  selfSigned: [/self-signed/, /selfsigned\.lab\.test/],
  untrustedRoot: [/authority/, /trusted/, /Root that nobody trusts/],
  unknownIssuer: [/Root that nobody trusts/, /authority/],
  missingIntermediate: [/Lab intermediate/],
  forClients: [/not meant for servers/],
  sha1: [/sha-?1/i, /weak/],
  weakKey: [/key/, /weak|short|small/],
  wrongHost: [/"wronghost\.lab\.test"/, /elsewhere\.lab\.test/, /other\.lab\.test/],
  wildcardTooDeep: [/"a\.b\.wild\.lab\.test"/, /\*\.wild\.lab\.test/],
  commonNameOnly: [/"cnonly\.lab\.test"/, /subjectAltName|alternative name/i],
  ip4Other: [/127\.0\.0\.1/, /127\.0\.0\.2/],
  // The same text, but a name is no address.
  ip4AsDns: [/DNS name "127\.0\.0\.1"/, /not for (the address )?"127\.0\.0\.1"/],
  nulInName: [/"a\.lab\.test"/],
  tls10: [/version|TLS 1\.[02]/i],
};

describe('SSLError', () => {
  test.each(Object.keys(SAYS) as SiteName[])('of %s says what is wrong', async (name) => {
    const server = await lab.server(name);
    const error = await errorOf(server);
    for (const words of SAYS[name] ?? []) expect(error.message).toMatch(words);
    expect(error.message).toContain(SITES[name].host.replace(/[[\]]/g, ''));
  });

  test('has the code and the cause of TLS, in a MaxRetryError too when retries are on', async () => {
    const server = await lab.server('expired');
    const error = await errorOf(server);
    expect(error).toMatchObject({ code: 'CERT_HAS_EXPIRED', cause: { code: 'CERT_HAS_EXPIRED' } });
    await using http = new PoolManager({ lookup: lab.lookup, caCerts: lab.root, retries: 1 });
    const outer: unknown = await http.request('GET', server.url).catch((reason: unknown) => reason);
    expect(outer).toBeInstanceOf(MaxRetryError);
    expect(outer).toMatchObject({ code: 'CERT_HAS_EXPIRED', reason: expect.any(SSLError) });
    expect(String(outer)).toMatch(/expired/);
  });

  test('SEC-118 (CVE-2026-42507): is one line of bounded length, whatever a certificate holds', async () => {
    const names = ['\r\nforged: line', '\u001b[31mred', 'x'.repeat(2_000)].map(
      (value) => ({ type: 'dns', value }) as const,
    );
    const commonNames = ['\r\nforged\u001b[31m'];
    const servers = [
      { certificate: () => lab.authorities.root.issue({ names, commonNames }) },
      { certificate: () => lab.authorities.strangeRoot.issue({ names, commonNames }) },
      {
        certificate: async () =>
          (await lab.authorities.strangeRoot.issueAuthority('\r\nforged \u001b[31m issuer')).issue({
            names,
            commonNames,
          }),
        sends: 'leaf only',
      },
    ] as const;
    for (const odd of servers) {
      const server = await lab.start({ host: 'odd.lab.test', ...odd });
      const { message } = await errorOf(server);
      expect(message).not.toMatch(/[\0-\u001f\u007f]/);
      expect(message.length).toBeLessThan(4_096);
    }
  });

  test('of a pin says the one that was presented, for whoever has to renew it', async () => {
    const server = await lab.server('good');
    const error = await errorOf(server, { assertFingerprint: '00'.repeat(32) });
    expect(error.message).toMatch(/fingerprint/i);
    expect(error.message.replaceAll(':', '').toLowerCase()).toContain(server.certificate.fingerprint('sha256'));
  });

  test('of assertHostname and serverHostname names them, not the host', async () => {
    const server = await lab.server('good');
    for (const options of [{ assertHostname: 'other.lab.test' }, { serverHostname: 'other.lab.test' }]) {
      const { message } = await errorOf(server, options);
      expect(message).toContain('"other.lab.test"');
      expect(message).toContain('good.lab.test');
    }
  });
});
