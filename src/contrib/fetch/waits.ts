/**
 * The waits of one exchange: each ends with what it waits for, by its timeout, or by the caller's signal, whichever comes first.
 *
 * The first verdict stands, and is what every wait rejects with, whatever a `fetch` makes of an abort: some reject with the
 * signal's reason, some with an error of their own, and one that does not listen keeps nobody waiting.
 */
import { quietTimer, timerMs } from '../../util/timeout.js';

export class Waits {
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal | null;
  readonly #late: (seconds: number) => Error;
  readonly #waiting = new Set<(verdict: unknown) => void>();
  #verdict: { readonly error: unknown } | null = null;
  #totalTimer: NodeJS.Timeout | null = null;
  #progressMs = 0;

  /**
   * @param signal - the caller's
   * @param late - what a wait that was too long is ended with
   */
  constructor(signal: AbortSignal | null, late: (seconds: number) => Error) {
    this.#signal = signal;
    this.#late = late;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** For `fetch`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why everything was ended; null as long as nothing was. */
  get verdict(): { readonly error: unknown } | null {
    return this.#verdict;
  }

  /**
   * What `pending` resolves to.
   *
   * @param seconds - that it may take, counted anew from each {@link progress}; null for ever
   * @throws the verdict, or else what `pending` rejects with
   */
  until<T>(pending: Promise<T>, seconds: number | null): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const stop = seconds === null ? null : this.#watch(seconds);
      const forget = () => {
        this.#waiting.delete(giveUp);
        stop?.();
      };
      const giveUp = (error: unknown) => {
        forget();
        reject(error);
      };
      this.#waiting.add(giveUp);
      if (this.#verdict !== null) giveUp(this.#verdict.error);
      pending.then(
        (value) => {
          forget();
          resolve(value);
        },
        (error) => giveUp(this.#verdict === null ? error : this.#verdict.error),
      );
    });
  }

  /** Something went on: no wait is too long yet. */
  progress(): void {
    this.#progressMs = performance.now();
  }

  /** Ends everything after so many seconds, whatever goes on, unless {@link endTotal} comes before. */
  beginTotal(seconds: number): void {
    this.#totalTimer = quietTimer(() => this.end(this.#late(seconds)), timerMs(seconds));
  }

  endTotal(): void {
    if (this.#totalTimer !== null) clearTimeout(this.#totalTimer);
    this.#totalTimer = null;
  }

  /** Ends every wait, now and to come, and what `fetch` is doing. */
  end(error: unknown): void {
    if (this.#verdict !== null) return;
    this.#verdict = { error };
    for (const reject of this.#waiting) reject(error);
    this.#controller.abort(error);
  }

  /** Nothing is waited for any more. */
  release(): void {
    this.endTotal();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  /** A timer that is not moved on with each progress: it looks for one when it fires. */
  #watch(seconds: number): () => void {
    const limitMs = timerMs(seconds);
    this.progress();
    const check = () => {
      const leftMs = limitMs - (performance.now() - this.#progressMs);
      // Timers of some runtimes fire a little early.
      if (leftMs > 1) timer = quietTimer(check, leftMs);
      else this.end(this.#late(seconds));
    };
    let timer = quietTimer(check, limitMs);
    return () => clearTimeout(timer);
  }

  readonly #onAbort = (): void => this.end(this.#signal?.reason);
}
