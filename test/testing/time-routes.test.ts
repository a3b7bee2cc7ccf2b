import { once } from 'node:events';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Httpbin, startHttpbin } from '../../src/testing/index.js';
import { boundedMs } from '../../src/testing/time-routes.js';
import { ask, connected } from './ask.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test('/delay waits and then shows the request, without its JSON', async () => {
  const startMs = performance.now();
  const answer = await ask(`${httpbin.url}/delay/0.1`, { method: 'POST', body: '{}' });
  expect(performance.now() - startMs).toBeGreaterThan(95);
  expect(Object.keys(answer.json() ?? {})).toEqual(['args', 'data', 'files', 'form', 'headers', 'origin', 'url']);
  expect(answer.json()).toMatchObject({ data: '{}' });
});

test('boundedMs() is 10 s at most', () => {
  expect(boundedMs('1.5', 'x')).toBe(1500);
  expect(boundedMs('3600', 'x')).toBe(10_000);
});

test('/drip sends its bytes one after the other', async () => {
  const socket = await connected(httpbin.port);
  socket.setEncoding('latin1');
  socket.write('GET /drip?numbytes=4&duration=0.2&code=206 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const startMs = performance.now();
  let received = '';
  const arrivals: number[] = [];
  for await (const piece of socket) {
    received += piece;
    arrivals.push(performance.now() - startMs);
  }
  expect(received).toMatch(/^HTTP\/1\.1 206 .*\r\nContent-Length: 4\r\n.*\r\n\r\n\*\*\*\*$/s);
  expect(arrivals.length).toBeGreaterThan(2);
  expect(arrivals.at(-1)).toBeGreaterThan(145);
});

test.each([
  ['?duration=0', 10],
  ['?numbytes=5000&duration=0.05&delay=0.01', 5000],
  ['?numbytes=99999999&duration=0', 10 * 1024 * 1024],
])('/drip%s sends %d bytes', async (query, length) => {
  const { bytes, headers } = await ask(`${httpbin.url}/drip${query}`);
  expect(headers['content-type']).toBe('application/octet-stream');
  expect(bytes.equals(Buffer.alloc(length, '*'))).toBe(true);
});

test('/drip does not drip where there is no content', async () => {
  for (const [method, code] of [
    ['GET', 204],
    ['HEAD', 200],
  ] as const) {
    const startMs = performance.now();
    expect(await ask(`${httpbin.url}/drip?code=${code}&duration=5`, { method })).toMatchObject({
      status: code,
      text: '',
    });
    expect(performance.now() - startMs).toBeLessThan(2000);
  }
});

test.each([
  '/delay/x',
  '/delay/-1',
  '/drip?numbytes=0',
  '/drip?numbytes=x',
  '/drip?duration=x',
  '/drip?delay=x',
  '/drip?code=100',
])('%s is refused', async (path) => expect((await ask(httpbin.url + path)).status).toBe(400));

test.each(['/delay/10', '/drip?delay=10', '/drip?duration=10&numbytes=2', '/range/2?duration=10&chunk_size=1'])(
  '%s leaves no timer behind when the client leaves',
  async (path) => {
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    const set = vi.spyOn(globalThis, 'setTimeout');
    try {
      const own = await startHttpbin();
      const socket = await connected(own.port);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const timer = await vi.waitFor(() => {
        const index = set.mock.calls.findIndex(([, ms]) => ms !== undefined && ms > 4000 && ms <= 10_000);
        return set.mock.results[index]?.value ?? expect.unreachable();
      });
      socket.destroy();
      await once(socket, 'close');
      await vi.waitFor(() => expect(cleared).toHaveBeenCalledWith(timer));
      await own.close();
    } finally {
      cleared.mockRestore();
      set.mockRestore();
    }
  },
);
