import { ShoalError } from '@shoal/protocol';
import { Redis, type RedisOptions } from 'ioredis';
import { dropWhenSilent, reviveWhenEnded } from './reconnection.ts';
import { connectTo, type RedisClient } from './redis-address.ts';

/** Opens one more connection, under a name that Redis lists; tests pass their own to break it. */
export type Connect = (role: ConnectionRole, name?: string) => RedisClient;

/**
 * - `commands-now`: for producers. A command fails within about two seconds when Redis is away, and is never sent later
 *   behind the caller's back.
 * - `commands`: for workers. A command waits for Redis, however long it is away, and is resent after a reconnect.
 * - `blocking`: as `commands`, for a connection that waits inside Redis.
 * - `subscriber`: as `commands`, for a connection that listens. Whoever has it subscribes whenever it is `ready`: what
 *   ioredis does by itself ends the process when Redis refuses it.
 * - `calls`: as `blocking`, but what a broken connection leaves unanswered fails, and is not sent again.
 */
export type ConnectionRole = 'commands-now' | 'commands' | 'blocking' | 'subscriber' | 'calls';

/** Milliseconds that a producer's command may take, and that it waits for a connection before. */
const COMMAND_TIMEOUT_MS = 1_000;
const READY_TIMEOUT_MS = 900;
const LONGEST_RECONNECT_DELAY_MS = 1_000;
/**
 * Milliseconds that a connection may owe an answer and say nothing. A producer gives up on its commands long before; a
 * worker is to sit out a standstill of Redis; who blocks does so for up to ten seconds.
 */
const LONGEST_SILENCE_MS: Readonly<Record<ConnectionRole, number>> = {
  'commands-now': 3_000,
  commands: 10_000,
  subscriber: 10_000,
  blocking: 15_000,
  calls: 15_000,
};
/** After so long without traffic the kernel asks whether the host is there: nothing else would on one that only listens. */
const KEEP_ALIVE_MS = 10_000;

/** Why a connection is not let in, while it is not. */
const refusals = new WeakMap<RedisClient, Error>();

export function connector(redisUrl: string): Connect {
  return (role, name = 'shoal') => {
    const redis = connectTo(redisUrl, { ...connectionOptions(role), connectionName: name });
    // Without a listener ioredis prints every failed attempt; failures surface in the commands.
    redis.on('error', (error: Error) => void (isRefusal(error) ? refusals.set(redis, error) : refusals.delete(redis)));
    redis.on('ready', () => refusals.delete(redis));
    dropWhenSilent(redis, LONGEST_SILENCE_MS[role]);
    reviveWhenEnded(redis, LONGEST_RECONNECT_DELAY_MS);
    // Every command that waits for the connection listens; their number is bounded by the callers.
    redis.setMaxListeners(0);
    return redis;
  };
}

/** Redis is a replica now: its name, or its Sentinels, may lead to another one by this time. */
const isDemoted = (error: Error): boolean => error.message.startsWith('READONLY');

/** ioredis options by role; the reconnect delay doubles from 50 ms to 1 s and never gives up. */
export function connectionOptions(role: ConnectionRole): RedisOptions {
  const shared: RedisOptions = {
    connectTimeout: 1_500,
    keepAlive: KEEP_ALIVE_MS,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times - 1, 5), LONGEST_RECONNECT_DELAY_MS),
  };
  if (role === 'commands-now') {
    return {
      ...shared,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: COMMAND_TIMEOUT_MS,
      reconnectOnError: isDemoted,
    };
  }
  if (role === 'calls') {
    return { ...shared, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, reconnectOnError: isDemoted };
  }
  return {
    ...shared,
    maxRetriesPerRequest: null,
    autoResubscribe: false,
    // 2: what was refused is sent again.
    reconnectOnError: (error) => isDemoted(error) && 2,
  };
}

/**
 * Runs one command on a connection, first waiting shortly for it if it is just being made. Rejects with `unavailable` when
 * Redis is away, on a `commands-now` connection within about two seconds; other errors pass through.
 */
export async function promptly<T>(redis: RedisClient, command: (redis: RedisClient) => Promise<T>): Promise<T> {
  if (redis.status !== 'ready') await untilReady(redis);
  gather(redis);
  try {
    return await command(redis);
  } catch (error) {
    throw asShoalError(error);
  }
}

/** Lets what is sent in one turn of the event loop leave in one write: under load, the writes cost more than the rest. */
function gather(redis: RedisClient): void {
  if (!(redis instanceof Redis)) return;
  const { stream } = redis;
  if (stream === undefined || stream.writableCorked > 0) return;
  stream.cork();
  setImmediate(() => stream.uncork());
}

/** Lets what `send` sends leave in one write, at once. */
export function inOneWrite(redis: RedisClient, send: () => void): void {
  const stream = redis instanceof Redis ? redis.stream : undefined;
  stream?.cork();
  send();
  stream?.uncork();
}

/** Resolves when the connection is ready; rejects with `unavailable` after `timeoutMs`. */
async function untilReady(redis: RedisClient, timeoutMs: number = READY_TIMEOUT_MS): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (done: () => void): void => {
      clearTimeout(timer);
      redis.off('ready', onReady);
      done();
    };
    const onReady = (): void => settle(resolve);
    const timer = setTimeout(() => {
      const refusal = refusals.get(redis);
      settle(() => reject(refusal === undefined ? unavailable() : refused(refusal)));
    }, timeoutMs);
    redis.once('ready', onReady);
  });
}

/** True for errors that say nothing of the command: the connection or the server was not there for it. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return (
    error.name === 'MaxRetriesPerRequestError' ||
    error.name === 'ClusterAllFailedError' ||
    /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)/.test(code) ||
    /Connection is closed|Command timed out|startup nodes|Sentinels|Cluster isn't ready|isn't writeable|ECONN|^(LOADING|BUSY|MASTERDOWN|READONLY|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM) /.test(
      error.message,
    )
  );
}

/** Maps what Redis or the connection threw to the error table. The address and its password stay out of the message. */
export function asShoalError(error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  if (isOutage(error)) return unavailable(error);
  const reason = error instanceof Error ? error.message.slice(0, 200) : 'unknown error';
  if (isRefusal(error)) return refused(error);
  return new ShoalError('unavailable', `Redis refused a command: ${reason}`, { cause: error });
}

/** Redis is there, and does not let us in. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/.test(error.message);
}

function refused(cause: unknown): ShoalError {
  const message = 'Redis refuses the user or password in REDIS_URL; check them, and what that user may do';
  return new ShoalError('unavailable', message, { retryAfterMs: 1_000, cause });
}

export function unavailable(cause?: unknown): ShoalError {
  const outOfMemory = cause instanceof Error && cause.message.includes('OOM');
  return new ShoalError(
    'unavailable',
    outOfMemory
      ? 'Redis is out of memory and refuses writes; raise its maxmemory or lower MAX_QUEUE_SIZE or RESULT_TTL_S'
      : 'Redis does not answer; check that it runs and that REDIS_URL points to it',
    { retryAfterMs: 1_000, cause },
  );
}

/** `redis://user:secret@host:6379/0` → `redis://***@host:6379/0`, for messages and logs. */
export function redactUrl(redisUrl: string): string {
  return redisUrl.replace(/\/\/[^@/]*@/, '//***@');
}
