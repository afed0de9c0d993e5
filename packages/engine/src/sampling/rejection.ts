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
  const home = Math.floor(token / size);
  const own = probabilities[token] ?? 0;
  // Of tokens as likely those of lower id come before it: to be above this, a token may be as likely.
  const asOwn = own * LESS;
  let before = massAbove(probabilities, home * size, token, asOwn);
  before += massAbove(probabilities, token, (home + 1) * size, own);
  let unseen = massFrom(probabilities, masses, 0) - (masses[home] ?? 0);
  for (let i = 1; i < masses.length && before < wanted && before + unseen >= wanted; i++) {
    const block = (home + i) % masses.length;
    before += massAbove(probabilities, block * size, (block + 1) * size, block < home ? asOwn : own);
    unseen -= masses[block] ?? 0;
  }
  return before < wanted;
}

/** Makes a float32 number a little smaller, and not as small as the next one. */
const LESS = 1 - 2 ** -26;

/** Of the tokens `from` … `to − 1` the mass of those that are more likely than `bound`. */
function massAbove(probabilities: Float32Array, from: number, to: number, bound: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let id = from;
  // Products instead of branches that no processor can predict, and sums that need not wait for one another.
  for (; id < to - 3; id += 4) {
    const p = probabilities[id] ?? 0;
    const q = probabilities[id + 1] ?? 0;
    const r = probabilities[id + 2] ?? 0;
    const s = probabilities[id + 3] ?? 0;
    a += p * +(p > bound);
    b += q * +(q > bound);
    c += r * +(r > bound);
    d += s * +(s > bound);
  }
  for (; id < to; id++) {
    const p = probabilities[id] ?? 0;
    a += p * +(p > bound);
  }
  return a + b + c + d;
}
