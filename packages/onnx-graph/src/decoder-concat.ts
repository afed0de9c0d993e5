import { type DecoderOptions, RMS_EPSILON, ROPE_THETA } from './decoder.ts';
import { DecoderWeights } from './decoder-weights.ts';
import { GraphBuilder } from './graph-builder.ts';

export interface ConcatDecoderOptions extends DecoderOptions {
  /** False leaves the input `position_ids` out: positions then count from the cache's length. Default true. */
  positionIds?: boolean;
}

/**
 * The model of `decoder`, with the same weights, as Optimum exports it: attention out of plain operators, and a cache
 * that comes out longer than it went in.
 *
 * Inputs: `input_ids [batch_size, sequence_length]` int64, `attention_mask [batch_size, past + sequence_length]` int64
 * (0 hides that column of the cache), `position_ids [batch_size, sequence_length]` int64,
 * `past_key_values.N.{key,value} [batch_size, kvHeads, past, headDim]`.
 * Outputs: `logits [batch_size, sequence_length, vocab]`,
 * `present.N.{key,value} [batch_size, kvHeads, past + sequence_length, headDim]`.
 */
export function concatDecoder(options: ConcatDecoderOptions): Uint8Array {
  return new ConcatDecoderGraph(options).build();
}

/** What exporters add to the scores of hidden columns: the lowest number of the type, whose exponential is 0. */
const HIDDEN = { float32: -3.402_823_4e38, float16: -65_504 };

class ConcatDecoderGraph {
  readonly #graph = new GraphBuilder({ name: 'concat-decoder' });
  readonly #options: ConcatDecoderOptions;
  readonly #weights: DecoderWeights;

  constructor(options: ConcatDecoderOptions) {
    this.#options = options;
    this.#weights = new DecoderWeights(this.#graph, options);
  }

  build(): Uint8Array {
    const { hidden, vocab, layers, headDim } = this.#options;
    const g = this.#graph;
    const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
    const mask = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
    this.#constants();
    const total = this.#length(mask);
    const past = g.node('Sub', [total, this.#length(ids)]);
    const rows = g.node('Range', [past, total, 'one']);
    this.#bias(mask, rows, total);
    this.#rotary(
      this.#options.positionIds === false
        ? g.node('Unsqueeze', [rows, g.int64('axis_0', [0])])
        : g.input('position_ids', 'int64', ['batch_size', 'sequence_length']),
    );
    let residual = g.node('Gather', [this.#weights.matrix('model.embed_tokens.weight', [vocab, hidden], 1), ids]);
    for (let layer = 0; layer < layers; layer++) {
      const name = `model.layers.${layer}`;
      const attention = this.#attention(layer, this.#norm(`${name}.input_layernorm`, residual));
      residual = g.node('Add', [residual, attention]);
      const forward = this.#feedForward(layer, this.#norm(`${name}.post_attention_layernorm`, residual));
      residual = g.node('Add', [residual, forward]);
    }
    const normed = this.#norm('model.norm', residual);
    this.#weights.linear('lm_head', normed, hidden, vocab, 2 / Math.sqrt(hidden), 'logits');
    g.output('logits', this.#weights.float, ['batch_size', 'sequence_length', vocab]);
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        const shape = ['batch_size', this.#options.kvHeads, 'total_sequence_length', headDim];
        g.output(`present.${layer}.${part}`, this.#weights.float, shape);
      }
    }
    return g.toBytes();
  }

  #constants(): void {
    const g = this.#graph;
    g.int64('axis_1', [1]);
    g.int64('axis_last', [-1]);
    g.int64('zero', 0);
    g.int64('one', 1);
    this.#weights.constant('epsilon', [], Float32Array.of(RMS_EPSILON));
    this.#weights.constant('two', [], Float32Array.of(2));
    this.#weights.constant('attention_scale', [], Float32Array.of(1 / Math.sqrt(this.#options.headDim)));
  }

  /** `attention_bias [batch_size, 1, sequence_length, total]`: 0 where a position may look, very low where not. */
  #bias(mask: string, rows: string, total: string): void {
    const g = this.#graph;
    const columns = g.node('Range', ['zero', total, 'one']);
    const causal = g.node('LessOrEqual', [columns, g.node('Unsqueeze', [rows, 'axis_1'])]);
    const shown = g.node('Unsqueeze', [
      g.node('Cast', [mask], { attributes: { to: { int: 9 } } }),
      g.int64('axes_12', [1, 2]),
    ]);
    const both = g.node('And', [causal, shown]);
    const open = this.#weights.constant('open', [], Float32Array.of(0));
    const hidden = this.#weights.constant('hidden', [], Float32Array.of(HIDDEN[this.#weights.float]));
    g.node('Where', [both, open, hidden], { outputs: ['attention_bias'] });
  }

  /** `cos`, `sin [batch_size, 1, sequence_length, headDim]` of position · θ^(−2i / headDim), twice side by side. */
  #rotary(positions: string): void {
    const g = this.#graph;
    const half = this.#options.headDim / 2;
    const frequencies = Float32Array.from({ length: half }, (_, i) => ROPE_THETA ** (-i / half));
    const inverse = g.initializer('inverse_frequencies', 'float32', [half], frequencies);
    const column = g.node('Unsqueeze', [
      g.node('Cast', [positions], { attributes: { to: { int: 1 } } }),
      g.int64('axes_13', [1, 3]),
    ]);
    const angles = g.node('Mul', [column, inverse]);
    const twice = g.node('Concat', [angles, angles], { attributes: { axis: { int: -1 } } });
    const to = { int: this.#weights.float === 'float16' ? 10 : 1 };
    g.node('Cast', [g.node('Cos', [twice])], { attributes: { to }, outputs: ['cos'] });
    g.node('Cast', [g.node('Sin', [twice])], { attributes: { to }, outputs: ['sin'] });
  }

  #attention(layer: number, normed: string): string {
    const { hidden, heads, kvHeads, headDim } = this.#options;
    const g = this.#graph;
    const name = `model.layers.${layer}.self_attn`;
    const qkv = this.#weights.linear(`${name}.qkv_proj`, normed, hidden, (heads + 2 * kvHeads) * headDim);
    const parts = ['query', 'key', 'value'].map((part) => `${name}.${part}`);
    const sizes = g.int64(`${name}.sizes`, [heads * headDim, kvHeads * headDim, kvHeads * headDim]);
    g.node('Split', [qkv, sizes], { attributes: { axis: { int: -1 } }, outputs: parts });
    const [query = '', key = '', value = ''] = parts;
    const keys = this.#cache(layer, 'key', this.#rotate(this.#split(key, kvHeads)));
    const values = this.#cache(layer, 'value', this.#split(value, kvHeads));
    const transposed = g.node('Transpose', [this.#repeat(keys, layer)], {
      attributes: { perm: { ints: [0, 1, 3, 2] } },
    });
    const products = g.node('MatMul', [this.#rotate(this.#split(query, heads)), transposed]);
    const scores = g.node('Add', [g.node('Mul', [products, 'attention_scale']), 'attention_bias']);
    const weights = g.node('Softmax', [scores], { attributes: { axis: { int: -1 } } });
    const mixed = g.node('Transpose', [g.node('MatMul', [weights, this.#repeat(values, layer)])], {
      attributes: { perm: { ints: [0, 2, 1, 3] } },
    });
    const joined = g.node('Reshape', [mixed, g.int64(`${name}.joined`, [0, 0, heads * headDim])]);
    return this.#weights.linear(`${name}.o_proj`, joined, heads * headDim, hidden);
  }

  /** `[batch, sequence, count · headDim]` to `[batch, count, sequence, headDim]`. */
  #split(flat: string, count: number): string {
    const g = this.#graph;
    const shape = g.int64(`${flat}.shape`, [0, 0, count, this.#options.headDim]);
    return g.node('Transpose', [g.node('Reshape', [flat, shape])], { attributes: { perm: { ints: [0, 2, 1, 3] } } });
  }

  #rotate(vectors: string): string {
    const g = this.#graph;
    const half = this.#options.headDim / 2;
    const [first, second] = [`${vectors}.first`, `${vectors}.second`];
    const sizes = g.int64(`${vectors}.halves`, [half, half]);
    g.node('Split', [vectors, sizes], { attributes: { axis: { int: -1 } }, outputs: [first, second] });
    const turned = g.node('Concat', [g.node('Neg', [second]), first], { attributes: { axis: { int: -1 } } });
    return g.node('Add', [g.node('Mul', [vectors, 'cos']), g.node('Mul', [turned, 'sin'])]);
  }

  /** What was there, and the new positions behind it. */
  #cache(layer: number, part: 'key' | 'value', fresh: string): string {
    const { kvHeads, headDim } = this.#options;
    const shape = ['batch_size', kvHeads, 'past_sequence_length', headDim];
    const past = this.#graph.input(`past_key_values.${layer}.${part}`, this.#weights.float, shape);
    const outputs = [`present.${layer}.${part}`];
    return this.#graph.node('Concat', [past, fresh], { attributes: { axis: { int: 2 } }, outputs });
  }

  /** Each KV head for all query heads of its group: `[batch, heads, total, headDim]`. */
  #repeat(cached: string, layer: number): string {
    const { heads, kvHeads, headDim } = this.#options;
    if (heads === kvHeads) return cached;
    const g = this.#graph;
    const grouped = g.node('Unsqueeze', [cached, g.int64(`${cached}.axis_2`, [2])]);
    const times = g.int64(`${cached}.groups`, [1, 1, heads / kvHeads, 1, 1]);
    const expanded = g.node('Expand', [grouped, times]);
    return g.node('Reshape', [expanded, g.int64(`${cached}.heads.${layer}`, [0, heads, -1, headDim])]);
  }

  #feedForward(layer: number, normed: string): string {
    const { hidden, intermediate } = this.#options;
    const g = this.#graph;
    const name = `model.layers.${layer}.mlp`;
    const gate = this.#weights.linear(`${name}.gate_proj`, normed, hidden, intermediate);
    const up = this.#weights.linear(`${name}.up_proj`, normed, hidden, intermediate);
    const silu = g.node('Mul', [gate, g.node('Sigmoid', [gate])]);
    return this.#weights.linear(`${name}.down_proj`, g.node('Mul', [silu, up]), intermediate, hidden);
  }

  #norm(name: string, values: string): string {
    const g = this.#graph;
    const square = g.node('Pow', [values, 'two']);
    const mean = g.node('ReduceMean', [square, 'axis_last'], { attributes: { keepdims: { int: 1 } } });
    const root = g.node('Sqrt', [g.node('Add', [mean, 'epsilon'])]);
    return g.node('Mul', [this.#weights.norm(name), g.node('Div', [values, root])], { outputs: [`${name}.out`] });
  }

  /** The second dimension of a tensor: its length in positions. */
  #length(tensor: string): string {
    return this.#graph.node('Gather', [this.#graph.node('Shape', [tensor]), 'one']);
  }
}
