import { constants } from 'node:buffer';
import koffi from 'koffi';
import type { MemoryLocation } from '../backend.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import { copyMemory, dropPages } from './host-memory.ts';
import type { Pointer } from './ort-api.ts';

export interface MemoryBlockOptions {
  address: Pointer;
  byteLength: number;
  location: MemoryLocation;
  /** `OrtMemoryInfo` of the location; not owned. */
  memoryInfo: Pointer;
  release: () => void;
  /** True when whole pages of it may be given back to the system. */
  pageable: boolean;
}

/** Memory that tensors lie in, wherever it came from. One array buffer shows all of it, unless that is too much. */
export class MemoryBlock {
  readonly address: Pointer;
  readonly byteLength: number;
  readonly location: MemoryLocation;
  readonly memoryInfo: Pointer;
  readonly lifetime: Lifetime;
  readonly #pageable: boolean;
  #buffer: ArrayBuffer | undefined;

  constructor(options: MemoryBlockOptions) {
    this.address = options.address;
    this.byteLength = options.byteLength;
    this.location = options.location;
    this.memoryInfo = options.memoryInfo;
    this.#pageable = options.pageable;
    this.lifetime = new Lifetime('a tensor', () => {
      this.#buffer = undefined;
      options.release();
    });
  }

  /**
   * An array buffer that shows a range of it, and the byte of that buffer at which the range begins.
   *
   * @throws OrtError `disposed`, `not_on_host`; `not_implemented` when the range is longer than an array buffer may be
   */
  show(byteOffset: number, byteLength: number): [buffer: ArrayBuffer, byteOffset: number] {
    this.#assertReadable();
    // Node.js ends the process when it is asked for a longer one.
    if (byteLength > constants.MAX_LENGTH) {
      const fault = `an array over ${byteLength} bytes is longer than the ${constants.MAX_LENGTH} of this Node.js`;
      throw new OrtError('not_implemented', `${fault}: read a view of the tensor, or copyFrom it`);
    }
    if (this.byteLength > constants.MAX_LENGTH) return [koffi.view(this.addressAt(byteOffset), byteLength), 0];
    this.#buffer ??= koffi.view(this.address, this.byteLength);
    return [this.#buffer, byteOffset];
  }

  /**
   * The address of a byte of it.
   *
   * @throws OrtError `not_implemented` where the memory is a handle, which has no middle
   */
  addressAt(byteOffset: number): Pointer {
    if (byteOffset > 0 && HANDLES.test(this.location.name)) {
      const fault = `a tensor cannot begin in the middle of ${this.location.name} memory`;
      throw new OrtError('not_implemented', `${fault}: view it from its start, or run a copy`);
    }
    return this.address + BigInt(byteOffset);
  }

  /** @throws OrtError `disposed`, `not_on_host` */
  copyFrom(source: MemoryBlock, sourceOffset: number, byteOffset: number, byteLength: number): void {
    this.#assertReadable();
    source.#assertReadable();
    copyMemory(source.addressAt(sourceOffset), this.addressAt(byteOffset), byteLength);
  }

  dropPages(byteOffset: number, byteLength: number): number {
    this.lifetime.assertAlive();
    return this.#pageable ? dropPages(this.address + BigInt(byteOffset), byteLength) : 0;
  }

  #assertReadable(): void {
    this.lifetime.assertAlive();
    if (isHost(this.location)) return;
    throw new OrtError('not_on_host', `the tensor lies in ${this.location.name} memory: run a copy to read it`);
  }
}

export const HOST: MemoryLocation = { name: 'Cpu', deviceId: 0 };

/** Memory whose "address" is a handle of the graphics interface: WebGPU's buffers and DirectML's resources. */
const HANDLES = /^(WebGPU|DML)/;

/** Pinned memory is host memory that a device may read. */
function isHost(location: MemoryLocation): boolean {
  return location.name === HOST.name || location.name.endsWith('Pinned');
}
