import { Redis } from 'ioredis';
import { type Connect, connector } from '../connection.ts';

export interface BreakableConnections {
  connect: Connect;
  /** Cuts every connection at once and for good, as a killed process would: nothing is said, nothing is sent any more. */
  kill(): void;
  /** Drops the sockets; the clients reconnect by themselves. */
  drop(): void;
  /** Scripts called on these connections so far: what other clients of the same Redis call is not among them. */
  readonly scripts: number;
}

/** Connections whose end a test decides; duplicates made by BullMQ included. */
export function breakableConnections(redisUrl: string): BreakableConnections {
  const open = connector(redisUrl);
  const connections: Redis[] = [];
  let scripts = 0;
  const track = (redis: Redis): Redis => {
    connections.push(redis);
    const send = redis.sendCommand.bind(redis);
    redis.sendCommand = (command, stream) => {
      if (command.name === 'evalsha') scripts += 1;
      return send(command, stream);
    };
    const duplicate = redis.duplicate.bind(redis);
    redis.duplicate = (override) => {
      const copy = track(duplicate(override));
      copy.on('error', () => {});
      return copy;
    };
    return redis;
  };
  return {
    connect: (role, name) => {
      const redis = open(role, name);
      if (!(redis instanceof Redis)) throw new Error('only connections to a single Redis can be broken');
      return track(redis);
    },
    kill: () => {
      for (const redis of connections) {
        // No command of a dead process is ever answered, nor sent later.
        redis.options.enableOfflineQueue = true;
        redis.options.retryStrategy = () => undefined;
        redis.sendCommand = () => new Promise(() => {});
        redis.stream?.destroy();
        // Closed on purpose: nobody is to connect it again.
        redis.disconnect();
      }
    },
    drop: () => {
      for (const redis of connections) redis.stream?.destroy();
    },
    get scripts() {
      return scripts;
    },
  };
}
