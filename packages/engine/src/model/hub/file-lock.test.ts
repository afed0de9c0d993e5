import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hostOfPids, tryLock } from './file-lock.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  directory = await mkdtemp(join(tmpdir(), 'shoal-lock-'));
  path = join(directory, 'lock');
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(directory, { recursive: true, force: true });
});

const longAgo = () => utimes(path, new Date(0), new Date(0));

describe('tryLock', () => {
  it('gives the lock to one, and then to the next', async () => {
    const locks = await Promise.all(Array.from({ length: 8 }, () => tryLock(path)));
    const [first, ...others] = locks.filter((lock) => lock !== undefined);
    expect(others).toEqual([]);
    await first?.release();
    expect(await readdir(directory)).toEqual([]);
    expect(await tryLock(path)).toBeDefined();
  });

  it('takes a lock away from who gives no sign of life, and tells it so', async () => {
    const sleeper = await tryLock(path);
    await longAgo();
    const taker = await tryLock(path);
    expect(taker).toMatchObject({ ownerMayWake: true });
    expect(await sleeper?.held()).toBe(false);
    expect(await taker?.held()).toBe(true);
    const lost = new Promise<void>((resolve) => sleeper?.lost.addEventListener('abort', () => resolve()));
    vi.advanceTimersByTime(5_000);
    await lost;
    await sleeper?.release();
    expect(await tryLock(path)).toBeUndefined();
    expect(taker?.lost.aborted).toBe(false);
  });

  it('takes it at once from a process of this machine that is gone, not from one elsewhere', async () => {
    // Process ids end far below this.
    const owner = { pid: 2 ** 30, id: 'x' };
    await writeFile(path, JSON.stringify({ host: `not-${hostOfPids()}`, ...owner }));
    expect(await tryLock(path)).toBeUndefined();
    await writeFile(path, JSON.stringify({ host: hostOfPids(), ...owner }));
    // However long ago: the dead do not wake.
    await longAgo();
    expect(await tryLock(path)).toMatchObject({ ownerMayWake: false });
  });
});
