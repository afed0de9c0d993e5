import { describe, expect, it } from 'vitest';
import { GenerateRequest } from './generate-request.ts';

const valid = { v: 1, prompt: 'hello', params: { temperature: 0 } };

describe('GenerateRequest', () => {
  it('fills in the sampling defaults that the wire leaves out', () => {
    expect(GenerateRequest.parse({ v: 1, prompt: 'hello' }).params).toMatchObject({
      temperature: 1,
      topP: 1,
      topK: 0,
      stop: [],
    });
  });

  it.each([
    ['a prompt', { prompt: 'hello' }],
    ['an empty prompt, which the engine refuses with a better message', { prompt: '' }],
    ['messages', { messages: [{ role: 'user', content: 'hi' }] }],
    ['messages of a certain time', { messages: [{ role: 'user', content: 'hi' }], askedAt: 1_741_132_800_000 }],
    ['token ids', { promptTokenIds: [1, 2, 3] }],
  ])('accepts %s', (_name, input) => {
    expect(GenerateRequest.safeParse({ v: 1, ...input }).success).toBe(true);
  });

  it.each([
    ['nothing to continue', { v: 1 }],
    ['two things to continue', { ...valid, promptTokenIds: [1] }],
    ['no messages', { v: 1, messages: [] }],
    ['a role nobody has', { v: 1, messages: [{ role: 'wizard', content: 'hi' }] }],
    ['a negative token id', { v: 1, promptTokenIds: [-1] }],
    ['another version', { ...valid, v: 2 }],
    ['an unknown field', { ...valid, promt: 'typo' }],
    ['an unknown sampling field', { ...valid, params: { temprature: 0 } }],
    ['a temperature out of range', { ...valid, params: { temperature: 2.1 } }],
    ['a temperature that is no number', { ...valid, params: { temperature: Number.NaN } }],
    ['a reply address that could name another key', { ...valid, replyTo: 'a:b' }],
    [
      'a time that no date can be',
      { v: 1, messages: [{ role: 'user', content: 'hi' }], askedAt: 8_640_000_000_000_001 },
    ],
    ['a seed beyond exact integers', { ...valid, params: { seed: 2 ** 53 } }],
    ['an empty stop string', { ...valid, params: { stop: [''] } }],
  ])('refuses %s', (_name, input) => {
    expect(GenerateRequest.safeParse(input).success).toBe(false);
  });
});
