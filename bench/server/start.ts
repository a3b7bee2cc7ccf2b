/**
 * Starts the servers that the clients are measured against, and stops them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { makeCertificate } from './certificate.js';
import type { Doors } from './doors.js';
import { findNginx, startNginx } from './nginx.js';

export interface Servers {
  readonly doors: Doors;
  /** What serves the files, such as `nginx 1.26.2`. */
  readonly label: string;
  /** The certificate of all TLS doors, in PEM. */
  readonly ca: string;
  stop(): Promise<void>;
}

/**
 * @param folder - an empty folder for nginx's files, which the caller removes
 * @param nodeServer - the compiled node.ts
 */
export async function startServers(folder: string, nodeServer: string, largeBytes: number): Promise<Servers> {
  const certificate = await makeCertificate();
  const node = spawn(process.execPath, [nodeServer, JSON.stringify({ certificate, largeBytes })], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const stopNode = async () => {
    const ended = once(node, 'exit');
    node.stdin.end();
    await ended;
  };
  const [line]: unknown[] = await once(createInterface(node.stdout), 'line');
  // node.ts of the same build wrote it: its shape is that of the type.
  const nodeDoors: Doors = JSON.parse(String(line));

  const program = findNginx();
  if (program === null) {
    return { doors: nodeDoors, label: `Node ${process.versions.node}`, ca: certificate.cert, stop: stopNode };
  }
  try {
    const nginx = await startNginx(program, folder, certificate, largeBytes);
    return {
      doors: { ...nodeDoors, ...nginx.doors },
      label: `nginx ${program.version}`,
      ca: certificate.cert,
      async stop() {
        await nginx.stop();
        await stopNode();
      },
    };
  } catch (error) {
    await stopNode();
    throw error;
  }
}
