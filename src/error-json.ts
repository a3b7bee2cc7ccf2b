/**
 * An error as plain data for logs that are JSON: what it says of itself, and its causes, to a bounded depth.
 *
 * Knows no class, so that exceptions.ts can use it: what an error of ours has beside name, message and code is asked for.
 */
import type { AttemptBill, FailedAttempt, Phase } from './attempt-records.js';
import { describe, oneLine } from './excerpt.js';

/** A cause, as `HTTPError.toJSON()` gives it. */
export interface CauseJSON {
  readonly name: string;
  readonly message: string;
  readonly code: string | null;
  readonly cause: CauseJSON | null;
}

/** What `HTTPError.toJSON()` gives: plain data without secrets, pools or stacks. */
export interface ErrorJSON extends CauseJSON {
  readonly phase: Phase | null;
  readonly address: string | null;
  /** Of errors about one URL. */
  readonly url?: string;
  /** Of a `MaxRetryError`; the errors without their causes. */
  readonly attempts?: readonly AttemptJSON[];
  /** Of a `DeadlineExceededError`: seconds. */
  readonly deadline?: number;
  /** Of a `DeadlineExceededError`. */
  readonly bill?: readonly AttemptBill[];
  /** Of a `ProxyError`. */
  readonly status?: number | null;
}

/** A failed attempt; its error without causes. */
export interface AttemptJSON extends Omit<FailedAttempt, 'error'> {
  readonly error: ErrorSummary | null;
}

/** What is said of any error. */
export type ErrorSummary = Omit<CauseJSON, 'cause'>;

/** What an error of ours has beside what every error has; null for an error of others. */
export type DetailsOf = (error: Error) => Omit<ErrorJSON, keyof CauseJSON> | null;

/** How many causes an error has in JSON. */
const MAX_JSON_CAUSES = 8;

/** @param details - what `error` has beside what every error has */
export function errorJSON<Details extends object>(error: Error, details: Details, detailsOf: DetailsOf) {
  return { ...summary(error), ...details, cause: causeJSON(error, detailsOf, new Set()) };
}

export function attemptJSON(attempt: FailedAttempt): AttemptJSON {
  return { ...attempt, error: attempt.error === null ? null : summary(attempt.error) };
}

function summary(error: Error): ErrorSummary {
  const code: unknown = Reflect.get(error, 'code');
  // What a caller of ours threw may have any name and message.
  const [name, message] = [String(error.name), oneLine(String(error.message))];
  return { name, message, code: typeof code === 'string' ? code : null };
}

/** @param above - the errors that this one was a cause of: it must not be one of its own */
function causeJSON(error: Error, detailsOf: DetailsOf, above: Set<unknown>): CauseJSON | null {
  const { cause } = error;
  above.add(error);
  if (cause === undefined || above.has(cause) || above.size > MAX_JSON_CAUSES) return null;
  if (!(cause instanceof Error)) return { name: typeof cause, message: describe(cause), code: null, cause: null };
  return { ...summary(cause), ...detailsOf(cause), cause: causeJSON(cause, detailsOf, above) };
}
