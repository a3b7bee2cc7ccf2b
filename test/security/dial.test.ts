/** Security cases of making a connection: what is resolved, and what is dialled. */
import { execFile } from 'node:child_process';
import net from 'node:net';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import { LocationParseError } from '../../src/exceptions.js';
import { type DialOptions, dial } from '../../src/transport/dial.js';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { createConnection } from '../../src/util/connection.js';
import { listening, refusingPort } from '../transport/loopback.js';

let connect: MockInstance<typeof net.connect>;
beforeEach(() => {
  connect = vi.spyOn(net, 'connect');
});
afterEach(() => void vi.restoreAllMocks());

function options(host: string, port: number, given: Partial<DialOptions> = {}): DialOptions {
  return {
    host,
    port,
    timeoutMs: 5000,
    sourceAddress: null,
    socketOptions: [],
    lookup: null,
    signal: null,
    onread: null,
    ...given,
  };
}

function answering(answer: unknown): LookupFunction {
  return (_host, _options, callback) => Reflect.apply(callback, undefined, [null, answer]);
}

function dialled(): unknown[] {
  return connect.mock.calls.map(([given]: unknown[]) =>
    typeof given === 'object' && given !== null && 'host' in given ? given.host : undefined,
  );
}

describe('SEC-002 (CVE-2026-48930, CVE-2024-24806, CVE-2019-18348)', () => {
  const controls = Array.from({ length: 0x21 }, (_, code) => String.fromCharCode(code));
  const hosts = [...controls, '\u007f', '\u0080', '\u2028', '%00', '%0d%0a', '%2f'].flatMap((bad) => [
    `localhost${bad}.evil.test`,
    `${bad}localhost`,
    `localhost${bad}`,
    `127.0.0.1${bad}`,
  ]);

  test('dial() refuses a host with a control, a blank or a percent before DNS reads a part of it', async () => {
    const lookup = vi.fn<LookupFunction>();
    for (const host of hosts) {
      await expect(dial(options(host, 80, { lookup })), JSON.stringify(host)).rejects.toThrow(LocationParseError);
      await expect(createConnection([host, 80]), JSON.stringify(host)).rejects.toThrow(LocationParseError);
    }
    expect(lookup).not.toHaveBeenCalled();
    expect(connect).not.toHaveBeenCalled();
  });

  test('dial() refuses names over 253 octets and labels over 63 before DNS cuts them', async () => {
    const lookup = vi.fn<LookupFunction>();
    for (const host of [`${'a'.repeat(64)}.test`, `${'a.'.repeat(127)}a`, 'a'.repeat(100_000)]) {
      await expect(dial(options(host, 80, { lookup }))).rejects.toThrow(LocationParseError);
    }
    expect(lookup).not.toHaveBeenCalled();
  });
});

describe('SEC-027 (CVE-2026-42264, CVE-2026-44494)', () => {
  /**
   * Dials under an Object.prototype on which every option that could redirect a connection is a trap: it notes that it
   * was read, and gives what would do harm. (`readable`, `writable` and `blockList` are no traps: Node looks them up on
   * objects of its own, which no caller can mend.)
   */
  const CHILD = `
    import { dial } from './src/transport/dial.ts';
    import { createConnection } from './src/util/connection.ts';
    import { waitForWrite } from './src/util/wait.ts';
    const port = Number(process.env.PEER_PORT);
    const evil = {
      host: '127.0.0.66', port: 1, path: '/nowhere', family: 6, hints: 1024, localAddress: '127.0.0.99', localPort: 1,
      lookup: () => { throw new Error('polluted lookup'); }, address: '127.0.0.66', all: false, order: 'ipv4first',
      verbatim: false, timeout: 0.001, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1, fd: 0,
      handle: {}, signal: AbortSignal.abort(), onread: { buffer: Buffer.alloc(8), callback: () => false },
      noDelay: true, keepAlive: true, keepAliveInitialDelay: -1, allowHalfOpen: true, pauseOnCreate: true,
      manualStart: true, objectMode: true, readableObjectMode: true,
      writableObjectMode: true, highWaterMark: 1, readableHighWaterMark: 1, writableHighWaterMark: 1,
      encoding: 'utf8', defaultEncoding: 'utf8', read: () => {}, write: () => {}, writev: () => {}, final: () => {},
      destroy: () => {}, construct: () => {}, typeOfService: 1, sourceAddress: ['127.0.0.99', 0],
      socketOptions: [[1, 9, 1]], deadlineMs: 0,
    };
    const read = new Set();
    for (const [name, value] of Object.entries(evil)) {
      Object.defineProperty(Object.prototype, name, {
        __proto__: null,
        configurable: true,
        set(own) { Object.defineProperty(this, name, { __proto__: null, value: own, writable: true, enumerable: true, configurable: true }); },
        get() {
          const { stack } = new Error();
          const ofTsx = stack.includes('PipeConnectWrap'); // it talks to its parent
          if (!ofTsx && /src[/]|node:net|node:dns|lookup/.test(stack)) read.add(name);
          return value;
        },
      });
    }
    const base = { port, timeoutMs: 5000, sourceAddress: null, socketOptions: [], lookup: null, signal: null, onread: null };
    const hook = (name, options, callback) => callback(null, [{}, { address: '127.0.0.1' }]);
    const results = [];
    for (const make of [
      () => dial({ ...base, host: '127.0.0.1' }),
      () => dial({ ...base, host: 'localhost' }),
      () => dial({ ...base, host: 'a.test', lookup: hook }),
      () => createConnection(['127.0.0.1', port]),
      () => createConnection(['localhost', port], {}),
    ]) {
      const socket = await make();
      results.push([socket.remoteAddress, socket.localAddress, socket.allowHalfOpen, await waitForWrite(socket)]);
      socket.destroy();
    }
    for (const name of Object.keys(evil)) delete Object.prototype[name];
    console.log(JSON.stringify({ results, read: [...read] }));
  `;

  test('dial() and createConnection() connect as ever under a polluted Object.prototype, and look nothing up on it', async () => {
    await using peer = await listening();
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', CHILD],
      { timeout: 15_000, env: { ...process.env, PEER_PORT: String(peer.port) } },
    );
    expect(JSON.parse(stdout)).toEqual({
      results: Array.from({ length: 5 }, () => ['127.0.0.1', '127.0.0.1', false, true]),
      read: [],
    });
  });
});

describe('SEC-119 (CVE-2020-8277, CVE-2021-22931)', () => {
  test.each([
    { name: 'no address', answer: [] },
    { name: 'nothing', answer: undefined },
    {
      name: 'names and odd forms',
      answer: ['localhost', '127.1', '0x7f.1', '127.0.0.1\u0000', '[::1]', '', 5, null, {}],
    },
    { name: 'addresses of another family', answer: [{ address: '::1', family: 4 }], family: 4 as const },
  ])('dial() fails to resolve when a hook answers $name, and dials nothing', async ({ answer, family }) => {
    const promise = dial(options('a.test', 80, { lookup: answering(answer), family: family ?? 0 }));
    await expect(promise).rejects.toMatchObject({ name: 'DialError', phase: 'resolve' });
    expect(connect).not.toHaveBeenCalled();
  });

  test('dial() dials the valid addresses of a hook only, each once', async () => {
    const port = await refusingPort();
    const answer = [
      'localhost',
      { address: '127.0.0.1', family: 4 },
      '127.0.0.1',
      { address: 'x', family: 4 },
      '127.0.0.2',
    ];
    await expect(dial(options('a.test', port, { lookup: answering(answer) }))).rejects.toMatchObject({
      phase: 'connect',
    });
    expect(dialled()).toEqual(['127.0.0.1', '127.0.0.2']);
  });

  test('dial() makes at most 64 attempts for a hook with 300 addresses', async () => {
    const port = await refusingPort();
    const answer = Array.from({ length: 300 }, (_, index) => `127.0.${index >> 8}.${index & 255}`).slice(1);
    await expect(dial(options('a.test', port, { lookup: answering(answer) }))).rejects.toMatchObject({
      attempts: { length: 64 },
    });
    expect(connect).toHaveBeenCalledTimes(64);
  });

  test('dial() bounds a hook that never answers by the connect timeout', async () => {
    const promise = dial(options('a.test', 80, { lookup: () => {}, timeoutMs: 20 }));
    await expect(promise).rejects.toMatchObject({ phase: 'timeout' });
  });

  test('dial() keeps no answer: each connection asks again', async () => {
    const lookup = vi.fn(answering(['127.0.0.1']));
    const port = await refusingPort();
    for (let turn = 0; turn < 3; turn++) await dial(options('a.test', port, { lookup })).catch(() => {});
    expect(lookup).toHaveBeenCalledTimes(3);
  });
});

describe('SEC-128 (CVE-2024-50342, CVE-2025-54381, CVE-2025-31490, GHSA-3pq3-5fj3-cg6v)', () => {
  /** Answers 127.0.0.1 when it is asked first, and the next address each time after that. */
  function rebinding() {
    let asked = 0;
    return vi.fn<LookupFunction>((_host, _options, callback) => callback(null, [`127.0.0.${++asked}`]));
  }

  test('dial() asks a rebinding hook once and connects to the very address it answered, which can be checked', async () => {
    await using peer = await listening();
    const lookup = rebinding();
    const socket = await dial(options('rebind.test', peer.port, { lookup }));
    expect(lookup).toHaveBeenCalledOnce();
    expect(dialled()).toEqual(['127.0.0.1']);
    expect(socket.remoteAddress).toBe('127.0.0.1');
    expect(socket.bytesWritten).toBe(0);
    socket.destroy();
  });

  test('dial() asks the hook once for a race over several addresses, and again for the next connection', async () => {
    const port = await refusingPort();
    const lookup = vi.fn(answering(['127.0.0.1', '127.0.0.2', '127.0.0.3']));
    await dial(options('a.test', port, { lookup })).catch(() => {});
    expect(connect).toHaveBeenCalledTimes(3);
    expect(lookup).toHaveBeenCalledOnce();
    await dial(options('a.test', port, { lookup })).catch(() => {});
    expect(lookup).toHaveBeenCalledTimes(2);
  });

  test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])('dial() lets a hook refuse the IP literal %s', async (host) => {
    const lookup: LookupFunction = (_host, _options, callback) => callback(new Error('refused by the guard'), []);
    await expect(dial(options(host, 80, { lookup }))).rejects.toMatchObject({
      phase: 'resolve',
      message: 'refused by the guard',
    });
    expect(connect).not.toHaveBeenCalled();
  });
});
