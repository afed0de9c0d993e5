import type { OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import type { CandidateRequest, Candidates, SparseAdditions } from './candidates.ts';
import type { FloatType } from './graph-signature.ts';
import { blockSize, headGraph } from './head-graphs.ts';

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
interface Shape {
  sampling: boolean;
  likeliest: number;
  sparse: boolean;
}

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
    this.#probabilities = ort.allocate('float32', [slots, vocabSize]);
    this.#blockMasses = ort.allocate('float32', [slots, this.#blocks]);
    this.#likeliest = ort.allocate('int64', [slots, Math.min(LIKELIEST, vocabSize)]);
  }

  /** Candidates of rows 0 … rows − 1. */
  async run(rows: number, { temperatures, likeliest, additions }: CandidateRequest): Promise<Candidates> {
    const sampling = temperatures !== undefined;
    const listed = likeliest ? Math.min(LIKELIEST, this.#vocabSize) : 0;
    const sparse = additions !== undefined && additions.rows.length > 0;
    for (const [row, temperature] of temperatures?.entries() ?? []) this.#temperature.data[row] = temperature;
    const shape = { sampling, likeliest: sampling ? listed : 1, sparse };
    const binding = this.#binding(await this.#variant(shape), rows, shape);
    if (sparse) await this.#runSparse(binding, additions);
    else await binding.run();
    return this.#candidates(shape.likeliest);
  }

  dispose(): void {
    for (const variant of this.#variants.values()) void variant.then(disposeVariant);
    this.#variants.clear();
    for (const tensor of [this.#temperature, this.#probabilities, this.#blockMasses, this.#likeliest]) tensor.dispose();
  }

  #candidates(count: number): Candidates {
    const [ids, probabilities, masses] = [this.#likeliest.data, this.#probabilities.data, this.#blockMasses.data];
    const [vocabSize, blocks] = [this.#vocabSize, this.#blocks];
    return {
      count,
      id: (row, index) => Number(ids[row * count + index]),
      probabilities: (row) => probabilities.subarray(row * vocabSize, (row + 1) * vocabSize),
      blockMasses: (row) => masses.subarray(row * blocks, (row + 1) * blocks),
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

  #variant(shape: Shape): Promise<Variant> {
    const name = JSON.stringify(shape);
    const known = this.#variants.get(name);
    if (known !== undefined) return known;
    const loading = this.#load(shape);
    this.#variants.set(name, loading);
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
    if (shape.likeliest > 0) binding.bindOutput('likeliest', view(this.#likeliest, [rows, shape.likeliest]));
    if (shape.sampling) {
      binding.bindInput('temperature', view(this.#temperature, [rows]));
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
