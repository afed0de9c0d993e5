import type { OrtTensor } from '@shoal/ort';
import type { KvSlabs } from '../../kv-cache/kv-slabs.ts';
import type { GraphSignature } from '../graph-signature.ts';

/** Typed arrays that keys and values come in. */
type FloatData = Float32Array | Uint16Array;

/** Tensors `[rows, kvHeads, length, headSize]` of one pass, one for each of the cache's slabs, in their order. */
export interface PassCache {
  readonly length: number;
  readonly tensors: readonly OrtTensor[];
}

/** Copies keys and values between the rows that sequences own and the tensors that one pass takes and gives. */
export class RowCache {
  readonly #slabs: KvSlabs;
  readonly #kvHeads: number;
  readonly #headSize: number;

  constructor(slabs: KvSlabs, { kvHeads, headSize }: GraphSignature) {
    this.#slabs = slabs;
    this.#kvHeads = kvHeads;
    this.#headSize = headSize;
  }

  /** Puts the first `positions` positions of `slot` into row `row` of the pass, and zeros behind them. */
  load(slot: number, positions: number, pass: PassCache, row: number): void {
    const size = positions * this.#headSize;
    this.#eachHead(pass, (data, slab, head) => {
      const source = this.#offset(this.#slabs.length, slot, head, 0);
      const target = this.#offset(pass.length, row, head, 0);
      copy(slab, source, size, data, target);
      data.fill(0, target + size, target + pass.length * this.#headSize);
    });
  }

  /** Keeps `count` positions of row `row` of the pass, from its column `column` on, as position `at`, … of `slot`. */
  store(pass: PassCache, row: number, column: number, count: number, slot: number, at: number): void {
    const size = count * this.#headSize;
    this.#slabs.notePass({ first: slot, rows: 1, past: at, total: at + count });
    this.#eachHead(pass, (data, slab, head) => {
      const source = this.#offset(pass.length, row, head, column);
      copy(data, source, size, slab, this.#offset(this.#slabs.length, slot, head, at));
    });
  }

  /** Copies column `column` of row `row` of one pass to column `at` of the same row of another. */
  append(from: PassCache, row: number, column: number, to: PassCache, at: number): void {
    for (const [index, tensor] of to.tensors.entries()) {
      const [source, target] = [floats(from.tensors[index]), floats(tensor)];
      for (let head = 0; head < this.#kvHeads; head++) {
        const start = this.#offset(from.length, row, head, column);
        copy(source, start, this.#headSize, target, this.#offset(to.length, row, head, at));
      }
    }
  }

  #eachHead(pass: PassCache, visit: (data: FloatData, slab: FloatData, head: number) => void): void {
    for (const [index, { tensor }] of this.#slabs.tensors.entries()) {
      const data = floats(pass.tensors[index]);
      const slab = floats(tensor);
      for (let head = 0; head < this.#kvHeads; head++) visit(data, slab, head);
    }
  }

  #offset(length: number, row: number, head: number, position: number): number {
    return ((row * this.#kvHeads + head) * length + position) * this.#headSize;
  }
}

function copy(source: FloatData, from: number, size: number, target: FloatData, to: number): void {
  target.set(source.subarray(from, from + size), to);
}

function floats(tensor: OrtTensor | undefined): FloatData {
  const data = tensor?.data;
  if (data instanceof Float32Array || data instanceof Uint16Array) return data;
  throw new Error(`a cache of type ${tensor?.type} cannot be copied`);
}
