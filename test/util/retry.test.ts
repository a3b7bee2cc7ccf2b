import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  ConnectTimeoutError,
  DecodeError,
  MaxRetryError,
  NewConnectionError,
  ProtocolError,
  ProxyError,
  ReadTimeoutError,
  ResponseError,
  SSLError,
} from '../../src/exceptions.js';
import { HTTPHeaderDict } from '../../src/headers.js';
import {
  RequestHistory,
  Retry,
  type RetryCount,
  type RetryIncrement,
  type RetryOptions,
  type RetryResponse,
} from '../../src/util/retry.js';

const connectError = new NewConnectionError(null, 'refused');
const connectTimeout = new ConnectTimeoutError(null, 'too slow');
const readError = new ReadTimeoutError('pool', '/', 'silence');
const brokenError = new ProtocolError('reset');
const otherError = new SSLError('bad certificate');

function response(
  status: number,
  { location = null, retryAfter }: { location?: string | null; retryAfter?: string } = {},
): RetryResponse {
  return {
    status,
    headers: new HTTPHeaderDict(retryAfter === undefined ? {} : { 'Retry-After': retryAfter }),
    getRedirectLocation: () => location,
  };
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

function failedBy(retry: Retry, steps: readonly RetryIncrement[]): Retry {
  return steps.reduce((current, step) => current.increment({ method: 'GET', url: '/', ...step }), retry);
}

const counts = ({ total, connect, read, redirect, status, other }: Retry) => ({
  total,
  connect,
  read,
  redirect,
  status,
  other,
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('Retry, its arguments', () => {
  test('has the defaults of the reference', () => {
    const retry = new Retry();
    expect(counts(retry)).toEqual({ total: 10, connect: null, read: null, redirect: null, status: null, other: null });
    expect([...(retry.allowedMethods ?? [])].sort()).toEqual(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'TRACE']);
    expect(retry.methodWhitelist).toBe(retry.allowedMethods);
    expect([...retry.statusForcelist]).toEqual([]);
    expect([retry.backoffFactor, retry.backoffMax, retry.backoffJitter, retry.retryAfterMax]).toEqual([
      0, 120, 0, 21_600,
    ]);
    expect(retry.backoff).toBe('exponential');
    expect([retry.raiseOnRedirect, retry.raiseOnStatus, retry.respectRetryAfterHeader]).toEqual([true, true, true]);
    expect(retry.history).toEqual([]);
    expect([...retry.removeHeadersOnRedirect]).toEqual(
      Array.from(Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT, (name) => name.toLowerCase()),
    );
  });

  test('has the class attributes of the reference and of 2.x', () => {
    expect(String(Retry.DEFAULT)).toBe('Retry(total=3, connect=null, read=null, redirect=null, status=null)');
    expect(Retry.DEFAULT_METHOD_WHITELIST).toBe(Retry.DEFAULT_ALLOWED_METHODS);
    expect([...Retry.RETRY_AFTER_STATUS_CODES]).toEqual([413, 429, 503]);
    expect([...Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT].slice(0, 3)).toEqual([
      'Authorization',
      'Cookie',
      'Proxy-Authorization',
    ]);
    expect(Retry.DEFAULT_REDIRECT_HEADERS_BLACKLIST).toBe(Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT);
    expect([Retry.BACKOFF_MAX, Retry.DEFAULT_BACKOFF_MAX, Retry.DEFAULT_RETRY_AFTER_MAX]).toEqual([120, 120, 21_600]);
  });

  test.each([
    'Authorization',
    'Cookie',
    'Proxy-Authorization',
    'X-Api-Key',
    'Api-Key',
    'Apikey',
    'X-Auth-Token',
    'X-Access-Token',
    'Private-Token',
    'X-Gitlab-Token',
    'X-Amz-Security-Token',
    'X-Goog-Api-Key',
    'X-Vault-Token',
    'Ocp-Apim-Subscription-Key',
    'X-Csrf-Token',
    'X-Xsrf-Token',
  ])('SEC-054 (CVE-2026-40895): another origin does not see %s by default', (name) => {
    expect(Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT.has(name)).toBe(true);
    expect(Retry.DEFAULT.removeHeadersOnRedirect.has(name.toLowerCase())).toBe(true);
  });

  test('SEC-054: names of fields are tokens, each once, and none that requests cannot do without', () => {
    const names = [...Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT];
    expect(names.filter((name) => !/^[A-Z][A-Za-z0-9]*(-[A-Z][A-Za-z0-9]*)*$/.test(name))).toEqual([]);
    expect(new Retry().removeHeadersOnRedirect.size).toBe(names.length);
    expect(names.filter((name) => /^(Accept|Content|If|User-Agent|Range|Host)/.test(name))).toEqual([]);
  });

  test('SEC-054: removeHeadersOnRedirect takes the place of the default, and can add to it', () => {
    expect([...new Retry({ removeHeadersOnRedirect: ['X-Mine'] }).removeHeadersOnRedirect]).toEqual(['x-mine']);
    expect(new Retry({ removeHeadersOnRedirect: [] }).removeHeadersOnRedirect.size).toBe(0);
    const more = new Retry({ removeHeadersOnRedirect: [...Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT, 'X-Mine'] });
    expect(['x-mine', 'authorization', 'x-api-key'].every((name) => more.removeHeadersOnRedirect.has(name))).toBe(true);
  });

  test.each<[string, Retry, object]>([
    ['new Retry(3)', new Retry(3), { total: 3 }],
    ['new Retry(3, { redirect: 2 })', new Retry(3, { redirect: 2 }), { total: 3, redirect: 2 }],
    ['new Retry({ connect: 5, read: 2 })', new Retry({ connect: 5, read: 2 }), { total: 10, connect: 5, read: 2 }],
    ['new Retry(undefined, { other: 1 })', new Retry(undefined, { other: 1 }), { total: 10, other: 1 }],
    ['new Retry(null)', new Retry(null), { total: null, redirect: null, raiseOnRedirect: true }],
    ['new Retry(false)', new Retry(false), { total: false, redirect: 0, raiseOnRedirect: false }],
    ['new Retry(3, { redirect: false })', new Retry(3, { redirect: false }), { redirect: 0, raiseOnRedirect: false }],
    [
      'new Retry({ total: undefined })',
      new Retry({ total: undefined, status: undefined }),
      { total: 10, status: null },
    ],
  ])('takes the short form %s', (_, retry, wanted) => {
    expect(retry).toMatchObject(wanted);
  });

  test('takes every option', () => {
    const history = [new RequestHistory('GET', '/', null, 500, null)];
    const options = {
      total: 1,
      connect: 2,
      read: 3,
      redirect: 4,
      status: 5,
      other: 6,
      backoffFactor: 0.5,
      backoff: 'full-jitter',
      backoffMax: 7,
      backoffJitter: 0.1,
      raiseOnRedirect: false,
      raiseOnStatus: false,
      respectRetryAfterHeader: false,
      retryAfterMax: 8,
    } as const;
    const retry = new Retry({
      ...options,
      history,
      allowedMethods: ['get', 'Post'],
      statusForcelist: new Set([500]),
      removeHeadersOnRedirect: ['X-Key'],
    });
    expect(retry).toMatchObject(options);
    expect(retry.history).toEqual(history);
    expect([...(retry.allowedMethods ?? [])]).toEqual(['GET', 'POST']);
    expect([...retry.statusForcelist]).toEqual([500]);
    expect([...retry.removeHeadersOnRedirect]).toEqual(['x-key']);
  });

  test('takes null where the reference takes None, and false for any verb', () => {
    expect(new Retry({ allowedMethods: null }).allowedMethods).toBeNull();
    expect(new Retry({ methodWhitelist: false }).allowedMethods).toBeNull();
    expect([...(new Retry({ methodWhitelist: ['PATCH'] }).allowedMethods ?? [])]).toEqual(['PATCH']);
    const none = new Retry({ statusForcelist: null, history: null, removeHeadersOnRedirect: null });
    expect([none.statusForcelist.size, none.history.length, none.removeHeadersOnRedirect.size]).toEqual([0, 0, 0]);
  });

  const countRule = 'it must be a whole number >= 0, null or false';
  const secondsRule = 'it must be a number of seconds >= 0';
  test.each<[string, unknown, ErrorConstructor, string]>([
    ...['total', 'connect', 'read', 'redirect', 'status', 'other'].flatMap(
      (name): [string, unknown, ErrorConstructor, string][] => [
        [name, '3', TypeError, `Cannot use "3" as ${name} of a Retry: ${countRule}`],
        [name, true, TypeError, `Cannot use true as ${name} of a Retry: ${countRule}`],
        [name, -1, RangeError, `Cannot use -1 as ${name} of a Retry: ${countRule}`],
        [name, 1.5, RangeError, `Cannot use 1.5 as ${name} of a Retry: ${countRule}`],
        [name, Number.POSITIVE_INFINITY, RangeError, `Cannot use Infinity as ${name} of a Retry: ${countRule}`],
      ],
    ),
    ...['backoffFactor', 'backoffMax', 'backoffJitter', 'retryAfterMax'].flatMap(
      (name): [string, unknown, ErrorConstructor, string][] => [
        [name, '1', TypeError, `Cannot use "1" as ${name} of a Retry: ${secondsRule}`],
        [name, null, TypeError, `Cannot use null as ${name} of a Retry: ${secondsRule}`],
        [name, -1, RangeError, `Cannot use -1 as ${name} of a Retry: ${secondsRule}`],
        [name, Number.NaN, RangeError, `Cannot use NaN as ${name} of a Retry: ${secondsRule}`],
        [name, Number.POSITIVE_INFINITY, RangeError, `Cannot use Infinity as ${name} of a Retry: ${secondsRule}`],
      ],
    ),
    ...['full', 'Full-Jitter', '', true, null, 1].map((value): [string, unknown, ErrorConstructor, string] => [
      'backoff',
      value,
      TypeError,
      `Cannot use ${typeof value === 'string' ? `"${value}"` : value} as backoff of a Retry: it must be "exponential" or "full-jitter"`,
    ]),
    ...['raiseOnRedirect', 'raiseOnStatus', 'respectRetryAfterHeader'].map(
      (name): [string, unknown, ErrorConstructor, string] => [
        name,
        1,
        TypeError,
        `Cannot use 1 as ${name} of a Retry: it must be true or false`,
      ],
    ),
    ...['allowedMethods', 'statusForcelist', 'removeHeadersOnRedirect', 'history'].flatMap(
      (name): [string, unknown, ErrorConstructor, string][] => [
        [name, 'GET', TypeError, `Cannot use "GET" as ${name} of a Retry: it must be an array or a Set`],
        [name, 503, TypeError, `Cannot use 503 as ${name} of a Retry: it must be an array or a Set`],
        [name, {}, TypeError, `Cannot use an object (Object) as ${name} of a Retry: it must be an array or a Set`],
      ],
    ),
    ['allowedMethods', [1], TypeError, 'Cannot use 1 in allowedMethods of a Retry: it must be a string'],
    [
      'removeHeadersOnRedirect',
      [null],
      TypeError,
      'Cannot use null in removeHeadersOnRedirect of a Retry: it must be a string',
    ],
    [
      'statusForcelist',
      ['503'],
      TypeError,
      'Cannot use "503" in statusForcelist of a Retry: it must be a status from 100 to 999',
    ],
    [
      'statusForcelist',
      [99],
      RangeError,
      'Cannot use 99 in statusForcelist of a Retry: it must be a status from 100 to 999',
    ],
    [
      'statusForcelist',
      [500.5],
      RangeError,
      'Cannot use 500.5 in statusForcelist of a Retry: it must be a status from 100 to 999',
    ],
    ['history', [{}], TypeError, 'Cannot use an object (Object) in history of a Retry: it must be a RequestHistory'],
    ['backoff_factor', 1, TypeError, 'Cannot make a Retry with the unknown option "backoff_factor"'],
    ['constructor', 1, TypeError, 'Cannot make a Retry with the unknown option "constructor"'],
  ])('rejects %s: %o', (name, value, error, message) => {
    // Deliberately of a wrong type: what JavaScript can pass.
    const thrown = thrownBy(() => new Retry({ [name]: value } as never));
    expect(thrown).toBeInstanceOf(error);
    expect(thrown).toHaveProperty('message', message);
  });

  test('rejects a setting that is given twice', () => {
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => new Retry(3, { total: 5 } as never)).toThrow('Cannot make a Retry with total given twice');
    expect(() => new Retry({ allowedMethods: ['GET'], methodWhitelist: ['GET'] })).toThrow(
      'allowedMethods given twice',
    );
    expect(() => new Retry().new({ allowedMethods: ['GET'], methodWhitelist: ['GET'] })).toThrow(
      'allowedMethods given twice',
    );
  });

  test('SEC-027 (CVE-2026-42264): takes own options only', async () => {
    const inherited: RetryOptions = Object.create({ total: 1, allowedMethods: false });
    expect(new Retry(inherited).total).toBe(10);
    const evil: RetryIncrement = Object.create({ error: brokenError });
    expect(new Retry(1).increment(evil).history[0]?.error).toBeNull();
    await expect(new Retry().sleep(Object.create({ signal: AbortSignal.abort() }))).resolves.toBeUndefined();
  });
});

describe('Retry is a value', () => {
  test('that is frozen, with what it holds', () => {
    const retry = new Retry(3, { history: [new RequestHistory('GET', '/', null, null, null)] });
    // Deliberately of a wrong type: what JavaScript can try.
    const open = retry as unknown as { total: number; extra: number; history: unknown[]; allowedMethods: Set<string> };
    expect(() => {
      open.total = 9;
    }).toThrow(TypeError);
    expect(() => {
      open.extra = 9;
    }).toThrow(TypeError);
    expect(() => open.history.push(1)).toThrow(TypeError);
    expect(() => open.allowedMethods.add('POST')).toThrow(
      'Cannot change a set that Retry objects share: make a new Retry',
    );
    expect(() => open.allowedMethods.delete('GET')).toThrow(TypeError);
    expect(() => open.allowedMethods.clear()).toThrow(TypeError);
    expect(Retry.DEFAULT_ALLOWED_METHODS.has('POST')).toBe(false);
  });

  test('whose settings a later change of the given lists does not reach', () => {
    const methods = ['GET'];
    const history = [new RequestHistory('GET', '/', null, null, null)];
    const retry = new Retry({ allowedMethods: methods, history });
    methods.push('POST');
    history.pop();
    expect(retry.allowedMethods?.has('POST')).toBe(false);
    expect(retry.history).toHaveLength(1);
  });

  test('whose sets are checked again where they are used as something else', () => {
    const given = new Retry({ statusForcelist: [500], removeHeadersOnRedirect: ['Cookie', 'X-Key'] });
    const { removeHeadersOnRedirect, statusForcelist } = given;
    const retry = new Retry({ allowedMethods: removeHeadersOnRedirect });
    expect([...(retry.allowedMethods ?? [])]).toEqual(['COOKIE', 'X-KEY']);
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => new Retry({ allowedMethods: statusForcelist as never })).toThrow(TypeError);
  });

  test('of which new() makes another with other settings', () => {
    const retry = new Retry(3, { respectRetryAfterHeader: false, statusForcelist: [500], redirect: false });
    const other = retry.new({ total: 7, connect: undefined, methodWhitelist: ['PATCH'] });
    expect(counts(other)).toEqual({ ...counts(retry), total: 7 });
    expect([other.respectRetryAfterHeader, other.raiseOnRedirect]).toEqual([false, false]);
    expect([...other.statusForcelist]).toEqual([500]);
    expect([...(other.allowedMethods ?? [])]).toEqual(['PATCH']);
    expect(retry.new()).toEqual(retry);
    expect(retry.new().history).toBe(retry.history);
    expect(() => retry.new({ total: -1 })).toThrow(RangeError);
  });

  test('a subclass makes objects of its own, keeps its fields and cannot change the settings', () => {
    class Patient extends Retry {
      static override readonly BACKOFF_MAX = 5;
      static override readonly RETRY_AFTER_STATUS_CODES = new Set([202]);
      readonly note = 'mine';
      override isExhausted(): boolean {
        return Number(this.total) < -2;
      }
    }
    const retry = new Patient(0, { backoffFactor: 1 })
      .increment({ error: connectError })
      .increment({ error: connectError });
    expect(retry).toBeInstanceOf(Patient);
    expect(retry).toHaveProperty('note', 'mine');
    expect(retry.total).toBe(-2);
    expect(retry.new({ read: 1 }).total).toBe(-2);
    expect(new Patient(9).isRetry('GET', 202, true)).toBe(true);
    expect(new Patient(9, { backoffMax: undefined }).backoffMax).toBe(5);
    expect(() => {
      (retry as unknown as { total: number }).total = 9;
    }).toThrow(TypeError);
    expect(() => retry.increment({ error: connectError })).toThrow(MaxRetryError);
    expect(Patient.fromInt(2)).toBeInstanceOf(Patient);
  });

  test.each<[unknown, { redirect?: boolean; default?: Retry | RetryCount } | undefined, object]>([
    [undefined, undefined, { total: 3, redirect: null }],
    [undefined, { redirect: false }, { total: 3, redirect: null }],
    [undefined, { default: 5 }, { total: 5 }],
    [undefined, { default: null }, { total: null }],
    [undefined, { default: false, redirect: false }, { total: false, redirect: 0, raiseOnRedirect: false }],
    [4, undefined, { total: 4, redirect: null, raiseOnRedirect: true }],
    [4, { redirect: true, default: 9 }, { total: 4, redirect: null }],
    [4, { redirect: false }, { total: 4, redirect: 0, raiseOnRedirect: false }],
    [0, undefined, { total: 0 }],
    [null, undefined, { total: null, redirect: null }],
    [false, undefined, { total: false, redirect: 0, raiseOnRedirect: false }],
  ])('fromInt(%j, %j)', (retries, options, wanted) => {
    expect(Retry.fromInt(retries as RetryCount | undefined, options)).toMatchObject(wanted);
  });

  test('fromInt() gives a Retry back, and the shared default for nothing', () => {
    const retry = new Retry(1);
    expect(Retry.fromInt(retry, { redirect: false })).toBe(retry);
    expect(Retry.fromInt(undefined, { default: retry })).toBe(retry);
    expect(Retry.fromInt(undefined)).toBe(Retry.DEFAULT);
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => Retry.fromInt('3' as never)).toThrow('Cannot use "3" as total of a Retry');
    expect(() => Retry.fromInt(true as never)).toThrow('Cannot use true as total of a Retry');
  });
});

describe('Retry.increment()', () => {
  test.each<[string, RetryIncrement, Partial<Record<string, number>>]>([
    ['a connection refused', { error: connectError }, { connect: 4 }],
    ['a connection too slow', { error: connectTimeout }, { connect: 4 }],
    ['a proxy that refuses', { error: new ProxyError('no', { cause: connectError }) }, { connect: 4 }],
    ['a proxy that fails otherwise', { error: new ProxyError('no', { cause: otherError }) }, { other: 4 }],
    ['a read timeout', { error: readError }, { read: 4 }],
    ['a broken connection', { error: brokenError }, { read: 4 }],
    ['a TLS error', { error: otherError }, { other: 4 }],
    ['a decoding error', { error: new DecodeError('bad gzip') }, { other: 4 }],
    ['a bad status', { response: response(503) }, { status: 4 }],
    ['a redirect', { response: response(302, { location: '/x' }) }, { redirect: 4 }],
    ['an error, whatever the response', { error: readError, response: response(302, { location: '/x' }) }, { read: 4 }],
    ['nothing known', {}, {}],
    [
      'a response of the kind that never redirects',
      { response: { ...response(500), getRedirectLocation: () => false } },
      { status: 4 },
    ],
  ])('takes %s from its own count and from the total', (_, step, wanted) => {
    const before = new Retry({ total: 5, connect: 5, read: 5, redirect: 5, status: 5, other: 5 });
    const next = before.increment({ method: 'GET', url: '/', ...step });
    expect(counts(next)).toEqual({ total: 4, connect: 5, read: 5, redirect: 5, status: 5, other: 5, ...wanted });
    expect(before.total).toBe(5);
    expect(counts(failedBy(new Retry(5), [step]))).toEqual({ ...counts(new Retry(4)) });
  });

  test('writes history, in order', () => {
    const retry = failedBy(new Retry(5), [
      { error: connectError },
      { response: response(302, { location: '/x' }) },
      { response: response(503) },
      {},
    ]);
    expect(retry.history.map((entry) => [...entry])).toEqual([
      ['GET', '/', connectError, null, null],
      ['GET', '/', null, 302, '/x'],
      ['GET', '/', null, 503, null],
      ['GET', '/', null, null, null],
    ]);
    expect(new Retry(1).increment().history.map((entry) => [...entry])).toEqual([[null, null, null, null, null]]);
  });

  test.each<[string, RetryOptions, RetryIncrement, string]>([
    ['the total', { total: 0 }, { error: brokenError }, 'reset'],
    ['connect', { connect: 0 }, { error: connectError }, 'refused'],
    ['read', { read: 0 }, { error: brokenError }, 'reset'],
    ['other', { other: 0 }, { error: otherError }, 'bad certificate'],
    ['redirect', { redirect: 0 }, { response: response(301, { location: '/x' }) }, 'too many redirects'],
    ['redirect: false', { redirect: false }, { response: response(301, { location: '/x' }) }, 'too many redirects'],
    ['the total, by a redirect', { total: 0 }, { response: response(301, { location: '/x' }) }, 'too many redirects'],
    [
      'total: false, by a redirect',
      { total: false },
      { response: response(301, { location: '/x' }) },
      'too many redirects',
    ],
    ['status', { status: 0 }, { response: response(503) }, 'too many 503 error responses'],
    ['status: false', { status: false }, { response: response(503) }, 'too many 503 error responses'],
    ['the total, by a status', { total: 0 }, { response: response(500) }, 'too many 500 error responses'],
    ['the total, by nothing known', { total: 0 }, {}, 'too many error responses'],
  ])('raises MaxRetryError when %s is used up', (_, options, step, message) => {
    const thrown = thrownBy(() =>
      new Retry(options).increment({ method: 'GET', url: '/page', _pool: 'the pool', ...step }),
    );
    if (!(thrown instanceof MaxRetryError)) throw thrown;
    expect(thrown.reason?.message).toBe(message);
    expect(thrown.reason).toBe(step.error ?? thrown.reason);
    expect(thrown.reason).toBeInstanceOf(step.error ? Error : ResponseError);
    expect(thrown.cause).toBe(thrown.reason);
    expect([thrown.pool, thrown.url]).toEqual(['the pool', '/page']);
    expect(thrown.attempts).toHaveLength(1);
    expect(thrown.attempts[0]).toMatchObject({ method: 'GET', url: '/page', error: step.error ?? null });
    expect(thrown.message).toBe(
      `the pool: Max retries exceeded with url: /page (Caused by ${thrown.reason?.name}: ${message})`,
    );
  });

  test('tells MaxRetryError of every attempt, the last one too', () => {
    const last = { error: brokenError };
    const retry = failedBy(new Retry(2), [{ error: connectError }, { response: response(302, { location: '/x' }) }]);
    const thrown = thrownBy(() => failedBy(retry, [last]));
    if (!(thrown instanceof MaxRetryError)) throw thrown;
    expect(thrown.attempts).toMatchObject([
      { error: connectError, status: null, redirectLocation: null },
      { error: null, status: 302, redirectLocation: '/x' },
      { error: brokenError, status: null, redirectLocation: null },
    ]);
  });

  test('raises MaxRetryError also without pool and url', () => {
    expect(() => new Retry(0).increment()).toThrow('no pool: Max retries exceeded with url: ');
  });

  test.each<[string, RetryOptions, RetryIncrement]>([
    ['total: false', { total: false }, { method: 'GET', error: connectError, _stacktrace: 'kept by the error itself' }],
    ['total: false, read error', { total: false }, { method: 'GET', error: brokenError }],
    ['connect: false', { connect: false }, { method: 'GET', error: connectError }],
    ['read: false', { read: false }, { method: 'GET', error: brokenError }],
    ['other: false', { other: false }, { method: 'GET', error: otherError }],
    ['a read error of a method that is not allowed', { read: 5 }, { method: 'POST', error: brokenError }],
    ['a read error of a method that nobody knows', { allowedMethods: null }, { error: brokenError }],
    ['a read error where no method is allowed', { allowedMethods: [] }, { method: 'GET', error: brokenError }],
  ])('throws the very error with %s', (_, options, step) => {
    expect(thrownBy(() => new Retry(options).increment(step))).toBe(step.error);
  });

  test('retries read errors of any method where allowedMethods is null, and connect errors always', () => {
    expect(new Retry(1, { allowedMethods: null }).increment({ method: 'POST', error: brokenError }).total).toBe(0);
    expect(new Retry(1).increment({ method: 'POST', error: connectError }).total).toBe(0);
    expect(new Retry(1).increment({ method: 'get', error: brokenError }).total).toBe(0);
  });

  test('with a total of null never ends but for the 21st redirect (API: retries: null)', () => {
    const unlimited = Retry.fromInt(null);
    const tired = failedBy(unlimited, Array(100).fill({ error: connectError }));
    expect(tired.total).toBeNull();
    expect(tired.isExhausted()).toBe(false);
    const redirected = failedBy(tired, Array(20).fill({ response: response(302, { location: '/x' }) }));
    expect(redirected.history).toHaveLength(120);
    const once = { response: response(302, { location: '/x' }) };
    const thrown = thrownBy(() => failedBy(redirected, [once]));
    expect(thrown).toBeInstanceOf(MaxRetryError);
    expect(thrown).toHaveProperty('reason.message', 'too many redirects');
    expect(failedBy(redirected, [{ error: connectError }]).history).toHaveLength(121);
    expect(failedBy(new Retry({ total: null, redirect: 30 }), Array(30).fill(once)).redirect).toBe(0);
  });

  test.each<[string, Retry, number, boolean]>([
    ['new Retry(0)', new Retry(0), 0, true],
    ['new Retry(false)', new Retry(false), 0, false],
    ['new Retry({ redirect: 0 })', new Retry({ redirect: 0 }), 0, true],
    ['new Retry({ redirect: false })', new Retry({ redirect: false }), 0, false],
    ['new Retry({ total: null, redirect: 0 })', new Retry({ total: null, redirect: 0 }), 0, true],
    ['new Retry(2)', new Retry(2), 2, true],
    ['new Retry(5, { redirect: 2 })', new Retry(5, { redirect: 2 }), 2, true],
    ['new Retry(2, { redirect: 5 })', new Retry(2, { redirect: 5 }), 2, true],
    ['Retry.fromInt(4)', Retry.fromInt(4), 4, true],
    ['Retry.fromInt(4, { redirect: false })', Retry.fromInt(4, { redirect: false }), 0, false],
    ['Retry.fromInt(null)', Retry.fromInt(null), 20, true],
    ['Retry.DEFAULT', Retry.DEFAULT, 3, true],
  ])('SEC-056 (CVE-2025-50181): %s allows %d redirects', (_, start, allowed, raises) => {
    const redirect = { method: 'GET', url: '/', response: response(302, { location: '/x' }) };
    const spent = failedBy(start, Array(allowed).fill(redirect));
    expect(spent.history).toHaveLength(allowed);
    expect(thrownBy(() => spent.increment(redirect))).toMatchObject({
      name: 'MaxRetryError',
      reason: { message: 'too many redirects' },
    });
    // The loop returns the response in place of the error where this is false.
    expect(spent.raiseOnRedirect).toBe(raises);
  });

  test('SEC-116 (CVE-2025-59466): takes a step for each of 50,000 redirects and failures, and no stack', () => {
    const redirect = { response: response(302, { location: '/x' }) };
    const failure = { error: connectError };
    const start = performance.now();
    const retry = failedBy(new Retry({ total: null, redirect: 50_000, backoffFactor: 1 }), [
      ...Array(50_000).fill(redirect),
      ...Array(50_000).fill(failure),
    ]);
    expect(retry.history).toHaveLength(100_000);
    expect([retry.history[0]?.redirectLocation, retry.history[99_999]?.error]).toEqual(['/x', connectError]);
    expect([retry.redirect, retry.getBackoffTime()]).toEqual([0, 120]);
    // A copy of the history at each step would be five thousand million words: half a minute.
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test('hands on a history that is the same array each time, frozen, and apart for each way it went on', () => {
    const base = failedBy(new Retry(5), [{ error: connectError }]);
    const [one, other] = [failedBy(base, [{ error: readError }]), failedBy(base, [{ error: otherError }])];
    expect(one.history.map(({ error }) => error)).toEqual([connectError, readError]);
    expect(other.history.map(({ error }) => error)).toEqual([connectError, otherError]);
    expect(base.history).toHaveLength(1);
    expect(one.history).toBe(one.history);
    expect(one.new({ total: 1 }).history).toEqual(one.history);
    expect(new Retry({ history: one.history }).increment().history).toHaveLength(3);
    expect(Object.isFrozen(one.history)).toBe(true);
  });

  test('allows exactly as many failures as the counts say', () => {
    const steps: Record<string, RetryIncrement> = {
      connect: { error: connectError },
      read: { error: brokenError },
      redirect: { response: response(307, { location: '/' }) },
      status: { response: response(500) },
      other: { error: otherError },
    };
    const kinds = Object.keys(steps);
    const limit = fc.option(fc.nat(4), { nil: null });
    const limits = fc.record({
      total: fc.nat(12),
      connect: limit,
      read: limit,
      redirect: limit,
      status: limit,
      other: limit,
    });
    fc.assert(
      fc.property(limits, fc.array(fc.constantFrom(...kinds), { maxLength: 20 }), (options, sequence) => {
        let retry = new Retry(options);
        const left = new Map<string, number>(kinds.map((kind) => [kind, options[kind as 'read'] ?? 99]));
        let total = options.total;
        for (const kind of sequence) {
          total--;
          left.set(kind, (left.get(kind) ?? 0) - 1);
          const step = { method: 'GET', url: '/', ...steps[kind] };
          if (total < 0 || (left.get(kind) ?? 0) < 0) {
            expect(() => retry.increment(step)).toThrow(MaxRetryError);
            return;
          }
          retry = retry.increment(step);
          expect(retry.isExhausted()).toBe(false);
          expect(retry.total).toBe(total);
        }
        expect(retry.history).toHaveLength(sequence.length);
      }),
    );
  });
});

describe('Retry.isRetry()', () => {
  test.each<[string, Retry, [string, number, boolean?], boolean]>([
    ['no', new Retry(), ['GET', 500], false],
    ['a status on the list', new Retry({ statusForcelist: [500] }), ['GET', 500], true],
    ['a status on the list, in small letters', new Retry({ statusForcelist: [500] }), ['get', 500], true],
    ['a status on the list, total 0: so that it raises', new Retry(0, { statusForcelist: [500] }), ['GET', 500], true],
    ['a method that is not allowed', new Retry({ statusForcelist: [500] }), ['POST', 500], false],
    ['any method', new Retry({ statusForcelist: [500], allowedMethods: false }), ['POST', 500], true],
    ['Retry-After', new Retry(), ['GET', 503, true], true],
    ['Retry-After with 413', new Retry(), ['GET', 413, true], true],
    ['Retry-After with 429', new Retry(), ['GET', 429, true], true],
    ['Retry-After with 500', new Retry(), ['GET', 500, true], false],
    ['Retry-After with unlimited retries', new Retry(null), ['GET', 503, true], true],
    ['Retry-After with no retries left', new Retry(0), ['GET', 503, true], false],
    ['Retry-After with retries off', new Retry(false), ['GET', 503, true], false],
    ['Retry-After not respected', new Retry({ respectRetryAfterHeader: false }), ['GET', 503, true], false],
    ['SEC-047: U+017F is not S', new Retry({ statusForcelist: [500] }), ['OPTION\u017f', 500], false],
  ])('%s', (_, retry, args, wanted) => {
    expect(retry.isRetry(...args)).toBe(wanted);
  });
});

describe('Retry.getBackoffTime()', () => {
  const failed = (count: number, options: RetryOptions) =>
    failedBy(new Retry({ total: null, ...options }), Array(count).fill({ error: connectError }));

  test('doubles from the second failure on, up to backoffMax', () => {
    const times = [0, 1, 2, 3, 4, 5, 9].map((count) =>
      failed(count, { backoffFactor: 0.1, backoffMax: 20 }).getBackoffTime(),
    );
    expect(times).toEqual([0, 0, 0.2, 0.4, 0.8, 1.6, 20]);
    expect(failed(30, { backoffFactor: 1 }).getBackoffTime()).toBe(120);
    expect(failed(1100, { backoffFactor: 1 }).getBackoffTime()).toBe(120);
    expect(failed(1100, {}).getBackoffTime()).toBe(0);
  });

  test('counts failures since the last redirect', () => {
    const failure = { error: connectError };
    const redirect = { response: response(302, { location: '/x' }) };
    const start = new Retry(20, { backoffFactor: 1 });
    expect(failedBy(start, [failure, failure, failure, redirect]).getBackoffTime()).toBe(0);
    expect(failedBy(start, [failure, failure, redirect, failure]).getBackoffTime()).toBe(0);
    expect(failedBy(start, [failure, redirect, failure, failure]).getBackoffTime()).toBe(2);
  });

  test('adds a random part of backoffJitter, within backoffMax', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    expect(failed(2, { backoffFactor: 1, backoffJitter: 3 }).getBackoffTime()).toBe(3.5);
    expect(failed(1, { backoffFactor: 1, backoffJitter: 3 }).getBackoffTime()).toBe(0);
    expect(failed(2, { backoffFactor: 1, backoffJitter: 3, backoffMax: 3 }).getBackoffTime()).toBe(3);
  });
});

describe("Retry with backoff: 'full-jitter'", () => {
  const failed = (count: number, options: RetryOptions) =>
    failedBy(
      new Retry({ total: null, backoff: 'full-jitter', ...options }),
      Array(count).fill({ error: connectError }),
    );

  test.each([0, 0.25, 0.5, 1 - 2 ** -53])('waits for the part %d of what the formula gives', (random) => {
    vi.spyOn(Math, 'random').mockReturnValue(random);
    const times = [0, 1, 2, 3, 4, 5, 9, 1100].map((count) =>
      failed(count, { backoffFactor: 0.5, backoffMax: 20 }).getBackoffTime(),
    );
    expect(times).toEqual([0, 0, 1, 2, 4, 8, 20, 20].map((bound) => random * bound));
  });

  test('adds a random part of backoffJitter, within backoffMax', () => {
    const random = vi.spyOn(Math, 'random').mockReturnValueOnce(0.5).mockReturnValueOnce(0.25).mockReturnValue(0.75);
    expect(failed(2, { backoffFactor: 1, backoffJitter: 4 }).getBackoffTime()).toBe(0.5 * 2 + 0.25 * 4);
    expect(failed(2, { backoffFactor: 1, backoffJitter: 4, backoffMax: 3 }).getBackoffTime()).toBe(3);
    expect(random).toHaveBeenCalledTimes(4);
  });

  test('is handed on by new() and increment(), and can be taken back', () => {
    const retry = failed(3, { backoffFactor: 1 });
    expect(retry.backoff).toBe('full-jitter');
    expect(retry.new({ total: 7 }).backoff).toBe('full-jitter');
    expect(retry.new({ backoff: 'exponential' }).getBackoffTime()).toBe(4);
  });

  test('is spread evenly between nothing and the bound', () => {
    const retry = failed(4, { backoffFactor: 1, backoffMax: 5 });
    const quarters = [0, 0, 0, 0];
    for (let draw = 0; draw < 4000; draw++) {
      const quarter = Math.floor(retry.getBackoffTime() / 1.25);
      quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    expect(quarters).toHaveLength(4);
    // The standard deviation of each is 27.
    for (const count of quarters) expect(Math.abs(count - 1000)).toBeLessThan(220);
  });

  test('for any settings: from 0 to the smaller of backoffMax and the formula', () => {
    const options = fc.record({
      backoffFactor: fc.double({ min: 0, max: 1e6, noNaN: true }),
      backoffMax: fc.double({ min: 0, max: 1e6, noNaN: true }),
    });
    fc.assert(
      fc.property(options, fc.integer({ min: 2, max: 40 }), (given, count) => {
        const time = failed(count, given).getBackoffTime();
        expect(time).toBeGreaterThanOrEqual(0);
        expect(time).toBeLessThanOrEqual(Math.min(given.backoffMax, given.backoffFactor * 2 ** (count - 1)));
      }),
    );
  });
});

test.each([
  [120, '120'],
  [undefined, 'undefined'],
  [new Date(0), 'an object (Date)'],
])('Retry.parseRetryAfter() rejects %o, which is no text', (value, shown) => {
  // Deliberately of a wrong type: what JavaScript can pass.
  expect(() => new Retry().parseRetryAfter(value as never)).toThrow(
    new TypeError(`Cannot use Retry-After ${shown}: it must be the text of the field`),
  );
});

describe('Retry.sleep() over a whole series of failures', () => {
  /** Seconds of the fake clock that each sleep takes, failure after failure. */
  async function sleepsOf(start: Retry, failures: number): Promise<number[]> {
    vi.useFakeTimers();
    const slept: number[] = [];
    let retry = start;
    for (let failure = 1; failure <= failures; failure++) {
      retry = retry.increment({ method: 'GET', url: '/', error: connectError });
      const before = performance.now();
      const sleeping = retry.sleep();
      await vi.runAllTimersAsync();
      await sleeping;
      slept.push((performance.now() - before) / 1000);
    }
    return slept;
  }

  test('equals the formula of the reference: the second try at once, then twice as long each time', async () => {
    const slept = await sleepsOf(new Retry({ total: 12, backoffFactor: 0.5 }), 10);
    expect(slept).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 120, 120]);
  });

  test('equals the formula with jitter', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.25);
    expect(await sleepsOf(new Retry({ backoffFactor: 1, backoffJitter: 2, backoffMax: 10 }), 6)).toEqual([
      0, 2.5, 4.5, 8.5, 10, 10,
    ]);
    expect(await sleepsOf(new Retry({ backoffFactor: 1, backoff: 'full-jitter', backoffMax: 10 }), 6)).toEqual([
      0, 0.5, 1, 2, 2.5, 2.5,
    ]);
  });

  test('SEC-114 (urllib3 change 3743): a backoff beyond what a timer takes is slept in slices, and can be aborted', async () => {
    vi.useFakeTimers();
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    const retry = failedBy(new Retry({ total: null, backoffFactor: 1e300, backoffMax: 1e300 }), [
      { error: connectError },
      { error: connectError },
    ]);
    const abort = new AbortController();
    const sleeping = retry.sleep({ signal: abort.signal });
    await vi.advanceTimersByTimeAsync(3 * 2 ** 31);
    expect(setTimer.mock.calls.map(([, ms]) => ms)).toEqual(Array(4).fill(2 ** 31 - 1));
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('Retry.sleep() and sleepForRetry()', () => {
  const failedTwice = failedBy(new Retry(9, { backoffFactor: 1 }), [{ error: connectError }, { error: connectError }]);

  /** How many seconds of the fake clock `sleep` takes. */
  async function secondsOf(sleep: () => Promise<unknown>): Promise<number> {
    vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
    const start = Date.now();
    let end = Number.NaN;
    const slept = sleep().then(() => {
      end = Date.now();
    });
    await vi.runAllTimersAsync();
    await slept;
    return (end - start) / 1000;
  }

  test.each<[string, () => Promise<unknown>, number]>([
    ['the backoff', () => failedTwice.sleep(), 2],
    ['the backoff, for null', () => failedTwice.sleep(null), 2],
    ['the backoff, for a response without Retry-After', () => failedTwice.sleep(response(503)), 2],
    ['Retry-After instead', () => failedTwice.sleep(response(503, { retryAfter: '7' })), 7],
    ['Retry-After, given as an option', () => failedTwice.sleep({ response: response(503, { retryAfter: '7' }) }), 7],
    [
      'the backoff after Retry-After: 0, as in the reference',
      () => failedTwice.sleep(response(503, { retryAfter: '0' })),
      2,
    ],
    ['a date', () => failedTwice.sleep(response(503, { retryAfter: 'Thu, 01 Jan 2026 00:00:09 GMT' })), 9],
    [
      'the backoff, where Retry-After is not respected',
      () => failedTwice.new({ respectRetryAfterHeader: false }).sleep(response(503, { retryAfter: '7' })),
      2,
    ],
    ['nothing', () => new Retry().sleep(), 0],
  ])('sleep() waits for %s', async (_, sleep, wanted) => {
    expect(await secondsOf(sleep)).toBe(wanted);
  });

  test('sleepForRetry() waits for Retry-After only, and says whether it did', async () => {
    vi.useFakeTimers();
    const slept = new Retry().sleepForRetry(response(301, { retryAfter: '3' }));
    await vi.advanceTimersByTimeAsync(3000);
    expect(await slept).toBe(true);
    expect(await failedTwice.sleepForRetry(response(301))).toBe(false);
    expect(await failedTwice.sleepForRetry({ response: response(301, { retryAfter: '0' }) })).toBe(false);
    expect(await failedTwice.sleepForRetry()).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('sleep() of no time sets no timer', async () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    await new Retry().sleep();
    await new Retry().sleep(response(503, { retryAfter: '0' }));
    expect(setTimer).not.toHaveBeenCalled();
  });

  test('sleep() ends at once with the reason of its signal, and leaves no timer and no listener', async () => {
    vi.useFakeTimers();
    const abort = new AbortController();
    const added = vi.spyOn(abort.signal, 'addEventListener');
    const reason = new Error('enough');
    const slept = failedTwice.sleep(response(503, { retryAfter: '60' }), { signal: abort.signal });
    await vi.advanceTimersByTimeAsync(1000);
    expect([vi.getTimerCount(), added.mock.calls.length]).toEqual([1, 1]);
    abort.abort(reason);
    await expect(slept).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('sleep() takes its listener away when the time has passed', async () => {
    vi.useFakeTimers();
    const { signal } = new AbortController();
    const listeners = new Set<unknown>();
    vi.spyOn(signal, 'addEventListener').mockImplementation((_, listener) => void listeners.add(listener));
    vi.spyOn(signal, 'removeEventListener').mockImplementation((_, listener) => void listeners.delete(listener));
    const slept = failedTwice.sleep({ signal });
    await vi.advanceTimersByTimeAsync(0);
    expect(listeners.size).toBe(1);
    await vi.advanceTimersByTimeAsync(2000);
    await slept;
    expect(listeners.size).toBe(0);
  });

  test('sleep() with a signal that is aborted already does not sleep', async () => {
    vi.useFakeTimers();
    const reason = new Error('enough');
    await expect(failedTwice.sleep({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(failedTwice.sleepForRetry(null, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(new Retry().sleep(null, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('sleep() rejects a signal that is none', async () => {
    // Deliberately of a wrong type: what JavaScript can pass.
    await expect(failedTwice.sleep({ signal: {} as never })).rejects.toThrow(
      new TypeError('Cannot use signal an object (Object): it must be an AbortSignal'),
    );
  });

  test('sleep() keeps the process alive', async () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    const abort = new AbortController();
    const slept = failedTwice.sleep({ signal: abort.signal });
    await vi.waitFor(() => expect(setTimer).toHaveBeenCalledOnce());
    expect(setTimer.mock.results[0]?.value.hasRef()).toBe(true);
    abort.abort();
    await expect(slept).rejects.toHaveProperty('name', 'AbortError');
  });
});

test('a subclass that looks at the history it is given sees entries', () => {
  const seen: (string | null)[][] = [];
  class Curious extends Retry {
    constructor(options: RetryOptions = {}) {
      super(options);
      seen.push(Array.from(options.history ?? [], ({ url }) => url));
    }
  }
  new Curious().increment({ url: '/a' }).increment({ url: '/b' });
  expect(seen).toEqual([[], ['/a'], ['/a', '/b']]);
});

describe('inspect() of a Retry', () => {
  test('shows the counts, and the history where there is one', () => {
    const retry = failedBy(new Retry(3), [{ response: response(302, { location: '/x' }) }]);
    expect(inspect(new Retry(3))).toBe('Retry(total=3, connect=null, read=null, redirect=null, status=null)');
    expect(inspect(retry, { breakLength: Number.POSITIVE_INFINITY })).toBe(
      'Retry(total=2, connect=null, read=null, redirect=null, status=null) [ RequestHistory(method="GET", url="/", error=null, status=302, redirectLocation="/x") ]',
    );
  });
});

describe('RequestHistory', () => {
  const entry = new RequestHistory(
    'GET',
    'http://user:s3cret@a/x',
    new Error('bad\ncertificate'),
    302,
    '//u:s3cret@b/',
  );

  test('is a frozen tuple', () => {
    const [method, url, error, status, location] = entry;
    expect([method, url, status, location]).toEqual([entry.method, entry.url, entry.status, entry.redirectLocation]);
    expect(error).toBe(entry.error);
    expect(() => {
      (entry as unknown as { status: number }).status = 1;
    }).toThrow(TypeError);
  });

  test('toString() and inspect() show it on one line, without user-info', () => {
    const shown =
      'RequestHistory(method="GET", url="http://***@a/x", error=Error("bad\\x0acertificate"), status=302, redirectLocation="//***@b/")';
    expect(String(entry)).toBe(shown);
    expect(inspect(entry)).toBe(shown);
    expect(String(new RequestHistory(null, null, null, null, null))).toBe(
      'RequestHistory(method=null, url=null, error=null, status=null, redirectLocation=null)',
    );
    expect(inspect(new Retry({ history: [entry] }), { depth: 9 })).not.toContain('s3cret');
  });
});
