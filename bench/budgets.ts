/**
 * The ratios that the project promises, as data, and the verdict on each.
 *
 * A rate that the server limits says little about a client, so a promise about rates that is missed by the rate and kept
 * by the processor time of a request has a verdict of its own. Verdicts inform; they fail nothing.
 */
import { OURS } from './clients/registry.js';
import type { Metric } from './metrics.js';
import type { Spread } from './statistics.js';
import { findCell, type ScenarioSummary } from './summary.js';

export type Budget = { readonly scenario: string; readonly text: string } & (
  | { readonly kind: 'rate-at-least'; readonly peer: string; readonly times: number }
  | { readonly kind: 'cpu-at-most'; readonly peer: string; readonly times: number }
  | { readonly kind: 'value-at-most'; readonly metric: Metric['key']; readonly limit: number; readonly unit: string }
);

export type Verdict = 'met' | 'met on CPU' | 'not met' | 'not measured';

export interface Judgement {
  readonly budget: Budget;
  readonly verdict: Verdict;
  readonly measured: string;
}

export const BUDGETS: readonly Budget[] = [
  ...[10, 50].flatMap((connections): Budget[] => [
    rateAtLeast(`small-http-${connections}`, 'undici-request', 3, `${connections} connections: 3x undici request()`),
    rateAtLeast(
      `small-http-${connections}`,
      'undici-pool',
      2.2,
      `${connections} connections: 2.2x undici Pool.request`,
    ),
    {
      kind: 'cpu-at-most',
      scenario: `small-http-${connections}`,
      text: `${connections} connections: CPU per request at most 1.5x the floor`,
      peer: 'floor',
      times: 1.5,
    },
    rateAtLeast(
      `small-https-${connections}`,
      'undici-request',
      2,
      `${connections} connections, HTTPS: 2x undici request()`,
    ),
  ]),
  ...[
    { scenario: 'tls-resumed', keys: 'ECDSA' },
    { scenario: 'tls-resumed-rsa', keys: 'RSA' },
  ].map(
    ({ scenario, keys }): Budget => ({
      kind: 'cpu-at-most',
      scenario,
      text: `new TLS connection, ${keys}: CPU at most 0.7x with resumption of what it is without`,
      peer: 'urllib3-unresumed',
      times: 0.7,
    }),
  ),
  rateAtLeast('proxy-http-10', 'undici-proxy', 2, 'absolute form through a proxy: 2x undici ProxyAgent'),
  rateAtLeast('proxy-squid-10', 'undici-proxy', 2, 'absolute form through squid: 2x undici ProxyAgent'),
  rateAtLeast('tunnel-10', 'urllib3-relayed', 0.95, 'through a tunnel: 0.95x of what it is without one'),
  rateAtLeast('large-download', 'undici-request', 1.2, 'large download: 1.2x undici request()'),
  {
    kind: 'value-at-most',
    scenario: 'large-download',
    text: 'large download: under 120 MB of resident memory',
    metric: 'peakRss',
    limit: 120,
    unit: 'MB',
  },
  {
    kind: 'value-at-most',
    scenario: 'idle',
    text: 'idle connection: at most 14 kB of resident memory',
    metric: 'idleRss',
    limit: 14,
    unit: 'kB',
  },
];

/** Judges by the medians. */
export function judge(budget: Budget, summaries: readonly ScenarioSummary[]): Judgement {
  const summary = summaries.find(({ scenario }) => scenario.name === budget.scenario);
  switch (budget.kind) {
    case 'rate-at-least':
      return judgeRate(
        budget,
        budget.times,
        ratioToUs(summary, budget.peer, 'rate'),
        ratioToUs(summary, budget.peer, 'cpu'),
      );
    case 'cpu-at-most':
      return judgeCpu(budget, budget.times, ratioToUs(summary, budget.peer, 'cpu'));
    case 'value-at-most':
      return judgeValue(budget, budget, findCell(summary, OURS, budget.metric)?.value ?? null);
    default:
      return budget satisfies never;
  }
}

function rateAtLeast(scenario: string, peer: string, times: number, text: string): Budget {
  return { kind: 'rate-at-least', scenario, peer, times, text };
}

function ratioToUs(summary: ScenarioSummary | undefined, peer: string, metric: Metric['key']): Spread | null {
  return summary?.reference === OURS ? (findCell(summary, peer, metric)?.ratio ?? null) : null;
}

function judgeRate(budget: Budget, times: number, rate: Spread | null, cpu: Spread | null): Judgement {
  if (rate === null || cpu === null) return unmeasured(budget);
  const verdict = rate.median >= times ? 'met' : cpu.median >= times ? 'met on CPU' : 'not met';
  return { budget, verdict, measured: `rate ${showRatio(rate)}, CPU ${showRatio(cpu)}` };
}

function judgeCpu(budget: Budget, times: number, cpu: Spread | null): Judgement {
  if (cpu === null) return unmeasured(budget);
  // The table's ratio is theirs over ours; the promise is about ours over theirs.
  const ours = { median: 1 / cpu.median, min: 1 / cpu.max, max: 1 / cpu.min };
  return { budget, verdict: ours.median <= times ? 'met' : 'not met', measured: `CPU ${showRatio(ours)}` };
}

function judgeValue(
  budget: Budget,
  { limit, unit }: { readonly limit: number; readonly unit: string },
  value: Spread | null,
): Judgement {
  if (value === null) return unmeasured(budget);
  const verdict = value.median <= limit ? 'met' : 'not met';
  const { median, min, max } = value;
  return { budget, verdict, measured: `${median.toFixed(1)} ${unit} (${min.toFixed(1)}..${max.toFixed(1)})` };
}

function unmeasured(budget: Budget): Judgement {
  return { budget, verdict: 'not measured', measured: '' };
}

function showRatio({ median, min, max }: Spread): string {
  return `${median.toFixed(2)}x (${min.toFixed(2)}..${max.toFixed(2)})`;
}
