import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ClaimedJob, openConsumer, openProducer, openQueue } from '@shoal/queue';
import { eventually, sampleRequest, sampleResult, sampleTokens } from '@shoal/queue/testing';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { findRedisBinary } from '../../scripts/redis/binary.mjs';
import { redisAnswers } from '../../scripts/redis/ping.mjs';
import { launchRedis, type RunningRedis } from '../../scripts/redis.mjs';
import { runCommand, waitUntil } from '../../scripts/system/bounded.mjs';
import { freePort } from '../../scripts/system/ports.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const authority = join(here, 'tls', 'ca.crt');
/** The rights that packages/queue/README.md asks for. */
const RIGHTS = '~{kinds:* ~kinds:* resetchannels &{kinds:* +@all -@dangerous -@admin +info +client +config|get';

/** A process over this Redis, because a certificate authority is given to Node when it starts. */
const roundTrip = (url: string, env: Record<string, string> = {}): Promise<{ code: number | null; output: string }> =>
  runCommand(process.execPath, [join(here, 'round-trip.mjs')], {
    limitMs: 25_000,
    env: { ...process.env, REDIS_URL: url, ...env },
  });
const HEARD = '[["heard","completed"],["heard","cancelled"]]';

describe('Redis as people run it', () => {
  const started: { stop(): unknown }[] = [];
  const launch = async (...args: string[]): Promise<RunningRedis> => {
    // The one that may be given for all tests is what it is.
    vi.stubEnv('REDIS_URL', '');
    const redis = await launchRedis({ args });
    vi.unstubAllEnvs();
    started.push(redis);
    return redis;
  };
  afterEach(async () => {
    for (const each of started.splice(0).reverse()) await each.stop();
  });

  it('with TLS, and a certificate of an authority of one’s own', async () => {
    const port = await freePort();
    const tls = (name: string): string => join(here, 'tls', name);
    const files = ['--tls-cert-file', tls('server.crt'), '--tls-key-file', tls('server.key')];
    await launch('--tls-port', String(port), ...files, '--tls-ca-cert-file', authority, '--tls-auth-clients', 'no');
    const url = `rediss://localhost:${port}`;
    expect(await roundTrip(url, { NODE_EXTRA_CA_CERTS: authority })).toMatchObject({ code: 0, output: `${HEARD}\n` });
    const stranger = await roundTrip(url);
    expect(stranger.code).not.toBe(0);
    expect(stranger.output).toContain('unavailable');
  });

  it('as a user that may do no more than is asked for', async () => {
    const redis = await launch('--user', 'shoal', 'on', '>secret', ...RIGHTS.split(' '));
    const url = `redis://shoal:secret@127.0.0.1:${redis.port}`;
    expect(await roundTrip(url)).toMatchObject({ code: 0, output: `${HEARD}\n` });
    const admin = new Redis(redis.url);
    started.push({ stop: () => admin.disconnect() });
    // A refusal inside a script would only make it slower: look-ups find what nobody was told.
    const published = /^cmdstat_publish:calls=(\d+),.*rejected_calls=(\d+),failed_calls=(\d+)/m;
    const [, calls, ...refused] = published.exec(String(await admin.info('commandstats'))) ?? [];
    expect(Number(calls)).toBeGreaterThan(0);
    expect(refused).toEqual(['0', '0']);
    const user = new Redis(url);
    await expect(user.get('others:key')).rejects.toThrow('NOPERM');
    await expect(user.flushall()).rejects.toThrow('NOPERM');
    user.disconnect();
  });

  const launchCluster = async (): Promise<RunningRedis> => {
    const redis = await launch('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1');
    const admin = new Redis(redis.url);
    await admin.call('CLUSTER', 'ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => slot));
    const covered = async (): Promise<boolean> => String(await admin.cluster('INFO')).includes('cluster_state:ok');
    expect(await waitUntil(covered, { limitMs: 20_000, everyMs: 50 })).toBe(true);
    admin.disconnect();
    return redis;
  };

  it('as a Cluster', async () => {
    const redis = await launchCluster();
    expect(await roundTrip(`${redis.url}?cluster=true`)).toMatchObject({ code: 0, output: `${HEARD}\n` });
  });

  it('as a Cluster, which would publish to all nodes, and whose connections send again what they lost', async () => {
    const redis = await launchCluster();
    const options = { redisUrl: `${redis.url}?cluster=true`, prefix: 'kinds', model: 'minnow' };
    const [admin, queue] = [new Redis(redis.url), openQueue(options)];
    const consumer = openConsumer({ ...options, capacity: 4 });
    started.push({ stop: () => admin.disconnect() });
    started.push({ stop: () => queue.close() });
    started.push({ stop: () => consumer.close({ timeoutMs: 0 }) });
    await queue.ready();
    // Replies come on a stream.
    expect(await admin.type(`{kinds:minnow}::replies:${queue.replies.replyTo}`)).toBe('stream');
    // What a call brings is marked as held ahead; here a step that follows the call brings it. The first call teaches
    // Redis the script, if any is sent.
    const jobs: ClaimedJob[] = [];
    consumer.start((job) => void jobs.push(job));
    const listens = async (): Promise<boolean> => String(await admin.client('LIST')).includes('cmd=bzpopmin');
    for (const id of ['first', 'second']) {
      await eventually('the worker listens', listens);
      await queue.producer.submit(sampleRequest(), { id, priority: 5 });
      await eventually('the claim', () => jobs.at(-1)?.id === id);
    }
    expect(await admin.hexists('{kinds:minnow}:minnow:second', 'shoal:ahead')).toBe(0);
  });

  it('that takes no writes for a while, because its replicas are away', async () => {
    const redis = await launch();
    const admin = new Redis(redis.url);
    const queue = openQueue({ redisUrl: redis.url, prefix: 'kinds', model: 'minnow' });
    const options = { redisUrl: redis.url, prefix: 'kinds', model: 'minnow', capacity: 2, lockDurationMs: 60_000 };
    const consumer = openConsumer(options);
    started.push({ stop: () => admin.disconnect() });
    started.push({ stop: () => queue.close() });
    started.push({ stop: () => consumer.close({ timeoutMs: 0 }) });
    const jobs: ClaimedJob[] = [];
    consumer.start((job) => void jobs.push(job));
    await queue.ready();
    await queue.producer.submit(sampleRequest(), { id: 'patient', priority: 5 });
    await eventually('the claim', () => jobs.length === 1);
    await admin.config('SET', 'min-replicas-to-write', 1);
    jobs[0]?.append(sampleTokens(0));
    // Longer than an item is tried that fails for reasons of its own.
    await sleep(7_000);
    expect(jobs[0]?.signal.aborted).toBe(false);
    await admin.config('SET', 'min-replicas-to-write', 0);
    await jobs[0]?.complete(sampleResult(1));
    expect((await queue.producer.view('patient'))?.status).toBe('completed');
    expect(jobs).toHaveLength(1);
  });

  it('that has become a replica: its name may lead to another one now', async () => {
    const [master, heir] = [await launch(), await launch()];
    const producer = openProducer({ redisUrl: master.url, prefix: 'kinds', model: 'minnow' });
    started.push({ stop: () => producer.close() });
    const submit = (id: string) => producer.submit(sampleRequest(), { id, priority: 5 });
    await submit('before');
    const admin = new Redis(master.url);
    started.push({ stop: () => admin.disconnect() });
    const connections = async (): Promise<(string | undefined)[]> =>
      String(await admin.client('LIST'))
        .split('\n')
        .filter((line) => line.includes('name=shoal'))
        .map((line) => /^id=(\d+)/.exec(line)?.[1]);
    const [before] = await connections();
    expect(before).toBeDefined();
    await admin.replicaof('127.0.0.1', heir.port);
    await expect(submit('refused')).rejects.toMatchObject({ code: 'unavailable' });
    await eventually('a connection of its own', async () => {
      const now = await connections();
      return now.length === 1 && now[0] !== before;
    });
  });

  it('behind a Sentinel', async () => {
    const redis = await launch();
    const sentinel = await launchSentinel(redis.port);
    started.push(sentinel);
    const url = `redis://127.0.0.1:${sentinel.port}?sentinel=main`;
    expect(await roundTrip(url)).toMatchObject({ code: 0, output: `${HEARD}\n` });
  });

  it('with a replica, without which nothing is accepted where that is asked', async () => {
    const master = await launch('--repl-diskless-sync-delay', '0');
    const replica = await launch('--replicaof', '127.0.0.1', String(master.port));
    const open = (redisUrl: string, durability: 'local' | 'replicated') => {
      const producer = openProducer({ redisUrl, prefix: 'kinds', model: 'minnow', durability });
      started.push({ stop: () => producer.close() });
      return producer;
    };
    const careful = open(master.url, 'replicated');
    const submit = (id: string) => careful.submit(sampleRequest(), { id, priority: 5 });
    // While the replica copies what its master has, it confirms nothing; whoever is refused submits the same again.
    const accepted = (id: string) => () =>
      submit(id).then(
        () => true,
        () => false,
      );
    expect(await waitUntil(accepted('kept'), { limitMs: 20_000, everyMs: 50 })).toBe(true);
    expect(await open(replica.url, 'local').view('kept')).toMatchObject({ status: 'queued' });

    await replica.kill();
    const refused = { code: 'unavailable', status: 503, message: expect.stringContaining('no replica has confirmed') };
    await expect(submit('lost')).rejects.toMatchObject(refused);
    expect(await open(master.url, 'local').depth()).toEqual({ waiting: 2, running: 0 });
  });
});

/** A Sentinel that names one master, `main`. */
async function launchSentinel(masterPort: number): Promise<{ port: number; stop(): Promise<void> }> {
  const binary = await findRedisBinary({ log: () => {}, tried: [] });
  if (binary === undefined) throw new Error('no redis-server to run as a Sentinel');
  const folder = await mkdtemp(join(tmpdir(), 'shoal-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  await writeFile(
    file,
    `port ${port}\nbind 127.0.0.1\ndir ${folder}\nsentinel monitor main 127.0.0.1 ${masterPort} 1\n`,
  );
  const child = spawn(binary.path, [file, '--sentinel'], { stdio: 'ignore', env: { ...process.env, ...binary.env } });
  const ready = await waitUntil(() => redisAnswers(port, '127.0.0.1', 1_000), { limitMs: 20_000, everyMs: 20 });
  if (!ready) throw new Error('the Sentinel did not start');
  return { port, stop: () => ended(child, folder) };
}

async function ended(child: ChildProcess, folder: string): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
  await rm(folder, { recursive: true, force: true });
}
