import { loadOrt, type OrtBackend, type OrtBinding, type OrtSession, type OrtTensor } from '@shoal/ort';
import type { BenchModel } from '../bench-model.ts';

export interface LoopOptions {
  readonly threads: number;
  /** Rows of the KV cache. */
  readonly slots: number;
  /** Positions allocated per row. */
  readonly length: number;
  /** Whether waiting threads spin, which is ONNX Runtime's default and not the engine's. Default false. */
  readonly spinning?: boolean;
}

/**
 * The least that any engine over the C API must do per step: the same session options and bound tensors as the engine,
 * a token id and a length written per row, one native call. No scheduling, no sampling, no readers. Its rows hold as
 * many positions as the engine's: attention costs by length.
 */
export class CapiLoop {
  readonly #session: OrtSession;
  readonly #options: LoopOptions;
  readonly #vocab: number;
  readonly #tensors: OrtTensor[] = [];
  readonly #ids: OrtTensor<'int64'>;
  readonly #mask: OrtTensor<'int64'>;
  readonly #logits: OrtTensor<'float32'>;
  readonly #cache: readonly (readonly [name: string, slab: OrtTensor])[];
  readonly #bindings = new Map<number, OrtBinding>();
  readonly #cacheShape: readonly number[];

  static async load(model: BenchModel, options: LoopOptions): Promise<CapiLoop> {
    const ort = await loadOrt({ backend: 'capi' });
    const session = await ort.createSession(model.graph, {
      intraOpThreads: options.threads,
      spinning: options.spinning ?? false,
      attention: 'plain',
      memoryPattern: false,
    });
    return new CapiLoop(ort, session, model, options);
  }

  private constructor(ort: OrtBackend, session: OrtSession, model: BenchModel, options: LoopOptions) {
    const { layers, kvHeads, headDim, vocab } = model.shape;
    this.#session = session;
    this.#options = options;
    this.#vocab = vocab;
    this.#cacheShape = [kvHeads, options.length, headDim];
    this.#ids = ort.allocate('int64', [options.slots, 1]);
    this.#mask = ort.allocate('int64', [options.slots, options.length]);
    this.#logits = ort.allocate('float32', [options.slots, 1, vocab]);
    this.#cache = Array.from({ length: 2 * layers }, (_, i) => [
      `${i >> 1}.${i % 2 === 0 ? 'key' : 'value'}`,
      ort.allocate('float32', [options.slots, ...this.#cacheShape]),
    ]);
    // Memory that was never written is one and the same page of zeros, which costs nothing to read.
    for (const [, slab] of this.#cache) (slab.data as Float32Array).fill(0.01);
    this.#tensors.push(this.#ids, this.#mask, this.#logits, ...this.#cache.map(([, slab]) => slab));
  }

  /**
   * Tokens per second over `steps` decode steps of rows that hold `pasts` positions. One step comes before the clock
   * starts, as with the engine: threads of whoever was measured before may still spin.
   */
  async decodeRate(pasts: readonly number[], steps: number): Promise<number> {
    const batch = pasts.length;
    const binding = this.#binding(batch);
    let start = 0;
    for (let step = -1; step < steps; step++) {
      if (step === 0) start = performance.now();
      for (let row = 0; row < batch; row++) {
        this.#ids.data[row] = BigInt(row + step + 1);
        this.#mask.data[row * this.#options.length] = BigInt((pasts[row] ?? 0) + step + 1);
      }
      await binding.run();
    }
    return (1000 * batch * steps) / (performance.now() - start);
  }

  /** The same of one row that gets company, as the engine gives it to a lone row of a quantised model. */
  async paddedRate([past = 0]: readonly number[], steps: number): Promise<number> {
    return (await this.decodeRate([past, past], steps)) / 2;
  }

  async close(): Promise<void> {
    this.#session.dispose();
    for (const tensor of this.#tensors) tensor.dispose();
  }

  #binding(batch: number): OrtBinding {
    const known = this.#bindings.get(batch);
    if (known !== undefined) return known;
    const binding = this.#session.createBinding();
    binding.bindInput('input_ids', this.#ids.view(0, [batch, 1]));
    binding.bindInput('attention_mask', this.#mask.view(0, [batch, this.#options.length]));
    binding.bindOutput('logits', this.#logits.view(0, [batch, 1, this.#vocab]));
    for (const [name, slab] of this.#cache) {
      const view = slab.view(0, [batch, ...this.#cacheShape]);
      binding.bindInput(`past_key_values.${name}`, view);
      binding.bindOutput(`present.${name}`, view);
    }
    this.#bindings.set(batch, binding);
    return binding;
  }
}
