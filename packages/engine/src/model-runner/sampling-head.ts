import { GraphBuilder, samplingHead } from '@shoal/onnx-graph';
import type { ElementType, OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import type { CandidateRequest, Candidates, SparseAdditions } from './candidates.ts';
import type { FloatType } from './graph-signature.ts';

const CANDIDATES = 64;

export interface SamplingHeadOptions {
  ort: OrtBackend;
  intraOpThreads: number;
  /** `[slots, 1, vocabSize]`: where the model leaves the logits of a step. */
  logits: OrtTensor;
  logitsType: FloatType;
}

/** A graph, and its binding for each number of rows. */
interface Variant {
  session: OrtSession;
  bindings: Map<number, { binding: OrtBinding; views: OrtTensor[] }>;
}

/**
 * Reduces the logits of a step to candidates, in small graphs of their own behind the model: JavaScript over a
 * vocabulary of 50,000 would cost more than the step.
 */
export class SamplingHead {
  readonly #options: SamplingHeadOptions;
  readonly #vocabSize: number;
  readonly #count: number;
  readonly #variants = new Map<string, Promise<Variant>>();
  readonly #temperatures: OrtTensor<'float32'>;
  readonly #values: OrtTensor<'float32'>;
  readonly #ids: OrtTensor<'int64'>;
  readonly #logSumExp: OrtTensor<'float32'>;
  readonly #best: OrtTensor<'int64'>;

  constructor(options: SamplingHeadOptions) {
    const [slots = 0, , vocabSize = 0] = options.logits.shape;
    const { ort } = options;
    this.#options = options;
    this.#vocabSize = vocabSize;
    this.#count = Math.min(CANDIDATES, vocabSize);
    this.#temperatures = ort.allocate('float32', [slots]);
    this.#values = ort.allocate('float32', [slots, this.#count]);
    this.#ids = ort.allocate('int64', [slots, this.#count]);
    this.#logSumExp = ort.allocate('float32', [slots]);
    this.#best = ort.allocate('int64', [slots]);
  }

  /** Candidates of rows 0 … rows − 1. */
  async run(rows: number, { temperatures, additions }: CandidateRequest): Promise<Candidates> {
    const greedy = temperatures === undefined;
    const sparse = additions !== undefined && additions.rows.length > 0;
    if (!greedy) for (const [row, temperature] of temperatures.entries()) this.#temperatures.data[row] = temperature;
    const variant = await this.#variant(greedy, sparse);
    const binding = this.#binding(variant, rows, greedy);
    if (sparse) await this.#runSparse(binding, additions);
    else await binding.run();
    return greedy ? this.#first() : this.#all();
  }

  dispose(): void {
    for (const variant of this.#variants.values()) {
      void variant.then(({ session, bindings }) => {
        for (const { views } of bindings.values()) for (const view of views) view.dispose();
        session.dispose();
      });
    }
    this.#variants.clear();
    for (const tensor of [this.#temperatures, this.#values, this.#ids, this.#logSumExp, this.#best]) tensor.dispose();
  }

  #first(): Candidates {
    const [best, logits] = [this.#best.data, this.#options.logits.data];
    const id = (row: number) => Number(best[row]);
    const value = (row: number) =>
      logits instanceof Float32Array ? (logits[row * this.#vocabSize + id(row)] ?? 0) : 0;
    return { count: 1, id, value, logSumExp: () => 0 };
  }

  #all(): Candidates {
    const [ids, values, logSumExp, count] = [this.#ids.data, this.#values.data, this.#logSumExp.data, this.#count];
    return {
      count,
      id: (row, index) => Number(ids[row * count + index]),
      value: (row, index) => values[row * count + index] ?? Number.NEGATIVE_INFINITY,
      logSumExp: (row) => logSumExp[row] ?? Number.NaN,
    };
  }

  async #runSparse(binding: OrtBinding, { rows, tokenIds, values }: SparseAdditions): Promise<void> {
    using indices = this.#options.ort.allocate('int64', [rows.length, 2]);
    using additions = this.#options.ort.allocate('float32', [rows.length]);
    for (let i = 0; i < rows.length; i++) {
      indices.data[2 * i] = BigInt(rows[i] ?? 0);
      indices.data[2 * i + 1] = BigInt(tokenIds[i] ?? 0);
      additions.data[i] = values[i] ?? 0;
    }
    binding.bindInput('indices', indices);
    binding.bindInput('values', additions);
    await binding.run();
  }

  #variant(greedy: boolean, sparse: boolean): Promise<Variant> {
    const name = `${greedy} ${sparse}`;
    const known = this.#variants.get(name);
    if (known !== undefined) return known;
    const loading = this.#load(greedy, sparse);
    this.#variants.set(name, loading);
    return loading;
  }

  async #load(greedy: boolean, sparse: boolean): Promise<Variant> {
    const { ort, intraOpThreads, logitsType: dtype } = this.#options;
    const graph = greedy
      ? greedyHead(this.#vocabSize, dtype, sparse)
      : samplingHead({ vocabSize: this.#vocabSize, topK: this.#count, dtype, sparse });
    const session = await ort.createSession(graph, { intraOpThreads, spinning: false });
    return { session, bindings: new Map() };
  }

  #binding({ session, bindings }: Variant, rows: number, greedy: boolean): OrtBinding {
    const known = bindings.get(rows);
    if (known !== undefined) return known.binding;
    const binding = session.createBinding();
    const views: OrtTensor[] = [];
    const view = <T extends ElementType>(tensor: OrtTensor<T>, shape: number[]): OrtTensor<T> => {
      const viewed = tensor.view(0, shape);
      views.push(viewed);
      return viewed;
    };
    binding.bindInput('logits', view(this.#options.logits, [rows, this.#vocabSize]));
    if (greedy) binding.bindOutput('best', view(this.#best, [rows]));
    else {
      binding.bindInput('temperature', view(this.#temperatures, [rows]));
      binding.bindOutput('top_values', view(this.#values, [rows, this.#count]));
      binding.bindOutput('top_indices', view(this.#ids, [rows, this.#count]));
      binding.bindOutput('logsumexp', view(this.#logSumExp, [rows]));
    }
    bindings.set(rows, { binding, views });
    return binding;
  }
}

/** The most likely token of each row and nothing else: steps in which nobody samples. */
function greedyHead(vocabSize: number, dtype: FloatType, sparse: boolean): Uint8Array {
  const g = new GraphBuilder({ name: 'greedy-head' });
  const raw = g.input('logits', dtype, ['B', vocabSize]);
  let logits = dtype === 'float32' ? raw : g.node('Cast', [raw], { attributes: { to: { int: 1 } } });
  if (sparse) {
    const indices = g.input('indices', 'int64', ['N', 2]);
    const values = g.input('values', 'float32', ['N']);
    logits = g.node('ScatterND', [logits, indices, values], { attributes: { reduction: { string: 'add' } } });
  }
  g.node('ArgMax', [logits], { attributes: { axis: { int: -1 }, keepdims: { int: 0 } }, outputs: ['best'] });
  g.output('best', 'int64', ['B']);
  return g.toBytes();
}
