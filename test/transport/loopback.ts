/** Peers for tests of connections: ports of loopback that answer, refuse, or swallow connections. */
import { once } from 'node:events';
import net from 'node:net';
import { Worker } from 'node:worker_threads';

/** A peer and how to be rid of it: `await using peer = await listening()`. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  /** The connections that were accepted. */
  readonly accepted: readonly net.Socket[];
}

export async function listening(host = '127.0.0.1', port = 0): Promise<Peer> {
  const accepted: net.Socket[] = [];
  const server = net.createServer((socket) => {
    accepted.push(socket.on('error', () => {}));
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: portOf(server),
    accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of accepted) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A port that refuses connections: one that was free a moment ago. */
export async function refusingPort(host = '127.0.0.1'): Promise<number> {
  await using peer = await listening(host);
  return peer.port;
}

const NEVER_ACCEPTS = `
const { workerData, parentPort } = require('node:worker_threads');
const server = require('node:net').createServer().listen({ ...workerData, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
});`;

/**
 * A port on which a connection is neither made nor refused: a thread listens and sleeps, and the kernel's queue of
 * accepted connections (backlog 1, so two) is full. Linux then drops every SYN.
 */
export async function blackHole(host: string, port = 0): Promise<Peer> {
  const worker = new Worker(NEVER_ACCEPTS, { eval: true, workerData: { host, port } });
  const [taken]: unknown[] = await once(worker, 'message');
  if (typeof taken !== 'number') throw new Error('the worker tells its port');
  const fillers = [new net.Socket(), new net.Socket()].map((filler) => filler.connect(taken, host));
  await Promise.all(fillers.map((filler) => once(filler, 'connect')));
  return {
    port: taken,
    accepted: [],
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.on('error', () => {}).destroy();
      await worker.terminate();
    },
  };
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on a port');
  return address.port;
}
