/**
 * MD4 (RFC 1320), because the NT hash of a password is one and OpenSSL 3 no longer has it.
 *
 * MD4 is broken as a hash, and nothing here relies on it: NTLM does, and whoever speaks NTLM must. Scanners that flag this file
 * are right, and ntlm-crypto.ts is its only user. Passwords are short, so it is written to be read, not to be fast.
 */

const BLOCK_BYTES = 64;

/** A step's word of the block, and the bits to rotate by: as the tables of RFC 1320 section 3.4 list them. */
interface Round {
  readonly mix: (x: number, y: number, z: number) => number;
  readonly added: number;
  readonly words: readonly number[];
  readonly shifts: readonly [number, number, number, number];
}

const ROUNDS: readonly Round[] = [
  {
    mix: (x, y, z) => (x & y) | (~x & z),
    added: 0,
    words: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    shifts: [3, 7, 11, 19],
  },
  {
    mix: (x, y, z) => (x & y) | (x & z) | (y & z),
    added: 0x5a827999,
    words: [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
    shifts: [3, 5, 9, 13],
  },
  {
    mix: (x, y, z) => x ^ y ^ z,
    added: 0x6ed9eba1,
    words: [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
    shifts: [3, 9, 11, 15],
  },
];

type State = readonly [a: number, b: number, c: number, d: number];

/** The 16 bytes of the MD4 of `message`. */
export function md4(message: Uint8Array): Buffer {
  const padded = pad(message);
  let state: State = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let start = 0; start < padded.length; start += BLOCK_BYTES) state = compress(state, padded, start);
  const digest = Buffer.alloc(16);
  for (const [index, word] of state.entries()) digest.writeUInt32LE(word >>> 0, index * 4);
  return digest;
}

/** A one bit, zeros up to 8 bytes before the end of a block, and the length in bits (RFC 1320 sections 3.1 and 3.2). */
function pad(message: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((message.length + 9) / BLOCK_BYTES) * BLOCK_BYTES);
  padded.set(message);
  padded[message.length] = 0x80;
  padded.writeBigUInt64LE(BigInt(message.length) * 8n, padded.length - 8);
  return padded;
}

function compress(state: State, bytes: Buffer, start: number): State {
  let [a, b, c, d] = state;
  for (const { mix, added, words, shifts } of ROUNDS) {
    for (const [step, word] of words.entries()) {
      const sum = a + mix(b, c, d) + bytes.readUInt32LE(start + word * 4) + added;
      // Who was b is c in the next step, and so on: the RFC writes that as ABCD, DABC, CDAB, BCDA.
      [a, b, c, d] = [d, rotateLeft(sum, shifts[step & 3] ?? 0), b, c];
    }
  }
  return [(a + state[0]) | 0, (b + state[1]) | 0, (c + state[2]) | 0, (d + state[3]) | 0];
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
