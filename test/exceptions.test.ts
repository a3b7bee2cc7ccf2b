import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectionFromUrl } from '../src/connectionpool.js';
import * as exceptions from '../src/exceptions.js';
import { PoolManager, ProxyManager } from '../src/poolmanager.js';
import { ok, type Peer, reply, startPeer } from './pool-peers.js';

const {
  addCallers,
  annotate,
  ConnectTimeoutError,
  DeadlineExceededError,
  HTTPError,
  HTTPWarning,
  LocationParseError,
  MaxRetryError,
  NameResolutionError,
  NewConnectionError,
  PoolError,
  ProtocolError,
  ReadTimeoutError,
  RequestError,
  RetryBudgetExhaustedError,
  TimeoutError,
} = exceptions;

/** A pool whose options must not be printed. */
const pool = { toString: () => 'HTTPConnectionPool(host="h", port=80)', options: { password: 's3cret' } };

/** Each class, its parents (a second one where the reference has two bases), and one of its objects. */
const TREE: Record<string, { readonly parents: readonly string[]; readonly make: () => Error }> = {
  HTTPError: { parents: ['Error'], make: () => new HTTPError('m') },
  PoolError: { parents: ['HTTPError'], make: () => new PoolError(pool, 'm') },
  ClosedPoolError: { parents: ['PoolError'], make: () => new exceptions.ClosedPoolError(pool, 'm') },
  EmptyPoolError: { parents: ['PoolError'], make: () => new exceptions.EmptyPoolError(pool, 'm') },
  FullPoolError: { parents: ['PoolError'], make: () => new exceptions.FullPoolError(pool, 'm') },
  RequestError: { parents: ['PoolError'], make: () => new RequestError(pool, '/', 'm') },
  MaxRetryError: { parents: ['RequestError'], make: () => new MaxRetryError(pool, '/') },
  HostChangedError: { parents: ['RequestError'], make: () => new exceptions.HostChangedError(pool, '/') },
  TimeoutError: { parents: ['HTTPError'], make: () => new TimeoutError('m') },
  ConnectTimeoutError: { parents: ['TimeoutError'], make: () => new ConnectTimeoutError(pool, 'm') },
  NewConnectionError: { parents: ['ConnectTimeoutError', 'PoolError'], make: () => new NewConnectionError(pool, 'm') },
  DeadlineExceededError: { parents: ['TimeoutError'], make: () => new DeadlineExceededError(2, []) },
  RetryBudgetExhaustedError: { parents: ['MaxRetryError'], make: () => new RetryBudgetExhaustedError(pool, '/') },
  NameResolutionError: { parents: ['NewConnectionError'], make: () => new NameResolutionError('h', pool) },
  ReadTimeoutError: { parents: ['TimeoutError', 'RequestError'], make: () => new ReadTimeoutError(pool, '/', 'm') },
  ProtocolError: { parents: ['HTTPError'], make: () => new ProtocolError('m') },
  ResponseNotChunked: { parents: ['ProtocolError'], make: () => new exceptions.ResponseNotChunked('m') },
  LocationValueError: { parents: ['HTTPError'], make: () => new exceptions.LocationValueError('m') },
  LocationParseError: { parents: ['LocationValueError'], make: () => new LocationParseError('u') },
  URLSchemeUnknown: { parents: ['LocationValueError'], make: () => new exceptions.URLSchemeUnknown('ftp') },
  IncompleteRead: { parents: ['HTTPError'], make: () => new exceptions.IncompleteRead(1, 2) },
  InvalidChunkLength: { parents: ['HTTPError'], make: () => new exceptions.InvalidChunkLength('xyz') },
  InvalidHeader: { parents: ['HTTPError'], make: () => new exceptions.InvalidHeader('m') },
  HeaderParsingError: { parents: ['HTTPError'], make: () => new exceptions.HeaderParsingError([], null) },
  SSLError: { parents: ['HTTPError'], make: () => new exceptions.SSLError('m') },
  ProxyError: { parents: ['HTTPError'], make: () => new exceptions.ProxyError('m') },
  ProxySchemeUnknown: { parents: ['HTTPError'], make: () => new exceptions.ProxySchemeUnknown('ftp') },
  DecodeError: { parents: ['HTTPError'], make: () => new exceptions.DecodeError('m') },
  ResponseError: { parents: ['HTTPError'], make: () => new exceptions.ResponseError('m') },
  BodyNotHttpLibCompatible: { parents: ['HTTPError'], make: () => new exceptions.BodyNotHttpLibCompatible('m') },
  UnrewindableBodyError: { parents: ['HTTPError'], make: () => new exceptions.UnrewindableBodyError('m') },
  TimeoutStateError: { parents: ['HTTPError'], make: () => new exceptions.TimeoutStateError('m') },
  ResponseNotReadError: { parents: ['HTTPError'], make: () => new exceptions.ResponseNotReadError('m') },
  HTTPWarning: { parents: ['Error'], make: () => new HTTPWarning('m') },
  SecurityWarning: { parents: ['HTTPWarning'], make: () => new exceptions.SecurityWarning('m') },
  InsecureRequestWarning: { parents: ['SecurityWarning'], make: () => new exceptions.InsecureRequestWarning('m') },
  InsecurePlatformWarning: { parents: ['SecurityWarning'], make: () => new exceptions.InsecurePlatformWarning('m') },
  SubjectAltNameWarning: { parents: ['SecurityWarning'], make: () => new exceptions.SubjectAltNameWarning('m') },
  SystemTimeWarning: { parents: ['SecurityWarning'], make: () => new exceptions.SystemTimeWarning('m') },
  AuthenticationError: { parents: ['HTTPError'], make: () => new exceptions.AuthenticationError('ntlm', 'm') },
  DependencyWarning: { parents: ['HTTPWarning'], make: () => new exceptions.DependencyWarning('m') },
  SNIMissingWarning: { parents: ['HTTPWarning'], make: () => new exceptions.SNIMissingWarning('m') },
  TimeoutUnitWarning: { parents: ['HTTPWarning'], make: () => new exceptions.TimeoutUnitWarning('m') },
};

type ErrorClass = { readonly name: string; readonly prototype: unknown; [Symbol.hasInstance](value: unknown): boolean };

/** Every exported class by its name; ConnectionError is another name of one of them, and functions have no instances. */
const CLASSES = new Map<string, ErrorClass>(Object.entries(exceptions).filter(isClass));

function isClass(entry: [string, ErrorClass | typeof annotate]): entry is [string, ErrorClass] {
  const [name, value] = entry;
  return name !== 'ConnectionError' && value.prototype instanceof Error;
}

function ancestors(name: string): Set<string> {
  const parents = TREE[name]?.parents ?? [];
  return new Set([name, ...parents.flatMap((parent) => [...ancestors(parent)])]);
}

describe('the tree of errors', () => {
  test('has every class that is exported, and no other', () => {
    expect([...CLASSES.keys()].sort()).toEqual(Object.keys(TREE).sort());
  });

  test.each(Object.keys(TREE))('%s is an instance of exactly its ancestors, and has its name', (name) => {
    const error = TREE[name]?.make();
    if (error === undefined) throw new Error(`no example of ${name}`);
    const wanted = ancestors(name);
    expect(error).toBeInstanceOf(Error);
    for (const [other, errorClass] of CLASSES)
      expect(errorClass[Symbol.hasInstance](error), other).toBe(wanted.has(other));
    expect(error.name).toBe(name);
    expect(String(error)).toBe(`${name}: ${error.message}`);
    expect(error.stack?.startsWith(`${name}: `)).toBe(true);
  });

  test('ConnectionError is ProtocolError', () => {
    expect(exceptions.ConnectionError).toBe(ProtocolError);
  });

  test("instanceof holds for a user's subclass, with both bases of its parent and with no others", () => {
    class MyTimeout extends ReadTimeoutError {}
    class MyPoolError extends PoolError {}
    class MyRequestError extends RequestError {}
    const error = new MyTimeout(pool, '/', 'm');
    expect(error).toBeInstanceOf(MyTimeout);
    for (const parent of [ReadTimeoutError, TimeoutError, RequestError, PoolError, HTTPError]) {
      expect(error).toBeInstanceOf(parent);
    }
    // A class below the second base is not a base: nothing said that this error is one of those.
    expect(error).not.toBeInstanceOf(MyPoolError);
    expect(error).not.toBeInstanceOf(MyRequestError);
    expect(error).not.toBeInstanceOf(MaxRetryError);
    expect(new ReadTimeoutError(pool, '/', 'm')).not.toBeInstanceOf(MyTimeout);
    expect(new MyPoolError(pool, 'm')).toBeInstanceOf(PoolError);
    expect(new PoolError(pool, 'm')).not.toBeInstanceOf(MyPoolError);
  });

  test.each([null, undefined, 7, 'error', {}, new Error('plain'), Object.create(null)])(
    '%o is no HTTPError',
    (value) => {
      expect(HTTPError[Symbol.hasInstance](value)).toBe(false);
      expect(PoolError[Symbol.hasInstance](value)).toBe(false);
    },
  );

  test('a name survives the renaming of classes, and may be set on an object', () => {
    expect(Object.getOwnPropertyDescriptor(HTTPError.prototype, 'name')).toEqual({
      value: 'HTTPError',
      writable: true,
      enumerable: false,
      configurable: true,
    });
    const error = new HTTPError('m');
    error.name = 'Mine';
    expect(String(error)).toBe('Mine: m');
  });
});

describe('HTTPError', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

  test('has a cause only if it was given one', () => {
    expect('cause' in new HTTPError('m')).toBe(false);
    expect(new HTTPError('m', { cause: refused }).cause).toBe(refused);
    expect(new HTTPError().message).toBe('');
  });

  test('code is that of the nearest cause which has one', () => {
    const chain = new HTTPError('a', { cause: new ProtocolError('b', { cause: new Error('c', { cause: refused }) }) });
    expect(chain.code).toBe('ECONNREFUSED');
    expect(new MaxRetryError(pool, '/', { reason: new NewConnectionError(pool, 'm', { cause: refused }) }).code).toBe(
      'ECONNREFUSED',
    );
    expect(new HTTPError('m').code).toBeUndefined();
    expect(new HTTPError('m', { cause: 'text' }).code).toBeUndefined();
    expect(new HTTPError('m', { cause: Object.assign(new Error('n'), { code: 7 }) }).code).toBeUndefined();
  });

  test('code ends on causes that go round, and does not look far', () => {
    const first = new Error('a');
    first.cause = new Error('b', { cause: first });
    expect(new HTTPError('m', { cause: first }).code).toBeUndefined();
    let deep: Error = refused;
    for (let i = 0; i < 20; i++) deep = new Error('wrapped', { cause: deep });
    expect(new HTTPError('m', { cause: deep }).code).toBeUndefined();
  });
});

describe('what an error carries', () => {
  test.each<[string, Error & { pool: unknown }]>([
    ['PoolError', new PoolError(pool, 'm')],
    ['RequestError', new RequestError(pool, '/', 'm')],
    ['MaxRetryError', new MaxRetryError(pool, '/')],
    ['ReadTimeoutError', new ReadTimeoutError(pool, '/', 'm')],
    ['ConnectTimeoutError', new ConnectTimeoutError(pool, 'm')],
    ['NameResolutionError', new NameResolutionError('h', pool)],
  ])('%s has its pool, prints its text, and hides the rest of it', (_, error) => {
    expect(error.pool).toBe(pool);
    expect(error.message.startsWith('HTTPConnectionPool(host="h", port=80): ')).toBe(true);
    expect(Object.keys(error)).not.toContain('pool');
    expect(inspect(error, { depth: 9, showHidden: false })).not.toContain('s3cret');
    expect(JSON.stringify(error)).not.toContain('s3cret');
  });

  test('ConnectTimeoutError and its kind do without a pool', () => {
    expect(new ConnectTimeoutError(null, 'm')).toMatchObject({ pool: null, message: 'm' });
    const resolution = new NameResolutionError('nx.example', null, { cause: new Error('getaddrinfo ENOTFOUND') });
    expect(resolution).toMatchObject({ pool: null, host: 'nx.example' });
    expect(resolution.message).toBe('Failed to resolve "nx.example" (getaddrinfo ENOTFOUND)');
  });

  test('MaxRetryError has its reason, which is the cause', () => {
    const reason = new exceptions.ResponseError('too many redirects');
    const error = new MaxRetryError(pool, 'http://user:s3cret@h/', { reason });
    expect([error.reason, error.cause, error.url]).toEqual([reason, reason, 'http://***@h/']);
    expect(error.message).toBe(
      `${pool}: Max retries exceeded with url: http://***@h/ (Caused by ResponseError: too many redirects)`,
    );
    const bare = new MaxRetryError(pool, '/');
    expect([bare.reason, 'cause' in bare]).toEqual([null, false]);
    expect(bare.message).toBe(`${pool}: Max retries exceeded with url: / (Caused by null)`);
    const other = new Error('other');
    expect(new MaxRetryError(pool, '/', { reason, cause: other }).cause).toBe(other);
  });

  test('HostChangedError has the retries that were left', () => {
    const error = new exceptions.HostChangedError(pool, 'http://user:s3cret@h/', { retries: 7 });
    expect(error.retries).toBe(7);
    expect(error.message).toBe(`${pool}: Tried to open a foreign host with url: http://***@h/`);
    expect(new exceptions.HostChangedError(pool, '/').retries).toBe(3);
  });

  test('LocationParseError has the location as given, and shows it without user-info', () => {
    const error = new LocationParseError('http://user:s3cret@[/');
    expect(error.location).toBe('http://user:s3cret@[/');
    expect(error.message).toBe('Failed to parse: "http://***@[/"');
    expect(inspect(error)).not.toContain('s3cret');
    expect(new LocationParseError('x', { detail: 'no host' }).message).toBe('Failed to parse: "x": no host');
  });

  test.each<[Error, object, string]>([
    [
      new exceptions.URLSchemeUnknown('ftp'),
      { scheme: 'ftp' },
      'Not supported URL scheme "ftp": it must be "http" or "https"',
    ],
    [new exceptions.ProxySchemeUnknown('ftp'), { scheme: 'ftp' }, 'Not supported proxy scheme "ftp"'],
    [new exceptions.ProxySchemeUnknown(null), { scheme: null }, 'Not supported proxy scheme null'],
    [new exceptions.IncompleteRead(3, 7), { partial: 3, expected: 7 }, 'IncompleteRead(3 bytes read, 7 more expected)'],
    [
      new exceptions.IncompleteRead(3, null),
      { partial: 3, expected: null },
      'IncompleteRead(3 bytes read, an unknown number of more expected)',
    ],
    [new exceptions.InvalidChunkLength('x\n'), { length: 'x\n' }, 'InvalidChunkLength(got length "x\\x0a")'],
    [
      new exceptions.HeaderParsingError(['a', new Error('b')], 'rest\n'),
      { defects: ['a', new Error('b')], unparsedData: 'rest\n' },
      'a, Error: b, unparsed data: "rest\\x0a"',
    ],
    [new exceptions.HeaderParsingError([], null), { defects: [], unparsedData: null }, 'Unknown, unparsed data: null'],
  ])('%s', (error, attributes, message) => {
    expect(error).toMatchObject(attributes);
    expect(error.message).toBe(message);
  });

  test('ResponseError has the texts of the reference', () => {
    expect(exceptions.ResponseError.GENERIC_ERROR).toBe('too many error responses');
    expect(exceptions.ResponseError.SPECIFIC_ERROR).toBe('too many {statusCode} error responses');
  });
});

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), {
  code: 'ECONNREFUSED',
  syscall: 'connect',
  address: '127.0.0.1',
  port: 1,
});

describe('where an error happened', () => {
  test('is null as long as nobody said it, and is not printed then', () => {
    const error = new HTTPError('m', { cause: refused });
    expect([error.phase, error.address]).toEqual([null, null]);
    expect(Object.keys(error)).toEqual([]);
  });

  test('annotate() says it once: what is known is kept', () => {
    const error = new ProtocolError('m');
    annotate(error, { phase: 'wait' });
    annotate(error, { phase: 'content', address: '127.0.0.1:8080' });
    annotate(error, { phase: null, address: '127.0.0.1:9' });
    expect([error.phase, error.address]).toEqual(['wait', '127.0.0.1:8080']);
    expect(inspect(error)).toMatch(/phase: 'wait',\s+address: '127.0.0.1:8080'/);
  });

  test('annotate() leaves alone what is not ours', () => {
    const foreign = new Error('x');
    annotate(foreign, { phase: 'wait' });
    annotate(undefined, { phase: 'wait' });
    expect('phase' in foreign).toBe(false);
  });

  test('is that of the cause, told before or after, unless the error has its own', () => {
    const reason = new NewConnectionError(pool, 'm', { cause: refused });
    const error = new MaxRetryError(pool, '/', { reason });
    annotate(reason, { phase: 'connect', address: '127.0.0.1:1' });
    expect([error.phase, error.address]).toEqual(['connect', '127.0.0.1:1']);
    annotate(error, { phase: 'queue', address: 'x' });
    expect([error.phase, error.address]).toEqual(['connect', '127.0.0.1:1']);
    const wrapped = new exceptions.ProxyError('m', { cause: reason, phase: 'proxy', address: '[::1]:3128' });
    expect([wrapped.phase, wrapped.address]).toEqual(['proxy', '[::1]:3128']);
  });
});

describe('addCallers()', () => {
  /** Rejects with an error that was made in an event, whose stack knows nobody of ours. */
  async function failInEvent(make: () => Error): Promise<never> {
    try {
      return await new Promise<never>((_, reject) => setImmediate(() => reject(make())));
    } catch (error) {
      addCallers(error);
      throw error;
    }
  }

  async function theCallerWhoWaits(make: () => Error): Promise<unknown> {
    try {
      return await failInEvent(make);
    } catch (error) {
      return error;
    }
  }

  test('M15: an error of a socket event shows the line of whoever called, once', async () => {
    const error = await theCallerWhoWaits(() => new ProtocolError('m'));
    if (!(error instanceof ProtocolError)) throw error;
    expect(error.stack).toMatch(/^ProtocolError: m\n/);
    expect(error.stack).toMatch(/exceptions\.test\.ts/);
    expect(error.stack?.split('theCallerWhoWaits')).toHaveLength(2);
    const { stack } = error;
    await theCallerWhoWaits(() => error);
    expect(error.stack?.split('failInEvent')).toHaveLength(2);
    expect(error.stack?.startsWith(stack ?? 'none')).toBe(true);
  });

  test('leaves alone foreign errors and those without a stack', async () => {
    const foreign = new Error('x');
    const { stack } = foreign;
    expect(await theCallerWhoWaits(() => foreign)).toBe(foreign);
    expect(foreign.stack).toBe(stack);
    const bare = new HTTPError('m');
    Object.defineProperty(bare, 'stack', { value: undefined });
    await theCallerWhoWaits(() => bare);
    expect(bare.stack).toBeUndefined();
  });

  test('leaves stacks that a program has prepared as something else', async () => {
    const error = new HTTPError('m');
    expect(error.stack).toContain('HTTPError: m');
    const { prepareStackTrace } = Error;
    Error.prepareStackTrace = (_error, sites) => sites;
    try {
      expect(await theCallerWhoWaits(() => error)).toBe(error);
    } finally {
      Error.prepareStackTrace = prepareStackTrace;
    }
  });

  test('adds nothing where stacks are switched off', async () => {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      const error = await theCallerWhoWaits(() => new HTTPError('m'));
      expect(String(Reflect.get(Object(error), 'stack'))).toBe('HTTPError: m');
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  });
});

describe('MaxRetryError', () => {
  const attempts = [
    { method: 'GET', url: 'http://user:s3cret@h/', error: refused, status: null, redirectLocation: null },
    { method: 'GET', url: null, error: null, status: 302, redirectLocation: 'http://user:s3cret@h/b' },
  ];

  test('lists its attempts, frozen and without user-info, and does not print them', () => {
    const error = new MaxRetryError(pool, '/', { attempts });
    expect(error.attempts).toEqual([
      { ...attempts[0], url: 'http://***@h/' },
      { ...attempts[1], redirectLocation: 'http://***@h/b' },
    ]);
    expect([Object.isFrozen(error.attempts), Object.isFrozen(error.attempts[0])]).toEqual([true, true]);
    expect(Object.keys(error)).toEqual(['url']);
    expect(new MaxRetryError(pool, '/').attempts).toEqual([]);
  });

  test('RetryBudgetExhaustedError is one, and says that the budget forbids it', () => {
    const reason = new ProtocolError('reset');
    const error = new RetryBudgetExhaustedError(pool, '/a', { reason, attempts });
    expect(error).toBeInstanceOf(MaxRetryError);
    expect([error.reason, error.attempts.length]).toEqual([reason, 2]);
    expect(error.message).toBe(
      `${pool}: Retry forbidden by the retry budget, with url: /a (Caused by ProtocolError: reset)`,
    );
  });
});

describe('DeadlineExceededError', () => {
  const first = {
    method: 'GET',
    url: 'http://user:s3cret@a/',
    phases: [
      { phase: 'resolve', seconds: 0.001 },
      { phase: 'connect', seconds: 0.004 },
      { phase: 'wait', seconds: 0.995 },
      { phase: 'backoff', seconds: 0.5 },
    ],
    outcome: 'ReadTimeoutError',
  } as const;
  const last = { method: 'GET', url: 'http://a/', phases: [{ phase: 'wait', seconds: 0.5 }], outcome: '' } as const;

  test('says what each phase of each attempt took, and has it as data', () => {
    const error = new DeadlineExceededError(2, [first, last]);
    expect(error.message).toBe(
      'Deadline of 2 s exceeded after 2 attempts: GET http://***@a/ ' +
        '[resolve 0.001, connect 0.004, wait 0.995: ReadTimeoutError], backoff 0.500, GET http://a/ [wait 0.500]',
    );
    expect([error.deadline, error.phase]).toEqual([2, 'wait']);
    expect(error.bill).toEqual([{ ...first, url: 'http://***@a/' }, last]);
    expect(Object.isFrozen(error.bill[0]?.phases[0])).toBe(true);
    expect(error).toBeInstanceOf(TimeoutError);
  });

  test('has the phase in which it fired, if that was one of an attempt', () => {
    expect(new DeadlineExceededError(2, [first]).phase).toBeNull();
    expect(new DeadlineExceededError(2, [first], { phase: 'queue' }).phase).toBe('queue');
    expect(new DeadlineExceededError(2, []).phase).toBeNull();
  });

  test('does without attempts, and counts one as one', () => {
    expect(new DeadlineExceededError(0.25, []).message).toBe('Deadline of 0.25 s exceeded after 0 attempts');
    expect(new DeadlineExceededError(1, [last]).message).toBe(
      'Deadline of 1 s exceeded after 1 attempt: GET http://a/ [wait 0.500]',
    );
  });

  test('shows the first and the last three attempts of many, and long URLs cut', () => {
    const bill = Array.from({ length: 20 }, (_, i) => ({ ...first, url: `http://a/${i}${'x'.repeat(1_000)}` }));
    const error = new DeadlineExceededError(2, bill);
    expect(error.message).toMatch(/a\/0x+\.\.\. .*a\/1x.*a\/2x.*, \.\.\. 14 more \.\.\., .*a\/17x.*a\/18x.*a\/19x/);
    expect(error.message).not.toMatch(/a\/[3-9]x|a\/1[0-6]x/);
    expect(error.message.length).toBeLessThan(2_500);
    expect(error.bill).toHaveLength(20);
  });
});

describe('HTTPError.toJSON()', () => {
  test('is plain data of the error and its causes, without stacks', () => {
    const reason = new NewConnectionError(pool, 'Failed', { cause: refused, phase: 'connect', address: '127.0.0.1:1' });
    const attempts = [{ method: 'GET', url: '/a', error: reason, status: null, redirectLocation: null }];
    const error = new MaxRetryError(pool, '/a', { reason, attempts });
    const where = { code: 'ECONNREFUSED', phase: 'connect', address: '127.0.0.1:1' };
    const shownReason = { name: 'NewConnectionError', message: reason.message, code: 'ECONNREFUSED' };
    expect(JSON.parse(JSON.stringify({ error })).error).toEqual({
      name: 'MaxRetryError',
      message: error.message,
      ...where,
      url: '/a',
      attempts: [{ ...attempts[0], error: shownReason }],
      cause: {
        ...shownReason,
        ...where,
        cause: { name: 'Error', message: refused.message, code: 'ECONNREFUSED', cause: null },
      },
    });
  });

  test('has the URL of errors about one, and the bill of a deadline', () => {
    expect(new ReadTimeoutError(pool, 'http://user:s3cret@h/', 'm').toJSON()).toEqual({
      name: 'ReadTimeoutError',
      message: `${pool}: m`,
      code: null,
      phase: null,
      address: null,
      url: 'http://***@h/',
      cause: null,
    });
    const bill = [{ method: 'GET', url: '/', phases: [{ phase: 'wait', seconds: 1 }], outcome: '' }] as const;
    expect(new DeadlineExceededError(1, bill).toJSON()).toMatchObject({ deadline: 1, bill });
    expect(
      new MaxRetryError(pool, '/', {
        attempts: [{ method: 'GET', url: '/', error: null, status: 500, redirectLocation: null }],
      }).toJSON().attempts,
    ).toEqual([{ method: 'GET', url: '/', error: null, status: 500, redirectLocation: null }]);
  });

  test('ends on causes that go round, and after eight of them', () => {
    const round = new Error('a');
    round.cause = new HTTPError('b', { cause: round });
    expect(new HTTPError('m', { cause: round }).toJSON()).toMatchObject({
      cause: { message: 'a', cause: { message: 'b', cause: null } },
    });
    let deep: Error = refused;
    for (let i = 0; i < 20; i++) deep = new Error(`wrapped ${i}`, { cause: deep });
    expect(JSON.stringify(new HTTPError('m', { cause: deep })).match(/wrapped/g)).toHaveLength(8);
  });

  test.each([
    ['text\n', { name: 'string', message: '"text\\x0a"' }],
    [null, { name: 'object', message: 'null' }],
    [{ password: 's3cret' }, { name: 'object', message: 'an object (Object)' }],
    [
      Object.assign(new Error('of http://user:s3cret@h/\n'), { code: 7 }),
      { name: 'Error', message: 'of http://***@h/\\x0a' },
    ],
  ])('shows the cause %o without what is in it', (cause, shown) => {
    expect(new HTTPError('m', { cause }).toJSON().cause).toEqual({ ...shown, code: null, cause: null });
  });

  test.each(Object.keys(TREE))('%s survives JSON and structuredClone, without stack or pool', (name) => {
    const error = TREE[name]?.make();
    if (error === undefined) throw new Error(`no example of ${name}`);
    const text = JSON.stringify(error);
    expect(JSON.parse(text)).toMatchObject({ name, message: error.message });
    expect(text).not.toMatch(/s3cret|stack|exceptions\.test/);
    expect(structuredClone(error)).toMatchObject({ message: error.message, stack: error.stack });
    expect(inspect(error, { depth: 10 })).not.toContain('s3cret');
  });
});

test('SEC-118: a message is one line of bounded length without user-info, whoever made it', () => {
  const error = new ProtocolError(`bad http://user:s3cret@h/\r\nforged\u202e ${'x'.repeat(1_000_000)}`);
  expect(error.message).toMatch(/^bad http:\/\/\*\*\*@h\/\\x0d\\x0aforged\\u202e x+\.\.\. \(\d+ characters\)$/);
  expect(error.message.length).toBeLessThan(5_000);
  const unresolved = new NameResolutionError('h', null, { cause: new Error('lookup by http://u:s3cret@dns\n failed') });
  expect(unresolved.message).toBe('Failed to resolve "h" (lookup by http://***@dns\\x0a failed)');
});

test('LocationParseError shows nothing of a password that ended the authority', () => {
  for (const location of ['http://user:s3/cret@h/', 'http://user:s3#cret@h', 'user:s3?cret@h']) {
    expect(new LocationParseError(location).message).toMatch(/^Failed to parse: "(http:\/\/)?\*\*\*@h\/?"$/);
  }
});

test('SSLError does not print the certificate that Node hangs on its cause', () => {
  const cause = Object.assign(new Error('wrong name'), { cert: { raw: Buffer.from('x') }, code: 'ERR_TLS' });
  const error = new exceptions.SSLError('m', { cause });
  expect(inspect(error, { depth: 10 })).not.toContain('Buffer');
  expect([cause.cert.raw.length, error.code]).toEqual([1, 'ERR_TLS']);
  expect(new exceptions.SSLError().message).toBe('');
});

describe('the error of a request', () => {
  let peer: Peer;
  beforeAll(async () => {
    peer = await startPeer(({ method, target }, socket) => {
      if (method === 'CONNECT') return target.startsWith('no.') ? reply(407) : 'HTTP/1.1 200 OK\r\n\r\nnot TLS';
      if (target === '/reset') socket.resetAndDestroy();
      if (target === '/short') socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
      if (target === '/half') return 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc';
      return target === '/ok' ? ok() : undefined;
    });
  });
  afterAll(() => peer[Symbol.asyncDispose]());

  type Attempt = (options: { readonly retries: false | number }) => Promise<unknown>;

  /** What is asked for, the phase that it fails in, and the peer that it names: `peer` is ours, null none, `any` either. */
  const CASES: [name: string, phase: exceptions.Phase, address: string | null, attempt: Attempt][] = [
    [
      'a refused connection',
      'connect',
      '127.0.0.1:1',
      (o) => new PoolManager().request('GET', 'http://127.0.0.1:1/', o),
    ],
    ['a reset', 'wait', 'peer', (o) => new PoolManager().request('GET', `${peer.url}/reset`, o)],
    [
      'a silent peer',
      'wait',
      'peer',
      (o) => new PoolManager().request('GET', `${peer.url}/silent`, { ...o, timeout: 0.05 }),
    ],
    ['a short body', 'content', 'peer', (o) => new PoolManager().request('GET', `${peer.url}/short`, o)],
    [
      'a body that stalls',
      'content',
      'peer',
      (o) => new PoolManager().request('GET', `${peer.url}/half`, { ...o, timeout: 0.05 }),
    ],
    [
      'a name without address',
      'resolve',
      null,
      (o) => {
        const pool = connectionFromUrl('http://nx.example/', {
          lookup: (_name, _options, done) => done(refused, '', 4),
        });
        return pool.request('GET', '/', o);
      },
    ],
    [
      'a pool without a free connection',
      'queue',
      null,
      async (o) => {
        await using busy = connectionFromUrl(peer.url, { block: true, maxsize: 1 });
        await using _held = await busy.request('GET', '/half', { preloadContent: false });
        return await busy.request('GET', '/ok', { ...o, poolTimeout: 0.01 });
      },
    ],
    [
      'a proxy that refuses a tunnel',
      'proxy',
      'peer',
      (o) => new ProxyManager(peer.url).request('GET', 'https://no.example/', o),
    ],
    ['a peer without TLS', 'tls', 'peer', (o) => new ProxyManager(peer.url).request('GET', 'https://tls.example/', o)],
  ];

  /** The one whose line must be in the stack (M15). */
  async function whoeverAsked(attempt: Attempt, retries: false | number): Promise<unknown> {
    try {
      return await attempt({ retries });
    } catch (error) {
      return error;
    }
  }

  test.each(CASES)('%s: says phase %s and address %s, and whose request it was', async (_, phase, address, attempt) => {
    for (const retries of [false, 0] as const) {
      const error = await whoeverAsked(attempt, retries);
      if (!(error instanceof HTTPError)) throw error;
      const ours = `127.0.0.1:${peer.port}`;
      expect(error.phase).toBe(phase);
      expect(error.address).toBe(address === 'peer' ? ours : address);
      expect(error.stack).toContain('whoeverAsked');
    }
  });
});
