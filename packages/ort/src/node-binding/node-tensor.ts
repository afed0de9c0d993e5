import { Tensor } from 'onnxruntime-node';
import type { MemoryLocation, OrtTensor } from '../backend.ts';
import {
  assertSameType,
  ELEMENT_TYPES,
  type ElementArrays,
  type ElementType,
  elementCount,
  viewRange,
} from '../element-type.ts';
import { OrtError } from '../ort-error.ts';

const HOST: MemoryLocation = { name: 'Cpu', deviceId: 0 };

/** Shared by a tensor and its views. */
interface SharedMemory {
  disposed: boolean;
}

/** A tensor in an array buffer of V8. The garbage collector frees it once it is disposed. */
export class NodeTensor<T extends ElementType = ElementType> implements OrtTensor<T> {
  readonly type: T;
  readonly shape: readonly number[];
  readonly location: MemoryLocation = HOST;
  readonly byteLength: number;
  readonly #memory: SharedMemory;
  readonly #owner: boolean;
  #data: ElementArrays[T] | undefined;
  #tensor: Tensor | undefined;

  constructor(type: T, shape: readonly number[], data: ElementArrays[T], memory: SharedMemory, owner: boolean) {
    this.type = type;
    this.shape = [...shape];
    this.byteLength = elementCount(shape) * ELEMENT_TYPES[type].bytes;
    this.#data = data;
    this.#memory = memory;
    this.#owner = owner;
  }

  get disposed(): boolean {
    return this.#data === undefined || this.#memory.disposed;
  }

  get data(): ElementArrays[T] {
    if (this.#data === undefined || this.#memory.disposed) {
      throw new OrtError('disposed', 'a tensor was used after it was disposed');
    }
    return this.#data;
  }

  /** The same elements as onnxruntime-node's own tensor. */
  get tensor(): Tensor {
    this.#tensor ??= new Tensor(this.type as 'float32', this.data as Float32Array, this.shape);
    return this.#tensor;
  }

  view(elementOffset: number, shape: readonly number[]): NodeTensor<T> {
    const { array, bytes } = ELEMENT_TYPES[this.type];
    const [offset, count] = viewRange(elementOffset, shape, this.data.length);
    const data = new array(this.data.buffer, this.data.byteOffset + offset * bytes, count);
    return new NodeTensor(this.type, shape, data, this.#memory, false);
  }

  copyFrom(source: OrtTensor, sourceOffset: number, elementOffset: number, elements: number): void {
    const from = nodeTensor(source);
    assertSameType(this, from);
    const [start] = viewRange(sourceOffset, [elements], from.data.length);
    const [target] = viewRange(elementOffset, [elements], this.data.length);
    bytesOf(this, target, elements).set(bytesOf(from, start, elements));
  }

  adviseFree(elementOffset: number = 0, elements?: number): number {
    viewRange(elementOffset, [elements ?? this.data.length - elementOffset], this.data.length);
    return 0;
  }

  dispose(): void {
    this.#data = undefined;
    this.#tensor = undefined;
    if (this.#owner) this.#memory.disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function bytesOf({ type, data }: OrtTensor, offset: number, elements: number): Uint8Array {
  const { bytes } = ELEMENT_TYPES[type];
  return new Uint8Array(data.buffer, data.byteOffset + offset * bytes, elements * bytes);
}

/** The tensor as this backend's own, alive. */
export function nodeTensor(tensor: OrtTensor): NodeTensor {
  if (!(tensor instanceof NodeTensor)) {
    throw new OrtError('invalid_argument', 'the tensor belongs to another backend than the session');
  }
  if (tensor.disposed) throw new OrtError('disposed', 'a tensor was used after it was disposed');
  return tensor;
}
