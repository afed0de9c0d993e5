import { readFile } from 'node:fs/promises';
import { ShoalError } from '@shoal/protocol';
import OpenAI from 'openai';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { answer, type MemoryModel } from '../testing/memory-models.ts';
import { type TestServer, testServer } from '../testing/test-server.ts';

// The official client, unmodified. docs/openai-compatibility.md lists these calls with their verdicts.

let server: TestServer;
let model: MemoryModel;
let client: OpenAI;

beforeEach(async () => {
  server = testServer({ env: { API_KEYS: 'acme:acme-key-1' } });
  model = server.model;
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' });
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'acme-key-1', maxRetries: 0 });
});
afterEach(() => server.close(0));

const chat = { model: 'minnow', messages: [{ role: 'user' as const, content: 'hi' }] };
const completion = { model: 'minnow', prompt: 'hi' };

test('models.list and models.retrieve', async () => {
  const names = [];
  for await (const { id } of client.models.list()) names.push(id);
  expect(names).toEqual(['minnow']);
  expect((await client.models.retrieve('minnow')).owned_by).toBe('shoal');
});

test('completions.create', async () => {
  const response = await client.completions.create(completion);
  expect(response.choices[0]).toMatchObject({ text: 'hello', finish_reason: 'stop' });
  expect(response.usage).toEqual({ prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 });
});

test('completions.create with several prompts, streamed', async () => {
  const texts = ['', ''];
  const stream = await client.completions.create({ ...completion, prompt: ['a', 'b'], stream: true });
  for await (const { choices } of stream) for (const { index, text } of choices) texts[index] += text;
  expect(texts).toEqual(['hello', 'hello']);
});

test('chat.completions.create', async () => {
  const response = await client.chat.completions.create(chat);
  expect(response.choices[0]?.message).toMatchObject({ role: 'assistant', content: 'hello' });
});

test('chat.completions.create, streamed, with usage', async () => {
  let text = '';
  let total: number | undefined;
  const stream = await client.chat.completions.create({
    ...chat,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    total = chunk.usage?.total_tokens ?? total;
  }
  expect([text, total]).toEqual(['hello', 5]);
});

test('chat.completions.stream gathers the final message', async () => {
  const message = await client.chat.completions.stream(chat).finalMessage();
  expect(message.content).toBe('hello');
});

test('echo of token ids', async () => {
  // Which only the worker can turn into text: it does so with the first token.
  model.script = ({ echo }) => {
    const [first, ...rest] = answer('hello', ['hel', 'lo']);
    return first?.type === 'tokens' && echo === true ? [{ ...first, promptText: 'hi, ' }, ...rest] : [];
  };
  const asked = { ...completion, prompt: [104, 105], echo: true };
  expect((await client.completions.create(asked)).choices[0]?.text).toBe('hi, hello');
  let text = '';
  for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
    text += chunk.choices[0]?.text ?? '';
  }
  expect(text).toBe('hi, hello');
});

test('chat_template_kwargs', async () => {
  const kwargs = { enable_thinking: false };
  await client.chat.completions.create({ ...chat, ...{ chat_template_kwargs: kwargs } });
  expect(model.jobs.get('r1')?.request.chatTemplateKwargs).toEqual(kwargs);
});

test('any seed', async () => {
  await client.chat.completions.create({ ...chat, seed: -1 });
  expect(model.jobs.get('r1')?.request.params.seed).toBe(2 ** 53 - 1);
});

test('n', async () => {
  const choices = ['one', 'two'].map((text) => ({ text, tokenIds: [1], finishReason: 'stop' as const }));
  model.script = () => answer('one', [], { choices });
  const response = await client.chat.completions.create({ ...chat, n: 2 });
  expect(response.choices.map(({ message }) => message.content)).toEqual(['one', 'two']);
});

test('logprobs', async () => {
  const logprobs = [{ tokenId: 5, text: 'he', logprob: -0.5, top: [{ tokenId: 6, text: 'ye', logprob: -0.4 }] }];
  model.script = () => answer('he', [], { logprobs });
  const chatted = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 1 });
  expect(chatted.choices[0]?.logprobs?.content?.[0]).toMatchObject({ token: 'he', top_logprobs: [{ token: 'ye' }] });
  const completed = await client.completions.create({ ...completion, logprobs: 1 });
  expect(completed.choices[0]?.logprobs?.token_logprobs).toEqual([-0.5]);
});

test('breaking out of a stream cancels', async () => {
  model.script = () => answer('hello', ['hel']).slice(0, 1);
  for await (const chunk of await client.chat.completions.create({ ...chat, stream: true })) {
    if (chunk.choices[0]?.delta.content === 'hel') break;
  }
  await expect.poll(() => model.cancelled).toEqual(['r1']);
});

test('an AbortSignal cancels', async () => {
  model.script = () => undefined;
  const abort = new AbortController();
  const asked = client.chat.completions.create(chat, { signal: abort.signal });
  await expect.poll(() => model.jobs.size).toBe(1);
  abort.abort();
  await expect(asked).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
  await expect.poll(() => model.cancelled).toEqual(['r1']);
});

test.each<[what: string, cause: () => Promise<unknown>, type: new (...args: never[]) => Error, code: string]>([
  [
    'bad request',
    () => client.chat.completions.create({ ...chat, temperature: 9 }),
    OpenAI.BadRequestError,
    'invalid_request_error',
  ],
  [
    'bad key',
    () => client.withOptions({ apiKey: 'wrong-key' }).chat.completions.create(chat),
    OpenAI.AuthenticationError,
    'invalid_api_key',
  ],
  [
    'unknown model',
    () => client.chat.completions.create({ ...chat, model: 'shark' }),
    OpenAI.NotFoundError,
    'model_not_found',
  ],
  [
    'context too long',
    () => client.completions.create({ ...completion, prompt: Array(512).fill(1) }),
    OpenAI.BadRequestError,
    'context_length_exceeded',
  ],
])('typed exception: %s', async (_, cause, type, code) => {
  const error: unknown = await cause().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(type);
  expect(error).toMatchObject({ code, requestID: expect.any(String) });
});

test.each([
  ['queue_full', OpenAI.RateLimitError],
  ['unavailable', OpenAI.InternalServerError],
] as const)('typed exception: %s', async (code, type) => {
  model.refusal = new ShoalError(code, 'not now', { retryAfterMs: 1000 });
  await expect(client.chat.completions.create(chat)).rejects.toBeInstanceOf(type);
});

test('a failure in the middle of a stream is an exception with its code', async () => {
  const begun = answer('hello', ['hel']).slice(0, 1);
  model.script = () => [...begun, { type: 'failed', error: { code: 'worker_lost', message: 'the worker died' } }];
  const read = async (): Promise<void> => {
    for await (const _ of await client.chat.completions.create({ ...chat, stream: true }));
  };
  await expect(read()).rejects.toMatchObject({ code: 'worker_lost' });
});

test('429 is tried again after the time that the server names; 400 is not', async () => {
  let attempts = 0;
  model.script = () => {
    attempts += 1;
    if (attempts === 1) throw new ShoalError('queue_full', 'full', { retryAfterMs: 1 });
    return answer('hello', ['hello']);
  };
  const patient = client.withOptions({ maxRetries: 2 });
  expect((await patient.chat.completions.create(chat)).choices[0]?.message.content).toBe('hello');
  expect(attempts).toBe(2);
  await expect(patient.chat.completions.create({ ...chat, temperature: 9 })).rejects.toBeInstanceOf(
    OpenAI.BadRequestError,
  );
  expect(attempts).toBe(2);
});

test('the headers can be read', async () => {
  const { response } = await client.chat.completions.create(chat).withResponse();
  expect(response.headers.get('x-shoal-job-id')).toBe('r1');
  expect(response.headers.get('x-request-id')).toBeTruthy();
});

test.each<[param: string, fields: object]>([
  ['best_of', { best_of: 3 }],
  ['suffix', { suffix: 'end' }],
  ['echo', { echo: true, logprobs: 1 }],
  ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
  ['response_format', { response_format: { type: 'json_object' } }],
  ['reasoning_effort', { reasoning_effort: 'low' }],
  ['web_search_options', { web_search_options: {} }],
  ['guided_json', { guided_json: {} }],
])('refused by name: %s', async (param, fields) => {
  const refused = client.completions.create({ ...completion, ...fields });
  await expect(refused).rejects.toMatchObject({ status: 400, param });
  expect(model.jobs.size).toBe(0);
});

test('the table’s page names every option that is refused', async () => {
  const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8');
  const page = await read('../../../../docs/openai-compatibility.md');
  const [list = ''] = page.split('## Differences');
  const rows = [...(await read('../schemas/unsupported.ts')).matchAll(/^ {2}(\w+): /gm)].map(([, name]) => name);
  expect(rows.length).toBeGreaterThan(30);
  expect(rows.filter((name) => !list.includes(`\`${name}\``))).toEqual([]);
});

test('the table of these calls names every test, and no other', async () => {
  const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8');
  const table = await read('../../../../docs/openai-compatibility.md');
  const rows = table.split('\n').filter((line) => /^\| (?!call |-)/.test(line) && !line.startsWith('|---'));
  const named = rows.map((row) => row.split(' | ').at(-1)?.replace(/ \|$/, ''));
  const source = await read('./openai-client.test.ts');
  const titles = [...source.matchAll(/^(?:test|\]\)|\] as const\))\('(.+)', async/gm)].map(([, title]) => title);
  expect(new Set(named)).toEqual(new Set(titles.filter((title) => !title?.startsWith('the table'))));
  expect(rows.length).toBeGreaterThan(10);
});
