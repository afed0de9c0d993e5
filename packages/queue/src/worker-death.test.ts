import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import type { ClaimedJob, ConsumerFact } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import { SUSPECT_SCORE } from './lua/suspects.ts';
import { complete, consumerRig, fast, ids, type Started } from './testing/consumer-rig.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { all, eventually } from './testing/waiting.ts';

describe('bulk consumer', () => {
  const rig = consumerRig(inject('redisUrl'));
  const { start, deadly, submit, status } = rig;

  it('keeps a job whose lock lapsed while nobody else took it', async () => {
    await submit('a');
    const { jobs } = start();
    await eventually('the claim', () => jobs.length === 1);
    await rig.redis.del(`${rig.keys.bull}a:lock`);
    jobs[0]?.append(sampleTokens(0));
    await eventually('the log', async () => (await rig.redis.llen(rig.keys.log('a'))) === 2);
    await rig.redis.del(`${rig.keys.bull}a:lock`);
    await jobs[0]?.complete(sampleResult(1));
    expect(await status('a')).toBe('completed');
  });

  it('lets go of its jobs when the engine hangs', async () => {
    await submit('a');
    let alive = true;
    const hung = start({ ...fast, alive: () => alive });
    await eventually('the claim', () => hung.jobs.length === 1);
    hung.jobs[0]?.append(sampleTokens(0));
    await eventually('the log', async () => (await rig.redis.llen(rig.keys.log('a'))) === 2);
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
    await rig.redis.del(`${rig.keys.bull}a:lock`, `${rig.keys.bull}stalled-check`);
    await rig.redis.sadd(`${rig.keys.bull}stalled`, 'a');
    await rig.redis.set(`${rig.keys.own}watched`, Date.now() - 7_000);
    const other = start();
    await eventually('a look', async () => Number(await rig.redis.get(`${rig.keys.own}watched`)) > Date.now() - 5_000);
    await eventually('the lock is back', async () => (await rig.redis.exists(`${rig.keys.bull}a:lock`)) === 1);
    expect(other.jobs).toHaveLength(0);
    expect(await rig.redis.hget(`${rig.keys.bull}a`, 'stc')).toBeNull();
  });

  describe('when workers die', () => {
    it('resumes what had written at once, and runs apart what had not', async () => {
      for (const id of ['mute', 'talks', 'chats']) await submit(id);
      const doomed = start(fast);
      await eventually('all claims', () => doomed.jobs.length === 3);
      for (const job of doomed.jobs) if (job.id !== 'mute') job.append(sampleTokens(0));
      await eventually(
        'the logs',
        async () => (await rig.redis.llen(rig.keys.log('talks'))) + (await rig.redis.llen(rig.keys.log('chats'))) === 4,
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
      await rig.redis.hset(`${rig.keys.bull}${id}`, 'shoal:suspect', 1);
      await rig.redis.zadd(`${rig.keys.bull}prioritized`, SUSPECT_SCORE, id);
    };

    /** A worker that has claimed one job, and written its first token. */
    const startAndWrite = async (id: string, options: Partial<ConsumerOptions> = {}): Promise<Started> => {
      const worker = start(options);
      await eventually('the claim', () => worker.jobs.length === 1);
      worker.jobs[0]?.append(sampleTokens(0));
      await eventually('the log', async () => (await rig.redis.llen(rig.keys.log(id))) === 2);
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
      expect(await rig.queue.producer.cancel('a')).toBe('stopping');
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
      expect(Number(await rig.redis.zscore(`${rig.keys.bull}prioritized`, 'odd'))).toBe(SUSPECT_SCORE);
      // One that has written since cannot have been what killed its worker.
      const second = await startAndWrite('odd');
      await second.consumer.close({ timeoutMs: 0 });
      expect(Number(await rig.redis.zscore(`${rig.keys.bull}prioritized`, 'odd'))).toBeLessThan(SUSPECT_SCORE);
      expect(await rig.redis.hget(`${rig.keys.bull}odd`, 'shoal:suspect')).toBeNull();
    });

    it('says that it empties itself for as long as that takes', async () => {
      await suspected('odd');
      await submit('slow');
      const heir = start({ worker: 'heir' });
      await eventually('the slow one', () => heir.jobs.length === 1);
      await submit('ordinary', 0);
      const emptying = async (): Promise<boolean> => (await rig.redis.get(`${rig.keys.own}quarantine`)) === 'heir';
      await eventually('it begins', emptying);
      // As when the slow one takes longer than what was said at first lasts.
      await rig.redis.del(`${rig.keys.own}quarantine`);
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
      await rig.redis.del(rig.keys.log('a'));
      heir.jobs[0]?.append(sampleTokens(1));
      await eventually('the third claim', () => heir.jobs.length === 2);
      expect(heir.jobs[0]?.signal.aborted).toBe(true);
      expect(heir.jobs[1]?.logged.tokenIds).toEqual([]);
      await heir.jobs[1]?.complete(sampleResult(0));
    });

    it('suspects no request that had begun for two deaths in which it was replayed, and does for a third', async () => {
      await submit('a');
      const suspicion = (): Promise<string | null> => rig.redis.hget(`${rig.keys.bull}a`, 'shoal:suspect');
      await deadly(await startAndWrite('a', fast));
      for (let deaths = 1; deaths <= 3; deaths += 1) {
        const silent = start(fast);
        await eventually('the next claim', () => silent.jobs.length === 1);
        expect(await suspicion()).toBeNull();
        await deadly(silent);
      }
      const heir = start(fast);
      await eventually('the last claim', () => heir.jobs.length === 1);
      expect(await suspicion()).toBe('1');
      // Whatever it writes clears it.
      heir.jobs[0]?.append(sampleTokens(1));
      await eventually('the log', async () => (await rig.redis.llen(rig.keys.log('a'))) === 4);
      await deadly(heir);
      const last = start(fast);
      await eventually('the claim after', () => last.jobs.length === 1);
      expect([await suspicion(), await rig.redis.hget(`${rig.keys.bull}a`, 'shoal:silent')]).toEqual([null, null]);
      await last.jobs[0]?.complete(sampleResult(2));
    }, 30_000);

    it('suspects no request of several choices that had begun: what it generates may wait for a turn', async () => {
      const request = sampleRequest({ params: { ...sampleRequest().params, n: 2 } });
      await rig.queue.producer.submit(request, { id: 'pair', priority: 5 });
      const leaver = await startAndWrite('pair', fast);
      await leaver.consumer.close({ timeoutMs: 0 });
      for (let deaths = 0; deaths < 3; deaths += 1) {
        const silent = start(fast);
        await eventually('the next claim', () => silent.jobs.length === 1);
        await deadly(silent);
      }
      const heir = start(fast);
      await eventually('the last claim', () => heir.jobs.length === 1);
      expect(await rig.redis.hget(`${rig.keys.bull}pair`, 'shoal:suspect')).toBeNull();
      await heir.jobs[0]?.complete(sampleResult(0));
    });

    it('suspects no job that was held ahead when its worker died, the first time', async () => {
      // Two slots, and one job for the next that is free.
      const ahead = { capacity: 2, prefetch: 1 };
      const suspicion = async (id: string): Promise<string | null> =>
        rig.redis.hget(`${rig.keys.bull}${id}`, 'shoal:suspect');
      for (const id of ids(8)) await submit(id);
      const doomed = start({ ...fast, ...ahead });
      await eventually('two that run and one ahead', () => doomed.jobs.length === 3);
      for (const job of doomed.jobs.slice(0, 2)) job.append(sampleTokens(0));
      await eventually('the logs', async () => (await rig.redis.llen(rig.keys.log('job-1'))) === 2);
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

    it('puts what had written before what waits with the same priority', async () => {
      for (const id of ['first', 'second']) await submit(id);
      const doomed = start({ ...fast, capacity: 1 });
      await eventually('the claim', () => doomed.jobs.length === 1);
      doomed.jobs[0]?.append(sampleTokens(0));
      await eventually('the log', async () => (await rig.redis.llen(rig.keys.log('first'))) === 2);
      await deadly(doomed);
      // Not before it is found: until then the second one is all there is.
      await rig.redis.del(`${rig.keys.bull}first:lock`);
      const finder = start({ ...fast, capacity: 1 });
      finder.consumer.pause();
      await eventually('it is found', () => finder.facts.some((fact) => fact.type === 'recovered'));
      const heir = start({ ...fast, capacity: 1 }, complete);
      await eventually('both', () => heir.jobs.length + finder.jobs.length === 2);
      expect([...finder.jobs, ...heir.jobs].map((job) => job.id)).toEqual(['first', 'second']);
    });

    it('fails only the request that kills its worker, with worker_lost, and it can be retried', async () => {
      const good = ids(5);
      const events = all('the end of poison', rig.queue.replies.listen('poison'), 25_000);
      await submit('poison', 0);
      for (const id of good) await submit(id);
      let deaths = 0;
      let deadliness = true;
      let worker: Started | undefined;
      const workers: Started[] = [];
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
        workers.push(worker);
        await eventually('a death, or the end', async () => worker === undefined || (await over()));
      }
      expect(await events).toMatchObject([{ type: 'failed', error: { code: 'worker_lost' } }]);
      // Nobody held it: who found it counts it.
      const failures = (): ConsumerFact[] =>
        workers.flatMap(({ facts }) => facts.filter((fact) => fact.type === 'finished' && fact.outcome === 'failed'));
      await eventually('the fact', () => failures().length > 0);
      expect(failures()).toEqual([{ type: 'finished', jobId: 'poison', outcome: 'failed', code: 'worker_lost' }]);
      worker ??= start(fast, handle);
      await eventually('the good ones', async () =>
        (await Promise.all(good.map(status))).every((each) => each === 'completed'),
      );
      // With everybody, in a small batch, and twice alone.
      expect(deaths).toBe(4);
      deadliness = false;
      await (await rig.bull.getJob('poison'))?.retry();
      await eventually('the retry', async () => (await status('poison')) === 'running');
    }, 60_000);
  });
});
