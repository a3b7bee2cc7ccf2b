/**
 * A real server as a child of the test: its own folder, its own configuration, free ports of loopback, nothing of the
 * system's own configuration and no service started.
 *
 * Ready when each port accepts a connection; stopped by SIGTERM (or as its recipe says), and if that is not enough by SIGKILL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from './program.js';

/** How a server is started. */
export interface Recipe {
  readonly program: string;
  /** The ports of 127.0.0.1 that it listens on: how many. */
  readonly portCount: number;
  /** @defaultValue SIGTERM */
  readonly stopSignal?: NodeJS.Signals;
  /** Writes what the server reads into its folder, and gives its arguments. */
  prepare(folder: string, ports: readonly number[]): Promise<readonly string[]>;
}

export interface RunningServer extends AsyncDisposable {
  readonly folder: string;
  readonly ports: readonly number[];
  /** http://127.0.0.1 with one of the ports. */
  origin(index?: number): string;
  stop(): Promise<void>;
}

const READY_MS = 15_000;
const STOP_MS = 5_000;
/** Another process may take a port between our looking and the server's binding it. */
const ATTEMPTS = 3;

export async function startServer(recipe: Recipe): Promise<RunningServer> {
  const program = findProgram(recipe.program);
  if (program === undefined) throw new Error(`Cannot run ${recipe.program}: it is not installed`);
  for (let attempt = 1; ; attempt++) {
    const ports = await freePorts(recipe.portCount);
    // Servers that give up root must be able to read it.
    const folder = await mkdtemp(path.join(tmpdir(), `urllib3-${recipe.program}-`));
    await chmod(folder, 0o755);
    const child = spawn(program, await recipe.prepare(folder, ports), {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = collected(child);
    const stop = stopper(child, folder, recipe.stopSignal);
    try {
      for (const port of ports) await accepting(port, child, Date.now() + READY_MS);
      return {
        folder,
        ports,
        origin: (index = 0) => `http://127.0.0.1:${ports[index]}`,
        stop,
        [Symbol.asyncDispose]: stop,
      };
    } catch (error) {
      await stop();
      if (attempt === ATTEMPTS) throw new Error(`${recipe.program} does not start: ${output()}`, { cause: error });
    }
  }
}

/** Ports of 127.0.0.1 that were free a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return address.port;
  });
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** The lines of a log, as soon as it has `count` that hold `marker`: servers write them after they have answered. */
export async function linesOf(file: string, marker: string, count: number): Promise<readonly string[]> {
  for (const endMs = Date.now() + 5_000; ; await delay(10)) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const lines = text.split('\n').filter((line) => line.includes(marker));
    if (lines.length >= count || Date.now() > endMs) return lines;
  }
}

async function accepting(port: number, child: ChildProcess, endMs: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('the process ended');
    const socket = net.connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (Date.now() > endMs) throw error;
      await delay(20);
    } finally {
      socket.destroy();
    }
  }
}

function collected(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (piece) => (text = (text + piece).slice(-2_000)));
  return () => text;
}

function stopper(child: ChildProcess, folder: string, signal: NodeJS.Signals = 'SIGTERM'): () => Promise<void> {
  const killNow = () => void child.kill('SIGKILL');
  process.once('exit', killNow);
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      const timer = setTimeout(killNow, STOP_MS);
      child.kill(signal);
      await exited;
      clearTimeout(timer);
    }
    process.off('exit', killNow);
    await rm(folder, { recursive: true, force: true });
  };
  return () => (stopping ??= stop());
}
