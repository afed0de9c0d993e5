import type { OrtTensor } from '@shoal/ort';
import { widen } from './float16.ts';

/** The `index`-th run of `vocabSize` logits in a tensor: a view where it is float32, widened where it is float16. */
export function logitsOf(tensor: OrtTensor, index: number, vocabSize: number): Float32Array {
  const { data } = tensor;
  const start = index * vocabSize;
  if (data instanceof Float32Array) return data.subarray(start, start + vocabSize);
  if (data instanceof Uint16Array) return widen(data.subarray(start, start + vocabSize));
  throw new Error(`logits of type ${tensor.type} cannot be read`);
}
