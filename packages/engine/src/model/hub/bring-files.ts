import { mkdir, statfs } from 'node:fs/promises';
import { diskFull } from './disk-fault.ts';
import { type DownloadOptions, downloadBlob } from './download-blob.ts';
import type { HubCache } from './hub-cache.ts';
import type { HubFile } from './hub-client.ts';

export interface BringOptions extends DownloadOptions {
  /** For messages. */
  repo: string;
  /** Bytes that the disk of a directory has left. */
  freeBytes?: ((directory: string) => Promise<number>) | undefined;
}

/** Downloads that run side by side: weights are often split, and one connection seldom fills the line. */
const SIDE_BY_SIDE = 4;

/** Downloads what is missing of the files, and makes the snapshot lead to all of them. */
export async function bringFiles(files: readonly HubFile[], options: BringOptions): Promise<void> {
  if (files.length === 0) return;
  const { repo, commit, cache, meter, tell } = options;
  const missing: HubFile[] = [];
  let missingBytes = 0;
  for (const file of files) {
    const whole = await cache.hasBlob(file);
    const present = whole ? file.size : await cache.partial(file);
    meter.expect(file.size, whole ? 'all' : present);
    if (!whole) missing.push(file);
    missingBytes += file.size - present;
  }
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  tell({ type: 'listed', repo, commit, files: files.length, bytes, missingBytes });
  await requireRoom(cache, missingBytes, options.freeBytes ?? freeBytes);
  meter.report();
  await downloadAll(missing, options);
  for (const file of files) await cache.link(commit, file);
}

/** The first failure ends the others, and is the one that is thrown. */
async function downloadAll(files: readonly HubFile[], options: DownloadOptions): Promise<void> {
  const failed = new AbortController();
  const signals = [failed.signal, options.signal].filter((signal) => signal !== undefined);
  const signal = AbortSignal.any(signals);
  const queue = files.values();
  const work = async (): Promise<void> => {
    try {
      for (const file of queue) {
        if (signal.aborted) return;
        await downloadBlob(file, { ...options, signal });
      }
    } catch (cause) {
      failed.abort(cause);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
  signal.throwIfAborted();
}

async function requireRoom(
  { directory }: HubCache,
  bytes: number,
  free: (directory: string) => Promise<number>,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  if ((await free(directory)) < bytes) throw diskFull(directory, bytes);
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
