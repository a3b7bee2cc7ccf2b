import diagnosticsChannel from 'node:diagnostics_channel';
import { afterEach, describe, expect, expectTypeOf, test } from 'vitest';
import * as diagnostics from '../src/diagnostics.js';

const { DiagnosticsChannel, redirect, requestStart, retry } = diagnostics;

const ATTEMPT = { requestId: 1, attempt: 1, method: 'GET', url: 'http://h/a', pool: 'HTTPConnectionPool(h)' };

/** Undone after each test. */
const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0)) step();
});

/** What comes over a channel of Node, by its name. */
function received(name: string): unknown[] {
  const events: unknown[] = [];
  const onMessage = (message: unknown) => void events.push(message);
  diagnosticsChannel.subscribe(name, onMessage);
  undo.push(() => diagnosticsChannel.unsubscribe(name, onMessage));
  return events;
}

test('the channels have the names that are documented', () => {
  const names = Object.values(diagnostics).flatMap((value) =>
    value instanceof DiagnosticsChannel ? [value.name] : [],
  );
  expect(names.sort()).toEqual([
    'urllib3:connection:close',
    'urllib3:connection:open',
    'urllib3:connection:reuse',
    'urllib3:redirect',
    'urllib3:request:end',
    'urllib3:request:error',
    'urllib3:request:head',
    'urllib3:request:start',
    'urllib3:retry',
  ]);
});

describe('DiagnosticsChannel', () => {
  test('hasSubscribers tells whether anyone listens, by us or by Node', () => {
    expect(requestStart.hasSubscribers).toBe(false);
    const listener = () => {};
    requestStart.subscribe(listener);
    expect(requestStart.hasSubscribers).toBe(true);
    expect(requestStart.unsubscribe(listener)).toBe(true);
    expect(requestStart.hasSubscribers).toBe(false);
    received('urllib3:request:start');
    expect(requestStart.hasSubscribers).toBe(true);
  });

  test('publish() gives each subscriber a frozen copy of the event, at once', () => {
    const events = received('urllib3:request:start');
    const given = { ...ATTEMPT };
    requestStart.publish(given);
    expect(events).toEqual([given]);
    expect(Object.isFrozen(events[0])).toBe(true);
    expect(Object.isFrozen(given)).toBe(false);
  });

  test('publish() without subscribers does nothing', () => {
    requestStart.publish(ATTEMPT);
    expect(received('urllib3:request:start')).toEqual([]);
  });

  test('subscribe() gives typed events; the same function is there once', () => {
    const urls: string[] = [];
    const listener = ({ url, delay }: diagnostics.RetryEvent) => void urls.push(`${url} ${delay}`);
    retry.subscribe(listener);
    retry.subscribe(listener);
    retry.publish({ ...ATTEMPT, error: null, status: 503, delay: 0.5 });
    expect(urls).toEqual(['http://h/a 0.5']);
    expect(retry.unsubscribe(listener)).toBe(true);
    expect(retry.unsubscribe(listener)).toBe(false);
    retry.publish({ ...ATTEMPT, error: null, status: 503, delay: 1 });
    expect(urls).toHaveLength(1);
    expectTypeOf<Parameters<typeof retry.subscribe>[0]>().toEqualTypeOf<(event: diagnostics.RetryEvent) => void>();
  });

  test('SEC-083: publish() cuts the user-info of URLs', () => {
    const events = received('urllib3:redirect');
    redirect.publish({
      ...ATTEMPT,
      url: 'http://user:s3cret@a/',
      status: 302,
      location: 'http://user:s3cret@b/',
      nextMethod: 'GET',
    });
    expect(events).toEqual([
      { ...ATTEMPT, url: 'http://***@a/', status: 302, location: 'http://***@b/', nextMethod: 'GET' },
    ]);
  });

  test('publish() returns although a subscriber throws: Node reports it as an uncaught exception', async () => {
    const thrown = new Error('broken subscriber');
    const listener = () => {
      throw thrown;
    };
    requestStart.subscribe(listener);
    undo.push(() => void requestStart.unsubscribe(listener));
    const events = received('urllib3:request:start');
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    try {
      const reported = new Promise((resolve) => process.once('uncaughtException', resolve));
      requestStart.publish(ATTEMPT);
      expect(events).toHaveLength(1);
      expect(await reported).toBe(thrown);
    } finally {
      for (const other of others) process.on('uncaughtException', other);
    }
  });
});
