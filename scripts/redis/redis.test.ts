import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { launchRedis } from '../redis.mjs';
import { waitUntil } from '../system/bounded.mjs';
import { redisAnswers } from './ping.mjs';

beforeEach(() => void vi.stubEnv('REDIS_URL', ''));
afterEach(() => void vi.unstubAllEnvs());

describe('launchRedis', () => {
  it('gives an instance of its own, on this machine only, that never evicts', async () => {
    const redis = await launchRedis();
    expect(redis.url).toBe(`redis://127.0.0.1:${redis.port}`);
    expect(await command(redis.port, 'CONFIG', 'GET', 'maxmemory-policy')).toContain('noeviction');
    expect(await command(redis.port, 'CONFIG', 'GET', 'bind')).toContain('127.0.0.1');
    expect(await command(redis.port, 'CONFIG', 'GET', 'appendfsync')).toContain('everysec');
    await redis.stop();
    await redis.stop();
    expect(redis.pid).toBeUndefined();
    expect(existsSync(redis.dataDir ?? '')).toBe(false);
    expect(await redisAnswers(redis.port, '127.0.0.1', 500)).toBe(false);
  });

  it('keeps the data and the port over kill -9 and restart', async () => {
    const redis = await launchRedis();
    try {
      await command(redis.port, 'SET', 'fish', 'minnow');
      // The append-only file is fsynced every second, but written before the next command is read.
      await redis.kill();
      expect(redis.pid).toBeUndefined();
      expect(await redisAnswers(redis.port, '127.0.0.1', 500)).toBe(false);
      await redis.restart();
      expect(redis.pid).toBeGreaterThan(0);
      expect(await command(redis.port, 'GET', 'fish')).toContain('minnow');
      const before = redis.pid;
      await redis.restart();
      expect(redis.pid).not.toBe(before);
      expect(await command(redis.port, 'GET', 'fish')).toContain('minnow');
    } finally {
      await redis.stop();
    }
  });

  it('leaves a given data folder in place', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'shoal-kept-'));
    const first = await launchRedis({ dataDir });
    await command(first.port, 'SET', 'fish', 'kept');
    await first.stop();
    const second = await launchRedis({ dataDir });
    expect(await command(second.port, 'GET', 'fish')).toContain('kept');
    await second.stop();
    expect(existsSync(dataDir)).toBe(true);
    await rm(dataDir, { recursive: true });
  });

  it('takes REDIS_URL as it is, and does not stop what is not ours', async () => {
    const ours = await launchRedis();
    vi.stubEnv('REDIS_URL', ours.url);
    const given = await launchRedis();
    expect(given).toMatchObject({ url: ours.url, source: 'REDIS_URL', pid: undefined });
    await given.stop();
    await expect(given.kill()).rejects.toThrow('not ours');
    expect(await redisAnswers(ours.port, '127.0.0.1', 1_000)).toBe(true);
    await ours.stop();
  });

  it('says so when nobody answers at REDIS_URL', async () => {
    vi.stubEnv('REDIS_URL', 'redis://127.0.0.1:1');
    await expect(launchRedis()).rejects.toThrow('no Redis answers at 127.0.0.1:1');
    vi.stubEnv('REDIS_URL', 'nonsense');
    await expect(launchRedis()).rejects.toThrow('REDIS_URL is not a URL');
  });

  it('says so when a demanded port is taken', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => squatter.once('listening', resolve));
    const address = squatter.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(launchRedis({ port })).rejects.toThrow('did not start');
    squatter.close();
  });

  it('lists what was tried when there is nothing to start', async () => {
    vi.stubEnv('PATH', '/nowhere');
    vi.stubEnv('XDG_CACHE_HOME', '/nowhere');
    await expect(launchRedis()).rejects.toThrow(/no redis-server.*PATH\n.*no apt-get.*\n.*no docker/);
  });

  it.runIf(existsSync('/usr/bin/setpriv'))('ends with the process that started it, however that dies', async () => {
    const module = fileURLToPath(new URL('../redis.mjs', import.meta.url));
    const script = `const { launchRedis } = await import(${JSON.stringify(module)});
      console.log((await launchRedis()).port); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const port = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
    expect(await redisAnswers(port, '127.0.0.1', 1_000)).toBe(true);
    parent.kill('SIGKILL');
    const gone = await waitUntil(async () => !(await redisAnswers(port, '127.0.0.1', 500)), {
      limitMs: 10_000,
      everyMs: 50,
    });
    expect(gone).toBe(true);
  });
});

/** One Redis command, spoken by hand: these tests come before any client library. */
function command(port: number, ...words: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(5_000, () => socket.destroy(new Error('no reply')));
    socket.once('error', reject);
    socket.once('data', (reply) => {
      socket.destroy();
      resolve(reply.toString());
    });
    socket.write(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`);
  });
}
