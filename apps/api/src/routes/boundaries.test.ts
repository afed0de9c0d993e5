import { expect, test } from 'vitest';
import { testServer } from '../testing/test-server.ts';

// The last value on the right side of each bound is served.

const { app } = testServer({ env: { MAX_PROMPT_BYTES: '2048' } });
const completion = { model: 'minnow', prompt: 'hi' };
const chat = { model: 'minnow', messages: [{ role: 'user', content: 'hi' }] };

const OPTIONS: [what: string, options: object][] = [
  ['max_tokens 1', { max_tokens: 1 }],
  ['max_tokens 1,000,000', { max_tokens: 1_000_000 }],
  ['temperature 0', { temperature: 0 }],
  ['temperature 2', { temperature: 2 }],
  ['top_p 1e-9', { top_p: 1e-9 }],
  ['top_p 1', { top_p: 1 }],
  ['top_k -1', { top_k: -1 }],
  ['top_k 1,000,000', { top_k: 1_000_000 }],
  ['min_p 1', { min_p: 1 }],
  ['seed 0', { seed: 0 }],
  ['seed 2^53 − 1', { seed: Number.MAX_SAFE_INTEGER }],
  ['the lowest seed', { seed: -(2 ** 63) }],
  ['the highest seed, as JSON is read', { seed: 2 ** 63 }],
  ['min_tokens of max_tokens', { min_tokens: 5, max_tokens: 5 }],
  ['min_tokens without max_tokens', { min_tokens: 5 }],
  ['penalties of 2', { frequency_penalty: 2, presence_penalty: 2, repetition_penalty: 2 }],
  ['penalties of −2', { frequency_penalty: -2, presence_penalty: -2, repetition_penalty: 1e-6 }],
  ['biases of ±100', { logit_bias: { 0: -100, 260: 100 } }],
  ['no stops', { stop: [] }],
  ['four stops', { stop: ['a', 'b', 'c', 'd'] }],
  ['a stop of 128 characters', { stop: 'x'.repeat(128) }],
  ['a stop of emoji', { stop: '👩‍👩‍👧‍👦' }],
  ['64 stop tokens', { stop_token_ids: Array.from({ length: 64 }, (_, id) => id) }],
  ['n 16', { n: 16 }],
  ['priority 0', { priority: 0 }],
  ['priority 9', { priority: 9 }],
  ['timeout_ms of a day', { timeout_ms: 86_400_000 }],
  ['a user of 512 characters', { user: 'x'.repeat(512) }],
  ['stream_options without stream', { stream_options: { include_usage: true } }],
  ['unknown fields', { metadata: { a: 1 }, store: true, service_tier: 'auto', parallel_tool_calls: false }],
  ['what asks for nothing', { tools: [], tool_choice: 'none', response_format: { type: 'text' }, suffix: '' }],
  ['what reasons and says as usual', { reasoning_effort: 'none', verbosity: 'medium', web_search_options: null }],
  [
    'no structure',
    { structured_outputs: {}, guided_json: null, guided_regex: '', guided_choice: [], guided_grammar: '', grammar: '' },
  ],
  [
    'the defaults of other servers',
    {
      ...{ use_beam_search: false, include_stop_str_in_output: false, skip_special_tokens: true, bad_words: [] },
      ...{ allowed_token_ids: null, truncate_prompt_tokens: null, chat_template: null, documents: [] },
      ...{ add_generation_prompt: true, continue_final_message: false, chat_template_kwargs: {} },
    },
  ],
  ['null for everything', { max_tokens: null, temperature: null, stop: null, seed: null, n: null, stream: null }],
];

test.each(OPTIONS)('%s', async (_, options) => {
  for (const [url, body] of [
    ['/v1/completions', completion],
    ['/v1/chat/completions', chat],
    ['/v1/jobs', { endpoint: '/v1/completions', ...completion }],
  ] as const) {
    const response = await app.inject({ method: 'POST', url, payload: { ...body, ...options } });
    expect([url, response.statusCode]).toEqual([url, url === '/v1/jobs' ? 202 : 200]);
  }
});

test.each<[what: string, prompt: unknown]>([
  ['one character', 'a'],
  ['exactly MAX_PROMPT_BYTES', 'x'.repeat(2048)],
  ['exactly MAX_PROMPT_BYTES of two-byte characters', 'é'.repeat(1024)],
  ['every byte escaped', '\u0001'.repeat(2048)],
  ['white space alone', ' \n\t'],
  ['right-to-left, combining, astral', 'שלום é 𝒳 👩‍👩‍👧‍👦'],
  ['a private use character', '\ue000\u{10ffff}'],
  ['128 prompts', Array(128).fill('a')],
  ['one token', [0]],
  ['the last token of the vocabulary', [260]],
  ['all the context but one token', Array(511).fill(1)],
  ['token ids of several prompts', [[1], [2, 3]]],
])('a prompt of %s', async (_, prompt) => {
  const response = await app.inject({ method: 'POST', url: '/v1/completions', payload: { ...completion, prompt } });
  expect(response.statusCode).toBe(200);
});

test.each<[what: string, messages: unknown]>([
  ['1,000 messages', Array(1000).fill({ role: 'user', content: 'a' })],
  ['an empty system message beside another', [{ role: 'system', content: '' }, ...chat.messages]],
  ['no text parts beside another message', [{ role: 'user', content: [] }, ...chat.messages]],
  ['no calls', [{ role: 'assistant', content: 'ho', tool_calls: [], function_call: null }, ...chat.messages]],
  ['names and other unknown fields', [{ role: 'user', content: 'hi', name: 'ann', weight: 1 }]],
])('a conversation of %s', async (_, messages) => {
  const response = await app.inject({ method: 'POST', url: '/v1/chat/completions', payload: { ...chat, messages } });
  expect(response.statusCode).toBe(200);
});
