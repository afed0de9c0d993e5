import { type Distribution, draw, type Narrowing } from './distribution.ts';

/** One row in full: for the draws that a row's candidates cannot decide. */
export interface WholeRow {
  /** `[vocabSize]`, additions included. */
  logits: Float32Array;
  temperature: number;
  /** log Σ exp(logit / temperature). */
  logSumExp: number;
}

/** How many of the most likely tokens are sorted out before all of them are. */
const FIRST_SORTED = 2048;

/** {@link draw} over the whole vocabulary. Takes milliseconds where the candidates take microseconds. */
export function drawFromRow(row: WholeRow, narrowing: Narrowing, u: number): number {
  const some = draw(mostLikely(row, Math.min(FIRST_SORTED, row.logits.length)), narrowing, u);
  const token = some ?? draw(mostLikely(row, row.logits.length), narrowing, u);
  if (token === undefined) throw new Error('the distribution has no token to choose');
  return token;
}

/**
 * The token at `u` where nothing narrows the choice and the candidates end before it: the others lie behind them side
 * by side, in order of their ids, so that nothing needs sorting.
 */
export function drawBeyond(row: WholeRow, candidates: Distribution, u: number): number {
  const taken = new Set<number>();
  let reached = 0;
  for (let index = 0; index < candidates.size; index++) {
    taken.add(candidates.id(index));
    reached += candidates.probability(index);
  }
  const { logits, temperature, logSumExp } = row;
  let last = candidates.id(candidates.size - 1);
  for (let id = 0; id < logits.length; id++) {
    const probability = Math.exp((logits[id] ?? 0) / temperature - logSumExp);
    if (probability === 0 || taken.has(id)) continue;
    reached += probability;
    last = id;
    if (reached > u) break;
  }
  return last;
}

function mostLikely({ logits, temperature, logSumExp }: WholeRow, size: number): Distribution {
  const sorted = logits.slice().sort();
  const lowest = sorted[logits.length - size] ?? Number.NEGATIVE_INFINITY;
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if ((logits[id] ?? Number.NaN) >= lowest) ids.push(id);
  ids.sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
  return {
    size: ids.length,
    complete: ids.length === logits.length,
    id: (index) => ids[index] ?? -1,
    probability: (index) => Math.exp((logits[ids[index] ?? -1] ?? Number.NEGATIVE_INFINITY) / temperature - logSumExp),
  };
}
