/**
 * Every example of the reference's User Guide (1.1 to 1.3, 1.5, 1.6) and Advanced Usage (2.1, 2.2), written for Node, against
 * the embedded httpbin: what the reference prints is what is expected here.
 */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MaxRetryError, NameResolutionError, NewConnectionError, ReadTimeoutError } from '../src/exceptions.js';
import * as urllib3 from '../src/index.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';

interface Echo {
  readonly args: unknown;
  readonly form: unknown;
  readonly json: unknown;
  readonly files: unknown;
  readonly data: unknown;
  readonly headers: Record<string, string>;
}

let httpbin: Httpbin;
let http: urllib3.PoolManager;
beforeAll(async () => {
  httpbin = await startHttpbin();
  http = new urllib3.PoolManager();
});
afterAll(async () => {
  http.clear();
  await httpbin.close();
});

function at(path: string): string {
  return httpbin.url + path;
}

function echoOf(response: urllib3.HTTPResponse): Echo {
  return JSON.parse(response.data.toString('utf8'));
}

describe('User Guide 1.1, Making requests', () => {
  test('request() gives the content of a GET as bytes', async () => {
    const r = await http.request('GET', at('/robots.txt'));
    expect(r).toBeInstanceOf(urllib3.HTTPResponse);
    expect(r.data).toEqual(Buffer.from('User-agent: *\nDisallow: /deny\n'));
  });

  test('request() makes requests of any method', async () => {
    const r = await http.request('POST', at('/post'), { fields: { hello: 'world' } });
    expect(echoOf(r).form).toEqual({ hello: 'world' });
  });
});

describe('User Guide 1.2, Response content', () => {
  test('request() gives status, data and headers', async () => {
    const r = await http.request('GET', at('/ip'));
    expect(r.status).toBe(200);
    expect(r.data).toEqual(Buffer.from('{\n  "origin": "127.0.0.1"\n}\n'));
    expect(r.headers).toBeInstanceOf(urllib3.HTTPHeaderDict);
    expect(r.headers.get('content-length')).toBe('28');
  });

  test('JSON content: data, decoded and parsed', async () => {
    const r = await http.request('GET', at('/ip'));
    expect(JSON.parse(r.data.toString('utf8'))).toEqual({ origin: '127.0.0.1' });
    expect(await r.json()).toEqual({ origin: '127.0.0.1' });
  });

  test('Binary content: data is always bytes', async () => {
    const r = await http.request('GET', at('/bytes/8'));
    expect(Buffer.isBuffer(r.data)).toBe(true);
    expect(r.data).toHaveLength(8);
  });
});

describe('User Guide 1.3, Request data', () => {
  test('Headers: a dictionary becomes the fields of the request', async () => {
    const r = await http.request('GET', at('/headers'), { headers: { 'X-Something': 'value' } });
    expect(echoOf(r).headers).toMatchObject({ 'X-Something': 'value' });
  });

  test.each(['GET', 'HEAD', 'DELETE'])('Query parameters: fields of a %s go into the query', async (method) => {
    const r = await http.request(method, at('/anything'), { fields: { arg: 'value' } });
    expect(r.status).toBe(200);
    if (method !== 'HEAD') expect(echoOf(r).args).toEqual({ arg: 'value' });
    expect(r.getUrl()).toBe(at('/anything?arg=value'));
  });

  test('Query parameters: a POST carries them in its URL', async () => {
    const encodedArgs = new URLSearchParams({ arg: 'value' }).toString();
    const r = await http.request('POST', at(`/post?${encodedArgs}`));
    expect(echoOf(r).args).toEqual({ arg: 'value' });
  });

  test.each(['POST', 'PUT'])('Form data: fields of a %s are a form', async (method) => {
    const r = await http.request(method, at(`/${method.toLowerCase()}`), { fields: { field: 'value' } });
    expect(echoOf(r).form).toEqual({ field: 'value' });
  });

  test('JSON: encoded data as body, with its Content-Type', async () => {
    const encodedData = Buffer.from(JSON.stringify({ attribute: 'value' }));
    const r = await http.request('POST', at('/post'), {
      body: encodedData,
      headers: { 'Content-Type': 'application/json' },
    });
    expect(echoOf(r).json).toEqual({ attribute: 'value' });
  });

  test('JSON: the json option does both', async () => {
    const r = await http.request('POST', at('/post'), { json: { attribute: 'value' } });
    expect(echoOf(r).json).toEqual({ attribute: 'value' });
    expect(echoOf(r).headers['Content-Type']).toBe('application/json');
  });

  test('Files: a tuple of name and data is a file of the form, with or without its type', async () => {
    const fileData = await readFile(new URL('../LICENSE', import.meta.url), 'utf8');
    const r = await http.request('POST', at('/post'), { fields: { filefield: ['example.txt', fileData] } });
    expect(echoOf(r).files).toEqual({ filefield: fileData });

    const typed = await http.request('POST', at('/post'), {
      fields: { filefield: ['example.txt', fileData, 'text/plain'] },
    });
    expect(echoOf(typed).files).toEqual({ filefield: fileData });
  });

  test('Binary data: a body of bytes, with its Content-Type', async () => {
    const binaryData = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0x00]);
    const r = await http.request('POST', at('/post'), { body: binaryData, headers: { 'Content-Type': 'image/jpeg' } });
    expect(echoOf(r).headers['Content-Type']).toBe('image/jpeg');
    expect(echoOf(r).data).toBe(`data:application/octet-stream;base64,${binaryData.toString('base64')}`);
  });
});

// A tenth of the reference's times: what matters is which is longer.
describe('User Guide 1.5, Using timeouts', () => {
  test('timeout: a number that the answer keeps, and one that it does not', async () => {
    await expect(http.request('GET', at('/delay/0.1'), { timeout: 4.0 })).resolves.toMatchObject({ status: 200 });
    const error = await http
      .request('GET', at('/delay/3'), { timeout: 0.025, retries: 1 })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(ReadTimeoutError) });
  });

  test('timeout: a Timeout holds for its phase only', async () => {
    const slow = http.request('GET', at('/delay/0.3'), { timeout: new urllib3.Timeout({ connect: 0.2 }) });
    await expect(slow).resolves.toMatchObject({ status: 200 });
    const error = await http
      .request('GET', at('/delay/3'), { timeout: new urllib3.Timeout({ connect: 1.0, read: 0.03 }) })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(ReadTimeoutError) });
  });

  test('timeout: of the manager, and overridden by the request', async () => {
    await using patient = new urllib3.PoolManager({ timeout: 3.0 });
    await expect(patient.request('GET', at('/delay/0.1'))).resolves.toMatchObject({ status: 200 });
    await using hasty = new urllib3.PoolManager({
      timeout: new urllib3.Timeout({ connect: 1.0, read: 0.03 }),
      retries: 0,
    });
    await expect(hasty.request('GET', at('/delay/3'))).rejects.toThrow(MaxRetryError);
    await expect(hasty.request('GET', at('/delay/0.1'), { timeout: 3.0 })).resolves.toMatchObject({ status: 200 });
  });
});

describe('User Guide 1.6, Retrying requests', () => {
  test('retries: a number', async () => {
    await expect(http.request('GET', at('/ip'), { retries: 10 })).resolves.toMatchObject({ status: 200 });
  });

  test('retries: false gives errors and redirects as they are', async () => {
    const failed = http.request('GET', 'http://nxdomain.invalid', { retries: false });
    await expect(failed).rejects.toThrow(NewConnectionError);
    await expect(failed).rejects.toThrow(NameResolutionError);
    const r = await http.request('GET', at('/redirect/1'), { retries: false });
    expect(r.status).toBe(302);
  });

  test('redirect: false gives redirects and keeps the retries', async () => {
    const r = await http.request('GET', at('/redirect/1'), { redirect: false });
    expect(r.status).toBe(302);
  });

  test('redirects are followed, three by default', async () => {
    expect((await http.request('GET', at('/redirect/3'))).status).toBe(200);
    await expect(http.request('GET', at('/redirect/4'))).rejects.toThrow(MaxRetryError);
  });

  test('retries: three in all, of which two redirects', async () => {
    const retries = new urllib3.Retry(3, { redirect: 2 });
    await expect(http.request('GET', at('/redirect/3'), { retries })).rejects.toThrow(MaxRetryError);
  });

  test('retries: raiseOnRedirect false gives the last redirect', async () => {
    const retries = new urllib3.Retry({ redirect: 2, raiseOnRedirect: false });
    const r = await http.request('GET', at('/redirect/3'), { retries });
    expect(r.status).toBe(302);
  });

  test('retries: of the manager, and overridden by the request', async () => {
    await using never = new urllib3.PoolManager({ retries: false });
    expect((await never.request('GET', at('/redirect/1'))).status).toBe(302);
    expect((await never.request('GET', at('/redirect/1'), { retries: 1 })).status).toBe(200);
    await using some = new urllib3.PoolManager({ retries: new urllib3.Retry(5, { redirect: 2 }) });
    expect((await some.request('GET', at('/redirect/2'))).status).toBe(200);
    await expect(some.request('GET', at('/redirect/3'))).rejects.toThrow(MaxRetryError);
  });
});

describe('Advanced Usage 2.1, Customizing pool behavior', () => {
  test('numPools: the number of pools that are kept', async () => {
    await using manager = new urllib3.PoolManager({ numPools: 2 });
    for (const host of ['a.test', 'b.test', 'c.test']) manager.connectionFromHost(host);
    expect(manager.pools.size).toBe(2);
    expect(new urllib3.PoolManager({ numPools: 50 }).pools.maxsize).toBe(50);
    expect(new urllib3.PoolManager().pools.maxsize).toBe(10);
  });

  test('maxsize: connections that are kept, not that may be open', async () => {
    await using own = await startHttpbin();
    await using manager = new urllib3.PoolManager({ maxsize: 2 });
    await Promise.all(Array.from({ length: 5 }, () => manager.request('GET', `${own.url}/delay/0.05`)));
    expect(own.connections).toBe(5);
    await Promise.all([1, 2].map(() => manager.request('GET', `${own.url}/ip`)));
    expect(own.connections).toBe(5);
    expect(new urllib3.HTTPConnectionPool('google.com', { maxsize: 10 }).maxsize).toBe(10);
  });

  test('maxsize with block: connections that may be open', async () => {
    await using own = await startHttpbin();
    await using manager = new urllib3.PoolManager({ maxsize: 2, block: true });
    await Promise.all(Array.from({ length: 10 }, () => manager.request('GET', `${own.url}/ip`)));
    expect(own.connections).toBe(2);
    const pool = new urllib3.HTTPConnectionPool('google.com', { maxsize: 10, block: true });
    expect(pool.block).toBe(true);
  });
});

describe('Advanced Usage 2.2, Streaming and IO', () => {
  test('preloadContent: false leaves the content to stream()', async () => {
    const r = await http.request('GET', at('/bytes/1024'), { preloadContent: false });
    let length = 0;
    for await (const chunk of r.stream(32)) {
      expect(chunk.length).toBeLessThanOrEqual(32);
      length += chunk.length;
    }
    r.releaseConn();
    expect(length).toBe(1024);
  });

  test('read() takes a response as a file', async () => {
    const r = await http.request('GET', at('/bytes/1024'), { preloadContent: false });
    expect(await r.read(4)).toHaveLength(4);
    expect(await r.read(4)).toHaveLength(4);
    expect(await r.read()).toHaveLength(1016);
  });

  test('toReadable() makes it a stream of Node, which buffers and decodes', async () => {
    const r = await http.request('GET', at('/ip'), { preloadContent: false });
    expect(JSON.parse(await text(r.toReadable()))).toEqual({ origin: '127.0.0.1' });
    r.releaseConn();
  });
});
