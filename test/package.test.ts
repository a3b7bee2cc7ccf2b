/** The package as it is published: what can be imported, what that loads, and that it lets a process end. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { startHttpbin } from '../src/testing/index.js';
import { VERSION } from '../src/version.js';

const ROOT = new URL('../', import.meta.url);
const run = promisify(execFile);

interface Manifest {
  readonly version: string;
  readonly main: string;
  readonly types: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

// The file is ours, and the tests below fail if it has another form.
const MANIFEST: Manifest = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
const SUBPATHS = Object.keys(MANIFEST.exports).filter((subpath) => subpath !== './package.json');

/** Runs a module in a process of its own, which must end by itself; gives what it prints. */
async function output(
  code: string,
  type: 'module' | 'commonjs' = 'module',
  env: Record<string, string> = {},
): Promise<string> {
  const { stdout } = await run(process.execPath, [`--input-type=${type}`, '--no-warnings', '--eval', code], {
    cwd: ROOT,
    timeout: 15_000,
    env: { ...process.env, ...env },
  });
  return stdout;
}

/** `npm test` builds first; alone, this file builds what is missing or older than its source. */
beforeAll(() => {
  const built = new URL('dist/index.js', ROOT);
  const sources = readdirSync(new URL('src/', ROOT), { recursive: true, encoding: 'utf8' });
  const newestMs = Math.max(...sources.map((file) => statSync(new URL(`src/${file}`, ROOT)).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs > newestMs) return;
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT });
}, 60_000);

/** Since 20.19 and 22.12 `require()` loads ES modules without a flag. */
const requiresModules = ((): boolean => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);
})();

describe('exports', () => {
  test('every module of the reference is a subpath', () => {
    for (const module of [
      '.',
      './connection',
      './connectionpool',
      './exceptions',
      './fields',
      './filepost',
      './poolmanager',
      './request',
      './response',
      './util',
      './util/connection',
      './util/queue',
      './util/request',
      './util/retry',
      './util/timeout',
      './util/url',
      './util/wait',
    ]) {
      expect(SUBPATHS).toContain(module);
    }
  });

  test('each has its file and its types, and names something', () => {
    expect(MANIFEST.main).toBe('./dist/index.js');
    expect(MANIFEST.types).toBe('./dist/index.d.ts');
    for (const subpath of SUBPATHS) {
      const target = MANIFEST.exports[subpath];
      if (typeof target !== 'object') throw new Error(`${subpath} has conditions`);
      expect(Object.keys(target)[0], 'types stand first').toBe('types');
      for (const file of [target.types, target.default]) expect(existsSync(new URL(file, ROOT)), file).toBe(true);
      expect(readFileSync(new URL(target.types, ROOT), 'utf8')).toContain('export');
    }
  });

  test.each(['import', 'require'] as const)('each can be loaded by %s()', async (how) => {
    if (how === 'require' && !requiresModules) return;
    const names = SUBPATHS.map((subpath) => `urllib3${subpath.slice(1)}`);
    const load = how === 'import' ? 'await import(name)' : 'require(name)';
    const code = `(async () => { for (const name of ${JSON.stringify(names)}) {
      const module = ${load};
      console.log(name, Object.keys(module).filter((key) => key !== 'default').length);
    } })()`;
    const lines = (await output(code, how === 'import' ? 'module' : 'commonjs')).trim().split('\n');
    expect(lines).toHaveLength(names.length);
    for (const [index, line] of lines.entries()) expect(line).toMatch(new RegExp(`^${names[index]} [1-9]`));
  });

  test('both ways give the same classes', async () => {
    if (!requiresModules) return;
    const code = `
      import { createRequire } from 'node:module';
      import { PoolManager, exceptions, Retry } from 'urllib3';
      const require = createRequire(${JSON.stringify(new URL('test/x.js', ROOT).href)});
      console.log(
        require('urllib3/poolmanager').PoolManager === PoolManager,
        require('urllib3/exceptions').HTTPError === exceptions.HTTPError,
        require('urllib3/util').Retry === Retry,
      );`;
    expect((await output(code)).trim()).toBe('true true true');
  });

  test('the version is that of package.json', async () => {
    expect(VERSION).toBe(MANIFEST.version);
    expect((await output(`import { VERSION } from 'urllib3'; console.log(VERSION);`)).trim()).toBe(MANIFEST.version);
    const manifest = `import json from 'urllib3/package.json' with { type: 'json' }; console.log(json.version);`;
    expect((await output(manifest)).trim()).toBe(MANIFEST.version);
  });
});

test('importing urllib3 loads no optional part and no package', async () => {
  const hook = `
    import { writeSync } from 'node:fs';
    export async function resolve(specifier, context, next) {
      const resolved = await next(specifier, context);
      writeSync(1, resolved.url + '\\n');
      return resolved;
    }`;
  const code = `
    import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
    await import('urllib3');
    const { createRequire } = await import('node:module');
    for (const file of Object.keys(createRequire(process.cwd() + '/x.js').cache)) console.log('file://' + file);`;
  const loaded = (await output(code))
    .trim()
    .split('\n')
    .filter((url) => url.startsWith('file:'));
  expect(loaded.some((url) => url.endsWith('/dist/connectionpool.js'))).toBe(true);
  for (const url of loaded) {
    expect(url).not.toMatch(/node_modules|\/contrib\/|\/testing\//);
    expect(url).toContain('/dist/');
  }
});

test('a process with idle connections, and one with an idle pool of TLS settings, ends by itself', async () => {
  await using httpbin = await startHttpbin();
  const code = `
    import { PoolManager } from 'urllib3';
    const http = new PoolManager({ timeout: 500 });
    await Promise.all([1, 2, 3].map(() => http.request('GET', process.env.PEER_URL + '/ip')));
    const response = await http.request('GET', process.env.PEER_URL + '/ip', { preloadContent: false });
    await response.read();
    console.log('done', response.status);`;
  const startMs = performance.now();
  expect((await output(code, 'module', { PEER_URL: httpbin.url })).trim()).toBe('done 200');
  expect(performance.now() - startMs).toBeLessThan(10_000);
});

test('a process waits for a response that is on its way', async () => {
  await using httpbin = await startHttpbin();
  const code = `
    import { request } from 'urllib3';
    request('GET', process.env.PEER_URL + '/delay/0.2', { timeout: 5 }).then(({ status }) => console.log(status));`;
  expect((await output(code, 'module', { PEER_URL: httpbin.url })).trim()).toBe('200');
});
