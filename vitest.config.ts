import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/**
 * Tests of what keeps no state: they share one thread and the modules that they test. Loading those anew for each file takes as long
 * as the tests themselves.
 */
const STATELESS = [
  'test/{auth,body,coding,http1,reference,testing,tls}/**/*.test.ts',
  'test/tls-behaviour/{client-certificates,messages,pool-keys,verdicts,versions}.test.ts',
  'test/contrib/appengine/**/*.test.ts',
  'test/{attempt,collections,exceptions,excerpt,filepost,headers,options,pool-key,redirect,request-options}.test.ts',
  'test/security/{bombs,decoding,request-writing,response-framing,url}.test.ts',
  'test/util/{host,http-date,queue,request,response,ssl_,url,url.property}.test.ts',
];

/** Among them, those that replace a module or a global for their file. */
const REPLACING = ['test/auth/{channel-binding,digest,ntlm}.test.ts'];

export default defineConfig({
  test: {
    // By default one core is left idle, which on two cores is half of them.
    maxWorkers: availableParallelism(),
    minWorkers: 1,
    testTimeout: 20_000,
    // Each pool has one rule for all its projects.
    poolOptions: { forks: { isolate: true }, threads: { isolate: false, minThreads: 1, maxThreads: 1 } },
    projects: [
      { extends: true, test: { name: 'stateless', pool: 'threads', include: STATELESS, exclude: REPLACING } },
      {
        extends: true,
        test: {
          name: 'isolated',
          pool: 'forks',
          include: ['test/**/*.test.ts'],
          exclude: ['test/interop/**', ...STATELESS],
        },
      },
      { extends: true, test: { name: 'replacing', pool: 'forks', include: REPLACING } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text-summary', ['text', { skipFull: true }]],
      thresholds: { lines: 100, functions: 100 },
    },
  },
});
