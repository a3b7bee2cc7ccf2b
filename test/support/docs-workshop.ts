/**
 * Where the documentation is tried: a folder like that of a user who has installed the package, in which the blocks are
 * compiled, run (docs-runner.ts) and type-checked.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import ts from 'typescript';
import { type Block, ROOT } from './docs-blocks.js';
import type { BlockReport, DocsJob, DocsReport } from './docs-runner.js';
import { rootAuthority } from './tls-certificates.js';

/** Blocks run for a second or two, on a busy machine for some more; whoever takes so long does not end. */
const RUN_LIMIT_MS = 45_000;

/** As a careful user has them. */
const COMPILER_OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  typeRoots: [join(ROOT, 'node_modules', '@types')],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  noEmit: true,
};

export interface Tried {
  /** By the id of the block. */
  readonly reports: ReadonlyMap<string, BlockReport>;
  /** Complaints of the compiler, as `path:line: message`. */
  readonly typeErrors: readonly string[];
}

/** Runs the blocks, and checks the types of those that are TypeScript meanwhile. */
export async function tryBlocks(blocks: readonly Block[]): Promise<Tried> {
  if (!existsSync(join(ROOT, 'dist', 'index.js'))) throw new Error('There is no dist: run "npm run build" first');
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'urllib3-docs-')));
  try {
    const tls = await furnish(folder);
    const job: DocsJob = { blocks: blocks.map(({ id, code }) => ({ id, code: compiled(code) })), tls };
    writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
    const running = runIn(folder);
    // Reported below; the compiler keeps this turn of the event loop for seconds.
    running.catch(() => {});
    const typeErrors = checkTypes(folder, blocks);
    return { reports: new Map(Object.entries(await running)), typeErrors };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Everything that the documentation takes for granted: the package, a few files, an authority of one's own. */
async function furnish(folder: string): Promise<DocsJob['tls']> {
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules', 'urllib3'), 'junction');
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  });
  const client = await (await rootAuthority('Members')).issue({ names: ['client.test'], usage: 'client' });
  const files = {
    'package.json': '{ "type": "module" }',
    'runner.mjs': compiled(readFileSync(join(ROOT, 'test', 'support', 'docs-runner.ts'), 'utf8')),
    'urlfetch-server.js': compiled(readFileSync(join(ROOT, 'test', 'support', 'urlfetch-server.ts'), 'utf8')),
    'proxy-server.js': compiled(readFileSync(join(ROOT, 'test', 'support', 'proxy-server.ts'), 'utf8')),
    'ntlm-server.js': compiled(readFileSync(join(ROOT, 'test', 'support', 'ntlm-server.ts'), 'utf8')),
    'socks-server.js': compiled(readFileSync(join(ROOT, 'test', 'support', 'socks-server.ts'), 'utf8')),
    'example.txt': 'Hello from a file\n',
    'example.jpg': Buffer.from('ffd8ffe000104a464946', 'hex'),
    'company-ca.pem': cert,
    'client.pem': client.pem,
    'client.key': client.key,
    'client-encrypted.key': client.encryptedKey('secret'),
    'client.p12': client.pfx('secret'),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return { cert, key, clientCa: client.root };
}

function compiled(code: string): string {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return outputText;
}

async function runIn(folder: string): Promise<DocsReport> {
  const child = spawn(process.execPath, ['runner.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const limit = setTimeout(() => child.kill('SIGKILL'), RUN_LIMIT_MS);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (output += piece));
  try {
    const [code, signal] = await once(child, 'close');
    if (signal !== null) throw new Error(`The blocks do not end, or keep their process alive\n${output}`);
    if (code !== 0) throw new Error(`The process of the blocks ended with code ${code}\n${output}`);
  } finally {
    clearTimeout(limit);
  }
  // What the runner wrote there.
  return JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
}

/** One program for all blocks, which need not be on disk. */
function checkTypes(folder: string, blocks: readonly Block[]): string[] {
  const byFile = new Map<string, Block>();
  for (const block of blocks) {
    if (block.language === 'ts') byFile.set(ts.sys.resolvePath(join(folder, `${block.id}.ts`)), block);
  }
  const host = ts.createCompilerHost(COMPILER_OPTIONS);
  const { fileExists, readFile } = host;
  host.fileExists = (file) => byFile.has(file) || fileExists.call(host, file);
  host.readFile = (file) => byFile.get(file)?.code ?? readFile.call(host, file);
  host.getCurrentDirectory = () => folder;
  const program = ts.createProgram([...byFile.keys()], COMPILER_OPTIONS, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const message = ts.flattenDiagnosticMessageText(messageText, '\n');
    const block = file === undefined ? undefined : byFile.get(file.fileName);
    if (file === undefined || block === undefined) return `${file?.fileName ?? 'compiler'}: ${message}`;
    const { line } = file.getLineAndCharacterOfPosition(start ?? 0);
    return `${block.path}:${block.line + line}: ${message}`;
  });
}
