import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DecodeError, ProtocolError, ResponseNotReadError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';

/** Answers each request with the bytes of its path in base64, and closes. */
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (request) => {
    const [, path = ''] = /^GET \/(\S*) /.exec(request.toString('latin1')) ?? [];
    socket.end(Buffer.from(path, 'base64url'));
  });
});
const http = new PoolManager({ retries: false });

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  http.clear();
  await new Promise((resolve) => server.close(resolve));
});

function urlOf(...wire: (string | Buffer)[]): string {
  const bytes = Buffer.concat(wire.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/${bytes.toString('base64url')}`;
}

const zipped = gzipSync('some text to be cut');

describe('SEC-042 (CVE-2026-84947): content that ended early is never given as complete', () => {
  test.each([
    ['a length that is not reached', ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'cut'], ProtocolError],
    [
      'a chunk that is not finished',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '9\r\ncut'],
      ProtocolError,
    ],
    [
      'a coding without its trailer',
      ['HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n', zipped.subarray(0, -1)],
      DecodeError,
    ],
  ])('response.data after %s raises, with the cause', async (_name, wire, errorClass) => {
    const response = await http.request('GET', urlOf(...wire), { preloadContent: false });
    await expect(response.read()).rejects.toThrow(errorClass);
    expect(() => response.data).toThrow(ResponseNotReadError);
    try {
      void response.data;
      expect.unreachable();
    } catch (error) {
      expect((error as Error).cause).toBeInstanceOf(errorClass);
    }
  });

  test('response.data raises after the response was closed unread', async () => {
    const url = urlOf('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'cut');
    const response = await http.request('GET', url, { preloadContent: false });
    response.close();
    expect(() => response.data).toThrow('The response was closed before its content had been read');
  });
});

describe('SEC-113 (CVE-2026-42036): maxDecodedSize holds for content without a coding, on each path', () => {
  const long = 'x'.repeat(2_000);
  const zippedLong = gzipSync(Buffer.alloc(900, 'y'));
  test.each([
    ['announced', ['HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n', long]],
    ['chunked', ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n', long, '\r\n0\r\n\r\n']],
    ['until close', ['HTTP/1.1 200 OK\r\n\r\n', long]],
  ])('%s', async (_name, wire) => {
    const limited = { maxDecodedSize: 1_000 };
    await expect(http.request('GET', urlOf(...wire), limited)).rejects.toThrow(DecodeError);
    const streamed = http.request('GET', urlOf(...wire), { ...limited, preloadContent: false });
    await expect(streamed.then((response) => response.read())).rejects.toThrow(DecodeError);
    const enough = await http.request('GET', urlOf(...wire), { maxDecodedSize: 2_000 });
    expect(enough.data.length).toBe(2_000);
  });

  test('a coding may make short content longer than the limit', async () => {
    const wire = ['HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n', gzipSync('short')];
    const response = await http.request('GET', urlOf(...wire), { maxDecodedSize: 5 });
    expect(response.data.toString()).toBe('short');
    const tooLong = urlOf('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n', zippedLong);
    await expect(http.request('GET', tooLong, { maxDecodedSize: 500 })).rejects.toThrow(DecodeError);
  });

  test('the content of a redirect that is followed is not what the limit is for', async () => {
    const there = urlOf('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const url = urlOf(`HTTP/1.1 302 Found\r\nLocation: ${there}\r\nContent-Length: 2000\r\n\r\n`, long);
    const response = await http.request('GET', url, { maxDecodedSize: 1_000, retries: 3 });
    expect(response.data.toString()).toBe('ok');
  });
});
