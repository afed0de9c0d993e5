import type { Machine } from '../machine.ts';
import type { Report } from '../report.ts';
import type { Slo } from './measures.ts';
import type { ContestantResult } from './sweep.ts';

/** What `serve --json` writes. */
export interface ServeReport {
  readonly bench: 'serve';
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  /** As it was typed. */
  readonly command: string;
  readonly quick: boolean;
  readonly model: string;
  readonly threads: number;
  readonly batch: number;
  readonly rounds: number;
  readonly minutes: number;
  readonly seed: number;
  readonly slo: Slo;
  /** Requests per second of (a) when it never waits; 100 % of the load. */
  readonly capacity?: number;
  /** False where the load generator was late: then the run says nothing. */
  readonly valid: boolean;
  /** Whether the generator ran before others. */
  readonly generatorFirst: boolean;
  readonly contestants: readonly ContestantResult[];
  readonly scenarios: Report['scenarios'];
}
