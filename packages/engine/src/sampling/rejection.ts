import { drawByBlocks, type Narrowing } from './distribution.ts';

/** Draws before the row is ranked after all: each is rejected with the mass of what the narrowing leaves out. */
const ATTEMPTS = 6;

/** From this share of the mass on, rejection alone nearly always ends within its attempts: at worst 1 in 1,400 does not. */
const MOST = 0.7;

/** Whether the narrowing leaves so much that a first draw is likely to be accepted. */
export function acceptsMost({ topK, topP, minP = 0 }: Narrowing): boolean {
  return topK === 0 && minP === 0 && topP >= MOST;
}

/**
 * Draws from the whole distribution until a token is one of those that are at least as likely as `threshold`, and of
 * these one of the smallest set whose share reaches `topP`. That is exact, and rarely looks through the whole row: a
 * token belongs to that set when those before it do not reach the wanted mass.
 *
 * @param probabilities `[vocabSize]`
 * @param masses sums of the probabilities over consecutive blocks
 * @param uniformAt the random number of each attempt
 * @returns undefined when every attempt was rejected
 */
export function drawByRejection(
  probabilities: Float32Array,
  masses: Float32Array,
  { threshold, topP }: { threshold: number; topP: number },
  uniformAt: (attempt: number) => number,
): number | undefined {
  const wanted = topP * massFrom(probabilities, masses, threshold);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const token = drawByBlocks(probabilities, masses, uniformAt(attempt));
    if ((probabilities[token] ?? 0) < threshold) continue;
    if (topP === 1 || lessBefore(probabilities, masses, token, wanted)) return token;
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

/**
 * Whether the tokens before this one have less than `wanted` mass together. Block by block, beginning with the token's
 * own, and only until it is certain: with the mass `m` behind the token, about (1 − topP) / m of the row.
 */
function lessBefore(probabilities: Float32Array, masses: Float32Array, token: number, wanted: number): boolean {
  const size = probabilities.length / masses.length;
  const own = Math.floor(token / size);
  let unseen = massFrom(probabilities, masses, 0);
  let before = 0;
  for (let i = 0; i < masses.length; i++) {
    const block = (own + i) % masses.length;
    before += massBefore(probabilities, block * size, (block + 1) * size, token);
    if (before >= wanted) return false;
    unseen -= masses[block] ?? 0;
    if (before + unseen < wanted) return true;
  }
  return true;
}

/**
 * Of the tokens `from` … `to − 1` the mass of those that come before `token`: the more likely ones, and of those as
 * likely the ones of lower id.
 */
function massBefore(probabilities: Float32Array, from: number, to: number, token: number): number {
  const own = probabilities[token] ?? 0;
  const ties = Math.min(Math.max(token, from), to);
  let sum = 0;
  // A product instead of a branch that no processor can predict: a third of the time.
  for (let id = from; id < ties; id++) {
    const probability = probabilities[id] ?? 0;
    sum += probability * +(probability >= own);
  }
  for (let id = ties; id < to; id++) {
    const probability = probabilities[id] ?? 0;
    sum += probability * +(probability > own);
  }
  return sum;
}
