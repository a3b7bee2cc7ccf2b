import { expect, test } from 'vitest';
import { md4 } from '../../src/auth/md4.js';

const VECTORS: readonly (readonly [string, string])[] = [
  ['', '31d6cfe0d16ae931b73c59d7e0c089c0'],
  ['a', 'bde52cb31de33e46245e05fbdbd6fb24'],
  ['abc', 'a448017aaf21d8525fc10ae87aa6729d'],
  ['message digest', 'd9130a8164549fe818874806e1c7014b'],
  ['abcdefghijklmnopqrstuvwxyz', 'd79e1c308aa5bbcdeea8ed63df412da9'],
  ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', '043f8582f241db351ce627e153e7f0e4'],
  ['1234567890'.repeat(8), 'e33b4ddc9c38f2199c3e7b164fcc0536'],
];

test.each(VECTORS)('md4() gives what RFC 1320 section A.5 lists for "%s"', (text, digest) => {
  expect(md4(Buffer.from(text)).toString('hex')).toBe(digest);
});

/** Made by OpenSSL 3 with its legacy provider, for a run of the letter "x" around each block boundary. */
const LENGTHS: readonly (readonly [number, string])[] = [
  [55, '92f32bb82c95ad10e8f87ae58ab06807'],
  [56, '374d5f08103b7092c83b4626ebceffab'],
  [57, 'eebaefd8f3ba932d44239a789c38317a'],
  [63, '2870452596e98fffd48332289b3472b9'],
  [64, 'b1abf956a5ae6f3221e5fe85e300fbb0'],
  [65, 'afc1a3308fc176a53238a09aeddec2e6'],
  [119, 'b55ae15e41e55643b0c3daad5e05c905'],
  [120, 'd8f9adfc41ec43552619606c70cfd287'],
  [1000, '4b4cacfefc79bf951c60620df38532dc'],
];

test.each(LENGTHS)('md4() pads a message of %i bytes as RFC 1320 section 3.1 says', (length, digest) => {
  expect(md4(Buffer.alloc(length, 'x')).toString('hex')).toBe(digest);
});

test('md4() leaves its input as it is and reads only the view it is given', () => {
  const memory = Buffer.from('..abc..');
  expect(md4(memory.subarray(2, 5)).toString('hex')).toBe('a448017aaf21d8525fc10ae87aa6729d');
  expect(memory.toString()).toBe('..abc..');
});
