import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OrtBinding, OrtTensor, RunOptions, ValueInfo } from '../backend.ts';
import type { ElementArrays, ElementType } from '../element-type.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import { nodeError } from './node-error.ts';
import { NodeRunControl } from './node-run-control.ts';
import { NodeTensor, nodeTensor } from './node-tensor.ts';

/** Remembers feeds and fetches: onnxruntime-node has no binding of its own. */
export class NodeBinding implements OrtBinding {
  readonly #session: InferenceSession;
  readonly #inputNames: ReadonlySet<string>;
  readonly #outputNames: ReadonlySet<string>;
  readonly #lifetime: Lifetime;
  readonly #inputs = new Map<string, NodeTensor>();
  readonly #outputs = new Map<string, NodeTensor | undefined>();
  #results = new Map<string, NodeTensor>();

  constructor(
    session: InferenceSession,
    inputs: readonly ValueInfo[],
    outputs: readonly ValueInfo[],
    onDispose: () => void,
  ) {
    this.#session = session;
    this.#inputNames = new Set(inputs.map(({ name }) => name));
    this.#outputNames = new Set(outputs.map(({ name }) => name));
    this.#lifetime = new Lifetime('a binding', onDispose);
  }

  bindInput(name: string, tensor: OrtTensor): void {
    this.#lifetime.assertAlive();
    if (!this.#inputNames.has(name)) throw new OrtError('invalid_argument', `the model has no input "${name}"`);
    this.#inputs.set(name, nodeTensor(tensor));
  }

  bindOutput(name: string, tensor?: OrtTensor): void {
    this.#lifetime.assertAlive();
    if (!this.#outputNames.has(name)) throw new OrtError('invalid_argument', `the model has no output "${name}"`);
    this.#outputs.set(name, tensor === undefined ? undefined : nodeTensor(tensor));
  }

  async run(options: RunOptions = {}): Promise<void> {
    this.#lifetime.assertAlive();
    if (options.control instanceof NodeRunControl) options.control.assertRunning();
    else if (options.control !== undefined) {
      throw new OrtError('invalid_argument', 'the run control belongs to another backend than the session');
    }
    const feeds: Record<string, Tensor> = {};
    for (const [name, tensor] of this.#inputs) feeds[name] = nodeTensor(tensor).tensor;
    const fetches: Record<string, Tensor | null> = {};
    for (const [name, tensor] of this.#outputs) fetches[name] = tensor === undefined ? null : nodeTensor(tensor).tensor;
    let results: InferenceSession.OnnxValueMapType;
    try {
      results = await this.#session.run(feeds, fetches);
    } catch (cause) {
      throw nodeError(cause);
    }
    this.#results.clear();
    for (const [name, bound] of this.#outputs) {
      const result = results[name];
      if (bound === undefined && result !== undefined) this.#results.set(name, adopt(result as Tensor));
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
    this.#results = new Map();
    this.#lifetime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function adopt(tensor: Tensor): NodeTensor {
  const type = tensor.type as ElementType;
  return new NodeTensor(type, tensor.dims, tensor.data as ElementArrays[ElementType], { disposed: false }, true);
}
