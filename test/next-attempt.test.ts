import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { bodySource, NO_BODY } from '../src/body/source.js';
import { CallWatch } from '../src/call-watch.js';
import { retry as retryChannel } from '../src/diagnostics.js';
import {
  LocationValueError,
  MaxRetryError,
  NewConnectionError,
  ProtocolError,
  ProxyError,
  RetryBudgetExhaustedError,
  UnrewindableBodyError,
} from '../src/exceptions.js';
import { addLogHandler, type LogHandler } from '../src/logging.js';
import {
  type Attempted,
  type CallTerms,
  retryAfterFailure,
  retryAfterStatus,
  takeRedirect,
} from '../src/next-attempt.js';
import { HTTPResponse } from '../src/response.js';
import { Retry } from '../src/util/retry.js';
import { RetryBudget } from '../src/util/retry-budget.js';
import { parseUrl } from '../src/util/url.js';

const POOL = { toString: () => 'a pool' };
const TERMS: CallTerms = { signal: null, budget: null, watch: null };
const HERE = parseUrl('http://u:p@a.test/dir/page');
const BROKEN = new ProtocolError('broken');

let lines: string[] = [];
let handler: LogHandler;
beforeEach(() => {
  lines = [];
  handler = addLogHandler({ write: ({ level, logger, message }) => void lines.push(`${level} ${logger} ${message}`) });
});
afterEach(() => {
  handler.remove();
  vi.useRealTimers();
});

function attempted(given: Partial<Attempted> = {}): Attempted {
  return { method: 'GET', target: '/x', pool: POOL, body: NO_BODY, ...given };
}

/** A body that came once, and is gone. */
async function spent(): Promise<Attempted['body']> {
  const body = bodySource(
    (async function* () {
      yield 'x';
    })(),
  );
  if (body.kind !== 'stream') throw new Error('an iterable is a stream');
  for await (const _piece of body.open());
  return body;
}

function response(status: number, headers: Record<string, string> = {}): HTTPResponse {
  return new HTTPResponse({ status, headers });
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

/** The budget's reserve is one retry. */
function smallBudget(): RetryBudget {
  return new RetryBudget({ ratio: 0, minPerSecond: 0.1, window: 10 });
}

describe('retryAfterFailure()', () => {
  test('spends a retry and says so, in the words of the reference', async () => {
    const left = await retryAfterFailure(attempted(), BROKEN, new Retry(3), TERMS);
    expect(left).toMatchObject({ total: 2, history: [{ method: 'GET', url: '/x', error: BROKEN }] });
    expect(lines).toEqual([
      "debug urllib3.util.retry Incremented Retry for (url='/x'): Retry(total=2, connect=null, read=null, redirect=null, status=null)",
      "warning urllib3.connectionpool Retrying (Retry(total=2, connect=null, read=null, redirect=null, status=null)) after connection broken by 'ProtocolError: broken': /x",
    ]);
  });

  test('builds no line that nobody reads', async () => {
    handler.remove();
    await retryAfterFailure(attempted(), BROKEN, new Retry(3), TERMS);
    expect(lines).toEqual([]);
  });

  test('raises what must not be retried, and what is one too many', async () => {
    expect(await rejection(retryAfterFailure(attempted({ method: 'POST' }), BROKEN, new Retry(3), TERMS))).toBe(BROKEN);
    const error = await rejection(retryAfterFailure(attempted(), BROKEN, new Retry(0), TERMS));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: BROKEN, pool: POOL, url: '/x' });
  });

  test('SEC-126: does not wait for an attempt whose body is gone', async () => {
    vi.useFakeTimers();
    const retries = new Retry({ total: 5, backoffFactor: 60 }).increment({ method: 'PUT', error: BROKEN });
    const body = await spent();
    const error = await rejection(retryAfterFailure(attempted({ method: 'PUT', body }), BROKEN, retries, TERMS));
    expect(error).toBeInstanceOf(UnrewindableBodyError);
    expect(error).toMatchObject({ cause: BROKEN });
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([401, 407])('does not show a proxy that answered %i the same credentials again', async (status) => {
    const refused = new ProxyError('refused', { status });
    const error = await rejection(retryAfterFailure(attempted(), refused, new Retry(3), TERMS));
    expect(error).toMatchObject({ name: 'MaxRetryError', reason: refused, attempts: [{ error: refused }] });
    expect(
      await retryAfterFailure(attempted(), new ProxyError('x', { status: 502 }), new Retry(3), TERMS),
    ).toMatchObject({
      total: 2,
    });
  });

  test('takes from the budget, and raises with all attempts when that is empty', async () => {
    const budget = smallBudget();
    const refused = new NewConnectionError(null, 'refused');
    const left = await retryAfterFailure(attempted(), refused, new Retry(9), { ...TERMS, budget });
    const error = await rejection(retryAfterFailure(attempted(), refused, left, { ...TERMS, budget }));
    expect(error).toBeInstanceOf(RetryBudgetExhaustedError);
    expect(error).toMatchObject({ reason: refused, attempts: [{ error: refused }, { error: refused }] });
  });

  test('tells of the pause once it is over, and a signal ends it', async () => {
    vi.useFakeTimers();
    const events: unknown[] = [];
    const listener = (event: object) => void events.push(event);
    retryChannel.subscribe(listener);
    const watch = new CallWatch(null, null);
    watch.begin({ method: 'GET', url: 'http://a.test/x' }, POOL);
    const controller = new AbortController();
    const terms = { ...TERMS, watch, signal: controller.signal };
    const retries = new Retry({ total: 5, backoffFactor: 1 }).increment({ method: 'GET', error: BROKEN });
    const waiting = retryAfterFailure(attempted(), BROKEN, retries, terms);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(events).toEqual([]);
    expect(watch.current?.phases().at(-1)?.phase).toBe('backoff');
    await vi.advanceTimersByTimeAsync(1);
    const left = await waiting;
    expect(events).toMatchObject([{ attempt: 1, error: BROKEN, status: null, delay: 2 }]);
    const aborted = rejection(retryAfterFailure(attempted(), BROKEN, left, terms));
    await vi.advanceTimersByTimeAsync(100);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    expect([events.length, vi.getTimerCount()]).toEqual([1, 0]);
    retryChannel.unsubscribe(listener);
  });
});

describe('retryAfterStatus()', () => {
  test('spends a retry, drains the response and waits as it asks', async () => {
    vi.useFakeTimers();
    const busy = response(503, { 'Retry-After': '7' });
    const drained = vi.spyOn(busy, 'drainConn');
    const waiting = retryAfterStatus(attempted(), busy, new Retry(3), TERMS);
    await vi.advanceTimersByTimeAsync(6_999);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await waiting).toMatchObject({ total: 2, history: [{ status: 503, error: null }] });
    expect(drained).toHaveBeenCalledOnce();
    expect(lines.at(-1)).toBe('debug urllib3.connectionpool Retry: /x');
  });

  test.each([
    ['raises', true],
    ['gives the response back', false],
  ])('%s when they are used up, by raiseOnStatus', async (_name, raiseOnStatus) => {
    const bad = response(500);
    const drained = vi.spyOn(bad, 'drainConn');
    const ending = retryAfterStatus(attempted(), bad, new Retry(0, { raiseOnStatus }), TERMS);
    if (raiseOnStatus) {
      expect(await rejection(ending)).toMatchObject({ reason: { message: 'too many 500 error responses' } });
    } else {
      expect(await ending).toBeNull();
    }
    // What is given back is still to be read.
    expect(drained).toHaveBeenCalledTimes(raiseOnStatus ? 1 : 0);
  });

  test('SEC-126: drains, and does not wait, where the body is gone', async () => {
    vi.useFakeTimers();
    const busy = response(503, { 'Retry-After': '7' });
    const drained = vi.spyOn(busy, 'drainConn');
    const body = await spent();
    const error = await rejection(retryAfterStatus(attempted({ body }), busy, new Retry(3), TERMS));
    expect(error).toBeInstanceOf(UnrewindableBodyError);
    expect([drained.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
  });

  test('an empty budget is as retries that are used up', async () => {
    const budget = smallBudget();
    const terms = { ...TERMS, budget };
    const retries = new Retry(9, { statusForcelist: [500] });
    const left = await retryAfterStatus(attempted(), response(500), retries, terms);
    const error = await rejection(retryAfterStatus(attempted(), response(500), left ?? retries, terms));
    expect(error).toBeInstanceOf(RetryBudgetExhaustedError);
    expect(error).toMatchObject({ reason: { message: 'too many 500 error responses' }, attempts: [{}, {}] });
    const lenient = retries.new({ raiseOnStatus: false });
    expect(await retryAfterStatus(attempted(), response(500), lenient, terms)).toBeNull();
  });
});

describe('takeRedirect()', () => {
  test('counts it, resolves the Location, and names both URLs without their secrets', async () => {
    const taken = await takeRedirect(
      attempted(),
      HERE,
      response(302, { Location: '../x?y' }),
      '../x?y',
      new Retry(3),
      TERMS,
    );
    expect(taken?.url.url).toBe('http://u:p@a.test/x?y');
    expect(taken?.retries).toMatchObject({ total: 2, history: [{ status: 302, redirectLocation: '../x?y' }] });
    expect(lines.at(-1)).toMatch(
      /^debug urllib3\.connectionpool Redirecting http:\/\/\S*a\.test\/dir\/page -> http:\/\/\S*a\.test\/x\?y$/,
    );
    expect(lines.join()).not.toContain('u:p@');
  });

  test('is no load of our making: the budget has no part in it', async () => {
    const budget = smallBudget();
    while (budget.tryWithdraw());
    const moved = response(302, { Location: '/x' });
    expect(await takeRedirect(attempted(), HERE, moved, '/x', new Retry(3), { ...TERMS, budget })).not.toBeNull();
  });

  test.each([true, false])(
    'raiseOnRedirect: %s, when they are used up, wherever it points to',
    async (raiseOnRedirect) => {
      const moved = response(302, { Location: 'file:///x' });
      const check = vi.fn();
      const ending = takeRedirect(
        attempted(),
        HERE,
        moved,
        'file:///x',
        new Retry(0, { raiseOnRedirect }),
        TERMS,
        check,
      );
      if (raiseOnRedirect) expect(await rejection(ending)).toMatchObject({ reason: { message: 'too many redirects' } });
      else expect(await ending).toBeNull();
      expect(check).not.toHaveBeenCalled();
    },
  );

  test.each(['http://a.test:x/', '/refused'])(
    'gives the response up where "%s" cannot be gone to',
    async (location) => {
      const moved = response(302, { Location: location });
      const closed = vi.spyOn(moved, 'close');
      const check = () => {
        throw new LocationValueError('refused');
      };
      const error = await rejection(takeRedirect(attempted(), HERE, moved, location, new Retry(3), TERMS, check));
      expect(error).toBeInstanceOf(LocationValueError);
      expect(closed).toHaveBeenCalledOnce();
    },
  );

  test('waits as its Retry-After asks, which is a pause of the attempt', async () => {
    vi.useFakeTimers();
    const watch = new CallWatch(null, null);
    const attempt = watch.begin({ method: 'GET', url: 'http://a.test/x' }, POOL);
    const moved = response(302, { Location: '/y', 'Retry-After': '3' });
    const taking = takeRedirect(attempted(), HERE, moved, '/y', new Retry(3), { ...TERMS, watch });
    await vi.advanceTimersByTimeAsync(3_000);
    expect((await taking)?.url.path).toBe('/y');
    expect(attempt.phases()).toMatchObject([{ phase: 'backoff', seconds: expect.closeTo(3, 3) }]);
  });

  test.each(['21600', 'soon'])(
    'does not look at a Retry-After "%s" that is not to be respected',
    async (retryAfter) => {
      const moved = response(302, { Location: '/y', 'Retry-After': retryAfter });
      const retries = new Retry(3, { respectRetryAfterHeader: false });
      const taken = await takeRedirect(attempted(), HERE, moved, '/y', retries, TERMS);
      expect(taken?.url.path).toBe('/y');
    },
  );
});
