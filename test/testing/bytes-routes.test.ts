import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededBytes } from '../../src/testing/bytes-routes.js';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { ask, rawExchange } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test('seededBytes() gives the same bytes whatever the pieces, and a shorter run is the beginning of a longer one', () => {
  const whole = Buffer.concat([...seededBytes(7, 1000, 1000)]);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 1, max: 1001 }), (length, pieceLength) => {
      const pieces = [...seededBytes(7, length, pieceLength)];
      expect(pieces.slice(0, -1).every((piece) => piece.length === pieceLength)).toBe(true);
      expect(Buffer.concat(pieces).equals(whole.subarray(0, length))).toBe(true);
    }),
  );
});

test('seededBytes() uses every value about equally often', () => {
  const counts = Array.from({ length: 256 }, () => 0);
  for (const piece of seededBytes(1, 256_000, 4096)) for (const byte of piece) counts[byte] = (counts[byte] ?? 0) + 1;
  expect(Math.min(...counts)).toBeGreaterThan(800);
  expect(Math.max(...counts)).toBeLessThan(1200);
});

describe('/bytes', () => {
  test.each([0, 1, 1024, 300_000])('sends %d bytes with their length', async (length) => {
    const answer = await ask(`${httpbin.url}/bytes/${length}`);
    expect(answer.headers['content-length']).toBe(String(length));
    expect(answer.headers['content-type']).toBe('application/octet-stream');
    expect(answer.bytes).toHaveLength(length);
  });

  test('sends the same bytes for the same seed, as /stream-bytes does', async () => {
    const { bytes } = await ask(`${httpbin.url}/bytes/250000?seed=5`);
    expect(bytes.equals(Buffer.concat([...seededBytes(5, 250_000, 100)]))).toBe(true);
    const streamed = await ask(`${httpbin.url}/stream-bytes/250000?seed=5&chunk_size=999`);
    expect(streamed.bytes.equals(bytes)).toBe(true);
    expect((await ask(`${httpbin.url}/bytes/100?seed=6`)).bytes.equals(bytes.subarray(0, 100))).toBe(false);
  });

  test('sends other bytes each time without a seed', async () => {
    const [one, two] = [await ask(`${httpbin.url}/bytes/64`), await ask(`${httpbin.url}/bytes/64`)];
    expect(one.bytes.equals(two.bytes)).toBe(false);
  });

  test('sends 100 MiB at most, and says so to HEAD without making them', async () => {
    const answer = await ask(`${httpbin.url}/bytes/99999999999999999999999`, { method: 'HEAD' });
    expect(answer.headers['content-length']).toBe(String(100 * 1024 * 1024));
    expect(answer.bytes).toHaveLength(0);
  });
});

test('/stream-bytes sends chunks of the size asked for, and no length', async () => {
  const wire = await rawExchange(
    httpbin.port,
    'GET /stream-bytes/25?chunk_size=10&seed=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  );
  const [head = '', ...content] = wire.split('\r\n\r\n');
  expect(head).toContain('\r\nTransfer-Encoding: chunked');
  expect(head).not.toContain('Content-Length');
  expect(content.join('\r\n\r\n')).toMatch(/^a\r\n.{10}\r\na\r\n.{10}\r\n5\r\n.{5}\r\n0\r\n/s);
});

test.each([
  '/bytes/1?seed=x',
  '/stream-bytes/1?seed=x',
  '/stream-bytes/1?chunk_size=x',
  '/range/1?duration=x',
  '/range/9?chunk_size=-1',
])('%s is refused', async (path) => expect((await ask(httpbin.url + path)).status).toBe(400));

test.each(['/bytes/x', '/bytes/-1', '/stream/x', '/range/0', '/range/102401'])('%s does not exist', async (path) => {
  expect((await ask(httpbin.url + path)).status).toBe(404);
});

test('/stream sends lines of JSON that count', async () => {
  const answer = await ask(`${httpbin.url}/stream/3?a=1`);
  expect(answer.headers['content-type']).toBe('application/json');
  const lines = answer.text.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    [0, 1, 2].map((id) => ({
      id,
      args: { a: '1' },
      headers: { Connection: 'close', Host: `127.0.0.1:${httpbin.port}` },
      origin: '127.0.0.1',
      url: `${httpbin.url}/stream/3?a=1`,
    })),
  );
  expect((await ask(`${httpbin.url}/stream/1000`)).text.split('\n')).toHaveLength(101);
});

describe('/range/30', () => {
  const ALL = 'abcdefghijklmnopqrstuvwxyzabcd';
  test.each([
    [undefined, 200, ALL, undefined],
    ['bytes=0-9', 206, 'abcdefghij', 'bytes 0-9/30'],
    ['bytes=25-', 206, 'zabcd', 'bytes 25-29/30'],
    ['bytes=-4', 206, 'abcd', 'bytes 26-29/30'],
    ['bytes=-400', 206, ALL, 'bytes 0-29/30'],
    ['bytes=28-99', 206, 'cd', 'bytes 28-29/30'],
    ['bytes=0-29', 206, ALL, 'bytes 0-29/30'],
    ['bytes=30-', 416, '', 'bytes */30'],
    ['bytes=-0', 416, '', 'bytes */30'],
    ['bytes=5-4', 200, ALL, undefined],
    ['bytes=0-1,3-4', 200, ALL, undefined],
    ['bytes=-', 200, ALL, undefined],
    ['lines=0-1', 200, ALL, undefined],
  ])('answers Range: %s by %d %j', async (range, status, text, contentRange) => {
    const answer = await ask(`${httpbin.url}/range/30`, { headers: range === undefined ? {} : { Range: range } });
    expect(answer).toMatchObject({ status, text });
    expect(answer.headers).toMatchObject({
      etag: 'range30',
      'accept-ranges': 'bytes',
      'content-length': String(text.length),
    });
    expect(answer.headers['content-range']).toBe(contentRange);
  });

  test('takes the time asked for, in the chunks asked for', async () => {
    const startMs = performance.now();
    const answer = await ask(`${httpbin.url}/range/30?duration=0.09&chunk_size=10`);
    expect(answer.text).toBe(ALL);
    expect(performance.now() - startMs).toBeGreaterThan(55); // two pauses of 30 ms
  });
});
