import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { type ModelKeys, modelKeys } from '../keys.ts';
import { readAttached } from '../log-reading.ts';
import { decodeStep, type StepReply } from '../step-codec.ts';
import { sampleRequest, sampleTokens } from '../testing/requests.ts';
import { ATTACH } from './attach.ts';
import { CANCEL } from './cancel.ts';
import { STEP } from './step.ts';
import { SUBMIT, submitArguments, submitTerms } from './submit.ts';
import { VIEW } from './view.ts';
import { WATCH } from './watch.ts';

const MOST_WAITING = 5;
const CANCELLED = JSON.stringify({ code: 'cancelled', message: 'cancelled' });

interface Submission {
  request: number;
  priority: number;
  key: string;
}

/** What happens to a queue; requests are named by small numbers, so that names meet. */
type Operation =
  /** In one script. */
  | { type: 'submit'; together: Submission[] }
  | { type: 'claim'; wanted: number }
  | { type: 'emit'; request: number; tokens: number; offset: number; zombie: boolean }
  | { type: 'end'; request: number; as: 'C' | 'F'; offset: number; zombie: boolean }
  | { type: 'cancel'; request: number }
  | { type: 'attach'; request: number; position: number }
  /** The locks of all jobs that have written something lapse; with `found`, the regular look finds them. */
  | { type: 'lapse'; found: boolean };

const request = fc.nat({ max: 4 });
const offset = fc.constantFrom(0, 0, 0, 0, -1, 1);
const zombie = fc.constantFrom(false, false, false, true);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('submit' as const),
      together: fc.array(
        fc.record({
          request,
          priority: fc.integer({ min: 1, max: 3 }),
          key: fc.constantFrom('', '', 'same', 'other'),
        }),
        { minLength: 1, maxLength: 4, size: 'max' },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('claim' as const), wanted: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('emit' as const),
      request,
      tokens: fc.integer({ min: 1, max: 3 }),
      offset,
      zombie,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('end' as const),
      request,
      as: fc.constantFrom('C' as const, 'C' as const, 'F' as const),
      offset,
      zombie,
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('cancel' as const), request }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('attach' as const), request, position: fc.nat({ max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lapse' as const), found: fc.boolean() }) },
);

/** One job, as the scripts must keep it. */
interface Job {
  id: string;
  state: 'waiting' | 'active' | 'completed' | 'failed';
  priority: number;
  key: string;
  /** Back from a dead worker: not filed under its priority before the next claim. */
  unfiled: boolean;
  /** Entries of its log, and their length together. */
  log: string[];
  length: number;
  /** Length of the log when it was claimed. */
  base: number;
  token: string;
  holder: string | undefined;
  stopping: boolean;
  value: string;
  /** Requests that want it, where it is shared. */
  records: Set<string>;
}

/** What the scripts must do, in a few lines. */
class QueueModel {
  readonly jobs = new Map<string, Job>();
  /** Requests that share a generation: which one, and whether they were cancelled by themselves. */
  readonly records = new Map<string, { job: string; cancelled: boolean }>();
  readonly shared = new Map<string, string>();

  get waiting(): Job[] {
    return [...this.jobs.values()].filter(({ state }) => state === 'waiting');
  }

  jobOf(id: string): Job | undefined {
    return this.jobs.get(this.records.get(id)?.job ?? id);
  }

  submit(id: string, jobId: string, priority: number, key: string): string {
    if (key !== '') {
      if (this.records.has(id)) return 'again';
      const job = this.jobs.get(this.shared.get(key) ?? '');
      if (job !== undefined && job.state !== 'failed' && !job.stopping) {
        this.records.set(id, { job: job.id, cancelled: false });
        if (job.state === 'completed') return 'cached';
        job.records.add(id);
        if (job.state === 'waiting' && !job.unfiled) job.priority = Math.min(job.priority, priority);
        return 'shared';
      }
    }
    if (this.jobs.has(jobId)) return 'again';
    if (this.waiting.length >= MOST_WAITING) return 'full';
    const fresh = { state: 'waiting', log: [], length: 0, base: 0, token: '', holder: undefined, value: '' } as const;
    const records = new Set(key === '' ? [] : [id]);
    this.jobs.set(jobId, { ...fresh, id: jobId, priority, key, records, unfiled: false, stopping: false, log: [] });
    if (key !== '') {
      this.shared.set(key, jobId);
      this.records.set(id, { job: jobId, cancelled: false });
    }
    return 'added';
  }

  cancel(id: string): string {
    const record = this.records.get(id);
    if (record?.cancelled) return 'finished';
    const job = this.jobOf(id);
    if (job === undefined) return 'unknown';
    if (job.state === 'completed' || job.state === 'failed') return 'finished';
    if (record !== undefined) {
      record.cancelled = true;
      job.records.delete(id);
      if (job.records.size > 0) return 'cancelled';
      if (this.shared.get(job.key) === job.id) this.shared.delete(job.key);
    }
    if (job.state === 'active') {
      job.stopping = true;
      return 'stopping';
    }
    this.end(job, 'failed', CANCELLED);
    return 'cancelled';
  }

  claimed(job: Job, token: string): void {
    Object.assign(job, { state: 'active', token, holder: token, base: job.length, unfiled: false });
  }

  emit(job: Job, token: string, from: number, to: number): number {
    if (!this.take(job, token)) return -1;
    if (job.length === from) {
      job.log.push(entry(from, to));
      job.length = to;
    }
    return job.length;
  }

  finish(job: Job, token: string, as: 'C' | 'F', from: number, value: string): number {
    const state = as === 'C' ? 'completed' : 'failed';
    if (job.state === state && job.value === value) return 0;
    if (job.state !== 'active') return -2;
    if (!this.take(job, token)) return -6;
    if (job.length < from) return -1000 - job.length;
    this.end(job, state, value);
    return 0;
  }

  /** What a reader that joins is told: state, length of the log, value of the end. */
  attach(id: string): [string, number, string] {
    const job = this.jobOf(id);
    if (job === undefined) return ['missing', 0, ''];
    if (this.records.get(id)?.cancelled) return ['cancelled', job.length, ''];
    const over = job.state === 'completed' || job.state === 'failed';
    return [over ? job.state : 'open', job.length, over ? job.value : ''];
  }

  end(job: Job, state: 'completed' | 'failed', value: string): void {
    Object.assign(job, { state, value, holder: undefined });
  }

  /** A lapsed lock goes to whoever comes first, while the job is active. */
  take(job: Job, token: string): boolean {
    if (job.holder === undefined && job.state === 'active') job.holder = token;
    return job.holder === token;
  }
}

function entry(from: number, to: number): string {
  const tokenIds = Array.from({ length: to - from }, (_, n) => from + n);
  return JSON.stringify({ ...sampleTokens(from), tokenIds });
}

interface NamedSubmission extends Submission {
  id: string;
  jobId: string;
}

/** The real queue, under the same operations. */
class RealQueue {
  readonly #redis: Redis;
  readonly keys: ModelKeys = modelKeys(`test-${randomUUID()}`, 'minnow');
  readonly #both = [this.keys.bull, this.keys.own];

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async submit(together: readonly NamedSubmission[]): Promise<unknown[]> {
    const data = JSON.stringify(sampleRequest());
    const { bull, own } = this.keys;
    const limits = { resultTtlS: 3_600, recordTtlMs: 60_000, maxQueueSize: MOST_WAITING, maxQueueWaitMs: 0 };
    const jobs = together.map(({ id, jobId, priority, key }) => {
      const shared = key === '' ? undefined : { key, record: id };
      return { id: jobId, priority, work: 1, deadline: 0, data, shared };
    });
    const replies = await SUBMIT.run(this.#redis, bull, submitArguments(submitTerms({ own, ...limits }), jobs));
    return z
      .array(z.array(z.string()))
      .parse(replies)
      .map(([outcome]) => outcome);
  }

  async step(items: (string | number)[], wanted: number, held: number): Promise<StepReply> {
    const header = [...this.#both, 60_000, 10_000, 3_600, randomUUID(), wanted, held, 60_000, 'w', 0];
    return decodeStep(await STEP.run(this.#redis, this.keys.bull, [...header, ...items]));
  }

  cancel(id: string): Promise<unknown> {
    const args = [...this.#both, 10_000, 60_000, id, CANCELLED, this.keys.cancelChannel, ''];
    return CANCEL.run(this.#redis, this.keys.bull, args);
  }

  async attach(id: string, position: number): Promise<ReturnType<typeof readAttached>[number] | undefined> {
    const args = [this.keys.own, this.keys.bull, 'reader', 60_000, id, position, 'log'];
    return readAttached(await ATTACH.run(this.#redis, this.keys.bull, args), [id])[0];
  }

  async view(id: string): Promise<unknown> {
    const reply = await VIEW.run(this.#redis, this.keys.bull, [...this.#both, id]);
    return Array.isArray(reply) ? reply[0] : reply;
  }

  async lapse(ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.#redis.del(`${this.keys.bull}${id}:lock`);
  }

  /** Two looks: the first one notes who is active, the second finds who was that without a lock. */
  async watch(): Promise<unknown[]> {
    const found: unknown[] = [];
    const args = [...this.#both, 60_000, 10_000, 3_600, 10_000, 3, '{}', 60_000, '{}', this.keys.cancelChannel];
    for (let look = 0; look < 2; look += 1) {
      await this.#redis.del(`${this.keys.bull}stalled-check`);
      const [ids] = (await WATCH.run(this.#redis, this.keys.bull, args)) as [unknown[], unknown[]];
      found.push(...ids);
    }
    return found;
  }
}

async function apply(what: Operation, model: QueueModel, queue: RealQueue): Promise<void> {
  if (what.type === 'lapse') {
    // What wrote nothing would become a suspect, and run apart: worker-death.test.ts has that.
    const lapsed = [...model.jobs.values()].filter(({ state, length, base }) => state === 'active' && length > base);
    await queue.lapse(lapsed.map(({ id }) => id));
    for (const job of lapsed) job.holder = undefined;
    if (!what.found) return;
    const lost = [...model.jobs.values()].filter(({ state, holder }) => state === 'active' && holder === undefined);
    expect((await queue.watch()).sort()).toEqual(lost.map(({ id }) => id).sort());
    for (const job of lost) Object.assign(job, { state: 'waiting', unfiled: true });
    return;
  }
  if (what.type === 'claim') {
    const before = model.waiting;
    const held = [...model.jobs.values()].filter(({ state }) => state === 'active').length;
    const { claims } = (await queue.step([], what.wanted, held)).claim;
    expect(claims).toHaveLength(Math.min(what.wanted, before.length));
    for (const job of before) job.unfiled = false;
    for (const { id, token, log } of claims) {
      const job = before.find((each) => each.id === id);
      if (job === undefined || job.state !== 'waiting') throw new Error(`${id} was claimed and did not wait`);
      expect(log).toEqual(job.log);
      model.claimed(job, token);
    }
    const worst = Math.max(0, ...claims.map(({ id }) => model.jobs.get(id)?.priority ?? 0));
    for (const job of model.waiting) expect(job.priority).toBeGreaterThanOrEqual(worst);
    return;
  }
  if (what.type === 'submit') {
    const together = what.together.map((one) => {
      const id = `request-${one.request}`;
      return { ...one, id, jobId: one.key === '' ? id : `shared-${randomUUID()}` };
    });
    const expected = together.map(({ id, jobId, priority, key }) => model.submit(id, jobId, priority, key));
    expect(await queue.submit(together)).toEqual(expected);
    for (const { id } of together) await expectView(id, model, queue);
    return;
  }
  const id = `request-${what.request}`;
  const job = model.jobOf(id);
  if (what.type === 'cancel') {
    expect(await queue.cancel(id)).toBe(model.cancel(id));
  } else if (what.type === 'attach') {
    const [state, length, value] = model.attach(id);
    const attached = await queue.attach(id, what.position);
    expect(attached).toMatchObject({ state, length, value });
    const behind = job?.log.filter((logged) => endOf(logged) > what.position) ?? [];
    expect(attached?.entries).toEqual(state === 'cancelled' ? [] : behind);
  } else if (job !== undefined) {
    const token = what.zombie ? 'zombie' : job.token;
    const from = Math.max(0, job.length + what.offset);
    if (what.type === 'emit') {
      const item = ['E', job.id, token, '', from, from + what.tokens, entry(from, from + what.tokens)];
      const expected = model.emit(job, token, from, from + what.tokens);
      expect((await queue.step(item, 0, 1)).codes).toEqual([expected]);
    } else {
      const value = `"${what.as} of ${job.id}"`;
      const expected = model.finish(job, token, what.as, from, value);
      expect((await queue.step([what.as, job.id, token, '', from, value], 0, 1)).codes).toEqual([expected]);
    }
  }
  await expectView(id, model, queue);
}

async function expectView(id: string, model: QueueModel, queue: RealQueue): Promise<void> {
  const after = model.jobOf(id);
  const words = { waiting: 'queued', active: 'running', completed: 'completed', failed: 'failed' };
  expect(await queue.view(id)).toBe(after === undefined ? null : words[after.state]);
}

function endOf(logged: string): number {
  const { position, tokenIds } = JSON.parse(logged) as { position: number; tokenIds: number[] };
  return position + tokenIds.length;
}

let redis: Redis;
beforeAll(() => {
  redis = new Redis(inject('redisUrl'));
});
afterAll(() => redis.disconnect());

it('does what the model does, whoever submits, shares, cancels, joins, dies or is a zombie', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: 'max' }), async (operations) => {
      const queue = new RealQueue(redis);
      const model = new QueueModel();
      for (const what of operations) await apply(what, model, queue);
    }),
    { seed: 20261122, numRuns: 120, interruptAfterTimeLimit: 60_000 },
  );
}, 90_000);
