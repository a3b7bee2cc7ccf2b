import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { bodySource } from '../../src/body/source.js';
import { ContentQueue } from '../../src/engine/content-queue.js';
import {
  type Exchanged,
  ExchangeFailure,
  type ExchangeRequest,
  type TransferProgress,
} from '../../src/engine/session.js';
import { ProtocolError, ReadTimeoutError } from '../../src/exceptions.js';
import { timersLeftBy, watchHandles } from '../support/leaks.js';
import { answering, ok, type PeerConnection, peer } from '../support/peer.js';
import { connected, get, post, streamed } from '../support/session.js';

watchHandles();

/** The content, however it comes. */
async function contentOf({ content }: Exchanged): Promise<string> {
  if (!(content instanceof ContentQueue)) return content.toString('latin1');
  let text = '';
  for (let piece = await content.read(1000); piece !== null; piece = await content.read(1000)) {
    text += piece.toString('latin1');
  }
  return text;
}

async function failureOf(exchange: Promise<unknown>): Promise<ExchangeFailure> {
  const failure: unknown = await exchange.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(failure instanceof ExchangeFailure)) throw new Error('the exchange was to fail');
  return failure;
}

/** The same bytes in one write, one by one, and cut at each line border. */
const SHAPES: { shape: string; send(connection: PeerConnection, wire: string): void | Promise<void> }[] = [
  { shape: 'whole', send: (connection, wire) => connection.write(wire) },
  { shape: 'byte by byte', send: (connection, wire) => connection.drip(wire) },
  {
    shape: 'line by line',
    async send(connection, wire) {
      for (const line of wire.split(/(?<=\r\n)/)) {
        connection.write(line);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  },
];

interface Answer {
  readonly name: string;
  readonly wire: string;
  readonly method?: string;
  readonly content: string;
  readonly trailers?: string;
  /** What becomes of the session. */
  readonly told: 'idle' | 'closed';
  readonly fin?: true;
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

const ANSWERS: readonly Answer[] = [
  { name: 'a Content-Length', wire: ok('hello'), content: 'hello', told: 'idle' },
  { name: 'a Content-Length of 0', wire: ok(''), content: '', told: 'idle' },
  { name: 'chunks', wire: `${CHUNKED}3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n`, content: 'hello', told: 'idle' },
  {
    name: 'chunks and trailers',
    wire: `${CHUNKED}5\r\nhello\r\n0\r\nDigest: abc\r\nX: y\r\n\r\n`,
    content: 'hello',
    trailers: 'Digest: abc\r\nX: y\r\n',
    told: 'idle',
  },
  { name: 'content until close', wire: 'HTTP/1.1 200 OK\r\n\r\nhello', content: 'hello', told: 'closed', fin: true },
  { name: 'HTTP/1.0', wire: 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', content: 'hello', told: 'closed' },
  {
    name: 'HTTP/1.0 that is kept alive',
    wire: 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello',
    content: 'hello',
    told: 'idle',
  },
  { name: 'Connection: close', wire: ok('hello', 'Connection: close\r\n'), content: 'hello', told: 'closed' },
  { name: '204', wire: 'HTTP/1.1 204 No Content\r\n\r\n', content: '', told: 'idle' },
  { name: '304', wire: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', content: '', told: 'idle' },
  { name: 'HEAD', method: 'HEAD', wire: ok('').replace('0', '5'), content: '', told: 'idle' },
];

describe.each(SHAPES)('Session.exchange(), the response coming $shape', ({ send }) => {
  test.each(ANSWERS)('receives $name', async ({ wire, method = 'GET', content, trailers = '', told, fin }) => {
    for (const preloads of [true, false]) {
      await using server = await peer(async (connection) => {
        await connection.request();
        await send(connection, wire);
        if (fin === true) connection.end();
      });
      using connection = await connected(server);
      const exchanged = await connection.session.exchange(get({ method, preloads }));
      expect(await contentOf(exchanged)).toBe(content);
      expect(exchanged.trailerSection).toBe(trailers);
      expect(connection.told).toEqual([told]);
      expect(connection.session.isIdle).toBe(told === 'idle');
    }
  });

  test.each([
    ['no byte', '', 'Remote end closed connection without response', 'request-sent'],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-', 'in the middle of the response head', 'response-began'],
    ['half a Content-Length', ok('hello').slice(0, -2), 'IncompleteRead', 'response-began'],
    ['half a chunk', `${CHUNKED}5\r\nhel`, 'IncompleteRead', 'response-began'],
    ['chunks without the last', `${CHUNKED}5\r\nhello\r\n`, 'IncompleteRead', 'response-began'],
    ['half a last chunk', `${CHUNKED}5\r\nhello\r\n0`, 'IncompleteRead', 'response-began'],
    ['half a trailer section', `${CHUNKED}5\r\nhello\r\n0\r\nX: y\r\n`, 'IncompleteRead', 'response-began'],
  ])('fails after %s and the end', async (_name, wire, message, reached) => {
    await using server = await peer(async (connection) => {
      await connection.request();
      await send(connection, wire);
      connection.end();
    });
    using connection = await connected(server);
    const failure = await failureOf(connection.session.exchange(get()));
    expect(failure.error).toBeInstanceOf(ProtocolError);
    expect(String(failure.error)).toContain(message);
    expect(failure).toMatchObject({ reached, isFinal: false });
    expect(connection.told).toEqual(['closed']);
  });
});

describe('Session', () => {
  test('runs one exchange after the other on one link', async () => {
    await using server = await peer(async (connection) => {
      for (let count = 1; ; count++) {
        await connection.request();
        connection.write(ok(`answer ${count}`));
      }
    });
    using connection = await connected(server);
    for (let count = 1; count <= 3; count++) {
      expect(await contentOf(await connection.session.exchange(get()))).toBe(`answer ${count}`);
    }
    expect(connection.told).toEqual(['idle', 'idle', 'idle']);
    expect(server.connections).toHaveLength(1);
  });

  test('refuses a second exchange while one runs, and any once it is closed', async () => {
    await using server = await peer(() => {});
    using connection = await connected(server);
    const running = failureOf(connection.session.exchange(get()));
    expect(() => connection.session.exchange(get())).toThrow('an exchange on a session that is busy');
    connection.session.close();
    expect((await running).error).toMatchObject({ message: 'The connection was closed' });
    expect(() => connection.session.exchange(get())).toThrow('an exchange on a session that is closed');
    expect(connection.session.isClosed).toBe(true);
  });

  test('tells of interim responses, and of the keep-alive time', async () => {
    const interim =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 9\r\n\r\n';
    await using server = await peer(answering(`${interim}${ok('hello', 'Keep-Alive: timeout=7\r\n')}`));
    using connection = await connected(server);
    const heads: string[] = [];
    const onInformational: ExchangeRequest['onInformational'] = ({ status, fieldSection }) =>
      heads.push(`${status} ${fieldSection}`);
    const exchanged = await connection.session.exchange(get({ onInformational }));
    expect(heads).toEqual(['100 ', '103 Link: </a.css>\r\nContent-Length: 9\r\n']);
    expect(exchanged.head.fieldSection).toBe('Content-Length: 5\r\nKeep-Alive: timeout=7\r\n');
    expect(await contentOf(exchanged)).toBe('hello');
    expect(connection.session.keepAliveSeconds).toBe(7);
    await connection.session.exchange(get());
  });

  test('fails with what onInformational throws', async () => {
    await using server = await peer(answering(`HTTP/1.1 102 Processing\r\n\r\n${ok('hello')}`));
    using connection = await connected(server);
    const onInformational = () => {
      throw new RangeError('not mine');
    };
    expect((await failureOf(connection.session.exchange(get({ onInformational })))).error).toEqual(
      new RangeError('not mine'),
    );
    expect(connection.told).toEqual(['closed']);
  });

  test('does not gather content that is likely not wanted', async () => {
    await using server = await peer(answering('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy'));
    using connection = await connected(server);
    const isDiscardable = (status: number) => status === 503;
    const exchanged = await connection.session.exchange(get({ isDiscardable }));
    expect(exchanged.content).toBeInstanceOf(ContentQueue);
    expect(await contentOf(exchanged)).toBe('busy');
  });

  test('raises the error of the system when the connection is reset, and says how far it was', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      if (connection.index > 0) {
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe');
        await connection.request();
      }
      connection.reset();
    });
    using before = await connected(server);
    const aborted = await failureOf(before.session.exchange(get()));
    expect(aborted).toMatchObject({ reached: 'request-sent', error: { code: 'ECONNRESET' } });
    expect(String(aborted.error)).toContain('Connection aborted.');
    using within = await connected(server);
    const { content } = await within.session.exchange(get({ preloads: false }));
    if (!(content instanceof ContentQueue)) throw new Error('it streams');
    expect((await content.read(9))?.toString()).toBe('he');
    within.session.link.writeText('go on\r\n\r\n');
    await expect(content.read(9)).rejects.toThrow(/^Connection broken: .*ECONNRESET/);
  });

  test('fails at once when the response is none', async () => {
    await using server = await peer(answering('SSH-2.0-OpenSSH_9.2\r\n'));
    using connection = await connected(server);
    const failure = await failureOf(connection.session.exchange(get({ readTimeout: null })));
    expect(failure.error).toBeInstanceOf(ProtocolError);
    await (await server.connection(0)).closed;
  });
});

describe('Session, between exchanges', () => {
  async function afterOne(act: (connection: PeerConnection) => void): Promise<string[]> {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok('hello'));
    });
    using connection = await connected(server);
    await connection.session.exchange(get());
    expect(connection.told).toEqual(['idle']);
    act(await server.connection(0));
    await expect.poll(() => connection.session.isClosed, { interval: 1 }).toBe(true);
    await (await server.connection(0)).closed;
    return [...connection.told];
  }

  test.each<[string, (connection: PeerConnection) => void]>([
    ['a byte', (connection) => connection.write('H')],
    ['a response', (connection) => connection.write(ok('poison'))],
    ['the end', (connection) => connection.end()],
    ['a reset', (connection) => connection.reset()],
  ])('closes at %s, and tells its owner once', async (_name, act) => {
    expect(await afterOne(act)).toEqual(['idle', 'closed']);
  });

  test('takes no exchange whose signal is aborted already, and stays as it is', async () => {
    await using server = await peer(answering(ok('hello')));
    using connection = await connected(server);
    const reason = new Error('enough');
    const failure = await failureOf(connection.session.exchange(get({ signal: AbortSignal.abort(reason) })));
    expect(failure).toEqual({ error: reason, reached: 'nothing-sent', isFinal: true });
    expect(connection.told).toEqual(['idle']);
    expect(await contentOf(await connection.session.exchange(get()))).toBe('hello');
  });

  test('leaves the link reading when content that filled the queue ends', async () => {
    // The byte that fills the queue is the last one.
    const large = 'x'.repeat(262_144);
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok(large));
      await connection.request();
      connection.write(ok('second'));
    });
    using connection = await connected(server);
    const first = await connection.session.exchange(get({ preloads: false }));
    await expect.poll(() => connection.told, { interval: 1 }).toEqual(['idle']);
    expect(await contentOf(await connection.session.exchange(get()))).toBe('second');
    expect(await contentOf(first)).toBe(large);
  });
});

describe('Session, in time', () => {
  test.each([
    ['before the head', ''],
    ['in the head', 'HTTP/1.1 200 OK\r\nContent-'],
    ['in preloaded content', ok('hello').slice(0, -2)],
  ])('raises ReadTimeoutError %s', async (_name, wire) => {
    await using server = await peer(answering(wire));
    using connection = await connected(server);
    const failure = await failureOf(connection.session.exchange(get({ readTimeout: 0.03 })));
    expect(failure.error).toBeInstanceOf(ReadTimeoutError);
    expect(failure.error).toMatchObject({ url: '/', message: 'a pool: Read timed out. (read timeout=0.03)' });
    await (await server.connection(0)).closed;
  });

  test('counts the read timeout from the last byte', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      for (const byte of ok('hello')) {
        connection.write(byte);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    using connection = await connected(server);
    expect(await contentOf(await connection.session.exchange(get({ readTimeout: 0.1 })))).toBe('hello');
  });

  test('times a streamed read only while the reader waits', async () => {
    await using server = await peer(answering(ok('hello').slice(0, -2)));
    using connection = await connected(server);
    const { content } = await connection.session.exchange(get({ preloads: false, readTimeout: 0.03 }));
    if (!(content instanceof ContentQueue)) throw new Error('it streams');
    const working = () => new Promise((resolve) => setTimeout(resolve, 80));
    await working();
    expect((await content.read(9))?.toString()).toBe('hel');
    await working();
    expect(connection.told).toEqual([]);
    await expect(content.read(9)).rejects.toBeInstanceOf(ReadTimeoutError);
    expect(connection.told).toEqual(['closed']);
  });

  test('stops the clock when a reader who waited has got his bytes', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok('hello').slice(0, -5));
      await connection.request();
      connection.write('hel');
    });
    using connection = await connected(server);
    const { content } = await connection.session.exchange(get({ preloads: false, readTimeout: 0.05 }));
    if (!(content instanceof ContentQueue)) throw new Error('it streams');
    const reading = content.read(9);
    connection.session.link.writeText('go on\r\n\r\n');
    expect((await reading)?.toString()).toBe('hel');
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(connection.told).toEqual([]);
  });

  test.each([true, false])('raises at the deadline, however steadily bytes come (preloads: %s)', async (preloads) => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(preloads ? ok('x').replace('1\r', '99\r') : 'HTTP/1.1 200 OK\r\nX: ');
      const drip = setInterval(() => connection.write('x'), 5);
      await connection.closed;
      clearInterval(drip);
    });
    using connection = await connected(server);
    const deadline = { atMs: performance.now() + 60, total: 0.06 };
    const failure = await failureOf(connection.session.exchange(get({ deadline, preloads })));
    expect(failure.error).toBeInstanceOf(ReadTimeoutError);
    expect(String(failure.error)).toContain('(read timeout=0.06)');
  });

  test('lets a deadline go once a streamed response has its head', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok('hello').slice(0, -2));
      await new Promise((resolve) => setTimeout(resolve, 60));
      connection.write('lo');
    });
    using connection = await connected(server);
    const deadline = { atMs: performance.now() + 40, total: 0.04 };
    expect(await contentOf(await connection.session.exchange(get({ deadline, preloads: false })))).toBe('hello');
  });

  test('leaves no timer when it is closed, nor when it rests', async () => {
    await using server = await peer(answering(ok('hello')));
    const deadline = () => ({ atMs: performance.now() + 5000, total: 5 });
    const closing = await timersLeftBy(async () => {
      using connection = await connected(server);
      await connection.session.exchange(get({ deadline: deadline() }));
      await connection.session.exchange(get({ readTimeout: 7 }));
    });
    using connection = await connected(server);
    const resting = await timersLeftBy(async () => {
      await connection.session.exchange(get({ deadline: deadline() }));
      connection.session.rest();
    });
    expect([closing, resting]).toEqual([0, 0]);
    expect(await contentOf(await connection.session.exchange(get()))).toBe('hello');
  });

  test('SEC-124: a timer of a former exchange does not end the next', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok('first'));
      await connection.request();
      await new Promise((resolve) => setTimeout(resolve, 80));
      connection.write(ok('second'));
    });
    using connection = await connected(server);
    await connection.session.exchange(get({ readTimeout: 0.04 }));
    expect(await contentOf(await connection.session.exchange(get({ readTimeout: null })))).toBe('second');
  });
});

describe('Session, aborted', () => {
  const never = streamed({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) });

  test.each<[string, string, Partial<ExchangeRequest>]>([
    ['before the head', '', {}],
    ['in the head', 'HTTP/1.1 200 OK\r\nContent-', {}],
    ['in preloaded content', ok('hello').slice(0, -2), {}],
    ['while the body is sent', '', post(never.body, null)],
  ])('fails %s with the reason, and leaves nothing', async (_name, wire, given) => {
    await using server = await peer(answering(wire));
    using connection = await connected(server);
    const controller = new AbortController();
    const failing = failureOf(connection.session.exchange(get({ ...given, signal: controller.signal })));
    await (await server.connection(0)).request();
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failing).toMatchObject({ error: reason, isFinal: true });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    expect(connection.told).toEqual(['closed']);
    await (await server.connection(0)).closed;
  });

  test('fails the reader of streamed content with the reason', async () => {
    await using server = await peer(answering(ok('hello').slice(0, -2)));
    using connection = await connected(server);
    const controller = new AbortController();
    const { content } = await connection.session.exchange(get({ preloads: false, signal: controller.signal }));
    if (!(content instanceof ContentQueue)) throw new Error('it streams');
    await content.read(9);
    const reading = content.read(9);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    expect(connection.told).toEqual(['closed']);
  });

  test('does nothing once the exchange is over', async () => {
    await using server = await peer(answering(ok('hello')));
    using connection = await connected(server);
    for (const preloads of [true, false]) {
      const controller = new AbortController();
      const exchanged = await connection.session.exchange(get({ preloads, signal: controller.signal }));
      expect(await contentOf(exchanged)).toBe('hello');
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
      controller.abort();
    }
    expect(connection.session.isIdle).toBe(true);
  });
});

describe('Session, streaming', () => {
  test('abandoned content closes the link, the body source and the clock', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok('hello').slice(0, -2));
    });
    using connection = await connected(server);
    const source = streamed({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) });
    const controller = new AbortController();
    const request = post(source.body, null, { preloads: false, signal: controller.signal });
    const { content } = await connection.session.exchange(request);
    if (!(content instanceof ContentQueue)) throw new Error('it streams');
    content.abandon();
    await source.closed;
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    expect(connection.told).toEqual(['closed']);
    await (await server.connection(0)).closed;
  });

  test('a reader that stops reading stops the server', async () => {
    let written = 0;
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write('HTTP/1.1 200 OK\r\n\r\n');
      await connection.pour(Buffer.alloc(65_536, 'x'), (bytes) => {
        written += bytes;
      });
    });
    using connection = await connected(server);
    const { content } = await connection.session.exchange(get({ preloads: false }));
    if (!(content instanceof ContentQueue)) throw new Error('it streams');
    let before = -1;
    await vi.waitFor(
      () => {
        const stands = written > 0 && written === before;
        before = written;
        expect(stands).toBe(true);
      },
      { interval: 50 },
    );
    // What the kernel holds on both sides, and our 256 KiB: far from endless.
    expect(written).toBeLessThan(32 * 1_048_576);
    for (let read = 0; read < before + 1_048_576; ) read += (await content.read(65_536))?.length ?? 0;
    expect(written).toBeGreaterThan(before);
  });
});

describe('Session, telling of progress', () => {
  test('tells of each piece that was sent, in one write or many', async () => {
    await using server = await peer(async (connection) => {
      for (const size of [5, 300_000]) {
        await connection.request();
        await connection.take(size);
        connection.write(ok('done'));
      }
    });
    using connection = await connected(server);
    const told: unknown[] = [];
    const onUploadProgress = (progress: TransferProgress) => void told.push(progress);
    for (const size of [5, 300_000]) {
      await connection.session.exchange(post(bodySource(Buffer.alloc(size)), size, { onUploadProgress }));
    }
    expect(told).toEqual([
      { transferred: 5, total: 5 },
      { transferred: 262_144, total: 300_000 },
      { transferred: 300_000, total: 300_000 },
    ]);
  });

  test('tells of a streamed body, and of content that came, with the total where it is known', async () => {
    await using server = await peer(async (connection) => {
      for (;;) {
        await connection.request();
        await connection.take(13);
        connection.write(`${CHUNKED}5\r\nhello\r\n0\r\n\r\n`);
      }
    });
    using connection = await connected(server);
    const told: unknown[] = [];
    const tell = (progress: TransferProgress) => void told.push(progress);
    const request = post(streamed([Buffer.from('abc')]).body, null, {
      onUploadProgress: tell,
      onDownloadProgress: tell,
    });
    await connection.session.exchange(request);
    expect(told).toEqual([
      { transferred: 3, total: null },
      { transferred: 5, total: null },
    ]);
    await using second = await peer(answering(ok('hello')));
    using other = await connected(second);
    await other.session.exchange(get({ onDownloadProgress: tell }));
    expect(told.at(-1)).toEqual({ transferred: 5, total: 5 });
  });

  test('fails with what it is told by the listener', async () => {
    await using server = await peer(answering(ok('hello')));
    const fail = () => {
      throw new RangeError('not mine');
    };
    for (const given of [post(bodySource('abc'), 3, { onUploadProgress: fail }), get({ onDownloadProgress: fail })]) {
      using connection = await connected(server);
      expect((await failureOf(connection.session.exchange(given))).error).toEqual(new RangeError('not mine'));
      expect(connection.told).toEqual(['closed']);
    }
  });
});

describe('Session, expecting 100 (Continue)', () => {
  const asking = (seconds: number) => post(bodySource('hello'), 5, { expectContinue: seconds });

  test('sends the content when the server says so', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      expect(connection.received.endsWith('\r\n\r\n')).toBe(true);
      connection.write('HTTP/1.1 100 Continue\r\n\r\n');
      connection.write(ok(await connection.take(5)));
    });
    using connection = await connected(server);
    expect(await contentOf(await connection.session.exchange(asking(60)))).toBe('hello');
    expect(connection.told).toEqual(['idle']);
  });

  test('sends it all the same when the server has had its time', async () => {
    await using server = await peer(async (connection) => {
      await connection.request();
      connection.write(ok(await connection.take(5)));
    });
    using connection = await connected(server);
    expect(await contentOf(await connection.session.exchange(asking(0.01)))).toBe('hello');
    expect(connection.told).toEqual(['idle']);
  });

  test('sends nothing of it after a final response, and leaves no timer', async () => {
    const left = await timersLeftBy(async () => {
      await using server = await peer(answering('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno'));
      using connection = await connected(server);
      expect(await contentOf(await connection.session.exchange(asking(60)))).toBe('no');
      expect(connection.told).toEqual(['closed']);
      const peers = await server.connection(0);
      await peers.closed;
      expect(peers.received.endsWith('\r\n\r\n')).toBe(true);
    });
    expect(left).toBe(0);
  });
});
