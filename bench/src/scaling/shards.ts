import { Redis } from 'ioredis';
import { launchRedis, type RunningRedis } from '../../../scripts/redis.mjs';
import { freePort } from '../../../scripts/system/ports.mjs';
import { STEADY } from './steady-redis.ts';

const SLOTS = 16_384;
const AGREE_LIMIT_MS = 20_000;

/** Masters of one Redis Cluster on this machine, each with AOF everysec and its share of the hash slots. */
export interface Shards {
  /** What `REDIS_URL` would be. */
  readonly redisUrl: string;
  /** Each master by itself, and its process. */
  readonly masters: readonly { readonly url: string; readonly pid: number }[];
  /** The first so many of the names `model-0`, `model-1`, … whose queues lie on that master. */
  modelsOn(master: number, prefix: string, count: number): Promise<string[]>;
  stop(): Promise<void>;
}

/** Undefined where Redis is a given one: of that no Cluster can be made. */
export async function startShards(count: number): Promise<Shards | undefined> {
  const running: RunningRedis[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((one) => one.stop()));
  };
  try {
    for (let i = 0; i < count; i++) {
      const bus = ['--cluster-port', String(await freePort())];
      running.push(await launchRedis({ args: ['--cluster-enabled', 'yes', ...bus, ...STEADY] }));
    }
    const masters = running.map(({ url, pid }) => ({ url, pid: pid ?? 0 }));
    const [first] = masters;
    if (first === undefined || masters.some(({ pid }) => pid === 0)) {
      await stop();
      return undefined;
    }
    await formCluster(masters.map(({ url }) => url));
    return {
      redisUrl: `${first.url}?cluster=true`,
      masters,
      modelsOn: (master, prefix, models) => modelsOn(first.url, { master, of: count, prefix, models }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Gives each its slots, makes them known to one another, and waits until all agree. */
async function formCluster(urls: readonly string[]): Promise<void> {
  const admins = urls.map((url) => new Redis(url));
  const [first] = admins;
  try {
    for (const [i, admin] of admins.entries()) {
      const from = Math.ceil((i * SLOTS) / admins.length);
      const to = Math.ceil(((i + 1) * SLOTS) / admins.length) - 1;
      await admin.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
      if (admin === first || first === undefined) continue;
      const [, busPort] = (await first.config('GET', 'cluster-port')) as [string, string];
      await admin.call('CLUSTER', 'MEET', '127.0.0.1', first.options.port ?? 0, busPort);
    }
    const until = performance.now() + AGREE_LIMIT_MS;
    while (!(await agree(admins))) {
      if (performance.now() > until) throw new Error('the nodes of the Cluster did not find one another');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    for (const admin of admins) admin.disconnect();
  }
}

async function agree(admins: readonly Redis[]): Promise<boolean> {
  const infos = await Promise.all(admins.map(async (admin) => String(await admin.call('CLUSTER', 'INFO'))));
  return infos.every(
    (info) => info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${admins.length}`),
  );
}

async function modelsOn(
  url: string,
  { master, of, prefix, models }: { master: number; of: number; prefix: string; models: number },
): Promise<string[]> {
  const admin = new Redis(url);
  const found: string[] = [];
  try {
    for (let i = 0; found.length < models; i++) {
      const slot = Number(await admin.call('CLUSTER', 'KEYSLOT', `{${prefix}:model-${i}}`));
      if (Math.floor((slot * of) / SLOTS) === master) found.push(`model-${i}`);
    }
    return found;
  } finally {
    admin.disconnect();
  }
}
