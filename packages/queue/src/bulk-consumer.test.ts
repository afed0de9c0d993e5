import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestEvent } from '@shoal/protocol';
import { Redis } from 'ioredis';
import { describe, expect, inject, it, vi } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import { type Connect, connector } from './connection.ts';
import { dropWhenSilent } from './reconnection.ts';
import { consumerContract } from './testing/consumer-contract.ts';
import { complete, consumerRig, fast, ids } from './testing/consumer-rig.ts';
import { Gate } from './testing/gate.ts';
import { hearing } from './testing/hearing.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { openTcpProxy } from './testing/tcp-proxy.ts';
import { all, eventually } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

consumerContract('bulk', redisUrl, openConsumer);

describe('bulk consumer', () => {
  const rig = consumerRig(redisUrl);
  const { start, submit, status, bulk, listeners } = rig;

  it('claims a backlog in few round trips: at most 0.05 scripts per job at batch 32', async () => {
    await bulk(ids(640));
    // What it calls at intervals is not for these jobs: none comes round, however long they take.
    const idle = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
    const { jobs, connections } = start({ capacity: 32, ...idle }, complete);
    await eventually('all jobs', () => jobs.length === 640);
    await eventually('all ends', async () => (await rig.bull.getCompletedCount()) === 640);
    expect(connections.scripts).toBeGreaterThanOrEqual(640 / 32);
    expect(connections.scripts).toBeLessThanOrEqual(0.05 * 640);
  });

  it('holds jobs to their deadlines by Redis’s clock, whatever its own says', async () => {
    const deadline = Date.now() + 60_000;
    for (const id of ids(4)) {
      await rig.queue.producer.submit(sampleRequest({ replyTo: rig.queue.replies.replyTo, deadline }), {
        id,
        priority: 5,
      });
    }
    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
    try {
      const { jobs } = start({ capacity: 4 }, complete);
      await eventually('all ends', async () => (await rig.bull.getCompletedCount()) === 4);
      expect(jobs).toHaveLength(4);
    } finally {
      clock.mockRestore();
    }
  });

  describe('for delayed jobs', () => {
    /** What it calls at intervals is not for these jobs. */
    const idle = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
    const delayed = (jobId: string, delay: number): Promise<unknown> =>
      rig.bull.add('generate', sampleRequest(), { jobId, priority: 6, delay });

    it.each([
      ['ahead of', 3_600_000],
      ['behind', -3_600_000],
    ])('comes in time and not before, its clock an hour %s that of Redis', async (_, offMs) => {
      await delayed('late', 1_500);
      const { now } = Date;
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + offMs);
      try {
        const { jobs, connections } = start(idle);
        await eventually('the job', () => jobs.length === 1, 4_000);
        expect(connections.scripts).toBeLessThanOrEqual(12);
      } finally {
        clock.mockRestore();
      }
    });

    it('asks now and then while many are added, each of which calls', async () => {
      const { jobs, connections } = start(idle);
      await eventually('it listens', async () => (await listeners(rig.prefix)) === 1);
      const startedAt = performance.now();
      for (const id of ids(200)) await delayed(id, 60_000);
      expect(connections.scripts).toBeLessThanOrEqual(12 + (2 * (performance.now() - startedAt)) / 50);
      await delayed('soon', 300);
      await eventually('the one that is due', () => jobs.length === 1, 2_000);
    });
  });

  it('answers exactly once when the host of Redis vanishes in mid-stream, and another takes over', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const connect: Connect = (role, name) => {
      const connection = connector(proxy.url)(role, name);
      if (role === 'commands') dropWhenSilent(connection, 400);
      return connection;
    };
    const events = ids(4).map((id) => all(`the events of ${id}`, rig.queue.replies.listen(id)));
    for (const id of ids(4)) await submit(id);
    const { jobs } = start({ connect });
    await eventually('all claims', () => jobs.length === 4);
    for (let position = 0; position < 40; position += 1) {
      for (const job of jobs) job.append(sampleTokens(position));
      if (position === 20) proxy.vanish();
      await sleep(5);
    }
    await Promise.all(jobs.map((job) => job.complete(sampleResult(40))));
    const text = (seen: RequestEvent[]): string => seen.map((e) => (e.type === 'tokens' ? e.text : '')).join('');
    for (const seen of await Promise.all(events)) expect(text(seen)).toBe(sampleResult(40).text);
    for (const consumer of rig.consumers.splice(0)) await consumer.close({ timeoutMs: 0 });
    await proxy.close();
  });

  it("is listed among the queue's workers, as BullMQ and Bull Board look for them", async () => {
    start({ worker: 'machine 1:gpu0' });
    const listed = async (): Promise<string[]> => (await rig.bull.getWorkers()).map(({ rawname }) => rawname ?? '');
    await eventually('the worker is listed', async () => (await listed()).length === 1);
    expect(await listed()).toEqual([expect.stringMatching(/:w:machine-1:gpu0$/)]);
  });

  it('shares what waits with idle workers', async () => {
    const started = [start(), start()];
    await eventually('both idle', async () => (await rig.redis.zcard(`${rig.keys.own}idle`)) === 2);
    // One transaction, so that the first worker that wakes finds all of them.
    await bulk(ids(8));
    await eventually('all claims', () => started.every(({ jobs }) => jobs.length > 0));
    await eventually('eight claims', () => started.reduce((sum, { jobs }) => sum + jobs.length, 0) === 8);
    for (const { jobs } of started) expect(jobs.length).toBeGreaterThanOrEqual(2);
  });

  it('takes nothing more while the choices of what it holds fill its slots', async () => {
    const { jobs, consumer } = start({ capacity: 4 });
    const params = { ...sampleRequest().params, n: 3 };
    await rig.queue.producer.submit(sampleRequest({ params }), { id: 'three', priority: 5 });
    await eventually('the three choices', () => jobs.length === 1);
    for (const id of ['a', 'b', 'c']) await submit(id);
    await eventually('the fourth slot', () => jobs.length === 2);
    await jobs[1]?.complete(sampleResult(0));
    await eventually('the fourth slot again', () => jobs.length === 3);
    expect(consumer.held).toBe(2);
    await jobs[0]?.complete(sampleResult(0));
    await eventually('what was left', () => jobs.length === 4);
    expect(jobs.map(({ id }) => id)).toEqual(['three', 'a', 'b', 'c']);
  });

  it('leaves a call to another worker when the choices of what it holds fill it', async () => {
    const first = start({ capacity: 3, stalledIntervalMs: 60_000 });
    const params = { ...sampleRequest().params, n: 3 };
    await rig.queue.producer.submit(sampleRequest({ params }), { id: 'three', priority: 5 });
    await eventually('the three choices', () => first.jobs.length === 1);
    const second = start({ stalledIntervalMs: 60_000 });
    await eventually('the second is idle', async () => (await rig.redis.zcard(`${rig.keys.own}idle`)) === 1);
    await submit('one');
    // Less than it takes an idle worker to look by itself.
    await eventually('the claim', () => second.jobs.length === 1, 6_000);
    expect(first.jobs).toHaveLength(1);
  });

  describe('when it leaves', () => {
    /** Neither looks by itself for as long as a test lasts. */
    const patient = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
    const isIdle = async (worker: string): Promise<boolean> =>
      (await rig.redis.zscore(`${rig.keys.own}idle`, worker)) !== null;

    it('is not counted as idle for the jobs that it hands back', async () => {
      await submit('a');
      const { consumer, jobs } = start({ ...patient, worker: 'leaver' });
      await eventually('the claim', () => jobs.length === 1);
      consumer.pause();
      await jobs[0]?.handBack();
      expect(await status('a')).toBe('queued');
      expect(await isIdle('leaver')).toBe(false);
    });

    it('takes no call from those who are to have its jobs', async () => {
      for (const id of ids(4)) await submit(id);
      // What Redis tells its listener, it hears too late.
      const replies = new Gate();
      const leaver = start({ ...patient, connect: hearing(redisUrl, 'calls', 'bzpopmin', replies) });
      await eventually('its claims', () => leaver.jobs.length === 4);
      const heir = start({ ...patient, worker: 'heir' });
      await eventually('the heir is idle', () => isIdle('heir'));
      await eventually('both listen', async () => (await listeners(rig.prefix)) === 2);
      await leaver.consumer.close({ timeoutMs: 0 });
      replies.open();
      // Less than it takes an idle worker to look by itself.
      await eventually('all of its jobs', () => heir.jobs.length === 4, 6_000);
    });

    it('hands back what a claim under way still brings', async () => {
      const replies = new Gate();
      await submit('a');
      const { consumer } = start({ ...patient, connect: hearing(redisUrl, 'commands', 'evalsha', replies) });
      await eventually('the claim', async () => (await status('a')) === 'running');
      const closing = consumer.close({ timeoutMs: 0 });
      await Promise.race([closing, sleep(200)]);
      replies.open();
      await closing;
      expect(await status('a')).toBe('queued');
    });

    it('hands back what a call brought that it has not heard of', async () => {
      const replies = new Gate();
      const { consumer } = start({ ...patient, connect: hearing(redisUrl, 'calls', 'evalsha', replies) });
      await eventually('it listens', async () => (await listeners(rig.prefix)) === 1);
      await submit('a');
      await eventually('the claim', async () => (await status('a')) === 'running');
      const closing = consumer.close({ timeoutMs: 0 });
      await Promise.race([closing, sleep(200)]);
      replies.open();
      await closing;
      expect(await status('a')).toBe('queued');
    });
  });

  describe('ahead of a free slot', () => {
    /** Two slots, and one job for the next that is free. */
    const ahead = { capacity: 2, prefetch: 1 };

    it('holds a job while more wait than it holds, and goes on so', async () => {
      for (const id of ids(8)) await submit(id);
      const { jobs, consumer } = start(ahead);
      await eventually('two that run and one ahead', () => jobs.length === 3);
      await jobs[0]?.complete(sampleResult(0));
      await eventually('the next one ahead', () => jobs.length === 4);
      expect(consumer.held).toBe(3);
      for (let done = 1; done < 8; done += 1) {
        await eventually(`the job after ${done}`, () => jobs.length > done);
        await jobs[done]?.complete(sampleResult(0));
      }
      expect(jobs.map((job) => job.id)).toEqual(ids(8));
    });

    it('holds none where few wait', async () => {
      for (const id of ids(4)) await submit(id);
      const { jobs, consumer } = start(ahead);
      await eventually('its slots are taken', () => jobs.length === 2);
      await jobs[0]?.complete(sampleResult(0));
      await eventually('the third', () => jobs.length === 3);
      expect(consumer.held).toBe(2);
    });

    it('holds none while another worker is idle', async () => {
      await rig.redis.zadd(`${rig.keys.own}idle`, Date.now() + 60_000, 'another');
      for (const id of ids(12)) await submit(id);
      const { jobs, consumer } = start(ahead);
      await eventually('its slots are taken', () => jobs.length === 2);
      await jobs[0]?.complete(sampleResult(0));
      await eventually('the third', () => jobs.length === 3);
      expect(consumer.held).toBe(2);
    });

    it('holds none while suspects wait, for which some worker has to empty itself', async () => {
      for (const id of ids(12)) await submit(id);
      await rig.redis.zadd(`${rig.keys.bull}prioritized`, 2 ** 32 * 1_000_000, 'job-11');
      const { jobs } = start(ahead);
      await eventually('its slots are taken', () => jobs.length === 2);
      for (const job of jobs.slice()) await job.complete(sampleResult(0));
      await eventually('the next', () => jobs.length === 3);
      expect(jobs[2]?.id).toBe('job-11');
    });
  });

  it('comes although whoever was called for a job has been stopped', async () => {
    // Redis calls whoever has waited longest: here one that does nothing with it.
    const stopped = new Redis(redisUrl, { connectionName: rig.prefix });
    const called = stopped.bzpopmin(`${rig.keys.bull}marker`, 0);
    await eventually('the stopped one waits', async () => (await listeners(rig.prefix)) === 1);
    const { jobs } = start(fast);
    await eventually('the worker is idle', async () => (await rig.redis.zcard(`${rig.keys.own}idle`)) === 1);
    await submit('missed');
    expect((await called)?.[1]).toBe('0');
    // Less than it takes an idle worker to look by itself.
    await eventually('the claim', () => jobs.length === 1, 6_000);
    stopped.disconnect();
  });

  it('takes jobs without a priority at the default one', async () => {
    await rig.bull.add('generate', sampleRequest(), { jobId: 'plain' });
    await submit('urgent', 2);
    await submit('default', 5);
    await submit('lazy', 8);
    const { jobs } = start({ capacity: 1 }, complete);
    await eventually('all', () => jobs.length === 4);
    expect(jobs.map((job) => job.id)).toEqual(['urgent', 'default', 'plain', 'lazy']);
    expect(jobs.map((job) => job.priority)).toEqual([2, 5, 5, 8]);
  });

  it('turns away flows and deduplicated jobs alone, and drops what is no job', async () => {
    await rig.bull.add('generate', sampleRequest(), { jobId: 'dedup', priority: 1, deduplication: { id: 'x' } });
    await rig.redis.set(`${rig.keys.bull}string`, 'not a job');
    await rig.redis.zadd(`${rig.keys.bull}prioritized`, 1, 'string');
    await submit('good');
    const { jobs } = start({}, complete);
    await eventually('the good one', async () => (await status('good')) === 'completed');
    expect(jobs.map((job) => job.id)).toEqual(['good']);
    expect(await rig.queue.producer.view('dedup')).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_request_error' },
    });
    expect(await rig.redis.lrange(`${rig.keys.bull}active`, 0, -1)).toEqual([]);
  });

  it("honours a paused queue, delayed jobs and BullMQ's global concurrency", async () => {
    await rig.bull.setGlobalConcurrency(2);
    await rig.bull.pause();
    await bulk(ids(3));
    await rig.bull.add('generate', sampleRequest(), { jobId: 'late', priority: 1, delay: 60_000 });
    const { jobs } = start();
    await sleep(300);
    expect(jobs).toHaveLength(0);
    await rig.bull.resume();
    await eventually('two claims', () => jobs.length === 2);
    await sleep(200);
    expect(jobs).toHaveLength(2);
    await jobs[0]?.complete(sampleResult(0));
    await eventually('a third', () => jobs.length === 3);
    // A delay that runs out by itself may do so before the third claim, where the machine is busy.
    await (await rig.bull.getJob('late'))?.promote();
    await jobs[1]?.complete(sampleResult(0));
    await eventually('the delayed one', () => jobs.length === 4);
    expect(jobs.at(-1)?.id).toBe('late');
  });

  it("honours BullMQ's rate limiter", async () => {
    await rig.bull.setGlobalRateLimit(2, 500);
    await bulk(ids(4));
    const startedAt = Date.now();
    const { jobs } = start({}, complete);
    await eventually('all', () => jobs.length === 4);
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(400);
  });

  it('lets the lowest rise', async () => {
    await submit('low', 9);
    await submit('high', 0);
    for (let rise = 1; rise <= 9; rise += 1) {
      await rig.redis.hset(`${rig.keys.bull}low`, {
        timestamp: Date.now() - 40_000,
        'shoal:risen': Date.now() - 31_000,
      });
      await rig.redis.del(`${rig.keys.bull}stalled-check`);
      const looker = start({ capacity: 1 });
      looker.consumer.pause();
      const level = async (): Promise<number> =>
        Math.floor(Number(await rig.redis.zscore(`${rig.keys.bull}prioritized`, 'low')) / 2 ** 32);
      await eventually(`rise ${rise}`, async () => (await level()) === 10 - rise || (await status('low')) !== 'queued');
      await looker.consumer.close({ timeoutMs: 0 });
    }
    expect(await rig.redis.hget(`${rig.keys.bull}low`, 'priority')).toBe('10');
  });

  it('sweeps finished jobs past their time, though nothing else finishes', async () => {
    await submit('a');
    const first = start({ resultTtlS: 1, ...fast }, (job) => {
      job.append(sampleTokens(0));
      void job.complete(sampleResult(1));
    });
    await eventually('the end', () => first.jobs.length === 1);
    await eventually('the sweep', async () => (await rig.queue.producer.view('a')) === undefined);
    expect(await rig.redis.zcard(`${rig.keys.bull}completed`)).toBe(0);
    expect(await rig.redis.exists(rig.keys.log('a'))).toBe(0);
  });
});
