/**
 * How an exchange fails: with what, and how far it had got by then.
 *
 * In a file of its own, because who judges failures (attempt.ts) must not load the engine: a manager over `fetch` has none.
 */

/** How far a failed exchange had got: the server has seen nothing, perhaps the request, or has begun to answer. */
export type Reached = 'nothing-sent' | 'request-sent' | 'response-began';

/** What a failed exchange rejects with; the pool unwraps it. */
export class ExchangeFailure {
  readonly error: unknown;
  readonly reached: Reached;
  /** The caller's own doing (an abort, a body that failed): to be raised as it is, and never to be repeated. */
  readonly isFinal: boolean;

  constructor(error: unknown, reached: Reached, isFinal = false) {
    this.error = error;
    this.reached = reached;
    this.isFinal = isFinal;
  }
}
