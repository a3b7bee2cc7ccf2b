/**
 * What FetchManager makes of a `fetch`, where the behaviour suite (test/behaviour) cannot look: options, warnings, what different
 * runtimes say, and what nobody waits for any more.
 */

import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { Fetch } from '../../src/contrib/fetch/exchange.js';
import {
  FetchManager,
  type FetchManagerOptions,
  FetchPlatformError,
  FetchPlatformWarning,
} from '../../src/contrib/fetch.js';
import * as channels from '../../src/diagnostics.js';
import {
  ConnectTimeoutError,
  HTTPError,
  NameResolutionError,
  NewConnectionError,
  ProtocolError,
  ReadTimeoutError,
  SSLError,
} from '../../src/exceptions.js';
import { addLogHandler } from '../../src/logging.js';
import { PoolManager } from '../../src/poolmanager.js';
import { RequestMethods } from '../../src/request.js';
import { Retry } from '../../src/util/retry.js';
import { Timeout } from '../../src/util/timeout.js';
import { zstdFrame } from '../coding/encoders.js';

const URL_ = 'http://peer.test/path?q=1';

let warned: MockInstance<typeof process.emitWarning>;
beforeEach(() => {
  warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

function warnings(): string[] {
  return warned.mock.calls.map(([warning]) => String(warning));
}

/** A fetch that is asked for nothing on the network. */
function answering(
  ...answers: readonly (() => Response | Promise<Response>)[]
): Fetch & { readonly calls: [string, RequestInit][] } {
  const calls: [string, RequestInit][] = [];
  const fetch = async (url: unknown, init: RequestInit = {}) => {
    calls.push([String(url), init]);
    const answer = answers[Math.min(calls.length, answers.length) - 1];
    return answer === undefined ? new Response('ok') : await answer();
  };
  return Object.assign(fetch, { calls });
}

function managerOf(fetch: Fetch, options: FetchManagerOptions = {}): FetchManager {
  return new FetchManager({ retries: false, ...options, fetch });
}

async function raised(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (error: unknown) => error,
  );
}

/** The body of a request that was made with a stream. */
function bodyStream(init: RequestInit | undefined): ReadableStream<Uint8Array> {
  const body: unknown = init?.body;
  if (body instanceof ReadableStream) return body;
  throw new Error('the body is no stream');
}

/** As Node's fetch fails. */
function failure(code: string, message = `some ${code}`): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(message), { code }) });
}

/** A response whose content is what a stream gives. */
function streaming(start: UnderlyingDefaultSource<unknown>, init?: ResponseInit): Response {
  // Whatever a runtime's stream may hold.
  return new Response(new ReadableStream(start) as ReadableStream<Uint8Array>, init);
}

type UnderlyingDefaultSource<T> = ConstructorParameters<typeof ReadableStream<T>>[0] & object;

describe('FetchManager, its options', () => {
  test('FetchManager has the defaults of other managers', async () => {
    await using http = new FetchManager();
    expect(http).toBeInstanceOf(RequestMethods);
    expect([http.retries, String(http.timeout), http.redirects, String(http)]).toEqual([
      Retry.DEFAULT,
      String(new Timeout()),
      'manager',
      'FetchManager()',
    ]);
    http.clear();
    http.close();
    expect(new FetchManager({ timeout: 3, retries: 7 }).timeout.read).toBe(3);
  });

  test.each([
    ['maxsize', 10],
    ['block', true],
    ['numPools', 1],
    ['caCerts', 'x'],
    ['proxy', 'environment'],
    ['socketOptions', []],
    ['auth', { type: 'basic' }],
    ['nonsense', 1],
  ])('FetchManager refuses %s with a reason', (name, value) => {
    expect(() => new FetchManager({ [name]: value })).toThrow(
      new TypeError(
        `Cannot use option "${name}": a fetch manager has no such option; connections, proxies and TLS are those of the runtime, and logging in is not for it`,
      ),
    );
  });

  test.each([
    [{ fetch: 'fetch' }, TypeError],
    [{ redirects: 'follow' }, TypeError],
    [{ retryBudget: 5 }, TypeError],
    [{ timeout: -1 }, RangeError],
    [{ deadline: 0 }, RangeError],
    [{ maxDecodedSize: 1.5 }, TypeError],
    [null, TypeError],
    [7, TypeError],
  ])('FetchManager refuses %j', (options, error) => {
    // What a caller without types may give.
    expect(() => new FetchManager(options as FetchManagerOptions)).toThrow(error);
  });

  test('FetchManager needs a fetch', () => {
    vi.stubGlobal('fetch', undefined);
    expect(() => new FetchManager()).toThrow('this runtime has no fetch');
    expect(new FetchManager({ fetch: answering() })).toBeInstanceOf(FetchManager);
  });

  test('FetchManager calls the global fetch of the moment, and never as a method', async () => {
    const http = new FetchManager();
    const seen: unknown[] = [];
    vi.stubGlobal('fetch', function (this: unknown) {
      seen.push(this);
      return Promise.resolve(new Response('mocked'));
    });
    expect((await http.request('GET', URL_)).data.toString()).toBe('mocked');
    expect(seen).toEqual([globalThis]);
    const own = managerOf(function (this: unknown) {
      seen.push(this);
      return Promise.resolve(new Response(''));
    });
    await own.request('GET', URL_);
    expect(seen[1]).toBeUndefined();
  });

  test.each([
    ['poolTimeout', 1, 'fetch has no connection of ours'],
    ['chunked', true, 'fetch frames the content itself'],
    ['expectContinue', true, '100 (Continue)'],
    ['onInformational', () => {}, 'interim responses'],
    ['onUploadProgress', () => {}, 'how much has been sent'],
    ['maxRatio', 10, 'maxDecodedSize'],
    ['decodeContent', false, 'content codings'],
  ])('request() refuses %s before it asks', async (name, value, why) => {
    const fetch = answering();
    const error = await raised(managerOf(fetch).request('POST', URL_, { [name]: value }));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain(`Cannot use ${name}`);
    expect(String(error)).toContain(why);
    expect(fetch.calls).toEqual([]);
  });

  test('request() takes them where they ask for nothing', async () => {
    const nothing = { poolTimeout: null, chunked: false, expectContinue: false, onInformational: null, maxRatio: null };
    const all = { ...nothing, onUploadProgress: null, decodeContent: true, assertSameHost: true, releaseConn: true };
    expect((await managerOf(answering()).request('GET', URL_, all)).status).toBe(200);
  });

  test.each(['TRACE', 'CONNECT', 'TRACK', 'track'])('request() refuses the method %s', async (method) => {
    expect(String(await raised(managerOf(answering()).urlopen(method, URL_)))).toMatch('fetch forbids it');
  });

  test.each(['GET', 'HEAD'])('request() refuses a body with %s, but for an empty one', async (method) => {
    const http = managerOf(answering());
    expect(String(await raised(http.request(method, URL_, { body: 'a' })))).toMatch(`a body with ${method}`);
    expect(String(await raised(http.request(method, URL_, { body: ['a', 'b'].values() })))).toMatch('fetch forbids it');
    expect((await http.request(method, URL_, { body: '' })).status).toBe(200);
  });

  test.each(['http://[fe80::1%25eth0]/', 'ftp://a/', 'a/b', '//a/'])(
    'request() refuses %s, which cannot be fetched',
    async (url) => {
      const fetch = answering();
      expect((await raised(managerOf(fetch).request('GET', url))) instanceof HTTPError).toBe(true);
      expect(fetch.calls).toEqual([]);
    },
  );
});

describe('FetchManager, what it gives to fetch', () => {
  test('request() gives URL, method, fields and body, and forbids to follow redirects', async () => {
    const fetch = answering();
    await managerOf(fetch).request('POST', 'http://user:secret@peer.test/a b?c#d', {
      body: 'text',
      headers: { A: '1' },
    });
    const [url, { signal, ...init }] = fetch.calls[0] ?? ['', {}];
    expect(url).toBe('http://peer.test/a%20b?c');
    expect(signal).toBeInstanceOf(AbortSignal);
    expect(init).toEqual({
      method: 'POST',
      headers: [
        ['Accept-Encoding', 'identity'],
        ['User-Agent', expect.stringMatching(/^urllib3-node/)],
        ['A', '1'],
      ],
      redirect: 'manual',
      body: Buffer.from('text'),
      duplex: 'half',
    });
  });

  test('request() leaves out what fetch decides over, and warns of each once in the process', async () => {
    const fetch = answering();
    const http = managerOf(fetch);
    const headers = {
      Host: 'a',
      Connection: 'close',
      'Keep-Alive': 'x',
      Upgrade: 'h2c',
      Expect: '100-continue',
      B: '2',
    };
    await http.request('GET', URL_, { headers });
    await http.request('POST', URL_, {
      headers: { ...headers, 'Content-Length': '1', 'Proxy-Connection': 'x' },
      body: 'a',
    });
    await http.request('POST', URL_, { headers: { 'Transfer-Encoding': 'chunked' }, body: 'a' });
    const own = fetch.calls.map(([, init]) =>
      [...new Headers(init.headers)].filter(([name]) => !/^accept-enc|^user-/.test(name)),
    );
    expect(own).toEqual([[['b', '2']], [['b', '2']], []]);
    expect(warnings()).toEqual(
      ['host', 'connection', 'keep-alive', 'upgrade', 'expect', 'proxy-connection', 'transfer-encoding'].map(
        (name) => `FetchPlatformWarning: The header "${name}" of a request is not sent: fetch decides over it itself`,
      ),
    );
    expect(warned.mock.calls[0]?.[0]).toBeInstanceOf(FetchPlatformWarning);
  });

  test("request() sends a caller's Content-Length with a stream, and Blobs as they are", async () => {
    const fetch = answering();
    const http = managerOf(fetch);
    await http.request('POST', URL_, { headers: { 'Content-Length': '3' }, body: ['abc'].values() });
    expect(new Headers(fetch.calls[0]?.[1].headers).get('content-length')).toBe('3');
    await http.request('POST', URL_, { body: new Blob(['ab', 'c'], { type: 'a/b' }) });
    const sent = fetch.calls[1]?.[1];
    expect([new Headers(sent?.headers).get('content-type'), sent?.body instanceof Blob && sent.body.size]).toEqual([
      'a/b',
      3,
    ]);
    await http.request('POST', URL_, { fields: { a: '1', f: ['x.txt', new Blob(['blob']), 'text/plain'] } });
    const form = fetch.calls[2]?.[1].body;
    expect(form instanceof Blob && (await form.text())).toMatch(
      /name="a"\r\n\r\n1\r\n[\s\S]*filename="x.txt"[\s\S]*blob\r\n--/,
    );
    await http.request('POST', URL_, {
      fields: [
        ['s', ['x', ['a', 'b'].values(), 'a/b']],
        ['f', ['x', new Blob(['c']), 'a/b']],
      ],
    });
    expect(fetch.calls[3]?.[1].body).toBeInstanceOf(ReadableStream);
  });

  test('request() lets a stream go that fetch does not read to its end', async () => {
    let isOver = false;
    const body = (async function* () {
      try {
        for (;;) yield 'a';
      } finally {
        isOver = true;
      }
    })();
    const fetch: Fetch = async (_url, init) => {
      const reader = bodyStream(init).getReader();
      await reader.read();
      return new Response('done already');
    };
    expect((await managerOf(fetch).request('POST', URL_, { body })).status).toBe(200);
    await vi.waitFor(() => expect(isOver).toBe(true));
  });

  test('request() cancels a stream with the reason that fetch gives, and ends it where it ends', async () => {
    let isOver = false;
    const endless = async function* () {
      try {
        for (;;) yield 'a';
      } finally {
        isOver = true;
      }
    };
    const cancelling: Fetch = async (_url, init) => {
      const reader = bodyStream(init).getReader();
      await reader.read();
      await reader.cancel(new Error('not wanted'));
      throw failure('ECONNRESET');
    };
    expect(await raised(managerOf(cancelling).request('POST', URL_, { body: endless() }))).toBeInstanceOf(
      ProtocolError,
    );
    expect(isOver).toBe(true);
  });

  test('request() gives up before it asks where a body has been sent already', async () => {
    const fetch = answering();
    const http = managerOf(fetch);
    const body = ['a'].values();
    await http.request('POST', URL_, { body });
    expect(String(await raised(http.request('POST', URL_, { body })))).toMatch('UnrewindableBodyError');
    const late = { [Symbol.iterator]: () => body };
    const error = await raised(http.request('POST', URL_, { body: late, retries: 3 }));
    expect([String(error).slice(0, 21), fetch.calls.length]).toEqual(['UnrewindableBodyError', 1]);
  });

  test('request() refuses streams where a runtime would send their name as text, or says no', async () => {
    const { Request } = globalThis;
    const body = () => ['a'].values();
    class StringifyingRequest extends Request {
      constructor(url: string, init: RequestInit) {
        super(url, init.body === undefined ? init : { ...init, body: String(init.body) });
      }
    }
    vi.stubGlobal('Request', StringifyingRequest);
    expect(String(await raised(managerOf(answering()).request('POST', URL_, { body: body() })))).toMatch('takes none');
    class RefusingRequest extends Request {
      constructor(url: string, init: RequestInit) {
        if (init.body !== undefined) throw new TypeError('no streams here');
        super(url, init);
      }
    }
    vi.stubGlobal('Request', RefusingRequest);
    const http = managerOf(answering());
    expect(String(await raised(http.request('POST', URL_, { body: body() })))).toMatch('takes none');
    expect((await http.request('POST', URL_, { body: new Blob(['a']) })).status).toBe(200);
    vi.stubGlobal('Request', undefined);
    expect((await managerOf(answering()).request('POST', URL_, { body: body() })).status).toBe(200);
  });
});

describe('FetchManager, what fetch answers', () => {
  test.each([
    ['ENOTFOUND', NameResolutionError],
    ['EAI_AGAIN', NameResolutionError],
    ['ECONNREFUSED', NewConnectionError],
    ['EHOSTUNREACH', NewConnectionError],
    ['ConnectionRefused', NewConnectionError],
    ['UND_ERR_CONNECT_TIMEOUT', ConnectTimeoutError],
    ['ETIMEDOUT', ConnectTimeoutError],
    ['UND_ERR_HEADERS_TIMEOUT', ReadTimeoutError],
    ['CERT_HAS_EXPIRED', SSLError],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', SSLError],
    ['ERR_TLS_CERT_ALTNAME_INVALID', SSLError],
    ['ERR_SSL_WRONG_VERSION_NUMBER', SSLError],
    ['ECONNRESET', ProtocolError],
    ['UND_ERR_SOCKET', ProtocolError],
    ['HPE_INVALID_CONSTANT', ProtocolError],
  ])('request() raises for %s %o, with the error of fetch as its cause', async (code, errorClass) => {
    const theirs = failure(code);
    const error = await raised(managerOf(answering(() => Promise.reject(theirs))).request('GET', URL_));
    if (!(error instanceof HTTPError)) throw error;
    expect(error.constructor).toBe(errorClass);
    const why = errorClass === NameResolutionError ? 'Failed to resolve "peer.test"' : `some ${code}`;
    expect([error.cause, error.code]).toEqual([theirs, code]);
    expect(error.message).toContain(why);
  });

  test('request() names several addresses by their code', async () => {
    const several = Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' });
    const fetch = answering(() => Promise.reject(new TypeError('fetch failed', { cause: several })));
    expect(String(await raised(managerOf(fetch).request('GET', URL_)))).toMatch('connection: ECONNREFUSED');
  });

  test.each([new TypeError('Failed to fetch'), 'text', new DOMException('no', 'NetworkError')])(
    'request() raises ProtocolError for what says nothing of its cause: %s',
    async (theirs) => {
      const fetch: Fetch = () => {
        throw theirs;
      };
      const error = await raised(managerOf(fetch).request('GET', URL_));
      expect([error instanceof ProtocolError, error instanceof Error && error.cause]).toEqual([true, theirs]);
    },
  );

  test('request() gives status, reason and fields, and splits a Location of several', async () => {
    const headers = { Location: '/a, /b', 'X-A': '1, 2' };
    const fetch = answering(() => new Response('x', { status: 302, statusText: 'Found', headers }));
    const response = await managerOf(fetch).request('GET', URL_, { retries: 3 });
    expect([response.status, response.reason, response.version]).toEqual([302, 'Found', 0]);
    expect([response.headers.getList('location'), response.headers.getList('x-a')]).toEqual([['/a', '/b'], ['1, 2']]);
    expect((await managerOf(answering()).request('GET', URL_)).reason).toBeNull();
  });

  test('request() raises FetchPlatformError for a redirect that is hidden, and does not ask again', async () => {
    // As a browser gives it: it cannot be made otherwise.
    const hidden = () =>
      Object.defineProperties(new Response(null), { type: { value: 'opaqueredirect' }, status: { value: 0 } });
    const fetch = answering(hidden);
    const error = await raised(managerOf(fetch, { retries: 3 }).request('GET', URL_));
    expect([error instanceof FetchPlatformError, fetch.calls.length]).toEqual([true, 1]);
    expect(String(error)).toMatch(/^FetchPlatformError: Cannot tell where the redirect leads/);
  });

  test('request() raises ProtocolError for what is no response', async () => {
    const error = await raised(managerOf(answering(() => Response.error())).request('GET', URL_));
    expect(String(error)).toBe('ProtocolError: Connection aborted. fetch gave a response of type "error" and status 0');
  });

  test('response.read() raises what content broke off with', async () => {
    const cases: [unknown, string][] = [
      [failure('ECONNRESET'), 'ProtocolError: Connection broken: some ECONNRESET'],
      [failure('UND_ERR_SOCKET'), 'ProtocolError: Connection broken: IncompleteRead(1 bytes read, 2 more expected)'],
      [
        new TypeError('network error'),
        'ProtocolError: Connection broken: IncompleteRead(1 bytes read, 2 more expected)',
      ],
      [failure('UND_ERR_BODY_TIMEOUT'), 'ReadTimeoutError: FetchManager(): Read timed out: some UND_ERR_BODY_TIMEOUT'],
      [failure('Z_DATA_ERROR'), 'DecodeError: Cannot decode the content: some Z_DATA_ERROR'],
      [
        failure('ERR__ERROR_FORMAT_PADDING_1'),
        'DecodeError: Cannot decode the content: some ERR__ERROR_FORMAT_PADDING_1',
      ],
    ];
    for (const [error, wanted] of cases) {
      let isFirst = true;
      const pull: UnderlyingDefaultSource<unknown>['pull'] = (controller) => {
        if (isFirst) controller.enqueue(Buffer.from('a'));
        else controller.error(error);
        isFirst = false;
      };
      const fetch = answering(() => streaming({ pull }, { headers: { 'Content-Length': '3' } }));
      expect(String(await raised(managerOf(fetch).request('GET', URL_)))).toBe(wanted);
    }
  });

  test('response.read() notices short content where a fetch does not, but not of codings', async () => {
    const short = (headers: Record<string, string>) => answering(() => new Response('abc', { headers }));
    const error = await raised(managerOf(short({ 'Content-Length': '5' })).request('GET', URL_));
    expect(String(error)).toBe('ProtocolError: Connection broken: IncompleteRead(3 bytes read, 2 more expected)');
    const coded = short({ 'Content-Length': '5', 'Content-Encoding': 'gzip' });
    expect((await managerOf(coded).request('GET', URL_)).data.toString()).toBe('abc');
    expect((await managerOf(short({ 'Content-Length': 'x' })).request('GET', URL_)).data.toString()).toBe('abc');
    const head = await managerOf(short({ 'Content-Length': '5' })).request('HEAD', URL_);
    expect(head.data.length).toBe(0);
  });

  test('response.read() takes zstd off where the runtime did not', async () => {
    const headers = { 'Content-Encoding': 'zstd' };
    const fetch = answering(
      () => new Response(zstdFrame(Buffer.from('was zstd')), { headers }),
      () => new Response('was decoded', { headers }),
      () => new Response(null, { headers }),
      () => new Response(''.padEnd(0), { headers }),
    );
    const http = managerOf(fetch);
    expect((await http.request('GET', URL_)).data.toString()).toBe('was zstd');
    expect((await http.request('GET', URL_)).data.toString()).toBe('was decoded');
    expect((await http.request('GET', URL_)).data.toString()).toBe('');
    expect((await http.request('GET', URL_)).data.toString()).toBe('');
  });

  test('response.read() raises ProtocolError for content that is no bytes', async () => {
    const fetch = answering(() => streaming({ pull: (controller) => controller.enqueue('text') }));
    expect(String(await raised(managerOf(fetch).request('GET', URL_)))).toBe(
      'ProtocolError: Connection broken: fetch gave "text" as content',
    );
  });

  test('onDownloadProgress is told, and what it throws is raised as it is', async () => {
    const mine = new RangeError('mine');
    const onDownloadProgress = () => {
      throw mine;
    };
    expect(await raised(managerOf(answering(), { retries: 3 }).request('GET', URL_, { onDownloadProgress }))).toBe(
      mine,
    );
  });

  test('response.close() cancels the stream, also in the middle of a read, and once', async () => {
    const cancelled: unknown[] = [];
    const fetch = answering(() =>
      streaming({ pull: () => new Promise(() => {}), cancel: (reason) => void cancelled.push(reason) }),
    );
    const response = await managerOf(fetch).request('GET', URL_, { preloadContent: false });
    const reading = raised(response.read());
    response.close();
    response.close();
    expect(String(await reading)).toMatch('the response was closed before its end');
    expect(cancelled).toEqual([null]);
  });

  test('response.close() minds no error that comes later', async () => {
    let fail: (error: unknown) => void = () => {};
    const fetch = answering(() =>
      streaming({
        start: (controller) => {
          fail = (error) => controller.error(error);
        },
      }),
    );
    const response = await managerOf(fetch).request('GET', URL_, { preloadContent: false });
    const reading = raised(response.read());
    fail(new TypeError('network error'));
    response.close();
    expect(await reading).toBeInstanceOf(HTTPError);
  });
});

describe('FetchManager, waiting', () => {
  const never: Fetch = () => new Promise(() => {});

  test('timeout and signal end a wait for a fetch that does not listen', async () => {
    expect(await raised(managerOf(never).request('GET', URL_, { timeout: 0.02 }))).toBeInstanceOf(ReadTimeoutError);
    const mine = new Error('mine');
    const controller = new AbortController();
    const answer = raised(managerOf(never).request('GET', URL_, { signal: controller.signal }));
    setImmediate(() => controller.abort(mine));
    expect(await answer).toBe(mine);
  });

  test('a response that comes when nobody waits any more is cancelled', async () => {
    const cancelled: unknown[] = [];
    const late = streaming({ cancel: (reason) => void cancelled.push(reason) });
    let answer: (response: Response) => void = () => {};
    const fetch: Fetch = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    expect(await raised(managerOf(fetch).request('GET', URL_, { timeout: 0.02 }))).toBeInstanceOf(ReadTimeoutError);
    answer(late);
    await vi.waitFor(() => expect(cancelled).toEqual([undefined]));
  });

  test('timeout is what is raised, whatever a fetch makes of its abort', async () => {
    const fetch: Fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
      });
    const error = await raised(
      managerOf(fetch).request('GET', URL_, { timeout: new Timeout({ read: 0.02, connect: 0.01 }) }),
    );
    expect(String(error)).toBe('ReadTimeoutError: FetchManager(): Read timed out. (read timeout=0.03)');
  });

  test('timeout counts anew with each piece that is sent', async () => {
    const fetch: Fetch = async (_url, init) => {
      const reader = bodyStream(init).getReader();
      for (let step = await reader.read(); !step.done; step = await reader.read());
      return new Response('ok');
    };
    const slow = async function* () {
      for (let piece = 0; piece < 6; piece++) {
        await new Promise((resolve) => setTimeout(resolve, 60));
        yield 'a';
      }
    };
    const options = { body: slow(), timeout: new Timeout({ read: 0.2 }) };
    expect((await managerOf(fetch).request('POST', URL_, options)).status).toBe(200);
  });

  test('timeout warns once where connect alone bounds nothing', async () => {
    const http = managerOf(answering(), { timeout: new Timeout({ connect: 2, read: null }) });
    await http.request('GET', URL_);
    await http.request('GET', URL_);
    expect(warnings()).toEqual([
      expect.stringMatching(/^FetchPlatformWarning: a connect timeout without a read or total/),
    ]);
  });

  test('signal has no listener left when a request is over, however it ended', async () => {
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, 'addEventListener');
    const removed = vi.spyOn(signal, 'removeEventListener');
    await managerOf(answering()).request('GET', URL_, { signal });
    await raised(managerOf(answering(() => Promise.reject(failure('ECONNRESET')))).request('GET', URL_, { signal }));
    const open = await managerOf(answering()).request('GET', URL_, { signal, preloadContent: false });
    await open.drainConn();
    expect(added).toHaveBeenCalledTimes(3);
    expect(removed).toHaveBeenCalledTimes(3);
  });
});

describe('FetchManager, where fetch follows redirects', () => {
  /** As browsers are, which keep Cookie from scripts. */
  function inBrowser(): void {
    const { Request } = globalThis;
    class BrowserRequest extends Request {
      constructor(url: string, init: RequestInit) {
        super(url, init);
        for (const name of ['cookie', 'accept-encoding']) this.headers.delete(name);
      }
    }
    vi.stubGlobal('Request', BrowserRequest);
  }

  const asked = (fetch: ReturnType<typeof answering>) => fetch.calls.map(([, { redirect }]) => redirect);

  test('request() lets it follow, and gives the URL that answered', async () => {
    inBrowser();
    const fetch = answering(() =>
      Object.defineProperty(new Response('ok'), 'url', { value: 'http://peer.test/there' }),
    );
    const http = managerOf(fetch, { retries: 3 });
    expect(http.redirects).toBe('fetch');
    const response = await http.request('GET', URL_);
    expect([response.url, asked(fetch)]).toEqual(['http://peer.test/there', ['follow']]);
    expect((await managerOf(answering(), { retries: 3 }).request('GET', URL_)).url).toBe(URL_);
  });

  test('request() sends no defaults that a page cannot set, and warns of what it keeps from scripts', async () => {
    inBrowser();
    const fetch = answering();
    await managerOf(fetch).request('GET', URL_, { headers: { Cookie: 'a=b', A: '1' } });
    expect(fetch.calls[0]?.[1].headers).toEqual([['A', '1']]);
    expect(warnings()).toEqual([
      'FetchPlatformWarning: The header "cookie" of a request is not sent: this runtime keeps it from scripts',
    ]);
  });

  test('SEC-048, SEC-056 (CVE-2018-20060, CVE-2025-50181): request() never lets it follow with secrets, or where it is not to', async () => {
    const fetch = answering();
    const http = managerOf(fetch, { redirects: 'fetch', retries: 3 });
    await http.request('GET', URL_, { redirect: false });
    await http.request('GET', URL_, { retries: false });
    await http.request('GET', URL_, { retries: 0 });
    await http.request('GET', URL_, { retries: new Retry({ redirect: 0 }) });
    await http.request('GET', URL_, { headers: { AUTHORIZATION: 'Bearer secret' } });
    await http.request('GET', URL_, { headers: { 'X-Own': '1' }, crossOriginHeaders: 'safelist' });
    expect(new Set(asked(fetch))).toEqual(new Set(['manual']));
    const open = new Retry({ removeHeadersOnRedirect: [] });
    await http.request('GET', URL_, { headers: { Authorization: 'Bearer secret' }, retries: open });
    expect(asked(fetch).at(-1)).toBe('follow');
    expect(warnings()).toEqual([]);
  });

  test('request() warns once that a number of redirects is not heeded', async () => {
    const http = managerOf(answering(), { redirects: 'fetch', retries: new Retry({ redirect: 2 }) });
    await http.request('GET', URL_);
    await http.request('GET', URL_);
    expect(warnings()).toEqual([expect.stringMatching(/the number of redirects in retries is not heeded$/)]);
  });
});

describe('FetchManager, what it tells', () => {
  test('request() writes log lines as a pool does', async () => {
    const lines: string[] = [];
    const handler = addLogHandler({ write: ({ logger, message }) => lines.push(`${logger}: ${message}`) });
    try {
      const fetch = answering(
        () => new Response('', { status: 302, headers: { Location: '/there' } }),
        () => Promise.reject(failure('ECONNREFUSED')),
        () => new Response('abc', { headers: { 'Content-Length': '3' } }),
      );
      await managerOf(fetch).request('GET', URL_, { retries: 3 });
    } finally {
      handler.remove();
    }
    expect(lines.filter((line) => !/Incremented|Converted/.test(line))).toEqual([
      'urllib3.contrib.fetch: http://peer.test:80 "GET /path?q=1" 302 null',
      'urllib3.poolmanager: Redirecting http://peer.test/path?q=1 -> http://peer.test/there',
      expect.stringMatching(/^urllib3.connectionpool: Retrying .* 'NewConnectionError: .*ECONNREFUSED.*': \/there$/),
      'urllib3.contrib.fetch: http://peer.test:80 "GET /there" 200 3',
    ]);
  });

  test('request() publishes events of each attempt', async () => {
    const seen: [string, object][] = [];
    const all = {
      requestStart: channels.requestStart,
      requestHead: channels.requestHead,
      requestEnd: channels.requestEnd,
    };
    const more = { ...all, requestError: channels.requestError, retry: channels.retry, redirect: channels.redirect };
    const listeners = Object.entries(more).map(([name, channel]) => {
      const listener = (event: object) => void seen.push([name, event]);
      channel.subscribe(listener);
      return () => channel.unsubscribe(listener);
    });
    try {
      const fetch = answering(
        () => new Response('', { status: 303, headers: { Location: 'http://other.test/' } }),
        () => Promise.reject(failure('ECONNRESET')),
        () => new Response('abc'),
      );
      await managerOf(fetch).request('POST', URL_, { retries: 3 });
    } finally {
      for (const stop of listeners) stop();
    }
    expect(seen.map(([name]) => name)).toEqual([
      'requestStart',
      'requestHead',
      'requestEnd',
      'redirect',
      'requestStart',
      'requestError',
      'retry',
      'requestStart',
      'requestHead',
      'requestEnd',
    ]);
    expect(seen[1]?.[1]).toMatchObject({ connectionId: null, status: 303, method: 'POST', pool: 'FetchManager()' });
    expect(seen[9]?.[1]).toMatchObject({ connectionId: null, status: 200, method: 'GET', url: 'http://other.test/' });
  });

  test('errors and responses show no secrets, and PoolManager takes the same options', async () => {
    const url = 'http://user:secret@peer.test/?password=secret';
    const error = await raised(
      managerOf(
        answering(() => Promise.reject(failure('ECONNRESET'))),
        { retries: 0 },
      ).request('GET', url),
    );
    expect(JSON.stringify(error) + String(error)).not.toMatch('secret');
    const {
      fetch: _,
      redirects: __,
      ...common
    }: FetchManagerOptions = { retries: 1, timeout: 2, deadline: 3, headers: {} };
    expect(() => new PoolManager(common)).not.toThrow();
  });
});
