/**
 * Everything at once for a while, against nginx: afterwards nothing is left, neither here nor there.
 *
 * The first, shorter part counts every timer and socket by async_hooks, those too that do not keep the process alive; it is a
 * part of its own because counting slows promises down, and a slow client meets fewer races.
 */
import { createHook } from 'node:async_hooks';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PoolManager } from '../../src/poolmanager.js';
import { makeHeaders } from '../../src/util/request.js';
import { BIG_BYTES, HELLO, RANDOM, TEXT } from './servers/documents.js';
import { type Nginx, startNginx } from './servers/nginx.js';
import { describeWith } from './servers/program.js';

const CONCURRENCY = 50;
const COUNTED_MS = 4_000;
const LOADED_MS = 16_000;
const MEBIBYTE = 1024 ** 2;

/** What async_hooks call the resources that must not be left. (A few idle decompressors are kept on purpose.) */
const COUNTED: ReadonlySet<string> = new Set(['Timeout', 'TCPWRAP', 'TCPCONNECTWRAP', 'GETADDRINFOREQWRAP']);

const GZIP = makeHeaders({ acceptEncoding: 'gzip' });

describeWith(['nginx'], 'a mixed load of 50 at a time', () => {
  let nginx: Nginx;
  const unhandled: unknown[] = [];
  const noteUnhandled = (reason: unknown) => void unhandled.push(reason);
  beforeAll(async () => {
    process.on('unhandledRejection', noteUnhandled).on('uncaughtException', noteUnhandled).on('warning', noteUnhandled);
    nginx = await startNginx();
  });
  afterAll(async () => {
    process
      .off('unhandledRejection', noteUnhandled)
      .off('uncaughtException', noteUnhandled)
      .off('warning', noteUnhandled);
    await nginx?.stop();
  });

  test('leaves no socket and no timer, not even one that would let the process end', async () => {
    const alive = new Map<number, string>();
    const hook = createHook({
      init(id, type) {
        if (COUNTED.has(type)) alive.set(id, `${type} ${new Error().stack?.split('\n').slice(2, 8).join('\n')}`);
      },
      destroy: (id) => void alive.delete(id),
    });
    hook.enable();
    try {
      const http = manager();
      expect(await load(http, nginx, COUNTED_MS)).toBeGreaterThan(500);
      http.clear();
      // Turns of the loop, not timers: they would be counted.
      for (const endMs = performance.now() + 5_000; alive.size > 0 && performance.now() < endMs; ) await nextTurn();
      expect([...alive.values()]).toEqual([]);
    } finally {
      hook.disable();
    }
    expect(unhandled).toEqual([]);
  });

  test('leaves the heap as it was, no connection at nginx, and nothing unhandled', async () => {
    const http = manager();
    await load(http, nginx, 2_000);
    const before = heapAfterCollection();
    const resourcesBefore = countOf(process.getActiveResourcesInfo());
    const requests = await load(http, nginx, LOADED_MS);
    expect(requests).toBeGreaterThan(2_000);
    const grown = heapAfterCollection() - before;
    expect(grown, `heap grew by ${(grown / MEBIBYTE).toFixed(1)} MiB over ${requests} requests`).toBeLessThan(
      8 * MEBIBYTE,
    );

    http.clear();
    expect(http.pools.size).toBe(0);
    await settled(async () => (await connectionsAt(nginx)) === 1);
    expect(await connectionsAt(nginx), 'only the one that asks').toBe(1);
    const resources = countOf(process.getActiveResourcesInfo());
    expect(resources.get('TCPSocketWrap') ?? 0).toBe(0);
    expect(resources.get('Timeout') ?? 0).toBeLessThanOrEqual(resourcesBefore.get('Timeout') ?? 0);
    expect(unhandled).toEqual([]);
  });
});

function manager(): PoolManager {
  return new PoolManager({ maxsize: 20, block: true, timeout: 10 });
}

/** Runs jobs until the time is over, and gives their number. Each checks what it gets. */
async function load(http: PoolManager, nginx: Nginx, forMs: number): Promise<number> {
  const endMs = performance.now() + forMs;
  let count = 0;
  const worker = async () => {
    while (performance.now() < endMs) {
      const job = JOBS[count++ % JOBS.length];
      await job?.(http, nginx);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return count;
}

const JOBS: readonly ((http: PoolManager, nginx: Nginx) => Promise<void>)[] = [
  async function get(http, { main }) {
    const response = await http.request('GET', `${main}/hello.txt`);
    expect(response.data.equals(HELLO)).toBe(true);
  },
  async function post(http, { main }) {
    const response = await http.request('POST', `${main}/echo`, { json: { a: 'x'.repeat(100) } });
    expect(await response.json()).toMatchObject({ method: 'POST', length: '108' });
  },
  async function upload(http, { main }) {
    const body = async function* () {
      for (let start = 0; start < 200_000; start += 20_000) yield RANDOM.subarray(start, start + 20_000);
    };
    const response = await http.request('POST', `${main}/echo`, { body: body() });
    expect(await response.json()).toMatchObject({ coding: 'chunked' });
  },
  async function streamed(http, { main }) {
    const response = await http.request('GET', `${main}/random.bin`, { preloadContent: false });
    let received = 0;
    for await (const piece of response.stream(50_000)) received += piece.length;
    expect(received).toBe(RANDOM.length);
  },
  async function compressed(http, { main }) {
    const response = await http.request('GET', `${main}/text.txt`, { headers: GZIP });
    expect(response.data.equals(TEXT)).toBe(true);
  },
  async function compressedStream(http, { main }) {
    const response = await http.request('GET', `${main}/text.txt`, { headers: GZIP, preloadContent: false });
    let received = 0;
    for await (const piece of response) received += piece.length;
    expect(received).toBe(TEXT.length);
  },
  async function redirected(http, { main, stingy }) {
    const response = await http.request('GET', `${main}/elsewhere`);
    expect(response.url).toBe(`${stingy}/hello.txt`);
  },
  async function redirectedPost(http, { main }) {
    const response = await http.request('POST', `${main}/307`, { body: 'abc' });
    expect(await response.json()).toMatchObject({ uri: '/echo?from=307', length: '3' });
  },
  async function closing(http, nginx) {
    expect((await http.request('GET', `${nginx.closing}/hello.txt`)).status).toBe(200);
  },
  async function aborted(http, { main }) {
    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    setTimeout(() => controller.abort(reason), Math.random() * 20);
    const request = http.request('GET', `${main}/slow.bin`, { signal: controller.signal });
    expect(await errorOf(request)).toBe(reason);
  },
  async function abortedUpload(http, { main }) {
    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    const body = async function* () {
      for (;;) {
        yield RANDOM.subarray(0, 10_000);
        await delay(1);
      }
    };
    setTimeout(() => controller.abort(reason), Math.random() * 20);
    const request = http.request('PUT', `${main}/up/aborted.bin`, { body: body(), signal: controller.signal });
    expect(await errorOf(request)).toBe(reason);
  },
  async function givenUp(http, { main }) {
    const response = await http.request('GET', `${main}/big.bin`, { preloadContent: false });
    expect(response.headers.get('content-length')).toBe(`${BIG_BYTES}`);
    await response.read(100_000);
    response.close();
  },
  async function leftInAStream(http, { main }) {
    const response = await http.request('GET', `${main}/random.bin`, { preloadContent: false });
    for await (const piece of response.stream(10_000)) if (piece.length > 0) break;
    response.releaseConn();
  },
  async function timedOut(http, { main }) {
    const request = http.request('GET', `${main}/slow.bin`, { timeout: 0.05, retries: false });
    expect(String(await errorOf(request))).toMatch(/timed out/);
  },
  async function dropped(http, { main }) {
    const request = http.request('GET', `${main}/drop`, { retries: 1 });
    expect(String(await errorOf(request))).toMatch(/Max retries exceeded/);
  },
  async function tooLarge(http, { main }) {
    const response = await http.request('POST', `${main}/small`, { body: RANDOM, retries: false });
    expect(response.status).toBe(413);
  },
];

/** Not `expect().rejects`: until the test ends that keeps every error, and with its stack whatever had raised it. */
async function errorOf(request: Promise<unknown>): Promise<unknown> {
  return await request.then(
    () => null,
    (error: unknown) => error,
  );
}

function heapAfterCollection(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc, as vitest.interop.config.ts does');
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

function countOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Open connections by nginx's own count, this question's included. */
async function connectionsAt(nginx: Nginx): Promise<number> {
  const text = await (await fetch(`${nginx.main}/status`, { headers: { Connection: 'close' } })).text();
  return Number(/Active connections: (\d+)/.exec(text)?.[1]);
}

/** Waits for news of closed connections to arrive; five seconds at most. */
async function settled(isSettled: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 100 && !(await isSettled()); turn++) await delay(50);
}
