import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { BenchModel } from '../bench-model.ts';
import type { LoopOptions } from './capi-loop.ts';

/** The same loop over onnxruntime-node's own session, with preallocated tensors fed and fetched in place. */
export class NodeLoop {
  readonly #session: InferenceSession;
  readonly #model: BenchModel;
  readonly #options: LoopOptions;
  readonly #cache: readonly (readonly [name: string, slab: Float32Array])[];
  readonly #ids: BigInt64Array;
  readonly #mask: BigInt64Array;
  readonly #logits: Float32Array;

  static async load(model: BenchModel, options: LoopOptions): Promise<NodeLoop> {
    const session = await InferenceSession.create(model.graph, {
      intraOpNumThreads: options.threads,
      logSeverityLevel: 3,
    });
    return new NodeLoop(session, model, options);
  }

  private constructor(session: InferenceSession, model: BenchModel, options: LoopOptions) {
    const { layers, kvHeads, headDim, vocab } = model.shape;
    this.#session = session;
    this.#model = model;
    this.#options = options;
    this.#ids = new BigInt64Array(new ArrayBuffer(options.slots * 8));
    this.#mask = new BigInt64Array(new ArrayBuffer(options.slots * options.length * 8));
    this.#logits = new Float32Array(new ArrayBuffer(options.slots * vocab * 4));
    const bytes = options.slots * kvHeads * options.length * headDim * 4;
    this.#cache = Array.from({ length: 2 * layers }, (_, i) => [
      `${i >> 1}.${i % 2 === 0 ? 'key' : 'value'}`,
      new Float32Array(new ArrayBuffer(bytes)).fill(0.01),
    ]);
  }

  /** Tokens per second over `steps` decode steps of rows that hold `pasts` positions. */
  async decodeRate(pasts: readonly number[], steps: number): Promise<number> {
    const batch = pasts.length;
    const { feeds, fetches } = this.#tensors(batch);
    let start = 0;
    for (let step = -1; step < steps; step++) {
      if (step === 0) start = performance.now();
      for (let row = 0; row < batch; row++) {
        this.#ids[row] = BigInt(row + step + 1);
        this.#mask[row * this.#options.length] = BigInt((pasts[row] ?? 0) + step + 1);
      }
      await this.#session.run(feeds, fetches);
    }
    return (1000 * batch * steps) / (performance.now() - start);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  #tensors(batch: number): { feeds: Record<string, Tensor>; fetches: Record<string, Tensor> } {
    const { kvHeads, headDim, vocab } = this.#model.shape;
    const { length } = this.#options;
    const feeds: Record<string, Tensor> = {
      input_ids: new Tensor('int64', this.#ids.subarray(0, batch), [batch, 1]),
      attention_mask: new Tensor('int64', this.#mask.subarray(0, batch * length), [batch, length]),
    };
    const fetches: Record<string, Tensor> = {
      logits: new Tensor('float32', this.#logits.subarray(0, batch * vocab), [batch, 1, vocab]),
    };
    for (const [name, slab] of this.#cache) {
      const shape = [batch, kvHeads, length, headDim];
      const rows = new Tensor('float32', slab.subarray(0, batch * kvHeads * length * headDim), shape);
      feeds[`past_key_values.${name}`] = rows;
      fetches[`present.${name}`] = rows;
    }
    return { feeds, fetches };
  }
}
