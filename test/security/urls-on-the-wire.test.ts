/** Security cases of URLs that show on the wire only: what is dialled, and what the request line and Host say. */
import { afterEach, describe, expect, test } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../../src/connectionpool.js';
import { HostChangedError, HTTPError, LocationParseError, LocationValueError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { request as requestTopLevel } from '../../src/top-level.js';
import { parseUrl } from '../../src/util/url.js';
import { ok, type Peer, redirectTo, startPeer, testCertificate } from '../pool-peers.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function peerOf(script: Parameters<typeof startPeer>[0] = () => ok()): Promise<Peer> {
  const peer = await startPeer(script);
  opened.push(peer);
  return peer;
}

/** A manager whose lookups are noted and all lead to loopback. */
function spying(): { readonly manager: PoolManager; readonly asked: string[] } {
  const asked: string[] = [];
  const manager = new PoolManager({
    retries: false,
    lookup: (host, _options, callback) => {
      asked.push(host);
      callback(null, '127.0.0.1');
    },
  });
  opened.push(manager);
  return { manager, asked };
}

async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error);
}

const CONTROLS = [...Array.from({ length: 0x21 }, (_, code) => String.fromCharCode(code)), '\u007f'];

describe('SEC-001 (CVE-2019-11236, CVE-2019-9740, CVE-2019-9947): controls in path or query never split the request line', () => {
  test.each([
    ['PoolManager.request()', (peer: Peer, path: string) => spying().manager.request('GET', peer.url + path)],
    ['request()', (peer: Peer, path: string) => requestTopLevel('GET', peer.url + path)],
    [
      'HTTPConnectionPool.urlopen()',
      (peer: Peer, path: string) => new HTTPConnectionPool('127.0.0.1', { port: peer.port }).urlopen('GET', path),
    ],
    [
      'HTTPConnectionPool.urlopen(), absolute',
      (peer: Peer, path: string) =>
        new HTTPConnectionPool('127.0.0.1', { port: peer.port }).urlopen('GET', peer.url + path),
    ],
  ])('%s', async (_name, get) => {
    const peer = await peerOf();
    for (const control of CONTROLS) {
      for (const path of [`/a${control}b`, `/?a${control}b`, `/x#a${control}b`, `/${control} HTTP/1.1${control}X: y`]) {
        const before = peer.requests.length;
        const outcome = await outcomeOf(get(peer, path));
        const sent = peer.requests.slice(before);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(LocationParseError);
          expect(sent).toHaveLength(0);
          continue;
        }
        expect(sent).toHaveLength(1);
        expect(sent[0]?.head.split('\r\n')[0]).toMatch(/^GET [\u0021-\u007e]+ HTTP\/1\.1$/);
        expect(sent[0]?.fields.map(([name]) => name)).toEqual(['Host', 'Accept-Encoding', 'User-Agent']);
      }
    }
  });

  test('in a Location', async () => {
    for (const location of ['/a b', '/a\tb', '/a?b c']) {
      const peer = await peerOf(({ target }) => (target === '/' ? redirectTo(location) : ok()));
      await spying().manager.request('GET', peer.url, { retries: 1 });
      expect(peer.requests[1]?.head.split('\r\n')[0]).toBe(`GET ${encodeURI(location)} HTTP/1.1`);
    }
  });
});

test('SEC-002 (CVE-2019-18348, CVE-2026-48930, CVE-2024-24806): a host with controls, or too long, is neither looked up nor dialled', async () => {
  const { manager, asked } = spying();
  const hosts = [...CONTROLS, '%00', '%0d%0a', '%20'].flatMap((bad) => [
    `a${bad}.test`,
    `${bad}a.test`,
    `a.test${bad}`,
  ]);
  for (const host of [...hosts, `${'a'.repeat(64)}.test`, `${'a.'.repeat(127)}aa`]) {
    const error = await outcomeOf(manager.request('GET', `http://${host}:1/`));
    expect(error, JSON.stringify(host)).toBeInstanceOf(LocationValueError);
  }
  expect(asked).toEqual([]);
});

test('SEC-003 (CVE-2018-3774, CVE-2026-24779): the host that parseUrl() shows is the one that is dialled and named, or none is', async () => {
  const peer = await peerOf();
  const { port } = peer;
  let dialled = 0;
  for (const text of [
    `http://allowed.test:${port}\\@inner.test/`,
    `http://allowed.test\\.inner.test:${port}/`,
    `http://allowed.test:${port}/\\inner.test/`,
    `http:///allowed.test:${port}/`,
    `http:\\\\allowed.test:${port}/`,
    `http://allowed.test\t.inner.test:${port}/`,
    `http://allowed.test\n:${port}/`,
    `http://allowed.test:${port}@inner.test:${port}/`,
    `http://allowed.test#@inner.test:${port}/`,
    `http://allowed.test?@inner.test:${port}/`,
    `http://allowed.test;@inner.test:${port}/`,
    `http://inner.test:${port}//allowed.test/`,
    `http://ALLOWED.test:${port}/`,
    `http://b\u00fccher.test:${port}/`,
  ]) {
    const { manager, asked } = spying();
    const before = peer.requests.length;
    const outcome = await outcomeOf(manager.request('GET', text, { timeout: 1 }));
    if (outcome instanceof LocationValueError) {
      expect(asked, text).toEqual([]);
      continue;
    }
    const { host } = parseUrl(text);
    // Without its port a URL leads to port 80 of loopback, where nothing is expected to listen.
    expect(asked, text).toEqual([host]);
    expect([...manager.pools.values()].map((pool) => pool.host)).toEqual([host]);
    const [sent] = peer.requests.slice(before);
    if (sent === undefined) continue;
    dialled++;
    expect(sent.field('host')).toBe(`${host}:${port}`);
  }
  expect(dialled).toBeGreaterThan(4);
});

test('SEC-004 (CVE-2016-8624, CVE-2020-8169, CVE-2021-22876): neither user-info nor fragment is ever sent or shown', async () => {
  const peer = await peerOf();
  for (const text of [
    `http://alice:s3@cret@127.0.0.1:${peer.port}/x?y#fr4gment`,
    `http://alice;s3cret@127.0.0.1:${peer.port}/x?y#fr4gment?z`,
    `http://alice%40s3cret@127.0.0.1:${peer.port}/x?y#`,
    `http://alice:s3cret@127.0.0.1:${peer.port}?y#fr4gment`,
  ]) {
    const { manager, asked } = spying();
    const response = await manager.request('GET', text);
    expect(asked).toEqual(['127.0.0.1']);
    expect(response.getUrl()).not.toMatch(/alice|s3|cret|fr4gment/);
    const sent = peer.requests.at(-1);
    expect(sent?.target).toMatch(/^\/x?\?y$/);
    expect(sent?.field('host')).toBe(`127.0.0.1:${peer.port}`);
  }
  expect(peer.received).not.toMatch(/alice|s3cret|fr4gment|referer|authorization/i);
  const confused = await outcomeOf(
    spying().manager.request('GET', `http://a.test#@127.0.0.1:${peer.port}/`, { timeout: 1 }),
  );
  expect(confused).toBeInstanceOf(HTTPError);
  expect(peer.requests).toHaveLength(4);
  const refused = await outcomeOf(spying().manager.request('GET', 'http://alice:s3cret@127.0.0.1:1/#fr4gment'));
  expect(String(refused)).not.toMatch(/alice|s3cret|fr4gment/);
});

test('SEC-006 (CVE-2024-11168, CVE-2025-22870): a zone id is dialled, and not named in Host', async () => {
  const { manager } = spying();
  for (const host of ['[localhost]', '[127.0.0.1]', '[::1', '[::1]x', '[::1]:80x', '[::1%25.allowed.test]/']) {
    expect(await outcomeOf(manager.request('GET', `http://${host}/`)), host).toBeInstanceOf(LocationValueError);
  }
  const peer = await startPeer(() => ok(), { host: '::1' });
  opened.push(peer);
  const asked: string[] = [];
  const zoned = new PoolManager({
    lookup: (host, _options, callback) => {
      asked.push(host);
      callback(null, '::1');
    },
  });
  opened.push(zoned);
  const response = await zoned.request('GET', `http://[fe80::1%25lo]:${peer.port}/`);
  expect(response.status).toBe(200);
  expect(asked).toEqual(['fe80::1%lo']);
  expect(peer.requests[0]?.field('host')).toBe(`[fe80::1]:${peer.port}`);
  // The interface by its name: with "25lo" there would be none.
  await using direct = new HTTPConnectionPool('[::1%25lo]', { port: peer.port });
  expect((await direct.request('GET', '/')).status).toBe(200);
  const { key, cert } = await testCertificate();
  const secure = await startPeer(() => ok(), { host: '::1', tls: { key, cert } });
  opened.push(secure);
  await using verifying = new HTTPSConnectionPool('[::1%25lo]', { port: secure.port, caCerts: cert });
  expect((await verifying.request('GET', '/')).status).toBe(200);
});

test('SEC-007 (CVE-2021-29921, CVE-2022-32212, CVE-2024-29415): odd forms of an address reach no filter as names', async () => {
  const peer = await peerOf();
  for (const host of ['0177.0.0.1', '0x7f000001', '2130706433', '127.1', '0', '0x7f.1', '127.0.0.1.', '017700000001']) {
    const { manager, asked } = spying();
    const outcome = await outcomeOf(manager.request('GET', `http://${host}:${peer.port}/`));
    if (outcome instanceof LocationValueError) {
      expect(asked, host).toEqual([]);
      continue;
    }
    const canonical = host === '0' ? '0.0.0.0' : '127.0.0.1';
    expect(asked, host).toEqual([canonical]);
    expect([...manager.pools.values()].map((pool) => pool.host)).toEqual([canonical]);
  }
});

test('SEC-013 (CVE-2022-30115): Host has no trailing dot, the lookup has it, and two dots are refused', async () => {
  const peer = await peerOf();
  const { manager, asked } = spying();
  await manager.request('GET', `http://a.test.:${peer.port}/`);
  await manager.request('GET', `http://a.test:${peer.port}/`);
  expect(asked).toEqual(['a.test.', 'a.test']);
  expect(peer.requests.map(({ field }) => field('host'))).toEqual([`a.test:${peer.port}`, `a.test:${peer.port}`]);
  expect(await outcomeOf(manager.request('GET', `http://a.test..:${peer.port}/`))).toBeInstanceOf(LocationValueError);
});

describe('SEC-014 (CVE-2022-35949, CVE-2024-39338, CVE-2025-27152): a pool asks no other host, whatever stands for the path', () => {
  test.each([
    ['//B/x', 'path'],
    ['///B/x', 'path'],
    ['/\\B/x', 'path'],
    ['/http://B/x', 'path'],
    ['/@B/x', 'path'],
    ['http://B/x', 'refused'],
    ['http:\\\\B/x', 'refused'],
    ['\\\\B/x', 'refused'],
    ['@B/x', 'refused'],
    ['B/x', 'refused'],
    ['https://A/x', 'refused'],
    [new URL('http://b.test/x'), 'refused'],
    ['', 'refused'],
    ['?x', 'refused'],
    ['*', 'refused'],
  ] as const)('%s: %s', async (given, expected) => {
    const a = await peerOf();
    const b = await peerOf();
    await using pool = new HTTPConnectionPool('127.0.0.1', {
      port: a.port,
      retries: false,
      headers: { Authorization: 'bound' },
    });
    const url =
      typeof given === 'string' ? given.replace('B', `127.0.0.1:${b.port}`).replace('A', `127.0.0.1:${a.port}`) : given;
    // A URL object is no text: refused like anything else that is none.
    const outcome = await outcomeOf(pool.urlopen('GET', url as string));
    expect(b.sockets).toHaveLength(0);
    if (expected === 'path') {
      expect(outcome).toMatchObject({ status: 200 });
      expect(a.requests[0]?.target).toMatch(/^\//);
      expect(a.requests[0]?.field('host')).toBe(`127.0.0.1:${a.port}`);
    } else {
      expect(a.sockets).toHaveLength(0);
      const isTyped = outcome instanceof TypeError;
      expect(isTyped || outcome instanceof HostChangedError || outcome instanceof LocationValueError).toBe(true);
    }
  });
});
