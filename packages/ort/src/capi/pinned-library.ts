import koffi from 'koffi';
import { OrtError } from '../ort-error.ts';

/** `RTLD_NOW | RTLD_NODELETE` of dlfcn.h, by `process.platform`. */
const NOW_AND_FOR_EVER: Readonly<Record<string, number>> = { linux: 0x1002, darwin: 0x82 };

/** `GET_MODULE_HANDLE_EX_FLAG_PIN` of Windows. */
const PIN = 1;

/**
 * Loads a library for the life of the process.
 *
 * Koffi unloads a library when its handle is collected, and when the thread that loaded it ends. ONNX Runtime starts
 * threads of its own (those of a session outlive a worker thread that is terminated), so unloading it would take the
 * code from under them: the process would die of SIGSEGV.
 *
 * @throws OrtError `unavailable` when it cannot be pinned; whatever koffi throws when it cannot be loaded
 */
export function loadPinned(path: string): ReturnType<typeof koffi.load> {
  // Koffi loads it first, because its error says why a library cannot be loaded.
  const library = koffi.load(path);
  if (!(process.platform === 'win32' ? pinOnWindows(path) : pin(path))) {
    throw new OrtError('unavailable', `ONNX Runtime's library could not be pinned in memory: ${path}`);
  }
  return library;
}

function pin(path: string): boolean {
  const open = koffi.load(null).func('dlopen', 'void *', ['str', 'int']);
  return open(path, NOW_AND_FOR_EVER[process.platform]) !== null;
}

function pinOnWindows(path: string): boolean {
  const outPointer = koffi.out(koffi.pointer('void *'));
  const getModule = koffi.load('kernel32.dll').func('GetModuleHandleExW', 'int', ['uint32_t', 'str16', outPointer]);
  return getModule(PIN, path, [null]) !== 0;
}
