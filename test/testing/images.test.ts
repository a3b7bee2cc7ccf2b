import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { jpegImage, pngImage, SVG_IMAGE } from '../../src/testing/images.js';

test('pngImage() is a PNG of 16 by 16 RGB pixels with true checksums', () => {
  const png = pngImage();
  expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND']);
  expect([...(chunks.get('IHDR') ?? [])]).toEqual([0, 0, 0, 16, 0, 0, 0, 16, 8, 2, 0, 0, 0]);
  expect(inflateSync(chunks.get('IDAT') ?? '')).toHaveLength(16 * (1 + 16 * 3));
  // The checksum of an empty IEND is printed in every PNG there is.
  expect(png.subarray(-4).toString('hex')).toBe('ae426082');
});

test('jpegImage() is a baseline JPEG of 8 by 8 pixels whose segments follow each other without a gap', () => {
  const jpeg = jpegImage();
  const markers: number[] = [];
  let at = 2;
  for (; jpeg[at] === 0xff && jpeg[at + 1] !== 0xd9; at += 2 + jpeg.readUInt16BE(at + 2))
    markers.push(jpeg[at + 1] ?? 0);
  expect(jpeg.subarray(0, 2).toString('hex')).toBe('ffd8');
  expect(markers).toEqual([0xdb, 0xc0, 0xc4, 0xc4, 0xda]);
  expect(jpeg.subarray(at).toString('hex')).toBe('3fffd9');
});

test('SVG_IMAGE is an SVG document', () => {
  expect(SVG_IMAGE).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg".*<\/svg>\n$/s);
});
