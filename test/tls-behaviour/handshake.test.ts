/** Security cases of the TLS handshake: what is offered, what is taken for it, and what a failed one leaves behind. */
import net from 'node:net';
import type tls from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { HTTPSConnectionPool, type HTTPSConnectionPoolOptions } from '../../src/connectionpool.js';
import { HTTPError, LocationParseError, MaxRetryError, ProtocolError, SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { type ClientHello, clientHello } from '../support/client-hello.js';
import { onSocketMade, openSockets, timersLeftBy, watchHandles } from '../support/leaks.js';
import { answering, ok, type Peer, peer, type Script, tlsPeer } from '../support/peer.js';
import { type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());
afterEach(() => void vi.restoreAllMocks());

function poolOf(host: string, { port }: { readonly port: number }, options: HTTPSConnectionPoolOptions = {}) {
  return new HTTPSConnectionPool(host, {
    port,
    lookup: lab.lookup,
    retries: false,
    timeout: 10,
    caCerts: lab.root,
    ...options,
  });
}

/** The ClientHello that a request to the host begins with. */
async function helloTo(host: string, options: HTTPSConnectionPoolOptions = {}): Promise<ClientHello> {
  let hello: ClientHello | undefined;
  const script: Script = async ({ socket }) => {
    socket.once('data', (bytes: Buffer) => {
      hello = clientHello(bytes);
      socket.destroy();
    });
  };
  await using server = await peer(script, host.startsWith('[') ? '::1' : '127.0.0.1');
  await using pool = poolOf(host, server, options);
  await expect(pool.request('GET', '/')).rejects.toThrow(SSLError);
  if (hello === undefined) throw new Error('the server got no ClientHello');
  return hello;
}

describe('SEC-066 (CVE-2024-2466, CVE-2014-1263): an IP address is never sent as server name', () => {
  test.each([
    ['127.0.0.1', null],
    ['[::1]', null],
    ['[0:0:0:0:0:0:0:1]', null],
    ['a.lab.test', 'a.lab.test'],
    ['A.Lab.Test', 'a.lab.test'],
    ['a.lab.test.', 'a.lab.test'],
    ['bücher.lab.test', 'xn--bcher-kva.lab.test'],
  ])('%s: %s', async (host, serverName) => {
    const hello = await helloTo(host);
    expect(hello.serverName).toBe(serverName);
    // The extension itself is missing (its type is 0), it is not just empty.
    expect(hello.extensions.includes(0)).toBe(serverName !== null);
  });

  test('neither as serverHostname, with and without brackets; and a name is, in place of an address', async () => {
    for (const serverHostname of ['127.0.0.2', '::2', '[::2]']) {
      expect((await helloTo('a.lab.test', { serverHostname })).extensions).not.toContain(0);
    }
    expect((await helloTo('127.0.0.1', { serverHostname: 'b.lab.test' })).serverName).toBe('b.lab.test');
    expect((await helloTo('[::1]', { serverHostname: 'b.lab.test.' })).serverName).toBe('b.lab.test');
  });

  test.each(['a\u3002b.lab.test', 'a\uff0eb.lab.test', 'a\uff61b.lab.test', '\u212aelvin.lab.test'])(
    'SEC-069 (CVE-2026-48618, CVE-2021-0341): %j, which a resolver would read as another name, is refused unasked',
    async (host) => {
      lab.lookedUp.length = 0;
      await using http = new PoolManager({ lookup: lab.lookup, caCerts: lab.root });
      await expect(http.request('GET', `https://${host}/`)).rejects.toThrow(LocationParseError);
      expect(lab.lookedUp).toEqual([]);
    },
  );

  test('SEC-069 (CVE-2026-63374): the name that is resolved, sent and verified is one and the same', async () => {
    lab.lookedUp.length = 0;
    const hello = await helloTo('A.BÜCHER.lab.test');
    expect(hello.serverName).toBe('a.xn--bcher-kva.lab.test');
    expect(lab.lookedUp).toEqual(['a.xn--bcher-kva.lab.test']);
  });
});

describe('SEC-072 (CVE-2011-3389, CVE-2025-58189): versions and application protocols', () => {
  test('what is offered: TLS 1.2 and 1.3, http/1.1 and nothing else, and no session of before', async () => {
    const hello = await helloTo('a.lab.test');
    expect(hello.versions).toEqual([0x0304, 0x0303]);
    expect(hello.protocols).toEqual(['http/1.1']);
    expect(hello.offersSession).toBe(false);
  });

  test('a server that answers in HTTP/2 raises ProtocolError, with what it said escaped and cut', async () => {
    const { identity } = await lab.authorities.root.issue({ names: ['a.lab.test'] });
    // A SETTINGS frame, and then a GOAWAY with text that would forge a line of a log.
    const frames = Buffer.from(
      `\0\0\0\x04\0\0\0\0\0\0\x04\0\x07\0\0\0\0\0\r\nforged: \x1b[31m${'x'.repeat(5_000)}`,
      'latin1',
    );
    await using server = await tlsPeer({ ...identity, ALPNProtocols: ['h2', 'http/1.1'] }, (connection) =>
      connection.write(frames),
    );
    await using pool = poolOf('a.lab.test', server);
    const error: unknown = await pool.request('GET', '/').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ProtocolError);
    expect(String(error)).not.toMatch(/[\r\n\u001b]/);
    expect(String(error).length).toBeLessThan(500);
  });

  test('a server that insists on another application protocol is not spoken to', async () => {
    const { identity } = await lab.authorities.root.issue({ names: ['a.lab.test'] });
    const decrypted: string[] = [];
    await using server = await tlsPeer({ ...identity, ALPNProtocols: ['h2'] }, ({ socket }) => {
      socket.on('data', (bytes: Buffer) => decrypted.push(bytes.toString('latin1')));
    });
    await using pool = poolOf('a.lab.test', server);
    await expect(pool.request('GET', '/')).rejects.toThrow(HTTPError);
    expect(decrypted).toEqual([]);
  });
});

describe('SEC-073 (CVE-2023-40217, CVE-2021-22946): plain text where TLS is expected', () => {
  const PLAIN = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged';

  test.each<[string, Script]>([
    ['at once, and closes', ({ socket }) => void socket.end(PLAIN)],
    ['at once, and stays', (connection) => connection.write(PLAIN)],
    [
      'when the ClientHello has come',
      async (connection) => {
        await connection.take(1);
        connection.end(PLAIN);
      },
    ],
    [
      'as records of TLS: application data before the handshake',
      async (connection) => {
        await connection.take(1);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(PLAIN.length);
        connection.write(`\x17\x03\x03${length.toString('latin1')}${PLAIN}`);
      },
    ],
  ])('a whole response %s: raises SSLError, and nobody gets its body', async (_name, script) => {
    await using server = await peer(script);
    await using pool = poolOf('a.lab.test', server);
    const error: unknown = await pool.request('GET', '/').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SSLError);
    expect(String(error)).not.toContain('forged');
    for (const connection of server.connections) await connection.closed;
    expect(openSockets()).toEqual([]);
  });

  test('the message tells that the server does not seem to speak TLS', async () => {
    await using server = await peer(({ socket }) => void socket.end(PLAIN));
    await using pool = poolOf('a.lab.test', server);
    await expect(pool.request('GET', '/')).rejects.toThrow(/"?a\.lab\.test"?.*(wrong version number|not.*TLS|http)/i);
  });
});

describe('SEC-074 (CVE-2025-47279): failed handshakes leave nothing behind', () => {
  /** How many of them are still held by something. */
  function aliveAfterCollection(references: readonly WeakRef<object>[]): number {
    setFlagsFromString('--expose-gc');
    runInNewContext('gc')();
    return references.filter((reference) => reference.deref() !== undefined).length;
  }

  /** Each is a peer that spoils the handshake in its own way. */
  async function spoilers(): Promise<(Peer & { readonly aborts?: boolean })[]> {
    const { identity } = await lab.authorities.strangeRoot.issue({ names: ['a.lab.test'] });
    const afterHello =
      (act: (socket: net.Socket) => void): Script =>
      async (connection) => {
        await connection.take(1);
        act(connection.socket);
      };
    return [
      await tlsPeer(identity, () => {}),
      await peer(afterHello((socket) => socket.resetAndDestroy())),
      await peer(afterHello((socket) => void socket.write('\x16\x03\x03\x40\x00half of a record'))),
      await peer(afterHello((socket) => void socket.end('\x15\x03\x03\x00\x02\x02\x28'))),
    ];
  }

  test('500 of four kinds, 20 at a time: each rejects once; no socket is open or kept in memory, no timer runs, no warning comes', async () => {
    const complaints: unknown[] = [];
    const made: WeakRef<object>[] = [];
    const stopListening = onSocketMade((socket) => void made.push(new WeakRef(socket)));
    const complain = (what: unknown) => void complaints.push(what);
    for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor', 'warning'] as const)
      process.on(event, complain);
    const peers = await spoilers();
    const outcomes = new Map<string, number>();
    const pools = peers.map((server) => poolOf('a.lab.test', server, { maxsize: 20 }));
    const one = async (index: number): Promise<void> => {
      const pool = pools[index % pools.length];
      const controller = new AbortController();
      // The one that stalls is given up by the caller.
      if (index % pools.length === 2) {
        void peers[2]?.connection(Math.floor(index / pools.length)).then(() => controller.abort(new Error('enough')));
      }
      const outcome: unknown = await pool?.request('GET', '/', { signal: controller.signal }).catch((error) => error);
      const kind = outcome instanceof SSLError ? 'SSLError' : String(outcome);
      outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
    };
    const run = async (from: number, to: number) => {
      let next = from;
      const worker = async () => {
        for (let index = next++; index < to; index = next++) await one(index);
      };
      await Promise.all(Array.from({ length: 20 }, worker));
    };
    const timers = await timersLeftBy(async () => {
      await run(0, 500);
      for (const pool of pools) pool.close();
    });
    for (const server of peers) await server[Symbol.asyncDispose]();
    expect(Object.fromEntries(outcomes)).toEqual({ SSLError: 375, 'Error: enough': 125 });
    expect(timers).toBe(0);
    await expect.poll(() => openSockets().length).toBe(0);
    stopListening();
    expect(made).toHaveLength(500);
    pools.length = 0;
    await expect.poll(() => aliveAfterCollection(made)).toBeLessThan(20);
    for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor', 'warning'] as const)
      process.off(event, complain);
    expect(complaints).toEqual([]);
  });

  test('what a caller gives and what throws becomes a rejection', async () => {
    await using server = await tlsPeer(
      (await lab.authorities.root.issue({ names: ['a.lab.test'] })).identity,
      () => {},
    );
    const lookup = () => {
      throw new Error('no resolver today');
    };
    await using pool = poolOf('a.lab.test', server, { lookup });
    await expect(pool.request('GET', '/')).rejects.toThrow(HTTPError);
    await expect(pool.request('GET', '/')).rejects.toThrow(/no resolver today/);
  });

  test('with retries on, the SSLError is the reason of a MaxRetryError, and no attempt leaves a socket', async () => {
    const { identity } = await lab.authorities.strangeRoot.issue({ names: ['a.lab.test'] });
    await using server = await tlsPeer(identity, () => {});
    await using pool = poolOf('a.lab.test', server, { retries: 2 });
    const error: unknown = await pool.request('GET', '/').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(error).toMatchObject({ reason: expect.any(SSLError), code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    expect(openSockets()).toEqual([]);
  });
});

describe('SEC-075: content over TLS without a length', () => {
  const HEAD = 'HTTP/1.1 200 OK\r\n\r\nhalf of the cont';

  /** Cuts the TCP connection below, once the client has what was written before. */
  async function cutting(maxVersion: tls.SecureVersion, cut: (below: net.Socket) => void) {
    const { identity } = await lab.authorities.root.issue({ names: ['a.lab.test'] });
    const server = await tlsPeer({ ...identity, maxVersion }, async (connection) => {
      await connection.request();
      connection.write(HEAD);
    });
    const relay = net.createServer((client) => {
      const upstream = net.connect(server.port, '127.0.0.1');
      client.on('error', () => {}).pipe(upstream.on('error', () => {}));
      client.on('close', () => upstream.destroy());
      upstream.on('data', (bytes: Buffer) => client.write(bytes));
      relay.on('cut', () => cut(client));
    });
    relay.listen(0, '127.0.0.1');
    await new Promise((resolve) => void relay.on('listening', resolve));
    const address = relay.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return {
      port: address.port,
      cut: () => void relay.emit('cut'),
      async [Symbol.asyncDispose]() {
        relay.close();
        await server[Symbol.asyncDispose]();
      },
    };
  }

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: a reset raises ProtocolError, and gives no content',
    async (version) => {
      await using server = await cutting(version, (below) => below.resetAndDestroy());
      await using pool = poolOf('a.lab.test', server);
      const response = await pool.request('GET', '/', { preloadContent: false });
      expect((await response.read(5)).toString()).toBe('half ');
      server.cut();
      await expect(response.read()).rejects.toThrow(ProtocolError);
    },
  );

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: an end without close_notify cannot be told from one with it (Node does not say), and is never reused',
    async (version) => {
      await using server = await cutting(version, (below) => void below.end());
      await using pool = poolOf('a.lab.test', server);
      const response = await pool.request('GET', '/', { preloadContent: false });
      expect((await response.read(5)).toString()).toBe('half ');
      server.cut();
      expect((await response.read()).toString()).toBe('of the cont');
      await expect.poll(() => openSockets().length).toBe(0);
    },
  );

  test('with a length, the same end is an IncompleteRead', async () => {
    const { identity } = await lab.authorities.root.issue({ names: ['a.lab.test'] });
    await using server = await tlsPeer(identity, async (connection) => {
      await connection.request();
      connection.end(ok('hello').slice(0, -1));
    });
    await using pool = poolOf('a.lab.test', server);
    await expect(pool.request('GET', '/')).rejects.toThrow(/IncompleteRead|1 more expected/);
  });
});

describe('SEC-074: TLS that breaks after the handshake', () => {
  /** Passes everything on, and then, at `spoil`, a record that no key has made. */
  async function spoiling(maxVersion: tls.SecureVersion, script: Script) {
    const { identity } = await lab.authorities.root.issue({ names: ['a.lab.test'] });
    const server = await tlsPeer({ ...identity, maxVersion }, script);
    const clients: net.Socket[] = [];
    const relay = await peer(({ socket }) => {
      clients.push(socket);
      const upstream = net.connect(server.port, '127.0.0.1');
      upstream.on('error', () => {}).on('data', (bytes: Buffer) => socket.write(bytes));
      socket.on('data', (bytes: Buffer) => upstream.write(bytes));
      socket.on('close', () => upstream.destroy());
    });
    return {
      port: relay.port,
      spoil: () => void clients.at(-1)?.end(Buffer.concat([Buffer.from('1703030040', 'hex'), Buffer.alloc(64, 'x')])),
      async [Symbol.asyncDispose]() {
        await relay[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      },
    };
  }

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: a damaged record is an SSLError, before the head and in content until close, which is not taken for whole',
    async (version) => {
      for (const begins of [false, true]) {
        let asked = () => {};
        const request = new Promise<void>((resolve) => {
          asked = resolve;
        });
        await using server = await spoiling(version, async (connection) => {
          await connection.request();
          if (begins) connection.write('HTTP/1.1 200 OK\r\n\r\nhalf');
          asked();
        });
        await using pool = poolOf('a.lab.test', server);
        const answer = pool.request('GET', '/', { preloadContent: false });
        const reading = begins ? answer.then((response) => response.read()) : answer;
        await request;
        if (begins) await answer;
        server.spoil();
        const error: unknown = await reading.catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(SSLError);
        expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_SSL_/) });
        await expect.poll(() => openSockets().length).toBe(0);
      }
    },
  );

  test('SEC-126: it counts as an error of reading, so that a POST that the server may have done is not sent again', async () => {
    const methods: string[] = [];
    await using server = await spoiling('TLSv1.3', async (connection) => {
      methods.push((await connection.request()).split(' ', 1).join());
      server.spoil();
    });
    await using pool = poolOf('a.lab.test', server, { retries: 2 });
    await expect(pool.request('POST', '/')).rejects.toThrow(SSLError);
    await expect(pool.request('GET', '/')).rejects.toThrow(MaxRetryError);
    expect(methods).toEqual(['POST', 'GET', 'GET', 'GET']);
  });
});

describe('SEC-117 (CVE-2025-61729, CVE-2013-2099): certificates with very many names', () => {
  /** Milliseconds of work, of the server's too: other programs of the machine do not count. */
  async function workMs(task: () => Promise<unknown>): Promise<number> {
    const before = process.cpuUsage();
    await task();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  }

  test('as many as OpenSSL takes: judged within a second, and a message that lists only the first', async () => {
    const names = Array.from({ length: 4_000 }, (_, index) => `${index}.of.many.lab.test`);
    const { identity } = await lab.authorities.root.issue({ names });
    await using server = await tlsPeer(identity, answering(ok('hello')));
    await using pool = poolOf('3999.of.many.lab.test', server);
    expect(await workMs(() => pool.request('GET', '/'))).toBeLessThan(1_000);

    await using other = poolOf(`${'a.'.repeat(60)}many.lab.test`, server);
    let error: unknown;
    const work = await workMs(async () => {
      error = await other.request('GET', '/').catch((reason: unknown) => reason);
    });
    expect(work).toBeLessThan(1_000);
    expect(error).toBeInstanceOf(SSLError);
    expect(String(error)).toContain('0.of.many.lab.test');
    expect(String(error).length).toBeLessThan(4_096);
  });

  const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const A_TEST = Buffer.from('a.lab.test');
  const dnsName = Buffer.concat([Buffer.from([0x82, A_TEST.length]), A_TEST]);

  test.each<[string, readonly Uint8Array[]]>([
    ['an empty list', [bytes('30 00')]],
    ['nothing at all', [bytes('')]],
    ['bytes that are no DER', [bytes('ff ff ff ff')]],
    ['a length without end', [Buffer.concat([bytes('30 80'), dnsName, bytes('00 00')])]],
    ['a length beyond the end', [Buffer.concat([bytes('30 7f'), dnsName])]],
    ['a length of four GiB', [Buffer.concat([bytes('30 84 ff ff ff ff'), dnsName])]],
    ['bytes after the list', [Buffer.concat([Buffer.from([0x30, dnsName.length]), dnsName, bytes('05 00')])]],
    ['two lists', [Buffer.concat([Buffer.from([0x30, dnsName.length]), dnsName]), bytes('30 03 82 01 78')]],
    ['an address of five bytes', [bytes('30 07 87 05 7f 00 00 01 00')]],
    ['an empty name', [bytes('30 02 82 00')]],
    ['a list within a list', [Buffer.concat([Buffer.from([0x30, dnsName.length + 2, 0x30, dnsName.length]), dnsName])]],
    ['a name made of parts', [Buffer.concat([Buffer.from([0x30, dnsName.length + 2, 0xa2, dnsName.length]), dnsName])]],
  ])('CVE-2026-27145: alternative names that are %s match nothing, and break nothing', async (_what, rawAltNames) => {
    const { identity } = await lab.authorities.root.issue({ rawAltNames, commonNames: ['a.lab.test'] });
    const decrypted: string[] = [];
    await using server = await tlsPeer(identity, ({ socket }) => {
      socket.on('data', (piece: Buffer) => decrypted.push(piece.toString('latin1')));
    });
    await using pool = poolOf('a.lab.test', server);
    await expect(pool.request('GET', '/')).rejects.toThrow(SSLError);
    expect(decrypted).toEqual([]);
    await expect.poll(() => openSockets()).toEqual([]);
  });

  test('SEC-068 (CVE-2013-2099): a hundred stars in a name match nothing, in no time', async () => {
    const stars = `${`${'*a'.repeat(25)}.`.repeat(4)}test`;
    const { identity } = await lab.authorities.root.issue({ names: [stars] });
    await using server = await tlsPeer(identity, () => {});
    await using pool = poolOf(`${`${'a'.repeat(60)}.`.repeat(4)}test`, server);
    const refused = () => expect(pool.request('GET', '/')).rejects.toThrow(SSLError);
    expect(await workMs(refused)).toBeLessThan(1_000);
  });
});
