/**
 * A link moves bytes to and from one peer: a connected TCP or TLS socket, read without the machinery of streams.
 *
 * Node's `onread` option hands every read to one callback in one buffer that is used again for the next: no stream, no
 * allocation. The callback runs synchronously, so on POSIX one buffer serves all links of the process; on Windows reads are
 * posted ahead, so each link has its own. Who takes bytes from here copies them before it returns.
 *
 * A socket that others have read from before (behind a proxy, or TLS over such a one) was made without `onread`. Such a one
 * is adopted: it is made to read as the others do, or, where this Node cannot, its reads are taken at the door to its stream.
 *
 * What the bytes mean is known by engine/session.ts; how a socket comes to be connected, by dial.ts and tls/.
 */
import type { OnReadOpts, Socket } from 'node:net';

/** Who is told what happens on a link. */
export interface LinkReceiver {
  /** `length` bytes came, at the start of `bytes`: borrowed, valid until this returns. */
  onBytes(bytes: Buffer, length: number): void;
  /** The peer will send no more. */
  onEnd(): void;
  /** The link is gone: the last call. `error` is the operating system's or TLS's, if there was one. */
  onClose(error: Error | null): void;
  /** What was written has left; more is welcome. */
  onDrain(): void;
}

/** What `net.Socket` keeps of `onread`, and its handle's call to read into a buffer: under no name that is documented. */
const ONREAD_BUFFER = 'kBuffer';
const ONREAD_CALLBACK = 'kBufferCb';

/** One read of a busy link brings up to this much: what libuv suggests for a read. */
const READ_BUFFER_BYTES = 65_536;

const SHARED_READ_BUFFER = process.platform === 'win32' ? null : Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

export class Link {
  readonly #receiver: LinkReceiver;
  #socket: Socket | null = null;
  #error: Error | null = null;
  #isReferenced = true;
  /** Whether the socket does not read on by itself after a pause. */
  #asksForReads = false;
  #isDestroyed = false;

  constructor(receiver: LinkReceiver) {
    this.#receiver = receiver;
  }

  /** The option to make the link's socket with. */
  onread(): OnReadOpts {
    const receiver = this.#receiver;
    return {
      buffer: SHARED_READ_BUFFER ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback(length, bytes): boolean {
        receiver.onBytes(bytes as Buffer, length); // the very Buffer given above
        return true;
      },
    };
  }

  /** Begins to report: `socket` was made with `onread()` and is connected. */
  attach(socket: Socket): void {
    this.#listen(socket);
    if (this.#isDestroyed) socket.destroy();
  }

  /** As {@link attach}, for a connected socket that was made without `onread()`. What it has read already is reported now. */
  adopt(socket: Socket): void {
    this.#listen(socket);
    const receiver = this.#receiver;
    for (;;) {
      const bytes: unknown = socket.read();
      if (!Buffer.isBuffer(bytes)) break;
      receiver.onBytes(bytes, bytes.length);
    }
    if (!readInto(socket, this.onread())) this.#takePushes(socket);
    if (this.#isDestroyed) socket.destroy();
    else socket.read(0);
  }

  /**
   * Node gives each read to `push` of its socket, data and end alike: taken there, data never enters the stream, and a false
   * answer stops the reads of the kernel. From then on the stream believes that its read is still on and asks for no other:
   * that is done here and by `resume`, by the door that streams use for it.
   */
  #takePushes(socket: Socket): void {
    const receiver = this.#receiver;
    this.#asksForReads = true;
    const pushToStream = socket.push.bind(socket);
    socket.push = (bytes: unknown, encoding?: BufferEncoding): boolean => {
      if (!Buffer.isBuffer(bytes)) return pushToStream(bytes, encoding);
      receiver.onBytes(bytes, bytes.length);
      return !socket.isPaused();
    };
    if (!this.#isDestroyed) socket._read(0);
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    const receiver = this.#receiver;
    socket.on('end', () => receiver.onEnd());
    socket.on('drain', () => receiver.onDrain());
    socket.on('error', (error) => {
      this.#error ??= error;
      // What TLS cannot read any more, or a fatal alert, Node tells without closing the socket; the end that follows is no end.
      if (!socket.destroyed) socket.destroy();
    });
    socket.on('close', () => receiver.onClose(this.#error));
    this.#outliveFailedWrite(socket);
  }

  /**
   * A peer may answer early and close without reading the rest of what is sent to it (RFC 9112 section 9.6). A write then fails
   * while the answer waits in the kernel, and a stream is destroyed by its first error, answer and all. So the destruction
   * waits until all that was there has been read; more will not come, for the connection is gone.
   */
  #outliveFailedWrite(socket: Socket): void {
    // One closure over it, and no other: every idle connection holds it.
    const { destroy } = socket;
    socket.destroy = (error?: Error) => {
      if (this.#error !== null || !isWriteToClosedPeer(error)) return destroy.call(socket, error);
      this.#error = error;
      // Less than any count: the first turn of the loop may have begun before the peer's last bytes came.
      whenRead(socket, -1, () => destroy.call(socket, error));
      return socket;
    };
  }

  get socket(): Socket | null {
    return this.#socket;
  }

  /** Whether bytes can be sent and received, as far as is known. */
  get isOpen(): boolean {
    const socket = this.#socket;
    return socket !== null && !socket.destroyed && socket.writable && socket.readable;
  }

  /** Whether all that was written has left this process. */
  get isFlushed(): boolean {
    return this.#socket?.writableLength === 0;
  }

  /** Bytes of a write under way that the system has not taken yet; 0 where Node does not tell. */
  get unsentBytes(): number {
    // Node's own timeout of sockets looks there, too: no event tells of a write that goes on.
    const handle: unknown = Reflect.get(this.#socket ?? {}, '_handle');
    const size: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'writeQueueSize') : 0;
    return typeof size === 'number' ? size : 0;
  }

  /** Sends text whose code points are all under U+0100. Returns false when the peer does not keep up: wait for onDrain. */
  writeText(text: string): boolean {
    return this.#socket?.write(text, 'latin1') ?? false;
  }

  /** As {@link writeText}; `bytes` may not change until onDrain. */
  writeBytes(bytes: Uint8Array): boolean {
    return this.#socket?.write(bytes) ?? false;
  }

  /** What is written until `uncork` leaves together. */
  cork(): void {
    this.#socket?.cork();
  }

  uncork(): void {
    this.#socket?.uncork();
  }

  /** Stops reading, so that the peer feels that nobody takes its bytes; an adopted socket may bring one read more. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
    if (this.#asksForReads) this.#socket?._read(0);
  }

  /** Whether the link keeps the process alive. */
  setReferenced(isReferenced: boolean): void {
    if (isReferenced === this.#isReferenced) return;
    this.#isReferenced = isReferenced;
    if (isReferenced) this.#socket?.ref();
    else this.#socket?.unref();
  }

  /** Closes at once, or as soon as there is a socket; what was not sent yet is lost. */
  destroy(): void {
    this.#isDestroyed = true;
    this.#socket?.destroy();
  }
}

/** Calls back when a turn of the loop has brought no byte more than there were before it. */
function whenRead(socket: Socket, bytesReadBefore: number, callback: () => void): void {
  setImmediate(() => {
    // Content that is taken slowly waits in the kernel, as it would on a connection that stands.
    if (socket.isPaused() && !socket.destroyed) {
      socket.once('resume', () => whenRead(socket, bytesReadBefore, callback));
    } else if (socket.bytesRead === bytesReadBefore) {
      callback();
    } else {
      whenRead(socket, socket.bytesRead, callback);
    }
  });
}

/**
 * HOT: makes a socket that exists heed `onread`, as if it had been made with it. Node's own way to say so is an option of the
 * constructor, which TLS over a socket does not take; with a buffer for each read instead, large content through a tunnel
 * costs 26 to 40 % more CPU than direct (4 MiB over TLS on loopback), and so not at all. Looked at on Node 20, 22, 24 and 25.
 *
 * @returns false, with nothing changed, where this Node has no such thing
 */
function readInto(socket: Socket, { buffer, callback }: OnReadOpts): boolean {
  const symbols = Object.getOwnPropertySymbols(socket);
  const bufferKey = symbols.find(({ description }) => description === ONREAD_BUFFER);
  const callbackKey = symbols.find(({ description }) => description === ONREAD_CALLBACK);
  const handle: unknown = Reflect.get(socket, '_handle');
  if (bufferKey === undefined || callbackKey === undefined || typeof handle !== 'object' || handle === null)
    return false;
  const useUserBuffer: unknown = Reflect.get(handle, 'useUserBuffer');
  if (typeof useUserBuffer !== 'function') return false;
  Reflect.set(socket, bufferKey, buffer);
  Reflect.set(socket, callbackKey, callback);
  Reflect.apply(useUserBuffer, handle, [buffer]);
  return true;
}

const PEER_IS_GONE: ReadonlySet<unknown> = new Set(['EPIPE', 'ECONNRESET', 'ECONNABORTED']);

/** Whether it was refused because the peer is gone: of what that write was to send, nothing has left. */
export function isWriteToClosedPeer(error: Error | undefined): error is Error {
  return (
    error !== undefined &&
    'syscall' in error &&
    error.syscall === 'write' &&
    'code' in error &&
    PEER_IS_GONE.has(error.code)
  );
}
