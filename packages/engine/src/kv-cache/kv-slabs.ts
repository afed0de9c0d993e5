import { ELEMENT_TYPES, type ElementType, type OrtBinding, type OrtTensor } from '@shoal/ort';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import type { BoundPass, CacheRows, PassRows } from './cache-rows.ts';

export interface KvSlabsOptions {
  signature: GraphSignature;
  slots: number;
  /** Positions allocated per row. */
  length: number;
  allocate: (type: ElementType, shape: readonly number[]) => OrtTensor;
}

export interface NamedSlab {
  past: string;
  present: string;
  /** `[slots, kvHeads, length, headSize]`. */
  tensor: OrtTensor;
}

interface SlabRows {
  first: number;
  rows: number;
  prefix?: string | undefined;
}

/** What the system gives and takes back at a time, in bytes: more on some, where a few calls are then in vain. */
const PAGE = 4096;

/**
 * The KV cache's memory: for each layer the keys and the values of every slot, `[slots, kvHeads, length, headSize]`
 * in one piece. The model updates it in place, through views of consecutive rows bound as its past and its present.
 *
 * Positions once written stay resident until they are given back. So whoever overwrites a row from its first position on
 * gives back what lies behind, or every row would in time take the memory of the longest sequence that it ever held.
 */
export class KvSlabs implements CacheRows {
  readonly length: number;
  readonly #slots: number;
  readonly #kvHeads: number;
  readonly #headSize: number;
  readonly #slabs: readonly NamedSlab[];
  /** Bytes of one position of one head. */
  readonly #positionBytes: number;
  /** Positions of each row that were written since they were given back: a call to the system costs more than to know. */
  readonly #touched: number[];

  constructor({ signature, slots, length, allocate }: KvSlabsOptions) {
    this.length = length;
    this.#slots = slots;
    this.#kvHeads = signature.kvHeads;
    this.#headSize = signature.headSize;
    const shape = [slots, signature.kvHeads, length, signature.headSize];
    this.#slabs = signature.layers.flatMap((layer) => [
      { past: layer.pastKey, present: layer.presentKey, tensor: allocate(signature.cacheType, shape) },
      { past: layer.pastValue, present: layer.presentValue, tensor: allocate(signature.cacheType, shape) },
    ]);
    this.#positionBytes = signature.headSize * ELEMENT_TYPES[signature.cacheType].bytes;
    this.#touched = new Array<number>(slots).fill(0);
  }

  /** Keys and values, layer by layer. */
  get tensors(): readonly NamedSlab[] {
    return this.#slabs;
  }

  bind(binding: OrtBinding, rows: number): () => void {
    return this.bindRows(binding, { first: 0, rows });
  }

  async bindPass(binding: OrtBinding, pass: PassRows): Promise<BoundPass> {
    this.notePass(pass);
    return { free: this.bindRows(binding, pass), keep: async () => {} };
  }

  /** Positions `past` … `total − 1` of these rows are about to be written; without any in front the rest is dropped. */
  notePass({ first, rows, past, total }: PassRows): void {
    for (let row = first; row < first + rows; row++) {
      if (past === 0) this.giveBack(row, total);
      this.#touch(row, total);
    }
  }

  noteStep(pasts: readonly number[]): void {
    for (let row = 0; row < pasts.length; row++) this.#touch(row, (pasts[row] ?? 0) + 1);
  }

  /**
   * Binds consecutive rows as past and present.
   *
   * @param rows.prefix stands before the names of the binding's inputs and outputs
   * @returns frees the views
   */
  bindRows(binding: OrtBinding, { first, rows, prefix = '' }: SlabRows): () => void {
    const row = this.#kvHeads * this.length * this.#headSize;
    const views = this.#slabs.map(({ past, present, tensor }) => {
      const view = tensor.view(first * row, [rows, this.#kvHeads, this.length, this.#headSize]);
      binding.bindInput(`${prefix}${past}`, view);
      binding.bindOutput(`${prefix}${present}`, view);
      return view;
    });
    return () => {
      for (const view of views) view.dispose();
    };
  }

  // No copy goes through `data`: a slab may be longer than an array can be.
  copyRow(from: number, to: number, positions: number): void {
    for (const { tensor } of this.#slabs) {
      for (let head = 0; head < this.#kvHeads; head++) {
        const [source, target] = [this.#offset(from, head, 0), this.#offset(to, head, 0)];
        tensor.copyFrom(tensor, source, target, positions * this.#headSize);
      }
    }
    this.#touch(to, positions);
    this.giveBack(to, positions);
  }

  /** Copies all rows into slabs of longer rows. */
  copyInto(target: KvSlabs): void {
    const size = this.length * this.#headSize;
    for (const [index, { tensor }] of this.#slabs.entries()) {
      const grown = target.#slabs[index]?.tensor;
      for (let block = 0; block < this.#slots * this.#kvHeads; block++) {
        grown?.copyFrom(tensor, block * size, block * target.length * target.#headSize, size);
      }
    }
    target.#touched.fill(this.length);
  }

  giveBack(row: number, from: number): void {
    if (this.#pages(this.#touched[row] ?? 0) <= this.#pages(from)) return;
    this.#touched[row] = from;
    for (const { tensor } of this.#slabs) {
      for (let head = 0; head < this.#kvHeads; head++) {
        tensor.adviseFree(this.#offset(row, head, from), (this.length - from) * this.#headSize);
      }
    }
  }

  dispose(): void {
    for (const { tensor } of this.#slabs) tensor.dispose();
  }

  #touch(row: number, positions: number): void {
    if (positions > (this.#touched[row] ?? 0)) this.#touched[row] = positions;
  }

  /** Pages that so many positions of a head reach into. */
  #pages(positions: number): number {
    return Math.ceil((positions * this.#positionBytes) / PAGE);
  }

  #offset(row: number, head: number, position: number): number {
    return ((row * this.#kvHeads + head) * this.length + position) * this.#headSize;
  }
}
