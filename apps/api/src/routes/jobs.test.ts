import { ShoalError } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { answer } from '../testing/memory-models.ts';
import { eventsOf, testServer } from '../testing/test-server.ts';

const body = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' };

test('a job is accepted at once, looked at while it waits, and read when it is done', async () => {
  const { app, model } = testServer();
  model.script = () => undefined;
  const accepted = await app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, timeout_ms: 1000 } });
  expect(accepted.statusCode).toBe(202);
  expect(accepted.headers).toMatchObject({ location: '/v1/jobs/r1', 'x-shoal-job-id': 'r1' });
  expect(accepted.json()).toMatchObject({
    id: 'r1',
    object: 'job',
    status: 'queued',
    queue: { position: 0, estimated_wait_ms: null },
  });
  expect(model.jobs.get('r1')?.request.replyTo).toBeUndefined();
  expect(model.jobs.get('r1')?.request.deadline).toBe(1_700_000_001_000);

  model.tell('r1', ...answer('hello', ['hel', 'lo']));
  expect((await app.inject('/v1/jobs/r1')).json()).toEqual({
    id: 'r1',
    object: 'job',
    model: 'minnow',
    status: 'completed',
    created_at: 1000,
    finished_at: 2000,
    attempts: 1,
    result: { text: 'hello', token_ids: [100, 101], finish_reason: 'stop' },
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    shoal: expect.objectContaining({ job_id: 'r1', batch: { id: 4, size: 8 } }),
  });
});

test('a job without a deadline of its own gets the queue’s', async () => {
  const { app, model } = testServer({ env: { MAX_QUEUE_WAIT_MS: '9000' } });
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  expect(model.jobs.get('r1')?.request.deadline).toBe(1_700_000_009_000);
});

test('a chat can be a job', async () => {
  const { app, model } = testServer();
  const messages = [{ role: 'user', content: 'hi' }];
  const payload = { endpoint: '/v1/chat/completions', model: 'minnow', messages };
  expect((await app.inject({ method: 'POST', url: '/v1/jobs', payload })).statusCode).toBe(202);
  expect(model.jobs.get('r1')?.request.messages).toEqual(messages);
});

test('a failed job shows its error', async () => {
  const { app, model } = testServer();
  model.script = () => [{ type: 'failed', error: { code: 'worker_lost', message: 'the worker died' } }];
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  expect((await app.inject('/v1/jobs/r1')).json()).toMatchObject({ status: 'failed', error: { code: 'worker_lost' } });
});

test('DELETE cancels what waits, and leaves what is finished', async () => {
  const { app, model } = testServer();
  model.script = () => undefined;
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  const cancelled = await app.inject({ method: 'DELETE', url: '/v1/jobs/r1' });
  expect([cancelled.statusCode, cancelled.json().status]).toEqual([200, 'cancelled']);
  expect(model.cancelled).toEqual(['r1']);

  model.script = () => answer('hello', ['hello']);
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  const finished = await app.inject({ method: 'DELETE', url: '/v1/jobs/r2' });
  expect([finished.statusCode, finished.json().status]).toEqual([200, 'completed']);
});

test('DELETE of a running job is 202: it stops at its next step', async () => {
  const { app, model } = testServer();
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  model.producer.cancel = async () => 'stopping';
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  const response = await app.inject({ method: 'DELETE', url: '/v1/jobs/r1' });
  expect([response.statusCode, response.json().status]).toEqual([202, 'running']);
});

test('events: each with its position as id, the end last; Last-Event-ID resumes', async () => {
  const { app } = testServer();
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  const all = await app.inject('/v1/jobs/r1/events');
  expect(all.body.match(/^id: .*$/gm)).toEqual(['id: 1', 'id: 2', 'id: 2']);
  expect(eventsOf(all.body)).toMatchObject([
    { type: 'tokens', position: 0, token_ids: [100], text: 'hel' },
    { type: 'tokens', position: 1, token_ids: [101], text: 'lo' },
    { type: 'completed', result: { text: 'hello' }, usage: { total_tokens: 5 }, shoal: { job_id: 'r1' } },
  ]);
  const rest = await app.inject({ url: '/v1/jobs/r1/events', headers: { 'last-event-id': '1' } });
  expect(eventsOf(rest.body)).toMatchObject([{ type: 'tokens', position: 1 }, { type: 'completed' }]);
});

test('the events of a job that failed end with its error', async () => {
  const { app, model } = testServer();
  model.script = () => [{ type: 'failed', error: { code: 'inference_error', message: 'nan' } }];
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  expect(eventsOf((await app.inject('/v1/jobs/r1/events')).body)).toMatchObject([
    { type: 'failed', error: { code: 'inference_error' } },
  ]);
});

test.each(['-1', '1.5', 'abc', `1${'0'.repeat(13)}`, '9'.repeat(16)])('Last-Event-ID %s is refused', async (id) => {
  const { app } = testServer();
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body });
  const response = await app.inject({ url: '/v1/jobs/r1/events', headers: { 'last-event-id': id } });
  expect([response.statusCode, response.json().error.param]).toEqual([400, 'Last-Event-ID']);
});

test.each([
  ['GET', ''],
  ['GET', '/events'],
  ['DELETE', ''],
] as const)('%s of a job that is none, another tenant’s, or no id at all: the same 404', async (method, suffix) => {
  const { app, model } = testServer({ env: { API_KEYS: 'acme:acme-key-1,beta:beta-key-1' } });
  const as = (key: string) => ({ authorization: `Bearer ${key}` });
  await app.inject({ method: 'POST', url: '/v1/jobs', payload: body, headers: as('acme-key-1') });
  expect(model.jobs.get('r1')?.request.tenant).toBe('acme');

  const answers = await Promise.all(
    ['r1', 'r9', '12345', 'a%20b', 'wait', 'x'.repeat(100), '..%2fr1'].map((id) =>
      app.inject({ method, url: `/v1/jobs/${id}${suffix}`, headers: as('beta-key-1') }),
    ),
  );
  for (const response of answers) {
    expect([response.statusCode, response.body]).toEqual([404, answers[0]?.body]);
    expect(response.json().error.code).toBe('job_not_found');
  }
  expect(model.cancelled).toEqual([]);
  expect((await app.inject({ url: '/v1/jobs/r1', headers: as('acme-key-1') })).statusCode).toBe(200);
});

test('many jobs are submitted at once, and accepted together or not at all', async () => {
  const { app, model } = testServer();
  const bodies = Array.from({ length: 1000 }, (_, index) => ({ ...body, prompt: `p${index}` }));
  const accepted = await app.inject({ method: 'POST', url: '/v1/jobs', payload: bodies });
  expect([accepted.statusCode, accepted.json().data.length, accepted.json().data[999].id]).toEqual([
    202,
    1000,
    'r1000',
  ]);
  expect(model.jobs.get('r1000')?.request.prompt).toBe('p999');

  model.script = (_, id) => {
    if (id === 'r1100') throw new ShoalError('queue_full', 'full', { retryAfterMs: 1000 });
    return undefined;
  };
  const refused = await app.inject({ method: 'POST', url: '/v1/jobs', payload: bodies });
  expect(refused.statusCode).toBe(429);
  // Nobody knows their ids, so nobody is to hear of their ends.
  const left = [...model.jobs.keys()].filter((id) => Number(id.slice(1)) > 1000 && !model.withdrawn.includes(id));
  expect(left).toEqual([]);
  expect(model.cancelled).toEqual(model.withdrawn);
});

describe('a webhook_url', () => {
  const env = { WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}` };
  const submit = (server: ReturnType<typeof testServer>, fields: object) =>
    server.app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, temperature: 0, ...fields } });

  test('reaches the queue, and the job has a generation of its own', async () => {
    const server = testServer({ env });
    const url = 'https://example.com/hook';
    expect((await submit(server, { webhook_url: url })).statusCode).toBe(202);
    expect(server.model.jobs.get('r1')).toMatchObject({ webhookUrl: url, listed: true });
    expect(server.model.jobs.get('r1')?.sharingKey).toBeUndefined();
    await submit(server, { webhook_url: null });
    expect(server.model.jobs.get('r2')).not.toHaveProperty('webhookUrl');
  });

  test.each([
    ['where nothing could sign it', {}, 'https://example.com/'],
    ['without TLS', env, 'http://example.com/'],
    ['with a password', env, 'https://a:b@example.com/'],
    ['that is none', env, 'example'],
    ['that is too long', env, `https://example.com/${'x'.repeat(2048)}`],
  ])('%s is refused', async (_, settings, url) => {
    const server = testServer({ env: settings });
    const response = await submit(server, { webhook_url: url });
    expect([response.statusCode, response.json().error.param]).toEqual([400, 'webhook_url']);
    expect(server.model.jobs.size).toBe(0);
  });
});

test('a job tells what it was asked where that is wanted, in the words of a submission', async () => {
  const { app } = testServer({ env: { API_KEYS: 'acme:acme-key-1,other:other-key-1' } });
  const headers = { authorization: 'Bearer acme-key-1' };
  const options = {
    max_tokens: 7,
    temperature: 0.5,
    top_p: 0.9,
    min_p: 0.1,
    stop: ['!'],
    n: 2,
    logit_bias: { '5': 1 },
  };
  const messages = [{ role: 'user', content: 'hi' }];
  const chat = {
    endpoint: '/v1/chat/completions',
    model: 'minnow',
    messages,
    asked_at: 3,
    logprobs: true,
    top_logprobs: 2,
    chat_template_kwargs: { enable_thinking: false },
    ...options,
  };
  for (const payload of [{ ...body, ...options, logprobs: 0 }, { ...body, prompt: [1, 2] }, chat]) {
    const { id } = (await app.inject({ method: 'POST', url: '/v1/jobs', payload, headers })).json();
    const asked = (await app.inject({ url: `/v1/jobs/${id}?include=request`, headers })).json();
    expect(asked.request).toMatchObject(payload);
    expect(asked.request.seed).toBeGreaterThanOrEqual(0);
    // It is a body that is accepted, and asks for the same.
    const again = await app.inject({ method: 'POST', url: '/v1/jobs', payload: asked.request, headers });
    expect(again.statusCode).toBe(202);
    const replayed = await app.inject({ url: `/v1/jobs/${again.json().id}?include=request`, headers });
    expect(replayed.json().request).toEqual(asked.request);
    expect((await app.inject({ url: `/v1/jobs/${id}`, headers })).json()).not.toHaveProperty('request');
    const foreign = { authorization: 'Bearer other-key-1' };
    const refused = await app.inject({ url: `/v1/jobs/${id}?include=request`, headers: foreign });
    expect(refused.statusCode).toBe(404);
    expect(refused.body).not.toContain('acme');
  }
});

test('a job that must be generated anew shares with nobody', async () => {
  const { app, model } = testServer();
  const payload = { ...body, temperature: 0 };
  await app.inject({ method: 'POST', url: '/v1/jobs', payload });
  await app.inject({ method: 'POST', url: '/v1/jobs', payload, headers: { 'cache-control': 'no-store' } });
  expect([...model.jobs.values()].map(({ sharingKey }) => sharingKey === undefined)).toEqual([false, true]);
});

test('a job cannot echo: it tells the answer alone', async () => {
  const { app, model } = testServer();
  for (const prompt of ['hi', [1, 2]]) {
    const response = await app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, prompt, echo: true } });
    expect([response.statusCode, response.json().error.param]).toEqual([400, 'echo']);
  }
  expect(model.jobs.size).toBe(0);
});
