import type { DecoderOptions } from './decoder.ts';
import type { ExternalDataFile } from './external-data.ts';
import { toFloat16 } from './float16.ts';
import type { GraphBuilder } from './graph-builder.ts';
import { quantizeInt8 } from './int8.ts';
import { quantizeQ4 } from './q4.ts';
import { randomWeights, type WeightSource } from './weights.ts';

export const Q4_BLOCK_SIZE = 32;

/** The constants of a decoder, and the matrix products with them, in the element type that its options ask for. */
export class DecoderWeights {
  /** Element type of activations, cache and logits. */
  readonly float: 'float32' | 'float16';
  readonly #graph: GraphBuilder;
  readonly #options: DecoderOptions;
  readonly #source: WeightSource;

  constructor(graph: GraphBuilder, options: DecoderOptions) {
    const { heads, kvHeads, headDim } = options;
    if (heads % kvHeads !== 0) throw new Error(`decoder: ${heads} heads do not divide into ${kvHeads} KV heads`);
    if (headDim % 16 !== 0) throw new Error(`decoder: the head size must be a multiple of 16, got ${headDim}`);
    this.#graph = graph;
    this.#options = options;
    this.#source = options.weights ?? randomWeights(options.seed ?? 1);
    this.float = options.dtype === 'fp16' ? 'float16' : 'float32';
  }

  /** The weight of an RMS norm over the residual stream: ones. */
  norm(name: string): string {
    const { hidden } = this.#options;
    return this.constant(`${name}.weight`, [hidden], new Float32Array(hidden).fill(1));
  }

  /** `operand [.., k]` times a matrix `[k, n]`. */
  linear(
    name: string,
    operand: string,
    k: number,
    n: number,
    deviation: number = 1 / Math.sqrt(k),
    output: string = `${name}.out`,
  ): string {
    const { dtype } = this.#options;
    if (dtype === 'q4') return this.#q4Linear(name, operand, k, n, deviation, output);
    if (dtype === 'int8') return this.#int8Linear(name, operand, k, n, deviation, output);
    const weight = this.matrix(`${name}.weight`, [k, n], deviation);
    return this.#graph.node('MatMul', [operand, weight], { outputs: [output] });
  }

  matrix(name: string, shape: readonly number[], deviation: number): string {
    return this.constant(name, shape, this.#source(name, shape, deviation), this.#options.externalData);
  }

  constant(name: string, shape: readonly number[], values: Float32Array, file?: ExternalDataFile): string {
    const data = this.float === 'float16' ? toFloat16(values) : values;
    return this.#graph.initializer(name, this.float, shape, data, file);
  }

  #q4Linear(name: string, operand: string, k: number, n: number, deviation: number, output: string): string {
    const q4 = quantizeQ4(this.#source(`${name}.weight`, [k, n], deviation), k, n, Q4_BLOCK_SIZE);
    const blocks = k / Q4_BLOCK_SIZE;
    const file = this.#options.externalData;
    const shape = [n, blocks, Q4_BLOCK_SIZE / 2];
    const packed = this.#graph.initializer(`${name}.weight_Q4`, 'uint8', shape, q4.packed, file);
    const scales = this.#graph.initializer(`${name}.weight_scales`, 'float32', [n * blocks], q4.scales, file);
    return this.#graph.node('MatMulNBits', [operand, packed, scales], {
      domain: 'com.microsoft',
      attributes: {
        K: { int: k },
        N: { int: n },
        bits: { int: 4 },
        block_size: { int: Q4_BLOCK_SIZE },
        accuracy_level: { int: this.#options.accuracyLevel ?? 0 },
      },
      outputs: [output],
    });
  }

  /** As onnxruntime's dynamic quantisation writes it: one scale for the weights, one for all activations of a run. */
  #int8Linear(name: string, operand: string, k: number, n: number, deviation: number, output: string): string {
    const g = this.#graph;
    const { values, scale } = quantizeInt8(this.#source(`${name}.weight`, [k, n], deviation));
    const weight = g.initializer(`${name}.weight_quantized`, 'int8', [k, n], values, this.#options.externalData);
    const weightScale = g.initializer(`${name}.weight_scale`, 'float32', [], Float32Array.of(scale));
    const [quantized, activationScale, zero] = ['quantized', 'scale', 'zero_point'].map((part) => `${name}.in_${part}`);
    g.node('DynamicQuantizeLinear', [operand], { outputs: [quantized ?? '', activationScale ?? '', zero ?? ''] });
    const product = g.node('MatMulInteger', [quantized ?? '', weight, zero ?? '']);
    const float = g.node('Cast', [product], { attributes: { to: { int: 1 } } });
    const bothScales = g.node('Mul', [activationScale ?? '', weightScale]);
    return g.node('Mul', [float, bothScales], { outputs: [output] });
  }
}
