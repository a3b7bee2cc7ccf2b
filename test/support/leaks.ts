/**
 * What a file of tests must not leave behind. `watchHandles()` at its top looks at every socket that the process opens as a
 * client, over TLS too, and every timer that it starts, from Node's own channels where there are any, so that an
 * unreferenced one counts too.
 */
import { createHook } from 'node:async_hooks';
import diagnostics_channel from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { afterAll, expect } from 'vitest';

/** Client sockets that are not destroyed. */
export function openSockets(): Socket[] {
  for (const socket of sockets) if (socket.destroyed) sockets.delete(socket);
  return [...sockets];
}

const sockets = new Set<Socket>();
const listeners = new Set<(socket: Socket) => void>();

/** Calls `listener` with every socket that is made, in a file that calls {@link watchHandles}, until the result is called. */
export function onSocketMade(listener: (socket: Socket) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function made(socket: Socket): void {
  sockets.add(socket);
  for (const listener of listeners) listener(socket);
}

function onSocket(message: unknown): void {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return;
  // The channel "net.client.socket" carries the socket.
  made(message.socket as Socket);
}

/** Node tells of the sockets of `net.connect`, and not of those of `tls.connect`. */
function watchTls(): () => void {
  const { connect } = tls;
  const watched = (...args: unknown[]): unknown => {
    // It gives a socket whatever its arguments are.
    const socket = Reflect.apply(connect, tls, args) as Socket;
    made(socket);
    return socket;
  };
  tls.connect = watched as typeof connect;
  return () => {
    tls.connect = connect;
  };
}

/** Fails the file if a client socket of it is still open when all its tests are done. */
export function watchHandles(): void {
  diagnostics_channel.subscribe('net.client.socket', onSocket);
  const unwatchTls = watchTls();
  afterAll(() => {
    unwatchTls();
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
