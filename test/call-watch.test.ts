import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type AttemptSubject, AttemptWatch, CallWatch, watchFor } from '../src/call-watch.js';
import { HTTPConnection } from '../src/connection.js';
import * as channels from '../src/diagnostics.js';
import { DeadlineExceededError, ProtocolError } from '../src/exceptions.js';
import { HTTPResponse } from '../src/response.js';

const SUBJECT: AttemptSubject = { method: 'GET', url: 'http://a.test/' };
const POOL = { toString: () => 'a pool' };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
const unsubscribes: (() => void)[] = [];
afterEach(() => {
  for (const unsubscribe of unsubscribes.splice(0)) unsubscribe();
  vi.useRealTimers();
});

function listen<Event extends object>(channel: channels.DiagnosticsChannel<Event>): Event[] {
  const events: Event[] = [];
  const listener = (event: Event) => void events.push(event);
  channel.subscribe(listener);
  unsubscribes.push(() => channel.unsubscribe(listener));
  return events;
}

describe('watchFor()', () => {
  test('is null where nobody wants to know', () => {
    expect(watchFor(null, null)).toBeNull();
    expect(watchFor(null, new AbortController().signal)).toBeNull();
    expect(watchFor(5, null)).toBeInstanceOf(CallWatch);
  });

  const { requestStart, requestHead, requestEnd, requestError, retry, redirect } = channels;
  test.each([requestStart, requestHead, requestEnd, requestError, retry, redirect])(
    'makes a watch for a subscriber of $name, with the signal as it is and no timer',
    (channel) => {
      const ignore = () => {};
      channel.subscribe(ignore);
      unsubscribes.push(() => channel.unsubscribe(ignore));
      const { signal } = new AbortController();
      const watch = watchFor(null, signal);
      expect(watch?.signal).toBe(signal);
      expect(vi.getTimerCount()).toBe(0);
      watch?.release();
    },
  );
});

describe('CallWatch with a deadline', () => {
  test('aborts with the bill when it passes', () => {
    const watch = new CallWatch(2, null);
    const first = watch.begin(SUBJECT, POOL);
    first.enter('connect');
    vi.advanceTimersByTime(500);
    first.over(new ProtocolError('broken'));
    first.enter('backoff');
    vi.advanceTimersByTime(1_000);
    watch.begin({ method: 'PUT', url: 'http://b.test/' }, POOL).enter('wait');
    expect(watch.signal?.aborted).toBe(false);
    vi.advanceTimersByTime(500);
    const reason: unknown = watch.signal?.reason;
    expect(reason).toBeInstanceOf(DeadlineExceededError);
    expect(reason).toMatchObject({
      deadline: 2,
      phase: 'wait',
      bill: [
        {
          method: 'GET',
          outcome: 'ProtocolError',
          phases: [
            { phase: 'connect', seconds: 0.5 },
            { phase: 'backoff', seconds: 1 },
          ],
        },
        { method: 'PUT', url: 'http://b.test/', outcome: '', phases: [{ phase: 'wait', seconds: 0.5 }] },
      ],
    });
  });

  test('that passes before there is any attempt has an empty bill', () => {
    const watch = new CallWatch(1, null);
    expect(watch.current).toBeNull();
    vi.advanceTimersByTime(1_000);
    expect(watch.signal?.reason).toMatchObject({ deadline: 1, phase: null, bill: [] });
  });

  test("hands on the reason of the caller's signal, also one that was aborted before", () => {
    const reason = new Error('gone');
    const controller = new AbortController();
    const watch = new CallWatch(1, controller.signal);
    controller.abort(reason);
    expect(watch.signal?.reason).toBe(reason);
    const late = new CallWatch(1, controller.signal);
    expect(late.signal?.reason).toBe(reason);
    for (const one of [watch, late]) one.release();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('release() leaves no timer and no listener, and may be called again', () => {
    const { signal } = new AbortController();
    const watch = new CallWatch(1, signal);
    expect([vi.getTimerCount(), getEventListeners(signal, 'abort').length]).toEqual([1, 1]);
    watch.release();
    watch.release();
    expect([vi.getTimerCount(), getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
  });

  test('releaseAfter() waits for the content of a streamed response, and for no other', () => {
    const closed = new HTTPResponse({ body: 'x' });
    const open = new HTTPResponse({ body: (async function* () {})(), preloadContent: false });
    const without = new CallWatch(1, null);
    without.releaseAfter(open);
    const preloaded = new CallWatch(1, null);
    preloaded.begin(SUBJECT, POOL);
    preloaded.releaseAfter(closed);
    const done = new CallWatch(1, null);
    done.begin(SUBJECT, POOL).over(null);
    done.releaseAfter(open);
    expect(vi.getTimerCount()).toBe(0);
    const streamed = new CallWatch(1, null);
    const attempt = streamed.begin(SUBJECT, POOL);
    expect(attempt.isRunning).toBe(true);
    streamed.releaseAfter(open);
    expect(vi.getTimerCount()).toBe(1);
    attempt.over(null);
    expect([vi.getTimerCount(), attempt.isRunning]).toEqual([0, false]);
  });
});

describe('AttemptWatch', () => {
  const EVENT = { requestId: 7, attempt: 2, method: 'GET', url: 'http://a.test/', pool: 'a pool' };

  test('tells the channels how an attempt goes, with what has been the connection and the time', () => {
    const [starts, heads, ends, errors] = [
      listen(channels.requestStart),
      listen(channels.requestHead),
      listen(channels.requestEnd),
      listen(channels.requestError),
    ];
    const attempt = new AttemptWatch(EVENT);
    const connection = new HTTPConnection('a.test');
    attempt.obtained(connection);
    vi.advanceTimersByTime(100);
    attempt.head(200);
    vi.advanceTimersByTime(100);
    attempt.over(null);
    attempt.over(new Error('late'));
    expect(starts).toEqual([EVENT]);
    expect(heads).toEqual([{ ...EVENT, connectionId: connection.id, status: 200, duration: 0.1 }]);
    expect(ends).toEqual([{ ...EVENT, connectionId: connection.id, status: 200, duration: 0.2 }]);
    expect(errors).toEqual([]);
    expect(attempt.bill()).toMatchObject({ method: 'GET', url: 'http://a.test/', outcome: 'status 200' });
  });

  test('tells of a failure once: the first', () => {
    const errors = listen(channels.requestError);
    const ends = listen(channels.requestEnd);
    const attempt = new AttemptWatch(EVENT);
    const error = new ProtocolError('broken');
    attempt.over(error);
    attempt.over(new Error('late'));
    attempt.over(null);
    expect(errors).toEqual([{ ...EVENT, connectionId: null, error, duration: 0 }]);
    expect(ends).toEqual([]);
    expect(attempt.bill().outcome).toBe('ProtocolError');
  });

  test('an abort with what is no error is an outcome, too', () => {
    const attempt = new AttemptWatch(EVENT);
    attempt.over('enough');
    expect(attempt.bill().outcome).toBe('enough');
  });

  test('has null for the connection where there was none, as over fetch', () => {
    const heads = listen(channels.requestHead);
    const ends = listen(channels.requestEnd);
    const attempt = new AttemptWatch(EVENT);
    attempt.over(null);
    // It had no answer, so that nothing has ended.
    expect([heads, ends]).toEqual([[], []]);
    const answered = new AttemptWatch(EVENT);
    answered.head(200);
    answered.over(null);
    expect(heads).toEqual([{ ...EVENT, connectionId: null, status: 200, duration: 0 }]);
    expect(ends).toEqual(heads);
  });

  test('tells of retries and redirects', () => {
    const retries = listen(channels.retry);
    const redirects = listen(channels.redirect);
    const attempt = new AttemptWatch(EVENT);
    attempt.retried(null, 503, 1.5);
    attempt.redirected(303, 'http://u:p@b.test/', 'GET');
    expect(retries).toEqual([{ ...EVENT, error: null, status: 503, delay: 1.5 }]);
    expect(redirects).toEqual([
      { ...EVENT, status: 303, location: expect.not.stringContaining('u:p'), nextMethod: 'GET' },
    ]);
  });

  test('costs no event where nobody listens', () => {
    const publish = vi.spyOn(channels.DiagnosticsChannel.prototype, 'publish');
    const attempt = new AttemptWatch(EVENT);
    attempt.head(200);
    attempt.over(null);
    attempt.retried(null, 503, 0);
    attempt.redirected(302, '/', 'GET');
    new AttemptWatch(EVENT).over(new Error());
    expect(publish).not.toHaveBeenCalled();
    publish.mockRestore();
  });
});
