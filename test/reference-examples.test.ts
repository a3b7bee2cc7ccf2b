/**
 * Every example of the reference's sections 1.5 to 1.8, line by line, with the embedded httpbin in the place of httpbin.org.
 * Above each stands what the reference shows; what it prints is what is expected.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as urllib3 from '../src/index.js';
import type { PoolManagerOptions } from '../src/poolmanager.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';

let httpbin: Httpbin;
let http: urllib3.PoolManager;
const opened: urllib3.PoolManager[] = [];

function PoolManager(options?: PoolManagerOptions): urllib3.PoolManager {
  const manager = new urllib3.PoolManager(options);
  opened.push(manager);
  return manager;
}

beforeAll(async () => {
  httpbin = await startHttpbin();
  http = PoolManager();
});
afterAll(async () => {
  for (const manager of opened) manager.clear();
  await httpbin.close();
});

/** The host that no resolver knows (RFC 6761 section 6.4), without asking one that may be far away. */
const nowhere: NonNullable<PoolManagerOptions['lookup']> = (_host, _options, callback) =>
  callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), []);

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error,
  );
}

// The reference's seconds are tenths of seconds here: those that time out do so four times.
describe.concurrent('1.5 Using timeouts', () => {
  const { Timeout } = urllib3;
  const url = () => `${httpbin.url}/delay/0.3`;

  // http.request('GET', 'http://httpbin.org/delay/3', timeout=4.0) -> <urllib3.response.HTTPResponse>
  test('timeout: 0.4', async () => {
    expect(await http.request('GET', url(), { timeout: 0.4 })).toBeInstanceOf(urllib3.HTTPResponse);
  });

  // http.request('GET', 'http://httpbin.org/delay/3', timeout=2.5) -> MaxRetryError caused by ReadTimeoutError
  test('timeout: 0.25', async () => {
    expectReadTimeout(await failure(http.request('GET', url(), { timeout: 0.25 })));
  });

  // http.request(..., timeout=urllib3.Timeout(connect=1.0)) -> <urllib3.response.HTTPResponse>
  test('new Timeout({ connect: 0.1 })', async () => {
    const response = await http.request('GET', url(), { timeout: new Timeout({ connect: 0.1 }) });
    expect(response).toBeInstanceOf(urllib3.HTTPResponse);
  });

  // http.request(..., timeout=urllib3.Timeout(connect=1.0, read=2.0)) -> MaxRetryError caused by ReadTimeoutError
  test('new Timeout({ connect: 0.1, read: 0.2 })', async () => {
    const timeout = new Timeout({ connect: 0.1, read: 0.2 });
    expectReadTimeout(await failure(http.request('GET', url(), { timeout })));
  });

  // http = urllib3.PoolManager(timeout=3.0), and with Timeout(connect=1.0, read=2.0); timeout of request() overrides
  test('of a PoolManager, and overridden by request()', async () => {
    const simple = PoolManager({ timeout: 0.3 });
    expect(String(simple.connectionFromUrl(url()).timeout)).toBe('Timeout(connect=0.3, read=0.3, total=null)');
    const granular = PoolManager({ timeout: new Timeout({ connect: 0.1, read: 0.2 }) });
    expectReadTimeout(await failure(granular.request('GET', url())));
    expect((await granular.request('GET', url(), { timeout: 0.4 })).status).toBe(200);
  });

  function expectReadTimeout(error: unknown): void {
    expect(error).toBeInstanceOf(urllib3.exceptions.MaxRetryError);
    expect(error).toMatchObject({ reason: { name: 'ReadTimeoutError' }, cause: { name: 'ReadTimeoutError' } });
  }
});

describe('1.6 Retrying requests', () => {
  const { Retry } = urllib3;
  const at = (path: string) => httpbin.url + path;

  // By default, urllib3 will retry requests 3 times and follow up to 3 redirects.
  test('three redirects by default', async () => {
    expect((await http.request('GET', at('/redirect/3'))).status).toBe(200);
    expect(await failure(http.request('GET', at('/redirect/4')))).toBeInstanceOf(urllib3.exceptions.MaxRetryError);
  });

  // http.requests('GET', 'http://httpbin.org/ip', retries=10)
  test('retries: 10', async () => {
    expect((await http.request('GET', at('/ip'), { retries: 10 })).status).toBe(200);
  });

  // http.request('GET', 'http://nxdomain.example.com', retries=False) -> NewConnectionError
  test('retries: false, of a host that there is not', async () => {
    const error = await failure(
      PoolManager({ lookup: nowhere }).request('GET', 'http://nxdomain.example.com', { retries: false }),
    );
    expect(error).toBeInstanceOf(urllib3.exceptions.NewConnectionError);
  });

  // r = http.request('GET', 'http://httpbin.org/redirect/1', retries=False); r.status -> 302
  test('retries: false, of a redirect', async () => {
    expect((await http.request('GET', at('/redirect/1'), { retries: false })).status).toBe(302);
  });

  // r = http.request('GET', 'http://httpbin.org/redirect/1', redirect=False); r.status -> 302
  test('redirect: false', async () => {
    expect((await http.request('GET', at('/redirect/1'), { redirect: false })).status).toBe(302);
  });

  // http.request('GET', 'http://httpbin.org/redirect/3', retries=urllib3.Retry(3, redirect=2)) -> MaxRetryError
  test('new Retry(3, { redirect: 2 })', async () => {
    const error = await failure(http.request('GET', at('/redirect/3'), { retries: new Retry(3, { redirect: 2 }) }));
    expect(error).toBeInstanceOf(urllib3.exceptions.MaxRetryError);
  });

  // r = http.request(..., retries=urllib3.Retry(redirect=2, raise_on_redirect=False)); r.status -> 302
  test('new Retry({ redirect: 2, raiseOnRedirect: false })', async () => {
    const retries = new Retry({ redirect: 2, raiseOnRedirect: false });
    expect((await http.request('GET', at('/redirect/3'), { retries })).status).toBe(302);
  });

  // http = urllib3.PoolManager(retries=False), and with Retry(5, redirect=2); retries of request() overrides
  test('of a PoolManager, and overridden by request()', async () => {
    const without = PoolManager({ retries: false });
    expect((await without.request('GET', at('/redirect/1'))).status).toBe(302);
    const own = PoolManager({ retries: new Retry(5, { redirect: 2 }) });
    expect((await own.request('GET', at('/redirect/2'))).status).toBe(200);
    expect(await failure(own.request('GET', at('/redirect/3')))).toBeInstanceOf(urllib3.exceptions.MaxRetryError);
    expect((await own.request('GET', at('/redirect/3'), { retries: 3 })).status).toBe(200);
  });
});

describe('1.7 Errors & Exceptions', () => {
  // try: http.request('GET', 'nx.example.com', retries=False)
  // except urllib3.exceptions.NewConnectionError: print('Connection failed.')
  test('NewConnectionError is caught by its class', async () => {
    const printed: string[] = [];
    const offline = PoolManager({ lookup: nowhere });
    try {
      await offline.request('GET', 'http://nx.example.com', { retries: false });
    } catch (error) {
      if (error instanceof urllib3.exceptions.NewConnectionError) printed.push('Connection failed.');
    }
    expect(printed).toEqual(['Connection failed.']);
  });

  test('as pasted, without a scheme, it is not clear what is asked for, and that is said', async () => {
    const error = await failure(http.request('GET', 'nx.example.com', { retries: false }));
    expect(error).toBeInstanceOf(urllib3.exceptions.LocationValueError);
  });
});

describe('1.8 Logging', () => {
  // logging.getLogger("urllib3").setLevel(logging.WARNING)
  test('setLogLevel("warning") silences what is below, whatever a handler wants', async () => {
    const lines: string[] = [];
    using handler = urllib3.addLogHandler({ level: 'debug', write: ({ message }) => void lines.push(message) });
    await http.request('GET', `${httpbin.url}/get`);
    expect(lines.length).toBeGreaterThan(0);
    lines.length = 0;
    urllib3.setLogLevel('warning');
    try {
      await http.request('GET', `${httpbin.url}/get`);
    } finally {
      urllib3.setLogLevel('debug');
    }
    expect(lines).toEqual([]);
    expect(handler.level).toBe('debug');
  });
});
