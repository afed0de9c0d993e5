import type { OrtBinding } from '@shoal/ort';

/** Rows of a pass over several positions. */
export interface PassRows {
  first: number;
  rows: number;
  /** Positions in front; above 0 only for a single row. */
  past: number;
  /** Positions in front and computed ones. */
  total: number;
}

/** What was bound for one pass. */
export interface BoundPass {
  /** Once the pass ran: makes what it computed part of the rows. */
  keep(): Promise<void>;
  /** When the binding is gone. */
  free(): void;
}

/**
 * A copy between rows failed after it had been counted on: rows may hold what they should not, those too that no run was
 * writing. Nothing in the cache can be used any more; what it held can be computed again from the tokens.
 */
export class CacheLost extends Error {
  override readonly name = 'CacheLost';
}

/** The rows of a KV cache whose model updates it in place, wherever their memory lies. */
export interface CacheRows {
  /** Positions that each row has room for. */
  readonly length: number;
  /** Copies that are still under way: to be awaited before a run. Rejects with {@link CacheLost}, once. */
  readonly pending?: Promise<void> | undefined;
  /** Binds rows 0 … `rows − 1` for decode steps; returns the function that frees the views when the binding is gone. */
  bind(binding: OrtBinding, rows: number): () => void;
  /** Binds rows for a pass; with no positions in front, what else they held is dropped. */
  bindPass(binding: OrtBinding, pass: PassRows): Promise<BoundPass>;
  /** A decode step is about to write one position of each of the first rows, behind the `pasts[row]` that it holds. */
  noteStep(pasts: readonly number[]): void;
  /** Copies positions 0 … `positions − 1` of row `from` over those of row `to`; what `to` held behind them is dropped. */
  copyRow(from: number, to: number, positions: number): void;
  /** Gives the memory of positions `from` … of a row back to the system, where that is possible. */
  giveBack(row: number, from: number): void;
  dispose(): void;
}
