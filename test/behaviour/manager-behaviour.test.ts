/** The behaviour suite, over sockets and over the fetch of this Node. In a browser: test/interop/chromium.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FetchManager } from '../../src/contrib/fetch.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { RequestMethods } from '../../src/request.js';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { BEHAVIOURS, type CommonOptions } from './manager-behaviour.js';
import { type ScenarioServer, type SeenRequest, startScenarios } from './scenario-server.js';

let scenarios: ScenarioServer;
let httpbin: Httpbin;
beforeAll(async () => {
  [scenarios, httpbin] = await Promise.all([startScenarios(), startHttpbin()]);
});
afterAll(() => Promise.all([scenarios[Symbol.asyncDispose](), httpbin.close()]));

let runs = 0;

describe.each<[string, (options?: CommonOptions) => RequestMethods & AsyncDisposable]>([
  ['PoolManager', (options) => new PoolManager(options)],
  ["FetchManager over Node's fetch", (options) => new FetchManager(options)],
])('%s', (_name, make) => {
  test.concurrent.each(BEHAVIOURS.map((behaviour) => [behaviour.name, behaviour] as const))(
    '%s',
    async (_title, behaviour) => {
      const run = `run${++runs}`;
      await using managers = new AsyncDisposableList();
      const makeOne = (options?: CommonOptions) => managers.use(make(options));
      await behaviour.run({
        url: `${scenarios.url}/${run}`,
        other: `${scenarios.otherUrl}/${run}`,
        refused: scenarios.refusedUrl,
        httpbin: httpbin.url,
        http: makeOne(),
        make: makeOne,
        // What the server writes there.
        log: async () => (await (await fetch(`${scenarios.url}/${run}/log`)).json()) as readonly SeenRequest[],
        equal: (actual, wanted) => expect(actual).toEqual(wanted),
      });
    },
  );
});

/** Disposes of what it was given. */
class AsyncDisposableList implements AsyncDisposable {
  readonly #all: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(one: T): T {
    this.#all.push(one);
    return one;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#all) await one[Symbol.asyncDispose]();
  }
}
