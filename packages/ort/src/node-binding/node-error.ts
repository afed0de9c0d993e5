import { OrtError, runtimeError } from '../ort-error.ts';

/** onnxruntime-node throws plain errors with the runtime's message: its code must be read from the words. */
export function nodeError(cause: unknown): OrtError {
  if (cause instanceof OrtError) return cause;
  return runtimeError(cause instanceof Error ? cause.message : String(cause), undefined, { cause });
}
