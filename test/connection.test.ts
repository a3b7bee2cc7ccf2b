import { getEventListeners } from 'node:events';
import type tls from 'node:tls';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  ConnectionError,
  connectHost,
  DummyConnection,
  HTTPConnection,
  HTTPSConnection,
  hostField,
  UnverifiedHTTPSConnection,
  VerifiedHTTPSConnection,
} from '../src/connection.js';
import {
  ConnectTimeoutError,
  HTTPError,
  InvalidHeader,
  LocationValueError,
  NameResolutionError,
  NewConnectionError,
  ProtocolError,
  ReadTimeoutError,
  SSLError,
} from '../src/exceptions.js';
import type { LookupFunction } from '../src/transport/resolve.js';
import { Timeout } from '../src/util/timeout.js';
import { type Authority, authority } from './support/authority.js';
import { openSockets, watchHandles } from './support/leaks.js';
import { answering, ok, type Peer, type PeerConnection, peer, type Script, tlsPeer } from './support/peer.js';
import { blackHole, refusingPort } from './transport/loopback.js';

watchHandles();

let ca: Authority;
let server: tls.TlsOptions;
beforeAll(async () => {
  ca = await authority();
  server = await ca.issue('127.0.0.1', '::1', 'a.test', 'localhost');
});

const toLoopback: LookupFunction = (_host, _options, callback) => callback(null, ['127.0.0.1']);

/** Both kinds of connection, to a peer that runs the script. */
const KINDS = [
  {
    kind: 'HTTPConnection',
    serve: (script: Script): Promise<Peer> => peer(script),
    connect: ({ port }: Peer) => new HTTPConnection('127.0.0.1', { port, timeout: 5 }),
  },
  {
    kind: 'HTTPSConnection',
    serve: (script: Script): Promise<Peer> => tlsPeer(server, script),
    connect: ({ port }: Peer) => new HTTPSConnection('127.0.0.1', { port, timeout: 5, caCerts: ca.cert }),
  },
];

describe.each(KINDS)('$kind', ({ serve, connect }) => {
  test('request() and getResponse() run one exchange after the other on one link', async () => {
    await using peers = await serve(answering(ok('hello', 'X-A: b\r\n')));
    await using connection = connect(peers);
    for (let count = 0; count < 3; count++) {
      await connection.request('GET', `/${count}`, { headers: { 'X-Mine': 'yes' } });
      const response = await connection.getResponse();
      expect([response.status, response.headers.get('x-a'), response.url]).toEqual([200, 'b', `/${count}`]);
      expect((await response.read()).toString()).toBe('hello');
      expect(connection.isIdle).toBe(true);
    }
    expect(peers.connections).toHaveLength(1);
    const [first] = (await peers.connection(0)).received.split('\r\n\r\n');
    expect(first?.split('\r\n')).toEqual([
      'GET /0 HTTP/1.1',
      `Host: 127.0.0.1:${peers.port}`,
      'Accept-Encoding: identity',
      expect.stringMatching(/^User-Agent: urllib3-node\//),
      'X-Mine: yes',
    ]);
  });

  test('requestChunked() sends a body in chunks whatever its length, request() with its length', async () => {
    await using peers = await serve(async (one) => {
      await one.request();
      await one.take(5);
      one.write(ok('first'));
      await one.request();
      await one.take('5\r\nhello\r\n0\r\n\r\n'.length);
      one.write(ok('second'));
    });
    await using connection = connect(peers);
    await connection.request('POST', '/', { body: 'hello' });
    expect((await (await connection.getResponse()).read()).toString()).toBe('first');
    await connection.requestChunked('PUT', '/', { body: 'hello' });
    expect((await (await connection.getResponse()).read()).toString()).toBe('second');
    const { received } = await peers.connection(0);
    expect(received).toContain('Content-Length: 5\r\n\r\nhelloPUT / HTTP/1.1\r\n');
    expect(received.endsWith('\r\n\r\n5\r\nhello\r\n0\r\n\r\n')).toBe(true);
  });

  test('request() refuses while the last response is not read to its end', async () => {
    await using peers = await serve(answering(ok('hello').slice(0, -2)));
    await using connection = connect(peers);
    await connection.request('GET', '/');
    const response = await connection.getResponse();
    await expect(connection.request('GET', '/')).rejects.toThrow('the response to the last one is not read to its end');
    response.close();
    expect(connection.isConnected).toBe(false);
  });

  test('connects again by itself when its link is gone', async () => {
    await using peers = await serve(answering(ok('hello', 'Connection: close\r\n')));
    await using connection = connect(peers);
    for (let count = 1; count <= 2; count++) {
      await connection.request('GET', '/');
      await (await connection.getResponse()).read();
      expect([connection.isConnected, peers.connections.length]).toEqual([false, count]);
    }
  });

  test('close() fails the exchange in flight, and is done at once', async () => {
    await using peers = await serve(() => {});
    const connection = connect(peers);
    await connection.request('GET', '/');
    const response = connection.getResponse();
    connection.close();
    await expect(response).rejects.toThrow(ProtocolError);
    await expect(response).rejects.toThrow('The connection was closed');
    await (await peers.connection(0)).closed;
  });

  test('close() while it connects leaves no socket', async () => {
    await using peers = await serve(() => {});
    const connection = connect(peers);
    const connecting = connection.connect();
    connection.close();
    await expect(connecting).rejects.toThrow(NewConnectionError);
    expect([connection.socket, connection.isConnected]).toEqual([null, false]);
    expect(openSockets()).toEqual([]);
  });

  test('connect() makes one link, however often it is called, and refuses a second call while it is being made', async () => {
    await using peers = await serve(answering(ok('hello')));
    await using connection = connect(peers);
    const connecting = connection.connect();
    await expect(connection.connect()).rejects.toThrow('the connection is being made already');
    await connecting;
    await connection.connect();
    expect([connection.isConnected, connection.isIdle, connection.exchangeCount]).toEqual([true, true, 0]);
    await connection.request('GET', '/');
    await (await connection.getResponse()).read();
    expect(peers.connections).toHaveLength(1);
  });

  test('fileno() is the descriptor of the socket while there is one', async () => {
    await using peers = await serve(answering(ok('hello')));
    const connection = connect(peers);
    expect(connection.fileno()).toBeNull();
    await connection.connect();
    expect(connection.fileno()).toBeGreaterThan(2);
    connection.close();
  });

  test('its timeout holds for the wait for the response, and a total for it too', async () => {
    await using peers = await serve(() => {});
    for (const timeout of [0.5, new Timeout({ total: 0.5 })]) {
      const Connection = connect(peers).constructor as typeof HTTPSConnection; // of this kind
      await using connection = new Connection('127.0.0.1', { port: peers.port, timeout, ...tlsOf(Connection) });
      await connection.request('GET', '/');
      await expect(connection.getResponse()).rejects.toThrow(ReadTimeoutError);
    }
  });

  test('a signal ends the exchange, and request() before anything is sent', async () => {
    await using peers = await serve(async (one) => {
      await one.request();
    });
    await using connection = connect(peers);
    const controller = new AbortController();
    await connection.request('GET', '/', { signal: controller.signal });
    const response = connection.getResponse();
    controller.abort(new Error('enough'));
    await expect(response).rejects.toThrow('enough');
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await expect(connection.request('GET', '/', { signal: controller.signal })).rejects.toThrow('enough');
    expect(connection.isConnected).toBe(false);
  });

  test('getResponse() without a request, or a second time, is refused', async () => {
    await using peers = await serve(answering(ok('hello')));
    await using connection = connect(peers);
    await expect(connection.getResponse()).rejects.toThrow('no request was sent');
    await connection.request('GET', '/');
    await connection.getResponse();
    await expect(connection.getResponse()).rejects.toThrow(HTTPError);
  });

  test('getResponse() names phase, peer and caller of what went wrong, and times what went well', async () => {
    await using peers = await serve(async (one) => {
      await one.request();
      one.write(ok('hello'));
      await one.request();
      one.socket.destroy();
    });
    await using connection = connect(peers);
    const port = peers.port;
    async function whoeverAsked(): Promise<Buffer> {
      await connection.request('GET', '/');
      const response = await connection.getResponse();
      const content = await response.read();
      const { wait = 0, total = 0 } = response.timings ?? {};
      expect(wait).toBeGreaterThan(0);
      expect(total).toBeGreaterThan(wait);
      return content;
    }
    await whoeverAsked();
    const failing = whoeverAsked();
    await expect(failing).rejects.toMatchObject({ phase: 'wait', address: `127.0.0.1:${port}` });
    await expect(failing).rejects.toHaveProperty('stack', expect.stringContaining('whoeverAsked'));
    const refused = new HTTPConnection('127.0.0.1', { port: await refusingPort() });
    await expect(refused.connect()).rejects.toMatchObject({ phase: 'connect', address: `127.0.0.1:${refused.port}` });
  });

  test('a failure that nobody asks for does not end the process', async () => {
    await using peers = await serve(async (one) => {
      await one.request();
      one.socket.destroy();
    });
    await using connection = connect(peers);
    await connection.request('GET', '/');
    await (await peers.connection(0)).closed;
    await expect.poll(() => connection.isConnected).toBe(false);
  });

  test('refuses arguments that cannot be sent before it connects', async () => {
    await using peers = await serve(() => {});
    const connection = connect(peers);
    await expect(connection.request('GE T', '/')).rejects.toThrow(TypeError);
    await expect(connection.request('GET', '/a b')).rejects.toThrow(TypeError);
    await expect(connection.request('GET', '/', { headers: { 'X-A': 'b\r\nX: y' } })).rejects.toThrow(InvalidHeader);
    expect(peers.connections).toHaveLength(0);
  });
});

function tlsOf(Connection: typeof HTTPSConnection): { caCerts?: string } {
  return Connection.scheme === 'https' ? { caCerts: ca.cert } : {};
}

describe('HTTPConnection', () => {
  test('knows its port, scheme and options by its class, and tells itself', () => {
    const plain = new HTTPConnection('Example.COM');
    expect([plain.host, plain.port, plain.scheme, plain.defaultPort]).toEqual(['example.com', 80, 'http', 80]);
    expect(String(plain)).toBe("HTTPConnection(host='example.com', port=80)");
    expect(plain.socketOptions).toEqual([[6, 1, 1]]);
    const other = new HTTPSConnection('::1', { port: 8443, socketOptions: [], sourceAddress: ['', 0], strict: true });
    expect([other.host, other.port, other.scheme]).toEqual(['[::1]', 8443, 'https']);
    expect(String(other)).toBe("HTTPSConnection(host='[::1]', port=8443)");
    expect([other.socketOptions, other.sourceAddress, other.isVerified]).toEqual([[], ['', 0], false]);
    expect([plain.keepAliveSeconds, plain.socket, plain.isIdle]).toEqual([null, null, false]);
  });

  test('drops the dot that may end a host, but resolves it with the dot', async () => {
    await using peers = await peer(answering(ok('hello')));
    const lookup = vi.fn(toLoopback);
    await using connection = new HTTPConnection('a.test.', { port: peers.port, lookup });
    await connection.request('GET', '/');
    await (await connection.getResponse()).read();
    expect(connection.host).toBe('a.test');
    expect(lookup.mock.calls[0]?.[0]).toBe('a.test.');
    expect((await peers.connection(0)).received).toContain(`Host: a.test:${peers.port}\r\n`);
  });

  test('refuses options that cannot be used', () => {
    expect(() => new HTTPConnection('')).toThrow(LocationValueError);
    expect(() => new HTTPConnection('a.test', { port: 65_536 })).toThrow(RangeError);
    const cases: [string, unknown][] = [
      ['port', '80'],
      ['lookup', 'dns'],
      ['strict', 1],
      ['timeout', 'long'],
      ['maxFields', 1.5],
      ['certReqs', 'CERT_NONE'],
      ['nope', 1],
    ];
    for (const [name, value] of cases) {
      expect(() => new HTTPConnection('a.test', Object.fromEntries([[name, value]])), name).toThrow(TypeError);
    }
    expect(() => new HTTPSConnection('a.test', Object.fromEntries([['certReqs', 'none']]))).toThrow(TypeError);
    expect(() => new HTTPSConnection('a.test', { caCerts: '/nonexistent' })).toThrow(SSLError);
  });

  test('tells what kept it from connecting', async () => {
    const port = await refusingPort();
    const refused = new HTTPConnection('127.0.0.1', { port }).connect();
    await expect(refused).rejects.toThrow(NewConnectionError);
    await expect(refused).rejects.toThrow(/HTTPConnection\(host='127.0.0.1', port=\d+\): Failed to establish a new/);
    await expect(refused).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const lookup: LookupFunction = (_host, _options, callback) => callback(new Error('no such host'), []);
    const unresolved = new HTTPConnection('a.test', { lookup }).connect();
    await expect(unresolved).rejects.toThrow(NameResolutionError);
    await expect(unresolved).rejects.toMatchObject({ host: 'a.test' });
  });

  test.each(['HTTPConnection', 'HTTPSConnection'])(
    '%s: its connect timeout holds for everything up to the ready link',
    async (kind) => {
      await using silent = await peer(() => {});
      await using hole = await blackHole('127.0.0.1');
      const never: LookupFunction = () => {};
      const stalls: [string, number, LookupFunction][] = [
        ['DNS', silent.port, never],
        ['TCP', hole.port, toLoopback],
        ...(kind === 'HTTPConnection'
          ? []
          : ([['TLS', silent.port, toLoopback]] as [string, number, LookupFunction][])),
      ];
      for (const [phase, port, lookup] of stalls) {
        const Connection = kind === 'HTTPConnection' ? HTTPConnection : HTTPSConnection;
        const failing = new Connection('a.test', { port, lookup, timeout: new Timeout({ connect: 0.05 }) }).connect();
        await expect(failing, phase).rejects.toThrow(ConnectTimeoutError);
        await expect(failing, phase).rejects.not.toThrow(NewConnectionError);
        await expect(failing, phase).rejects.toThrow('Connection to a.test timed out. (connect timeout=0.05)');
      }
    },
  );

  test.each(['HTTPConnection', 'HTTPSConnection'])(
    '%s: a signal ends connecting in each phase, and leaves no listener',
    async (kind) => {
      await using silent = await peer(() => {});
      await using hole = await blackHole('127.0.0.1');
      let asked: () => void = () => {};
      const never: LookupFunction = () => asked();
      const Connection = kind === 'HTTPConnection' ? HTTPConnection : HTTPSConnection;
      const start = (port: number, lookup: LookupFunction, signal: AbortSignal) =>
        new Connection('a.test', { port, lookup }).connect({ signal });
      const reason = new Error('enough');
      await expect(start(1, never, AbortSignal.abort(reason))).rejects.toBe(reason);
      const phases: [LookupFunction, number, () => Promise<unknown>][] = [
        [
          never,
          1,
          () =>
            new Promise<void>((resolve) => {
              asked = resolve;
            }),
        ],
        [toLoopback, hole.port, () => new Promise((resolve) => setImmediate(resolve))],
        ...(kind === 'HTTPConnection'
          ? []
          : ([[toLoopback, silent.port, async () => (await silent.connection(0)).take(1)]] as [
              LookupFunction,
              number,
              () => Promise<unknown>,
            ][])),
      ];
      for (const [lookup, port, reached] of phases) {
        const controller = new AbortController();
        const isReached = reached();
        const connecting = start(port, lookup, controller.signal);
        await isReached;
        controller.abort(reason);
        await expect(connecting).rejects.toBe(reason);
        expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
        expect(openSockets()).toEqual([]);
      }
      for (const connection of silent.connections) await connection.closed;
    },
  );

  test('tells its owner once when it is idle and once when it is gone', async () => {
    await using peers = await peer(answering(ok('hello', 'Keep-Alive: timeout=9\r\n')));
    const connection = new HTTPConnection('127.0.0.1', { port: peers.port });
    const connectionBecameIdle = vi.fn();
    const connectionClosed = vi.fn();
    connection.owner = { connectionBecameIdle, connectionClosed };
    await connection.request('GET', '/');
    await (await connection.getResponse()).read();
    expect([connectionBecameIdle.mock.calls, connectionClosed.mock.calls]).toEqual([
      [[connection, expect.any(Number)]],
      [],
    ]);
    expect(connection.keepAliveSeconds).toBe(9);
    connection.rest();
    (await peers.connection(0)).end();
    await expect.poll(() => connectionClosed.mock.calls).toEqual([[connection]]);
    connection.close();
    expect(connectionClosed).toHaveBeenCalledOnce();
  });

  test('an exchange without a link is a fault of ours', () => {
    expect(() => Reflect.apply(HTTPConnection.prototype.exchange, new HTTPConnection('a.test'), [{}])).toThrow(
      'Bug in urllib3: an exchange on a connection that is not connected',
    );
  });
});

describe('HTTPSConnection', () => {
  test('says whether the peer was verified, and warns when it was not', async () => {
    await using peers = await tlsPeer(server, answering(ok('hello')));
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await using verified = new HTTPSConnection('127.0.0.1', { port: peers.port, caCerts: ca.cert });
    await verified.connect();
    expect([verified.isVerified, emitted.mock.calls.length]).toEqual([true, 0]);
    await using unverified = new HTTPSConnection('127.0.0.1', { port: peers.port, certReqs: 'CERT_NONE' });
    await unverified.connect();
    expect(unverified.isVerified).toBe(false);
    expect(emitted.mock.calls[0]?.[0]).toMatchObject({
      name: 'InsecureRequestWarning',
      message: expect.stringContaining("Unverified HTTPS request is being made to host '127.0.0.1'"),
    });
    emitted.mockRestore();
  });

  test('connects to an IPv6 address in brackets, verified', async () => {
    await using peers = await tlsPeer(server, answering(ok('hello')), '::1');
    await using connection = new HTTPSConnection('[::1]', { port: peers.port, caCerts: ca.cert });
    await connection.request('GET', '/');
    await (await connection.getResponse()).read();
    expect((await peers.connection(0)).received).toContain(`Host: [::1]:${peers.port}\r\n`);
  });

  test('close() ends a handshake that its server does not answer, and lets it connect again', async () => {
    await using deaf = await peer(() => {});
    const connection = new HTTPSConnection('127.0.0.1', { port: deaf.port, caCerts: ca.cert });
    const connecting = connection.connect();
    const hello = await deaf.connection(0);
    await hello.take(1);
    connection.close();
    await expect(connecting).rejects.toMatchObject({
      name: 'NewConnectionError',
      message: expect.stringContaining('The connection was closed while it was being made'),
      address: `127.0.0.1:${deaf.port}`,
    });
    await hello.closed;
    await expect(connection.connect({ timeout: 0.03 })).rejects.toThrow(ConnectTimeoutError);
  });

  test('setCert() while it connects is for the next link', async () => {
    await using peers = await tlsPeer(server, answering(ok('hello')));
    await using connection = new HTTPSConnection('127.0.0.1', { port: peers.port, caCerts: ca.cert });
    const connecting = connection.connect();
    connection.setCert({ assertFingerprint: '00'.repeat(32) });
    await connecting;
    expect([connection.isVerified, connection.isConnected]).toEqual([true, true]);
    connection.close();
    await expect(connection.connect()).rejects.toThrow('Fingerprints did not match');
  });

  test('is closed when its server speaks before it was asked, and nothing is left of it', async () => {
    const eager: tls.TlsOptions = { ...server, maxVersion: 'TLSv1.2' };
    const early: PeerConnection[] = [];
    await using peers = await tlsPeer(eager, (connection) => {
      early.push(connection);
      connection.write(ok('poison'));
    });
    const connection = new HTTPSConnection('127.0.0.1', { port: peers.port, caCerts: ca.cert });
    const connecting = connection.connect().catch((error: unknown) => error);
    await (await peers.connection(0)).closed;
    const outcome = await connecting;
    if (outcome !== undefined) expect(outcome).toBeInstanceOf(NewConnectionError);
    await expect.poll(() => connection.isConnected).toBe(false);
    expect(early).toHaveLength(1);
  });
});

test('the names that the reference has beside its connections are there', () => {
  expect([HTTPSConnection, UnverifiedHTTPSConnection]).toEqual([VerifiedHTTPSConnection, VerifiedHTTPSConnection]);
  expect(new ConnectionError('x')).toBeInstanceOf(HTTPError);
  expect(new ConnectionError('x').name).toBe('ConnectionError');
  expect(new DummyConnection()).toBeInstanceOf(DummyConnection);
});

test.each([
  ['a.test', 80, 80, 'a.test'],
  ['a.test', 8080, 80, 'a.test:8080'],
  ['[::1]', 80, 80, '[::1]'],
  ['[fe80::1%eth0]', 80, 80, '[fe80::1]'],
  ['[fe80::1%eth0]', 8080, 80, '[fe80::1]:8080'],
])('hostField(%j, %i, %i) is %j', (host, port, defaultPort, wanted) => {
  expect(hostField(host, port, defaultPort)).toBe(wanted);
});

test('connectHost() normalises a name or an address, and takes nothing else', () => {
  expect(['A.Test', '::1', '[::1]', '127.0.0.1', 'bücher.example'].map(connectHost)).toEqual([
    'a.test',
    '[::1]',
    '[::1]',
    '127.0.0.1',
    'xn--bcher-kva.example',
  ]);
  for (const host of ['a.test:80', 'a.test/', 'user@a.test', 'a.test?x', '']) {
    expect(() => connectHost(host), host).toThrow(LocationValueError);
  }
  expect(() => connectHost(5)).toThrow(TypeError);
});

test('connect() and request() refuse what they cannot use, before anything is dialled', async () => {
  const connection = new HTTPConnection('127.0.0.1', { port: 1 });
  // Callers without types.
  const connect = (options: object) => connection.connect(options);
  const request = (options: object) => connection.request('GET', '/', options);
  await expect(connect({ timeout: '5' })).rejects.toThrow('it must be a number of seconds or null');
  await expect(connect({ timeout: -1 })).rejects.toThrow(RangeError);
  await expect(connect({ timout: 5 })).rejects.toThrow('Cannot use option "timout": connect() has no such option');
  await expect(connect({ signal: 'now' })).rejects.toThrow('it must be an AbortSignal');
  await expect(request({ header: {} })).rejects.toThrow('Cannot use option "header": a request of a connection has no');
  expect(connection.isConnected).toBe(false);
});
