import koffi from 'koffi';
import type { OrtBinding, OrtTensor, RunControl, RunOptions, ValueInfo } from '../backend.ts';
import { ELEMENT_TYPES, elementCount } from '../element-type.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import { CapiTensor, capiTensor } from './capi-tensor.ts';
import { HOST, MemoryBlock } from './memory-block.ts';
import type { OrtApi, Pointer, Status } from './ort-api.ts';
import { CapiRunControl } from './run-control.ts';
import { typeAndShape } from './value-infos.ts';

export interface CapiBindingOptions {
  api: OrtApi;
  session: Pointer;
  sessionLifetime: Lifetime;
  hostInfo: Pointer;
  inputs: readonly ValueInfo[];
  outputs: readonly ValueInfo[];
  onDispose: () => void;
}

/** An `OrtIoBinding`. It keeps its own reference to each `OrtValue`, but not to the memory: that is checked here. */
export class CapiBinding implements OrtBinding {
  readonly #o: CapiBindingOptions;
  readonly #binding: Pointer;
  readonly #lifetime: Lifetime;
  readonly #inputs = new Map<string, CapiTensor>();
  /** In the order in which ONNX Runtime keeps them: that of their first binding. */
  readonly #outputs = new Map<string, CapiTensor | undefined>();
  /** Whether runs make tensors of their own for some outputs. */
  #makesOutputs = false;
  /** The blocks of all bound tensors, each once; undefined after a change. */
  #blocks: readonly MemoryBlock[] | undefined;
  /** Results of the last run for outputs bound without a tensor, by name, until they are fetched. */
  #results = new Map<string, CapiTensor>();
  #control: CapiRunControl | undefined;

  constructor(options: CapiBindingOptions) {
    this.#o = options;
    const { api, session, sessionLifetime } = options;
    this.#binding = api.make((out) => api.createIoBinding(session, out));
    sessionLifetime.pin();
    this.#lifetime = new Lifetime('a binding', () => {
      this.#control?.dispose();
      api.releaseIoBinding(this.#binding);
      sessionLifetime.unpin();
    });
  }

  bindInput(name: string, tensor: OrtTensor): void {
    this.#lifetime.assertAlive();
    assertKnown(this.#o.inputs, name, 'input');
    const bound = capiTensor(tensor);
    this.#o.api.check(this.#o.api.bindInput(this.#binding, name, bound.value));
    this.#inputs.set(name, bound);
    this.#blocks = undefined;
  }

  bindOutput(name: string, tensor?: OrtTensor): void {
    this.#lifetime.assertAlive();
    assertKnown(this.#o.outputs, name, 'output');
    const { api, hostInfo } = this.#o;
    const bound = tensor === undefined ? undefined : capiTensor(tensor);
    api.check(
      bound === undefined
        ? api.bindOutputToDevice(this.#binding, name, hostInfo)
        : api.bindOutput(this.#binding, name, bound.value),
    );
    this.#outputs.set(name, bound);
    this.#makesOutputs = [...this.#outputs.values()].includes(undefined);
    this.#blocks = undefined;
  }

  async run(options: RunOptions = {}): Promise<void> {
    this.#lifetime.assertAlive();
    const { api, session } = this.#o;
    const blocks = this.#aliveBlocks();
    const control = this.#runControl(options.control);
    if (options.blocking === false) {
      const pinned = [this.#lifetime, control.lifetime, ...blocks.map((block) => block.lifetime)];
      for (const lifetime of pinned) lifetime.pin();
      try {
        api.check(await runOnPoolThread(api, session, control.handle, this.#binding));
        // What was disposed meanwhile is freed with its last pin, and its results with it: nobody can fetch them.
        if (!this.#lifetime.disposed) this.#collectResults();
      } finally {
        for (const lifetime of pinned) lifetime.unpin();
      }
    } else {
      api.check(api.runWithBinding(session, control.handle, this.#binding));
      this.#collectResults();
    }
  }

  output(name: string): OrtTensor {
    this.#lifetime.assertAlive();
    const result = this.#results.get(name);
    if (result === undefined) {
      throw new OrtError('invalid_argument', `output "${name}" has no result to fetch from this binding`);
    }
    this.#results.delete(name);
    return result;
  }

  dispose(): void {
    if (this.#lifetime.disposed) return;
    this.#disposeResults();
    this.#lifetime.dispose();
    this.#o.onDispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws OrtError `disposed` when the memory of a bound tensor is gone */
  #aliveBlocks(): readonly MemoryBlock[] {
    if (this.#blocks === undefined) {
      const tensors = [...this.#inputs.values(), ...this.#outputs.values()];
      this.#blocks = [...new Set(tensors.flatMap((tensor) => (tensor === undefined ? [] : [tensor.block])))];
    }
    for (const block of this.#blocks) block.lifetime.assertAlive();
    return this.#blocks;
  }

  #runControl(given: RunControl | undefined): CapiRunControl {
    if (given === undefined) {
      this.#control ??= new CapiRunControl(this.#o.api);
      return this.#control;
    }
    if (!(given instanceof CapiRunControl)) {
      throw new OrtError('invalid_argument', 'the run control belongs to another backend than the session');
    }
    given.lifetime.assertAlive();
    return given;
  }

  /** Takes over what the runtime allocated for outputs bound without a tensor. */
  #collectResults(): void {
    if (!this.#makesOutputs) return;
    this.#disposeResults();
    const { api } = this.#o;
    const allocator = api.make((out) => api.getAllocatorWithDefaultOptions(out));
    const count: [number] = [0];
    const list = api.make((out) => api.getBoundOutputValues(this.#binding, allocator, out, count));
    const values = koffi.decode(list, koffi.array('void *', Number(count[0]))) as Pointer[];
    api.check(api.allocatorFree(allocator, list));
    try {
      for (const [name, bound] of this.#outputs) {
        const value = values.shift();
        if (value === undefined) throw new OrtError('fail', `ONNX Runtime gave no value for output "${name}"`);
        if (bound === undefined) this.#results.set(name, adopt(api, value, this.#o.hostInfo));
        else api.releaseValue(value);
      }
    } catch (cause) {
      for (const value of values) api.releaseValue(value);
      this.#disposeResults();
      throw cause;
    }
    // Otherwise the binding would keep its references until the next run.
    for (const [name, bound] of this.#outputs) {
      if (bound === undefined) api.check(api.bindOutputToDevice(this.#binding, name, this.#o.hostInfo));
    }
  }

  #disposeResults(): void {
    for (const result of this.#results.values()) result.dispose();
    this.#results = new Map();
  }
}

/** A tensor that owns a value which ONNX Runtime made; the value is released when it cannot be one. */
function adopt(api: OrtApi, value: Pointer, hostInfo: Pointer): CapiTensor {
  try {
    const { type, shape } = tensorInfoOf(api, value);
    const sizes = shape.map(Number);
    const data: [Pointer | null] = [null];
    api.check(api.getTensorMutableData(value, data));
    const block = new MemoryBlock({
      address: data[0] ?? 0n,
      byteLength: elementCount(sizes) * ELEMENT_TYPES[type].bytes,
      location: HOST,
      memoryInfo: hostInfo,
      release: () => api.releaseValue(value),
      pageable: false,
    });
    return new CapiTensor(api, block, type, sizes, 0, true);
  } catch (cause) {
    api.releaseValue(value);
    throw cause;
  }
}

function tensorInfoOf(api: OrtApi, value: Pointer): Omit<ValueInfo, 'name'> {
  const info = api.make((out) => api.getTensorTypeAndShape(value, out));
  try {
    return typeAndShape(api, info);
  } finally {
    api.releaseTensorTypeAndShapeInfo(info);
  }
}

function runOnPoolThread(api: OrtApi, session: Pointer, control: Pointer, binding: Pointer): Promise<Status> {
  return new Promise((resolve, reject) => {
    api.runWithBinding.async(session, control, binding, (error, status) => {
      if (error === null || error === undefined) resolve(status);
      else reject(error);
    });
  });
}

function assertKnown(values: readonly ValueInfo[], name: string, direction: string): void {
  if (values.some((value) => value.name === name)) return;
  throw new OrtError('invalid_argument', `the model has no ${direction} "${name}"`);
}
