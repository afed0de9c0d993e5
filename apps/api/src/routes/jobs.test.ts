import { ShoalError } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { answer, MemoryModel } from '../testing/memory-models.ts';
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

test.each(['-1', '1.5', 'abc', '9'.repeat(16)])('Last-Event-ID %s is refused', async (id) => {
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
  const left = [...model.jobs.keys()].filter((id) => Number(id.slice(1)) > 1000 && !model.cancelled.includes(id));
  expect(left).toEqual([]);
});

const submitAs = (key: string, fields: object = {}, headers: object = {}) =>
  ({
    method: 'POST',
    url: '/v1/jobs',
    payload: { ...body, ...fields },
    headers: { 'idempotency-key': key, ...headers },
  }) as const;

test('the same submission under the same Idempotency-Key is one job', async () => {
  const { app, model } = testServer();
  const first = await app.inject(submitAs('key 1'));
  const again = await app.inject(submitAs('key 1'));
  expect([first.statusCode, again.statusCode]).toEqual([202, 202]);
  expect(again.json().id).toBe(first.json().id);
  expect(model.jobs.size).toBe(1);
  expect((await app.inject(submitAs('key 2'))).json().id).not.toBe(first.json().id);
});

test.each([
  ['another prompt', { prompt: 'ho' }],
  ['another option', { temperature: 0.5 }],
  ['another deadline', { timeout_ms: 5 }],
])('a key that is used again for %s is 409, and the first job stays', async (_, fields) => {
  const { app, model } = testServer();
  model.script = () => undefined;
  const first = await app.inject(submitAs('key-1'));
  const reused = await app.inject(submitAs('key-1', fields));
  expect([reused.statusCode, reused.json().error.code]).toEqual([409, 'idempotency_conflict']);
  expect(model.cancelled).toEqual([]);
  expect(model.jobs.get(first.json().id)?.request.prompt).toBe('hi');
});

test('a key that is used again for another model is 409', async () => {
  const server = testServer();
  const other = new MemoryModel({ name: 'shark' });
  Object.assign(server.models, { served: [server.model, other] });
  await server.app.inject(submitAs('key-1'));
  expect((await server.app.inject(submitAs('key-1', { model: 'shark' }))).statusCode).toBe(409);
  expect(other.jobs.size).toBe(0);
});

test('tenants do not meet under the same key', async () => {
  const { app, model } = testServer({ env: { API_KEYS: 'acme:acme-key-1,beta:beta-key-1' } });
  const answers = await Promise.all(
    ['acme-key-1', 'beta-key-1'].map((key) => app.inject(submitAs('same', {}, { authorization: `Bearer ${key}` }))),
  );
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([202, 202]);
  expect(model.jobs.size).toBe(2);
});

test.each([
  ['an empty key', '', body],
  ['a long key', 'x'.repeat(256), body],
  ['a key for an array', 'key-1', [body, body]],
])('%s is refused', async (_, key, payload) => {
  const { app, model } = testServer();
  const response = await app.inject({ method: 'POST', url: '/v1/jobs', payload, headers: { 'idempotency-key': key } });
  expect([response.statusCode, response.json().error.param]).toEqual([400, 'Idempotency-Key']);
  expect(model.jobs.size).toBe(0);
});

describe('the list of jobs', () => {
  const keys = { API_KEYS: 'acme:acme-key-1,beta:beta-key-1' };
  const as = (key: string) => ({ authorization: `Bearer ${key}` });

  async function submitted(prompts: string[], key = 'acme-key-1') {
    const server = testServer({ env: keys });
    server.model.script = ({ prompt }) => (prompt === 'wait' ? undefined : answer('hello', ['hel', 'lo']));
    for (const prompt of prompts) {
      await server.app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, prompt }, headers: as(key) });
    }
    return server;
  }

  test('comes newest first, page by page, without results', async () => {
    const { app } = await submitted(['a', 'b', 'c']);
    const list = async (query: string) =>
      (await app.inject({ url: `/v1/jobs${query}`, headers: as('acme-key-1') })).json();
    const first = await list('?limit=2');
    expect(first).toMatchObject({ object: 'list', data: [{ id: 'r3' }, { id: 'r2' }], has_more: true });
    expect(await list(`?limit=2&after=${first.after}`)).toMatchObject({
      ...{ data: [{ id: 'r1', status: 'completed' }], has_more: false, after: null },
    });
  });

  test('can be narrowed to a status', async () => {
    const { app } = await submitted(['a', 'wait', 'b', 'wait']);
    const response = await app.inject({ url: '/v1/jobs?status=queued', headers: as('acme-key-1') });
    expect(response.json().data.map(({ id, status }: { id: string; status: string }) => [id, status])).toEqual([
      ['r4', 'queued'],
      ['r2', 'queued'],
    ]);
  });

  test('is of one’s own jobs, and not of requests whose callers wait', async () => {
    const { app } = await submitted(['a']);
    await app.inject({ method: 'POST', url: '/v1/completions', payload: body, headers: as('beta-key-1') });
    expect((await app.inject({ url: '/v1/jobs', headers: as('beta-key-1') })).json()).toEqual({
      ...{ object: 'list', data: [], has_more: false, after: null },
    });
  });

  test('goes over all models, newest first', async () => {
    const server = testServer();
    Object.assign(server.models, { served: [server.model, new MemoryModel({ name: 'shark' })] });
    for (const model of ['minnow', 'shark', 'minnow', 'shark', 'shark']) {
      await server.app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, model } });
    }
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const page = (await server.app.inject(`/v1/jobs?limit=1${after}`)).json();
      seen.push(...page.data.map(({ id }: { id: string }) => id));
      if (!page.has_more) break;
      after = `&after=${page.after}`;
    }
    // Each model counts its milliseconds by itself here.
    expect(seen).toEqual(['r5', 'r3', 'r4', 'r1', 'r2']);
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['status=lost', 'status'],
    ['after=abc', 'after'],
    [`after=${Buffer.from('[1,2]').toString('base64url')}`, 'after'],
  ])('with %s is refused', async (query, param) => {
    const response = await testServer().app.inject(`/v1/jobs?${query}`);
    expect([response.statusCode, response.json().error.param]).toEqual([400, param]);
  });
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
    logprobs: true,
    top_logprobs: 2,
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
