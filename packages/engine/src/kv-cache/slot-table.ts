import type { Sequence } from '../sequence.ts';

/** Copy the first `length` positions of row `from` over row `to`. */
export interface SlotMove {
  from: number;
  to: number;
  length: number;
}

/**
 * Who owns which row of the KV cache. Rows in use are always 0 … size − 1, those that decode before those still in
 * prefill, so that either kind is one contiguous view. When a row leaves, others move into its place.
 */
export class SlotTable {
  readonly capacity: number;
  readonly #rows: Sequence[] = [];
  #decoding = 0;
  #moves: SlotMove[] = [];
  #freed: number[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get size(): number {
    return this.#rows.length;
  }

  get free(): number {
    return this.capacity - this.#rows.length;
  }

  /** All rows in use, in slot order. */
  get rows(): readonly Sequence[] {
    return this.#rows;
  }

  /** Rows 0 … decoding − 1 have their whole prompt in the cache. */
  get decoding(): number {
    return this.#decoding;
  }

  /** Gives a sequence the next row, in prefill. */
  take(sequence: Sequence): void {
    if (this.free === 0) throw new Error(`no free slot for ${sequence.id}`);
    sequence.slot = this.#rows.length;
    this.#rows.push(sequence);
  }

  /** The prefill of this sequence is over. Rows finish their prefill in slot order. */
  promote(sequence: Sequence): void {
    if (sequence.slot !== this.#decoding) throw new Error(`${sequence.id} is not the next row to decode`);
    this.#decoding += 1;
  }

  /** Gives a sequence the next row, with a copy of another's cache: both decode. */
  fork(from: Sequence, sequence: Sequence): void {
    if (from.slot === undefined) throw new Error(`${from.id} owns no slot`);
    sequence.computed = from.computed;
    this.take(sequence);
    this.promote(sequence);
    this.#moves.push({ from: from.slot, to: this.#rows.length - 1, length: from.computed });
  }

  release(sequence: Sequence): void {
    const slot = sequence.slot;
    if (slot === undefined || this.#rows[slot] !== sequence) throw new Error(`${sequence.id} owns no slot`);
    const last = this.#rows.length - 1;
    let hole = slot;
    if (slot < this.#decoding) {
      this.#decoding -= 1;
      this.#move(this.#decoding, hole);
      hole = this.#decoding;
    }
    this.#move(last, hole);
    this.#rows.pop();
    this.#freed.push(last);
    sequence.slot = undefined;
  }

  /** Takes every row from its owner: nothing moves. Returns who owned them, in slot order. */
  releaseAll(): Sequence[] {
    const owners = [...this.#rows];
    for (const owner of [...owners].reverse()) this.release(owner);
    return owners;
  }

  /** Copies positions from a row that holds them, in use or not, to one that does not. */
  copy(move: SlotMove): void {
    this.#moves.push(move);
  }

  /** The copies since the last call, in the order in which they must be made. */
  takeMoves(): SlotMove[] {
    const moves = this.#moves;
    this.#moves = [];
    return moves;
  }

  /** Rows that nobody owns any more, of those released since the last call. */
  takeFreed(): number[] {
    const freed = this.#freed.filter((slot) => slot >= this.#rows.length);
    this.#freed = [];
    return [...new Set(freed)];
  }

  #move(from: number, to: number): void {
    const moved = this.#rows[from];
    if (from === to || moved === undefined) return;
    this.#moves.push({ from, to, length: moved.computed });
    this.#rows[to] = moved;
    moved.slot = to;
  }
}
