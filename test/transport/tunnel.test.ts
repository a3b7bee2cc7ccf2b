import { once } from 'node:events';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { InvalidHeader, ProtocolError, ProxyError } from '../../src/exceptions.js';
import { DEFAULT_RESPONSE_LIMITS } from '../../src/http1/limits.js';
import { checkFieldLines, type FieldLine } from '../../src/http1/request-head.js';
import { HandshakeTimeout } from '../../src/tls/handshake.js';
import { ignoreError } from '../../src/transport/race.js';
import { openTunnel, type TunnelTarget } from '../../src/transport/tunnel.js';
import { timersLeftBy, watchHandles } from '../support/leaks.js';
import { type Peer, peer, type Script } from '../support/peer.js';

watchHandles();

const TARGET: TunnelTarget = { host: 'a.test', port: 443 };

interface Asked {
  readonly target?: TunnelTarget;
  readonly lines?: readonly FieldLine[];
  readonly signal?: AbortSignal;
  readonly withinMs?: number;
}

/** A connected socket, as `dial` gives it. */
async function socketTo({ port }: Peer): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', ignoreError);
  await once(socket, 'connect');
  return socket;
}

async function ask(socket: net.Socket, { target = TARGET, lines = [], signal, withinMs }: Asked = {}): Promise<void> {
  const deadlineMs = withinMs === undefined ? null : performance.now() + withinMs;
  await openTunnel(socket, target, lines, DEFAULT_RESPONSE_LIMITS, { signal: signal ?? null, deadlineMs });
}

/** Asks a proxy that behaves as scripted, and gives why it came to nothing; the socket must be closed then. */
async function failure(script: Script, asked: Asked = {}): Promise<unknown> {
  await using proxy = await peer(script);
  const socket = await socketTo(proxy);
  const reason = await ask(socket, asked).then(
    () => expect.fail('there is a tunnel'),
    (error: unknown) => error,
  );
  expect(socket.destroyed).toBe(true);
  return reason;
}

/** Answers the CONNECT with exactly these bytes. */
function answers(text: string): Script {
  return async (connection) => {
    await connection.request();
    connection.write(text);
  };
}

describe('openTunnel() asks with', () => {
  test.each<[name: string, asked: Asked, head: string]>([
    ['host and port, twice', {}, 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n'],
    [
      'an address in brackets',
      { target: { host: '[2001:db8::1]', port: 8443 } },
      'CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n',
    ],
    [
      'an address without its zone',
      { target: { host: '[fe80::1%25eth0]', port: 443 } },
      'CONNECT [fe80::1]:443 HTTP/1.1\r\nHost: [fe80::1]:443\r\n\r\n',
    ],
    [
      'the fields for the proxy, as they are',
      {
        lines: [
          ['Proxy-Authorization', 'Basic dTpw'],
          ['x-two', '\u00e9'],
        ],
      },
      'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic dTpw\r\nx-two: \u00e9\r\n\r\n',
    ],
    ["the caller's Host", { lines: [['HOST', 'b.test']] }, 'CONNECT a.test:443 HTTP/1.1\r\nHOST: b.test\r\n\r\n'],
  ])('%s', async (_name, asked, head) => {
    await using proxy = await peer(answers('HTTP/1.1 200 OK\r\n\r\n'));
    const socket = await socketTo(proxy);
    await ask(socket, asked);
    expect(proxy.connections[0]?.received).toBe(head);
    socket.destroy();
  });

  test.each(['a.test\r\nX: y', 'a\u0000.test', 'a b.test', 'a.test\u010d\u010a'])(
    'no byte for a host such as %j (SEC-080)',
    async (host) => {
      await using proxy = await peer(() => {});
      const socket = await socketTo(proxy);
      await expect(ask(socket, { target: { host, port: 443 } })).rejects.toThrow(TypeError);
      expect((await proxy.connection(0)).received).toBe('');
      socket.destroy();
    },
  );

  test('no fields that could end a line: they are refused before there is a connection (SEC-080)', () => {
    for (const line of [
      ['a\r\nb', 'c'],
      ['a', 'b\r\nc: d'],
      ['a', 'b\u010ac'],
      ['a b', 'c'],
    ] as const) {
      expect(() => checkFieldLines([line])).toThrow(InvalidHeader);
    }
  });
});

describe('openTunnel() takes as consent', () => {
  const CONSENTS: readonly [name: string, answer: string][] = [
    ['a bare 200', 'HTTP/1.1 200\r\n\r\n'],
    ['HTTP/1.0', 'HTTP/1.0 200 Connection established\r\n\r\n'],
    ['another 2xx', 'HTTP/1.1 299 Fine\r\nVia: x\r\n\r\n'],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['a length, which says nothing', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['a chunked coding, which says nothing', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    [
      'both, and a length that is none',
      'HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
    ],
    [
      'interim responses before it',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    ],
  ];

  test.each(CONSENTS)('%s, whole and byte by byte, and what follows is left', async (_name, answer) => {
    const scripts: Script[] = [
      answers(`${answer}surplus`),
      async (connection) => {
        await connection.request();
        await connection.drip(`${answer}surplus`);
      },
    ];
    for (const script of scripts) {
      await using proxy = await peer(script);
      const socket = await socketTo(proxy);
      await ask(socket);
      let rest = '';
      socket.on('data', (bytes: Buffer) => (rest += bytes.toString('latin1')));
      while (rest.length < 7) await once(socket, 'data');
      expect(rest).toBe('surplus');
      socket.destroy();
    }
  });

  test('a 200 from a proxy that closes at once: what came before is left', async () => {
    await using proxy = await peer(async (connection) => {
      await connection.request();
      connection.end('HTTP/1.1 200 OK\r\n\r\nlast words');
    });
    const socket = await socketTo(proxy);
    await ask(socket);
    expect(String((await once(socket, 'data'))[0])).toBe('last words');
    socket.destroy();
  });

  test('and leaves nothing behind but the listener that was there', async () => {
    await using proxy = await peer(answers('HTTP/1.1 200 OK\r\n\r\n'));
    const socket = await socketTo(proxy);
    const before = socket.eventNames().map((name) => [name, socket.listenerCount(name)]);
    const controller = new AbortController();
    expect(await timersLeftBy(() => ask(socket, { withinMs: 5_000, signal: controller.signal }))).toBe(0);
    expect(socket.eventNames().map((name) => [name, socket.listenerCount(name)])).toEqual(before);
    socket.destroy();
  });
});

describe('openTunnel() reports a refusal as a ProxyError', () => {
  const page = '<html>\n  <h1>Not   for you</h1>\u001b[2J</html>\n';
  test.each<[name: string, answer: string, status: number, message: string]>([
    [
      '407, without content',
      'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n',
      407,
      'Tunnel connection failed: the proxy answered 407 "Proxy Authentication Required" to CONNECT a.test:443',
    ],
    [
      '403, with a page',
      `HTTP/1.1 403 Forbidden\r\nContent-Length: ${page.length}\r\n\r\n${page}`,
      403,
      'Tunnel connection failed: the proxy answered 403 "Forbidden" to CONNECT a.test:443, with "<html> <h1>Not for you</h1>\\x1b[2J</html>"',
    ],
    [
      '503, with a page that has a title',
      'HTTP/1.1 503 Busy\r\nContent-Length: 64\r\n\r\n<!DOCTYPE html>\n<html><TITLE lang="en">\n Try\n later </TITLE>....',
      503,
      'Tunnel connection failed: the proxy answered 503 "Busy" to CONNECT a.test:443, with "Try later"',
    ],
    [
      '502, chunked, without reason',
      'HTTP/1.1 502 \r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n',
      502,
      'Tunnel connection failed: the proxy answered 502 to CONNECT a.test:443, with "gone"',
    ],
    [
      'a redirect, which nobody follows',
      'HTTP/1.1 302 Found\r\nLocation: https://evil.test/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n',
      302,
      'Tunnel connection failed: the proxy answered 302 "Found" to CONNECT a.test:443',
    ],
    [
      'content in a coding, which is not shown',
      `HTTP/1.1 503 Busy\r\nContent-Encoding: gzip\r\nContent-Length: 21\r\n\r\n${gzipSync('a').toString('latin1').padEnd(21)}`,
      503,
      'Tunnel connection failed: the proxy answered 503 "Busy" to CONNECT a.test:443',
    ],
    [
      'a reason made to forge a log line',
      'HTTP/1.1 500 \u009b2J" -\r\nContent-Length: 0\r\n\r\n',
      500,
      'Tunnel connection failed: the proxy answered 500 "\\x9b2J\\" -" to CONNECT a.test:443',
    ],
  ])('%s', async (_name, answer, status, message) => {
    const error = await failure(answers(answer));
    expect(error).toBeInstanceOf(ProxyError);
    expect(error).toMatchObject({ status, message });
  });

  test('that ends with the connection', async () => {
    const error = await failure(async (connection) => {
      await connection.request();
      connection.end('HTTP/1.1 403 Forbidden\r\n\r\nno');
    });
    expect(error).toMatchObject({ status: 403, message: expect.stringContaining(', with "no"') });
  });

  test('without the credentials that it repeats, and with all else (SEC-083)', async () => {
    const content = 'Basic eDp5? eDp5! of a=b; c=d, X: x';
    const answer = `HTTP/1.1 403 of a=b; c=d\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
    const lines: FieldLine[] = [
      ['proxy-authorization', 'Basic eDp5'],
      ['Cookie', 'a=b; c=d'],
      ['X-Api-Key', ''],
      ['X', 'x'],
    ];
    expect(await failure(answers(answer), { lines })).toMatchObject({
      message: expect.stringContaining('403 "of ***" to CONNECT a.test:443, with "***? ***! of ***, X: x"'),
    });
  });

  test('whose content is cut', async () => {
    const error = await failure(async (connection) => {
      await connection.request();
      connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno');
    });
    expect(error).toMatchObject({ status: 403 });
  });

  test('whose content becomes malformed', async () => {
    const error = await failure(answers('HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\nzz'));
    expect(error).toMatchObject({ status: 403, message: expect.stringContaining(', with "no"') });
  });

  test('without waiting for content that never ends or never comes', async () => {
    const poured = await failure(async (connection) => {
      await connection.request();
      connection.write('HTTP/1.1 403 Forbidden\r\n\r\n');
      await connection.pour(Buffer.alloc(65_536, 'x'));
    });
    expect(poured).toMatchObject({
      status: 403,
      message: expect.stringMatching(/"x{120}"\.\.\. \([0-9]+ characters\)$/),
    });
    const begunMs = performance.now();
    const silent = await failure(answers('HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nwait'));
    expect(silent).toMatchObject({ status: 403, message: expect.stringContaining(', with "wait"') });
    expect(performance.now() - begunMs).toBeLessThan(3_000);
  });

  test('when the deadline passes while it is explained', async () => {
    const error = await failure(answers('HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nwait'), { withinMs: 50 });
    expect(error).toMatchObject({ status: 403 });
  });
});

describe('openTunnel() fails with a ProxyError where the proxy', () => {
  const limits = DEFAULT_RESPONSE_LIMITS;
  test.each<[name: string, answer: string]>([
    ['does not speak HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['ends a line with a bare LF', 'HTTP/1.1 200 OK\nA: b\n\n'],
    ['sends a head without end', `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(limits.maxHeadBytes)}`],
    ['sends too many fields', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(limits.maxFields + 1)}\r\n`],
    ['sends interim responses without end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(limits.maxInterimResponses + 1)],
    ['switches protocols', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['frames its refusal in two ways', 'HTTP/1.1 403 No\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('%s (SEC-082)', async (_name, answer) => {
    const error = await failure(answers(answer));
    expect(error).toBeInstanceOf(ProxyError);
    expect(error).toMatchObject({ status: null, cause: expect.any(ProtocolError) });
  });

  test('closes, before and within its answer', async () => {
    for (const answer of ['', 'HTTP/1.1 2']) {
      const error = await failure(async (connection) => {
        await connection.request();
        connection.end(answer);
      });
      expect(error).toBeInstanceOf(ProxyError);
      expect(error).toMatchObject({
        message: 'Tunnel connection failed: the proxy closed the connection after CONNECT a.test:443',
      });
    }
  });

  test('resets the connection', async () => {
    const error = await failure(async (connection) => {
      await connection.request();
      connection.reset();
    });
    expect(error).toMatchObject({ name: 'ProxyError', code: 'ECONNRESET' });
  });

  test('connection is closed on this side', async () => {
    await using proxy = await peer(() => {});
    const socket = await socketTo(proxy);
    const asked = ask(socket);
    socket.destroy();
    await expect(asked).rejects.toThrow('the proxy closed the connection after CONNECT a.test:443');
  });

  test('is gone already', async () => {
    await using proxy = await peer(() => {});
    const socket = await socketTo(proxy);
    socket.destroy(new Error('pulled'));
    await expect(ask(socket)).rejects.toThrow('after CONNECT a.test:443: pulled');
  });
});

test('SEC-112: openTunnel() ends with a HandshakeTimeout when a proxy is silent, or drips for ever, past the deadline', async () => {
  const drip: Script = async (connection) => {
    await connection.request();
    connection.write('HTTP/1.1 200 OK\r\n');
    while (!connection.socket.destroyed) {
      connection.write('A: b\r\n');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  for (const script of [() => {}, drip]) {
    expect(await failure(script, { withinMs: 60 })).toBeInstanceOf(HandshakeTimeout);
  }
});

test('openTunnel() ends with the reason of the signal', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const error = await failure(
    async (connection) => {
      await connection.request();
      controller.abort(reason);
    },
    { signal: controller.signal },
  );
  expect(error).toBe(reason);
});
