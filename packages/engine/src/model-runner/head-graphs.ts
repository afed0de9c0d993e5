import { GraphBuilder } from '@shoal/onnx-graph';
import type { FloatType } from './graph-signature.ts';

export interface HeadGraphOptions {
  vocabSize: number;
  /** Element type of the logits; the arithmetic is float32 in either case. */
  dtype: FloatType;
  /** Adds inputs `indices [N, 2]` int64 and `values [N]`: `logits[indices[i]] += values[i]`. */
  sparse: boolean;
  /** Adds the output `block_maxima [B, V / block]`, and where {@link adjusts} says so `adjusted [B, V]`. */
  best: boolean;
  /** Adds the outputs `probabilities [B, V]` and `block_masses [B, V / block]`. */
  sampling: boolean;
  /** With `sampling`, adds the input `temperature [B]`; otherwise all are 1. */
  tempered: boolean;
  /** If not 0, adds the output `likeliest [B, likeliest]` int64, most likely first. */
  likeliest: number;
}

/**
 * The graph behind the model: input `logits [B, V]`, outputs as asked for.
 *
 * The largest logit of each block says in which block the most likely token is, at a third of what TopK of one costs.
 *
 * Softmax over the whole row is what ONNX Runtime computes fastest (0.4 ms for 32 × 49,152 on one core, where
 * ReduceLogSumExp by blocks took 7 ms), and with all probabilities at hand any draw can be decided exactly.
 */
export function headGraph(options: HeadGraphOptions): Uint8Array {
  const { vocabSize, dtype, sparse, best, sampling, tempered, likeliest } = options;
  const block = blockSize(vocabSize);
  const g = new GraphBuilder({ name: 'sampling-head' });
  const raw = g.input('logits', dtype, ['B', vocabSize]);
  let logits = dtype === 'float32' ? raw : g.node('Cast', [raw], { attributes: { to: { int: 1 } } });
  const [blocks, lastAxis] = [g.int64('blocks', [0, -1, block]), g.int64('axis_last', [-1])];
  const reduce = (operator: string, values: string, output: string): void => {
    const attributes = { keepdims: { int: 0 } };
    g.node(operator, [g.node('Reshape', [values, blocks]), lastAxis], { attributes, outputs: [output] });
    g.output(output, 'float32', ['B', vocabSize / block]);
  };
  if (sparse) {
    const indices = g.input('indices', 'int64', ['N', 2]);
    const values = g.input('values', 'float32', ['N']);
    logits = g.node('ScatterND', [logits, indices, values], { attributes: { reduction: { string: 'add' } } });
  }
  if (best) {
    if (adjusts(options)) {
      logits = g.node('Identity', [logits], { outputs: ['adjusted'] });
      g.output('adjusted', 'float32', ['B', vocabSize]);
    }
    reduce('ReduceMax', logits, 'block_maxima');
  }
  if (likeliest > 0) {
    g.node('TopK', [logits, g.int64('k', [likeliest])], {
      attributes: { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } },
      outputs: ['likeliest_values', 'likeliest'],
    });
    g.output('likeliest', 'int64', ['B', likeliest]);
  }
  if (sampling) {
    if (tempered) {
      const temperature = g.input('temperature', 'float32', ['B']);
      logits = g.node('Div', [logits, g.node('Unsqueeze', [temperature, g.int64('axis_1', [1])])]);
    }
    g.node('Softmax', [logits], { attributes: { axis: { int: -1 } }, outputs: ['probabilities'] });
    g.output('probabilities', 'float32', ['B', vocabSize]);
    reduce('ReduceSum', 'probabilities', 'block_masses');
  }
  return g.toBytes();
}

/** Whether the graph's own float32 logits differ from those of the model. */
export function adjusts({ dtype, sparse }: Pick<HeadGraphOptions, 'dtype' | 'sparse'>): boolean {
  return sparse || dtype !== 'float32';
}

/** The divisor of the vocabulary for which looking through the blocks and then through one of them is shortest. */
export function blockSize(vocabSize: number): number {
  let best = vocabSize;
  for (let size = 1; size <= vocabSize; size++) {
    if (vocabSize % size === 0 && size + vocabSize / size < best + vocabSize / best) best = size;
  }
  return best;
}
