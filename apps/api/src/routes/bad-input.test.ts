import { afterEach, expect, test } from 'vitest';
import { MemoryModel } from '../testing/memory-models.ts';
import { testServer } from '../testing/test-server.ts';

const SECRET = 'hunter2-do-not-repeat-me';
const completion = { model: 'minnow', prompt: SECRET };
const chat = { model: 'minnow', messages: [{ role: 'user', content: SECRET }] };

const server = testServer({ env: { MAX_PROMPT_BYTES: '2048' } });
afterEach(() => {
  expect(server.model.jobs.size, 'nothing that is refused reaches the queue').toBe(0);
});

const asked = { endpoint: '/v1/completions', ...completion };

/** What, the body (an object goes as JSON), the error code, the param. */
type Case = [what: string, body: object | string | Buffer, code: string, param: string | null];

const BODY_CASES: Case[] = [
  ['no body', '', 'invalid_request_error', null],
  ['not JSON', `{"prompt": ${SECRET}`, 'invalid_request_error', null],
  ['JSON cut off', '{"model":"minnow","prompt":"hunter2-do-not', 'invalid_request_error', null],
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'invalid_request_error', null],
  [
    'invalid UTF-8 inside a text',
    Buffer.from('7b226d6f64656c223a226d696e6e6f77222c2270726f6d7074223a22ff227d', 'hex'),
    'invalid_request_error',
    null,
  ],
  ['UTF-8 cut off', Buffer.from('{"prompt":"é"}').subarray(0, 12), 'invalid_request_error', null],
  ['null', 'null', 'invalid_request_error', null],
  ['a string', `"${SECRET}"`, 'invalid_request_error', null],
  [
    'deep nesting',
    `{"model":"shark","endpoint":"/v1/completions","prompt":"a","messages":[{"role":"user","content":"a"}],"a":${'['.repeat(5000)}${']'.repeat(5000)}}`,
    'model_not_found',
    'model',
  ],
  ['no model', { prompt: SECRET, messages: chat.messages }, 'invalid_request_error', 'model'],
  ['a model that is a number', { ...completion, ...chat, model: 5 }, 'invalid_request_error', 'model'],
  ['an unknown model', { ...completion, ...chat, model: 'shark' }, 'model_not_found', 'model'],
  ['a model named like a property', { ...completion, ...chat, model: '__proto__' }, 'model_not_found', 'model'],
];

const OPTION_CASES: [what: string, options: object, param: string][] = [
  ['max_tokens 0', { max_tokens: 0 }, 'max_tokens'],
  ['max_tokens -1', { max_tokens: -1 }, 'max_tokens'],
  ['max_tokens 1e30', { max_tokens: 1e30 }, 'max_tokens'],
  ['max_tokens 1.5', { max_tokens: 1.5 }, 'max_tokens'],
  ['max_tokens as text', { max_tokens: '5' }, 'max_tokens'],
  ['temperature -1', { temperature: -1 }, 'temperature'],
  ['temperature 2.1', { temperature: 2.1 }, 'temperature'],
  ['temperature 1e308', { temperature: 1e308 }, 'temperature'],
  ['temperature as text', { temperature: 'hot' }, 'temperature'],
  ['top_p 0', { top_p: 0 }, 'top_p'],
  ['top_p 1.1', { top_p: 1.1 }, 'top_p'],
  ['top_k -2', { top_k: -2 }, 'top_k'],
  ['a seed below int64', { seed: -(2 ** 63) - 2048 }, 'seed'],
  ['a seed beyond int64', { seed: 2 ** 63 + 2048 }, 'seed'],
  ['a seed with a fraction', { seed: 1.5 }, 'seed'],
  ['a seed as text', { seed: '1' }, 'seed'],
  ['five stops', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
  ['an empty stop', { stop: '' }, 'stop'],
  ['a long stop', { stop: 'x'.repeat(129) }, 'stop'],
  ['a stop that is a number', { stop: [5] }, 'stop'],
  ['stream as text', { stream: 'yes' }, 'stream'],
  ['stream_options as text', { stream_options: 'usage' }, 'stream_options'],
  ['priority 10', { priority: 10 }, 'priority'],
  ['priority -1', { priority: -1 }, 'priority'],
  ['timeout_ms 0', { timeout_ms: 0 }, 'timeout_ms'],
  ['timeout_ms of a year', { timeout_ms: 31_536_000_000 }, 'timeout_ms'],
  ['n 0', { n: 0 }, 'n'],
  ['n 17', { n: 17 }, 'n'],
  ['min_p 1.1', { min_p: 1.1 }, 'min_p'],
  ['min_p -0.1', { min_p: -0.1 }, 'min_p'],
  ['logit_bias as a list', { logit_bias: [5] }, 'logit_bias'],
  ['logit_bias beyond 100', { logit_bias: { 5: 101 } }, 'logit_bias.5'],
  ['logit_bias of a word', { logit_bias: { hello: 5 } }, 'logit_bias.hello'],
  ['logit_bias beyond the vocabulary', { logit_bias: { 261: 5 } }, 'logit_bias'],
  ['1,025 biases', { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) }, 'logit_bias'],
  ['frequency_penalty 2.1', { frequency_penalty: 2.1 }, 'frequency_penalty'],
  ['presence_penalty -2.1', { presence_penalty: -2.1 }, 'presence_penalty'],
  ['repetition_penalty 0', { repetition_penalty: 0 }, 'repetition_penalty'],
  ['repetition_penalty 2.1', { repetition_penalty: 2.1 }, 'repetition_penalty'],
  ['stop_token_ids of a word', { stop_token_ids: ['a'] }, 'stop_token_ids[0]'],
  ['stop_token_ids beyond the vocabulary', { stop_token_ids: [261] }, 'stop_token_ids'],
  ['65 stop_token_ids', { stop_token_ids: Array(65).fill(1) }, 'stop_token_ids'],
  ['min_tokens -1', { min_tokens: -1 }, 'min_tokens'],
  ['min_tokens above max_tokens', { min_tokens: 6, max_tokens: 5 }, 'min_tokens'],
  ['ignore_eos as text', { ignore_eos: 'yes' }, 'ignore_eos'],
  ['tools', { tools: [{ type: 'function' }] }, 'tools'],
  ['response_format', { response_format: { type: 'json_object' } }, 'response_format'],
  ['a search of the web', { web_search_options: {} }, 'web_search_options'],
  ['reasoning', { reasoning_effort: 'low' }, 'reasoning_effort'],
  ['the usual reasoning', { reasoning_effort: 'medium' }, 'reasoning_effort'],
  ['a short answer', { verbosity: 'low' }, 'verbosity'],
  ['structured_outputs', { structured_outputs: { regex: 'a+' } }, 'structured_outputs'],
  ['guided_json', { guided_json: { type: 'object' } }, 'guided_json'],
  ['guided_json of any JSON', { guided_json: {} }, 'guided_json'],
  ['guided_regex', { guided_regex: 'a+' }, 'guided_regex'],
  ['guided_choice', { guided_choice: ['a', 'b'] }, 'guided_choice'],
  ['guided_grammar', { guided_grammar: 'root ::= "a"' }, 'guided_grammar'],
  ['json_schema', { json_schema: {} }, 'json_schema'],
  ['grammar', { grammar: 'root ::= "a"' }, 'grammar'],
  ['regex', { regex: 'a+' }, 'regex'],
  ['ebnf', { ebnf: 'root ::= "a"' }, 'ebnf'],
  ['beams', { use_beam_search: true }, 'use_beam_search'],
  ['the stop string in the answer', { include_stop_str_in_output: true }, 'include_stop_str_in_output'],
  ['special tokens in the answer', { skip_special_tokens: false }, 'skip_special_tokens'],
  ['bad_words', { bad_words: ['a'] }, 'bad_words'],
  ['allowed_token_ids', { allowed_token_ids: [1] }, 'allowed_token_ids'],
  ['logits_processors', { logits_processors: ['a'] }, 'logits_processors'],
  ['a prompt cut short', { truncate_prompt_tokens: 5 }, 'truncate_prompt_tokens'],
  ['a chat template', { chat_template: '{{ messages }}' }, 'chat_template'],
  ['documents', { documents: [{ text: 'a' }] }, 'documents'],
  ['no opening of an answer', { add_generation_prompt: false }, 'add_generation_prompt'],
  ['to go on with the last message', { continue_final_message: true }, 'continue_final_message'],
];

const COMPLETION_CASES: Case[] = [
  ['no prompt', { model: 'minnow' }, 'invalid_request_error', 'prompt'],
  ['prompt null', { ...completion, prompt: null }, 'invalid_request_error', 'prompt'],
  ['prompt a number', { ...completion, prompt: 5 }, 'invalid_request_error', 'prompt'],
  ['prompt an object', { ...completion, prompt: { text: SECRET } }, 'invalid_request_error', 'prompt'],
  ['an empty prompt', { ...completion, prompt: '' }, 'invalid_request_error', 'prompt'],
  ['no prompts', { ...completion, prompt: [] }, 'invalid_request_error', 'prompt'],
  ['an empty prompt among others', { ...completion, prompt: ['a', ''] }, 'invalid_request_error', 'prompt[1]'],
  ['text and token ids mixed', { ...completion, prompt: [SECRET, 5] }, 'invalid_request_error', 'prompt'],
  ['129 prompts', { ...completion, prompt: Array(129).fill('a') }, 'invalid_request_error', 'prompt'],
  ['half a surrogate pair', '{"model":"minnow","prompt":"\\ud800"}', 'invalid_request_error', 'prompt'],
  ['a negative token id', { ...completion, prompt: [-1] }, 'invalid_request_error', 'prompt[0]'],
  ['a token id beyond the vocabulary', { ...completion, prompt: [261] }, 'invalid_request_error', 'prompt'],
  [
    'as many token ids as the context',
    { ...completion, prompt: Array(512).fill(1) },
    'context_length_exceeded',
    'prompt',
  ],
  ['a prompt that is too large', { ...completion, prompt: 'x'.repeat(2049) }, 'payload_too_large', null],
  [
    'prompts that are too large together',
    { ...completion, prompt: ['é'.repeat(600), 'é'.repeat(600)] },
    'payload_too_large',
    null,
  ],
  ['best_of that is not n', { ...completion, best_of: 2 }, 'invalid_request_error', 'best_of'],
  ['logprobs 21', { ...completion, logprobs: 21 }, 'invalid_request_error', 'logprobs'],
  ['logprobs of a chat', { ...completion, logprobs: true }, 'invalid_request_error', 'logprobs'],
  ['echo with logprobs', { ...completion, logprobs: 1, echo: true }, 'invalid_request_error', 'echo'],
  ['129 answers', { ...completion, prompt: Array(43).fill('a'), n: 3 }, 'invalid_request_error', 'n'],
  ['a suffix', { ...completion, suffix: SECRET }, 'invalid_request_error', 'suffix'],
  [
    'variables of a chat template',
    { ...completion, chat_template_kwargs: { enable_thinking: false } },
    'invalid_request_error',
    'chat_template_kwargs',
  ],
  ['a body that is too large', { ...completion, user: 'x'.repeat(80_000) }, 'payload_too_large', null],
];

const CHAT_CASES: Case[] = [
  ['no messages', { model: 'minnow' }, 'invalid_request_error', 'messages'],
  ['an empty conversation', { ...chat, messages: [] }, 'invalid_request_error', 'messages'],
  [
    'messages that say nothing',
    { ...chat, messages: [{ role: 'user', content: '' }] },
    'invalid_request_error',
    'messages',
  ],
  ['messages a string', { ...chat, messages: SECRET }, 'invalid_request_error', 'messages'],
  ['a message a string', { ...chat, messages: [SECRET] }, 'invalid_request_error', 'messages[0]'],
  [
    'an unknown role',
    { ...chat, messages: [{ role: SECRET, content: 'x' }] },
    'invalid_request_error',
    'messages[0].role',
  ],
  [
    'a tool message',
    { ...chat, messages: [{ role: 'tool', content: 'x' }] },
    'invalid_request_error',
    'messages[0].role',
  ],
  [
    'content a number',
    { ...chat, messages: [{ role: 'user', content: 5 }] },
    'invalid_request_error',
    'messages[0].content',
  ],
  [
    'an image',
    { ...chat, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: SECRET } }] }] },
    'invalid_request_error',
    'messages[0].content',
  ],
  [
    '1,001 messages',
    { ...chat, messages: Array(1001).fill({ role: 'user', content: 'a' }) },
    'invalid_request_error',
    'messages',
  ],
  [
    'messages too large together',
    { ...chat, messages: Array(3).fill({ role: 'user', content: 'x'.repeat(700) }) },
    'payload_too_large',
    null,
  ],
  ['logprobs of a completion', { ...chat, logprobs: 5 }, 'invalid_request_error', 'logprobs'],
  ['top_logprobs 21', { ...chat, logprobs: true, top_logprobs: 21 }, 'invalid_request_error', 'top_logprobs'],
  ['top_logprobs without logprobs', { ...chat, top_logprobs: 5 }, 'invalid_request_error', 'top_logprobs'],
  ['max_completion_tokens 0', { ...chat, max_completion_tokens: 0 }, 'invalid_request_error', 'max_completion_tokens'],
  [
    'min_tokens above max_completion_tokens',
    { ...chat, min_tokens: 6, max_completion_tokens: 5, max_tokens: 9 },
    'invalid_request_error',
    'min_tokens',
  ],
  [
    'calls of tools beside a text',
    { ...chat, messages: [...chat.messages, { role: 'assistant', content: 'x', tool_calls: [{ id: 'a' }] }] },
    'invalid_request_error',
    'messages[1].tool_calls',
  ],
  [
    'calls of tools alone',
    { ...chat, messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'a' }] }] },
    'invalid_request_error',
    'messages[0].tool_calls',
  ],
  [
    'a call of a function',
    { ...chat, messages: [{ role: 'assistant', content: 'x', function_call: { name: 'f' } }] },
    'invalid_request_error',
    'messages[0].function_call',
  ],
  ['variables as a list', { ...chat, chat_template_kwargs: [] }, 'invalid_request_error', 'chat_template_kwargs'],
  [
    'a variable that is set here',
    { ...chat, chat_template_kwargs: { tools: [] } },
    'invalid_request_error',
    'chat_template_kwargs.tools',
  ],
  [
    'variables without end',
    `{"model":"minnow","messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"a":${'['.repeat(5000)}${']'.repeat(5000)}}}`,
    'invalid_request_error',
    'chat_template_kwargs',
  ],
];

const STATUS: Record<string, number> = {
  invalid_request_error: 400,
  context_length_exceeded: 400,
  model_not_found: 404,
  payload_too_large: 413,
};

async function expectRefusal(url: string, [, body, code, param]: Case): Promise<void> {
  const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const response = await server.app.inject({
    method: 'POST',
    url,
    payload,
    headers: { 'content-type': 'application/json' },
  });
  expect(response.statusCode).toBe(STATUS[code]);
  expect(response.json().error).toMatchObject({ code, param });
  expect(response.json().error.message.length).toBeGreaterThan(10);
  expect(response.body, 'the prompt is not repeated').not.toContain('hunter2');
  expect(server.log.join(''), 'the prompt is not logged').not.toContain('hunter2');
}

for (const url of ['/v1/completions', '/v1/chat/completions', '/v1/jobs']) {
  const asJob = (body: Case[1]): Case[1] =>
    url === '/v1/jobs' && typeof body === 'object' && !Array.isArray(body) && !Buffer.isBuffer(body)
      ? { endpoint: '/v1/completions', ...body }
      : body;
  test.each(BODY_CASES)(`${url}: %s`, async (what, body, code, param) => {
    await expectRefusal(url, [what, asJob(body), code, param]);
  });
}

test.each(OPTION_CASES)('/v1/completions: %s', (what, options, param) =>
  expectRefusal('/v1/completions', [what, { ...completion, ...options }, 'invalid_request_error', param]),
);

test.each(OPTION_CASES)('/v1/chat/completions: %s', (what, options, param) =>
  expectRefusal('/v1/chat/completions', [what, { ...chat, ...options }, 'invalid_request_error', param]),
);

test.each(OPTION_CASES)('/v1/jobs: %s', (what, options, param) =>
  expectRefusal('/v1/jobs', [
    what,
    { endpoint: '/v1/completions', ...completion, ...options },
    'invalid_request_error',
    param,
  ]),
);

test.each(COMPLETION_CASES)('/v1/completions: %s', (...refusal) => expectRefusal('/v1/completions', refusal));

test.each(CHAT_CASES)('/v1/chat/completions: %s', (...refusal) => expectRefusal('/v1/chat/completions', refusal));

test.each(['/v1/completions', '/v1/chat/completions'])('%s: an array', (url) =>
  expectRefusal(url, ['', [completion], 'invalid_request_error', null]),
);

test.each<Case>([
  ['an empty array', [], 'invalid_request_error', null],
  ['an array of text', [SECRET], 'invalid_request_error', '[0]'],
  ['one bad job among others', [asked, { ...asked, temperature: 9 }], 'invalid_request_error', 'temperature'],
  ['one job without an endpoint', [asked, completion], 'invalid_request_error', '[1].endpoint'],
  ['1,001 jobs', Array(1001).fill(asked), 'invalid_request_error', null],
  ['an unknown model among others', [asked, { ...asked, model: 'shark' }], 'model_not_found', 'model'],
  ['no endpoint', completion, 'invalid_request_error', 'endpoint'],
  ['an unknown endpoint', { ...completion, endpoint: '/v1/images' }, 'invalid_request_error', 'endpoint'],
  [
    'the other endpoint’s body',
    { ...completion, endpoint: '/v1/chat/completions' },
    'invalid_request_error',
    'messages',
  ],
  [
    'several prompts',
    { ...completion, endpoint: '/v1/completions', prompt: ['a', 'b'] },
    'invalid_request_error',
    'prompt',
  ],
])('/v1/jobs: %s', (...refusal) => expectRefusal('/v1/jobs', refusal));

test.each([
  ['a form', 'application/x-www-form-urlencoded', {}],
  ['text', 'text/plain', {}],
  ['a compressed body', 'application/json', { 'content-encoding': 'gzip' }],
])('a body sent as %s is refused with what to do', async (_, type, extra) => {
  const headers = { 'content-type': type, ...extra };
  const response = await server.app.inject({
    method: 'POST',
    url: '/v1/completions',
    payload: 'model=minnow',
    headers,
  });
  expect(response.statusCode).toBe(400);
  expect(response.json().error.message).toMatch(/^send the body/);
});

test('a model without a chat template refuses conversations', async () => {
  const { app, model } = testServer({ model: new MemoryModel({ chat: false }) });
  const response = await app.inject({ method: 'POST', url: '/v1/chat/completions', payload: chat });
  expect(response.statusCode).toBe(400);
  expect(response.json().error).toMatchObject({ code: 'invalid_request_error', param: 'messages' });
  expect(model.jobs.size).toBe(0);
});

test.each(['/v2/completions', '/v1/nothing', '/v1/completions/x'])('%s is not a route', async (url) => {
  const response = await server.app.inject({ method: 'POST', url, payload: {} });
  expect(response.statusCode).toBe(404);
  expect(response.json().error).toMatchObject({ type: 'not_found_error', message: expect.stringContaining('/docs') });
});

test('a fault of our own tells nothing of itself', async () => {
  const { app, models, log } = testServer();
  models.find = async () => {
    throw new TypeError(`cannot read ${SECRET}`);
  };
  const response = await app.inject({ method: 'POST', url: '/v1/completions', payload: completion });
  expect(response.statusCode).toBe(500);
  expect(response.body).not.toContain('hunter2');
  expect(log.join('')).toContain('TypeError');
  expect(log.join('')).toContain(`"requestId":"${response.headers['x-request-id']}"`);
});
