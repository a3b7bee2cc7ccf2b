/**
 * The little statistics of the benchmark: medians, and ratios that are taken within a round.
 *
 * Rates on a shared machine drift by more than clients differ, so two clients are compared only inside the same round,
 * and the median of those ratios is reported with its whole spread. Pure.
 */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The middle value, or the mean of the two middle ones; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** Median, smallest and largest of the values; `null` of nothing. */
export function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The ratios `over[i] / under[i]` of the rounds that have both values. */
export function pairedRatios(
  over: readonly (number | undefined)[],
  under: readonly (number | undefined)[],
): readonly number[] {
  return over.flatMap((value, round) => {
    const other = under[round];
    return value === undefined || other === undefined || other === 0 ? [] : [value / other];
  });
}
