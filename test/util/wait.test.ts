import type net from 'node:net';
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import { createConnection } from '../../src/util/connection.js';
import { waitForRead, waitForWrite } from '../../src/util/wait.js';
import { listening } from '../transport/loopback.js';

let startTimer: MockInstance<typeof setTimeout>;
let clearTimer: MockInstance<typeof clearTimeout>;
beforeEach(() => {
  startTimer = vi.spyOn(globalThis, 'setTimeout');
  clearTimer = vi.spyOn(globalThis, 'clearTimeout');
});
afterEach(() => void vi.restoreAllMocks());

const EVENTS = ['readable', 'data', 'drain', 'connect', 'end', 'close', 'error'];

/** Both ends of a connection; at its end ours must have the listeners it began with, and no timer may be left. */
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

function counts(socket: net.Socket): number[] {
  return EVENTS.map((name) => socket.listenerCount(name));
}

function expectNoTimer(): void {
  const cleared = new Set<unknown>(clearTimer.mock.calls.map(([timer]) => timer));
  for (const { value: timer } of startTimer.mock.results) expect(cleared).toContain(timer);
}

/** Fills the socket until it asks to wait. */
function fill(socket: net.Socket): void {
  while (socket.write(Buffer.alloc(1 << 20)));
}

describe('waitForRead()', () => {
  test('is true as soon as bytes come, and takes none of them', async () => {
    await using open = await pair();
    const before = counts(open.socket);
    const ready = waitForRead(open.socket, { timeout: 5 });
    open.remote.write('hello');
    await expect(ready).resolves.toBe(true);
    expect(counts(open.socket)).toEqual(before);
    expectNoTimer();
    expect(String(open.socket.read())).toBe('hello');
  });

  test('is true at once when bytes are there', async () => {
    await using open = await pair();
    open.remote.write('hello');
    await vi.waitUntil(() => open.socket.readableLength > 0);
    await expect(waitForRead(open.socket, { timeout: 0 })).resolves.toBe(true);
    await expect(waitForRead(open.socket)).resolves.toBe(true);
  });

  test('sees with timeout 0 what the kernel holds, even when the event loop is late', async () => {
    await using open = await pair();
    open.remote.write('hello');
    const ready = waitForRead(open.socket, { timeout: 0 });
    const end = performance.now() + 20;
    while (performance.now() < end);
    await expect(ready).resolves.toBe(true);
  });

  test.each([0, 0.02])('is false when nothing has come after %d seconds', async (timeout) => {
    await using open = await pair();
    const before = counts(open.socket);
    await expect(waitForRead(open.socket, { timeout })).resolves.toBe(false);
    expect(counts(open.socket)).toEqual(before);
    expectNoTimer();
  });

  test('is true when the peer ends', async () => {
    await using open = await pair();
    const ready = waitForRead(open.socket);
    open.remote.end();
    await expect(ready).resolves.toBe(true);
  });

  test('is true when the socket is closed, during the wait or before it', async () => {
    await using open = await pair();
    const ready = waitForRead(open.socket);
    open.socket.destroy();
    await expect(ready).resolves.toBe(true);
    await expect(waitForRead(open.socket, { timeout: null })).resolves.toBe(true);
  });

  test('hides no error from the listeners of the caller', async () => {
    await using open = await pair();
    const errors: unknown[] = [];
    open.socket.on('error', (error) => errors.push(error));
    const ready = waitForRead(open.socket);
    open.socket.destroy(new Error('reset'));
    await expect(ready).resolves.toBe(true);
    expect(errors).toMatchObject([{ message: 'reset' }]);
  });

  test('waits for data where the socket flows, and lets it flow', async () => {
    await using open = await pair();
    const seen: string[] = [];
    open.socket.on('data', (chunk) => seen.push(String(chunk)));
    const ready = waitForRead(open.socket, { timeout: 5 });
    open.remote.write('hello');
    await expect(ready).resolves.toBe(true);
    expect(seen).toEqual(['hello']);
    expect(open.socket.readableFlowing).toBe(true);
  });

  test('leaves a paused socket paused', async () => {
    await using open = await pair();
    const onData = vi.fn();
    open.socket.on('data', onData).pause();
    const ready = waitForRead(open.socket, { timeout: 5 });
    open.remote.write('hello');
    await expect(ready).resolves.toBe(true);
    await new Promise(setImmediate);
    expect(open.socket.isPaused()).toBe(true);
    expect(onData).not.toHaveBeenCalled();
  });

  test('ends with the reason of the signal, and leaves no listener', async () => {
    await using open = await pair();
    const before = counts(open.socket);
    const abort = new AbortController();
    const ready = waitForRead(open.socket, { signal: abort.signal });
    abort.abort('enough');
    await expect(ready).rejects.toBe('enough');
    expect(counts(open.socket)).toEqual(before);
  });
});

describe('waitForWrite()', () => {
  test('is true at once on a socket that takes bytes', async () => {
    await using open = await pair();
    const before = counts(open.socket);
    await expect(waitForWrite(open.socket)).resolves.toBe(true);
    expect(counts(open.socket)).toEqual(before);
  });

  test('is false while the socket queues, and true once it has drained', async () => {
    await using open = await pair();
    open.remote.pause();
    fill(open.socket);
    const before = counts(open.socket);
    await expect(waitForWrite(open.socket, { timeout: 0.02 })).resolves.toBe(false);
    const ready = waitForWrite(open.socket, { timeout: 5 });
    open.remote.resume();
    await expect(ready).resolves.toBe(true);
    expect(counts(open.socket)).toEqual(before);
    expectNoTimer();
  });

  test('waits until the socket is connected', async () => {
    await using peer = await listening();
    const { connect } = await import('node:net');
    const socket = connect(peer.port, '127.0.0.1');
    await expect(waitForWrite(socket, { timeout: 5 })).resolves.toBe(true);
    expect(socket.connecting).toBe(false);
    socket.destroy();
  });

  test('is true when the socket is closed: a write would say so at once', async () => {
    await using open = await pair();
    fill(open.socket);
    const ready = waitForWrite(open.socket);
    open.socket.destroy();
    await expect(ready).resolves.toBe(true);
  });
});

test.each([waitForRead, waitForWrite])('%o rejects a timeout that is no number of seconds', async (wait) => {
  await using open = await pair();
  for (const [timeout, error] of [
    ['1', TypeError],
    [Number.NaN, TypeError],
    [-1, RangeError],
  ] as const) {
    // What callers without types can do.
    await expect(Reflect.apply(wait, undefined, [open.socket, { timeout }])).rejects.toThrow(error);
  }
});
