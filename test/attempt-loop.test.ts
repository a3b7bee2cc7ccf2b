/** The loop of attempts, where one attempt ends and the next may begin: what is no failure, and what must not run on. */
import { describe, expect, test, vi } from 'vitest';
import * as diagnostics from '../src/diagnostics.js';
import { DeadlineExceededError, DecodeError, HTTPError } from '../src/exceptions.js';
import { PoolManager } from '../src/poolmanager.js';
import type { RequestOptions } from '../src/request.js';
import type { LookupFunction } from '../src/transport/resolve.js';
import { Retry } from '../src/util/retry.js';
import { answer, faultyServer } from './faults/peer.js';
import { watchHandles } from './support/leaks.js';

watchHandles();

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (reason: unknown) => reason,
  );
}

describe('what ends a request while its content is preloaded is no failure of the attempt', () => {
  const cases: [string, number, RequestOptions][] = [
    ['of a 503 that might have been repeated', 503, {}],
    ['that may be short', 200, { enforceContentLength: false }],
  ];
  test.each(cases)('the deadline, in content %s', async (_name, status, options) => {
    await using server = await faultyServer(() => ({
      write: `HTTP/1.1 ${status} X\r\nContent-Length: 9\r\n\r\nabc`,
      after: 'stall',
    }));
    await using http = new PoolManager({ retries: 0 });
    const error = await rejection(http.request('GET', server.url, { ...options, deadline: 0.05 }));
    expect(error).toBeInstanceOf(DeadlineExceededError);
    expect(error).toMatchObject({ phase: 'content', address: `127.0.0.1:${server.port}` });
  });

  test('a reason of the caller, even if it is an error of ours', async () => {
    await using server = await faultyServer(() => ({
      write: 'HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nabc',
      after: 'stall',
    }));
    await using http = new PoolManager({ retries: 0 });
    const controller = new AbortController();
    const reason = new HTTPError('enough');
    const onDownloadProgress = () => controller.abort(reason);
    const request = http.request('GET', server.url, { signal: controller.signal, onDownloadProgress });
    expect(await rejection(request)).toBe(reason);
    expect(server.requests).toHaveLength(1);
  });
});

test('SEC-114: retries of what fails without I/O leave deadlines and aborts their turn', async () => {
  const nowhere: LookupFunction = (_host, _options, callback) => callback(new Error('no such host'), []);
  await using http = new PoolManager({ lookup: nowhere, retries: new Retry({ total: 3_000 }) });
  const error = await rejection(http.request('GET', 'http://a.test/', { deadline: 0.05 }));
  expect(error).toBeInstanceOf(DeadlineExceededError);
});

test('a class that extends Retry says with which statuses a Retry-After counts', async () => {
  class OnServerErrors extends Retry {
    static override readonly RETRY_AFTER_STATUS_CODES: ReadonlySet<number> = new Set([500]);
  }
  await using server = await faultyServer(({ index }) => ({
    write: index === 0 ? answer(500, '', 'Retry-After: 0\r\n') : answer(200, 'hello'),
    after: 'go on',
  }));
  await using http = new PoolManager({ retries: new OnServerErrors(3) });
  const response = await http.request('GET', server.url);
  expect(response.status).toBe(200);
  expect(response.retries?.history.map(({ status }) => status)).toEqual([500]);
});

test('an attempt that is told to begin is told to be over, if the signal was aborted in the pause before it, too', async () => {
  const controller = new AbortController();
  class Deaf extends Retry {
    override async sleep(): Promise<void> {
      controller.abort();
    }
  }
  await using server = await faultyServer(() => ({ write: answer(503, ''), after: 'go on' }));
  await using http = new PoolManager();
  const told: string[] = [];
  const onStart = () => void told.push('start');
  const onEnd = () => void told.push('end');
  const onError = () => void told.push('error');
  diagnostics.requestStart.subscribe(onStart);
  diagnostics.requestEnd.subscribe(onEnd);
  diagnostics.requestError.subscribe(onError);
  const retries = new Deaf(3, { statusForcelist: [503] });
  const error = await rejection(http.request('GET', server.url, { retries, signal: controller.signal }));
  diagnostics.requestStart.unsubscribe(onStart);
  diagnostics.requestEnd.unsubscribe(onEnd);
  diagnostics.requestError.unsubscribe(onError);
  expect(error).toBe(controller.signal.reason);
  expect(told).toEqual(['start', 'end', 'start', 'error']);
  expect(server.requests).toHaveLength(1);
});

test('timings cost no look at the clock of their own, where a small response comes over a connection that stands', async () => {
  await using server = await faultyServer(() => ({ write: answer(200, 'hello'), after: 'go on' }));
  await using http = new PoolManager();
  await http.request('GET', server.url);
  const now = vi.spyOn(performance, 'now');
  const { timings } = await http.request('GET', server.url);
  const looks = now.mock.calls.length;
  now.mockRestore();
  // One whether the idle connection is still good, and one since when it is idle again.
  expect(looks).toBe(2);
  expect(timings?.wait).toBeGreaterThan(0);
});

describe('content that cannot be decoded names the peer, and whoever asked for it', () => {
  test.each([
    ['preloaded', true],
    ['streamed', false],
  ])('%s', async (_name, preloadContent) => {
    await using server = await faultyServer(() => ({
      write: answer(200, 'no gzip', 'Content-Encoding: gzip\r\n'),
      after: 'go on',
    }));
    await using http = new PoolManager();
    async function whoeverAsked(): Promise<void> {
      const response = await http.request('GET', server.url, { preloadContent });
      await response.json();
    }
    const error = await rejection(whoeverAsked());
    expect(error).toBeInstanceOf(DecodeError);
    expect(error).toMatchObject({ phase: 'content', address: `127.0.0.1:${server.port}` });
    expect((error as Error).stack).toContain('whoeverAsked');
  });
});

test('PoolManager refuses a retryBudget that is none, before anything is asked for', () => {
  // A caller without types.
  const options = { retryBudget: { ratio: 0.2 } } as unknown as ConstructorParameters<typeof PoolManager>[0];
  expect(() => new PoolManager(options)).toThrow(
    new TypeError('Cannot use retryBudget an object (Object): it must be a RetryBudget, or null for none'),
  );
});
