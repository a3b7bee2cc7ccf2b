/**
 * An NTLM login as a state machine: three messages, and a verdict (MS-NLMP section 1.3.1.1).
 *
 * ```text
 *   new ── start() ──▶ negotiating ── challenge ──▶ proving ── success ──▶ accepted
 *                            └────────── refusal ──────┴──▶ refused
 * ```
 *
 * Pure but for the clock and the random source that it is given. The bytes of the messages: ntlm-messages.ts; how they travel
 * in HTTP, and over which connection: ntlm-login.ts.
 */
import { AuthenticationError, HTTPError } from '../exceptions.js';
import type { RandomSource } from './authenticator.js';
import type { NtlmNames } from './credentials.js';
import { authenticateMessage, negotiateMessage, parseChallengeMessage } from './ntlm-messages.js';

/** What a login is made of. */
export interface NtlmSetup {
  readonly names: NtlmNames;
  /** Who is asked: `HTTP/` and the host of the URL. */
  readonly servicePrincipal: string;
  /** See channel-binding.ts; null where there is nothing to bind to. */
  readonly channelBinding: Uint8Array | null;
  readonly random: RandomSource;
  /** Milliseconds of the epoch. */
  readonly now: () => number;
}

/** What a server says to a message of ours; a token is in base64. */
export type NtlmReply =
  | { readonly kind: 'challenge'; readonly token: string }
  | { readonly kind: 'refusal' }
  | { readonly kind: 'success' };

/** What follows from it; a token is in base64. */
export type NtlmStep =
  | { readonly kind: 'send'; readonly token: string }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused' };

type NtlmState =
  | { readonly kind: 'new' }
  | { readonly kind: 'negotiating'; readonly negotiate: Buffer }
  | { readonly kind: 'proving' }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused' };

/** Four base64 digits at a time, padded: no token68 beside it. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})+$|^(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/]=)$/;

/** Of what {@link parseChallengeMessage} takes at most; beyond, a token is not even decoded. */
const MAX_TOKEN_LENGTH = 43_692;

/** One login on one connection. */
export class NtlmHandshake {
  readonly #setup: NtlmSetup;
  #state: NtlmState = { kind: 'new' };

  constructor(setup: NtlmSetup) {
    this.#setup = setup;
  }

  /** The token to begin with. */
  start(): string {
    if (this.#state.kind !== 'new') throw misused('started', this.#state);
    const negotiate = negotiateMessage();
    this.#state = { kind: 'negotiating', negotiate };
    return negotiate.toString('base64');
  }

  /**
   * What to do after a reply.
   *
   * @throws AuthenticationError for a challenge that is malformed, comes twice, or cannot be answered
   */
  receive(reply: NtlmReply): NtlmStep {
    const state = this.#state;
    if (state.kind !== 'negotiating' && state.kind !== 'proving') throw misused('told a reply', state);
    // Until the end of this call: a challenge that throws has ended the login.
    this.#state = { kind: 'refused' };
    if (reply.kind === 'refusal') return { kind: 'refused' };
    if (reply.kind === 'challenge') {
      if (state.kind === 'proving') {
        throw new AuthenticationError(
          'ntlm',
          'Cannot log in by ntlm: the server answered the proof with a new challenge',
        );
      }
      const token = this.#prove(state.negotiate, reply.token);
      this.#state = { kind: 'proving' };
      return { kind: 'send', token };
    }
    this.#state = { kind: 'accepted' };
    return { kind: 'accepted' };
  }

  #prove(negotiate: Buffer, token: string): string {
    if (token.length > MAX_TOKEN_LENGTH) {
      throw new AuthenticationError(
        'ntlm',
        `Cannot read the server's NTLM challenge: it has ${token.length} characters`,
      );
    }
    if (!BASE64.test(token))
      throw new AuthenticationError('ntlm', `Cannot read the server's NTLM challenge: it is no base64`);
    const { names, servicePrincipal, channelBinding, random, now } = this.#setup;
    return authenticateMessage({
      names,
      negotiate,
      challenge: parseChallengeMessage(Buffer.from(token, 'base64')),
      clientChallenge: random(8),
      nowMs: now(),
      servicePrincipal,
      channelBinding,
    }).toString('base64');
  }
}

function misused(how: string, state: NtlmState): HTTPError {
  return new HTTPError(`Bug in urllib3: an NTLM login was ${how} when it was ${state.kind}`);
}
