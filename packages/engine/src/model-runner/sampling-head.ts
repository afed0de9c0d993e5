import type { OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import type { CandidateRequest, Candidates, SparseAdditions } from './candidates.ts';
import type { FloatType } from './graph-signature.ts';
import { adjusts, blockSize, type HeadGraphOptions, headGraph } from './head-graphs.ts';

/** Enough to decide almost every narrowed draw of a trained model; twice as many would cost twice the time. */
const LIKELIEST = 64;

export interface SamplingHeadOptions {
  ort: OrtBackend;
  intraOpThreads: number;
  /** `[slots, 1, vocabSize]`: where the model leaves the logits of a step. */
  logits: OrtTensor;
  logitsType: FloatType;
}

/** Which graph a step needs. */
type Shape = Omit<HeadGraphOptions, 'vocabSize' | 'dtype'>;

/** A graph, and its binding for each number of rows. */
interface Variant {
  session: OrtSession;
  bindings: Map<number, { binding: OrtBinding; views: OrtTensor[] }>;
}

/**
 * Turns the logits of a step into candidates and probabilities, in small graphs of their own behind the model:
 * JavaScript over a vocabulary of 50,000 would cost more than the step.
 */
export class SamplingHead {
  readonly #options: SamplingHeadOptions;
  readonly #vocabSize: number;
  readonly #blocks: number;
  readonly #variants = new Map<string, Promise<Variant>>();
  readonly #temperature: OrtTensor<'float32'>;
  readonly #adjusted: OrtTensor<'float32'>;
  readonly #blockMaxima: OrtTensor<'float32'>;
  readonly #probabilities: OrtTensor<'float32'>;
  readonly #blockMasses: OrtTensor<'float32'>;
  readonly #likeliest: OrtTensor<'int64'>;

  constructor(options: SamplingHeadOptions) {
    const [slots = 0, , vocabSize = 0] = options.logits.shape;
    const { ort } = options;
    this.#options = options;
    this.#vocabSize = vocabSize;
    this.#blocks = vocabSize / blockSize(vocabSize);
    this.#temperature = ort.allocate('float32', [slots]);
    this.#adjusted = ort.allocate('float32', [slots, vocabSize]);
    this.#blockMaxima = ort.allocate('float32', [slots, this.#blocks]);
    this.#probabilities = ort.allocate('float32', [slots, vocabSize]);
    this.#blockMasses = ort.allocate('float32', [slots, this.#blocks]);
    this.#likeliest = ort.allocate('int64', [slots, Math.min(LIKELIEST, vocabSize)]);
  }

  /** Candidates of rows 0 … rows − 1. */
  async run(rows: number, { best = false, temperatures, likeliest, additions }: CandidateRequest): Promise<Candidates> {
    const sampling = temperatures !== undefined;
    const sparse = additions !== undefined && additions.rows.length > 0;
    const tempered = sampling && temperatures.some((temperature) => temperature !== 1);
    for (const [row, temperature] of temperatures?.entries() ?? []) this.#temperature.data[row] = temperature;
    const listed = sampling && likeliest ? Math.min(LIKELIEST, this.#vocabSize) : 0;
    const shape = { best, sampling, tempered, likeliest: listed, sparse };
    const binding = this.#binding(await this.#variant(shape), rows, shape);
    if (sparse) await this.#runSparse(binding, additions);
    else await binding.run();
    return this.#candidates(shape);
  }

  dispose(): void {
    // Whoever waits for one that fails is told so.
    for (const variant of this.#variants.values()) variant.then(disposeVariant, () => {});
    this.#variants.clear();
    const sampled = [this.#temperature, this.#probabilities, this.#blockMasses, this.#likeliest];
    for (const tensor of [...sampled, this.#adjusted, this.#blockMaxima]) tensor.dispose();
  }

  #candidates(shape: Shape): Candidates {
    const [ids, probabilities, masses] = [this.#likeliest.data, this.#probabilities.data, this.#blockMasses.data];
    const [vocabSize, blocks, count] = [this.#vocabSize, this.#blocks, shape.likeliest];
    return {
      count,
      best: (row) => this.#best(row, shape),
      id: (row, index) => Number(ids[row * count + index]),
      probabilities: (row) => probabilities.subarray(row * vocabSize, (row + 1) * vocabSize),
      blockMasses: (row) => masses.subarray(row * blocks, (row + 1) * blocks),
    };
  }

  /** Looks through the maxima of the blocks, then through the first block that has the largest of them. */
  #best(row: number, { sparse }: Shape): number {
    const maxima = this.#blockMaxima.data.subarray(row * this.#blocks, (row + 1) * this.#blocks);
    let leader = 0;
    for (let block = 1; block < maxima.length; block++)
      if ((maxima[block] ?? 0) > (maxima[leader] ?? 0)) leader = block;
    const highest = maxima[leader] ?? Number.NaN;
    if (!Number.isFinite(highest)) return -1;
    const size = this.#vocabSize / this.#blocks;
    const start = row * this.#vocabSize + leader * size;
    const values = this.#logits(sparse).subarray(start, start + size);
    const inside = values.indexOf(highest);
    return inside < 0 ? -1 : leader * size + inside;
  }

  /** The logits whose maxima were computed, of all rows. */
  #logits(sparse: boolean): Float32Array {
    const { data } = this.#options.logits;
    const dtype = this.#options.logitsType;
    return adjusts({ dtype, sparse }) || !(data instanceof Float32Array) ? this.#adjusted.data : data;
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

  #variant(shape: Shape): Promise<Variant> {
    const name = JSON.stringify(shape);
    const known = this.#variants.get(name);
    if (known !== undefined) return known;
    const loading = this.#load(shape);
    this.#variants.set(name, loading);
    // Memory may have been short: the next step that needs it tries again.
    loading.catch(() => this.#variants.delete(name));
    return loading;
  }

  async #load(shape: Shape): Promise<Variant> {
    const { ort, intraOpThreads, logitsType: dtype } = this.#options;
    const graph = headGraph({ vocabSize: this.#vocabSize, dtype, ...shape });
    const session = await ort.createSession(graph, { intraOpThreads, spinning: false });
    return { session, bindings: new Map() };
  }

  #binding({ session, bindings }: Variant, rows: number, shape: Shape): OrtBinding {
    const known = bindings.get(rows);
    if (known !== undefined) return known.binding;
    const binding = session.createBinding();
    const views: OrtTensor[] = [];
    const view = (tensor: OrtTensor, dimensions: number[]): OrtTensor => {
      const viewed = tensor.view(0, dimensions);
      views.push(viewed);
      return viewed;
    };
    binding.bindInput('logits', view(this.#options.logits, [rows, this.#vocabSize]));
    if (shape.best) {
      binding.bindOutput('block_maxima', view(this.#blockMaxima, [rows, this.#blocks]));
      const adjusted = adjusts({ ...shape, dtype: this.#options.logitsType });
      if (adjusted) binding.bindOutput('adjusted', view(this.#adjusted, [rows, this.#vocabSize]));
    }
    if (shape.likeliest > 0) binding.bindOutput('likeliest', view(this.#likeliest, [rows, shape.likeliest]));
    if (shape.tempered) binding.bindInput('temperature', view(this.#temperature, [rows]));
    if (shape.sampling) {
      binding.bindOutput('probabilities', view(this.#probabilities, [rows, this.#vocabSize]));
      binding.bindOutput('block_masses', view(this.#blockMasses, [rows, this.#blocks]));
    }
    bindings.set(rows, { binding, views });
    return binding;
  }
}

function disposeVariant({ session, bindings }: Variant): void {
  for (const { views } of bindings.values()) for (const view of views) view.dispose();
  session.dispose();
}
