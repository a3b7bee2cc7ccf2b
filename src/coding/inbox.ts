/**
 * What a decoder reads from, and the little grammar that decoders are written in.
 *
 * A decoder is a generator without I/O. It yields each piece of output as it comes, `null` when it has used up its input and
 * needs more, and returns when its content is complete. So every state between two bytes is a place in straight code,
 * and whoever drives it (cascade.ts) decides when to give it bytes, how much to take out, and when to stop.
 */
import { DecodeError } from '../exceptions.js';

/** The most that comes out of a decoder at once, and goes in: 64 KiB, the size at which larger pieces no longer help. */
export const PIECE_BYTES = 65_536;

/** A decoder at work: yields output, or null for "give me input". */
export type Decoding = Generator<Buffer | null, void, undefined>;

const NOTHING = Buffer.alloc(0);

/** The input of one decoder. Its bytes are borrowed: they stay as they are until the decoder asks for more. */
export class Inbox {
  bytes: Buffer = NOTHING;
  /** How far `bytes` have been used. */
  at = 0;
  /** No more bytes will come. */
  ended = false;
  /** How many bytes the next piece of output may have. */
  room = PIECE_BYTES;

  get left(): number {
    return this.bytes.length - this.at;
  }

  give(bytes: Buffer): void {
    this.bytes = bytes;
    this.at = 0;
  }
}

/** Waits until there is a byte; false at the end of the input. */
export function* more(inbox: Inbox): Generator<null, boolean, undefined> {
  while (inbox.left === 0) {
    if (inbox.ended) return false;
    yield null;
  }
  return true;
}

/**
 * The next `length` bytes together, wherever they were cut. Borrowed, as the inbox's bytes are.
 *
 * @param coding - for the error if the input ends before
 */
export function* exactly(inbox: Inbox, length: number, coding: string): Generator<null, Buffer, undefined> {
  if (inbox.left >= length) {
    inbox.at += length;
    return inbox.bytes.subarray(inbox.at - length, inbox.at);
  }
  const gathered = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    if (!(yield* more(inbox))) throw truncated(coding);
    const copied = inbox.bytes.copy(gathered, filled, inbox.at);
    filled += copied;
    inbox.at += copied;
  }
  return gathered;
}

/** Takes what is there of the next `length` bytes (at least one), borrowed; so that long fields need no memory. */
export function* upTo(inbox: Inbox, length: number, coding: string): Generator<null, Buffer, undefined> {
  if (!(yield* more(inbox))) throw truncated(coding);
  const from = inbox.at;
  inbox.at += Math.min(length, inbox.left);
  return inbox.bytes.subarray(from, inbox.at);
}

/** Reads to the end of the input and drops it: bytes after the end of the content. */
export function* swallow(inbox: Inbox): Generator<null, void, undefined> {
  while (yield* more(inbox)) inbox.at = inbox.bytes.length;
}

/** The error for input that ends before its content does. */
export function truncated(coding: string): DecodeError {
  return new DecodeError(`Cannot decode content as "${coding}": it ends before its stream does`);
}

/** The error for input that is not what the coding says. */
export function corrupt(coding: string, why: string, cause?: unknown): DecodeError {
  return new DecodeError(`Cannot decode content as "${coding}": ${why}`, { cause });
}
