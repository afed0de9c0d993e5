import type { PairedDifference, PairedRatio } from './statistics.ts';

/** What a figure must reach, from the issue that asked for it. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

/** One line of a report. */
export interface Finding {
  readonly name: string;
  /** 'ratio', 'tokens/s', 'ms', 'MB', … */
  readonly unit: string;
  readonly value: number;
  /** For ratios of interleaved samples. */
  readonly pairs?: PairedRatio;
  /** For differences of interleaved samples. */
  readonly difference?: PairedDifference;
  readonly target?: Target;
}

export function meets({ value, target }: Finding): boolean | undefined {
  if (target === undefined) return undefined;
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

/** A ratio finding. */
export function ratioFinding(name: string, pairs: PairedRatio, target?: Target): Finding {
  return { name, unit: 'ratio', value: pairs.median, pairs, ...(target !== undefined && { target }) };
}

/** A finding of a difference in milliseconds. */
export function differenceFinding(name: string, difference: PairedDifference, target?: Target): Finding {
  return { name, unit: 'ms', value: difference.median, difference, ...(target !== undefined && { target }) };
}
