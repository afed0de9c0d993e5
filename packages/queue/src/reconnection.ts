import { Cluster, type Redis } from 'ioredis';
import type { RedisClient } from './redis-address.ts';

const LOOKS_PER_LIMIT = 4;

/**
 * Makes a connection anew that owes an answer and has said nothing for `limitMs`, or up to half as long again: a host
 * that vanishes does not say so, and TCP gives up on it after a quarter of an hour only. A connection that owes nothing
 * may be silent. The limit is longer than any command may take. ioredis's `socketTimeout` would not do: its timer
 * outlives the socket that it was set for, and cuts the next one (5.11.1).
 */
export function dropWhenSilent(client: RedisClient, limitMs: number): void {
  if (client instanceof Cluster) client.on('+node', (node: Redis) => watchSockets(node, limitMs));
  else watchSockets(client, limitMs);
}

function watchSockets(redis: Redis, limitMs: number): void {
  redis.on('connect', () => {
    const { stream } = redis;
    let bytesRead = 0;
    // Looks and not time: a process that was stopped itself sees what has come in meanwhile only after the first look.
    let silentLooks = 0;
    const timer = setInterval(() => {
      const silent = redis.commandQueue.length > 0 && stream.bytesRead === bytesRead;
      silentLooks = silent ? silentLooks + 1 : 0;
      bytesRead = stream.bytesRead;
      if (silentLooks > LOOKS_PER_LIMIT) stream.destroy();
    }, limitMs / LOOKS_PER_LIMIT);
    timer.unref();
    stream.once('close', () => clearInterval(timer));
  });
}

/**
 * Makes a connection anew, unless that is under way: ioredis's own `disconnect(true)` ends it for good while it asks
 * the Sentinels where to connect to.
 */
export function dropConnection(client: RedisClient): void {
  for (const redis of client instanceof Cluster ? client.nodes() : [client]) {
    if (redis.status === 'ready' || redis.status === 'connect') redis.stream.destroy();
  }
}

/**
 * Connects again `delayMs` after a connection ended that nobody closed, where ioredis has given up: it was told to
 * reconnect while it asked the Sentinels, or they named an address that is none. A Cluster does so by itself.
 */
export function reviveWhenEnded(redis: RedisClient, delayMs: number): void {
  if (redis instanceof Cluster) return;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  const disconnect = redis.disconnect.bind(redis);
  redis.disconnect = (reconnect = false) => {
    if (!reconnect) {
      closed = true;
      clearTimeout(timer);
    }
    disconnect(reconnect);
  };
  redis.on('end', () => {
    if (!closed) timer = setTimeout(() => void redis.connect().catch(() => {}), delayMs);
  });
}
