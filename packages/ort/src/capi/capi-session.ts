import type { MemoryLocation, OrtBinding, OrtSession, OrtTensor, RunOptions, ValueInfo } from '../backend.ts';
import { ELEMENT_TYPES, type ElementType, elementCount } from '../element-type.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';
import type { SessionOptions } from '../session-options.ts';
import { withAttentionKernel } from './attention-kernel.ts';
import { CapiBinding } from './capi-binding.ts';
import { CapiTensor } from './capi-tensor.ts';
import { HOST, MemoryBlock } from './memory-block.ts';
import { withSessionOptions } from './native-session-options.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import { CapiSharedWeights } from './shared-weights.ts';
import { valueInfos } from './value-infos.ts';

/** An allocator of the session's provider and the memory info that describes it. */
interface DeviceAllocator {
  readonly allocator: Pointer;
  readonly memoryInfo: Pointer;
}

export class CapiSession implements OrtSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #api: OrtApi;
  readonly #hostInfo: Pointer;
  readonly #session: Pointer;
  readonly #lifetime: Lifetime;
  readonly #shared: CapiSharedWeights | undefined;
  readonly #bindings = new Set<CapiBinding>();
  readonly #allocators = new Map<string, DeviceAllocator>();

  constructor(api: OrtApi, env: Pointer, hostInfo: Pointer, model: string | Uint8Array, options: SessionOptions) {
    const shared = sharedWeightsOf(options);
    this.#api = api;
    this.#hostInfo = hostInfo;
    this.#session = withSessionOptions(api, options, (native) =>
      withAttentionKernel(options.attention, () =>
        shared === undefined ? create(api, env, model, native) : createSharing(api, env, model, native, shared),
      ),
    );
    this.#shared = shared;
    this.#lifetime = new Lifetime('a session', () => this.#release());
    try {
      this.inputs = valueInfos(api, this.#session, 'input');
      this.outputs = valueInfos(api, this.#session, 'output');
    } catch (cause) {
      // Nobody gets to see it, so nobody else would free it: a model may have inputs of types that are unknown here.
      this.#lifetime.dispose();
      throw cause;
    }
  }

  allocate<T extends ElementType>(type: T, shape: readonly number[], location: MemoryLocation = HOST): CapiTensor<T> {
    this.#lifetime.assertAlive();
    const api = this.#api;
    const { allocator, memoryInfo } = this.#allocator(location);
    const byteLength = elementCount(shape) * ELEMENT_TYPES[type].bytes;
    const address = api.make((out) => api.allocatorAlloc(allocator, Math.max(byteLength, 1), out));
    this.#lifetime.pin();
    const release = (): void => {
      api.check(api.allocatorFree(allocator, address));
      this.#lifetime.unpin();
    };
    const block = new MemoryBlock({ address, byteLength, location, memoryInfo, release, pageable: false });
    return new CapiTensor(api, block, type, shape, 0, true);
  }

  createBinding(): OrtBinding {
    this.#lifetime.assertAlive();
    const binding = new CapiBinding({
      api: this.#api,
      session: this.#session,
      sessionLifetime: this.#lifetime,
      hostInfo: this.#hostInfo,
      inputs: this.inputs,
      outputs: this.outputs,
      onDispose: () => this.#bindings.delete(binding),
    });
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

  #allocator(location: MemoryLocation): DeviceAllocator {
    const key = `${location.name}:${location.deviceId}`;
    const known = this.#allocators.get(key);
    if (known !== undefined) return known;
    const api = this.#api;
    const memoryInfo = api.make((out) => api.createMemoryInfo(location.name, 0, location.deviceId, 0, out));
    try {
      const made = { memoryInfo, allocator: api.make((out) => api.createAllocator(this.#session, memoryInfo, out)) };
      this.#allocators.set(key, made);
      return made;
    } catch (error) {
      api.releaseMemoryInfo(memoryInfo);
      throw error;
    }
  }

  #release(): void {
    for (const { allocator, memoryInfo } of this.#allocators.values()) {
      this.#api.releaseAllocator(allocator);
      this.#api.releaseMemoryInfo(memoryInfo);
    }
    this.#api.releaseSession(this.#session);
    this.#shared?.lifetime.unpin();
  }
}

function create(api: OrtApi, env: Pointer, model: string | Uint8Array, native: Pointer): Pointer {
  return api.make((out) =>
    typeof model === 'string'
      ? api.createSession(env, model, native, out)
      : api.createSessionFromArray(env, model, model.byteLength, native, out),
  );
}

/** The weights are pinned until the session is released. */
function createSharing(
  api: OrtApi,
  env: Pointer,
  model: string | Uint8Array,
  native: Pointer,
  shared: CapiSharedWeights,
): Pointer {
  const { container, values, lifetime } = shared;
  lifetime.pin();
  try {
    for (const [name, value] of values) api.check(api.addInitializer(native, name, value));
    return api.make((out) =>
      typeof model === 'string'
        ? api.createSessionWithPrepackedWeights(env, model, native, container, out)
        : api.createSessionFromArrayWithPrepackedWeights(env, model, model.byteLength, native, container, out),
    );
  } catch (cause) {
    lifetime.unpin();
    throw cause;
  }
}

function sharedWeightsOf({ sharedWeights }: SessionOptions): CapiSharedWeights | undefined {
  if (sharedWeights === undefined || sharedWeights instanceof CapiSharedWeights) return sharedWeights;
  throw new OrtError('invalid_argument', 'the shared weights belong to another backend than the session');
}
