import { expect, it } from 'vitest';
import { tokenisePrompt } from './prepare-request.ts';
import { byteTokenizer } from './testing/byte-tokenizer.ts';
import { GREEDY, scriptedEngine } from './testing/scripted-engine.ts';
import { ChatTemplate } from './tokenizer/chat-template.ts';

it('renders a conversation with the variables that its request brings', () => {
  const tokenizer = byteTokenizer(new ChatTemplate("{{ messages[0]['content'] }}{% if loud %}!{% endif %}", {}));
  const { model } = scriptedEngine().engine;
  const request = { id: 'a', messages: [{ role: 'user' as const, content: 'hi' }], params: GREEDY };
  const rendered = (kwargs?: { loud: boolean }) =>
    tokenizer.decode([...tokenisePrompt({ ...request, chatTemplateKwargs: kwargs }, { model, tokenizer, now: 0 })]);
  expect([rendered(), rendered({ loud: true }), rendered({ loud: false })]).toEqual(['hi', 'hi!', 'hi']);
});
