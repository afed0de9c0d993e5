import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openProducer, openWebhookOutbox, type Producer, type WebhookOutbox } from '@shoal/queue';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import type { ServedModel } from '../models.ts';
import { MemoryModel } from '../testing/memory-models.ts';
import { type DispatcherOptions, pauseAfter, WebhookDispatcher } from './dispatcher.ts';
import { payloadOf } from './payload.ts';

// Real Redis, a real receiver.

const redisUrl = inject('redisUrl');
const SECRET = Buffer.from('a secret of at least 24 bytes').toString('base64');
let prefix: string;
let producer: Producer;
let closers: (() => unknown)[];

beforeEach(() => {
  prefix = `test-${randomUUID()}`;
  producer = openProducer({ redisUrl, prefix, model: 'minnow' });
  closers = [() => producer.close()];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

/** Answers with each status in turn, the last one for ever; `undefined` never answers. */
async function receiver(...statuses: (number | undefined)[]) {
  const received: Received[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const status = statuses[Math.min(received.length, statuses.length - 1)];
    received.push({ headers: request.headers, body });
    if (status !== undefined) response.writeHead(status, { location: '/elsewhere' }).end('thanks');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { received, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
}

/** One replica of the API, as far as webhooks go. */
function replica(
  options: Partial<DispatcherOptions['config']> &
    Pick<Partial<DispatcherOptions>, 'leaseMarginMs'> & { models?: [string, Producer][]; unreadable?: string } = {},
) {
  const { leaseMarginMs, models = [['minnow', producer]], unreadable, ...config } = options;
  const served = models.map(([name, producer]) => ({ card: new MemoryModel({ name }).card, producer }));
  const warnings: unknown[] = [];
  const outboxes: WebhookOutbox[] = [];
  const dispatcher = new WebhookDispatcher({
    config: {
      webhookSecret: [SECRET],
      webhookAllowPrivate: true,
      webhookTimeoutMs: 5_000,
      webhookMaxAttempts: 5,
      ...config,
    },
    models: { list: async () => served as Partial<ServedModel>[] as ServedModel[] },
    openOutbox: (model) => {
      const outbox = openWebhookOutbox({ redisUrl, prefix, model });
      // Tests do not wait for pauses: what is to be tried again is due at once.
      const hasty: WebhookOutbox = {
        take: async (...asked) => {
          if (model === unreadable) throw new Error('away');
          return await outbox.take(...asked);
        },
        settle: (call, outcome) =>
          outbox.settle(call, outcome.state === 'pending' ? { ...outcome, delayMs: 0 } : outcome),
        close: () => outbox.close(),
      };
      outboxes.push(hasty);
      return hasty;
    },
    logger: { warn: (fact: unknown) => void warnings.push(fact), debug: () => {} },
    clock: () => 1_700_000_000_000,
    random: () => 0,
    intervalMs: 10,
    ...(leaseMarginMs === undefined ? {} : { leaseMarginMs }),
  });
  dispatcher.start();
  closers.push(() => dispatcher.close());
  return { dispatcher, outboxes, warnings };
}

/** A job that ends at once, by being cancelled while it waits. */
async function endJob(id: string, webhookUrl: string, on: Producer = producer, tenant?: string): Promise<void> {
  const params = { temperature: 0, topP: 1, topK: 0, stop: [] };
  await on.submit({ v: 1, prompt: 'hi', params, tenant }, { id, priority: 5, webhookUrl });
  await on.cancel(id);
}

const webhookOf = async (id: string) => (await producer.view(id))?.webhook;
const until = (check: () => unknown) => vi.waitFor(check, { timeout: 10_000, interval: 10 });

describe('a webhook', () => {
  test('tells of the end of a job, signed, under an id of its own', async () => {
    const { received, url } = await receiver(204);
    replica();
    await endJob('a', url);
    await until(async () => expect(await webhookOf('a')).toEqual({ state: 'delivered', attempts: 1 }));
    expect(received).toHaveLength(1);
    const [{ headers, body } = { headers: {}, body: '' }] = received;
    expect(JSON.parse(body)).toMatchObject({
      type: 'job.cancelled',
      data: { id: 'a', object: 'job', model: 'minnow', status: 'cancelled', error: { code: 'cancelled' } },
    });
    const { 'webhook-id': id, 'webhook-timestamp': timestamp } = headers;
    expect([id, timestamp]).toEqual([expect.stringMatching(/^msg_a_\d+$/), '1700000000']);
    const expected = createHmac('sha256', Buffer.from(SECRET, 'base64')).update(`${id}.${timestamp}.${body}`);
    expect(headers['webhook-signature']).toBe(`v1,${expected.digest('base64')}`);
  });

  test('is called again, the same but for its time, while the receiver is down', async () => {
    const { received, url } = await receiver(500, 302, 200);
    replica();
    await endJob('a', url);
    await until(async () => expect(await webhookOf('a')).toMatchObject({ state: 'delivered', attempts: 3 }));
    // A redirect is not followed: nothing came to another path.
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  test('is called again when nobody listened, and then somebody does', async () => {
    const { server, url, received } = await receiver(200);
    const port = Number(new URL(url).port);
    server.close();
    await once(server, 'close');
    replica({ webhookMaxAttempts: 100 });
    await endJob('a', url);
    await until(async () =>
      expect(await webhookOf('a')).toMatchObject({ state: 'pending', lastError: 'no connection' }),
    );
    server.listen(port, '127.0.0.1');
    await until(async () => expect(await webhookOf('a')).toMatchObject({ state: 'delivered' }));
    expect(received).toHaveLength(1);
  });

  test.each([
    ['after the last attempt', [500], { state: 'failed', attempts: 5, lastError: 'HTTP 500' }],
    ['at once when its receiver is gone for good', [410], { state: 'failed', attempts: 1, lastError: 'HTTP 410' }],
  ])('is given up %s, and the job shows it', async (_, statuses, expected) => {
    const { url } = await receiver(...statuses);
    replica();
    await endJob('a', url);
    await until(async () => expect(await webhookOf('a')).toEqual(expected));
  });

  test('has so much time, and no more', async () => {
    const { url } = await receiver(undefined);
    replica({ webhookTimeoutMs: 100, webhookMaxAttempts: 1 });
    await endJob('a', url);
    await until(async () =>
      expect(await webhookOf('a')).toEqual({ state: 'failed', attempts: 1, lastError: 'no answer within 100 ms' }),
    );
  });

  test.each([
    ['http://127.0.0.1:1/', 'only https is called'],
    ['https://127.0.0.1:1/', 'the address is not a public one'],
    ['https://[::1]:1/', 'the address is not a public one'],
    ['https://169.254.169.254/latest/meta-data', 'the address is not a public one'],
    ['https://localhost:1/', 'the address is not a public one'],
  ])('does not go to %s', async (url, lastError) => {
    replica({ webhookAllowPrivate: false, webhookMaxAttempts: 1 });
    await endJob('a', url);
    await until(async () => expect(await webhookOf('a')).toEqual({ state: 'failed', attempts: 1, lastError }));
  });

  test('that a replica took along when it died is called by another', async () => {
    const { received, url } = await receiver(undefined, 200);
    const dying = replica({ webhookTimeoutMs: 100, leaseMarginMs: 200 });
    await endJob('a', url);
    await until(() => expect(received).toHaveLength(1));
    // It dies: what it was about to say of its call reaches nobody.
    for (const outbox of dying.outboxes) outbox.settle = async () => {};
    void dying.dispatcher.close();
    replica();
    await until(async () => expect(await webhookOf('a')).toMatchObject({ state: 'delivered', attempts: 2 }));
    expect(received[1]?.headers['webhook-id']).toBe(received[0]?.headers['webhook-id']);
  });

  test('does not wait behind those to a receiver that never answers', async () => {
    const dead = await receiver(undefined);
    const { received, url } = await receiver(200);
    for (let n = 0; n < 40; n += 1) await endJob(`dead-${n}`, dead.url);
    await endJob('a', url);
    replica({ webhookTimeoutMs: 600_000 });
    await until(async () => expect(await webhookOf('a')).toMatchObject({ state: 'delivered' }));
    expect(received).toHaveLength(1);
    expect(dead.received.length).toBeLessThanOrEqual(4);
  });

  test('of one tenant does not wait behind those of another whose receivers never answer', async () => {
    const dead = [];
    for (let n = 0; n < 40; n += 1) {
      const hanging = await receiver(undefined);
      dead.push(hanging);
      await endJob(`dead-${n}`, hanging.url, producer, 'acme');
    }
    const { url } = await receiver(200);
    await endJob('a', url, producer, 'beta');
    replica({ webhookTimeoutMs: 600_000 });
    await until(async () => expect(await webhookOf('a')).toMatchObject({ state: 'delivered' }));
    expect(dead.filter(({ received }) => received.length > 0).length).toBeLessThanOrEqual(8);
  });

  test('of one model does not wait behind those of another whose receivers never answer', async () => {
    const shark = openProducer({ redisUrl, prefix, model: 'shark' });
    closers.push(() => shark.close());
    for (let n = 0; n < 40; n += 1) await endJob(`dead-${n}`, (await receiver(undefined)).url);
    const { url } = await receiver(200);
    await endJob('a', url, shark);
    const models: [string, Producer][] = [
      ['minnow', producer],
      ['shark', shark],
    ];
    replica({ webhookTimeoutMs: 600_000, models });
    await until(async () => expect((await shark.view('a'))?.webhook).toMatchObject({ state: 'delivered' }));
  });

  test('does not wait for another model whose outbox cannot be read, which is told once', async () => {
    const { url } = await receiver(200);
    const models: [string, Producer][] = [
      ['broken', producer],
      ['minnow', producer],
    ];
    const { warnings } = replica({ models, unreadable: 'broken' });
    for (const id of ['a', 'b']) {
      await endJob(id, url);
      await until(async () => expect(await webhookOf(id)).toMatchObject({ state: 'delivered' }));
    }
    expect(warnings).toEqual([expect.objectContaining({ model: 'broken' })]);
  });

  test('of a completed job whose result is no longer kept says that it is left out', () => {
    const call = { jobId: 'a', url: 'https://example.com/', host: 'example.com', attempt: 12, endedAt: 1000 };
    const told = (fields: object) =>
      JSON.parse(payloadOf({ ...call, outcome: 'completed', ...fields }, undefined, 'minnow'));
    expect(told({})).toMatchObject({ type: 'job.completed', data: { status: 'completed', result_omitted: true } });
    const failed = told({ outcome: 'failed', error: { code: 'inference_error', message: 'nan' } });
    expect(failed.data).not.toHaveProperty('result_omitted');
  });

  test('is called by one of several replicas, not by all', async () => {
    const { received, url } = await receiver(200);
    for (let n = 0; n < 3; n++) replica();
    const ids = Array.from({ length: 20 }, (_, n) => `job-${n}`);
    await Promise.all(ids.map((id) => endJob(id, url)));
    await until(async () => {
      for (const id of ids) expect(await webhookOf(id)).toEqual({ state: 'delivered', attempts: 1 });
    });
    expect(received).toHaveLength(20);
  });
});

test('pauses double from 2 s to 15 min, less up to a half', () => {
  expect([1, 2, 3, 9, 10, 100].map((attempt) => pauseAfter(attempt, 0))).toEqual([2e3, 4e3, 8e3, 512e3, 900e3, 900e3]);
  expect(pauseAfter(1, 0.999)).toBe(1001);
});
