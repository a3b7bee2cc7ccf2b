/**
 * The contents that both kinds of server hold, under the same paths.
 */
import { gzipSync } from 'node:zlib';
import { JSON_BYTES, MEDIUM_BYTES, SMALL_BYTES } from '../scenarios.js';

export interface Contents {
  readonly small: Buffer;
  readonly medium: Buffer;
  readonly list: Buffer;
  readonly listGzip: Buffer;
}

export function contents(): Contents {
  const list = listOf(JSON_BYTES);
  return {
    small: padded('{"name":"small","padding":"', '"}', SMALL_BYTES),
    medium: Buffer.alloc(MEDIUM_BYTES, '0123456789abcdef'),
    list,
    listGzip: gzipSync(list),
  };
}

/** Records as an interface would send them: much alike, so that gzip finds its usual work, but no two equal. */
function listOf(sizeBytes: number): Buffer {
  const records: string[] = [];
  let length = 0;
  for (let id = 1; length < sizeBytes - 300; id += 1) {
    const token = Math.imul(id, 0x9e3779b1) >>> 0;
    const record = JSON.stringify({
      id,
      token: token.toString(16),
      name: `Record ${id}`,
      active: id % 3 === 0,
      score: token % 1000,
    });
    records.push(record);
    length += record.length + 1;
  }
  return padded(`[${records.join(',')},{"padding":"`, '"}]', sizeBytes);
}

function padded(start: string, end: string, sizeBytes: number): Buffer {
  return Buffer.from(start + 'x'.repeat(sizeBytes - start.length - end.length) + end);
}
