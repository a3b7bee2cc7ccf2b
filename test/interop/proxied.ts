/** What must hold through every proxy, whichever it is: the same cases for absolute form, tunnels, TLS to the proxy, SOCKS. */
import diagnostics_channel from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { PoolManager, PoolManagerOptions } from '../../src/poolmanager.js';
import { concurrently, contentOf } from './client.js';
import { fingerprint, RANDOM } from './servers/documents.js';
import type { Origin, OriginRequest } from './servers/origin.js';
import { startRelay } from './servers/relay.js';

/** One way through a proxy. What runs is asked for when a test does: servers are started after the tests are declared. */
export interface ProxiedWay {
  readonly origin: () => Origin;
  /** The port of the proxy that the relay passes on to. */
  readonly proxyPort: () => number;
  /** A manager whose proxy is at that port of 127.0.0.1. */
  readonly make: (port: number, options: PoolManagerOptions) => PoolManager;
  readonly scheme: 'http' | 'https';
  /** The host by which the origin is asked for. @defaultValue 127.0.0.1 */
  readonly host?: string;
  /** Whether the proxy makes requests of its own, over whichever connections it likes. */
  readonly forwards?: boolean;
  /** Whether the proxy closes its connection to the client behind each answer, whatever that announces. */
  readonly closesAlways?: boolean;
}

/** Declares the cases. */
export function describeProxied(title: string, way: ProxiedWay): void {
  const { scheme, host, make } = way;
  const url = (path: string) => way.origin().url(scheme, path, host);
  const connectionsFor = (requests: number) => (way.closesAlways ? requests : 1);

  /** Runs `work` with a manager that goes through a relay of its own, and sees that no connection is left. */
  async function through<Result>(
    options: PoolManagerOptions,
    work: (http: PoolManager, sent: () => readonly string[]) => Promise<Result>,
  ): Promise<Result> {
    await using relay = await startRelay(way.proxyPort());
    const http = make(relay.port, { caCerts: way.origin().authority.cert, timeout: 10, ...options });
    try {
      return await work(http, () => relay.sent);
    } finally {
      http.clear();
      await relay.idle();
    }
  }

  describe(title, () => {
    nothingGoesPast(way.origin);

    test('GET and POST arrive as they were sent', async () => {
      const marker = `/plain/${Math.random()}`;
      await through({}, async (http, sent) => {
        const got = await http.request('GET', url(`${marker}?a=b%20c`));
        expect(await seenBy(got)).toMatchObject({ scheme, method: 'GET', target: `${marker}?a=b%20c` });
        const posted = await http.request('POST', url(marker), { json: { a: 'ü' }, headers: { 'X-Own': 'yes' } });
        expect(await seenBy(posted)).toMatchObject({
          method: 'POST',
          body: fingerprint(Buffer.from('{"a":"ü"}')),
          headers: { 'x-own': 'yes', 'content-type': 'application/json', host: url('').split('/')[2] },
        });
        expect(sent()).toHaveLength(connectionsFor(2));
      });
      expect(way.origin().seen(marker)).toHaveLength(2);
    });

    test('bodies are streamed in both directions', async () => {
      await through({}, async (http) => {
        const headers = { 'Content-Length': `${RANDOM.length}` };
        const sized = await http.request('POST', url('/body'), {
          body: pieces(RANDOM),
          headers,
          preloadContent: false,
        });
        expect(fingerprint(await contentOf(sized, false))).toBe(fingerprint(RANDOM));
        const down = await http.request('GET', url('/random.bin'), { preloadContent: false });
        expect(fingerprint(await contentOf(down, false))).toBe(fingerprint(RANDOM));
      });
    });

    test('a body of unknown length arrives whole', async () => {
      await through({}, async (http) => {
        const response = await http.request('POST', url('/body'), { body: pieces(RANDOM), preloadContent: false });
        expect(fingerprint(await contentOf(response, false))).toBe(fingerprint(RANDOM));
      });
    });

    test('HEAD and 204 have no content, and what follows is answered', async () => {
      await through({}, async (http) => {
        expect((await http.request('HEAD', url('/random.bin'))).headers.get('content-length')).toBe(`${RANDOM.length}`);
        expect((await http.request('GET', url('/nothing'))).status).toBe(204);
        expect((await http.request('GET', url('/after'))).status).toBe(200);
      });
    });

    test(`50 requests after one another use ${way.closesAlways ? 'a connection each' : 'one connection'}`, async () => {
      const marker = `/turn/${Math.random()}`;
      await through({}, async (http, sent) => {
        for (let turn = 0; turn < 50; turn++) {
          const isPost = turn % 3 === 1;
          const response = await http.request(isPost ? 'POST' : 'GET', url(marker), { body: isPost ? 'abc' : null });
          expect(response.status).toBe(200);
          if (!way.closesAlways) expect(response.retries?.history).toEqual([]);
        }
        expect(sent()).toHaveLength(connectionsFor(50));
      });
      const connections = way
        .origin()
        .seen(marker)
        .map(({ connection }) => connection);
      expect(connections).toHaveLength(50);
      if (!way.forwards) expect(new Set(connections).size, 'at the origin').toBe(1);
    });

    test(`300 requests, 30 at a time, use ${way.closesAlways ? 'a connection each' : 'those of the pool'}`, async () => {
      const marker = `/many/${Math.random()}`;
      await through({ maxsize: 8, block: true }, async (http, sent) => {
        const bodies = await concurrently(300, 30, async (index) => {
          const response = await http.request('POST', url(marker), { body: 'x'.repeat(index) });
          return (await seenBy(response)).body;
        });
        expect(bodies).toEqual(Array.from({ length: 300 }, (_, index) => fingerprint(Buffer.alloc(index, 'x'))));
        expect(sent()).toHaveLength(way.closesAlways ? 300 : 8);
      });
      expect(way.origin().seen(marker)).toHaveLength(300);
    });

    test('redirects go through the proxy too, from one scheme to the other and back', async () => {
      const marker = `/redirected/${Math.random()}`;
      const origin = way.origin();
      const other = scheme === 'http' ? 'https' : 'http';
      await through({}, async (http, sent) => {
        const back = url(`/to/307/${encodeURIComponent(url(marker))}`);
        const away = origin.url(other, `/to/302/${encodeURIComponent(back)}`, host);
        const response = await http.request('GET', url(`/to/303/${encodeURIComponent(away)}`));
        expect(response.url).toBe(url(marker));
        expect(await seenBy(response)).toMatchObject({ scheme, target: marker });
        expect(response.retries?.history.map(({ status }) => status)).toEqual([303, 302, 307]);
        const isShared = way.forwards && scheme === 'https';
        expect(sent().length).toBeGreaterThanOrEqual(isShared ? 1 : 2);
      });
    });

    test('a transfer that is aborted, and one that is given up, leave nothing behind', async () => {
      await through({ maxsize: 1, block: true }, async (http) => {
        const controller = new AbortController();
        const options = { preloadContent: false, signal: controller.signal, poolTimeout: 5 };
        const response = await http.request('GET', url('/trickle'), options);
        await response.read(1);
        const reason = new Error('enough');
        controller.abort(reason);
        await expect(response.read()).rejects.toBe(reason);
        const givenUp = await http.request('GET', url('/trickle'), { preloadContent: false, poolTimeout: 5 });
        await givenUp.read(1);
        givenUp.close();
        expect((await http.request('GET', url('/after'), { poolTimeout: 5 })).status).toBe(200);
      });
    });
  });
}

/** What the origin says that it received. */
export async function seenBy(response: { json(): Promise<unknown> }): Promise<OriginRequest> {
  // The origin answers with exactly this.
  return (await response.json()) as OriginRequest;
}

/** Fails each test of a `describe` in which this process has dialled the origin itself. */
function nothingGoesPast(origin: () => Origin): void {
  const dialled = new Set<number>();
  const onSocket = (message: unknown) => {
    // The channel "net.client.socket" carries the socket.
    const { socket } = message as { readonly socket: Socket };
    socket.once('connect', () => dialled.add(socket.remotePort ?? 0));
  };
  beforeAll(() => diagnostics_channel.subscribe('net.client.socket', onSocket));
  afterAll(() => void diagnostics_channel.unsubscribe('net.client.socket', onSocket));
  afterEach(() => {
    expect(dialled.size).toBeGreaterThan(0);
    const { ports } = origin();
    for (const port of [ports.http, ports.https]) expect(dialled).not.toContain(port);
  });
}

/** In pieces, with a turn of the loop before each: as a file or another connection gives them. */
async function* pieces(content: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += 40_000) {
    await delay(0);
    yield content.subarray(start, start + 40_000);
  }
}
