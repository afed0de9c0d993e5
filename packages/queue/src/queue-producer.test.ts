import { describe, expect, inject, it } from 'vitest';
import { modelKeys } from './keys.ts';
import { openBullQueue } from './open-queue.ts';
import { openReplies } from './reply-reader.ts';
import { producerRig } from './testing/producer-rig.ts';
import { sampleRequest } from './testing/requests.ts';
import { openTcpProxy } from './testing/tcp-proxy.ts';
import { all, eventually, soon } from './testing/waiting.ts';
import { openWebhookOutbox } from './webhook-outbox.ts';

const redisUrl = inject('redisUrl');

describe('producer', () => {
  const rig = producerRig(redisUrl, 'org/minnow');
  const { open } = rig;

  it('adds what any BullMQ client sees as a job of the contract', async () => {
    const request = sampleRequest({ tenant: 'acme' });
    await open().submit(request, { id: 'a', priority: 3 });
    const bull = openBullQueue({ redisUrl, prefix: rig.prefix, model: 'org/minnow' });
    const job = await bull.getJob('a');
    expect(job).toMatchObject({ name: 'generate', data: request, priority: 4 });
    expect(job?.opts).toMatchObject({ priority: 4, attempts: 1, removeOnComplete: { age: 3600 } });
    expect(await bull.getJobCounts('prioritized', 'wait')).toEqual({ prioritized: 1, wait: 0 });
    await bull.close();
  });

  it('shows position, tenant and time of what waits', async () => {
    const producer = open();
    const before = Date.now();
    await producer.submit(sampleRequest({ tenant: 'acme' }), { id: 'a', priority: 5 });
    await producer.submit(sampleRequest(), { id: 'b', priority: 5 });
    await producer.submit(sampleRequest(), { id: 'c', priority: 0 });
    expect(await producer.view('a')).toMatchObject({ status: 'queued', position: 1, tenant: 'acme', attempts: 0 });
    expect(await producer.view('b')).toMatchObject({ status: 'queued', position: 2 });
    expect(await producer.view('c')).toMatchObject({ status: 'queued', position: 0 });
    expect((await producer.view('a'))?.queuedAt).toBeGreaterThan(before - 5_000);
    expect(await producer.view('nobody')).toBeUndefined();
    expect(await producer.depth()).toEqual({ waiting: 3, running: 0 });
  });

  it('adds a request once, however often it is submitted', async () => {
    const producer = open();
    const submit = () => producer.submit(sampleRequest(), { id: 'a', priority: 5 });
    expect(await Promise.all([submit(), submit(), submit()])).toEqual([{}, { again: true }, { again: true }]);
    const shared = () => producer.submit(sampleRequest(), { id: 'b', priority: 5, sharingKey: 'key' });
    expect([await shared(), await shared()]).toEqual([{}, { again: true }]);
    await producer.cancel('b');
    expect(await producer.depth()).toEqual({ waiting: 1, running: 0 });
  });

  it('knows a request again that it took, also when the queue is full by now, and counts its work once', async () => {
    const producer = open({ maxQueueSize: 1 });
    await producer.submit(sampleRequest(), { id: 'a', priority: 5 });
    const work = `${modelKeys(rig.prefix, 'org/minnow').own}work`;
    const counted = await rig.redis.hgetall(work);
    await producer.submit(sampleRequest(), { id: 'a', priority: 5 });
    await expect(producer.submit(sampleRequest(), { id: 'b', priority: 5 })).rejects.toThrow('1 requests wait already');
    expect(await rig.redis.hgetall(work)).toEqual(counted);
  });

  it('tells what a job was asked, also behind a request that shares one', async () => {
    const producer = open();
    const request = sampleRequest({ tenant: 'acme', params: { ...sampleRequest().params, n: 2 } });
    await producer.submit(request, { id: 'a', priority: 5 });
    await producer.submit(request, { id: 'b', priority: 5, sharingKey: 'key' });
    expect(await producer.request('a')).toEqual(request);
    expect(await producer.request('b')).toEqual(request);
    expect(await producer.request('nobody')).toBeUndefined();
  });

  it('tells by which time a chat was rendered, so that a replay has the same prompt', async () => {
    const producer = open();
    const { prompt: _, ...asked } = sampleRequest();
    const chat = { ...asked, messages: [{ role: 'user' as const, content: 'Which day is it?' }] };
    await producer.submit(chat, { id: 'a', priority: 5 });
    await producer.submit(chat, { id: 'b', priority: 5, sharingKey: 'key' });
    for (const id of ['a', 'b']) {
      expect(await producer.request(id)).toEqual({ ...chat, askedAt: (await producer.view(id))?.queuedAt });
    }
    await producer.submit({ ...chat, askedAt: 3 }, { id: 'c', priority: 5 });
    expect(await producer.request('c')).toMatchObject({ askedAt: 3 });
  });

  it('never lets the queue grow beyond its bound, whoever pushes at once', async () => {
    const producers = [1, 2, 3, 4].map(() => open({ maxQueueSize: 10 }));
    const attempts = Array.from({ length: 60 }, (_, n) =>
      producers[n % 4]?.submit(sampleRequest(), { id: `job-${n}`, priority: n % 10 }),
    );
    const outcomes = await Promise.allSettled(attempts);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(50);
    expect(await rig.redis.zcard(`${modelKeys(rig.prefix, 'org/minnow').bull}prioritized`)).toBe(10);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ code: 'queue_full', status: 429 });
      expect(reason.retryAfterMs).toBeGreaterThanOrEqual(1_000);
      expect(reason.retryAfterMs).toBeLessThanOrEqual(30_000);
    }
  });

  it('says when to come back from how fast the queue drains', async () => {
    const producer = open({ maxQueueSize: 10 });
    const { own } = modelKeys(rig.prefix, 'org/minnow');
    for (let n = 0; n < 10; n += 1) await producer.submit(sampleRequest(), { id: `job-${n}`, priority: 5 });
    const refusal = async (): Promise<number | undefined> =>
      (await producer.submit(sampleRequest(), { id: 'more', priority: 5 }).catch((error) => error)).retryAfterMs;
    expect(await refusal()).toBe(30_000);
    // A long busy time in which a job was done every five seconds.
    await rig.redis.hset(`${own}drain`, { at: Date.now(), busy: 300_000, jobs: 0.0002, work: 0.02, full: 1 });
    // One job is a tenth of ten.
    expect(await refusal()).toBeGreaterThanOrEqual(4_990);
    expect(await refusal()).toBeLessThanOrEqual(5_010);
  });

  it('predicts the wait from the work ahead and the rate, by priority, and refuses what would wait too long', async () => {
    const producer = open({ maxQueueWaitMs: 5_000 });
    const { own } = modelKeys(rig.prefix, 'org/minnow');
    // A hundred tokens a second.
    await rig.redis.hset(`${own}drain`, { at: Date.now(), busy: 300_000, jobs: 0.001, work: 0.1, full: 1 });
    const tokens = (maxTokens: number) =>
      sampleRequest({ promptTokenIds: [1], prompt: undefined, params: { ...params, maxTokens } });
    const { params } = sampleRequest();
    await producer.submit(tokens(300), { id: 'a', priority: 5 });
    await producer.submit(tokens(300), { id: 'b', priority: 5 });
    expect((await producer.view('a'))?.estimatedWaitMs).toBe(0);
    expect((await producer.view('b'))?.estimatedWaitMs).toBeCloseTo(3_000, -2);
    const refusal = await producer.submit(tokens(1), { id: 'c', priority: 5 }).catch((error) => error);
    expect(refusal).toMatchObject({ code: 'queue_wait_too_long', status: 429 });
    expect(refusal.retryAfterMs).toBeGreaterThanOrEqual(1_000);
    // What is more urgent has nothing ahead of it.
    await producer.submit(tokens(1), { id: 'd', priority: 0 });
    await producer.cancel('b');
    await producer.submit(tokens(1), { id: 'c', priority: 5 });
    const late = { ...tokens(1), deadline: Date.now() + 2_000 };
    await expect(producer.submit(late, { id: 'e', priority: 9 })).rejects.toMatchObject({
      code: 'queue_wait_too_long',
    });
    await producer.submit({ ...late, deadline: Date.now() + 4_000 }, { id: 'e', priority: 9 });
    const past = { ...tokens(1), deadline: Date.now() - 1 };
    await expect(producer.submit(past, { id: 'f', priority: 0 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
  });

  it('removes a waiting request that is cancelled from the queue, and tells its reader', async () => {
    const producer = open();
    const replies = openReplies({ redisUrl, prefix: rig.prefix, model: 'org/minnow' });
    await replies.ready();
    const events = all('the events of a', replies.listen('a'));
    await producer.submit(sampleRequest({ replyTo: replies.replyTo }), { id: 'a', priority: 5 });
    expect(await producer.cancel('a')).toBe('cancelled');
    expect(await events).toMatchObject([{ type: 'failed', error: { code: 'cancelled' } }]);
    expect(await producer.view('a')).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(await producer.depth()).toEqual({ waiting: 0, running: 0 });
    expect(await producer.cancel('a')).toBe('finished');
    expect(await producer.cancel('nobody')).toBe('unknown');
    await replies.close();
  });

  it('removes no finished job when it cancels one: how long they are kept is not the canceller’s to say', async () => {
    const month = 30 * 86_400;
    const keeper = open({ resultTtlS: month });
    const { bull, own } = modelKeys(rig.prefix, 'org/minnow');
    await keeper.submit(sampleRequest(), { id: 'old', priority: 5 });
    await keeper.cancel('old');
    // As if it had ended a day ago.
    await rig.redis.zincrby(`${bull}failed`, -86_400_000, 'old');
    await keeper.submit(sampleRequest(), { id: 'b', priority: 5 });
    await keeper.submit(sampleRequest(), { id: 'c', priority: 5, sharingKey: 'key' });
    const stranger = open();
    expect(await stranger.cancel('b')).toBe('cancelled');
    expect(await stranger.cancel('c')).toBe('cancelled');
    expect((await keeper.view('old'))?.status).toBe('cancelled');
    expect(await rig.redis.pttl(`${own}alias:c`)).toBeGreaterThan((month - 3_600) * 1000);
  });

  it('takes a submission back: it ends, is listed no more, and nobody is told', async () => {
    const producer = open();
    const outbox = openWebhookOutbox({ redisUrl, prefix: rig.prefix, model: 'org/minnow' });
    const request = sampleRequest({ tenant: 'acme' });
    const hooked = { priority: 5, listed: true, webhookUrl: 'https://example.com/hook' };
    for (const id of ['a', 'b', 'kept']) await producer.submit(request, { id, ...hooked });
    await producer.submit(request, { id: 'shared', priority: 5, listed: true, sharingKey: 'key' });
    // One that came to its end before it could be taken back.
    await producer.cancel('b');
    await producer.cancel('kept');
    for (const id of ['a', 'b', 'shared', 'unknown']) await producer.withdraw(id, 'acme');
    expect((await producer.view('a'))?.status).toBe('cancelled');
    expect((await producer.view('shared'))?.status).toBe('cancelled');
    expect((await outbox.take(10, 60_000)).map(({ jobId }) => jobId)).toEqual(['kept']);
    const { jobs } = await producer.list({ tenant: 'acme', limit: 10 });
    expect(jobs.map(({ view }) => view.id)).toEqual(['kept']);
    expect(await producer.depth()).toEqual({ waiting: 0, running: 0 });
    outbox.close();
  });

  it.each(['wait', 'meta', '17', 'a:b', '', 'x'.repeat(65)])('refuses the id %j', async (id) => {
    await expect(open().submit(sampleRequest(), { id, priority: 5 })).rejects.toMatchObject({
      code: 'invalid_request_error',
      param: 'id',
    });
  });

  it('refuses a priority or a request that is none', async () => {
    const producer = open();
    await expect(producer.submit(sampleRequest(), { id: 'a', priority: 10 })).rejects.toMatchObject({
      param: 'priority',
    });
    const both = { ...sampleRequest(), promptTokenIds: [1] };
    await expect(producer.submit(both, { id: 'a', priority: 5 })).rejects.toMatchObject({
      code: 'invalid_request_error',
    });
  });

  it('accepts nothing that no replica has, where that is asked', async () => {
    const producer = open({ durability: 'replicated' });
    await expect(producer.submit(sampleRequest(), { id: 'a', priority: 5 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('replica'),
    });
  });

  it('answers everything else while submissions wait for a replica', async () => {
    const producer = open({ durability: 'replicated' });
    await producer.depth();
    const refused = ['a', 'b', 'c'].map((id) =>
      expect(producer.submit(sampleRequest(), { id, priority: 5 })).rejects.toMatchObject({ code: 'unavailable' }),
    );
    await eventually('a submission waits', async () => String(await rig.redis.client('LIST')).includes('cmd=wait'));
    expect(await soon('the view', producer.view('a'), 400)).toMatchObject({ status: 'queued' });
    expect(await soon('the cancellation', producer.cancel('a'), 400)).toBe('cancelled');
    // This one stands behind the WAIT, and its cancellation behind it.
    refused.push(expect(producer.submit(sampleRequest(), { id: 'd', priority: 5 })).rejects.toThrow());
    expect(await producer.cancel('d')).toBe('cancelled');
    await Promise.all(refused);
  });

  it('rejects with unavailable while Redis is away, and works again by itself', async () => {
    const proxy = await openTcpProxy(redisUrl);
    await proxy.down();
    const producer = open({ redisUrl: proxy.url.replace('redis://', 'redis://user:geheim@') });
    const refused = await soon(
      'the refusal',
      producer.submit(sampleRequest(), { id: 'a', priority: 5 }).catch((e) => e),
      2_500,
    );
    expect(refused).toMatchObject({ code: 'unavailable', status: 503 });
    expect(refused.message).toMatch(/check that it runs/);
    expect(`${refused.message} ${refused.stack}`).not.toContain('geheim');
    await producer.close();
    const patient = open({ redisUrl: proxy.url });
    await proxy.up();
    await eventually('Redis is back', () =>
      patient.depth().then(
        () => true,
        () => false,
      ),
    );
    await patient.submit(sampleRequest(), { id: 'a', priority: 5 });
    await proxy.down();
    await expect(soon('the refusal', patient.view('a'), 2_500)).rejects.toMatchObject({ code: 'unavailable' });
    await proxy.up();
    await eventually('Redis is back again', () =>
      patient.depth().then(
        () => true,
        () => false,
      ),
    );
    expect(await patient.view('a')).toMatchObject({ status: 'queued' });
    await patient.close();
    await proxy.close();
  });
});
