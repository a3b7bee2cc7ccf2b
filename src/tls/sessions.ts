/**
 * TLS sessions to resume: the second connection to a server spares it and us the certificate and its verification.
 *
 * A server's certificate is not shown again when a session is resumed, and Node then checks no name. So a session is kept
 * only of a connection that was verified, together with the certificate it was verified by, inside the one configuration it
 * was verified under, for one host, port and role (SEC-063, SEC-064). The certificate is checked again by whoever resumes.
 *
 * Tickets of TLS 1.3 are used once where there are more (RFC 8446 appendix C.4), so that an observer cannot link connections;
 * the last one serves until others come, for some servers (Node's are such) give no ticket to who resumes. Sessions of TLS 1.2
 * serve again anyway. Nothing here is weak or timed: what a configuration holds goes when its pool goes.
 */
import { RecentlyUsedContainer } from '../collections.js';

/** A session that may be resumed. */
export interface Resumable {
  /** As Node gave it. */
  readonly session: Buffer;
  /** The certificate that the server showed, in DER; null where no certificate is looked at. */
  readonly certificate: Buffer | null;
  /** When a certificate of the chain expires, and the verification with it. */
  readonly expiresMs: number;
  /** Whether it is to be offered only once, if others are there. */
  readonly isSingleUse: boolean;
}

/** Servers of one configuration: a pool has one, behind a proxy two. */
const MAX_SERVERS = 32;

/** Servers send two tickets with a connection; as many connections may be made at once as there are tickets. */
const MAX_SESSIONS = 16;

/** What was verified counts for this long at most, whatever the server says: authorities and revocations change. */
const MAX_AGE_MS = 3_600_000;

export class SessionStore {
  readonly #byServer = new RecentlyUsedContainer<string, Resumable[]>(MAX_SERVERS);
  readonly #keepsAny: boolean;

  /** @param keepsAny - whether there are to be sessions at all */
  constructor(keepsAny = true) {
    this.#keepsAny = keepsAny;
  }

  /** The newest session for a server; null without one. */
  take(server: string, nowMs = Date.now()): Resumable | null {
    const sessions = this.#byServer.get(server);
    for (let newest = sessions?.at(-1); newest !== undefined; newest = sessions?.at(-1)) {
      const isExpired = newest.expiresMs <= nowMs;
      if (isExpired || (newest.isSingleUse && sessions !== undefined && sessions.length > 1)) sessions?.pop();
      if (!isExpired) return newest;
    }
    return null;
  }

  /** Keeps a session that a verified connection was given. */
  keep(server: string, resumable: Resumable, nowMs = Date.now()): void {
    if (!this.#keepsAny) return;
    const kept = { ...resumable, expiresMs: Math.min(resumable.expiresMs, nowMs + MAX_AGE_MS) };
    const sessions = this.#byServer.get(server);
    if (sessions === undefined) {
      this.#byServer.set(server, [kept]);
      return;
    }
    // Of sessions that serve again, the newest is enough.
    if (!kept.isSingleUse) sessions.length = 0;
    sessions.push(kept);
    if (sessions.length > MAX_SESSIONS) sessions.shift();
  }

  /** Keeps a session again that {@link take} gave, and that was offered to nobody. */
  putBack(server: string, resumable: Resumable): void {
    const sessions = this.#byServer.get(server);
    if (sessions === undefined) this.#byServer.set(server, [resumable]);
    else if (!sessions.includes(resumable)) sessions.push(resumable);
  }

  /** Drops all sessions of a server. */
  forget(server: string): void {
    this.#byServer.delete(server);
  }
}
