import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import * as exceptions from '../src/exceptions.js';

const {
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
