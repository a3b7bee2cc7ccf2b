import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import { LocationParseError } from '../../src/exceptions.js';
import { DialError, type DialOptions, dial } from '../../src/transport/dial.js';
import { ignoreError } from '../../src/transport/race.js';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { blackHole, listening, refusingPort } from './loopback.js';

let connect: MockInstance<typeof net.connect>;
let startTimer: MockInstance<typeof setTimeout>;
let clearTimer: MockInstance<typeof clearTimeout>;

beforeEach(() => {
  connect = vi.spyOn(net, 'connect');
  startTimer = vi.spyOn(globalThis, 'setTimeout');
  clearTimer = vi.spyOn(globalThis, 'clearTimeout');
});
afterEach(() => void vi.restoreAllMocks());

function options(port: number, given: Partial<DialOptions> = {}): DialOptions {
  return {
    host: '127.0.0.1',
    port,
    timeoutMs: 5000,
    sourceAddress: null,
    socketOptions: [],
    lookup: null,
    signal: null,
    onread: null,
    ...given,
  };
}

function answering(...addresses: string[]): LookupFunction {
  return (_host, _options, callback) => callback(null, addresses);
}

function opened(): net.Socket[] {
  return connect.mock.results.map(({ value }) => value);
}

/** No socket is open but the winner, and every timer has been cleared. */
function expectNothingLeft(winner?: net.Socket): void {
  for (const socket of opened()) expect(socket.destroyed).toBe(socket !== winner);
  const cleared = new Set<unknown>(clearTimer.mock.calls.map(([timer]) => timer));
  for (const { value: timer } of startTimer.mock.results) expect(cleared).toContain(timer);
}

describe('dial()', () => {
  test('gives a connected socket that carries no listener of ours but the guard', async () => {
    await using peer = await listening();
    const bare = new net.Socket();
    const socket = await dial(options(peer.port));
    expect(socket.remoteAddress).toBe('127.0.0.1');
    expect(socket.listeners('error')).toEqual([ignoreError]);
    for (const name of ['connect', 'close', 'end', 'data', 'readable']) {
      expect(socket.listenerCount(name)).toBe(bare.listenerCount(name));
    }
    expectNothingLeft(socket);
    socket.destroy();
  });

  test('lets no error end the process before the caller listens, and shows it afterwards', async () => {
    await using peer = await listening();
    const socket = await dial(options(peer.port));
    await vi.waitUntil(() => peer.accepted.length === 1);
    peer.accepted[0]?.resetAndDestroy();
    await new Promise((resolve) => socket.on('close', resolve));
    expect(socket.errored).toMatchObject({ code: 'ECONNRESET' });
  });

  test('dials addresses only, with its own options, as own properties', async () => {
    await using peer = await listening();
    const socket = await dial(options(peer.port, { host: 'a.test', lookup: answering('127.0.0.1') }));
    const [given]: unknown[] = connect.mock.lastCall ?? [];
    expect(given).toMatchObject({ host: '127.0.0.1', port: peer.port, autoSelectFamily: false });
    for (const name of ['lookup', 'path', 'fd', 'handle', 'signal']) expect(given).toHaveProperty(name, undefined);
    socket.destroy();
  });

  test('asks a lookup hook for IP literals too', async () => {
    await using peer = await listening();
    const lookup = vi.fn(answering('127.0.0.1'));
    const socket = await dial(options(peer.port, { host: '192.0.2.1', lookup }));
    expect(lookup).toHaveBeenCalledOnce();
    expect(lookup.mock.lastCall?.[0]).toBe('192.0.2.1');
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
  });

  test('sets the socket options once it is connected', async () => {
    await using peer = await listening();
    const setNoDelay = vi.spyOn(net.Socket.prototype, 'setNoDelay');
    const setKeepAlive = vi.spyOn(net.Socket.prototype, 'setKeepAlive');
    const socket = await dial(
      options(peer.port, {
        socketOptions: [
          [6, 1, 1],
          [1, 9, 1],
          [6, 4, 30],
        ],
      }),
    );
    expect(setNoDelay.mock.calls).toEqual([[true]]);
    expect(setKeepAlive.mock.calls).toEqual([[true, 30_000]]);
    socket.destroy();
  });

  test('binds the source address, whose family limits the race', async () => {
    await using peer = await listening();
    const lookup = answering('::1', '127.0.0.1');
    const socket = await dial(options(peer.port, { host: 'a.test', lookup, sourceAddress: ['127.0.0.9', 0] }));
    expect(socket.localAddress).toBe('127.0.0.9');
    expect(opened()).toHaveLength(1);
    socket.destroy();
  });

  test('binds a source port on any address', async () => {
    await using peer = await listening();
    const sourcePort = await refusingPort();
    const socket = await dial(options(peer.port, { sourceAddress: ['', sourcePort] }));
    expect(socket.localPort).toBe(sourcePort);
    socket.destroy();
  });

  test('dials the given family only', async () => {
    await using peer = await listening();
    const lookup = answering('::1', '127.0.0.1');
    const socket = await dial(options(peer.port, { host: 'a.test', lookup, family: 4 }));
    expect(opened()).toHaveLength(1);
    socket.destroy();
  });

  test('makes a buffer and callback for each attempt, and only the winner reads', async () => {
    await using peer = await listening();
    const read: string[] = [];
    let made = 0;
    const onread = (): net.OnReadOpts => {
      const attempt = ++made;
      return {
        buffer: Buffer.alloc(64),
        callback: (length, buffer) => {
          read.push(`${attempt}: ${Buffer.from(buffer).toString('latin1', 0, length)}`);
          return true;
        },
      };
    };
    // 127.0.0.2 on this port is refused: the peer listens on 127.0.0.1 alone.
    const socket = await dial(
      options(peer.port, { host: 'a.test', lookup: answering('127.0.0.2', '127.0.0.1'), onread }),
    );
    await vi.waitUntil(() => peer.accepted.length === 1);
    peer.accepted[0]?.end('hello');
    await once(socket, 'end');
    expect(made).toBe(2);
    expect(read).toEqual(['2: hello']);
    socket.destroy();
  });

  describe.skipIf(process.platform !== 'linux')(
    'with an address that swallows connections (a full queue, Linux)',
    () => {
      test.each([
        { dead: '::1', live: '127.0.0.1' },
        { dead: '127.0.0.1', live: '::1' },
      ])('connects to $live in less than 700 ms though $dead stands first', async ({ dead, live }) => {
        await using peer = await listening(live);
        await using _hole = await blackHole(dead, peer.port);
        const begin = performance.now();
        const socket = await dial(options(peer.port, { host: 'a.test', lookup: answering(dead, live) }));
        const tookMs = performance.now() - begin;
        expect(tookMs).toBeGreaterThan(240);
        expect(tookMs).toBeLessThan(700);
        expect(socket.remoteAddress).toBe(live);
        expect(opened()).toHaveLength(2);
        expectNothingLeft(socket);
        socket.destroy();
      });

      test.each([
        { dead: '::1', live: '127.0.0.1' },
        { dead: '127.0.0.1', live: '::1' },
      ])('does not touch $dead where $live stands first', async ({ dead, live }) => {
        await using peer = await listening(live);
        await using _hole = await blackHole(dead, peer.port);
        const socket = await dial(options(peer.port, { host: 'a.test', lookup: answering(live, dead) }));
        expect(opened()).toHaveLength(1);
        expectNothingLeft(socket);
        socket.destroy();
      });

      test('ends at the time limit and destroys every attempt', async () => {
        await using hole = await blackHole('127.0.0.1');
        const error = await dial(options(hole.port, { timeoutMs: 60 })).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(DialError);
        expect(error).toMatchObject({
          phase: 'timeout',
          host: '127.0.0.1',
          port: hole.port,
          message: 'No connection within 60 ms (no answer from 127.0.0.1)',
          attempts: [{ address: '127.0.0.1' }],
        });
        expect(opened()).toHaveLength(1);
        expectNothingLeft();
      });

      test('ends with the reason of the signal while it connects, and leaves nothing', async () => {
        await using hole = await blackHole('127.0.0.1');
        const abort = new AbortController();
        const removed = vi.spyOn(abort.signal, 'removeEventListener');
        const promise = dial(options(hole.port, { signal: abort.signal }));
        await vi.waitUntil(() => opened().length === 1);
        abort.abort('enough');
        await expect(promise).rejects.toBe('enough');
        expect(removed).toHaveBeenCalled();
        expectNothingLeft();
      });
    },
  );

  test('falls to the second address at once when the first refuses', async () => {
    await using peer = await listening('127.0.0.1');
    const begin = performance.now();
    const socket = await dial(options(peer.port, { host: 'a.test', lookup: answering('::1', '127.0.0.1') }));
    expect(performance.now() - begin).toBeLessThan(240);
    expectNothingLeft(socket);
    socket.destroy();
  });

  test('reports one refused address with its own error as the cause', async () => {
    const port = await refusingPort();
    await expect(dial(options(port))).rejects.toMatchObject({
      name: 'DialError',
      phase: 'connect',
      message: `connect ECONNREFUSED 127.0.0.1:${port}`,
      attempts: [{ address: '127.0.0.1', error: { code: 'ECONNREFUSED' } }],
      cause: { code: 'ECONNREFUSED' },
    });
    expectNothingLeft();
  });

  test('reports several failures as one AggregateError, whose cause is the last', async () => {
    const port = await refusingPort();
    const error = await dial(options(port, { host: 'a.test', lookup: answering('127.0.0.1', '127.0.0.2') })).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      phase: 'connect',
      message: `connect ECONNREFUSED 127.0.0.2:${port}, the last of 2 addresses`,
      cause: { errors: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }], cause: { address: '127.0.0.2' } },
    });
    expect(error instanceof Error && error.cause).toBeInstanceOf(AggregateError);
  });

  test('reports a name without an address', async () => {
    const cause = new Error('getaddrinfo ENOTFOUND a.test');
    const lookup: LookupFunction = (_host, _options, callback) => callback(cause, []);
    await expect(dial(options(80, { host: 'a.test', lookup }))).rejects.toMatchObject({
      phase: 'resolve',
      host: 'a.test',
      message: cause.message,
      attempts: [],
      cause,
    });
    expect(connect).not.toHaveBeenCalled();
  });

  test('reports a resolver that does not answer in time, and dials nothing when it does later', async () => {
    let answer = () => {};
    const lookup: LookupFunction = (_host, _options, callback) => {
      answer = () => callback(null, '127.0.0.1', 4);
    };
    await expect(dial(options(80, { host: 'a.test', lookup, timeoutMs: 20 }))).rejects.toMatchObject({
      phase: 'timeout',
      message: 'No answer for a.test from the resolver within the time limit',
    });
    answer();
    expect(connect).not.toHaveBeenCalled();
    expectNothingLeft();
  });

  test('dials nothing when the resolver answers as the time limit passes', async () => {
    const lookup: LookupFunction = (_host, _options, callback) => {
      const end = performance.now() + 10;
      while (performance.now() < end);
      callback(null, '127.0.0.1', 4);
    };
    await expect(dial(options(80, { host: 'a.test', lookup, timeoutMs: 5 }))).rejects.toMatchObject({
      phase: 'timeout',
      message: 'No connection within 5 ms (no address was tried)',
      cause: undefined,
    });
    expect(connect).not.toHaveBeenCalled();
  });

  test('ends with the reason of the signal while it resolves, or before it begins', async () => {
    const abort = new AbortController();
    const lookup = vi.fn<LookupFunction>();
    const promise = dial(options(80, { host: 'a.test', lookup, signal: abort.signal }));
    abort.abort('enough');
    await expect(promise).rejects.toBe('enough');
    await expect(dial(options(80, { signal: abort.signal }))).rejects.toBe('enough');
    expect(lookup).toHaveBeenCalledOnce();
    expect(connect).not.toHaveBeenCalled();
    expectNothingLeft();
  });

  test('starts no timer without a time limit', async () => {
    await using peer = await listening();
    const socket = await dial(options(peer.port, { timeoutMs: null }));
    expect(startTimer).not.toHaveBeenCalled();
    socket.destroy();
  });

  test.each<{
    given: { [K in keyof DialOptions]?: unknown };
    error: typeof TypeError | typeof LocationParseError;
    message: string;
  }>([
    { given: { host: 'a b' }, error: LocationParseError, message: 'ASCII form' },
    { given: { port: '80' }, error: TypeError, message: 'Cannot use port "80": it must be a whole number' },
    { given: { port: 1.5 }, error: TypeError, message: 'Cannot use port 1.5' },
    { given: { port: 65_536 }, error: RangeError, message: 'Cannot use port 65536: it must be from 0 to 65535' },
    { given: { port: -1 }, error: RangeError, message: 'Cannot use port -1' },
    { given: { timeoutMs: '1' }, error: TypeError, message: 'Cannot use time limit "1"' },
    { given: { timeoutMs: Number.NaN }, error: TypeError, message: 'Cannot use time limit NaN' },
    { given: { timeoutMs: 0 }, error: RangeError, message: 'Cannot use a time limit of 0 ms' },
    { given: { socketOptions: [[1, 2, 3]] }, error: TypeError, message: 'Cannot set socket option [1, 2, 3]' },
    { given: { family: 5 }, error: TypeError, message: 'Cannot use address family 5: it must be 0, 4 or 6' },
    { given: { sourceAddress: '::1' }, error: TypeError, message: 'Cannot use source address "::1": it must be [host' },
    { given: { sourceAddress: ['localhost', 0] }, error: TypeError, message: 'Cannot use source host "localhost"' },
    {
      given: { sourceAddress: [1, 0] },
      error: TypeError,
      message: 'Cannot use source host 1: it must be an IP address',
    },
    { given: { sourceAddress: ['', 70_000] }, error: RangeError, message: 'Cannot use source port 70000' },
    { given: { sourceAddress: ['::1', 0], family: 4 }, error: TypeError, message: 'only IPv4 is to be dialled' },
  ])('refuses $given before any I/O', async ({ given, error, message }) => {
    const lookup = vi.fn<LookupFunction>();
    // What callers without types can do.
    const promise = Reflect.apply(dial, undefined, [{ ...options(80, { lookup }), ...given }]);
    await expect(promise).rejects.toThrow(error);
    await expect(promise).rejects.toThrow(message);
    expect(lookup).not.toHaveBeenCalled();
    expect(connect).not.toHaveBeenCalled();
  });
});
