import { describe, expect, it } from 'vitest';
import type { Answer } from './answer.ts';
import type { EngineModel, EngineRequest } from './generation-engine.ts';
import { RequestDesk } from './request-desk.ts';
import { GREEDY } from './testing/scripted-engine.ts';
import { FIRST_WORD, idOf, sentencePieceTokenizer, WORDS } from './testing/sentencepiece-tokenizer.ts';
import { ChatTemplate } from './tokenizer/chat-template.ts';

const [hello, world, full] = [idOf('▁hello'), idOf('▁world'), idOf('.')];
const NOON = Date.UTC(2025, 2, 4, 12);
const DAY_MS = 86_400_000;

const model: EngineModel = {
  maxModelLen: 64,
  vocabSize: FIRST_WORD + WORDS.length,
  chat: true,
  revision: '000000000000',
  dtype: 'fp32',
  executionProvider: 'scripted',
  fingerprint: '000000000000',
  invariance: { batch: true, padding: true, chunk: true, replay: true },
};

/** A worker's desk. Its model is told the day of the month, in tokens: each digit is a byte. */
function accepted(request: Partial<EngineRequest>, now: number = NOON): Answer {
  const template = new ChatTemplate('{{ strftime_now("%d") + messages[0].content }}', {});
  const tokenizer = sentencePieceTokenizer(template);
  const desk = new RequestDesk({ model, tokenizer, eosTokenIds: [idOf('</s>')], drawSeed: () => 7 });
  const sink = { tokens: () => {}, finish: () => {}, fail: () => {} };
  return desk.accept({ id: 'a', params: GREEDY, ...request }, sink, now);
}

function said(answer: Answer, ...tokens: number[]): string {
  for (const token of tokens) for (const sequence of answer.sequences) sequence.append(token, 0);
  return answer.sequences.map((sequence) => sequence.text.text).join('|');
}

describe('the text of an answer, where tokens begin with their space', () => {
  it('goes on with a prompt, also one of token ids, in every choice', () => {
    expect(said(accepted({ promptTokenIds: [hello] }), world, full)).toBe(' world.');
    // Text without words of the vocabulary is bytes.
    expect(said(accepted({ prompt: 'Say' }), world, full)).toBe(' world.');
    const two = accepted({ promptTokenIds: [hello], params: { ...GREEDY, n: 2 } });
    expect(said(two, world)).toBe(' world| world');
  });

  it('is one of its own in a chat', () => {
    expect(said(accepted({ messages: [{ role: 'user', content: '.' }] }), hello, world)).toBe('hello world');
  });

  it('is the same after a resume, wherever that was', () => {
    const tokens = [world, idOf('▁'), hello, idOf('</s>'), full];
    const params = { ...GREEDY, ignoreEos: true };
    const whole = said(accepted({ promptTokenIds: [hello], params }), ...tokens);
    expect(whole).toBe(' world  hello.');
    for (let told = 0; told <= tokens.length; told++) {
      const resumeFrom = { tokenIds: tokens.slice(0, told) };
      expect(said(accepted({ promptTokenIds: [hello], params, resumeFrom }), ...tokens.slice(told))).toBe(whole);
    }
  });
});

describe('the prompt of a chat', () => {
  const messages = [{ role: 'user' as const, content: '.' }];
  const prompt = (request: Partial<EngineRequest>, now?: number) =>
    accepted({ messages, ...request }, now).sequences[0]?.promptTokenIds;

  it('has the date of the request, whenever a worker takes it', () => {
    const begun = prompt({ askedAt: NOON });
    expect(prompt({ askedAt: NOON }, NOON + DAY_MS)).toEqual(begun);
    expect(prompt({ askedAt: NOON + DAY_MS })).not.toEqual(begun);
  });

  it('has the date at which the engine takes it, where the request says nothing', () => {
    expect(prompt({})).toEqual(prompt({ askedAt: NOON }));
    expect(prompt({}, NOON + DAY_MS)).not.toEqual(prompt({}));
  });
});
