/**
 * Starts the servers that the clients are measured against, and stops them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeCertificates } from './certificate.js';
import type { Doors, NodeDoors } from './doors.js';
import { findNginx, startNginx } from './nginx.js';
import { findSquid, startSquid } from './squid.js';

export interface Servers {
  readonly doors: Doors;
  /** What serves the files, and what the proxy `squid` is, such as `nginx 1.26.2, squid 5.7`. */
  readonly label: string;
  /** The authorities of all TLS doors, in PEM. */
  readonly ca: string;
  stop(): Promise<void>;
}

/** A program of this folder that has printed the doors it opened. */
interface NodeProgram<Printed> {
  readonly doors: Printed;
  stop(): Promise<void>;
}

/**
 * @param folder - an empty folder for files, which the caller removes
 * @param code - the compiled folder `server`
 */
export async function startServers(folder: string, code: string, largeBytes: number): Promise<Servers> {
  const certificates = await makeCertificates();
  const ca = certificates.ec.root + certificates.rsa.root;
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const stopOne of stops.reverse()) await stopOne();
  };
  const labels: string[] = [];
  try {
    const node = await startNode<NodeDoors>(join(code, 'node.js'), { certificates, largeBytes });
    stops.push(node.stop);
    let files: NodeDoors = node.doors;
    const nginxProgram = findNginx();
    if (nginxProgram === null) {
      labels.push(`Node ${process.versions.node}`);
    } else {
      const nginx = await startNginx(nginxProgram, folder, certificates, largeBytes);
      stops.push(nginx.stop);
      files = { ...files, ...nginx.doors };
      labels.push(`nginx ${nginxProgram.version}`);
    }
    const proxy = await startNode<Pick<Doors, 'proxy' | 'https-relayed'>>(join(code, 'proxy.js'), files);
    stops.push(proxy.stop);
    let squidDoor = proxy.doors.proxy;
    const squidProgram = findSquid();
    if (squidProgram !== null) {
      const squid = await startSquid(squidProgram, folder);
      stops.push(squid.stop);
      squidDoor = squid.door;
      labels.push(`squid ${squidProgram.version}`);
    }
    const doors: Doors = { ...files, ...proxy.doors, squid: squidDoor };
    return { doors, label: labels.join(', '), ca, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNode<Printed>(program: string, argument: unknown): Promise<NodeProgram<Printed>> {
  const child = spawn(process.execPath, [program, JSON.stringify(argument)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line]: unknown[] = await once(createInterface(child.stdout), 'line');
  return {
    // The program of the same build wrote it: its shape is that of the type.
    doors: JSON.parse(String(line)),
    async stop() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
