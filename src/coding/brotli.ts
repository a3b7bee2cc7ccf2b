/**
 * The br coding (RFC 7932), by Node's own decoder. Bytes after the end of the stream are ignored, as after a gzip member.
 *
 * A brotli stream announces a window of up to 16 MiB, which the decoder holds outside the JavaScript heap while it works.
 */
import { run, ZlibEngine } from './engine.js';
import { type Decoding, type Inbox, more, swallow } from './inbox.js';

/** Decodes a br body. An empty one is empty. */
export function* unbrotli(inbox: Inbox): Decoding {
  if (!(yield* more(inbox))) return;
  const engine = new ZlibEngine('br', 'br');
  try {
    if (!(yield* run(inbox, engine))) engine.finish();
  } finally {
    engine.release();
  }
  yield* swallow(inbox);
}
