import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { openRegistry } from '@shoal/queue';
import { eventually } from '@shoal/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { shoal } from './program.ts';
import type { Environment } from './terminal.ts';

let server: Server;
let folder: string;
let url: string;
/** Bodies of `POST /v1/jobs`. */
let asked: { prompt?: string }[] = [];
/** What each call had to say of who asks. */
const logins: (string | undefined)[] = [];
/** What `GET /v1/jobs/:id` tells of a finished job. */
let record: object = {};
/** What the API answers to every prompt; by default in words of its own. */
let answered: object | undefined;

const ride = {
  worker: 'w',
  batch: { id: 0, size: 1 },
  seed: 4,
  timings: { queued_at: 1, claimed_at: 2, started_at: 3, first_token_at: 4, finished_at: 5 },
};

/** An API whose answer to every prompt is `answer to` and the prompt; it refuses the prompt `bad`. */
beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    logins.push(request.headers.authorization);
    const reply = (status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
    const job = (id: string) => ({ id, model: 'm', status: 'cancelled', created_at: 1, attempts: 0 });
    if (request.method === 'POST') {
      const body = JSON.parse(text);
      asked.push(body);
      const prompt = body.prompt ?? body.messages[0].content;
      if (prompt === 'bad') reply(400, { error: { message: 'no such thing', code: 'invalid_request_error' } });
      else reply(202, { ...job(`j-${prompt}`), status: 'queued' });
    } else if (request.url === '/v1/models') {
      reply(200, { data: [{ id: 'minnow', max_model_len: 512, shoal: { chat: true, workers: 2 } }] });
    } else if (request.url === '/metrics') {
      response.end('shoal_queue_depth{model="minnow",state="waiting"} 4\n');
    } else if (request.url?.endsWith('/events')) {
      const answer = `answer to ${request.url.split('/')[3]?.slice(2)}`;
      const result = answered ?? { text: answer, token_ids: [1], finish_reason: 'stop' };
      const usage = { prompt_tokens: 1, completion_tokens: 1 };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`data: ${JSON.stringify({ type: 'completed', result, usage, shoal: ride })}\n\n`);
    } else if (request.url?.startsWith('/v1/jobs/done')) {
      const body = { endpoint: '/v1/completions', model: 'm', prompt: 'a', temperature: 0.5, seed: 9, n: 2 };
      const told = request.url.endsWith('?include=request') ? { request: body } : {};
      reply(200, { ...job('done'), status: 'completed', ...record, ...told });
    } else if (request.url === '/v1/jobs/waiting') {
      reply(200, { ...job('waiting'), status: 'queued' });
    } else if (request.method === 'DELETE' && request.url !== '/v1/jobs/gone') {
      reply(200, job(request.url?.split('/')[3] ?? ''));
    } else reply(404, { error: { message: 'there is no such job', code: 'job_not_found' } });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'shoal-cli-'));
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  asked = [];
  answered = undefined;
});

async function run(
  args: string[],
  {
    stdin = '',
    tty = false,
    env = {},
  }: { stdin?: string | AsyncIterable<string>; tty?: boolean; env?: Environment } = {},
) {
  let out = '';
  let err = '';
  const code = await shoal(args, {
    stdin: Object.assign(Readable.from(typeof stdin === 'string' ? [stdin] : stdin), { isTTY: tty }),
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text), isTTY: tty },
    env: { SHOAL_URL: url, SHOAL_MODEL: 'm', ...env },
    signal: new AbortController().signal,
    clock: () => 0,
  });
  return { code, out, err };
}

/** A finished answer of two choices, as the API shows it. */
function finished(second: { token_ids: number[]; text?: string; finish_reason?: string }, numerics = 'f00d') {
  const [one, two] = [
    { text: 'x', token_ids: [5, 6], finish_reason: 'stop' },
    { text: 'y', finish_reason: 'length', ...second },
  ];
  const usage = { prompt_tokens: 1, completion_tokens: 4 };
  return { result: { ...one, choices: [one, two] }, usage, shoal: { ...ride, numerics } };
}

const lines = (text: string) => text.trim().split('\n').sort();
const jsonLines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('shoal enqueue', () => {
  it('answers arguments, lines of stdin and files', async () => {
    const file = join(folder, 'prompts.txt');
    await writeFile(file, 'c\n\nd\n');
    expect(await run(['enqueue', 'a', 'b'])).toMatchObject({ code: 0, err: '' });
    expect(lines((await run(['enqueue', '--file', file])).out)).toEqual(['answer to c', 'answer to d']);
    expect(lines((await run(['enqueue'], { stdin: 'e\nf\n' })).out)).toEqual(['answer to e', 'answer to f']);
  });

  it('reads JSONL, whose own options go before those of the command line', async () => {
    const stdin = '"a"\n{"prompt":"b","maxTokens":3,"temperature":1}\n';
    const { code, out } = await run(['enqueue', '--jsonl', '--temperature', '0', '--json'], { stdin });
    expect(code).toBe(0);
    expect(lines(out).map((line) => JSON.parse(line))).toMatchObject([
      { index: 0, id: 'j-a', text: 'answer to a', finishReason: 'stop', usage: { completionTokens: 1 }, seed: 4 },
      { index: 1, id: 'j-b' },
    ]);
    const bodies = asked.sort((a, b) => String(a.prompt).localeCompare(String(b.prompt)));
    expect(bodies).toMatchObject([
      { prompt: 'a', temperature: 0 },
      { prompt: 'b', temperature: 1, max_tokens: 3 },
    ]);
    expect(bodies[0]).not.toHaveProperty('max_tokens');
  });

  it('sends what a line of JSONL tells the chat template', async () => {
    const kwargs = { enable_thinking: false };
    const askedAt = 1_700_000_000_000;
    const line = { messages: [{ role: 'user', content: 'a' }], chatTemplateKwargs: kwargs, askedAt };
    expect((await run(['enqueue', '--jsonl'], { stdin: `${JSON.stringify(line)}\n` })).code).toBe(0);
    expect(asked).toMatchObject([{ messages: line.messages, chat_template_kwargs: kwargs, asked_at: askedAt }]);
  });

  it('sends chats', async () => {
    await run(['enqueue', '--chat', 'a']);
    expect(asked).toMatchObject([
      { endpoint: '/v1/chat/completions', messages: [{ role: 'user', content: 'a' }], model: 'm' },
    ]);
  });

  it('goes on after a failure, and exits with 1', async () => {
    const plain = await run(['enqueue', 'bad', 'a']);
    expect(plain).toMatchObject({ code: 1, out: 'answer to a\n' });
    expect(plain.err).toContain('request 1: invalid_request_error: no such thing');
    const json = await run(['enqueue', 'bad', '--json']);
    expect(json).toMatchObject({ code: 1, err: '' });
    expect(JSON.parse(json.out)).toMatchObject({ index: 0, error: { code: 'invalid_request_error' } });
  });

  it('only tells ids with --detach', async () => {
    expect(await run(['enqueue', '--detach', 'a', 'b'])).toEqual({ code: 0, out: 'j-a\nj-b\n', err: '' });
  });

  it('goes on after a refusal with --detach, too, and exits with 1', async () => {
    const args = ['enqueue', '--detach', 'a', 'bad', 'b'];
    const err = 'shoal: request 2: invalid_request_error: no such thing\n';
    expect(await run(args)).toEqual({ code: 1, out: 'j-a\nj-b\n', err });
    const json = await run([...args, '--json']);
    expect(json).toMatchObject({ code: 1, err: '' });
    expect(jsonLines(json.out)).toEqual([
      { index: 0, id: 'j-a', status: 'queued' },
      { index: 1, error: { code: 'invalid_request_error', message: 'no such thing' } },
      { index: 2, id: 'j-b', status: 'queued' },
    ]);
  });

  it('passes on where the end of a job is to be told', async () => {
    const stdin = '{"prompt":"a","webhookUrl":"https://hooks.example/a"}\n';
    expect(await run(['enqueue', '--jsonl', '--detach'], { stdin })).toMatchObject({ code: 0, err: '' });
    expect(asked).toMatchObject([{ prompt: 'a', webhook_url: 'https://hooks.example/a' }]);
  });

  it.each([[[]], [['--detach']], [['--json']]])('needs a model for every request, also with %j', async (options) => {
    const env = { SHOAL_MODEL: undefined };
    const plain = await run(['enqueue', 'a', 'b', ...options], { env });
    expect(plain).toMatchObject({ code: 2, out: '' });
    expect(plain.err).toMatch(/^shoal: enqueue needs --model .*\n$/);
    expect(asked).toEqual([]);
    const named = await run(['enqueue', '--jsonl', ...options], { env, stdin: '{"prompt":"a","model":"own"}\n' });
    expect(named.code).toBe(0);
    expect(asked).toMatchObject([{ model: 'own' }]);
  });

  it('shows progress on a terminal', async () => {
    expect((await run(['enqueue', 'a'], { tty: true })).err).toMatch(/\[#+\] 1\/1.*tok\/s/);
  });

  it.each([
    [['enqueue', '--max-tokens', 'many', 'a'], ''],
    [['enqueue', '--file', '/nowhere/at-all', 'a'], ''],
    [['enqueue', '--file', tmpdir()], ''],
    [['enqueue', '--concurrency', '0', 'a'], ''],
    [['enqueue', '--concurrency', '1025', 'a'], ''],
    [['enqueue', '--url', 'nonsense', 'a'], ''],
    [['queues', '--url', 'ftp://127.0.0.1/'], ''],
    [['bench', '--url', 'nonsense'], ''],
    [['enqueue', '--jsonl'], '{"prompt":"x","tempe":0}'],
    [['enqueue', '--jsonl'], '{'],
    [['enqueue', '--redis', 'redis://127.0.0.1:1', '--url'], ''],
    [['frobnicate'], ''],
    [['tail'], ''],
  ])('%j with stdin %j is a mistake of the caller: 2', async (args, stdin) => {
    const { code, err } = await run(args, { stdin });
    expect(code).toBe(2);
    expect(err).not.toBe('');
  });

  it('says of a file that cannot be read why, also when that shows late', async () => {
    expect((await run(['enqueue', '--file', folder])).err).toBe(`shoal: ${folder}: cannot be read (EISDIR)\n`);
    const broken = async function* () {
      yield 'a\nb\n';
      throw Object.assign(new Error('disk'), { code: 'EIO' });
    };
    const { code, err } = await run(['enqueue'], { stdin: broken() });
    expect({ code, err }).toEqual({ code: 2, err: 'shoal: stdin: cannot be read (EIO)\n' });
  });

  it('does not wait for a terminal to type prompts', async () => {
    expect((await run(['enqueue'], { tty: true })).code).toBe(2);
  });
});

describe('shoal tail, cancel, queues', () => {
  it('tails', async () => {
    expect(await run(['tail', 'j-a'])).toMatchObject({ code: 0, out: 'answer to a\n' });
    expect(JSON.parse((await run(['tail', 'j-a', '--json'])).out)).toMatchObject({ id: 'j-a', text: 'answer to a' });
  });

  it('cancels', async () => {
    expect(await run(['cancel', 'j-a', 'j-b'])).toMatchObject({ code: 0, out: 'j-a cancelled\nj-b cancelled\n' });
  });

  it('goes on after a job that cannot be cancelled, and exits with 1', async () => {
    const plain = await run(['cancel', 'j-a', 'gone', 'j-b']);
    const err = 'shoal: gone: job_not_found: there is no such job\n';
    expect(plain).toEqual({ code: 1, out: 'j-a cancelled\nj-b cancelled\n', err });
    const json = await run(['cancel', 'gone', 'j-b', '--json']);
    expect(json).toMatchObject({ code: 1, err: '' });
    expect(jsonLines(json.out)).toEqual([
      { id: 'gone', error: { code: 'job_not_found', message: 'there is no such job' } },
      { id: 'j-b', status: 'cancelled' },
    ]);
  });

  it('takes the prefix of the queue from QUEUE_PREFIX', async () => {
    const place = { redisUrl: inject('redisUrl'), prefix: `test-${randomUUID()}` };
    const registry = openRegistry(place);
    const card = { vocabSize: 9, maxModelLen: 9, chat: true, revision: 'r', dtype: 'fp32', executionProvider: 'cpu' };
    const leave = registry.announce('w', { name: 'kraken', ...card });
    await eventually('the model is announced', async () => (await registry.list()).length === 1);
    const env = { QUEUE_PREFIX: place.prefix };
    const { code, out } = await run(['queues', '--redis', place.redisUrl], { env });
    await leave();
    registry.close();
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('kraken') });
    const help = (await run(['tail', '--help'], { env })).out.replaceAll(/\s+/g, ' ');
    expect(help).toContain(`[QUEUE_PREFIX] (default: "${place.prefix}")`);
  });

  it('logs in with the user and password of the URL, and never shows them', async () => {
    const withLogin = url.replace('//', '//me:hunter2@');
    expect(await run(['queues', '--url', withLogin])).toMatchObject({ code: 0, err: '' });
    expect(logins.at(-1)).toBe(`Basic ${Buffer.from('me:hunter2').toString('base64')}`);
    const both = await run(['queues', '--url', withLogin, '--api-key', 'k']);
    expect(both.code).toBe(2);
    expect(both.err).toMatch(/^shoal: --url \[SHOAL_URL\] holds a user or password, and there is an API key: .*\n$/);
    expect(both.err).not.toContain('hunter2');
  });

  it('lists queues', async () => {
    const { out } = await run(['queues']);
    expect(out).toBe(
      'MODEL   WORKERS  WAITING  RUNNING  CONTEXT  CHAT\nminnow  2        4        ?        512      yes\n',
    );
    expect(JSON.parse((await run(['queues', '--json'])).out)).toMatchObject({
      model: 'minnow',
      workers: 2,
      waiting: 4,
    });
  });

  it('exits with 1 when the service refuses', async () => {
    const failing = createServer((_, response) =>
      response.writeHead(401).end(JSON.stringify({ error: { message: 'who?', code: 'invalid_api_key' } })),
    );
    await new Promise<void>((resolve) => failing.listen(0, '127.0.0.1', resolve));
    const { port } = failing.address() as AddressInfo;
    const { code, err } = await run(['queues', '--url', `http://127.0.0.1:${port}`]);
    failing.close();
    expect({ code, err }).toEqual({ code: 1, err: 'shoal: invalid_api_key: who?\n' });
  });

  it.each(['enqueue', 'tail', 'replay', 'cancel', 'queues'])('%s --help explains itself', async (command) => {
    const { code, out } = await run([command, '--help']);
    expect(code).toBe(0);
    expect(out).toContain('--json');
    expect(out).toContain('SHOAL_URL');
  });
});

it.each(['enqueue', 'tail', 'replay', 'cancel', 'queues', 'bench', 'settings', 'set'])(
  'shoal %s --help shows where it goes, and no password',
  async (command) => {
    const env = {
      SHOAL_URL: 'https://me:hunter2@shoal.example',
      REDIS_URL: 'rediss://me:hunter2@redis.example:6390/1',
    };
    const { code, out } = await run([command, '--help'], { env });
    expect(code).toBe(0);
    expect(out.replaceAll(/\s+/g, ' ')).toMatch(/\*\*\*@(shoal|redis)\.example/);
    expect(out).not.toContain('hunter2');
  },
);

describe('shoal replay', () => {
  it('asks the same again, with the seed that was used, and says that it is identical', async () => {
    record = finished({ token_ids: [7, 8] });
    answered = finished({ token_ids: [7, 8] }).result;
    const { code, out } = await run(['replay', 'done']);
    expect(out).toBe('identical: 2 answers, 4 tokens, seed 4, fingerprints f00d and unknown\n');
    expect(code).toBe(0);
    expect(asked).toEqual([
      expect.objectContaining({ endpoint: '/v1/completions', prompt: 'a', temperature: 0.5, seed: 4, n: 2 }),
    ]);
  });

  it.each([
    ['a token', { token_ids: [7, 9] }, 'token 1 of answer 1: recorded 8, replayed 9'],
    ['an end that came early', { token_ids: [7] }, 'token 1 of answer 1: recorded 8, replayed null'],
    ['the text', { token_ids: [7, 8], text: 'z' }, 'text of answer 1: recorded "y", replayed "z"'],
    ['the reason', { token_ids: [7, 8], finish_reason: 'stop' }, 'recorded "length", replayed "stop"'],
  ])('names the first difference: %s', async (_, second, said) => {
    record = finished({ token_ids: [7, 8] });
    answered = finished(second).result;
    const { code, out } = await run(['replay', 'done']);
    expect(out).toContain('different: ');
    expect(out).toContain(said);
    expect(out).toContain('A fingerprint is not known');
    expect(code).toBe(1);
  });

  it('prints one JSON object where it is asked to', async () => {
    record = finished({ token_ids: [7, 8] });
    answered = finished({ token_ids: [1, 8] }).result;
    expect(JSON.parse((await run(['replay', 'done', '--json'])).out)).toMatchObject({
      id: 'done',
      verdict: 'different',
      seed: 4,
      recorded: { numerics: 'f00d', worker: 'w' },
      replayed: { numerics: null },
      difference: { choice: 1, what: 'tokens', position: 0, recorded: 7, replayed: 1 },
    });
  });

  it('has nothing to replay of a job that is not there', async () => {
    const { code, err } = await run(['replay', 'unknown']);
    expect({ code, err }).toEqual({ code: 2, err: 'shoal: job_not_found: there is no such job\n' });
  });

  it('has nothing to replay before the end', async () => {
    const { code, err } = await run(['replay', 'waiting']);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('job waiting is queued') });
  });
});
