import koffi from 'koffi';
import { OrtError, runtimeError } from '../ort-error.ts';
import { loadPinned } from './pinned-library.ts';

/** A native address. */
export type Pointer = bigint;
/** `OrtStatus *`: null is success. */
export type Status = Pointer | null;

/** The version of the function table that is asked for. Tables only grow, so any later library serves it. */
const API_VERSION = 24;

/** Kinds of C parameters, and what JavaScript gives for them. Arrays are read or written during the call only. */
interface ParameterKinds {
  /** An object's address; null where the function allows it. */
  pointer: Pointer | null;
  int: number;
  size: number;
  string: string;
  /** `ORTCHAR_T *`: UTF-16 on Windows. */
  path: string;
  strings: readonly string[];
  bytes: Uint8Array;
  int64s: BigInt64Array;
  outPointer: [Pointer | null];
  outStrings: (string | null)[];
  outSize: [number];
  outInt: [number];
}

type Kind = keyof ParameterKinds;
type KoffiType = Parameters<typeof koffi.out>[0];

const out = (type: KoffiType): KoffiType => koffi.out(koffi.pointer(type));

const KOFFI_TYPES: Readonly<Record<Kind, KoffiType>> = {
  pointer: 'void *',
  int: 'int',
  size: 'size_t',
  string: 'str',
  path: process.platform === 'win32' ? 'str16' : 'str',
  strings: koffi.pointer('str'),
  bytes: koffi.pointer('uint8_t'),
  int64s: koffi.pointer('int64_t'),
  outPointer: out('void *'),
  outStrings: out('str'),
  outSize: out('size_t'),
  outInt: out('int'),
};

/**
 * The functions used here: index in `struct OrtApi` of onnxruntime_c_api.h (append-only, so stable across releases)
 * and parameters. All of them return a status.
 */
const STATUS_FUNCTIONS = {
  createEnv: [3, ['int', 'string', 'outPointer']],
  createSession: [7, ['pointer', 'path', 'pointer', 'outPointer']],
  createSessionFromArray: [8, ['pointer', 'bytes', 'size', 'pointer', 'outPointer']],
  createSessionOptions: [10, ['outPointer']],
  setOptimizedModelFilePath: [11, ['pointer', 'path']],
  setSessionExecutionMode: [13, ['pointer', 'int']],
  enableMemPattern: [16, ['pointer']],
  disableMemPattern: [17, ['pointer']],
  enableCpuMemArena: [18, ['pointer']],
  disableCpuMemArena: [19, ['pointer']],
  setSessionLogId: [20, ['pointer', 'string']],
  setSessionLogSeverityLevel: [22, ['pointer', 'int']],
  setSessionGraphOptimizationLevel: [23, ['pointer', 'int']],
  setIntraOpNumThreads: [24, ['pointer', 'int']],
  setInterOpNumThreads: [25, ['pointer', 'int']],
  sessionGetInputCount: [30, ['pointer', 'outSize']],
  sessionGetOutputCount: [31, ['pointer', 'outSize']],
  sessionGetInputTypeInfo: [33, ['pointer', 'size', 'outPointer']],
  sessionGetOutputTypeInfo: [34, ['pointer', 'size', 'outPointer']],
  sessionGetInputName: [36, ['pointer', 'size', 'pointer', 'outPointer']],
  sessionGetOutputName: [37, ['pointer', 'size', 'pointer', 'outPointer']],
  createRunOptions: [39, ['outPointer']],
  runOptionsSetTerminate: [46, ['pointer']],
  runOptionsUnsetTerminate: [47, ['pointer']],
  createTensorWithData: [49, ['pointer', 'pointer', 'size', 'int64s', 'size', 'int', 'outPointer']],
  getTensorMutableData: [51, ['pointer', 'outPointer']],
  castTypeInfoToTensorInfo: [55, ['pointer', 'outPointer']],
  getTensorElementType: [60, ['pointer', 'outInt']],
  getDimensionsCount: [61, ['pointer', 'outSize']],
  getDimensions: [62, ['pointer', 'int64s', 'size']],
  getSymbolicDimensions: [63, ['pointer', 'outStrings', 'size']],
  getTensorTypeAndShape: [65, ['pointer', 'outPointer']],
  createMemoryInfo: [68, ['string', 'int', 'int', 'int', 'outPointer']],
  allocatorAlloc: [75, ['pointer', 'size', 'outPointer']],
  allocatorFree: [76, ['pointer', 'pointer']],
  getAllocatorWithDefaultOptions: [78, ['outPointer']],
  addFreeDimensionOverrideByName: [124, ['pointer', 'string', 'size']],
  addSessionConfigEntry: [130, ['pointer', 'string', 'string']],
  createAllocator: [131, ['pointer', 'pointer', 'outPointer']],
  runWithBinding: [133, ['pointer', 'pointer', 'pointer']],
  createIoBinding: [134, ['pointer', 'outPointer']],
  bindInput: [136, ['pointer', 'string', 'pointer']],
  bindOutput: [137, ['pointer', 'string', 'pointer']],
  bindOutputToDevice: [138, ['pointer', 'string', 'pointer']],
  getBoundOutputValues: [140, ['pointer', 'pointer', 'outPointer', 'outSize']],
  clearBoundOutputs: [142, ['pointer']],
  addInitializer: [150, ['pointer', 'string', 'pointer']],
  createPrepackedWeightsContainer: [166, ['outPointer']],
  createSessionWithPrepackedWeights: [168, ['pointer', 'path', 'pointer', 'pointer', 'outPointer']],
  createSessionFromArrayWithPrepackedWeights: [169, ['pointer', 'bytes', 'size', 'pointer', 'pointer', 'outPointer']],
  appendTensorRt: [170, ['pointer', 'pointer']],
  createTensorRtOptions: [171, ['outPointer']],
  updateTensorRtOptions: [172, ['pointer', 'strings', 'strings', 'size']],
  appendCuda: [204, ['pointer', 'pointer']],
  createCudaOptions: [205, ['outPointer']],
  updateCudaOptions: [206, ['pointer', 'strings', 'strings', 'size']],
  appendExecutionProvider: [216, ['pointer', 'string', 'strings', 'strings', 'size']],
} as const;

/** Functions that free an object and cannot fail. */
const RELEASE_FUNCTIONS = {
  releaseStatus: 93,
  releaseMemoryInfo: 94,
  releaseSession: 95,
  releaseValue: 96,
  releaseRunOptions: 97,
  releaseTypeInfo: 98,
  releaseTensorTypeAndShapeInfo: 99,
  releaseSessionOptions: 100,
  releaseAllocator: 132,
  releaseIoBinding: 135,
  releasePrepackedWeightsContainer: 167,
  releaseTensorRtOptions: 174,
  releaseCudaOptions: 208,
} as const;

type Arguments<Kinds extends readonly Kind[]> = { [I in keyof Kinds]: ParameterKinds[Kinds[I]] };

/** A C function: called directly it computes on this thread; `async` computes on one of koffi's pool threads. */
interface StatusFunction<Kinds extends readonly Kind[]> {
  (...args: Arguments<Kinds>): Status;
  async(...args: [...Arguments<Kinds>, callback: (error: Error | null, status: Status) => void]): void;
}

type StatusFunctions = {
  readonly [Name in keyof typeof STATUS_FUNCTIONS]: StatusFunction<(typeof STATUS_FUNCTIONS)[Name][1]>;
};
type ReleaseFunctions = { readonly [Name in keyof typeof RELEASE_FUNCTIONS]: (pointer: Pointer) => void };

/** ONNX Runtime's C API, typed. */
export interface OrtApi extends StatusFunctions, ReleaseFunctions {
  readonly version: string;
  /** @throws OrtError when the status is a failure; frees it either way */
  check(status: Status): void;
  /** Calls `create` with a place for the new object's address, and returns the address. */
  make(create: (out: [Pointer | null]) => Status): Pointer;
}

/** @throws OrtError `unavailable` when the library cannot be loaded or does not know {@link API_VERSION} */
export function loadOrtApi(path: string): OrtApi {
  const base = getApiBase(path);
  const [getApiAddress, getVersionAddress] = koffi.decode(base, koffi.array('void *', 2)) as [Pointer, Pointer];
  const version = cFunction<() => string>(getVersionAddress, 'str', [])();
  // GetApi prints to stderr when it does not know the version; older libraries are told apart by their name first.
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const table = major > 1 || minor >= API_VERSION ? getApiTable(getApiAddress) : null;
  if (table === null) {
    throw new OrtError('unavailable', `ONNX Runtime ${version} is too old: 1.${API_VERSION} or later is needed`);
  }
  const pointers = koffi.decode(table, koffi.array('void *', TABLE_LENGTH)) as Pointer[];
  const at = (index: number): Pointer => pointers[index] ?? 0n;

  const functions: Record<string, unknown> = {};
  for (const [name, [index, kinds]] of Object.entries(STATUS_FUNCTIONS)) {
    functions[name] = cFunction(at(index), 'void *', kinds);
  }
  for (const [name, index] of Object.entries(RELEASE_FUNCTIONS)) {
    functions[name] = cFunction(at(index), 'void', ['pointer']);
  }
  const getErrorCode = cFunction<(status: Pointer) => number>(at(1), 'int', ['pointer']);
  const getErrorMessage = cFunction<(status: Pointer) => string>(at(2), 'str', ['pointer']);

  const typed = functions as unknown as StatusFunctions & ReleaseFunctions;
  const check = (status: Status): void => {
    if (status === null) return;
    const error = runtimeError(getErrorMessage(status), getErrorCode(status));
    typed.releaseStatus(status);
    throw error;
  };
  const make = (create: (out: [Pointer | null]) => Status): Pointer => {
    const place: [Pointer | null] = [null];
    check(create(place));
    const [made] = place;
    if (made === null) throw new OrtError('fail', 'ONNX Runtime reported success but made no object');
    return made;
  };
  return { ...typed, version, check, make };
}

const TABLE_LENGTH = 217;

function getApiBase(path: string): Pointer {
  try {
    return loadPinned(path).func('OrtGetApiBase', 'void *', [])() as Pointer;
  } catch (cause) {
    if (cause instanceof OrtError) throw cause;
    throw new OrtError('unavailable', `ONNX Runtime's library could not be loaded from ${path}`, { cause });
  }
}

function getApiTable(getApi: Pointer): Pointer | null {
  const call = koffi.decode(getApi, koffi.proto('void *', ['uint32_t'])) as (version: number) => Pointer | null;
  return call(API_VERSION);
}

function cFunction<F>(address: Pointer, result: KoffiType, kinds: readonly Kind[]): F {
  const parameters = kinds.map((kind) => KOFFI_TYPES[kind]);
  return koffi.decode(address, koffi.proto(result, parameters)) as F;
}
