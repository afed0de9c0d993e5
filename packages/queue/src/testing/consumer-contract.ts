import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestEvent } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { ClaimedJob, Consumer } from '../consumer.ts';
import type { ConsumerOptions } from '../consumer-options.ts';
import { breakableConnections } from './breakable.ts';
import { consumerRig, type Started } from './consumer-rig.ts';
import { sampleRequest, sampleResult, sampleTokens } from './requests.ts';
import { all, eventually, soon } from './waiting.ts';

/** What every Consumer must do, over a real Redis. `open` makes the one under test. */
export function consumerContract(name: string, redisUrl: string, open: (options: ConsumerOptions) => Consumer): void {
  describe(`${name}: consumer contract`, () => {
    const rig = consumerRig(redisUrl, open);
    const { status } = rig;
    const start = (options: Partial<ConsumerOptions> = {}, handle?: (job: ClaimedJob) => void): Started =>
      rig.start({ capacity: 4, ...options }, handle);

    async function submit(id: string, priority = 5, fields: Parameters<typeof sampleRequest>[0] = {}): Promise<string> {
      await rig.queue.producer.submit(sampleRequest({ replyTo: rig.queue.replies.replyTo, ...fields }), {
        id,
        priority,
      });
      return id;
    }

    const answer = (job: ClaimedJob): void => {
      for (let position = 0; position < 3; position += 1) job.append(sampleTokens(position));
      void job.complete(sampleResult(3));
    };
    const textOf = (events: RequestEvent[]): string =>
      events.map((event) => (event.type === 'tokens' ? event.text : '')).join('');

    it('claims up to its capacity, and more when a job ends', async () => {
      for (let n = 0; n < 6; n += 1) await submit(`job-${n}`);
      const { consumer, jobs } = start({ capacity: 4 });
      await eventually('four claims', () => jobs.length === 4);
      await sleep(200);
      expect(jobs).toHaveLength(4);
      expect(consumer.held).toBe(4);
      expect(await rig.queue.producer.depth()).toEqual({ waiting: 2, running: 4 });
      await jobs[0]?.complete(sampleResult(0));
      await eventually('a fifth claim', () => jobs.length === 5);
    });

    it('serves lower priority numbers first, and equal ones in order', async () => {
      for (const [id, priority] of [
        ['last', 9],
        ['second', 3],
        ['third', 3],
        ['first', 0],
      ] as const) {
        await submit(id, priority);
      }
      const { jobs } = start({ capacity: 1 }, answer);
      await eventually('four claims', () => jobs.length === 4);
      expect(jobs.map((job) => job.id)).toEqual(['first', 'second', 'third', 'last']);
      expect(jobs.map((job) => job.priority)).toEqual([0, 3, 3, 9]);
    });

    it("streams tokens, then the result, to its reader; the result is the job's return value", async () => {
      const events = all('the events of a', rig.queue.replies.listen('a'));
      await submit('a');
      start({}, answer);
      const seen = await events;
      expect(textOf(seen)).toBe('abc');
      expect(seen.at(-1)).toEqual({ type: 'completed', result: sampleResult(3) });
      expect((await rig.queue.producer.view('a'))?.result).toEqual(sampleResult(3));
      expect(await status('a')).toBe('completed');
    });

    it('streams several choices that take turns', async () => {
      const events = all('the events of a', rig.queue.replies.listen('a'));
      await submit('a');
      const choice = { text: 'ab', tokenIds: [0, 1], finishReason: 'stop' } as const;
      const result = sampleResult(2, { choices: [choice, choice].map((each) => ({ ...each, tokenIds: [0, 1] })) });
      start({}, (job) => {
        for (let position = 0; position < 4; position += 1) {
          const text = position < 2 ? 'a' : 'b';
          job.append({ type: 'tokens', position, tokenIds: [position >> 1], text, choice: position % 2 });
        }
        void job.complete(result);
      });
      const seen = await events;
      const told = seen.flatMap((event) => (event.type === 'tokens' ? [[event.choice, ...event.tokenIds]] : []));
      expect(told).toEqual([
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ]);
      expect(seen.at(-1)).toEqual({ type: 'completed', result });
    });

    it('fails a job for good and tells its reader', async () => {
      const events = all('the events of a', rig.queue.replies.listen('a'));
      await submit('a');
      const error = { code: 'inference_error', message: 'the device is gone' } as const;
      const { facts } = start({}, (job) => void job.fail(error));
      expect(await events).toEqual([{ type: 'failed', error }]);
      expect(await rig.queue.producer.view('a')).toMatchObject({ status: 'failed', error, attempts: 1 });
      await eventually('the fact', () => facts.some((fact) => fact.type === 'finished'));
      const fact = { type: 'finished', jobId: 'a', outcome: 'failed', code: 'inference_error' };
      expect(facts).toContainEqual(expect.objectContaining(fact));
    });

    it('hands a job back ahead of new ones, and another worker takes it at once', async () => {
      await submit('old', 5);
      const first = start({ capacity: 1 });
      await eventually('the first claim', () => first.jobs.length === 1);
      await submit('new', 5);
      first.consumer.pause();
      await first.jobs[0]?.handBack();
      const second = start({ capacity: 1 }, answer);
      await eventually('both jobs', () => second.jobs.length === 2);
      expect(second.jobs.map((job) => job.id)).toEqual(['old', 'new']);
      expect(second.jobs[0]?.priority).toBe(5);
    });

    it('wakes an idle worker for a job that is handed back', async () => {
      await submit('a', 7);
      const first = start({ capacity: 1 });
      await eventually('the claim', () => first.jobs.length === 1);
      const second = start({ capacity: 1 });
      await sleep(300);
      first.consumer.pause();
      await first.jobs[0]?.handBack();
      await eventually('the second worker has it', () => second.jobs.length === 1, 2_000);
    });

    it('ignores what is called on a job that has ended', async () => {
      await submit('a');
      const { jobs } = start({}, answer);
      await eventually('the answer', async () => (await status('a')) === 'completed');
      jobs[0]?.append(sampleTokens(3));
      await jobs[0]?.fail({ code: 'inference_error', message: 'too late' });
      await jobs[0]?.handBack();
      expect(await rig.queue.producer.view('a')).toMatchObject({ status: 'completed', result: sampleResult(3) });
    });

    it('fails garbage from a foreign producer alone, and tells the reader it names', async () => {
      const events = all('the events of bad', rig.queue.replies.listen('bad'));
      await rig.bull.add(
        'generate',
        { v: 1, nonsense: true, replyTo: rig.queue.replies.replyTo },
        { jobId: 'bad', priority: 1 },
      );
      await rig.bull.add('generate', 'not even an object', { jobId: 'worse', priority: 1 });
      await submit('good');
      const { facts } = start({}, answer);
      await eventually('the good job', async () => (await status('good')) === 'completed');
      expect(await events).toMatchObject([{ type: 'failed', error: { code: 'invalid_request_error' } }]);
      expect(await rig.queue.producer.view('worse')).toMatchObject({
        status: 'failed',
        error: { code: 'invalid_request_error' },
      });
      await eventually('all facts', () => facts.filter((fact) => fact.type === 'finished').length === 3);
      const codes = facts.flatMap((fact) => (fact.type === 'finished' ? [[fact.jobId, fact.code]] : []));
      expect(Object.fromEntries(codes)).toEqual({
        bad: 'invalid_request_error',
        worse: 'invalid_request_error',
        good: undefined,
      });
    });

    it('leaves a request of a newer version to newer workers, and fails it only after the longest wait', async () => {
      await rig.bull.add('generate', { v: 2, novel: 'fields' }, { jobId: 'newer', priority: 6 });
      const patient = start({}, answer);
      await submit('a');
      await eventually('the other job', async () => (await status('a')) === 'completed');
      expect(await status('newer')).toBe('queued');
      expect(patient.jobs.map((job) => job.id)).toEqual(['a']);
      await patient.consumer.close({ timeoutMs: 0 });
      start({ maxQueueWaitMs: 0 });
      await eventually('the newer one gives up', async () => (await status('newer')) === 'failed');
      expect((await rig.queue.producer.view('newer'))?.error?.code).toBe('invalid_request_error');
    });

    it('does not begin what is past its deadline, and stops what passes it', async () => {
      // Our own producer refuses what is past its deadline already.
      await rig.bull.add('generate', sampleRequest({ deadline: 1 }), { jobId: 'late', priority: 6 });
      const { jobs } = start({}, (job) => {
        job.signal.addEventListener('abort', () => void job.complete(sampleResult(0, { finishReason: 'abort' })));
      });
      await eventually('the late one is turned away', async () => (await status('late')) === 'expired');
      // The consumer is at work by now, and has seconds to claim it.
      await submit('soon', 5, { deadline: Date.now() + 3_000 });
      await eventually('the claim', () => jobs.length === 1);
      expect(await status('soon')).toBe('running');
      await eventually('the other one is stopped', async () => (await status('soon')) === 'expired');
      expect(jobs.map((job) => job.id)).toEqual(['soon']);
    });

    it('keeps a lock beyond its duration', async () => {
      await submit('a');
      const { jobs, facts } = start({ lockDurationMs: 600, stalledIntervalMs: 200 });
      const other = start({ lockDurationMs: 600, stalledIntervalMs: 200 });
      await eventually('the claim', () => jobs.length + other.jobs.length === 1);
      await sleep(2_000);
      expect(jobs.length + other.jobs.length).toBe(1);
      const job = [...jobs, ...other.jobs][0];
      await job?.complete(sampleResult(0));
      expect(await status('a')).toBe('completed');
      expect(facts.filter((fact) => fact.type === 'error')).toEqual([]);
    });

    it('stops a running job that is cancelled, and only that one', async () => {
      const events = all('the events of a', rig.queue.replies.listen('a'));
      await submit('a');
      await submit('b');
      const { jobs, facts } = start({}, (job) => {
        job.signal.addEventListener('abort', () => void job.complete(sampleResult(0, { finishReason: 'abort' })));
      });
      await eventually('both claims', () => jobs.length === 2);
      expect(await rig.queue.producer.cancel('a')).toBe('stopping');
      expect(await events).toMatchObject([{ type: 'failed', error: { code: 'cancelled' } }]);
      expect(await status('a')).toBe('cancelled');
      expect(jobs.find((job) => job.id === 'b')?.signal.aborted).toBe(false);
      expect(await rig.queue.producer.cancel('a')).toBe('finished');
      await eventually('the fact', () => facts.some((fact) => fact.type === 'finished'));
      const fact = { type: 'finished', jobId: 'a', outcome: 'failed', code: 'cancelled' };
      expect(facts).toContainEqual(expect.objectContaining(fact));
    });

    it('notices a cancellation whose call was lost', async () => {
      await submit('a');
      const { jobs } = start();
      await eventually('the claim', () => jobs.length === 1);
      await rig.redis.hset(`${rig.keys.bull}a`, 'shoal:cancel', '1');
      await eventually('the abort', () => jobs[0]?.signal.aborted === true, 4_000);
    });

    it('redelivers the jobs of a worker that died, with their tokens merged for the reader', async () => {
      const events = all('the events of a', rig.queue.replies.listen('a'));
      await submit('a', 3);
      const breakable = breakableConnections(redisUrl);
      const fast = { lockDurationMs: 600, stalledIntervalMs: 200 };
      const doomed = start({ ...fast, connect: breakable.connect });
      await eventually('the first claim', () => doomed.jobs.length === 1);
      doomed.jobs[0]?.append(sampleTokens(0));
      doomed.jobs[0]?.append(sampleTokens(1));
      await eventually('two tokens in the log', async () => (await rig.redis.llen(rig.keys.log('a'))) > 0);
      breakable.kill();
      const heir = start(fast, answer);
      await eventually('the second claim', () => heir.jobs.length === 1);
      const seen = await events;
      expect(textOf(seen)).toBe('abc');
      expect(seen.at(-1)?.type).toBe('completed');
      expect((await rig.queue.producer.view('a'))?.attempts).toBe(2);
      expect(heir.facts.find((fact) => fact.type === 'claimed')).toMatchObject({ redelivered: true });
    });

    it('gives the heir of a dead worker what the request has generated so far', async () => {
      const events = all('the events of a', rig.queue.replies.listen('a'));
      await submit('a', 3);
      const breakable = breakableConnections(redisUrl);
      const fast = { lockDurationMs: 600, stalledIntervalMs: 200 };
      const doomed = start({ ...fast, connect: breakable.connect });
      await eventually('the first claim', () => doomed.jobs.length === 1);
      expect(doomed.jobs[0]?.logged).toEqual({ tokenIds: [], text: '' });
      for (const position of [0, 1, 2]) doomed.jobs[0]?.append(sampleTokens(position));
      const written = async (): Promise<boolean> => (await rig.redis.lindex(rig.keys.log('a'), -1)) === '3';
      await eventually('three tokens in the log', written);
      breakable.kill();
      const heir = start(fast);
      await eventually('the second claim', () => heir.jobs.length === 1);
      expect(heir.jobs[0]?.logged).toEqual({ tokenIds: [0, 1, 2], text: 'abc' });
      expect(heir.jobs[0]?.priority).toBe(3);
      heir.jobs[0]?.append(sampleTokens(3));
      await heir.jobs[0]?.complete(sampleResult(4));
      expect(textOf(await events)).toBe('abcd');
    });

    it('lets a worker that lost its lock write nothing', async () => {
      await submit('a');
      const { jobs, facts } = start();
      await eventually('the claim', () => jobs.length === 1);
      await rig.redis.set(`${rig.keys.bull}a:lock`, 'another worker', 'PX', 60_000);
      jobs[0]?.append(sampleTokens(0));
      await eventually('the abort', () => jobs[0]?.signal.aborted === true);
      await jobs[0]?.complete(sampleResult(1));
      expect(await rig.redis.exists(rig.keys.log('a'))).toBe(0);
      expect(await status('a')).toBe('running');
      expect(facts).toContainEqual(expect.objectContaining({ type: 'finished', jobId: 'a', outcome: 'lost' }));
      await rig.redis.del(`${rig.keys.bull}a:lock`);
    });

    it('answers exactly once when its sockets drop in mid-stream', async () => {
      const ids = Array.from({ length: 4 }, (_, n) => `job-${n}`);
      const events = ids.map((id) => all(`the events of ${id}`, rig.queue.replies.listen(id)));
      for (const id of ids) await submit(id);
      const breakable = breakableConnections(redisUrl);
      const { jobs } = start({ connect: breakable.connect });
      await eventually('all claims', () => jobs.length === 4);
      for (let position = 0; position < 40; position += 1) {
        for (const job of jobs) job.append(sampleTokens(position));
        if (position % 10 === 5) breakable.drop();
        await sleep(5);
      }
      await soon('the ends', Promise.all(jobs.map((job) => job.complete(sampleResult(40)))));
      for (const seen of await Promise.all(events)) expect(textOf(seen)).toBe(sampleResult(40).text);
    });

    it('close waits for what is held, then hands back what does not end', async () => {
      await submit('quick');
      await submit('slow');
      const first = start();
      await eventually('both claims', () => first.jobs.length === 2);
      setTimeout(() => void first.jobs.find((job) => job.id === 'quick')?.complete(sampleResult(0)), 200);
      await soon('close', first.consumer.close({ timeoutMs: 800 }));
      expect(first.consumer.held).toBe(0);
      expect(await status('quick')).toBe('completed');
      expect(await status('slow')).toBe('queued');
      expect(first.jobs.find((job) => job.id === 'slow')?.signal.aborted).toBe(true);
      const second = start({}, answer);
      await eventually('the slow one elsewhere', () => second.jobs.length === 1);
    });
  });
}
