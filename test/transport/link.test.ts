import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { HTTPConnectionPool } from '../../src/connectionpool.js';
import { ProtocolError } from '../../src/exceptions.js';
import { Link, type LinkReceiver } from '../../src/transport/link.js';
import { type Identity, selfSigned } from '../support/authority.js';
import { watchHandles } from '../support/leaks.js';
import { type Peer, type PeerConnection, peer, tlsPeer } from '../support/peer.js';

watchHandles();

let identity: Identity;
beforeAll(async () => {
  identity = await selfSigned('127.0.0.1');
});

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

/** Sockets that were made without `onread`, and the peer at their other end. */
interface Reached extends AsyncDisposable {
  readonly socket: net.Socket;
  readonly remote: PeerConnection;
}

const KINDS: readonly [name: string, reach: () => Promise<Reached>][] = [
  ['a TCP socket', () => reached(peer(() => {}))],
  [
    'TLS over a connected socket',
    () =>
      reached(
        tlsPeer(identity, () => {}),
        overTls,
      ),
  ],
  ['TLS in TLS', tlsInTls],
  ['a TCP socket that cannot read into a buffer', () => withoutReadInto(reached(peer(() => {})))],
  [
    'TLS that cannot read into a buffer',
    () =>
      withoutReadInto(
        reached(
          tlsPeer(identity, () => {}),
          overTls,
        ),
      ),
  ],
];

describe.each(KINDS)('Link.adopt() of %s', (_name, reach) => {
  test('brings every byte, those too that were read or put back before', async () => {
    await using way = await reach();
    const { receiver, received } = recorder();
    const readable = once(way.socket, 'readable');
    way.remote.write('before');
    await readable;
    way.socket.unshift(Buffer.from('first '));
    const link = new Link(receiver);
    link.adopt(way.socket);
    expect(received.text).toBe('first before');
    way.remote.write(' after');
    await received.until(() => received.text === 'first before after');
    link.destroy();
    await received.closed;
  });

  test('stops the peer while it is paused, and goes on where it was', async () => {
    await using way = await reach();
    const { receiver, received } = recorder();
    const link = new Link(receiver);
    link.adopt(way.socket);
    const size = 16 * 1024 ** 2;
    for (let turn = 0; turn < 3; turn++) {
      const wanted = received.bytes + size;
      link.pause();
      way.remote.write(Buffer.alloc(size));
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { bytes } = received;
      // One read that was under way.
      expect(wanted - bytes).toBeGreaterThan(size - 2 * 65_536);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(received.bytes).toBe(bytes);
      expect(way.remote.socket.writableLength).toBeGreaterThan(0);
      link.resume();
      await received.until(() => received.bytes === wanted);
    }
    link.destroy();
    await received.closed;
  });

  test('tells of the end and the close, once each', async () => {
    await using way = await reach();
    const { receiver, received } = recorder();
    const link = new Link(receiver);
    link.adopt(way.socket);
    way.remote.end('last words');
    await received.closed;
    expect(received.text).toBe('last words');
    expect(received.events).toEqual(['end', 'close']);
    expect(link.isOpen).toBe(false);
  });

  test('tells of a drain, and sends all that it was given', async () => {
    await using way = await reach();
    const { receiver, received } = recorder();
    const link = new Link(receiver);
    link.adopt(way.socket);
    expect(link.writeBytes(Buffer.alloc(16 * 1024 ** 2))).toBe(false);
    await received.until(() => received.events.includes('drain'));
    expect(link.isFlushed).toBe(true);
    link.destroy();
    await received.closed;
  });
});

test('Link.adopt() of a socket that is gone reads nothing, and is not open', async () => {
  await using way = await reached(peer(() => {}));
  way.socket.destroy();
  await once(way.socket, 'close');
  const { receiver, received } = recorder();
  const link = new Link(receiver);
  link.adopt(way.socket);
  expect(link.isOpen).toBe(false);
  expect(received.bytes).toBe(0);
});

test('Link.adopt() reads into the buffer of all links on this Node', async () => {
  await using way = await reached(
    tlsPeer(identity, () => {}),
    overTls,
  );
  const buffers = new Set<Buffer>();
  const { receiver, received } = recorder();
  const watching: LinkReceiver = {
    ...receiver,
    onBytes(bytes, length) {
      buffers.add(bytes);
      receiver.onBytes(bytes, length);
    },
  };
  const link = new Link(watching);
  link.adopt(way.socket);
  for (const text of ['one', ' two']) {
    way.remote.write(text);
    await received.until(() => received.text.endsWith(text));
  }
  expect(buffers.size).toBe(1);
  link.destroy();
  await received.closed;
});

test('Link.adopt() tells of a reset, with its error', async () => {
  await using way = await reached(peer(() => {}));
  const { receiver, received } = recorder();
  new Link(receiver).adopt(way.socket);
  way.remote.reset();
  await received.closed;
  expect(received.events).toEqual(['close']);
  expect(received.error).toMatchObject({ code: 'ECONNRESET' });
});

test('Link.adopt() closes a socket that comes after the link was destroyed', async () => {
  await using way = await reached(peer(() => {}));
  const { receiver, received } = recorder();
  const link = new Link(receiver);
  link.destroy();
  link.adopt(way.socket);
  await received.closed;
  await way.remote.closed;
});

test('Link.adopt() brings the answer of a peer that closes without reading all that is sent to it', async () => {
  await using refusing = await closingPeer('too much');
  for (let turn = 0; turn < 10; turn++) {
    const socket = net.connect(refusing.port, '127.0.0.1');
    await once(socket, 'connect');
    const { receiver, received } = recorder();
    const link = new Link(receiver);
    link.adopt(socket);
    link.writeBytes(LARGE);
    await received.closed;
    expect(received.text).toBe('too much');
  }
});

/** A receiver, and what it was told. */
function recorder() {
  const pieces: Buffer[] = [];
  const looks = new Set<() => void>();
  const tell = () => {
    for (const look of looks) look();
  };
  const received = {
    bytes: 0,
    events: [] as string[],
    error: null as Error | null,
    closed: Promise.resolve(),
    get text(): string {
      return Buffer.concat(pieces).toString('latin1');
    },
    until: (isSo: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!isSo()) return;
          looks.delete(look);
          resolve();
        };
        looks.add(look);
        look();
      }),
  };
  const receiver: LinkReceiver = {
    onBytes(bytes, length) {
      received.bytes += length;
      if (length < 1_000) pieces.push(Buffer.from(bytes.subarray(0, length)));
      tell();
    },
    onEnd: () => void received.events.push('end'),
    onDrain() {
      received.events.push('drain');
      tell();
    },
    onClose(error) {
      received.events.push('close');
      received.error = error;
      tell();
    },
  };
  received.closed = received.until(() => received.events.includes('close'));
  return { receiver, received };
}

/** A connection to a peer, by `over` on top of TCP. */
async function reached(
  listening: Promise<Peer>,
  over: (socket: net.Socket) => Promise<net.Socket> = async (socket) => socket,
): Promise<Reached> {
  const server = await listening;
  const tcp = net.connect(server.port, '127.0.0.1');
  await once(tcp, 'connect');
  const socket = await over(tcp);
  const remote = await server.connection(0);
  return {
    socket,
    remote,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** As on a Node that has no such thing. */
async function withoutReadInto(reaching: Promise<Reached>): Promise<Reached> {
  const way = await reaching;
  Object.defineProperty(Reflect.get(way.socket, '_handle'), 'useUserBuffer', { value: undefined });
  return way;
}

async function overTls(socket: net.Socket): Promise<net.Socket> {
  const secure = tls.connect({ socket, rejectUnauthorized: false });
  await once(secure, 'secureConnect');
  return secure;
}

/** To a TLS server, through another that passes all bytes on to it. */
async function tlsInTls(): Promise<Reached> {
  const inner = await tlsPeer(identity, () => {});
  const outer = await tlsPeer(identity, ({ socket }) => {
    const onward = net.connect(inner.port, '127.0.0.1');
    onward.on('error', () => {}).on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  const way = await reached(Promise.resolve(outer), async (tcp) => overTls(await overTls(tcp)));
  return {
    socket: way.socket,
    remote: await inner.connection(0),
    async [Symbol.asyncDispose]() {
      await way[Symbol.asyncDispose]();
      await inner[Symbol.asyncDispose]();
    },
  };
}

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
