import { drawByBlocks, type Narrowing, sumOf } from './distribution.ts';
import { massAbove } from './mass-above.ts';

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
  const total = sumOf(masses);
  const wanted = topP * (threshold === 0 ? total : massFrom(probabilities, threshold));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const token = drawByBlocks(probabilities, masses, uniformAt(attempt) * total);
    if ((probabilities[token] ?? 0) < threshold) continue;
    if (topP === 1 || lessBefore(probabilities, masses, { token, wanted, total })) return token;
  }
  return undefined;
}

/** The mass of tokens that are at least this likely. */
function massFrom(probabilities: Float32Array, threshold: number): number {
  let sum = 0;
  for (const probability of probabilities) if (probability >= threshold) sum += probability;
  return sum;
}

/** Blocks that are looked through before it is asked again whether it is certain. */
const STRIDE = 8;

/**
 * Whether the tokens before this one have less than `wanted` of the `total` mass together. Beginning with the token's own
 * block, and only until it is certain: with the mass `m` behind the token, about (1 − topP) / m of the row.
 */
function lessBefore(
  probabilities: Float32Array,
  masses: Float32Array,
  { token, wanted, total }: { token: number; wanted: number; total: number },
): boolean {
  const size = probabilities.length / masses.length;
  const home = Math.floor(token / size);
  const own = probabilities[token] ?? 0;
  // Of tokens as likely those of lower id come before it.
  const below = nextBelow(own);
  let before = massAbove(probabilities, home * size, token, below);
  before += massAbove(probabilities, token, (home + 1) * size, own);
  let unseen = total - (masses[home] ?? 0);
  for (const { first, end, bound } of [
    { first: home + 1, end: masses.length, bound: own },
    { first: 0, end: home, bound: below },
  ]) {
    for (let block = first; block < end; block += STRIDE) {
      if (before >= wanted || before + unseen < wanted) return before < wanted;
      const next = Math.min(block + STRIDE, end);
      before += massAbove(probabilities, block * size, next * size, bound);
      for (let seen = block; seen < next; seen++) unseen -= masses[seen] ?? 0;
    }
  }
  return before < wanted;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The largest float32 number below one that is above 0. */
function nextBelow(value: number): number {
  float[0] = value;
  bits[0] = (bits[0] ?? 0) - 1;
  return float[0] ?? 0;
}
