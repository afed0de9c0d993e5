import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosCluster } from '../cluster/cluster.ts';
import type { Ledger } from './ledger.ts';
import { ACCEPTED, type OpenFiles, openFilesOf } from './open-files.ts';

/** What an idle cluster holds. */
export interface Baseline {
  /** Kinds of keys that do not expire: the key, with ids left out. */
  readonly keys: Readonly<Record<string, number>>;
  /** Connections to Redis, by the name that the client gave, process ids left out. */
  readonly redisClients: Readonly<Record<string, number>>;
  readonly redisMemory: number;
  /** Resident bytes and open files, by process; empty where the system does not tell (/proc). */
  readonly processes: Readonly<Record<string, ProcessSize>>;
}

interface ProcessSize {
  memory: number;
  files: OpenFiles;
}

/** Growth of one process, above which memory counts as lost: caches and the heap's slack stay below. */
const MEMORY_SLACK = 96 * 2 ** 20;
const FILES_SLACK = 4;
/** Redis sees the end of a connection a moment after its process is gone. */
const SETTLED_WITHIN_MS = 10_000;

export async function measureBaseline(cluster: ChaosCluster): Promise<Baseline> {
  const keys: Record<string, number> = {};
  for (const { key, expires } of await cluster.probe.allKeys()) {
    if (!expires) keys[kindOf(key)] = (keys[kindOf(key)] ?? 0) + 1;
  }
  const processes: Record<string, ProcessSize> = {};
  for (const { name, pid } of cluster.members) {
    const size = pid === undefined ? undefined : sizeOf(pid);
    if (size !== undefined) processes[name] = size;
  }
  return {
    keys,
    redisClients: clientsOf(String(await cluster.probe.redis.client('LIST'))),
    redisMemory: await cluster.probe.info('used_memory'),
    processes,
  };
}

/** Waits until nothing is queued, nothing runs and, if asked, no result is kept any more; says what did not go. */
export async function untilIdle(
  cluster: ChaosCluster,
  ledger: Ledger,
  { forgotten, limitMs }: { forgotten: boolean; limitMs: number },
): Promise<void> {
  const { redis, keys, look } = {
    redis: cluster.probe.redis,
    keys: cluster.probe.keys,
    look: () => cluster.probe.look(),
  };
  const until = Date.now() + limitMs;
  for (;;) {
    const { waiting, active } = await look();
    const kept = (await redis.zcard(`${keys.bull}completed`)) + (await redis.zcard(`${keys.bull}failed`));
    if (waiting + active + (forgotten ? kept : 0) === 0) return;
    if (Date.now() > until) {
      ledger.find(
        `after ${limitMs / 1000} s of rest ${waiting} jobs wait, ${active} are active, ${kept} finished ones are kept`,
      );
      return;
    }
    await sleep(500);
  }
}

/** Whatever is more than before, and does not go by itself, is a leak. */
export async function findLeaks(
  cluster: ChaosCluster,
  before: Baseline,
  ledger: Ledger,
  { forgotten }: { forgotten: boolean },
): Promise<void> {
  const until = Date.now() + SETTLED_WITHIN_MS;
  for (;;) {
    const leaks = leaksOf(before, await measureBaseline(cluster), forgotten);
    if (leaks.length === 0) return;
    if (Date.now() > until) {
      for (const leak of leaks) ledger.find(`leak: ${leak}`);
      return;
    }
    await sleep(500);
  }
}

function leaksOf(before: Baseline, after: Baseline, forgotten: boolean): string[] {
  const leaks: string[] = [];
  for (const [kind, count] of Object.entries(forgotten ? after.keys : {})) {
    const had = before.keys[kind] ?? 0;
    if (count > had && !ALWAYS_THERE.test(kind)) leaks.push(`${count} keys ${kind} without an expiry (${had} before)`);
  }
  if (total(after.redisClients) > total(before.redisClients)) {
    const [then, now] = [JSON.stringify(before.redisClients), JSON.stringify(after.redisClients)];
    leaks.push(`connections to Redis ${now}, ${then} before`);
  }
  for (const [name, { memory, files }] of Object.entries(after.processes)) {
    const had = before.processes[name];
    if (had === undefined) continue;
    if (memory > had.memory + MEMORY_SLACK) leaks.push(`${name} holds ${mib(memory)} MiB (${mib(had.memory)} before)`);
    if (total(files) > total(had.files) + FILES_SLACK)
      leaks.push(`${name} has the open files ${JSON.stringify(files)}, ${JSON.stringify(had.files)} before`);
  }
  return leaks;
}

/**
 * One of each per queue, whether or not it was used before; deadlines leave theirs when they have passed, and BullMQ's
 * counts by the minute, of bounded length, come with the first minute that is over.
 */
const ALWAYS_THERE = /:(meta|id|pc|events|marker|stalled)$|:metrics:(completed|failed)(:data)?$|:models$|::deadlines$/;

function kindOf(key: string): string {
  return key
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '*')
    .replace(/:k-[\w-]+/, ':k-*')
    .replace(/\{[^}]*\}/, '{}');
}

/** `CLIENT LIST` → how many of each name, those of one kind of process taken together, and what each did last. */
function clientsOf(list: string): Record<string, number> {
  const clients: Record<string, number> = {};
  for (const line of list.trim().split('\n')) {
    const field = (name: string) => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1] ?? '';
    const kind = `${field('name').replace(/[0-9]+(-[0-9a-f]+)?/g, '*')} ${field('cmd')}`.trim();
    clients[kind] = (clients[kind] ?? 0) + 1;
  }
  return clients;
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function sizeOf(pid: number): ProcessSize | undefined {
  try {
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const { [ACCEPTED]: _clients, ...files } = openFilesOf(pid);
    return { memory: Number(resident) * 1024, files };
  } catch {
    return undefined;
  }
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
