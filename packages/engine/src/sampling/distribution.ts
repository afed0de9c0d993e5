/** The head of a row's distribution: its most likely tokens, from the most likely down. */
export interface Distribution {
  /** Tokens listed. */
  readonly size: number;
  /** True when these are all tokens that there are. */
  readonly complete: boolean;
  id(index: number): number;
  /** Probability among all tokens, after temperature. */
  probability(index: number): number;
}

/** What narrows the choice. Absent values are off. */
export interface Narrowing {
  topK: number;
  topP: number;
  minP?: number | undefined;
}

/** How many of the listed tokens may be chosen, and their mass; `exact` is false when others may be chosen too. */
interface Kept {
  size: number;
  mass: number;
  exact: boolean;
}

/**
 * The token at `u` of the distribution once it is narrowed: tokens below `minP` of the most likely fall out first,
 * then all but the `topK` most likely, then all but the smallest set of those whose share reaches `topP` (the order
 * of vLLM). The tokens lie side by side from the most likely down, each as wide as its probability.
 *
 * @param u uniform in [0, 1)
 * @returns undefined when the listed tokens do not reach far enough to tell
 */
export function draw(distribution: Distribution, narrowing: Narrowing, u: number): number | undefined {
  const kept = narrow(distribution, narrowing);
  if (kept === undefined) return undefined;
  const target = u * kept.mass;
  let reached = 0;
  for (let index = 0; index < kept.size; index++) {
    reached += distribution.probability(index);
    if (reached > target) return distribution.id(index);
  }
  // Rounding may leave the sum a hair below the mass: the last one takes that hair.
  return kept.exact ? distribution.id(kept.size - 1) : undefined;
}

function narrow(distribution: Distribution, { topK, topP, minP = 0 }: Narrowing): Kept | undefined {
  let size = distribution.size;
  let exact = distribution.complete;
  if (minP > 0) {
    const threshold = minP * distribution.probability(0);
    let likely = 1;
    while (likely < size && distribution.probability(likely) >= threshold) likely++;
    if (likely === size && !exact) return undefined;
    size = likely;
    exact = true;
  }
  if (topK > 0) {
    if (topK > size && !exact) return undefined;
    size = Math.min(size, topK);
    exact = true;
  }
  let mass = 1;
  if (exact) {
    mass = 0;
    for (let index = 0; index < size; index++) mass += distribution.probability(index);
  }
  return topP < 1 ? nucleus(distribution, { size, mass, exact }, topP * mass) : { size, mass, exact };
}

function nucleus(distribution: Distribution, kept: Kept, wanted: number): Kept | undefined {
  let mass = 0;
  for (let index = 0; index < kept.size; index++) {
    mass += distribution.probability(index);
    if (mass >= wanted) return { size: index + 1, mass, exact: true };
  }
  return kept.exact ? kept : undefined;
}
