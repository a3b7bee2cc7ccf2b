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
