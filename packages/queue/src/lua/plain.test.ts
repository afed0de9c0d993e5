import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ModelKeys, modelKeys } from '../keys.ts';
import { Script } from '../script.ts';
import { decodeStep, type StepReply } from '../step-codec.ts';
import { randomness } from '../testing/randomness.ts';
import { sampleRequest } from '../testing/requests.ts';
import { STEP } from './step.ts';
import { SUBMIT, type SubmittedJob, submitArguments, submitTerms } from './submit.ts';

const LIMITS = { resultTtlS: 3_600, recordTtlMs: 60_000, maxQueueSize: 10_000, maxQueueWaitMs: 0 };

/** The step script as it is, and with every job through BullMQ's own text. */
const BY_BULLMQ = new Script(
  'step-by-bullmq',
  STEP.text
    .replace('if completedByBullmq and', 'if false and')
    .replace('if #suspects == 0 then pcall(claimPlain', 'if false then pcall(claimPlain'),
);

const SUBMIT_BY_BULLMQ = new Script('submit-by-bullmq', SUBMIT.text.replace('if addedByBullmq then', 'if false then'));

/** Options say the same in any order. */
function parsed(options: string | undefined): unknown {
  return options === undefined || options === '' ? options : JSON.parse(options);
}

interface Scripts {
  step: Script;
  submit: Script;
}

/** One of two queues to which the same is done. */
class Side {
  readonly keys: ModelKeys = modelKeys(`test-${randomUUID()}`, 'minnow');
  readonly redis: Redis;
  readonly scripts: Scripts;

  constructor(redis: Redis, scripts: Scripts) {
    this.redis = redis;
    this.scripts = scripts;
  }

  async step(stepId: string, wanted: number, items: (string | number)[]): Promise<StepReply> {
    const { bull, own } = this.keys;
    const header = [bull, own, 60_000, 10_000, 3_600, stepId, wanted, 1, 60_000, 'w', 0];
    return decodeStep(await this.scripts.step.run(this.redis, bull, [...header, ...items]));
  }

  /** All in one script. */
  async submit(jobs: readonly SubmittedJob[]): Promise<unknown> {
    const { bull, own } = this.keys;
    return await this.scripts.submit.run(this.redis, bull, submitArguments(submitTerms({ own, ...LIMITS }), jobs));
  }

  /** Everything under the queue's keys; times, ids of stream entries and the queue's own name are made equal. */
  async dump(): Promise<Record<string, unknown>> {
    const found = (await this.redis.keys(`${this.keys.bullPrefix}:*`)).sort();
    // The drain rate, and the points of the metrics, are a matter of time.
    const compared = found.filter((key) => key !== `${this.keys.own}drain` && !key.endsWith(':data'));
    const dump: Record<string, unknown> = {};
    for (const key of compared) {
      const value = [await this.redis.type(key), (await this.redis.pttl(key)) > 0, await this.#valueOf(key)];
      dump[this.#normal(key)] = JSON.parse(this.#normal(JSON.stringify(value)));
    }
    return dump;
  }

  async #valueOf(key: string): Promise<unknown> {
    const type = await this.redis.type(key);
    if (key.includes(':metrics:')) return await this.redis.hget(key, 'count');
    if (type === 'hash') {
      const fields = Object.entries(await this.redis.hgetall(key));
      return fields.map(([name, value]) => [name, name === 'opts' ? parsed(value) : value]).sort();
    }
    if (type === 'zset') return await this.redis.zrange(key, 0, -1, 'WITHSCORES');
    if (type === 'set') return (await this.redis.smembers(key)).sort();
    if (type === 'list') return await this.redis.lrange(key, 0, -1);
    if (type === 'stream') return (await this.redis.xrange(key, '-', '+')).map(([, fields]) => fields);
    return await this.redis.get(key);
  }

  #normal(text: string): string {
    return text.replaceAll(this.keys.bullPrefix, 'PREFIX').replaceAll(/\b1[6-9]\d{11}(\.\d+)?\b/g, 'TIME');
  }
}

describe('ordinary jobs, added, taken and ended together', () => {
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(inject('redisUrl'));
  });
  afterAll(() => redis.disconnect());

  it('leaves what BullMQ would leave, key by key (40 histories of 8 steps)', async () => {
    expect(BY_BULLMQ.text.length).not.toBe(STEP.text.length);
    expect(SUBMIT_BY_BULLMQ.text.length).not.toBe(SUBMIT.text.length);
    for (let seed = 1; seed <= 40; seed += 1) {
      const sides = [
        new Side(redis, { step: STEP, submit: SUBMIT }),
        new Side(redis, { step: BY_BULLMQ, submit: SUBMIT_BY_BULLMQ }),
      ] as const;
      const both = async <T>(act: (side: Side) => Promise<T>): Promise<[T, T]> => [
        await act(sides[0]),
        await act(sides[1]),
      ];
      const random = randomness(seed);
      const under = (limit: number): number => Math.floor(random() * limit);
      const held = new Map<string, string>();
      let submitted = 0;
      for (let turn = 0; turn < 8; turn += 1) {
        const jobs = Array.from({ length: under(8) }, (): SubmittedJob => {
          submitted += 1;
          const data = JSON.stringify(sampleRequest());
          const more = { list: under(3) === 0 ? 'all' : '', trace: under(3) === 0 ? 'trace' : '' };
          const shared = under(4) === 0 ? { key: `key-${under(3)}`, record: `record-${submitted}` } : undefined;
          return {
            id: `job-${submitted}`,
            priority: 1 + under(10),
            work: 1 + under(9),
            deadline: 0,
            data,
            ...more,
            shared,
          };
        });
        const [answer, bullmqsAnswer] = await both((side) => side.submit(jobs));
        expect(answer, `history ${seed}, turn ${turn}`).toEqual(bullmqsAnswer);
        for (const { id } of jobs) {
          const oddity = under(24);
          await both((side) => makeOdd(side, id, oddity));
        }
        // A rate would come into what is predicted at submission.
        await both((side) => side.redis.del(`${side.keys.own}drain`));
        const change = under(12);
        await both((side) => changeQueue(side, change));

        const items: (string | number)[] = [];
        for (const [id, token] of held) {
          const fate = under(10);
          if (fate < 6) items.push('C', id, token, '', 0, `{"of":"${id}"}`);
          if (fate === 6) items.push('F', id, token, '', 0, `{"of":"${id}"}`);
          if (fate === 7) items.push('C', id, 'zombie', '', 0, '{}');
          if (fate === 8) items.push('B', id, token);
          if (fate === 5) items.push('C', id, token, '', 0, `{"of":"${id}"}`);
          if (fate !== 9 && fate !== 7) held.delete(id);
        }
        const wanted = under(9);
        const [ours, bullmqs] = await both((side) => side.step(`step-${turn}`, wanted, items));
        const named = ({ codes, claim }: StepReply): unknown => ({
          ...{ codes, waiting: claim.waiting, limited: claim.limitedMs > 0, delayed: claim.nextDelayedMs > 0 },
          claims: claim.claims.map(({ id, token, fields, log }) => ({
            ...{ id, token, log, data: fields.get('data'), opts: parsed(fields.get('opts')), ats: fields.get('ats') },
            ...{ priority: fields.get('priority'), defa: fields.get('defa') },
          })),
        });
        expect(named(ours), `history ${seed}, turn ${turn}`).toEqual(named(bullmqs));
        for (const { id, token } of ours.claim.claims) held.set(id, token);
        const [left, right] = await both((side) => side.dump());
        expect(left, `history ${seed}, turn ${turn}`).toEqual(right);
      }
      for (const { keys } of sides) await redis.unlink(...(await redis.keys(`${keys.bullPrefix}:*`)));
    }
  }, 120_000);
});

/** What may be special about a job. */
async function makeOdd({ redis, keys }: Side, id: string, oddity: number): Promise<void> {
  const job = `${keys.bull}${id}`;
  if (oddity === 0) await redis.hset(job, 'shoal:hook', 'https://example.org/');
  if (oddity === 1) await redis.hset(job, 'deid', 'the same');
  if (oddity === 2) await redis.hset(job, 'ats', 1);
  if (oddity === 3) await redis.hset(job, 'defa', 'a child failed');
  if (oddity === 4) await redis.sadd(`${job}:dependencies`, 'a-child');
  if (oddity === 5) await redis.set(job, 'not a job');
  if (oddity === 6) await redis.hdel(job, 'shoal:work');
}

/** What may change about a queue. */
async function changeQueue({ redis, keys }: Side, change: number): Promise<void> {
  if (change === 0) await redis.hset(`${keys.bull}meta`, 'concurrency', 3);
  if (change === 1) await redis.hset(`${keys.bull}meta`, 'paused', 1);
  if (change === 2) await redis.hset(`${keys.bull}meta`, 'max', 2, 'duration', 60_000);
  if (change > 6) await redis.hdel(`${keys.bull}meta`, 'concurrency', 'paused', 'max', 'duration');
  if (change === 3 || change === 4) {
    await redis.hset(`${keys.bull}late-${change}`, 'timestamp', 1, 'data', '{}', 'priority', change - 3, 'opts', '{}');
    await redis.zadd(`${keys.bull}delayed`, 1, `late-${change}`);
  }
}
