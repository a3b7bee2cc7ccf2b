import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { type TlsConfiguration, tlsConfiguration, withoutResumption } from '../../src/tls/configuration.js';
import { SSLContext } from '../../src/tls/context.js';
import { changedTlsOptions, splitTlsOptions, TLS_OPTION_NAMES, type TlsOptions } from '../../src/tls/options.js';
import { CERT_NONE } from '../../src/tls/requirements.js';
import { rootAuthority } from '../support/tls-certificates.js';

const folder = mkdtempSync(join(tmpdir(), 'urllib3-configuration-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());
const root = await rootAuthority('Root');
const client = await root.issue({ names: ['client.test'], usage: 'client' });
const PIN = '0'.repeat(64);

/** For options of any type. */
const configure = (options: object): TlsConfiguration => Reflect.apply(tlsConfiguration, undefined, [options]);

describe('tlsConfiguration()', () => {
  test('verifies unless it is told not to', () => {
    const safe = {
      isVerified: true,
      verifiesChain: true,
      fingerprint: null,
      assertHostname: null,
      usesCommonName: false,
    };
    expect(tlsConfiguration({})).toMatchObject(safe);
    expect(tlsConfiguration({ certReqs: 'CERT_OPTIONAL' })).toMatchObject(safe);
    expect(tlsConfiguration({ certReqs: 'CERT_NONE' })).toMatchObject({ isVerified: false, verifiesChain: false });
    expect(tlsConfiguration({ certReqs: CERT_NONE, assertFingerprint: PIN })).toMatchObject({
      isVerified: true,
      verifiesChain: false,
    });
    expect(tlsConfiguration({ assertHostname: false })).toMatchObject({ ...safe, assertHostname: false });
  });

  test('takes null for what was not given, in every option', () => {
    const nulls = Object.fromEntries([...TLS_OPTION_NAMES].map((name) => [name, null]));
    const { context: _one, sessions: _two, ...given } = configure(nulls);
    const { context: _three, sessions: _four, ...absent } = tlsConfiguration({});
    expect(given).toEqual(absent);
  });

  test('SEC-061: takes own properties only', () => {
    const polluted = Object.create({ certReqs: 'CERT_NONE', assertHostname: false });
    expect(configure(polluted)).toMatchObject({ verifiesChain: true, assertHostname: null });
  });

  test.each([
    ['a.test', 'a.test'],
    ['A.Test.', 'a.test'],
    ['bücher.test', 'xn--bcher-kva.test'],
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]', 'fe80::1'],
  ])('verifies the name %s as %s', (given, name) => {
    expect(tlsConfiguration({ assertHostname: given, serverHostname: given })).toMatchObject({
      assertHostname: name,
      serverHostname: name,
    });
  });

  test.each<[string, unknown]>([
    ['certReqs', 'none'],
    ['caCerts', 5],
    ['caCertDir', 5],
    ['certFile', 5],
    ['keyPassword', 5],
    ['pfx', 5],
    ['sslVersion', 'TLSv9'],
    ['sslVersion', 'SSLv3'],
    ['sslMinimumVersion', 'TLSv9'],
    ['sslMaximumVersion', 1.2],
    ['ciphers', 5],
    ['assertHostname', true],
    ['assertHostname', ''],
    ['assertHostname', 'a b'],
    ['assertHostname', '*.a.test'.repeat(99)],
    ['assertFingerprint', 5],
    ['serverHostname', ''],
    ['serverHostname', false],
    ['sslContext', {}],
    ['sslContext', 'x'],
    ['alpnProtocols', 'http/1.1'],
    ['alpnProtocols', ['h2']],
    ['alpnProtocols', ['http/1.1', 5]],
    ['keylogFile', 5],
    ['verify', false],
  ])('raises TypeError for %s %j, which is never taken for another', (name, value) => {
    expect(() => configure({ [name]: value })).toThrow(TypeError);
    if (name !== 'pfx') expect(() => configure({ [name]: value })).toThrow(/^Cannot use /);
  });

  test.each<[TlsOptions, string]>([
    [{ assertFingerprint: 'ab' }, 'Fingerprint of invalid length: "ab"'],
    [{ ciphers: 'none-of-these' }, 'Cannot use ciphers "none-of-these": OpenSSL knows none of these'],
    [{ ciphers: '' }, 'Cannot use ciphers ""'],
    [{ ciphers: 'TLS_AES_128_GCM_SHA256', sslMaximumVersion: 'TLSv1.2' }, 'all are of TLS 1.3'],
    [{ keylogFile: '/nonexistent/keys' }, 'Cannot write keylogFile "/nonexistent/keys": there is no such file'],
  ])('raises SSLError for %j', (options, message) => {
    expect(() => tlsConfiguration(options)).toThrow(SSLError);
    expect(() => tlsConfiguration(options)).toThrow(message);
  });

  test('lets one version or a range be said, not both', () => {
    for (const options of [
      { sslVersion: 'TLSv1_2' },
      { sslMaximumVersion: 'TLSv1.2' },
      { sslMinimumVersion: 'TLSv1', sslMaximumVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    ] as const) {
      expect(() => tlsConfiguration(options)).not.toThrow();
    }
    expect(() => tlsConfiguration({ sslVersion: 'TLSv1_2', sslMinimumVersion: 'TLSv1.2' })).toThrow(TypeError);
    expect(() => tlsConfiguration({ sslVersion: 'TLSv1_2', sslMaximumVersion: 'TLSv1.2' })).toThrow(TypeError);
    expect(() => tlsConfiguration({ sslMaximumVersion: 'TLSv1.1' })).toThrow(RangeError);
  });

  test('writes keys to the file of SSLKEYLOGFILE, unless it is given another', () => {
    const path = join(folder, 'environment.log');
    vi.stubEnv('SSLKEYLOGFILE', path);
    expect(tlsConfiguration({}).keylogFile).toBe(path);
    expect(readFileSync(path, 'utf8')).toBe('');
    const own = join(folder, 'own.log');
    expect(tlsConfiguration({ keylogFile: own }).keylogFile).toBe(own);
    vi.stubEnv('SSLKEYLOGFILE', '/nonexistent/keys');
    expect(() => tlsConfiguration({})).toThrow('Cannot write SSLKEYLOGFILE');
  });

  test('shares one context among equal settings with authorities of their own, and never one with another', () => {
    const context = (options: TlsOptions) => tlsConfiguration(options).context;
    const path = join(folder, 'root.pem');
    writeFileSync(path, root.pem);
    const one = context({ caCerts: root.pem });
    expect(context({ caCerts: path })).toBe(one);
    expect(context({ caCerts: [Buffer.from(root.pem)], assertHostname: false, certReqs: 'CERT_NONE' })).toBe(one);
    for (const more of [
      { ciphers: 'DEFAULT' },
      { sslMinimumVersion: 'TLSv1.3' },
      { certFile: client.pem, keyFile: client.key },
      { caCerts: [root.pem, client.pem] },
    ] as const) {
      expect(context({ caCerts: root.pem, ...more })).not.toBe(one);
    }
    expect(context({})).not.toBe(context({}));
    expect(tlsConfiguration({ caCerts: root.pem }).sessions).not.toBe(tlsConfiguration({ caCerts: root.pem }).sessions);
  });

  test('takes from an SSLContext what the options do not say, as it is at that moment', () => {
    const context = new SSLContext();
    context.loadVerifyLocations({ caData: root.pem });
    context.hostnameChecksCommonName = true;
    context.keylogFilename = join(folder, 'context.log');
    const before = tlsConfiguration({ sslContext: context });
    expect(before).toMatchObject({ verifiesChain: true, usesCommonName: true, keylogFile: context.keylogFilename });
    context.checkHostname = false;
    context.verifyMode = 'CERT_NONE';
    expect(before.verifiesChain).toBe(true);
    expect(tlsConfiguration({ sslContext: context })).toMatchObject({ verifiesChain: false, assertHostname: null });
    expect(tlsConfiguration({ sslContext: context, certReqs: 'CERT_REQUIRED' }).verifiesChain).toBe(true);
    context.setAlpnProtocols(['h2']);
    expect(() => tlsConfiguration({ sslContext: context })).toThrow('Cannot use ALPN protocol "h2"');
    expect(tlsConfiguration({ sslContext: context, alpnProtocols: [] }).alpnProtocols).toEqual([]);
  });

  test('adds authorities that are named beside a context to its own, be they Node’s', () => {
    const context = new SSLContext();
    const union = tlsConfiguration({ sslContext: context, caCerts: root.pem }).context;
    expect(union).toBe(tlsConfiguration({ caCerts: root.pem }).context);
    context.loadDefaultCerts();
    const both = tlsConfiguration({ sslContext: context, caCerts: root.pem }).context;
    context.loadVerifyLocations({ caData: root.pem });
    expect(tlsConfiguration({ sslContext: context }).context).toBe(both);
  });

  test('takes a context of Node’s own, and no options that it would have to be made of', () => {
    const context = tls.createSecureContext({ ca: root.pem });
    expect(tlsConfiguration({ sslContext: context })).toMatchObject({ context, verifiesChain: true });
    expect(() => tlsConfiguration({ sslContext: context, caCerts: root.pem })).toThrow(
      'Cannot use caCerts with a context',
    );
    expect(() => tlsConfiguration({ sslContext: context, ciphers: 'DEFAULT' })).toThrow(TypeError);
  });

  test('raises SSLError for a client’s key that is too weak', async () => {
    const weak = await root.issue({ names: ['weak.test'], usage: 'client', key: 'RSA-1024' });
    expect(() => tlsConfiguration({ certFile: weak.pem + weak.key })).toThrow(
      'Cannot use certFile: its key or its signature',
    );
    expect(() => tlsConfiguration({ certFile: weak.pem + weak.key, ciphers: 'DEFAULT:@SECLEVEL=0' })).not.toThrow();
  });

  test('raises SSLError in words of OpenSSL’s for anything else that it does not take', () => {
    vi.spyOn(tls, 'createSecureContext').mockImplementationOnce(() => {
      throw new Error('out of luck');
    });
    expect(() => tlsConfiguration({})).toThrow('Cannot use these options of TLS: out of luck');
    vi.restoreAllMocks();
  });
});

test('withoutResumption() keeps everything but sessions', () => {
  const configuration = tlsConfiguration({ caCerts: root.pem });
  const { sessions, ...rest } = withoutResumption(configuration);
  expect(configuration).toMatchObject(rest);
  sessions.keep('a', { session: Buffer.alloc(1), certificate: null, expiresMs: Number.MAX_VALUE, isSingleUse: true });
  expect(sessions.take('a')).toBeNull();
});

test('splitTlsOptions() splits own properties', () => {
  const { tls: ofTls, rest } = splitTlsOptions(
    Object.assign(Object.create({ certReqs: 0 }), { caCerts: 'a', maxsize: 1 }),
  );
  expect({ ...ofTls }).toEqual({ caCerts: 'a' });
  expect({ ...rest }).toEqual({ maxsize: 1 });
});

test('changedTlsOptions() changes what is given, of the names that may be', () => {
  const before: TlsOptions = { caCerts: 'a', certReqs: 'CERT_NONE' };
  expect(changedTlsOptions(before, { caCerts: 'b', certReqs: undefined }, ['caCerts', 'certReqs'])).toEqual({
    caCerts: 'b',
    certReqs: 'CERT_NONE',
  });
  expect(() => changedTlsOptions(before, { ciphers: 'x' }, ['caCerts'])).toThrow('Cannot change option "ciphers"');
});
