/**
 * What a Digest challenge asks for (RFC 7616 section 3.3), and which of several is answered.
 *
 * Of the challenges that we can answer the one with the strongest hash is taken, not the first as section 3.7 would have it: an
 * order is easily changed on the way. `domain` is not heeded: an answer never goes to an origin other than the one that asked.
 */

import { AuthenticationError } from '../exceptions.js';
import { asciiLowerCase } from '../headers.js';
import { listMembers } from '../http1/grammar.js';
import type { Challenge } from './challenges.js';
import { isAvailable } from './hashes.js';

/** What is protected: the request line, or the content too. */
export type Protection = 'auth' | 'auth-int';

/** A way to hash. */
export interface DigestAlgorithm {
  /** As it is written in the answer. */
  readonly name: string;
  /** As `node:crypto` has it. */
  readonly hash: string;
  /** Whether the hash of the password is bound to the first nonces: the "-sess" variants. */
  readonly isSession: boolean;
}

/** A challenge that can be answered. */
export interface DigestChallenge {
  /** Bytes as latin1, unescaped. */
  readonly realm: string;
  /** Bytes as latin1, unescaped. */
  readonly nonce: string;
  /** Bytes as latin1, unescaped; null where there is none to be sent back. */
  readonly opaque: string | null;
  readonly algorithm: DigestAlgorithm;
  /** Whether the challenge names its algorithm: an answer to one that does not must not either. */
  readonly namesAlgorithm: boolean;
  /** What may be chosen from; empty for RFC 2069, which has no such choice. */
  readonly protections: readonly Protection[];
  /** The answer was right but for its nonce. */
  readonly isStale: boolean;
  readonly wantsUtf8: boolean;
  readonly hashesUsername: boolean;
}

/** From the strongest. SHA-512 is not in RFC 7616; servers are built that offer it. */
const HASHES: readonly (readonly [name: string, hash: string])[] = [
  ['sha-512-256', 'sha512-256'],
  ['sha-512', 'sha512'],
  ['sha-256', 'sha256'],
  ['md5', 'md5'],
];

/**
 * The challenge to answer; null if there is none that we know how to answer.
 *
 * @throws AuthenticationError if this Node has none of the hashes that are asked for
 */
export function chooseDigestChallenge(challenges: readonly Challenge[]): DigestChallenge | null {
  const known = challenges.map(readDigestChallenge).filter((one) => one !== null);
  if (known.length === 0) return null;
  for (const [, hash] of HASHES) {
    const found = known.find(({ algorithm }) => algorithm.hash === hash);
    if (found !== undefined && isAvailable(hash)) return found;
  }
  const names = known.map(({ algorithm }) => algorithm.hash).join(' and no ');
  throw new AuthenticationError('digest', `Cannot log in by digest: this Node has no ${names} (FIPS mode has none)`);
}

function readDigestChallenge({ scheme, params }: Challenge): DigestChallenge | null {
  const realm = params.get('realm');
  const nonce = params.get('nonce');
  const named = params.get('algorithm');
  const algorithm = algorithmOf(named ?? 'MD5');
  const protections = protectionsOf(params.get('qop'));
  if (scheme !== 'digest' || realm === undefined || nonce === undefined) return null;
  if (algorithm === null || protections === null) return null;
  return {
    realm,
    nonce,
    opaque: params.get('opaque') ?? null,
    algorithm,
    namesAlgorithm: named !== undefined,
    protections,
    isStale: isWord(params.get('stale'), 'true'),
    wantsUtf8: isWord(params.get('charset'), 'utf-8'),
    hashesUsername: isWord(params.get('userhash'), 'true'),
  };
}

function algorithmOf(name: string): DigestAlgorithm | null {
  const lowerCase = asciiLowerCase(name);
  const isSession = lowerCase.endsWith('-sess');
  const base = isSession ? lowerCase.slice(0, -'-sess'.length) : lowerCase;
  const found = HASHES.find(([known]) => known === base);
  return found === undefined ? null : { name, hash: found[1], isSession };
}

/** Those of the list that we know; null if it has none of them. */
function protectionsOf(qop: string | undefined): readonly Protection[] | null {
  if (qop === undefined) return [];
  const words = listMembers(qop).map(asciiLowerCase);
  const known = (['auth', 'auth-int'] as const).filter((protection) => words.includes(protection));
  return known.length === 0 ? null : known;
}

function isWord(value: string | undefined, word: string): boolean {
  return value !== undefined && asciiLowerCase(value) === word;
}
