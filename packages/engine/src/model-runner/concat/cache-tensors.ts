import type { OrtTensor } from '@shoal/ort';

/** Typed arrays that keys and values come in. */
export type FloatData = Float32Array | Uint16Array;

/**
 * Keys and values, layer by layer: tensors `[rows, kvHeads, length, headSize]` that are read and written row by row, as
 * a whole tensor may be longer than an array can be.
 */
export class CacheTensors {
  readonly length: number;
  readonly tensors: readonly OrtTensor[];
  readonly #rows: (readonly FloatData[])[] = [];

  constructor(length: number, tensors: readonly OrtTensor[]) {
    this.length = length;
    this.tensors = tensors;
  }

  /**
   * The elements of one row, `[kvHeads, length, headSize]`, of each tensor. The arrays end with the tensors.
   *
   * @throws Error when they hold no float32 or float16
   */
  row(row: number): readonly FloatData[] {
    const known = this.#rows[row];
    if (known !== undefined) return known;
    const made = this.tensors.map((tensor) => rowOf(tensor, row));
    this.#rows[row] = made;
    return made;
  }
}

function rowOf(tensor: OrtTensor, row: number): FloatData {
  const [, ...shape] = tensor.shape;
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  using view = tensor.view(row * size, shape);
  const { data } = view;
  if (data instanceof Float32Array || data instanceof Uint16Array) return data;
  throw new Error(`a cache of type ${tensor.type} cannot be copied`);
}
