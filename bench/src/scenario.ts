import type { Finding } from './finding.ts';

/** How much is measured. */
export interface BenchOptions {
  /** Interleaved rounds of each comparison. */
  readonly rounds: number;
  /** A small model and short samples: shows that everything works, not how fast it is. */
  readonly quick: boolean;
  /** Threads of one operator, the same for every contestant. */
  readonly threads: number;
}

/** One question that the bench answers. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Yields each figure as soon as it is known. */
  run(options: BenchOptions): AsyncIterable<Finding>;
}
