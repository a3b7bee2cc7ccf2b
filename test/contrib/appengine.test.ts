/**
 * AppEngineManager against a server that speaks URLFetch's protocol: what the manager of the reference does, line by line.
 * Where it differs on purpose, the name of the test says so.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import {
  AppEngineManager,
  type AppEngineManagerOptions,
  AppEnginePlatformError,
  AppEnginePlatformWarning,
  type URLFetch,
  URLFetchBridge,
  URLFetchError,
  type URLFetchRequest,
  withAppengineRequest,
} from '../../src/contrib/appengine.js';
import {
  DeadlineExceededError,
  DecodeError,
  HTTPError,
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  ProtocolError,
  SSLError,
  TimeoutError,
  URLSchemeUnknown,
} from '../../src/exceptions.js';
import { HTTPHeaderDict } from '../../src/headers.js';
import { RequestMethods } from '../../src/request.js';
import { HTTPResponse } from '../../src/response.js';
import { startHttpbin } from '../../src/testing/index.js';
import { Retry } from '../../src/util/retry.js';
import { Timeout } from '../../src/util/timeout.js';
import { testCertificate } from '../pool-peers.js';
import { type Answer, type RemoteCall, startUrlfetchServer, type UrlfetchServer } from '../support/urlfetch-server.js';

const VARIABLES = ['API_HOST', 'API_PORT', 'DEFAULT_TICKET', 'APPENGINE_RUNTIME', 'SERVER_SOFTWARE', 'GAE_VM'];
const URL_ = 'http://example.com/';
const LIMIT = 33_554_432;

const opened: AsyncDisposable[] = [];
let warnings: MockInstance<typeof process.emitWarning>;

beforeEach(() => {
  for (const name of VARIABLES) vi.stubEnv(name, undefined);
  warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

type Script = Answer | readonly Answer[] | ((call: RemoteCall) => Answer | Promise<Answer>);

/** A service that answers as it is told; a list is answered one by one, its last again and again. */
async function service(script?: Script): Promise<UrlfetchServer> {
  const list = Array.isArray(script) ? [...script] : [script];
  const next = (): Answer => (list.length > 1 ? list.shift() : list[0]);
  const server = await startUrlfetchServer(
    typeof script === 'function' ? script : script === undefined ? undefined : next,
  );
  opened.push(server);
  return server;
}

function managerOf({ host, port }: UrlfetchServer, options: AppEngineManagerOptions = {}): AppEngineManager {
  vi.stubEnv('API_HOST', host);
  vi.stubEnv('API_PORT', String(port));
  const manager = new AppEngineManager(options);
  opened.push(manager);
  warnings.mockClear();
  return manager;
}

/** A manager of a service that answers so. */
async function answered(script: Script, options: AppEngineManagerOptions = {}) {
  const server = await service(script);
  return { server, http: managerOf(server, options) };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

function warned(): string[] {
  return warnings.mock.calls.map(([warning]) => {
    expect(warning).toBeInstanceOf(AppEnginePlatformWarning);
    return warning instanceof Error ? warning.message : '';
  });
}

const OK: Answer = { status: 200, content: 'ok' };
const redirectTo = (location: string, status = 302): Answer => ({ status, headers: [['Location', location]] });

describe('new AppEngineManager()', () => {
  test('raises AppEnginePlatformError where URLFetch is not available', () => {
    expect(() => new AppEngineManager()).toThrow(AppEnginePlatformError);
    expect(() => new AppEngineManager()).toThrow('URLFetch is not available in this environment');
    expect(() => new AppEngineManager()).toThrow(HTTPError);
    expect(warnings).not.toHaveBeenCalled();
  });

  test('raises AppEnginePlatformError on managed VMs, and names what to use there', () => {
    vi.stubEnv('GAE_VM', 'true');
    vi.stubEnv('API_HOST', 'api.test');
    expect(() => new AppEngineManager()).toThrow(AppEnginePlatformError);
    expect(() => new AppEngineManager()).toThrow('Use a PoolManager in place of AppEngineManager');
  });

  test('is made in the sandbox, with API_HOST, with a ticket, or with a service of one’s own', () => {
    expect(withAppengineRequest({ 'X-Appengine-API-Ticket': 'x' }, () => new AppEngineManager())).toBeDefined();
    expect(new AppEngineManager({ urlfetch: new URLFetchBridge() })).toBeDefined();
    vi.stubEnv('APPENGINE_RUNTIME', 'python27');
    vi.stubEnv('SERVER_SOFTWARE', 'Google App Engine/1.9');
    expect(new AppEngineManager()).toBeDefined();
  });

  test('warns each time, and says where to read on', () => {
    vi.stubEnv('API_HOST', 'api.test');
    new AppEngineManager();
    new AppEngineManager();
    expect(warned()).toHaveLength(2);
    expect(warned()[0]).toContain('using URLFetch on Google App Engine instead of sockets');
    expect(warned()[0]).toContain('docs/app-engine.md');
  });

  test('has the defaults of the reference', () => {
    const http = new AppEngineManager({ urlfetch: new URLFetchBridge() });
    expect(http).toBeInstanceOf(RequestMethods);
    expect(http).toMatchObject({ validateCertificate: true, urlfetchRetries: true });
    expect(http.retries).toBe(Retry.DEFAULT);
    expect(http.headers.size).toBe(0);
    expect(String(http)).toBe('AppEngineManager()');
  });

  test('unlike the reference, does not take retries: false or 0 for the default', () => {
    const urlfetch = new URLFetchBridge();
    expect(new AppEngineManager({ urlfetch, retries: false }).retries.total).toBe(false);
    expect(new AppEngineManager({ urlfetch, retries: 0 }).retries.total).toBe(0);
    expect(new AppEngineManager({ urlfetch, retries: null }).retries.total).toBeNull();
    expect(new AppEngineManager({ urlfetch, retries: 7 }).retries.total).toBe(7);
  });

  test.each([
    [{ validateCertificate: 1 }, 'Cannot use validateCertificate 1: it must be true or false'],
    [{ urlfetchRetries: 'yes' }, 'Cannot use urlfetchRetries "yes"'],
    [{ urlfetch: 'fetch' }, 'Cannot use urlfetch "fetch": it must be an object with fetch()'],
    [{ urlfetch: {} }, 'Cannot use urlfetch an object (Object)'],
    [{ numPools: 3 }, 'Cannot use option "numPools": an App Engine manager has no such option'],
    [{ retries: 'x' }, 'x'],
  ])('refuses %j', (options, why) => {
    vi.stubEnv('API_HOST', 'api.test');
    expect(() => Reflect.construct(AppEngineManager, [options])).toThrow(TypeError);
    expect(() => Reflect.construct(AppEngineManager, [options])).toThrow(why);
  });
});

describe('AppEngineManager as a resource', () => {
  test('is itself in `await using`, lets errors pass, and can be used after close()', async () => {
    const server = await service(OK);
    let http: AppEngineManager | undefined;
    const error = await rejection(
      (async () => {
        await using inner = managerOf(server);
        http = inner;
        await inner.request('GET', URL_);
        throw new Error('out');
      })(),
    );
    expect(error).toMatchObject({ message: 'out' });
    expect((await http?.request('GET', URL_))?.status).toBe(200);
    expect(server.connections).toBe(2);
  });

  test('does not close a service that it was given', async () => {
    const close = vi.fn();
    const fetch = async () => ({ statusCode: 200, headers: [], content: Buffer.from('mine') });
    const http = new AppEngineManager({ urlfetch: { fetch, close } });
    http.close();
    expect(close).not.toHaveBeenCalled();
    expect((await http.request('GET', URL_)).data.toString()).toBe('mine');
  });
});

describe('AppEngineManager.urlopen() asks', () => {
  test('once for a request, with URL, payload, method, headers, redirects, deadline and certificate', async () => {
    const { server, http } = await answered(OK);
    await http.urlopen('POST', 'HTTP://Example.com:80/a b?q#f', { body: 'hi', headers: { A: ['1', '2'], B: 3 } });
    expect(server.calls).toHaveLength(1);
    expect(server.calls[0]).toMatchObject({
      method: 'POST',
      url: 'http://example.com:80/a%20b?q',
      payload: Buffer.from('hi'),
      headers: [
        ['A', '1'],
        ['A', '2'],
        ['B', '3'],
      ],
      followRedirects: true,
      deadline: null,
      validateCertificate: true,
    });
  });

  test('without verification where that is said', async () => {
    const { server, http } = await answered(OK, { validateCertificate: false });
    await http.request('GET', 'https://example.com/');
    expect(server.calls[0]?.validateCertificate).toBe(false);
  });

  test('with the headers of the manager where a request brings none; unlike the reference, in urlopen() too', async () => {
    const { server, http } = await answered(OK, { headers: { A: 'manager' } });
    await http.request('GET', URL_);
    await http.urlopen('GET', URL_);
    await http.request('GET', URL_, { headers: { B: 'own' } });
    await http.request('GET', URL_, { headers: null });
    expect(server.calls.map(({ headers }) => headers)).toEqual([
      [['A', 'manager']],
      [['A', 'manager']],
      [['B', 'own']],
      [['A', 'manager']],
    ]);
  });

  test.each(['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'PATCH'])('by %s, in capitals', async (method) => {
    const { server, http } = await answered(OK);
    await http.urlopen(method.toLowerCase(), URL_);
    expect(server.calls[0]?.method).toBe(method);
  });

  test.each(['OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'options'])(
    'not by %s: AppEnginePlatformError',
    async (method) => {
      const { server, http } = await answered(OK);
      const error = await rejection(http.urlopen(method, URL_));
      expect(error).toBeInstanceOf(AppEnginePlatformError);
      expect(String(error)).toContain(`URLFetch does not support method: ${method}`);
      expect(server.calls).toHaveLength(0);
    },
  );

  test('with fields, forms and JSON as every request', async () => {
    const { server, http } = await answered(OK);
    await http.request('GET', URL_, { fields: { a: '1' } });
    await http.request('POST', URL_, { fields: { a: '1' }, encodeMultipart: false });
    await http.request('PUT', URL_, { json: { a: 1 } });
    await http.request('PATCH', URL_, { json: 1, headers: { 'content-type': 'application/merge-patch+json' } });
    expect(server.calls.map(({ url, payload, headers }) => [url, payload?.toString(), headers])).toEqual([
      ['http://example.com/?a=1', undefined, []],
      [URL_, 'a=1', [['Content-Type', 'application/x-www-form-urlencoded']]],
      [URL_, '{"a":1}', [['Content-Type', 'application/json']]],
      [URL_, '1', [['content-type', 'application/merge-patch+json']]],
    ]);
  });

  test('with all of a stream, and with nothing for an empty body', async () => {
    const { server, http } = await answered(OK);
    await http.request('POST', URL_, { body: Readable.from(['a', 'b']) });
    await http.request('POST', URL_, { body: '' });
    await http.request('DELETE', URL_, { body: '' });
    expect(server.calls.map(({ payload }) => payload?.toString())).toEqual(['ab', undefined, undefined]);
  });

  test.each(['GET', 'HEAD', 'DELETE'])('no %s with content, which the service would drop', async (method) => {
    const { server, http } = await answered(OK);
    const body = new Readable({ read() {} });
    for (const content of ['x', body]) {
      const error = await rejection(http.request(method, URL_, { body: content }));
      expect(error).toBeInstanceOf(AppEnginePlatformError);
      expect(String(error)).toContain(`URLFetch sends no content with ${method}`);
    }
    expect(body.destroyed).toBe(true);
    expect(server.calls).toHaveLength(0);
  });

  test('no content of more than 10 MB: AppEnginePlatformError before the call', async () => {
    const { server, http } = await answered(OK);
    expect((await http.request('POST', URL_, { body: Buffer.alloc(10_485_760) })).status).toBe(200);
    const error = await rejection(http.request('POST', URL_, { body: Buffer.alloc(10_485_761) }));
    expect(error).toBeInstanceOf(AppEnginePlatformError);
    expect(String(error)).toContain('too large');
    expect(server.calls.map(({ payload }) => payload?.length)).toEqual([10_485_760]);
  });

  test.each<[string, unknown]>([
    ['/path', LocationValueError],
    ['example.com', LocationValueError],
    ['http://', LocationValueError],
    ['ftp://example.com/', URLSchemeUnknown],
    ['http://a b/', LocationParseError],
  ])('nothing for %j', async (url, wanted) => {
    const { server, http } = await answered(OK);
    expect(await rejection(http.request('GET', url))).toBeInstanceOf(wanted);
    expect(server.calls).toHaveLength(0);
  });

  test.each([
    [{ headers: { A: 'x\r\ny' } }, HTTPError],
    [{ timeout: 0 }, RangeError],
    [{ timeout: 'x' }, TypeError],
    [{ poolTimeout: 1 }, TypeError],
    [{ chunked: true }, TypeError],
    [{ expectContinue: true }, TypeError],
    [{ onInformational: () => {} }, TypeError],
    [{ onUploadProgress: () => {} }, TypeError],
    [{ onDownloadProgress: () => {} }, TypeError],
    [{ poolTimout: 1 }, TypeError],
  ])('nothing with %j', async (options, wanted) => {
    const { server, http } = await answered(OK);
    expect(await rejection(Reflect.apply(http.request, http, ['GET', URL_, options]))).toBeInstanceOf(wanted);
    expect(server.calls).toHaveLength(0);
  });

  test('with options that ask nothing of a connection, as with any manager', async () => {
    const { http } = await answered(OK);
    const nothing = { poolTimeout: null, chunked: false, expectContinue: false, onUploadProgress: undefined };
    const response = await http.request('GET', URL_, { ...nothing, assertSameHost: false, releaseConn: true });
    expect(response.status).toBe(200);
  });

  test('no bad method', async () => {
    const { http } = await answered(OK);
    expect(await rejection(http.urlopen('GE T', URL_))).toBeInstanceOf(TypeError);
  });
});

describe('AppEngineManager: timeouts', () => {
  test.each<[string, Timeout | number | null | typeof Timeout.DEFAULT_TIMEOUT | undefined, number | null, number]>([
    ['none', undefined, null, 0],
    ['the default', Timeout.DEFAULT_TIMEOUT, null, 0],
    ['null', null, null, 0],
    ['a number', 7.5, 7.5, 0],
    ['Infinity', Number.POSITIVE_INFINITY, null, 0],
    ['a total alone', new Timeout({ connect: null, read: null, total: 7 }), 7, 0],
    ['a total, and the defaults of the rest', new Timeout(5), 5, 1],
    ['a Timeout of defaults', new Timeout(), null, 1],
    ['connect', new Timeout({ connect: 1, read: null }), null, 1],
    ['read and total', new Timeout({ connect: null, read: 2, total: 3 }), 3, 1],
  ])('%s: a deadline, and a warning for what is granular', async (_name, timeout, deadline, count) => {
    const { server, http } = await answered(OK);
    await http.request('GET', URL_, { timeout });
    expect(server.calls[0]?.deadline).toBe(deadline);
    expect(warned()).toHaveLength(count);
    for (const message of warned()) expect(message).toContain('URLFetch does not support granular timeout settings');
  });

  test('the deadline of a request holds over all that it does', async () => {
    const { server, http } = await answered({ status: 503, headers: [['Retry-After', '30']] });
    const error = await rejection(http.request('GET', URL_, { deadline: 0.1 }));
    expect(error).toBeInstanceOf(DeadlineExceededError);
    expect(server.calls).toHaveLength(1);
  });

  test('a signal ends it, before, during and between calls', async () => {
    const reason = new Error('enough');
    const { server, http } = await answered(() => {
      controller.abort(reason);
      return { status: 503, headers: [['Retry-After', '30']] };
    });
    const controller = new AbortController();
    expect(await rejection(http.request('GET', URL_, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(server.calls).toHaveLength(0);
    expect(await rejection(http.request('GET', URL_, { signal: controller.signal }))).toBe(reason);
    expect(server.calls).toHaveLength(1);
  });
});

describe('AppEngineManager: retries', () => {
  test.each<[string, Retry | number | false | null, number]>([
    ['a number', 5, 0],
    ['false', false, 0],
    ['null', null, 0],
    ['connect', new Retry({ connect: 1 }), 1],
    ['read', new Retry({ read: 1 }), 1],
    ['redirect', new Retry({ redirect: 1 }), 1],
    ['zeros', new Retry({ connect: 0, read: 0, redirect: 0 }), 0],
    ['redirect: false', new Retry({ redirect: false }), 0],
    ['status and total', new Retry(3, { status: 2 }), 0],
  ])('%s: a warning for what URLFetch does not know, once a request', async (_name, retries, count) => {
    const { http } = await answered([{ status: 503, headers: [['Retry-After', '0']] }, OK]);
    await http.request('GET', URL_, { retries });
    expect(warned()).toHaveLength(count);
    for (const message of warned()) expect(message).toContain('URLFetch only supports total retries');
  });

  test.each<[string, object, boolean]>([
    ['by default', {}, true],
    ['with a number of retries', { retries: 5 }, true],
    ['with null retries, unlike the reference', { retries: null }, true],
    ['with redirect: false', { redirect: false }, false],
    ['with Retry({ redirect: 0 })', { retries: new Retry({ redirect: 0 }) }, false],
    ['with Retry({ redirect: false })', { retries: new Retry({ redirect: false }) }, false],
    ['with a total of 0', { retries: 0 }, false],
    ['with retries: false', { retries: false }, false],
  ])('%s, the service follows redirects: %s', async (_name, options, wanted) => {
    const { server, http } = await answered(OK);
    await http.request('GET', URL_, options);
    expect(server.calls[0]?.followRedirects).toBe(wanted);
  });

  test('with urlfetchRetries: false, the service never follows redirects', async () => {
    const { server, http } = await answered(OK, { urlfetchRetries: false });
    await http.request('GET', URL_);
    expect(server.calls[0]?.followRedirects).toBe(false);
  });

  test('statuses of statusForcelist are asked for again', async () => {
    const { server, http } = await answered([{ status: 500 }, { status: 502 }, OK]);
    const response = await http.request('GET', URL_, { retries: new Retry({ total: 3, statusForcelist: [500, 502] }) });
    expect(response.status).toBe(200);
    expect(server.calls).toHaveLength(3);
    expect(response.retries?.history.map(({ method, url, status }) => [method, url, status])).toEqual([
      ['GET', URL_, 500],
      ['GET', URL_, 502],
    ]);
  });

  test.each([413, 429, 503])('%i with Retry-After is asked for again', async (status) => {
    const { server, http } = await answered([{ status, headers: [['Retry-After', '0']] }, OK]);
    expect((await http.request('GET', URL_)).status).toBe(200);
    expect(server.calls).toHaveLength(2);
  });

  test('Retry-After is waited for', async () => {
    const { http } = await answered([{ status: 503, headers: [['Retry-After', '1']] }, OK]);
    const beganMs = performance.now();
    await http.request('GET', URL_);
    expect(performance.now() - beganMs).toBeGreaterThan(990);
  });

  test('a POST is not, nor a status without Retry-After', async () => {
    const { server, http } = await answered({ status: 503, headers: [['Retry-After', '0']] });
    expect((await http.request('POST', URL_, { retries: new Retry({ statusForcelist: [503] }) })).status).toBe(503);
    expect(server.calls).toHaveLength(1);
    const other = await answered({ status: 503 });
    expect((await other.http.request('GET', URL_)).status).toBe(503);
    expect(other.server.calls).toHaveLength(1);
  });

  test('a body is sent again, a stream, too: it is in memory', async () => {
    const { server, http } = await answered([{ status: 503 }, OK]);
    const retries = new Retry({ statusForcelist: [503], allowedMethods: null });
    await http.request('POST', URL_, { body: Readable.from(['a', 'b']), retries });
    expect(server.calls.map(({ payload }) => payload?.toString())).toEqual(['ab', 'ab']);
  });

  test('statuses that use them up raise MaxRetryError', async () => {
    const { server, http } = await answered({ status: 500 });
    const error = await rejection(
      http.request('GET', URL_, { retries: new Retry({ total: 2, statusForcelist: [500] }) }),
    );
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ pool: http, url: URL_, reason: { message: 'too many 500 error responses' } });
    expect(server.calls).toHaveLength(3);
  });

  test('unlike the reference, with raiseOnStatus: false the last response is returned', async () => {
    const { server, http } = await answered({ status: 500, content: 'sorry' });
    const retries = new Retry({ total: 1, statusForcelist: [500], raiseOnStatus: false });
    const response = await http.request('GET', URL_, { retries });
    expect([response.status, response.data.toString()]).toEqual([500, 'sorry']);
    expect(server.calls).toHaveLength(2);
  });

  test('an error of the service is not asked for again', async () => {
    const { server, http } = await answered({ applicationError: 9 });
    await rejection(http.request('GET', URL_, { retries: 5 }));
    expect(server.calls).toHaveLength(1);
  });
});

describe('AppEngineManager: redirects', () => {
  test.each([301, 302, 303, 307, 308])(
    'a %i that the service has left over raises MaxRetryError at once',
    async (status) => {
      const { server, http } = await answered(redirectTo('/next', status));
      const error = await rejection(http.request('GET', URL_));
      expect(error).toBeInstanceOf(MaxRetryError);
      expect(error).toMatchObject({ pool: http, url: URL_, reason: { message: 'too many redirects' } });
      expect(server.calls).toHaveLength(1);
    },
  );

  test.each([
    { redirect: false },
    { retries: false },
    { retries: new Retry({ redirect: false }) },
    { retries: new Retry({ total: 0, raiseOnRedirect: false }) },
  ] as const)('is returned with %j', async (options) => {
    const { server, http } = await answered(redirectTo('/next'));
    const response = await http.request('GET', URL_, options);
    expect(response.status).toBe(302);
    expect(server.calls).toHaveLength(1);
  });

  test('without a Location it is a response like any other', async () => {
    const { http } = await answered({ status: 302 });
    expect((await http.request('GET', URL_)).status).toBe(302);
  });

  test('with urlfetchRetries: false the manager follows them, and counts', async () => {
    const { server, http } = await answered(
      [redirectTo('/b?c#d'), redirectTo('//other.test/e', 307), redirectTo('f', 308), OK],
      { urlfetchRetries: false },
    );
    const response = await http.request('PUT', 'http://example.com/a/', { body: 'x', headers: { A: '1' } });
    expect(
      server.calls.map(({ method, url, payload, headers }) => [method, url, payload?.toString(), headers]),
    ).toEqual([
      ['PUT', 'http://example.com/a/', 'x', [['A', '1']]],
      ['PUT', 'http://example.com/b?c', 'x', [['A', '1']]],
      ['PUT', 'http://other.test/e', 'x', [['A', '1']]],
      ['PUT', 'http://other.test/f', 'x', [['A', '1']]],
    ]);
    expect(response.url).toBe('http://other.test/f');
    expect(response.retries?.total).toBe(0);
    expect(response.retries?.history.map(({ url, redirectLocation }) => [url, redirectLocation])).toEqual([
      ['http://example.com/a/', '/b?c#d'],
      ['http://example.com/b?c', '//other.test/e'],
      ['http://other.test/e', 'f'],
    ]);
  });

  test('with raiseOnRedirect: false the manager follows what the service has left over', async () => {
    const { server, http } = await answered([redirectTo('/b'), OK]);
    const response = await http.request('GET', URL_, { retries: new Retry({ raiseOnRedirect: false }) });
    expect(response.status).toBe(200);
    expect(server.calls.map(({ url }) => url)).toEqual([URL_, 'http://example.com/b']);
  });

  test('from where the service has been led to', async () => {
    const { server, http } = await answered([{ ...redirectTo('d'), finalUrl: 'https://other.test/b/c' }, OK]);
    await http.request('GET', URL_, { retries: new Retry({ raiseOnRedirect: false }) });
    expect(server.calls[1]?.url).toBe('https://other.test/b/d');
  });

  test('303 makes a GET of it; unlike the reference, without content and its fields', async () => {
    const { server, http } = await answered([redirectTo('/b', 303), OK], { urlfetchRetries: false });
    await http.request('POST', URL_, { json: {}, headers: { A: '1' } });
    expect(server.calls[1]).toMatchObject({ method: 'GET', payload: null, headers: [['A', '1']] });
  });

  test('waits for Retry-After', async () => {
    const answer: Answer = {
      status: 302,
      headers: [
        ['Location', '/b'],
        ['Retry-After', '1'],
      ],
    };
    const { http } = await answered([answer, OK], { urlfetchRetries: false });
    const beganMs = performance.now();
    await http.request('GET', URL_);
    expect(performance.now() - beganMs).toBeGreaterThan(990);
  });

  test('that use the retries up raise MaxRetryError, or with raiseOnRedirect: false give the last response', async () => {
    const { server, http } = await answered(redirectTo('/again'), { urlfetchRetries: false });
    const error = await rejection(http.request('GET', URL_, { retries: 2 }));
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({
      pool: http,
      url: 'http://example.com/again',
      reason: { message: 'too many redirects' },
    });
    expect(server.calls).toHaveLength(3);
    const retries = new Retry({ total: 1, raiseOnRedirect: false });
    expect((await http.request('GET', URL_, { retries })).status).toBe(302);
    expect(server.calls).toHaveLength(5);
  });
});

describe('AppEngineManager: errors', () => {
  test.each([
    ['DEADLINE_EXCEEDED', { applicationError: 5 }, TimeoutError],
    ['a request that the call does not take', { rpcError: 5 }, AppEnginePlatformError],
    [
      'PAYLOAD_TOO_LARGE, whose text does not say so',
      { applicationError: 13, detail: '10 MiB limit' },
      AppEnginePlatformError,
    ],
    ['INVALID_URL', { applicationError: 1, detail: 'bad port' }, ProtocolError],
    ['TOO_MANY_REDIRECTS', { applicationError: 10 }, MaxRetryError],
    ['FETCH_ERROR', { applicationError: 2 }, ProtocolError],
    ['DNS_ERROR', { applicationError: 7 }, ProtocolError],
    ['RESPONSE_TOO_LARGE', { applicationError: 4 }, AppEnginePlatformError],
    ['SSL_CERTIFICATE_ERROR', { applicationError: 6 }, SSLError],
    ['INTERNAL_TRANSIENT_ERROR, unlike the reference', { applicationError: 9 }, ProtocolError],
    ['truncated content', { status: 200, content: 'o', truncated: true }, AppEnginePlatformError],
    ['OVER_QUOTA', { rpcError: 4 }, AppEnginePlatformError],
  ] as const)('%s', async (_name, answer, wanted) => {
    const { http } = await answered(answer);
    const error = await rejection(http.request('GET', URL_));
    expect(error).toMatchObject({ constructor: wanted, cause: { constructor: URLFetchError } });
    expect((error as Error).stack).toContain('appengine.test.ts');
  });

  test('content of 32 MB is given, and one byte more is AppEnginePlatformError', async () => {
    const sizes = [LIMIT, LIMIT + 1];
    const urlfetch: URLFetch = {
      fetch: async () => ({ statusCode: 200, headers: [], content: Buffer.alloc(sizes.shift() ?? 0) }),
    };
    const http = new AppEngineManager({ urlfetch });
    expect((await http.request('GET', URL_)).data.length).toBe(LIMIT);
    const error = await rejection(http.request('GET', URL_));
    expect(error).toBeInstanceOf(AppEnginePlatformError);
    expect(String(error)).toContain('The response is too large: URLFetch gives 32 MB');
  });

  test('a final URL that is none is a ProtocolError', async () => {
    for (const finalUrl of ['http://', 'ftp://x/', 'http://a b/']) {
      const { http } = await answered({ status: 200, finalUrl });
      expect(await rejection(http.request('GET', URL_))).toBeInstanceOf(ProtocolError);
    }
  });

  test('what a service of one’s own throws is not touched', async () => {
    const reason = new TypeError('mine');
    const http = new AppEngineManager({ urlfetch: { fetch: () => Promise.reject(reason) } });
    expect(await rejection(http.request('GET', URL_))).toBe(reason);
  });
});

describe('AppEngineManager: the response', () => {
  test('is an HTTPResponse without reason and version, with everything in memory', async () => {
    const answer: Answer = {
      status: 299,
      headers: [
        ['Set-Cookie', 'a=1'],
        ['X-A', 'b'],
        ['set-cookie', 'c=2'],
      ],
      content: 'hello',
      finalUrl: 'http://other.test/x',
    };
    const { http } = await answered(answer);
    const response = await http.request('GET', URL_);
    expect(response).toBeInstanceOf(HTTPResponse);
    expect(response).toMatchObject({ status: 299, reason: null, version: 0, connection: null, requestMethod: 'GET' });
    expect(response.data.toString()).toBe('hello');
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'c=2']);
    expect(response.headers.get('x-a')).toBe('b');
    expect(response.getUrl()).toBe('http://other.test/x');
    expect(response.retries).toBe(Retry.DEFAULT);
  });

  test('is read from memory with preloadContent: false', async () => {
    const { http } = await answered({
      status: 200,
      headers: [['Content-Encoding', 'gzip']],
      content: gzipSync('hello'),
    });
    const response = await http.request('GET', URL_, { preloadContent: false });
    expect(response.closed).toBe(false);
    expect((await response.read(2)).toString()).toBe('he');
    expect((await response.read()).toString()).toBe('llo');
    expect(response.closed).toBe(true);
  });

  test.each<[string, (text: string) => Buffer]>([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
  ])('is decoded from %s, unless that is not wanted', async (coding, encode) => {
    const content = encode('hello');
    const { http } = await answered({ status: 200, headers: [['Content-Encoding', coding]], content });
    expect((await http.request('GET', URL_)).data.toString()).toBe('hello');
    expect((await http.request('GET', URL_, { decodeContent: false })).data).toEqual(content);
  });

  test('is not inflated in production, where the service has done it and left the field', async () => {
    const { http } = await answered((call) => ({
      status: 200,
      headers: [['Content-Encoding', call.url.includes('gzip') ? 'gzip' : 'deflate']],
      content: call.url.includes('gzip') ? gzipSync('hello') : 'inflated',
    }));
    vi.stubEnv('APPENGINE_RUNTIME', 'python27');
    vi.stubEnv('SERVER_SOFTWARE', 'Google App Engine/1.9');
    const response = await http.request('GET', URL_);
    expect(response.data.toString()).toBe('inflated');
    expect(response.headers.has('content-encoding')).toBe(false);
    expect((await http.request('GET', `${URL_}gzip`)).data.toString()).toBe('hello');
    vi.stubEnv('SERVER_SOFTWARE', 'Development/1');
    expect(await rejection(http.request('GET', URL_))).toBeInstanceOf(DecodeError);
  });

  test.each([
    ['chunked', '', false],
    ['Chunked', '', false],
    ['gzip, chunked', 'gzip, chunked', true],
    ['gzip', 'gzip', false],
  ])('says of Transfer-Encoding: %s that it is %j', async (value, wanted, isChunked) => {
    const { http } = await answered({ status: 200, headers: [['Transfer-Encoding', value]], content: 'x' });
    const response = await http.request('GET', URL_);
    expect(response.headers.get('transfer-encoding')).toBe(wanted);
    expect(response.chunked).toBe(isChunked);
    expect(response.data.toString()).toBe('x');
  });

  test('of HEAD has no content, whatever its fields say', async () => {
    const headers = [
      ['Content-Length', '5'],
      ['Content-Encoding', 'gzip'],
    ] as const;
    const { http } = await answered({ status: 200, headers });
    const response = await http.request('HEAD', URL_);
    expect([response.data.length, response.headers.get('content-length')]).toEqual([0, '5']);
  });

  test.each([
    ['as it came', [], 'x'.repeat(1_000)],
    ['decoded', [['Content-Encoding', 'gzip']], gzipSync('x'.repeat(1_000))],
    ['in an unknown coding', [['Content-Encoding', 'lzma']], 'x'.repeat(1_000)],
  ] as const)('is bounded by maxDecodedSize, %s', async (_name, headers, content) => {
    const { http } = await answered({ status: 200, headers, content });
    expect((await http.request('GET', URL_, { maxDecodedSize: 1_000 })).data.length).toBe(1_000);
    expect(await rejection(http.request('GET', URL_, { maxDecodedSize: 999 }))).toBeInstanceOf(DecodeError);
  });
});

describe('AppEngineManager with a service that really fetches', () => {
  async function reality(options: AppEngineManagerOptions = {}) {
    const httpbin = await startHttpbin();
    opened.push(httpbin);
    return { httpbin, http: managerOf(await service(), options) };
  }

  test('makes requests of every kind', async () => {
    const { httpbin, http } = await reality();
    const response = await http.request('POST', `${httpbin.url}/post`, { json: { a: 1 }, headers: { 'X-A': 'b' } });
    const seen = await response.json<{ json: unknown; headers: Record<string, string> }>();
    expect(seen.json).toEqual({ a: 1 });
    expect(new HTTPHeaderDict(seen.headers).get('x-a')).toBe('b');
    expect(new HTTPHeaderDict(seen.headers).get('user-agent')).toContain('AppEngine-Google');
    expect((await http.request('GET', `${httpbin.url}/gzip`)).headers.has('content-encoding')).toBe(false);
    expect(await (await http.request('GET', `${httpbin.url}/deflate`)).json()).toMatchObject({ deflated: true });
    expect((await http.request('GET', `${httpbin.url}/stream-bytes/1000?chunk_size=100`)).data.length).toBe(1_000);
    expect((await http.request('HEAD', `${httpbin.url}/get`)).data.length).toBe(0);
  });

  test('is led by the service through five redirects, and not through six', async () => {
    const { httpbin, http } = await reality();
    const response = await http.request('GET', `${httpbin.url}/redirect/5`);
    expect(response.status).toBe(200);
    expect(response.url).toBe(`${httpbin.url}/get`);
    expect(response.retries?.history).toEqual([]);
    const error = await rejection(http.request('GET', `${httpbin.url}/redirect/6`));
    expect(error).toMatchObject({ name: 'MaxRetryError', reason: { errorCode: 10 } });
  });

  test('follows as many as its retries allow with urlfetchRetries: false', async () => {
    const { httpbin, http } = await reality({ urlfetchRetries: false });
    const response = await http.request('GET', `${httpbin.url}/redirect/7`, { retries: 7 });
    expect(response.status).toBe(200);
    expect(response.retries?.history).toHaveLength(7);
    expect(await rejection(http.request('GET', `${httpbin.url}/redirect/7`, { retries: 6 }))).toBeInstanceOf(
      MaxRetryError,
    );
  });

  test('raises what went wrong', async () => {
    const { httpbin, http } = await reality();
    const refused = createServer().listen(0, '127.0.0.1');
    await once(refused, 'listening');
    // A server that listens on TCP has such an address.
    const { port } = refused.address() as AddressInfo;
    refused.close();
    const cases: [string, object, unknown, number][] = [
      [`${httpbin.url}/delay/3`, { timeout: 0.1 }, TimeoutError, 5],
      [`http://127.0.0.1:${port}/`, {}, ProtocolError, 12],
      ['http://name.invalid/', {}, ProtocolError, 7],
      [`${httpbin.url}/redirect-to?url=ftp://example.com/`, {}, ProtocolError, 1],
    ];
    for (const [url, options, wanted, errorCode] of cases) {
      const error = await rejection(http.request('GET', url, options));
      expect(error).toBeInstanceOf(wanted);
      expect(error).toMatchObject({ cause: { errorCode } });
    }
  });

  test('verifies certificates, unless told otherwise', async () => {
    const { key, cert } = await testCertificate();
    const secure = await startHttpbin({ tls: { key, cert } });
    opened.push(secure);
    const server = await service();
    const url = `https://localhost:${secure.port}/get`;
    expect(await rejection(managerOf(server).request('GET', url))).toBeInstanceOf(SSLError);
    expect((await managerOf(server, { validateCertificate: false }).request('GET', url)).status).toBe(200);
  });

  test('carries the ticket of the incoming request', async () => {
    const httpbin = await startHttpbin();
    opened.push(httpbin);
    const server = await service();
    const http = managerOf(server);
    await withAppengineRequest({ 'x-appengine-api-ticket': 'ticket' }, () => http.request('GET', `${httpbin.url}/get`));
    expect(server.calls[0]?.ticket).toBe('ticket');
  });
});

test('a URLFetch of one’s own sees what is asked', async () => {
  const seen: URLFetchRequest[] = [];
  const urlfetch: URLFetch = {
    async fetch(request) {
      seen.push(request);
      return { statusCode: 200, headers: [['A', 'b']], content: Buffer.from('ok') };
    },
  };
  const http = new AppEngineManager({ urlfetch });
  const response = await http.request('GET', 'http://user:secret@example.com/#x', { timeout: 3 });
  expect(response.url).toBe(URL_);
  expect(seen).toEqual([
    {
      method: 'GET',
      url: URL_,
      headers: [],
      payload: null,
      followRedirects: true,
      deadline: 3,
      validateCertificate: true,
      signal: null,
      _watch: null,
    },
  ]);
});
