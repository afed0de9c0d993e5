import { createHash, randomUUID } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ShoalError } from '@shoal/protocol';
import { diskFault } from './disk-fault.ts';
import { type FileLock, tryLock } from './file-lock.ts';
import { type HubCache, sizeOf } from './hub-cache.ts';
import { type HubClient, type HubFile, reasonOf } from './hub-client.ts';
import type { PullListener, PullMeter } from './pull-event.ts';
import { TransientError, withRetries } from './retry.ts';

export interface DownloadOptions {
  client: HubClient;
  cache: HubCache;
  commit: string;
  meter: PullMeter;
  tell: PullListener;
  signal: AbortSignal | undefined;
  pause?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
  /** Longest silence of a transfer, in milliseconds. Default 30,000. */
  idleTimeoutMs?: number | undefined;
}

/** How often to look whether another process has finished. */
const LOOK_MS = 250;
/** New data that counts as progress: a server that does not get further is not tried for ever. */
const WORTH_ANOTHER_TRY = 2 ** 20;

/**
 * Brings a file into the cache, checked against its hash. What an earlier try got is kept; of several processes one
 * downloads and the others wait.
 */
export async function downloadBlob(file: HubFile, options: DownloadOptions): Promise<void> {
  const { cache, meter, tell, signal, pause } = options;
  await mkdir(dirname(cache.blob(file)), { recursive: true });
  const presentBefore = await cache.partial(file);
  const lock = await lockOrWait(file, options);
  if (lock === undefined) {
    meter.received(file.size - presentBefore);
    meter.fileDone();
    return;
  }
  try {
    if (lock.ownerMayWake) await takeOver(cache.partialPath(file));
    let furthest = await cache.partial(file);
    meter.lost(Math.max(0, presentBefore - furthest));
    let mismatches = 0;
    await withRetries({ what: file.path, tell, signal, pause }, async (advanced) => {
      await requireHeld(file, lock);
      await transfer(file, options, lock, (position) => {
        // What was thrown away and came again is none.
        if (position < furthest + WORTH_ANOTHER_TRY) return;
        furthest = position;
        advanced();
      });
      const whole = await matches(file, cache.partialPath(file), signal);
      await requireHeld(file, lock);
      if (whole) return;
      await rm(cache.partialPath(file), { force: true });
      meter.lost(file.size);
      furthest = 0;
      mismatches += 1;
      if (mismatches > 1) throw corrupt(file);
      throw new TransientError('its contents do not match its hash');
    });
    await rename(cache.partialPath(file), cache.blob(file));
    meter.fileDone();
  } finally {
    await lock.release();
  }
}

/** Undefined once another process has brought the file. */
async function lockOrWait(file: HubFile, { cache, tell, signal }: DownloadOptions): Promise<FileLock | undefined> {
  for (let looks = 0; ; looks++) {
    if (await cache.hasBlob(file)) return undefined;
    const lock = await tryLock(`${cache.blob(file)}.shoal.lock`);
    if (lock !== undefined) {
      // It may have arrived between the look and the lock.
      if (!(await cache.hasBlob(file))) return lock;
      await lock.release();
      return undefined;
    }
    if (looks === 0) tell({ type: 'waiting', path: file.path });
    await sleep(LOOK_MS, undefined, signal === undefined ? {} : { signal });
  }
}

/**
 * What is there so far becomes a file of this process alone: the owner before may wake up, and append to the one that it
 * has open, which by then would be the model.
 */
async function takeOver(partial: string): Promise<void> {
  const copy = `${partial}.${randomUUID()}`;
  try {
    await copyFile(partial, copy, constants.COPYFILE_FICLONE);
    await rename(copy, partial);
  } catch {
    // Nothing is there, or there is no room for a copy of it.
    await rm(copy, { force: true });
    await rm(partial, { force: true });
  }
}

async function requireHeld(file: HubFile, lock: FileLock): Promise<void> {
  if (!(await lock.held())) throw takenAway(file);
}

/**
 * Appends to the partial file until it is whole.
 *
 * @param reached told of the position in the file after every piece
 */
async function transfer(
  file: HubFile,
  options: DownloadOptions,
  lock: FileLock,
  reached: (position: number) => void,
): Promise<void> {
  const { client, cache, commit, meter, signal, idleTimeoutMs = 30_000 } = options;
  const partial = cache.partialPath(file);
  let from = (await sizeOf(partial)) ?? 0;
  if (from > file.size) from = 0;
  const handle = await open(partial, from === 0 ? 'w' : 'a');
  const idle = new AbortController();
  const watchdog = setTimeout(() => idle.abort(), idleTimeoutMs);
  try {
    if (from === file.size) return;
    const ends = [idle.signal, lock.lost, signal].filter((end) => end !== undefined);
    const response = await client.content(commit, file.path, from, AbortSignal.any(ends));
    if (from > 0 && !continues(response, from)) {
      await response.body?.cancel().catch(() => {});
      meter.lost(from);
      await handle.truncate(0);
      throw new TransientError('the server does not continue downloads: starting over');
    }
    let received = 0;
    for await (const chunk of response.body ?? []) {
      watchdog.refresh();
      if (from + received + chunk.byteLength > file.size) throw new TransientError('more bytes came than were listed');
      await handle.appendFile(chunk);
      received += chunk.byteLength;
      meter.received(chunk.byteLength);
      reached(from + received);
    }
    if (from + received < file.size) throw new TransientError(`the transfer broke off at byte ${from + received}`);
    await handle.sync();
  } catch (cause) {
    throw describe(cause, file, options, lock);
  } finally {
    clearTimeout(watchdog);
    await handle.close();
  }
}

/** `Content-Range: bytes 500-999/1000` */
function continues(response: Response, from: number): boolean {
  return response.status === 206 && (response.headers.get('content-range') ?? '').startsWith(`bytes ${from}-`);
}

function describe(cause: unknown, file: HubFile, { cache, signal }: DownloadOptions, lock: FileLock): unknown {
  if (cause instanceof TransientError || cause instanceof ShoalError) return cause;
  if (signal?.aborted) return signal.reason;
  if (lock.lost.aborted) return takenAway(file);
  const fault = diskFault(cause, cache.directory, file.size);
  if (fault !== undefined) return fault;
  return new TransientError(`the transfer broke off (${reasonOf(cause)})`, { cause });
}

function takenAway(file: HubFile): ShoalError {
  return new ShoalError('unavailable', `${file.path}: another process took over this download; try again`);
}

function corrupt(file: HubFile): ShoalError {
  const message = `${file.path}: what arrived twice does not match the hash that the hub lists; check HF_ENDPOINT`;
  return new ShoalError('unavailable', message);
}

/** Reads what lies on the disk: what is checked is what will be loaded. */
async function matches(file: HubFile, path: string, signal: AbortSignal | undefined): Promise<boolean> {
  const hash = createHash(file.algorithm === 'sha256' ? 'sha256' : 'sha1');
  // How git hashes the contents of a file: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
  if (file.algorithm === 'git-sha1') hash.update(`blob ${file.size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20, ...(signal && { signal }) }))
    hash.update(chunk);
  return hash.digest('hex') === file.hash;
}
