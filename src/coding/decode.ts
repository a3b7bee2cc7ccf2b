/**
 * Decoding a body: in memory at once, or as it comes.
 *
 * Both drive the same decoders (cascade.ts) in steps of at most 64 KiB of output, so a bomb is stopped by its limits before it has
 * cost more memory than they allow. What differs is who waits: small bodies are decoded where they stand, without a promise; large ones
 * between two packets, with a pause for the rest of the process when much comes out of little.
 */
import { setImmediate } from 'node:timers/promises';
import { Cascade, decodingsOf } from './cascade.js';
import type { Coding, DecodingLimits } from './codings.js';
import { gunzipSmall } from './gzip.js';
import { PIECE_BYTES } from './inbox.js';

/**
 * 64 KiB: decoding that much, to five times as much, takes about a millisecond, no longer than other work of one turn of the
 * event loop. Beyond, decoding while the rest arrives is faster anyway.
 */
const MAX_SYNC_BYTES = 65_536;

/** At most 2 MiB come out of them, in some 5 ms. */
const STEPS_WITHOUT_PAUSE = 32;

/** Pieces shorter than this are gathered: a peer can make them one byte long, and each costs a hundred to keep. */
const SMALL_BYTES = 4_096;
const MAX_SMALL_PIECES = 256;
const MAX_GATHERED_BYTES = 32_768;

/** May a body of `length` bytes on the wire be decoded at once, as far as its length tells? */
export function isSmallEnoughForSync(length: number): boolean {
  return length <= MAX_SYNC_BYTES;
}

/**
 * Decodes a whole body in memory. Nothing decodes to nothing.
 *
 * However much comes out, it comes now; {@link tryDecodeBytes} is the one for bytes from the network.
 *
 * @throws {@link DecodeError} for bytes that are not sound, that end too early, or pass a limit
 */
export function decodeBytes(bytes: Buffer, codings: readonly Coding[], limits: DecodingLimits): Buffer {
  const simple = decodeSimple(bytes, codings, limits);
  if (simple !== undefined) return simple;
  const pieces: Buffer[] = [];
  for (const piece of piecesOf(bytes, codings, limits)) {
    if (piece !== null) pieces.push(piece);
  }
  return joined(pieces);
}

/**
 * {@link decodeBytes}, or undefined if it turns out to be no small piece of work, as when more than 2 MiB would come out: then
 * decode the same bytes with {@link decodeStream}.
 *
 * @throws {@link DecodeError} as `decodeBytes`
 */
export function tryDecodeBytes(bytes: Buffer, codings: readonly Coding[], limits: DecodingLimits): Buffer | undefined {
  const simple = decodeSimple(bytes, codings, limits);
  if (simple !== undefined) return simple;
  const pieces: Buffer[] = [];
  for (const piece of piecesOf(bytes, codings, limits)) {
    if (piece === null) return undefined;
    pieces.push(piece);
  }
  return joined(pieces);
}

/**
 * Decodes a body as it comes. Pulls from `source` only when what came has been decoded and taken; yields pieces of 1 byte to 64 KiB
 * that belong to whoever gets them.
 *
 * @param source - its pieces are borrowed: each must stay as it is until the next one is asked for
 * @throws {@link DecodeError} for bytes that are not sound, that end too early, or pass a limit
 */
export async function* decodeStream(
  source: AsyncIterable<Uint8Array>,
  codings: readonly Coding[],
  limits: DecodingLimits,
): AsyncGenerator<Buffer, void, undefined> {
  const cascade = new Cascade(decodingsOf(codings), limits);
  try {
    for await (const bytes of source) {
      cascade.give(bytes);
      yield* withPauses(drained(cascade));
    }
    cascade.end();
    yield* withPauses(drained(cascade));
  } finally {
    cascade.close();
  }
}

function decodeSimple(bytes: Buffer, codings: readonly Coding[], limits: DecodingLimits): Buffer | undefined {
  if (codings.length === 0) return bytes;
  const isGzip = codings.length === 1 && codings[0] === 'gzip';
  return isGzip ? gunzipSmall(bytes, limits.maxDecodedSize ?? PIECE_BYTES) : undefined;
}

async function* withPauses(pieces: Iterable<Buffer | null>): AsyncGenerator<Buffer, void, undefined> {
  for (const piece of pieces) {
    if (piece === null) await setImmediate();
    else yield piece;
  }
}

function* piecesOf(
  bytes: Buffer,
  codings: readonly Coding[],
  limits: DecodingLimits,
): Generator<Buffer | null, void, undefined> {
  const cascade = new Cascade(decodingsOf(codings), limits);
  try {
    cascade.give(bytes);
    cascade.end();
    yield* drained(cascade);
  } finally {
    cascade.close();
  }
}

/** What comes out of the bytes given so far; null now and then, when it is time for a pause. */
function* drained(cascade: Cascade): Generator<Buffer | null, void, undefined> {
  let small: Buffer[] = [];
  let smallBytes = 0;
  let isDone = false;
  for (let steps = 1; !isDone; steps++) {
    const step = cascade.step();
    isDone = step === 'need-bytes' || step === 'end';
    const isSmall = step instanceof Buffer && step.length < SMALL_BYTES;
    if (isSmall) {
      small.push(step);
      smallBytes += step.length;
    }
    const mayWait = step === 'again' || (isSmall && small.length < MAX_SMALL_PIECES && smallBytes < MAX_GATHERED_BYTES);
    if (!mayWait && small.length > 0) {
      yield joined(small);
      small = [];
      smallBytes = 0;
    }
    if (step instanceof Buffer && !isSmall) yield step;
    if (steps % STEPS_WITHOUT_PAUSE === 0) yield null;
  }
}

function joined(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces);
}
