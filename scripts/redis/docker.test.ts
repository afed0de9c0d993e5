import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findRedisBinary } from './binary.mjs';
import { dockerAnswers, launchInDocker } from './docker.mjs';
import { redisAnswers } from './ping.mjs';

/** A `docker` that runs the "container" as a process, for machines that have no daemon: enough for this launcher. */
const FAKE_DOCKER = `#!/bin/sh
echo "$@" >> "$FAKE/calls"
serve() {
  setsid "$REDIS_PROGRAM" --port "$(cat "$FAKE/port")" --bind 127.0.0.1 --dir "$FAKE" $(cat "$FAKE/args") >/dev/null 2>&1 &
  echo $! > "$FAKE/pid"
}
case "$1" in
  info) echo 27.0 ;;
  run)
    for word in "$@"; do case "$word" in 127.0.0.1:*:6379) echo "$word" | cut -d: -f2 > "$FAKE/port" ;; esac; done
    echo "$*" | sed 's/.* redis-server //; s/--save  /--save "" /' > "$FAKE/args"
    serve ;;
  stop) kill -TERM "$(cat "$FAKE/pid")" ;;
  kill) kill -KILL "$(cat "$FAKE/pid")" ;;
  restart) kill -KILL "$(cat "$FAKE/pid")" 2>/dev/null; sleep 0.2; serve ;;
  rm) ;;
esac
`;

describe('Redis in docker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-fake-docker-'));

  beforeAll(async () => {
    const redis = await findRedisBinary({ log: () => {}, tried: [] });
    if (!redis) throw new Error('this test needs a Redis program to play the container');
    writeFileSync(join(folder, 'docker'), FAKE_DOCKER);
    chmodSync(join(folder, 'docker'), 0o755);
    vi.stubEnv('PATH', `${folder}${delimiter}${process.env.PATH}`);
    vi.stubEnv('FAKE', folder);
    vi.stubEnv('REDIS_PROGRAM', redis.path);
    for (const [name, value] of Object.entries(redis.env)) vi.stubEnv(name, value);
  });

  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is started, killed, restarted and removed, on this machine only', async () => {
    expect(await dockerAnswers([])).toBe(true);
    const redis = await launchInDocker({}, () => {});
    expect(redis).toMatchObject({ source: 'docker', pid: undefined, url: `redis://127.0.0.1:${redis.port}` });
    await redis.kill();
    expect(await redisAnswers(redis.port, '127.0.0.1', 500)).toBe(false);
    await redis.restart();
    expect(await redisAnswers(redis.port, '127.0.0.1', 1_000)).toBe(true);
    await redis.stop();

    const [, run = '', kill, restart, stop, remove] = readFileSync(join(folder, 'calls'), 'utf8').split('\n');
    const name = /--name (\S+)/.exec(run)?.[1];
    expect(run).toContain(`--publish 127.0.0.1:${redis.port}:6379`);
    expect(run).toContain('--appendonly yes --appendfsync everysec');
    expect(run).toContain('--maxmemory-policy noeviction');
    expect([kill, restart]).toEqual([`kill ${name}`, `restart --time 5 ${name}`]);
    expect([stop, remove]).toEqual([`stop --time 5 ${name}`, `rm --force --volumes ${name}`]);
  });

  it('says why it is left out', async () => {
    const tried: string[] = [];
    vi.stubEnv('PATH', '/nowhere');
    expect(await dockerAnswers(tried)).toBe(false);
    expect(tried).toEqual(['no docker on PATH']);
  });
});
