import { InferenceSession } from 'onnxruntime-node';
import type { BackendCapabilities, OrtBackend, OrtSession, RunControl, SharedWeights } from '../backend.ts';
import { ELEMENT_TYPES, type ElementArrays, type ElementType, elementCount } from '../element-type.ts';
import { OrtError } from '../ort-error.ts';
import type { SessionOptions } from '../session-options.ts';
import { nodeError } from './node-error.ts';
import { NodeRunControl } from './node-run-control.ts';
import { NodeSession } from './node-session.ts';
import { nodeSessionOptions } from './node-session-options.ts';
import { NodeTensor } from './node-tensor.ts';

/** onnxruntime-node's own `InferenceSession`. */
export class NodeBackend implements OrtBackend {
  readonly kind = 'node-binding';
  readonly version: string;
  readonly capabilities: BackendCapabilities = {
    zeroCopyOutputs: false,
    terminate: false,
    nonBlockingRuns: false,
    deviceMemory: false,
    sharedWeights: false,
  };

  constructor(version: string) {
    this.version = version;
  }

  async createSession(model: string | Uint8Array, options: SessionOptions = {}): Promise<OrtSession> {
    const nodeOptions = nodeSessionOptions(options);
    try {
      const session =
        typeof model === 'string'
          ? await InferenceSession.create(model, nodeOptions)
          : await InferenceSession.create(model, nodeOptions);
      return new NodeSession(session);
    } catch (cause) {
      throw nodeError(cause);
    }
  }

  allocate<T extends ElementType>(type: T, shape: readonly number[]): NodeTensor<T> {
    const { array, bytes } = ELEMENT_TYPES[type];
    const count = elementCount(shape);
    const data: ElementArrays[T] = new array(new ArrayBuffer(count * bytes), 0, count);
    return new NodeTensor(type, shape, data, { disposed: false }, true);
  }

  createRunControl(): RunControl {
    return new NodeRunControl();
  }

  shareWeights(): SharedWeights {
    throw new OrtError('not_implemented', "onnxruntime-node's sessions cannot share weights");
  }

  terminate(_handle: bigint): void {}
}
