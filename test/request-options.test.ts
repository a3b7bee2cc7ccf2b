import { describe, expect, test } from 'vitest';
import { NO_BODY } from '../src/body/source.js';
import { PLAIN_HOP, resolveUrlopenOptions, sourceOf, type UrlopenOptions } from '../src/request-options.js';
import { Timeout } from '../src/util/timeout.js';

describe('resolveUrlopenOptions()', () => {
  test('takes the defaults of the documentation', () => {
    const resolved = resolveUrlopenOptions(undefined);
    expect(resolved).toMatchObject({
      body: null,
      headers: undefined,
      retries: undefined,
      redirect: true,
      assertSameHost: true,
      timeout: null,
      poolTimeout: null,
      releaseConn: null,
      chunked: false,
      bodyPos: null,
      preloadContent: true,
      decodeContent: true,
      enforceContentLength: true,
      maxDecodedSize: undefined,
      maxRatio: undefined,
      expectContinue: null,
      onInformational: null,
      signal: null,
    });
    expect(Object.isFrozen(resolved)).toBe(true);
    expect(resolveUrlopenOptions({})).toEqual(resolved);
  });

  test('undefined inherits, null is none', () => {
    const given: UrlopenOptions = { timeout: undefined, headers: undefined, redirect: undefined, signal: undefined };
    expect(resolveUrlopenOptions(given)).toEqual(resolveUrlopenOptions({}));
    expect(resolveUrlopenOptions({ timeout: null }).timeout).toMatchObject({ total: null, connect: null, read: null });
    expect(resolveUrlopenOptions({ maxDecodedSize: null, maxRatio: null, releaseConn: null })).toMatchObject({
      maxDecodedSize: null,
      maxRatio: null,
      releaseConn: null,
    });
  });

  test.each([
    [{ timeout: 5 }, { timeout: Timeout.fromFloat(5) }],
    [{ releaseConn: true }, { releaseConn: true }],
    [
      { maxDecodedSize: 5, maxRatio: 1.5 },
      { maxDecodedSize: 5, maxRatio: 1.5 },
    ],
    [{ expectContinue: true }, { expectContinue: 1 }],
    [{ expectContinue: false }, { expectContinue: null }],
    [{ expectContinue: 0.5 }, { expectContinue: 0.5 }],
    [{ poolTimeout: 0 }, { poolTimeout: 0 }],
  ])('resolves %o', (given, expected) => {
    expect(resolveUrlopenOptions(given)).toMatchObject(expected);
  });

  test('what a manager says of a request without options is resolved once', () => {
    const resolved = resolveUrlopenOptions(PLAIN_HOP);
    expect(resolved).toMatchObject({ redirect: false, assertSameHost: false, _followsRedirects: true });
    expect(resolveUrlopenOptions(PLAIN_HOP)).toBe(resolved);
    expect(resolveUrlopenOptions({ ...PLAIN_HOP })).toEqual(resolved);
  });
});

test('sourceOf() gives the source of the body, or the one that was given', () => {
  expect(sourceOf(resolveUrlopenOptions(undefined))).toBe(NO_BODY);
  expect(sourceOf(resolveUrlopenOptions({ body: 'x' }))).toMatchObject({ kind: 'bytes', bytes: Buffer.from('x') });
  expect(sourceOf(resolveUrlopenOptions({ body: 'x', _source: NO_BODY }))).toBe(NO_BODY);
});

test('resolveUrlopenOptions() takes a deadline that no timer can hold for none, so that it does not come before its time', () => {
  expect(resolveUrlopenOptions({ deadline: 2_000_000 }).deadline).toBe(2_000_000);
  for (const deadline of [3_000_000, 1e9, Number.POSITIVE_INFINITY, null]) {
    expect(resolveUrlopenOptions({ deadline }).deadline).toBeNull();
  }
});
