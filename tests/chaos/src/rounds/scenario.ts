import type { ChaosCluster } from '../cluster/cluster.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Ask } from '../load/ask.ts';
import type { Answer } from '../load/reference.ts';
import type { Random } from '../random.ts';

/** Where rounds are played: a cluster, what can be asked of it, and the undisturbed answers. */
export interface Arena {
  readonly cluster: ChaosCluster;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly asks: readonly Ask[];
  readonly answers: readonly Answer[];
  readonly signal: AbortSignal;
  /** Tells that one more round is over. */
  told(line: string): void;
}

export type Figures = Readonly<Record<string, number | string>>;

/** A row of the table of what must survive. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Usual number of rounds. */
  readonly rounds: number;
  readonly workers: number;
  /** Settings of the cluster over those of production. */
  readonly env: Readonly<Record<string, string>>;
  readonly stepDelayMs: number;
  /** Tokens of an answer, from – to. */
  readonly tokens: readonly [number, number];
  /** Plays the rounds; broken promises go to the ledger, figures come back. */
  play(arena: Arena, rounds: number): Promise<Figures>;
}

/** What most scenarios run on: the default locks, two workers. */
export const USUAL = {
  workers: 2,
  // Every stream of a round fits on the worker that is left: 16, of up to three choices each.
  env: { MAX_BATCH_SIZE: '48' },
  stepDelayMs: 12,
  tokens: [200, 300],
} as const;
