/**
 * The zstd coding (RFC 8878, RFC 9659): frames one after the other, and frames to be skipped between them.
 *
 * The frames are walked here, block by block, and the decoder below is given exactly the bytes of one part at a time. So the result
 * does not depend on how the network cut the body: Node's own stream stops after the first frame that ends inside a packet
 * and, on Node 22, takes half a frame for a whole one. A frame's window is bounded here as well.
 * The decoder is Node's where it has one (22.15, 23.8), else the optional package fzstd: fzstd.ts.
 *
 * Bytes after a frame that are not another one are an error, as in urllib3 2.x.
 */
import { hasNativeZstd } from './codings.js';
import { ZlibEngine } from './engine.js';
import { type FrameEngine, FzstdEngine } from './fzstd.js';
import { corrupt, type Decoding, exactly, type Inbox, more, upTo } from './inbox.js';

interface FrameHeader {
  readonly bytes: Buffer;
  readonly hasChecksum: boolean;
  readonly contentSize: bigint | null;
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;

/** RFC 9659 section 3: as a content coding, no frame may need a larger window. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

/** RFC 8878 section 3.1.1.2.4, Block_Maximum_Size. */
const MAX_BLOCK_BYTES = 128 * 1024;

const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

const NOTHING = Buffer.alloc(0);

/** Decodes a zstd body. An empty one is empty. */
export function* unzstd(inbox: Inbox, newEngine: () => FrameEngine = newFrameEngine): Decoding {
  if (!(yield* more(inbox))) return;
  const engine = newEngine();
  try {
    do {
      const magic = yield* exactly(inbox, 4, 'zstd');
      const number = magic.readUInt32LE(0);
      if (number === MAGIC) yield* frame(inbox, engine, Buffer.from(magic));
      else if ((number & ~0x0f) >>> 0 === SKIPPABLE) yield* skip(inbox);
      else throw corrupt('zstd', 'what should be a frame does not begin as one');
    } while (yield* more(inbox));
  } finally {
    engine.release();
  }
}

function newFrameEngine(): FrameEngine {
  return hasNativeZstd() ? new ZlibEngine('zstd', 'zstd') : new FzstdEngine();
}

function* skip(inbox: Inbox): Generator<null, void, undefined> {
  let left = (yield* exactly(inbox, 4, 'zstd')).readUInt32LE(0);
  while (left > 0) left -= (yield* upTo(inbox, left, 'zstd')).length;
}

function* frame(inbox: Inbox, engine: FrameEngine, magic: Buffer): Generator<Buffer | null, void, undefined> {
  const header = yield* frameHeader(inbox);
  yield* through(inbox, engine, Buffer.concat([magic, header.bytes]));
  while (!(yield* block(inbox, engine))) {}
  let checksum: number | null = null;
  if (header.hasChecksum) {
    const bytes = yield* exactly(inbox, 4, 'zstd');
    checksum = bytes.readUInt32LE(0);
    yield* through(inbox, engine, bytes);
  }
  if (engine.endFrame === undefined) return;
  engine.endFrame({ checksum, contentSize: header.contentSize });
  yield* through(inbox, engine, NOTHING);
}

/** The header (section 3.1.1.1), the magic number read. */
function* frameHeader(inbox: Inbox): Generator<null, FrameHeader, undefined> {
  const descriptor = (yield* exactly(inbox, 1, 'zstd')).readUInt8(0);
  const sizeFlag = descriptor >> 6;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const idBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 2 ** sizeFlag;
  const windowBytes = Number(!isSingleSegment);
  if ((descriptor & 0x08) !== 0) throw corrupt('zstd', 'a reserved bit is set');
  const fields = yield* exactly(inbox, windowBytes + idBytes + sizeBytes, 'zstd');
  const size = littleEndian(fields.subarray(windowBytes + idBytes)) + (sizeFlag === 1 ? 256n : 0n);
  const window = isSingleSegment ? size : windowOf(fields.readUInt8(0));
  if (window > MAX_WINDOW_BYTES) {
    throw corrupt('zstd', `it needs a window of ${window} bytes, and ${MAX_WINDOW_BYTES} are allowed`);
  }
  if (littleEndian(fields.subarray(windowBytes, windowBytes + idBytes)) !== 0n) {
    throw corrupt('zstd', 'it needs a dictionary');
  }
  return {
    bytes: Buffer.concat([Buffer.of(descriptor), fields]),
    hasChecksum: (descriptor & 0x04) !== 0,
    contentSize: sizeBytes === 0 ? null : size,
  };
}

function windowOf(descriptor: number): bigint {
  const base = 2 ** (10 + (descriptor >> 3));
  return BigInt(base + (base / 8) * (descriptor & 7));
}

function littleEndian(bytes: Buffer): bigint {
  return bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
}

/** One block (section 3.1.1.2); true if it was the frame's last. */
function* block(inbox: Inbox, engine: FrameEngine): Generator<Buffer | null, boolean, undefined> {
  const header = yield* exactly(inbox, 3, 'zstd'); // Last_Block (1 bit), Block_Type (2), Block_Size (21)
  const fields = header.readUIntLE(0, 3);
  const type = (fields >> 1) & 3;
  const size = fields >> 3;
  if (type === RESERVED_BLOCK) throw corrupt('zstd', 'the type of a block is unknown');
  if (size > MAX_BLOCK_BYTES) throw corrupt('zstd', `a block of ${size} bytes is larger than a block may be`);
  yield* through(inbox, engine, header);
  for (let left = type === RLE_BLOCK ? 1 : size; left > 0; ) {
    const part = yield* upTo(inbox, left, 'zstd');
    left -= part.length;
    yield* through(inbox, engine, part);
  }
  return (fields & 1) === 1;
}

/** Gives all of `part` to the engine and yields what comes out. */
function* through(inbox: Inbox, engine: FrameEngine, part: Buffer): Generator<Buffer, void, undefined> {
  let isFull: boolean;
  let at = 0;
  do {
    const room = inbox.room;
    const produced = engine.write(part, at, room);
    at += engine.consumed;
    isFull = produced === room;
    if (produced > 0) yield engine.take(produced);
    else if (engine.consumed === 0 && at < part.length) throw corrupt('zstd', 'a frame ends before its last block');
  } while (isFull || at < part.length);
}
