/**
 * The option `auth`: what a caller may say of who he is, and the checked credentials that it becomes.
 *
 * Everything is checked before any byte is sent, and copied, so that a caller's later change to his object changes no request
 * under way. No message repeats a value: who mistypes an option name may have put a password there. What
 * the schemes make of credentials is theirs to know (basic.ts, bearer.ts, digest.ts, ntlm.ts); this file loads none of them.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { AuthScheme } from '../exceptions.js';
import { describe } from '../excerpt.js';

/**
 * Sends `username:password` with each request (RFC 7617), without waiting to be asked. Over plain http anyone on the way can
 * read both.
 */
export interface BasicAuth {
  readonly type: 'basic';
  /** Without a colon: the first one ends it. */
  readonly username: string;
  readonly password: string;
}

/** Answers the server's challenges without sending the password (RFC 7616): MD5, SHA-256 and SHA-512, `auth` and `auth-int`. */
export interface DigestAuth {
  readonly type: 'digest';
  readonly username: string;
  readonly password: string;
}

/** Sends a token with each request (RFC 6750). */
export interface BearerAuth {
  readonly type: 'bearer';
  /**
   * The token, or a function that gives it. The function is asked once for each request, so it should remember
   * the token as long as it is good; and once more when the server has refused it.
   */
  readonly token: string | TokenFunction;
}

/** Gives a bearer token. */
export type TokenFunction = (request: TokenRequest) => string | Promise<string>;

/** Why a function is asked for a token. */
export interface TokenRequest {
  /** The token that the server has just refused with 401, and that must not be given again; null at first. */
  readonly refused: string | null;
}

/** Logs each connection in by NTLMv2 (MS-NLMP): one login serves all later requests on that connection. */
export interface NtlmAuth {
  readonly type: 'ntlm';
  /** `user`, `DOMAIN\user`, or `user@realm`. */
  readonly username: string;
  readonly password: string;
  /**
   * The domain. When it is given, `username` is taken whole, backslash and all.
   *
   * @defaultValue what stands before the first backslash of `username`; empty if there is none
   */
  readonly domain?: string | undefined;
  /** The name of this machine, as the server's logs will have it. @defaultValue empty: not told */
  readonly workstation?: string | undefined;
}

/** Who makes a request, and by which scheme he says so. No other scheme is ever used in its place. */
export type Auth = BasicAuth | DigestAuth | BearerAuth | NtlmAuth;

/** {@link NtlmAuth} with its names apart. */
export interface NtlmNames {
  readonly username: string;
  readonly password: string;
  readonly domain: string;
  readonly workstation: string;
}

/** A username and a password. */
export interface UserPassword {
  readonly username: string;
  readonly password: string;
}

/** Checked credentials of one scheme; neither printing nor serialising them shows what they hold. */
export class SchemeCredentials<Type extends AuthScheme, Secret> {
  readonly type: Type;
  readonly #secret: Secret;
  readonly #key: string;

  constructor(type: Type, secret: Secret, keyParts: readonly string[]) {
    this.type = type;
    this.#secret = secret;
    this.#key = keyed([type, ...keyParts]);
  }

  /**
   * The same text exactly for the same credentials, letter case and all: what tells apart the connections and states that
   * belong to them. It is made under a key that this process draws at its start, so it gives nothing away.
   */
  get key(): string {
    return this.#key;
  }

  /** What they hold: for the scheme, and for nothing that keeps or prints it. */
  reveal(): Secret {
    return this.#secret;
  }
}

export type BasicCredentials = SchemeCredentials<'basic', UserPassword>;
export type DigestCredentials = SchemeCredentials<'digest', UserPassword>;
export type BearerCredentials = SchemeCredentials<'bearer', string | TokenFunction>;
export type NtlmCredentials = SchemeCredentials<'ntlm', NtlmNames>;

/** Credentials of any scheme: `type` tells which. */
export type Credentials = BasicCredentials | DigestCredentials | BearerCredentials | NtlmCredentials;

/** Longer names overflow nothing here, but no directory has them; the fields of an NTLM message hold 32,767. */
const MAX_NTLM_NAME = 1_024;

/** RFC 7617 section 2 and RFC 7616 section 3.4: neither name nor password may hold them. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** RFC 6750 has fewer characters; tokens with others, such as "|", are in use. Blanks would make it two. */
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

const OPTIONS_BY_TYPE: Readonly<Record<AuthScheme, readonly string[]>> = {
  basic: ['username', 'password'],
  digest: ['username', 'password'],
  bearer: ['token'],
  ntlm: ['username', 'password', 'domain', 'workstation'],
};

const PROCESS_KEY = randomBytes(32);
const functionIdentities = new WeakMap<object, string>();
let lastFunctionIdentity = 0;

/**
 * The credentials for a value of the option `auth`; null for null, which switches off what a level above has set.
 *
 * @throws TypeError or RangeError saying which part of it cannot be used, and never with what was in it
 */
export function resolveAuth(option: string, value: unknown): Credentials | null {
  if (value === null || isCredentials(value)) return value;
  if (typeof value !== 'object') {
    throw new TypeError(`Cannot use the ${option} given: it must be an object with a type, or null`);
  }
  // Own properties only: a polluted Object.prototype must not log anybody in.
  const given: Readonly<Record<string, unknown>> = Object.assign(Object.create(null), value);
  const type = schemeOf(option, given.type);
  for (const name of Object.keys(given)) {
    if (name !== 'type' && !OPTIONS_BY_TYPE[type].includes(name)) {
      throw new TypeError(`Cannot use option ${describe(name)}: ${option} of type "${type}" has no such option`);
    }
  }
  return CREDENTIALS_OF[type](option, given);
}

function isCredentials(value: unknown): value is Credentials {
  // Made here and nowhere else, always of one of the four types.
  return value instanceof SchemeCredentials;
}

function schemeOf(option: string, type: unknown): AuthScheme {
  if (typeof type === 'string' && Object.hasOwn(OPTIONS_BY_TYPE, type)) {
    // A key of that table is an AuthScheme.
    return type as AuthScheme;
  }
  throw new TypeError(
    `Cannot use ${option} of type ${describe(type)}: it must be "basic", "bearer", "digest" or "ntlm"`,
  );
}

const CREDENTIALS_OF: Readonly<
  Record<AuthScheme, (option: string, given: Readonly<Record<string, unknown>>) => Credentials>
> = {
  basic(option, given) {
    const username = name(option, 'username', given.username);
    if (username.includes(':')) throw unusable(option, 'username', 'it must not hold a colon, which would end it');
    const password = sendable(option, 'password', given.password);
    return new SchemeCredentials('basic', { username, password }, [username, password]);
  },
  digest(option, given) {
    const username = name(option, 'username', given.username);
    const password = sendable(option, 'password', given.password);
    return new SchemeCredentials('digest', { username, password }, [username, password]);
  },
  bearer(option, given) {
    const { token } = given;
    if (typeof token === 'function') {
      // What a function takes and gives cannot be seen before it is called; bearer.ts checks what it gave.
      return new SchemeCredentials('bearer', token as TokenFunction, ['function', identityOf(token)]);
    }
    if (!isToken(token)) {
      throw unusable(option, 'token', 'it must be visible ASCII characters, or a function that gives them');
    }
    return new SchemeCredentials('bearer', token, ['text', token]);
  },
  ntlm(option, given) {
    const names = ntlmNames(option, given);
    return new SchemeCredentials('ntlm', names, [names.domain, names.username, names.password, names.workstation]);
  },
};

/** Whether a value can stand as a bearer token. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && VISIBLE_ASCII.test(value);
}

function ntlmNames(option: string, given: Readonly<Record<string, unknown>>): NtlmNames {
  const whole = bounded(option, 'username', name(option, 'username', given.username));
  const domain = given.domain === undefined ? undefined : ntlmName(option, 'domain', given.domain);
  // The first backslash, as the reference has it: `a\b\c` is the user `b\c` of the domain `a`.
  const slash = domain === undefined ? whole.indexOf('\\') : -1;
  const username = whole.slice(slash + 1);
  if (username === '') throw unusable(option, 'username', 'it must name a user after the backslash');
  return {
    username,
    // Any UTF-16 there is may be in a password; it is hashed as it stands, and never sent.
    password: bounded(option, 'password', text(option, 'password', given.password)),
    domain: domain ?? whole.slice(0, Math.max(slash, 0)),
    workstation: given.workstation === undefined ? '' : ntlmName(option, 'workstation', given.workstation),
  };
}

function ntlmName(option: string, part: string, value: unknown): string {
  return bounded(option, part, sendable(option, part, value));
}

function bounded(option: string, part: string, value: string): string {
  if (value.length <= MAX_NTLM_NAME) return value;
  throw new RangeError(`Cannot use the ${part} of ${option}: it must have at most ${MAX_NTLM_NAME} characters`);
}

function name(option: string, part: string, value: unknown): string {
  const given = sendable(option, part, value);
  if (given === '') throw unusable(option, part, 'it must not be empty');
  return given;
}

/** Text that every scheme can put into a message as it is. */
function sendable(option: string, part: string, value: unknown): string {
  const given = text(option, part, value);
  if (CONTROL.test(given)) throw unusable(option, part, 'it must not hold control characters');
  if (Buffer.from(given).toString() !== given) throw unusable(option, part, 'it must be well-formed Unicode');
  return given;
}

function text(option: string, part: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw unusable(option, part, 'it must be text');
}

function unusable(option: string, part: string, wanted: string): TypeError {
  return new TypeError(`Cannot use the ${part} of ${option}: ${wanted}`);
}

function keyed(parts: readonly string[]): string {
  // As UTF-16, in which unlike strings are unlike bytes: lone surrogates have no UTF-8.
  return createHmac('sha256', PROCESS_KEY).update(JSON.stringify(parts), 'utf16le').digest('base64url');
}

function identityOf(value: object): string {
  const identity = functionIdentities.get(value) ?? String(++lastFunctionIdentity);
  functionIdentities.set(value, identity);
  return identity;
}
