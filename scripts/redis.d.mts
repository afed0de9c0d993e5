export interface LaunchRedisOptions {
  /** Told in a friendly line what is being done. Default: nothing is said. */
  log?: (line: string) => void;
  /** Where the instance keeps its append-only file; kept afterwards. Default: a temporary folder, removed by `stop`. */
  dataDir?: string;
  /** Port on 127.0.0.1. Default: a free one. */
  port?: number;
  /** Port to take where it is free and `port` is not given. */
  preferredPort?: number;
  /** Append-only file, fsynced every second. Default true. */
  appendonly?: boolean;
  /** More of redis-server's own arguments, such as `--cluster-enabled yes`; only a program started here heeds them. */
  args?: readonly string[];
}

export type RedisSource = 'REDIS_URL' | 'path' | 'debian-package' | 'docker';

export interface RunningRedis {
  readonly url: string;
  readonly port: number;
  /** Process id; undefined when the instance is not ours (REDIS_URL) or lives in a container, and while it is down. */
  readonly pid: number | undefined;
  /** Undefined when the instance is not ours or lives in a container. */
  readonly dataDir: string | undefined;
  readonly source: RedisSource;
  /** Stops it in an orderly way and removes temporary data. Does nothing for `REDIS_URL`. Idempotent. */
  stop(): Promise<void>;
  /** kill -9, data kept: for chaos tests. Rejects for `REDIS_URL`. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, after `kill` or while it runs. Rejects for `REDIS_URL`. */
  restart(): Promise<void>;
}

/**
 * A Redis to work with: `REDIS_URL` if set; else `redis-server` or `valkey-server` on PATH; else Debian's package
 * extracted into a cache folder without privileges; else docker. Own instances listen on 127.0.0.1 only, never evict,
 * and end with this process. Rejects with one message that says what was tried and what to do.
 */
export function launchRedis(options?: LaunchRedisOptions): Promise<RunningRedis>;
