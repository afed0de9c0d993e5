import { expect, test } from 'vitest';
import { MemoryModel } from '../testing/memory-models.ts';
import { testServer } from '../testing/test-server.ts';

const body = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' };

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

test('a submission that is repeated under its key costs nothing, and is answered also when no tokens are left', async () => {
  const { app, model } = testServer({ env: { API_KEYS: 'acme:acme-key-1', TENANT_TOKENS_PER_MINUTE: '100' } });
  model.script = () => undefined;
  const headers = { authorization: 'Bearer acme-key-1' };
  const submit = (key: string, fields: object) => app.inject(submitAs(key, fields, headers));
  const left = async () => {
    const { statusCode, headers: told } = await submit('key-0', { max_tokens: 10 });
    return [statusCode, told['x-ratelimit-remaining-tokens']];
  };
  expect(await left()).toEqual([202, '100']);
  const afterOne = await left();
  expect(afterOne).not.toEqual([202, '100']);
  expect(await left()).toEqual(afterOne);
  expect((await submit('key-1', { max_tokens: 200 })).statusCode).toBe(202);
  expect((await submit('key-2', { max_tokens: 10 })).statusCode).toBe(429);
  expect((await left())[0]).toBe(202);
  expect((await submit('key-1', { max_tokens: 201 })).statusCode).toBe(409);
  expect(model.jobs.size).toBe(2);
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
