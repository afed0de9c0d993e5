import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { answer } from '../testing/memory-models.ts';
import { exchange, rawRequest, statusOf } from '../testing/raw-http.ts';
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

// The router decodes a path, and cuts a host off it, before it looks for the route.
const disguises = [
  ['an encoded letter', '/%761/jobs/r1'],
  ['an encoded digit', '/v%31/jobs/r1'],
  ['a host', 'http://shoal/v1/jobs/r1'],
] as const;

test.each(disguises)('a path with %s asks for a key as any other', async (_, path) => {
  const locked = testServer({ env: { API_KEYS: 'acme:acme-key-1' } });
  const headers = { authorization: 'Bearer acme-key-1' };
  const payload = { ...body, endpoint: '/v1/completions' };
  await locked.app.inject({ method: 'POST', url: '/v1/jobs', payload, headers });
  await locked.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = locked.app.server.address() as AddressInfo;
  const ask = async (method: string, ...lines: string[]) =>
    statusOf(await exchange(port, rawRequest(method, path, lines)));
  expect(await ask('GET', 'authorization: Bearer acme-key-1')).toBe(200);
  expect(await ask('GET')).toBe(401);
  expect(await ask('HEAD')).toBe(401);
  expect(await ask('DELETE')).toBe(401);
  await locked.close(0);
});

test.each(disguises)('a path with %s is turned away by a full house as any other', async (_, path) => {
  const server = testServer({ env: { MAX_QUEUE_SIZE: '1' } });
  server.model.script = () => undefined;
  const waiting = server.app.inject({ method: 'POST', url: '/v1/completions', payload: body });
  await vi.waitFor(() => expect(server.model.jobs.size).toBe(1), 10_000);
  await server.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = server.app.server.address() as AddressInfo;
  expect(statusOf(await exchange(port, rawRequest('GET', path)))).toBe(429);
  server.model.tell('r1', ...answer('hello', ['hel', 'lo']));
  expect((await waiting).statusCode).toBe(200);
  expect(statusOf(await exchange(port, rawRequest('GET', path)))).toBe(200);
  await server.close(0);
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
