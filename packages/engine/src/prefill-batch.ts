export interface PrefillLimits {
  rows: number;
  /** Tokens, padding included. */
  tokens: number;
}

/** Padding may be this share of the real tokens, or this many tokens, whichever is more. */
const PADDING_SHARE = 0.25;
const PADDING_TOKENS = 64;

/**
 * Which of the waiting prompts are prefilled together: the first one always, then every one behind it that keeps the
 * right-padded batch within the limits without much padding.
 *
 * @param lengths in order of arrival
 * @returns indices into `lengths`, ascending
 */
export function chooseBatch(lengths: readonly number[], limits: PrefillLimits): number[] {
  const chosen: number[] = [];
  let longest = 0;
  let real = 0;
  for (const [index, length] of lengths.entries()) {
    if (chosen.length === limits.rows) break;
    const padded = Math.max(longest, length) * (chosen.length + 1);
    const padding = padded - real - length;
    const wasteful = padding > Math.max(PADDING_TOKENS, (real + length) * PADDING_SHARE);
    if (chosen.length > 0 && (padded > limits.tokens || wasteful)) continue;
    chosen.push(index);
    longest = Math.max(longest, length);
    real += length;
  }
  return chosen;
}

/**
 * How much of a prompt the next pass computes. Never leaves a tail of one token, whose pass would take another
 * attention kernel and so not be bit-equal to one prefill of the whole.
 */
export function chunkLength(remaining: number, limit: number): number {
  if (remaining <= limit) return remaining;
  const chunk = Math.max(2, limit);
  if (remaining - chunk !== 1) return Math.min(chunk, remaining);
  return chunk > 2 ? chunk - 1 : remaining;
}
