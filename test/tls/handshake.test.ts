import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { HTTPError, SSLError } from '../../src/exceptions.js';
import { type TlsConfiguration, tlsConfiguration } from '../../src/tls/configuration.js';
import { SSLContext } from '../../src/tls/context.js';
import {
  HandshakeTimeout,
  peerCertificate,
  RECENT_DATE,
  secured,
  type TlsPeer,
  tlsOpener,
  tlsOver,
} from '../../src/tls/handshake.js';
import type { TlsOptions } from '../../src/tls/options.js';
import { dial } from '../../src/transport/dial.js';
import { type Authority, authority, type Identity, selfSigned } from '../support/authority.js';
import { watchHandles } from '../support/leaks.js';
import { type Peer, peer, tlsPeer } from '../support/peer.js';
import { rootAuthority } from '../support/tls-certificates.js';

watchHandles();

let ca: Authority;
let identity: Identity;
const folder = mkdtempSync(join(tmpdir(), 'urllib3-tls-'));
beforeAll(async () => {
  ca = await authority();
  identity = await ca.issue('a.test', '127.0.0.1');
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

/** Reads go here: as `Link` gives it, but kept. */
function reader() {
  const read: string[] = [];
  const callback = (length: number, bytes: Uint8Array) => {
    read.push(Buffer.from(bytes).toString('latin1', 0, length));
    return true;
  };
  return { read, onread: { buffer: Buffer.alloc(16), callback } };
}

async function connect(
  to: Peer,
  host: string,
  options: TlsOptions,
  bounds: { signal?: AbortSignal; withinMs?: number } = {},
): Promise<{ socket: tls.TLSSocket; read: string[] }> {
  const limits = {
    signal: bounds.signal ?? null,
    deadlineMs: bounds.withinMs === undefined ? null : performance.now() + bounds.withinMs,
  };
  const { read, onread } = reader();
  const configuration = tlsConfiguration(options);
  const socket = await dialled(to, host, configuration, onread);
  await secured(socket, { host, port: to.port, role: 'origin' }, configuration, limits);
  return { socket, read };
}

async function dialled(
  { port }: Peer,
  host: string,
  configuration: TlsConfiguration,
  onread: net.OnReadOpts,
): Promise<tls.TLSSocket> {
  const plain = { timeoutMs: null, sourceAddress: null, socketOptions: [], lookup: null, signal: null };
  const open = tlsOpener({ host, port, role: 'origin' }, configuration);
  const socket = await dial({ host: '127.0.0.1', port, ...plain, onread: () => onread, open });
  if (!(socket instanceof tls.TLSSocket)) throw new Error('dial() gave a socket that it was not given');
  return socket;
}

describe('secured()', () => {
  test('gives a verified socket whose reads go to the callback', async () => {
    await using server = await tlsPeer(identity, (connection) => connection.write('hello'));
    const { socket, read } = await connect(server, 'a.test', { caCerts: ca.cert });
    await expect.poll(() => read.join('')).toBe('hello');
    expect(socket.authorized).toBe(true);
    expect(socket.alpnProtocol).toBe(false);
    socket.destroy();
  });

  test.each([
    ['an authority that is not trusted', 'a.test', () => ({}), /was issued by "Test authority", which is not known/],
    [
      'a certificate for another name',
      'b.test',
      () => ({ caCerts: ca.cert }),
      /^TLS with "b.test" failed: the certificate of the server is for "a.test", "127.0.0.1", not for "b.test"$/,
    ],
    ['a certificate for another address', '127.0.0.2', () => ({ caCerts: ca.cert }), /127\.0\.0\.2/],
    ['another name to verify', '127.0.0.1', () => ({ caCerts: ca.cert, serverHostname: 'b.test' }), /"b.test"/],
  ])('refuses %s, with an SSLError, and closes the connection', async (_name, host, options, message) => {
    await using server = await tlsPeer(identity, () => {});
    const failing = connect(server, host, options());
    await expect(failing).rejects.toThrow(SSLError);
    await expect(failing).rejects.toThrow(message);
  });

  test('tells the code of what TLS said', async () => {
    const other = await selfSigned('a.test');
    await using server = await tlsPeer(other, () => {});
    await expect(connect(server, 'a.test', { caCerts: ca.cert })).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });

  test('accepts any certificate with CERT_NONE', async () => {
    await using server = await tlsPeer(await selfSigned('x.test'), (connection) => connection.write('hello'));
    const { socket, read } = await connect(server, 'a.test', { certReqs: 'CERT_NONE' });
    await expect.poll(() => read.join('')).toBe('hello');
    expect(socket.authorized).toBe(false);
    socket.destroy();
  });

  test('sends the name as SNI, serverHostname in place of it, and none for an IP address (RFC 6066 section 3)', async () => {
    const names: unknown[] = [];
    await using server = await tlsPeer(identity, ({ socket }) => {
      names.push(Reflect.get(socket, 'servername'));
      socket.write('hello');
    });
    for (const [host, options] of [
      ['a.test', {}],
      ['127.0.0.1', {}],
      ['127.0.0.1', { serverHostname: 'a.test' }],
    ] as const) {
      const { socket, read } = await connect(server, host, { caCerts: ca.cert, ...options });
      await expect.poll(() => read).toEqual(['hello']);
      socket.destroy();
    }
    expect(names).toEqual(['a.test', false, 'a.test']);
  });

  test('refuses TLS 1.1', async () => {
    const old: tls.TlsOptions = { ...identity, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
    await using server = await tlsPeer(old, () => {});
    await expect(connect(server, 'a.test', { caCerts: ca.cert })).rejects.toThrow(SSLError);
  });

  test.each([
    ['closes', (socket: net.Socket) => void socket.end()],
    ['resets', (socket: net.Socket) => void socket.resetAndDestroy()],
    ['speaks plain text', (socket: net.Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('raises SSLError when the server %s in the handshake', async (_name, act) => {
    await using server = await peer(async (connection) => {
      await connection.take(1);
      act(connection.socket);
    });
    await expect(connect(server, 'a.test', {})).rejects.toThrow(SSLError);
    await (await server.connection(0)).closed;
  });

  test('raises SSLError when the connection below is closed under it', async () => {
    await using server = await peer(() => {});
    const configuration = tlsConfiguration({});
    const socket = await dialled(server, 'a.test', configuration, reader().onread);
    const failing = secured(socket, { host: 'a.test', port: server.port, role: 'origin' }, configuration, {
      signal: null,
      deadlineMs: null,
    });
    await (await server.connection(0)).take(1);
    socket.destroy();
    await expect(failing).rejects.toThrow(
      'TLS with "a.test" failed: the server closed the connection in the TLS handshake',
    );
  });

  test('raises SSLError for a connection that was closed before anybody waited', async () => {
    await using server = await peer(() => {});
    const configuration = tlsConfiguration({});
    const socket = await dialled(server, 'a.test', configuration, reader().onread);
    socket.destroy();
    const failing = secured(socket, { host: 'a.test', port: server.port, role: 'origin' }, configuration, {
      signal: null,
      deadlineMs: null,
    });
    await expect(failing).rejects.toThrow(
      'TLS with "a.test" failed: the server closed the connection in the TLS handshake',
    );
  });

  test('lets no error end the process before the link listens', async () => {
    await using server = await tlsPeer(identity, () => {});
    const { socket } = await connect(server, 'a.test', { caCerts: ca.cert });
    socket.destroy(new Error('late'));
    await new Promise((resolve) => socket.on('close', resolve));
    expect(socket.errored).toMatchObject({ message: 'late' });
  });

  test('gives up at the deadline, and when the signal is aborted, and closes the connection', async () => {
    await using server = await peer(() => {});
    await expect(connect(server, 'a.test', {}, { withinMs: 20 })).rejects.toBeInstanceOf(HandshakeTimeout);
    const controller = new AbortController();
    const failing = connect(server, 'a.test', {}, { signal: controller.signal });
    await (await server.connection(1)).take(1);
    controller.abort(new Error('enough'));
    await expect(failing).rejects.toThrow('enough');
    for (const connection of server.connections) await connection.closed;
  });
});

const NO_BOUNDS = { signal: null, deadlineMs: null };
const ORIGIN: TlsPeer = { host: 'a.test', port: 443, role: 'origin' };

async function plainSocket({ port }: { readonly port: number }): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** What a verified connection over a stream reads first. */
async function firstReadOver(stream: Duplex, configuration: TlsConfiguration, to = ORIGIN): Promise<string> {
  const socket = tlsOver(stream, to, configuration);
  await secured(socket, to, configuration, NO_BOUNDS);
  const [bytes]: unknown[] = await once(socket, 'data');
  socket.destroy();
  return String(bytes);
}

describe('tlsOver()', () => {
  test('speaks TLS over a connected socket, over TLS, and over any stream of bytes both ways', async () => {
    await using server = await tlsPeer(identity, (connection) => connection.write('hello'));
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    expect(await firstReadOver(await plainSocket(server), configuration)).toBe('hello');

    // A proxy over TLS, through which another TLS goes to the server.
    await using proxy = await tlsPeer(identity, ({ socket }) => {
      const onward = net.connect(server.port, '127.0.0.1');
      onward.on('error', () => {});
      socket.on('close', () => void onward.destroy());
      socket.pipe(onward).pipe(socket);
    });
    const outer = tlsOver(await plainSocket(proxy), { ...ORIGIN, role: 'proxy' }, configuration);
    await secured(outer, { ...ORIGIN, role: 'proxy' }, configuration, NO_BOUNDS);
    expect(await firstReadOver(outer, configuration)).toBe('hello');

    const below = await plainSocket(server);
    const stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => void below.write(chunk, () => done()),
      destroy: (error, done) => {
        below.destroy();
        done(error);
      },
    });
    below.on('data', (bytes: Buffer) => stream.push(bytes)).on('end', () => stream.push(null));
    expect(await firstReadOver(stream, configuration)).toBe('hello');
  });

  test('reads first what was read before and put back: here the greeting of a server that speaks plain text (SEC-073)', async () => {
    await using server = await peer((connection) => connection.write('HTTP/1.1 200 OK\r\n\r\nforged'));
    const below = await plainSocket(server);
    const [bytes]: unknown[] = await once(below, 'data');
    below.pause();
    below.unshift(bytes);
    const failing = firstReadOver(below, tlsConfiguration({ caCerts: ca.cert }));
    await expect(failing).rejects.toThrow('TLS with "a.test" failed: the server does not speak TLS on this port');
    expect(below.destroyed).toBe(true);
  });

  test.each([
    ['closes', (socket: net.Socket) => void socket.destroy()],
    ['resets', (socket: net.Socket) => void socket.resetAndDestroy()],
  ])('raises SSLError when the peer %s in the handshake, and closes what is below', async (_name, act) => {
    await using server = await peer(async (connection) => {
      await connection.take(1);
      act(connection.socket);
    });
    const below = await plainSocket(server);
    const configuration = tlsConfiguration({});
    const socket = tlsOver(below, ORIGIN, configuration);
    await expect(secured(socket, ORIGIN, configuration, NO_BOUNDS)).rejects.toThrow(SSLError);
    expect(below.destroyed).toBe(true);
  });

  test('SEC-062: closes what is below when the peer is another, and when nobody waits any more', async () => {
    await using server = await tlsPeer(identity, () => {});
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    const below = await plainSocket(server);
    const other = { ...ORIGIN, host: 'b.test' };
    await expect(secured(tlsOver(below, other, configuration), other, configuration, NO_BOUNDS)).rejects.toThrow(
      SSLError,
    );
    expect(below.destroyed).toBe(true);

    await using silent = await peer(() => {});
    const given = await plainSocket(silent);
    const socket = tlsOver(given, ORIGIN, configuration);
    const late = secured(socket, ORIGIN, configuration, { signal: null, deadlineMs: performance.now() + 20 });
    await expect(late).rejects.toBeInstanceOf(HandshakeTimeout);
    expect(given.destroyed).toBe(true);
  });
});

describe('secured() of a certificate', () => {
  test('SEC-071: looks at a fingerprint in place of the name, with and without verification of the chain', async () => {
    await using server = await tlsPeer(identity, () => {});
    const pin = new X509Certificate(identity.cert).fingerprint256;
    for (const options of [{ caCerts: ca.cert }, { certReqs: 'CERT_NONE' }] as const) {
      const { socket } = await connect(server, 'b.test', { ...options, assertFingerprint: pin });
      socket.destroy();
      const other = connect(server, 'a.test', { ...options, assertFingerprint: '0'.repeat(64) });
      await expect(other).rejects.toThrow('Fingerprints did not match');
      await expect(other).rejects.toBeInstanceOf(SSLError);
    }
    await expect(connect(server, 'a.test', { assertFingerprint: pin })).rejects.toThrow('not known');
  });

  test('looks at assertHostname in place of the name that it asks for; false is any', async () => {
    await using server = await tlsPeer(identity, () => {});
    for (const options of [
      { assertHostname: 'a.test' },
      { assertHostname: false },
      { serverHostname: 'A.test.' },
    ] as const) {
      const { socket } = await connect(server, 'b.test', { caCerts: ca.cert, ...options });
      socket.destroy();
    }
    await expect(connect(server, 'a.test', { caCerts: ca.cert, assertHostname: 'b.test' })).rejects.toThrow(
      'not for "b.test"',
    );
    await expect(connect(server, 'a.test', { assertHostname: false })).rejects.toThrow('not known');
  });

  test('accepts the common name where that was asked for, and warns', async () => {
    const warnings: unknown[] = [];
    vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(warning));
    const root = await rootAuthority('Root');
    const { identity: unnamed } = await root.issue({ commonNames: ['old.test'] });
    await using server = await tlsPeer(unnamed, () => {});
    const context = new SSLContext();
    context.loadVerifyLocations({ caData: root.pem });
    await expect(connect(server, 'old.test', { sslContext: context })).rejects.toThrow(
      'no list of names (subjectAltName)',
    );
    context.hostnameChecksCommonName = true;
    const { socket } = await connect(server, 'old.test', { sslContext: context });
    socket.destroy();
    expect(warnings).toMatchObject([{ name: 'SubjectAltNameWarning', message: expect.stringContaining('"old.test"') }]);
  });

  test('says so when Node has not verified, or gives no certificate, or one that cannot be read, and closes', async () => {
    await using server = await tlsPeer(identity, () => {});
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    const outcome = async (act: (socket: tls.TLSSocket) => void): Promise<unknown> => {
      const socket = await dialled(server, 'a.test', configuration, reader().onread);
      act(socket);
      const failure: unknown = await secured(socket, { ...ORIGIN, port: server.port }, configuration, NO_BOUNDS).catch(
        (error) => error,
      );
      expect(socket.destroyed).toBe(true);
      return failure;
    };
    const changed = (change: (socket: tls.TLSSocket) => void) =>
      outcome((socket) => void socket.prependListener('secureConnect', () => change(socket)));
    const unauthorized = await changed((socket) => Object.defineProperty(socket, 'authorized', { value: false }));
    expect(unauthorized).toBeInstanceOf(SSLError);
    expect(unauthorized).toMatchObject({ code: 'CERT_UNTRUSTED', phase: 'tls' });
    const unseen = await changed((socket) => Object.assign(socket, { isSessionReused: () => true }));
    expect(String(unseen)).toContain('the server showed no certificate');
    const chosen = await changed((socket) => Object.assign(socket, { alpnProtocol: 'h2\n' }));
    expect(String(chosen)).toContain('The server chose the protocol "h2\\x0a", which was not offered to it');
  });

  test('is given by peerCertificate(), on resumed sessions too; without a certificate it is null', async () => {
    await using server = await tlsPeer(identity, (connection) => connection.write('x'));
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    const { raw } = new X509Certificate(identity.cert);
    for (const isReused of [false, true]) {
      const socket = tlsOver(await plainSocket(server), ORIGIN, configuration);
      expect(peerCertificate(socket)).toBeNull();
      await secured(socket, ORIGIN, configuration, NO_BOUNDS);
      expect(socket.isSessionReused()).toBe(isReused);
      expect(peerCertificate(socket)?.equals(raw)).toBe(true);
      await once(socket, 'data');
      socket.destroy();
    }
    expect(peerCertificate(new net.Socket())).toBeNull();
  });
});

test('secured() refuses a socket that was made for another peer, or by somebody else', async () => {
  await using server = await tlsPeer(identity, () => {});
  const configuration = tlsConfiguration({ caCerts: ca.cert });
  const cases: [TlsPeer, TlsConfiguration][] = [
    [{ ...ORIGIN, host: 'b.test' }, configuration],
    [{ ...ORIGIN, role: 'proxy' }, configuration],
    [ORIGIN, tlsConfiguration({ caCerts: ca.cert })],
  ];
  for (const [to, other] of cases) {
    const socket = tlsOver(await plainSocket(server), ORIGIN, configuration);
    await expect(secured(socket, to, other, NO_BOUNDS)).rejects.toThrow(HTTPError);
    expect(socket.destroyed).toBe(true);
  }
  const stranger = await plainSocket(server);
  await expect(secured(stranger, ORIGIN, configuration, NO_BOUNDS)).rejects.toThrow('Bug in urllib3');
});

test('secured() warns of a clock that shows a date before this release', async () => {
  const warnings: unknown[] = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(warning));
  await using server = await tlsPeer(identity, () => {});
  const now = vi.spyOn(Date, 'now').mockReturnValue(RECENT_DATE.getTime() - 1);
  const { socket } = await connect(server, 'a.test', { caCerts: ca.cert });
  socket.destroy();
  expect(warnings).toMatchObject([
    { name: 'SystemTimeWarning', message: expect.stringContaining('System time is way off') },
  ]);
  now.mockReturnValue(RECENT_DATE.getTime());
  const again = await connect(server, 'a.test', { caCerts: ca.cert });
  again.socket.destroy();
  expect(warnings).toHaveLength(1);
});

test('secured() lets the keys be written to a file', async () => {
  await using server = await tlsPeer(identity, () => {});
  const keylogFile = join(folder, 'keys.log');
  const { socket } = await connect(server, 'a.test', { caCerts: ca.cert, keylogFile });
  socket.destroy();
  expect(readFileSync(keylogFile, 'latin1')).toMatch(/^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+$/m);
});

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('sessions of %s', (version) => {
  const options = () => ({ ...identity, minVersion: version, maxVersion: version });

  /** Whether a connection has resumed a session; the first byte of the server comes behind its tickets. */
  async function isResumed(server: Peer, configuration: TlsConfiguration, to: TlsPeer): Promise<boolean> {
    const { read, onread } = reader();
    const plain = { timeoutMs: null, sourceAddress: null, socketOptions: [], lookup: null, signal: null };
    const open = tlsOpener(to, configuration);
    const socket = await dial({ host: '127.0.0.1', port: server.port, ...plain, onread: () => onread, open });
    await secured(socket, to, configuration, NO_BOUNDS);
    await expect.poll(() => read.join('')).toBe('x');
    const isReused = socket instanceof tls.TLSSocket && socket.isSessionReused();
    socket.destroy();
    return isReused;
  }

  test('M5: are resumed each time, and by their own server, port and role only (SEC-064, CVE-2021-22890)', async () => {
    await using server = await tlsPeer(options(), (connection) => connection.write('x'));
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    const to = { ...ORIGIN, port: server.port };
    const resumed: boolean[] = [];
    for (let count = 0; count < 6; count++) resumed.push(await isResumed(server, configuration, to));
    expect(resumed).toEqual([false, true, true, true, true, true]);
    for (const other of [
      { ...to, role: 'proxy' as const },
      { ...to, port: 1 },
      { ...to, host: '127.0.0.1' },
    ]) {
      expect(await isResumed(server, configuration, other)).toBe(false);
    }
    expect(await isResumed(server, tlsConfiguration({ caCerts: ca.cert }), to)).toBe(false);
  });

  test('that a server does not know any more are forgotten, and the new ones resumed', async () => {
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    const resumed: boolean[] = [];
    for (let generation = 0; generation < 2; generation++) {
      await using server = await tlsPeer(options(), (connection) => connection.write('x'));
      for (let count = 0; count < 2; count++) resumed.push(await isResumed(server, configuration, ORIGIN));
    }
    expect(resumed).toEqual([false, true, false, true]);
  });

  test('SEC-063: are verified again: the certificate that belongs to them must be readable, and be for the name', async () => {
    await using server = await tlsPeer(options(), (connection) => connection.write('x'));
    const other = new X509Certificate((await ca.issue('b.test')).cert).raw;
    for (const [certificate, message] of [
      [Buffer.from('hello'), 'the certificate of the server cannot be read'],
      [other, 'is for "b.test", not for "a.test"'],
      [null, 'the server showed no certificate'],
    ] as const) {
      const configuration = tlsConfiguration({ caCerts: ca.cert });
      await isResumed(server, configuration, ORIGIN);
      const kept = configuration.sessions.take('origin 443 a.test') ?? expect.fail('no session was kept');
      configuration.sessions.forget('origin 443 a.test');
      configuration.sessions.putBack('origin 443 a.test', { ...kept, certificate });
      const failing = isResumed(server, configuration, ORIGIN);
      await expect(failing).rejects.toThrow(SSLError);
      await expect(failing).rejects.toThrow(message);
    }
  });

  test('that were offered to nobody are kept, and those of a failed handshake are dropped', async () => {
    await using server = await tlsPeer(options(), (connection) => connection.write('x'));
    const configuration = tlsConfiguration({ caCerts: ca.cert });
    await isResumed(server, configuration, ORIGIN);
    const before = configuration.sessions.take('origin 443 a.test');
    if (before !== null) configuration.sessions.putBack('origin 443 a.test', before);
    const refused = tlsOpener(ORIGIN, configuration)({ host: '127.0.0.1', port: 1 });
    refused.on('error', () => {});
    await new Promise((resolve) => refused.on('close', resolve));
    expect(configuration.sessions.take('origin 443 a.test')).toBe(before);
    await using plain = await peer((connection) => connection.end('plain text'));
    const below = await plainSocket(plain);
    await expect(secured(tlsOver(below, ORIGIN, configuration), ORIGIN, configuration, NO_BOUNDS)).rejects.toThrow(
      SSLError,
    );
    expect(configuration.sessions.take('origin 443 a.test')).toBeNull();
  });
});
