import { beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import {
  ChatResponse,
  CompletionResponse,
  ErrorResponse,
  JobListResponse,
  JobResponse,
  ModelListResponse,
  ModelResponse,
} from '../schemas/responses.ts';
import { answer } from '../testing/memory-models.ts';
import { testServer } from '../testing/test-server.ts';

const server = testServer();
const { app, model } = server;

beforeAll(() => app.ready());

test('the document is OpenAPI 3.1, and has every route', async () => {
  const document = (await app.inject('/docs/json')).json();
  expect(document.openapi).toBe('3.1.0');
  const routes = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(routes.sort()).toEqual([
    'DELETE /v1/jobs/{id}',
    'GET /health/live',
    'GET /health/ready',
    'GET /metrics',
    'GET /v1/activity',
    'GET /v1/jobs',
    'GET /v1/jobs/{id}',
    'GET /v1/jobs/{id}/events',
    'GET /v1/models',
    'GET /v1/models/{*}',
    'POST /v1/chat/completions',
    'POST /v1/completions',
    'POST /v1/jobs',
  ]);
});

test('bodies are described field by field, with an example that works', async () => {
  const document = (await app.inject('/docs/json')).json();
  for (const path of ['/v1/completions', '/v1/chat/completions', '/v1/jobs']) {
    const content = document.paths[path].post.requestBody.content['application/json'];
    const examples =
      content.example === undefined ? Object.values<{ value: object }>(content.examples) : [content.example];
    expect(examples.length, path).toBeGreaterThan(0);
    for (const example of examples) {
      const payload = 'value' in example ? example.value : example;
      const response = await app.inject({ method: 'POST', url: path, payload });
      expect([path, response.statusCode]).toEqual([path, path === '/v1/jobs' ? 202 : 200]);
    }
  }
  const { properties } = document.paths['/v1/completions'].post.requestBody.content['application/json'].schema;
  expect(properties.temperature).toMatchObject({ description: expect.stringContaining('greedy') });
  for (const [name, property] of Object.entries<{ description?: string }>(properties)) {
    expect(property.description?.length, name).toBeGreaterThan(5);
  }
});

test('the page is there, and loads nothing from elsewhere', async () => {
  const page = await app.inject('/docs');
  expect([page.statusCode, page.body.includes('swagger')]).toEqual([200, true]);
  expect(page.body).not.toMatch(/(src|href)="https?:/);
  expect(String(page.headers['content-security-policy'])).toContain("default-src 'self'");
});

const body = { model: 'minnow', prompt: 'hi' };
const messages = [{ role: 'user', content: 'hi' }];
const logprobs = [{ tokenId: 5, text: 'he', logprob: -0.5, top: [{ tokenId: 6, text: 'ye', logprob: -0.4 }] }];
const choices = [
  { text: 'one', tokenIds: [1], finishReason: 'stop' as const, logprobs },
  { text: 'two', tokenIds: [2], finishReason: 'length' as const, logprobs },
];

test.each<[string, z.ZodType, string, object | undefined]>([
  ['a completion', CompletionResponse, '/v1/completions', body],
  ['completions', CompletionResponse, '/v1/completions', { ...body, prompt: ['a', 'b'] }],
  ['a chat', ChatResponse, '/v1/chat/completions', { model: 'minnow', messages }],
  ['a job', JobResponse, '/v1/jobs', { ...body, endpoint: '/v1/completions' }],
  ['jobs', JobListResponse, '/v1/jobs', [{ ...body, endpoint: '/v1/completions' }]],
  ['models', ModelListResponse, '/v1/models', undefined],
  ['a model', ModelResponse, '/v1/models/minnow', undefined],
  ['an error', ErrorResponse, '/v1/completions', {}],
  ['an unknown route', ErrorResponse, '/nowhere', {}],
])('what is described is what is answered: %s', async (_, schema, url, payload) => {
  for (const result of [{}, { logprobs, choices }]) {
    model.script = () => answer('one', [], result);
    const response = await app.inject(payload === undefined ? { url } : { method: 'POST', url, payload });
    const parsed = schema.safeParse(response.json());
    expect(parsed.error?.issues ?? []).toEqual([]);
  }
});
