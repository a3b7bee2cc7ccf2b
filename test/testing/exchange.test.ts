/** What the server does with large bodies, slow readers and clients that go away in the middle. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask, connected } from './ask.js';

const MAX_BODY_BYTES = 64 * 1024 * 1024;

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

/** Writes `piece` again and again, as fast as it is taken. */
async function pour(socket: Socket, piece: Buffer, times: number): Promise<void> {
  for (let count = 0; count < times; count++) if (!socket.write(piece)) await once(socket, 'drain');
}

/** Reads until `text` has come. */
async function readUntil(socket: Socket, text: string): Promise<string> {
  let received = '';
  while (!received.includes(text)) {
    const [piece] = await once(socket, 'data');
    received += String(piece);
  }
  return received;
}

describe('a body of more than 64 MiB', () => {
  test('is refused at once if its length says so, and the connection goes on if the client sends it all the same', async () => {
    const socket = await connected(httpbin.port);
    socket.write(`POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: ${MAX_BODY_BYTES + 1}\r\n\r\n`);
    expect(await readUntil(socket, '/sink takes any size')).toMatch(/^HTTP\/1\.1 413 Payload Too Large\r\n/);
    await pour(socket, Buffer.alloc(1024 * 1024), 64);
    socket.write('xGET /ip HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await readUntil(socket, '"origin"')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    socket.destroy();
  });

  test('is refused once it is too large if it comes in chunks, and not kept', async () => {
    const socket = await connected(httpbin.port);
    socket.write('POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const answer = readUntil(socket, '/sink takes any size');
    await pour(socket, Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000), Buffer.from('\r\n')]), 65);
    expect(await answer).toMatch(/^HTTP\/1\.1 413 /);
    socket.write('0\r\n\r\nGET /ip HTTP/1.1\r\nHost: x\r\n\r\n');
    await readUntil(socket, '"origin"');
    socket.destroy();
  });

  test('is taken by /sink', async () => {
    const answer = await ask(`${httpbin.url}/sink`, { method: 'PUT', body: Buffer.alloc(MAX_BODY_BYTES + 1) });
    expect(answer.json()).toMatchObject({ length: MAX_BODY_BYTES + 1 });
  });
});

test('an answer is made no faster than the client reads it', async () => {
  const socket = await connected(httpbin.port);
  socket.pause();
  socket.write('GET /bytes/104857600?seed=1 HTTP/1.1\r\nHost: x\r\n\r\n');
  const before = process.memoryUsage().rss;
  await vi.waitFor(() => expect(socket.bytesRead).toBeGreaterThan(0));
  // The server is in this process: the whole answer, were it made, would be here.
  await ask(`${httpbin.url}/delay/0.2`);
  expect(process.memoryUsage().rss - before).toBeLessThan(60 * 1024 * 1024);
  let length = 0;
  socket.on('data', (piece: Buffer) => {
    length += piece.length;
  });
  socket.resume();
  await vi.waitFor(() => expect(length).toBeGreaterThan(104_857_600), { timeout: 10_000, interval: 20 });
  socket.destroy();
});

describe('a client that goes away', () => {
  test.each([
    ['before its body is complete', 'POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc'],
    ['before /sink has all', 'POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc'],
    ['during a delay', 'GET /delay/10 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['in the middle of a large answer', 'GET /bytes/104857600 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['in the middle of a drip', 'GET /drip?duration=10&numbytes=1000 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['with more requests than answers', 'GET /stream/100 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50)],
    ['while an answer is compressed', 'GET /brotli HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20)],
  ])('%s harms nobody', async (_when, wire) => {
    await using own = await startHttpbin();
    for (const leave of ['resetAndDestroy', 'destroy'] as const) {
      const socket = await connected(own.port);
      const seen = own.requests;
      socket.pause();
      socket.write(wire);
      await vi.waitFor(() => expect(own.requests).toBeGreaterThan(seen), { interval: 5 });
      socket[leave]();
      await vi.waitFor(() => expect(own.openSockets).toBe(0), { interval: 5 });
    }
    expect((await ask(`${own.url}/get`)).status).toBe(200);
  });
});
