/**
 * The other side of src/coding: content in every coding, and every way to cut it.
 *
 * zstd is written by hand, in raw and run-length blocks, so that it is there on every Node; Node's own encoder joins where it exists, and
 * `ZSTD_VECTORS` has what the zstd program made, in compressed blocks.
 */
import zlib from 'node:zlib';
import fc from 'fast-check';
import type { Coding, DecodingLimits } from '../../src/coding/codings.js';
import { XXHash64 } from '../../src/coding/xxhash64.js';

export const NO_LIMITS: DecodingLimits = { maxDecodedSize: null, maxRatio: null };

/** One way to write a coding: content that may be cut into members, each whole in itself. */
export interface Encoder {
  readonly name: string;
  readonly coding: Coding;
  /** Whether members may follow one another. */
  readonly isRepeatable: boolean;
  /** Whether bytes that follow the end are ignored. */
  readonly ignoresGarbage: boolean;
  encode(content: Buffer): Buffer;
}

export const ENCODERS: readonly Encoder[] = [
  encoder('gzip', 'gzip', (content) => zlib.gzipSync(content), { isRepeatable: true }),
  encoder('gzip with every header field', 'gzip', gzipWithFields, { isRepeatable: true }),
  encoder('zlib', 'deflate', (content) => zlib.deflateSync(content)),
  encoder('zlib, small window', 'deflate', (content) => zlib.deflateSync(content, { windowBits: 9, level: 1 })),
  encoder('raw deflate', 'deflate', (content) => zlib.deflateRawSync(content)),
  encoder('raw deflate, stored', 'deflate', (content) => zlib.deflateRawSync(content, { level: 0 })),
  encoder('raw deflate, fixed codes', 'deflate', (content) =>
    zlib.deflateRawSync(content, { strategy: zlib.constants.Z_FIXED }),
  ),
  encoder('br', 'br', (content) =>
    zlib.brotliCompressSync(content, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }),
  ),
  encoder('zstd by hand', 'zstd', zstdFrame, { isRepeatable: true, ignoresGarbage: false }),
  encoder('zstd by Node, or by hand', 'zstd', zstdByNode, { isRepeatable: true, ignoresGarbage: false }),
];

/** Of 40 lines of JSON, and of 12,000 lines of text (see `zstdVectorContent`), with what the zstd program 1.5.4 was told. */
export const ZSTD_VECTORS = [
  {
    name: '-3, of unknown length',
    content: 'json',
    wire: 'KLUv/QRYXQgA0owhG4ApaQPUGAMfIZ4yjogRxr1FdvdOiaOANdGsYCf8nf//W3/y7/+EfqT/6i6zf3bRTrQv7bJfu3baxrtGLVVra8m1eK1hS9m6pM02e050He+nM6pVZRXZGf3qbjy62SxAwxwHBAJFgXAgFsoAWYwxigTiKHMYEpBQFBZjTDkQBnMgxhQkhiF2qDGwz/1/A4Azij4RKARnRAZKjPkB1j+fb0i3Jv1fo3jGfNCmtrLxhr6y4Yy+smnz0OaCfx370HDahtrDQh0Yh7EbmIaxMjCGtS4wC2MrMApjTWAJa0VgEPqBhvDNg2GigzENKAZNgdFxQPOC+gndQCIDmi6oH9Q/cPTvE5BFKhCrnSP5XQ==',
  },
  {
    name: '-19 --no-check',
    content: 'json',
    wire: 'KLUv/WBVB30IAIZSLRhwTdr+7/pnUBYGqu74u7t7p4Sjy/rnHgsyACIAIQAtq8oqsjP61d14dLNZwMQsjMNAUTQWQ0QpHEXCsChGYE7AoTwghmCUxbAwgkMwiISRBNjrbVcrnbNWC69KNUPqe5Svi3bbPG1PT/Y0e050He+nMwpo/9DnF89mSjSX67JMtiLf99421nad6fr44I+zNcpiTRX5EubxduLvv9sJ7fWy1ulGpv/n/z4e8vtE6s/P1Xm6Zel3qBGwrL1fmwHQVw4RIAQIwVmBSuI+gREHixNqrCBqygghRJUaQYRQLSrEWEHUlBFCiCo1ggihWlSIsTLJ8YoVHaMhNkSDaIgG0RAaTtz2FEBNqyoBsgo=',
  },
  {
    name: '-5, three blocks',
    content: 'text',
    wire: 'KLUv/aQIjwQAZAQAcscUFbAnHYA4JmdnHSUpR0opU0oJYZPMJXd3d2dmZmZmVlVVVVVFRERERPT////btm3bbdu2LUmSJDkzMzMzZ0V3OYDjUA5iKITCIIiADAwSIKUoEAFiqCH8+t8BwKPKORJIEPg/Rt/+/2+J9nIhgqIsxfeXz73oOS943sXOuy5hun5ZPOdsLbKAVgVMAAAIeAEA/P85EAJNAAAIZgEABA8dCAGsnZ4U',
  },
  {
    name: '-1, three blocks, of unknown length',
    content: 'text',
    wire: 'KLUv/QRI5AQA8scVFaAnbWCDQ45W26kqOTJTZG/m4g/uK3lnZmbm////b9u2bSMiIiIi3t3d3d2ZmZmZmVVVVVVVtW3btkRERESUN55VaUYhCMBwGIYpDEIpyAhmUExgRiFIa6hh+P0/A6CjknMS+P8effv/vwGZ9XKpknQFWNuW4uq+GNg25u1d9Z/5r9CHv730lSd+d9k7daz0yrC3BBpzfb8KTAAACHgBAPz/ORACTQAACGYBAAQPHQgBrJ2eFA==',
  },
  { name: '-3, of nothing', content: 'nothing', wire: 'KLUv/SQAAQAAmenYUQ==' },
].map(({ name, content, wire }) => ({
  name,
  content: zstdVectorContent(content),
  wire: Buffer.from(wire, 'base64'),
}));

/** One byte, compressed with `--long=27 --ultra -22`: it asks for a window of 128 MiB. */
export const ZSTD_HUGE_WINDOW = Buffer.from('KLUv/QSICQAAeCMRBIM=', 'base64');

/** Content of 0 to a few hundred bytes, of few or many different ones. */
export function contents(): fc.Arbitrary<Buffer> {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.constantFrom(65, 66), { maxLength: 300 }).map((list) => Uint8Array.from(list)),
    fc
      .record({ byte: fc.nat(255), length: fc.nat(200_000) })
      .map(({ byte, length }) => new Uint8Array(length).fill(byte)),
  );
  return bytes.map((list) => Buffer.from(list));
}

/** `bytes` in pieces, at the places that `cuts` (0 to 1) say; some may be empty. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

/** An async source over `pieces`; each is overwritten when the next is asked for, as a shared read buffer is. */
export async function* sourceOf(pieces: Iterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
  for (const piece of pieces) {
    const borrowed = Buffer.from(piece);
    yield borrowed;
    borrowed.fill(0xee);
  }
}

export async function collected(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** A gzip member with extra field, name, comment and header checksum. */
export function gzipWithFields(content: Buffer): Buffer {
  const extra = Buffer.alloc(70, 0x58);
  const head = Buffer.concat([
    Buffer.of(0x1f, 0x8b, 8, 0x1f, 1, 2, 3, 4, 0, 255, extra.length, 0),
    extra,
    Buffer.from('a name\0a comment\0'),
  ]);
  const headCheck = Buffer.alloc(2);
  headCheck.writeUInt16LE(crc32(head) & 0xffff);
  return Buffer.concat([head, headCheck, zlib.gzipSync(content).subarray(10)]);
}

/** A zstd frame of raw and run-length blocks, with a checksum and its length. */
export function zstdFrame(content: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0xe4), Buffer.alloc(8)]; // single segment, 8 bytes of length, checksum
  parts[1]?.writeBigUInt64LE(BigInt(content.length));
  for (let at = 0; at === 0 || at < content.length; at += 100_000) {
    const block = content.subarray(at, at + 100_000);
    const isRun = block.length > 0 && block.every((byte) => byte === block[0]);
    parts.push(zstdBlockHeader(at + 100_000 >= content.length, isRun ? 1 : 0, block.length));
    parts.push(isRun ? block.subarray(0, 1) : block);
  }
  const hash = new XXHash64();
  hash.update(content);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(hash.low32());
  return Buffer.concat([...parts, checksum]);
}

export function zstdBlockHeader(isLast: boolean, type: number, size: number): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE(Number(isLast) + type * 2 + size * 8, 0, 3);
  return header;
}

/** A zstd frame to be skipped. */
export function zstdSkippable(length: number, kind = 0): Buffer {
  const frame = Buffer.alloc(8 + length, 0x73);
  frame.writeUInt32LE(0x184d2a50 + kind);
  frame.writeUInt32LE(length, 4);
  return frame;
}

/** As src/coding reads it, but bit by bit. */
export function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function zstdByNode(content: Buffer): Buffer {
  const compress: unknown = Reflect.get(zlib, 'zstdCompressSync');
  if (typeof compress !== 'function') return zstdFrame(content);
  const flag: unknown = Reflect.get(zlib.constants, 'ZSTD_c_checksumFlag');
  return Buffer.from(compress(content, { params: { [String(flag)]: content.length % 2 } }));
}

function zstdVectorContent(name: string): Buffer {
  const json = Array.from(
    { length: 40 },
    (_, id) => `{"id":${id},"name":"user ${(id * 7919) % 1000}","email":"u${id}@example.com"}\n`,
  );
  const text = Array.from({ length: 12_000 }, (_, index) => `line ${index % 97} of a longer text\n`);
  return Buffer.from({ json, text }[name]?.join('') ?? '');
}

function encoder(
  name: string,
  coding: Coding,
  encode: (content: Buffer) => Buffer,
  { isRepeatable = false, ignoresGarbage = true } = {},
): Encoder {
  return { name, coding, encode, isRepeatable, ignoresGarbage };
}
