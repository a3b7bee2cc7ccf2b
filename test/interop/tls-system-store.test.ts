import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabServer, SITES, type TlsLab, tlsLab } from '../support/tls-lab.js';
import { describeWith } from './servers/program.js';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const REFUSED = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';

/** What every case asks; the child has no lookup of the lab's, so by address. */
const CASES = { byDefault: {}, system: { caCerts: 'system' } };

let lab: TlsLab;
let server: LabServer;
beforeAll(async () => {
  lab = await tlsLab();
  const certificate = () => lab.authorities.root.issue({ names: ['127.0.0.1'] });
  server = await lab.start({ ...SITES.ip4, certificate });
});
afterAll(() => lab[Symbol.asyncDispose]());

/** Runs the probe with none of the variables that say where authorities are, but for these. */
async function probe(environment: Record<string, string>, ...before: string[]): Promise<unknown> {
  const { NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR, ...rest } = process.env;
  const program = [
    process.execPath,
    '--import',
    'tsx',
    path.join(HERE, 'tls-system-probe.ts'),
    server.url,
    JSON.stringify(CASES),
  ];
  const [file = '', ...args] = [...before, ...program];
  const { stdout } = await promisify(execFile)(file, args, {
    env: { ...rest, NODE_OPTIONS: '', ...environment },
    cwd: HERE,
    timeout: 60_000,
  });
  return JSON.parse(stdout);
}

/** Why this machine cannot have a store of its own for a test; undefined if it can. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const { status } = spawnSync('unshare', ['--mount', '--propagation', 'private', 'true']);
  return status === 0 ? undefined : 'no mount namespace here';
}

describeWith(
  ['unshare', 'update-ca-certificates'],
  'a system to whose store an authority was added',
  () => {
    test("caCerts 'system' sees it, and Node's own authorities do not", async () => {
      const script = path.join(HERE, 'servers', 'system-store.sh');
      const authority = lab.file('added.pem', lab.root);
      expect(await probe({}, 'bash', script, path.join(lab.folder, 'store'), authority)).toEqual({
        byDefault: REFUSED,
        system: 200,
      });
      expect(await probe({})).toEqual({ byDefault: REFUSED, system: REFUSED });
    });
  },
  obstacle(),
);

test.each<[string, () => Record<string, string>, { byDefault: unknown; system: unknown }]>([
  ['SSL_CERT_FILE', () => ({ SSL_CERT_FILE: lab.file('file.pem', lab.root) }), { byDefault: REFUSED, system: 200 }],
  ['SSL_CERT_DIR', () => ({ SSL_CERT_DIR: lab.hashedFolder() }), { byDefault: REFUSED, system: 200 }],
  [
    'the second of SSL_CERT_DIR',
    () => {
      lab.file('first/strange.pem', lab.authorities.strangeRoot.pem);
      return { SSL_CERT_DIR: [path.join(lab.folder, 'first'), lab.hashedFolder()].join(path.delimiter) };
    },
    { byDefault: REFUSED, system: 200 },
  ],
  [
    'SSL_CERT_FILE without it',
    () => ({ SSL_CERT_FILE: lab.file('strange.pem', lab.authorities.strangeRoot.pem) }),
    { byDefault: REFUSED, system: REFUSED },
  ],
  [
    'NODE_EXTRA_CA_CERTS',
    () => ({ NODE_EXTRA_CA_CERTS: lab.file('extra.pem', lab.root) }),
    { byDefault: 200, system: 200 },
  ],
])("with an authority in %s, caCerts 'system' says what OpenSSL would", async (_name, environment, want) => {
  expect(await probe(environment())).toEqual(want);
});
