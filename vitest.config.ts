import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**'],
    pool: 'forks',
    // By default one core is left idle, which on two cores is half of them.
    maxWorkers: availableParallelism(),
    minWorkers: 1,
    testTimeout: 20_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text-summary', ['text', { skipFull: true }]],
      thresholds: { lines: 100, functions: 100 },
    },
  },
});
