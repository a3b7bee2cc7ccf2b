/**
 * The answer to a Digest challenge: the hashes of RFC 7616 section 3.4, and the field value that carries them.
 *
 * Pure. Text is held as latin1, one character a byte, so that realms and nonces go back and into hashes byte for byte as they
 * came, whatever their charset. Which nonce and which count are used: digest.ts.
 */

import { AuthenticationError } from '../exceptions.js';
import type { AuthContent } from './authenticator.js';
import type { UserPassword } from './credentials.js';
import type { DigestChallenge } from './digest-challenge.js';
import { newHash } from './hashes.js';

/** The request that an answer is for. */
export interface DigestRequest {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** {@link hashOfContent}, where the content is protected (`auth-int`); null where only the request line is. */
  readonly contentHash: string | null;
}

/** What makes one use of a nonce unlike any other. */
export interface DigestUse {
  readonly nonce: string;
  /** From 1. */
  readonly count: number;
  readonly cnonce: string;
}

const BEYOND_LATIN_1 = /[^\u0000-\u00ff]/;
const BEYOND_ASCII = /[^\u0000-\u007f]/;

/** The value of Authorization or Proxy-Authorization. */
export function digestAnswer(
  user: UserPassword,
  challenge: DigestChallenge,
  request: DigestRequest,
  use: DigestUse,
): string {
  const { realm, opaque, algorithm, namesAlgorithm, hashesUsername } = challenge;
  const { username, password } = inCharset(user, challenge.wantsUtf8);
  const hash = (...parts: readonly string[]): string => hexHash(challenge, Buffer.from(parts.join(':'), 'latin1'));
  const nc = use.count.toString(16).padStart(8, '0');
  const qop = qopOf(challenge, request);

  const secret = hash(username, realm, password);
  const a1 = algorithm.isSession ? hash(secret, use.nonce, use.cnonce) : secret;
  const { method, target, contentHash } = request;
  const a2 = contentHash === null ? hash(method, target) : hash(method, target, contentHash);
  const response = qop === null ? hash(a1, use.nonce, a2) : hash(a1, use.nonce, nc, use.cnonce, qop, a2);

  const params = [
    hashesUsername ? `username=${quoted(hash(username, realm))}` : usernameParam(username, challenge),
    `realm=${quoted(realm)}`,
    `nonce=${quoted(use.nonce)}`,
    `uri=${quoted(target)}`,
    ...(namesAlgorithm ? [`algorithm=${algorithm.name}`] : []),
    ...(qop === null ? [] : [`qop=${qop}`, `nc=${nc}`]),
    ...(qop === null && !algorithm.isSession ? [] : [`cnonce=${quoted(use.cnonce)}`]),
    `response=${quoted(response)}`,
    ...(opaque === null ? [] : [`opaque=${quoted(opaque)}`]),
    ...(hashesUsername ? ['userhash=true'] : []),
  ];
  return `Digest ${params.join(', ')}`;
}

/**
 * The hash of content that is to be protected. A replayable stream is read once for it.
 *
 * @throws AuthenticationError for content that can be read only once: it would be spent before it is sent
 */
export async function hashOfContent(challenge: DigestChallenge, content: AuthContent): Promise<string> {
  if (content.kind === 'none') return hexHash(challenge, Buffer.alloc(0));
  if (content.kind === 'bytes') return hexHash(challenge, content.bytes);
  if (!content.replayable) {
    throw new AuthenticationError(
      'digest',
      'Cannot log in by digest with qop=auth-int: the body can be read only once, and its hash must be sent before it',
    );
  }
  const hash = newHash('digest', challenge.algorithm.hash);
  for await (const chunk of content.open()) hash.update(chunk);
  return hash.digest('hex');
}

function hexHash({ algorithm }: DigestChallenge, bytes: Uint8Array): string {
  return newHash('digest', algorithm.hash).update(bytes).digest('hex');
}

function qopOf({ protections }: DigestChallenge, { contentHash }: DigestRequest): string | null {
  if (contentHash !== null) return 'auth-int';
  return protections.length === 0 ? null : 'auth';
}

/** A server that does not ask for UTF-8 is likely older than the question: latin1 where it can be. */
function inCharset({ username, password }: UserPassword, wantsUtf8: boolean): UserPassword {
  const isLatin1 = !wantsUtf8 && !BEYOND_LATIN_1.test(username + password);
  const asBytes = (text: string): string => (isLatin1 ? text : Buffer.from(text.normalize('NFC')).toString('latin1'));
  return { username: asBytes(username), password: asBytes(password) };
}

/** Beyond ASCII in the form of RFC 8187, to servers that know UTF-8 (section 3.4); to others as bytes. */
function usernameParam(username: string, { wantsUtf8 }: DigestChallenge): string {
  if (!wantsUtf8 || !BEYOND_ASCII.test(username)) return `username=${quoted(username)}`;
  const text = Buffer.from(username, 'latin1').toString();
  const encoded = encodeURIComponent(text).replace(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `username*=UTF-8''${encoded}`;
}

/** A quoted-string (RFC 9110 section 5.6.4). What could end the field line cannot come here: no challenge holds it. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
