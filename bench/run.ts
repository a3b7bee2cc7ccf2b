/**
 * The benchmark: `npm run bench -- [options]`.
 *
 *   --quick               small sizes and short times: does it work, not how fast is it
 *   --only NAMES          scenarios by name or first words, such as small-http,gzip
 *   --clients NAMES       clients by name, such as urllib3,undici
 *   --rounds N            how often each is measured (5; quick: 2)
 *   --json FILE           where the figures go (bench/results/latest.json)
 *   --svg FILE            where the picture goes (bench/results/latest.svg)
 *
 * This process only orchestrates: servers beside it, and for each client, scenario and round a process of its own
 * (measure.ts). Rounds are interleaved, and each begins with another client, so that what drifts meets all alike.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { BUDGETS, judge } from './budgets.js';
import { drawChart } from './chart.js';
import { type ClientEntry, OURS, pickClients } from './clients/registry.js';
import { compileBench } from './compile.js';
import type { Job, Sample } from './job.js';
import { promisesTable, scenarioTable } from './report.js';
import { FULL_SCALE, pickScenarios, QUICK_SCALE, type Scale, type Scenario, scenarios } from './scenarios.js';
import { type Servers, startServers } from './server/start.js';
import { type Run, type ScenarioSummary, summarize } from './summary.js';

interface Settings {
  readonly scale: Scale;
  readonly scenarios: readonly Scenario[];
  readonly clients: readonly ClientEntry[];
  readonly rounds: number;
  readonly json: string;
  readonly svg: string;
}

/** What every measured process needs. */
interface Surroundings {
  readonly settings: Settings;
  readonly servers: Servers;
  /** The compiled code of this folder. */
  readonly code: string;
  /** A file with the certificate, for the client that takes it only from the environment. */
  readonly caFile: string;
  readonly signal: AbortSignal;
}

const BENCH = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(BENCH);
const RESULTS = join(BENCH, 'results');
const LIBRARY = join(ROOT, 'dist', 'index.js');

/** Nothing that is measured takes so long on a machine that works. */
const PROCESS_LIMIT_MS = 180_000;

process.exitCode = await main();

/** @returns the exit code: 0, 1 if a client failed, 2 for a command line that cannot be understood */
async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = readCommandLine(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 2;
  }
  installPeersOnce();
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
  const { summaries, runs } = await withServers(settings, interrupted.signal, measureAll);
  if (interrupted.signal.aborted) return 1;
  await writeResults(settings, summaries, runs);
  return runs.some(({ outcome }) => 'error' in outcome) ? 1 : 0;
}

function readCommandLine(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      clients: { type: 'string', default: '' },
      rounds: { type: 'string' },
      json: { type: 'string', default: join(RESULTS, 'latest.json') },
      svg: { type: 'string', default: join(RESULTS, 'latest.svg') },
    },
  });
  const scale = values.quick ? QUICK_SCALE : FULL_SCALE;
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new RangeError(`Cannot measure "${values.rounds}" rounds: a whole number from 1 is wanted`);
  }
  return {
    scale,
    rounds,
    scenarios: pickScenarios(scenarios(scale), names(values.only)),
    clients: pickClients(names(values.clients)),
    json: resolve(values.json),
    svg: resolve(values.svg),
  };
}

function names(list: string): readonly string[] {
  return list.split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]));
}

function installPeersOnce(): void {
  if (existsSync(join(BENCH, 'node_modules'))) return;
  console.error('bench/node_modules is missing: npm ci --prefix bench');
  // On Windows npm is a script, which only a shell can start.
  const shell = process.platform === 'win32';
  const { status } = spawnSync('npm', ['ci', '--prefix', 'bench'], { cwd: ROOT, stdio: 'inherit', shell });
  if (status !== 0) throw new Error('Cannot install the peers: npm ci --prefix bench has failed');
}

async function withServers<Result>(
  settings: Settings,
  signal: AbortSignal,
  work: (surroundings: Surroundings) => Promise<Result>,
): Promise<Result> {
  mkdirSync(RESULTS, { recursive: true });
  const code = mkdtempSync(join(RESULTS, '.code-'));
  const folder = mkdtempSync(join(tmpdir(), 'urllib3-bench-'));
  try {
    compileBench(BENCH, code);
    const servers = await startServers(folder, join(code, 'server'), settings.scale.largeBytes);
    try {
      const caFile = join(folder, 'ca.pem');
      writeFileSync(caFile, servers.ca);
      return await work({ settings, servers, code, caFile, signal });
    } finally {
      await servers.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(code, { recursive: true, force: true });
  }
}

async function measureAll(
  surroundings: Surroundings,
): Promise<{ readonly summaries: readonly ScenarioSummary[]; readonly runs: readonly Run[] }> {
  const { settings, servers, signal } = surroundings;
  const summaries: ScenarioSummary[] = [];
  const runs: Run[] = [];
  console.log(
    `Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model.trim()}, against ${servers.label}\n`,
  );
  for (const scenario of settings.scenarios) {
    const clients = clientsFor(scenario, settings.clients);
    for (let round = 0; round < settings.rounds; round += 1) {
      for (const client of rotated(clients, round)) {
        showProgress(`${scenario.name}, round ${round + 1} of ${settings.rounds}: ${client}`);
        const outcome = await measure(surroundings, scenario, client);
        if (signal.aborted) return { summaries, runs };
        runs.push({ scenario: scenario.name, client, round, outcome });
      }
    }
    const summary = summarize(scenario, clients, runs);
    summaries.push(summary);
    showProgress('');
    console.log(`${scenarioTable(summary)}\n`);
  }
  console.log(promisesTable(BUDGETS.map((budget) => judge(budget, summaries))));
  return { summaries, runs };
}

function clientsFor({ clients }: Scenario, all: readonly ClientEntry[]): readonly string[] {
  const chosen = all.filter(({ name, onRequest }) => clients?.includes(name) ?? !onRequest);
  return chosen.map(({ name }) => name);
}

function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

/** One process, one sample. A client that fails is reported, and the others go on. */
function measure(surroundings: Surroundings, scenario: Scenario, client: string): Promise<Run['outcome']> {
  const { settings, servers, code, caFile, signal } = surroundings;
  const { warmUpMs, measureMs } = settings.scale;
  const { work, door } = scenario;
  const { doors } = servers;
  const proxy = scenario.proxy === undefined ? null : { url: doors[scenario.proxy], relayed: doors['https-relayed'] };
  const library = pathToFileURL(LIBRARY).href;
  const job: Job = { client, work, origin: doors[door], proxy, ca: servers.ca, library, warmUpMs, measureMs };
  const flags = work.kind === 'idle' ? ['--expose-gc'] : [];
  return new Promise((settle) => {
    const child = spawn(process.execPath, [...flags, join(code, 'measure.js'), JSON.stringify(job)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: plainEnvironment(caFile),
      timeout: PROCESS_LIMIT_MS,
      signal,
    });
    let printed = '';
    let complained = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complained += text;
    });
    child.once('error', (error) => settle({ error: error.message }));
    child.once('close', (status, killedBy) => {
      // measure.ts of the same build printed it: its shape is that of the type.
      const sample: Sample | null = status === 0 ? JSON.parse(printed) : null;
      settle(sample ?? { error: complaint(complained, killedBy) });
    });
  });
}

/** Without proxies and Node options of the caller, which would reach some clients and not others. */
function plainEnvironment(caFile: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(.*_proxy|node_options)$/i.test(name));
  return { ...Object.fromEntries(kept), NODE_EXTRA_CA_CERTS: caFile };
}

/** The line of a stack trace that names the error. */
function complaint(stderr: string, killedBy: NodeJS.Signals | null): string {
  if (killedBy !== null) return `ended by ${killedBy} (the limit is ${PROCESS_LIMIT_MS / 1000} s)`;
  const lines = stderr.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => /^(\w*Error\b|\[\w+Error)/.test(line)) ?? lines.find((line) => line !== '') ?? 'no sample'
  );
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

async function writeResults(
  settings: Settings,
  summaries: readonly ScenarioSummary[],
  runs: readonly Run[],
): Promise<void> {
  const environment = describeEnvironment(settings.clients);
  const promises = BUDGETS.map((budget) => judge(budget, summaries));
  writeFile(settings.json, `${JSON.stringify({ environment, summaries, promises, runs }, null, 2)}\n`);
  const subtitle = `Node ${environment.node}, ${environment.cores} x ${environment.processor}, ${environment.date}`;
  // Vega is among the peers: found from this folder, as they are.
  writeFile(settings.svg, await drawChart(summaries, subtitle, (name) => import(name)));
  console.log(`\nFigures: ${settings.json}\nPicture: ${settings.svg}`);
}

function writeFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function describeEnvironment(clients: readonly ClientEntry[]) {
  const peers = new Set(clients.flatMap(({ packageName }) => packageName ?? []));
  const versions = [...peers].map((name) => [name, versionIn(join(BENCH, 'node_modules', name))]);
  return {
    date: new Date().toISOString(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: cpus().length,
    loadAverage: loadavg(),
    versions: { [OURS]: versionIn(ROOT), ...Object.fromEntries(versions) },
  };
}

function versionIn(folder: string): string {
  const { version }: { readonly version: string } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return version;
}
