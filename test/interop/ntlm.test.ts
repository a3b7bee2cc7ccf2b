/** NTLM against a real server: Apache httpd with mod_auth_gssapi and gss-ntlmssp, with and without TLS. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthenticationError, NTLMConnectionPool, NTLMHTTPConnectionPool } from '../../src/contrib/ntlmpool.js';
import { PoolManager } from '../../src/poolmanager.js';
import { curl } from './curl.js';
import {
  type AuthApache,
  FOREIGN_PASSWORD,
  GSSAPI_MODULE,
  type LoginRequest,
  PASSWORD,
  startAuthApache,
  USER,
} from './servers/apache-auth.js';
import { describeWith } from './servers/program.js';

const obstacle =
  existsSync(GSSAPI_MODULE) || process.env.CI ? undefined : 'not installed: libapache2-mod-auth-gssapi, gss-ntlmssp';

const AUTHURL = '/ntlm/hello.txt?login';

describeWith(
  ['apache2', 'curl'],
  'Apache httpd with mod_auth_gssapi',
  () => {
    let apache: AuthApache;
    beforeAll(async () => {
      apache = await startAuthApache();
    });
    afterAll(() => apache?.stop());

    type Pool = NTLMConnectionPool | NTLMHTTPConnectionPool;
    type Options = {
      readonly user?: string;
      readonly pw?: string;
      readonly maxsize?: number;
      readonly block?: boolean;
    };

    const WAYS: readonly [string, (options?: Options) => Pool, () => string][] = [
      [
        'http',
        ({ user = USER, pw = PASSWORD, ...options } = {}) => {
          const { port } = new URL(apache.plain);
          return new NTLMHTTPConnectionPool(user, pw, AUTHURL, '127.0.0.1', { port: Number(port), ...options });
        },
        () => apache.plain,
      ],
      [
        'https',
        ({ user = USER, pw = PASSWORD, ...options } = {}) => {
          const { port } = new URL(apache.secure);
          const given = { port: Number(port), caCerts: apache.authority.root, ...options };
          return new NTLMConnectionPool(user, pw, AUTHURL, 'localhost', given);
        },
        () => apache.secure,
      ],
    ];

    /** The requests with a marker, each as `user scheme status`. */
    const seen = (requests: readonly LoginRequest[]) =>
      requests.map(({ user, scheme, status }) => `${user} ${scheme} ${status}`);

    describe.each(WAYS)('NTLM pools over %s', (_, poolOf, origin) => {
      test('log a connection in at authurl, and make requests over it as they are', async () => {
        await using pool = poolOf();
        const marker = `?as-they-are-${Math.random()}`;
        for (const body of ['one', 'two']) {
          const response = await pool.request('POST', `/ntlm/hello.txt${marker}`, { body });
          expect(response.headers.get('x-user')).toBe(USER);
        }
        const requests = await apache.requests(marker, 2);
        expect(seen(requests)).toEqual([`${USER} - 200`, `${USER} - 200`]);
        expect(new Set(requests.map(({ clientPort }) => clientPort)).size).toBe(1);
        expect([pool.numConnections, pool.numRequests]).toEqual([1, 4]);
      });

      test.each([
        ['user', PASSWORD],
        ['INTEROP\\user', PASSWORD],
        ['interop\\USER', PASSWORD],
        ['INTEROP\\uni', FOREIGN_PASSWORD],
      ])('log %s in', async (user, pw) => {
        await using pool = poolOf({ user, pw });
        const response = await pool.request('GET', '/ntlm/hello.txt');
        expect([response.status, response.data.toString()]).toEqual([200, 'hello\n']);
      });

      test.each([
        ['password', USER, 'wrong'],
        ['domain', 'OTHER\\user', PASSWORD],
        ['user', 'nobody', PASSWORD],
      ])('end in one clear error with a wrong %s', async (_what, user, pw) => {
        await using pool = poolOf({ user, pw });
        const error: unknown = await pool.request('GET', '/ntlm/hello.txt', { retries: 5 }).catch((reason) => reason);
        expect(error).toBeInstanceOf(AuthenticationError);
        expect(inspect(error, { depth: 9 })).toMatch(/the server refuses the credentials/);
        expect(inspect(error, { depth: 9 })).not.toContain(pw === PASSWORD ? `'${pw}'` : pw);
        // NEGOTIATE and AUTHENTICATE, and nothing after them.
        expect(pool.numRequests).toBe(2);
      });

      test('100 concurrent requests, each new connection logged in exactly once', async () => {
        await using pool = poolOf({ maxsize: 8, block: true });
        const marker = `?many-${Math.random()}`;
        const responses = await Promise.all(
          Array.from({ length: 100 }, () => pool.request('GET', `/ntlm/hello.txt${marker}`)),
        );
        expect(responses.map(({ status }) => status)).toEqual(Array(100).fill(200));
        expect(pool.numConnections).toBe(8);
        expect(pool.numRequests).toBe(100 + 2 * 8);
        const requests = await apache.requests(marker, 100);
        expect(new Set(seen(requests))).toEqual(new Set([`${USER} - 200`]));
        expect(new Set(requests.map(({ clientPort }) => clientPort)).size).toBe(8);
      });

      test('PoolManager does the same with the request itself, and gives a refusal back as it is', async () => {
        await using http = new PoolManager({ caCerts: apache.authority.root });
        const marker = `?itself-${Math.random()}`;
        const url = `${origin()}/ntlm/hello.txt${marker}`;
        const auth = { type: 'ntlm', username: USER, password: PASSWORD } as const;
        const large = Buffer.alloc(300_000, 'x');
        for (const body of ['small', large]) {
          expect((await http.request('POST', url, { auth, body, retries: false })).status).toBe(200);
        }
        const wrong = { ...auth, password: 'wrong' };
        expect((await http.request('GET', url, { auth: wrong })).status).toBe(401);
        expect((await http.request('GET', url)).status).toBe(401);

        expect(seen(await apache.requests(marker, 6))).toEqual([
          '- NTLM 401',
          `${USER} NTLM 200`,
          `${USER} - 200`,
          '- NTLM 401',
          '- NTLM 401',
          '- - 401',
        ]);
      });
    });

    test.each(WAYS)(
      'large content, and content that can be sent only once, goes after the login (%s)',
      async (_, __, origin) => {
        const large = Buffer.alloc(3_000_000, 'x');
        async function* once() {
          yield large;
        }
        const auth = { type: 'ntlm', username: USER, password: PASSWORD } as const;
        for (const body of [large, once()]) {
          await using http = new PoolManager({ caCerts: apache.authority.root, auth: { [origin()]: auth } });
          const marker = `?large-${Math.random()}`;
          const response = await http.request('POST', `${origin()}/ntlm/hello.txt${marker}`, { body, retries: false });
          expect(response.status).toBe(200);
          const requests = await apache.requests(marker, 3);
          expect(requests.map(({ request, status }) => `${request.split(' ', 1)[0]} ${status}`)).toEqual([
            'HEAD 401',
            'HEAD 200',
            'POST 200',
          ]);
          expect(new Set(requests.map(({ clientPort }) => clientPort)).size).toBe(1);
        }
      },
    );

    test('a server that drops its connections is logged in to again, each time', async () => {
      const port = Number(new URL(apache.stingy).port);
      await using pool = new NTLMHTTPConnectionPool(USER, PASSWORD, AUTHURL, '127.0.0.1', { port });
      const marker = `?dropped-${Math.random()}`;
      for (let turn = 0; turn < 6; turn++) {
        const response = await pool.request('POST', `/ntlm/hello.txt${marker}`, { body: 'x', retries: false });
        expect(response.status).toBe(200);
      }
      const requests = await apache.requests(marker, 6);
      expect(new Set(seen(requests))).toEqual(new Set([`${USER} - 200`]));
      expect(pool.numConnections).toBe(new Set(requests.map(({ clientPort }) => clientPort)).size);
      expect(pool.numConnections).toBeGreaterThan(1);
      expect(pool.numRequests).toBe(6 + 2 * pool.numConnections);
    });

    describe('curl --ntlm', () => {
      /** What went over the wire: for each exchange, which connection, which message of ours, and the answer. */
      async function exchanges(run: (origin: string) => Promise<unknown>): Promise<readonly string[]> {
        await using relay = await startRecorder(Number(new URL(apache.plain).port));
        await run(`http://127.0.0.1:${relay.port}`);
        return relay.exchanges();
      }

      const client = (auth: { readonly username: string; readonly password: string }, options: object = {}) =>
        exchanges(async (origin) => {
          await using http = new PoolManager();
          await http.request('GET', `${origin}/ntlm/hello.txt`, { auth: { type: 'ntlm', ...auth }, ...options });
        });

      test.each([
        ['the right password', PASSWORD, ['0 GET type 1 -> 401 type 2', '0 GET type 3 -> 200']],
        ['a wrong password', 'wrong', ['0 GET type 1 -> 401 type 2', '0 GET type 3 -> 401 NTLM']],
      ])('makes the same exchange with %s', async (_what, password, wanted) => {
        const ours = await client({ username: USER, password });
        const theirs = await exchanges((origin) =>
          curl('--ntlm', '-u', `${USER}:${password}`, '-o', '/dev/null', `${origin}/ntlm/hello.txt`),
        );
        expect(ours).toEqual(wanted);
        expect(theirs).toEqual(ours);
      });

      test('makes the same exchange for two requests on one connection', async () => {
        const auth = { type: 'ntlm', username: USER, password: PASSWORD } as const;
        const ours = await exchanges(async (origin) => {
          await using http = new PoolManager({ auth: { [origin]: auth } });
          for (const path of ['/ntlm/hello.txt', '/ntlm/hello.txt']) await http.request('GET', origin + path);
        });
        const theirs = await exchanges((origin) => {
          const url = `${origin}/ntlm/hello.txt`;
          return curl('--ntlm', '-u', `${USER}:${PASSWORD}`, '-o', '/dev/null', '-o', '/dev/null', url, url);
        });
        expect(ours).toEqual(['0 GET type 1 -> 401 type 2', '0 GET type 3 -> 200', '0 GET no message -> 200']);
        expect(theirs).toEqual(ours);
      });
    });
  },
  obstacle,
);

interface Recorder extends AsyncDisposable {
  readonly port: number;
  exchanges(): readonly string[];
}

/** Passes bytes on, and reads along: messages here are heads, or have a Content-Length. */
async function startRecorder(target: number): Promise<Recorder> {
  const found: { readonly connection: number; readonly request: string; answer: string }[] = [];
  const sockets = new Set<net.Socket>();
  let count = 0;
  const server = net.createServer((client) => {
    const connection = count++;
    const onward = net.connect(target, '127.0.0.1');
    for (const socket of [client, onward]) sockets.add(socket.on('error', () => {}));
    const take = (whole: (head: string) => void) => {
      let text = '';
      return (bytes: Buffer) => {
        text += bytes.toString('latin1');
        for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
          const head = text.slice(0, end);
          const length = Number(/\r\ncontent-length: ([0-9]+)/i.exec(head)?.[1] ?? 0);
          if (text.length < end + 4 + length) return;
          text = text.slice(end + 4 + length);
          whole(head);
        }
      };
    };
    client.on(
      'data',
      take((head) => {
        const message = messageIn(/\r\nauthorization: NTLM (\S+)/i.exec(head)?.[1]) ?? 'no message';
        found.push({ connection, request: `${head.split(' ', 1)[0]} ${message}`, answer: '' });
      }),
    );
    onward.on(
      'data',
      take((head) => {
        const message = messageIn(/\r\nwww-authenticate: NTLM (\S+)/i.exec(head)?.[1]);
        const offer = /\r\nwww-authenticate: NTLM\r\n/i.test(`${head}\r\n`) ? ' NTLM' : '';
        const asked = found.find((exchange) => exchange.connection === connection && exchange.answer === '');
        if (asked !== undefined) asked.answer = `${head.split(' ')[1]}${message === null ? offer : ` ${message}`}`;
      }),
    );
    client.pipe(onward).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    port: address.port,
    exchanges: () => found.map(({ connection, request, answer }) => `${connection} ${request} -> ${answer}`),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function messageIn(token: string | undefined): string | null {
  return token === undefined ? null : `type ${Buffer.from(token, 'base64').readUInt32LE(8)}`;
}
