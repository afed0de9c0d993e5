import type { InferenceSession } from 'onnxruntime-node';
import type { ExecutionProvider, SessionOptions } from '../session-options.ts';

/** The same options by onnxruntime-node's names, as far as it has them. */
export function nodeSessionOptions(o: SessionOptions): InferenceSession.SessionOptions {
  return {
    ...(o.executionProviders !== undefined && {
      executionProviders: o.executionProviders.map(nodeProvider),
    }),
    ...(o.intraOpThreads !== undefined && { intraOpNumThreads: o.intraOpThreads }),
    ...(o.interOpThreads !== undefined && { interOpNumThreads: o.interOpThreads }),
    ...(o.graphOptimization !== undefined && { graphOptimizationLevel: o.graphOptimization }),
    ...(o.executionMode !== undefined && { executionMode: o.executionMode }),
    ...(o.memoryPattern !== undefined && { enableMemPattern: o.memoryPattern }),
    ...(o.cpuArena !== undefined && { enableCpuMemArena: o.cpuArena }),
    ...(o.freeDimensions !== undefined && { freeDimensionOverrides: o.freeDimensions }),
    ...(o.logId !== undefined && { logId: o.logId }),
    ...(o.optimizedModelPath !== undefined && { optimizedModelFilePath: o.optimizedModelPath }),
    logSeverityLevel: o.logSeverity ?? 4,
  };
}

/** Options are strings, by the C API's names; onnxruntime-node takes the device as a number, by a name of its own. */
function nodeProvider({ name, options = {} }: ExecutionProvider): InferenceSession.ExecutionProviderConfig {
  const { device_id: deviceId, ...others } = options;
  return { name, ...others, ...(deviceId !== undefined && { deviceId: Number(deviceId) }) };
}
