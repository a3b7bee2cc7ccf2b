import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SOCKSProxyManager, type SOCKSProxyManagerOptions } from '../../src/contrib/socks.js';
import { MaxRetryError, NameResolutionError, NewConnectionError, SSLError } from '../../src/exceptions.js';
import { type PoolManagerOptions, proxyFromEnvironment } from '../../src/poolmanager.js';
import { Retry } from '../../src/util/retry.js';
import { concurrently } from './client.js';
import { describeProxied, seenBy } from './proxied.js';
import { type Origin, startOrigin } from './servers/origin.js';
import { obstacleToPrivateEtc, REMOTE_NAMES } from './servers/private-etc.js';
import { describeWith } from './servers/program.js';
import { cutAfter, type Spoil, startRelay } from './servers/relay.js';
import { freePorts } from './servers/running.js';
import {
  FORBIDDEN_PORT,
  SOCKS_USER,
  type SocksProxy,
  startDante,
  startMicrosocks,
  startSshDynamic,
} from './servers/socks.js';

type Scheme = 'socks4' | 'socks4a' | 'socks5' | 'socks5h';

const USERINFO = `${SOCKS_USER.name}:${encodeURIComponent(SOCKS_USER.password)}`;

const PROGRAMS = ['danted', 'microsocks', 'ssh', 'sshd', 'ssh-keygen', 'openssl', 'bash', 'unshare', 'mount'];

describeWith(
  PROGRAMS,
  'SOCKS',
  () => {
    let origin: Origin;
    const proxies: Record<string, SocksProxy> = {};
    const port = (name: string) => proxies[name]?.port ?? 0;
    beforeAll(async () => {
      origin = await startOrigin();
      proxies.dante = await startDante('none');
      proxies['dante, with a password'] = await startDante('username');
      proxies.microsocks = await startMicrosocks(false);
      proxies['microsocks, with a password'] = await startMicrosocks(true);
      proxies['ssh -D'] = await startSshDynamic();
    });
    afterAll(async () => {
      await Promise.all(Object.values(proxies).map((proxy) => proxy.stop()));
      await origin?.[Symbol.asyncDispose]();
    });

    /** What each program can do; dante takes what is 4A for an address. */
    const ABILITIES: readonly {
      readonly name: string;
      readonly schemes: readonly Scheme[];
      readonly userinfo?: string;
    }[] = [
      { name: 'dante', schemes: ['socks4', 'socks5', 'socks5h'] },
      { name: 'dante, with a password', schemes: ['socks5', 'socks5h'], userinfo: USERINFO },
      { name: 'microsocks', schemes: ['socks5', 'socks5h'] },
      { name: 'microsocks, with a password', schemes: ['socks5', 'socks5h'], userinfo: USERINFO },
      { name: 'ssh -D', schemes: ['socks4', 'socks4a', 'socks5', 'socks5h'] },
    ];

    const isRemote = (scheme: Scheme) => scheme === 'socks4a' || scheme === 'socks5h';

    function url(scheme: Scheme, at: number, userinfo?: string): string {
      return `${scheme}://${userinfo === undefined ? '' : `${userinfo}@`}127.0.0.1:${at}`;
    }

    for (const { name, schemes, userinfo } of ABILITIES) {
      describe(name, () => {
        for (const socks of schemes) {
          for (const scheme of ['http', 'https'] as const) {
            describeProxied(`${scheme} by ${socks}`, {
              origin: () => origin,
              scheme,
              host: isRemote(socks) ? REMOTE_NAMES.ipv4 : '127.0.0.1',
              proxyPort: () => port(name),
              make: (at, options: PoolManagerOptions) => new SOCKSProxyManager(url(socks, at, userinfo), options),
            });
          }
        }
      });
    }

    /** A manager without retries, for what is to fail. */
    function once(proxyUrl: string, options: SOCKSProxyManagerOptions = {}): SOCKSProxyManager {
      return new SOCKSProxyManager(proxyUrl, {
        caCerts: origin.authority.cert,
        retries: false,
        timeout: 10,
        ...options,
      });
    }

    const EACH = ABILITIES.flatMap(({ name, schemes, userinfo }) =>
      schemes.map((scheme) => ({ name, scheme, userinfo })),
    );

    describe('names', () => {
      test.each(EACH.filter(({ scheme }) => isRemote(scheme)))(
        '$name by $scheme: they go to the proxy, and no resolver here is asked for them',
        async ({ name, scheme, userinfo }) => {
          const asked: string[] = [];
          await using http = once(url(scheme, port(name), userinfo), {
            lookup: (host, _options, callback) => {
              asked.push(host);
              callback(null, '127.0.0.1', 4);
            },
          });
          for (const host of Object.values(REMOTE_NAMES)) {
            const response = await http.request('GET', origin.url('http', '/', host));
            expect((await seenBy(response)).headers.host).toBe(`${host}:${origin.ports.http}`);
          }
          expect((await http.request('GET', origin.url('https', '/', REMOTE_NAMES.ipv4))).status).toBe(200);
          // A resolver is shown the proxy's own address too.
          expect(new Set(asked)).toEqual(new Set(['127.0.0.1']));
        },
      );

      test.each(EACH.filter(({ scheme }) => !isRemote(scheme)))(
        '$name by $scheme: they are resolved here',
        async ({ name, scheme, userinfo }) => {
          const asked: string[] = [];
          await using http = once(url(scheme, port(name), userinfo), {
            lookup: (host, _options, callback) => {
              asked.push(host);
              callback(null, [{ address: '127.0.0.1', family: 4 }]);
            },
          });
          expect((await http.request('GET', origin.url('http', '/', 'h0.origin.test'))).status).toBe(200);
          expect(asked).toEqual(['h0.origin.test', '127.0.0.1']);
          await using plain = once(url(scheme, port(name), userinfo));
          const error = plain.request('GET', origin.url('http', '/', REMOTE_NAMES.ipv4));
          await expect(error).rejects.toThrow(NameResolutionError);
        },
      );

      test.each(EACH.filter(({ scheme }) => scheme !== 'socks4' && scheme !== 'socks4a'))(
        '$name by $scheme: an IPv6 address is reached',
        async ({ name, scheme, userinfo }) => {
          await using http = once(url(scheme, port(name), userinfo));
          expect((await http.request('GET', origin.url('http', '/', '[::1]'))).status).toBe(200);
          expect((await http.request('GET', origin.url('https', '/', '[::1]'))).status).toBe(200);
        },
      );
    });

    describe('credentials', () => {
      test.each(ABILITIES.filter(({ userinfo }) => userinfo !== undefined))(
        '$name: none, or wrong ones, are a NewConnectionError that shows none of them, and nothing is sent',
        async ({ name }) => {
          const marker = `/unauthorized/${Math.random()}`;
          for (const userinfo of [
            undefined,
            `${SOCKS_USER.name}:wr0ng`,
            `nobody:${encodeURIComponent(SOCKS_USER.password)}`,
          ]) {
            for (const scheme of ['http', 'https'] as const) {
              await using relay = await startRelay(port(name));
              await using http = once(url('socks5h', relay.port, userinfo));
              const error: unknown = await http.request('GET', origin.url(scheme, marker)).catch((reason) => reason);
              expect(error).toBeInstanceOf(NewConnectionError);
              expect(String(error)).toMatch(/authenticat|username|password/i);
              expect(String(error)).not.toContain('wr0ng');
              await relay.idle();
              expect(relay.sent).toHaveLength(1);
            }
          }
          expect(origin.seen(marker)).toEqual([]);
        },
      );

      test.each(ABILITIES.filter(({ userinfo }) => userinfo !== undefined))(
        '$name: they may be given as options, and reach no origin',
        async ({ name }) => {
          await using relay = await startRelay(port(name));
          const { name: username, password } = SOCKS_USER;
          await using http = once(url('socks5h', relay.port), { username, password, requireAuthentication: true });
          const seen = await seenBy(await http.request('POST', origin.url('http'), { body: 'abc' }));
          expect(JSON.stringify(seen)).not.toContain(password);
          expect(relay.sent[0]).toContain(password);
          expect(relay.sent[0]?.split(password)).toHaveLength(2);
        },
      );
    });

    describe('failures', () => {
      test.each(EACH)('$name by $scheme: a target that nobody listens at', async ({ name, scheme, userinfo }) => {
        const [closed] = await freePorts(1);
        await using relay = await startRelay(port(name));
        await using http = once(url(scheme, relay.port, userinfo));
        for (const target of [`http://127.0.0.1:${closed}/`, `https://127.0.0.1:${closed}/`]) {
          const error: unknown = await http.request('GET', target).catch((reason) => reason);
          expect(error).toBeInstanceOf(NewConnectionError);
          // ssh closes, the others tell why.
          expect(String(error)).toMatch(name === 'ssh -D' ? /closed/ : /refused|rejected|failed/);
          expect(error).toMatchObject({ cause: expect.any(Error) });
        }
        await relay.idle();
      });

      test.each(EACH.filter(({ scheme }) => isRemote(scheme)))(
        '$name by $scheme: a name that the proxy does not know',
        async ({ name, scheme, userinfo }) => {
          await using http = once(url(scheme, port(name), userinfo));
          const error = http.request('GET', 'http://unknown.invalid/');
          await expect(error).rejects.toThrow(NewConnectionError);
        },
      );

      test('dante by socks5: a port that its rules forbid', async () => {
        await using http = once(url('socks5', port('dante')));
        const error = http.request('GET', `http://127.0.0.1:${FORBIDDEN_PORT}/`);
        await expect(error).rejects.toThrow(/not allowed/);
      });

      test('dante by socks4a, which it does not know: refused, not waited for', async () => {
        await using http = once(url('socks4a', port('dante')));
        const error = http.request('GET', origin.url('http', '/', REMOTE_NAMES.ipv4));
        await expect(error).rejects.toThrow(NewConnectionError);
      });

      test('microsocks by socks4, which it does not know: closed, not waited for', async () => {
        await using http = once(url('socks4', port('microsocks')));
        await expect(http.request('GET', origin.url('http'))).rejects.toThrow(NewConnectionError);
      });

      test('no proxy there: a NewConnectionError, tried again as `connect` says', async () => {
        const [closed] = await freePorts(1);
        await using http = once(url('socks5h', closed ?? 0));
        await expect(http.request('GET', origin.url('http'))).rejects.toThrow(NewConnectionError);
        const retries = new Retry({ total: 9, connect: 2, read: 0, other: 0 });
        const error: unknown = await http.request('GET', origin.url('https'), { retries }).catch((reason) => reason);
        expect(error).toBeInstanceOf(MaxRetryError);
        expect(error).toMatchObject({ reason: expect.any(NewConnectionError), attempts: { length: 3 } });
      });

      test('a target that is not who it should be: an SSLError, as without a proxy', async () => {
        await using http = once(url('socks5', port('dante')));
        await expect(http.request('GET', origin.url('https', '/', '127.0.0.2'))).rejects.toThrow(SSLError);
      });

      test.each(EACH)(
        '$name by $scheme: cut at each byte of its answers, and no connection is left',
        async ({ name, scheme, userinfo }) => {
          // A reply of SOCKS4 has 8 bytes; of SOCKS5 2 for the method, 2 for the password, 10 for the rest.
          const whole = scheme.startsWith('socks4') ? 8 : userinfo === undefined ? 12 : 14;
          for (let length = 0; length < whole; length++) {
            await using relay = await startRelay(port(name), cutAfter(length));
            await using http = once(url(scheme, relay.port, userinfo));
            const error: unknown = await http.request('GET', origin.url('http')).catch((reason) => reason);
            expect(error, `cut after ${length} bytes`).toBeInstanceOf(NewConnectionError);
            await relay.idle();
          }
        },
      );

      test.each(['socks4', 'socks5h'] as const)('%s to what is no SOCKS proxy', async (scheme) => {
        for (const answer of [
          'HTTP/1.1 400 Bad Request\r\n\r\n',
          'SSH-2.0-OpenSSH_9.2\r\n',
          '\0'.repeat(300),
          '\xff'.repeat(300),
        ]) {
          const garbage: Spoil = (bytes) => Buffer.from(answer.padEnd(bytes.length, '!'), 'latin1');
          await using relay = await startRelay(port('dante'), garbage);
          await using http = once(url(scheme, relay.port));
          await expect(http.request('GET', origin.url('http'))).rejects.toThrow(NewConnectionError);
          await relay.idle();
        }
      });
    });

    test('proxyFromEnvironment() goes through the proxy that ALL_PROXY names, for both schemes', async () => {
      await using relay = await startRelay(port('dante, with a password'));
      vi.stubEnv('ALL_PROXY', url('socks5h', relay.port, USERINFO));
      try {
        await using http = proxyFromEnvironment({ caCerts: origin.authority.cert, retries: false });
        for (const scheme of ['http', 'https'] as const) {
          expect((await http.request('GET', origin.url(scheme, '/', REMOTE_NAMES.ipv4))).status).toBe(200);
        }
        expect(relay.sent).toHaveLength(2);
      } finally {
        vi.unstubAllEnvs();
      }
    });

    test.each(ABILITIES)(
      '$name: 1,000 requests, 50 at a time, over 10 connections to the proxy and to the origin',
      async ({ name, userinfo }) => {
        await using relay = await startRelay(port(name));
        const before = origin.connections;
        const http = once(url('socks5h', relay.port, userinfo), { maxsize: 5, block: true });
        const statuses = await concurrently(1_000, 50, async (index) => {
          const target = origin.url(index % 2 === 0 ? 'http' : 'https', '/load', REMOTE_NAMES.ipv4);
          return (await http.request(index % 4 < 2 ? 'GET' : 'POST', target, { body: index % 4 < 2 ? null : 'abc' }))
            .status;
        });
        expect(new Set(statuses)).toEqual(new Set([200]));
        expect(relay.sent).toHaveLength(10);
        expect(origin.connections - before).toBe(10);
        http.clear();
        await relay.idle();
        await origin.idle();
        expect(origin.open).toBe(0);
      },
    );
  },
  obstacleToPrivateEtc(),
);
