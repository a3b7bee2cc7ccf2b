/**
 * Tiny pictures, made here byte by byte so that no file has to be shipped or served: a PNG, a JPEG, an SVG.
 */
import { deflateSync } from 'node:zlib';

/** A square of 16 by 16 pixels in one colour: PNG, third edition, section 5. */
export function pngImage(): Buffer {
  const size = 16;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits a sample, RGB, deflate, adaptive filters, not interlaced
  const row = [0, ...Array.from({ length: size }, () => [0x2e, 0x7d, 0xd1]).flat()]; // 0: not filtered
  const pixels = Buffer.from(Array.from({ length: size }, () => row).flat());
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** One grey block of 8 by 8 pixels: the smallest baseline JPEG (ITU-T T.81 annex B). */
export function jpegImage(): Buffer {
  const oneSymbol = [1, ...Array.from({ length: 15 }, () => 0), 0]; // one code of one bit, for the symbol 0
  return Buffer.from([
    ...[0xff, 0xd8], // start of image
    ...segment(0xdb, [0, ...Array.from({ length: 64 }, () => 1)]), // quantization table 0
    ...segment(0xc0, [8, 0, 8, 0, 8, 1, 1, 0x11, 0]), // baseline, 8 by 8, one component
    ...segment(0xc4, [0x00, ...oneSymbol]), // Huffman table for DC: no difference
    ...segment(0xc4, [0x10, ...oneSymbol]), // Huffman table for AC: end of block
    ...segment(0xda, [1, 1, 0, 0, 63, 0]), // start of scan
    0x3f, // the two codes, filled up with ones
    ...[0xff, 0xd9], // end of image
  ]);
}

export const SVG_IMAGE = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">
  <rect width="16" height="16" fill="#2e7dd1"/>
</svg>
`;

/** A chunk of a PNG: length, type, data, checksum of type and data. */
function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type), data]);
  const framed = Buffer.alloc(typed.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(typed, 4);
  framed.writeUInt32BE(crc32(typed), typed.length + 4);
  return framed;
}

/** The checksum of PNG section 5.5, bit by bit; `zlib.crc32` is missing in the first releases of Node 20. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** A marker segment of a JPEG: marker, length with itself, parameters. */
function segment(marker: number, parameters: readonly number[]): number[] {
  const length = parameters.length + 2;
  return [0xff, marker, length >> 8, length & 0xff, ...parameters];
}
