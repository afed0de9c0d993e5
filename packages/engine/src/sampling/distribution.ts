/** What narrows the choice. Absent values, topK 0 and topP 1 are off. */
export interface Narrowing {
  topK: number;
  topP: number;
  minP?: number | undefined;
}

export function narrows({ topK, topP, minP = 0 }: Narrowing): boolean {
  return topK > 0 || topP < 1 || minP > 0;
}

/** The most likely tokens of a row, from the most likely down. */
export interface Listed {
  readonly size: number;
  /** True when these are all tokens that there are. */
  readonly complete: boolean;
  id(index: number): number;
  /** Probability among all tokens. */
  probability(index: number): number;
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
export function drawListed(listed: Listed, narrowing: Narrowing, u: number): number | undefined {
  const kept = narrow(listed, narrowing);
  if (kept === undefined) return undefined;
  const target = u * kept.mass;
  let reached = 0;
  for (let index = 0; index < kept.size; index++) {
    reached += listed.probability(index);
    if (reached > target) return listed.id(index);
  }
  // Rounding may leave the sum a hair below the mass: the last one takes that hair.
  return kept.exact ? listed.id(kept.size - 1) : undefined;
}

function narrow(listed: Listed, { topK, topP, minP = 0 }: Narrowing): Kept | undefined {
  let size = listed.size;
  let exact = listed.complete;
  if (minP > 0) {
    const threshold = minP * listed.probability(0);
    let likely = 1;
    while (likely < size && listed.probability(likely) >= threshold) likely++;
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
    for (let index = 0; index < size; index++) mass += listed.probability(index);
  }
  return topP < 1 ? nucleus(listed, { size, mass, exact }, topP * mass) : { size, mass, exact };
}

function nucleus(listed: Listed, kept: Kept, wanted: number): Kept | undefined {
  let mass = 0;
  for (let index = 0; index < kept.size; index++) {
    mass += listed.probability(index);
    if (mass >= wanted) return { size: index + 1, mass, exact: true };
  }
  return kept.exact ? kept : undefined;
}

/** The mass of a row, from those of its blocks. */
export function sumOf(masses: Float32Array): number {
  let total = 0;
  for (const mass of masses) total += mass;
  return total;
}

/**
 * The token at `target` of the whole distribution's mass, its tokens side by side in order of their ids: first the block,
 * then the token in it, so that two short stretches are looked through and not the vocabulary.
 *
 * @param probabilities `[vocabSize]`
 * @param masses sums of the probabilities over consecutive blocks
 * @param target from 0 on, below the sum of `masses`
 */
export function drawByBlocks(probabilities: Float32Array, masses: Float32Array, target: number): number {
  let reached = 0;
  let block = 0;
  while (block < masses.length - 1 && reached + (masses[block] ?? 0) <= target) reached += masses[block++] ?? 0;
  const size = probabilities.length / masses.length;
  let last = block * size;
  for (let id = block * size; id < (block + 1) * size; id++) {
    const probability = probabilities[id] ?? 0;
    if (probability === 0) continue;
    last = id;
    reached += probability;
    if (reached > target) break;
  }
  return last;
}
