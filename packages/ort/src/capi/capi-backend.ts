import type {
  BackendCapabilities,
  OrtBackend,
  OrtSession,
  RunControl,
  SharedWeights,
  WeightRange,
} from '../backend.ts';
import { ELEMENT_TYPES, type ElementType, elementCount } from '../element-type.ts';
import type { SessionOptions } from '../session-options.ts';
import { CapiSession } from './capi-session.ts';
import { CapiTensor } from './capi-tensor.ts';
import { allocateHostMemory, canMapFiles } from './host-memory.ts';
import { HOST, MemoryBlock } from './memory-block.ts';
import { loadOrtApi, type OrtApi, type Pointer } from './ort-api.ts';
import { CapiRunControl } from './run-control.ts';
import { CapiSharedWeights } from './shared-weights.ts';

/** What ONNX Runtime itself writes to stderr: fatal errors only, as what fails also throws. */
const LOG_FATAL = 4;
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

/** ONNX Runtime through its C API. */
export class CapiBackend implements OrtBackend {
  readonly kind = 'capi';
  readonly version: string;
  readonly capabilities: BackendCapabilities = {
    zeroCopyOutputs: true,
    terminate: true,
    nonBlockingRuns: true,
    deviceMemory: true,
    sharedWeights: canMapFiles,
  };
  readonly #api: OrtApi;
  /** ONNX Runtime has one environment per process and counts its users; it is kept until the process ends. */
  readonly #env: Pointer;
  readonly #hostInfo: Pointer;

  /** @throws OrtError `unavailable` when there is no usable library at `path` */
  constructor(path: string) {
    const api = loadOrtApi(path);
    this.#api = api;
    this.version = api.version;
    this.#env = api.make((out) => api.createEnv(LOG_FATAL, 'shoal', out));
    this.#hostInfo = api.make((out) => api.createMemoryInfo(HOST.name, DEVICE_ALLOCATOR, 0, DEFAULT_MEMORY, out));
  }

  async createSession(model: string | Uint8Array, options: SessionOptions = {}): Promise<OrtSession> {
    return new CapiSession(this.#api, this.#env, this.#hostInfo, model, options);
  }

  allocate<T extends ElementType>(type: T, shape: readonly number[]): CapiTensor<T> {
    const byteLength = elementCount(shape) * ELEMENT_TYPES[type].bytes;
    const memory = allocateHostMemory(byteLength);
    const block = new MemoryBlock({
      address: memory.address,
      byteLength,
      location: HOST,
      memoryInfo: this.#hostInfo,
      release: memory.free,
      pageable: true,
    });
    return new CapiTensor(this.#api, block, type, shape, 0, true);
  }

  createRunControl(): RunControl {
    return new CapiRunControl(this.#api);
  }

  shareWeights(weights: readonly WeightRange[]): SharedWeights {
    return new CapiSharedWeights(this.#api, this.#hostInfo, weights);
  }

  terminate(handle: bigint): void {
    if (handle !== 0n) this.#api.check(this.#api.runOptionsSetTerminate(handle));
  }
}
