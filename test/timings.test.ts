import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AttemptClock } from '../src/timings.js';

let nowMs = 0;
beforeEach(() => {
  nowMs = 1_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => void vi.restoreAllMocks());

/** Lets so many milliseconds pass. */
function pass(ms: number): void {
  nowMs += ms;
}

describe('AttemptClock', () => {
  test('has nothing to tell before the first phase', () => {
    const clock = new AttemptClock();
    expect(clock.phase).toBeNull();
    expect(clock.phases()).toEqual([]);
    expect(clock.timings().total).toBe(0);
  });

  test('phases() lists them in their order, the last one up to now', () => {
    const clock = new AttemptClock();
    const wanted: { phase: string; seconds: number }[] = [];
    for (const [index, phase] of (['queue', 'resolve', 'connect', 'proxy', 'tls'] as const).entries()) {
      clock.enter(phase);
      expect(clock.phase).toBe(phase);
      pass(10 * (index + 1));
      wanted.push({ phase, seconds: (index + 1) / 100 });
      expect(clock.phases()).toEqual(wanted);
    }
  });

  test('is told of an exchange: send, wait, content, over', () => {
    const clock = new AttemptClock();
    clock.sending();
    pass(10);
    clock.sent();
    pass(20);
    clock.head(200);
    expect(clock.phase).toBe('content');
    pass(30);
    clock.over(null);
    pass(1_000);
    expect(clock.phases()).toEqual([
      { phase: 'send', seconds: 0.01 },
      { phase: 'wait', seconds: 0.02 },
      { phase: 'content', seconds: 0.03 },
    ]);
    expect(clock.timings()).toEqual({
      ...{ queue: 0, resolve: 0, connect: 0, proxy: 0, tls: 0 },
      ...{ send: 0.01, wait: 0.02, content: 0.03 },
      total: expect.closeTo(0.06, 9),
    });
  });

  test('its first phase begins when it is made, and a moment that somebody has looked up is taken as it is', () => {
    const clock = new AttemptClock();
    pass(10);
    clock.sent();
    clock.head(200, nowMs + 20);
    clock.over(null, nowMs + 50);
    expect(clock.phases()).toEqual([
      { phase: 'wait', seconds: 0.03 },
      { phase: 'content', seconds: 0.03 },
    ]);
  });

  test('stop() holds it, and a second one changes nothing; a phase that begins lets it go on', () => {
    const clock = new AttemptClock();
    clock.enter('wait');
    pass(10);
    clock.stop();
    pass(10);
    clock.stop();
    expect(clock.timings().wait).toBe(0.01);
    clock.enter('backoff');
    // What lies between belongs to the phase that was stopped: nothing else had begun.
    pass(30);
    expect(clock.phases()).toEqual([
      { phase: 'wait', seconds: 0.02 },
      { phase: 'backoff', seconds: 0.03 },
    ]);
  });

  test('a phase that comes again is there again; timings() adds up, without the pauses', () => {
    const clock = new AttemptClock();
    for (const phase of ['send', 'wait', 'send', 'wait', 'backoff'] as const) {
      clock.enter(phase);
      pass(10);
    }
    expect(clock.phase).toBeNull();
    expect(clock.phases().map(({ phase }) => phase)).toEqual(['send', 'wait', 'send', 'wait', 'backoff']);
    expect(clock.timings()).toMatchObject({ send: 0.02, wait: 0.02, total: expect.closeTo(0.04, 9) });
  });
});
