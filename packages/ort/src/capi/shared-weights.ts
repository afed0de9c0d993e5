import { closeSync, fstatSync, openSync } from 'node:fs';
import type { SharedWeights, WeightRange } from '../backend.ts';
import { ELEMENT_TYPES, elementCount } from '../element-type.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import { mapFile } from './host-memory.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

interface Mapping {
  readonly address: Pointer;
  readonly byteLength: number;
  drop(): void;
  unmap(): void;
}

/**
 * Weights mapped from their files, and the container in which sessions leave what their kernels made of them. ONNX
 * Runtime shares packed weights only among sessions that got them by `AddInitializer`.
 */
export class CapiSharedWeights implements SharedWeights {
  readonly lifetime: Lifetime;
  readonly container: Pointer;
  /** `OrtValue`s by the names of the initializers they stand for. */
  readonly values: ReadonlyMap<string, Pointer>;
  readonly #mappings: ReadonlyMap<string, Mapping>;

  constructor(api: OrtApi, memoryInfo: Pointer, weights: readonly WeightRange[]) {
    const mappings = new Map<string, Mapping>();
    const values = new Map<string, Pointer>();
    const free = (): void => {
      for (const value of values.values()) api.releaseValue(value);
      for (const mapping of mappings.values()) mapping.unmap();
    };
    try {
      for (const weight of weights) {
        const mapping = mappings.get(weight.path) ?? map(weight.path);
        mappings.set(weight.path, mapping);
        values.set(weight.name, weightValue(api, memoryInfo, mapping, weight));
      }
      this.container = api.make((out) => api.createPrepackedWeightsContainer(out));
    } catch (cause) {
      free();
      throw cause;
    }
    this.#mappings = mappings;
    this.values = values;
    this.lifetime = new Lifetime('shared weights', () => {
      api.releasePrepackedWeightsContainer(this.container);
      free();
    });
  }

  /** Whatever was packed is not read from the files again; what was not is read again when it is needed. */
  settle(): void {
    for (const mapping of this.#mappings.values()) mapping.drop();
  }

  dispose(): void {
    this.lifetime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function map(path: string): Mapping {
  const descriptor = openSync(path, 'r');
  try {
    const byteLength = fstatSync(descriptor).size;
    return { byteLength, ...mapFile(descriptor, byteLength) };
  } finally {
    closeSync(descriptor);
  }
}

function weightValue(api: OrtApi, memoryInfo: Pointer, mapping: Mapping, weight: WeightRange): Pointer {
  const { name, path, type, shape, offset } = weight;
  const byteLength = elementCount(shape) * ELEMENT_TYPES[type].bytes;
  if (offset < 0 || offset + byteLength > mapping.byteLength) {
    throw new OrtError('invalid_argument', `${name} takes bytes ${offset} to ${offset + byteLength} of ${path}`);
  }
  const dims = BigInt64Array.from(shape, BigInt);
  const address = mapping.address + BigInt(offset);
  const { onnx } = ELEMENT_TYPES[type];
  return api.make((out) => api.createTensorWithData(memoryInfo, address, byteLength, dims, dims.length, onnx, out));
}
