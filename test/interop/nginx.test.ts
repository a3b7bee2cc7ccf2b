import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../../src/connectionpool.js';
import { IncompleteRead, MaxRetryError, ProtocolError, ReadTimeoutError, SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { makeHeaders } from '../../src/util/request.js';
import { CLIENTS, concurrently, contentOf, WAYS } from './client.js';
import { curl } from './curl.js';
import { BIG_BYTES, fingerprint, HELLO, noise, RANDOM, TEXT } from './servers/documents.js';
import { type Nginx, nginxHasEcho, startNginx } from './servers/nginx.js';
import { describeWith } from './servers/program.js';

const GZIP = makeHeaders({ acceptEncoding: 'gzip' });

describeWith(['nginx', 'curl'], 'nginx', () => {
  let nginx: Nginx;
  beforeAll(async () => {
    nginx = await startNginx();
  });
  afterAll(() => nginx?.stop());

  describe.each(WAYS)('$way', ({ make, preloadContent }) => {
    test.each([
      { path: '/hello.txt', want: HELLO },
      { path: '/text.txt', want: TEXT },
      { path: '/random.bin', want: RANDOM },
    ])('GET gives $path as it is on the disk', async ({ path, want }) => {
      await using client = make(nginx.main);
      const response = await client.request('GET', path, { preloadContent });
      expect(response).toMatchObject({ status: 200, version: 11, reason: 'OK', chunked: false });
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(want));
    });

    test('GET decodes gzip, which nginx sends chunked', async () => {
      await using client = make(nginx.main);
      const response = await client.request('GET', '/text.txt', { preloadContent, headers: GZIP });
      expect(response.headers.get('content-encoding')).toBe('gzip');
      expect(response.chunked).toBe(true);
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(TEXT));
      expect(response.tell()).toBeLessThan(TEXT.length / 2);
    });

    test('GET leaves gzip on with decodeContent: false', async () => {
      await using client = make(nginx.main);
      const options = { preloadContent, headers: GZIP, decodeContent: false };
      const content = await contentOf(await client.request('GET', '/text.txt', options), preloadContent);
      const known = await curl('-H', 'Accept-Encoding: gzip', `${nginx.main}/text.txt`);
      expect(fingerprint(content)).toBe(fingerprint(known.body));
    });

    test.skipIf(!nginxHasEcho).each([
      { kind: 'bytes', chunked: false, body: () => RANDOM },
      { kind: 'bytes, chunked', chunked: true, body: () => RANDOM },
      { kind: 'text', chunked: false, body: () => 'grüße' },
      { kind: 'a generator', chunked: false, body: () => pieces(RANDOM, 10_000) },
    ])('POST sends $kind, and nginx has it whole', async ({ chunked, body }) => {
      await using client = make(nginx.main);
      const response = await client.request('POST', '/body', { preloadContent, chunked, body: body() });
      expect(response.status).toBe(200);
      const want = body();
      const wanted = typeof want === 'string' ? Buffer.from(want) : RANDOM;
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(wanted));
    });

    test('POST declares its framing as nginx reads it', async () => {
      await using client = make(nginx.main);
      const sized = await client.request('POST', '/echo', { preloadContent, body: 'abc' });
      expect(JSON.parse(`${await contentOf(sized, preloadContent)}`)).toMatchObject({ length: '3', coding: '' });
      const chunked = await client.request('POST', '/echo', { preloadContent, body: 'abc', chunked: true });
      expect(JSON.parse(`${await contentOf(chunked, preloadContent)}`)).toMatchObject({
        length: '',
        coding: 'chunked',
      });
    });

    test('POST of fields and of JSON tells its type', async () => {
      await using client = make(nginx.main);
      const form = await client.request('POST', '/echo', { preloadContent, fields: { a: 'b' } });
      const formSeen = JSON.parse(`${await contentOf(form, preloadContent)}`);
      expect(formSeen.type).toMatch(/^multipart\/form-data; boundary=/);
      const json = await client.request('POST', '/echo', { preloadContent, json: { a: 1 } });
      expect(JSON.parse(`${await contentOf(json, preloadContent)}`)).toMatchObject({
        type: 'application/json',
        length: '7',
      });
    });

    test('HEAD, 204 and 304 have no content, and the connection serves on', async () => {
      await using client = make(nginx.main);
      const marker = `?bodyless=${Math.random()}`;
      for (const [method, path, status] of [
        ['HEAD', '/text.txt', 200],
        ['GET', '/204', 204],
        ['GET', '/304', 304],
        ['GET', '/hello.txt', 200],
      ] as const) {
        const response = await client.request(method, path + marker, { preloadContent });
        expect(response.status).toBe(status);
        const content = await contentOf(response, preloadContent);
        expect(content.length).toBe(path === '/hello.txt' ? HELLO.length : 0);
      }
      const seen = await nginx.requests(marker, 4);
      expect(seen.map(({ nth }) => nth)).toEqual([1, 2, 3, 4]);
    });

    test.each([
      { range: 'bytes=0-9', status: 206, from: 0, to: 10 },
      { range: 'bytes=-5', status: 206, from: TEXT.length - 5, to: TEXT.length },
      { range: `bytes=${TEXT.length}-`, status: 416, from: 0, to: 0 },
    ])('GET of $range gives $status', async ({ range, status, from, to }) => {
      await using client = make(nginx.main);
      const response = await client.request('GET', '/text.txt', { preloadContent, headers: { Range: range } });
      expect(response.status).toBe(status);
      const content = await contentOf(response, preloadContent);
      if (status === 206) expect(content.toString()).toBe(TEXT.subarray(from, to).toString());
    });

    test('GET of a range beyond 4 GiB', async () => {
      await using client = make(nginx.main);
      const headers = { Range: 'bytes=5000000000-5000099999' };
      const response = await client.request('GET', '/big.bin', { preloadContent, headers });
      expect(response.headers.get('content-range')).toBe(`bytes 5000000000-5000099999/${BIG_BYTES}`);
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(Buffer.alloc(100_000)));
    });

    test('redirects are followed as their status says', async () => {
      await using client = make(nginx.main);
      for (const [status, method] of [
        [301, 'POST'],
        [302, 'POST'],
        [303, 'POST'],
        [307, 'POST'],
        [308, 'POST'],
        [303, 'PUT'],
        [302, 'PUT'],
      ] as const) {
        const response = await client.request(method, `/${status}`, { preloadContent, body: 'abc' });
        const seen = JSON.parse(`${await contentOf(response, preloadContent)}`);
        const wanted = status === 303 ? { method: 'GET', length: '' } : { method, length: '3' };
        expect(seen, `${method} ${status}`).toMatchObject({ uri: `/echo?from=${status}`, ...wanted });
        expect(response.retries?.history.map((entry) => entry.status)).toEqual([status]);
      }
    });

    test('a redirect that is not followed is given as it is', async () => {
      await using client = make(nginx.main);
      const response = await client.request('GET', '/302', { preloadContent, redirect: false });
      expect(response.status).toBe(302);
      expect(response.getRedirectLocation()).toBe(`${nginx.main}/echo?from=302`);
      expect((await contentOf(response, preloadContent)).toString()).toContain('302 Found');
    });

    test('a loop of redirects ends with MaxRetryError', async () => {
      await using client = make(nginx.main);
      await expect(client.request('GET', '/loop', { preloadContent })).rejects.toThrow(/too many redirects/);
    });

    test('502 is a response, not an error', async () => {
      await using client = make(nginx.main);
      const response = await client.request('GET', '/502', { preloadContent });
      expect(response).toMatchObject({ status: 502, reason: 'Bad Gateway' });
      expect((await contentOf(response, preloadContent)).toString()).toContain('502 Bad Gateway');
    });

    test('a connection dropped without a byte is a ProtocolError, tried as often as retries say', async () => {
      await using client = make(nginx.main);
      const marker = `?drop=${Math.random()}`;
      const none = { preloadContent, retries: false } as const;
      await expect(client.request('GET', `/drop${marker}`, none)).rejects.toThrow(ProtocolError);
      const twice = await client
        .request('GET', `/drop${marker}`, { preloadContent, retries: 2 })
        .catch((error) => error);
      expect(twice).toBeInstanceOf(MaxRetryError);
      expect(twice.reason).toBeInstanceOf(ProtocolError);
      expect(await nginx.requests(marker, 4)).toHaveLength(4);
    });

    test('content that comes slowly is not late, as long as it comes', async () => {
      await using client = make(nginx.main);
      const options = { preloadContent, timeout: 1.5, headers: { Range: 'bytes=0-99999' } };
      const startMs = performance.now();
      const response = await client.request('GET', '/slow.bin', options);
      expect(fingerprint(await contentOf(response, preloadContent))).toBe(fingerprint(RANDOM.subarray(0, 100_000)));
      expect(performance.now() - startMs).toBeGreaterThan(1_500);
    });

    test('connections serve again: 100 requests, one connection', async () => {
      await using client = make(nginx.main);
      const marker = `?again=${Math.random()}`;
      for (let index = 0; index < 50; index++) {
        await contentOf(await client.request('GET', `/hello.txt${marker}`, { preloadContent }), preloadContent);
        await contentOf(await client.request('POST', `/echo${marker}`, { preloadContent, body: 'x' }), preloadContent);
      }
      const seen = await nginx.requests(marker, 100);
      expect(new Set(seen.map(({ connection }) => connection)).size).toBe(1);
      expect(seen.map(({ nth }) => nth)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    });

    test('1,000 requests, 50 at a time, over at most 10 connections', async () => {
      await using client = make(nginx.main, { maxsize: 10, block: true });
      const marker = `?many=${Math.random()}`;
      const contents = await concurrently(1_000, 50, async (index) => {
        const isPost = index % 2 === 1;
        const path = `/${isPost ? 'echo' : 'hello.txt'}${marker}`;
        const options = isPost ? { preloadContent, body: 'x'.repeat(index) } : { preloadContent };
        const response = await client.request(isPost ? 'POST' : 'GET', path, options);
        return `${response.status} ${await contentOf(response, preloadContent)}`;
      });
      for (const [index, content] of contents.entries()) {
        if (index % 2 === 0) expect(content).toBe(`200 ${HELLO}`);
        else expect(JSON.parse(content.slice(4))).toMatchObject({ method: 'POST', length: `${index}` });
      }
      const seen = await nginx.requests(marker, 1_000);
      expect(seen).toHaveLength(1_000);
      expect(new Set(seen.map(({ connection }) => connection)).size).toBe(10);
    });
  });

  describe.each(CLIENTS)('$client', ({ make }) => {
    test('uploads 20 MiB and gets them back', async () => {
      await using client = make(nginx.main);
      const content = noise(20 * 1024 ** 2);
      for (const chunked of [false, true]) {
        const put = await client.request('PUT', `/up/${chunked}.bin`, { body: content, chunked });
        expect(put.status).toBe(201);
        const got = await client.request('GET', `/up/${chunked}.bin`);
        expect(fingerprint(got.data)).toBe(fingerprint(content));
        expect((await client.request('DELETE', `/up/${chunked}.bin`)).status).toBe(204);
      }
    });

    test.each([
      { kind: 'of known length', body: () => Buffer.alloc(20 * 1024 ** 2), chunked: false },
      { kind: 'chunked', body: () => pieces(Buffer.alloc(20 * 1024 ** 2), 65_536), chunked: true },
    ])('hears 413 while it still sends a large body $kind', async ({ body, chunked }) => {
      await using client = make(nginx.main);
      for (let turn = 0; turn < 20; turn++) {
        const response = await client.request('POST', '/small', { body: body(), chunked, retries: false });
        expect(response.status).toBe(413);
        expect(response.data.toString()).toContain('413 Request Entity Too Large');
      }
    });

    test('hears 413 even from a server that closes at once, without reading the rest', async () => {
      await using client = make(nginx.main);
      for (let turn = 0; turn < 20; turn++) {
        const body = Buffer.alloc(20 * 1024 ** 2);
        const response = await client.request('POST', '/abrupt', { body, retries: false });
        expect(response.status).toBe(413);
      }
    });

    test('a server that takes three requests a connection costs nothing', async () => {
      await using client = make(nginx.stingy);
      const marker = `?stingy=${Math.random()}`;
      for (let index = 0; index < 9; index++) {
        const isPost = index % 3 === 1;
        const response = await client.request(isPost ? 'POST' : 'GET', `/${isPost ? 'echo' : 'hello.txt'}${marker}`);
        expect(response.retries?.history).toEqual([]);
      }
      const seen = await nginx.requests(marker, 9);
      expect(seen.map(({ nth }) => nth)).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
      expect(seen).toHaveLength(9);
    });

    test('the same under load: each request is sent once', async () => {
      await using client = make(nginx.stingy, { maxsize: 10 });
      const marker = `?stingyload=${Math.random()}`;
      const statuses = await concurrently(600, 20, async (index) => {
        const isPost = index % 4 === 0;
        const response = await client.request(isPost ? 'POST' : 'GET', `/${isPost ? 'echo' : 'hello.txt'}${marker}`);
        return response.status;
      });
      expect(new Set(statuses)).toEqual(new Set([200]));
      expect(await nginx.requests(marker, 600)).toHaveLength(600);
    });

    test('an idle connection that the server has closed is not used again, not even by a POST', async () => {
      await using client = make(nginx.stingy);
      const marker = `?idle=${Math.random()}`;
      await client.request('GET', `/hello.txt${marker}`);
      await nginxClosesIdle();
      const response = await client.request('POST', `/echo${marker}`, { body: 'x', retries: false });
      expect(response.status).toBe(200);
      const seen = await nginx.requests(marker, 2);
      expect(seen.map(({ method, nth }) => `${method} ${nth}`)).toEqual(['GET 1', 'POST 1']);
    });

    test('without keep-alive each request has a connection of its own', async () => {
      await using client = make(nginx.closing, { maxsize: 2, block: true });
      const marker = `?closing=${Math.random()}`;
      const statuses = await concurrently(100, 10, async (index) => {
        const options = { retries: false } as const;
        const path = index % 2 === 0 ? '/hello.txt' : '/echo';
        return (await client.request(index % 2 === 0 ? 'GET' : 'POST', path + marker, options)).status;
      });
      expect(new Set(statuses)).toEqual(new Set([200]));
      const seen = await nginx.requests(marker, 100);
      expect(new Set(seen.map(({ connection }) => connection)).size).toBe(100);
    });

    test('content that stops coming is a ReadTimeoutError', async () => {
      await using client = make(nginx.main);
      const options = { timeout: 0.2, retries: false, preloadContent: false } as const;
      const response = await client.request('GET', '/slow.bin', options);
      await expect(response.read()).rejects.toThrow(ReadTimeoutError);
      expect(response.tell()).toBeGreaterThan(0);
    });

    test('content that is given up leaves no connection behind', async () => {
      await using client = make(nginx.main, { maxsize: 1, block: true });
      const response = await client.request('GET', '/big.bin', { preloadContent: false });
      expect(response.headers.get('content-length')).toBe(`${BIG_BYTES}`);
      expect(await response.read(1_000)).toEqual(Buffer.alloc(1_000));
      response.close();
      expect((await client.request('GET', '/hello.txt', { poolTimeout: 5 })).data).toEqual(HELLO);
    });

    test('an abort ends a transfer, and the pool goes on', async () => {
      await using client = make(nginx.main, { maxsize: 1, block: true });
      const controller = new AbortController();
      const options = { preloadContent: false, signal: controller.signal };
      const response = await client.request('GET', '/slow.bin', options);
      await response.read(1_000);
      const reason = new Error('enough');
      controller.abort(reason);
      await expect(response.read()).rejects.toBe(reason);
      expect((await client.request('GET', '/hello.txt', { poolTimeout: 5 })).status).toBe(200);
    });

    test('IPv6', async ({ skip }) => {
      if (nginx.mainIpv6 === null) return skip('this machine has no ::1');
      await using client = make(nginx.mainIpv6);
      const response = await client.request('GET', '/echo');
      expect(await response.json()).toMatchObject({ host: nginx.mainIpv6.slice('http://'.length) });
    });

    test('HTTPS is verified against the authority given', async () => {
      await using client = make(nginx.https, { caCerts: nginx.authority.root });
      const marker = `?tls=${Math.random()}`;
      expect(await (await client.request('GET', `/tls${marker}`)).text()).toMatch(/^TLSv1\.3/);
      for (const method of ['GET', 'POST']) {
        const response = await client.request(method, `/echo${marker}`, { body: method === 'POST' ? 'x' : null });
        expect(await response.json()).toEqual({ method });
      }
      const large = await client.request('GET', `/random.bin${marker}`, { preloadContent: false });
      expect(fingerprint(await contentOf(large, false))).toBe(fingerprint(RANDOM));
      const seen = await nginx.requests(marker, 4);
      expect(seen.map(({ nth }) => nth)).toEqual([1, 2, 3, 4]);
    });

    test('HTTPS with an authority that nobody knows is an SSLError, and nothing is sent', async () => {
      await using client = make(nginx.https);
      const marker = `?untrusted=${Math.random()}`;
      const failure = client.request('GET', `/tls${marker}`, { retries: false, headers: { Authorization: 'secret' } });
      await expect(failure).rejects.toThrow(SSLError);
      expect(await nginx.requests(marker, 0)).toEqual([]);
    });
  });

  test('HTTPSConnectionPool asks for a name that differs from the host by serverHostname', async () => {
    await using pool = new HTTPSConnectionPool('127.0.0.1', {
      port: Number(new URL(nginx.https).port),
      caCerts: nginx.authority.root,
      serverHostname: 'localhost',
    });
    expect(await (await pool.request('GET', '/tls')).text()).toBe('TLSv1.3 localhost');
  });

  test('1,000 requests over TLS, 50 at a time, over at most 10 connections', async () => {
    await using pool = new HTTPSConnectionPool('127.0.0.1', {
      port: Number(new URL(nginx.https).port),
      caCerts: nginx.authority.root,
      maxsize: 10,
      block: true,
    });
    const marker = `?manytls=${Math.random()}`;
    const contents = await concurrently(1_000, 50, async () => (await pool.request('GET', `/hello.txt${marker}`)).data);
    expect(contents.every((content) => content.equals(HELLO))).toBe(true);
    const seen = await nginx.requests(marker, 1_000);
    expect(new Set(seen.map(({ connection }) => connection)).size).toBe(10);
  });

  test('PoolManager.request() follows a redirect to another origin, without the credentials', async () => {
    await using http = new PoolManager();
    const headers = makeHeaders({ basicAuth: 'user:pass' });
    const marker = `?elsewhere=${Math.random()}`;
    const response = await http.request('GET', `${nginx.main}/elsewhere${marker}`, { headers });
    expect(response.url).toBe(`${nginx.stingy}/hello.txt${marker}`);
    expect(response.data).toEqual(HELLO);
    expect(http.pools.size).toBe(2);
    const seen = await nginx.requests(marker, 2);
    expect(seen.map(({ authorization }) => authorization)).toEqual([headers.authorization, '']);
  });

  test('HTTPConnectionPool waits as long as Retry-After says', async () => {
    await using pool = poolOf(nginx.main);
    const startMs = performance.now();
    const response = await pool.request('GET', '/503', { retries: 1 });
    expect(response.status).toBe(503);
    expect(response.retries?.history.map(({ status }) => status)).toEqual([503]);
    expect(performance.now() - startMs).toBeGreaterThan(900);
  });

  test('readInto() takes 300 MiB without holding them', async () => {
    await using pool = poolOf(nginx.main);
    const options = { preloadContent: false, headers: { Range: `bytes=0-${300 * 1024 ** 2 - 1}` } };
    const response = await pool.request('GET', '/big.bin', options);
    const before = process.memoryUsage.rss();
    const buffer = Buffer.alloc(1_048_576);
    let received = 0;
    for (let count = await response.readInto(buffer); count > 0; count = await response.readInto(buffer))
      received += count;
    expect(received).toBe(300 * 1024 ** 2);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 ** 2);
  });

  test('a server that stops in the middle of content is IncompleteRead', async () => {
    await using own = await startNginx();
    await using pool = poolOf(own.main);
    const options = { preloadContent: false, retries: false } as const;
    const response = await pool.request('GET', '/slow.bin', options);
    await response.read(10_000);
    const broken = response.read().catch((error) => error);
    await own.stop();
    const error = await broken;
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error.cause).toBeInstanceOf(IncompleteRead);
  });

  describe('curl and HTTPConnectionPool agree', () => {
    test.each<{ name: string; method?: string; headers?: Record<string, string>; body?: string; path: string }>([
      { name: 'a file', path: '/random.bin' },
      { name: 'gzip as it came', path: '/text.txt', headers: { 'Accept-Encoding': 'gzip' } },
      { name: 'a range', path: '/random.bin', headers: { Range: 'bytes=1000-200000' } },
      { name: 'several ranges', path: '/hello.txt', headers: { Range: 'bytes=0-1,4-5' } },
      { name: 'a range that is not there', path: '/hello.txt', headers: { Range: 'bytes=99-' } },
      { name: '204', path: '/204' },
      { name: '302', path: '/302' },
      { name: '404', path: '/nowhere' },
      { name: '405', path: '/hello.txt', method: 'POST', body: 'x' },
      { name: '413', path: '/small', method: 'POST', body: 'x'.repeat(5_000) },
      { name: '502', path: '/502' },
      { name: 'a path with spaces and dots', path: '/./a%20b/../hello.txt' },
      { name: 'a query with brackets', path: '/hello.txt?a[]=1&b={2}' },
    ])('on $name', async ({ path, method = 'GET', headers = {}, body }) => {
      await using pool = poolOf(nginx.main);
      const options = { headers, redirect: false, decodeContent: false, ...(body === undefined ? {} : { body }) };
      const response = await pool.request(method, path, options);
      const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
      const sent = body === undefined ? [] : ['--data-binary', body];
      const known = await curl('-g', '-X', method, ...fields, ...sent, nginx.main + path);
      expect(known.exitCode).toBe(0);
      const isMultipart = /^multipart/.test(response.headers.get('content-type') ?? '');
      // The boundary between ranges is another one each time.
      const plain = (bytes: Buffer) => (isMultipart ? Buffer.from(bytes.toString().replace(/\d{20}/g, 'B')) : bytes);
      expect(`${response.status} ${fingerprint(plain(response.data))}`).toBe(
        `${known.status} ${fingerprint(plain(known.body))}`,
      );
    });

    test('on a connection dropped without a byte', async () => {
      await using pool = poolOf(nginx.main);
      await expect(pool.request('GET', '/drop', { retries: false })).rejects.toThrow(ProtocolError);
      expect((await curl(`${nginx.main}/drop`)).exitCode).toBe(52);
    });
  });
});

function poolOf(origin: string): HTTPConnectionPool {
  const { hostname, port } = new URL(origin);
  return new HTTPConnectionPool(hostname, { port: Number(port) });
}

async function* pieces(content: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += size) yield content.subarray(start, start + size);
}

/** The idle time of the stingy server, and a moment for the news to arrive. */
function nginxClosesIdle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_300));
}
