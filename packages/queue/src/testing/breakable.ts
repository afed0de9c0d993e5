import { createHash } from 'node:crypto';
import { type Command, Redis } from 'ioredis';
import { type Connect, connector } from '../connection.ts';
import { EMIT } from '../lua/emit.ts';

const EMIT_SHA = createHash('sha1').update(EMIT.text).digest('hex');
const UNKNOWN_SHA = '0'.repeat(EMIT_SHA.length);

export interface BreakableConnections {
  connect: Connect;
  /** Cuts every connection at once and for good, as a killed process would: nothing is said, nothing is sent any more. */
  kill(): void;
  /** Drops the sockets; the clients reconnect by themselves. */
  drop(): void;
  /** Drops the sockets when the next emit was written and nothing of its answer read; resolves when all are connected. */
  dropUnderEmit(): Promise<void>;
  /**
   * The next emit comes to a Redis that does not know its hash, as after a loss of the script cache; resolves when it was
   * written. `SCRIPT FLUSH` would hit everybody else's scripts, too, in the middle of their transactions.
   */
  forgetUnderEmit(): Promise<void>;
  /** Scripts called on these connections so far: what other clients of the same Redis call is not among them. */
  readonly scripts: number;
  /** Emits that were sent once more: their answer was lost with the socket, or Redis asked for the script's text. */
  readonly repeatedEmits: number;
}

/** What is done to an emit: before it is written to a socket that is up, or after. */
interface Strike {
  before?(emit: Command): void;
  after(): void;
}

/** Connections whose end a test decides; duplicates made by BullMQ included. */
export function breakableConnections(redisUrl: string): BreakableConnections {
  const open = connector(redisUrl);
  const connections: Redis[] = [];
  const written = new WeakSet<Command>();
  let scripts = 0;
  let repeatedEmits = 0;
  let strike: Strike | undefined;
  const track = (redis: Redis): Redis => {
    connections.push(redis);
    const send = redis.sendCommand.bind(redis);
    redis.sendCommand = (command, stream) => {
      if (command.name === 'evalsha') scripts += 1;
      // Without a socket it would only wait inside the client.
      if (!isEmit(command) || !isUp(redis)) return send(command, stream);
      if (written.has(command) || command.name === 'eval') repeatedEmits += 1;
      written.add(command);
      // A text that follows its hash is what an earlier strike brought about.
      const struck = command.name === 'evalsha' ? strike : undefined;
      if (struck !== undefined) strike = undefined;
      struck?.before?.(command);
      const answer = send(command, stream);
      struck?.after();
      return answer;
    };
    const duplicate = redis.duplicate.bind(redis);
    redis.duplicate = (override) => {
      const copy = track(duplicate(override));
      copy.on('error', () => {});
      return copy;
    };
    return redis;
  };
  const drop = (): void => {
    for (const redis of connections) redis.stream?.destroy();
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
    drop,
    dropUnderEmit: async () => {
      await new Promise<void>((resolve) => {
        strike = {
          after: () => {
            drop();
            resolve();
          },
        };
      });
      await Promise.all(connections.map(up));
    },
    forgetUnderEmit: () =>
      new Promise((resolve) => {
        strike = { before: ({ args }) => void args.splice(0, 1, UNKNOWN_SHA), after: resolve };
      }),
    get scripts() {
      return scripts;
    },
    get repeatedEmits() {
      return repeatedEmits;
    },
  };
}

function isEmit({ name, args: [script] }: Command): boolean {
  return (name === 'evalsha' && script === EMIT_SHA) || (name === 'eval' && script === EMIT.text);
}

function isUp(redis: Redis): boolean {
  return redis.status === 'ready' && redis.stream.writable;
}

/** Resolves once the client is connected and has sent again what it had to. */
async function up(redis: Redis): Promise<void> {
  while (!isUp(redis)) await new Promise<void>((resolve) => redis.once('ready', () => resolve()));
}
