import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import {
  createUrllib3Context,
  OP_NO_COMPRESSION,
  OP_NO_TICKET,
  SSLContext,
  sslWrapSocket,
} from '../../src/tls/context.js';
import {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  PROTOCOL_TLS,
  PROTOCOL_TLS_CLIENT,
  PROTOCOL_TLSv1_2,
} from '../../src/tls/requirements.js';
import { watchHandles } from '../support/leaks.js';
import { type Peer, peer, tlsPeer } from '../support/peer.js';
import { rootAuthority } from '../support/tls-certificates.js';

watchHandles();

const folder = mkdtempSync(join(tmpdir(), 'urllib3-context-'));
afterAll(() => rmSync(folder, { recursive: true }));
const root = await rootAuthority('Root');
const leaf = await root.issue({ names: ['a.test'] });
const client = await root.issue({ names: ['client.test'], usage: 'client' });

/** Calls what the types would not let be called. */
const call = (target: object, method: string, ...args: unknown[]): unknown =>
  Reflect.apply(Reflect.get(target, method), target, args);

async function connected({ port }: Peer): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

describe('SSLContext', () => {
  test('begins with what is safe, and trusts nobody', () => {
    const context = new SSLContext();
    expect(context).toMatchObject({
      protocol: PROTOCOL_TLS_CLIENT,
      verifyMode: CERT_REQUIRED,
      checkHostname: true,
      hostnameChecksCommonName: false,
      minimumVersion: 'TLSv1.2',
      maximumVersion: 'TLSv1.3',
      keylogFilename: null,
    });
    expect(context.options & OP_NO_COMPRESSION).toBe(OP_NO_COMPRESSION);
    expect(context._snapshot()).toMatchObject({
      settings: { authorities: [], credentials: null, ciphers: null },
      alpnProtocols: null,
    });
  });

  test('takes a protocol, and tells it', () => {
    expect(new SSLContext('PROTOCOL_TLS').protocol).toBe(PROTOCOL_TLS);
    expect(new SSLContext(PROTOCOL_TLSv1_2)).toMatchObject({ minimumVersion: 'TLSv1.2', maximumVersion: 'TLSv1.2' });
    expect(() => new SSLContext('SSLv3')).toThrow(TypeError);
  });

  test('SEC-061: is not left without verification by chance: the name’s goes before the chain’s', () => {
    const context = new SSLContext();
    expect(() => {
      context.verifyMode = 'CERT_NONE';
    }).toThrow('Cannot set verifyMode to CERT_NONE: set checkHostname to false before');
    expect(context.verifyMode).toBe(CERT_REQUIRED);
    context.verifyMode = CERT_OPTIONAL;
    expect(context.verifyMode).toBe(CERT_OPTIONAL);
    context.checkHostname = false;
    context.verifyMode = CERT_NONE;
    expect(context.verifyMode).toBe(CERT_NONE);
    context.checkHostname = true;
    expect(context.verifyMode).toBe(CERT_REQUIRED);
    expect(() => Reflect.set(context, 'checkHostname', 0)).toThrow(TypeError);
    expect(() => Reflect.set(context, 'verifyMode', 'off')).toThrow(TypeError);
  });

  test('takes versions by name and by number, and refuses an empty range when it is used', () => {
    const context = new SSLContext();
    context.minimumVersion = 772;
    expect(context.minimumVersion).toBe('TLSv1.3');
    context.maximumVersion = 'TLSv1.2';
    expect(context.maximumVersion).toBe('TLSv1.2');
    expect(() => context._snapshot()).toThrow(RangeError);
  });

  test('loads authorities from all places, and the default ones', () => {
    writeFileSync(join(folder, 'root.pem'), root.pem);
    const context = new SSLContext();
    context.loadVerifyLocations({ caFile: join(folder, 'root.pem') });
    context.loadVerifyLocations({ caPath: folder, caData: root.der });
    context.loadVerifyLocations({ caData: client.pem });
    expect(context._snapshot().settings.authorities).toHaveLength(2);
    context.loadDefaultCerts();
    expect(context._snapshot().settings.authorities?.length).toBeGreaterThan(50);
    const defaults = new SSLContext();
    defaults.loadDefaultCerts({ purpose: 'serverAuth' });
    expect(defaults._snapshot().settings.authorities).toBeNull();
    expect(() => call(defaults, 'loadDefaultCerts', { purpose: 'clientAuth' })).toThrow(TypeError);
    expect(() => context.loadVerifyLocations({})).toThrow(TypeError);
    expect(() => context.loadVerifyLocations({ caFile: '/nonexistent' })).toThrow(SSLError);
  });

  test('loads a client’s certificate', () => {
    const context = new SSLContext();
    context.loadCertChain(client.chain, { keyFile: client.encryptedKey('secret'), password: 'secret' });
    expect(context._snapshot().settings.credentials?.certificate).toContain('BEGIN CERTIFICATE');
    expect(() => context.loadCertChain(client.chain)).toThrow('Cannot use certFile: it holds no private key');
  });

  test('takes ciphers that there are, and application protocols', () => {
    const context = new SSLContext();
    context.setCiphers('ECDHE-ECDSA-AES128-GCM-SHA256');
    expect(() => context.setCiphers('nothing')).toThrow(SSLError);
    context.setAlpnProtocols(['http/1.1', 'h2']);
    expect(context._snapshot()).toMatchObject({
      settings: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      alpnProtocols: ['http/1.1', 'h2'],
    });
    for (const wrong of ['h2', [''], ['x'.repeat(256)], ['é'.repeat(128)], [5]]) {
      expect(() => call(context, 'setAlpnProtocols', wrong)).toThrow(TypeError);
    }
    expect(() => context.setNpnProtocols(['http/1.1'])).toThrow(/NPN.*ALPN/);
  });

  test('refuses an option that there is not: a misspelt one must not be ignored', async () => {
    const context = new SSLContext();
    const misspelt = {
      loadDefaultCerts: [{ purpos: 'serverAuth' }],
      loadVerifyLocations: [{ caData: root.pem, caFil: '/nowhere' }],
      loadCertChain: [client.chain + client.key, { keyfile: '/nowhere' }],
    };
    for (const [method, args] of Object.entries(misspelt)) {
      expect(() => call(context, method, ...args), method).toThrow(/Cannot use option "(purpos|caFil|keyfile)"/);
    }
    const wrapping = call(context, 'wrapSocket', new Duplex(), { serverHostname: 'a.test', serverHostName: 'b.test' });
    await expect(wrapping).rejects.toThrow('Cannot use option "serverHostName": wrapSocket() has no such option');
    const options: object = { sslMinVersion: 'TLSv1.3' };
    expect(() => createUrllib3Context(options)).toThrow('Cannot use option "sslMinVersion"');
  });

  test('refuses values of another type when it is used', () => {
    for (const [name, value] of [
      ['options', -1],
      ['options', 'x'],
      ['hostnameChecksCommonName', 1],
      ['keylogFilename', 5],
    ] as const) {
      const context = new SSLContext();
      Reflect.set(context, name, value);
      expect(() => context._snapshot()).toThrow(TypeError);
    }
  });
});

describe('SSLContext.wrapSocket()', () => {
  test('gives a verified socket', async () => {
    await using server = await tlsPeer({ ...leaf.identity, ALPNProtocols: ['x', 'y'] }, (connection) =>
      connection.write('hello'),
    );
    const context = new SSLContext();
    context.loadVerifyLocations({ caData: root.pem });
    context.setAlpnProtocols(['y']);
    const socket = await context.wrapSocket(await connected(server), { serverHostname: 'a.test' });
    expect(String((await once(socket, 'data'))[0])).toBe('hello');
    expect(socket).toMatchObject({ authorized: true, alpnProtocol: 'y' });
    socket.destroy();
  });

  test('verifies the chain with checkHostname off, and nothing with CERT_NONE', async () => {
    await using server = await tlsPeer(leaf.identity, () => {});
    const context = new SSLContext();
    context.checkHostname = false;
    await expect(context.wrapSocket(await connected(server), { serverHostname: 'b.test' })).rejects.toThrow(SSLError);
    context.verifyMode = CERT_NONE;
    const socket = await context.wrapSocket(await connected(server));
    expect(socket.authorized).toBe(false);
    socket.destroy();
  });

  test('raises SSLError for another name, and closes the connection', async () => {
    await using server = await tlsPeer(leaf.identity, () => {});
    const context = new SSLContext();
    context.loadVerifyLocations({ caData: root.pem });
    const below = await connected(server);
    await expect(context.wrapSocket(below, { serverHostname: 'b.test' })).rejects.toThrow(
      'is for "a.test", not for "b.test"',
    );
    expect(below.destroyed).toBe(true);
  });

  test('gives up when its signal is aborted', async () => {
    await using server = await peer(() => {});
    const controller = new AbortController();
    const context = createUrllib3Context();
    const wrapping = context.wrapSocket(await connected(server), {
      serverHostname: 'a.test',
      signal: controller.signal,
    });
    controller.abort(new Error('enough'));
    await expect(wrapping).rejects.toThrow('enough');
  });

  test.each([
    [{}, 'checkHostname needs serverHostname'],
    [{ serverHostname: 'a.test', serverSide: true }, 'Cannot use serverSide true: this is a client'],
    [{ serverHostname: 'a.test', doHandshakeOnConnect: false }, 'Cannot use doHandshakeOnConnect false'],
    [{ serverHostname: 'a.test', suppressRaggedEofs: false }, 'Cannot use suppressRaggedEofs false'],
  ])('raises TypeError for %j', async (options, message) => {
    const context = createUrllib3Context();
    const wrapping = context.wrapSocket(new PassThrough(), options);
    await expect(wrapping).rejects.toThrow(TypeError);
    await expect(wrapping).rejects.toThrow(message);
  });
});

describe('createUrllib3Context()', () => {
  test('is what this library would choose', () => {
    expect(createUrllib3Context()._snapshot()).toEqual(new SSLContext()._snapshot());
  });

  test('takes everything that can be said', () => {
    const context = createUrllib3Context({
      certReqs: 'CERT_NONE',
      options: OP_NO_TICKET,
      ciphers: 'DEFAULT',
      sslMinimumVersion: 'TLSv1.2',
      sslMaximumVersion: 'TLSv1.2',
    });
    expect(context).toMatchObject({
      verifyMode: CERT_NONE,
      checkHostname: false,
      options: OP_NO_TICKET,
      maximumVersion: 'TLSv1.2',
    });
    expect(createUrllib3Context({ sslVersion: 'TLSv1_2', certReqs: null })).toMatchObject({
      maximumVersion: 'TLSv1.2',
      verifyMode: 2,
    });
    expect(() => createUrllib3Context({ sslVersion: 'TLSv1_2', sslMinimumVersion: 'TLSv1.2' })).toThrow(TypeError);
    expect(() => createUrllib3Context({ options: -1 })).toThrow(TypeError);
  });
});

describe('sslWrapSocket()', () => {
  test('verifies chain and name', async () => {
    await using server = await tlsPeer(leaf.identity, () => {});
    const socket = await sslWrapSocket(await connected(server), { caCerts: root.pem, serverHostname: 'a.test' });
    expect(socket).toMatchObject({ authorized: true, servername: 'a.test' });
    socket.destroy();
    await expect(
      sslWrapSocket(await connected(server), { caCerts: root.pem, serverHostname: 'b.test' }),
    ).rejects.toThrow(SSLError);
    await expect(sslWrapSocket(await connected(server), { serverHostname: 'a.test' })).rejects.toThrow(SSLError);
  });

  test('verifies the chain alone without a name, as the reference does', async () => {
    await using server = await tlsPeer(leaf.identity, () => {});
    const socket = await sslWrapSocket(await connected(server), { caCerts: root.pem });
    expect(socket.authorized).toBe(true);
    socket.destroy();
    await expect(sslWrapSocket(await connected(server))).rejects.toThrow('TLS with "127.0.0.1" failed');
  });

  test('raises TypeError for what is no stream, and for options that it does not know', async () => {
    await expect(Reflect.apply(sslWrapSocket, undefined, ['socket'])).rejects.toThrow('Cannot speak TLS over "socket"');
    await expect(Reflect.apply(sslWrapSocket, undefined, [new PassThrough(), { verify: false }])).rejects.toThrow(
      TypeError,
    );
    const closed = new PassThrough();
    const wrapping = sslWrapSocket(closed, { serverHostname: 'a.test' });
    closed.destroy();
    await expect(wrapping).rejects.toThrow(SSLError);
    const unnamed = new PassThrough();
    const other = sslWrapSocket(unnamed);
    unnamed.destroy();
    await expect(other).rejects.toThrow('TLS with "0.0.0.0" failed');
  });
});
