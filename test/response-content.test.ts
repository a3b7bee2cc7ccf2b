/**
 * What comes back, over real sockets and through a PoolManager: text, JSON, trailers, ranges, files and streams, content codings.
 * HTTPResponse by itself: response.test.ts; content that means harm: security/bombs.test.ts.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DecodeError, HTTPError, IncompleteRead, ProtocolError } from '../src/exceptions.js';
import { PoolManager, type PoolManagerOptions } from '../src/poolmanager.js';
import type { RequestOptions } from '../src/request.js';
import { HTTPResponse } from '../src/response.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';
import { ENCODERS } from './coding/encoders.js';
import { chunkedReply, ok, type Peer, reply, type Script, startPeer } from './pool-peers.js';
import { watchHandles } from './support/leaks.js';

watchHandles();

let httpbin: Httpbin;
let folder = '';
beforeAll(async () => {
  httpbin = await startHttpbin();
  folder = await mkdtemp(join(tmpdir(), 'response-content-'));
});
afterAll(async () => {
  await httpbin.close();
  await rm(folder, { recursive: true });
});

const opened: AsyncDisposable[] = [];
afterEach(async () => {
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

/** The answer to one GET of what a server says. */
async function answer(bytes: string | Uint8Array, options: RequestOptions = {}): Promise<HTTPResponse> {
  const peer = await peerOf(() => bytes);
  return await manager().request('GET', peer.url, options);
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

const STREAMED = { preloadContent: false } as const;
const BOTH = [{ preloadContent: true }, STREAMED] as const;

describe('HTTPResponse.text()', () => {
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  test.each([
    ['UTF-8 where nothing is said', undefined, bytes('c3a9'), 'é'],
    ['UTF-8 without its mark', 'text/plain; charset=utf-8', bytes('efbbbfc3a9'), 'é'],
    ['UTF-8 with bytes that are none', 'text/plain', bytes('61ff62'), 'a\ufffdb'],
    ['windows-1252, every byte', 'text/plain; charset=windows-1252', bytes('80938599e97f'), '€“…™é\x7f'],
    ['what windows-1252 leaves undefined', 'text/plain; charset=cp1252', bytes('818d8f909d'), '\x81\x8d\x8f\x90\x9d'],
    ['latin1, which the web reads as windows-1252', 'text/plain; charset=ISO-8859-1', bytes('80e9'), '€é'],
    ['ASCII, likewise', 'text/plain;charset=us-ascii', bytes('41e9'), 'Aé'],
    ['shift_jis', 'text/html; charset=Shift_JIS', bytes('83658358836742'), 'テストB'],
    ['euc-kr', 'text/html; charset=euc-kr', bytes('c7d1b1db'), '한글'],
    ['gb18030 by one of its labels', 'text/html; charset=gb2312', bytes('d6d0ceC4'), '中文'],
    ['koi8-r', 'text/html; charset=koi8-r', bytes('d0d2c9'), 'при'],
    ['utf-16le without its mark', 'text/plain; charset=utf-16', bytes('fffe41004200'), 'AB'],
    ['utf-16be', 'text/plain; charset=utf-16be', bytes('00410042'), 'AB'],
    ['a label in quotes, after another parameter', 'text/plain; format=flowed; charset="koi8-r"', bytes('d0'), 'п'],
    ['a label in odd letters, with blanks', 'text/plain;\tCHARSET=KOI8-R ; x=y', bytes('d0'), 'п'],
    ['UTF-8 for a label that is unknown', 'text/plain; charset=klingon', bytes('c3a9'), 'é'],
    ['UTF-8 for an empty label', 'text/plain; charset=', bytes('c3a9'), 'é'],
    ['UTF-8 for a parameter that only ends so', 'text/plain; xcharset=koi8-r', bytes('c3a9'), 'é'],
  ])('HTTPResponse.text() reads %s', async (_, type, content, want) => {
    const peer = await peerOf(() => ok(content, type === undefined ? {} : { 'Content-Type': type }));
    for (const options of BOTH) {
      expect(await (await manager().request('GET', peer.url, options)).text()).toBe(want);
    }
  });

  test('HTTPResponse.text() decodes content codings first', async () => {
    const fields = { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain; charset=shift_jis' };
    const response = await answer(ok(gzipSync(Buffer.from('8365', 'hex')), fields));
    expect(await response.text()).toBe('テ');
  });
});

describe('HTTPResponse.json()', () => {
  test('HTTPResponse.json() reads UTF-8, with a mark or without, whatever charset is named (RFC 8259 section 8.1)', async () => {
    const fields = { 'Content-Type': 'application/json; charset=koi8-r' };
    const peer = await peerOf(() => ok(Buffer.from('\ufeff{"a":"é"}'), fields));
    for (const options of BOTH) {
      expect(await (await manager().request('GET', peer.url, options)).json()).toEqual({ a: 'é' });
    }
  });

  test.each([
    [
      'an HTML page',
      502,
      '<html>Bad Gateway</html>',
      'text/html',
      ['"<html>Bad Gateway</html>"', 'status 502', '"text/html"'],
    ],
    ['nothing', 200, '', undefined, ['""', 'status 200', 'no Content-Type']],
    ['what is cut', 200, '{"a": [1, 2', 'application/json', ['{\\"a\\": [1, 2']],
    ['a wrong character', 200, '{"a": 1,}', 'application/json', ['position 8']],
    ['very much', 200, `<${'x'.repeat(5_000)}`, 'text/html', ['(5001 characters)']],
  ])('HTTPResponse.json() of %s is a DecodeError that tells what came', async (_, status, content, type, told) => {
    const peer = await peerOf(() => reply(status, content, type === undefined ? {} : { 'Content-Type': type }));
    const response = await manager().request('GET', peer.url);
    const error = await rejection(response.json());
    expect(error).toBeInstanceOf(DecodeError);
    for (const part of told) expect(String(error)).toContain(part);
    expect(error).toMatchObject({ cause: expect.any(SyntaxError) });
    expect(String(error).length).toBeLessThan(600);
    expect(response.data.toString()).toBe(content);
  });

  test('SEC-118 (CVE-2026-42507): the message of json() is one line, whatever the server sends', async () => {
    const response = await answer(ok('\r\n\u001b[31m\u202e{', { 'Content-Type': 'a/b; \u0085x' }));
    expect(String(await rejection(response.json()))).not.toMatch(/[\r\n\u001b\u202e]/);
  });
});

describe('HTTPResponse.trailers', () => {
  const wire = chunkedReply(['con', 'tent'], { Trailer: 'X-Sum' }, 'X-Sum: 7\r\nx-sum: 8\r\n');

  test('HTTPResponse.trailers are there once the content is, and are no headers', async () => {
    const preloaded = await answer(wire);
    expect(preloaded.trailers.getList('X-Sum')).toEqual(['7', '8']);
    expect(preloaded.headers.has('X-Sum')).toBe(false);
    const peer = await peerOf(() => wire.slice(0, -20));
    const streamed = await manager().request('GET', peer.url, STREAMED);
    expect(streamed.trailers.size).toBe(0);
    peer.sockets[0]?.write(wire.slice(-20));
    expect(String(await streamed.read())).toBe('content');
    expect(streamed.trailers.get('x-sum')).toBe('7, 8');
  });

  test('HTTPResponse.trailers are empty without a trailer section', async () => {
    expect((await answer(ok())).trailers.size).toBe(0);
    expect((await answer(chunkedReply(['x']))).trailers.size).toBe(0);
    expect(new HTTPResponse().trailers.size).toBe(0);
  });
});

describe('HTTPResponse.contentRange', () => {
  test('HTTPResponse.contentRange tells what part came of what was asked for with Range', async () => {
    const http = manager();
    const part = await http.request('GET', `${httpbin.url}/range/100`, { headers: { Range: 'bytes=10-19' } });
    expect([part.status, part.contentRange]).toEqual([206, { unit: 'bytes', start: 10, end: 19, size: 100 }]);
    expect(part.data).toHaveLength(10);
    const whole = await http.request('GET', `${httpbin.url}/get`);
    expect(whole.contentRange).toBeNull();
  });

  test('HTTPResponse.contentRange of a 416 has the size only; nonsense is null', async () => {
    const response = await answer(reply(416, '', { 'Content-Range': 'bytes */47' }));
    expect(response.contentRange).toEqual({ unit: 'bytes', start: null, end: null, size: 47 });
    expect((await answer(reply(206, 'x', { 'Content-Range': 'bytes 5-4/3' }))).contentRange).toBeNull();
  });
});

describe('HTTPResponse.fileno()', () => {
  test.skipIf(process.platform === 'win32')(
    'HTTPResponse.fileno() is the descriptor of the socket while content comes by it',
    async () => {
      const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncon');
      const response = await manager().request('GET', peer.url, STREAMED);
      expect(response.fileno()).toBeGreaterThan(2);
      expect(String(await response.read(3))).toBe('con');
      peer.sockets[0]?.write('tent');
      await response.read();
      expect(() => response.fileno()).toThrow('has no file descriptor');
    },
  );

  test('HTTPResponse.fileno() raises HTTPError where there is no socket', async () => {
    const response = await answer(ok());
    expect(() => response.fileno()).toThrow(HTTPError);
    expect(() => new HTTPResponse().fileno()).toThrow(HTTPError);
  });
});

describe('HTTPResponse.read()', () => {
  test('HTTPResponse.read(0) and read(null) of a streamed response: nothing, and all that is left', async () => {
    const response = await answer(ok('content'), STREAMED);
    expect(await response.read(0)).toHaveLength(0);
    expect(String(await response.read(3))).toBe('con');
    expect(await response.read(0)).toHaveLength(0);
    expect(String(await response.read(null))).toBe('tent');
    expect(await response.read(null)).toHaveLength(0);
    expect(await response.read(0)).toHaveLength(0);
    expect(await response.read(5)).toHaveLength(0);
    expect(String(response.data)).toBe('tent');
  });

  test('HTTPResponse.read() raises for two reads at once of content that is decoded, and loses no byte', async () => {
    const content = Buffer.alloc(300_000, 'abcdefg');
    const response = await answer(ok(gzipSync(content), { 'Content-Encoding': 'gzip' }), STREAMED);
    const first = response.read(10);
    expect(await rejection(response.read(10))).toMatchObject({ message: expect.stringContaining('another read') });
    expect(Buffer.concat([await first, await response.read()]).equals(content)).toBe(true);
  });

  test.each(['', 'gzip'])(
    'HTTPResponse.read() that waits when the response is closed does not take that for the end, with coding "%s"',
    async (coding) => {
      const peer = await peerOf(() => `HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: 100\r\n\r\n`);
      for (const read of [
        (response: HTTPResponse) => response.read(),
        (response: HTTPResponse) => response.readInto(Buffer.alloc(10)),
        (response: HTTPResponse) => response.stream().next(),
        (response: HTTPResponse) => response.saveTo(join(folder, 'never complete')),
        (response: HTTPResponse) => response.saveTo(new PassThrough()),
      ]) {
        const response = await manager().request('GET', peer.url, STREAMED);
        const reading = rejection(read(response));
        response.close();
        expect(await reading).toMatchObject({ message: 'Cannot read on: the response was closed before its end' });
        expect(await response.read()).toHaveLength(0);
      }
    },
  );
});

describe('HTTPResponse.saveTo()', () => {
  const content = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * 7) ^ (index >> 9)));

  function collecting(): { target: Writable; got: () => Buffer } {
    const pieces: Buffer[] = [];
    const target = new Writable({
      write(piece, _, done) {
        pieces.push(piece);
        done();
      },
    });
    return { target, got: () => Buffer.concat(pieces) };
  }

  test.each([
    ['as it is', ok(content)],
    ['gzip', ok(gzipSync(content), { 'Content-Encoding': 'gzip' })],
  ])('HTTPResponse.saveTo() writes to paths, URLs and streams of both kinds: content %s', async (_, wire) => {
    const peer = await peerOf(() => wire);
    const http = manager({ maxsize: 1, block: true });
    for (const options of BOTH) {
      const get = () => http.request('GET', peer.url, options);
      const path = join(folder, 'saved');
      expect(await (await get()).saveTo(path)).toBe(content.length);
      expect((await readFile(path)).equals(content)).toBe(true);
      const { target, got } = collecting();
      expect(await (await get()).saveTo(target)).toBe(content.length);
      expect([got().equals(content), target.writableFinished]).toEqual([true, true]);
      const pieces: Uint8Array[] = [];
      const web = new WritableStream<Uint8Array>({ write: (piece) => void pieces.push(piece) });
      expect(await (await get()).saveTo(web)).toBe(content.length);
      expect(Buffer.concat(pieces).equals(content)).toBe(true);
    }
    // Each gave the connection back.
    expect(peer.sockets).toHaveLength(1);
  });

  test('HTTPResponse.saveTo() writes what is left', async () => {
    const response = await answer(ok('content'), STREAMED);
    await response.read(3);
    const { target, got } = collecting();
    expect(await response.saveTo(target)).toBe(4);
    expect(got().toString()).toBe('tent');
  });

  test.each([
    ['a path whose folder is missing', () => join(folder, 'no', 'where'), { code: 'ENOENT' }],
    ['a folder', () => folder, { code: 'EISDIR' }],
    [
      'a stream that errors',
      () => new Writable({ write: (_piece, _encoding, done) => done(new Error('no room')) }),
      { message: 'no room' },
    ],
    [
      'a stream of the web that errors',
      () =>
        new WritableStream({
          write() {
            throw new Error('no room');
          },
        }),
      { message: 'no room' },
    ],
  ] as const)(
    'HTTPResponse.saveTo() to %s raises that error, and leaves no connection in use',
    async (_, target, error) => {
      const peer = await peerOf(({ target: path }) => (path === '/ok' ? ok() : ok(content)));
      const http = manager({ maxsize: 1, block: true });
      const response = await http.request('GET', `${peer.url}/big`, STREAMED);
      expect(await rejection(response.saveTo(target()))).toMatchObject(error);
      expect((await http.request('GET', `${peer.url}/ok`, { poolTimeout: 5 })).data.toString()).toBe('ok');
      await peer.until(({ openSockets }) => openSockets <= 1);
    },
  );

  test.each(['path', 'writable', 'web'] as const)(
    'HTTPResponse.saveTo() of a response that breaks off raises, and says by %s that it is not the whole',
    async (kind) => {
      const peer = await peerOf((_request, socket) => {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst part');
        return undefined;
      });
      const response = await manager().request('GET', peer.url, STREAMED);
      const path = join(folder, 'broken off');
      const stream = createWriteStream(join(folder, 'broken off too'));
      const aborted: unknown[] = [];
      const web = new WritableStream({ abort: (reason) => void aborted.push(reason) });
      const error = await rejection(response.saveTo({ path, writable: stream, web }[kind]));
      expect(error).toBeInstanceOf(ProtocolError);
      expect(error).toMatchObject({ cause: expect.any(IncompleteRead) });
      if (kind === 'path') expect(await readFile(path, 'utf8')).toBe('first part');
      if (kind === 'writable') expect(stream.errored).toBe(error);
      else stream.destroy();
      if (!stream.closed) await once(stream, 'close').catch(() => {});
      if (kind === 'web') expect(aborted).toEqual([error]);
    },
  );

  test.each([undefined, null, 5, {}, { write() {} }, []])(
    'HTTPResponse.saveTo(%s) is a TypeError, and costs no content',
    async (target) => {
      const response = await answer(ok('content'), STREAMED);
      // As a caller without types may.
      const error = await rejection(response.saveTo(target as unknown as string));
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toContain('it must be a path, a file: URL or a writable stream');
      expect(String(await response.read())).toBe('content');
    },
  );
});

describe('onDownloadProgress', () => {
  test.each(BOTH)(
    'onDownloadProgress is told every byte as it came, never less than before, with %o',
    async (options) => {
      const wire = gzipSync(Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index * 7919) % 251)));
      const peer = await peerOf(() => ok(wire, { 'Content-Encoding': 'gzip' }));
      const told: { transferred: number; total: number | null }[] = [];
      const response = await manager().request('GET', peer.url, {
        ...options,
        onDownloadProgress: (p) => void told.push(p),
      });
      await response.read();
      expect(told.length).toBeGreaterThan(0);
      expect(told.map(({ transferred }) => transferred)).toEqual(told.map((p) => p.transferred).sort((a, b) => a - b));
      expect(told.at(-1)).toEqual({ transferred: wire.length, total: wire.length });
      expect(told.every(({ total }) => total === wire.length)).toBe(true);
    },
  );

  test('onDownloadProgress has no total where none is announced, and counts content without its chunks', async () => {
    const told: unknown[] = [];
    await answer(chunkedReply(['con', 'tent']), { onDownloadProgress: (progress) => void told.push(progress) });
    expect(told.at(-1)).toEqual({ transferred: 7, total: null });
    expect(told.length).toBeLessThanOrEqual(2);
  });

  test.each(BOTH)(
    'onDownloadProgress that throws fails the request with its error and leaves no socket, with %o',
    async (options) => {
      const peer = await peerOf(() => ok('x'.repeat(100_000)));
      const http = manager({ retries: 3 });
      const mistake = new Error('a mistake in the callback');
      const failing = http.request('GET', peer.url, {
        ...options,
        onDownloadProgress() {
          throw mistake;
        },
      });
      expect(await rejection(options.preloadContent ? failing : failing.then((response) => response.read()))).toBe(
        mistake,
      );
      await peer.until(({ openSockets }) => openSockets === 0);
      expect(peer.requests).toHaveLength(1);
      expect((await http.request('GET', peer.url)).data).toHaveLength(100_000);
    },
  );
});

describe('Content-Encoding', () => {
  const content = Buffer.from('what the server has to say '.repeat(50));
  const gzipped = gzipSync(content);

  test.each(BOTH)(
    'decodeContent: false leaves every byte as it came, of the request and of the read, with %o',
    async (options) => {
      const peer = await peerOf(() => ok(gzipped, { 'Content-Encoding': 'gzip' }));
      const http = manager();
      const raw = await http.request('GET', peer.url, { ...options, decodeContent: false });
      expect((await raw.read()).equals(gzipped)).toBe(true);
      expect(raw.data.equals(gzipped)).toBe(true);
      const decodedAfterAll = await http.request('GET', peer.url, { ...STREAMED, decodeContent: false });
      expect((await decodedAfterAll.read(null, { decodeContent: true })).equals(content)).toBe(true);
      const rawAfterAll = await http.request('GET', peer.url, STREAMED);
      expect((await rawAfterAll.read(null, { decodeContent: false })).equals(gzipped)).toBe(true);
      expect(rawAfterAll.headers.get('content-encoding')).toBe('gzip');
    },
  );

  test('decodeContent: false after decoding has begun is an error that says so, and costs no byte', async () => {
    const response = await answer(ok(gzipped, { 'Content-Encoding': 'gzip' }), STREAMED);
    const first = await response.read(10);
    for (const reading of [
      response.read(10, { decodeContent: false }),
      response.read(null, { decodeContent: false }),
      response.stream(10, { decodeContent: false }).next(),
    ]) {
      expect(await rejection(reading)).toMatchObject({
        message: 'Cannot read the content as it came: decoding it has begun',
      });
    }
    expect(Buffer.concat([first, await response.read()]).equals(content)).toBe(true);
  });

  test.each([
    ['one unknown coding', 'sdch'],
    ['an unknown coding before a known one', 'sdch, gzip'],
    ['an unknown coding after a known one', 'gzip, sdch'],
    ['a name that only looks like one', 'gzipx'],
  ])('SEC-106: content of %s is delivered as it came, with its field', async (_, coding) => {
    const peer = await peerOf(() => ok(gzipped, { 'Content-Encoding': coding }));
    for (const options of BOTH) {
      const response = await manager().request('GET', peer.url, options);
      expect((await response.read()).equals(gzipped)).toBe(true);
      expect(response.headers.get('Content-Encoding')).toBe(coding);
    }
  });

  test.each(['GZIP', ' x-gzip ', 'identity, gzip', 'gzip,', 'X-GZip, identity'])(
    'SEC-106: Content-Encoding "%s" is gzip',
    async (coding) => {
      const peer = await peerOf(() => ok(gzipped, { 'Content-Encoding': coding }));
      for (const options of BOTH) {
        expect((await (await manager().request('GET', peer.url, options)).read()).equals(content)).toBe(true);
      }
    },
  );

  test('SEC-106: codings in several field lines are one list', async () => {
    const twice = gzipSync(gzipped);
    const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${twice.length}\r\nContent-Encoding: gzip\r\n\r\n`;
    expect((await answer(Buffer.concat([Buffer.from(head), twice]))).data.equals(content)).toBe(true);
  });

  test.each([
    ['HEAD', 200, 'Content-Length: 999\r\n'],
    ['GET', 204, ''],
    ['GET', 304, 'Content-Length: 999\r\n'],
    ['GET', 200, 'Content-Length: 0\r\n'],
  ])(
    'SEC-106: %s %d with Content-Encoding: gzip has no content, and that is no error',
    async (method, status, fields) => {
      const peer = await peerOf(() => `HTTP/1.1 ${status} X\r\nContent-Encoding: gzip\r\n${fields}\r\n`);
      const http = manager();
      for (const options of BOTH) {
        const response = await http.request(method, peer.url, options);
        expect(await response.read()).toHaveLength(0);
        expect(response.data).toHaveLength(0);
      }
      expect(peer.sockets).toHaveLength(1);
    },
  );

  const damaged: readonly (readonly [string, Buffer])[] = [
    ['plain content', content],
    ['content cut in the middle', gzipped.subarray(0, 40)],
    ['content cut one byte before its end', gzipped.subarray(0, -1)],
    ['a head alone', gzipped.subarray(0, 10)],
    ['a wrong checksum', Buffer.concat([gzipped.subarray(0, -8), Buffer.alloc(8)])],
  ];

  test.each(damaged)(
    'SEC-105, SEC-106: %s that claims gzip is a DecodeError; the connection, whose framing was right, serves again',
    async (_, body) => {
      const peer = await peerOf(({ target }) => (target === '/ok' ? ok() : ok(body, { 'Content-Encoding': 'gzip' })));
      const http = manager({ retries: 3, maxsize: 1, block: true });
      for (const options of BOTH) {
        const reading = http.request('GET', `${peer.url}/bad`, options).then((response) => response.read());
        expect(await rejection(reading)).toBeInstanceOf(DecodeError);
        expect((await http.request('GET', `${peer.url}/ok`, { poolTimeout: 5 })).data.toString()).toBe('ok');
      }
      // Not fetched again: it would come as it was.
      expect(peer.requests.map(({ target }) => target)).toEqual(['/bad', '/ok', '/bad', '/ok']);
      expect(peer.sockets).toHaveLength(1);
    },
  );

  test('SEC-105: content that was decoded before the damage stays returned, and the error comes again', async () => {
    const long = Buffer.alloc(300_000, 'content ');
    const wire = gzipSync(long);
    const response = await answer(ok(wire.subarray(0, -1), { 'Content-Encoding': 'gzip' }), STREAMED);
    const first = await response.read(100_000);
    expect(first.equals(long.subarray(0, 100_000))).toBe(true);
    expect(await rejection(response.read())).toBeInstanceOf(DecodeError);
    expect(await response.read()).toHaveLength(0);
  });

  test('SEC-124: a decode error before the content has all come closes the connection, and the next request gets another', async () => {
    const peer = await peerOf(({ target }) =>
      target === '/ok'
        ? ok()
        : 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\nno gzip at all',
    );
    const http = manager({ maxsize: 1, block: true });
    const response = await http.request('GET', `${peer.url}/bad`, STREAMED);
    expect(await rejection(response.read())).toBeInstanceOf(DecodeError);
    response.releaseConn();
    expect((await http.request('GET', `${peer.url}/ok`, { poolTimeout: 5 })).data.toString()).toBe('ok');
    await peer.until(({ openSockets }) => openSockets === 1);
    expect(peer.sockets).toHaveLength(2);
  });

  test.each([
    ['streamed', STREAMED, 200],
    ['preloaded without its length being minded', { enforceContentLength: false }, 200],
    ['preloaded, of a status that may be retried', {}, 503],
  ])(
    'SEC-127: content that cannot be decoded, %s, keeps no connection from those who wait for one',
    async (_, options, status) => {
      const bad = `HTTP/1.1 ${status} X\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\nno gzip at all`;
      const tower = bad.replace('gzip', 'gzip, gzip, gzip, gzip, gzip, gzip');
      const peer = await peerOf(({ target }) => (target === '/ok' ? ok() : target === '/tower' ? tower : bad));
      const http = manager({ maxsize: 1, block: true });
      // Who streams has the response of a tower in hand, and may read it as it came.
      for (const path of options === STREAMED ? ['/bad'] : ['/bad', '/tower']) {
        const reading = http.request('GET', peer.url + path, options).then((response) => response.read());
        expect(await rejection(reading)).toBeInstanceOf(DecodeError);
        expect((await http.request('GET', `${peer.url}/ok`, { poolTimeout: 5 })).data.toString()).toBe('ok');
      }
    },
  );

  test('content that breaks off is a ProtocolError, not a DecodeError, however much of the coding came', async () => {
    const peer = await peerOf((_request, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${gzipped.length}\r\n\r\n`);
      socket.end(gzipped.subarray(0, -3));
      return undefined;
    });
    for (const options of BOTH) {
      const reading = manager()
        .request('GET', peer.url, options)
        .then((response) => response.read());
      expect(await rejection(reading)).toBeInstanceOf(ProtocolError);
    }
  });

  test('any bytes, in any chain of codings, cut in any way, read in any way, are the same bytes', async () => {
    let wire: Buffer[] = [];
    let fields = '';
    const peer = await peerOf(async (_request, socket) => {
      socket.setNoDelay(true);
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${fields}\r\n`);
      for (const piece of wire) {
        if (piece.length === 0) continue;
        socket.write(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return '0\r\n\r\n';
    });
    const http = manager({ maxsize: 1, block: true });
    const reads = fc.array(
      fc.record({
        way: fc.constantFrom('read', 'readInto', 'stream'),
        amount: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 })),
      }),
      { maxLength: 8 },
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 500 }),
      fc.record({ byte: fc.nat(255), length: fc.nat(150_000) }).map(({ byte, length }) => Buffer.alloc(length, byte)),
    );
    await fc.assert(
      fc.asyncProperty(
        bytes,
        fc.array(fc.constantFrom(...ENCODERS), { maxLength: 5 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
        reads,
        fc.boolean(),
        async (given, encoders, cuts, howToRead, preloadContent) => {
          const plain = Buffer.from(given);
          const encoded = encoders.reduce<Buffer>((inner, { encode }) => encode(inner), plain);
          const places = [0, ...cuts.map((cut) => Math.floor(cut * encoded.length)).sort((a, b) => a - b)];
          wire = places.map((start, index) => encoded.subarray(start, places[index + 1] ?? encoded.length));
          fields =
            encoders.length === 0 ? '' : `Content-Encoding: ${encoders.map(({ coding }) => coding).join(', ')}\r\n`;
          const response = await http.request('GET', peer.url, { preloadContent });
          const got: Buffer[] = [];
          for (const { way, amount } of howToRead) got.push(await readIn(response, way, amount));
          got.push(await response.read());
          expect(Buffer.concat(got).equals(plain)).toBe(true);
          expect(response.closed).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
    expect(peer.sockets).toHaveLength(1);
  });
});

async function readIn(response: HTTPResponse, way: string, amount: number): Promise<Buffer> {
  if (way === 'read') {
    const piece = await response.read(amount);
    expect(piece.length).toBeLessThanOrEqual(amount);
    return piece;
  }
  if (way === 'readInto') {
    const target = Buffer.alloc(amount);
    return target.subarray(0, await response.readInto(target));
  }
  const { value } = await response.stream(amount).next();
  expect(value?.length ?? 0).toBeLessThanOrEqual(amount);
  return value ?? Buffer.alloc(0);
}
