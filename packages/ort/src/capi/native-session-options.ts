import { OrtError } from '../ort-error.ts';
import type { ExecutionProvider, GraphOptimization, SessionOptions } from '../session-options.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

/** `GraphOptimizationLevel` of the C API. */
const OPTIMIZATION_LEVELS: Readonly<Record<GraphOptimization, number>> = {
  disabled: 0,
  basic: 1,
  extended: 2,
  layout: 3,
  all: 99,
};

/** Builds an `OrtSessionOptions`, gives it to `use` and frees it. */
export function withSessionOptions<R>(api: OrtApi, options: SessionOptions, use: (native: Pointer) => R): R {
  const native = api.make((out) => api.createSessionOptions(out));
  try {
    apply(api, native, options);
    for (const provider of options.executionProviders ?? []) appendProvider(api, native, provider);
    return use(native);
  } finally {
    api.releaseSessionOptions(native);
  }
}

function apply(api: OrtApi, native: Pointer, options: SessionOptions): void {
  const { check } = api;
  const o = options;
  if (o.intraOpThreads !== undefined) check(api.setIntraOpNumThreads(native, threads(o.intraOpThreads)));
  if (o.interOpThreads !== undefined) check(api.setInterOpNumThreads(native, threads(o.interOpThreads)));
  if (o.executionMode !== undefined) {
    check(api.setSessionExecutionMode(native, o.executionMode === 'parallel' ? 1 : 0));
  }
  if (o.graphOptimization !== undefined) {
    check(api.setSessionGraphOptimizationLevel(native, OPTIMIZATION_LEVELS[o.graphOptimization]));
  }
  if (o.memoryPattern !== undefined) {
    check(o.memoryPattern ? api.enableMemPattern(native) : api.disableMemPattern(native));
  }
  if (o.cpuArena !== undefined) check(o.cpuArena ? api.enableCpuMemArena(native) : api.disableCpuMemArena(native));
  if (o.logId !== undefined) check(api.setSessionLogId(native, o.logId));
  check(api.setSessionLogSeverityLevel(native, o.logSeverity ?? 4));
  if (o.optimizedModelPath !== undefined) check(api.setOptimizedModelFilePath(native, o.optimizedModelPath));
  for (const [name, size] of Object.entries(o.freeDimensions ?? {})) {
    check(api.addFreeDimensionOverrideByName(native, name, size));
  }
  for (const [key, value] of configEntries(o)) check(api.addSessionConfigEntry(native, key, value));
}

function threads(count: number): number {
  if (!Number.isInteger(count) || count < 1) {
    throw new OrtError('invalid_argument', `thread counts are whole numbers from 1, got ${count}`);
  }
  return count;
}

function configEntries(options: SessionOptions): [string, string][] {
  const entries = Object.entries(options.config ?? {});
  if (options.externalDataFolder !== undefined) {
    entries.push(['session.model_external_initializers_file_folder_path', options.externalDataFolder]);
  }
  if (options.spinning !== undefined) {
    const value = options.spinning ? '1' : '0';
    entries.push(['session.intra_op.allow_spinning', value], ['session.inter_op.allow_spinning', value]);
  }
  return entries;
}

/** Names for the generic function, where they are not the upper-cased name (onnxruntime_c_api.h). */
const PROVIDER_NAMES: Readonly<Record<string, string>> = { webgpu: 'WebGPU', coreml: 'CoreML', openvino: 'OpenVINO' };

function appendProvider(api: OrtApi, native: Pointer, provider: ExecutionProvider): void {
  if (provider.name === 'cpu') return;
  const append = OWN_FUNCTIONS[provider.name] ?? appendByName;
  try {
    append(api, native, provider);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OrtError('ep_fail', `the execution provider "${provider.name}" cannot be used here: ${reason}`, {
      cause,
    });
  }
}

type Append = (api: OrtApi, native: Pointer, provider: ExecutionProvider) => void;

/** Providers older than the generic function. */
const OWN_FUNCTIONS: Readonly<Record<string, Append>> = {
  cuda(api, native, provider) {
    const cuda = api.make((out) => api.createCudaOptions(out));
    try {
      const [keys, values, count] = optionArrays(provider);
      api.check(api.updateCudaOptions(cuda, keys, values, count));
      api.check(api.appendCuda(native, cuda));
    } finally {
      api.releaseCudaOptions(cuda);
    }
  },
  tensorrt(api, native, provider) {
    const tensorRt = api.make((out) => api.createTensorRtOptions(out));
    try {
      const [keys, values, count] = optionArrays(provider);
      api.check(api.updateTensorRtOptions(tensorRt, keys, values, count));
      api.check(api.appendTensorRt(native, tensorRt));
    } finally {
      api.releaseTensorRtOptions(tensorRt);
    }
  },
};

function appendByName(api: OrtApi, native: Pointer, provider: ExecutionProvider): void {
  const name = PROVIDER_NAMES[provider.name] ?? provider.name.toUpperCase();
  api.check(api.appendExecutionProvider(native, name, ...optionArrays(provider)));
}

function optionArrays(provider: ExecutionProvider): [keys: string[], values: string[], count: number] {
  const entries = Object.entries(provider.options ?? {});
  return [entries.map(([key]) => key), entries.map(([, value]) => value), entries.length];
}
