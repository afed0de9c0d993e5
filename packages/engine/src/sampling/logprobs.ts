import type { ChosenLogprob, TokenLogprob } from '@shoal/protocol';

/**
 * The log probability of the chosen token and of the `top` most likely ones, under the model itself: temperature 1,
 * nothing added.
 *
 * @param textOf what a token would write as the next one
 */
export function logprobsOf(
  logits: Float32Array,
  chosen: number,
  top: number,
  textOf: (tokenId: number) => string,
): ChosenLogprob {
  const leaders = mostLikely(logits, Math.max(1, top));
  const highest = logits[leaders[0] ?? 0] ?? 0;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp((logits[id] ?? 0) - highest);
  const logSumExp = highest + Math.log(sum);
  const describe = (tokenId: number): TokenLogprob => ({
    tokenId,
    text: textOf(tokenId),
    logprob: (logits[tokenId] ?? 0) - logSumExp,
  });
  return { ...describe(chosen), top: leaders.slice(0, top).map(describe) };
}

/** Ids of the `count` highest logits, highest first; of equal ones the lower id comes first. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const leaders: number[] = [];
  const at = (index: number) => logits[leaders[index] ?? -1] ?? Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? 0;
    if (leaders.length === count && logit <= at(count - 1)) continue;
    let place = leaders.length;
    while (place > 0 && at(place - 1) < logit) place--;
    leaders.splice(place, 0, id);
    leaders.length = Math.min(leaders.length, count);
  }
  return leaders;
}
