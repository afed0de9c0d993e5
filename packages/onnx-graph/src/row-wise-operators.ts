import type { GraphNode } from './graph-reader.ts';
import { messageFields, textOf } from './message-reader.ts';

/** Computed for every element by itself; other operands are constants or of the same shape. */
const ELEMENT_WISE = [
  'Add',
  'BiasGelu',
  'Cast',
  'Constant',
  'Div',
  'Erf',
  'FastGelu',
  'Gelu',
  'Identity',
  'Mul',
  'Neg',
  'Pow',
  'QuickGelu',
  'Reciprocal',
  'Relu',
  'Sigmoid',
  'Sqrt',
  'Sub',
  'Tanh',
];
/** Computed over the last axis unless an attribute `axis` says otherwise. */
const NORMS = [
  'LayerNormalization',
  'RMSNormalization',
  'SimplifiedLayerNormalization',
  'SkipLayerNormalization',
  'SkipSimplifiedLayerNormalization',
];

/**
 * Whether a node of a decoder treats every position by itself, so that positions of several sequences can stand in one
 * row. False also for operators that are merely not known here.
 *
 * @param isConstant of an operand
 */
export function isRowWise(node: GraphNode, isConstant: (operand: string) => boolean): boolean {
  const constant = (index: number): boolean => isConstant(node.operands[index] ?? '');
  const { operator } = node;
  if (ELEMENT_WISE.includes(operator)) return true;
  if (NORMS.includes(operator)) return lastAxis(node, -1);
  if (operator === 'MatMul') return constant(1);
  if (operator === 'MatMulNBits') return constant(1) && constant(2);
  // Of a table: the embedding.
  if (operator === 'Gather' || operator === 'GatherBlockQuantized') return constant(0);
  // Into heads and back: what stands in front stays.
  if (operator === 'Reshape') return constant(1);
  if (operator === 'Split') return lastAxis(node, 0);
  // Takes the position of each token from its second operand.
  return operator === 'RotaryEmbedding' && constant(2) && constant(3);
}

/** Activations are `[batch, sequence, width]`, or `[batch, sequence, heads, width]`. */
function lastAxis(node: GraphNode, absent: number): boolean {
  return (intAttribute(node, 'axis') ?? absent) === -1;
}

function intAttribute(node: GraphNode, name: string): number | undefined {
  for (const bytes of node.attributes) {
    const fields = [...messageFields(bytes)];
    const named = fields.find(({ number }) => number === 1);
    if (named === undefined || textOf(named) !== name) continue;
    return Number(BigInt.asIntN(64, fields.find(({ number }) => number === 3)?.value ?? 0n));
  }
  return undefined;
}
