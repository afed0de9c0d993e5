import { ShoalError } from '@shoal/protocol';

/**
 * Every Redis key of Shoal. All keys of one model share the hash tag `{<prefix>:<model>}`, so that one script may touch
 * them on a Redis Cluster. BullMQ's keys are `<tag>:<queue>:…`; Shoal's own are `<tag>::…`, which no queue name can
 * reach because BullMQ refuses an empty one.
 */
export interface ModelKeys {
  readonly model: string;
  /** BullMQ's `prefix` option. */
  readonly bullPrefix: string;
  /** BullMQ's queue name: the model's name with `/` as `~`, which no model name contains. */
  readonly queueName: string;
  /** What BullMQ puts before a job id or a queue-wide key. */
  readonly bull: string;
  /** What Shoal puts before its own keys: `tokens:<job>`, `readers:<job>`, `replies:<producer>`, `drain`. */
  readonly own: string;
  /** Channel on which the consumers hear of cancelled jobs. */
  readonly cancelChannel: string;
  /** Channel on which watchers say that they look, and the one on which workers then tell what they do. */
  readonly lookChannel: string;
  readonly activityChannel: string;
  /** Hash: settings that were changed while the processes run, by environment name. */
  readonly settings: string;
  /** Name of a worker's connection, by which BullMQ, and so Bull Board, lists it among the queue's workers. */
  workerClient(worker: string): string;
  log(id: string): string;
  readers(id: string): string;
  /** Its reply channel, or its stream. */
  replies(producer: string): string;
}

export interface RegistryKeys {
  /** Hash: model name → ModelCard as JSON. */
  readonly models: string;
  /** Sorted set: worker id → Redis time of its last announcement, in milliseconds. */
  workers(model: string): string;
  /** Hash: worker id → Redis time in milliseconds, a space, its WorkerReport as JSON. In the slot of `workers`. */
  reports(model: string): string;
  /** What a tenant has in flight, and the tokens that it has left. */
  tenant(tenant: string): { visits: string; tokens: string };
}

const MODEL_NAME = /^[A-Za-z0-9._/@-]{1,128}$/;
const QUEUE_PREFIX = /^[A-Za-z0-9._:-]{1,64}$/;

/** Names that BullMQ uses beside the job ids: a job with such an id would overwrite the queue. */
const RESERVED_IDS: ReadonlySet<string> = new Set([
  'active',
  'completed',
  'de',
  'delayed',
  'dn',
  'events',
  'failed',
  'id',
  'limiter',
  'marker',
  'meta',
  'metrics',
  'paused',
  'pc',
  'prioritized',
  'repeat',
  'stalled',
  'stalled-check',
  'wait',
  'waiting-children',
]);

/** Throws `invalid_request_error` when `prefix` or `model` cannot be part of a key. */
export function modelKeys(prefix: string, model: string): ModelKeys {
  checkPrefix(prefix);
  if (!MODEL_NAME.test(model)) {
    throw new ShoalError('invalid_request_error', 'a model name must match [A-Za-z0-9._/@-]{1,128}', {
      param: 'model',
    });
  }
  const tag = `{${prefix}:${model}}`;
  const queueName = model.replaceAll('/', '~');
  const own = `${tag}::`;
  return {
    model,
    bullPrefix: tag,
    queueName,
    bull: `${tag}:${queueName}:`,
    own,
    cancelChannel: `${own}cancel`,
    lookChannel: `${own}look`,
    activityChannel: `${own}activity`,
    settings: `${own}settings`,
    // Redis takes no spaces and nothing beyond ASCII.
    workerClient: (worker) =>
      `${tag}:${Buffer.from(queueName).toString('base64')}:w:${worker.replaceAll(/[^!-~]/g, '-')}`,
    log: (id) => `${own}tokens:${id}`,
    readers: (id) => `${own}readers:${id}`,
    replies: (producer) => `${own}replies:${producer}`,
  };
}

export function registryKeys(prefix: string): RegistryKeys {
  checkPrefix(prefix);
  return {
    models: `${prefix}:models`,
    workers: (model) => `${prefix}:workers:${model}`,
    tenant: (tenant) => ({
      visits: `{${prefix}:tenant:${tenant}}:visits`,
      tokens: `{${prefix}:tenant:${tenant}}:tokens`,
    }),
    reports: (model) => `{${prefix}:workers:${model}}:reports`,
  };
}

/** The list of a tenant's jobs, behind `own`; without a tenant, of those that belong to none. */
export function listName(tenant: string | undefined): string {
  return `jobs:${tenant ?? ''}`;
}

/** How long the record of a request that shares a generation is kept: longer than the result of any job it can join. */
export function recordTtlMs(resultTtlS: number): number {
  return (resultTtlS + 3_600) * 1000;
}

/** A request id must be opaque, not a name that BullMQ uses itself, and (BullMQ's rule) not an integer. */
export function checkJobId(id: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id) || RESERVED_IDS.has(id) || /^\d+$/.test(id)) {
    throw new ShoalError(
      'invalid_request_error',
      'a request id must match [A-Za-z0-9_-]{1,64}, must not be a number and must not be a name that BullMQ reserves',
      { param: 'id' },
    );
  }
}

function checkPrefix(prefix: string): void {
  if (!QUEUE_PREFIX.test(prefix)) {
    throw new ShoalError('invalid_request_error', 'QUEUE_PREFIX must match [A-Za-z0-9._:-]{1,64}');
  }
}
