/**
 * Which values are bytes in memory, and the one view under which all of them are written.
 *
 * A view is taken, not a copy: what is sent is what the memory holds when it is written. Memory that can change its length or
 * be written by another thread meanwhile is copied, because its Content-Length is fixed first. Numbers are never a length here.
 */
import { types } from 'node:util';

/** Text or bytes in memory: what a body, or one chunk of it, may be. */
export type Chunk = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** The bytes of a buffer or view, or undefined where `value` is neither. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return stable(value);
  if (ArrayBuffer.isView(value)) return stable(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  return types.isAnyArrayBuffer(value) ? stable(new Uint8Array(value)) : undefined;
}

function stable(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes;
  const mayChangeLength = 'resizable' in buffer && buffer.resizable === true;
  return mayChangeLength || types.isSharedArrayBuffer(buffer) ? new Uint8Array(bytes) : bytes;
}
