import koffi from 'koffi';
import type { SessionOptions } from '../session-options.ts';

/** What ONNX Runtime reads when it creates the attention kernels of a session; it has no option of the session for it. */
const VARIABLE = 'ORT_GQA_DISABLE_FLASH_ATTENTION';

// The environment that native code reads: a worker thread's `process.env` is a copy of its own.
const setVariable: (name: string, value: string, overwrite: number) => number =
  process.platform === 'win32'
    ? koffi.load('ucrtbase.dll').func('_putenv_s', 'int', ['str', 'str'])
    : koffi.load(null).func('setenv', 'int', ['str', 'str', 'int']);

/**
 * Creates a session with the attention kernel asked for. The variable always exists, so that setting it replaces one
 * value of the same length: other threads that read the environment meanwhile see the old one or the new. A session that
 * another thread creates meanwhile may get this kernel, or take it from this one: see `SessionOptions.attention`.
 */
export function withAttentionKernel<R>(attention: SessionOptions['attention'], create: () => R): R {
  if (attention !== 'plain') return create();
  setVariable(VARIABLE, '1', 1);
  try {
    return create();
  } finally {
    setVariable(VARIABLE, '0', 1);
  }
}

setVariable(VARIABLE, '0', 1);
