import type { ChosenLogprob, GenerateResult, RequestEvent } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { answer } from '../testing/memory-models.ts';
import { eventsOf, testServer } from '../testing/test-server.ts';

const completion = (fields: object) =>
  ({ method: 'POST', url: '/v1/completions', payload: { model: 'minnow', prompt: 'hi', ...fields } }) as const;
const chat = (fields: object) =>
  ({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { model: 'minnow', messages: [{ role: 'user', content: 'hi' }], ...fields },
  }) as const;

test('every option reaches the queue in the inside form', async () => {
  const { app, model } = testServer();
  const fields = {
    ...{ min_p: 0.1, frequency_penalty: -2, presence_penalty: 2, repetition_penalty: 1.5, logit_bias: { '5': -100 } },
    ...{ n: 2, best_of: 2, stop_token_ids: [7], min_tokens: 3, ignore_eos: true, logprobs: 5 },
  };
  expect((await app.inject(completion(fields))).statusCode).toBe(200);
  expect(model.jobs.get('r1')?.request.params).toEqual({
    ...{ temperature: 1, topP: 1, topK: 0, seed: 42, stop: [] },
    ...{ minP: 0.1, frequencyPenalty: -2, presencePenalty: 2, repetitionPenalty: 1.5, logitBias: { '5': -100 } },
    ...{ n: 2, stopTokenIds: [7], minTokens: 3, ignoreEos: true, logprobs: 5 },
  });
});

test('the time that a chat is rendered by reaches the queue, and only where it is given', async () => {
  const { app, model } = testServer();
  for (const fields of [{ asked_at: 3 }, { asked_at: null }, {}]) {
    expect((await app.inject(chat(fields))).statusCode).toBe(200);
  }
  const asked = [...model.jobs.values()].map(({ request }) => request);
  expect(asked.map(({ askedAt }) => askedAt)).toEqual([3, undefined, undefined]);
  expect(asked.slice(1).some((request) => 'askedAt' in request)).toBe(false);
  const refused = await app.inject(chat({ asked_at: 0.5 }));
  expect([refused.statusCode, refused.json().error.param]).toEqual([400, 'asked_at']);
});

// Written as JSON has them: the engine takes 0 … 2^53 − 1, and what it takes is what the answer tells.
test.each([
  ['0', 0],
  ['9007199254740991', 2 ** 53 - 1],
  ['-1', 2 ** 53 - 1],
  ['-2', 2 ** 53 - 2],
  ['-9007199254740991', 1],
  ['9007199254740992', 0],
  ['9007199254740994', 2],
  ['4611686018427388928', 1024],
  ['9223372036854775807', 0],
  ['-9223372036854775808', 0],
])('seed %s is %s to the engine', async (seed, expected) => {
  const { app, model } = testServer();
  for (const payload of [
    `{"model":"minnow","prompt":"hi","seed":${seed}}`,
    `{"model":"minnow","prompt":"hi","seed":${expected}}`,
  ]) {
    const headers = { 'content-type': 'application/json' };
    expect((await app.inject({ method: 'POST', url: '/v1/completions', payload, headers })).statusCode).toBe(200);
  }
  // Sent back, the one that an answer tells is the same one.
  expect([...model.jobs.values()].map(({ request }) => request.params.seed)).toEqual([expected, expected]);
});

test('variables of the chat template reach the queue, and belong to what is asked', async () => {
  const { app, model } = testServer();
  const asked = { temperature: 0, chat_template_kwargs: { enable_thinking: false, style: { depth: [1, null] } } };
  expect((await app.inject(chat(asked))).statusCode).toBe(200);
  expect((await app.inject(chat({ temperature: 0 }))).statusCode).toBe(200);
  expect((await app.inject(chat({ temperature: 0, chat_template_kwargs: {} }))).statusCode).toBe(200);
  const [told, plain, none] = [...model.jobs.values()];
  expect(told?.request.chatTemplateKwargs).toEqual(asked.chat_template_kwargs);
  expect(plain?.request).not.toHaveProperty('chatTemplateKwargs');
  expect(told?.sharingKey).not.toBe(plain?.sharingKey);
  expect(none?.sharingKey).toBe(plain?.sharingKey);
});

test.each(['/v1/completions', '/v1/chat/completions'])(
  'an answer longer than the longest is refused in the words of %s',
  async (url) => {
    const { app } = testServer();
    const limit = url === '/v1/completions' ? 'max_tokens' : 'max_completion_tokens';
    const fields = { min_tokens: 6, [limit]: 5 };
    const { payload } = url === '/v1/completions' ? completion(fields) : chat(fields);
    for (const response of [
      await app.inject({ method: 'POST', url, payload }),
      await app.inject({ method: 'POST', url: '/v1/jobs', payload: { endpoint: url, ...payload } }),
    ]) {
      expect(response.json().error).toMatchObject({
        param: 'min_tokens',
        message: expect.stringContaining(`above ${limit};`),
      });
    }
  },
);

test.each([
  ['true alone: the chosen tokens', { logprobs: true }, 0],
  ['with top_logprobs', { logprobs: true, top_logprobs: 3 }, 3],
  ['false', { logprobs: false }, undefined],
  ['left out', {}, undefined],
])('logprobs of a chat, %s', async (_, fields, expected) => {
  const { app, model } = testServer();
  expect((await app.inject(chat(fields))).statusCode).toBe(200);
  expect(model.jobs.get('r1')?.request.params.logprobs).toBe(expected);
});

const LOGPROBS: ChosenLogprob[] = [
  { tokenId: 5, text: 'he', logprob: -0.5, top: [{ tokenId: 6, text: 'ye', logprob: -0.4 }] },
  { tokenId: 7, text: 'é', logprob: -1, top: [{ tokenId: 8, text: '\uFFFD', logprob: -2 }] },
];

/** A stream of two tokens with log probabilities, then the result. */
function withLogprobs(): RequestEvent[] {
  const [first, second] = LOGPROBS.map((logprob) => [logprob]);
  const end = answer('heé', [], { tokenIds: [5, 7], logprobs: LOGPROBS });
  return [
    { type: 'tokens', position: 0, tokenIds: [5], text: 'he', logprobs: first },
    { type: 'tokens', position: 1, tokenIds: [7], text: 'é', logprobs: second },
    ...end,
  ];
}

test('log probabilities of a completion are four parallel arrays', async () => {
  const { app, model } = testServer();
  model.script = withLogprobs;
  const expected = {
    tokens: ['he', 'é'],
    token_logprobs: [-0.5, -1],
    top_logprobs: [
      { he: -0.5, ye: -0.4 },
      { é: -1, '\uFFFD': -2 },
    ],
    text_offset: [0, 2],
  };
  const whole = await app.inject(completion({ logprobs: 1 }));
  expect(whole.json().choices[0].logprobs).toEqual(expected);
  const chunks = eventsOf((await app.inject(completion({ logprobs: 1, stream: true }))).body);
  expect(chunks).toMatchObject([
    { choices: [{ text: 'he', logprobs: { tokens: ['he'], text_offset: [0] } }] },
    { choices: [{ text: 'é', logprobs: { tokens: ['é'], text_offset: [2] } }] },
    { choices: [{ finish_reason: 'stop', logprobs: null }] },
    '[DONE]',
  ]);
});

test('log probabilities of a chat name token, bytes and alternatives', async () => {
  const { app, model } = testServer();
  model.script = withLogprobs;
  const second = {
    ...{ token: 'é', logprob: -1, bytes: [0xc3, 0xa9] },
    top_logprobs: [{ token: '\uFFFD', logprob: -2, bytes: null }],
  };
  const whole = await app.inject(chat({ logprobs: true, top_logprobs: 1 }));
  expect(whole.json().choices[0].logprobs).toMatchObject({ content: [{ token: 'he', bytes: [104, 101] }, second] });
  const chunks = eventsOf((await app.inject(chat({ logprobs: true, stream: true }))).body);
  expect(chunks[2]).toMatchObject({ choices: [{ delta: { content: 'é' }, logprobs: { content: [second] } }] });
});

test('log probabilities that a worker kept for the end are streamed once', async () => {
  const { app, model } = testServer();
  model.script = () => answer('heé', [], { tokenIds: [5, 7], logprobs: LOGPROBS });
  const chunks = eventsOf((await app.inject(completion({ logprobs: 1, stream: true }))).body);
  expect(chunks[0]).toMatchObject({ choices: [{ text: 'heé', logprobs: { tokens: ['he', 'é'] } }] });
  expect(chunks).toHaveLength(3);
});

const CHOICES: Pick<GenerateResult, 'choices'> = {
  choices: [
    { text: 'one', tokenIds: [1], finishReason: 'stop' },
    { text: 'two', tokenIds: [2], finishReason: 'length' },
  ],
};

test('several answers to several prompts: a choice for each, prompt by prompt', async () => {
  const { app, model } = testServer();
  model.script = () => answer('one', [], CHOICES);
  const response = await app.inject(completion({ n: 2, prompt: ['a', 'b'] }));
  const choices: { index: number; text: string; finish_reason: string; shoal: { job_id: string } }[] =
    response.json().choices;
  expect(choices.map(({ index, text, finish_reason, shoal }) => [index, text, finish_reason, shoal.job_id])).toEqual([
    [0, 'one', 'stop', 'r1-0'],
    [1, 'two', 'length', 'r1-0'],
    [2, 'one', 'stop', 'r1-1'],
    [3, 'two', 'length', 'r1-1'],
  ]);
  expect(response.json().usage.completion_tokens).toBe(4);
});

test('several answers, streamed: chunks say which', async () => {
  const { app, model } = testServer();
  model.script = () => [
    { type: 'tokens', position: 0, tokenIds: [1], text: 'one' },
    { type: 'tokens', position: 1, tokenIds: [2], text: 'two', choice: 1 },
    ...answer('one', [], CHOICES),
  ];
  const chunks = eventsOf((await app.inject(chat({ n: 2, stream: true }))).body) as {
    choices: { index: number; delta: { content?: string }; finish_reason: string | null }[];
  }[];
  const told = chunks
    .flatMap(({ choices }) => choices ?? [])
    .map((it) => [it.index, it.delta.content, it.finish_reason]);
  expect(told).toEqual([
    [0, '', null],
    [0, 'one', null],
    [1, '', null],
    [1, 'two', null],
    [0, undefined, 'stop'],
    [1, undefined, 'length'],
  ]);
});

test('a job tells all its answers, and its events which they belong to', async () => {
  const { app, model } = testServer();
  model.script = () => [
    { type: 'tokens', position: 0, tokenIds: [1], text: 'one' },
    { type: 'tokens', position: 1, tokenIds: [2], text: 'two', choice: 1 },
    ...answer('one', [], { ...CHOICES, tokenIds: [1] }),
  ];
  const payload = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi', n: 2 };
  await app.inject({ method: 'POST', url: '/v1/jobs', payload });
  const { result } = (await app.inject('/v1/jobs/r1')).json();
  expect(result).toMatchObject({ text: 'one', choices: [{ text: 'one' }, { text: 'two', finish_reason: 'length' }] });
  const events = await app.inject('/v1/jobs/r1/events');
  expect(eventsOf(events.body)).toMatchObject([{ text: 'one' }, { text: 'two', choice: 1 }, { type: 'completed' }]);
  expect(events.body.match(/^id: .*$/gm)).toEqual(['id: 1', 'id: 2', 'id: 2']);
});

test('echo puts the prompt before the answer, whole and streamed', async () => {
  const { app } = testServer();
  const whole = await app.inject(completion({ echo: true, prompt: ['a ', 'b '] }));
  expect(whole.json().choices.map((choice: { text: string }) => choice.text)).toEqual(['a hello', 'b hello']);
  const chunks = eventsOf((await app.inject(completion({ echo: true, stream: true }))).body);
  expect(chunks).toMatchObject([
    { choices: [{ text: 'hi' }] },
    { choices: [{ text: 'hel' }] },
    { choices: [{ text: 'lo' }] },
    { choices: [{ text: '', finish_reason: 'stop' }] },
    '[DONE]',
  ]);
});
