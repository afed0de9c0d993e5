export type {
  BackendCapabilities,
  MemoryLocation,
  OrtBackend,
  OrtBinding,
  OrtSession,
  OrtTensor,
  RunControl,
  RunOptions,
  SharedWeights,
  ValueInfo,
  WeightRange,
} from './backend.ts';
export { ELEMENT_TYPES, type ElementArrays, type ElementType } from './element-type.ts';
export { type LoadOrtOptions, loadOrt } from './load-ort.ts';
export { OrtError, type OrtErrorCode } from './ort-error.ts';
export type { ExecutionProvider, GraphOptimization, SessionOptions } from './session-options.ts';
export { disableTelemetry } from './telemetry.ts';
