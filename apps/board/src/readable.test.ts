import { expect, test } from 'vitest';
import { readableRequest, readableResult } from './readable.ts';

const result = {
  ...{ v: 1, text: 'Wednesday', tokenIds: [1, 2, 3], finishReason: 'stop', seed: 7 },
  usage: { promptTokens: 12, completionTokens: 3 },
  timings: { queuedAt: 1_000, claimedAt: 1_040, startedAt: 1_050, firstTokenAt: 1_090, finishedAt: 1_300 },
  ride: { worker: 'w1', batchId: 4, batchSize: 8 },
};

test('an answer is readable at once, with what it took', () => {
  expect(readableResult(result)).toEqual({
    answer: 'Wednesday',
    finishReason: 'stop',
    tokens: { prompt: 12, answer: 3 },
    milliseconds: { queued: 40, untilFirstToken: 50, generating: 210 },
    ranIn: { worker: 'w1', batch: 4, batchSize: 8 },
    seed: 7,
  });
});

test('a conversation is read line by line, and a prompt that is long is cut', () => {
  const params = { temperature: 0, topP: 1, topK: 0, stop: [] };
  const messages = [{ role: 'user', content: 'Which day follows Tuesday?' }];
  const chatTemplateKwargs = { enable_thinking: false };
  expect(readableRequest({ v: 1, messages, chatTemplateKwargs, params, deadline: 0, replyTo: 'api-1' })).toEqual({
    conversation: ['user: Which day follows Tuesday?'],
    chatTemplateKwargs,
    params,
    deadline: '1970-01-01T00:00:00.000Z',
  });
  const long = readableRequest({ v: 1, prompt: 'x'.repeat(1_500), params });
  expect(long).toEqual({ prompt: `${'x'.repeat(1_000)}… (500 more characters)`, params });
  expect(readableRequest({ foreign: true })).toEqual({ foreign: true });
});

test('what is no result of ours is shown as it is, cut', () => {
  expect(readableResult({ other: 'x'.repeat(2_000) })).toEqual({
    other: `${'x'.repeat(1_000)}… (1000 more characters)`,
  });
  expect(readableResult(null)).toBeNull();
});
