/**
 * Positions that one pass of a prefill computes. Not more: what a chunk of the prompt leaves unfinished is computed
 * again with the next one. Not less: a pass copies the whole cache in front of it.
 */
const PREFILL_BLOCK = 32;

/** Rows whose caches are padded to the same multiple of this decode together. */
const DECODE_BUCKET = 64;

/** Where the block that holds `position` begins. */
export function blockStart(position: number): number {
  return position - (position % PREFILL_BLOCK);
}

/** Positions of the block that begins at `start`, whatever part of it a prompt fills. */
export function blockLength(start: number, contextLength: number): number {
  return Math.min(PREFILL_BLOCK, contextLength - start);
}

/** Columns that the cache of a row with `past` positions is padded to in a decode step. */
export function paddedPast(past: number, contextLength: number): number {
  // Graphs may hold tables of positions, or causal masks, of the context's length.
  return Math.min(Math.ceil(past / DECODE_BUCKET) * DECODE_BUCKET, contextLength - 1);
}

/** Positions of padding per running sequence at most: for the budget. */
export const MOST_PADDING: number = DECODE_BUCKET;
