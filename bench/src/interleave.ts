import { Progress } from './progress.ts';
import { random, shuffled } from './random.ts';

/** Something that is measured again and again. */
export interface Contestant<S = number> {
  readonly name: string;
  /** One sample, such as tokens per second, or several figures of one run. */
  measure(): Promise<S>;
  close?(): Promise<void> | void;
}

/** Samples by contestant; the i-th of each were taken in the same round. */
export type Samples<S = number> = ReadonlyMap<string, readonly S[]>;

/**
 * Lets every contestant measure once per round, in an order drawn anew each round, so that drifts of the machine and
 * effects of the predecessor hit all alike. One round before the first is not counted: caches fill, weights are packed.
 */
export async function interleave<S>(contestants: readonly Contestant<S>[], rounds: number): Promise<Samples<S>> {
  const samples = new Map<string, S[]>(contestants.map(({ name }) => [name, []]));
  if (samples.size !== contestants.length) throw new Error('contestants need different names');
  const next = random(1);
  const progress = new Progress(`${contestants.length} contestants`, rounds + 1);
  for (const contestant of contestants) await contestant.measure();
  progress.tell(1);
  for (let round = 0; round < rounds; round++) {
    for (const contestant of shuffled(contestants, next)) {
      samples.get(contestant.name)?.push(await contestant.measure());
    }
    progress.tell(round + 2);
  }
  return samples;
}
