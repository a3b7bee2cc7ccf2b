/** Basic and Digest against real servers: nginx, Apache httpd and lighttpd. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Auth } from '../../src/auth/credentials.js';
import { connectionFromUrl } from '../../src/connectionpool.js';
import { PoolManager } from '../../src/poolmanager.js';
import { curl } from './curl.js';
import {
  PASSWORD as APACHE_PASSWORD,
  USER as APACHE_USER,
  type AuthApache,
  GSSAPI_MODULE,
  startAuthApache,
} from './servers/apache-auth.js';
import { PASSWORD, startBasicNginx, startDigestLighttpd, USER } from './servers/login.js';
import { describeWith } from './servers/program.js';
import type { RunningServer } from './servers/running.js';

const LARGE = Buffer.alloc(300_000, 'x');

async function* once(): AsyncGenerator<string> {
  yield 'x';
}

describeWith(['nginx'], 'nginx, by Basic', () => {
  let nginx: RunningServer;
  beforeAll(async () => {
    nginx = await startBasicNginx();
  });
  afterAll(() => nginx?.stop());

  const AUTH = { type: 'basic', username: USER, password: PASSWORD } as const;

  test('logs in without being asked, also with content that can be sent only once', async () => {
    await using http = new PoolManager({ auth: { [nginx.origin()]: AUTH } });
    const response = await http.request('GET', `${nginx.origin()}/hello.txt`);
    expect([response.status, response.headers.get('x-user'), response.data.toString()]).toEqual([200, USER, 'hello\n']);
    // A file takes no POST, which it says to users only.
    expect((await http.request('POST', `${nginx.origin()}/hello.txt`, { body: once() })).status).toBe(405);
    await using pool = connectionFromUrl(nginx.origin(), { auth: AUTH });
    expect((await pool.request('GET', '/here')).status).toBe(200);
  });

  test('is refused with another password, as curl is', async () => {
    await using http = new PoolManager();
    const url = `${nginx.origin()}/hello.txt`;
    const response = await http.request('GET', url, { auth: { ...AUTH, password: 'wrong' } });
    const theirs = await curl('-u', `${USER}:wrong`, url);
    expect([response.status, response.data.toString()]).toEqual([theirs.status, theirs.body.toString()]);
    expect(response.status).toBe(401);
  });

  test('does not follow to another origin', async () => {
    await using http = new PoolManager();
    const response = await http.request('GET', `${nginx.origin()}/away`, { auth: AUTH });
    expect([response.status, response.url]).toEqual([401, `http://localhost:${nginx.ports[0]}/hello.txt`]);
  });
});

const obstacle = existsSync(GSSAPI_MODULE) || process.env.CI ? undefined : 'not installed: libapache2-mod-auth-gssapi';

describeWith(
  ['apache2'],
  'Apache httpd, by Basic and Digest',
  () => {
    let apache: AuthApache;
    beforeAll(async () => {
      apache = await startAuthApache();
    });
    afterAll(() => apache?.stop());

    test.each<[string, Auth, string]>([
      ['basic', { type: 'basic', username: APACHE_USER, password: APACHE_PASSWORD }, 'basic'],
      ['digest', { type: 'digest', username: APACHE_USER, password: APACHE_PASSWORD }, 'digest'],
    ])(
      '%s logs in for requests of all kinds, each connection and each nonce used many times',
      async (_, auth, path) => {
        for (const origin of [apache.plain, apache.secure]) {
          await using http = new PoolManager({ caCerts: apache.authority.root, auth: { [origin]: auth } });
          const marker = `?kinds-${Math.random()}`;
          const url = `${origin}/${path}/hello.txt${marker}&a=%20b;c="d"`;
          const first = await http.request('GET', url, { retries: false });
          expect([first.status, first.headers.get('x-user')]).toEqual([200, APACHE_USER]);
          for (const body of ['small', LARGE, once()]) {
            expect((await http.request('POST', url, { body, retries: false })).status).toBe(200);
          }
          const many = await Promise.all(Array.from({ length: 30 }, () => http.request('HEAD', url)));
          expect(many.map(({ status }) => status)).toEqual(Array(30).fill(200));
          const challenges = path === 'digest' ? 1 : 0;
          const requests = await apache.requests(marker, 34 + challenges);
          expect(requests.filter(({ status }) => status === 401)).toHaveLength(challenges);
          expect(requests).toHaveLength(34 + challenges);
        }
      },
    );

    test('digest is refused with another password, after one answer, as curl is', async () => {
      await using http = new PoolManager();
      const ours = `?ours-${Math.random()}`;
      const theirs = `?theirs-${Math.random()}`;
      const auth = { type: 'digest', username: APACHE_USER, password: 'wrong' } as const;
      expect((await http.request('GET', `${apache.plain}/digest/hello.txt${ours}`, { auth })).status).toBe(401);
      await curl('--digest', '-u', `${APACHE_USER}:wrong`, `${apache.plain}/digest/hello.txt${theirs}`);
      const said = async (marker: string) =>
        (await apache.requests(marker, 2)).map(({ scheme, status }) => `${scheme} ${status}`);
      expect(await said(ours)).toEqual(['- 401', 'Digest 401']);
      expect(await said(theirs)).toEqual(await said(ours));
    });

    test('digest does not answer a server that wants Basic, nor basic one that wants Digest', async () => {
      await using http = new PoolManager();
      const marker = `?other-${Math.random()}`;
      const password = APACHE_PASSWORD;
      const requests: readonly [string, Auth][] = [
        ['basic', { type: 'digest', username: APACHE_USER, password }],
        ['digest', { type: 'basic', username: APACHE_USER, password }],
      ];
      for (const [path, auth] of requests) {
        expect((await http.request('GET', `${apache.plain}/${path}/hello.txt${marker}`, { auth })).status).toBe(401);
      }
      expect((await apache.requests(marker, 2)).map(({ scheme }) => scheme)).toEqual(['-', 'Basic']);
    });
  },
  obstacle,
);

describeWith(['lighttpd'], 'lighttpd, by Digest', () => {
  let lighttpd: RunningServer;
  beforeAll(async () => {
    lighttpd = await startDigestLighttpd();
  });
  afterAll(() => lighttpd?.stop());

  test.each(['sha-256', 'md5'])('with %s', async (algorithm) => {
    const url = `${lighttpd.origin()}/${algorithm}/hello.txt`;
    const auth = { type: 'digest', username: USER, password: PASSWORD } as const;
    await using http = new PoolManager();
    const bare = await http.request('GET', url);
    expect(bare.headers.get('www-authenticate')?.toLowerCase()).toContain(`algorithm=${algorithm}`);
    for (let turn = 0; turn < 3; turn++) {
      const response = await http.request('GET', url, { auth, retries: false });
      expect([response.status, response.data.toString()]).toEqual([200, 'hello\n']);
    }
    expect((await http.request('GET', url, { auth: { ...auth, password: 'wrong' } })).status).toBe(401);
  });
});
