/** Security cases of framing as they are seen through a pool, on real sockets. The codec's own: test/http1/. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { IncompleteRead, ProtocolError } from '../../src/exceptions.js';
import type { HTTPResponse } from '../../src/response.js';
import { openSockets, watchHandles } from '../support/leaks.js';
import { ok, type Peer, type PeerConnection, peer } from '../support/peer.js';

watchHandles();

const MIB = 1_048_576;
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** The first request gets what `first` does; each later one, on whatever connection, its own target back. */
function poisoned(first: (connection: PeerConnection) => void | Promise<void>): Promise<Peer> {
  return peer(async (connection) => {
    if (connection.index === 0) {
      await connection.request();
      await first(connection);
    }
    for (;;) {
      const [, target = ''] = (await connection.request()).split(' ');
      connection.write(ok(`answer to ${target}`));
    }
  });
}

function poolFor({ port }: Peer): HTTPConnectionPool {
  return new HTTPConnectionPool('127.0.0.1', { port, retries: false, timeout: 5 });
}

const request = (pool: HTTPConnectionPool, preloadContent: boolean, method = 'GET') =>
  pool.request(method, '/first', { preloadContent });

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

function memoryInUse(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function textOf(response: HTTPResponse): Promise<string> {
  return (await response.text()).toString();
}

async function expectOwnAnswer(pool: HTTPConnectionPool, peers: Peer, onConnection: number): Promise<void> {
  const response = await pool.request('GET', '/next');
  expect(await textOf(response)).toBe('answer to /next');
  expect(peers.connections).toHaveLength(onConnection + 1);
}

describe('SEC-025 (npm 309, CVE-2024-38372): bytes of one response never show in another', () => {
  test('though all connections read into one buffer', async () => {
    await using peers = await peer(async (connection) => {
      await connection.request();
      connection.write(ok(String(connection.index).repeat(5000)));
    });
    await using pool = poolFor(peers);
    const responses = await Promise.all(Array.from({ length: 20 }, (_, at) => request(pool, at % 2 === 0)));
    const texts = await Promise.all(responses.map(textOf));
    for (const text of texts) expect(text).toBe(text.slice(0, text.length / 5000).repeat(5000));
    expect(new Set(texts).size).toBe(20);
  });

  test('and numbers are never a size to allocate', async () => {
    await using peers = await poisoned(() => {});
    await using pool = poolFor(peers);
    for (const body of [100, Number.NaN]) {
      await expect(Reflect.apply(pool.urlopen, pool, ['POST', '/', { body }])).rejects.toThrow(TypeError);
    }
    const source = (async function* () {
      yield 100;
    })();
    await expect(Reflect.apply(pool.urlopen, pool, ['POST', '/', { body: source }])).rejects.toThrow(TypeError);
  });
});

describe('SEC-031 (CVE-2021-32714, CVE-2025-13836)', () => {
  test.each(['9007199254740993', '18446744073709551615', '18446744073709551621'])(
    'a length of %s is refused, never rounded or wrapped',
    async (length) => {
      const hex = BigInt(length).toString(16);
      for (const head of [`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`, `${CHUNKED}${hex}\r\n`]) {
        await using peers = await poisoned((connection) => connection.end(`${head}hello`));
        await using pool = poolFor(peers);
        const reading = request(pool, true);
        await expect(reading).rejects.toThrow(ProtocolError);
        await expectOwnAnswer(pool, peers, 1);
      }
    },
  );

  test.each([
    ['Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n'],
    ['a chunk size', `${CHUNKED}e8d4a51000\r\n`],
  ])('10^12 bytes announced by %s make us hold no more than came', async (_name, head) => {
    for (const preloadContent of [true, false, true]) {
      await using peers = await poisoned((connection) => connection.write(head + 'x'.repeat(1024)));
      await using pool = poolFor(peers);
      const controller = new AbortController();
      const before = memoryInUse();
      let arrived: () => void = () => {};
      const hasArrived = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      const options = { preloadContent, signal: controller.signal, onDownloadProgress: () => arrived() };
      const reading = pool.request('GET', '/first', options).then((response) => response.read());
      await hasArrived;
      await new Promise((resolve) => setImmediate(resolve));
      expect(memoryInUse() - before).toBeLessThan(MIB);
      controller.abort(new Error('enough'));
      await expect(reading).rejects.toThrow('enough');
    }
  });
});

describe('SEC-042 (CVE-2026-84947): a body that ends early is an error, not a short body', () => {
  const CUTS = [
    { name: 'in a Content-Length body', wire: ok('hello').slice(0, -2), partial: 3, expected: 2 },
    { name: 'before any of a Content-Length body', wire: ok('hello').slice(0, -5), partial: 0, expected: 5 },
    { name: 'in a chunk', wire: `${CHUNKED}5\r\nhel`, partial: 3, expected: null },
    { name: 'between chunks', wire: `${CHUNKED}5\r\nhello\r\n`, partial: 5, expected: null },
    { name: 'in the last-chunk line', wire: `${CHUNKED}5\r\nhello\r\n0\r`, partial: 5, expected: null },
    { name: 'after the last-chunk line', wire: `${CHUNKED}5\r\nhello\r\n0\r\n`, partial: 5, expected: null },
    { name: 'in the trailers', wire: `${CHUNKED}5\r\nhello\r\n0\r\nX: y\r\n`, partial: 5, expected: null },
  ];
  const read = async (pool: HTTPConnectionPool, preload: boolean) => (await request(pool, preload)).read();

  test.each(CUTS)('by the end of the connection $name', async ({ wire, partial, expected }) => {
    for (const preload of [true, false]) {
      await using peers = await poisoned((connection) => connection.end(wire));
      await using pool = poolFor(peers);
      const error: unknown = await read(pool, preload).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ProtocolError);
      expect(error).toMatchObject({ cause: { partial, expected } });
      expect(error instanceof Error && error.cause).toBeInstanceOf(IncompleteRead);
      await expectOwnAnswer(pool, peers, 1);
    }
  });

  test.each([...CUTS, { name: 'in a body until close', wire: 'HTTP/1.1 200 OK\r\n\r\nhel', partial: 3 }])(
    'by a reset $name',
    async ({ wire }) => {
      for (const preload of [true, false]) {
        await using peers = await poisoned(async (connection) => {
          connection.write(wire);
          // Reset when the client has taken it, for a reset may overtake what is on its way.
          await new Promise((resolve) => setTimeout(resolve, 10));
          connection.reset();
        });
        await using pool = poolFor(peers);
        const reading = read(pool, preload);
        await expect(reading).rejects.toThrow(ProtocolError);
        await expect(reading).rejects.toThrow(/^Connection broken.*ECONNRESET/);
        await expectOwnAnswer(pool, peers, 1);
      }
    },
  );
});

describe('SEC-043 (CVE-2026-6733, CVE-2026-48931): bytes after a response are no answer to the next request', () => {
  test.each([
    ['a second response after a Content-Length body', ok('ok') + ok('poison')],
    ['one byte after a Content-Length body', `${ok('ok')}\n`],
    ['a second response after the last chunk', `${CHUNKED}2\r\nok\r\n0\r\n\r\n${ok('poison')}`],
    ['a byte after the trailers', `${CHUNKED}2\r\nok\r\n0\r\nX: y\r\n\r\nH`],
  ])('%s, in the same segment', async (_name, wire) => {
    for (const preload of [true, false]) {
      await using peers = await poisoned((connection) => connection.write(wire));
      await using pool = poolFor(peers);
      expect(await textOf(await request(pool, preload))).toBe('ok');
      // At once: no turn of the loop in between.
      await expectOwnAnswer(pool, peers, 1);
      await (await peers.connection(0)).closed;
    }
  });
});

describe('SEC-044: statuses and methods without content', () => {
  const HEADS = [
    { name: 'HEAD', method: 'HEAD', line: 'HTTP/1.1 200 OK' },
    { name: '204', method: 'GET', line: 'HTTP/1.1 204 No Content' },
    { name: '304', method: 'GET', line: 'HTTP/1.1 304 Not Modified' },
  ];
  test.each(
    HEADS.flatMap((head) => ['Content-Length: 5', 'Transfer-Encoding: chunked'].map((field) => ({ ...head, field }))),
  )('$name with $field is empty at once, and its connection serves again', async ({ method, line, field }) => {
    for (const preload of [true, false]) {
      await using peers = await poisoned((connection) => connection.write(`${line}\r\n${field}\r\n\r\n`));
      await using pool = poolFor(peers);
      expect((await (await request(pool, preload, method)).read()).length).toBe(0);
      await expectOwnAnswer(pool, peers, 0);
    }
  });

  test.each(HEADS)('$name with bytes after it closes its connection', async ({ method, line }) => {
    for (const rest of ['hello', 'x', '5\r\nhello\r\n0\r\n\r\n']) {
      await using peers = await poisoned((connection) =>
        connection.write(`${line}\r\nContent-Length: 5\r\n\r\n${rest}`),
      );
      await using pool = poolFor(peers);
      expect((await request(pool, true, method)).data.length).toBe(0);
      await expectOwnAnswer(pool, peers, 1);
    }
  });
});

describe('SEC-045 (CVE-2021-3737, CVE-2024-24791): interim responses', () => {
  test('are skipped, known or not, and say nothing of the final one', async () => {
    const interim = [100, 102, 103, 199].map(
      (status) => `HTTP/1.1 ${status} X\r\nContent-Length: 99\r\nX-I: y\r\n\r\n`,
    );
    await using peers = await poisoned((connection) => connection.write(interim.join('') + ok('final')));
    await using pool = poolFor(peers);
    const seen: number[] = [];
    const response = await pool.request('GET', '/first', { onInformational: ({ status }) => void seen.push(status) });
    expect(await textOf(response)).toBe('final');
    expect(response.headers.has('x-i')).toBe(false);
    expect(seen).toEqual([100, 102, 103, 199]);
    await expectOwnAnswer(pool, peers, 0);
  });

  test('without end are an error', async () => {
    await using peers = await poisoned((connection) =>
      connection.pour(Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(100))),
    );
    await using pool = poolFor(peers);
    await expect(request(pool, true)).rejects.toThrow(/more than 20 interim responses/);
  });

  test('a 101 that nobody asked for is an error, and its connection is closed', async () => {
    await using peers = await poisoned((connection) =>
      connection.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw bytes'),
    );
    await using pool = poolFor(peers);
    await expect(request(pool, true)).rejects.toThrow(/101/);
    await expectOwnAnswer(pool, peers, 1);
  });
});

describe('SEC-046 (CVE-2024-24791): a final response while the body is sent', () => {
  test.each([413, 307])(
    '%i after 1 KiB of 10 MiB is given, and the rest is not sent on a connection of the pool',
    async (status) => {
      await using peers = await peer(async (connection) => {
        if (connection.index === 0) {
          await connection.take(1024);
          connection.write(`HTTP/1.1 ${status} X\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno`);
          return;
        }
        const [, target = ''] = (await connection.request()).split(' ');
        connection.write(ok(`answer to ${target}`));
      });
      await using pool = poolFor(peers);
      let given = 0;
      const body = (async function* () {
        for (; given < 10 * MIB; given += 1024) {
          yield new Uint8Array(1024);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      const response = await pool.urlopen('PUT', '/first', { body, redirect: false });
      expect([response.status, await textOf(response)]).toEqual([status, 'no']);
      await (await peers.connection(0)).closed;
      expect(given).toBeLessThan(10 * MIB);
      await expect(body.next()).resolves.toMatchObject({ done: true });
      await expectOwnAnswer(pool, peers, 1);
    },
  );
});

test('nothing is left open', () => expect(openSockets()).toEqual([]));
