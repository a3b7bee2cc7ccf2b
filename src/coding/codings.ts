/**
 * Which content codings there are, and which of them a Content-Encoding value names (RFC 9110 section 8.4).
 *
 * Pure: a field value in, a list out. Every token counts against one limit, over all field lines together, so that no
 * reply can make us build a tower of decoders (CVE-2025-66418). How a coding is undone: gzip.ts, deflate.ts, brotli.ts,
 * zstd.ts; several in a row: cascade.ts.
 */
import zlib from 'node:zlib';
import { DecodeError } from '../exceptions.js';

/** A content coding that can be undone. */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd';

/** How much may come out of a body. Both are judged at every layer of a chain, while it is decoded, never afterwards. */
export interface DecodingLimits {
  /** Bytes that a body may decode to; `null` is no limit. */
  readonly maxDecodedSize: number | null;
  /** Decoded bytes per byte on the wire, judged once over 1 MiB has come out; `null` is no limit. */
  readonly maxRatio: number | null;
}

/** The number of codings that one body may list: what urllib3 2.x allows. No known server uses more than two. */
export const MAX_CODINGS = 5;

const NONE: readonly Coding[] = Object.freeze([]);

/** By the token in lower case; null is a coding that changes nothing. */
const KNOWN: ReadonlyMap<string, Coding | null> = new Map<string, Coding | null>([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
  ['identity', null],
  ['', null],
]);

/**
 * The codings of a Content-Encoding value in the order in which they are undone: the last one listed comes first.
 * Empty for no coding, or `identity`; null if one is unknown to us, and then the body is to be delivered as it came.
 *
 * @param value - the field's value, its lines joined by commas
 * @throws {@link DecodeError} for more than five list members, those that are blank, unknown or `identity` included
 */
export function contentCodings(value: string | undefined): readonly Coding[] | null {
  if (value === undefined) return NONE;
  const tokens = value.split(',', MAX_CODINGS + 1);
  if (tokens.length > MAX_CODINGS) {
    throw new DecodeError(`Cannot decode content of more than ${MAX_CODINGS} content codings`);
  }
  const codings: Coding[] = [];
  for (const token of tokens) {
    const coding = KNOWN.get(inLowerCase(token.replace(/^[ \t]+|[ \t]+$/g, '')));
    if (coding === undefined) return null;
    if (coding !== null) codings.unshift(coding);
  }
  return codings;
}

/** What this process can decode as it is, in the order in which to ask for it: the value of Accept-Encoding. */
export function supportedCodings(): readonly Coding[] {
  return hasNativeZstd() ? ['gzip', 'deflate', 'br', 'zstd'] : ['gzip', 'deflate', 'br'];
}

/** Node has its own zstd from 22.15 and 23.8 on; before them it takes the optional package fzstd, see zstd.ts. */
export function hasNativeZstd(): boolean {
  return 'createZstdDecompress' in zlib;
}

/** ASCII only: in Unicode's folding, letters far from `a` to `z` become one of them. */
function inLowerCase(token: string): string {
  return token.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
