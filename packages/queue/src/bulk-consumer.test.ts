import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestEvent } from '@shoal/protocol';
import type { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import { type Connect, type ConnectionRole, connector } from './connection.ts';
import type { ClaimedJob, Consumer, ConsumerFact } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { SUSPECT_SCORE } from './lua/suspects.ts';
import { type ModelQueue, openBullQueue, openQueue } from './open-queue.ts';
import { dropWhenSilent } from './reconnection.ts';
import { type BreakableConnections, breakableConnections } from './testing/breakable.ts';
import { consumerContract } from './testing/consumer-contract.ts';
import { Gate } from './testing/gate.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { openTcpProxy } from './testing/tcp-proxy.ts';
import { all, eventually } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

consumerContract('bulk', redisUrl, openConsumer);

describe('bulk consumer', () => {
  let prefix: string;
  let keys: ModelKeys;
  let redis: Redis;
  let queue: ModelQueue;
  let bull: Queue;
  let consumers: Consumer[];

  beforeEach(async () => {
    prefix = `test-${randomUUID()}`;
    keys = modelKeys(prefix, 'minnow');
    redis = new Redis(redisUrl);
    queue = openQueue({ redisUrl, prefix, model: 'minnow' });
    bull = openBullQueue({ redisUrl, prefix, model: 'minnow' });
    consumers = [];
    await queue.ready();
  });
  afterEach(async () => {
    await Promise.all(consumers.map((consumer) => consumer.close({ timeoutMs: 0 })));
    await Promise.all([queue.close(), bull.close()]);
    redis.disconnect();
  });

  const fast = { lockDurationMs: 600, stalledIntervalMs: 200 };

  interface Started {
    consumer: Consumer;
    jobs: ClaimedJob[];
    facts: ConsumerFact[];
    connections: BreakableConnections;
  }

  function start(options: Partial<ConsumerOptions> = {}, handle: (job: ClaimedJob) => void = () => {}): Started {
    const connections = breakableConnections(redisUrl);
    const { connect } = connections;
    const consumer = openConsumer({ redisUrl, prefix, model: 'minnow', capacity: 8, connect, ...options });
    const started: Started = { consumer, jobs: [], facts: [], connections };
    consumers.push(consumer);
    consumer.observe((fact) => started.facts.push(fact));
    consumer.start((job) => {
      started.jobs.push(job);
      handle(job);
    });
    return started;
  }

  const deadly = async (started: Started): Promise<void> => {
    started.connections.kill();
    consumers.splice(consumers.indexOf(started.consumer), 1);
    // The dead one's timers must not outlive the test; closing it writes nothing any more.
    void started.consumer.close({ timeoutMs: 0 });
  };
  const submit = (id: string, priority = 5): Promise<unknown> =>
    queue.producer.submit(sampleRequest({ replyTo: queue.replies.replyTo }), { id, priority });
  const status = async (id: string): Promise<string | undefined> => (await queue.producer.view(id))?.status;
  const complete = (job: ClaimedJob): void => void job.complete(sampleResult(0));
  const bulk = (ids: string[], opts: Record<string, unknown> = {}): Promise<unknown> =>
    bull.addBulk(
      ids.map((jobId) => ({ name: 'generate', data: sampleRequest(), opts: { jobId, priority: 6, ...opts } })),
    );
  /** Connections whose name has the prefix in it, and that wait for BullMQ's marker. */
  const listeners = async (name: string): Promise<number> =>
    String(await redis.client('LIST'))
      .split('\n')
      .filter((line) => line.includes(name) && line.includes('cmd=bzpopmin')).length;
  const ids = (count: number): string[] => Array.from({ length: count }, (_, n) => `job-${n}`);

  it('claims a backlog in few round trips: at most 0.05 scripts per job at batch 32', async () => {
    await bulk(ids(640));
    // What it calls at intervals is not for these jobs: none comes round, however long they take.
    const idle = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
    const { jobs, connections } = start({ capacity: 32, ...idle }, complete);
    await eventually('all jobs', () => jobs.length === 640);
    await eventually('all ends', async () => (await bull.getCompletedCount()) === 640);
    expect(connections.scripts).toBeGreaterThanOrEqual(640 / 32);
    expect(connections.scripts).toBeLessThanOrEqual(0.05 * 640);
  });

  it('holds jobs to their deadlines by Redis’s clock, whatever its own says', async () => {
    const deadline = Date.now() + 60_000;
    for (const id of ids(4)) {
      await queue.producer.submit(sampleRequest({ replyTo: queue.replies.replyTo, deadline }), { id, priority: 5 });
    }
    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
    try {
      const { jobs } = start({ capacity: 4 }, complete);
      await eventually('all ends', async () => (await bull.getCompletedCount()) === 4);
      expect(jobs).toHaveLength(4);
    } finally {
      clock.mockRestore();
    }
  });

  describe('for delayed jobs', () => {
    /** What it calls at intervals is not for these jobs. */
    const idle = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
    const delayed = (jobId: string, delay: number): Promise<unknown> =>
      bull.add('generate', sampleRequest(), { jobId, priority: 6, delay });

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
        expect(connections.scripts).toBeLessThanOrEqual(8);
      } finally {
        clock.mockRestore();
      }
    });

    it('asks now and then while many are added, each of which calls', async () => {
      const { jobs, connections } = start(idle);
      await eventually('it listens', async () => (await listeners(prefix)) === 1);
      const startedAt = performance.now();
      for (const id of ids(200)) await delayed(id, 60_000);
      expect(connections.scripts).toBeLessThanOrEqual(8 + (performance.now() - startedAt) / 50);
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
    const events = ids(4).map((id) => all(`the events of ${id}`, queue.replies.listen(id)));
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
    for (const consumer of consumers.splice(0)) await consumer.close({ timeoutMs: 0 });
    await proxy.close();
  });

  it("is listed among the queue's workers, as BullMQ and Bull Board look for them", async () => {
    start({ worker: 'machine 1:gpu0' });
    const listed = async (): Promise<string[]> => (await bull.getWorkers()).map(({ rawname }) => rawname ?? '');
    await eventually('the worker is listed', async () => (await listed()).length === 1);
    expect(await listed()).toEqual([expect.stringMatching(/:w:machine-1:gpu0$/)]);
  });

  it('shares what waits with idle workers', async () => {
    const started = [start(), start()];
    await eventually('both idle', async () => (await redis.zcard(`${keys.own}idle`)) === 2);
    // One transaction, so that the first worker that wakes finds all of them.
    await bulk(ids(8));
    await eventually('all claims', () => started.every(({ jobs }) => jobs.length > 0));
    await eventually('eight claims', () => started.reduce((sum, { jobs }) => sum + jobs.length, 0) === 8);
    for (const { jobs } of started) expect(jobs.length).toBeGreaterThanOrEqual(2);
  });

  it('takes nothing more while the choices of what it holds fill its slots', async () => {
    const { jobs, consumer } = start({ capacity: 4 });
    const params = { ...sampleRequest().params, n: 3 };
    await queue.producer.submit(sampleRequest({ params }), { id: 'three', priority: 5 });
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
    await queue.producer.submit(sampleRequest({ params }), { id: 'three', priority: 5 });
    await eventually('the three choices', () => first.jobs.length === 1);
    const second = start({ stalledIntervalMs: 60_000 });
    await eventually('the second is idle', async () => (await redis.zcard(`${keys.own}idle`)) === 1);
    await submit('one');
    // Less than it takes an idle worker to look by itself.
    await eventually('the claim', () => second.jobs.length === 1, 6_000);
    expect(first.jobs).toHaveLength(1);
  });

  describe('when it leaves', () => {
    /** Neither looks by itself for as long as a test lasts. */
    const patient = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
    const isIdle = async (worker: string): Promise<boolean> => (await redis.zscore(`${keys.own}idle`, worker)) !== null;
    /** Connections of which those in one role hear the replies to one command when the gate lets them through. */
    const hearing =
      (slow: ConnectionRole, command: 'bzpopmin' | 'evalsha', replies: Gate): Connect =>
      (role, name) => {
        const connection = connector(redisUrl)(role, name);
        if (role !== slow) return connection;
        const send = connection[command].bind(connection) as (...args: unknown[]) => Promise<unknown>;
        const late = async (...args: unknown[]): Promise<unknown> => {
          const reply = await send(...args);
          await replies.opened;
          return reply;
        };
        return Object.assign(connection, { [command]: late });
      };

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
      const leaver = start({ ...patient, connect: hearing('blocking', 'bzpopmin', replies) });
      await eventually('its claims', () => leaver.jobs.length === 4);
      const heir = start({ ...patient, worker: 'heir' });
      await eventually('the heir is idle', () => isIdle('heir'));
      await eventually('both listen', async () => (await listeners(prefix)) === 2);
      await leaver.consumer.close({ timeoutMs: 0 });
      replies.open();
      // Less than it takes an idle worker to look by itself.
      await eventually('all of its jobs', () => heir.jobs.length === 4, 6_000);
    });

    it('hands back what a claim under way still brings', async () => {
      const replies = new Gate();
      replies.open();
      const connect = hearing('commands', 'evalsha', replies);
      const { consumer } = start({ ...patient, connect, worker: 'leaver' });
      await eventually('it listens', async () => (await listeners(prefix)) === 1);
      replies.shut();
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
      await redis.zadd(`${keys.own}idle`, Date.now() + 60_000, 'another');
      for (const id of ids(12)) await submit(id);
      const { jobs, consumer } = start(ahead);
      await eventually('its slots are taken', () => jobs.length === 2);
      await jobs[0]?.complete(sampleResult(0));
      await eventually('the third', () => jobs.length === 3);
      expect(consumer.held).toBe(2);
    });

    it('holds none while suspects wait, for which some worker has to empty itself', async () => {
      for (const id of ids(12)) await submit(id);
      await redis.zadd(`${keys.bull}prioritized`, 2 ** 32 * 1_000_000, 'job-11');
      const { jobs } = start(ahead);
      await eventually('its slots are taken', () => jobs.length === 2);
      for (const job of jobs.slice()) await job.complete(sampleResult(0));
      await eventually('the next', () => jobs.length === 3);
      expect(jobs[2]?.id).toBe('job-11');
    });

    it('suspects no job that was held ahead when its worker died, the first time', async () => {
      const suspicion = async (id: string): Promise<string | null> => redis.hget(`${keys.bull}${id}`, 'shoal:suspect');
      for (const id of ids(8)) await submit(id);
      const doomed = start({ ...fast, ...ahead });
      await eventually('two that run and one ahead', () => doomed.jobs.length === 3);
      for (const job of doomed.jobs.slice(0, 2)) job.append(sampleTokens(0));
      await eventually('the logs', async () => (await redis.xlen(keys.log('job-1'))) === 1);
      await deadly(doomed);
      const heir = start(fast);
      await eventually('the three', () =>
        ['job-0', 'job-1', 'job-2'].every((id) => heir.jobs.some((job) => job.id === id)),
      );
      expect(await suspicion('job-2')).toBeNull();
      await deadly(heir);
      const last = start({ ...fast, capacity: 1 });
      await eventually('it is found again', () =>
        last.facts.some((fact) => fact.type === 'recovered' && fact.jobIds.includes('job-2')),
      );
      expect(await suspicion('job-2')).toBe('1');
    });
  });

  it('comes although whoever was called for a job has been stopped', async () => {
    // Redis calls whoever has waited longest: here one that does nothing with it.
    const stopped = new Redis(redisUrl, { connectionName: prefix });
    const called = stopped.bzpopmin(`${keys.bull}marker`, 0);
    await eventually('the stopped one waits', async () => (await listeners(prefix)) === 1);
    const { jobs } = start(fast);
    await eventually('the worker is idle', async () => (await redis.zcard(`${keys.own}idle`)) === 1);
    await submit('missed');
    expect((await called)?.[1]).toBe('0');
    // Less than it takes an idle worker to look by itself.
    await eventually('the claim', () => jobs.length === 1, 6_000);
    stopped.disconnect();
  });

  it('takes jobs without a priority at the default one', async () => {
    await bull.add('generate', sampleRequest(), { jobId: 'plain' });
    await submit('urgent', 2);
    await submit('default', 5);
    await submit('lazy', 8);
    const { jobs } = start({ capacity: 1 }, complete);
    await eventually('all', () => jobs.length === 4);
    expect(jobs.map((job) => job.id)).toEqual(['urgent', 'default', 'plain', 'lazy']);
    expect(jobs.map((job) => job.priority)).toEqual([2, 5, 5, 8]);
  });

  it('turns away flows and deduplicated jobs alone, and drops what is no job', async () => {
    await bull.add('generate', sampleRequest(), { jobId: 'dedup', priority: 1, deduplication: { id: 'x' } });
    await redis.set(`${keys.bull}string`, 'not a job');
    await redis.zadd(`${keys.bull}prioritized`, 1, 'string');
    await submit('good');
    const { jobs } = start({}, complete);
    await eventually('the good one', async () => (await status('good')) === 'completed');
    expect(jobs.map((job) => job.id)).toEqual(['good']);
    expect(await queue.producer.view('dedup')).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_request_error' },
    });
    expect(await redis.lrange(`${keys.bull}active`, 0, -1)).toEqual([]);
  });

  it("honours a paused queue, delayed jobs and BullMQ's global concurrency", async () => {
    await bull.setGlobalConcurrency(2);
    await bull.pause();
    await bulk(ids(3));
    await bull.add('generate', sampleRequest(), { jobId: 'late', priority: 1, delay: 60_000 });
    const { jobs } = start();
    await sleep(300);
    expect(jobs).toHaveLength(0);
    await bull.resume();
    await eventually('two claims', () => jobs.length === 2);
    await sleep(200);
    expect(jobs).toHaveLength(2);
    await jobs[0]?.complete(sampleResult(0));
    await eventually('a third', () => jobs.length === 3);
    // A delay that runs out by itself may do so before the third claim, where the machine is busy.
    await (await bull.getJob('late'))?.promote();
    await jobs[1]?.complete(sampleResult(0));
    await eventually('the delayed one', () => jobs.length === 4);
    expect(jobs.at(-1)?.id).toBe('late');
  });

  it("honours BullMQ's rate limiter", async () => {
    await bull.setGlobalRateLimit(2, 500);
    await bulk(ids(4));
    const startedAt = Date.now();
    const { jobs } = start({}, complete);
    await eventually('all', () => jobs.length === 4);
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(400);
  });

  it('keeps a job whose lock lapsed while nobody else took it', async () => {
    await submit('a');
    const { jobs } = start();
    await eventually('the claim', () => jobs.length === 1);
    await redis.del(`${keys.bull}a:lock`);
    jobs[0]?.append(sampleTokens(0));
    await eventually('the log', async () => (await redis.xlen(keys.log('a'))) === 1);
    await redis.del(`${keys.bull}a:lock`);
    await jobs[0]?.complete(sampleResult(1));
    expect(await status('a')).toBe('completed');
  });

  it('lets go of its jobs when the engine hangs', async () => {
    await submit('a');
    let alive = true;
    const hung = start({ ...fast, alive: () => alive });
    await eventually('the claim', () => hung.jobs.length === 1);
    hung.jobs[0]?.append(sampleTokens(0));
    await eventually('the log', async () => (await redis.xlen(keys.log('a'))) === 1);
    alive = false;
    const other = start(fast);
    await eventually('the other worker has it', () => other.jobs.length === 1);
    expect(other.jobs[0]?.logged.tokenIds).toEqual([0]);
    await eventually('the abort', () => hung.jobs[0]?.signal.aborted === true);
  });

  it('gives living workers a whole interval after Redis stood still', async () => {
    await submit('a');
    const { jobs } = start();
    await eventually('the claim', () => jobs.length === 1);
    // As after a freeze: the lock is gone, the job is marked, and the last look was long ago.
    await redis.del(`${keys.bull}a:lock`, `${keys.bull}stalled-check`);
    await redis.sadd(`${keys.bull}stalled`, 'a');
    await redis.set(`${keys.own}watched`, Date.now() - 7_000);
    const other = start();
    await eventually('a look', async () => Number(await redis.get(`${keys.own}watched`)) > Date.now() - 5_000);
    await eventually('the lock is back', async () => (await redis.exists(`${keys.bull}a:lock`)) === 1);
    expect(other.jobs).toHaveLength(0);
    expect(await redis.hget(`${keys.bull}a`, 'stc')).toBeNull();
  });

  describe('when workers die', () => {
    it('resumes what had written at once, and runs apart what had not', async () => {
      for (const id of ['mute', 'talks', 'chats']) await submit(id);
      const doomed = start(fast);
      await eventually('all claims', () => doomed.jobs.length === 3);
      for (const job of doomed.jobs) if (job.id !== 'mute') job.append(sampleTokens(0));
      await eventually(
        'the logs',
        async () => (await redis.xlen(keys.log('talks'))) + (await redis.xlen(keys.log('chats'))) === 2,
      );
      await deadly(doomed);
      const heir = start(fast);
      await eventually('the talking ones', () => heir.jobs.length === 2);
      expect(heir.jobs.map((job) => job.id).sort()).toEqual(['chats', 'talks']);
      await submit('later', 0);
      await sleep(300);
      // It empties itself for the suspect, whatever else waits.
      expect(heir.jobs).toHaveLength(2);
      for (const job of heir.jobs) complete(job);
      await eventually('the suspect', () => heir.jobs.length === 3);
      expect(heir.jobs[2]?.id).toBe('mute');
      await sleep(200);
      expect(heir.jobs).toHaveLength(3);
      await heir.jobs[2]?.complete(sampleResult(0));
      await eventually('the later one', () => heir.jobs.length === 4);
    });

    /** As the look leaves them that finds their worker dead. */
    const suspected = async (id: string): Promise<void> => {
      await submit(id);
      await redis.hset(`${keys.bull}${id}`, 'shoal:suspect', 1);
      await redis.zadd(`${keys.bull}prioritized`, SUSPECT_SCORE, id);
    };

    /** A worker that has claimed one job, and written its first token. */
    const startAndWrite = async (id: string, options: Partial<ConsumerOptions> = {}): Promise<Started> => {
      const worker = start(options);
      await eventually('the claim', () => worker.jobs.length === 1);
      worker.jobs[0]?.append(sampleTokens(0));
      await eventually('the log', async () => (await redis.xlen(keys.log(id))) === 1);
      return worker;
    };

    it('runs suspects apart until the last of them has ended', async () => {
      for (const id of ['odd', 'even']) await suspected(id);
      const heir = start();
      await eventually('both suspects', () => heir.jobs.length === 2);
      await submit('ordinary', 0);
      await heir.jobs[0]?.complete(sampleResult(0));
      await sleep(300);
      expect(heir.jobs).toHaveLength(2);
      await heir.jobs[1]?.complete(sampleResult(0));
      await eventually('the ordinary one', () => heir.jobs.length === 3);
    });

    it('stops what was cancelled before its worker died as soon as it is claimed again', async () => {
      await submit('a');
      const doomed = await startAndWrite('a', fast);
      await deadly(doomed);
      expect(await queue.producer.cancel('a')).toBe('stopping');
      // Its own look at the mark, once a second, comes too late to be what stops it.
      const heir = start({ stalledIntervalMs: 200, lockDurationMs: 60_000 });
      await eventually('the second claim', () => heir.jobs.length === 1);
      expect(heir.jobs[0]?.signal.aborted).toBe(true);
      await heir.jobs[0]?.complete(sampleResult(1, { finishReason: 'abort' }));
    });

    it('hands a suspect back to the suspects', async () => {
      await suspected('odd');
      const leaver = start();
      await eventually('the claim', () => leaver.jobs.length === 1);
      await leaver.consumer.close({ timeoutMs: 0 });
      expect(Number(await redis.zscore(`${keys.bull}prioritized`, 'odd'))).toBe(SUSPECT_SCORE);
      // One that has written since cannot have been what killed its worker.
      const second = await startAndWrite('odd');
      await second.consumer.close({ timeoutMs: 0 });
      expect(Number(await redis.zscore(`${keys.bull}prioritized`, 'odd'))).toBeLessThan(SUSPECT_SCORE);
      expect(await redis.hget(`${keys.bull}odd`, 'shoal:suspect')).toBeNull();
    });

    it('says that it empties itself for as long as that takes', async () => {
      await suspected('odd');
      await submit('slow');
      const heir = start({ worker: 'heir' });
      await eventually('the slow one', () => heir.jobs.length === 1);
      await submit('ordinary', 0);
      const emptying = async (): Promise<boolean> => (await redis.get(`${keys.own}quarantine`)) === 'heir';
      await eventually('it begins', emptying);
      // As when the slow one takes longer than what was said at first lasts.
      await redis.del(`${keys.own}quarantine`);
      await eventually('it says so again', emptying);
      expect(heir.jobs.map((job) => job.id)).toEqual(['slow']);
      await heir.jobs[0]?.complete(sampleResult(0));
      await eventually('the next', () => heir.jobs.length === 2);
      expect(heir.jobs[1]?.id).toBe('odd');
    });

    it('gives a job up whose log has lost what was there before the claim, and takes it again from there', async () => {
      await submit('a');
      const leaver = await startAndWrite('a', fast);
      await leaver.consumer.close({ timeoutMs: 0 });
      const heir = start(fast);
      await eventually('the second claim', () => heir.jobs.length === 1);
      expect(heir.jobs[0]?.logged.tokenIds).toEqual([0]);
      // A failover to a replica that had not heard of it.
      await redis.del(keys.log('a'));
      heir.jobs[0]?.append(sampleTokens(1));
      await eventually('the third claim', () => heir.jobs.length === 2);
      expect(heir.jobs[0]?.signal.aborted).toBe(true);
      expect(heir.jobs[1]?.logged.tokenIds).toEqual([]);
      await heir.jobs[1]?.complete(sampleResult(0));
    });

    it('suspects no request of several choices that had begun: what it generates may wait for a turn', async () => {
      const request = sampleRequest({ params: { ...sampleRequest().params, n: 2 } });
      await queue.producer.submit(request, { id: 'pair', priority: 5 });
      const leaver = await startAndWrite('pair', fast);
      await leaver.consumer.close({ timeoutMs: 0 });
      const silent = start(fast);
      await eventually('the second claim', () => silent.jobs.length === 1);
      await deadly(silent);
      const heir = start(fast);
      await eventually('the third claim', () => heir.jobs.length === 1);
      expect(await redis.hget(`${keys.bull}pair`, 'shoal:suspect')).toBeNull();
      await heir.jobs[0]?.complete(sampleResult(0));
    });

    it('puts what had written before what waits with the same priority', async () => {
      for (const id of ['first', 'second']) await submit(id);
      const doomed = start({ ...fast, capacity: 1 });
      await eventually('the claim', () => doomed.jobs.length === 1);
      doomed.jobs[0]?.append(sampleTokens(0));
      await eventually('the log', async () => (await redis.xlen(keys.log('first'))) === 1);
      await deadly(doomed);
      // Not before it is found: until then the second one is all there is.
      await redis.del(`${keys.bull}first:lock`);
      const finder = start({ ...fast, capacity: 1 });
      finder.consumer.pause();
      await eventually('it is found', () => finder.facts.some((fact) => fact.type === 'recovered'));
      const heir = start({ ...fast, capacity: 1 }, complete);
      await eventually('both', () => heir.jobs.length + finder.jobs.length === 2);
      expect([...finder.jobs, ...heir.jobs].map((job) => job.id)).toEqual(['first', 'second']);
    });

    it('fails only the request that kills its worker, with worker_lost, and it can be retried', async () => {
      const good = ids(5);
      const events = all('the end of poison', queue.replies.listen('poison'), 25_000);
      await submit('poison', 0);
      for (const id of good) await submit(id);
      let deaths = 0;
      let deadliness = true;
      let worker: Started | undefined;
      const handle = (job: ClaimedJob): void => {
        if (job.id !== 'poison') setTimeout(() => complete(job), 50);
        else if (worker !== undefined && deadliness) {
          deaths += 1;
          void deadly(worker);
          worker = undefined;
        }
      };
      const over = async (): Promise<boolean> => (await status('poison')) === 'failed';
      while (!(await over())) {
        worker = start({ ...fast, maxAttempts: 2 }, handle);
        await eventually('a death, or the end', async () => worker === undefined || (await over()));
      }
      expect(await events).toMatchObject([{ type: 'failed', error: { code: 'worker_lost' } }]);
      worker ??= start(fast, handle);
      await eventually('the good ones', async () =>
        (await Promise.all(good.map(status))).every((each) => each === 'completed'),
      );
      // With everybody, in a small batch, and twice alone.
      expect(deaths).toBe(4);
      deadliness = false;
      await (await bull.getJob('poison'))?.retry();
      await eventually('the retry', async () => (await status('poison')) === 'running');
    }, 60_000);
  });

  it('lets the lowest rise', async () => {
    await submit('low', 9);
    await submit('high', 0);
    for (let rise = 1; rise <= 9; rise += 1) {
      await redis.hset(`${keys.bull}low`, { timestamp: Date.now() - 40_000, 'shoal:risen': Date.now() - 31_000 });
      await redis.del(`${keys.bull}stalled-check`);
      const looker = start({ capacity: 1 });
      looker.consumer.pause();
      const level = async (): Promise<number> =>
        Math.floor(Number(await redis.zscore(`${keys.bull}prioritized`, 'low')) / 2 ** 32);
      await eventually(`rise ${rise}`, async () => (await level()) === 10 - rise || (await status('low')) !== 'queued');
      await looker.consumer.close({ timeoutMs: 0 });
    }
    expect(await redis.hget(`${keys.bull}low`, 'priority')).toBe('10');
  });

  it('sweeps finished jobs past their time, though nothing else finishes', async () => {
    await submit('a');
    const first = start({ resultTtlS: 1, ...fast }, (job) => {
      job.append(sampleTokens(0));
      void job.complete(sampleResult(1));
    });
    await eventually('the end', () => first.jobs.length === 1);
    await eventually('the sweep', async () => (await queue.producer.view('a')) === undefined);
    expect(await redis.zcard(`${keys.bull}completed`)).toBe(0);
    expect(await redis.exists(keys.log('a'))).toBe(0);
  });
});
