import { DecoderWeights } from './decoder-weights.ts';
import type { ExternalDataFile } from './external-data.ts';
import { GraphBuilder } from './graph-builder.ts';
import type { WeightSource } from './weights.ts';

/** A Llama-style decoder: RMS norm, rotary grouped-query attention, SwiGLU. */
export interface DecoderOptions {
  layers: number;
  /** Width of the residual stream. */
  hidden: number;
  heads: number;
  /** Divides `heads`. */
  kvHeads: number;
  /** A multiple of 16: the attention kernel's own rotary embedding needs that. */
  headDim: number;
  /** Inner width of the feed-forward block. */
  intermediate: number;
  vocab: number;
  /** Rows of the rotary cache: the longest sequence. */
  maxLen: number;
  /**
   * 'fp16' stores and computes everything, keys, values and logits too, in half precision; 'q4' stores every matrix but
   * the embedding in 4 bits, blocks of 32 (MatMulNBits); 'int8' in 8 bits, with activations quantised at every run
   * (DynamicQuantizeLinear, MatMulInteger). Default 'fp32'.
   */
  dtype?: 'fp32' | 'fp16' | 'q4' | 'int8';
  /** MatMulNBits' `accuracy_level`: 0 computes in float32, 4 quantises activations to int8. Default 0. */
  accuracyLevel?: 0 | 4;
  /** Adds the input `logits_index [batch_size, K]` int64: the positions of each row whose logits are computed. */
  logitsIndex?: boolean;
  /** Default: `randomWeights` of `seed`. */
  weights?: WeightSource;
  /** Seed of the random weights. Default 1. */
  seed?: number;
  /** Where the matrices go; absent, they lie in the graph itself (which must then stay under 2 GiB). */
  externalData?: ExternalDataFile;
}

export const RMS_EPSILON = 1e-5;
export const ROPE_THETA = 10_000;

/** SmolLM-135M's shape, which the benches measure. */
export const DECODER_135M: Readonly<DecoderOptions> = {
  layers: 30,
  hidden: 576,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  intermediate: 1536,
  vocab: 49_152,
  maxLen: 2048,
};

/** Small enough for unit tests (a step takes well under a millisecond), with every part of the large shape. */
export const DECODER_TINY: Readonly<DecoderOptions> = {
  layers: 2,
  hidden: 64,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 96,
  vocab: 128,
  maxLen: 64,
};

/**
 * Builds the decoder with the input and output names of onnxruntime-genai and onnx-community exports.
 *
 * Inputs: `input_ids [batch_size, sequence_length]` int64, `attention_mask [batch_size, total_sequence_length]` int64,
 * `past_key_values.N.{key,value} [batch_size, kvHeads, past_sequence_length, headDim]`, float32 (float16 with 'fp16').
 * Outputs: `logits [batch_size, sequence_length, vocab]`, `present.N.{key,value}`.
 * There is no `position_ids`: the attention kernel takes positions from the mask's row sums.
 */
export function decoder(options: DecoderOptions): Uint8Array {
  return new DecoderGraph(options).build();
}

class DecoderGraph {
  readonly #graph = new GraphBuilder({ name: 'decoder' });
  readonly #options: DecoderOptions;
  readonly #weights: DecoderWeights;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#weights = new DecoderWeights(this.#graph, options);
  }

  build(): Uint8Array {
    const { hidden, vocab, layers } = this.#options;
    const g = this.#graph;
    const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
    const mask = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
    const lengths = this.#lengths(mask);
    const embedding = this.#weights.matrix('model.embed_tokens.weight', [vocab, hidden], 1);
    let residual = g.node('Gather', [embedding, ids]);
    let normed = g.node(
      'SimplifiedLayerNormalization',
      [residual, this.#weights.norm('model.layers.0.input_layernorm')],
      {
        attributes: { epsilon: { float: RMS_EPSILON }, axis: { int: -1 } },
      },
    );
    for (let layer = 0; layer < layers; layer++) {
      const attention = this.#attention(layer, normed, lengths);
      [normed, residual] = this.#addAndNorm(residual, attention, `model.layers.${layer}.post_attention_layernorm`);
      const forward = this.#feedForward(layer, normed);
      const next = layer + 1 < layers ? `model.layers.${layer + 1}.input_layernorm` : 'model.norm';
      [normed, residual] = this.#addAndNorm(residual, forward, next);
    }
    if (this.#options.logitsIndex === true) normed = this.#selectPositions(normed);
    // Deviation 2 / √hidden: logits of unit-rms activations then spread by about 2, like a trained model's.
    g.output(
      this.#weights.linear('lm_head', normed, hidden, vocab, 2 / Math.sqrt(hidden), 'logits'),
      this.#weights.float,
      ['batch_size', this.#options.logitsIndex === true ? 'K' : 'sequence_length', vocab],
    );
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value'])
        g.output(`present.${layer}.${part}`, this.#weights.float, this.#kvShape('total'));
    }
    return g.toBytes();
  }

  /** What the attention kernel asks for: row sums − 1 and the mask's width, both int32; and the rotary caches. */
  #lengths(mask: string): string[] {
    const g = this.#graph;
    const ones = g.node('ReduceSum', [mask, g.int64('axis_1', [1])], { attributes: { keepdims: { int: 0 } } });
    const last = g.node('Sub', [ones, g.int64('one', 1)]);
    const width = g.node('Gather', [g.node('Shape', [mask]), g.int64('index_1', 1)]);
    const int32 = { attributes: { to: { int: 6 } } };
    const [cos, sin] = rotaryCaches(this.#options.maxLen, this.#options.headDim);
    const shape = [this.#options.maxLen, this.#options.headDim / 2];
    return [
      g.node('Cast', [last], { ...int32, outputs: ['seqlens_k'] }),
      g.node('Cast', [width], { ...int32, outputs: ['total_sequence_length_int32'] }),
      this.#weights.constant('cos_cache', shape, cos),
      this.#weights.constant('sin_cache', shape, sin),
    ];
  }

  #attention(layer: number, normed: string, lengths: readonly string[]): string {
    const { hidden, heads, kvHeads, headDim } = this.#options;
    const g = this.#graph;
    const name = `model.layers.${layer}.self_attn`;
    const past = ['key', 'value'].map((part) =>
      g.input(`past_key_values.${layer}.${part}`, this.#weights.float, this.#kvShape('past')),
    );
    const qkv = this.#weights.linear(`${name}.qkv_proj`, normed, hidden, (heads + 2 * kvHeads) * headDim);
    const mixed = g.node('GroupQueryAttention', [qkv, '', '', ...past, ...lengths], {
      domain: 'com.microsoft',
      attributes: {
        num_heads: { int: heads },
        kv_num_heads: { int: kvHeads },
        scale: { float: 1 / Math.sqrt(headDim) },
        do_rotary: { int: 1 },
      },
      outputs: [`${name}.out`, `present.${layer}.key`, `present.${layer}.value`],
    });
    return this.#weights.linear(`${name}.o_proj`, mixed, heads * headDim, hidden);
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

  /** Residual addition and RMS norm in one kernel: [normed, sum]. */
  #addAndNorm(residual: string, update: string, name: string): [normed: string, sum: string] {
    const sum = `${name}.sum`;
    const normed = this.#graph.node('SkipSimplifiedLayerNormalization', [residual, update, this.#weights.norm(name)], {
      domain: 'com.microsoft',
      attributes: { epsilon: { float: RMS_EPSILON } },
      outputs: [`${name}.out`, '', '', sum],
    });
    return [normed, sum];
  }

  #selectPositions(normed: string): string {
    const g = this.#graph;
    const positions = g.input('logits_index', 'int64', ['batch_size', 'K']);
    const indices = g.node('Unsqueeze', [positions, g.int64('axis_last', [-1])]);
    return g.node('GatherND', [normed, indices], { attributes: { batch_dims: { int: 1 } } });
  }

  #kvShape(part: 'past' | 'total'): (string | number)[] {
    return ['batch_size', this.#options.kvHeads, `${part}_sequence_length`, this.#options.headDim];
  }
}

/** cos and sin [maxLen, headDim / 2] of position · θ^(−2i / headDim) (rotary embedding, arXiv 2104.09864). */
function rotaryCaches(maxLen: number, headDim: number): [cos: Float32Array, sin: Float32Array] {
  const half = headDim / 2;
  const cos = new Float32Array(maxLen * half);
  const sin = new Float32Array(maxLen * half);
  for (let position = 0; position < maxLen; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * ROPE_THETA ** (-i / half);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return [cos, sin];
}
