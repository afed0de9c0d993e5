import koffi from 'koffi';
import { OrtError } from '../ort-error.ts';
import type { Pointer } from './ort-api.ts';

/** Memory from the C library, aligned, zeroed and free of V8's garbage collector. */
export interface HostMemory {
  readonly address: Pointer;
  free(): void;
}

/** Small tensors start at a cache line (the widest vector load); large ones at a page, for `adviseFree`. */
const LINE = 64;
const PAGE = 4096;
/** `MADV_DONTNEED` on Linux: private pages are dropped and read as zeros afterwards. */
const DONT_NEED = 4;

// koffi.alloc ends at 2 GiB, which a KV slab may pass: hence the C library's own functions.
const libc = koffi.load(process.platform === 'win32' ? 'ucrtbase.dll' : null);
const calloc: (count: number, size: number) => Pointer | null = libc.func('calloc', 'void *', ['size_t', 'size_t']);
const free: (address: Pointer) => void = libc.func('free', 'void', ['void *']);
const madvise: ((address: Pointer, length: number, advice: number) => number) | undefined =
  process.platform === 'linux' ? libc.func('madvise', 'int', ['void *', 'size_t', 'int']) : undefined;

/** @throws OrtError `out_of_memory` */
export function allocateHostMemory(byteLength: number): HostMemory {
  const alignment = byteLength >= PAGE ? PAGE : LINE;
  const base = calloc(1, byteLength + alignment);
  if (base === null) throw new OrtError('out_of_memory', `the system has no ${byteLength} bytes left for a tensor`);
  const misalignment = Number(base % BigInt(alignment));
  return { address: base + BigInt(alignment - misalignment), free: () => free(base) };
}

/** Gives the whole pages inside a range back to the system; returns their bytes. Linux only, elsewhere 0. */
export function dropPages(address: Pointer, byteLength: number): number {
  if (madvise === undefined) return 0;
  const page = BigInt(PAGE);
  const start = ((address + page - 1n) / page) * page;
  const end = ((address + BigInt(byteLength)) / page) * page;
  if (end <= start) return 0;
  const dropped = Number(end - start);
  return madvise(start, dropped, DONT_NEED) === 0 ? dropped : 0;
}
