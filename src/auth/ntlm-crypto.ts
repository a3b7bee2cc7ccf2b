/**
 * The keys and proofs of NTLMv2 (MS-NLMP section 3.3.2). LM, NTLMv1 and NTLM2-session are not here, and never will be.
 */
import { hmacMd5 } from './hashes.js';
import { md4 } from './md4.js';

/** 100 ns intervals from 1601-01-01 to 1970-01-01, and in a millisecond. */
const FILETIME_EPOCH_MS = 11_644_473_600_000n;
const FILETIME_PER_MS = 10_000n;

/** What all proofs of one user are made with (NTOWFv2). Whoever has it can log in as that user. */
export function responseKey(username: string, domain: string, password: string): Buffer {
  const ntHash = md4(Buffer.from(password, 'utf16le'));
  // Only the user is upper-cased: the domain goes in as the message has it.
  return hmacMd5(ntHash, Buffer.from(upperCase(username) + domain, 'utf16le'));
}

/** What a proof is made of beside the key. */
export interface ProofInput {
  readonly serverChallenge: Uint8Array;
  readonly clientChallenge: Uint8Array;
  /** A FILETIME. */
  readonly timestamp: Uint8Array;
  /** The list of attributes, with its end. */
  readonly attributes: Uint8Array;
}

/** An NTLMv2 response, and the key that the MIC is made with. */
export interface Proof {
  readonly response: Buffer;
  readonly sessionBaseKey: Buffer;
}

/** The NTLMv2 response (section 2.2.2.8) to a challenge. */
export function ntlmV2Proof(key: Uint8Array, input: ProofInput): Proof {
  const temp = Buffer.concat([
    Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0),
    input.timestamp,
    input.clientChallenge,
    Buffer.alloc(4),
    input.attributes,
    Buffer.alloc(4),
  ]);
  const ntProof = hmacMd5(key, input.serverChallenge, temp);
  return { response: Buffer.concat([ntProof, temp]), sessionBaseKey: hmacMd5(key, ntProof) };
}

/** Milliseconds of the epoch as a FILETIME. */
export function filetime(nowMs: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE((BigInt(Math.trunc(nowMs)) + FILETIME_EPOCH_MS) * FILETIME_PER_MS);
  return bytes;
}

/** As Windows does it: each UTF-16 unit alone, and never to more than one ("ß" stays, where `toUpperCase` makes "SS"). */
function upperCase(text: string): string {
  return Array.from({ length: text.length }, (_, at) => {
    const unit = text.charAt(at);
    const upper = unit.toUpperCase();
    return upper.length === 1 ? upper : unit;
  }).join('');
}
