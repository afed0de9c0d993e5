import type { Sequence } from '../sequence.ts';

/** A row of the cache from whose first `length` positions a prompt may be copied. */
export interface PrefixSource {
  slot: number;
  length: number;
}

interface StoredPrefix {
  tenant: string | undefined;
  tokenIds: readonly number[];
  slot: number;
  /** Counts uses: the lowest was used least recently. */
  usedAt: number;
}

/** A shorter prefix is sooner computed along with the rest than copied and continued by itself. */
const SHORTEST_REUSED = 64;
/** Prompts that are not kept after a copy failed: memory may be short, and a copy of a prefix is a luxury. */
const REST = 100;
/** What a pass must be left to compute: one token alone would take another kernel. */
const LEFT_TO_COMPUTE = 2;

/**
 * Prompts whose keys and values are kept in rows of their own after their sequences have moved on, the least recently
 * used given up first. Only what a prefill computed is kept and reused: keys and values from decode steps differ in
 * their last bits. Nothing is shared across tenants.
 */
export class PrefixStore {
  readonly #freeSlots: number[];
  #stored: StoredPrefix[] = [];
  #uses = 0;
  #freed: number[] = [];
  #resting = 0;

  /** @param slots rows of the cache that belong to the store */
  constructor(slots: readonly number[]) {
    this.#freeSlots = [...slots];
  }

  /** Tokens that it keeps. */
  get tokens(): number {
    return this.#stored.reduce((sum, prefix) => sum + prefix.tokenIds.length, 0);
  }

  /**
   * The longest beginning of a prompt that is in the cache, in a row of the store or in one of those that run.
   *
   * @param running in slot order
   */
  find(sequence: Sequence, running: readonly Sequence[]): PrefixSource | undefined {
    const prompt = sequence.promptTokenIds;
    let best: (PrefixSource & { stored?: StoredPrefix }) | undefined;
    const offer = (tokenIds: readonly number[], computed: number, slot: number, stored?: StoredPrefix): void => {
      const length = Math.min(commonLength(prompt, tokenIds), computed, prompt.length - LEFT_TO_COMPUTE);
      if (length < SHORTEST_REUSED || length <= (best?.length ?? 0)) return;
      best = stored === undefined ? { slot, length } : { slot, length, stored };
    };
    for (const stored of this.#stored) {
      if (stored.tenant === sequence.tenant) offer(stored.tokenIds, stored.tokenIds.length, stored.slot, stored);
    }
    for (const row of running) {
      if (row.tenant === sequence.tenant && row.slot !== undefined) offer(row.promptTokenIds, row.computed, row.slot);
    }
    if (best?.stored !== undefined) best.stored.usedAt = ++this.#uses;
    return best === undefined ? undefined : { slot: best.slot, length: best.length };
  }

  /**
   * Keeps a prompt that was just computed, if it is worth it and not kept already.
   *
   * @param roomTokens tokens that the budget has left
   * @returns the row that the prompt must be copied to
   */
  keep(sequence: Sequence, roomTokens: number): number | undefined {
    const { promptTokenIds: tokenIds, tenant } = sequence;
    if (tokenIds.length < SHORTEST_REUSED + LEFT_TO_COMPUTE || tokenIds.length > roomTokens) return undefined;
    const covered = this.#stored.find(
      (stored) => stored.tenant === tenant && commonLength(stored.tokenIds, tokenIds) === tokenIds.length,
    );
    if (covered !== undefined) {
      covered.usedAt = ++this.#uses;
      return undefined;
    }
    if (this.#resting > 0) {
      this.#resting -= 1;
      return undefined;
    }
    if (this.#freeSlots.length === 0) this.evict();
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return undefined;
    this.#freed = this.#freed.filter((freed) => freed !== slot);
    this.#stored.push({ tenant, tokenIds, slot, usedAt: ++this.#uses });
    return slot;
  }

  /** Gives up the least recently used; false when there is none. */
  evict(): boolean {
    const [first] = this.#stored;
    if (first === undefined) return false;
    const oldest = this.#stored.reduce((old, stored) => (stored.usedAt < old.usedAt ? stored : old), first);
    this.#stored = this.#stored.filter((stored) => stored !== oldest);
    this.#freeSlots.push(oldest.slot);
    this.#freed.push(oldest.slot);
    return true;
  }

  /** Whether the next prompt may be kept. */
  get open(): boolean {
    return this.#resting === 0 && this.#freeSlots.length + this.#stored.length > 0;
  }

  /** What it keeps cannot be trusted, since a copy failed: gives up all, and keeps nothing for a while. */
  distrust(): void {
    while (this.evict());
    this.#resting = REST;
  }

  /** Rows given up since the last call and not in use again. */
  takeFreed(): number[] {
    const freed = this.#freed;
    this.#freed = [];
    return freed;
  }
}

/** True when one prompt is better computed after the other, from what both begin with. */
export function sharesPrefix(a: Sequence, b: Sequence): boolean {
  if (a.tenant !== b.tenant) return false;
  const most = Math.min(a.promptTokenIds.length, b.promptTokenIds.length - LEFT_TO_COMPUTE);
  return Math.min(commonLength(a.promptTokenIds, b.promptTokenIds), most) >= SHORTEST_REUSED;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
