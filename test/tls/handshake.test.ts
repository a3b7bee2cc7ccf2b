import { mkdtempSync, rmSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { type TlsConfiguration, tlsConfiguration } from '../../src/tls/configuration.js';
import { HandshakeTimeout, secured, tlsOpener } from '../../src/tls/handshake.js';
import type { TlsOptions } from '../../src/tls/options.js';
import { dial } from '../../src/transport/dial.js';
import { type Authority, authority, type Identity, selfSigned } from '../support/authority.js';
import { watchHandles } from '../support/leaks.js';
import { type Peer, peer, tlsPeer } from '../support/peer.js';

watchHandles();

let ca: Authority;
let identity: Identity;
const folder = mkdtempSync(join(tmpdir(), 'urllib3-tls-'));
beforeAll(async () => {
  ca = await authority();
  identity = await ca.issue('a.test', '127.0.0.1');
});
afterAll(() => rmSync(folder, { recursive: true }));

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
