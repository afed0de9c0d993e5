import { GraphBuilder } from './graph-builder.ts';

export interface SamplingHeadOptions {
  vocabSize: number;
  /** Candidates per row, at most `vocabSize`. */
  topK: number;
  /** Element type of the logits; the arithmetic is float32 in either case. Default 'float32'. */
  dtype?: 'float32' | 'float16';
  /**
   * False leaves the inputs `indices` and `values` out: the graph for steps in which no row has a bias, penalty or
   * mask, or where those were already added to the logits in host memory. It saves a copy of the logits. Default true.
   */
  sparse?: boolean;
}

/**
 * The graph that reduces a step's logits to what a sampler needs.
 *
 * Inputs:
 * - `logits [B, vocabSize]`;
 * - `temperature [B]` float32, above 0;
 * - `indices [N, 2]` int64 and `values [N]` float32: `logits[indices[i,0], indices[i,1]] += values[i]` (logit bias,
 *   penalties, masks as large negatives). N may be 0. Pairs must be distinct: the kernel adds in parallel.
 *
 * Outputs, of the adjusted logits x:
 * - `top_values [B, topK]` float32: the largest x of each row, descending, not divided by temperature;
 * - `top_indices [B, topK]` int64: their token ids; of equal values the lower id comes first;
 * - `logsumexp [B]` float32: log Σ exp(x / temperature) over the whole vocabulary, so that
 *   exp(top_values / temperature − logsumexp) is a candidate's exact probability.
 */
export function samplingHead(options: SamplingHeadOptions): Uint8Array {
  const { vocabSize, topK, dtype = 'float32', sparse = true } = options;
  if (topK < 1 || topK > vocabSize) throw new Error(`sampling head: topK must be 1…${vocabSize}, got ${topK}`);
  const g = new GraphBuilder({ name: 'sampling-head' });
  const raw = g.input('logits', dtype, ['B', vocabSize]);
  const temperature = g.input('temperature', 'float32', ['B']);
  let logits = dtype === 'float32' ? raw : g.node('Cast', [raw], { attributes: { to: { int: 1 } } });
  if (sparse) {
    const indices = g.input('indices', 'int64', ['N', 2]);
    const values = g.input('values', 'float32', ['N']);
    logits = g.node('ScatterND', [logits, indices, values], { attributes: { reduction: { string: 'add' } } });
  }
  g.node('TopK', [logits, g.int64('k', [topK])], {
    attributes: { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } },
    outputs: ['top_values', 'top_indices'],
  });
  // log Σ exp(x/T) = x₁/T − log softmax(x/T)₁ for the best token 1. ReduceLogSumExp says it in one operator, but its
  // kernel is scalar: 4 to 8 times slower on [32, 49152] than Softmax, which is vectorised.
  const column = g.node('Unsqueeze', [temperature, g.int64('axis_1', [1])]);
  const tempered = g.node('Div', [logits, column]);
  const probabilities = g.node('Softmax', [tempered], { attributes: { axis: { int: -1 } } });
  const firstColumn = [g.int64('zero', [0]), g.int64('one', [1]), 'axis_1'];
  const best = g.node('Slice', ['top_indices', ...firstColumn]);
  const bestValue = g.node('Div', [g.node('Slice', ['top_values', ...firstColumn]), column]);
  const bestShare = g.node('GatherElements', [probabilities, best], { attributes: { axis: { int: 1 } } });
  const sum = g.node('Sub', [bestValue, g.node('Log', [bestShare])]);
  g.node('Squeeze', [sum, 'axis_1'], { outputs: ['logsumexp'] });
  g.output('top_values', 'float32', ['B', topK]);
  g.output('top_indices', 'int64', ['B', topK]);
  g.output('logsumexp', 'float32', ['B']);
  return g.toBytes();
}
