/** The value below which a share of all values lies (nearest rank); NaN of nothing. */
function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Figures of a list of durations, in milliseconds. */
export function spread(name: string, values: readonly number[], digits: number = 0): Record<string, number> {
  const round = (value: number): number => Math.round(value * 10 ** digits) / 10 ** digits;
  return {
    [`${name}P50`]: round(percentile(values, 0.5)),
    [`${name}P95`]: round(percentile(values, 0.95)),
    [`${name}Max`]: round(percentile(values, 1)),
  };
}
