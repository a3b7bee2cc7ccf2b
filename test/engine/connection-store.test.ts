import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ConnectionStore, type StoreOptions } from '../../src/engine/connection-store.js';
import { ClosedPoolError, EmptyPoolError } from '../../src/exceptions.js';
import { LifoQueue } from '../../src/util/queue.js';

afterEach(() => void vi.useRealTimers());

/** A connection without a network: it is idle from its first release until it is closed. */
class Fake {
  readonly number: number;
  readonly #store: () => ConnectionStore<Fake>;
  isIdle = true;
  keepAliveSeconds: number | null = null;
  idleSinceMs = 0;
  rests = 0;

  constructor(number: number, store: () => ConnectionStore<Fake>) {
    this.number = number;
    this.#store = store;
  }

  rest(): void {
    this.rests++;
  }

  /** As a real one: its owner, the store, is told at once. */
  close(): void {
    if (!this.isIdle) return;
    this.isIdle = false;
    this.#store().remove(this);
  }
}

function storeOf(options: Partial<StoreOptions<Fake>> = {}): { store: ConnectionStore<Fake>; made: Fake[] } {
  const made: Fake[] = [];
  const store: ConnectionStore<Fake> = new ConnectionStore<Fake>({
    pool: { toString: () => 'a pool' },
    host: 'a.test',
    maxsize: 2,
    block: true,
    idleTimeout: 60,
    idle: new LifoQueue<Fake>(),
    create: () => {
      const connection = new Fake(made.length, () => store);
      made.push(connection);
      return connection;
    },
    ...options,
  });
  return { store, made };
}

/** Takes one that is there to be taken. */
function take(store: ConnectionStore<Fake>): Fake {
  const connection = store.take();
  if (connection === null) throw new Error('one could be taken');
  return connection;
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

describe('ConnectionStore.take()', () => {
  test('gives the connection that was used last', () => {
    const { store } = storeOf({ maxsize: 3 });
    const [a, b, c] = [take(store), take(store), take(store)];
    for (const connection of [b, a, c]) store.release(connection);
    expect([store.take(), store.take(), store.take()]).toEqual([c, a, b]);
    expect([store.idleCount, store.openCount]).toEqual([0, 3]);
    store.close();
  });

  test('gives null when a blocking store has all connections out, and ever new ones when it does not block', () => {
    const blocking = storeOf().store;
    take(blocking);
    take(blocking);
    expect(blocking.take()).toBeNull();
    const { store, made } = storeOf({ block: false });
    for (let count = 0; count < 5; count++) take(store);
    expect(store.openCount).toBe(5);
    for (const connection of [...made]) store.release(connection);
    expect([store.idleCount, store.openCount]).toEqual([2, 2]);
    expect(made.map(({ isIdle }) => isIdle)).toEqual([true, true, false, false, false]);
    store.close();
  });

  test('passes over a connection that is not idle any more', () => {
    const { store } = storeOf();
    const [a, b] = [take(store), take(store)];
    store.release(a);
    store.release(b);
    b.isIdle = false;
    expect(store.takeIdle()).toBe(a);
    expect(store.takeIdle()).toBeNull();
  });
});

describe('ConnectionStore.wait()', () => {
  test('serves 10,000 waiters first come, first served, with maxsize connections', async () => {
    const { store, made } = storeOf({ maxsize: 3 });
    const first = [take(store), take(store), take(store)];
    const served: number[] = [];
    const waits = Array.from({ length: 10_000 }, async (_, turn) => {
      const connection = await store.wait(null, null);
      served.push(turn);
      // Some keep their connection, some lose it: either frees a place for the next.
      if (turn % 3 === 0) connection.close();
      else store.release(connection);
    });
    for (const connection of first) store.release(connection);
    await Promise.all(waits);
    expect(served).toEqual(Array.from({ length: 10_000 }, (_, turn) => turn));
    expect(store.openCount).toBeLessThanOrEqual(3);
    expect(made.length).toBeGreaterThan(3000);
    store.close();
  });

  test('is served in the very call that frees a connection or a place: who comes later is not faster', async () => {
    const { store } = storeOf({ maxsize: 1 });
    const a = take(store);
    const waiting = store.wait(null, null);
    store.release(a);
    expect(store.take()).toBeNull();
    expect(await waiting).toBe(a);
    const next = store.wait(null, null);
    a.close();
    expect(store.take()).toBeNull();
    expect(store.openCount).toBe(1);
    expect(await next).not.toBe(a);
  });

  test('raises EmptyPoolError when the time is over, at once for 0, and leaves the queue', async () => {
    vi.useFakeTimers();
    const { store } = storeOf({ maxsize: 1 });
    const a = take(store);
    await expect(store.wait(0, null)).rejects.toThrow(EmptyPoolError);
    const late = expect(store.wait(5, null)).rejects.toThrow('Pool reached maximum size and no more connections');
    const patient = store.wait(6, null);
    await vi.advanceTimersByTimeAsync(5000);
    await late;
    store.release(a);
    expect(await patient).toBe(a);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('rejects with the reason of the signal, and leaves the queue', async () => {
    const { store } = storeOf({ maxsize: 1 });
    const a = take(store);
    const controller = new AbortController();
    const gone = store.wait(null, controller.signal);
    const patient = store.wait(null, null);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(gone).rejects.toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await expect(store.wait(null, controller.signal)).rejects.toBe(reason);
    store.release(a);
    expect(await patient).toBe(a);
  });

  test('keeps nothing of waiters that gave up, though nobody is ever served', async () => {
    const { store } = storeOf({ maxsize: 1 });
    const a = take(store);
    const patient = store.wait(null, null);
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let count = 0; count < 20_000; count++) await store.wait(0, null).catch(() => {});
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(500_000);
    const last = store.wait(null, null);
    store.release(a);
    const served = await patient;
    store.release(served);
    expect(await last).toBe(a);
  });

  test('is turned away with ClosedPoolError when the pool closes', async () => {
    const { store } = storeOf({ maxsize: 1 });
    const a = take(store);
    const waits = [store.wait(null, null), store.wait(5, null)];
    store.close();
    for (const wait of waits) await expect(wait).rejects.toThrow(ClosedPoolError);
    expect(() => store.take()).toThrow('a pool: Pool is closed.');
    expect(store.isClosed).toBe(true);
    store.release(a);
    expect(a.isIdle).toBe(false);
    expect([store.openCount, store.idleCount]).toEqual([0, 0]);
  });
});

describe('ConnectionStore.release(), remove() and close()', () => {
  test('a connection that was removed is closed when it is released, and a second removal does nothing', () => {
    const { store } = storeOf();
    const a = take(store);
    store.remove(a);
    store.remove(a);
    store.release(a);
    expect([a.isIdle, store.openCount, store.idleCount]).toEqual([false, 0, 0]);
  });

  test('an idle connection that is removed is not given out', () => {
    const { store } = storeOf();
    const a = take(store);
    store.release(a);
    a.close();
    expect([store.openCount, store.idleCount, store.takeIdle()]).toEqual([0, 0, null]);
    store.close();
  });

  test('a place that is freed beyond maxsize is given to nobody', async () => {
    const { store, made } = storeOf({ maxsize: 1 });
    const a = take(store);
    const waiting = store.wait(null, null);
    store.release(a);
    await waiting;
    const late = store.wait(null, null);
    store.remove(a);
    expect((await late).number).toBe(1);
    expect(made).toHaveLength(2);
  });

  test('closes what is idle at once, and nothing is open when the rest comes back', () => {
    const { store, made } = storeOf();
    const [a, b] = [take(store), take(store)];
    store.release(a);
    store.close();
    expect(a.isIdle).toBe(false);
    b.close();
    expect(store.openCount).toBe(0);
    expect(made).toHaveLength(2);
  });

  test('lets the idle rest when the loop has turned, and none that was taken again', async () => {
    const { store } = storeOf();
    const [a, b] = [take(store), take(store)];
    store.release(a);
    store.release(b);
    expect(store.takeIdle()).toBe(b);
    await tick();
    expect([a.rests, b.rests]).toEqual([1, 0]);
    store.close();
  });

  test('never has more than maxsize open, never loses a waiter, in any order of events', async () => {
    const event = fc.constantFrom('take', 'wait', 'release', 'close', 'abort');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(event, { maxLength: 60 }), async (maxsize, events) => {
        const { store } = storeOf({ maxsize });
        const out: Fake[] = [];
        const waiting = new Set<AbortController>();
        for (const kind of events) {
          if (kind === 'take') {
            const taken = store.take();
            if (taken !== null) out.push(taken);
            // Nobody overtakes: a connection is there only if none waits for one.
            expect(taken === null || waiting.size === 0).toBe(true);
          } else if (kind === 'wait' && store.idleCount === 0 && store.openCount === maxsize) {
            const controller = new AbortController();
            waiting.add(controller);
            void store.wait(null, controller.signal).then(
              (connection) => {
                waiting.delete(controller);
                out.push(connection);
              },
              () => waiting.delete(controller),
            );
          } else if (kind === 'abort') {
            waiting.values().next().value?.abort();
          } else if (kind === 'release') {
            const back = out.shift();
            if (back !== undefined) store.release(back);
          } else if (kind === 'close') out.shift()?.close();
          await Promise.resolve();
          await Promise.resolve();
          await Promise.resolve();
          expect(store.openCount).toBeLessThanOrEqual(maxsize);
          expect(store.openCount).toBe(out.length + store.idleCount);
          expect(waiting.size === 0 || store.idleCount === 0).toBe(true);
        }
        store.close();
      }),
      { numRuns: 200 },
    );
  });
});

describe('ConnectionStore, over time', () => {
  test('gives idle connections up when idleTimeout is over', () => {
    vi.useFakeTimers();
    const { store } = storeOf({ idleTimeout: 60 });
    const [a, b] = [take(store), take(store)];
    store.release(a);
    vi.advanceTimersByTime(30_000);
    store.release(b);
    vi.advanceTimersByTime(29_999);
    expect(a.isIdle).toBe(true);
    vi.advanceTimersByTime(2);
    expect([a.isIdle, b.isIdle, store.openCount]).toEqual([false, true, 1]);
    vi.advanceTimersByTime(30_000);
    expect([b.isIdle, store.openCount]).toEqual([false, 0]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ['a second before its server does', 5, 4000],
    ['half-way when its server allows less than two seconds', 1, 500],
    ['at idleTimeout when its server allows more', 300, 60_000],
  ])('gives a connection up %s', (_name, keepAliveSeconds, expectedMs) => {
    vi.useFakeTimers();
    const { store } = storeOf({ idleTimeout: 60 });
    const a = take(store);
    a.keepAliveSeconds = keepAliveSeconds;
    store.release(a);
    vi.advanceTimersByTime(expectedMs - 2);
    expect(a.isIdle).toBe(true);
    vi.advanceTimersByTime(4);
    expect(a.isIdle).toBe(false);
  });

  test('never hands out a connection whose time is over, though no timer has fired yet', () => {
    vi.useFakeTimers();
    const { store } = storeOf({ idleTimeout: 60 });
    const a = take(store);
    store.release(a);
    // The loop was busy: the clock is ahead of the timers.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_001);
    expect(store.takeIdle()).toBeNull();
    expect(a.isIdle).toBe(false);
    vi.restoreAllMocks();
    store.close();
  });

  test('moves its one timer forward when a connection must go sooner', () => {
    vi.useFakeTimers();
    const { store } = storeOf({ idleTimeout: 60 });
    const [a, b] = [take(store), take(store)];
    store.release(a);
    b.keepAliveSeconds = 5;
    store.release(b);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(2);
    vi.advanceTimersByTime(4001);
    expect([a.isIdle, b.isIdle]).toEqual([true, false]);
    store.close();
    vi.runAllTicks();
  });

  test('keeps connections for ever without a limit, and sets no timer', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { store } = storeOf({ idleTimeout: null });
    const a = take(store);
    store.release(a);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(2 ** 32);
    expect(store.takeIdle()).toBe(a);
  });

  test('sets no timer longer than Node can', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { store } = storeOf({ idleTimeout: 1e9 });
    const a = take(store);
    store.release(a);
    vi.advanceTimersByTime(2 ** 31);
    expect(a.isIdle).toBe(true);
    store.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('its timer does not keep the process alive', () => {
    const { store } = storeOf({ idleTimeout: 60 });
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    store.release(take(store));
    const timer = setTimer.mock.results[0]?.value;
    expect(timer.hasRef()).toBe(false);
    store.close();
    vi.restoreAllMocks();
  });
});

describe('takeNew()', () => {
  test('opens one beside those that are idle, as long as more may be open', () => {
    const { store, made } = storeOf({ block: false });
    const idle = take(store);
    store.release(idle);
    expect(store.takeNew()).toBe(made[1]);
    expect([store.idleCount, store.openCount, idle.isIdle]).toEqual([1, 2, true]);
  });

  test('puts one in the place of an idle one where no more may be open, and gives none where all are in use', () => {
    const { store, made } = storeOf({ maxsize: 2, block: true });
    const [first, second] = [take(store), take(store)];
    expect(store.takeNew()).toBeNull();
    store.release(first);
    expect(store.takeNew()).toBe(made[2]);
    expect([first.isIdle, second.isIdle, store.openCount]).toEqual([false, true, 2]);
  });

  test('raises ClosedPoolError once the pool is closed', () => {
    const { store } = storeOf();
    store.close();
    expect(() => store.takeNew()).toThrow(ClosedPoolError);
  });
});
