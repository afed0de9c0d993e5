import { ShoalError } from '@shoal/protocol';
import { expect, test, vi } from 'vitest';
import { answer } from '../testing/memory-models.ts';
import { eventsOf, testServer } from '../testing/test-server.ts';

const post = (url: string, payload: object) => ({ method: 'POST', url, payload }) as const;

test('a completion has OpenAI’s shape, and tells in what company it ran', async () => {
  const { app } = testServer();
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi' }));
  expect(response.statusCode).toBe(200);
  expect(response.headers).toMatchObject({ 'x-shoal-job-id': 'r1', 'x-request-id': expect.any(String) });
  expect(response.json()).toEqual({
    id: 'cmpl-r1',
    object: 'text_completion',
    created: 1_700_000_000,
    model: 'minnow',
    system_fingerprint: 'fp_abc123-cpu',
    choices: [{ index: 0, text: 'hello', logprobs: null, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    shoal: {
      job_id: 'r1',
      worker: 'w1',
      batch: { id: 4, size: 8 },
      seed: 7,
      timings: { queued_at: 1000, claimed_at: 1010, started_at: 1020, first_token_at: 1030, finished_at: 1050 },
    },
  });
});

test('a resumed answer says so, and which numerics it was computed with', async () => {
  const { app, model } = testServer();
  const resumes = { count: 2, label: 'identical' } as const;
  const [first, ...others] = answer('hello', ['hel', 'lo'], { numerics: 'f00d', resumes });
  if (first?.type !== 'tokens') throw new Error('an answer begins with tokens');
  model.script = () => [{ ...first, run: { numerics: 'f00d', exact: true } }, ...others];
  const whole = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi' }));
  expect(whole.json()).toMatchObject({ system_fingerprint: 'fp_f00d', shoal: { numerics: 'f00d', resumes } });
  const stream = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi', stream: true }));
  const chunks = eventsOf(stream.body).slice(0, -1);
  expect(chunks.map((chunk) => (chunk as { system_fingerprint: string }).system_fingerprint)).toEqual(
    chunks.map(() => 'fp_f00d'),
  );
  expect(chunks.at(-1)).toMatchObject({ shoal: { resumes } });
  const payload = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' };
  const { id } = (await app.inject(post('/v1/jobs', payload))).json();
  expect((await app.inject(`/v1/jobs/${id}`)).json()).toMatchObject({ shoal: { resumes } });
});

test('options reach the queue in the inside form, with a seed, a deadline and a reply address', async () => {
  const { app, model } = testServer();
  const options = { max_tokens: 9, temperature: 0.5, top_p: 0.5, top_k: 5, stop: 'END', priority: 2, timeout_ms: 5000 };
  await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi', ...options }));
  expect(model.jobs.get('r1')).toMatchObject({
    priority: 2,
    request: {
      v: 1,
      prompt: 'hi',
      params: { maxTokens: 9, temperature: 0.5, topP: 0.5, topK: 5, seed: 42, stop: ['END'] },
      deadline: 1_700_000_005_000,
      replyTo: 'memory',
    },
  });
});

test('only of a stream are the tokens read as they come', async () => {
  const { app, model } = testServer();
  const body = { model: 'minnow', prompt: 'hi' };
  await app.inject(post('/v1/completions', body));
  await app.inject(post('/v1/completions', { ...body, stream: true }));
  // Of a generation that others may share, too, and whoever waits for it joins it.
  const shareable = { ...body, temperature: 0 };
  await app.inject(post('/v1/completions', shareable));
  await app.inject(post('/v1/completions', { ...shareable, prompt: 'ho', stream: true }));
  const asked = ['r1', 'r2', 'r3', 'r4'].map((id) => model.jobs.get(id)?.request.quiet);
  expect(asked).toEqual([true, false, true, false]);
});

test('left out and null mean OpenAI’s defaults; what changes nothing is accepted; what is unknown is ignored', async () => {
  const { app, model } = testServer();
  const idle = { n: 1, best_of: 1, echo: false, logprobs: null, logit_bias: {}, presence_penalty: 0, suffix: null };
  const body = {
    model: 'minnow',
    prompt: 'hi',
    temperature: null,
    stop: null,
    seed: 5,
    top_k: -1,
    ...idle,
    colour: 'red',
  };
  const response = await app.inject(post('/v1/completions', body));
  expect(response.statusCode).toBe(200);
  expect(model.jobs.get('r1')?.request.params).toEqual({
    ...{ temperature: 1, topP: 1, topK: 0, seed: 5, stop: [] },
    ...{ n: 1, logitBias: {}, presencePenalty: 0 },
  });
  expect(model.jobs.get('r1')?.priority).toBe(5);
});

test.each<
  [what: string, fields: object, headers: Record<string, string>, env: Record<string, string>, shared: boolean]
>([
  ['greedy', { temperature: 0 }, {}, {}, true],
  ['sampled with a seed', { temperature: 1, seed: 5 }, {}, {}, true],
  ['sampled by chance', { temperature: 1 }, {}, {}, false],
  ['greedy, no-store', { temperature: 0 }, { 'cache-control': 'no-cache, No-Store' }, {}, false],
  ['greedy, switched off', { temperature: 0 }, {}, { REUSE_ANSWERS: 'false' }, false],
])('equal requests may share a generation: %s', async (_, fields, headers, env, shared) => {
  const { app, model } = testServer({ env });
  const body = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi', ...fields };
  for (const url of ['/v1/completions', '/v1/jobs']) await app.inject({ ...post(url, body), headers });
  const keys = [...model.jobs.values()].map(({ sharingKey }) => sharingKey);
  expect(keys.map((key) => key !== undefined)).toEqual([shared, shared]);
  expect(keys[0]).toBe(keys[1]);
  expect(model.jobs.get('r1')?.request.params.seed).toBeDefined();
});

test('tenants never share', async () => {
  const { app, model } = testServer({ env: { API_KEYS: 'acme:acme-key-1,beta:beta-key-1' } });
  for (const key of ['acme-key-1', 'beta-key-1']) {
    const headers = { authorization: `Bearer ${key}` };
    await app.inject({ ...post('/v1/completions', { model: 'minnow', prompt: 'hi', temperature: 0 }), headers });
  }
  const keys = [...model.jobs.values()].map(({ sharingKey }) => sharingKey);
  expect(new Set(keys).size).toBe(2);
});

test('several prompts are several jobs, answered as one with a choice for each', async () => {
  const { app, model } = testServer();
  model.script = (request) => answer(`re: ${request.prompt}`, [`re: ${request.prompt}`]);
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: ['a', 'b', 'c'] }));
  expect(response.json().choices.map((choice: { text: string }) => choice.text)).toEqual(['re: a', 're: b', 're: c']);
  expect(response.json().choices[2].shoal.job_id).toBe('r1-2');
  expect(response.json().usage).toEqual({ prompt_tokens: 9, completion_tokens: 6, total_tokens: 15 });
  expect(response.headers['x-shoal-job-id']).toBe('r1-0,r1-1,r1-2');
});

test('the ids of many jobs do not outgrow what proxies take of headers', async () => {
  const id = '00000000-0000-4000-8000-000000000000';
  const { app, model } = testServer({ deps: { randomId: () => id } });
  const headersFor = async (prompts: number) => {
    const prompt = Array(prompts).fill('a');
    return (await app.inject(post('/v1/completions', { model: 'minnow', prompt }))).headers;
  };
  const few = await headersFor(25);
  expect([String(few['x-shoal-job-id']).split(','), few['x-shoal-job-count']]).toEqual([
    [...model.jobs.keys()],
    undefined,
  ]);
  model.jobs.clear();
  const many = await headersFor(128);
  expect([many['x-shoal-job-id'], many['x-shoal-job-count']]).toEqual([id, '128']);
  expect([...model.jobs.keys()]).toEqual(Array.from({ length: 128 }, (_, index) => `${id}-${index}`));
});

test.each([
  ['token ids', [1, 2, 3], [[1, 2, 3]]],
  ['arrays of token ids', [[1, 2], [3]], [[1, 2], [3]]],
])('a prompt may be %s', async (_, prompt, expected) => {
  const { app, model } = testServer();
  expect((await app.inject(post('/v1/completions', { model: 'minnow', prompt }))).statusCode).toBe(200);
  expect([...model.jobs.values()].map(({ request }) => request.promptTokenIds)).toEqual(expected);
});

test('a chat has its own shape; developer is system, text parts are joined', async () => {
  const { app, model } = testServer();
  const parts = [
    { type: 'text', text: 'hel' },
    { type: 'text', text: 'lo' },
  ];
  const messages = [
    { role: 'developer', content: 'be kind' },
    { role: 'user', content: parts },
  ];
  const response = await app.inject(
    post('/v1/chat/completions', { model: 'minnow', messages, max_tokens: 5, max_completion_tokens: 6 }),
  );
  expect(response.json()).toMatchObject({
    id: 'chatcmpl-r1',
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
    shoal: { job_id: 'r1', batch: { id: 4, size: 8 } },
  });
  expect(model.jobs.get('r1')?.request).toMatchObject({
    messages: [
      { role: 'system', content: 'be kind' },
      { role: 'user', content: 'hello' },
    ],
    params: { maxTokens: 6 },
  });
});

test('a chat stream: role, text, end with the ride, usage, [DONE]', async () => {
  const { app } = testServer();
  const body = { model: 'minnow', messages: [{ role: 'user', content: 'hi' }], stream: true };
  const response = await app.inject(post('/v1/chat/completions', { ...body, stream_options: { include_usage: true } }));
  expect(response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
    'x-shoal-job-id': 'r1',
    'x-request-id': expect.any(String),
  });
  const choice = { index: 0, logprobs: null };
  expect(eventsOf(response.body)).toMatchObject([
    {
      object: 'chat.completion.chunk',
      choices: [{ ...choice, delta: { role: 'assistant', content: '' }, finish_reason: null }],
      usage: null,
    },
    { choices: [{ ...choice, delta: { content: 'hel' }, finish_reason: null }] },
    { choices: [{ ...choice, delta: { content: 'lo' } }] },
    {
      choices: [{ ...choice, delta: {}, finish_reason: 'stop' }],
      shoal: { job_id: 'r1', batch: { id: 4, size: 8 } },
      usage: null,
    },
    { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
    '[DONE]',
  ]);
});

test('a completion stream has no role chunk, and no usage unless asked', async () => {
  const { app, model } = testServer();
  model.script = (request) => answer(`${request.prompt}!`, [`${request.prompt}`, '!']);
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: ['a', 'b'], stream: true }));
  const events = eventsOf(response.body) as { choices: { index: number; text: string }[] }[];
  const textOf = (index: number) =>
    events
      .flatMap((event) => event.choices ?? [])
      .filter((choice) => choice.index === index)
      .map((choice) => choice.text)
      .join('');
  expect([textOf(0), textOf(1)]).toEqual(['a!', 'b!']);
  expect(events.at(-1)).toBe('[DONE]');
  expect(response.body).not.toContain('usage');
});

test('text that a worker kept for the end is streamed before the end', async () => {
  const { app, model } = testServer();
  model.script = () => answer('all at once', []);
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'a', stream: true }));
  expect(eventsOf(response.body)).toMatchObject([
    { choices: [{ text: 'all at once' }] },
    { choices: [{ text: '' }] },
    '[DONE]',
  ]);
});

test.each([false, true])('a failure before the first token is an ordinary error (stream: %s)', async (stream) => {
  const { app, model } = testServer();
  model.script = () => [
    { type: 'failed', error: { code: 'context_length_exceeded', message: 'too long', param: 'prompt' } },
  ];
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi', stream }));
  expect(response.statusCode).toBe(400);
  expect(response.json()).toEqual({
    error: { message: 'too long', type: 'invalid_request_error', param: 'prompt', code: 'context_length_exceeded' },
  });
  expect(response.headers['x-should-retry']).toBe('false');
});

test('a failure after the first token is an event, and the stream ends', async () => {
  const { app, model } = testServer();
  const begun = answer('hello', ['hel']).slice(0, 1);
  model.script = () => [...begun, { type: 'failed', error: { code: 'worker_lost', message: 'the worker died' } }];
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi', stream: true }));
  expect(response.statusCode).toBe(200);
  expect(eventsOf(response.body)).toMatchObject([
    { choices: [{ text: 'hel' }] },
    { error: { code: 'worker_lost', type: 'api_error', message: 'the worker died', param: null } },
  ]);
});

test('one failure among several prompts fails the request and cancels the others', async () => {
  const { app, model } = testServer();
  model.script = (_, id) =>
    id === 'r1-1' ? [{ type: 'failed', error: { code: 'inference_error', message: 'nan' } }] : undefined;
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: ['a', 'b', 'c'] }));
  expect(response.statusCode).toBe(500);
  expect(model.cancelled.sort()).toEqual(['r1-0', 'r1-2']);
  expect(model.listening).toBe(0);
});

test('a full queue is 429, with the time after which to try again', async () => {
  const { app, model } = testServer();
  model.refusal = new ShoalError('queue_full', '10000 requests wait already', { retryAfterMs: 1500 });
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi' }));
  expect(response.statusCode).toBe(429);
  expect(response.headers).toMatchObject({ 'retry-after': '2', 'retry-after-ms': '1500' });
  expect(response.headers['x-should-retry']).toBeUndefined();
  expect(response.json().error).toMatchObject({ code: 'queue_full', type: 'rate_limit_error' });
});

test('the time after which to try again is never longer than clients obey', async () => {
  const { app, model } = testServer();
  model.refusal = new ShoalError('unavailable', 'Redis does not answer', { retryAfterMs: 3_600_000 });
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi' }));
  expect(response.headers).toMatchObject({ 'retry-after': '30', 'retry-after-ms': '30000' });
});

test('when the queue fills up half-way through several prompts, none remains', async () => {
  const { app, model } = testServer();
  model.script = (_, id) => {
    if (id === 'r1-2') throw new ShoalError('queue_full', 'full', { retryAfterMs: 1000 });
    return undefined;
  };
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: ['a', 'b', 'c'] }));
  expect(response.statusCode).toBe(429);
  expect(model.cancelled.sort()).toEqual(['r1-0', 'r1-1']);
});

test('a deadline that passes is 504 even if no worker says so', async () => {
  const { app, model } = testServer();
  model.script = () => undefined;
  const response = await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi', timeout_ms: 1 }));
  expect(response.statusCode).toBe(504);
  expect(response.json().error.code).toBe('deadline_exceeded');
  expect(model.cancelled).toEqual(['r1']);
});

/** What is counted of requests: labels, and how many. */
async function requestsCounted({ app }: ReturnType<typeof testServer>): Promise<string[]> {
  const { body } = await app.inject('/metrics');
  return [...body.matchAll(/^shoal_requests_total\{model="(.*)",endpoint="(.*)",outcome="(.*)"\} (\d+)$/gm)]
    .map(([, ...counted]) => counted.join(' ').trim())
    .sort();
}

test('submissions of jobs are counted, with what became of them', async () => {
  const server = testServer();
  const submit = (payload: object) => server.app.inject(post('/v1/jobs', payload));
  const job = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' };
  await submit(job);
  await submit([job, job, job]);
  await submit({ ...job, model: 'shark' });
  await submit([job, { ...job, model: 'shark' }]);
  await submit({ ...job, echo: true });
  server.model.refusal = new ShoalError('queue_full', 'full', { retryAfterMs: 1000 });
  await submit(job);
  expect(await requestsCounted(server)).toEqual([
    '/v1/jobs invalid_request_error 1',
    '/v1/jobs model_not_found 2',
    'minnow /v1/jobs accepted 2',
    'minnow /v1/jobs queue_full 1',
  ]);
});

test('who is turned away by the limits of a tenant is counted', async () => {
  const server = testServer({ env: { API_KEYS: 'acme:acme-key-1', TENANT_TOKENS_PER_MINUTE: '4' } });
  const headers = { authorization: 'Bearer acme-key-1' };
  for (const url of ['/v1/completions', '/v1/completions', '/v1/jobs']) {
    const payload = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' };
    await server.app.inject({ ...post(url, payload), headers });
  }
  expect(await requestsCounted(server)).toEqual([
    '/v1/completions rate_limit_exceeded 1',
    '/v1/jobs rate_limit_exceeded 1',
    'minnow /v1/completions completed 1',
  ]);
  expect((await server.app.inject('/metrics')).body).toContain('shoal_requests_in_flight 0\n');
});

test('who is turned away at the door is counted, by the pattern of the route alone', async () => {
  const server = testServer({ env: { MAX_QUEUE_SIZE: '1' } });
  server.model.script = () => undefined;
  const inside = server.app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi' }));
  await vi.waitFor(() => expect(server.model.jobs.size).toBe(1));
  for (const url of ['/v1/jobs/a', '/v1/jobs/b', '/v1/nothing', '/v1/nowhere', '/nowhere'])
    await server.app.inject(url);
  await server.app.inject(post('/v1/completions', {}));
  server.model.tell('r1', ...answer('hello', ['hello']));
  await inside;
  expect(await requestsCounted(server)).toEqual([
    '/v1/completions queue_full 1',
    '/v1/jobs/:id queue_full 2',
    'minnow /v1/completions completed 1',
    'queue_full 2',
  ]);
});

test('requests, tokens, batch and latency are measured', async () => {
  const { app } = testServer();
  await app.inject(post('/v1/completions', { model: 'minnow', prompt: 'hi' }));
  await app.inject(post('/v1/completions', { model: 'shark', prompt: 'hi' }));
  const { body } = await app.inject('/metrics');
  expect(body).toContain('shoal_requests_total{model="minnow",endpoint="/v1/completions",outcome="completed"} 1\n');
  expect(body).toContain('shoal_requests_total{model="",endpoint="/v1/completions",outcome="model_not_found"} 1\n');
  expect(body).toContain('shoal_api_generation_tokens_total{model="minnow"} 2\n');
  expect(body).toContain('shoal_api_batch_size_bucket{le="8",model="minnow"} 1\n');
  expect(body).toContain('shoal_api_batch_duration_seconds_sum{model="minnow"} 0.03\n');
  expect(body).toContain('shoal_api_time_to_first_token_seconds_count{model="minnow"} 1\n');
  expect(body).toContain('shoal_e2e_request_latency_seconds_count{model="minnow"} 1\n');
  expect(body).toContain('shoal_queue_depth{model="minnow",state="waiting",priority="0"} 1\n');
  expect(body).toContain('shoal_requests_in_flight 0\n');
});
