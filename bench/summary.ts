/**
 * From the samples of all rounds to one row per client and scenario: medians, and ratios to the reference client.
 *
 * A ratio says how many times better the reference is, whatever the metric: over 1 is always in its favour. It is formed
 * within each round (statistics.ts says why). The reference is urllib3, or the first client where that was not measured.
 */
import { OURS } from './clients/registry.js';
import type { Sample } from './job.js';
import { busyShare, type Metric, metricsOf } from './metrics.js';
import type { Scenario } from './scenarios.js';
import { pairedRatios, type Spread, spread } from './statistics.js';

/** One measured process, or why it measured nothing. */
export interface Run {
  readonly scenario: string;
  readonly client: string;
  readonly round: number;
  readonly outcome: Sample | { readonly error: string };
}

export interface Cell {
  readonly metric: Metric['key'];
  readonly value: Spread | null;
  readonly ratio: Spread | null;
}

export interface Row {
  readonly client: string;
  readonly cells: readonly Cell[];
  /** Median share of the time in which the client computed. */
  readonly busy: number | null;
  /** The first failure, if any round failed. */
  readonly error: string | null;
}

export interface ScenarioSummary {
  readonly scenario: Scenario;
  readonly reference: string;
  readonly rows: readonly Row[];
}

export function summarize(scenario: Scenario, clients: readonly string[], runs: readonly Run[]): ScenarioSummary {
  const mine = runs.filter((run) => run.scenario === scenario.name);
  const reference = clients.includes(OURS) ? OURS : (clients[0] ?? OURS);
  const referenceSamples = samplesByRound(mine, reference);
  const rows = clients.map((client): Row => {
    const samples = samplesByRound(mine, client);
    const present = samples.filter((sample) => sample !== undefined);
    const cells = metricsOf(scenario.work).map((metric) => cellOf(metric, samples, referenceSamples));
    return { client, cells, busy: spread(present.map(busyShare))?.median ?? null, error: firstError(mine, client) };
  });
  return { scenario, reference, rows };
}

/** The cell of a client and a metric, if that was measured. */
export function findCell(summary: ScenarioSummary | undefined, client: string, key: Metric['key']): Cell | undefined {
  return summary?.rows.find((row) => row.client === client)?.cells.find((cell) => cell.metric === key);
}

type Samples = readonly (Sample | undefined)[];

function cellOf(metric: Metric, samples: Samples, referenceSamples: Samples): Cell {
  const values = samples.map((sample) => sample && metric.of(sample));
  const references = referenceSamples.map((sample) => sample && metric.of(sample));
  const ratios = metric.better === 'more' ? pairedRatios(references, values) : pairedRatios(values, references);
  const present = values.filter((value) => value !== undefined);
  return { metric: metric.key, value: spread(present), ratio: spread(ratios) };
}

/** One place per round, empty where that round failed, so that ratios pair what ran side by side. */
function samplesByRound(runs: readonly Run[], client: string): Samples {
  const samples: (Sample | undefined)[] = [];
  for (const run of runs) {
    if (run.client === client) samples[run.round] = 'error' in run.outcome ? undefined : run.outcome;
  }
  return samples;
}

function firstError(runs: readonly Run[], client: string): string | null {
  for (const { client: name, outcome } of runs) {
    if (name === client && 'error' in outcome) return outcome.error;
  }
  return null;
}
