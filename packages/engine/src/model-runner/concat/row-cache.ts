import type { KvSlabs } from '../../kv-cache/kv-slabs.ts';
import type { GraphSignature } from '../graph-signature.ts';
import { CacheTensors, type FloatData } from './cache-tensors.ts';

/** Copies keys and values between the rows that sequences own and the tensors that one pass takes and gives. */
export class RowCache {
  readonly #slabs: KvSlabs;
  /** The slabs, row by row. */
  readonly #slots: CacheTensors;
  readonly #kvHeads: number;
  readonly #headSize: number;

  constructor(slabs: KvSlabs, { kvHeads, headSize }: GraphSignature) {
    this.#slabs = slabs;
    this.#slots = new CacheTensors(
      slabs.length,
      slabs.tensors.map(({ tensor }) => tensor),
    );
    this.#kvHeads = kvHeads;
    this.#headSize = headSize;
  }

  /** Puts the first `positions` positions of `slot` into row `row` of the pass, and zeros behind them. */
  load(slot: number, positions: number, pass: CacheTensors, row: number): void {
    const size = positions * this.#headSize;
    this.#eachHead(this.#slots.row(slot), pass.row(row), (slab, data, head) => {
      const target = this.#offset(pass.length, head, 0);
      copy(slab, this.#offset(this.#slots.length, head, 0), size, data, target);
      data.fill(0, target + size, target + pass.length * this.#headSize);
    });
  }

  /** Keeps `count` positions of row `row` of the pass, from its column `column` on, as position `at`, … of `slot`. */
  store(pass: CacheTensors, row: number, column: number, count: number, slot: number, at: number): void {
    const size = count * this.#headSize;
    this.#slabs.notePass({ first: slot, rows: 1, past: at, total: at + count });
    this.#eachHead(pass.row(row), this.#slots.row(slot), (data, slab, head) => {
      const source = this.#offset(pass.length, head, column);
      copy(data, source, size, slab, this.#offset(this.#slots.length, head, at));
    });
  }

  /** Copies column `column` of row `row` of one pass to column `at` of the same row of another. */
  append(from: CacheTensors, row: number, column: number, to: CacheTensors, at: number): void {
    this.#eachHead(from.row(row), to.row(row), (source, target, head) => {
      const start = this.#offset(from.length, head, column);
      copy(source, start, this.#headSize, target, this.#offset(to.length, head, at));
    });
  }

  #eachHead(
    sources: readonly FloatData[],
    targets: readonly FloatData[],
    visit: (source: FloatData, target: FloatData, head: number) => void,
  ): void {
    for (const [index, source] of sources.entries()) {
      const target = targets[index];
      if (target === undefined) throw new Error(`there are ${sources.length} tensors to copy, but ${index} to copy to`);
      for (let head = 0; head < this.#kvHeads; head++) visit(source, target, head);
    }
  }

  #offset(length: number, head: number, position: number): number {
    return (head * length + position) * this.#headSize;
  }
}

function copy(source: FloatData, from: number, size: number, target: FloatData, to: number): void {
  target.set(source.subarray(from, from + size), to);
}
