import type { SamplingParams } from '@shoal/protocol';
import { uniform } from './random.ts';

/**
 * Picks the next token from the logits of one row, exactly: what is drawn follows the model's own distribution after
 * temperature, cut to the `topK` most likely and then to the smallest set of those whose mass reaches `topP`.
 *
 * @param logits `[vocabSize]`
 * @param position index of the token in the answer
 * @throws when no logit is finite: the model's output is broken for this row
 */
export function sample(logits: Float32Array, params: SamplingParams, seed: number, position: number): number {
  if (params.temperature === 0) return argmax(logits);
  const { ids, weights, total } = candidates(logits, params);
  const target = uniform(seed, 0, position) * total;
  let reached = 0;
  for (const [index, weight] of weights.entries()) {
    reached += weight;
    if (reached > target) return ids[index] ?? 0;
  }
  return ids[weights.length - 1] ?? 0;
}

/** The most likely token; the lowest id among equals. */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? Number.NaN;
    // Not `logit > highest`: a NaN must not pass unseen.
    if (!(logit <= highest)) {
      highest = logit;
      best = id;
    }
  }
  if (!Number.isFinite(highest)) throw new Error('the model returned no finite logit');
  return best;
}

interface Candidates {
  /** From the most likely down. */
  ids: Uint32Array;
  /** Relative probabilities, in the same order. */
  weights: Float64Array;
  total: number;
}

function candidates(logits: Float32Array, params: SamplingParams): Candidates {
  const highest = logits[argmax(logits)] ?? 0;
  const weightOf = (id: number) => Math.exp(((logits[id] ?? 0) - highest) / params.temperature);
  let ids = Uint32Array.from(logits.keys());
  const cut = params.topK > 0 || params.topP < 1;
  if (cut) ids.sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
  if (params.topK > 0) ids = ids.subarray(0, params.topK);
  const weights = Float64Array.from(ids, weightOf);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return params.topP < 1 ? nucleus(ids, weights, total * params.topP) : { ids, weights, total };
}

/** The shortest head of the candidates whose mass reaches `wanted`. */
function nucleus(ids: Uint32Array, weights: Float64Array, wanted: number): Candidates {
  let total = 0;
  let size = 0;
  while (size < weights.length && total < wanted) total += weights[size++] ?? 0;
  return { ids: ids.subarray(0, size), weights: weights.subarray(0, size), total };
}
