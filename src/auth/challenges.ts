/**
 * The challenges of WWW-Authenticate and Proxy-Authenticate (RFC 9110 sections 11.3 and 11.6.1), several in one line or in
 * several lines.
 *
 * A comma separates challenges and the parameters of one challenge alike, so the grammar is walked, never split. What does
 * not fit it gives up the rest of its line, with the challenge that it stands in: half a challenge is none. Nothing here
 * throws, and the work grows in step with the line. What a challenge means: digest.ts, ntlm-login.ts.
 */
import { asciiLowerCase } from '../headers.js';

/** One challenge: a scheme with a token, or with parameters, or alone. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** The token68 after the scheme, as Negotiate and NTLM have it. */
  readonly token: string | null;
  /** By name in lower case; quoted values without their quotes and escapes, in latin1. */
  readonly params: ReadonlyMap<string, string>;
}

/** Far beyond what servers send; what comes after is not looked at. */
const MAX_CHALLENGES = 64;
const MAX_PARAMS = 64;

const BLANKS_AND_COMMAS = /[\t ,]*/y;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const BLANKS = /[\t ]*/y;

/** token68, where nothing else follows before a comma or the end (RFC 9110 section 11.2). */
const LONE_TOKEN68 = /([A-Za-z0-9\-._~+/]+=*)[\t ]*(?=,|$)/y;

/** `name = value` with the blanks that bad senders put around the sign (RFC 9110 section 11.2). */
const PARAM_NAME = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t ]*=[\t ]*/y;
const QUOTED_STRING =
  /"([\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*(?:\\[\t\x20-\x7e\x80-\xff][\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*)*)"/y;

/** A token; and beyond RFC 9110, what embedded servers leave unquoted: base64 and paths, without blanks, quotes or commas. */
const UNQUOTED_VALUE = /[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e\x80-\xff]+/y;

/** What ends a parameter: blanks, then a comma or the end. */
const END_OF_PARAM = /[\t ]*(?:,|$)/y;

/** The challenges of the lines of one field, in their order. */
export function parseChallenges(lines: readonly string[]): Challenge[] {
  const challenges: Challenge[] = [];
  for (const line of lines) {
    const reader = new Reader(line);
    while (challenges.length < MAX_CHALLENGES) {
      const challenge = reader.challenge();
      if (challenge === null) break;
      challenges.push(challenge);
    }
  }
  return challenges;
}

/** The first challenge of a scheme, named in lower case. */
export function challengeOf(challenges: readonly Challenge[], scheme: string): Challenge | undefined {
  return challenges.find((challenge) => challenge.scheme === scheme);
}

class Reader {
  readonly #line: string;
  #at = 0;

  constructor(line: string) {
    this.#line = line;
  }

  /** The next challenge; null at the end of the line, and where it can no longer be read. */
  challenge(): Challenge | null {
    this.#match(BLANKS_AND_COMMAS);
    const scheme = this.#match(TOKEN)?.[0];
    if (scheme === undefined) return null;
    const lowerCase = asciiLowerCase(scheme);
    const blanks = this.#match(BLANKS)?.[0];
    if (this.#isAtEnd() || this.#line[this.#at] === ',') return { scheme: lowerCase, token: null, params: new Map() };
    if (blanks === '') return null;
    const token = this.#match(LONE_TOKEN68)?.[1];
    if (token !== undefined) return { scheme: lowerCase, token, params: new Map() };
    const params = this.#params();
    return params === null || params.size === 0 ? null : { scheme: lowerCase, token: null, params };
  }

  /** Parameters up to the next scheme or the end; null if one is malformed, or stands there twice. */
  #params(): Map<string, string> | null {
    const params = new Map<string, string>();
    for (;;) {
      const name = this.#match(PARAM_NAME)?.[1];
      if (name === undefined) return params;
      const value = this.#value();
      if (value === null || this.#match(END_OF_PARAM) === null) return null;
      const key = asciiLowerCase(name);
      if (params.has(key) || params.size === MAX_PARAMS) return null;
      params.set(key, value);
      this.#match(BLANKS_AND_COMMAS);
    }
  }

  #value(): string | null {
    const quoted = this.#match(QUOTED_STRING)?.[1];
    if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1');
    return this.#match(UNQUOTED_VALUE)?.[0] ?? null;
  }

  #isAtEnd(): boolean {
    return this.#at === this.#line.length;
  }

  /** What stands here, if it fits; it is stepped over then. */
  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#line);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }
}
