import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiConfig } from '@shoal/config';
import type { GenerateResult } from '@shoal/protocol';
import { type ClaimedJob, type Consumer, openCollectorConsumer, openRegistry } from '@shoal/queue';
import { createApiMetrics, createLogger } from '@shoal/telemetry';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { modelSamples } from './model-samples.ts';
import { RedisModels } from './redis-models.ts';
import { type ApiServer, buildServer } from './server.ts';
import { eventsOf } from './testing/test-server.ts';

// The API over a real Redis, with a consumer that answers in the place of a worker.

const redisUrl = inject('redisUrl');
let prefix: string;
let server: ApiServer;
let models: RedisModels;
const limits = { maxQueueSize: 3, maxQueueWaitMs: 60_000, resultTtlS: 60, durability: 'local' } as const;
const closers: (() => unknown)[] = [];

beforeEach(() => {
  prefix = `test-${randomUUID().slice(0, 8)}`;
  models = new RedisModels({ redisUrl, prefix, ...limits });
  const config = apiConfig({ env: {}, cwd: mkdtempSync(join(tmpdir(), 'shoal-api-')) });
  const metrics = createApiMetrics(() => modelSamples(models));
  const logger = createLogger({ name: 'api', level: 'silent' });
  server = buildServer({
    config,
    models,
    metrics,
    logger,
    clock: Date.now,
    randomId: randomUUID,
    randomSeed: () => 42,
  });
});

afterEach(async () => {
  await server.close(0);
  await models.close();
  await Promise.all(closers.splice(0).map((close) => close()));
});

/** Announces the model as a worker does. */
async function announce(): Promise<void> {
  const registry = openRegistry({ redisUrl, prefix });
  const card = {
    maxModelLen: 512,
    vocabSize: 261,
    chat: true,
    revision: 'abc',
    dtype: 'fp32',
    executionProvider: 'cpu',
  };
  registry.announce('w1', { name: 'org/minnow', ...card });
  closers.push(() => registry.close());
  await vi.waitFor(async () => expect((await server.app.inject('/v1/models')).json().data).toHaveLength(1), 5000);
}

function work(handle: (job: ClaimedJob) => void): void {
  const consumer: Consumer = openCollectorConsumer({ redisUrl, prefix, model: 'org/minnow', capacity: 8 });
  consumer.start(handle);
  closers.push(() => consumer.close({ timeoutMs: 0 }));
}

/** Answers with the prompt in capitals, in two steps. */
async function shout(job: ClaimedJob): Promise<void> {
  const text = (job.request.prompt ?? '').toUpperCase();
  job.append({ type: 'tokens', position: 0, tokenIds: [1], text: text.slice(0, 2) });
  job.append({ type: 'tokens', position: 1, tokenIds: [2], text: text.slice(2) });
  const now = Date.now();
  const timings = {
    queuedAt: job.queuedAt,
    claimedAt: job.claimedAt,
    startedAt: now,
    firstTokenAt: now,
    finishedAt: now,
  };
  const result: GenerateResult = {
    v: 1,
    text,
    tokenIds: [1, 2],
    finishReason: 'stop',
    usage: { promptTokens: 3, completionTokens: 2 },
    seed: job.request.params.seed ?? 0,
    timings,
    ride: { worker: 'w1', batchId: 1, batchSize: 1 },
  };
  await job.complete(result);
}

const completion = (fields: object) =>
  ({ method: 'POST', url: '/v1/completions', payload: { model: 'org/minnow', ...fields } }) as const;

test('a completion, whole and streamed, travels through Redis and back', async () => {
  await announce();
  work((job) => void shout(job));
  const whole = await server.app.inject(completion({ prompt: 'hello' }));
  expect([whole.statusCode, whole.json().choices[0].text]).toEqual([200, 'HELLO']);
  const stream = await server.app.inject(completion({ prompt: ['one', 'three'], stream: true }));
  const chunks = eventsOf(stream.body) as { choices: { index: number; text: string }[] }[];
  const textOf = (index: number) =>
    chunks
      .flatMap(({ choices }) => choices ?? [])
      .filter((choice) => choice.index === index)
      .map(({ text }) => text)
      .join('');
  expect([textOf(0), textOf(1), chunks.at(-1)]).toEqual(['ONE', 'THREE', '[DONE]']);
});

test('a job waits for a worker; its events can be read again from any position', async () => {
  await announce();
  const payload = { endpoint: '/v1/completions', model: 'org/minnow', prompt: 'hello' };
  const accepted = await server.app.inject({ method: 'POST', url: '/v1/jobs', payload });
  expect([accepted.statusCode, accepted.json().status, accepted.json().queue]).toEqual([
    202,
    'queued',
    { position: 0, estimated_wait_ms: 0 },
  ]);
  const url = `/v1/jobs/${accepted.json().id}`;
  work((job) => void shout(job));
  const all = await server.app.inject(`${url}/events`);
  expect(eventsOf(all.body).at(-1)).toMatchObject({ type: 'completed', result: { text: 'HELLO' } });
  expect((await server.app.inject(url)).json()).toMatchObject({ status: 'completed', result: { text: 'HELLO' } });
  const rest = await server.app.inject({ url: `${url}/events`, headers: { 'last-event-id': '2' } });
  expect(eventsOf(rest.body)).toMatchObject([{ type: 'completed' }]);
});

test('a waiting job is cancelled; one that never was is 404', async () => {
  await announce();
  const payload = { endpoint: '/v1/completions', model: 'org/minnow', prompt: 'hello' };
  const { id } = (await server.app.inject({ method: 'POST', url: '/v1/jobs', payload })).json();
  expect((await server.app.inject({ method: 'DELETE', url: `/v1/jobs/${id}` })).json().status).toBe('cancelled');
  expect((await server.app.inject(`/v1/jobs/${id}`)).json().status).toBe('cancelled');
  expect((await server.app.inject(`/v1/jobs/${randomUUID()}`)).statusCode).toBe(404);
});

test('a hundred equal requests at once are generated once, and all answered', async () => {
  await announce();
  const generated: string[] = [];
  work((job) => {
    generated.push(job.id);
    void shout(job);
  });
  const ask = () => server.app.inject(completion({ prompt: 'hello', temperature: 1, seed: 7 }));
  const responses = await Promise.all(Array.from({ length: 100 }, ask));
  expect(new Set(responses.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
  expect(new Set(responses.map((response) => response.json().choices[0].text))).toEqual(new Set(['HELLO']));
  expect((await ask()).json().choices[0].text).toBe('HELLO');
  expect(generated).toHaveLength(1);
  expect(
    (
      await server.app.inject({
        ...completion({ prompt: 'hello', temperature: 1, seed: 7 }),
        headers: { 'cache-control': 'no-store' },
      })
    ).statusCode,
  ).toBe(200);
  expect(generated).toHaveLength(2);
});

test('the queue is bounded: beyond it 429, and nothing of the refused request stays', async () => {
  await announce();
  const submit = () =>
    server.app.inject({
      method: 'POST',
      url: '/v1/jobs',
      payload: { endpoint: '/v1/completions', model: 'org/minnow', prompt: 'a' },
    });
  expect([(await submit()).statusCode, (await submit()).statusCode]).toEqual([202, 202]);
  const refused = await server.app.inject(completion({ prompt: ['b', 'c'] }));
  expect([refused.statusCode, refused.json().error.code]).toEqual([429, 'queue_full']);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await server.app.inject('/metrics')).body).toContain(
    'shoal_queue_depth{model="org/minnow",state="waiting",priority="5"} 2\n',
  );
});

test('without Redis: 503 within a bounded time', async () => {
  const lonely = new RedisModels({
    redisUrl: 'redis://127.0.0.1:1',
    prefix,
    ...limits,
  });
  closers.push(() => lonely.close());
  await expect(lonely.find('minnow')).rejects.toMatchObject({ code: 'unavailable' });
  await expect(lonely.ping()).rejects.toMatchObject({ code: 'unavailable' });
});
