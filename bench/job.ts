/**
 * What passes between the process that orchestrates (run.ts) and the processes that measure (measure.ts): a job goes
 * down as one argument, a sample comes back as one line, both JSON.
 */
import type { SessionProxy } from './clients/client.js';
import type { Work } from './scenarios.js';

export interface Job {
  /** Name of a module in clients/. */
  readonly client: string;
  readonly work: Work;
  readonly origin: string;
  readonly proxy: SessionProxy | null;
  /** The authorities to trust, in PEM. */
  readonly ca: string;
  /** Address of the built library, as `file:` URL. */
  readonly library: string;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** What one process measured. Everything before the end of the warm-up is left out, but for the peak of memory. */
export interface Sample {
  /** Requests that were answered, or 1 for a single transfer. */
  readonly operations: number;
  /** Bytes of content that came down or went up. */
  readonly contentBytes: number;
  readonly seconds: number;
  /** User and system time of the whole process: the loop, the collector, the thread pool. */
  readonly cpuSeconds: number;
  /** Largest resident set of the process since it began. */
  readonly peakRssBytes: number;
  /** Growth of the resident set by an idle connection; only in the idle scenario. */
  readonly bytesPerConnection: number | null;
}
