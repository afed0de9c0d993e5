import { expect, test, vi } from 'vitest';
import { answer } from '../testing/memory-models.ts';
import { eventsOf, testServer } from '../testing/test-server.ts';
import { ProcessLedger } from './process-ledger.ts';
import { TenantLimits, type TenantLimitsOptions } from './tenant-limits.ts';

function limits(options: Partial<Pick<TenantLimitsOptions, 'maxInFlight' | 'tokensPerMinute' | 'keys'>>) {
  const time = { now: 0 };
  let visits = 0;
  const made = new TenantLimits({
    ...{ maxInFlight: 0, tokensPerMinute: 0, keys: [], ...options },
    ledger: new ProcessLedger(() => time.now),
    randomId: () => String(visits++),
  });
  return { enter: (tenant: string | undefined) => made.enter(tenant, 1000), pass: made.pass.bind(made), time };
}

const refused = (retryAfterMs: number) => expect.objectContaining({ code: 'rate_limit_exceeded', retryAfterMs });

test('so many requests of a tenant may be in flight; another’s do not count', async () => {
  const { enter, pass } = limits({ maxInFlight: 2 });
  const first = await enter('acme');
  expect((await enter('acme')).headers).toEqual({
    ...{ 'x-ratelimit-limit-requests': '2', 'x-ratelimit-remaining-requests': '0' },
  });
  await expect(enter('acme')).rejects.toEqual(refused(1000));
  await enter('beta');
  first.leave(0);
  first.leave(0);
  for (let n = 0; n < 3; n++) await pass('acme');
  await enter('acme');
  await expect(enter('acme')).rejects.toEqual(refused(1000));
});

test('tokens are taken off when a request ends, and come back evenly', async () => {
  const { enter, time } = limits({ tokensPerMinute: 600 });
  const first = await enter('acme');
  const second = await enter('acme');
  first.leave(500);
  second.leave(250);
  // 150 too many, at ten a second: one is left again after 15.1 s.
  await expect(enter('acme')).rejects.toEqual(refused(15_100));
  time.now = 15_100;
  expect((await enter('acme')).headers).toEqual({
    'x-ratelimit-limit-tokens': '600',
    'x-ratelimit-remaining-tokens': '1',
    'x-ratelimit-reset-tokens': '60s',
  });
  time.now = 10_000_000;
  expect((await enter('acme')).headers['x-ratelimit-remaining-tokens']).toBe('600');
});

test('the time to wait is never longer than clients obey', async () => {
  const { enter } = limits({ tokensPerMinute: 60 });
  (await enter('acme')).leave(1_000_000);
  await expect(enter('acme')).rejects.toEqual(refused(30_000));
});

test('a tenant’s weight multiplies its limits; the heaviest of its keys counts', async () => {
  const keys = [
    { tenant: 'acme', weight: 2 },
    { tenant: 'acme', weight: 3 },
    { tenant: 'acme', weight: 1 },
    { tenant: 'beta', weight: 1 },
  ];
  const { enter, pass } = limits({ maxInFlight: 1, tokensPerMinute: 60, keys });
  const first = await enter('acme');
  expect(first.headers).toMatchObject({ 'x-ratelimit-limit-requests': '3', 'x-ratelimit-limit-tokens': '180' });
  await enter('acme');
  await enter('acme');
  await expect(enter('acme')).rejects.toEqual(refused(1000));
  await enter('beta');
  await expect(enter('beta')).rejects.toEqual(refused(1000));
  first.leave(183);
  // Three too many: at three a second, one is left again after 1 1/3 s.
  await expect(pass('acme')).rejects.toEqual(refused(1334));
});

test('without limits, or without keys, nothing is counted', async () => {
  expect((await limits({}).enter('acme')).headers).toEqual({});
  const { enter } = limits({ maxInFlight: 1 });
  await enter(undefined);
  expect((await enter(undefined)).headers).toEqual({});
});

test('a job is taken off when it is submitted, by what it may use', async () => {
  const env = { API_KEYS: 'acme:acme-key-1', TENANT_TOKENS_PER_MINUTE: '100' };
  const { app } = testServer({ env });
  const submit = () =>
    app.inject({
      ...{ method: 'POST', url: '/v1/jobs', headers: { authorization: 'Bearer acme-key-1' } },
      payload: { endpoint: '/v1/completions', model: 'minnow', prompt: 'twelve bytes', max_tokens: 30, n: 2 },
    });
  const headers = [await submit(), await submit()].map((response) => response.headers['x-ratelimit-remaining-tokens']);
  expect(headers).toEqual(['100', '37']);
  expect((await submit()).statusCode).toBe(429);
});

test('a job without max_tokens may use the rest of the context', async () => {
  const env = { API_KEYS: 'acme:acme-key-1', TENANT_TOKENS_PER_MINUTE: '10000' };
  const { app } = testServer({ env });
  const submit = (fields: object) =>
    app.inject({
      ...{ method: 'POST', url: '/v1/jobs', headers: { authorization: 'Bearer acme-key-1' } },
      payload: { endpoint: '/v1/completions', model: 'minnow', prompt: 'twelve bytes', n: 2, ...fields },
    });
  const asked = [{}, { max_tokens: 100_000 }, { prompt: Array(12).fill(1) }, {}];
  const left: number[] = [];
  for (const fields of asked) left.push(Number((await submit(fields)).headers['x-ratelimit-remaining-tokens']));
  // Of 512: two answers of 509 tokens, twice, then two of 500.
  expect(left).toEqual([10_000, 8_979, 7_958, 6_946]);
});

test('who leaves before the end has used the prompt and what had come', async () => {
  const env = { API_KEYS: 'acme:acme-key-1', TENANT_TOKENS_PER_MINUTE: '100' };
  const server = testServer({ env });
  server.model.script = () => answer('hello', [...'hello']).slice(0, 5);
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' });
  const ask = (fields: object, signal: AbortSignal | null = null) =>
    fetch(`${url}/v1/completions`, {
      ...{ method: 'POST', signal, body: JSON.stringify({ model: 'minnow', prompt: 'twelve bytes', ...fields }) },
      headers: { authorization: 'Bearer acme-key-1', 'content-type': 'application/json' },
    });
  // What names no model that is served uses nothing.
  const left = async () => Number((await ask({ model: 'shark' })).headers.get('x-ratelimit-remaining-tokens'));
  const caller = new AbortController();
  const body = (await ask({ stream: true }, caller.signal)).body?.getReader();
  let text = '';
  while (eventsOf(text).length < 5) text += new TextDecoder().decode((await body?.read())?.value);
  caller.abort();
  await vi.waitFor(async () => expect(await left()).toBe(100 - 3 - 5));

  // At the end the worker's own count stands: three of the prompt and two of the answer.
  server.model.script = () => answer('hello', [...'hello']);
  await (await ask({})).text();
  expect(await left()).toBe(100 - 3 - 5 - 5);
  await server.close(0);
});

test('over HTTP: a key’s weight', async () => {
  const { app } = testServer({ env: { API_KEYS: 'acme*3:acme-key-1,beta:beta-key-1', TENANT_MAX_IN_FLIGHT: '5' } });
  const limitOf = async (key: string) => {
    const headers = { authorization: `Bearer ${key}` };
    const payload = { model: 'minnow', prompt: 'hi' };
    const response = await app.inject({ method: 'POST', url: '/v1/completions', headers, payload });
    return response.headers['x-ratelimit-limit-requests'];
  };
  expect([await limitOf('acme-key-1'), await limitOf('beta-key-1')]).toEqual(['15', '5']);
});

test('over HTTP: 429 with the time to wait, for completions and jobs, until tokens are back', async () => {
  let now = 0;
  const env = { API_KEYS: 'acme:acme-key-1,beta:beta-key-1', TENANT_TOKENS_PER_MINUTE: '4', TENANT_MAX_IN_FLIGHT: '9' };
  const { app } = testServer({ env, deps: { clock: () => now } });
  const ask = (url: string, key: string) =>
    app.inject({
      ...{ method: 'POST', url, headers: { authorization: `Bearer ${key}` } },
      payload: { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' },
    });
  const first = await ask('/v1/completions', 'acme-key-1');
  expect(first.statusCode).toBe(200);
  expect(first.headers).toMatchObject({ 'x-ratelimit-remaining-tokens': '4', 'x-ratelimit-remaining-requests': '8' });
  for (const url of ['/v1/completions', '/v1/jobs']) {
    const response = await ask(url, 'acme-key-1');
    expect([response.statusCode, response.json().error.code]).toEqual([429, 'rate_limit_exceeded']);
    expect(response.headers['retry-after']).toBe('30');
  }
  expect((await ask('/v1/completions', 'beta-key-1')).statusCode).toBe(200);
  now = 60_000;
  expect((await ask('/v1/completions', 'acme-key-1')).statusCode).toBe(200);
});
