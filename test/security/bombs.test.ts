/**
 * Content that means harm, over real sockets and through a PoolManager: bombs, towers of codings, content that nobody wants.
 * The decoders alone: decoding.test.ts; how much memory a process takes for it: ../memory.test.ts.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import zlib from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ZlibEngine } from '../../src/coding/engine.js';
import { FzstdEngine } from '../../src/coding/fzstd.js';
import { DecodeError } from '../../src/exceptions.js';
import { PoolManager, type PoolManagerOptions } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';
import type { HTTPResponse } from '../../src/response.js';
import { zstdBlockHeader } from '../coding/encoders.js';
import { ok, type Peer, redirectTo, reply, type Script, startPeer } from '../pool-peers.js';
import { watchHandles } from '../support/leaks.js';

watchHandles();

const KiB = 1024;
const MiB = 1024 * KiB;
const STREAMED = { preloadContent: false } as const;
const BOTH = [{ preloadContent: true }, STREAMED] as const;

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function peerOf(script: Script): Promise<Peer> {
  const peer = await startPeer(script);
  opened.push(peer);
  return peer;
}

function manager(options: PoolManagerOptions = {}): PoolManager {
  const http = new PoolManager({ timeout: 10, retries: false, ...options });
  opened.push(http);
  return http;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

/** How many bytes the decoders have given so far, all layers together, whoever takes them. */
function spyOnDecoders(): { decoded(): number; made(): number } {
  const writes = [vi.spyOn(ZlibEngine.prototype, 'write'), vi.spyOn(FzstdEngine.prototype, 'write')];
  const factories = [
    vi.spyOn(zlib, 'createInflate'),
    vi.spyOn(zlib, 'createInflateRaw'),
    vi.spyOn(zlib, 'createBrotliDecompress'),
    vi.spyOn(zlib, 'inflateRawSync'),
    vi.spyOn(zlib, 'gunzipSync'),
  ];
  return {
    decoded: () => writes.flatMap((spy) => spy.mock.results).reduce((sum, { value }) => sum + (Number(value) || 0), 0),
    made: () => [...writes, ...factories].reduce((sum, spy) => sum + spy.mock.calls.length, 0),
  };
}

/** A bomb of 10 MiB that decodes to 10 GiB: members of 16 MiB of zeros. */
function tenGiB(): Buffer {
  const member = zlib.gzipSync(Buffer.alloc(16 * MiB));
  return Buffer.alloc(640 * member.length, member);
}

const GZIP_BOMB = tenGiB();
const CHAINED_BOMB = [1, 2, 3, 4].reduce((inner) => zlib.gzipSync(inner), GZIP_BOMB);

const BIG_BOMBS = [
  { name: 'of 10 MiB that decodes to 10 GiB', wire: GZIP_BOMB, coding: 'gzip', layers: 1 },
  { name: 'of 10 GiB in five layers', wire: CHAINED_BOMB, coding: 'gzip, gzip, gzip, gzip, gzip', layers: 5 },
] as const;

test('the bombs are what they say', () => {
  expect(GZIP_BOMB.length).toBeGreaterThan(9 * MiB);
  expect(GZIP_BOMB.length).toBeLessThan(11 * MiB);
  expect(GZIP_BOMB.readUInt32LE(GZIP_BOMB.length - 4)).toBe(16 * MiB);
  expect(CHAINED_BOMB.length).toBeLessThan(8 * KiB);
});

describe.each(BIG_BOMBS)('a bomb $name', ({ wire, coding, layers }) => {
  const LIMIT = 2 * MiB;
  const places: readonly (readonly [string, PoolManagerOptions, RequestOptions])[] = [
    ['maxDecodedSize of the manager', { maxDecodedSize: LIMIT }, {}],
    ['maxDecodedSize of the request', {}, { maxDecodedSize: LIMIT }],
    ['maxDecodedSize of the request, over the manager’s', { maxDecodedSize: 2 ** 40 }, { maxDecodedSize: LIMIT }],
    ['maxRatio of the manager', { maxRatio: 20 }, {}],
    ['maxRatio of the request', {}, { maxRatio: 20 }],
  ];

  test.each(
    places.flatMap(([limit, ofManager, ofRequest]) => BOTH.map((way) => ({ limit, ofManager, ofRequest, way }))),
  )(
    'SEC-100 (CVE-2025-69223, CVE-2025-6176): $limit stops it early, with $way',
    async ({ ofManager, ofRequest, way }) => {
      const peer = await peerOf(({ target }) => (target === '/ok' ? ok() : ok(wire, { 'Content-Encoding': coding })));
      const http = manager({ retries: 3, ...ofManager });
      const { decoded } = spyOnDecoders();
      const reading = http
        .request('GET', `${peer.url}/`, { ...way, ...ofRequest })
        .then((response) => drained(response));
      const error = await rejection(reading);
      expect(error).toBeInstanceOf(DecodeError);
      expect(String(error)).toMatch(/maxDecodedSize|maxRatio/);
      expect(decoded()).toBeLessThanOrEqual(layers * (LIMIT + 256 * KiB));
      // Not fetched again, and nothing of it is left for the next request.
      expect(peer.requests).toHaveLength(1);
      expect(String((await http.request('GET', `${peer.url}/ok`)).data)).toBe('ok');
    },
  );

  test('SEC-100: maxDecodedSize of a pool stops it, and null of a request lifts that limit', async () => {
    const peer = await peerOf(() => ok(wire, { 'Content-Encoding': coding }));
    const pool = manager().connectionFromUrl(peer.url, { poolKwargs: { maxDecodedSize: LIMIT } });
    expect(await rejection(pool.request('GET', '/'))).toBeInstanceOf(DecodeError);
    const unlimited = await pool.request('GET', '/', { ...STREAMED, maxDecodedSize: null });
    expect(await taken(unlimited, 2 * LIMIT)).toBeGreaterThan(LIMIT);
    unlimited.close();
  });

  test('SEC-113 (CVE-2020-15168): the limit holds after a redirect and after a retry', async () => {
    let busy = 1;
    const peer = await peerOf(({ target }) => {
      if (target === '/') return redirectTo('/busy', 302);
      if (busy-- > 0) return reply(503, '', { 'Retry-After': '0' });
      return ok(wire, { 'Content-Encoding': coding });
    });
    const error = await rejection(manager({ retries: 5, maxDecodedSize: LIMIT }).request('GET', peer.url));
    expect(error).toBeInstanceOf(DecodeError);
    expect(peer.requests.map(({ target }) => target)).toEqual(['/', '/busy', '/busy']);
  });
});

async function drained(response: HTTPResponse): Promise<void> {
  for await (const piece of response.stream()) expect(piece.length).toBeGreaterThan(0);
}

/** Reads until so many bytes have come. */
async function taken(response: HTTPResponse, wanted: number): Promise<number> {
  let count = 0;
  for await (const piece of response.stream()) {
    count += piece.length;
    if (count >= wanted) break;
  }
  return count;
}

const ZEROS = Buffer.alloc(64 * MiB);
const FAST_BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 2 } };
const GZIPPED = zlib.gzipSync(ZEROS);
const SMALL_BOMBS = [
  { coding: 'gzip', wire: GZIPPED },
  { coding: 'deflate', wire: zlib.deflateSync(ZEROS) },
  { coding: 'deflate', wire: zlib.deflateRawSync(ZEROS) },
  { coding: 'br', wire: zlib.brotliCompressSync(ZEROS, FAST_BROTLI) },
  { coding: 'zstd', wire: zstdOfZeros(512) },
  { coding: 'gzip, gzip', wire: zlib.gzipSync(GZIPPED) },
  { coding: 'zstd, deflate', wire: zlib.deflateSync(zstdOfZeros(512)) },
];

/** Blocks of 128 KiB of zeros, four bytes each. */
function zstdOfZeros(blocks: number): Buffer {
  const block = Buffer.concat([zstdBlockHeader(false, 1, 128 * KiB), Buffer.alloc(1)]);
  const head = Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x50);
  return Buffer.concat([head, Buffer.alloc(4 * blocks, block), zstdBlockHeader(true, 0, 0)]);
}

describe.each(SMALL_BOMBS)('64 MiB of zeros in $coding', ({ coding, wire }) => {
  const ways: readonly (readonly [string, (response: HTTPResponse) => Promise<number>])[] = [
    ['read(1024)', async (response) => (await response.read(1_024)).length],
    ['readInto()', (response) => response.readInto(Buffer.alloc(1_024))],
    ['stream(1024)', async (response) => (await response.stream(1_024).next()).value?.length ?? 0],
  ];

  test.each(ways)(
    'SEC-100 (CVE-2025-66471, CVE-2026-44432, CVE-2026-84382): %s, once, twice and ten times, decodes 256 KiB ahead at most',
    async (_, read) => {
      const peer = await peerOf(() => ok(wire, { 'Content-Encoding': coding }));
      const response = await manager().request('GET', peer.url, STREAMED);
      const { decoded } = spyOnDecoders();
      let count = 0;
      for (let times = 1; times <= 10; times++) {
        count += await read(response);
        expect(decoded()).toBeLessThanOrEqual(count + 256 * KiB);
      }
      expect(count).toBeGreaterThanOrEqual(10 * KiB);
      response.close();
    },
  );

  test('SEC-100: toReadable() decodes 256 KiB ahead at most, and nothing once it is destroyed', async () => {
    const peer = await peerOf(() => ok(wire, { 'Content-Encoding': coding }));
    const response = await manager().request('GET', peer.url, STREAMED);
    const { decoded } = spyOnDecoders();
    const stream = response.toReadable();
    let count = 0;
    for (let times = 1; times <= 10; times++) {
      let piece: unknown = stream.read(1_024);
      while (piece === null) {
        await once(stream, 'readable');
        piece = stream.read(1_024);
      }
      count += 1_024;
      expect(decoded()).toBeLessThanOrEqual(count + 256 * KiB);
    }
    stream.destroy();
    await once(stream, 'close');
    const before = decoded();
    expect(await response.read()).toHaveLength(0);
    expect(decoded()).toBe(before);
  });

  test('SEC-102 (CVE-2026-21441, CVE-2026-44432): drained, closed or released after a first read, it is decoded no further', async () => {
    const peer = await peerOf(() => ok(wire, { 'Content-Encoding': coding }));
    const http = manager();
    for (const leave of [
      (response: HTTPResponse) => response.drainConn(),
      async (response: HTTPResponse) => response.close(),
      async (response: HTTPResponse) => response.releaseConn(),
      (response: HTTPResponse) => response[Symbol.asyncDispose](),
    ]) {
      const response = await http.request('GET', peer.url, STREAMED);
      await response.read(1_024);
      const { decoded } = spyOnDecoders();
      await leave(response);
      expect(decoded()).toBe(0);
      vi.restoreAllMocks();
      response.close();
    }
  });

  test('SEC-102 (CVE-2026-21441, CVE-2024-22025): as the body of a redirect, of a retried answer or of a failed one it never meets a decoder', async () => {
    const bomb = (status: number, fields: Record<string, string>) =>
      reply(status, wire, { 'Content-Encoding': coding, ...fields });
    let busy = 1;
    const peer = await peerOf(({ target }) => {
      if (target === '/') return bomb(302, { Location: '/see' });
      if (target === '/see') return bomb(303, { Location: '/busy' });
      if (target === '/bad') return bomb(500, {});
      return busy-- > 0 ? bomb(503, { 'Retry-After': '0' }) : ok();
    });
    const { made } = spyOnDecoders();
    for (const options of BOTH) {
      busy = 1;
      expect((await manager({ retries: 5 }).request('GET', `${peer.url}/`, options)).status).toBe(200);
    }
    const bad = manager()
      .connectionFromUrl(peer.url)
      .request('GET', '/bad', { ...STREAMED, retries: 0 });
    (await bad).close();
    expect(made()).toBe(0);
  });
});

describe('SEC-101 (CVE-2025-66418, CVE-2026-22036, CVE-2023-23916): a tower of codings', () => {
  const content = Buffer.from('content');
  const five = [1, 2, 3, 4, 5].reduce<Buffer>((inner) => zlib.gzipSync(inner), content);

  test('five codings are undone, in one field line or in five', async () => {
    const length = `Content-Length: ${five.length}\r\n`;
    const lines = `HTTP/1.1 200 OK\r\n${'Content-Encoding: gzip\r\n'.repeat(5)}${length}\r\n`;
    const peer = await peerOf(({ target }) =>
      target === '/lines'
        ? Buffer.concat([Buffer.from(lines), five])
        : ok(five, { 'Content-Encoding': 'gzip, gzip, gzip, gzip, gzip' }),
    );
    for (const options of BOTH) {
      for (const path of ['/', '/lines']) {
        const response = await manager().request('GET', peer.url + path, options);
        expect(String(await response.read())).toBe('content');
      }
    }
  });

  test.each([
    ['six in one line', ['gzip, gzip, gzip, gzip, gzip, gzip']],
    ['six in six lines', ['gzip', 'gzip', 'gzip', 'gzip', 'gzip', 'gzip']],
    ['five and one', ['gzip, gzip, gzip, gzip, gzip', 'gzip']],
    ['six with identity', ['identity, gzip, identity, gzip, identity, gzip']],
    ['six with blanks', ['gzip,,,,,gzip']],
    ['six with an unknown one', ['gzip, gzip, gzip, gzip, gzip, sdch']],
    ['ten thousand', [Array(10_000).fill('br').join()]],
  ])('%s are a DecodeError before a decoder is made', async (_, values) => {
    const lines = values.map((value) => `Content-Encoding: ${value}\r\n`).join('');
    const peer = await peerOf(() =>
      Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${lines}Content-Length: ${five.length}\r\n\r\n`), five]),
    );
    const { made } = spyOnDecoders();
    for (const options of BOTH) {
      const reading = manager({ retries: 3 })
        .request('GET', peer.url, options)
        .then((response) => response.read());
      expect(await rejection(reading)).toBeInstanceOf(DecodeError);
    }
    expect(made()).toBe(0);
    expect(peer.requests).toHaveLength(2);
    const raw = await manager().request('GET', peer.url, { decodeContent: false });
    expect(raw.data.equals(five)).toBe(true);
  });
});

describe('SEC-103 (CVE-2026-97688): reading comes to its end, whatever follows the content', () => {
  const content = Buffer.from('some content '.repeat(20));
  const wires: readonly (readonly [string, string, Buffer])[] = [
    ['gzip', 'gzip', zlib.gzipSync(content)],
    ['zlib', 'deflate', zlib.deflateSync(content)],
    ['raw deflate', 'deflate', zlib.deflateRawSync(content)],
    ['br', 'br', zlib.brotliCompressSync(content)],
  ];

  test.each(wires)('%s with bytes after its end, cut anywhere, read in tens', async (_, coding, whole) => {
    const wire = Buffer.concat([whole, Buffer.from('!trailing')]);
    let cut = 0;
    const peer = await peerOf(async (_request, socket) => {
      socket.setNoDelay(true);
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: ${coding}\r\n\r\n`);
      for (const piece of [wire.subarray(0, cut), wire.subarray(cut)]) {
        if (piece.length > 0)
          socket.write(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return '0\r\n\r\n';
    });
    const http = manager({ timeout: 2 });
    for (cut = 0; cut <= wire.length; cut++) {
      const response = await http.request('GET', peer.url, STREAMED);
      const pieces: Buffer[] = [];
      for await (const piece of response.stream(10)) pieces.push(piece);
      expect(Buffer.concat(pieces).equals(content)).toBe(true);
      expect(await response.read(10)).toHaveLength(0);
    }
    expect(peer.sockets).toHaveLength(1);
  });

  test.each(wires)(
    '%s: an empty body, and one of a single byte, end or are refused, with read(0) in between',
    async (_, coding, whole) => {
      for (const body of [Buffer.alloc(0), whole.subarray(0, 1), Buffer.of(0)]) {
        const peer = await peerOf(() => ok(body, { 'Content-Encoding': coding }));
        const response = await manager({ timeout: 2 }).request('GET', peer.url, STREAMED);
        expect(await response.read(0)).toHaveLength(0);
        const outcome = await response.read(10).catch((error: unknown) => error);
        if (body.length === 0) expect(outcome).toHaveLength(0);
        else expect(outcome instanceof DecodeError || (Buffer.isBuffer(outcome) && outcome.length === 0)).toBe(true);
        expect(await response.read(0)).toHaveLength(0);
      }
    },
  );
});

describe('SEC-104 (CVE-2022-30631, CVE-2025-0725): a hundred thousand empty gzip members', () => {
  const wire = Buffer.alloc(100_000 * 20, zlib.gzipSync(''));

  test('are read to their end', async () => {
    const peer = await peerOf(() => ok(wire, { 'Content-Encoding': 'gzip' }));
    for (const options of BOTH) {
      expect(await (await manager().request('GET', peer.url, options)).read()).toHaveLength(0);
    }
  });

  test('and garbage after them is ignored, but not a bad member that is the first', async () => {
    const peer = await peerOf(({ target }) =>
      ok(
        target === '/first'
          ? Buffer.concat([Buffer.from('garbage'), wire])
          : Buffer.concat([wire, Buffer.from('garbage')]),
        {
          'Content-Encoding': 'gzip',
        },
      ),
    );
    expect((await manager().request('GET', peer.url)).data).toHaveLength(0);
    expect(await rejection(manager().request('GET', `${peer.url}/first`))).toBeInstanceOf(DecodeError);
  });

  test('can be given up while they are decoded', async () => {
    const peer = await peerOf(() => ok(Buffer.concat([wire, wire, wire, wire]), { 'Content-Encoding': 'gzip' }));
    const controller = new AbortController();
    const response = await manager().request('GET', peer.url, { ...STREAMED, signal: controller.signal });
    const reading = rejection(response.read());
    setImmediate(() => controller.abort(new Error('enough')));
    expect(await reading).toMatchObject({ message: 'enough' });
  });
});

test('SEC-107 (CVE-2026-85024, CVE-2017-14919): damaged content is a DecodeError or harmless, and no decoder stays behind', async () => {
  const streams: { destroyed: boolean }[] = [];
  for (const factory of ['createInflate', 'createInflateRaw', 'createBrotliDecompress'] as const) {
    const create: (...options: never[]) => { destroyed: boolean } = zlib[factory];
    vi.spyOn(zlib, factory).mockImplementation(() => {
      const stream = create();
      streams.push(stream);
      return Object(stream);
    });
  }
  const content = Buffer.from(Array.from({ length: 3_000 }, (_, index) => `line ${index}`).join());
  const codings: readonly (readonly [string, Buffer])[] = [
    ['gzip', zlib.gzipSync(content)],
    ['deflate', zlib.deflateSync(content)],
    ['deflate', zlib.deflateRawSync(content)],
    ['br', zlib.brotliCompressSync(content)],
  ];
  let answer: string | Uint8Array = '';
  const peer = await peerOf(() => answer);
  const http = manager();
  for (let round = 0; round < 300; round++) {
    const [coding, wire] = codings[round % codings.length] ?? ['gzip', content];
    const damaged = Buffer.from(wire);
    const at = (round * 7_919) % (round % 3 === 0 ? 20 : damaged.length);
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (round % 8)), at);
    answer = ok(damaged, { 'Content-Encoding': coding });
    const response = await http.request('GET', peer.url, { ...STREAMED, maxDecodedSize: 4 * MiB });
    if (round % 5 === 0) {
      await response.read(100).catch((error: unknown) => expect(error).toBeInstanceOf(DecodeError));
      response.close();
      continue;
    }
    const outcome = await response.read().catch((error: unknown) => error);
    if (!Buffer.isBuffer(outcome)) expect(outcome).toBeInstanceOf(DecodeError);
  }
  // What is not closed is kept for the next body: a few of each kind.
  expect(streams.filter((stream) => !stream.destroyed).length).toBeLessThanOrEqual(3 * 4);
});

describe('SEC-113 (CVE-2024-24750, CVE-2026-18149, CVE-2026-54280): content without end', () => {
  const wanted =
    (): Script =>
    ({ target }, socket) =>
      target === '/ok' ? ok() : endless(socket, target);

  /** Writes for as long as the client takes it. */
  function endless(socket: Socket, target: string): undefined {
    const status =
      target === '/redirect' ? '302 X\r\nLocation: /ok' : target === '/busy' ? '503 X\r\nRetry-After: 0' : '200 X';
    socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 1000000000000\r\n\r\n`);
    const write = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(64 * KiB)))
        sent.set(socket, (sent.get(socket) ?? 0) + 64 * KiB);
    };
    socket.on('drain', write);
    write();
  }
  const sent = new Map<Socket, number>();

  test.each(BOTH)('of a redirect is drained for 1 MiB, and its connection closed, with %o', async (options) => {
    const peer = await peerOf(wanted());
    const response = await manager({ retries: 3 }).request('GET', `${peer.url}/redirect`, options);
    expect(String(await response.read())).toBe('ok');
    await peer.until(({ openSockets }) => openSockets === 1);
    expect(peer.sockets.map((socket) => socket.bytesRead > 0)).toEqual([true, true]);
  });

  test('of a retried 503 is drained for 1 MiB each time, and its connections closed', async () => {
    const peer = await peerOf(wanted());
    const response = await manager()
      .request('GET', `${peer.url}/busy`, { ...STREAMED, retries: 2 })
      .catch(() => null);
    response?.close();
    await peer.until(({ openSockets }) => openSockets === 0);
    expect(peer.sockets).toHaveLength(3);
  });

  test('of a response that nobody reads stops its server, and costs no memory', async () => {
    const peer = await peerOf(wanted());
    const response = await manager().request('GET', `${peer.url}/`, STREAMED);
    const [socket] = peer.sockets;
    if (socket === undefined) throw new Error('no connection came');
    let before = -1;
    // Until the kernel's buffers are full and nothing more is taken.
    for (let quiet = 0; quiet < 20; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const now = sent.get(socket) ?? 0;
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
    expect(before).toBeLessThan(32 * MiB);
    response.close();
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test('that trickles is drained for 1 s at most', async () => {
    const peer = await peerOf(({ target }) =>
      target === '/ok' ? ok() : 'HTTP/1.1 302 X\r\nLocation: /ok\r\nContent-Length: 10\r\n\r\na',
    );
    const started = performance.now();
    expect((await manager({ retries: 3 }).request('GET', peer.url)).status).toBe(200);
    expect(performance.now() - started).toBeLessThan(2_000);
    await peer.until(({ openSockets }) => openSockets === 1);
  });
});
