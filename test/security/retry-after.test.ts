import { afterEach, describe, expect, test, vi } from 'vitest';
import { InvalidHeader } from '../../src/exceptions.js';
import { HTTPHeaderDict } from '../../src/headers.js';
import { Retry, type RetryResponse } from '../../src/util/retry.js';

const NOW = Date.UTC(2026, 10, 22);
const SIX_HOURS = 21_600;

function withRetryAfter(value: string): RetryResponse {
  return {
    status: 503,
    headers: HTTPHeaderDict.fromFieldSection(`Retry-After: ${value}\r\n`),
    getRedirectLocation: () => null,
  };
}

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('SEC-114 (urllib3 change 3743): a Retry-After is bounded, or refused', () => {
  test.each<[string, number]>([
    ['0', 0],
    ['10', 10],
    [' \t10 \t', 10],
    ['0010', 10],
    ['21601', SIX_HOURS],
    ['9999999999', SIX_HOURS],
    ['9'.repeat(65_536), SIX_HOURS],
    ['Sun, 22 Nov 2026 00:01:00 GMT', 60],
    ['Sunday, 22-Nov-26 00:01:00 GMT', 60],
    ['Sun Nov 22 00:01:00 2026', 60],
    ['Fri, 31 Dec 9999 23:59:59 GMT', SIX_HOURS],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sun, 22 Nov 2026 00:00:00 GMT', 0],
  ])('parseRetryAfter(%.60s) is %d seconds', (value, seconds) => {
    vi.useFakeTimers({ now: NOW });
    expect(new Retry().parseRetryAfter(value)).toBe(seconds);
    expect(new Retry().getRetryAfter(withRetryAfter(value))).toBe(seconds);
  });

  test.each([
    '',
    '-1',
    '+1',
    '1e9',
    '1.5',
    '0x10',
    '1_0',
    'NaN',
    'Infinity',
    '10, 20',
    '10\u00a0',
    '\u0661',
    'tomorrow',
    'Sun, 31 Feb 2027 00:00:00 GMT',
    'x'.repeat(65_536),
  ])('parseRetryAfter(%.60j) is an InvalidHeader of a bounded message', (value) => {
    const parse = () => new Retry().parseRetryAfter(value);
    expect(parse).toThrow(InvalidHeader);
    expect(parse).toThrow(/^Cannot use Retry-After ".*it must be whole seconds or an HTTP-date$/);
    try {
      parse();
    } catch (error) {
      expect(String(error).length).toBeLessThan(300);
    }
  });

  test('getRetryAfter() is null without the field', () => {
    const response = { ...withRetryAfter('1'), headers: new HTTPHeaderDict() };
    expect(new Retry().getRetryAfter(response)).toBeNull();
    expect(new Retry().getRetryAfter({ ...response, headers: new Headers() })).toBeNull();
  });

  test('parseRetryAfter() reads dates as UTC, in any time zone', () => {
    const zone = process.env.TZ;
    try {
      for (process.env.TZ of ['Asia/Tokyo', 'America/Los_Angeles']) {
        vi.useFakeTimers({ now: NOW });
        expect(new Retry().parseRetryAfter('Sun Nov 22 00:01:00 2026')).toBe(60);
      }
    } finally {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    }
  });

  test('retryAfterMax changes the bound', () => {
    expect(new Retry({ retryAfterMax: 5 }).parseRetryAfter('60')).toBe(5);
    expect(new Retry({ retryAfterMax: 0 }).parseRetryAfter('60')).toBe(0);
    expect(new Retry({ retryAfterMax: 1e9 }).parseRetryAfter('1000000')).toBe(1e6);
  });

  test('sleep() passes no more than 2 ** 31 - 1 ms to setTimeout, and sleeps its whole time', async () => {
    vi.useFakeTimers({ now: NOW });
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    const days = 60;
    const retry = new Retry({ retryAfterMax: 1e9 });
    let done = false;
    const slept = retry.sleep(withRetryAfter(String(days * 86_400))).then(() => {
      done = true;
    });
    await vi.advanceTimersByTimeAsync(days * 86_400_000 - 1);
    expect(done).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await slept;
    const waits = setTimer.mock.calls.map(([, ms]) => Number(ms));
    expect(waits).toEqual([2 ** 31 - 1, 2 ** 31 - 1, days * 86_400_000 - 2 * (2 ** 31 - 1)]);
  });

  test('sleep() for the longest Retry-After can be aborted', async () => {
    vi.useFakeTimers({ now: NOW });
    const abort = new AbortController();
    const slept = new Retry().sleep(withRetryAfter('9999999999'), { signal: abort.signal });
    await vi.advanceTimersByTimeAsync(3_600_000);
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(slept).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('SEC-115 (CVE-2023-24807, CVE-2020-8492): parseRetryAfter() takes linear time on any text', () => {
  const LENGTH = 65_536;

  test.each([
    [' '],
    ['\t'],
    ['9'],
    ['9 '],
    ['"'],
    [','],
    [';'],
    ['='],
    ['\\'],
    ['\xa0'],
    ['-'],
    ['Sun, '],
    ['Sun, 06 Nov 1994 '],
    ['06-Nov-94 '],
    ['a'],
  ])('of 64 KiB of %j', (piece) => {
    const retry = new Retry();
    const fill = piece.repeat(LENGTH / piece.length);
    const start = performance.now();
    for (const text of [fill, `${fill}x`, `x${fill}`, `x${fill}x`, `${fill}GMT`]) {
      try {
        expect(retry.parseRetryAfter(text)).toBe(SIX_HOURS);
      } catch (error) {
        if (!(error instanceof InvalidHeader)) throw error;
      }
    }
    // One quadratic pass over 64 KiB is two billion steps: seconds, where these five take a few milliseconds.
    expect(performance.now() - start).toBeLessThan(500);
  });
});
