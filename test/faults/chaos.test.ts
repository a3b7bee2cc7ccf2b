/** A short run of chaos.ts in each run of the tests; the long one is test/interop/chaos.test.ts. */
import { expect, test } from 'vitest';
import { timersLeftBy, watchHandles } from '../support/leaks.js';
import { type ChaosReport, chaos } from './chaos.js';

watchHandles();

test('3,000 requests, 50 at a time, to a server of whose answers 30 % are faults: each settles as documented, and nothing is left', async () => {
  let report: ChaosReport | undefined;
  const timers = await timersLeftBy(async () => {
    report = await chaos({ seed: 20_261_122, requests: 3_000, concurrency: 50, share: 0.3 });
  });
  if (report === undefined) throw new Error('there was no run');
  const { ends, wrong, injected, listeners, openSockets } = report;
  expect(wrong).toEqual([]);
  expect({ timers, listeners, openSockets }).toEqual({ timers: 0, listeners: 0, openSockets: 0 });
  expect(Object.values(ends).reduce((sum, count) => sum + count)).toBe(3_000);
  // Every fault came, and most requests were answered all the same.
  expect(Object.keys(injected)).toHaveLength(16);
  expect(ends[200]).toBeGreaterThan(1_500);
});
