/**
 * What a file of tests must not leave behind. `watchHandles()` at its top looks at every socket that the process opens as a
 * client and every timer that it starts, from Node's own channels, so that an unreferenced one counts too.
 */
import { createHook } from 'node:async_hooks';
import diagnostics_channel from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { afterAll, expect } from 'vitest';

/** Client sockets that are not destroyed. */
export function openSockets(): Socket[] {
  for (const socket of sockets) if (socket.destroyed) sockets.delete(socket);
  return [...sockets];
}

const sockets = new Set<Socket>();

function onSocket(message: unknown): void {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return;
  // The channel "net.client.socket" carries the socket.
  sockets.add(message.socket as Socket);
}

/** Fails the file if a client socket of it is still open when all its tests are done. */
export function watchHandles(): void {
  diagnostics_channel.subscribe('net.client.socket', onSocket);
  afterAll(() => {
    diagnostics_channel.unsubscribe('net.client.socket', onSocket);
    expect(openSockets().map((socket) => `${socket.remoteAddress}:${socket.remotePort}`)).toEqual([]);
  });
}

/** The timers, referenced or not, that `work` has started and that are neither fired nor cleared when it is done. */
export async function timersLeftBy(work: () => Promise<void>): Promise<number> {
  const running = new Set<number>();
  const hook = createHook({
    init(id, type) {
      // Not the test runner's own, which may fall into the same time.
      if (type === 'Timeout' && new Error().stack?.includes('/src/')) running.add(id);
    },
    destroy(id) {
      running.delete(id);
    },
  });
  hook.enable();
  try {
    await work();
    // Node tells of a cleared timer in a later turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    return running.size;
  } finally {
    hook.disable();
  }
}
