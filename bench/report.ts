/**
 * The report as text: a table per scenario, and the promises with their verdicts. Pure.
 */
import type { Judgement } from './budgets.js';
import { CLIENTS } from './clients/registry.js';
import { type Metric, metricsOf } from './metrics.js';
import type { Cell, Row, ScenarioSummary } from './summary.js';

/**
 * The table of one scenario. A ratio column says how many times better the reference client did; `busy` well under 100 %
 * says that the client waited for the server, so that the ratio of processor times tells more than that of rates.
 */
export function scenarioTable({ scenario, reference, rows }: ScenarioSummary): string {
  const metrics = metricsOf(scenario.work);
  const ratioHeading = `${labelOf(reference)} is`;
  // Opening connections is not what the idle scenario is about.
  const timed = scenario.work.kind !== 'idle';
  const headings = ['client', ...metrics.flatMap(({ heading }) => [heading, ratioHeading, 'spread'])];
  if (timed) headings.push('busy');
  const failures = rows.filter(({ error }) => error !== null);
  return [
    `${scenario.name}: ${scenario.title}`,
    table([headings, ...rows.map((row) => rowTexts(row, metrics, timed))]),
    ...failures.map(({ client, error }) => `  ! ${labelOf(client)} failed: ${error}`),
  ].join('\n');
}

/** The promises, one to a line, verdict first. */
export function promisesTable(judgements: readonly Judgement[]): string {
  const lines = judgements.map(({ verdict, budget, measured }) => [verdict, budget.text, measured]);
  return ['Ratios that we promise', table(lines, ['left', 'left', 'left'])].join('\n');
}

export function labelOf(client: string): string {
  return CLIENTS.find(({ name }) => name === client)?.label ?? client;
}

/** Columns as wide as their widest text; by default the first to the left and the others to the right. */
export function table(rows: readonly (readonly string[])[], align: readonly ('left' | 'right')[] = ['left']): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((text, column) => {
      widths[column] = Math.max(widths[column] ?? 0, text.length);
    });
  }
  const place = (text: string, column: number) =>
    align[column] === 'left' ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(place).join('  ').trimEnd()}`).join('\n');
}

function rowTexts({ client, cells, busy }: Row, metrics: readonly Metric[], timed: boolean): string[] {
  const texts = [labelOf(client), ...metrics.flatMap((metric) => cellTexts(metric, cells))];
  if (timed) texts.push(busy === null ? '-' : `${Math.round(busy * 100)} %`);
  return texts;
}

function cellTexts(metric: Metric, cells: readonly Cell[]): string[] {
  const cell = cells.find(({ metric: key }) => key === metric.key);
  const value = cell?.value ? metric.show(cell.value.median) : '-';
  if (!cell?.ratio) return [value, '-', '-'];
  const { median, min, max } = cell.ratio;
  return [value, `${median.toFixed(2)}x`, `${min.toFixed(2)}..${max.toFixed(2)}`];
}
