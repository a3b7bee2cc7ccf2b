/**
 * Security cases of redirects by way of URLFetch. The service follows redirects itself, and takes every field of the request
 * along wherever it is led: seen here with a service that really fetches, from origins that keep what reached them.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppEngineManager, type AppEngineManagerOptions, URLFetchBridge } from '../../src/contrib/appengine.js';
import { LocationValueError, MaxRetryError } from '../../src/exceptions.js';
import { type HeadersInput, HTTPHeaderDict } from '../../src/headers.js';
import { Retry } from '../../src/util/retry.js';
import { startUrlfetchServer, type UrlfetchServer } from '../support/urlfetch-server.js';

const opened: AsyncDisposable[] = [];
beforeEach(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}));
afterEach(async () => {
  vi.restoreAllMocks();
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

interface Origin {
  readonly url: string;
  /** [method and path, field lines, content] */
  readonly seen: { readonly line: string; readonly fields: HTTPHeaderDict; readonly content: string }[];
}

/** Answers as `respond` says. */
async function origin(respond: (request: IncomingMessage, response: ServerResponse) => void): Promise<Origin> {
  const seen: Origin['seen'] = [];
  const server = createServer(async (request, response) => {
    let content = '';
    for await (const piece of request) content += piece;
    const fields = new HTTPHeaderDict();
    const { rawHeaders } = request;
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      fields.add(rawHeaders[index] ?? '', rawHeaders[index + 1] ?? '');
    }
    seen.push({ line: `${request.method} ${request.url}`, fields, content });
    respond(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push({
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, seen };
}

const target = () => origin((_request, response) => void response.end('here'));
const redirectingTo = (location: string, status = 302) =>
  origin((_request, response) => void response.writeHead(status, { Location: location }).end());

async function setUp(
  options: AppEngineManagerOptions = {},
): Promise<{ http: AppEngineManager; service: UrlfetchServer }> {
  const service = await startUrlfetchServer();
  const urlfetch = new URLFetchBridge({ host: service.host, port: service.port });
  opened.push(service, { [Symbol.asyncDispose]: async () => urlfetch.close() });
  return { http: new AppEngineManager({ ...options, urlfetch }), service };
}

const SECRETS = { Authorization: 'Basic c2VjcmV0', Cookie: 'sid=secret', 'Proxy-Authorization': 'Basic cHJveHk=' };

const lacksSecrets = ({ fields }: { fields: HTTPHeaderDict }) =>
  Object.keys(SECRETS).every((name) => !fields.has(name));

describe.each([true, false])('AppEngineManager with urlfetchRetries: %s', (urlfetchRetries) => {
  test.each([301, 302, 303, 307, 308])(
    'SEC-048, SEC-049, SEC-050, SEC-051 (CVE-2018-20060, CVE-2023-43804, CVE-2024-37891, CVE-2026-44431): a %i to another port carries no credentials',
    async (status) => {
      const other = await target();
      const first = await redirectingTo(`${other.url}/x`, status);
      const { http } = await setUp({ urlfetchRetries });
      const response = await http.request('GET', first.url, { headers: { ...SECRETS, 'X-Plain': 'kept' } });
      expect(response.data.toString()).toBe('here');
      expect(first.seen.map(({ fields }) => fields.get('authorization'))).toEqual([SECRETS.Authorization]);
      expect(other.seen.map(({ line, fields }) => [line, fields.get('x-plain')])).toEqual([['GET /x', 'kept']]);
      expect(other.seen.every(lacksSecrets)).toBe(true);
    },
  );

  test('SEC-051: nor do those that are the manager’s own', async () => {
    const other = await target();
    const first = await redirectingTo(other.url);
    const { http } = await setUp({ urlfetchRetries, headers: SECRETS });
    await http.request('GET', first.url);
    expect(first.seen[0]?.fields.get('cookie')).toBe('sid=secret');
    expect(other.seen).toHaveLength(1);
    expect(other.seen.every(lacksSecrets)).toBe(true);
  });

  test('credentials stay on the way to the same origin', async () => {
    const same = await origin((request, response) => {
      if (request.url === '/') response.writeHead(302, { Location: '/next' });
      response.end();
    });
    const { http } = await setUp({ urlfetchRetries });
    await http.request('GET', same.url, { headers: SECRETS });
    expect(same.seen.map(({ line, fields }) => [line, fields.get('authorization')])).toEqual([
      ['GET /', SECRETS.Authorization],
      ['GET /next', SECRETS.Authorization],
    ]);
  });

  test.each<[string, HeadersInput]>([
    [
      'capitals, twice',
      [
        ['AUTHORIZATION', 'a'],
        ['authorization', 'b'],
        ['CooKie', 'c'],
      ],
    ],
    ['an array', { Authorization: ['a', 'b'] }],
    ['a Map', new Map([['aUTHORIZATION', 'a']])],
    ['Headers', new Headers({ authorization: 'a' })],
    ['an HTTPHeaderDict', new HTTPHeaderDict({ 'proxy-authorization': 'a' })],
  ])('SEC-052 (CVE-2018-25091): no copy in no spelling survives in %s', async (_name, headers) => {
    const other = await target();
    const first = await redirectingTo(other.url);
    const { http } = await setUp({ urlfetchRetries });
    await http.request('GET', first.url, { headers });
    expect(other.seen).toHaveLength(1);
    expect(other.seen.every(lacksSecrets)).toBe(true);
  });

  test('SEC-053 (CVE-2024-45336, CVE-2023-45289): once stripped, credentials stay off for the rest of the chain', async () => {
    const other = await origin(
      (_request, response) => void response.writeHead(302, { Location: `${first.url}/back` }).end(),
    );
    const first: Origin = await origin((request, response) => {
      if (request.url === '/') response.writeHead(302, { Location: other.url });
      response.end();
    });
    const { http } = await setUp({ urlfetchRetries });
    await http.request('GET', first.url, { headers: SECRETS });
    expect(first.seen.map(({ line }) => line)).toEqual(['GET /', 'GET /back']);
    expect([...other.seen, ...first.seen.slice(1)].every(lacksSecrets)).toBe(true);
  });

  test('SEC-054 (CVE-2026-40895): removeHeadersOnRedirect takes names of the caller’s, and only an empty list takes none', async () => {
    const other = await target();
    const first = await redirectingTo(other.url);
    const { http, service } = await setUp({ urlfetchRetries });
    const headers = { 'X-Own-Secret': 'key', Authorization: 'a' };
    await http.request('GET', first.url, {
      headers,
      retries: new Retry({ removeHeadersOnRedirect: ['x-own-secret'] }),
    });
    await http.request('GET', first.url, { headers, retries: new Retry({ removeHeadersOnRedirect: [] }) });
    expect(other.seen.map(({ fields }) => [fields.has('x-own-secret'), fields.has('authorization')])).toEqual([
      [false, true],
      [true, true],
    ]);
    expect(service.calls.at(-1)?.followRedirects).toBe(urlfetchRetries);
  });

  test('SEC-054: crossOriginHeaders: "safelist" lets through what is known to be harmless', async () => {
    const other = await target();
    const first = await redirectingTo(other.url);
    const { http } = await setUp({ urlfetchRetries });
    await http.request('GET', first.url, {
      headers: { Accept: 'text/plain', 'X-Unknown': 'x' },
      crossOriginHeaders: 'safelist',
    });
    expect(other.seen.map(({ fields }) => [fields.get('accept'), fields.has('x-unknown')])).toEqual([
      ['text/plain', false],
    ]);
  });

  test('SEC-055 (CVE-2023-45803): a 303 loses content and its fields; a 307 sends all of a one-shot body again', async () => {
    const other = await target();
    const { http } = await setUp({ urlfetchRetries });
    const headers = { Authorization: 'a', 'Content-Type': 'text/plain', 'Content-Language': 'de' };
    for (const status of [303, 307]) {
      const first = await redirectingTo(other.url, status);
      await http.request('POST', first.url, { headers, body: Readable.from(['a', 'b']) });
    }
    expect(other.seen.map(({ line, content }) => [line, content])).toEqual([
      ['GET /', ''],
      ['POST /', 'ab'],
    ]);
    expect(other.seen.map(({ fields }) => [fields.has('content-type'), fields.has('content-language')])).toEqual([
      [false, false],
      [true, true],
    ]);
  });

  test.each<[string, object, AppEngineManagerOptions]>([
    ['redirect: false', { redirect: false }, {}],
    ['retries: false', { retries: false }, {}],
    ['retries: false of the manager', {}, { retries: false }],
    ['Retry({ redirect: 0 })', { retries: new Retry({ redirect: 0 }) }, {}],
    ['Retry({ redirect: 0 }) of the manager', {}, { retries: new Retry({ redirect: 0 }) }],
    ['Retry(0)', { retries: new Retry(0) }, {}],
    ['0 of the manager', {}, { retries: 0 }],
  ])(
    'SEC-056 (CVE-2025-50181, CVE-2025-50182): with %s nothing reaches where a redirect points',
    async (_name, call, own) => {
      const other = await target();
      const first = await redirectingTo(other.url);
      const { http } = await setUp({ ...own, urlfetchRetries });
      await http.request('GET', first.url, { ...call, headers: SECRETS }).catch(() => {});
      await http.request('GET', first.url, call).catch(() => {});
      expect([first.seen.length, other.seen.length]).toEqual([2, 0]);
    },
  );

  test('SEC-056: a loop ends', async () => {
    const loop = await redirectingTo('/');
    const { http } = await setUp({ urlfetchRetries });
    for (const headers of [{}, SECRETS]) {
      await expect(http.request('GET', loop.url, { headers })).rejects.toBeInstanceOf(MaxRetryError);
    }
    await expect(http.request('GET', loop.url, { headers: SECRETS, retries: null })).rejects.toBeInstanceOf(
      MaxRetryError,
    );
    expect(loop.seen.length).toBeLessThanOrEqual(6 + 4 + 21);
  });

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/', 'data:text/plain,x', 'unix:/run/x', 'http:///x'])(
    'SEC-057 (CVE-2009-0037, CVE-2011-1521, CVE-2022-33987): a redirect to %s is not followed by the manager',
    async (location) => {
      const first = await redirectingTo(location);
      const { http, service } = await setUp({ urlfetchRetries });
      const error = await http.request('GET', first.url, { headers: SECRETS }).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(LocationValueError);
      expect(service.calls).toHaveLength(1);
    },
  );

  test('SEC-059 (CVE-2025-27221): user-info of URL and Location goes nowhere, and no Referer is added', async () => {
    const other = await target();
    const first = await redirectingTo(other.url.replace('//', '//user:secret@'));
    const { http, service } = await setUp({ urlfetchRetries });
    const url = first.url.replace('//', '//me:password@');
    const response = await http.request('GET', url, { headers: { Cookie: 'a=b' } });
    for (const call of service.calls) expect(call.url).not.toContain('@');
    for (const { fields } of [...first.seen, ...other.seen]) {
      expect([fields.has('authorization'), fields.has('referer')]).toEqual([false, false]);
    }
    expect(response.url).not.toContain('@');
    expect(response.retries?.history.map(({ url: asked }) => asked)).toEqual([`${first.url}/`]);
  });
});
