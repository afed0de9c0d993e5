import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { LoneCaller } from './lone-caller.ts';

const servers: Server[] = [];
const callers: LoneCaller[] = [];

afterEach(() => {
  for (const caller of callers.splice(0)) caller.close();
  for (const server of servers.splice(0)) server.close();
});

async function callerOf(answer: RequestListener, body: Record<string, unknown> = {}): Promise<LoneCaller> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const caller = new LoneCaller(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    max_tokens: 4,
    ...body,
  });
  callers.push(caller);
  return caller;
}

const USAGE = '{"usage":{"completion_tokens":4}}';

test('an answer as a whole is timed to its last byte, and the next comes over the same connection', async () => {
  const ports = new Set<number | undefined>();
  const caller = await callerOf(async (request, response) => {
    ports.add(request.socket.remotePort);
    response.writeHead(200, { 'content-length': USAGE.length });
    response.write(USAGE.slice(0, 10));
    setTimeout(() => response.end(USAGE.slice(10)), 40);
  });
  // Timers count whole milliseconds.
  expect((await caller.time()).ms).toBeGreaterThanOrEqual(39);
  expect((await caller.time()).ms).toBeGreaterThanOrEqual(39);
  expect(ports.size).toBe(1);
});

test('a stream is timed to the end of its last part', async () => {
  const caller = await callerOf((_, response) => {
    response.write('data: {}\n\n');
    setTimeout(() => response.end(`data: ${USAGE}\n\n`), 40);
  });
  const { ms, firstMs = Number.NaN } = await caller.time();
  expect(ms).toBeGreaterThanOrEqual(39);
  expect(firstMs).toBeLessThanOrEqual(ms - 30);
});

test('what an answer says of its time in the engine is noted, where it does', async () => {
  const timed = await callerOf((_, response) =>
    response.end(
      USAGE.replace('}}', '},"shoal":{"timings":{"started_at":1700000000000.25,"finished_at":1700000000100.5}}}'),
    ),
  );
  expect((await timed.time()).engineMs).toBe(100.25);
  const bare = await callerOf((_, response) => response.end(USAGE));
  expect(await bare.time()).not.toHaveProperty('engineMs');
});

test('what is asked for arrives as it was said', async () => {
  const asked: unknown[] = [];
  const caller = await callerOf(
    async (request, response) => {
      asked.push(request.method, request.url, request.headers['content-type'], JSON.parse(await text(request)));
      response.end(USAGE);
    },
    { stream: false, prompt: [1, 2] },
  );
  await caller.time();
  expect(asked).toEqual([
    'POST',
    '/v1/completions',
    'application/json',
    { max_tokens: 4, stream: false, prompt: [1, 2] },
  ]);
});

test('an answer of another length, a refusal and a connection that breaks are errors', async () => {
  const short = await callerOf((_, response) => response.end('{"usage":{"completion_tokens":3}}'));
  await expect(short.time()).rejects.toThrow('3 tokens instead of 4');
  const refusal = await callerOf((_, response) => response.writeHead(503).end(USAGE));
  await expect(refusal.time()).rejects.toThrow('503');
  const broken = await callerOf((_, response) => response.destroy());
  await expect(broken.time()).rejects.toThrow('closed');
});
