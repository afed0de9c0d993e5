import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

/** What one or several Redis did between two looks; per second, or processor time per second. */
export interface RedisLoad {
  /** Processor seconds per second of all threads; the main thread, which runs every command, alone is `mainCores`. */
  readonly cores: number;
  readonly mainCores: number;
  /**
   * How much of the time the main thread wanted a core, and did not have it because others ran there; 0 where the
   * kernel does not tell (it must be Linux, and Redis here).
   */
  readonly mainWaiting: number;
  /** The busiest one's main thread, and its waiting. */
  readonly busiestMainCores: number;
  readonly busiestMainWaiting: number;
  readonly scriptsPerSecond: number;
  /** Commands in all, also those that scripts call. */
  readonly commandsPerSecond: number;
  readonly bytesInPerSecond: number;
  readonly bytesOutPerSecond: number;
  /** Connections, at the second look. */
  readonly clients: number;
  /** Growth of the memory in use. */
  readonly memoryBytes: number;
}

interface Look {
  readonly at: number;
  /** Milliseconds that the main thread has waited for a core. */
  readonly waitedMs: number;
  readonly info: ReadonlyMap<string, string>;
}

/** Watches the servers of one run. */
export class RedisObserver {
  readonly #servers: readonly Redis[];
  #before: readonly Look[] = [];

  constructor(urls: readonly string[]) {
    this.#servers = urls.map((url) => new Redis(url));
  }

  async mark(): Promise<void> {
    this.#before = await this.#look();
  }

  /** What happened since the last mark. */
  async read(): Promise<RedisLoad> {
    const now = await this.#look();
    const each = now.map((look, i) => loadBetween(this.#before[i] ?? look, look));
    const busiest = each.toSorted((a, b) => b.mainCores - a.mainCores)[0];
    const sum = (of: (load: RedisLoad) => number): number => each.reduce((so, load) => so + of(load), 0);
    return {
      cores: sum(({ cores }) => cores),
      mainCores: sum(({ mainCores }) => mainCores),
      mainWaiting: sum(({ mainWaiting }) => mainWaiting),
      busiestMainCores: busiest?.mainCores ?? 0,
      busiestMainWaiting: busiest?.mainWaiting ?? 0,
      scriptsPerSecond: sum(({ scriptsPerSecond }) => scriptsPerSecond),
      commandsPerSecond: sum(({ commandsPerSecond }) => commandsPerSecond),
      bytesInPerSecond: sum(({ bytesInPerSecond }) => bytesInPerSecond),
      bytesOutPerSecond: sum(({ bytesOutPerSecond }) => bytesOutPerSecond),
      clients: sum(({ clients }) => clients),
      memoryBytes: sum(({ memoryBytes }) => memoryBytes),
    };
  }

  /** Forgets all keys: a run does not pay for the memory of the one before. */
  async clear(): Promise<void> {
    for (const server of this.#servers) await server.flushall();
  }

  close(): void {
    for (const server of this.#servers) server.disconnect();
  }

  async #look(): Promise<Look[]> {
    return await Promise.all(
      this.#servers.map(async (server) => {
        const info = fieldsOf(await server.info('everything'));
        return { at: performance.now(), waitedMs: waitedMs(info.get('process_id')), info };
      }),
    );
  }
}

function loadBetween(before: Look, now: Look): RedisLoad {
  const seconds = Math.max(1e-3, (now.at - before.at) / 1000);
  const grown = (name: string): number => Number(now.info.get(name) ?? 0) - Number(before.info.get(name) ?? 0);
  const scripts = (look: Look): number =>
    ['evalsha', 'eval'].reduce((sum, name) => sum + callsOf(look.info.get(`cmdstat_${name}`)), 0);
  const mainCores = (grown('used_cpu_user_main_thread') + grown('used_cpu_sys_main_thread')) / seconds;
  const mainWaiting = (now.waitedMs - before.waitedMs) / 1000 / seconds;
  return {
    cores: (grown('used_cpu_user') + grown('used_cpu_sys')) / seconds,
    mainCores,
    mainWaiting,
    busiestMainCores: mainCores,
    busiestMainWaiting: mainWaiting,
    scriptsPerSecond: (scripts(now) - scripts(before)) / seconds,
    commandsPerSecond: grown('total_commands_processed') / seconds,
    bytesInPerSecond: grown('total_net_input_bytes') / seconds,
    bytesOutPerSecond: grown('total_net_output_bytes') / seconds,
    clients: Number(now.info.get('connected_clients') ?? 0),
    memoryBytes: grown('used_memory'),
  };
}

/** From the kernel's account of the thread: nanoseconds that it ran, nanoseconds that it waited to run. */
function waitedMs(pid: string | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[1] ?? 0) / 1e6;
  } catch {
    return 0;
  }
}

function callsOf(stat: string | undefined): number {
  return Number(/calls=(\d+)/.exec(stat ?? '')?.[1] ?? 0);
}

function fieldsOf(info: string): Map<string, string> {
  const lines = info.split('\r\n').filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
