import { freemem, totalmem } from 'node:os';

/** What the system says of its memory, in bytes. */
export interface MemoryReading {
  /** `process.availableMemory()`: container limits included, and 0 or nonsense on some systems without any. */
  available: number | undefined;
  free: number;
  total: number;
}

/** Of an unknown amount of free memory this share of the whole is taken to be free. */
const FREE_SHARE = 0.25;

/** Bytes that this process may still take: the least of the readings that make sense. */
export function availableMemory(reading: MemoryReading = readMemory()): number {
  const { available, free, total } = reading;
  const sound = [available, free].filter(
    (bytes): bytes is number => bytes !== undefined && Number.isFinite(bytes) && bytes > 0 && bytes <= total,
  );
  return sound.length === 0 ? FREE_SHARE * total : Math.min(...sound);
}

function readMemory(): MemoryReading {
  // Node has it since 20.13.
  const process_: { availableMemory?: () => number } = process;
  return { available: process_.availableMemory?.(), free: freemem(), total: totalmem() };
}
