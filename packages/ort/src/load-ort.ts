import { createRequire } from 'node:module';
import type { OrtBackend } from './backend.ts';
import { OrtError } from './ort-error.ts';
import { selfCheck } from './self-check.ts';
import { disableTelemetry } from './telemetry.ts';

export interface LoadOrtOptions {
  /**
   * `auto` (default) takes the C API and falls back to onnxruntime-node's own sessions; the others take one of them or
   * fail.
   */
  backend?: 'auto' | 'capi' | 'node-binding';
  /** Another build of ONNX Runtime's library than the one inside onnxruntime-node. */
  libraryPath?: string;
  /** Called once when `auto` falls back, with the reason. Default: `process.emitWarning`. */
  onWarning?: (message: string) => void;
}

/**
 * Loads ONNX Runtime into this thread and checks that it computes. Every thread that uses it loads its own.
 *
 * @throws OrtError `unavailable`
 */
export async function loadOrt(options: LoadOrtOptions = {}): Promise<OrtBackend> {
  const { backend = 'auto', onWarning = (message: string) => process.emitWarning(message) } = options;
  disableTelemetry();
  if (backend === 'node-binding') return loadNodeBinding();
  try {
    return await loadCapi(options.libraryPath);
  } catch (cause) {
    const error = unavailable(cause);
    if (backend === 'capi') throw error;
    const fallback = await loadNodeBinding();
    onWarning(
      `${error.message}; falling back to onnxruntime-node's own sessions, which copy every output at every step ` +
        'and cannot end a run',
    );
    return fallback;
  }
}

/** Imported only now: where koffi has no prebuilt binary, importing it throws. */
async function loadCapi(path: string | undefined): Promise<OrtBackend> {
  const [{ CapiBackend }, { libraryPath }] = await Promise.all([
    import('./capi/capi-backend.ts'),
    import('./capi/library.ts'),
  ]);
  const backend = new CapiBackend(path ?? libraryPath());
  await selfCheck(backend);
  return backend;
}

async function loadNodeBinding(): Promise<OrtBackend> {
  const { NodeBackend } = await import('./node-binding/node-backend.ts');
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  const backend = new NodeBackend(version);
  await selfCheck(backend);
  return backend;
}

function unavailable(cause: unknown): OrtError {
  if (cause instanceof OrtError && cause.code === 'unavailable') return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new OrtError('unavailable', `ONNX Runtime's C API cannot be used: ${reason}`, { cause });
}
