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
/** `MADV_DONTNEED` on Linux: private pages are dropped and read as zeros afterwards. */
const DONT_NEED = 4;

// koffi.alloc ends at 2 GiB, which a KV slab may pass: hence the C library's own functions.
const libc = koffi.load(process.platform === 'win32' ? 'ucrtbase.dll' : null);
const calloc: (count: number, size: number) => Pointer | null = libc.func('calloc', 'void *', ['size_t', 'size_t']);
const free: (address: Pointer) => void = libc.func('free', 'void', ['void *']);
const memmove: (to: Pointer, from: Pointer, byteLength: number) => Pointer = libc.func('memmove', 'void *', [
  'void *',
  'void *',
  'size_t',
]);
/** Bytes of a page: 4 KiB on x86-64, up to 64 KiB on other processors. */
const PAGE: number = process.platform === 'win32' ? 4096 : libc.func('getpagesize', 'int', [])();
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

/** A file in memory: read page by page as it is touched. */
export interface MappedFile {
  readonly address: Pointer;
  /** Its pages may leave memory; they come back when they are touched. */
  drop(): void;
  unmap(): void;
}

const READ_ONLY = 1;
const PRIVATE = 2;
const posix = process.platform !== 'win32';
const mmap:
  | ((hint: null, length: number, protection: number, flags: number, fd: number, offset: bigint) => Pointer)
  | undefined = posix ? libc.func('mmap', 'void *', ['void *', 'size_t', 'int', 'int', 'int', 'int64_t']) : undefined;
const munmap: ((address: Pointer, length: number) => number) | undefined = posix
  ? libc.func('munmap', 'int', ['void *', 'size_t'])
  : undefined;

/** Whether {@link mapFile} works here. */
export const canMapFiles: boolean = mmap !== undefined;

/** @throws OrtError `not_implemented` on Windows, `out_of_memory` when the system does not map it */
export function mapFile(descriptor: number, byteLength: number): MappedFile {
  if (mmap === undefined || munmap === undefined) {
    throw new OrtError('not_implemented', 'files cannot be mapped into memory on this system');
  }
  const address = mmap(null, byteLength, READ_ONLY, PRIVATE, descriptor, 0n);
  if (BigInt.asIntN(64, address) === -1n) {
    throw new OrtError('out_of_memory', `the system does not map a file of ${byteLength} bytes`);
  }
  return {
    address,
    drop: () => madvise?.(address, byteLength, DONT_NEED),
    unmap: () => munmap(address, byteLength),
  };
}

/** Copies bytes; the ranges may overlap. */
export function copyMemory(from: Pointer, to: Pointer, byteLength: number): void {
  memmove(to, from, byteLength);
}

/** Gives the whole pages inside a range back to the system; returns their bytes. Linux only, elsewhere 0. */
export function dropPages(address: Pointer, byteLength: number): number {
  if (madvise === undefined) return 0;
  const pages = wholePages(address, byteLength, PAGE);
  if (pages.byteLength === 0) return 0;
  return madvise(pages.start, pages.byteLength, DONT_NEED) === 0 ? pages.byteLength : 0;
}

/** The pages of `pageBytes` that lie inside a range from end to end: what the others hold is not the range's alone. */
export function wholePages(
  address: Pointer,
  byteLength: number,
  pageBytes: number,
): { start: Pointer; byteLength: number } {
  const page = BigInt(pageBytes);
  const start = ((address + page - 1n) / page) * page;
  const end = ((address + BigInt(byteLength)) / page) * page;
  return { start, byteLength: end > start ? Number(end - start) : 0 };
}
