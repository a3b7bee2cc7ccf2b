/**
 * XXH64 with seed 0, of which a zstd frame carries the low half as its checksum (RFC 8878 section 3.1.1).
 *
 * Only for fzstd.ts, whose package does not check it; Node's own zstd does. Every 64-bit number is a BigInt.
 */
const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;

const STRIPE_BYTES = 32;

/** A hash over bytes that come in parts. */
export class XXHash64 {
  #lanes: [bigint, bigint, bigint, bigint] = [low64(PRIME_1 + PRIME_2), PRIME_2, 0n, low64(-PRIME_1)];
  /** The start of a stripe that is not yet full. */
  readonly #stripe = Buffer.alloc(STRIPE_BYTES);
  #filled = 0;
  #length = 0;

  update(bytes: Uint8Array): void {
    const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#length += input.length;
    let at = 0;
    if (this.#filled > 0) {
      at = input.copy(this.#stripe, this.#filled);
      this.#filled += at;
      if (this.#filled < STRIPE_BYTES) return;
      this.#mix(this.#stripe, 0);
    }
    for (; at + STRIPE_BYTES <= input.length; at += STRIPE_BYTES) this.#mix(input, at);
    this.#filled = input.copy(this.#stripe, 0, at);
  }

  /** The low 32 bits of the hash of all bytes so far. */
  low32(): number {
    let hash = low64(this.#converged() + BigInt(this.#length));
    let at = 0;
    for (; at + 8 <= this.#filled; at += 8) {
      hash ^= round(0n, this.#stripe.readBigUInt64LE(at));
      hash = low64(rotate(hash, 27n) * PRIME_1 + PRIME_4);
    }
    if (at + 4 <= this.#filled) {
      hash ^= low64(BigInt(this.#stripe.readUInt32LE(at)) * PRIME_1);
      hash = low64(rotate(hash, 23n) * PRIME_2 + PRIME_3);
      at += 4;
    }
    for (; at < this.#filled; at++) {
      hash ^= low64(BigInt(this.#stripe.readUInt8(at)) * PRIME_5);
      hash = low64(rotate(hash, 11n) * PRIME_1);
    }
    hash = low64((hash ^ (hash >> 33n)) * PRIME_2);
    hash = low64((hash ^ (hash >> 29n)) * PRIME_3);
    return Number((hash ^ (hash >> 32n)) & 0xffffffffn);
  }

  #mix(stripe: Buffer, at: number): void {
    const [a, b, c, d] = this.#lanes;
    this.#lanes = [
      round(a, stripe.readBigUInt64LE(at)),
      round(b, stripe.readBigUInt64LE(at + 8)),
      round(c, stripe.readBigUInt64LE(at + 16)),
      round(d, stripe.readBigUInt64LE(at + 24)),
    ];
  }

  #converged(): bigint {
    if (this.#length < STRIPE_BYTES) return PRIME_5;
    const [a, b, c, d] = this.#lanes;
    const sum = low64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    return this.#lanes.reduce((hash, lane) => low64((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4), sum);
  }
}

function round(lane: bigint, input: bigint): bigint {
  return low64(rotate(low64(lane + input * PRIME_2), 31n) * PRIME_1);
}

function rotate(value: bigint, bits: bigint): bigint {
  return low64(value << bits) | (value >> (64n - bits));
}

function low64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
