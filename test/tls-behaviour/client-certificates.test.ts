/** Client certificates: what the server sees of them, in every form they may be given, and what is wrong with a bad one. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { HTTPError, SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { openSockets, watchHandles } from '../support/leaks.js';
import type { Certificate } from '../support/tls-certificates.js';
import { type LabServer, type Seen, SITES, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
/** Asks for a certificate, and takes any, or none. */
let asking: LabServer;
/** Hangs up on everybody whom its authority does not know. */
let demanding: Record<'TLSv1.2' | 'TLSv1.3', LabServer>;
let client: Certificate;
let rsaClient: Certificate;
let stranger: Certificate;
beforeAll(async () => {
  lab = await tlsLab();
  const { root, intermediate, strangeRoot } = lab.authorities;
  client = await intermediate.issue({ commonNames: ['Client'], usage: 'client' });
  rsaClient = await intermediate.issue({ commonNames: ['RSA client'], usage: 'client', key: 'RSA-2048' });
  stranger = await strangeRoot.issue({ commonNames: ['Stranger'], usage: 'client' });
  asking = await lab.start(SITES.good, { requestCert: true, rejectUnauthorized: false });
  const demand = { requestCert: true, rejectUnauthorized: true, ca: root.pem };
  demanding = {
    'TLSv1.2': await lab.start(SITES.good, { ...demand, maxVersion: 'TLSv1.2' }),
    'TLSv1.3': await lab.start(SITES.good, { ...demand, minVersion: 'TLSv1.3' }),
  };
});
afterAll(() => lab[Symbol.asyncDispose]());

function managerOf(options: ConnectionPoolKw): PoolManager {
  return new PoolManager({ lookup: lab.lookup, retries: false, timeout: 10, caCerts: lab.root, ...options });
}

async function clientSeen({ url }: LabServer, options: ConnectionPoolKw): Promise<string | null> {
  await using http = managerOf(options);
  // The lab's servers answer with this.
  return ((await (await http.request('GET', url)).json()) as Seen).client;
}

const WAYS: Record<string, () => ConnectionPoolKw> = {
  'certFile and keyFile': () => ({ certFile: lab.file('c.pem', client.chain), keyFile: lab.file('c.key', client.key) }),
  'certFile with its key': () => ({ certFile: lab.file('both.pem', client.chain + client.key) }),
  'certFile with its key first': () => ({ certFile: lab.file('first.pem', client.key + client.chain) }),
  'an encrypted keyFile': () => ({
    certFile: lab.file('c.pem', client.chain),
    keyFile: lab.file('enc.key', client.encryptedKey('secret')),
    keyPassword: 'secret',
  }),
  'an encrypted keyFile of the old kind': () => ({
    certFile: lab.file('c.pem', client.chain),
    keyFile: lab.file('old.key', client.traditionalEncryptedKey('pass wörd')),
    keyPassword: 'pass wörd',
  }),
  'certFile with its encrypted key': () => ({
    certFile: lab.file('bothenc.pem', client.chain + client.encryptedKey('secret')),
    keyPassword: 'secret',
  }),
  'pfx as a path': () => ({ pfx: lab.file('c.p12', client.pfx('secret')), keyPassword: 'secret' }),
  'pfx as bytes': () => ({ pfx: client.pfx('secret'), keyPassword: 'secret' }),
  sslContext: () => {
    const context = createUrllib3Context();
    context.loadCertChain(lab.file('c.pem', client.chain), { keyFile: lab.file('c.key', client.key) });
    context.loadVerifyLocations({ caData: lab.root });
    return { sslContext: context, caCerts: undefined };
  },
};

describe('a client certificate', () => {
  test.each(Object.keys(WAYS))('given as %s reaches every server that asks for it', async (way) => {
    const options = WAYS[way]?.() ?? {};
    expect(await clientSeen(asking, options)).toBe('Client');
    expect(await clientSeen(demanding['TLSv1.2'], options)).toBe('Client');
    expect(await clientSeen(demanding['TLSv1.3'], options)).toBe('Client');
    expect(await clientSeen(await lab.server('good'), options)).toBe(null);
  });

  test('with an RSA key does too', async () => {
    const certFile = lab.file('rsa.pem', rsaClient.chain + rsaClient.key);
    for (const server of [asking, ...Object.values(demanding)]) {
      expect(await clientSeen(server, { certFile })).toBe('RSA client');
    }
  });

  test('is sent to a server only after that was verified', async () => {
    const certFile = lab.file('both.pem', client.chain + client.key);
    const server = await lab.start(SITES.unknownIssuer, { requestCert: true, rejectUnauthorized: false });
    await using http = managerOf({ certFile });
    await expect(http.request('GET', server.url)).rejects.toThrow(SSLError);
    expect(server.connections.map(({ received }) => received).join('')).toBe('');
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'of a stranger, or none: a server that demands one (%s) hangs up',
    async (version) => {
      for (const options of [{}, { certFile: lab.file('stranger.pem', stranger.chain + stranger.key) }]) {
        await using http = managerOf(options);
        const error: unknown = await http.request('GET', demanding[version].url).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(HTTPError);
        await expect.poll(() => openSockets()).toEqual([]);
      }
    },
  );
});

describe('a client certificate that cannot be used is told before anything is sent', () => {
  test.each<[string, () => ConnectionPoolKw, RegExp]>([
    ['certFile is not there', () => ({ certFile: '/nonexistent/c.pem' }), /certFile.*\/nonexistent\/c\.pem/],
    [
      'keyFile is not there',
      () => ({ certFile: lab.file('c.pem', client.chain), keyFile: '/nonexistent/c.key' }),
      /keyFile.*\/nonexistent\/c\.key/,
    ],
    ['pfx is not there', () => ({ pfx: '/nonexistent/c.p12' }), /pfx.*\/nonexistent\/c\.p12/],
    [
      'certFile holds no key, and there is no keyFile',
      () => ({ certFile: lab.file('c.pem', client.chain) }),
      /certFile.*key/,
    ],
    [
      'certFile holds no certificate',
      () => ({ certFile: lab.file('c.key', client.key), keyFile: lab.file('c.key', client.key) }),
      /certFile.*certificate/,
    ],
    [
      'keyFile holds no key',
      () => ({ certFile: lab.file('c.pem', client.chain), keyFile: lab.file('c.pem', client.chain) }),
      /keyFile.*key/,
    ],
    [
      'keyFile is of another certificate',
      () => ({ certFile: lab.file('c.pem', client.chain), keyFile: lab.file('s.key', stranger.key) }),
      /keyFile.*(belong|match)/,
    ],
    [
      'keyFile is damaged',
      () => ({
        certFile: lab.file('c.pem', client.chain),
        keyFile: lab.file('bad.key', client.key.replace(/\n.{20}/, '\n!!!!')),
      }),
      /keyFile/,
    ],
    [
      'the key is encrypted, and there is no password',
      () => ({
        certFile: lab.file('c.pem', client.chain),
        keyFile: lab.file('enc.key', client.encryptedKey('secret')),
      }),
      /keyFile.*encrypted.*keyPassword/,
    ],
    [
      'the old kind of key is encrypted, and there is no password',
      () => ({
        certFile: lab.file('c.pem', client.chain),
        keyFile: lab.file('old.key', client.traditionalEncryptedKey('x')),
      }),
      /keyFile.*encrypted.*keyPassword/,
    ],
    [
      'the password is wrong',
      () => ({
        certFile: lab.file('c.pem', client.chain),
        keyFile: lab.file('enc.key', client.encryptedKey('secret')),
        keyPassword: 'Secret',
      }),
      /keyFile.*keyPassword/,
    ],
    [
      'the password of a pfx is wrong',
      () => ({ pfx: client.pfx('secret'), keyPassword: 'Secret' }),
      /pfx.*keyPassword/,
    ],
    ['the password of a pfx is missing', () => ({ pfx: client.pfx('secret') }), /pfx.*keyPassword/],
    ['pfx is something else', () => ({ pfx: Buffer.from('rubbish'), keyPassword: 'secret' }), /pfx/],
  ])('%s', (_name, options, message) => {
    const given = options();
    const make = () => managerOf(given);
    expect(make).toThrow(SSLError);
    expect(make).toThrow(message);
    // The password is nobody's business.
    expect(make).not.toThrow(/secret/i);
  });

  test.each([
    { keyFile: '/k.pem' },
    { certFile: 5 },
    { keyPassword: 5, certFile: '/c.pem' },
    { pfx: '/c.p12', certFile: '/c.pem' },
  ])('%j does not go together, and raises TypeError', (options) => {
    // Callers without types give anything.
    expect(() => managerOf(options as ConnectionPoolKw)).toThrow(TypeError);
  });
});
