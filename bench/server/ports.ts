/** Ports of loopback for programs that cannot choose one themselves, and whether they have taken them. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Ports that nobody listens on now: such programs report when another was faster. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  // A server that listens on TCP has an AddressInfo.
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) await once(server.close(), 'close');
  return ports;
}

/** @param errorLog - where the program says why it does not start */
export async function untilListening(child: ChildProcess, ports: readonly number[], errorLog: string): Promise<void> {
  let failure: Error | null = null;
  child.once('error', (error) => {
    failure = error;
  });
  child.once('exit', () => {
    failure = new Error(`Cannot start ${child.spawnfile}: ${readIfThere(errorLog)}`);
  });
  const patience = performance.now() + 10_000;
  for (const port of ports) {
    while (!(await accepts(port))) {
      if (failure !== null) throw failure;
      if (performance.now() > patience) throw new Error(`Cannot reach ${child.spawnfile} on port ${port} after 10 s`);
      await sleep(20);
    }
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return 'it has left no log';
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
