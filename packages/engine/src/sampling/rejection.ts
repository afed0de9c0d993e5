import { drawByBlocks, type Narrowing } from './distribution.ts';

/** Draws before the row is ranked after all: each is rejected with the mass of what the narrowing leaves out. */
const ATTEMPTS = 6;

/**
 * Draws from the whole distribution until a token is one of those that minP and topP keep. That is exact, and takes a
 * pass or two over the row where ranking it takes many: a token belongs to the smallest set whose mass reaches topP
 * when the tokens before it do not reach it.
 *
 * @param probabilities `[vocabSize]`
 * @param masses sums of the probabilities over consecutive blocks
 * @param highest the largest probability
 * @param uniformAt the random number of each attempt
 * @returns undefined when every attempt was rejected
 */
export function drawByRejection(
  probabilities: Float32Array,
  masses: Float32Array,
  highest: number,
  { topP, minP = 0 }: Omit<Narrowing, 'topK'>,
  uniformAt: (attempt: number) => number,
): number | undefined {
  const threshold = minP * highest;
  const wanted = topP * massFrom(probabilities, masses, threshold);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const token = drawByBlocks(probabilities, masses, uniformAt(attempt));
    if ((probabilities[token] ?? 0) < threshold) continue;
    if (topP === 1 || massBefore(probabilities, token) < wanted) return token;
  }
  return undefined;
}

/** The mass of tokens that are at least this likely. */
function massFrom(probabilities: Float32Array, masses: Float32Array, threshold: number): number {
  let sum = 0;
  if (threshold === 0) for (const mass of masses) sum += mass;
  else for (const probability of probabilities) if (probability >= threshold) sum += probability;
  return sum;
}

/** The mass of the tokens that come before this one: those more likely, and of those as likely the ones of lower id. */
function massBefore(probabilities: Float32Array, token: number): number {
  const own = probabilities[token] ?? 0;
  let sum = 0;
  // A product instead of a branch that no processor can predict: a third of the time.
  for (let id = 0; id < token; id++) {
    const probability = probabilities[id] ?? 0;
    sum += probability * +(probability >= own);
  }
  for (let id = token + 1; id < probabilities.length; id++) {
    const probability = probabilities[id] ?? 0;
    sum += probability * +(probability > own);
  }
  return sum;
}
