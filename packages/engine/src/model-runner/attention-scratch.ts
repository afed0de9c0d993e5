import type { BatchingPolicy } from '../engine-options.ts';

/** Kernels of ONNX Runtime for attention over a cache, see `SessionOptions.attention` of `@shoal/ort`. */
export type Attention = 'plain' | 'tiled';

/** What the plain kernel may take for its scores. */
const SCRATCH_BYTES = 256 * 2 ** 20;
/** A prefill in smaller pieces than this would cost more than the plain kernel saves. */
const LEAST_PASS = 256;
/** Of a decoder that does not say how many it has: more than most small ones have. */
const ASSUMED_HEADS = 32;

/** Tokens of one pass whose scores fit the scratch: each has one per head and position allocated. */
function tokensOfScratch(heads: number, maxModelLen: number): number {
  return Math.floor(SCRATCH_BYTES / (4 * heads * maxModelLen));
}

/**
 * The plain kernel, which decodes rows of unequal length faster, wherever its scratch stays small: for passes of a useful
 * size, or, where prompts are not cut into pieces (static batching), for the longest prompt.
 */
export function chooseAttention(
  heads: number = ASSUMED_HEADS,
  { maxModelLen, batching }: { maxModelLen: number; batching: BatchingPolicy },
): Attention {
  const longest = batching === 'static' ? maxModelLen : LEAST_PASS;
  return tokensOfScratch(heads, maxModelLen) >= longest ? 'plain' : 'tiled';
}

/** The most tokens that one pass may compute for the sake of the scratch. */
export function attentionTokens(attention: Attention, heads: number = ASSUMED_HEADS, maxModelLen: number): number {
  return attention === 'plain' ? tokensOfScratch(heads, maxModelLen) : Number.POSITIVE_INFINITY;
}
