import { type ElementType, GraphBuilder } from '@shoal/onnx-graph';

/**
 * What is done with rows in memory that only the execution provider reaches, for `count` slabs
 * `[rows, kvHeads, length, headSize]` at once.
 */
export interface RowGraphOptions {
  count: number;
  type: ElementType;
}

const each = ({ count }: RowGraphOptions): number[] => [...Array(count).keys()];

/** `row.i [1, …]` = row number `row [1]` of `slab.i`. */
export function takeRowGraph(options: RowGraphOptions): Uint8Array {
  const g = new GraphBuilder({ name: 'take-row' });
  g.input('row', 'int64', [1]);
  for (const i of each(options)) {
    const slab = g.input(`slab.${i}`, options.type, ['slots', 'heads', 'length', 'size']);
    g.output(g.node('Gather', [slab, 'row'], { outputs: [`row.${i}`] }), options.type, [1, 'heads', 'length', 'size']);
  }
  return g.toBytes();
}

/**
 * `to.i` = `slab.i`, with `new.i [n, kvHeads, positions, headSize]` in the places `at [n, kvHeads, positions, 3]` (slot,
 * head, position). Bound to the slab itself, the output is written in place: the kernels copy the rest only where
 * their input and output differ.
 */
export function putGraph(options: RowGraphOptions): Uint8Array {
  const g = new GraphBuilder({ name: 'put-positions' });
  g.input('at', 'int64', ['n', 'heads', 'positions', 3]);
  for (const i of each(options)) {
    const slab = g.input(`slab.${i}`, options.type, ['slots', 'heads', 'length', 'size']);
    const fresh = g.input(`new.${i}`, options.type, ['n', 'heads', 'positions', 'size']);
    const put = g.node('ScatterND', [slab, 'at', fresh], { outputs: [`to.${i}`] });
    g.output(put, options.type, ['slots', 'heads', 'length', 'size']);
  }
  return g.toBytes();
}

/** `zeros` of the shape `shape [4]`: a provider's allocator gives memory as it is. */
export function zerosGraph(type: ElementType): Uint8Array {
  const g = new GraphBuilder({ name: 'zeros' });
  const shape = g.input('shape', 'int64', [4]);
  const zero = g.initializer('zero', type, [1], type === 'float16' ? new Uint16Array(1) : new Float32Array(1));
  g.output(g.node('Expand', [zero, shape], { outputs: ['zeros'] }), type, ['a', 'b', 'c', 'd']);
  return g.toBytes();
}
