import type { ElementType } from './element-type.ts';
import { GraphBuilder } from './graph-builder.ts';

/**
 * A graph that copies: `to.i` = `from.i` for i < `count`, any shape of rank 4. Bound to views of KV slabs it moves
 * slots in device memory, which host code cannot reach (ONNX Runtime's CopyTensors serves only plug-in providers);
 * it does the same on the CPU. Source and target must not overlap.
 */
export function copyGraph(options: { count: number; dtype: ElementType }): Uint8Array {
  const g = new GraphBuilder({ name: 'copy' });
  const shape = (i: number): string[] => ['a', 'b', 'c', 'd'].map((axis) => `${axis}${i}`);
  for (let i = 0; i < options.count; i++) {
    const from = g.input(`from.${i}`, options.dtype, shape(i));
    g.output(g.node('Identity', [from], { outputs: [`to.${i}`] }), options.dtype, shape(i));
  }
  return g.toBytes();
}
