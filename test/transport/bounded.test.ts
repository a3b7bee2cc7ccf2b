import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Bounds, bounded, type Verdict, type Wait } from '../../src/transport/bounded.js';

/** A wait that records what is done to it, and whose verdict the test holds. */
function recordedWait() {
  const calls: string[] = [];
  let held: Verdict<string> | undefined;
  const wait: Wait<string> = {
    start(verdict) {
      calls.push('start');
      held = verdict;
    },
    stop: () => void calls.push('stop'),
    expire(verdict) {
      calls.push('expire');
      verdict.reject(new Error('late'));
    },
  };
  return { wait, calls, verdict: (): Verdict<string> => held ?? expect.unreachable() };
}

function bounds({ signal = null, deadlineMs = null }: Partial<Bounds>): Bounds {
  return { signal, deadlineMs };
}

describe('bounded()', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('stops the wait before it settles, and hears the first verdict only', async () => {
    const { wait, calls, verdict } = recordedWait();
    const promise = bounded(wait, bounds({ deadlineMs: performance.now() + 1000 }));
    verdict().resolve('won');
    expect(calls).toEqual(['start', 'stop']);
    verdict().resolve('won again');
    verdict().reject(new Error('lost'));
    await expect(promise).resolves.toBe('won');
    expect(calls).toEqual(['start', 'stop']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('rejects with what start() throws, and stops it', async () => {
    const { wait, calls } = recordedWait();
    wait.start = () => {
      throw new Error('cannot begin');
    };
    await expect(bounded(wait, bounds({}))).rejects.toThrow('cannot begin');
    expect(calls).toEqual(['stop']);
  });

  test('expires at the deadline', async () => {
    const { wait, calls } = recordedWait();
    const promise = bounded(wait, bounds({ deadlineMs: performance.now() + 1000 }));
    vi.advanceTimersByTime(999);
    expect(calls).toEqual(['start']);
    vi.advanceTimersByTime(1);
    expect(calls).toEqual(['start', 'expire', 'stop']);
    await expect(promise).rejects.toThrow('late');
  });

  test('does not begin after the deadline', async () => {
    const { wait, calls } = recordedWait();
    await expect(bounded(wait, bounds({ deadlineMs: performance.now() }))).rejects.toThrow('late');
    expect(calls).toEqual(['expire', 'stop']);
  });

  test.each([Number.POSITIVE_INFINITY, 2 ** 40])(
    'takes a deadline in %d ms, which no timer can wait for, as none',
    (ms) => {
      const { wait, calls } = recordedWait();
      void bounded(wait, bounds({ deadlineMs: performance.now() + ms }));
      expect(vi.getTimerCount()).toBe(0);
      vi.advanceTimersByTime(10_000);
      expect(calls).toEqual(['start']);
    },
  );

  test('rejects with the reason of the signal, whatever it is, and leaves no listener or timer', async () => {
    const { wait, calls } = recordedWait();
    const abort = new AbortController();
    const removed = vi.spyOn(abort.signal, 'removeEventListener');
    const promise = bounded(wait, bounds({ signal: abort.signal, deadlineMs: performance.now() + 1000 }));
    abort.abort('changed my mind');
    await expect(promise).rejects.toBe('changed my mind');
    expect(calls).toEqual(['start', 'stop']);
    expect(removed).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not begin under a signal that is aborted', async () => {
    const { wait, calls } = recordedWait();
    await expect(bounded(wait, bounds({ signal: AbortSignal.abort('never') }))).rejects.toBe('never');
    expect(calls).toEqual(['stop']);
  });
});
