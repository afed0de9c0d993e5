import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import type { Cluster, ClusterMember } from '../cluster/cluster.ts';

const LIMIT_MS = 20_000;
const PRELOAD = pathToFileURL(join(import.meta.dirname, 'failing-run.mjs')).href;
/** Steps of a worker that is to die in the middle of its answers. */
const SLOW_STEP_MS = 40;

/** What an ordinary minute does not have, brought about for real in one cluster. */
export class Accidents {
  readonly #control: string;
  readonly #admin: Redis;
  readonly #user: string;
  readonly #url: string;

  private constructor(control: string, redisUrl: string) {
    this.#control = control;
    this.#admin = new Redis(redisUrl);
    this.#user = `accident-${randomUUID().slice(0, 8)}`;
    const url = new URL(redisUrl);
    this.#url = `${url.protocol}//${this.#user}:secret@${url.host}`;
  }

  static async prepare(redisUrl: string): Promise<Accidents> {
    const accidents = new Accidents(await mkdtemp(join(tmpdir(), 'shoal-accidents-')), redisUrl);
    await accidents.#allow('on', '>secret', '~*', '&*', '+@all');
    return accidents;
  }

  /** Of a Redis user of their own, so that what happens to them happens to nobody else's tests. */
  get redisUrl(): string {
    return this.#url;
  }

  /** Settings of a worker whose cache is too small for what it begins. */
  get cramped(): Record<string, string> {
    return { KV_CACHE_MB: '3' };
  }

  /** Settings of a worker whose device can run out of memory. */
  get fragile(): Record<string, string> {
    return { NODE_OPTIONS: `--import ${PRELOAD}`, SHOAL_TEST_CONTROL: this.#control };
  }

  /** The next run of several sequences on a fragile worker fails for want of memory. */
  async runOutOfMemory(): Promise<void> {
    await writeFile(join(this.#control, 'out-of-memory'), '');
  }

  /** A worker that is slow, and that somebody kills while it answers; `load` gives it something to do. */
  async killWorker(cluster: Cluster, load: () => Promise<void>): Promise<void> {
    const env = { NODE_OPTIONS: `--import ${PRELOAD}`, SHOAL_TEST_STEP_MS: String(SLOW_STEP_MS) };
    const victim = await cluster.addWorker(env);
    const loaded = load();
    const answering = async () => (await figure(victim, 'shoal_step_tokens_total{phase="decode"')) >= 20;
    const died = await waitUntil(answering, { limitMs: LIMIT_MS, everyMs: 30 });
    victim.process.signal('SIGKILL');
    cluster.workers.splice(cluster.workers.indexOf(victim), 1);
    await Promise.all([loaded, victim.process.exitCode(LIMIT_MS)]);
    if (!died) throw new Error(`the worker to be killed had nothing to do:\n${victim.process.output}`);
  }

  /** Somebody takes from Shoal's user what it needs, until this worker has noticed, and gives it back. */
  async refuseScripts(worker: ClusterMember): Promise<void> {
    await this.#allow('-evalsha', '-eval');
    const noticed = async () => (await figure(worker, 'shoal_consumer_errors_total{')) > 0;
    const done = await waitUntil(noticed, { limitMs: LIMIT_MS, everyMs: 50 });
    await this.#allow('+@all');
    if (!done) throw new Error(`the worker did not notice that it may run no script:\n${worker.process.output}`);
  }

  async close(): Promise<void> {
    await this.#admin.call('ACL', 'DELUSER', this.#user);
    this.#admin.disconnect();
    await rm(this.#control, { recursive: true });
  }

  async #allow(...rules: string[]): Promise<void> {
    await this.#admin.call('ACL', 'SETUSER', this.#user, ...rules);
  }
}

/** What a worker's metrics say of the first series that begins like this; 0 while there is none. */
async function figure({ url }: ClusterMember, series: string): Promise<number> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) });
  const line = (await response.text()).split('\n').find((each) => each.startsWith(series));
  return Number(line?.split(' ').at(-1) ?? 0);
}
