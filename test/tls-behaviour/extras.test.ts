/** What TLS leaves in files and warnings: session keys for whoever debugs, and words about clocks and common names. */
import { readFileSync, statSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { watchHandles } from '../support/leaks.js';
import { type LabServer, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
let emitted: MockInstance;
beforeAll(async () => {
  lab = await tlsLab();
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => {
  emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

function warnings(): string[] {
  return emitted.mock.calls.map(([warning]) => (warning instanceof Error ? warning.name : String(warning)));
}

async function get({ url }: LabServer, options: ConnectionPoolKw): Promise<number> {
  await using http = new PoolManager({
    lookup: lab.lookup,
    retries: false,
    timeout: 10,
    caCerts: lab.root,
    ...options,
  });
  return (await http.request('GET', url)).status;
}

describe('keylogFile', () => {
  /** NSS key log lines: a label, the client random of 32 bytes, a secret. */
  const LINE = /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,}$/;

  test.each(['tls12', 'tls13'] as const)(
    'gets the session keys of each connection (%s), and only its owner may read it',
    async (name) => {
      const keylogFile = `${lab.folder}/${name}.keys`;
      const server = await lab.server(name);
      await get(server, { keylogFile });
      await expect.poll(() => statSync(keylogFile, { throwIfNoEntry: false })?.size ?? 0).toBeGreaterThan(0);
      const first = readFileSync(keylogFile, 'latin1');
      for (const line of first.trimEnd().split('\n')) expect(line).toMatch(LINE);
      expect(first).toMatch(name === 'tls12' ? /^CLIENT_RANDOM /m : /^CLIENT_TRAFFIC_SECRET_0 /m);
      if (process.platform !== 'win32') expect(statSync(keylogFile).mode & 0o077).toBe(0);
      await get(server, { keylogFile });
      await expect.poll(() => readFileSync(keylogFile, 'latin1').length).toBeGreaterThan(first.length);
      expect(readFileSync(keylogFile, 'latin1').startsWith(first)).toBe(true);
    },
  );

  test('is what SSLKEYLOGFILE names where it is not given', async () => {
    const keylogFile = `${lab.folder}/environment.keys`;
    vi.stubEnv('SSLKEYLOGFILE', keylogFile);
    await get(await lab.server('tls13'), {});
    await expect.poll(() => statSync(keylogFile, { throwIfNoEntry: false })?.size ?? 0).toBeGreaterThan(0);
  });

  test('that cannot be written is told before anything is sent', () => {
    const make = () => new PoolManager({ keylogFile: '/nonexistent/keys.log' });
    expect(make).toThrow(SSLError);
    expect(make).toThrow(/keylogFile.*\/nonexistent\/keys\.log/);
  });
});

describe('SubjectAltNameWarning', () => {
  test('SEC-067 (CVE-2014-3577): a common name counts only for whoever asks, warns, and never beside alternative names', async () => {
    const asking = () => {
      const sslContext = createUrllib3Context();
      sslContext.loadVerifyLocations({ caData: lab.root });
      sslContext.hostnameChecksCommonName = true;
      return { sslContext, caCerts: null };
    };
    expect(await get(await lab.server('commonNameOnly'), asking())).toBe(200);
    expect(warnings()).toEqual(['SubjectAltNameWarning']);
    for (const name of [
      'commonNameAside',
      'commonNameWithIp',
      'commonNameWithUri',
      'commonNameTwice',
      'ip4AsCommonName',
    ] as const) {
      await expect(get(await lab.server(name), asking()), name).rejects.toThrow(SSLError);
    }
    expect(await get(await lab.server('good'), asking())).toBe(200);
    expect(warnings()).toEqual(['SubjectAltNameWarning']);
  });
});

describe('SystemTimeWarning', () => {
  test('tells whoever lives far in the past why every certificate seems not yet valid', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: new Date('2001-01-01') });
    await get(await lab.server('good'), {}).catch(() => {});
    expect(warnings()).toContain('SystemTimeWarning');
  });

  test('is not emitted to the rest', async () => {
    await get(await lab.server('good'), {});
    expect(warnings()).toEqual([]);
  });
});
