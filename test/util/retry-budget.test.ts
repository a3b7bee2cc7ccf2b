import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RetryBudget, type RetryBudgetOptions } from '../../src/util/retry-budget.js';

function deposits(budget: RetryBudget, count: number): void {
  for (let request = 0; request < count; request++) budget.deposit();
}

/** How many of `count` retries are allowed. */
function allowed(budget: RetryBudget, count: number): number {
  let retries = 0;
  for (let retry = 0; retry < count; retry++) if (budget.tryWithdraw()) retries++;
  return retries;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('RetryBudget, its options', () => {
  test('has defaults: a fifth of the requests, and 10 retries a second', () => {
    const { ratio, minPerSecond, window, available } = new RetryBudget();
    expect({ ratio, minPerSecond, window, available }).toEqual({
      ratio: 0.2,
      minPerSecond: 10,
      window: 10,
      available: 100,
    });
    expect(new RetryBudget({ ratio: undefined, window: 2 })).toMatchObject({ ratio: 0.2, window: 2, available: 20 });
  });

  test.each<[string, unknown, ErrorConstructor, string]>([
    ['ratio', '1', TypeError, 'Cannot use ratio "1": it must be a number'],
    ['ratio', null, TypeError, 'Cannot use ratio null: it must be a number'],
    ['ratio', -0.1, RangeError, 'Cannot use ratio -0.1: it must be a number >= 0'],
    ['ratio', Number.NaN, RangeError, 'Cannot use ratio NaN: it must be a finite number'],
    ['minPerSecond', -1, RangeError, 'Cannot use minPerSecond -1: it must be a number >= 0'],
    [
      'minPerSecond',
      Number.POSITIVE_INFINITY,
      RangeError,
      'Cannot use minPerSecond Infinity: it must be a finite number',
    ],
    ['window', 0, RangeError, 'Cannot use window 0: it must be a number of seconds > 0'],
    ['window', -1, RangeError, 'Cannot use window -1: it must be a number of seconds > 0'],
    ['window', true, TypeError, 'Cannot use window true: it must be a number'],
    ['percent', 20, TypeError, 'Cannot use option "percent": a RetryBudget has no such option'],
  ])('rejects %s: %o', (name, value, error, message) => {
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => new RetryBudget({ [name]: value } as never)).toThrow(new error(message));
  });

  test('rejects options that are no object', () => {
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => new RetryBudget(0.2 as never)).toThrow(
      new TypeError('Cannot use 0.2 as options of a RetryBudget: they must be an object'),
    );
  });

  test('SEC-027 (CVE-2026-42264): takes own options only', () => {
    const inherited: RetryBudgetOptions = Object.create({ ratio: 5 });
    expect(new RetryBudget(inherited).ratio).toBe(0.2);
  });

  test('cannot be changed', () => {
    const budget = new RetryBudget();
    // Deliberately of a wrong type: what JavaScript can try.
    const open = budget as { ratio: number };
    expect(() => {
      open.ratio = 9;
    }).toThrow(TypeError);
  });

  test('toString() and inspect() show the settings and what is left', () => {
    const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 1, window: 3 });
    const shown = 'RetryBudget(ratio=0.5, minPerSecond=1, window=3, available=3)';
    expect(String(budget)).toBe(shown);
    expect(inspect(budget)).toBe(shown);
  });
});

describe('RetryBudget.tryWithdraw()', () => {
  test.each([
    [0.1, 10, 1],
    [0.1, 9, 0],
    [0.1, 1000, 100],
    [0.2, 5, 1],
    [0.3, 10, 3],
    [1 / 3, 3, 1],
    [0.7, 100, 70],
    [1, 1, 1],
    [2.5, 2, 5],
    [0, 1_000_000, 0],
  ])('with the ratio %d and no reserve allows after %d requests %d retries', (ratio, requests, retries) => {
    const budget = new RetryBudget({ ratio, minPerSecond: 0 });
    expect(budget.available).toBe(0);
    expect(budget.tryWithdraw()).toBe(false);
    deposits(budget, requests);
    expect(budget.available).toBe(retries);
    expect(allowed(budget, retries + 10)).toBe(retries);
    expect(budget.available).toBe(0);
  });

  test('a refusal costs nothing', () => {
    const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 0 });
    budget.deposit();
    expect(allowed(budget, 100)).toBe(0);
    budget.deposit();
    expect(budget.tryWithdraw()).toBe(true);
  });

  test('takes the share of the requests first, and the rest from the reserve', () => {
    const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 0.2, window: 10 });
    expect(budget.available).toBe(2);
    deposits(budget, 3);
    expect(budget.available).toBe(3);
    // 1.5 and 2: one of the share, half of both, one of the reserve, and half a retry of the reserve is left.
    expect(allowed(budget, 9)).toBe(3);
    budget.deposit();
    expect(budget.tryWithdraw()).toBe(true);
  });

  test('the reserve refills with time, up to what the window holds', () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 2, window: 5 });
    expect(allowed(budget, 99)).toBe(10);
    vi.advanceTimersByTime(499);
    expect(budget.tryWithdraw()).toBe(false);
    vi.advanceTimersByTime(1);
    expect(budget.tryWithdraw()).toBe(true);
    vi.advanceTimersByTime(2500);
    expect(budget.available).toBe(5);
    vi.advanceTimersByTime(3_600_000);
    expect(budget.available).toBe(10);
    expect(allowed(budget, 99)).toBe(10);
  });

  test('a reserve of less than one still comes to one, in its own time', () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 0.01, window: 10 });
    expect(allowed(budget, 5)).toBe(1);
    vi.advanceTimersByTime(99_999);
    expect(budget.tryWithdraw()).toBe(false);
    vi.advanceTimersByTime(1);
    expect(budget.tryWithdraw()).toBe(true);
  });

  test.each([
    [0, 19_999],
    [4_000, 15_999],
    [9_999, 10_000],
    [10_000, 19_999],
  ])('what a request put in after %d ms is kept for %d ms: at least the window, at most twice that', (at, keptMs) => {
    const budget = new RetryBudget({ ratio: 1, minPerSecond: 0, window: 10 });
    vi.advanceTimersByTime(at);
    budget.deposit();
    vi.advanceTimersByTime(keptMs);
    expect(budget.available).toBe(1);
    vi.advanceTimersByTime(1);
    expect([budget.available, budget.tryWithdraw()]).toEqual([0, false]);
  });

  test('what is forgotten first is taken first', () => {
    const budget = new RetryBudget({ ratio: 1, minPerSecond: 0, window: 10 });
    deposits(budget, 2);
    vi.advanceTimersByTime(10_000);
    deposits(budget, 2);
    expect(allowed(budget, 3)).toBe(3);
    vi.advanceTimersByTime(10_000);
    expect(allowed(budget, 3)).toBe(1);
  });

  test('an hour without a retry leaves the share of two windows at most', () => {
    const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 0, window: 10 });
    for (let second = 0; second < 3600; second++) {
      deposits(budget, 10);
      vi.advanceTimersByTime(1000);
    }
    expect(budget.available).toBe(50);
    vi.advanceTimersByTime(9_999);
    expect(budget.available).toBe(50);
    deposits(budget, 100);
    expect(budget.available).toBe(100);
    vi.advanceTimersByTime(3_600_000);
    deposits(budget, 2);
    expect(budget.available).toBe(1);
  });

  test('an outage of a busy service costs it the share, not a multiple: 1,000 requests a second that all fail', () => {
    const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 10, window: 10 });
    const second = (triesOfEach: number) => {
      let retries = 0;
      for (let request = 0; request < 1000; request++) {
        budget.deposit();
        retries += allowed(budget, triesOfEach);
        vi.advanceTimersByTime(1);
      }
      return retries;
    };
    for (let quiet = 0; quiet < 60; quiet++) expect(second(0)).toBe(0);
    // What a quiet minute has left: the share of the window that is over, and the reserve.
    expect(budget.available).toBe(2100);
    const storm = Array.from({ length: 30 }, () => second(3));
    expect(storm[0]).toBeLessThanOrEqual(2100 + 200 + 10);
    // From then on a fifth of the requests, and 10 more: with three retries each, it would be 3,000.
    for (const retries of storm.slice(2)) expect(Math.abs(retries - 210)).toBeLessThanOrEqual(2);
  });

  test('any sequence: retries <= reserve + ratio * requests + minPerSecond * seconds, and available tells the truth', () => {
    const options = fc.record({
      ratio: fc.double({ min: 0, max: 3, noNaN: true }),
      minPerSecond: fc.double({ min: 0, max: 50, noNaN: true }),
      window: fc.double({ min: 0.1, max: 60, noNaN: true }),
    });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('deposit' as const), amount: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ kind: fc.constant('withdraw' as const), amount: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ kind: fc.constant('wait' as const), amount: fc.integer({ min: 0, max: 20_000 }) }),
    );
    fc.assert(
      fc.property(options, fc.array(step, { maxLength: 60 }), (given, steps) => {
        const budget = new RetryBudget(given);
        const reserve = given.minPerSecond === 0 ? 0 : Math.max(1, given.minPerSecond * given.window);
        let [retries, requests, seconds] = [0, 0, 0];
        for (const { kind, amount } of steps) {
          if (kind === 'wait') {
            vi.advanceTimersByTime(amount);
            seconds += amount / 1000;
          } else if (kind === 'deposit') {
            deposits(budget, amount);
            requests += amount;
          } else {
            const { available } = budget;
            const granted = allowed(budget, amount);
            expect(Math.abs(granted - Math.min(amount, available))).toBeLessThanOrEqual(1);
            retries += granted;
          }
          expect(budget.available).toBeGreaterThanOrEqual(0);
          const bound = reserve + given.ratio * requests + given.minPerSecond * seconds;
          expect(retries).toBeLessThanOrEqual(bound + 1e-5);
        }
      }),
    );
  });
});
