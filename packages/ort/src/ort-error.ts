/**
 * What went wrong, for code to act on. The first group are ONNX Runtime's own `OrtErrorCode`s; the second is told
 * apart by this package.
 */
export type OrtErrorCode =
  | 'fail'
  | 'invalid_argument'
  | 'no_such_file'
  | 'no_model'
  | 'engine_error'
  | 'runtime_exception'
  | 'invalid_protobuf'
  | 'model_loaded'
  | 'not_implemented'
  | 'invalid_graph'
  | 'ep_fail'
  /** The provider or the system could not allocate. A smaller batch may succeed. */
  | 'out_of_memory'
  /** The run was ended by `RunControl.terminate`. */
  | 'terminated'
  /** The object was used after its `dispose`. */
  | 'disposed'
  /** `data` was asked of a tensor in device memory. */
  | 'not_on_host'
  /** The library could not be loaded, is too old, or failed its self-check. */
  | 'unavailable';

/** Every failure of this package. The message is the runtime's own where it has one. */
export class OrtError extends Error {
  readonly code: OrtErrorCode;

  constructor(code: OrtErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OrtError';
    this.code = code;
  }
}

/** `OrtErrorCode` of the C API, by number; a number beyond the table is a plain failure. */
const RUNTIME_CODES: readonly OrtErrorCode[] = [
  'fail',
  'fail',
  'invalid_argument',
  'no_such_file',
  'no_model',
  'engine_error',
  'runtime_exception',
  'invalid_protobuf',
  'model_loaded',
  'not_implemented',
  'invalid_graph',
  'ep_fail',
];

/**
 * ONNX Runtime has no codes for the first two: its allocators (`bfc_arena.cc`, `std::bad_alloc`, CUDA) and its executor
 * say them in words. The others it has, but onnxruntime-node passes on the words alone.
 */
const TOLD_BY_MESSAGE: readonly [RegExp, OrtErrorCode][] = [
  [/failed to allocate|bad_?alloc|out of memory|not enough memory|cannot allocate/i, 'out_of_memory'],
  [/terminate flag/i, 'terminated'],
  [/file doesn't exist|no such file/i, 'no_such_file'],
  [/protobuf parsing failed/i, 'invalid_protobuf'],
];

/** The error for a message of ONNX Runtime and, where one is known, its numeric code. */
export function runtimeError(message: string, runtimeCode: number = 1, options?: ErrorOptions): OrtError {
  const told = TOLD_BY_MESSAGE.find(([pattern]) => pattern.test(message));
  return new OrtError(told?.[1] ?? RUNTIME_CODES[runtimeCode] ?? 'fail', message, options);
}
