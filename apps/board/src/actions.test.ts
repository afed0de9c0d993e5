import { randomUUID } from 'node:crypto';
import { type GenerateRequest, ShoalError } from '@shoal/protocol';
import {
  type ClaimedJob,
  modelKeys,
  openBullQueue,
  openConsumer,
  openJobActions,
  openProducer,
  openRegistry,
} from '@shoal/queue';
import { createLogger } from '@shoal/telemetry';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { buildBoard } from './board-server.ts';
import { ModelQueues } from './model-queues.ts';
import { ShoalQueueAdapter } from './shoal-queue-adapter.ts';

const redisUrl = inject('redisUrl');
const model = 'minnow';
const authorization = `Basic ${Buffer.from('admin:correct horse').toString('base64')}`;
const request: GenerateRequest = { v: 1, prompt: 'hello', params: { temperature: 0, topP: 1, topK: 0, stop: [] } };
const card = { maxModelLen: 512, vocabSize: 261, chat: true, revision: 'abc', dtype: 'fp32', executionProvider: 'cpu' };
const closers: (() => unknown)[] = [];
let prefix: string;
let redis: Redis;

beforeEach(() => {
  prefix = `test-${randomUUID().slice(0, 8)}`;
  redis = new Redis(redisUrl);
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  redis.disconnect();
});

/** A board with one model's queue, and what its buttons ask. */
async function boardOver() {
  const logger = createLogger({ name: 'board', level: 'silent' });
  const config = { boardUser: 'admin', boardPassword: 'correct horse' };
  const board = await buildBoard({ config, ping: async () => {}, fleetPage: async () => '', logger });
  const registry = openRegistry({ redisUrl, prefix });
  const queues = new ModelQueues({ redisUrl, prefix, readOnly: false, registry, onQueue: board.addQueue, logger });
  closers.push(
    () => registry.close(),
    () => queues.close(),
    () => board.app.close(),
  );
  registry.announce('w1', { name: model, ...card });
  await vi.waitFor(async () => {
    await queues.refresh();
    const { queues: shown } = (await board.app.inject({ url: '/api/queues', headers: { authorization } })).json();
    expect(shown).toHaveLength(1);
  }, 5000);
  const ask = async (method: 'GET' | 'PUT' | 'POST' | 'PATCH', path: string, payload?: object) => {
    const url = `/api/queues/${model}/${path}`;
    return board.app.inject({ method, url, headers: { authorization }, ...(payload === undefined ? {} : { payload }) });
  };
  return Object.assign(async (path: string): Promise<number> => (await ask('PUT', path)).statusCode, { ask });
}

function producer() {
  const opened = openProducer({ redisUrl, prefix, model });
  closers.push(() => opened.close());
  return opened;
}

/** A worker that answers as told; returns the claims that it had. */
function worker(answer: (job: ClaimedJob) => void): ClaimedJob[] {
  const claims: ClaimedJob[] = [];
  const consumer = openConsumer({ redisUrl, prefix, model, capacity: 4 });
  closers.push(() => consumer.close({ timeoutMs: 0 }));
  consumer.start((job) => {
    claims.push(job);
    answer(job);
  });
  return claims;
}

const failure = { code: 'inference_error', message: 'no' } as const;

test('a job that is retried begins anew: no token log, no deadline of its first life', async () => {
  const press = await boardOver();
  const claims = worker((job) => {
    job.append({ type: 'tokens', position: 0, tokenIds: [1, 2], text: 'he' });
    void job.fail(failure);
  });
  const jobs = producer();
  await jobs.submit({ ...request, deadline: Date.now() + 60_000 }, { id: 'job-1', priority: 5 });
  await vi.waitFor(async () => expect((await jobs.view('job-1'))?.status).toBe('failed'), 5000);
  const log = modelKeys(prefix, model).log('job-1');
  expect(await redis.exists(log)).toBe(1);

  expect(await press('job-1/retry')).toBe(204);
  await vi.waitFor(() => expect(claims).toHaveLength(2), 5000);
  expect(claims[1]?.logged).toMatchObject({ tokenIds: [], text: '' });
  expect(claims[1]?.request.deadline).toBeUndefined();
  expect(claims[1]?.request.prompt).toBe('hello');
});

test('a waiting job of another client, whose id is a number, can be removed', async () => {
  const press = await boardOver();
  const bull = openBullQueue({ redisUrl, prefix, model });
  closers.push(() => bull.close());
  const { id } = await bull.add('generate', request, { priority: 6 });
  expect(id).toBe('1');
  expect(await press('1/clean')).toBe(204);
  expect(await bull.getJob('1')).toBeUndefined();
});

test('a finished job that is removed, or cleaned, takes its token log with it', async () => {
  const press = await boardOver();
  worker((job) => {
    job.append({ type: 'tokens', position: 0, tokenIds: [1], text: 'h' });
    void job.fail(failure);
  });
  const jobs = producer();
  for (const id of ['job-1', 'job-2']) await jobs.submit(request, { id, priority: 5 });
  for (const id of ['job-1', 'job-2']) {
    await vi.waitFor(async () => expect((await jobs.view(id))?.status).toBe('failed'), 5000);
  }
  const { log } = modelKeys(prefix, model);
  expect(await redis.exists(log('job-1'), log('job-2'))).toBe(2);
  expect(await press('job-1/clean')).toBe(204);
  expect([await redis.exists(log('job-1')), await jobs.view('job-1')]).toEqual([0, undefined]);
  // The board's button spares what ended within the last seconds.
  await redis.zadd(`${modelKeys(prefix, model).bull}failed`, Date.now() - 60_000, 'job-2');
  expect(await press('clean/failed')).toBe(200);
  expect([await redis.exists(log('job-2')), await jobs.view('job-2')]).toEqual([0, undefined]);
});

test('emptying a queue cancels what waits, so that nobody waits for nothing', async () => {
  const press = await boardOver();
  const jobs = producer();
  for (const id of ['job-1', 'job-2']) await jobs.submit(request, { id, priority: 5 });
  expect(await press('empty')).toBe(200);
  const views = await Promise.all(['job-1', 'job-2'].map((id) => jobs.view(id)));
  expect(views.map((view) => view?.status)).toEqual(['cancelled', 'cancelled']);
  expect((await jobs.inspect()).waiting.reduce((sum, count) => sum + count, 0)).toBe(0);
});

test('cleaning what is delayed cancels it, so that nobody waits for nothing', async () => {
  const press = await boardOver();
  const bull = openBullQueue({ redisUrl, prefix, model });
  closers.push(() => bull.close());
  await bull.add('generate', request, { jobId: 'job-1', delay: 60_000 });
  expect(await press('clean/delayed')).toBe(200);
  expect(await producer().view('job-1')).toMatchObject({ status: 'cancelled' });
});

test('a job that waits is never cleaned away', async () => {
  const press = await boardOver();
  const jobs = producer();
  await jobs.submit(request, { id: 'job-1', priority: 5 });
  // The board's button spares what came within the last seconds.
  const later = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
  closers.push(() => later.mockRestore());
  const { statusCode, body } = await press.ask('PUT', 'clean/prioritized');
  expect([statusCode, body]).toEqual([400, expect.stringContaining('empty the queue')]);
  expect(await jobs.view('job-1')).toMatchObject({ status: 'queued' });
});

test('a job that cannot be cancelled now is not removed behind the back of who waits for it', async () => {
  const names = { redisUrl, prefix, model };
  const bull = openBullQueue(names);
  const actions = openJobActions(names);
  closers.push(
    () => bull.close(),
    () => actions.close(),
  );
  await producer().submit(request, { id: 'job-1', priority: 5 });
  const cancel = async () => {
    throw new ShoalError('unavailable', 'Redis does not answer');
  };
  const adapter = new ShoalQueueAdapter(bull, { actions, producer: { cancel } }, {});
  await expect(adapter.empty()).rejects.toThrow('Redis does not answer');
  expect(await bull.getJob('job-1')).toBeDefined();
});

test('what is shown of a request is never written, neither over it nor as another', async () => {
  const press = await boardOver();
  const bull = openBullQueue({ redisUrl, prefix, model });
  closers.push(() => bull.close());
  const messages = [{ role: 'user' as const, content: 'x'.repeat(5_000) }];
  const { prompt: _, ...rest } = request;
  await producer().submit({ ...rest, messages }, { id: 'job-1', priority: 5 });
  const { job } = (await press.ask('GET', 'job-1')).json();
  const refused = [403, expect.stringMatching(/readable and cut.*ask the API/)];

  const updated = await press.ask('PATCH', 'job-1/update-data', { jobData: job.data });
  expect([updated.statusCode, updated.json().message]).toEqual(refused);
  expect((await bull.getJob('job-1'))?.data).toMatchObject({ v: 1, messages });

  const added = await press.ask('POST', 'add', { name: job.name, data: job.data, options: {} });
  expect([added.statusCode, added.json().message]).toEqual(refused);
  expect(await bull.count()).toBe(1);
});

test('a queue is not obliterated: whoever waits for its jobs would never hear of it', async () => {
  const press = await boardOver();
  const jobs = producer();
  await jobs.submit(request, { id: 'job-1', priority: 5 });
  expect(await press('pause')).toBe(200);
  const { statusCode, body } = await press.ask('PUT', 'obliterate', { force: true });
  expect([statusCode, body]).toEqual([403, expect.stringContaining('press Empty')]);
  expect(await jobs.view('job-1')).toMatchObject({ status: 'queued' });
});

test('a paused queue gives nothing out, and says so; resumed, it does', async () => {
  const press = await boardOver();
  const claims = worker((job) => {
    // The first one is held, so that its worker has something to write while the queue is paused.
    if (job.id !== 'held') void job.fail(failure);
  });
  const jobs = producer();
  await jobs.submit(request, { id: 'held', priority: 5 });
  await vi.waitFor(() => expect(claims).toHaveLength(1), 5000);
  expect(await press('pause')).toBe(200);
  await jobs.submit(request, { id: 'job-1', priority: 5 });
  // Its end is a step of a worker with room for more: that is when it would claim.
  await claims[0]?.fail(failure);
  expect(await jobs.inspect()).toMatchObject({ paused: true, running: 0 });
  expect(claims).toHaveLength(1);
  expect(await press('resume')).toBe(200);
  await vi.waitFor(() => expect(claims).toHaveLength(2), 5000);
  expect(await jobs.inspect()).toMatchObject({ paused: false });
});

test('finished jobs are counted by the minute, for the board’s charts', async () => {
  worker((job) => void job.fail(failure));
  const jobs = producer();
  await jobs.submit(request, { id: 'job-1', priority: 5 });
  await vi.waitFor(async () => expect((await jobs.view('job-1'))?.status).toBe('failed'), 5000);
  expect(await redis.hget(`${modelKeys(prefix, model).bull}metrics:failed`, 'count')).toBe('1');
});
