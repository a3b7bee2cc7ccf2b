import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Exchange } from '../../src/testing/exchange.js';
import { type Httpbin, type HttpbinOptions, startHttpbin } from '../../src/testing/index.js';
import { ask, connected, rawExchange } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

async function* failingPieces(): AsyncGenerator<string> {
  yield 'abc';
  await setImmediate();
  throw new Error('Out of pieces');
}

async function certificate(): Promise<{ cert: string; key: string }> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { cert, key };
}

describe('startHttpbin()', () => {
  test('listens on a free port of loopback', () => {
    expect(httpbin.host).toBe('127.0.0.1');
    expect(httpbin.port).toBeGreaterThan(0);
    expect(httpbin.url).toBe(`http://127.0.0.1:${httpbin.port}`);
  });

  test.each([
    ['localhost', /^http:\/\/localhost:\d+$/],
    ['0.0.0.0', /^http:\/\/127\.0\.0\.1:\d+$/],
  ])('on host %s has a URL that answers', async (host, url) => {
    await using own = await startHttpbin({ host });
    expect(own.url).toMatch(url);
    expect((await ask(`${own.url}/get`)).status).toBe(200);
  });

  test.each([
    ['::1', /^http:\/\/\[::1\]:\d+$/],
    ['::', /^http:\/\/\[::1\]:\d+$/],
  ])('on host %s has a URL with brackets, where the machine has IPv6', async (host, url) => {
    const own = await startHttpbin({ host }).catch((error: NodeJS.ErrnoException) => error.code);
    if (typeof own === 'string' || own === undefined) return expect(own).toMatch(/^(?:EADDRNOTAVAIL|EAFNOSUPPORT)$/);
    expect(own.url).toMatch(url);
    await own.close();
  });

  test('on a port that is taken rejects with the error of the system', async () => {
    await expect(startHttpbin({ port: httpbin.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test.each<{ options: object; error: unknown }>([
    { options: { port: -1 }, error: new RangeError('Cannot listen on port -1: it must be an integer from 0 to 65535') },
    { options: { port: 65_536 }, error: RangeError },
    { options: { port: 1.5 }, error: RangeError },
    {
      options: { port: '80' },
      error: new RangeError("Cannot listen on port '80': it must be an integer from 0 to 65535"),
    },
    { options: { host: '' }, error: new TypeError("Cannot listen on host '': it must be an address or a name") },
    { options: { host: 1 }, error: TypeError },
    { options: { tls: {} }, error: TypeError },
    { options: { tls: { cert: 'x' } }, error: TypeError },
  ])('rejects $options', async ({ options, error }) => {
    // The cast lets through what the types forbid: that is what is tested.
    await expect(startHttpbin(options as HttpbinOptions)).rejects.toThrow(error as Error);
  });

  test('serves https with the certificate that it is given', async () => {
    const { cert, key } = await certificate();
    await using own = await startHttpbin({ host: 'localhost', tls: { cert, key } });
    expect(own.url).toBe(`https://localhost:${own.port}`);
    const answer = await ask(`${own.url}/get`, { ca: cert });
    expect(answer.json()).toMatchObject({ url: `${own.url}/get` });
  });
});

test('Httpbin counts connections, open sockets and requests', async () => {
  await using own = await startHttpbin();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let count = 0; count < 3; count++) {
    const sent = request(`${own.url}/bytes/1`, { agent }).end();
    const [response] = await once(sent, 'response');
    response.resume();
    await once(response, 'close');
  }
  expect(own).toMatchObject({ connections: 1, openSockets: 1, requests: 3 });
  agent.destroy();
  await vi.waitFor(() => expect(own).toMatchObject({ connections: 1, openSockets: 0, requests: 3 }));
  await ask(`${own.url}/get`);
  expect(own).toMatchObject({ connections: 2, requests: 4 });
});

describe('Httpbin.close()', () => {
  test('ends idle and busy connections, waits for them, and may be called again', async () => {
    const own = await startHttpbin();
    const idle = await connected(own.port);
    const busy = await connected(own.port);
    // Pipelined: node:http does not tell the second request's response that the connection is gone.
    busy.write('GET /delay/10 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2));
    await vi.waitFor(() => expect(own.requests).toBe(2));
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    const ended = [idle, busy].map((socket) => once(socket.on('error', () => {}).resume(), 'close'));
    await Promise.all([own.close(), own.close()]);
    await Promise.all(ended);
    expect(own.openSockets).toBe(0);
    await vi.waitFor(() => expect(cleared.mock.calls.length).toBeGreaterThanOrEqual(2));
    cleared.mockRestore();
    await expect(connected(own.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await own.close();
  });

  test('ends TLS connections, also one that never spoke', async () => {
    const own = await startHttpbin({ tls: await certificate() });
    const silent = await connected(own.port);
    const secure = connectTls({ port: own.port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(secure, 'secureConnect');
    await vi.waitFor(() => expect(own.openSockets).toBe(2));
    const ended = [silent, secure].map((socket) => once(socket.on('error', () => {}).resume(), 'close'));
    await own[Symbol.asyncDispose]();
    await Promise.all(ended);
    expect(own.openSockets).toBe(0);
  });
});

describe('a request', () => {
  test('for an unknown path is 404', async () => {
    const answer = await ask(`${httpbin.url}/nothing?<b>`);
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.text).toContain('<p>There is no endpoint at /nothing; / lists them</p>');
  });

  test('with a path that is not UTF-8 is 400', async () => {
    expect((await ask(`${httpbin.url}/base64/%E9`)).status).toBe(400);
  });

  test.each([
    ['/get', 'POST', 'GET, HEAD, OPTIONS'],
    ['/post', 'GET', 'POST, OPTIONS'],
    ['/post', 'HEAD', 'POST, OPTIONS'],
    ['/anything', 'PROPFIND', 'GET, POST, PUT, DELETE, PATCH, TRACE, HEAD, OPTIONS'],
  ])('for %s with %s is 405 and told %s', async (path, method, allow) => {
    const answer = await ask(httpbin.url + path, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe(allow);
  });

  test('with OPTIONS is told what is allowed, also as a preflight', async () => {
    const plain = await ask(`${httpbin.url}/get`, { method: 'OPTIONS' });
    expect(plain).toMatchObject({ status: 200, text: '' });
    expect(plain.headers).toMatchObject({ allow: 'GET, HEAD, OPTIONS', 'access-control-max-age': '3600' });
    const headers = { Origin: 'http://a.test', 'Access-Control-Request-Headers': 'X-A' };
    const preflight = await ask(`${httpbin.url}/post`, { method: 'OPTIONS', headers });
    expect(preflight.headers).toMatchObject({
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'X-A',
      'access-control-allow-methods': 'GET, POST, PUT, DELETE, PATCH, OPTIONS',
      'access-control-allow-origin': 'http://a.test',
    });
  });

  test('with OPTIONS for the whole server is told all methods', async () => {
    const wire = await rawExchange(httpbin.port, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(wire).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\nAllow: GET, POST, PUT, DELETE, PATCH, TRACE, HEAD, OPTIONS\r\n/s);
    const other = await rawExchange(httpbin.port, 'GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(other).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test('in absolute form names the host, over the Host field', async () => {
    const get = (target: string) =>
      rawExchange(httpbin.port, `GET ${target} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n`);
    expect(await get('http://a.test:81/get?x=1')).toContain('"url": "http://a.test:81/get?x=1"');
    expect(await get('http://a.test')).toContain('httpbin of urllib3');
    expect(await get('/get')).toContain('"url": "http://other/get"');
  });

  test('in HTTP/1.0 without Host is answered', async () => {
    const wire = await rawExchange(httpbin.port, 'GET /get HTTP/1.0\r\n\r\n');
    expect(wire).toContain(`"url": "http://localhost:${httpbin.port}/get"`);
  });

  test('that makes a handler fail is 500, and the server lives on', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const answer = await ask(`${httpbin.url}/post`, { method: 'POST', body: deep });
    expect(answer.status).toBe(500);
    expect(answer.text).toContain('Bug in the embedded httpbin: RangeError');
    expect((await ask(`${httpbin.url}/get`)).status).toBe(200);
  });

  test('that makes a handler fail in the middle of its answer is cut off, not completed', async () => {
    const spy = vi.spyOn(Exchange.prototype, 'sendJson').mockImplementation(function (this: Exchange) {
      return this.stream({}, failingPieces());
    });
    try {
      const wire = await rawExchange(httpbin.port, 'GET /ip HTTP/1.1\r\nHost: x\r\n\r\n');
      expect(wire).toMatch(/\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n$/);
    } finally {
      spy.mockRestore();
    }
  });

  test('that is no HTTP is 400, over TLS just the end', async () => {
    expect(await rawExchange(httpbin.port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    await using own = await startHttpbin({ tls: await certificate() });
    await rawExchange(own.port, 'nonsense\r\n\r\n').catch((error) =>
      expect(error).toMatchObject({ code: 'ECONNRESET' }),
    );
    await vi.waitFor(() => expect(own).toMatchObject({ connections: 1, openSockets: 0, requests: 0 }));
  });
});

test('/ lists every endpoint', async () => {
  const { text } = await ask(httpbin.url);
  for (const path of [
    '/',
    '/get',
    '/anything/{rest:path}',
    '/status/{codes}',
    '/digest-auth/{qop}/{user}/{password}',
    '/image/png',
  ]) {
    expect(text).toContain(`<code>${path}</code>`);
  }
});
