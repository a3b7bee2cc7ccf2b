/** The verdicts on the servers of the lab are those of curl, but where we are stricter on purpose. */
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';
import { curl } from './curl.js';
import { describeWith } from './servers/program.js';

/** curl takes the common name where there is no alternative name of a DNS name or address; RFC 9525 does not any more. */
const STRICTER: ReadonlySet<SiteName> = new Set([
  'commonNameOnly',
  'commonNameWithUri',
  'commonNameWithMail',
  'commonNameTwiceReversed',
  'ip4AsCommonName',
  'ip4AsUri',
]);

/** curl: could not agree on a handshake; the certificate is not to be trusted. */
const [SSL_CONNECT_ERROR, PEER_FAILED_VERIFICATION] = [35, 60];

describeWith(['curl'], 'curl', () => {
  let lab: TlsLab;
  beforeAll(async () => {
    lab = await tlsLab();
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  async function ours(name: SiteName, caCerts: string | null): Promise<boolean> {
    const server = await lab.server(name);
    await using http = new PoolManager({ lookup: lab.lookup, retries: false, timeout: 10, caCerts });
    try {
      return (await http.request('GET', server.url)).status === 200;
    } catch (error) {
      if (error instanceof SSLError) return false;
      throw error;
    }
  }

  async function theirs(name: SiteName, args: readonly string[]): Promise<boolean> {
    const { url, port, host } = await lab.server(name);
    // As curl is not told of other hosts, each name is resolved for it; an address it takes as it is.
    const ascii = new URL(url).hostname;
    const isName = net.isIP(host.replace(/[[\]]/g, '')) === 0;
    const resolve = isName ? ['--resolve', `${ascii}:${port}:127.0.0.1`] : [];
    const { exitCode, status } = await curl(...args, ...resolve, isName ? `https://${ascii}:${port}` : url);
    if (exitCode === 0) return status === 200;
    expect([SSL_CONNECT_ERROR, PEER_FAILED_VERIFICATION], `${name}: curl exits with ${exitCode}`).toContain(exitCode);
    return false;
  }

  describe('with the authority of the lab', () => {
    test.each(Object.keys(SITES) as SiteName[])('%s', async (name) => {
      const trusting = ['--cacert', lab.file('roots.pem', lab.root), '--capath', '/nonexistent'];
      const verdicts = { ours: await ours(name, lab.root), curl: await theirs(name, trusting) };
      if (STRICTER.has(name)) expect(verdicts).toEqual({ ours: false, curl: true });
      else expect(verdicts.ours).toBe(verdicts.curl);
    });
  });

  test('without it, nobody accepts any', async () => {
    for (const name of ['good', 'selfSigned', 'untrustedRoot', 'ip4'] as const) {
      expect({ name, ours: await ours(name, null), curl: await theirs(name, []) }).toEqual({
        name,
        ours: false,
        curl: false,
      });
    }
  });
});
