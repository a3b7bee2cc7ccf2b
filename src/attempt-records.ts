/**
 * What is written down of an attempt for those who read the error: how it ended, and what took the time.
 *
 * Records are frozen copies without secrets, as they are kept and logged. Which attempts are made: connectionpool.ts. How
 * the time is taken: timings.ts.
 */
import { withoutSecrets } from './excerpt.js';

/**
 * What was going on: waiting for a connection of the pool (`queue`), asking for the host's addresses (`resolve`), connecting,
 * being let through by a `proxy`, the handshake of TLS, sending the request, waiting for the head of the response, receiving
 * its `content`.
 */
export type Phase = 'queue' | 'resolve' | 'connect' | 'proxy' | 'tls' | 'send' | 'wait' | 'content';

/** One attempt that failed, or was redirected, as `MaxRetryError` lists it. */
export interface FailedAttempt {
  readonly method: string | null;
  /** Without secrets. */
  readonly url: string | null;
  readonly error: Error | null;
  /** The status of the response, where that was the failure. */
  readonly status: number | null;
  readonly redirectLocation: string | null;
}

/** What one attempt took, as `DeadlineExceededError` lists it. */
export interface AttemptBill {
  readonly method: string;
  /** Without secrets. */
  readonly url: string;
  /** In their order; `backoff` is the wait after the attempt. */
  readonly phases: readonly { readonly phase: Phase | 'backoff'; readonly seconds: number }[];
  /** How it ended: the name of an error, a status; empty for the one that the deadline ended. */
  readonly outcome: string;
}

/** The longest URL in a bill: six of them are one message. */
const MAX_BILL_URL = 200;

export function failedAttempt({ method, url, error, status, redirectLocation }: FailedAttempt): FailedAttempt {
  return Object.freeze({
    method,
    url: url === null ? null : withoutSecrets(url),
    error,
    status,
    redirectLocation: redirectLocation === null ? null : withoutSecrets(redirectLocation),
  });
}

export function attemptBill({ method, url, phases, outcome }: AttemptBill): AttemptBill {
  const copies = phases.map(({ phase, seconds }) => Object.freeze({ phase, seconds }));
  return Object.freeze({ method, url: withoutSecrets(url), phases: Object.freeze(copies), outcome });
}

/** The first and the last three attempts: those between are like them, and a message must end. */
export function shownBill(bill: readonly AttemptBill[]): string {
  if (bill.length <= 6) return bill.map(shownAttempt).join(', ');
  const first = bill.slice(0, 3).map(shownAttempt);
  const last = bill.slice(-3).map(shownAttempt);
  return [...first, `... ${bill.length - 6} more ...`, ...last].join(', ');
}

function shownAttempt({ method, url, phases, outcome }: AttemptBill): string {
  const target = withoutSecrets(url);
  const took = phases.filter(({ phase }) => phase !== 'backoff').map(shownPhase);
  const waits = phases.filter(({ phase }) => phase === 'backoff').map((wait) => `, ${shownPhase(wait)}`);
  const end = outcome === '' ? '' : `: ${outcome}`;
  const shown = target.length > MAX_BILL_URL ? `${target.slice(0, MAX_BILL_URL)}...` : target;
  return `${method} ${shown} [${took.join(', ')}${end}]${waits.join('')}`;
}

function shownPhase({ phase, seconds }: AttemptBill['phases'][number]): string {
  return `${phase} ${seconds.toFixed(3)}`;
}
