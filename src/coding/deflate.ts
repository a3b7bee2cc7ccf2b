/**
 * The deflate coding: deflate in zlib's wrapping, as RFC 9110 section 8.4.1.2 says, or without it, as some servers have sent since
 * Microsoft's first.
 *
 * Which of the two it is, is read from the first two bytes, not tried: no second attempt, nothing kept for it. A zlib header (RFC 1950
 * section 2.2) has 8 in its first four bits and is divisible by 31. Deflate alone that begins so would be a
 * stored block with a set bit in the padding behind its header, which no compressor writes.
 * Bytes after the end of the stream are ignored, as after a gzip member.
 */
import { run, ZlibEngine } from './engine.js';
import { type Decoding, type Inbox, more, swallow, truncated } from './inbox.js';

/** The compression method in the low four bits of a zlib header's first byte. */
const DEFLATE = 8;

/** Decodes a deflate body. An empty one is empty. */
export function* inflate(inbox: Inbox): Decoding {
  if (!(yield* more(inbox))) return;
  const first = inbox.bytes.readUInt8(inbox.at);
  const mayBeWrapped = (first & 0x0f) === DEFLATE;
  const isWrapped = mayBeWrapped && (yield* isHeader(inbox, first));
  const engine = new ZlibEngine('deflate', isWrapped ? 'zlib' : 'raw');
  try {
    // The second byte may have come in another piece: the first one, which has been used, goes ahead. Nothing can come of it.
    if (mayBeWrapped) engine.write(Buffer.of(first), 0, inbox.room);
    if (!(yield* run(inbox, engine))) engine.finish();
  } finally {
    engine.release();
  }
  yield* swallow(inbox);
}

/** Takes the first byte and looks at the second. */
function* isHeader(inbox: Inbox, first: number): Generator<null, boolean, undefined> {
  inbox.at += 1;
  if (!(yield* more(inbox))) throw truncated('deflate');
  return (first * 256 + inbox.bytes.readUInt8(inbox.at)) % 31 === 0;
}
