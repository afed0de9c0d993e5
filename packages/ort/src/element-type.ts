import { OrtError } from './ort-error.ts';

/** The typed array that shows a tensor's elements. Booleans are bytes 0 and 1; float16 are raw bits. */
export interface ElementArrays {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}

export type ElementType = keyof ElementArrays;

interface ElementTypeRow<T extends ElementType> {
  /** `ONNXTensorElementDataType` of the C API. */
  readonly onnx: number;
  readonly bytes: number;
  readonly array: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => ElementArrays[T];
}

export const ELEMENT_TYPES: { readonly [T in ElementType]: ElementTypeRow<T> } = {
  float32: { onnx: 1, bytes: 4, array: Float32Array },
  uint8: { onnx: 2, bytes: 1, array: Uint8Array },
  int8: { onnx: 3, bytes: 1, array: Int8Array },
  uint16: { onnx: 4, bytes: 2, array: Uint16Array },
  int16: { onnx: 5, bytes: 2, array: Int16Array },
  int32: { onnx: 6, bytes: 4, array: Int32Array },
  int64: { onnx: 7, bytes: 8, array: BigInt64Array },
  bool: { onnx: 9, bytes: 1, array: Uint8Array },
  float16: { onnx: 10, bytes: 2, array: Uint16Array },
  float64: { onnx: 11, bytes: 8, array: Float64Array },
  uint32: { onnx: 12, bytes: 4, array: Uint32Array },
  uint64: { onnx: 13, bytes: 8, array: BigUint64Array },
};

const BY_ONNX: ReadonlyMap<number, ElementType> = new Map(
  (Object.keys(ELEMENT_TYPES) as ElementType[]).map((type) => [ELEMENT_TYPES[type].onnx, type]),
);

export function elementTypeOf(onnx: number): ElementType {
  const type = BY_ONNX.get(onnx);
  if (type === undefined)
    throw new OrtError('not_implemented', `tensors of ONNX element type ${onnx} are not supported`);
  return type;
}

/** Product of the dimensions; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new OrtError('invalid_argument', `a tensor's dimensions must be whole numbers from 0, got [${shape}]`);
    }
    count *= size;
  }
  return count;
}

/** @throws OrtError `invalid_argument` */
export function assertSameType(target: { type: ElementType }, source: { type: ElementType }): void {
  if (target.type === source.type) return;
  throw new OrtError('invalid_argument', `a tensor of ${source.type} cannot be copied into one of ${target.type}`);
}

/** Where a view of `shape` lies in a tensor of `available` elements. */
export function viewRange(elementOffset: number, shape: readonly number[], available: number): [number, number] {
  const count = elementCount(shape);
  if (!Number.isSafeInteger(elementOffset) || elementOffset < 0 || elementOffset + count > available) {
    throw new OrtError(
      'invalid_argument',
      `a view of [${shape}] at element ${elementOffset} does not fit a tensor of ${available} elements`,
    );
  }
  return [elementOffset, count];
}
