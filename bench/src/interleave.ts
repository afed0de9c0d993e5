import { random, shuffled } from './random.ts';

/** Something that is measured again and again. */
export interface Contestant {
  readonly name: string;
  /** One sample, such as tokens per second. */
  measure(): Promise<number>;
  close?(): Promise<void>;
}

/** Samples by contestant; the i-th of each were taken in the same round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/**
 * Lets every contestant measure once per round, in an order drawn anew each round, so that drifts of the machine and
 * effects of the predecessor hit all alike. One round before the first is not counted: caches fill, weights are packed.
 */
export async function interleave(contestants: readonly Contestant[], rounds: number): Promise<Samples> {
  const samples = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  if (samples.size !== contestants.length) throw new Error('contestants need different names');
  const next = random(1);
  for (const contestant of contestants) await contestant.measure();
  for (let round = 0; round < rounds; round++) {
    for (const contestant of shuffled(contestants, next)) {
      samples.get(contestant.name)?.push(await contestant.measure());
    }
  }
  return samples;
}
