/** Median of at least one number. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Quantile by linear interpolation between order statistics; `share` in 0…1. NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)];
  const above = sorted[Math.ceil(at)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** How often one contestant is of another, pair by pair. */
export interface PairedRatio {
  readonly median: number;
  /** Quartiles of the pairs' ratios. */
  readonly low: number;
  readonly high: number;
  readonly pairs: number;
}

/** Ratios of samples that were taken beside one another: what slowed the machine down slowed both. */
export function pairedRatio(above: readonly number[], below: readonly number[]): PairedRatio {
  const ratios = inPairs(above, below, (value, other) => value / other);
  return {
    median: median(ratios),
    low: quantile(ratios, 0.25),
    high: quantile(ratios, 0.75),
    pairs: ratios.length,
  };
}

/** By how much one of a pair is more than the other. */
export interface PairedDifference {
  readonly median: number;
  /** The median of all such pairs that there could be lies between these in 19 of 20 runs; few pairs tell less. */
  readonly low: number;
  readonly high: number;
  readonly pairs: number;
}

/**
 * Differences of samples that were taken beside one another. The bounds are order statistics: of n pairs, the number
 * below the true median is binomial, n/2 with a deviation of √n/2.
 */
export function pairedDifference(above: readonly number[], below: readonly number[]): PairedDifference {
  const differences = inPairs(above, below, (value, other) => value - other);
  const margin = Math.min(0.5, 0.98 / Math.sqrt(differences.length));
  return {
    median: median(differences),
    low: quantile(differences, 0.5 - margin),
    high: quantile(differences, 0.5 + margin),
    pairs: differences.length,
  };
}

function inPairs(
  above: readonly number[],
  below: readonly number[],
  compare: (above: number, below: number) => number,
): number[] {
  if (above.length !== below.length || above.length === 0) {
    throw new Error(`${above.length} and ${below.length} samples do not make pairs`);
  }
  return above.map((value, i) => compare(value, below[i] ?? Number.NaN));
}
