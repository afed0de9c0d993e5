import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ActivityFrame } from '@shoal/protocol';
import type { ActivityEvent } from '@shoal/queue';
import { afterEach, expect, test } from 'vitest';
import { eventsOf, type TestServer, testServer } from '../testing/test-server.ts';

const open: TestServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close(0);
});

const FRAME: ActivityFrame = {
  ...{ v: 1, worker: 'w1', at: 5, forMs: 100, slots: 4, waiting: 1, step: 9, generatedTokens: 12 },
  runs: [{ phase: 'decode', from: 8, count: 2, rows: 3 }],
  rides: [
    { lane: 0, jobId: 'mine', tenant: 'acme', joined: 8 },
    { lane: 1, jobId: 'theirs', tenant: 'other', joined: 3, left: 8 },
    { lane: 2, jobId: 'nobodys', joined: 4, choice: 1 },
  ],
  firstTokensMs: [20],
};
const HAPPENED: ActivityEvent[] = [
  { type: 'depth', waiting: 7, running: 3 },
  { type: 'frame', frame: FRAME },
];

/** Reads from a listening server until `count` events have come, then leaves. */
async function watch(server: TestServer, headers: Record<string, string>, count: number): Promise<unknown[]> {
  const response = await connectTo(server, headers);
  let body = '';
  for await (const bytes of response) {
    body += String(bytes);
    if (eventsOf(body).length >= count) break;
  }
  response.destroy();
  return eventsOf(body);
}

async function connectTo(server: TestServer, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  if (!server.app.server.listening) await server.app.listen({ port: 0 });
  const { port } = server.app.server.address() as AddressInfo;
  const request = get({ port, path: '/v1/activity?model=minnow', headers });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

function serverWith(env: Record<string, string> = {}): TestServer {
  const server = testServer({ env });
  server.model.happened.push(...HAPPENED);
  open.push(server);
  return server;
}

const TIMES = [
  { lane: 0, joined: 8 },
  { lane: 1, joined: 3, left: 8 },
  { lane: 2, joined: 4 },
];

test('a watcher sees the queue and each frame', async () => {
  const [queue, frame] = await watch(serverWith(), {}, 2);
  expect(queue).toEqual({ object: 'activity.queue', waiting: 7, running: 3 });
  expect(frame).toEqual({
    ...{ object: 'activity.frame', worker: 'w1', at: 5, for_ms: 100, slots: 4, waiting: 1, step: 9 },
    ...{ generated_tokens: 12, first_tokens_ms: [20], runs: FRAME.runs },
    rides: [TIMES[0], TIMES[1], { ...TIMES[2], job_id: 'nobodys', choice: 1 }],
  });
});

test('a tenant sees which sequences are its own, and of others only that they are there', async () => {
  const server = serverWith({ API_KEYS: 'acme:key-of-acme-1,third:key-of-third-1' });
  const ridesFor = async (key: string) => {
    const [, frame] = await watch(server, { authorization: `Bearer ${key}` }, 2);
    return (frame as { rides: object[] }).rides;
  };
  expect(await ridesFor('key-of-acme-1')).toEqual([{ ...TIMES[0], job_id: 'mine', choice: 0 }, TIMES[1], TIMES[2]]);
  expect(await ridesFor('key-of-third-1')).toEqual(TIMES);
});

test('watching needs a key where keys are asked for, and a model that is served', async () => {
  const server = serverWith({ API_KEYS: 'acme:key-of-acme-1' });
  const headers = { authorization: 'Bearer key-of-acme-1' };
  const statusOf = async (url: string, init: object) => (await server.app.inject({ url, ...init })).statusCode;
  expect(await statusOf('/v1/activity?model=minnow', {})).toBe(401);
  expect(await statusOf('/v1/activity?model=shark', { headers })).toBe(404);
  expect(await statusOf('/v1/activity', { headers })).toBe(400);
});

test('a watcher that leaves is forgotten', async () => {
  const server = serverWith();
  await watch(server, {}, 2);
  await expect.poll(() => server.model.listening).toBe(0);
});

test('one watcher too many is turned away, and may come when another has left', async () => {
  const server = serverWith();
  const watchers: IncomingMessage[] = [];
  for (let n = 0; n < 100; n++) watchers.push(await connectTo(server));
  const late = await connectTo(server);
  expect([late.statusCode, late.headers['retry-after']]).toEqual([429, '5']);
  watchers[0]?.destroy();
  await expect.poll(async () => (await connectTo(server)).statusCode).toBe(200);
});

test('the watchers of one tenant leave room for others', async () => {
  const server = serverWith({ API_KEYS: 'acme:key-of-acme-1,third:key-of-third-1' });
  const as = (tenant: string) => connectTo(server, { authorization: `Bearer key-of-${tenant}-1` });
  const watchers: IncomingMessage[] = [];
  for (let n = 0; n < 25; n++) watchers.push(await as('acme'));
  const late = await as('acme');
  expect([late.statusCode, late.headers['retry-after']]).toEqual([429, '5']);
  expect((await as('third')).statusCode).toBe(200);
  watchers[0]?.destroy();
  await expect.poll(async () => (await as('acme')).statusCode).toBe(200);
});

test('watchers do not hold up the end of the server', async () => {
  const server = serverWith();
  const response = await connectTo(server);
  const ended = once(response.resume(), 'end');
  await server.close(60_000);
  await ended;
});
