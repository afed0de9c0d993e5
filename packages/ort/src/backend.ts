import type { ElementArrays, ElementType } from './element-type.ts';
import type { SessionOptions } from './session-options.ts';

/**
 * ONNX Runtime as the engine uses it. Two implementations keep one contract (`backend.contract.test.ts`):
 *
 * - `capi`: the runtime's C API. Tensors lie in native or device memory, are bound once and written in place; a step
 *   is one native call.
 * - `node-binding`: onnxruntime-node's `InferenceSession`, for where the C API cannot be reached. Every output is
 *   copied on every run, and runs cannot be terminated.
 */
export interface OrtBackend {
  readonly kind: 'capi' | 'node-binding';
  /** ONNX Runtime's version, such as "1.30.0". */
  readonly version: string;
  readonly capabilities: BackendCapabilities;

  /**
   * Loads a model from a path (external data files are found beside it) or from its bytes.
   *
   * @throws OrtError `no_such_file`, `invalid_protobuf`, `invalid_graph`, `not_implemented` (an operator or type that
   * the runtime lacks), `invalid_argument` (a bad option) or `ep_fail` (the execution provider)
   */
  createSession(model: string | Uint8Array, options?: SessionOptions): Promise<OrtSession>;

  /** A tensor of zeros in host memory. Pages of a large one become resident only when they are touched. */
  allocate<T extends ElementType>(type: T, shape: readonly number[]): OrtTensor<T>;

  createRunControl(): RunControl;

  /**
   * Weights that lie in files, for sessions that compute with the same ones: what their kernels make of them exists once
   * (`SessionOptions.sharedWeights`). Otherwise a second session of a model takes its memory once more.
   *
   * @throws OrtError `not_implemented` without the capability; `invalid_argument` when a range does not fit its file
   */
  shareWeights(weights: readonly WeightRange[]): SharedWeights;

  /**
   * Terminates the run whose `RunControl.handle` another thread gave: a watchdog's way to end a run that blocks its
   * own thread. The control must not have been disposed. Without the capability it does nothing.
   */
  terminate(handle: bigint): void;
}

export interface BackendCapabilities {
  /** Bound outputs are written in place and not copied. */
  readonly zeroCopyOutputs: boolean;
  /** `RunControl.terminate` ends a run that has begun. */
  readonly terminate: boolean;
  /** `run({ blocking: false })` leaves the calling thread free. */
  readonly nonBlockingRuns: boolean;
  /** `OrtSession.allocate` can place tensors in device memory, and freed pages can be given back. */
  readonly deviceMemory: boolean;
  /** `shareWeights` works. */
  readonly sharedWeights: boolean;
}

/** Where a model's initializer of this name has its contents. */
export interface WeightRange {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly path: string;
  /** Byte in the file; little-endian elements from there on. */
  readonly offset: number;
}

/** Lives until it and every session made with it are disposed. The files must not change meanwhile. */
export interface SharedWeights extends Disposable {
  /** Lets pages of the files leave memory that no kernel reads any more. Call it once the sessions are made. */
  settle(): void;
  /** Idempotent. */
  dispose(): void;
}

/** A tensor that a model takes or gives. */
export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  /** A size, or the name of a dimension known at run time ('' where the model does not name it). */
  readonly shape: readonly (number | string)[];
}

/** Where memory lies, in the words of ONNX Runtime's `OrtMemoryInfo`. */
export interface MemoryLocation {
  /** `Cpu`, `Cuda`, `CudaPinned`, `WebGPU_Buf`, `DML`, … */
  readonly name: string;
  readonly deviceId: number;
}

/**
 * A loaded model. Use it from the thread that created it. Disposing it disposes its bindings; device tensors it
 * allocated keep the native session until they are disposed too.
 */
export interface OrtSession extends Disposable {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];

  /** A tensor from the execution provider's own allocator; not zeroed. Default location: host memory. */
  allocate<T extends ElementType>(type: T, shape: readonly number[], location?: MemoryLocation): OrtTensor<T>;

  createBinding(): OrtBinding;

  /**
   * One run without a binding: outputs are new tensors in host memory, owned by the caller.
   *
   * @param outputs names to compute; default all
   */
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    outputs?: readonly string[],
    options?: RunOptions,
  ): Promise<Record<string, OrtTensor>>;

  /** Idempotent. */
  dispose(): void;
}

/**
 * A tensor in memory that does not move. It lives until `dispose`; views share its memory and die with it.
 *
 * Arrays once taken from `data` point into that memory and must not be used after `dispose`, as nothing can stop them.
 */
export interface OrtTensor<T extends ElementType = ElementType> extends Disposable {
  readonly type: T;
  readonly shape: readonly number[];
  readonly location: MemoryLocation;
  readonly byteLength: number;
  readonly disposed: boolean;

  /**
   * The elements, row-major, readable and writable in place: no copy is made, and the same array comes each time.
   *
   * @throws OrtError `disposed`, `not_on_host`; `not_implemented` for more bytes than an array of this Node.js may have
   * (4 GiB in Node.js 20): look at views of a larger tensor, or copy from it
   */
  readonly data: ElementArrays[T];

  /**
   * A tensor over `shape` consecutive elements of this one's memory, from `elementOffset`. Cheap; no copy.
   *
   * @throws OrtError `invalid_argument` when it does not fit; `not_implemented` from another element than the first in
   * memory that has no addresses (`WebGPU_Buf`, `DML`)
   */
  view(elementOffset: number, shape: readonly number[]): OrtTensor<T>;

  /**
   * Copies `elements` elements of `source` (of the same type, both in host memory; ranges may overlap) from its
   * `sourceOffset` over those from `elementOffset` on. For what is read once: an array from `data` counts as so many
   * bytes of V8's memory until it is collected, so that one over a large result brings the garbage collector on.
   *
   * @throws OrtError `invalid_argument` when a range does not fit or types differ; `not_on_host`
   */
  copyFrom(source: OrtTensor, sourceOffset: number, elementOffset: number, elements: number): void;

  /**
   * Says that the contents of a range are not needed any more (default: all). Where the system allows (Linux), whole
   * pages inside it are given back and read as zeros when touched again; elsewhere nothing happens. Only for host
   * memory from `OrtBackend.allocate`.
   *
   * @returns bytes given back
   */
  adviseFree(elementOffset?: number, elements?: number): number;

  /** Idempotent. Memory in use by a run in progress is freed when that ends. */
  dispose(): void;
}

export interface RunOptions {
  /** To end the run early. One control serves one run at a time. */
  control?: RunControl;
  /**
   * True (default): computes on the calling thread before the promise is returned, the cheapest way. False: computes
   * on a pool thread, so that messages and timers are served meanwhile; bound tensors must not be written until it
   * settles.
   */
  blocking?: boolean;
}

/**
 * Inputs and outputs, bound once and run many times. Binding a name again replaces what was bound. Only bound outputs
 * are computed for.
 */
export interface OrtBinding extends Disposable {
  /** @throws OrtError `invalid_argument` when the model has no such input */
  bindInput(name: string, tensor: OrtTensor): void;
  /** With a tensor, the output is written into it; without, each run makes a new one, to be fetched by `output`. */
  bindOutput(name: string, tensor?: OrtTensor): void;
  /** @throws OrtError `disposed` when a bound tensor was; `terminated`; or the runtime's failure */
  run(options?: RunOptions): Promise<void>;
  /** The last run's result for an output bound without a tensor. The caller disposes it; a second call fails. */
  output(name: string): OrtTensor;
  /** Idempotent. */
  dispose(): void;
}

/** Ends runs. */
export interface RunControl extends Disposable {
  /** For `OrtBackend.terminate` in another thread; 0 where runs cannot be terminated. */
  readonly handle: bigint;
  /** Ends the run that uses this control at its next operator, and every later one at its start, until `reset`. */
  terminate(): void;
  reset(): void;
  /** Idempotent. */
  dispose(): void;
}
