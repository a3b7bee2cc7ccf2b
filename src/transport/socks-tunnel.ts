/**
 * A SOCKS handshake run over a socket: afterwards the socket is a tunnel to the target.
 *
 * What is said is known by socks.ts. Here are the socket and the clock: one limit for the whole handshake, however slowly
 * the proxy drips. The socket is an ordinary one, read as a stream, because nobody knows beforehand how much of what comes
 * belongs to the handshake; what came after it is put back, and the socket is handed on as if it had just connected.
 */
import type { Socket } from 'node:net';
import { HandshakeTimeout } from '../tls/handshake.js';
import { type Bounds, bounded, type Verdict, type Wait } from './bounded.js';
import { SocksError, type SocksHandshake } from './socks.js';

/**
 * Opens a tunnel through the proxy at the other end of `socket`, as `dial` gives it: connected, with a listener for errors
 * that nobody else looks at; and made without `onread`.
 *
 * @throws SocksError if the proxy refuses or does not speak SOCKS, the socket's own error, HandshakeTimeout, or the signal's
 *   reason; the socket is closed then
 */
export async function socksTunnel(socket: Socket, handshake: SocksHandshake, bounds: Bounds): Promise<void> {
  try {
    await bounded(new Conversation(socket, handshake), bounds);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

const CLOSED = 'The proxy closed the connection in the SOCKS handshake';

class Conversation implements Wait<void> {
  readonly #socket: Socket;
  readonly #handshake: SocksHandshake;
  #listeners: [event: 'readable' | 'end' | 'error' | 'close', listener: (error?: Error) => void][] = [];

  constructor(socket: Socket, handshake: SocksHandshake) {
    this.#socket = socket;
    this.#handshake = handshake;
  }

  start(verdict: Verdict<void>): void {
    // What happened before anybody listened.
    if (this.#socket.destroyed) return verdict.reject(this.#socket.errored ?? closed());
    this.#listeners = [
      ['readable', () => this.#read(verdict)],
      ['end', () => verdict.reject(closed())],
      ['error', (error) => verdict.reject(error)],
      ['close', () => verdict.reject(closed())],
    ];
    for (const [event, listener] of this.#listeners) this.#socket.on(event, listener);
    this.#goOn(verdict);
  }

  stop(): void {
    for (const [event, listener] of this.#listeners) this.#socket.off(event, listener);
  }

  expire(verdict: Verdict<void>): void {
    verdict.reject(new HandshakeTimeout('The proxy did not finish the SOCKS handshake in time'));
  }

  #read(verdict: Verdict<void>): void {
    const bytes: Buffer | null = this.#socket.read();
    if (bytes === null) return;
    this.#handshake.feed(bytes);
    try {
      this.#goOn(verdict);
    } catch (error) {
      verdict.reject(error);
    }
  }

  #goOn(verdict: Verdict<void>): void {
    for (let step = this.#handshake.next(); step.kind !== 'need-bytes'; step = this.#handshake.next()) {
      if (step.kind === 'send') {
        this.#socket.write(step.bytes);
        continue;
      }
      if (step.surplus.length > 0) this.#socket.unshift(step.surplus);
      return verdict.resolve();
    }
  }
}

function closed(): SocksError {
  return new SocksError('protocol', CLOSED);
}
