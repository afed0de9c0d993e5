import { type Finding, meets } from './finding.ts';
import type { Machine } from './machine.ts';
import type { BenchOptions } from './scenario.ts';

/** What `--json` writes. */
export interface Report {
  readonly bench: 'engine' | 'queue' | 'api';
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  readonly options: BenchOptions;
  readonly scenarios: readonly {
    readonly name: string;
    readonly seconds: number;
    readonly findings: readonly Finding[];
  }[];
}

/** One aligned line: value, unit, how far it may be off, the target and whether it is met. */
export function findingLine(finding: Finding): string {
  const { name, unit, value, pairs, difference, target } = finding;
  const samples = pairs ?? difference;
  const spread =
    samples === undefined ? '' : ` [${format(samples.low)}–${format(samples.high)}], ${samples.pairs} pairs`;
  const wanted = target === undefined ? '' : 'atLeast' in target ? `  ≥ ${target.atLeast}` : `  ≤ ${target.atMost}`;
  const verdict = { true: '  met', false: '  NOT met', undefined: '' }[String(meets(finding)) as 'true'];
  return `  ${name.padEnd(58)} ${format(value).padStart(9)} ${unit}${spread}${wanted}${verdict}`;
}

function format(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3);
}
