import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import type { RedisProbe } from '../cluster/redis-probe.ts';
import type { Random } from '../random.ts';
import { within } from '../within.ts';
import type { SharedFault } from './fault.ts';

/** Each of these fails alone, and says why. */
const GARBAGE: readonly (readonly [what: string, data: unknown])[] = [
  ['nothing', {}],
  ['a list', [1, 2, 3]],
  ['a text', 'give me a story'],
  ['null', null],
  ['a wrong version', { v: 'one', prompt: 'x' }],
  ['two prompts', { v: 1, prompt: 'x', promptTokenIds: [1], params: {} }],
  ['a prompt of the wrong kind', { v: 1, prompt: { text: 'x' }, params: {} }],
  ['options out of range', { v: 1, prompt: 'x', params: { temperature: -7, topP: 9 } }],
  ['an address that is a key', { v: 1, prompt: 'x', params: {}, replyTo: '{other}:queue' }],
  ['more tokens than the model takes', { v: 1, promptTokenIds: new Array(5_000).fill(1), params: { temperature: 0 } }],
  ['tokens that do not exist', { v: 1, promptTokenIds: [1, 99_999_999], params: { temperature: 0 } }],
];
/** Behind whatever waits: prompts that kill their worker, one after the other, take tens of seconds each. */
const JUDGED_WITHIN_MS = 180_000;
/** How long Redis may be full at most. */
const TAKEN_WITHIN_MS = 60_000;

export const BAD_JOBS: readonly SharedFault[] = [
  {
    name: 'poison-prompt',
    weight: 3,
    target: 'queue',
    /** One that is not judged by then is still in the ledger, and judged when the books are closed. */
    async strike({ load }, random) {
      await within(JUDGED_WITHIN_MS, load.poison(random));
    },
  },
  {
    name: 'garbage-jobs',
    weight: 5,
    target: 'queue',
    async strike({ cluster: { probe }, ledger }, random) {
      const jobs = Array.from({ length: random.between(3, 12) }, () => random.pick(GARBAGE));
      const ids = await addForeign(
        probe,
        jobs.map(([, data]) => data),
        random,
      );
      const until = Date.now() + JUDGED_WITHIN_MS;
      for (const [index, id] of ids.entries()) {
        const reason = await failureOf(probe, id, until);
        const what = jobs[index]?.[0] ?? '';
        if (!/invalid_request_error|context_length_exceeded/.test(reason)) ledger.find(`garbage (${what}): ${reason}`);
      }
    },
  },
  {
    name: 'foreign-keys',
    weight: 2,
    target: 'queue',
    /** Ids on the queue behind which there is no job, or something of another type. */
    async strike({ cluster: { probe } }, random) {
      const { bull } = probe.keys;
      for (let i = random.between(1, 5); i > 0; i--) {
        const id = `foreign-${randomUUID()}`;
        if (random.chance(0.5)) await untilTaken(() => probe.redis.set(bull + id, 'not a job', 'PX', 60_000));
        await untilTaken(() => probe.redis.lpush(`${bull}wait`, id));
      }
      await untilTaken(() => probe.redis.zadd(`${bull}marker`, 0, '0'));
    },
  },
];

/** Redis may be full just now, which is another fault: a foreign producer tries again. */
async function untilTaken<T>(write: () => Promise<T>): Promise<T> {
  const until = Date.now() + TAKEN_WITHIN_MS;
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('OOM')) || Date.now() > until) throw error;
      await sleep(200);
    }
  }
}

/** As any BullMQ client would; some with a priority, some without. */
async function addForeign(probe: RedisProbe, payloads: readonly unknown[], random: Random): Promise<string[]> {
  const { queueName, bullPrefix } = probe.keys;
  const connection = probe.redis.duplicate();
  connection.on('error', () => {});
  const queue = new Queue(queueName, { prefix: bullPrefix, connection });
  queue.on('error', () => {});
  try {
    const jobs = payloads.map(async (data) => {
      const options = random.chance(0.5) ? { priority: random.between(1, 10) } : {};
      const jobId = `garbage-${randomUUID()}`;
      return await untilTaken(() => queue.add('generate', data, { jobId, ...options }));
    });
    return (await Promise.all(jobs)).flatMap(({ id }) => (id === undefined ? [] : [id]));
  } finally {
    await queue.close();
    connection.disconnect();
  }
}

async function failureOf(probe: RedisProbe, id: string, until: number): Promise<string> {
  while (Date.now() < until) {
    const reason = await probe.redis.hget(probe.keys.bull + id, 'failedReason');
    if (reason !== null) return reason;
    await sleep(200);
  }
  return 'was not judged';
}
