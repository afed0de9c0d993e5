import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';

/** A lock whose owner gives no sign of life for so long is nobody's. */
const STALE_MS = 30_000;
const SIGN_OF_LIFE_MS = 5_000;

export interface FileLock {
  /** Aborted when another process took the lock away, because this one seemed dead. */
  readonly lost: AbortSignal;
  /**
   * True when the owner before gave no sign of life for too long, which is no proof of death: it may wake up, and write to
   * files that it has open.
   */
  readonly ownerMayWake: boolean;
  /** Looks now; `lost` tells some seconds later. */
  held(): Promise<boolean>;
  release(): Promise<void>;
}

/** Takes the lock at `path` if nobody has it; undefined where somebody does. */
export async function tryLock(path: string): Promise<FileLock | undefined> {
  const token = JSON.stringify({ host: hostOfPids(), pid: process.pid, id: randomUUID() });
  if (await create(path, token)) return hold(path, token, false);
  const abandoned = await removeAbandoned(path);
  if (abandoned === undefined) return undefined;
  return (await create(path, token)) ? hold(path, token, abandoned.mayWake) : undefined;
}

/** Where a process id means the same process: the machine, and on Linux the container. */
export function hostOfPids(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

async function create(path: string, token: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(token);
    await file.close();
    return true;
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return false;
    throw cause;
  }
}

function hold(path: string, token: string, ownerMayWake: boolean): FileLock {
  const lost = new AbortController();
  const isOurs = async (): Promise<boolean> => (await readFile(path, 'utf8').catch(() => '')) === token;
  const timer = setInterval(async () => {
    if (await isOurs()) await utimes(path, new Date(), new Date()).catch(() => {});
    else lost.abort();
  }, SIGN_OF_LIFE_MS);
  timer.unref();
  return {
    lost: lost.signal,
    ownerMayWake,
    held: isOurs,
    async release() {
      clearInterval(timer);
      if (await isOurs()) await rm(path, { force: true });
    },
  };
}

/** Of several that find it abandoned, one takes it away; the others find it gone, or put back what is new. */
async function removeAbandoned(path: string): Promise<{ mayWake: boolean } | undefined> {
  const abandoned = await abandonedBy(path);
  if (abandoned === undefined) return undefined;
  const { token, mayWake } = abandoned;
  const grave = `${path}.${randomUUID()}`;
  try {
    await rename(path, grave);
  } catch {
    return { mayWake };
  }
  const rightly = (await readFile(grave, 'utf8')) === token;
  if (!rightly) await link(grave, path).catch(() => {});
  await rm(grave, { force: true });
  return rightly ? { mayWake } : undefined;
}

/** Who held the lock, if nobody does any more. */
async function abandonedBy(path: string): Promise<{ token: string; mayWake: boolean } | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  const token = await readFile(path, 'utf8').catch(() => '');
  if (ownerIsDead(token)) return { token, mayWake: false };
  return Date.now() - found.mtimeMs > STALE_MS ? { token, mayWake: true } : undefined;
}

/** Only of a process beside this one can anybody tell. */
function ownerIsDead(token: string): boolean {
  const [, host, pid] = /^\{"host":"([^"]*)","pid":(\d+),/.exec(token) ?? [];
  if (host !== hostOfPids() || pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (cause) {
    return cause instanceof Error && 'code' in cause && cause.code === 'ESRCH';
  }
}
