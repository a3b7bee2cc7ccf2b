/**
 * The content of a request as URLFetch takes it: all of it, in memory, and no more than it allows.
 */
import type { BodySource } from '../../body/source.js';
import { bounded } from '../../transport/bounded.js';
import { AppEnginePlatformError } from './errors.js';

/** 10 MB, as the service counts them. */
export const MAX_PAYLOAD_BYTES = 10_485_760;

/**
 * Reads a body to its end; null if there is none, or nothing in it. Once, however often the request is repeated.
 *
 * @throws {@link AppEnginePlatformError} as soon as it is longer than the service takes; the rest is not read
 */
export async function payloadOf(source: BodySource, signal: AbortSignal | null): Promise<Uint8Array | null> {
  if (source.kind === 'none') return null;
  if (source.kind === 'bytes') {
    checkLength(source.bytes.length);
    return source.bytes.length === 0 ? null : source.bytes;
  }
  checkLength(source.length ?? 0);
  source.assertUnspent();
  const sending = source.open()[Symbol.asyncIterator]();
  // A sending that has ended takes it for nothing, and one that has not never rejects it.
  const letGo = () => void sending.return?.();
  const payload = await bounded<Buffer>(
    {
      start: (verdict) => void gathered(sending).then(verdict.resolve, verdict.reject),
      stop: letGo,
      expire: letGo,
    },
    { signal, deadlineMs: null },
  );
  return payload.length === 0 ? null : payload;
}

async function gathered(sending: AsyncIterator<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const step = await sending.next();
    if (step.done === true) return Buffer.concat(chunks, length);
    length += step.value.length;
    checkLength(length);
    // A source may fill the same memory anew for its next chunk.
    chunks.push(new Uint8Array(step.value));
  }
}

function checkLength(bytes: number): void {
  if (bytes <= MAX_PAYLOAD_BYTES) return;
  throw new AppEnginePlatformError(
    `The request is too large: URLFetch takes ${MAX_PAYLOAD_BYTES} bytes, and its content has ${bytes} or more`,
  );
}
