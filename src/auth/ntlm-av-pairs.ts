/**
 * The list of attributes in a CHALLENGE, which an AUTHENTICATE sends back with its own (MS-NLMP section 2.2.2.1).
 *
 * ```text
 *   id u16 | length u16 | value      ...      0 u16 | 0 u16        all little-endian
 * ```
 *
 * Parsed from the peer, so nothing is read that the list does not hold, and what a server must not say is refused.
 */
import { AuthenticationError } from '../exceptions.js';

/** Identifiers of attributes. */
export const AV = {
  endOfList: 0,
  flags: 6,
  timestamp: 7,
  targetName: 9,
  channelBindings: 10,
} as const;

/** Of the attribute `flags`: the AUTHENTICATE carries a MIC. */
export const AV_FLAG_MIC = 0x2;

/** One attribute; its value is a view into the message. */
export interface AvPair {
  readonly id: number;
  readonly value: Uint8Array;
}

const HEADER_BYTES = 4;

/** Of the attributes whose values we read. */
const LENGTHS: ReadonlyMap<number, number> = new Map([
  [AV.endOfList, 0],
  [AV.flags, 4],
  [AV.timestamp, 8],
]);

/**
 * The pairs of a list, in their order, without its end; what stands behind the end is not looked at.
 *
 * @throws AuthenticationError where the list runs out of its bytes, says something twice, or says what only a client may
 */
export function parseAvPairs(list: Buffer): AvPair[] {
  const pairs: AvPair[] = [];
  const seen = new Set<number>();
  for (let at = 0; at + HEADER_BYTES <= list.length; ) {
    const id = list.readUInt16LE(at);
    const start = at + HEADER_BYTES;
    const end = start + list.readUInt16LE(at + 2);
    if (end > list.length) throw malformed(`attribute ${id} is longer than the list`);
    if (end - start !== (LENGTHS.get(id) ?? end - start)) throw malformed(`attribute ${id} has a wrong length`);
    if (id === AV.endOfList) return pairs;
    // A server that says these wants to be taken for another, or to be told what another was.
    if (id === AV.targetName || id === AV.channelBindings) throw malformed(`attribute ${id} is not a server's to say`);
    if (seen.has(id)) throw malformed(`attribute ${id} stands there twice`);
    seen.add(id);
    pairs.push({ id, value: list.subarray(start, end) });
    at = end;
  }
  throw malformed('the list of attributes has no end');
}

/** The value of an attribute. */
export function avValue(pairs: readonly AvPair[], id: number): Uint8Array | undefined {
  return pairs.find((pair) => pair.id === id)?.value;
}

/** The bytes of a list, with its end. */
export function writeAvPairs(pairs: readonly AvPair[]): Buffer {
  const end: AvPair = { id: AV.endOfList, value: Buffer.alloc(0) };
  return Buffer.concat([...pairs, end].flatMap(({ id, value }) => [header(id, value.length), value]));
}

function header(id: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16LE(id, 0);
  bytes.writeUInt16LE(length, 2);
  return bytes;
}

function malformed(what: string): AuthenticationError {
  return new AuthenticationError('ntlm', `Cannot read the server's NTLM challenge: ${what}`);
}
