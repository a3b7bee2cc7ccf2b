import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { ProtocolError } from '../../src/exceptions.js';

/** More than the buffers of loopback hold, so that the sending is still on when the peer has closed. */
const LARGE = Buffer.alloc(16 * 1024 ** 2);

describe('Link, when a peer closes without reading all that is sent to it', () => {
  test('brings the answer that came before', async () => {
    await using peer = await closingPeer('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nno');
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port });
    for (let turn = 0; turn < 20; turn++) {
      const options = { body: LARGE, retries: false, preloadContent: false } as const;
      const response = await pool.urlopen('POST', '/', options);
      expect(response.status).toBe(413);
      expect((await response.read(2)).toString()).toBe('no');
      // Three bytes were announced that never came: the connection's own error is told now.
      await expect(response.read()).rejects.toThrow(ProtocolError);
    }
  });

  test('keeps content that is taken long after the connection is gone', async () => {
    const content = 'x'.repeat(4 * 1024 ** 2);
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
    await using peer = await closingPeer(answer, 'when told');
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port });
    const options = { body: LARGE, retries: false, preloadContent: false } as const;
    const response = await pool.urlopen('POST', '/', options);
    // The client takes as much as it wants unasked; then the connection goes away under its write.
    await new Promise((resolve) => setTimeout(resolve, 50));
    peer.closeConnections();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // What the peer's kernel had not sent yet is lost with the connection; what had come is not.
    await expect(response.read()).rejects.toThrow(ProtocolError);
    expect(response.tell()).toBeGreaterThan(200_000);
  });

  test('fails with what the write said, where no answer came', async () => {
    await using peer = await closingPeer('');
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: peer.port });
    for (let turn = 0; turn < 20; turn++) {
      await expect(pool.urlopen('POST', '/', { body: LARGE, retries: false })).rejects.toThrow(
        /EPIPE|ECONNRESET|abort/i,
      );
    }
  });
});

/** Answers each connection and closes it, with all that came unread: the kernel then resets it. */
async function closingPeer(
  answer: string,
  closes: 'at once' | 'when told' = 'at once',
): Promise<AsyncDisposable & { readonly port: number; closeConnections(): void }> {
  const sockets: net.Socket[] = [];
  const closeConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(socket.on('error', () => {}));
    socket.write(answer, closes === 'at once' ? () => socket.destroy() : undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    port: address.port,
    closeConnections,
    async [Symbol.asyncDispose]() {
      closeConnections();
      await once(server.close(), 'close');
    },
  };
}
