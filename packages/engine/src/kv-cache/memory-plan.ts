/** What decides how much of the model's state fits into memory. Sizes in bytes, lengths in tokens. */
export interface MemoryRequest {
  /** Bytes for keys and values of all sequences together. */
  budgetBytes: number;
  /** Keys and values of one token, over all layers. */
  bytesPerToken: number;
  maxModelLen: number;
  maxBatchSize: number;
  /**
   * Whether untouched memory costs nothing and freed memory is given back, as on the CPU: then rows of full length
   * may exist for every slot, and only tokens in flight count.
   */
  overcommit: boolean;
}

export interface MemoryPlan {
  /** Rows of the cache for sequences that run. */
  slots: number;
  /** Rows for prompts kept to be reused. */
  prefixSlots: number;
  /** Tokens that may be in the cache at once. */
  budgetTokens: number;
}

/**
 * Slots and tokens that the budget holds. Without overcommit slots × maxModelLen fit it; with it, one sequence of
 * full length does, and the scheduler keeps the tokens in flight below the budget.
 *
 * @throws RangeError when not even one sequence of full length fits
 */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const { budgetBytes, bytesPerToken, maxModelLen, maxBatchSize, overcommit } = request;
  const affordable = Math.floor(budgetBytes / bytesPerToken);
  const wholeRows = Math.floor(affordable / maxModelLen);
  if (wholeRows < 1) {
    const needed = Math.ceil((bytesPerToken * maxModelLen) / 2 ** 20);
    throw new RangeError(`one sequence of ${maxModelLen} tokens needs ${needed} MB`);
  }
  const slots = overcommit ? maxBatchSize : Math.min(maxBatchSize, wholeRows);
  const prefixSlots = overcommit ? MOST_PREFIXES : Math.min(MOST_PREFIXES, wholeRows - slots);
  return { slots, prefixSlots, budgetTokens: Math.min(affordable, (slots + prefixSlots) * maxModelLen) };
}

const MOST_PREFIXES = 16;
