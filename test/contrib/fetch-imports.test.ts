/** What `contrib/fetch` makes a runtime load: the fewer of Node's modules, the more runtimes it runs on. */
import { build } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';
import { ROOT } from '../support/docs-blocks.js';

/** Loaded with the module. A new one here keeps it from runtimes: think before you add it, and say it in docs/edge-runtimes.md. */
const NEEDED = [
  'node:diagnostics_channel',
  'node:events',
  'node:fs',
  'node:module',
  'node:path/posix',
  'node:stream',
  'node:timers/promises',
  'node:url',
  'node:util',
  'node:zlib',
];

/** Loaded when `saveTo()` is called. */
const NEEDED_LATER = ['node:fs/promises', 'node:stream/promises'];

let files: string[] = [];
const atOnce = new Set<string>();
const later = new Set<string>();

beforeAll(async () => {
  const { metafile } = await build({
    entryPoints: [`${ROOT}src/contrib/fetch.ts`],
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    outdir: 'never-written',
    write: false,
    metafile: true,
  });
  files = Object.keys(metafile.inputs);
  const [entry] = Object.entries(metafile.outputs).filter(
    ([, { entryPoint }]) => entryPoint === 'src/contrib/fetch.ts',
  );
  const isLoadedWithIt = new Set<string>();
  const load = (output: string) => {
    if (isLoadedWithIt.has(output)) return;
    isLoadedWithIt.add(output);
    for (const { path, kind } of metafile.outputs[output]?.imports ?? []) if (kind === 'import-statement') load(path);
  };
  load(entry?.[0] ?? '');
  for (const [output, { imports }] of Object.entries(metafile.outputs)) {
    for (const { path, external } of imports) {
      if (external === true) (isLoadedWithIt.has(output) ? atOnce : later).add(path);
    }
  }
});

test('contrib/fetch needs these modules of Node and no others', () => {
  expect([...atOnce].sort()).toEqual(NEEDED);
  expect([...later].filter((module) => !atOnce.has(module)).sort()).toEqual(NEEDED_LATER);
});

test('contrib/fetch loads neither sockets, TLS, proxies nor the engine', () => {
  expect(files).toContain('src/contrib/fetch.ts');
  const unwanted =
    /^src\/(?:transport|tls|connection|poolmanager|engine\/session|http1\/(?:response|chunked|head-scanner))/;
  expect(files.filter((file) => unwanted.test(file))).toEqual([]);
});
