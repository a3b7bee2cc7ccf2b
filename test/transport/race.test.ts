import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Bounds } from '../../src/transport/bounded.js';
import { attemptOrder, ignoreError, raceConnect } from '../../src/transport/race.js';
import type { Address } from '../../src/transport/resolve.js';

function addresses(...literals: string[]): Address[] {
  return literals.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
}

/** A race whose sockets do nothing by themselves: the test makes them connect, fail or close. */
function startRace(literals: string[], given: Partial<Bounds> = {}) {
  const opened: string[] = [];
  const sockets: net.Socket[] = [];
  const openSocket = ({ address }: Address) => {
    if (address.startsWith('255.')) throw new Error(`cannot open ${address}`);
    opened.push(address);
    const socket = new net.Socket();
    sockets.push(socket);
    return socket;
  };
  const promise = raceConnect(addresses(...literals), openSocket, { signal: null, deadlineMs: null, ...given });
  promise.catch(() => {}); // a test may look at it after other awaits
  return { promise, opened, sockets };
}

/** What no socket of a race may keep, except the guard against unhandled errors. */
function listenersLeft(socket: net.Socket): unknown[] {
  return [...socket.listeners('connect'), ...socket.listeners('close'), ...socket.listeners('error')].filter(
    (listener) => listener !== ignoreError,
  );
}

function expectClean(sockets: net.Socket[], winner?: net.Socket): void {
  for (const socket of sockets) {
    expect(socket.destroyed).toBe(socket !== winner);
    expect(listenersLeft(socket)).toEqual([]);
  }
  expect(vi.getTimerCount()).toBe(0);
}

describe('attemptOrder()', () => {
  test.each([
    { of: ['::1', '::2', '127.0.0.1', '127.0.0.2'], want: ['::1', '127.0.0.1', '::2', '127.0.0.2'] },
    { of: ['127.0.0.1', '::1', '::2', '::3'], want: ['127.0.0.1', '::1', '::2', '::3'] },
    { of: ['127.0.0.1', '127.0.0.2'], want: ['127.0.0.1', '127.0.0.2'] },
    { of: [], want: [] },
  ])('lets the families of $of take turns (RFC 8305 section 4)', ({ of, want }) => {
    expect(attemptOrder(addresses(...of)).map(({ address }) => address)).toEqual(want);
  });

  test('stops at 64 attempts, and keeps both families among them', () => {
    const many = Array.from({ length: 300 }, (_, index) => `2001:db8::${index.toString(16)}`);
    const order = attemptOrder(addresses(...many, '127.0.0.1'));
    expect(order).toHaveLength(64);
    expect(order[1]?.address).toBe('127.0.0.1');
  });
});

describe('raceConnect()', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('begins an attempt each 250 ms while none answers (RFC 8305 section 5)', () => {
    const { opened } = startRace(['::1', '::2', '127.0.0.1']);
    expect(opened).toEqual(['::1']);
    vi.advanceTimersByTime(249);
    expect(opened).toEqual(['::1']);
    vi.advanceTimersByTime(1);
    expect(opened).toEqual(['::1', '127.0.0.1']);
    vi.advanceTimersByTime(250);
    expect(opened).toEqual(['::1', '127.0.0.1', '::2']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('begins the next attempt at once when one fails, and 250 ms after that the one after it', () => {
    const { opened, sockets } = startRace(['::1', '::2', '::3', '::4']);
    vi.advanceTimersByTime(100);
    sockets[0]?.emit('error', new Error('refused'));
    expect(opened).toEqual(['::1', '::2']);
    vi.advanceTimersByTime(249);
    expect(opened).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(opened).toHaveLength(3);
  });

  test('gives the first that connects, though an earlier attempt still runs, and destroys the rest', async () => {
    const { promise, sockets, opened } = startRace(['::1', '127.0.0.1', '::2']);
    vi.advanceTimersByTime(250);
    sockets[1]?.emit('connect');
    expectClean(sockets, sockets[1]);
    await expect(promise).resolves.toBe(sockets[1]);
    vi.advanceTimersByTime(1000);
    expect(opened).toHaveLength(2);
  });

  test('lets the first attempt win late: an attempt is not given up because the next began', async () => {
    const { promise, sockets } = startRace(['::1', '127.0.0.1']);
    vi.advanceTimersByTime(260);
    sockets[0]?.emit('connect');
    await expect(promise).resolves.toBe(sockets[0]);
    expectClean(sockets, sockets[0]);
  });

  test('leaves the guard against unhandled errors on the winner', async () => {
    const { promise, sockets } = startRace(['::1']);
    sockets[0]?.emit('connect');
    const socket = await promise;
    expect(socket.listeners('error')).toEqual([ignoreError]);
    expect(() => socket.emit('error', new Error('reset before anybody listened'))).not.toThrow();
  });

  test('rejects when all have failed, with every error, in the order in which they failed', async () => {
    const { promise, sockets } = startRace(['::1', '127.0.0.1']);
    vi.advanceTimersByTime(250);
    sockets[1]?.emit('error', new Error('refused'));
    sockets[0]?.emit('error', new Error('unreachable'));
    await expect(promise).rejects.toMatchObject({
      kind: 'failed',
      message: 'unreachable, the last of 2 addresses',
      attempts: [
        { address: '127.0.0.1', error: { message: 'refused' } },
        { address: '::1', error: { message: 'unreachable' } },
      ],
    });
    expectClean(sockets);
  });

  test('counts a socket that closes without a word as failed', async () => {
    const { promise, sockets } = startRace(['::1']);
    sockets[0]?.emit('close');
    await expect(promise).rejects.toMatchObject({ kind: 'failed', message: 'closed before it was connected to ::1' });
    expectClean(sockets);
  });

  test('counts a socket that cannot be opened as failed, and goes on at once', async () => {
    const { promise, sockets, opened } = startRace(['255.0.0.1', '255.0.0.2', '127.0.0.1']);
    expect(opened).toEqual(['127.0.0.1']);
    sockets[0]?.emit('error', new Error('refused'));
    await expect(promise).rejects.toMatchObject({ attempts: { length: 3 } });
  });

  test('counts whatever is thrown by the opener', async () => {
    const openSocket = () => {
      throw 'odd';
    };
    const promise = raceConnect(addresses('::1'), openSocket, { signal: null, deadlineMs: null });
    await expect(promise).rejects.toMatchObject({ message: 'odd' });
  });

  test('rejects when there is no address', async () => {
    await expect(startRace([]).promise).rejects.toMatchObject({ kind: 'failed', message: 'no address was tried' });
  });

  test('ends at the deadline, names those that did not answer, and destroys them', async () => {
    const { promise, sockets } = startRace(['::1', '127.0.0.1'], { deadlineMs: performance.now() + 400 });
    sockets[0]?.emit('error', new Error('refused'));
    vi.advanceTimersByTime(400);
    await expect(promise).rejects.toMatchObject({
      kind: 'timeout',
      attempts: [
        { address: '::1', error: { message: 'refused' } },
        { address: '127.0.0.1', error: { message: 'no answer from 127.0.0.1' } },
      ],
    });
    expectClean(sockets);
  });

  test('opens nothing after the deadline, or under an aborted signal', async () => {
    const late = startRace(['::1'], { deadlineMs: performance.now() });
    await expect(late.promise).rejects.toMatchObject({ kind: 'timeout', attempts: [] });
    const aborted = startRace(['::1'], { signal: AbortSignal.abort('no') });
    await expect(aborted.promise).rejects.toBe('no');
    expect([...late.opened, ...aborted.opened]).toEqual([]);
  });

  test.each([0, 100, 250, 600])('leaves nothing when it is aborted after %d ms', async (ms) => {
    const abort = new AbortController();
    const { promise, sockets } = startRace(['::1', '127.0.0.1', '::2'], { signal: abort.signal });
    vi.advanceTimersByTime(ms);
    abort.abort(new Error('enough'));
    await expect(promise).rejects.toThrow('enough');
    expectClean(sockets);
    vi.advanceTimersByTime(1000);
    expect(sockets).toHaveLength(1 + Math.min(2, Math.floor(ms / 250)));
  });
});
