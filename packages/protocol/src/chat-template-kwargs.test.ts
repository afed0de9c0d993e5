import { describe, expect, it } from 'vitest';
import { ChatTemplateKwargs } from './chat-template-kwargs.ts';
import { GenerateRequest } from './generate-request.ts';

/** Arrays in arrays, so many of them. */
const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
const variables = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`v${at}`, at]));

describe('ChatTemplateKwargs', () => {
  it.each([
    ['none', {}],
    ['a switch', { enable_thinking: false }],
    ['every kind of JSON', { a: null, b: [1, 2.5, 'x'], c: { 'd e': [{}] } }],
    ['16 variables', variables(16)],
    ['a name of 64 characters', { [`a${'b'.repeat(63)}`]: 1 }],
    ['eight levels', { a: nested(8) }],
    ['as much text as there may be', { a: 'x'.repeat(4096 - 4) }],
    ['astral characters', { a: '👩‍👩‍👧‍👦' }],
  ])('takes %s, and changes nothing', (_, kwargs) => {
    expect(ChatTemplateKwargs.parse(kwargs)).toEqual(kwargs);
  });

  it.each([
    ['a list', ['enable_thinking'], []],
    ['a word', 'enable_thinking', []],
    ['17 variables', variables(17), []],
    ['a name that no template can say', { 'enable thinking': true }, []],
    ['a name of 65 characters', { [`a${'b'.repeat(64)}`]: 1 }, []],
    ['the name of a prototype', JSON.parse('{"__proto__": {"a": 1}}'), []],
    ['the conversation', { messages: [] }, ['messages']],
    ['the opening of the answer', { add_generation_prompt: false }, ['add_generation_prompt']],
    ['a special token', { bos_token: '<s>' }, ['bos_token']],
    ['documents, which Shoal does not have', { documents: [] }, ['documents']],
    ['a word of Jinja', { range: 5 }, ['range']],
    ['nine levels', { a: nested(9) }, []],
    ['levels without end', { a: nested(100_000) }, []],
    ['a character too many', { a: 'x'.repeat(4096 - 3) }, []],
    ['names that are too long together', { a: { ['x'.repeat(4096)]: 1 } }, []],
    ['a million elements', { a: Array(1_000_000).fill(0) }, []],
    ['half a surrogate pair', { a: ['\ud800'] }, []],
    ['what is no JSON', { a: () => 'x' }, []],
    ['a number that JSON cannot write', { a: Number.NaN }, []],
  ])('refuses %s, with one fault', (_, kwargs, path) => {
    const issues = ChatTemplateKwargs.safeParse(kwargs).error?.issues;
    expect(issues).toHaveLength(1);
    expect(issues?.[0]?.path).toEqual(path);
  });

  it('go with messages only', () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const chatTemplateKwargs = { enable_thinking: false };
    expect(GenerateRequest.parse({ v: 1, messages, chatTemplateKwargs })).toMatchObject({ chatTemplateKwargs });
    expect(GenerateRequest.safeParse({ v: 1, prompt: 'hi', chatTemplateKwargs }).error?.issues).toMatchObject([
      { path: ['chatTemplateKwargs'] },
    ]);
  });
});
