import { ShoalError } from '@shoal/protocol';
import { Cluster, Redis, type RedisOptions } from 'ioredis';

/** A connection to one Redis, to the master that Sentinels name, or to a Cluster. */
export type RedisClient = Redis | Cluster;

interface Node {
  host: string;
  port: number;
}

/**
 * Connects to what a URL names: `redis://` or, with TLS, `rediss://`, user and password, host, port and database.
 *
 * - `?cluster=true`: a Redis Cluster; the host is one of its nodes.
 * - `?sentinel=NAME`: the master of that name; the host is one of its Sentinels.
 * - `&node=HOST:PORT`, repeated: further nodes or Sentinels to ask when the first is away.
 */
export function connectTo(redisUrl: string, options: RedisOptions): RedisClient {
  const url = parsed(redisUrl);
  const sentinel = url.searchParams.get('sentinel');
  const isCluster = url.searchParams.get('cluster') === 'true';
  if (sentinel === null && !isCluster) return new Redis(redisUrl, options);

  const nodes = nodesOf(url, isCluster ? 6379 : 26379);
  const login: RedisOptions = {
    ...options,
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  };
  if (sentinel !== null) {
    const database = Number(url.pathname.slice(1) || 0);
    return new Redis({
      ...login,
      sentinels: nodes,
      name: sentinel,
      // One that is there and does not answer would hold up the others for ever.
      sentinelCommandTimeout: options.connectTimeout ?? 1_000,
      db: database,
      enableTLSForSentinelMode: 'tls' in login,
    });
  }
  const { retryStrategy, enableOfflineQueue = true, ...redisOptions } = login;
  return new Cluster(nodes, {
    redisOptions,
    enableOfflineQueue,
    ...(typeof retryStrategy === 'function' ? { clusterRetryStrategy: retryStrategy } : {}),
    slotsRefreshTimeout: options.connectTimeout ?? 1_000,
  });
}

function nodesOf(url: URL, usualPort: number): Node[] {
  const more = url.searchParams.getAll('node').map((node) => parsed(`redis://${node}`));
  return [url, ...more].map(({ hostname, port }) => ({ host: hostname, port: Number(port || usualPort) }));
}

function parsed(redisUrl: string): URL {
  if (URL.canParse(redisUrl)) return new URL(redisUrl);
  throw new ShoalError('unavailable', 'REDIS_URL is not a URL such as redis://host:6379');
}
