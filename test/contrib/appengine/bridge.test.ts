import { AsyncResource } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { isURLFetchAvailable, URLFetchBridge, withAppengineRequest } from '../../../src/contrib/appengine/bridge.js';
import { AppEnginePlatformError, URLFetchError } from '../../../src/contrib/appengine/errors.js';
import type { URLFetchRequest } from '../../../src/contrib/appengine/urlfetch.js';
import { NewConnectionError, ProtocolError, TimeoutError } from '../../../src/exceptions.js';
import {
  type Answer,
  type RemoteCall,
  startUrlfetchServer,
  type UrlfetchServer,
} from '../../support/urlfetch-server.js';

const VARIABLES = ['API_HOST', 'API_PORT', 'DEFAULT_TICKET', 'APPENGINE_RUNTIME', 'SERVER_SOFTWARE', 'GAE_VM'];

const opened: (AsyncDisposable | { close(): void })[] = [];
beforeEach(() => {
  for (const name of VARIABLES) vi.stubEnv(name, undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const one of opened.splice(0).reverse()) await ('close' in one ? one.close() : one[Symbol.asyncDispose]());
});

async function serverOf(
  answer: (call: RemoteCall) => Answer | Promise<Answer> = () => ({ status: 200 }),
  host?: string,
) {
  const server = await startUrlfetchServer(answer, host);
  opened.push(server);
  return server;
}

function bridgeTo({ host, port }: UrlfetchServer, ticket?: string): URLFetchBridge {
  const bridge = new URLFetchBridge({ host, port, ticket });
  opened.push(bridge);
  return bridge;
}

const GET: URLFetchRequest = {
  method: 'GET',
  url: 'http://example.com/',
  headers: [],
  payload: null,
  followRedirects: true,
  deadline: null,
  validateCertificate: true,
  signal: null,
};

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

describe('new URLFetchBridge()', () => {
  test('is at appengine.googleapis.internal, port 10001, if the environment says nothing', () => {
    expect(String(new URLFetchBridge())).toBe("URLFetchBridge(host='appengine.googleapis.internal', port=10001)");
    vi.stubEnv('API_HOST', '');
    vi.stubEnv('API_PORT', '');
    expect(String(new URLFetchBridge())).toBe("URLFetchBridge(host='appengine.googleapis.internal', port=10001)");
  });

  test('is where API_HOST and API_PORT say, and first of all where its options say', () => {
    vi.stubEnv('API_HOST', 'api.test');
    vi.stubEnv('API_PORT', '4711');
    expect(new URLFetchBridge()).toMatchObject({ host: 'api.test', port: 4711 });
    expect(new URLFetchBridge({ host: 'other.test', port: 80 })).toMatchObject({ host: 'other.test', port: 80 });
    expect(new URLFetchBridge({ host: null, port: undefined })).toMatchObject({ host: 'api.test', port: 4711 });
  });

  test.each(['http', '-1', '0', '65536', '1e3', '123456789'])('refuses %j as API_PORT', (port) => {
    vi.stubEnv('API_PORT', port);
    expect(() => new URLFetchBridge()).toThrow(AppEnginePlatformError);
    expect(() => new URLFetchBridge()).toThrow(`API_PORT is "${port}", which is no port`);
  });

  test.each([
    [{ host: 1 }, TypeError],
    [{ port: '80' }, TypeError],
    [{ port: 70_000 }, RangeError],
    [{ ticket: {} }, TypeError],
    [{ tickt: 'x' }, TypeError],
  ])('refuses %j', (options, wanted) => {
    expect(() => Reflect.construct(URLFetchBridge, [options])).toThrow(wanted);
  });
});

describe('URLFetchBridge.fetch()', () => {
  test('calls urlfetch.Fetch over HTTP, with everything that was asked for', async () => {
    const server = await serverOf(() => ({
      status: 201,
      headers: [['X', 'y']],
      content: 'made',
      finalUrl: 'http://z/',
    }));
    const reply = await bridgeTo(server, 'ticket-1').fetch({
      method: 'PUT',
      url: 'http://example.com/é?q=1',
      headers: [
        ['A', '1'],
        ['a', '2'],
        ['B', 'ü'],
      ],
      payload: Buffer.from('content'),
      followRedirects: false,
      deadline: 2.5,
      validateCertificate: false,
      signal: null,
    });
    expect(reply).toEqual({
      statusCode: 201,
      headers: [['X', 'y']],
      content: Buffer.from('made'),
      contentWasTruncated: false,
      finalUrl: 'http://z/',
    });
    const { callHeaders, ...call } = server.calls[0] ?? expect.fail();
    expect(call).toEqual({
      path: '/rpc_http',
      service: 'urlfetch',
      procedure: 'Fetch',
      ticket: 'ticket-1',
      method: 'PUT',
      url: 'http://example.com/é?q=1',
      headers: [
        ['A', '1'],
        ['a', '2'],
        ['B', 'ü'],
      ],
      payload: Buffer.from('content'),
      followRedirects: false,
      deadline: 2.5,
      validateCertificate: false,
    });
    expect(callHeaders).toMatchObject({
      host: `127.0.0.1:${server.port}`,
      'x-google-rpc-service-endpoint': 'app-engine-apis',
      'x-google-rpc-service-method': '/VMRemoteAPI.CallRemoteAPI',
      'x-google-rpc-service-deadline': '2.5',
      'content-type': 'application/octet-stream',
    });
  });

  test.each([
    [null, '60'],
    [5, '5'],
    [100, '100'],
    [0.25, '0.25'],
    [1e-5, '0.00001'],
  ])('says a deadline of %s as %s seconds, without an exponent', async (deadline, wanted) => {
    const server = await serverOf();
    await bridgeTo(server).fetch({ ...GET, deadline });
    expect(server.calls[0]).toMatchObject({ deadline, callHeaders: { 'x-google-rpc-service-deadline': wanted } });
  });

  test('keeps its connection for the next call, until it is closed', async () => {
    const server = await serverOf();
    const bridge = bridgeTo(server);
    await bridge.fetch(GET);
    await bridge.fetch(GET);
    expect(server.connections).toBe(1);
    bridge.close();
    await bridge.fetch(GET);
    expect(server.connections).toBe(2);
    bridge.close();
    bridge.close();
  });

  test('reaches an IPv6 address', async () => {
    const server = await serverOf(undefined, '::1');
    expect((await bridgeTo(server).fetch(GET)).statusCode).toBe(200);
    expect(server.calls[0]?.callHeaders.host).toBe(`[::1]:${server.port}`);
  });

  test.each([
    [{ applicationError: 7, detail: 'no such host' }, 'urlfetch', 7],
    [{ rpcError: 4, detail: 'over quota' }, 'rpc', 4],
  ] as const)('raises %j as URLFetchError', async (answer, layer, errorCode) => {
    const error = await rejection(bridgeTo(await serverOf(() => answer)).fetch(GET));
    expect(error).toBeInstanceOf(URLFetchError);
    expect(error).toMatchObject({ layer, errorCode, detail: answer.detail });
  });

  test.each([
    ['another status', { callStatus: 503, text: 'away' }, 'The call of URLFetch was answered with status 503: "away"'],
    ['a redirect', { callStatus: 302, text: '' }, 'was answered with status 302'],
    ['no message', { message: Buffer.from('<html>') }, 'Cannot read a message of URLFetch'],
    ['an empty message', { message: Buffer.alloc(0) }, 'it has no response'],
    ['the end of the connection', { broken: true }, 'The call of URLFetch failed: '],
  ] as const)('raises ProtocolError for %s', async (_name, answer, why) => {
    const error = await rejection(bridgeTo(await serverOf(() => answer)).fetch(GET));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(String(error)).toContain(why);
  });

  test('raises AppEnginePlatformError if nobody listens', async () => {
    const server = await startUrlfetchServer();
    await server.close();
    const error = await rejection(bridgeTo(server).fetch(GET));
    expect(error).toBeInstanceOf(AppEnginePlatformError);
    expect(String(error)).toContain(`URLFetch is not available: URLFetchBridge(host='127.0.0.1', port=${server.port})`);
    expect(error).toMatchObject({ cause: expect.any(NewConnectionError), code: 'ECONNREFUSED' });
  });

  test('raises TimeoutError a second after the deadline, if there is no reply', async () => {
    const bridge = bridgeTo(await serverOf(() => new Promise(() => {})));
    const beganMs = performance.now();
    const error = await rejection(bridge.fetch({ ...GET, deadline: 0.1 }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(String(error)).toContain('no reply within 1.1 seconds');
    expect(performance.now() - beganMs).toBeGreaterThan(1_000);
  });

  test('takes a reply of more than 33 MiB for a response that is too large, and does not read it all', async () => {
    const server = await serverOf(() => ({ message: Buffer.alloc(33 * 1024 * 1024 + 1) }));
    const error = await rejection(bridgeTo(server).fetch(GET));
    expect(error).toMatchObject({ name: 'URLFetchError', layer: 'rpc', errorCode: 9 });
  });

  test('asks for no content coding, which the bridge has no use for', async () => {
    const server = await serverOf();
    await bridgeTo(server).fetch(GET);
    expect(server.calls[0]?.callHeaders['accept-encoding']).toBe('identity');
  });

  test('ends with the signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const bridge = bridgeTo(
      await serverOf(() => {
        controller.abort(reason);
        return new Promise(() => {});
      }),
    );
    expect(await rejection(bridge.fetch({ ...GET, signal: controller.signal }))).toBe(reason);
  });

  test('has at most 100 calls on their way at once', async () => {
    const waiting: (() => void)[] = [];
    const server = await serverOf(
      () =>
        new Promise((resolve) => {
          waiting.push(() => resolve({ status: 200 }));
        }),
    );
    const bridge = bridgeTo(server);
    const all = Promise.all(Array.from({ length: 120 }, () => bridge.fetch(GET)));
    await vi.waitFor(() => expect(waiting.length).toBe(100));
    await setImmediate();
    expect(server.connections).toBe(100);
    const answer = setInterval(() => waiting.splice(0).forEach((reply) => void reply()), 1);
    expect(await all).toHaveLength(120);
    clearInterval(answer);
    expect(server.connections).toBe(100);
  });
});

describe('withAppengineRequest()', () => {
  test('gives the calls the ticket and the traces of the incoming request, across everything awaited', async () => {
    const server = await serverOf();
    const bridge = bridgeTo(server);
    const headers = {
      'x-appengine-api-ticket': 'one',
      'x-google-dappertraceinfo': 'dapper',
      'x-cloud-trace-context': 'cloud/1',
      'x-forwarded-for': '192.0.2.1',
    };
    await withAppengineRequest(headers, async () => {
      await setImmediate();
      await bridge.fetch(GET);
    });
    expect(server.calls[0]?.ticket).toBe('one');
    expect(server.calls[0]?.callHeaders).toMatchObject({
      'x-google-dappertraceinfo': 'dapper',
      'x-cloud-trace-context': 'cloud/1',
    });
    expect(server.calls[0]?.callHeaders).not.toHaveProperty('x-forwarded-for');
  });

  test('keeps requests that are handled at the same time apart', async () => {
    const server = await serverOf();
    const bridge = bridgeTo(server);
    const handle = (ticket: string) =>
      withAppengineRequest({ 'X-Appengine-API-Ticket': ticket }, async () => {
        await setImmediate();
        await bridge.fetch({ ...GET, url: `http://example.com/${ticket}` });
      });
    await Promise.all(['a', 'b', 'c'].map(handle));
    for (const { url, ticket } of server.calls) expect(url).toBe(`http://example.com/${ticket}`);
    expect(server.calls).toHaveLength(3);
  });

  test('ends with its callback: a later call has no ticket, and says none', async () => {
    const server = await serverOf();
    const bridge = bridgeTo(server);
    const outside = new AsyncResource('outside');
    const returned = withAppengineRequest({ 'X-Appengine-API-Ticket': 'one' }, () => 'returned');
    expect(returned).toBe('returned');
    await outside.runInAsyncScope(() => bridge.fetch(GET));
    expect(server.calls[0]?.ticket).toBeNull();
  });

  test.each([
    ['the option', 'option', 'option'],
    ['the API ticket', undefined, 'api'],
  ])('%s comes before the rest', async (_name, option, wanted) => {
    vi.stubEnv('DEFAULT_TICKET', 'environment');
    const server = await serverOf();
    const bridge = bridgeTo(server, option);
    const headers = { 'X-Appengine-Dev-Request-Id': 'dev', 'X-Appengine-API-Ticket': 'api' };
    await withAppengineRequest(headers, () => bridge.fetch(GET));
    expect(server.calls[0]?.ticket).toBe(wanted);
  });

  test('takes the id of the development server, then DEFAULT_TICKET, for a ticket', async () => {
    const server = await serverOf();
    const bridge = bridgeTo(server);
    vi.stubEnv('DEFAULT_TICKET', 'environment');
    await withAppengineRequest({ 'X-Appengine-Dev-Request-Id': 'dev' }, () => bridge.fetch(GET));
    await withAppengineRequest({}, () => bridge.fetch(GET));
    expect(server.calls.map(({ ticket }) => ticket)).toEqual(['dev', 'environment']);
  });

  test('refuses what are no headers', () => {
    expect(() => Reflect.apply(withAppengineRequest, null, ['X-Appengine-API-Ticket: 1', () => {}])).toThrow(TypeError);
  });
});

describe('isURLFetchAvailable()', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['nothing', {}, false],
    ['API_HOST', { API_HOST: 'api.test' }, true],
    ['an empty API_HOST', { API_HOST: '' }, false],
    ['DEFAULT_TICKET', { DEFAULT_TICKET: 'x' }, true],
    ['the sandbox', { APPENGINE_RUNTIME: 'x', SERVER_SOFTWARE: 'Google App Engine/1' }, true],
    ['the second generation, which has sockets', { GAE_ENV: 'standard' }, false],
  ])('with %s', (_name, environment, wanted) => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    expect(isURLFetchAvailable()).toBe(wanted);
  });

  test('with the ticket of an incoming request', () => {
    expect(withAppengineRequest({ 'X-Appengine-API-Ticket': 'x' }, isURLFetchAvailable)).toBe(true);
    expect(withAppengineRequest({}, isURLFetchAvailable)).toBe(false);
  });
});
