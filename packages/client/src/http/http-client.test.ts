import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { ShoalClient } from '../client.ts';
import { httpClient } from './http-client.ts';
import { retryAfterOf } from './http-error.ts';

interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

type Handler = (seen: Seen, response: ServerResponse) => void;

const JOB = { id: 'j1', object: 'job', model: 'm', status: 'queued', created_at: 1, attempts: 0 };
const FINISHED = {
  result: { text: 'ab', token_ids: [1, 2], finish_reason: 'stop' },
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  shoal: {
    job_id: 'j1',
    worker: 'w',
    batch: { id: 0, size: 1 },
    seed: 4,
    timings: { queued_at: 1, claimed_at: 2, started_at: 3, first_token_at: 4, finished_at: 5 },
  },
};

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server that answers request number n with the n-th handler. */
async function serve(...handlers: Handler[]) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
    seen.push(one);
    const handler = handlers[seen.length - 1];
    if (handler) handler(one, response);
    else response.writeHead(500).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { seen, url: `http://127.0.0.1:${port}` };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const error = (status: number, code: string | null, headers: Record<string, string> = {}) =>
  json(status, { error: { message: 'said so', type: 't', param: null, code } }, headers);
const tokens = (position: number, text: string) =>
  `id: ${position + 1}\ndata: ${JSON.stringify({ type: 'tokens', position, token_ids: [position + 1], text })}\n\n`;
const completed = `id: 2\ndata: ${JSON.stringify({ type: 'completed', ...FINISHED })}\n\n`;
const events =
  (text: string, end: 'end' | 'break' | 'hang'): Handler =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(text, () => {
      if (end === 'end') response.end();
      if (end === 'break') response.destroy();
    });
  };

describe('httpClient', () => {
  it('resumes a stream that broke from its last event', async () => {
    const { url, seen } = await serve(
      json(202, JOB),
      events(`: keep-alive\n\n${tokens(0, 'a')}`, 'break'),
      events(tokens(1, 'b') + completed, 'end'),
    );
    const stream = httpClient({ url, model: 'm', apiKey: 'secret' }).stream({ prompt: 'x' });
    let text = '';
    for await (const delta of stream) text += delta.text;
    expect(text).toBe('ab');
    expect(await stream.result()).toMatchObject({ text: 'ab', tokenIds: [1, 2], seed: 4, ride: { worker: 'w' } });
    expect(seen.map((one) => one.headers['last-event-id'])).toEqual([undefined, '0', '1']);
    expect(seen.every((one) => one.headers.authorization === 'Bearer secret')).toBe(true);
  });

  it('takes silence for a break', async () => {
    const { url } = await serve(
      json(202, JOB),
      events(tokens(0, 'a'), 'hang'),
      events(tokens(1, 'b') + completed, 'end'),
    );
    const client = httpClient({ url, model: 'm', silenceMs: 100 });
    expect((await client.generate({ prompt: 'x' })).text).toBe('ab');
  });

  it('repeats a submission under the same key, after the time it was told', async () => {
    const { url, seen } = await serve(
      (_, response) => response.destroy(),
      error(429, 'queue_full', { 'retry-after-ms': '20' }),
      json(202, JOB),
    );
    expect(await httpClient({ url, model: 'm' }).submit({ prompt: 'x' })).toMatchObject({ id: 'j1', queuedAt: 1 });
    const keys = seen.map((one) => one.headers['idempotency-key']);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
  });

  it('writes a request in the words of the endpoint', async () => {
    const { url, seen } = await serve(json(202, JOB), json(202, JOB));
    const client = httpClient({ url: `${url}/v1/`, model: 'm' });
    const served = { timeoutMs: 9, priority: 0, webhookUrl: 'https://h' };
    await client.submit({ prompt: 'x', maxTokens: 3, logprobs: 2, logitBias: { '1': 2 }, ...served });
    const chat = {
      messages: [{ role: 'user' as const, content: 'x' }],
      chatTemplateKwargs: { enable_thinking: false },
    };
    await client.submit({ ...chat, logprobs: 2, model: 'other' });
    expect(seen.map((one) => `${one.method} ${one.url}`)).toEqual(['POST /v1/jobs', 'POST /v1/jobs']);
    expect(seen.map((one) => JSON.parse(one.body))).toEqual([
      {
        endpoint: '/v1/completions',
        model: 'm',
        prompt: 'x',
        max_tokens: 3,
        logprobs: 2,
        logit_bias: { '1': 2 },
        timeout_ms: 9,
        priority: 0,
        webhook_url: 'https://h',
      },
      {
        endpoint: '/v1/chat/completions',
        model: 'other',
        messages: [{ role: 'user', content: 'x' }],
        chat_template_kwargs: { enable_thinking: false },
        logprobs: true,
        top_logprobs: 2,
        priority: 5,
      },
    ]);
  });

  it.each([
    [401, 'invalid_api_key', 'invalid_api_key'],
    [404, 'job_not_found', 'job_not_found'],
    [404, null, 'invalid_request_error'],
    [413, 'something new', 'payload_too_large'],
    [429, null, 'rate_limit_exceeded'],
    [502, null, 'unavailable'],
  ])('%s with code %s is %s', async (status, code, expected) => {
    const { url } = await serve(error(status, code));
    const failure = httpClient({ url, maxRetries: 0 }).job('j1');
    await expect(failure).rejects.toMatchObject({ name: 'ShoalError', code: expected, message: 'said so' });
  });

  it('says where nothing answers, without the password', async () => {
    const { url } = await serve();
    for (const close of closers.splice(0)) close();
    const client = httpClient({ url: url.replace('//', '//me:hunter2@'), maxRetries: 0 });
    const failure = await client.job('j1').catch((reason: unknown) => reason);
    expect(failure).toMatchObject({
      code: 'unavailable',
      message: `${url} does not answer; check that the API runs there`,
    });
    expect(inspect(failure, { depth: null })).not.toContain('hunter2');
  });

  it('logs in with the user and password of the URL', async () => {
    const { url, seen } = await serve(json(200, JOB), json(200, JOB));
    await httpClient({ url: `${url.replace('//', '//me:h%C3%BCnt%3Aer2@')}/v1` }).job('j1');
    await httpClient({ url: url.replace('//', '//only@') }).job('j1');
    const basic = (login: string) => `Basic ${Buffer.from(login).toString('base64')}`;
    expect(seen.map((one) => one.headers.authorization)).toEqual([basic('me:hünt:er2'), basic('only:')]);
    expect(seen.map((one) => one.url)).toEqual(['/v1/jobs/j1', '/v1/jobs/j1']);
  });

  it.each([
    ['http://me:hunter2@127.0.0.1', 'key', /take one away/],
    ['http://me:hunter2%zz@127.0.0.1', undefined, /write %25/],
    ['ftp://me:hunter2@127.0.0.1', undefined, /must be an http or https URL/],
    ['http://me:hunter2@127.0.0.1:999999', undefined, /must be an http or https URL/],
  ])('refuses %s with the key %s, and does not repeat the password', (url, apiKey, message) => {
    let failure: unknown;
    try {
      httpClient({ url, apiKey });
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({
      code: 'invalid_request_error',
      param: 'url',
      message: expect.stringMatching(message),
    });
    expect(inspect(failure, { depth: null })).not.toContain('hunter2');
  });

  it.each<[string, (client: ShoalClient, signal: AbortSignal) => Promise<unknown>]>([
    ['job', (client, signal) => client.job('j1', { signal })],
    ['request', (client, signal) => client.request('j1', { signal })],
    ['cancel', (client, signal) => client.cancel('j1', { signal })],
    ['queues', (client, signal) => client.queues({ signal })],
  ])(
    'gives up the connection of %s when it is aborted',
    async (_, call) => {
      const abort = new AbortController();
      let closed: Promise<unknown> = Promise.resolve();
      const { url } = await serve((_, response) => {
        closed = once(response, 'close');
        abort.abort();
      });
      await expect(call(httpClient({ url }), abort.signal)).rejects.toMatchObject({ code: 'cancelled' });
      await closed;
    },
    5_000,
  );

  it('does not take another service for Shoal', async () => {
    const { url } = await serve((_, response) => response.end('<html>'));
    await expect(httpClient({ url }).job('j1')).rejects.toMatchObject({ code: 'invalid_request_error' });
    expect(() => httpClient({ url: 'ftp://x' })).toThrow('http');
  });

  it('cancels a submission that was on its way when the caller left', async () => {
    const abort = new AbortController();
    const { url, seen } = await serve(
      (_, response) => {
        abort.abort();
        json(202, JOB)(_, response);
      },
      json(200, { ...JOB, status: 'cancelled' }),
    );
    const client = httpClient({ url, model: 'm' });
    await expect(client.generate({ prompt: 'x' }, { signal: abort.signal })).rejects.toMatchObject({
      code: 'cancelled',
    });
    await client.close();
    expect(seen.map((one) => `${one.method} ${one.url}`)).toEqual(['POST /v1/jobs', 'DELETE /v1/jobs/j1']);
  });
});

describe('retryAfterOf', () => {
  it.each([
    [{ 'retry-after-ms': '250', 'retry-after': '9' }, 250],
    [{ 'retry-after': '2' }, 2000],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:05 GMT' }, 4000],
    [{ 'retry-after': 'soon' }, undefined],
    [{}, undefined],
  ])('%o is %s', (headers, expected) => {
    expect(retryAfterOf(new Headers(headers as Record<string, string>), 1000)).toBe(expected);
  });
});
