import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer as bufferOf, text as textOf } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { HTTPConnection } from '../src/connection.js';
import { HTTPConnectionPool, type HTTPConnectionPoolOptions } from '../src/connectionpool.js';
import {
  BodyNotHttpLibCompatible,
  DecodeError,
  HTTPError,
  IncompleteRead,
  ProtocolError,
  ReadTimeoutError,
  ResponseNotChunked,
  ResponseNotReadError,
} from '../src/exceptions.js';
import { HTTPHeaderDict } from '../src/headers.js';
import { GzipDecoder, HTTPResponse, type HTTPResponseOptions } from '../src/response.js';
import { startHttpbin } from '../src/testing/index.js';
import { Retry } from '../src/util/retry.js';
import { chunkedReply, gzipped, ok, type Peer, reply, type Script, startPeer } from './pool-peers.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function peerOf(script: Script): Promise<Peer> {
  const peer = await startPeer(script);
  opened.push(peer);
  return peer;
}

function poolOf(peer: Peer, options: HTTPConnectionPoolOptions = {}): HTTPConnectionPool {
  const pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port, retries: false, ...options });
  opened.push(pool);
  return pool;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

/** A response whose content is streamed from memory. */
function streamed(body: Uint8Array | string, options: HTTPResponseOptions = {}): HTTPResponse {
  return new HTTPResponse({ body: Readable.from([Buffer.from(body)]), preloadContent: false, ...options });
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

describe('HTTPResponse made by hand', () => {
  test('new HTTPResponse() has the defaults of the reference', () => {
    const response = new HTTPResponse();
    expect(response).toMatchObject({
      status: 0,
      version: 0,
      reason: null,
      decodeContent: true,
      enforceContentLength: true,
      retries: null,
      requestMethod: null,
      originalResponse: null,
      connection: null,
      url: null,
      chunked: false,
    });
    expect(response.data).toEqual(Buffer.alloc(0));
    expect(response.getUrl()).toBeNull();
    expect(response.headers).toEqual(new HTTPHeaderDict());
    expect(response.trailers.size).toBe(0);
    expect(response._pool).toBeNull();
    expect(String(response)).toBe('<HTTPResponse [0]>');
    expect(response.readable()).toBe(true);
    expect(response.flush()).toBeUndefined();
    expect(response.supportsChunkedReads()).toBe(false);
    expect(HTTPResponse.REDIRECT_STATUSES).toEqual(new Set([301, 302, 303, 307, 308]));
    expect(HTTPResponse.CONTENT_DECODERS.slice(0, 3)).toEqual(['gzip', 'deflate', 'br']);
    expect(HTTPResponse.DECODER_ERROR_CLASSES).toEqual([DecodeError]);
    expect(new GzipDecoder()).toBeInstanceOf(GzipDecoder);
  });

  test('new HTTPResponse() takes text and bytes, and decodes them', async () => {
    expect(new HTTPResponse({ body: 'text' }).data.toString()).toBe('text');
    expect(new HTTPResponse({ body: new Uint8Array([1, 2, 3]).subarray(1) }).data).toEqual(Buffer.from([2, 3]));
    const headers = { 'Content-Encoding': 'gzip' };
    const compressed = gzipSync('text');
    const response = new HTTPResponse({ body: compressed, headers });
    expect(response.data.toString()).toBe('text');
    expect(response.tell()).toBe(compressed.length);
    expect(new HTTPResponse({ body: compressed, headers, decodeContent: false }).data).toEqual(compressed);
    expect(() => new HTTPResponse({ body: 'no gzip', headers })).toThrow(DecodeError);
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    expect(() => new HTTPResponse({ body: bomb, headers })).toThrow('read it in pieces');
    const lazy = new HTTPResponse({ body: bomb, headers, preloadContent: false });
    expect((await lazy.read()).length).toBe(50_000_000);
  });

  test('new HTTPResponse() takes a stream with preloadContent: false only', async () => {
    expect(() => new HTTPResponse({ body: Readable.from(['x']) })).toThrow(TypeError);
    expect(() => new HTTPResponse({ body: 5 as never, preloadContent: false })).toThrow(TypeError);
    expect((await streamed('stream').read()).toString()).toBe('stream');
    async function* pieces() {
      yield 'a';
      yield new Uint8Array([98]);
    }
    const response = new HTTPResponse({ body: pieces(), preloadContent: false });
    expect((await response.read()).toString()).toBe('ab');
  });

  test('msg is used for headers that are absent', () => {
    expect(new HTTPResponse({ msg: { A: '1' } }).getHeader('a')).toBe('1');
    expect(new HTTPResponse({ msg: { A: '1' }, headers: { A: '2' } }).getHeader('a')).toBe('2');
  });

  test('fields can be asked for in all the ways of the reference', () => {
    const response = new HTTPResponse({
      headers: [
        ['A', '1'],
        ['A', '2'],
        ['B', '3'],
      ],
      status: 200,
      reason: 'OK',
      version: 11,
    });
    expect(response.headers.getList('a')).toEqual(['1', '2']);
    expect(response.getHeader('A')).toBe('1, 2');
    expect(response.getHeader('C')).toBeUndefined();
    expect(response.getHeader('C', 'none')).toBe('none');
    expect(response.getHeaders()).toBe(response.headers);
    expect(response.info()).toBe(response.headers);
    expect(String(response)).toBe('<HTTPResponse [200]>');
    expect(response.chunked).toBe(false);
    expect(new HTTPResponse({ headers: { 'Transfer-Encoding': 'gzip, Chunked' } }).chunked).toBe(true);
  });

  test.each([
    [301, '/x', '/x'],
    [302, '/x', '/x'],
    [303, '/x', '/x'],
    [307, '/x', '/x'],
    [308, '/x', '/x'],
    [308, undefined, null],
    [300, '/x', false],
    [304, '/x', false],
    [200, '/x', false],
    [201, '/x', false],
  ])('getRedirectLocation() of a %s with Location %s is %s', (status, location, expected) => {
    expect(new HTTPResponse({ status, headers: { Location: location } }).getRedirectLocation()).toBe(expected);
  });

  test('retries are kept', () => {
    const retries = new Retry(2);
    expect(new HTTPResponse({ retries }).retries).toBe(retries);
  });

  test('fromHttplib() makes a response of one of Node’s own', async () => {
    await using httpbin = await startHttpbin();
    const get = async (path: string): Promise<http.IncomingMessage> => {
      const request = http.get(httpbin.url + path, { agent: false });
      const [answer]: unknown[] = await once(request, 'response');
      if (!(answer instanceof http.IncomingMessage)) throw new Error('a request is answered');
      return answer;
    };
    const original = await get('/gzip');
    const response = await HTTPResponse.fromHttplib(original);
    expect(response).toMatchObject({ status: 200, reason: 'OK', version: 11, originalResponse: original });
    expect(await response.json()).toMatchObject({ gzipped: true });
    expect(response.supportsChunkedReads()).toBe(true);
    const lazy = await HTTPResponse.fromHttplib(await get('/stream/3'), { preloadContent: false });
    expect(lazy.chunked).toBe(true);
    let lines = '';
    for await (const piece of lazy.readChunked(10)) lines += piece.toString();
    expect(lines.trim().split('\n')).toHaveLength(3);
  });
});

describe('HTTPResponse, preloaded', () => {
  test('data, text() and json() give the content again and again', async () => {
    const peer = await peerOf(() => ok('{"a":[1,2]}'));
    const response = await poolOf(peer).request('GET', '/');
    for (const _ of [1, 2]) {
      expect(response.data.toString()).toBe('{"a":[1,2]}');
      expect(await response.text()).toBe('{"a":[1,2]}');
      expect(await response.json()).toEqual({ a: [1, 2] });
    }
    expect(response).toMatchObject({ status: 200, reason: 'Reason', version: 11, closed: true, requestMethod: 'GET' });
    expect(response.isClosed()).toBe(true);
    expect(response.connection).toBeNull();
    expect(response.tell()).toBe(11);
    response.releaseConn();
    await response.drainConn();
    response.close();
    expect(response.data.toString()).toBe('{"a":[1,2]}');
    expect(String(response._pool)).toContain('HTTPConnectionPool');
    expect(response.supportsChunkedReads()).toBe(true);
  });

  const long = 'compressible '.repeat(20_000);
  const ways: readonly (readonly [string, Buffer, string])[] = [
    ['as it is', ok('content'), 'content'],
    ['small gzip', gzipped('content'), 'content'],
    ['small deflate', ok(deflateSync('content'), { 'Content-Encoding': 'deflate' }), 'content'],
    ['large gzip', gzipped(long), long],
    [
      'incompressible gzip',
      gzipped(Buffer.from(Array.from({ length: 99_999 }, (_, n) => (n * n * 7919) % 251)).toString('base64')),
      Buffer.from(Array.from({ length: 99_999 }, (_, n) => (n * n * 7919) % 251)).toString('base64'),
    ],
    ['chunked', Buffer.from(chunkedReply(['con', 'tent'])), 'content'],
    ['of a busy server', reply(503, 'content'), 'content'],
  ];

  test.each(ways)(
    'content %s can be read and streamed once more, from memory, and counts once',
    async (_name, wire, content) => {
      const peer = await peerOf(() => wire);
      const pool = poolOf(peer);
      const get = () => pool.request('GET', '/');
      const counted = await get();
      const onTheWire = counted.tell();
      expect(counted.data.toString()).toBe(content);
      expect((await counted.read()).toString()).toBe(content);
      expect((await counted.read()).toString()).toBe('');
      expect(counted.data.toString()).toBe(content);
      expect(counted.tell()).toBe(onTheWire);
      expect(await textOf((await get()).toReadable())).toBe(content);
      expect((await bufferOf((await get()).body)).toString()).toBe(content);
      expect((await collect(await get())).toString()).toBe(content);
      const inParts = await get();
      const first = await inParts.read(3);
      const target = Buffer.alloc(2);
      expect(await inParts.readInto(target)).toBe(2);
      expect(first.toString() + target.toString() + (await inParts.read()).toString()).toBe(content);
      expect(inParts.data.toString()).toBe(content);
    },
  );

  test('HEAD, 204 and 304 have no content, whatever they announce', async () => {
    const fields = { 'Content-Encoding': 'gzip', 'Content-Length': '100' };
    const peer = await peerOf(({ method, target }) =>
      method === 'HEAD' ? reply(200, '', fields) : reply(Number(target.slice(1)), '', fields),
    );
    const pool = poolOf(peer);
    for (const [method, path] of [
      ['HEAD', '/'],
      ['GET', '/204'],
      ['GET', '/304'],
    ] as const) {
      const response = await pool.request(method, path);
      expect(response.data).toHaveLength(0);
      expect(await response.text()).toBe('');
      expect(response.getHeader('content-length')).toBe('100');
    }
    expect(peer.sockets).toHaveLength(1);
  });

  test.each([
    ['text/plain; charset=latin1', Buffer.from([0xe9]), 'é'],
    ['text/plain; charset="ISO-8859-15"', Buffer.from([0xa4]), '€'],
    ['text/plain;charset=utf-16le; x=y', Buffer.from([0x41, 0x00]), 'A'],
    ['text/plain; charset=unheard-of', Buffer.from('é'), 'é'],
    ['text/plain', Buffer.from('\ufeffé'), 'é'],
    [undefined, Buffer.from([0xff, 0x41]), '\ufffdA'],
  ])('text() of %s', async (type, bytes, text) => {
    expect(await new HTTPResponse({ body: bytes, headers: { 'Content-Type': type } }).text()).toBe(text);
  });

  test('json() of what is none tells status, type and how it begins', async () => {
    const response = new HTTPResponse({ body: '<html>', status: 502, headers: { 'Content-Type': 'text/html' } });
    const error = await rejection(response.json());
    expect(error).toBeInstanceOf(DecodeError);
    for (const part of ['"<html>"', '502', '"text/html"']) expect(String(error)).toContain(part);
    expect(error).toMatchObject({ cause: expect.any(SyntaxError) });
    expect(String(await rejection(new HTTPResponse({ body: '' }).json()))).toContain('no Content-Type');
  });
});

describe('HTTPResponse, streamed', () => {
  test('data before the content was read is a ResponseNotReadError that says what to do', async () => {
    const peer = await peerOf(() => ok('content'));
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    expect(() => response.data).toThrow(ResponseNotReadError);
    expect(() => response.data).toThrow('await response.read()');
    expect(response.closed).toBe(false);
    expect((await response.read()).toString()).toBe('content');
    expect(response.data.toString()).toBe('content');
    expect(response.closed).toBe(true);
    expect(response.connection).toBeNull();
  });

  test('text() and json() read what was not read', async () => {
    const peer = await peerOf(() => gzipped('{"a":1}'));
    const pool = poolOf(peer);
    expect(await (await pool.request('GET', '/', { preloadContent: false })).text()).toBe('{"a":1}');
    const response = await pool.request('GET', '/', { preloadContent: false });
    expect(await response.json()).toEqual({ a: 1 });
    expect(response.data.toString()).toBe('{"a":1}');
  });

  test('the connection goes back when the last byte was read, and no earlier', async () => {
    const peer = await peerOf(() => ok('content'));
    const pool = poolOf(peer, { maxsize: 1, block: true });
    const response = await pool.request('GET', '/', { preloadContent: false });
    expect(response.connection).not.toBeNull();
    expect((await response.read(7)).toString()).toBe('content');
    expect((await response.read(1)).toString()).toBe('');
    await pool.request('GET', '/', { poolTimeout: 1 });
    expect(peer.sockets).toHaveLength(1);
  });

  test.each(['releaseConn', 'close', 'dispose', 'cancel', 'destroy', 'break'] as const)(
    'a response that is given up by %s closes its connection, and the next request gets another',
    async (way) => {
      const peer = await peerOf(({ target }) =>
        target === '/ok' ? ok() : 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin',
      );
      const pool = poolOf(peer, { maxsize: 1, block: true });
      const response = await pool.request('GET', '/', { preloadContent: false });
      if (way === 'releaseConn') response.releaseConn();
      else if (way === 'close') response.close();
      else if (way === 'dispose') await response[Symbol.asyncDispose]();
      else if (way === 'cancel') await response.body.cancel();
      else if (way === 'destroy') {
        const stream = response.toReadable();
        await once(stream, 'readable');
        stream.destroy();
      } else {
        for await (const piece of response) {
          expect(piece.toString()).toBe('begin');
          break;
        }
      }
      expect((await pool.request('GET', '/ok', { poolTimeout: 5 })).status).toBe(200);
      await peer.until(({ openSockets }) => openSockets === 1);
      expect(response.closed).toBe(true);
      response.releaseConn();
      response.close();
      expect((await response.read()).length).toBe(0);
      expect((await pool.request('GET', '/ok')).status).toBe(200);
      expect(peer.sockets).toHaveLength(2);
    },
  );

  test('toReadable() that is never read can be destroyed', async () => {
    const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    response.toReadable().destroy();
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test('toReadable() and body raise what goes wrong', async () => {
    const peer = await peerOf((_request, socket) => {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort');
      return undefined;
    });
    const pool = poolOf(peer);
    const get = () => pool.request('GET', '/', { preloadContent: false });
    expect(await rejection(bufferOf((await get()).toReadable()))).toBeInstanceOf(ProtocolError);
    expect(await rejection(bufferOf((await get()).body))).toBeInstanceOf(ProtocolError);
    expect(await rejection(collect(await get()))).toBeInstanceOf(ProtocolError);
  });

  test('drainConn() saves the connection if little is left, and closes it after 1 MiB or 1 s', async () => {
    const peer = await peerOf(({ target }) => {
      if (target === '/silent') return 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';
      if (target === '/broken') return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n';
      return ok(Buffer.alloc(target === '/little' ? 1_000 : 8_000_000));
    });
    const pool = poolOf(peer);
    const drained = async (path: string) => {
      const response = await pool.request('GET', path, { preloadContent: false });
      await response.drainConn();
      return response;
    };
    await drained('/little');
    await drained('/little');
    expect(peer.sockets).toHaveLength(1);
    const much = await drained('/much');
    expect(much.tell()).toBe(0);
    await peer.until(({ openSockets }) => openSockets === 0);
    await drained('/broken');
    const startMs = performance.now();
    await drained('/silent');
    expect(performance.now() - startMs).toBeLessThan(1_500);
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test.each([0, 1, 3, 7, 100])('read(%d) gives exactly so many bytes, fewer only at the end', async (amt) => {
    const wires = [ok('content'), Buffer.from(chunkedReply(['c', 'onten', 't'])), gzipped('content')];
    const peer = await peerOf(({ target }) => wires[Number(target.slice(1))]);
    for (const index of wires.keys()) {
      const response = await poolOf(peer).request('GET', `/${index}`, { preloadContent: false });
      expect((await response.read(amt)).toString()).toBe('content'.slice(0, amt));
      expect((await response.read()).toString()).toBe('content'.slice(amt));
    }
  });

  test('read() with cacheContent keeps what was read', async () => {
    const response = streamed('content');
    await response.read(3, { cacheContent: true });
    expect(response.data.toString()).toBe('con');
    expect((await response.read()).toString()).toBe('tent');
  });

  test.each([
    ['read', -1, RangeError],
    ['read', 1.5, TypeError],
    ['read', '5', TypeError],
    ['stream', 0, RangeError],
    ['stream', Number.NaN, TypeError],
    ['stream', null, TypeError],
  ] as const)('%s(%s) is refused', async (method, amt, error) => {
    const response = streamed('content');
    const reading = method === 'read' ? response.read(amt as never) : collect(response.stream(amt as never));
    expect(await rejection(reading)).toBeInstanceOf(error);
    expect((await response.read()).toString()).toBe('content');
  });

  test('stream() gives pieces of at most so many bytes', async () => {
    const peer = await peerOf(({ target }) =>
      target === '/gzip' ? gzipped('x'.repeat(1_000)) : ok('x'.repeat(1_000)),
    );
    for (const path of ['/gzip', '/']) {
      const response = await poolOf(peer).request('GET', path, { preloadContent: false });
      let length = 0;
      for await (const piece of response.stream(64)) {
        expect(piece.length).toBeLessThanOrEqual(64);
        length += piece.length;
      }
      expect(length).toBe(1_000);
      expect(response.closed).toBe(true);
      expect(response.data).toHaveLength(0);
    }
  });

  test('readChunked() gives each chunk, and is for chunked responses only', async () => {
    const peer = await peerOf(({ target }) => (target === '/' ? chunkedReply(['one', 'three', 'x']) : ok()));
    const pool = poolOf(peer);
    const pieces: string[] = [];
    const response = await pool.request('GET', '/', { preloadContent: false });
    for await (const piece of response.readChunked()) pieces.push(piece.toString());
    expect(pieces).toEqual(['one', 'three', 'x']);
    const plain = await pool.request('GET', '/plain', { preloadContent: false });
    expect(await rejection(collect(plain.readChunked()))).toBeInstanceOf(ResponseNotChunked);
  });

  test('readChunked() gives nothing of the answer to a HEAD, which only says that a GET would be chunked', async () => {
    const peer = await peerOf(() => Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'));
    const response = await poolOf(peer).request('HEAD', '/', { preloadContent: false });
    expect(response.chunked).toBe(true);
    expect(await collect(response.readChunked())).toEqual(Buffer.alloc(0));
  });

  test('readChunked() refuses a body whose chunks nobody knows', async () => {
    const headers = { 'Transfer-Encoding': 'chunked' };
    const response = new HTTPResponse({ body: Readable.from(['one']), headers, preloadContent: false });
    expect(await rejection(collect(response.readChunked()))).toBeInstanceOf(BodyNotHttpLibCompatible);
    expect(await collect(response.stream())).toEqual(Buffer.from('one'));
  });

  test('readInto() fills a buffer of the caller’s, decoded or not', async () => {
    const wires = [ok('content'), gzipped('content')];
    const peer = await peerOf(({ target }) => wires[Number(target.slice(1))]);
    for (const index of wires.keys()) {
      const response = await poolOf(peer).request('GET', `/${index}`, { preloadContent: false });
      const target = Buffer.alloc(4);
      let text = '';
      for (let count = await response.readInto(target); count > 0; count = await response.readInto(target)) {
        text += target.toString('latin1', 0, count);
      }
      expect(text).toBe('content');
    }
  });

  test('tell() counts bytes as they came, codings on and chunks off', async () => {
    const wire = gzipSync('x'.repeat(10_000));
    const peer = await peerOf(({ target }) =>
      target === '/gzip' ? ok(wire, { 'Content-Encoding': 'gzip' }) : chunkedReply(['12345', '67890']),
    );
    const pool = poolOf(peer);
    const response = await pool.request('GET', '/gzip', { preloadContent: false });
    expect(response.tell()).toBe(0);
    await response.read();
    expect(response.tell()).toBe(wire.length);
    expect((await pool.request('GET', '/gzip')).tell()).toBe(wire.length);
    const chunked = await pool.request('GET', '/chunked', { preloadContent: false });
    await chunked.read(5);
    expect(chunked.tell()).toBe(5);
    await chunked.readInto(Buffer.alloc(3));
    expect(chunked.tell()).toBe(8);
  });

  test.each([true, false])('decodeContent: false leaves the codings on, preloaded %s', async (preloadContent) => {
    const wire = gzipSync('content');
    const peer = await peerOf(() => ok(wire, { 'Content-Encoding': 'gzip' }));
    const pool = poolOf(peer);
    const response = await pool.request('GET', '/', { preloadContent, decodeContent: false });
    if (!preloadContent) await response.read();
    expect(response.data).toEqual(wire);
    const decoded = await pool.request('GET', '/', { preloadContent: false, decodeContent: false });
    expect((await decoded.read(null, { decodeContent: true })).toString()).toBe('content');
    const encoded = await pool.request('GET', '/', { preloadContent: false });
    expect(await collect(encoded.stream(100, { decodeContent: false }))).toEqual(wire);
  });

  test('content cannot be read as it came once decoding has begun', async () => {
    const peer = await peerOf(() => gzipped('content'.repeat(100_000)));
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    await response.read(1);
    const raw = rejection(collect(response.stream(65_536, { decodeContent: false })));
    expect(await raw).toBeInstanceOf(HTTPError);
  });

  test('an unknown coding leaves content as it came', async () => {
    const peer = await peerOf(() => ok('content', { 'Content-Encoding': 'gzip, rot13' }));
    const response = await poolOf(peer).request('GET', '/');
    expect(response.data.toString()).toBe('content');
    expect(response.getHeader('content-encoding')).toBe('gzip, rot13');
  });

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
    ['gzip, br', (content: Buffer) => brotliCompressSync(gzipSync(content))],
  ] as const)('%s is taken off, preloaded and streamed', async (coding, encode) => {
    for (const content of ['', 'content', 'long content '.repeat(50_000)]) {
      const peer = await peerOf(() => ok(encode(Buffer.from(content)), { 'Content-Encoding': coding }));
      const pool = poolOf(peer);
      expect((await pool.request('GET', '/')).data.toString()).toBe(content);
      const response = await pool.request('GET', '/', { preloadContent: false });
      expect((await collect(response.stream(10_000))).toString()).toBe(content);
    }
  });

  test.each([true, false])('maxDecodedSize and maxRatio hold for requests, preloaded %s', async (preloadContent) => {
    const peer = await peerOf(() => gzipped('\0'.repeat(8_000_000)));
    const pool = poolOf(peer, { retries: 3 });
    for (const options of [{ maxDecodedSize: 1_000_000 }, { maxDecodedSize: 10 }, { maxRatio: 10 }]) {
      const reading = pool
        .request('GET', '/', { preloadContent, ...options })
        .then(async (response) => (preloadContent ? response.data : await response.read()));
      expect(await rejection(reading)).toBeInstanceOf(DecodeError);
    }
    expect(peer.requests).toHaveLength(3);
    const all = await pool.request('GET', '/', { preloadContent, maxDecodedSize: 8_000_000 });
    expect((await all.read()).length).toBe(8_000_000);
  });

  test.each([
    { name: 'Content-Length', head: 'Content-Length: 10', body: 'short', expected: 5 },
    { name: 'a chunk', head: 'Transfer-Encoding: chunked', body: '5\r\nshort\r\n', expected: null },
  ])('a body that is cut short in $name is IncompleteRead inside ProtocolError', async ({ head, body, expected }) => {
    const peer = await peerOf((_request, socket) => {
      socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`);
      return undefined;
    });
    const pool = poolOf(peer);
    const response = await pool.request('GET', '/', { preloadContent: false });
    expect((await response.read(5)).toString()).toBe('short');
    const error = await rejection(response.read());
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toMatchObject({ cause: { partial: 5, expected } });
    if (error instanceof Error) expect(error.cause).toBeInstanceOf(IncompleteRead);
    expect(await rejection(pool.request('GET', '/'))).toBeInstanceOf(ProtocolError);
    const options = { enforceContentLength: false, preloadContent: false };
    const tolerant = await pool.request('GET', '/', options);
    if (expected === null) expect(await rejection(tolerant.read())).toBeInstanceOf(ProtocolError);
    else expect((await tolerant.read()).toString()).toBe('short');
    if (expected !== null) {
      const into = await pool.request('GET', '/', options);
      expect(await into.readInto(Buffer.alloc(10))).toBe(5);
      expect(await into.readInto(Buffer.alloc(10))).toBe(0);
    }
  });

  test('the read timeout holds while content is waited for, and not while the reader does something else', async () => {
    const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin');
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false, timeout: 0.03 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await response.read(5)).toString()).toBe('begin');
    expect(await rejection(response.read())).toBeInstanceOf(ReadTimeoutError);
  });

  test('an abort ends reading', async () => {
    const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin');
    const controller = new AbortController();
    const { signal } = controller;
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false, signal });
    const reading = rejection(response.read());
    controller.abort();
    expect(await reading).toBe(signal.reason);
    await peer.until(({ openSockets }) => openSockets === 0);
  });

  test('saveTo() writes the content to a file, a stream of Node’s or one of the web’s, and raises what is wrong', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'urllib3-'));
    try {
      const peer = await peerOf(({ target }, socket) => {
        if (target === '/ok') return gzipped('content');
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort');
        return undefined;
      });
      const get = (path: string) => poolOf(peer).request('GET', path, { preloadContent: false });
      const file = join(folder, 'saved');
      expect(await (await get('/ok')).saveTo(file)).toBe(7);
      expect(await readFile(file, 'utf8')).toBe('content');
      expect(await (await get('/ok')).saveTo(pathToFileURL(file))).toBe(7);
      const through = new PassThrough();
      expect(await (await get('/ok')).saveTo(through)).toBe(7);
      expect(await textOf(through)).toBe('content');
      const taken: Uint8Array[] = [];
      const web = new WritableStream<Uint8Array>({ write: (piece) => void taken.push(piece) });
      expect(await (await get('/ok')).saveTo(web)).toBe(7);
      expect(Buffer.concat(taken).toString()).toBe('content');
      expect(await rejection((await get('/short')).saveTo(file))).toBeInstanceOf(ProtocolError);
      expect(await rejection((await get('/ok')).saveTo(join(folder, 'no', 'such')))).toMatchObject({ code: 'ENOENT' });
      const kept = await get('/ok');
      expect(await rejection(kept.saveTo(5 as never))).toBeInstanceOf(TypeError);
      expect(await kept.text()).toBe('content');
      for (const target of [file, new PassThrough()]) {
        const given = await get('/ok');
        given.close();
        expect(await rejection(given.saveTo(target))).toBeInstanceOf(HTTPError);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('contentRange and fileno() tell of the part and of the socket', async () => {
    const peer = await peerOf(() => reply(206, 'content', { 'Content-Range': 'bytes 0-6/100' }));
    const pool = poolOf(peer);
    const response = await pool.request('GET', '/', { preloadContent: false });
    expect(response.contentRange).toMatchObject({ start: 0, end: 6 });
    expect(new HTTPResponse().contentRange).toBeNull();
    expect(() => new HTTPResponse().fileno()).toThrow(HTTPError);
    expect(() => new HTTPResponse({ connection: { close() {} } }).fileno()).toThrow(HTTPError);
  });

  test('fileno() is the descriptor of the socket while content is on its way', async () => {
    const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin');
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    expect(response.fileno()).toBeGreaterThan(2);
    response.close();
    expect(() => response.fileno()).toThrow(HTTPError);
  });

  test.each(['€', '\u0081'])('text() of windows-1252 reads %o', async (text) => {
    const bytes = Buffer.from([text === '€' ? 0x80 : 0x81]);
    expect(await new HTTPResponse({ body: bytes, headers: { 'Content-Type': 'a/b; charset=cp1252' } }).text()).toBe(
      text,
    );
  });

  test('two reads at the same time are refused, and no byte is lost', async () => {
    const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n');
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    const first = response.read();
    expect(await rejection(response.read())).toBeInstanceOf(HTTPError);
    peer.sockets[0]?.write('content');
    expect((await first).toString()).toBe('content');
  });

  test('two reads at the same time are refused while content is decoded, too', async () => {
    const wire = gzipSync('content');
    const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${wire.length}\r\n\r\n`;
    const peer = await peerOf(() => head);
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    const first = response.read();
    expect(await rejection(response.read())).toBeInstanceOf(HTTPError);
    peer.sockets[0]?.write(wire);
    expect((await first).toString()).toBe('content');
  });

  test('a read that waits while the response is closed is an error, not the end', async () => {
    const peer = await peerOf(() => 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin');
    const response = await poolOf(peer).request('GET', '/', { preloadContent: false });
    const reading = rejection(response.read());
    response.close();
    expect(await reading).toBeInstanceOf(HTTPError);
    expect((await response.read()).length).toBe(0);
    for (const start of [
      (other: HTTPResponse) => other.read(8),
      (other: HTTPResponse) => bufferOf(other.toReadable()),
      (other: HTTPResponse) => bufferOf(other.body),
      (other: HTTPResponse) => other.json(),
    ]) {
      const other = await poolOf(peer).request('GET', '/', { preloadContent: false });
      const failed = rejection(start(other));
      other.close();
      expect(await failed).toBeInstanceOf(HTTPError);
    }
  });

  test('a connection alone gives responses that are streamed', async () => {
    const peer = await peerOf(() => ok('content'));
    await using connection = new HTTPConnection('127.0.0.1', { port: peer.port });
    await connection.request('GET', '/');
    const response = await connection.getResponse();
    expect(() => response.data).toThrow(ResponseNotReadError);
    expect(await response.text()).toBe('content');
  });
});

describe('HTTPResponse, properties', () => {
  const READS = fc.oneof(
    fc.record({ kind: fc.constant('read' as const), amt: fc.nat(20) }),
    fc.record({ kind: fc.constant('readInto' as const), amt: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ kind: fc.constant('stream' as const), amt: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ kind: fc.constant('iterate' as const), amt: fc.constant(0) }),
  );

  async function takeOne(response: HTTPResponse, kind: string, amt: number): Promise<Buffer> {
    if (kind === 'read') return await response.read(amt);
    if (kind === 'readInto') {
      const target = Buffer.alloc(amt);
      return target.subarray(0, await response.readInto(target));
    }
    const { value } = await response.stream(kind === 'stream' ? amt : undefined).next();
    return value ?? Buffer.alloc(0);
  }

  test('any mixture of reads gives every byte exactly once, decoded or not', async () => {
    const codings = fc.constantFrom('', 'gzip', 'deflate', 'br');
    const encoders = { '': Buffer.from, gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }),
        codings,
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        fc.array(READS, { maxLength: 12 }),
        fc.boolean(),
        async (content, coding, cuts, reads, preloadContent) => {
          const encode: (bytes: Buffer) => Buffer = encoders[coding as keyof typeof encoders];
          const wire = encode(Buffer.from(content));
          async function* pieces() {
            for (let start = 0, turn = 0; start < wire.length; turn++) {
              const size = cuts[turn % cuts.length] ?? 1;
              yield wire.subarray(start, start + size);
              start += size;
            }
          }
          const headers = coding === '' ? {} : { 'Content-Encoding': coding };
          const body = preloadContent ? wire : pieces();
          const response = new HTTPResponse({ body, headers, preloadContent });
          const got: Buffer[] = [];
          for (const { kind, amt } of reads) got.push(await takeOne(response, kind, amt));
          got.push(await response.read());
          expect(Buffer.concat(got)).toEqual(Buffer.from(content));
          expect(response.tell()).toBe(wire.length);
          expect(response.closed).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
