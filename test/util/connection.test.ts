import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  ConnectTimeoutError,
  LocationParseError,
  NameResolutionError,
  NewConnectionError,
} from '../../src/exceptions.js';
import {
  allowedGaiFamily,
  createConnection,
  IPPROTO_TCP,
  isConnectionDropped,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from '../../src/util/connection.js';
import { Timeout } from '../../src/util/timeout.js';
import { blackHole, listening, refusingPort } from '../transport/loopback.js';

afterEach(() => void vi.restoreAllMocks());

describe('createConnection()', () => {
  test.each(['127.0.0.1', 'localhost'])('connects to %s and gives an ordinary socket', async (host) => {
    await using peer = await listening();
    await using socket = disposable(await createConnection([host, peer.port]));
    await vi.waitUntil(() => peer.accepted.length === 1);
    peer.accepted[0]?.end('hello');
    await expect(socket.it.toArray()).resolves.toEqual([Buffer.from('hello')]);
  });

  test('takes IPv6 in the brackets of a URL', async () => {
    await using peer = await listening('::1');
    await using socket = disposable(await createConnection(['[::1]', peer.port]));
    expect(socket.it.remoteAddress).toBe('::1');
  });

  test('binds the source address and sets the socket options', async () => {
    const setNoDelay = vi.spyOn(net.Socket.prototype, 'setNoDelay');
    await using peer = await listening();
    await using socket = disposable(
      await createConnection(['127.0.0.1', peer.port], {
        sourceAddress: ['127.0.0.7', 0],
        socketOptions: [
          [IPPROTO_TCP, TCP_NODELAY, 1],
          [SOL_SOCKET, SO_KEEPALIVE, 1],
          [IPPROTO_TCP, TCP_KEEPIDLE, 60],
        ],
        timeout: 5,
      }),
    );
    expect(socket.it.localAddress).toBe('127.0.0.7');
    expect(setNoDelay).toHaveBeenCalledWith(true);
  });

  test('raises NewConnectionError when the connection is refused', async () => {
    const port = await refusingPort();
    const promise = createConnection(['127.0.0.1', port], { timeout: null });
    await expect(promise).rejects.toThrow(NewConnectionError);
    await expect(promise).rejects.toMatchObject({
      message: `Failed to establish a new connection: connect ECONNREFUSED 127.0.0.1:${port}`,
      code: 'ECONNREFUSED',
      cause: { name: 'DialError', attempts: { length: 1 } },
    });
  });

  test('raises NameResolutionError when the host has no address', async () => {
    const promise = createConnection(['nothing.invalid', 80]);
    await expect(promise).rejects.toThrow(NameResolutionError);
    await expect(promise).rejects.toMatchObject({
      host: 'nothing.invalid',
      code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
    });
  });

  test.skipIf(process.platform !== 'linux')('raises ConnectTimeoutError after the timeout, in seconds', async () => {
    await using hole = await blackHole('127.0.0.1');
    const promise = createConnection(['127.0.0.1', hole.port], { timeout: 0.05 });
    await expect(promise).rejects.toThrow(ConnectTimeoutError);
    await expect(promise).rejects.not.toBeInstanceOf(NewConnectionError);
    await expect(promise).rejects.toThrow('Connection to 127.0.0.1 timed out. (connect timeout=0.05)');
  });

  test('rejects with the reason of the signal', async () => {
    await expect(createConnection(['127.0.0.1', 1], { signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
  });

  test.each<{ timeout: Timeout['connect'] | undefined }>([
    { timeout: undefined },
    { timeout: null },
    { timeout: Timeout.DEFAULT_TIMEOUT },
    { timeout: Number.POSITIVE_INFINITY },
  ])('sets no timer for the timeout $timeout', async ({ timeout }) => {
    await using peer = await listening();
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    await using _socket = disposable(await createConnection(['127.0.0.1', peer.port], { timeout }));
    expect(setTimer).not.toHaveBeenCalled();
  });

  test('resolves an international name in its ASCII form', async () => {
    const promise = createConnection(['b\u00fccher.invalid', 80]);
    await expect(promise).rejects.toMatchObject({ host: 'xn--bcher-kva.invalid' });
  });

  test.each<{
    address: unknown;
    options?: unknown;
    error: typeof TypeError | typeof LocationParseError;
    message: string;
  }>([
    { address: 'localhost', error: TypeError, message: 'Cannot connect to "localhost": it must be [host, port]' },
    { address: ['localhost'], error: TypeError, message: 'Cannot connect to an array: it must be [host, port]' },
    { address: [1, 80], error: TypeError, message: 'Cannot use host 1: it must be a string' },
    { address: ['localhost', '80'], error: TypeError, message: 'Cannot use port "80"' },
    { address: ['localhost', 70_000], error: RangeError, message: 'Cannot use port 70000' },
    { address: ['a\u0000b', 80], error: LocationParseError, message: 'ASCII form' },
    { address: ['\u00fc\u0000', 80], error: LocationParseError, message: 'Failed to parse: "\u00fc' },
    { address: ['\u00fc\uff0f', 80], error: LocationParseError, message: 'Failed to parse: "\u00fc' },
    { address: ['localhost', 80], options: { timeout: 0 }, error: RangeError, message: 'timeout' },
    { address: ['localhost', 80], options: { timeout: '1' }, error: TypeError, message: 'connect was "1"' },
    { address: ['localhost', 80], options: { socketOptions: [[0, 0, 0]] }, error: TypeError, message: '[0, 0, 0]' },
    { address: ['localhost', 80], options: { sourceAddress: 'x' }, error: TypeError, message: 'source address "x"' },
  ])('refuses $address with $options', async ({ address, options, error, message }) => {
    const promise = Reflect.apply(createConnection, undefined, [address, options]); // what callers without types can do
    await expect(promise).rejects.toThrow(error);
    await expect(promise).rejects.toThrow(message);
  });
});

describe('isConnectionDropped()', () => {
  /** Both ends of a connection. */
  async function pair() {
    const peer = await listening();
    const socket = await createConnection(['127.0.0.1', peer.port]);
    await vi.waitUntil(() => peer.accepted.length === 1);
    const [remote] = peer.accepted;
    if (remote === undefined) throw new Error('the peer has accepted');
    return {
      socket,
      remote,
      async [Symbol.asyncDispose]() {
        socket.destroy();
        await peer[Symbol.asyncDispose]();
      },
    };
  }

  test('is false for a connection that is open and silent', async () => {
    await using open = await pair();
    expect(isConnectionDropped(open.socket)).toBe(false);
    expect(isConnectionDropped({ socket: open.socket })).toBe(false);
  });

  test('is true without a socket', () => {
    expect(isConnectionDropped(null)).toBe(true);
    expect(isConnectionDropped({ socket: null })).toBe(true);
  });

  test('asks a connection that knows', () => {
    expect(isConnectionDropped({ isConnected: true })).toBe(false);
    expect(isConnectionDropped({ isConnected: false })).toBe(true);
  });

  test('is true once the peer has ended', async () => {
    await using open = await pair();
    open.remote.end();
    await once(open.socket, 'end');
    expect(isConnectionDropped({ socket: open.socket })).toBe(true);
  });

  test('is true once we have ended our side', async () => {
    await using open = await pair();
    open.socket.end();
    expect(isConnectionDropped(open.socket)).toBe(true);
  });

  test('is true when it is destroyed', async () => {
    await using open = await pair();
    open.socket.destroy();
    expect(isConnectionDropped(open.socket)).toBe(true);
  });

  test('is true when bytes have come that nobody asked for', async () => {
    await using open = await pair();
    open.remote.write('HTTP/1.1 408 Request Timeout\r\n\r\n');
    await vi.waitUntil(() => open.socket.readableLength > 0);
    expect(isConnectionDropped(open.socket)).toBe(true);
  });
});

describe('allowedGaiFamily()', () => {
  test.each([
    { name: 'an interface has IPv6', family: 'IPv6', want: 0 },
    { name: 'no interface has IPv6', family: 'IPv4', want: 4 },
  ] as const)('is $want where $name, found out once', async ({ family, want }) => {
    vi.resetModules();
    const address = { address: 'x', netmask: 'x', mac: 'x', internal: true, cidr: null };
    const interfaces = vi.fn(() => ({ none: undefined, lo: [{ ...address, family }] }));
    vi.doMock('node:os', () => ({ ...os, networkInterfaces: interfaces }));
    const fresh = await import('../../src/util/connection.js');
    expect([fresh.allowedGaiFamily(), fresh.allowedGaiFamily()]).toEqual([want, want]);
    expect(interfaces).toHaveBeenCalledOnce();
    vi.doUnmock('node:os');
  });

  test('agrees with this machine', async () => {
    const server = net.createServer();
    const bound = await new Promise((resolve) => {
      server.on('error', () => resolve(false)).listen(0, '::1', () => resolve(true));
    });
    server.close();
    expect(allowedGaiFamily()).toBe(bound ? 0 : 4);
  });
});

function disposable(socket: net.Socket) {
  return { it: socket, [Symbol.asyncDispose]: async () => void socket.destroy() };
}
