/** Element types of tensors that graphs here use, by the names onnxruntime-node gives them. */
export type ElementType = 'float32' | 'uint8' | 'int8' | 'int32' | 'int64' | 'bool' | 'float16';

interface ElementTypeRow {
  /** `TensorProto.DataType` in the ONNX format. */
  readonly onnx: number;
  readonly bytes: number;
}

export const ELEMENT_TYPES: Readonly<Record<ElementType, ElementTypeRow>> = {
  float32: { onnx: 1, bytes: 4 },
  uint8: { onnx: 2, bytes: 1 },
  int8: { onnx: 3, bytes: 1 },
  int32: { onnx: 6, bytes: 4 },
  int64: { onnx: 7, bytes: 8 },
  bool: { onnx: 9, bytes: 1 },
  float16: { onnx: 10, bytes: 2 },
};
