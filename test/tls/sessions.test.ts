import { describe, expect, test } from 'vitest';
import { type Resumable, SessionStore } from '../../src/tls/sessions.js';

const HOUR_MS = 3_600_000;

/** A session that is told by its name. */
function session(name: string, rest: Partial<Resumable> = {}): Resumable {
  return { session: Buffer.from(name), certificate: null, expiresMs: 10 * HOUR_MS, isSingleUse: true, ...rest };
}

const nameOf = (taken: Resumable | null) => taken?.session.toString() ?? null;

describe('SessionStore', () => {
  test('gives tickets once each, the newest first, and the last one again', () => {
    const store = new SessionStore();
    for (const name of ['1', '2', '3']) store.keep('a', session(name), 0);
    expect(Array.from({ length: 5 }, () => nameOf(store.take('a', 0)))).toEqual(['3', '2', '1', '1', '1']);
  });

  test('gives the newest of sessions that serve again, again', () => {
    const store = new SessionStore();
    for (const name of ['1', '2']) store.keep('a', session(name, { isSingleUse: false }), 0);
    expect([1, 2, 3].map(() => nameOf(store.take('a', 0)))).toEqual(['2', '2', '2']);
  });

  test('SEC-063: gives none whose certificate has expired since, and none that is older than an hour', () => {
    const store = new SessionStore();
    store.keep('a', session('long'), 0);
    store.keep('a', session('short', { expiresMs: 1_000 }), 0);
    expect(nameOf(store.take('a', 1_000))).toBe('long');
    expect(nameOf(store.take('a', HOUR_MS - 1))).toBe('long');
    expect(store.take('a', HOUR_MS)).toBeNull();
    expect(store.take('a', 0)).toBeNull();
    const taken = new SessionStore();
    taken.keep('a', session('of now'));
    expect(nameOf(taken.take('a'))).toBeNull();
  });

  test('SEC-064: keeps servers apart, and forgets one without the others', () => {
    const store = new SessionStore();
    store.keep('origin 443 a', session('origin'), 0);
    store.keep('proxy 443 a', session('proxy'), 0);
    expect(nameOf(store.take('origin 443 a', 0))).toBe('origin');
    store.forget('origin 443 a');
    expect(store.take('origin 443 a', 0)).toBeNull();
    expect(nameOf(store.take('proxy 443 a', 0))).toBe('proxy');
    expect(store.take('origin 443 b', 0)).toBeNull();
  });

  test('is bounded, in servers and in sessions of each', () => {
    const store = new SessionStore();
    for (let index = 0; index < 100; index++) store.keep('a', session(String(index)), 0);
    const taken = new Set(Array.from({ length: 100 }, () => nameOf(store.take('a', 0))));
    expect(taken.size).toBe(16);
    expect(taken).toContain('99');
    for (let index = 0; index < 100; index++) store.keep(String(index), session('x'), 0);
    expect(store.take('a', 0)).toBeNull();
    expect(store.take('99', 0)).not.toBeNull();
    expect(store.take('67', 0)).toBeNull();
  });

  test('takes a session back that was offered to nobody', () => {
    const store = new SessionStore();
    for (const name of ['1', '2']) store.keep('a', session(name), 0);
    const taken = store.take('a', 0);
    if (taken !== null) store.putBack('a', taken);
    if (taken !== null) store.putBack('a', taken);
    expect([1, 2, 3].map(() => nameOf(store.take('a', 0)))).toEqual(['2', '1', '1']);
    store.forget('a');
    store.putBack('a', session('again'));
    expect(nameOf(store.take('a', 0))).toBe('again');
  });
});
