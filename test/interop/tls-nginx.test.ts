import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HTTPSConnectionPoolOptions } from '../../src/connectionpool.js';
import type { Certificate } from '../support/tls-certificates.js';
import { type TlsLab, tlsLab } from '../support/tls-lab.js';
import { CLIENTS } from './client.js';
import { describeWith } from './servers/program.js';
import { startVerifyingNginx, type VerifyingNginx } from './servers/tls-nginx.js';

describeWith(['nginx'], 'nginx that verifies its clients', () => {
  let lab: TlsLab;
  let nginx: VerifyingNginx;
  let client: Certificate;
  let stranger: Certificate;
  beforeAll(async () => {
    lab = await tlsLab();
    const { root, intermediate, strangeRoot } = lab.authorities;
    nginx = await startVerifyingNginx(await intermediate.issue({ names: ['127.0.0.1'] }), root.pem);
    client = await intermediate.issue({ commonNames: ['Client'], usage: 'client' });
    stranger = await strangeRoot.issue({ commonNames: ['Stranger'], usage: 'client' });
  });
  afterAll(async () => {
    await nginx?.stop();
    await lab[Symbol.asyncDispose]();
  });

  const right = (): HTTPSConnectionPoolOptions => ({
    caCerts: lab.root,
    certFile: lab.file('client.pem', client.chain),
    keyFile: lab.file('client.key', client.encryptedKey('secret')),
    keyPassword: 'secret',
  });
  const wrong = (): HTTPSConnectionPoolOptions => ({
    caCerts: lab.root,
    certFile: lab.file('stranger.pem', stranger.chain + stranger.key),
  });

  describe.each(CLIENTS)('$client', ({ make }) => {
    test.each(['TLSv1.2', 'TLSv1.3'] as const)(
      '%s: the right certificate is let in, on resumed sessions too',
      async (version) => {
        const get = async (options: HTTPSConnectionPoolOptions, count: number) => {
          await using http = make(nginx.demanding[version], options);
          const answers: string[] = [];
          for (let index = 0; index < count; index++) {
            const response = await http.request('GET', '/', { headers: { Connection: 'close' } });
            answers.push(`${response.status} ${response.data}`);
          }
          return answers;
        };
        expect(await get(right(), 3)).toEqual([
          `200 SUCCESS CN=Client ${version} .`,
          `200 SUCCESS CN=Client ${version} r`,
          `200 SUCCESS CN=Client ${version} r`,
        ]);
        expect(await get({ caCerts: lab.root, pfx: client.pfx('x'), keyPassword: 'x' }, 1)).toEqual([
          `200 SUCCESS CN=Client ${version} .`,
        ]);
      },
    );

    test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: a stranger, or nobody, gets the 400 of nginx', async (version) => {
      for (const [options, words] of [
        [wrong(), 'The SSL certificate error'],
        [{ caCerts: lab.root }, 'No required SSL certificate was sent'],
      ] as const) {
        await using http = make(nginx.demanding[version], options);
        const response = await http.request('GET', '/');
        expect(response.status).toBe(400);
        expect(response.data.toString()).toContain(words);
      }
    });

    test('where a certificate is only asked for, each is seen as what it is', async () => {
      for (const [options, seen] of [
        [right(), 'SUCCESS CN=Client'],
        [{ caCerts: lab.root }, 'NONE '],
      ] as const) {
        await using http = make(nginx.asking, options);
        expect((await http.request('GET', '/')).data.toString()).toBe(seen);
      }
    });
  });
});
