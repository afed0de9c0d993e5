import type { InferenceSession } from 'onnxruntime-node';
import type { MemoryLocation, OrtBinding, OrtSession, OrtTensor, RunOptions, ValueInfo } from '../backend.ts';
import { ELEMENT_TYPES, type ElementArrays, type ElementType, elementCount } from '../element-type.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import { NodeBinding } from './node-binding.ts';
import { NodeTensor } from './node-tensor.ts';

export class NodeSession implements OrtSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #session: InferenceSession;
  readonly #lifetime: Lifetime;
  readonly #bindings = new Set<NodeBinding>();

  constructor(session: InferenceSession) {
    this.#session = session;
    this.inputs = session.inputMetadata.map(valueInfo);
    this.outputs = session.outputMetadata.map(valueInfo);
    this.#lifetime = new Lifetime('a session', () => void session.release());
  }

  allocate<T extends ElementType>(type: T, shape: readonly number[], location?: MemoryLocation): OrtTensor<T> {
    this.#lifetime.assertAlive();
    if (location !== undefined && location.name !== 'Cpu') {
      throw new OrtError('not_implemented', `onnxruntime-node cannot place a tensor in ${location.name} memory`);
    }
    const { array, bytes } = ELEMENT_TYPES[type];
    const count = elementCount(shape);
    const data: ElementArrays[T] = new array(new ArrayBuffer(count * bytes), 0, count);
    return new NodeTensor(type, shape, data, { disposed: false }, true);
  }

  createBinding(): OrtBinding {
    this.#lifetime.assertAlive();
    const binding = new NodeBinding(this.#session, this.inputs, this.outputs, () => this.#bindings.delete(binding));
    this.#bindings.add(binding);
    return binding;
  }

  async run(
    feeds: Readonly<Record<string, OrtTensor>>,
    outputs: readonly string[] = this.outputs.map(({ name }) => name),
    options: RunOptions = {},
  ): Promise<Record<string, OrtTensor>> {
    const binding = this.createBinding();
    try {
      for (const [name, tensor] of Object.entries(feeds)) binding.bindInput(name, tensor);
      for (const name of outputs) binding.bindOutput(name);
      await binding.run(options);
      return Object.fromEntries(outputs.map((name) => [name, binding.output(name)]));
    } finally {
      binding.dispose();
    }
  }

  dispose(): void {
    for (const binding of this.#bindings) binding.dispose();
    this.#lifetime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function valueInfo(metadata: InferenceSession.ValueMetadata): ValueInfo {
  if (!metadata.isTensor || !Object.hasOwn(ELEMENT_TYPES, metadata.type)) {
    throw new OrtError('not_implemented', `"${metadata.name}" is not a tensor of a supported element type`);
  }
  return { name: metadata.name, type: metadata.type as ElementType, shape: metadata.shape };
}
