import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TimeoutStateError } from '../../src/exceptions.js';
import {
  currentTime,
  quietTimer,
  Timeout,
  type TimeoutOptions,
  type TimeoutValue,
  timerMs,
  toTimeout,
} from '../../src/util/timeout.js';

const DEFAULT: typeof Timeout.DEFAULT_TIMEOUT = Timeout.DEFAULT_TIMEOUT;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What the reference (2.7.0) answers for the same settings; `after` is one second after startConnect(). */
const CASES: { given: TimeoutOptions; connect: TimeoutValue; before: number | null | 'error'; after: number | null }[] =
  [
    { given: {}, connect: DEFAULT, before: null, after: null },
    { given: { total: null, connect: null, read: null }, connect: null, before: null, after: null },
    { given: { connect: 2 }, connect: 2, before: null, after: null },
    { given: { read: 1 }, connect: DEFAULT, before: 1, after: 1 },
    { given: { connect: 2, read: 7 }, connect: 2, before: 7, after: 7 },
    { given: { total: 3 }, connect: 3, before: 'error', after: 2 },
    { given: { total: 3, connect: null, read: null }, connect: 3, before: 'error', after: 2 },
    { given: { total: 3, connect: 5 }, connect: 3, before: 'error', after: 2 },
    { given: { total: 3, connect: 1, read: 9 }, connect: 1, before: 9, after: 2 },
    { given: { total: 3, read: 1.5 }, connect: 3, before: 1.5, after: 1.5 },
    { given: { total: 0.5 }, connect: 0.5, before: 'error', after: 0 },
    { given: { total: 0.5, read: 9 }, connect: 0.5, before: 9, after: 0 },
    { given: { total: DEFAULT, connect: undefined, read: undefined }, connect: DEFAULT, before: null, after: null },
    {
      given: { total: Number.POSITIVE_INFINITY, read: Number.POSITIVE_INFINITY },
      connect: DEFAULT,
      before: null,
      after: null,
    },
  ];

describe('Timeout', () => {
  test.each(CASES)('connectTimeout and readTimeout of $given', ({ given, connect, before, after }) => {
    const timeout = new Timeout(given);
    expect(timeout.connectTimeout).toBe(connect);
    if (before === 'error') expect(() => timeout.readTimeout).toThrow(TimeoutStateError);
    else expect(timeout.readTimeout).toBe(before);
    timeout.startConnect();
    vi.advanceTimersByTime(1000);
    expect(timeout.readTimeout).toBe(after);
  });

  test('takes the total alone', () => {
    const timeout = new Timeout(10);
    expect([timeout.total, timeout.connect, timeout.read]).toEqual([10, DEFAULT, DEFAULT]);
    expect(new Timeout(null).total).toBeNull();
    expect(new Timeout().total).toBeNull();
    expect(new Timeout(DEFAULT).total).toBeNull();
  });

  test('getConnectDuration() is in seconds since startConnect(), which returns its start', () => {
    const timeout = new Timeout(10);
    expect(timeout.startConnect()).toBeCloseTo(performance.now() / 1000, 6);
    vi.advanceTimersByTime(2500);
    expect(timeout.getConnectDuration()).toBe(2.5);
  });

  test('startConnect() twice and getConnectDuration() before it are errors of state', () => {
    const timeout = new Timeout(10);
    expect(() => timeout.getConnectDuration()).toThrow(
      new TimeoutStateError('Cannot get the connect duration of a timer that has not started'),
    );
    timeout.startConnect();
    expect(() => timeout.startConnect()).toThrow(new TimeoutStateError('Timeout timer has already been started'));
  });

  test('clone() has the settings and its own stopwatch', () => {
    const shared = new Timeout({ total: 3, connect: 1, read: null });
    shared.startConnect();
    const clone = shared.clone();
    expect([clone.total, clone.connect, clone.read]).toEqual([3, 1, null]);
    expect(() => clone.getConnectDuration()).toThrow(TimeoutStateError);
    clone.startConnect();
    expect(clone).not.toBe(shared);
  });

  test('fromFloat() sets connect and read, and no total', () => {
    const timeout = Timeout.fromFloat(2.5);
    expect([timeout.total, timeout.connect, timeout.read]).toEqual([null, 2.5, 2.5]);
    expect(Timeout.fromFloat(null).connectTimeout).toBeNull();
    expect(Timeout.fromFloat(DEFAULT).connectTimeout).toBe(DEFAULT);
  });

  test('toTimeout() gives a Timeout back and takes a number for each phase', () => {
    const timeout = new Timeout(1);
    expect(toTimeout(timeout)).toBe(timeout);
    expect(toTimeout(3).readTimeout).toBe(3);
    expect(toTimeout(null).readTimeout).toBeNull();
    expect(toTimeout(DEFAULT).connectTimeout).toBe(DEFAULT);
  });

  test('toString() shows the settings', () => {
    expect(String(new Timeout({ total: 3, connect: null }))).toBe(
      'Timeout(connect=null, read=DEFAULT_TIMEOUT, total=3)',
    );
  });

  test.each(['total', 'connect', 'read'])('rejects what cannot be a %s timeout', (name) => {
    const wrongTypes = [true, false, '3', {}, [], () => 1, 3n, new Timeout(1)];
    for (const value of wrongTypes) {
      // Deliberately of a wrong type: what JavaScript can pass.
      const make = () => new Timeout({ [name]: value } as never);
      expect(make).toThrow(TypeError);
      expect(make).toThrow(`Timeout value ${name} was `);
      expect(make).toThrow('but it must be a number of seconds or null');
    }
    for (const value of [0, -0, -1, Number.NaN, Number.NEGATIVE_INFINITY]) {
      expect(() => new Timeout({ [name]: value })).toThrow(
        new RangeError(
          `Attempted to set ${name} timeout to ${value}, but the timeout cannot be set to a value less than or equal to 0`,
        ),
      );
    }
  });

  test('rejects an option that it does not have, and text in place of options', () => {
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => new Timeout({ conect: 3 } as never)).toThrow(
      'Cannot make a Timeout with "conect": its options are total, connect and read',
    );
    expect(() => new Timeout('10' as never)).toThrow('Timeout value total was "10"');
    expect(() => new Timeout(true as never)).toThrow('Timeout value total was true');
    expect(() => toTimeout('10' as never)).toThrow('Timeout value connect was "10"');
  });

  test('SEC-027 (CVE-2026-42264): sees own options only', () => {
    const inherited: TimeoutOptions = Object.create({ total: 1, read: 1 });
    expect([new Timeout(inherited).total, new Timeout(inherited).read]).toEqual([null, DEFAULT]);
  });
});

describe('SEC-114 (urllib3 change 3743): no timer overflows', () => {
  test.each([
    [0, 1],
    [0.0001, 1],
    [0.0011, 2],
    [2.5, 2500],
    [2 ** 31 / 1000, 2 ** 31 - 1],
    [2_147_483.647, 2 ** 31 - 1],
    [1e9, 2 ** 31 - 1],
    [Number.POSITIVE_INFINITY, 2 ** 31 - 1],
  ])('timerMs(%d) is %d', (seconds, ms) => {
    expect(timerMs(seconds)).toBe(ms);
  });
});

describe('Timeout, TimeoutUnitWarning', () => {
  test('is emitted once per process, for a timeout over 600 seconds', async () => {
    const emitted: Error[] = [];
    vi.spyOn(process, 'emitWarning').mockImplementation((warning) => {
      if (warning instanceof Error) emitted.push(warning);
    });
    vi.resetModules();
    const fresh = await import('../../src/util/timeout.js');
    new fresh.Timeout({ total: 600, read: Number.POSITIVE_INFINITY });
    expect(emitted).toEqual([]);
    new fresh.Timeout({ connect: 5000 });
    new fresh.Timeout({ connect: 5000 });
    new fresh.Timeout(30_000);
    expect(emitted.map((warning) => [warning.name, warning.message])).toEqual([
      ['TimeoutUnitWarning', 'The connect timeout is 5000 seconds: timeouts are seconds, not milliseconds'],
    ]);
  });
});

test('currentTime() gives seconds since the epoch, with fractions', () => {
  const before = Date.now() / 1000;
  const now = currentTime();
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(Date.now() / 1000);
});

describe('quietTimer()', () => {
  test('calls back, and keeps no process alive', async () => {
    const { promise, resolve } = (() => {
      let resolve = () => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      return { promise, resolve };
    })();
    expect(quietTimer(resolve, 1).hasRef()).toBe(false);
    const keepsAlive = setInterval(() => {}, 1_000);
    await promise;
    clearInterval(keepsAlive);
  });

  test('takes the numbers that browsers have for timers', () => {
    vi.stubGlobal('setTimeout', () => 7);
    try {
      expect(quietTimer(() => {}, 1)).toBe(7);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
