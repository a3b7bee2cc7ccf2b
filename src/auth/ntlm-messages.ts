/**
 * The three messages of NTLM (MS-NLMP sections 2.2.1.1 to 2.2.1.3), for NTLMv2 alone, with a MIC always and channel bindings
 * where there are any.
 *
 * ```text
 *   NEGOTIATE     signature 8 | 1 | flags | domain | workstation | version 8
 *   CHALLENGE     signature 8 | 2 | target name | flags | challenge 8 | reserved 8 | attributes | version 8 | payload
 *   AUTHENTICATE  signature 8 | 3 | LM | NT | domain | user | workstation | session key | flags | version 8 | MIC 16 | payload
 * ```
 *
 * Numbers are little-endian; a field is its length, the same again, and its offset. Pure: no clock, no randomness, no state
 * (ntlm.ts has those). Signing and sealing are not offered, so that nothing needs RC4.
 */
import { AuthenticationError } from '../exceptions.js';
import type { NtlmNames } from './credentials.js';
import { hmacMd5 } from './hashes.js';
import { AV, AV_FLAG_MIC, type AvPair, avValue, parseAvPairs, writeAvPairs } from './ntlm-av-pairs.js';
import { filetime, ntlmV2Proof, responseKey } from './ntlm-crypto.js';

/** Flags of a negotiation (MS-NLMP section 2.2.2.5), those that concern us. */
const FLAG = {
  unicode: 0x0000_0001,
  oem: 0x0000_0002,
  requestTarget: 0x0000_0004,
  ntlm: 0x0000_0200,
  alwaysSign: 0x0000_8000,
  extendedSessionSecurity: 0x0008_0000,
  targetInfo: 0x0080_0000,
  version: 0x0200_0000,
} as const;

const OUR_FLAGS =
  FLAG.unicode |
  FLAG.oem |
  FLAG.requestTarget |
  FLAG.ntlm |
  FLAG.alwaysSign |
  FLAG.extendedSessionSecurity |
  FLAG.version;

const SIGNATURE = Buffer.from('NTLMSSP\0', 'latin1');

/** Windows 10, revision 15: for logs only, but gss-ntlmssp refuses a NEGOTIATE without the field. */
const VERSION = Uint8Array.of(10, 0, 0, 0, 0, 0, 0, 15);

const NEGOTIATE_BYTES = 40;
/** Up to and without attributes: all that very old servers send. */
const SHORT_CHALLENGE_BYTES = 32;
/** Up to and with the field of attributes. */
const CHALLENGE_BYTES = 48;
/** Far above what servers send: a few hundred bytes. */
const MAX_CHALLENGE_BYTES = 32_768;
const AUTHENTICATE_BYTES = 88;
const MIC_OFFSET = 72;
const MAX_FIELD_BYTES = 0xffff;

/** What a CHALLENGE says. */
export interface NtlmChallenge {
  /** The very bytes that came: the MIC is made over them. */
  readonly bytes: Buffer;
  readonly flags: number;
  readonly serverChallenge: Buffer;
  readonly attributes: readonly AvPair[];
}

/** What an AUTHENTICATE is made of. */
export interface AuthenticateInput {
  readonly names: NtlmNames;
  /** The bytes that were sent as NEGOTIATE. */
  readonly negotiate: Uint8Array;
  readonly challenge: NtlmChallenge;
  /** 8 bytes that nobody can guess. */
  readonly clientChallenge: Uint8Array;
  /** Milliseconds of the epoch, for a server that does not tell its own time. */
  readonly nowMs: number;
  /** Who is asked: `HTTP/` and the host of the URL. */
  readonly servicePrincipal: string;
  /** MD5 of the channel bindings: see channel-binding.ts; null where there is nothing to bind to. */
  readonly channelBinding: Uint8Array | null;
}

/** The first message: always the same. */
export function negotiateMessage(): Buffer {
  const message = Buffer.alloc(NEGOTIATE_BYTES);
  begin(message, 1);
  message.writeUInt32LE(OUR_FLAGS, 12);
  writeField(message, 16, 0, NEGOTIATE_BYTES);
  writeField(message, 24, 0, NEGOTIATE_BYTES);
  message.set(VERSION, 32);
  return message;
}

/**
 * The second message, as a server sent it.
 *
 * @throws AuthenticationError for anything but a CHALLENGE whose fields lie in it, one beside the other
 */
export function parseChallengeMessage(bytes: Buffer): NtlmChallenge {
  if (bytes.length > MAX_CHALLENGE_BYTES) throw malformed(`it has ${bytes.length} bytes`);
  if (bytes.length < SHORT_CHALLENGE_BYTES) throw malformed('it is too short');
  if (!bytes.subarray(0, 8).equals(SIGNATURE) || bytes.readUInt32LE(8) !== 2) throw malformed('it is none');
  const flags = bytes.readUInt32LE(20);
  const hasAttributes = (flags & FLAG.targetInfo) !== 0;
  const headerBytes = hasAttributes ? CHALLENGE_BYTES : SHORT_CHALLENGE_BYTES;
  if (bytes.length < headerBytes) throw malformed('it is too short');
  const targetName = readField(bytes, 12, headerBytes);
  const targetInfo = hasAttributes ? readField(bytes, 40, headerBytes) : null;
  if (targetInfo !== null && overlap(targetName, targetInfo)) throw malformed('two of its fields overlap');
  const list = targetInfo === null ? null : bytes.subarray(targetInfo.start, targetInfo.end);
  return {
    bytes,
    flags,
    serverChallenge: bytes.subarray(24, 32),
    attributes: list === null || list.length === 0 ? [] : parseAvPairs(list),
  };
}

/**
 * The third message.
 *
 * @throws AuthenticationError for names that cannot be said to a server without Unicode, or attributes that leave no room
 */
export function authenticateMessage(input: AuthenticateInput): Buffer {
  const { names, challenge, negotiate } = input;
  const proof = ntlmV2Proof(responseKey(names.username, names.domain, names.password), {
    serverChallenge: challenge.serverChallenge,
    clientChallenge: input.clientChallenge,
    timestamp: avValue(challenge.attributes, AV.timestamp) ?? filetime(input.nowMs),
    attributes: writeAvPairs(ownAttributes(input)),
  });
  const isUnicode = (challenge.flags & FLAG.unicode) !== 0;
  const encode = (text: string): Buffer => (isUnicode ? Buffer.from(text, 'utf16le') : oem(text));
  // No session key is exchanged. The LM response is 24 zeros: LMv2 proves nothing that NTLMv2 does not.
  const fields = [
    { at: 52, value: Buffer.alloc(0) },
    { at: 12, value: Buffer.alloc(24) },
    { at: 20, value: proof.response },
    { at: 28, value: encode(names.domain) },
    { at: 36, value: encode(names.username) },
    { at: 44, value: encode(names.workstation) },
  ];
  const flags = commonFlags(Buffer.from(negotiate).readUInt32LE(12), challenge.flags);
  const header = Buffer.alloc(AUTHENTICATE_BYTES);
  begin(header, 3);
  let offset = AUTHENTICATE_BYTES;
  for (const { at, value } of fields) {
    if (value.length > MAX_FIELD_BYTES) throw malformed('its attributes leave no room for an answer');
    writeField(header, at, value.length, offset);
    offset += value.length;
  }
  header.writeUInt32LE(flags, 60);
  if ((flags & FLAG.version) !== 0) header.set(VERSION, 64);
  const message = Buffer.concat([header, ...fields.map(({ value }) => value)]);
  message.set(hmacMd5(proof.sessionBaseKey, negotiate, challenge.bytes, message), MIC_OFFSET);
  return message;
}

/**
 * What both sides want (where they want Unicode and OEM, Unicode counts); with extended session security, come what may:
 * without it a server asks for NTLMv1.
 */
function commonFlags(ours: number, theirs: number): number {
  return ((ours & theirs) | FLAG.extendedSessionSecurity) >>> 0;
}

/** The server's, in their order, and ours (MS-NLMP section 3.1.5.1.2). */
function ownAttributes({ challenge, channelBinding, servicePrincipal }: AuthenticateInput): AvPair[] {
  const flags = Buffer.alloc(4);
  const given = avValue(challenge.attributes, AV.flags);
  flags.writeUInt32LE(((given === undefined ? 0 : Buffer.from(given).readUInt32LE()) | AV_FLAG_MIC) >>> 0);
  const own: AvPair = { id: AV.flags, value: flags };
  const kept = challenge.attributes.map((pair) => (pair.id === AV.flags ? own : pair));
  return [
    ...kept,
    ...(given === undefined ? [own] : []),
    ...(channelBinding === null ? [] : [{ id: AV.channelBindings, value: channelBinding }]),
    { id: AV.targetName, value: Buffer.from(servicePrincipal, 'utf16le') },
  ];
}

/** To a server without Unicode, in a code page that nobody tells: ASCII is the same in all of them. */
function oem(text: string): Buffer {
  if (/^[\x20-\x7e]*$/.test(text)) return Buffer.from(text, 'latin1');
  throw new AuthenticationError(
    'ntlm',
    'Cannot log in by ntlm: the server does not take Unicode, and the user, domain or workstation is not ASCII',
  );
}

function begin(message: Buffer, type: number): void {
  message.set(SIGNATURE);
  message.writeUInt32LE(type, 8);
}

function writeField(message: Buffer, at: number, length: number, offset: number): void {
  message.writeUInt16LE(length, at);
  message.writeUInt16LE(length, at + 2);
  message.writeUInt32LE(offset, at + 4);
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where a field's value lies; an empty one lies nowhere, whatever its offset says. */
function readField(message: Buffer, at: number, headerBytes: number): Range {
  const length = message.readUInt16LE(at);
  if (length === 0) return { start: headerBytes, end: headerBytes };
  const start = message.readUInt32LE(at + 4);
  const end = start + length;
  if (start < headerBytes || end > message.length) throw malformed('a field lies outside of it');
  return { start, end };
}

function overlap(a: Range, b: Range): boolean {
  return a.start < b.end && b.start < a.end;
}

function malformed(what: string): AuthenticationError {
  return new AuthenticationError('ntlm', `Cannot read the server's NTLM challenge: ${what}`);
}
