import type { MemoryLocation, OrtBackend, OrtBinding, OrtSession, OrtTensor, SessionOptions } from '@shoal/ort';
import { Disposables } from '../model-runner/disposables.ts';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import { type BoundPass, CacheLost, type CacheRows, type PassRows } from './cache-rows.ts';
import { putGraph, takeRowGraph, zerosGraph } from './row-graphs.ts';

export interface DeviceSlabsOptions {
  ort: OrtBackend;
  /** The model's, whose execution provider owns the memory. */
  session: OrtSession;
  signature: GraphSignature;
  slots: number;
  /** Positions per row. */
  length: number;
  location: MemoryLocation;
  /** How the small sessions that move rows are made: with the model's execution provider. */
  sessionOptions: SessionOptions;
}

/**
 * The KV cache in memory that host code does not reach: keys and values never leave the device.
 *
 * Decode steps run in place over the first rows. Nothing else may assume that a row has an address (on WebGPU a tensor
 * is a buffer as a whole): a prefill computes into tensors of its own, and small graphs put what it gave into the rows.
 * The same runs on any provider, on the CPU too.
 */
export class DeviceSlabs implements CacheRows {
  readonly length: number;
  readonly #options: DeviceSlabsOptions;
  readonly #slabs: { past: string; present: string; tensor: OrtTensor }[] = [];
  readonly #takeRow: OrtSession;
  readonly #put: OrtSession;
  #pending: Promise<void> | undefined;

  /** @throws OrtError `out_of_memory`, or what the provider says */
  static async create(options: DeviceSlabsOptions): Promise<DeviceSlabs> {
    const { ort, signature, sessionOptions } = options;
    const graphs = { count: 2 * signature.layers.length, type: signature.cacheType };
    using zeros = await ort.createSession(zerosGraph(signature.cacheType), sessionOptions);
    const takeRow = await ort.createSession(takeRowGraph(graphs), sessionOptions);
    const put = await ort.createSession(putGraph(graphs), sessionOptions).catch((cause: unknown) => {
      takeRow.dispose();
      throw cause;
    });
    const slabs = new DeviceSlabs(options, takeRow, put);
    try {
      await slabs.#fill(zeros);
    } catch (cause) {
      slabs.dispose();
      throw cause;
    }
    return slabs;
  }

  private constructor(options: DeviceSlabsOptions, takeRow: OrtSession, put: OrtSession) {
    this.length = options.length;
    this.#options = options;
    this.#takeRow = takeRow;
    this.#put = put;
  }

  bind(binding: OrtBinding, rows: number): () => void {
    const views = this.#slabs.map(({ past, present, tensor }) => {
      const view = tensor.view(0, this.#shape(rows, this.length));
      binding.bindInput(past, view);
      binding.bindOutput(present, view);
      return view;
    });
    return () => {
      for (const view of views) view.dispose();
    };
  }

  async bindPass(binding: OrtBinding, { first, rows, past, total }: PassRows): Promise<BoundPass> {
    const own = new Disposables();
    const free = (): void => own[Symbol.dispose]();
    try {
      const fresh =
        past === 0 ? this.#bindFirst(binding, own, rows, total) : await this.#bindLater(binding, own, first);
      return { free, keep: () => this.#putRows(fresh, first) };
    } catch (cause) {
      free();
      throw cause;
    }
  }

  get pending(): Promise<void> | undefined {
    return this.#pending;
  }

  copyRow(from: number, to: number): void {
    const copied = Promise.resolve(this.#pending).then(() => this.#copyRow(from, to));
    const forget = (): void => {
      if (this.#pending === copied) this.#pending = undefined;
    };
    this.#pending = copied;
    copied.then(forget, forget);
  }

  /** Memory of a device is taken once and kept. */
  giveBack(): void {}

  noteStep(): void {}

  dispose(): void {
    for (const { tensor } of this.#slabs) tensor.dispose();
    this.#takeRow.dispose();
    this.#put.dispose();
  }

  /** No cache in front: the outputs are as long as what is computed. */
  #bindFirst(binding: OrtBinding, own: Disposables, rows: number, width: number): OrtTensor[] {
    const { ort, signature } = this.#options;
    const none = own.use(ort.allocate(signature.cacheType, this.#shape(rows, 0)));
    return this.#slabs.map(({ past, present }) => {
      const fresh = own.use(this.#allocate(this.#shape(rows, width)));
      binding.bindInput(past, none);
      binding.bindOutput(present, fresh);
      return fresh;
    });
  }

  /** A copy of the row, updated in place. */
  async #bindLater(binding: OrtBinding, own: Disposables, slot: number): Promise<OrtTensor[]> {
    const copies = await this.#rowCopies(slot, own);
    for (const [i, { past, present }] of this.#slabs.entries()) {
      const copy = copies[i];
      if (copy === undefined) continue;
      binding.bindInput(past, copy);
      binding.bindOutput(present, copy);
    }
    return copies;
  }

  async #copyRow(from: number, to: number): Promise<void> {
    using own = new Disposables();
    try {
      await this.#putRows(await this.#rowCopies(from, own), to);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
      throw new CacheLost(`row ${from} of the cache could not be copied: ${reason}`, { cause });
    }
  }

  async #rowCopies(slot: number, own: Disposables): Promise<OrtTensor[]> {
    using binding = this.#takeRow.createBinding();
    using row = this.#options.ort.allocate('int64', [1]);
    row.data[0] = BigInt(slot);
    binding.bindInput('row', row);
    const copies = this.#slabs.map(({ tensor }, i) => {
      const copy = own.use(this.#allocate(this.#shape(1, this.length)));
      binding.bindInput(`slab.${i}`, tensor);
      binding.bindOutput(`row.${i}`, copy);
      return copy;
    });
    await binding.run();
    return copies;
  }

  /** Puts tensors `[rows, kvHeads, positions, headSize]` into the first positions of rows `first`, … */
  async #putRows(fresh: readonly OrtTensor[], first: number): Promise<void> {
    const [rows = 0, heads = 0, positions = 0] = fresh[0]?.shape ?? [];
    using at = this.#options.ort.allocate('int64', [rows, heads, positions, 3]);
    let place = 0;
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < heads; head++) {
        for (let position = 0; position < positions; position++) {
          at.data[place++] = BigInt(first + row);
          at.data[place++] = BigInt(head);
          at.data[place++] = BigInt(position);
        }
      }
    }
    using binding = this.#put.createBinding();
    binding.bindInput('at', at);
    for (const [i, { tensor }] of this.#slabs.entries()) {
      const given = fresh[i];
      if (given === undefined) continue;
      binding.bindInput(`slab.${i}`, tensor);
      binding.bindInput(`new.${i}`, given);
      binding.bindOutput(`to.${i}`, tensor);
    }
    await binding.run();
  }

  /** Takes the memory, zeros in it. */
  async #fill(zeros: OrtSession): Promise<void> {
    const sizes = this.#shape(this.#options.slots, this.length);
    using shape = this.#options.ort.allocate('int64', [4]);
    for (const [axis, size] of sizes.entries()) shape.data[axis] = BigInt(size);
    for (const { pastKey, pastValue, presentKey, presentValue } of this.#options.signature.layers) {
      for (const [past, present] of [[pastKey, presentKey] as const, [pastValue, presentValue] as const]) {
        const tensor = this.#allocate(sizes);
        this.#slabs.push({ past, present, tensor });
        using binding = zeros.createBinding();
        binding.bindInput('shape', shape);
        binding.bindOutput('zeros', tensor);
        await binding.run();
      }
    }
  }

  #allocate(shape: readonly number[]): OrtTensor {
    const { session, signature, location } = this.#options;
    return session.allocate(signature.cacheType, shape, location);
  }

  #shape(rows: number, length: number): number[] {
    const { kvHeads, headSize } = this.#options.signature;
    return [rows, kvHeads, length, headSize];
  }
}
