/** The long run of faults/chaos.ts: as many requests as show what grows. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type ChaosOptions, type ChaosReport, chaos } from '../faults/chaos.js';

const MEBIBYTE = 1024 ** 2;
const ROUND: ChaosOptions = { seed: 1, requests: 20_000, concurrency: 50, share: 0.3 };

test('20,000 requests, 50 at a time, to a server of whose answers 30 % are faults: each settles as documented, and nothing grows', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note).on('uncaughtException', note).on('warning', note);
  try {
    // Two rounds of 5,000 first: until then code is compiled, and what is kept on purpose fills up.
    for (const seed of [2, 3]) await chaos({ ...ROUND, seed, requests: 5_000 });
    const before = await heapBytes();
    const { ends, wrong, injected, listeners, openSockets }: ChaosReport = await chaos(ROUND);
    const grown = (await heapBytes()) - before;
    expect(wrong).toEqual([]);
    expect({ listeners, openSockets }).toEqual({ listeners: 0, openSockets: 0 });
    expect(Object.values(ends).reduce((sum, count) => sum + count)).toBe(ROUND.requests);
    expect(Object.keys(injected)).toHaveLength(16);
    expect(ends[200]).toBeGreaterThan(ROUND.requests * 0.7);
    // 50 bytes a request would be 1 MiB.
    expect(grown).toBeLessThan(MEBIBYTE);
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', note).off('uncaughtException', note).off('warning', note);
  }
});

async function heapBytes(): Promise<number> {
  for (let count = 0; count < 4; count++) {
    await nextTurn();
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed;
}
