import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { HandshakeTimeout } from '../../src/tls/handshake.js';
import type { Bounds } from '../../src/transport/bounded.js';
import { ignoreError } from '../../src/transport/race.js';
import { SocksError, SocksHandshake } from '../../src/transport/socks.js';
import { socksTunnel } from '../../src/transport/socks-tunnel.js';
import { timersLeftBy, watchHandles } from '../support/leaks.js';
import { type Peer, type PeerConnection, peer, type Script } from '../support/peer.js';

watchHandles();

const NEVER: Bounds = { signal: null, deadlineMs: null };
const GREETING = '\x05\x01\x00';
const METHOD = '\x05\x00';
const REQUEST = '\x05\x01\x00\x03\x06a.test\x01\xbb';
const GRANT = '\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90';

function handshake(): SocksHandshake {
  return new SocksHandshake(5, { host: 'a.test', port: 443 }, null);
}

/** A socket as `dial` gives it. */
async function connected({ port }: Peer): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1').on('error', ignoreError);
  await once(socket, 'connect');
  return socket;
}

async function agree(proxy: PeerConnection): Promise<void> {
  await proxy.take(GREETING.length);
  proxy.write(METHOD);
  await proxy.take(REQUEST.length);
}

function listenersOf(socket: net.Socket): Record<string, number> {
  return Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]));
}

describe('socksTunnel()', () => {
  test.each<[name: string, reply: (proxy: PeerConnection) => void | Promise<void>]>([
    ['in one segment', (proxy) => proxy.write(`${GRANT}first `)],
    ['byte by byte', (proxy) => proxy.drip(`${GRANT}first `)],
  ])('leaves the socket as if it had just connected, with the reply %s', async (_name, reply) => {
    await using proxy = await peer(async (connection) => {
      await agree(connection);
      await reply(connection);
      await connection.take(5);
      connection.end('last');
    });
    const socket = await connected(proxy);
    const before = listenersOf(socket);
    await socksTunnel(socket, handshake(), NEVER);
    expect(listenersOf(socket)).toEqual(before);
    expect(proxy.connections[0]?.received).toBe(GREETING + REQUEST);
    socket.write('hello');
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes;
    });
    await once(socket, 'close');
    expect(text).toBe('first last');
  });

  test.each<[name: string, script: Script, message: string]>([
    ['closes at once', (proxy) => proxy.end(), 'The proxy closed the connection in the SOCKS handshake'],
    [
      'closes in the middle of its reply',
      async (proxy) => {
        await agree(proxy);
        proxy.end(GRANT.slice(0, -1));
      },
      'The proxy closed the connection in the SOCKS handshake',
    ],
    [
      'refuses and closes',
      async (proxy) => {
        await agree(proxy);
        proxy.end('\x05\x05');
      },
      'SOCKS5 proxy answered 0x05: Connection refused',
    ],
    ['speaks another protocol', (proxy) => proxy.write('HTTP/1.1 400 Bad Request\r\n\r\n'), 'begins with 0x48'],
  ])('destroys the socket of a proxy that %s', async (_name, script, message) => {
    await using proxy = await peer(script);
    const socket = await connected(proxy);
    const before = listenersOf(socket);
    const failed = socksTunnel(socket, handshake(), NEVER);
    await expect(failed).rejects.toThrow(SocksError);
    await expect(failed).rejects.toThrow(message);
    expect(socket.destroyed).toBe(true);
    expect(listenersOf(socket)).toMatchObject({ error: before.error });
    expect(socket.listenerCount('readable')).toBe(0);
  });

  test('fails with the error of the socket', async () => {
    await using proxy = await peer(async (connection) => {
      await agree(connection);
      connection.reset();
    });
    const socket = await connected(proxy);
    await expect(socksTunnel(socket, handshake(), NEVER)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(socket.destroyed).toBe(true);
  });

  test('ends when the socket is destroyed on this side', async () => {
    await using proxy = await peer(agree);
    const socket = await connected(proxy);
    const failed = socksTunnel(socket, handshake(), NEVER);
    socket.destroy();
    await expect(failed).rejects.toThrow('The proxy closed the connection in the SOCKS handshake');
  });

  test('says what happened to a socket before it came here', async () => {
    await using proxy = await peer(() => {});
    const closed = await connected(proxy);
    closed.destroy();
    await expect(socksTunnel(closed, handshake(), NEVER)).rejects.toThrow('The proxy closed the connection');
    const reset = await connected(proxy);
    reset.destroy(new Error('reset before'));
    await expect(socksTunnel(reset, handshake(), NEVER)).rejects.toThrow('reset before');
  });
});

/** Proxies that stop answering, each a step later. */
const STALLS: readonly [name: string, script: Script][] = [
  ['before the method', () => {}],
  ['in the middle of the method', (proxy) => proxy.write('\x05')],
  ['before the reply', agree],
  [
    'in the middle of the reply',
    async (proxy) => {
      await agree(proxy);
      proxy.write(GRANT.slice(0, -1));
    },
  ],
];

describe.each(STALLS)('SEC-112: socksTunnel() with a proxy that stalls %s', (_name, script) => {
  test('ends at the deadline and leaves nothing behind', async () => {
    await using proxy = await peer(script);
    const socket = await connected(proxy);
    const left = await timersLeftBy(async () => {
      const deadlineMs = performance.now() + 60;
      const failed = socksTunnel(socket, handshake(), { signal: null, deadlineMs });
      await expect(failed).rejects.toThrow(HandshakeTimeout);
      expect(performance.now()).toBeGreaterThanOrEqual(deadlineMs - 2);
    });
    expect(left).toBe(0);
    expect(socket.destroyed).toBe(true);
    await (await proxy.connection(0)).closed;
  });

  test('ends with the reason of the signal', async () => {
    await using proxy = await peer(script);
    const socket = await connected(proxy);
    const controller = new AbortController();
    const failed = socksTunnel(socket, handshake(), { signal: controller.signal, deadlineMs: null });
    setTimeout(() => controller.abort(new Error('enough')), 20);
    await expect(failed).rejects.toThrow('enough');
    expect(socket.destroyed).toBe(true);
    await (await proxy.connection(0)).closed;
  });
});

test('SEC-112: socksTunnel() does not let a proxy that drips move the deadline', async () => {
  await using proxy = await peer(async (connection) => {
    await agree(connection);
    connection.socket.setNoDelay(true);
    connection.write(`${GRANT.slice(0, 3)}\x03\xff`);
    const timer = setInterval(() => connection.write('a'), 20);
    await connection.closed;
    clearInterval(timer);
  });
  const socket = await connected(proxy);
  const beganMs = performance.now();
  const failed = socksTunnel(socket, handshake(), { signal: null, deadlineMs: beganMs + 150 });
  await expect(failed).rejects.toThrow(HandshakeTimeout);
  expect(performance.now() - beganMs).toBeLessThan(1_000);
});
