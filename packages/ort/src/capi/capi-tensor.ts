import type { MemoryLocation, OrtTensor } from '../backend.ts';
import {
  assertSameType,
  ELEMENT_TYPES,
  type ElementArrays,
  type ElementType,
  elementCount,
  viewRange,
} from '../element-type.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import type { MemoryBlock } from './memory-block.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

/** An `OrtValue` over a range of a memory block. The first tensor of a block owns it; views do not. */
export class CapiTensor<T extends ElementType = ElementType> implements OrtTensor<T> {
  readonly type: T;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** The `OrtValue`'s address. */
  readonly value: Pointer;
  readonly block: MemoryBlock;
  readonly #api: OrtApi;
  readonly #byteOffset: number;
  readonly #owner: boolean;
  readonly #lifetime: Lifetime;
  #data: ElementArrays[T] | undefined;

  constructor(api: OrtApi, block: MemoryBlock, type: T, shape: readonly number[], byteOffset: number, owner: boolean) {
    this.#api = api;
    this.block = block;
    this.type = type;
    this.shape = [...shape];
    this.#byteOffset = byteOffset;
    this.#owner = owner;
    this.byteLength = elementCount(shape) * ELEMENT_TYPES[type].bytes;
    this.value = api.make((out) =>
      api.createTensorWithData(
        block.memoryInfo,
        block.addressAt(byteOffset),
        this.byteLength,
        BigInt64Array.from(shape, BigInt),
        shape.length,
        ELEMENT_TYPES[type].onnx,
        out,
      ),
    );
    this.#lifetime = new Lifetime('a tensor', () => api.releaseValue(this.value));
  }

  get location(): MemoryLocation {
    return this.block.location;
  }

  get disposed(): boolean {
    return this.#lifetime.disposed || this.block.lifetime.disposed;
  }

  get data(): ElementArrays[T] {
    this.#assertAlive();
    if (this.#data === undefined) {
      const { array, bytes } = ELEMENT_TYPES[this.type];
      const [buffer, byteOffset] = this.block.show(this.#byteOffset, this.byteLength);
      this.#data = new array(buffer, byteOffset, this.byteLength / bytes);
    }
    return this.#data;
  }

  view(elementOffset: number, shape: readonly number[]): CapiTensor<T> {
    this.#assertAlive();
    const { bytes } = ELEMENT_TYPES[this.type];
    const [offset] = viewRange(elementOffset, shape, this.byteLength / bytes);
    return new CapiTensor(this.#api, this.block, this.type, shape, this.#byteOffset + offset * bytes, false);
  }

  copyFrom(source: OrtTensor, sourceOffset: number, elementOffset: number, elements: number): void {
    const from = capiTensor(source);
    this.#assertAlive();
    assertSameType(this, from);
    const { bytes } = ELEMENT_TYPES[this.type];
    const [start] = viewRange(sourceOffset, [elements], from.byteLength / bytes);
    const [target] = viewRange(elementOffset, [elements], this.byteLength / bytes);
    this.block.copyFrom(
      from.block,
      from.#byteOffset + start * bytes,
      this.#byteOffset + target * bytes,
      elements * bytes,
    );
  }

  adviseFree(elementOffset: number = 0, elements?: number): number {
    this.#assertAlive();
    const { bytes } = ELEMENT_TYPES[this.type];
    const available = this.byteLength / bytes;
    const [offset, count] = viewRange(elementOffset, [elements ?? available - elementOffset], available);
    return this.block.dropPages(this.#byteOffset + offset * bytes, count * bytes);
  }

  dispose(): void {
    this.#data = undefined;
    this.#lifetime.dispose();
    if (this.#owner) this.block.lifetime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #assertAlive(): void {
    this.#lifetime.assertAlive();
    this.block.lifetime.assertAlive();
  }
}

/** The tensor as this backend's own, alive. */
export function capiTensor(tensor: OrtTensor): CapiTensor {
  if (!(tensor instanceof CapiTensor)) {
    throw new OrtError('invalid_argument', 'the tensor belongs to another backend than the session');
  }
  if (tensor.disposed) throw new OrtError('disposed', 'a tensor was used after it was disposed');
  return tensor;
}
