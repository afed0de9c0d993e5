import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { testServer } from '../testing/test-server.ts';

const body = { model: 'minnow', prompt: 'hi' };

test('models are listed, and found by name', async () => {
  const { app } = testServer();
  const model = {
    id: 'minnow',
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'shoal',
    max_model_len: 512,
    shoal: { chat: true, workers: 1, revision: 'abc123', dtype: 'fp32', execution_provider: 'cpu' },
  };
  expect((await app.inject('/v1/models')).json()).toEqual({ object: 'list', data: [model] });
  expect((await app.inject('/v1/models/minnow')).json()).toEqual(model);
  const missing = await app.inject('/v1/models/org/name');
  expect([missing.statusCode, missing.json().error.code]).toEqual([404, 'model_not_found']);
});

test('while Redis is away the service is alive but not ready, and recovers by itself', async () => {
  const { app, models } = testServer();
  models.away = true;
  expect((await app.inject('/health/live')).statusCode).toBe(200);
  for (const request of [
    { method: 'GET', url: '/health/ready' },
    { method: 'GET', url: '/v1/models' },
    { method: 'GET', url: '/v1/jobs/r1' },
    { method: 'POST', url: '/v1/completions', payload: body },
  ] as const) {
    const response = await app.inject(request);
    expect([response.statusCode, response.json().error.code]).toEqual([503, 'unavailable']);
    expect(response.headers['retry-after']).toBe('1');
  }
  expect((await app.inject('/metrics')).statusCode).toBe(200);
  models.away = false;
  expect((await app.inject('/health/ready')).statusCode).toBe(200);
  expect((await app.inject({ method: 'POST', url: '/v1/completions', payload: body })).statusCode).toBe(200);
});

test.each([
  ['no key', undefined],
  ['an unknown key', 'Bearer plain-key-2'],
  ['a part of a key', 'Bearer plain-key-'],
  ['another scheme', 'Basic cGxhaW4ta2V5LTE='],
  ['an empty key', 'Bearer '],
])('with keys configured, %s is 401', async (_, authorization) => {
  const { app, model } = testServer({ env: { API_KEYS: 'plain-key-1' } });
  const headers = authorization === undefined ? {} : { authorization };
  const response = await app.inject({ method: 'POST', url: '/v1/completions', payload: body, headers });
  expect([response.statusCode, response.json().error.type]).toEqual([401, 'authentication_error']);
  expect(response.body).not.toContain('plain-key');
  expect(model.jobs.size).toBe(0);
});

test('a key lets its tenant in, whether it was configured plain or hashed', async () => {
  const hash = createHash('sha256').update('hashed-key-1').digest('hex');
  const { app, model } = testServer({ env: { API_KEYS: `plain-key-1,acme:sha256:${hash}` } });
  for (const key of ['plain-key-1', 'hashed-key-1']) {
    const headers = { authorization: `Bearer ${key}` };
    expect((await app.inject({ method: 'POST', url: '/v1/completions', payload: body, headers })).statusCode).toBe(200);
  }
  expect([...model.jobs.values()].map(({ request }) => request.tenant)).toEqual(['default', 'acme']);
});

test('health, metrics and the playground need no key', async () => {
  const { app } = testServer({ env: { API_KEYS: 'plain-key-1' } });
  for (const url of ['/health/live', '/health/ready', '/metrics', '/', ...assetsOf((await app.inject('/')).body)]) {
    expect((await app.inject(url)).statusCode, url).toBe(200);
  }
});

test('a request id of the caller’s is kept when it is harmless', async () => {
  const { app } = testServer();
  const idOf = async (id: string) =>
    (await app.inject({ url: '/health/live', headers: { 'x-request-id': id } })).headers['x-request-id'];
  expect(await idOf('trace-1')).toBe('trace-1');
  expect(await idOf('a b')).toMatch(/^[0-9a-f-]{36}$/);
});

test('the playground loads nothing from elsewhere, and is cached by content', async () => {
  const { app } = testServer();
  const page = await app.inject('/');
  expect(page.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache' });
  expect(page.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
  expect(page.headers['content-security-policy']).not.toMatch(/unsafe|https?:|\*/);
  expect(page.body).not.toMatch(/https?:\/\/|\son\w+=|style=|<script>|<style|rel="board"/);
  const again = await app.inject({ url: '/', headers: { 'if-none-match': String(page.headers.etag) } });
  expect([again.statusCode, again.body]).toEqual([304, '']);
});

test('the playground is small, and zipped for whoever takes that', async () => {
  const { app } = testServer();
  const assets = assetsOf((await app.inject('/')).body);
  expect(assets.length).toBeGreaterThanOrEqual(3);
  let bytes = 0;
  for (const url of assets) {
    const plain = await app.inject(url);
    const zipped = await app.inject({ url, headers: { 'accept-encoding': 'br, gzip' } });
    expect([plain.headers['content-encoding'], zipped.headers['content-encoding']]).toEqual([undefined, 'gzip']);
    expect(zipped.headers['cache-control']).toContain('immutable');
    expect(gunzipSync(zipped.rawPayload).equals(plain.rawPayload)).toBe(true);
    bytes += zipped.rawPayload.length;
  }
  expect(bytes).toBeLessThan(100_000);
});

test('the playground links to the board where there is one', async () => {
  const { app } = testServer({ env: { BOARD_URL: 'https://board.example/?a=1&b="2' } });
  expect((await app.inject('/')).body).toContain('<link rel="board" href="https://board.example/?a=1&amp;b=%222" />');
});

/** Paths of what the page loads. */
function assetsOf(page: string): string[] {
  return [...page.matchAll(/(?:src|href)="\.?(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? '');
}
