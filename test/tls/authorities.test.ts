import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { authorities, defaultAuthorities, type Platform } from '../../src/tls/authorities.js';
import { rootAuthority } from '../support/tls-certificates.js';

const folder = mkdtempSync(join(tmpdir(), 'urllib3-authorities-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());
const [one, two, three] = await Promise.all(['One', 'Two', 'Three'].map(rootAuthority));
const pem = { one: one?.pem ?? '', two: two?.pem ?? '', three: three?.pem ?? '' };

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function directory(name: string, files: Record<string, string>): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

/** A system without anything. */
const NOWHERE: Platform = { name: 'linux', environment: {}, readStore: null, bundles: [] };

const of = (caCerts: unknown, caCertDir: unknown = null, platform: Partial<Platform> = {}) =>
  (authorities(caCerts, caCertDir, { ...NOWHERE, ...platform }) ?? []).map((text) => text.trim());
const trimmed = (...names: (keyof typeof pem)[]) => names.map((name) => pem[name].trim());

describe('authorities()', () => {
  test('are null where nothing is named: Node has its own', () => {
    expect(authorities(null, null)).toBeNull();
  });

  test('takes a source, or a list of them, or a directory, or both, each authority once', () => {
    expect(of(pem.one)).toEqual(trimmed('one'));
    expect(of([pem.one, file('two.pem', pem.two), Buffer.from(pem.one)])).toEqual(trimmed('one', 'two'));
    const mixed = directory('mixed', { 'b.crt': pem.two, 'a.pem': pem.three, README: 'nothing here' });
    expect(of(null, mixed)).toEqual(trimmed('three', 'two'));
    expect(of(pem.one, mixed)).toEqual(trimmed('one', 'three', 'two'));
  });

  test('reads a directory by the names of files or by their hashes, through links, and no directory in it', () => {
    const hashed = directory('hashed', { 'one.pem': pem.one });
    symlinkSync('one.pem', join(hashed, '9d66eef0.0'));
    mkdirSync(join(hashed, 'below'));
    expect(of(null, hashed)).toEqual(trimmed('one'));
  });

  test.each<[string, unknown, unknown, string | RegExp]>([
    ['an empty list', [], null, 'Cannot use caCerts []: it holds no certificate'],
    ['an empty text', '', null, 'Cannot read caCerts ""'],
    ['empty bytes', Buffer.alloc(0), null, 'Cannot use caCerts: it holds no certificate'],
    ['a file that is not there', '/nonexistent', null, 'Cannot read caCerts "/nonexistent": there is no such file'],
    ['one good and one bad source', [pem.one, '/nonexistent'], null, 'Cannot read caCerts "/nonexistent"'],
    [
      'a directory that is not there',
      null,
      '/nonexistent',
      'Cannot read caCertDir "/nonexistent": there is no such file',
    ],
    ['a directory that is not there, beside good ones', pem.one, '/nonexistent', 'Cannot read caCertDir'],
    ['an empty directory', null, directory('empty', {}), 'no file in it holds a certificate'],
    [
      'a directory with a damaged file',
      null,
      directory('damaged', { a: pem.one.slice(0, 99) }),
      /damaged\/a": a certificate in it is damaged/,
    ],
  ])(
    'SEC-065 (CVE-2019-11324): raises SSLError for %s, which never means the defaults',
    (_name, caCerts, caCertDir, message) => {
      expect(() => of(caCerts, caCertDir)).toThrow(SSLError);
      expect(() => of(caCerts, caCertDir)).toThrow(message);
    },
  );

  test('raises SSLError for a directory in which a link leads nowhere', () => {
    const path = directory('dangling', { 'a.pem': pem.one });
    symlinkSync('nowhere', join(path, '00000000.0'));
    expect(() => of(null, path)).toThrow(/^Cannot read caCertDir ".*dangling": there is no such file$/);
  });

  test('raises TypeError for what is no source', () => {
    for (const source of [5, true, {}, [5], [null]]) expect(() => of(source)).toThrow(TypeError);
    for (const path of [5, [], Buffer.from('/')])
      expect(() => of(null, path)).toThrow('it must be the path of a directory');
  });
});

describe('authorities("system")', () => {
  test('are those that Node reads, where it can', () => {
    const readStore = vi.fn(() => [pem.one]);
    expect(of('system', null, { readStore })).toEqual(trimmed('one'));
    expect(readStore).toHaveBeenCalledWith('system');
    expect(of(['system', pem.two], null, { readStore })).toEqual(trimmed('one', 'two'));
  });

  test('are those of the first bundle that is there, where Node cannot', () => {
    const bundles = ['/nonexistent', folder, file('first.crt', pem.one), file('second.crt', pem.two)];
    expect(of('system', null, { bundles })).toEqual(trimmed('one'));
    expect(of('system', null, { bundles, readStore: () => [] })).toEqual(trimmed('one'));
  });

  test('are what SSL_CERT_FILE and SSL_CERT_DIR name, in place of everything else', () => {
    const environment = { SSL_CERT_FILE: file('set.pem', pem.one), SSL_CERT_DIR: directory('set', { a: pem.two }) };
    const readStore = () => [pem.three];
    expect(of('system', null, { environment, readStore })).toEqual(trimmed('one', 'two'));
    expect(of('system', null, { environment: { SSL_CERT_DIR: environment.SSL_CERT_DIR }, readStore })).toEqual(
      trimmed('two'),
    );
    expect(of('system', null, { environment: { SSL_CERT_FILE: '' }, readStore })).toEqual(trimmed('three'));
    expect(() => of('system', null, { environment: { SSL_CERT_FILE: '/nonexistent' }, readStore })).toThrow(
      'Cannot read SSL_CERT_FILE "/nonexistent"',
    );
  });

  test('are joined by those of NODE_EXTRA_CA_CERTS', () => {
    const environment = { NODE_EXTRA_CA_CERTS: file('extra.pem', pem.two) };
    expect(of('system', null, { environment, readStore: () => [pem.one] })).toEqual(trimmed('one', 'two'));
    expect(of(pem.one, null, { environment })).toEqual(trimmed('one'));
  });

  test.each([
    ['linux', null, 'install ca-certificates'],
    ['darwin', null, 'use Node 22.15 or later'],
    ['win32', null, 'use Node 22.15 or later'],
    ['darwin', () => [], 'the system has no certificate of an authority'],
  ])('raise SSLError that says what to do, on %s', (name, readStore, advice) => {
    expect(() => of('system', null, { name, readStore })).toThrow(SSLError);
    expect(() => of('system', null, { name, readStore })).toThrow(advice);
  });

  test('are looked for on this system, by what its environment names', () => {
    vi.stubEnv('SSL_CERT_FILE', file('stubbed.pem', pem.one));
    expect(authorities('system', null)?.map((text) => text.trim())).toContain(pem.one.trim());
  });
});

test('authorities("system") asks Node, where it can read the system’s store', () => {
  vi.stubEnv('SSL_CERT_FILE', '');
  vi.stubEnv('SSL_CERT_DIR', '');
  vi.stubEnv('NODE_EXTRA_CA_CERTS', '');
  const before = Object.getOwnPropertyDescriptor(tls, 'getCACertificates');
  const value = vi.fn(() => [pem.two]);
  Object.defineProperty(tls, 'getCACertificates', { value, configurable: true });
  try {
    expect(authorities('system', null)).toEqual([pem.two]);
    expect(value).toHaveBeenCalledWith('system');
  } finally {
    Reflect.deleteProperty(tls, 'getCACertificates');
    if (before !== undefined) Object.defineProperty(tls, 'getCACertificates', before);
  }
});

test('defaultAuthorities() are Node’s, with those of NODE_EXTRA_CA_CERTS', () => {
  expect(defaultAuthorities({ ...NOWHERE, readStore: (store) => [store] })).toEqual(['default']);
  const environment = { NODE_EXTRA_CA_CERTS: file('added.pem', pem.one) };
  expect(defaultAuthorities({ ...NOWHERE, environment })).toEqual([
    ...tls.rootCertificates,
    pem.one.trim().concat('\n'),
  ]);
  expect(defaultAuthorities().length).toBeGreaterThan(50);
});
