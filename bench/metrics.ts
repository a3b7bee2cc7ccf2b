/**
 * What is read off a sample: rate, processor time, memory; which of them a scenario is about, and how they are written.
 *
 * Pure. Units: MiB/s and CPU by MiB for transfers; memory in decimal kB and MB, the stricter reading of a budget.
 */
import type { Sample } from './job.js';
import type { Work } from './scenarios.js';

export interface Metric {
  readonly key: 'rate' | 'cpu' | 'peakRss' | 'idleRss';
  readonly heading: string;
  readonly better: 'more' | 'less';
  of(sample: Sample): number;
  show(value: number): string;
}

const MIB = 2 ** 20;

const REQUEST_RATE: Metric = {
  key: 'rate',
  heading: 'req/s',
  better: 'more',
  of: ({ operations, seconds }) => operations / seconds,
  show: showNumber,
};

const REQUEST_CPU: Metric = {
  key: 'cpu',
  heading: 'CPU µs/req',
  better: 'less',
  of: ({ operations, cpuSeconds }) => (cpuSeconds * 1e6) / operations,
  show: showNumber,
};

const THROUGHPUT: Metric = {
  key: 'rate',
  heading: 'MiB/s',
  better: 'more',
  of: ({ contentBytes, seconds }) => contentBytes / MIB / seconds,
  show: showNumber,
};

const TRANSFER_CPU: Metric = {
  key: 'cpu',
  heading: 'CPU µs/MiB',
  better: 'less',
  of: ({ contentBytes, cpuSeconds }) => (cpuSeconds * 1e6) / (contentBytes / MIB),
  show: showNumber,
};

const PEAK_RSS: Metric = {
  key: 'peakRss',
  heading: 'peak RSS MB',
  better: 'less',
  of: ({ peakRssBytes }) => peakRssBytes / 1e6,
  show: showNumber,
};

const IDLE_RSS: Metric = {
  key: 'idleRss',
  heading: 'kB RSS/connection',
  better: 'less',
  of: ({ bytesPerConnection }) => (bytesPerConnection ?? Number.NaN) / 1000,
  show: showNumber,
};

/** What a scenario is about; the first is what it is mainly about. */
export function metricsOf(work: Work): readonly Metric[] {
  switch (work.kind) {
    case 'requests':
    case 'uploads':
      return [REQUEST_RATE, REQUEST_CPU];
    case 'download':
    case 'upload':
      return [THROUGHPUT, TRANSFER_CPU, PEAK_RSS];
    case 'idle':
      return [IDLE_RSS];
    default:
      return work satisfies never;
  }
}

/** Share of the wall time in which the process computed: well under 1 says that the server was waited for. */
export function busyShare({ cpuSeconds, seconds }: Sample): number {
  return cpuSeconds / seconds;
}

/** Three significant digits, and thousands in groups. */
function showNumber(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
