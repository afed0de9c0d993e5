import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { answer } from '../testing/memory-models.ts';
import { exchange } from '../testing/raw-http.ts';
import { type TestServer, testServer } from '../testing/test-server.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.close(0);
  server = undefined;
});

async function listen(
  options: Parameters<typeof testServer>[0] = {},
): Promise<TestServer & { url: string; port: number }> {
  const started = testServer(options);
  server = started;
  const url = await started.app.listen({ port: 0, host: '127.0.0.1' });
  return { ...started, url, port: (started.app.server.address() as AddressInfo).port };
}

const json = { 'content-type': 'application/json' };
const completion = (fields: object = {}) => ({
  method: 'POST',
  headers: json,
  body: JSON.stringify({ model: 'minnow', prompt: 'hi', ...fields }),
});

test('a caller who leaves a stream cancels it', async () => {
  const { url, model } = await listen();
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  const caller = new AbortController();
  const response = await fetch(`${url}/v1/completions`, { ...completion({ stream: true }), signal: caller.signal });
  const reader = response.body?.getReader();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"text":"hel"');
  caller.abort();
  await expect.poll(() => model.cancelled).toEqual(['r1']);
  await expect.poll(() => model.listening).toBe(0);
});

test('a connection takes the next request when its stream has ended', async () => {
  const { url, app } = await listen();
  let connections = 0;
  app.server.on('connection', () => {
    connections += 1;
  });
  const agent = new Agent({ keepAlive: true });
  const { method, headers, body } = completion({ stream: true });
  for (let asked = 0; asked < 3; asked++) {
    const sent = request(`${url}/v1/completions`, { method, headers, agent }).end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    expect(await text(response)).toContain('[DONE]');
    // The agent has its socket back one turn after the last byte.
    await turn();
  }
  expect(connections).toBe(1);
  agent.destroy();
});

test('a caller who leaves before the answer cancels all its jobs', async () => {
  const { url, model } = await listen();
  model.script = () => undefined;
  const caller = new AbortController();
  const answering = fetch(`${url}/v1/completions`, { ...completion({ prompt: ['a', 'b'] }), signal: caller.signal });
  await expect.poll(() => model.jobs.size).toBe(2);
  caller.abort();
  await expect(answering).rejects.toThrow();
  await expect.poll(() => model.cancelled.sort()).toEqual(['r1-0', 'r1-1']);
});

/** Bytes of a POST that leaves its connection open. */
const posted = (fields: object = {}): string => {
  const { body } = completion(fields);
  const head = ['POST /v1/completions HTTP/1.1', 'host: x', 'content-type: application/json'];
  return `${head.join('\r\n')}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
};

test('requests behind one that waits give up their places when their connection dies', async () => {
  const { url, port, model, close } = await listen({ env: { MAX_QUEUE_SIZE: '4' } });
  model.script = () => undefined;
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(posted() + 'GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(3));
  const status = async () => (await fetch(`${url}/v1/models`)).status;
  await expect.poll(status).toBe(429);
  socket.resetAndDestroy();
  await expect.poll(status).toBe(200);
  // Nobody is inside any more: nobody is waited for.
  const closedAt = performance.now();
  await close(60_000);
  expect(performance.now() - closedAt).toBeLessThan(30_000);
  server = undefined;
});

test('requests behind one that waits are cancelled when their connection dies', async () => {
  const { port, model } = await listen();
  model.script = () => undefined;
  const warnings: Error[] = [];
  const warned = (warning: Error) => void warnings.push(warning);
  process.on('warning', warned);
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(posted().repeat(10) + posted({ stream: true }).repeat(10));
  await expect.poll(() => model.jobs.size).toBe(20);
  socket.resetAndDestroy();
  await expect.poll(() => [model.cancelled.length, model.listening]).toEqual([20, 0]);
  process.off('warning', warned);
  expect(warnings).toEqual([]);
});

test('a reader who leaves a job’s events does not cancel the job', async () => {
  const { url, model } = await listen();
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  await fetch(`${url}/v1/jobs`, completion({ endpoint: '/v1/completions' }));
  const caller = new AbortController();
  const response = await fetch(`${url}/v1/jobs/r1/events`, { signal: caller.signal });
  await response.body?.getReader().read();
  expect(model.listening).toBe(1);
  caller.abort();
  await expect.poll(() => model.listening).toBe(0);
  expect(model.cancelled).toEqual([]);
});

test('a tenant may follow a quarter of what the server takes in; others can follow, too', async () => {
  const env = { MAX_QUEUE_SIZE: '8', API_KEYS: 'acme:key-of-acme-1,third:key-of-third-1' };
  const { url, model } = await listen({ env });
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  const leaving = new AbortController();
  const as = (tenant: string) => ({ authorization: `Bearer key-of-${tenant}-1` });
  const submit = async (tenant: string) => {
    const { body, method } = completion({ endpoint: '/v1/completions' });
    await fetch(`${url}/v1/jobs`, { method, body, headers: { ...json, ...as(tenant) } });
  };
  const follow = (id: string, tenant: string, signal: AbortSignal | null = null) =>
    fetch(`${url}/v1/jobs/${id}/events`, { headers: as(tenant), signal });
  await submit('acme');
  await submit('third');
  expect((await follow('r1', 'acme', leaving.signal)).status).toBe(200);
  expect((await follow('r1', 'acme')).status).toBe(200);
  const late = await follow('r1', 'acme');
  expect([late.status, late.headers.get('retry-after')]).toEqual([429, '5']);
  expect((await follow('r2', 'third')).status).toBe(200);
  leaving.abort();
  await expect.poll(async () => (await follow('r1', 'acme')).status).toBe(200);
});

test('a stream that waits is kept alive by comments', async () => {
  const { url, model } = await listen({ deps: { keepAliveMs: 5 } });
  model.script = () => undefined;
  const response = await fetch(`${url}/v1/completions`, completion({ stream: true }));
  expect(response.headers.get('x-shoal-job-id')).toBe('r1');
  const reader = response.body?.getReader();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toMatch(/^(: keep-alive\n\n)+$/);
  model.tell('r1', ...answer('hello', ['hello']));
  let rest = '';
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
    rest += new TextDecoder().decode(part.value);
  }
  expect(rest).toContain('"text":"hello"');
  expect(rest.trimEnd().endsWith('data: [DONE]')).toBe(true);
});

test('a reader who does not read is cut off, and others go on', async () => {
  const { url, port, model } = await listen({ deps: { slowReaderMs: 50 } });
  const long = 'x'.repeat(64 * 1024);
  model.script = (request) =>
    request.prompt === 'long'
      ? Array.from({ length: 400 }, (_, at) => ({ type: 'tokens', position: at, tokenIds: [1], text: long }))
      : answer('hello', ['hello']);

  const body = completion({ prompt: 'long', stream: true }).body;
  const slow = connect(port, '127.0.0.1').pause();
  slow.write(
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await expect.poll(() => model.jobs.size).toBe(1);
  expect((await fetch(`${url}/v1/completions`, completion())).status).toBe(200);
  await expect.poll(() => model.cancelled).toEqual(['r1']);
  expect(model.listening).toBe(0);
  slow.destroy();
});

test('bytes that are not HTTP are answered in the one error shape', async () => {
  const { port } = await listen();
  const received = await exchange(port, 'NONSENSE\r\n\r\n');
  expect(received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  expect(JSON.parse(received.slice(received.indexOf('\r\n\r\n')))).toMatchObject({
    error: { code: 'invalid_request_error' },
  });
});

test('headers that are too large are 431', async () => {
  const { port } = await listen();
  const received = await exchange(port, `GET / HTTP/1.1\r\nhost: x\r\nbomb: ${'x'.repeat(70_000)}\r\n\r\n`);
  expect(received).toMatch(/^HTTP\/1\.1 431 /);
});

test('a body shorter than announced harms nobody', async () => {
  const { url, port, model } = await listen();
  const socket = connect(port, '127.0.0.1');
  socket.end(
    'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"mo',
  );
  await once(socket.resume(), 'close');
  expect((await fetch(`${url}/v1/completions`, completion())).status).toBe(200);
  expect(model.jobs.size).toBe(1);
});

test('shutdown: new requests are turned away, those in flight are finished', async () => {
  const { url, model, close } = await listen();
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  const response = await fetch(`${url}/v1/completions`, completion({ stream: true }));
  const closing = close(10_000);
  await sleep(1);
  await expect(fetch(`${url}/v1/completions`, completion())).rejects.toThrow();
  model.tell('r1', ...answer('hello', ['hel', 'lo']).slice(1));
  expect(await response.text()).toContain('data: [DONE]');
  await closing;
  server = undefined;
});

test('shutdown: what does not finish in time ends with an error; a stream that had begun can be followed elsewhere', async () => {
  const { url, model, close } = await listen();
  model.script = (request) => (request.prompt === 'begun' ? answer('hello', ['hel']).slice(0, 1) : undefined);
  const begun = await fetch(`${url}/v1/completions`, completion({ prompt: 'begun', stream: true }));
  const waiting = fetch(`${url}/v1/completions`, completion({ prompt: 'waiting' }));
  await expect.poll(() => model.jobs.size).toBe(2);
  await close(10);
  expect(await begun.text()).toContain('"code":"unavailable"');
  expect((await waiting).status).toBe(503);
  expect(begun.headers.get('x-shoal-job-id')).toBe('r1');
  expect(model.cancelled).toEqual(['r2']);
  server = undefined;
});

test('shutdown: a connection ends with its stream, while others go on', async () => {
  const { app, port, model, close } = await listen();
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  const sockets = [1, 2].map(() => connect(port, '127.0.0.1'));
  for (const socket of sockets) {
    socket.write(posted({ stream: true }));
    await once(socket, 'data');
  }
  const closing = close(60_000);
  // Whoever is idle when the server closes is cut by Node.
  await expect.poll(() => app.server.listening).toBe(false);
  model.tell('r1', ...answer('hello', ['hel', 'lo']).slice(1));
  await expect.poll(() => sockets.map(({ closed }) => closed)).toEqual([true, false]);
  model.tell('r2', ...answer('hello', ['hel', 'lo']).slice(1));
  await closing;
  server = undefined;
});

test('shutdown: an answer that is still on its way is not cut when others leave', async () => {
  const { app, port, model, close } = await listen();
  const length = 30_000_000;
  model.script = ({ prompt }) => (prompt === 'long' ? undefined : answer('hello', ['hel']).slice(0, 1));
  const slow = connect(port, '127.0.0.1');
  slow.write(posted({ prompt: 'long' }));
  await expect.poll(() => model.jobs.size).toBe(1);
  const other = connect(port, '127.0.0.1');
  other.write(posted({ stream: true }));
  await once(other, 'data');
  const closing = close(60_000);
  await expect.poll(() => app.server.listening).toBe(false);
  model.tell('r1', ...answer('x'.repeat(length), []));
  // The server has written it all; most of it waits for its reader.
  await once(slow, 'readable');
  model.tell('r2', ...answer('hello', ['hel', 'lo']).slice(1));
  await once(other, 'close');
  expect((await text(slow)).length).toBeGreaterThan(length);
  await closing;
  server = undefined;
});

test('a caller who waits costs no copy of the prompt', async () => {
  const bodies: (() => unknown)[] = [];
  const started = testServer();
  server = started;
  started.app.addHook('preHandler', async (request) => {
    bodies.push(() => request.body);
  });
  started.model.script = () => undefined;
  const url = await started.app.listen({ port: 0, host: '127.0.0.1' });
  const waiting = fetch(`${url}/v1/completions`, completion({ prompt: 'x'.repeat(100_000) }));
  await expect.poll(() => started.model.jobs.size).toBe(1);
  await expect.poll(() => bodies.map((body) => body())).toEqual([undefined]);
  started.model.tell('r1', ...answer('hello', ['hello']));
  expect((await waiting).status).toBe(200);
});
