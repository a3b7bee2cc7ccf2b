/**
 * The `openssl` program as the other side: a server that refuses clients with alerts (Node's and nginx do not), and a writer
 * of keys and containers in every form that people have in their files.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { Certificate } from '../support/tls-certificates.js';
import { SITES, type TlsLab, tlsLab } from '../support/tls-lab.js';
import { describeWith } from './servers/program.js';
import { startServer } from './servers/running.js';

describeWith(['openssl'], 'openssl', () => {
  let lab: TlsLab;
  let client: Certificate;
  let stranger: Certificate;
  beforeAll(async () => {
    lab = await tlsLab();
    client = await lab.authorities.intermediate.issue({ commonNames: ['Client'], usage: 'client' });
    stranger = await lab.authorities.strangeRoot.issue({ commonNames: ['Stranger'], usage: 'client' });
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  test.each<[string, string, { isStranger?: boolean }, RegExp]>([
    ['-tls1_2', 'nobody', {}, /HANDSHAKE_FAILURE/],
    ['-tls1_3', 'nobody', {}, /CERTIFICATE_REQUIRED/],
    ['-tls1_2', 'a stranger', { isStranger: true }, /UNKNOWN_CA/],
    ['-tls1_3', 'a stranger', { isStranger: true }, /UNKNOWN_CA/],
  ])(
    'a server that demands a certificate (%s) refuses %s with an alert: SSLError',
    async (version, _who, { isStranger }, code) => {
      const certificate = await lab.authorities.root.issue({ names: ['127.0.0.1'] });
      await using server = await startServer({
        program: 'openssl',
        portCount: 1,
        async prepare(folder, [port]) {
          await writeFile(path.join(folder, 'server.pem'), certificate.chain + certificate.key);
          await writeFile(path.join(folder, 'root.pem'), lab.root);
          const demand = ['-Verify', '3', '-verify_return_error', '-CAfile', 'root.pem', '-no-CAstore', '-no-CApath'];
          return [
            's_server',
            '-accept',
            `127.0.0.1:${port}`,
            '-cert',
            'server.pem',
            '-key',
            'server.pem',
            '-www',
            version,
            ...demand,
          ];
        },
      });
      const file = lab.file('stranger.pem', stranger.chain + stranger.key);
      await using http = new PoolManager({
        caCerts: lab.root,
        retries: false,
        ...(isStranger ? { certFile: file } : {}),
      });
      const error: unknown = await http
        .request('GET', `https://127.0.0.1:${server.ports[0]}/`)
        .catch((reason) => reason);
      expect(error).toBeInstanceOf(SSLError);
      expect(error).toMatchObject({ code: expect.stringMatching(code) });
      expect(String(error)).toMatch(/certificate/);
    },
  );

  const openssl = (...args: string[]): string => {
    execFileSync('openssl', args, { cwd: lab.folder, stdio: 'ignore' });
    return path.join(lab.folder, args[args.indexOf('-out') + 1] ?? '');
  };
  const certFile = () => lab.file('client.pem', client.chain);
  const keyFile = () => lab.file('client.key', client.key);
  const FORMS: Record<string, () => ConnectionPoolKw> = {
    'SEC 1': () => ({ certFile: certFile(), keyFile: openssl('ec', '-in', keyFile(), '-out', 'sec1.key') }),
    'SEC 1, AES': () => ({
      certFile: certFile(),
      keyFile: openssl('ec', '-in', keyFile(), '-aes256', '-passout', 'pass:x', '-out', 'sec1enc.key'),
      keyPassword: 'x',
    }),
    'SEC 1 with parameters, as ecparam -genkey writes': () => ({
      certFile: certFile(),
      keyFile: lab.file(
        'params.key',
        `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${execFileSync('openssl', ['ec', '-in', keyFile()], { stdio: ['ignore', 'pipe', 'ignore'] })}`,
      ),
    }),
    'PKCS #8, AES': () => ({
      certFile: certFile(),
      keyFile: openssl(
        'pkcs8',
        '-topk8',
        '-in',
        keyFile(),
        '-v2',
        'aes-256-cbc',
        '-passout',
        'pass:x',
        '-out',
        'p8.key',
      ),
      keyPassword: 'x',
    }),
    'PKCS #8, scrypt': () => ({
      certFile: certFile(),
      keyFile: openssl('pkcs8', '-topk8', '-in', keyFile(), '-scrypt', '-passout', 'pass:x', '-out', 'scrypt.key'),
      keyPassword: 'x',
    }),
    'with text before it, as openssl x509 -text writes': () => ({
      certFile: openssl('x509', '-text', '-in', certFile(), '-out', 'text.pem'),
      keyFile: keyFile(),
    }),
    'PKCS #12': () => ({ pfx: openssl(...P12(), '-out', 'new.p12'), keyPassword: 'x' }),
    'PKCS #12, key first, with a name': () => ({
      pfx: openssl(...P12(), '-name', 'me', '-out', 'named.p12'),
      keyPassword: 'x',
    }),
    'PKCS #12, certificates not encrypted': () => ({
      pfx: openssl(...P12(), '-certpbe', 'NONE', '-out', 'plain.p12'),
      keyPassword: 'x',
    }),
    'PKCS #12, MAC by SHA-1': () => ({
      pfx: openssl(...P12(), '-macalg', 'sha1', '-out', 'sha1.p12'),
      keyPassword: 'x',
    }),
    'PKCS #12, without MAC': () => ({ pfx: openssl(...P12(), '-nomac', '-out', 'nomac.p12'), keyPassword: 'x' }),
    'PKCS #12, 3DES': () => ({
      pfx: openssl(...P12(), '-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-out', '3des.p12'),
      keyPassword: 'x',
    }),
    'PKCS #12, with the root': () => ({
      pfx: openssl(
        ...P12(),
        '-certfile',
        lab.file('all.pem', lab.authorities.intermediate.pem + lab.root),
        '-out',
        'root.p12',
      ),
      keyPassword: 'x',
    }),
  };
  const P12 = () => [
    ...['pkcs12', '-export', '-in', certFile(), '-inkey', keyFile(), '-passout', 'pass:x'],
    ...['-certfile', lab.file('intermediate.pem', lab.authorities.intermediate.pem)],
  ];

  test.each(Object.keys(FORMS))('a client certificate in the form %s is understood', async (form) => {
    const demand = {
      requestCert: true,
      rejectUnauthorized: form !== 'with text before it, as openssl x509 -text writes',
      ca: lab.root,
    };
    const server = await lab.start(SITES.good, demand);
    await using http = new PoolManager({ lookup: lab.lookup, retries: false, caCerts: lab.root, ...FORMS[form]?.() });
    expect(await (await http.request('GET', server.url)).json()).toMatchObject({ client: 'Client' });
  });

  test('a PKCS #12 of old times, whose RC2 OpenSSL has switched off, says what to do', async () => {
    const pfx = openssl(...P12(), '-legacy', '-out', 'legacy.p12');
    const make = () => new PoolManager({ caCerts: lab.root, pfx, keyPassword: 'x' });
    expect(make).toThrow(SSLError);
    expect(make).toThrow(/legacy\.p12".*openssl pkcs12/);
  });
});
