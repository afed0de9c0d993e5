import { type AdmissionSnapshot, admits } from '../admission.ts';
import { rowsWithCompany } from '../lone-row.ts';
import type { Sequence } from '../sequence.ts';
import { type PrefixSource, PrefixStore } from './prefix-store.ts';
import { type SlotMove, SlotTable } from './slot-table.ts';

export interface CacheLimits {
  /** Rows for sequences that run. */
  slots: number;
  /** Rows behind them for prompts kept to be reused. */
  prefixSlots: number;
  /** Tokens that the cache may hold at once. */
  budgetTokens: number;
}

/** The accounts of the KV cache: who owns which row, what is kept beside, and how much of the budget is promised. */
export class CacheLedger {
  readonly #budgetTokens: number;
  readonly #slots: SlotTable;
  readonly #prefixes: PrefixStore;

  constructor({ slots, prefixSlots, budgetTokens }: CacheLimits) {
    this.#budgetTokens = budgetTokens;
    this.#slots = new SlotTable(slots);
    // A row that is there for company is not theirs.
    const first = rowsWithCompany(slots);
    this.#prefixes = new PrefixStore(Array.from({ length: prefixSlots }, (_, i) => first + i));
  }

  /** Rows in use, in slot order: those that decode, then those in prefill. */
  get rows(): readonly Sequence[] {
    return this.#slots.rows;
  }

  get decoding(): readonly Sequence[] {
    return this.#slots.rows.slice(0, this.#slots.decoding);
  }

  /** The one whose prefill is begun and not over. */
  get begun(): Sequence | undefined {
    return this.#slots.rows[this.#slots.decoding];
  }

  get freeSlots(): number {
    return this.#slots.free;
  }

  /** Tokens held or promised, kept prefixes included. */
  get usedTokens(): number {
    return this.#slots.rows.reduce((sum, sequence) => sum + promised(sequence), this.#prefixes.tokens);
  }

  get budgetTokens(): number {
    return this.#budgetTokens;
  }

  /** Those of `waiting` that may start now, in order; nobody overtakes one that does not fit yet. */
  affordable(waiting: readonly Sequence[], freeSlots: number): Sequence[] {
    const [first] = waiting;
    if (freeSlots === 0 || first === undefined) return [];
    while (!admits(this.#snapshot(freeSlots), promised(first)) && this.#prefixes.evict());
    // One that will run alone is always admitted, yet what is kept counts, too.
    while (this.usedTokens + promised(first) > this.#budgetTokens && this.#prefixes.evict());
    const snapshot = this.#snapshot(freeSlots);
    const affordable: Sequence[] = [];
    for (const sequence of waiting) {
      if (!admits(snapshot, promised(sequence))) break;
      affordable.push(sequence);
      snapshot.usedTokens += promised(sequence);
      snapshot.running += 1;
    }
    return affordable;
  }

  findPrefix(sequence: Sequence): PrefixSource | undefined {
    return this.#prefixes.find(sequence, this.#slots.rows);
  }

  /** Gives a sequence a row, with the first positions copied from `prefix` if there is one. */
  take(sequence: Sequence, prefix?: PrefixSource): void {
    sequence.state = 'running';
    this.#slots.take(sequence);
    if (prefix === undefined || sequence.slot === undefined) return;
    sequence.computed = prefix.length;
    this.#slots.copy({ from: prefix.slot, to: sequence.slot, length: prefix.length });
  }

  /** The prefill of a sequence is over: it decodes from now on, and its prompt is kept where there is room. */
  promote(sequence: Sequence): void {
    this.#slots.promote(sequence);
    const slot = this.#prefixes.keep(sequence, this.#budgetTokens - this.usedTokens);
    if (slot === undefined || sequence.slot === undefined) return;
    this.#slots.copy({ from: sequence.slot, to: slot, length: sequence.promptTokenIds.length });
  }

  /** False, and nothing done, when there is no room for a copy of the row, or others are in prefill behind it. */
  fork(from: Sequence, sequence: Sequence, freeSlots: number): boolean {
    if (this.begun !== undefined) return false;
    if (!admits(this.#snapshot(freeSlots), promised(sequence))) return false;
    sequence.state = 'running';
    this.#slots.fork(from, sequence);
    return true;
  }

  release(sequence: Sequence): void {
    this.#slots.release(sequence);
  }

  /** Whether prompts are copied to be kept. */
  get keepsPrefixes(): boolean {
    return this.#prefixes.open;
  }

  /** A copy between rows failed: nothing that any of them holds counts. Returns who owned them, in slot order. */
  lose(): Sequence[] {
    this.#prefixes.distrust();
    return this.#slots.releaseAll();
  }

  /**
   * The sequence that must go so that every row has room for one more token: the youngest, once there are no kept
   * prefixes to give up instead. Undefined when there is room.
   */
  surplus(): Sequence | undefined {
    while (this.usedTokens > this.#budgetTokens) {
      if (this.#prefixes.evict()) continue;
      if (this.#slots.size === 1) return undefined;
      return this.#slots.rows.reduce((young, row) => (row.ordinal > young.ordinal ? row : young));
    }
    return undefined;
  }

  takeMoves(): SlotMove[] {
    return this.#slots.takeMoves();
  }

  takeFreed(): number[] {
    return [...this.#slots.takeFreed(), ...this.#prefixes.takeFreed()];
  }

  #snapshot(freeSlots: number): AdmissionSnapshot {
    return { budgetTokens: this.#budgetTokens, usedTokens: this.usedTokens, running: this.#slots.size, freeSlots };
  }
}

/** Tokens that a sequence holds in the cache once everything known of it was computed, and one more. */
function promised(sequence: Sequence): number {
  return sequence.length + 1;
}
