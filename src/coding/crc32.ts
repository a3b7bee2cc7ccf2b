/**
 * The CRC-32 of gzip (RFC 1952 section 8).
 *
 * Node has it from 20.15 and 22.2 on, and that one is used where it is; the table is for the lines before.
 */
import zlib from 'node:zlib';

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
  return remainder;
});

/** The CRC of `bytes`, going on from the CRC of the bytes before them. */
export const crc32: (bytes: Buffer, before?: number) => number =
  typeof zlib.crc32 === 'function' ? zlib.crc32 : crc32ByTable;

/** {@link crc32} for a Node without it. */
export function crc32ByTable(bytes: Buffer, before = 0): number {
  let crc = ~before;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}
