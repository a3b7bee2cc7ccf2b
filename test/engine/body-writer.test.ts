import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bodySource } from '../../src/body/source.js';
import { ExchangeFailure } from '../../src/engine/session.js';
import { ReadTimeoutError } from '../../src/exceptions.js';
import { watchHandles } from '../support/leaks.js';
import { ok, peer } from '../support/peer.js';
import { connected, get, post, streamed } from '../support/session.js';

watchHandles();

const text = (value: string) => new TextEncoder().encode(value);

async function failureOf(exchange: Promise<unknown>): Promise<ExchangeFailure> {
  const failure: unknown = await exchange.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(failure instanceof ExchangeFailure)) throw new Error('the exchange was to fail');
  return failure;
}

describe('BodyWriter', () => {
  test('sends a body with its length in one piece or many, and the link serves again', async () => {
    const sizes = [0, 1, 16_384, 16_385, 262_144, 262_145, 3_000_000];
    await using server = await peer(async (connection) => {
      for (const size of sizes) {
        await connection.request();
        const content = await connection.take(size);
        connection.write(ok(createHash('sha256').update(content, 'latin1').digest('hex')));
      }
    });
    using connection = await connected(server);
    for (const size of sizes) {
      const bytes = Buffer.alloc(size, 'urllib3');
      const { content } = await connection.session.exchange(post(bodySource(bytes), size));
      expect(String(content)).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
    expect(connection.told).toEqual(sizes.map(() => 'idle'));
  });

  test('frames chunks of any source so that they can be put together again', async () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
    await using server = await peer(async (connection) => {
      for (;;) {
        await connection.request();
        let content = '';
        for (;;) {
          const line = await connection.line();
          const size = Number.parseInt(line, 16);
          content += await connection.take(size);
          expect(await connection.take(2)).toBe('\r\n');
          if (size === 0) break;
        }
        connection.write(ok(content));
      }
    });
    using connection = await connected(server);
    await fc.assert(
      fc.asyncProperty(pieces, async (given) => {
        const { content } = await connection.session.exchange(post(streamed(given).body, null));
        expect(Buffer.concat(given).equals(content as Buffer)).toBe(true); // preloaded: a Buffer
      }),
      { numRuns: 30 },
    );
  });

  test.each<[string, () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>, string, string]>([
    ['a byte too many at the end', () => [text('abc'), text('def')], 'abc', 'longer than its announced 5 bytes'],
    ['a byte too many in one piece', () => [text('abcdef')], '', 'longer than its announced 5 bytes'],
    ['a byte too few', () => [text('ab'), text('cd')], 'abcd', 'ended after 4 bytes, and 5 were announced'],
    ['nothing', () => [], '', 'ended after 0 bytes, and 5 were announced'],
  ])('SEC-022 (CVE-2020-35863): a body with %s fails, and its link is closed', async (_name, pieces, sent, message) => {
    await using server = await peer(() => {});
    using connection = await connected(server);
    const failure = await failureOf(connection.session.exchange(post(streamed(pieces()).body, 5)));
    expect(String(failure.error)).toContain(message);
    expect(failure.isFinal).toBe(true);
    expect(connection.told).toEqual(['closed']);
    const peers = await server.connection(0);
    await peers.closed;
    // Closing throws away what has not left; what arrived ends before the byte too many.
    const [, content = ''] = peers.received.split('\r\n\r\n');
    expect(sent.startsWith(content)).toBe(true);
  });

  test.each([
    ['an Error', new Error('disk on fire'), /disk on fire/],
    ['a TypeError', new TypeError('no such thing'), /no such thing/],
    ['a string', 'no more', /no more/],
  ])('a source that fails with %s fails the exchange, which names it', async (_name, thrown, message) => {
    for (const length of [null, 5]) {
      await using server = await peer(() => {});
      using connection = await connected(server);
      const failing = {
        async *[Symbol.asyncIterator]() {
          yield text('ab');
          throw thrown;
        },
      };
      const failure = await failureOf(connection.session.exchange(post(streamed(failing).body, length)));
      expect(failure.error).toBeInstanceOf(Error);
      expect(String(failure.error)).toMatch(message);
      expect(failure.isFinal).toBe(true);
      await (await server.connection(0)).closed;
    }
  });

  test('a server that stops reading stops the source, and the read timeout runs', async () => {
    let given = 0;
    let tellStalled: () => void = () => {};
    const stalled = new Promise<void>((resolve) => {
      tellStalled = resolve;
    });
    const endless = {
      async *[Symbol.asyncIterator]() {
        for (const piece = new Uint8Array(65_536); ; given += piece.length) yield piece;
      },
    };
    await using server = await peer(({ socket }) => void socket.pause());
    using connection = await connected(server);
    const source = streamed(endless);
    const exchange = failureOf(connection.session.exchange(post(source.body, null, { readTimeout: 0.2 })));
    void exchange.then(tellStalled);
    expect((await exchange).error).toBeInstanceOf(ReadTimeoutError);
    await stalled;
    await source.closed;
    // What the kernel holds on both sides: far from endless.
    expect(given).toBeLessThan(64 * 1_048_576);
    expect(given).toBeGreaterThan(0);
  });

  test('a source that takes its time is not timed: that is the time of the caller', async () => {
    const slow = {
      async *[Symbol.asyncIterator]() {
        yield text('ab');
        await new Promise((resolve) => setTimeout(resolve, 80));
        yield text('cd');
      },
    };
    await using server = await peer(async (connection) => {
      await connection.request();
      expect(await connection.take(19)).toBe('2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n');
      connection.write(ok('done'));
    });
    using connection = await connected(server);
    const { content } = await connection.session.exchange(post(streamed(slow).body, null, { readTimeout: 0.03 }));
    expect(String(content)).toBe('done');
    expect(connection.told).toEqual(['idle']);
  });

  test.each([true, false])(
    'SEC-046: a final response while the body is sent ends the sending (preloads: %s)',
    async (preloads) => {
      let given = 0;
      const tenMebibytes = {
        async *[Symbol.asyncIterator]() {
          for (; given < 10_485_760; given += 1024) {
            yield new Uint8Array(1024);
            await new Promise((resolve) => setImmediate(resolve));
          }
        },
      };
      await using server = await peer(async (connection) => {
        await connection.take(1024);
        connection.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig');
      });
      using connection = await connected(server);
      const source = streamed(tenMebibytes);
      const { head, content } = await connection.session.exchange(post(source.body, 10_485_760, { preloads }));
      expect(head.status).toBe(413);
      if (preloads) expect(String(content)).toBe('big');
      await source.closed;
      expect(connection.told).toEqual(['closed']);
      await (await server.connection(0)).closed;
      expect(given).toBeLessThan(10_485_760);
    },
  );

  test('SEC-046: a link whose request has not all left is not used again', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      // Reads no more, and answers: most of the body stays with the client.
      connection.socket.pause();
      connection.write(ok('enough'));
    });
    using connection = await connected(server);
    const bytes = Buffer.alloc(20_000_000);
    const { content } = await connection.session.exchange(post(bodySource(bytes), bytes.length));
    expect(String(content)).toBe('enough');
    expect(connection.told).toEqual(['closed']);
  });

  test('SEC-046: nor is one that holds the last bytes back, though the source has ended', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.socket.pause();
    });
    using connection = await connected(server);
    const { link } = connection.session;
    const untilStuck = {
      async *[Symbol.asyncIterator]() {
        while (link.socket?.writableLength === 0) yield new Uint8Array(4000);
        (await server.connection(0)).write(ok('enough'));
      },
    };
    const { content } = await connection.session.exchange(post(streamed(untilStuck).body, null));
    expect(String(content)).toBe('enough');
    expect(connection.told).toEqual(['closed']);
  });

  test('a response that stalls is timed though the source takes its time, too', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok('hello').slice(0, -2));
    });
    using connection = await connected(server);
    const never = streamed({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) });
    const failure = await failureOf(connection.session.exchange(post(never.body, null, { readTimeout: 0.05 })));
    expect(failure.error).toBeInstanceOf(ReadTimeoutError);
    await never.closed;
  });

  test('the end of a body does not time a reader of the response who does not wait', async () => {
    let end: () => void = () => {};
    const mayEnd = new Promise<void>((resolve) => {
      end = resolve;
    });
    const gated = {
      async *[Symbol.asyncIterator]() {
        yield text('ab');
        await mayEnd;
        yield text('cd');
      },
    };
    await using server = await peer(async (connection) => {
      await connection.request();
      await connection.take('2\r\nab\r\n'.length);
      connection.write(ok('hello').slice(0, -2));
      await connection.take('2\r\ncd\r\n0\r\n\r\n'.length);
    });
    using connection = await connected(server);
    const request = post(streamed(gated).body, null, { preloads: false, readTimeout: 0.03 });
    await connection.session.exchange(request);
    end();
    await new Promise((resolve) => setTimeout(resolve, 90));
    expect(connection.told).toEqual([]);
  });

  test('a request without a body announces none', async () => {
    await using server = await peer(async (connection) => {
      const head = await connection.request();
      connection.write(ok(head));
    });
    using connection = await connected(server);
    const { content } = await connection.session.exchange(get());
    expect(String(content)).toBe('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
  });
});
