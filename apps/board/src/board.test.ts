import { randomUUID } from 'node:crypto';
import { openProducer, openRegistry } from '@shoal/queue';
import { createLogger } from '@shoal/telemetry';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { type BoardServer, buildBoard } from './board-server.ts';
import { ModelQueues } from './model-queues.ts';

const redisUrl = inject('redisUrl');
const config = { boardUser: 'admin', boardPassword: 'correct horse' };
const logger = createLogger({ name: 'board', level: 'silent' });
const login = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});
const headers = login('admin', 'correct horse');

let board: BoardServer;
let redisAway = false;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  redisAway = false;
  const ping = async () => {
    if (redisAway) throw new Error('away');
  };
  board = await buildBoard({ config, ping, fleetPage: async () => '<h1>fleet</h1>', logger });
});

afterEach(async () => {
  await board.app.close();
  for (const close of closers.splice(0).reverse()) await close();
});

/** A model with one waiting job whose prompt is long, on the board. */
async function modelOnBoard(options: { readOnly: boolean }): Promise<void> {
  const prefix = `test-${randomUUID().slice(0, 8)}`;
  const registry = openRegistry({ redisUrl, prefix });
  closers.push(() => registry.close());
  const card = {
    maxModelLen: 512,
    vocabSize: 261,
    chat: true,
    revision: 'abc',
    dtype: 'fp32',
    executionProvider: 'cpu',
  };
  registry.announce('w1', { name: 'org/minnow', ...card });
  const producer = openProducer({ redisUrl, prefix, model: 'org/minnow' });
  closers.push(() => producer.close());
  const params = { temperature: 0, topP: 1, topK: 0, stop: [] };
  await producer.submit({ v: 1, prompt: 'x'.repeat(100_000), params }, { id: 'job-1', priority: 5 });

  const queues = new ModelQueues({ redisUrl, prefix, registry, onQueue: board.addQueue, logger, ...options });
  closers.push(() => queues.close());
  await vi.waitFor(async () => {
    await queues.refresh();
    const response = await board.app.inject({ url: '/api/queues', headers });
    expect(response.json().queues).toHaveLength(1);
  }, 5000);
}

test.each([
  ['none', {}],
  ['a wrong password', login('admin', 'correct hors')],
  ['a wrong user', login('root', 'correct horse')],
  ['nonsense', { authorization: 'Basic ???' }],
])('without credentials, page, script and API are 401: %s', async (_, wrong) => {
  for (const url of ['/', '/fleet', '/api/queues', '/static/js/main.js', '/queue/x']) {
    const response = await board.app.inject({ url, headers: wrong });
    expect(response.statusCode, url).toBe(401);
  }
  expect((await board.app.inject('/')).headers['www-authenticate']).toContain('Basic realm="Shoal board"');
});

test('the page of workers is behind the login, too', async () => {
  const page = await board.app.inject({ url: '/fleet', headers });
  expect([page.statusCode, page.body]).toEqual([200, '<h1>fleet</h1>']);
});

test('with credentials the page is there', async () => {
  const page = await board.app.inject({ url: '/', headers });
  expect([page.statusCode, page.body.includes('<title>Shoal</title>')]).toEqual([200, true]);
});

test('health needs no login, and tells when Redis is away', async () => {
  expect((await board.app.inject('/health/live')).statusCode).toBe(200);
  expect((await board.app.inject('/health/ready')).statusCode).toBe(200);
  redisAway = true;
  expect((await board.app.inject('/health/ready')).statusCode).toBe(503);
  // However the path is encoded, the page does not wait for Redis.
  for (const url of ['/api/queues', '/%61pi/queues']) {
    expect((await board.app.inject({ url, headers })).json().error, url).toContain('REDIS_URL');
  }
});

test('announced models appear with their jobs, prompts cut', async () => {
  await modelOnBoard({ readOnly: false });
  const { queues } = (await board.app.inject({ url: '/api/queues?activeQueue=org~minnow', headers })).json();
  expect(queues[0]).toMatchObject({ displayName: 'org/minnow', readOnlyMode: false, counts: { prioritized: 1 } });
  expect(queues[0].jobs[0]).toMatchObject({ id: 'job-1', data: { params: { temperature: 0 } } });
  expect(queues[0].jobs[0].data.prompt).toBe(`${'x'.repeat(1000)}… (99000 more characters)`);
});

test('a read-only board refuses changes', async () => {
  await modelOnBoard({ readOnly: true });
  const url = '/api/queues/org~minnow/pause';
  expect((await board.app.inject({ method: 'PUT', url, headers })).statusCode).toBe(405);
});

test('a change that another site asks for is refused', async () => {
  await modelOnBoard({ readOnly: false });
  const url = '/api/queues/org~minnow/pause';
  const from = (site: string) =>
    board.app.inject({ method: 'PUT', url, headers: { ...headers, 'sec-fetch-site': site } });
  expect((await from('cross-site')).statusCode).toBe(403);
  const origin = (value: string) => board.app.inject({ method: 'PUT', url, headers: { ...headers, origin: value } });
  expect((await origin('https://evil.example')).statusCode).toBe(403);
  expect((await origin('null')).statusCode).toBe(403);
  expect((await origin('http://localhost:80')).statusCode).toBe(200);
  expect((await from('same-origin')).statusCode).toBe(200);
});

/** A board whose log lines are kept, on a clock that stands, and whose page of workers fails. */
async function watchedBoard() {
  const lines: string[] = [];
  const clock = { now: 0 };
  const written = createLogger({ name: 'board', level: 'warn', destination: { write: (line) => lines.push(line) } });
  const deps = { ping: async () => {}, now: () => clock.now, logger: written };
  const fleetPage = async () => {
    throw new TypeError('a secret prompt');
  };
  const { app } = await buildBoard({ config, fleetPage, ...deps });
  closers.push(() => app.close());
  return { app, clock, lines };
}

test('after ten wrong passwords at once an address is refused for a minute, and told until when', async () => {
  const { app, clock } = await watchedBoard();
  const from = (remoteAddress: string, password: string) =>
    app.inject({ url: '/', headers: login('admin', password), remoteAddress });
  const wrong = await Promise.all(Array.from({ length: 30 }, () => from('192.0.2.1', 'correct hors')));
  expect(wrong.filter(({ statusCode }) => statusCode === 401)).toHaveLength(10);
  clock.now = 15_500;
  const refused = await from('192.0.2.1', 'correct horse');
  expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '45']);
  expect(refused.json().error).toContain('try again in 45 s');
  // Who gives no password guesses none.
  expect((await app.inject({ url: '/', remoteAddress: '192.0.2.1' })).statusCode).toBe(401);
  expect((await from('192.0.2.2', 'correct horse')).statusCode).toBe(200);
  clock.now = 60_000;
  expect((await from('192.0.2.1', 'correct horse')).statusCode).toBe(200);
});

test('a refused login and a failure are logged, without anything of what was sent', async () => {
  const { app, lines } = await watchedBoard();
  await app.inject({ url: '/?my-query', headers: login('my-user', 'my-password') });
  await app.inject({ url: '/', headers: { authorization: 'Basic my-nonsense' } });
  await app.inject({ url: '/?no-credentials' });
  await app.inject({ url: '/fleet?my-query', headers });
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 40, msg: expect.stringContaining('login refused'), remoteAddress: '127.0.0.1', wrongInAMinute: 1 },
    { level: 40, msg: expect.stringContaining('login refused'), remoteAddress: '127.0.0.1', wrongInAMinute: 2 },
    { level: 40, msg: 'request failed', method: 'GET', route: '/fleet', status: 500, error: 'TypeError' },
  ]);
  expect(JSON.parse(lines[2] ?? '').at[0]).toContain('board.test.ts');
  expect(lines.join()).not.toMatch(/my-|horse|secret/);
});

test('no answer may be framed by another page, nor read as another type', async () => {
  const { app } = await watchedBoard();
  const cases = {
    ...{
      '/': 200,
      '/health/live': 200,
      '/static/images/logo.svg': 200,
      '/api/queues': 200,
      '/api/queues/x/metrics': 404,
    },
    ...{ '/fleet': 500, '/nowhere': 404, '/%E0': 400, [`/queue/${'x'.repeat(200)}`]: 414 },
  };
  for (const [url, status] of Object.entries(cases)) {
    const answer = await app.inject({ url, headers });
    expect([url, answer.statusCode]).toEqual([url, status]);
    expect(answer.headers, url).toMatchObject({
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "frame-ancestors 'none'",
    });
  }
  expect((await app.inject('/')).headers).toMatchObject({ 'x-frame-options': 'DENY' });
});

test('a registry that cannot be read is reported once, and tried again', async () => {
  const warnings: unknown[] = [];
  let failing = true;
  const registry = {
    list: async () => {
      if (failing) throw new Error('Redis does not answer');
      return [];
    },
  };
  const watch = {
    info: (message: unknown) => warnings.push(message),
    warn: (message: unknown) => warnings.push(message),
  };
  const options = { redisUrl, prefix: 'test', readOnly: false, registry, onQueue: board.addQueue };
  const queues = new ModelQueues({ ...options, logger: watch });
  await queues.refresh();
  await queues.refresh();
  failing = false;
  await queues.refresh();
  expect(warnings).toEqual(['cannot list the models: Redis does not answer', 'Redis is back']);
});
