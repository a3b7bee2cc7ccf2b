/**
 * SEC-063: sessions are resumed, and never in place of a verification.
 *
 * Every request here asks for its connection to be closed, so that the next one needs a handshake; the lab's servers say
 * whether they have resumed a session.
 */
import net from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { watchHandles } from '../support/leaks.js';
import { portOf } from '../support/peer.js';
import type { Certificate } from '../support/tls-certificates.js';
import { type LabServer, type Seen, type Site, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

/** Two names, both right, so that only the configuration can forbid a resumption. */
const SITE: Site = {
  host: 'a.lab.test',
  certificate: ({ root }) => root.issue({ names: ['a.lab.test'] }),
};

function managerOf(options: ConnectionPoolKw = {}): PoolManager {
  return new PoolManager({ lookup: lab.lookup, retries: false, timeout: 10, caCerts: lab.root, ...options });
}

/** One connection: what the server saw, or the SSLError. */
async function once(http: PoolManager, url: string, poolKwargs: ConnectionPoolKw = {}): Promise<Seen | SSLError> {
  const pool = http.connectionFromUrl(url, { poolKwargs: { ...http.connectionPoolKw, ...poolKwargs } });
  try {
    const response = await pool.request('GET', '/', { headers: { Connection: 'close' } });
    // The lab's servers answer with this.
    return (await response.json()) as Seen;
  } catch (error) {
    if (error instanceof SSLError) return error;
    throw error;
  }
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('SEC-063 (CVE-2026-48934, CVE-2016-5419), %s', (maxVersion) => {
  const start = (site: Site = SITE, options = {}): Promise<LabServer> => lab.start(site, { maxVersion, ...options });

  test('a pool resumes its own sessions, and each resumed connection is as verified as the first', async () => {
    const server = await start();
    await using http = managerOf();
    const seen: (Seen | SSLError)[] = [];
    for (let count = 0; count < 4; count++) seen.push(await once(http, server.url));
    expect(seen).toEqual(
      seen.map((_, index) => expect.objectContaining({ isResumed: index > 0, protocol: maxVersion })),
    );
  });

  test('a pool resumes with its pin, its assertHostname and its client certificate', async () => {
    const server = await start(SITE, { requestCert: true, rejectUnauthorized: false });
    const client = await lab.authorities.root.issue({ commonNames: ['Client'], usage: 'client' });
    for (const options of [
      { assertFingerprint: server.certificate.fingerprint('sha256') },
      { assertHostname: 'a.lab.test' },
      { certFile: lab.file('client.pem', client.chain + client.key) },
    ]) {
      await using http = managerOf(options);
      expect(await once(http, server.url)).toMatchObject({ isResumed: false });
      expect(await once(http, server.url)).toMatchObject({ isResumed: true });
    }
  });

  test.each<[string, ConnectionPoolKw, (server: LabServer) => ConnectionPoolKw]>([
    ['another assertHostname', {}, () => ({ assertHostname: 'b.lab.test' })],
    ['another server name', {}, () => ({ serverHostname: 'b.lab.test' })],
    ['other authorities', {}, () => ({ caCerts: lab.authorities.strangeRoot.pem })],
    ['Node’s own authorities', {}, () => ({ caCerts: null })],
    ['a pin that does not match', {}, () => ({ assertFingerprint: '00'.repeat(32) })],
    ['a name, after none was checked', { assertHostname: false }, () => ({ assertHostname: 'b.lab.test' })],
    ['verification, after none', { certReqs: 'CERT_NONE', caCerts: null }, () => ({ certReqs: 'CERT_REQUIRED' })],
    ['a pin, after no verification', { certReqs: 'CERT_NONE' }, () => ({ assertFingerprint: '00'.repeat(32) })],
  ])('%s: no session of before is offered, and the connection is refused', async (_name, first, second) => {
    const server = await start();
    await using http = managerOf(first);
    for (let count = 0; count < 2; count++)
      expect(await once(http, server.url, first)).toMatchObject({ protocol: maxVersion });
    const before = server.connections.length;
    for (let count = 0; count < 2; count++) {
      expect(await once(http, server.url, { ...first, ...second(server) })).toBeInstanceOf(SSLError);
    }
    expect(server.resumptions.slice(before)).not.toContain(true);
    expect(
      server.connections
        .slice(before)
        .map(({ received }) => received)
        .join(''),
    ).toBe('');
  });

  test('another host on the same address and port: no session is offered, and the name is refused', async () => {
    const server = await start();
    await using http = managerOf();
    for (let count = 0; count < 2; count++) await once(http, server.url);
    for (let count = 0; count < 2; count++) {
      expect(await once(http, `https://b.lab.test:${server.port}`)).toMatchObject({
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      });
    }
  });

  test('another client certificate, or none, is never taken for the one of the session', async () => {
    const server = await start(SITE, { requestCert: true, rejectUnauthorized: false });
    const clients: Certificate[] = [];
    for (const name of ['One', 'Two'])
      clients.push(await lab.authorities.root.issue({ commonNames: [name], usage: 'client' }));
    const files = clients.map((client, index) => ({
      certFile: lab.file(`client${index}.pem`, client.chain + client.key),
    }));
    await using http = managerOf();
    const seen: unknown[] = [];
    for (const poolKwargs of [{}, ...files, {}, ...files]) {
      const { client, isResumed } = (await once(http, server.url, poolKwargs)) as Seen;
      seen.push([client, isResumed]);
    }
    expect(seen).toEqual([
      [null, false],
      ['One', false],
      ['Two', false],
      [null, true],
      ['One', true],
      ['Two', true],
    ]);
  });

  test('a server that was refused leaves no session: the second attempt is refused as the first', async () => {
    const expired: Site = {
      ...SITE,
      certificate: ({ root }) =>
        root.issue({ names: ['a.lab.test'], notBefore: new Date(0), notAfter: new Date(1e12) }),
    };
    const servers = [
      await start(expired),
      await start({ ...SITE, host: 'b.lab.test' }),
      await start({ ...SITE, certificate: ({ strangeRoot }) => strangeRoot.issue({ names: ['a.lab.test'] }) }),
    ];
    for (const server of servers) {
      await using http = managerOf();
      for (let count = 0; count < 3; count++) expect(await once(http, server.url)).toBeInstanceOf(SSLError);
      expect(server.resumptions).not.toContain(true);
    }
  });

  test('a machine that does not know the session has to show a certificate that holds', async () => {
    const right = await start();
    const impostor = await start({
      ...SITE,
      certificate: ({ strangeRoot }) => strangeRoot.issue({ names: ['a.lab.test'] }),
    });
    const machine = { port: right.port };
    await using relay = await relayTo(machine);
    const url = `https://a.lab.test:${relay.port}`;
    await using http = managerOf();
    await once(http, url);
    expect(await once(http, url)).toMatchObject({ isResumed: true });
    machine.port = impostor.port;
    for (let count = 0; count < 2; count++) expect(await once(http, url)).toBeInstanceOf(SSLError);
    expect(impostor.connections.map(({ received }) => received).join('')).toBe('');
    machine.port = right.port;
    expect(await once(http, url)).toMatchObject({ protocol: maxVersion });
  });
});

/** A port that leads to whichever machine is to answer. */
async function relayTo(machine: { port: number }): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets: net.Socket[] = [];
  const relay = net.createServer((client) => {
    const upstream = net.connect(machine.port, '127.0.0.1');
    sockets.push(client, upstream);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => {}).on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  relay.listen(0, '127.0.0.1');
  await new Promise((resolve) => void relay.on('listening', resolve));
  return {
    port: portOf(relay),
    async [Symbol.asyncDispose]() {
      relay.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
