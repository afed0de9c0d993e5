import type { ChatMessage, ChatTemplateKwargs } from '@shoal/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ChatTemplate } from './chat-template.ts';

const HELLO: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
/** A minute before midnight in UTC: elsewhere it is another day. */
const LATE = Date.UTC(2025, 2, 4, 23, 59);

function rendered(source: string, now: number = LATE, chatTemplateKwargs?: ChatTemplateKwargs): string {
  return new ChatTemplate(source, { bos_token: '<s>' }).render({ messages: HELLO, chatTemplateKwargs, now });
}

describe('a template that prints the date', () => {
  // As Llama 3.2 has it.
  const DATED = [
    '{{- bos_token }}',
    '{%- if not date_string is defined %}',
    '    {%- if strftime_now is defined %}',
    '        {%- set date_string = strftime_now("%d %b %Y") %}',
    '    {%- else %}',
    '        {%- set date_string = "26 Jul 2024" %}',
    '    {%- endif %}',
    '{%- endif %}',
    '{{- "Today Date: " + date_string + "\n" + messages[0].content }}',
  ].join('\n');

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllEnvs();
  });

  it('prints that of the request, whatever clock, time zone and language the process has', () => {
    const expected = '<s>Today Date: 04 Mar 2025\nHello';
    expect(rendered(DATED)).toBe(expected);
    vi.useFakeTimers({ now: LATE + 86_400_000 });
    for (const zone of ['Asia/Tokyo', 'America/Los_Angeles']) {
      vi.stubEnv('TZ', zone);
      vi.stubEnv('LANG', 'de_DE.UTF-8');
      vi.stubEnv('LC_ALL', 'de_DE.UTF-8');
      expect(rendered(DATED)).toBe(expected);
    }
    expect(rendered(DATED, LATE + 60_000)).toBe('<s>Today Date: 05 Mar 2025\nHello');
  });

  it('keeps the rest of what templates may call, and their text as it is', () => {
    const source = '{% for i in range(2) %}{{ i }}{% endfor %}{{ True }} strftime_now {{ "strftime_now" }}';
    expect(rendered(source)).toBe('01true strftime_now strftime_now');
    expect(() => rendered('{{ raise_exception("roles must alternate") }}')).toThrow(
      "the model's chat template refused the messages: roles must alternate",
    );
  });
});

describe('a template that asks for tools and documents', () => {
  it.each([
    ['Llama 3', '{%- if not tools is defined %}{%- set tools = none %}{%- endif %}{{ tools is not none }}', 'false'],
    ['Qwen', '{%- if tools %}tools{%- else %}none{%- endif %}', 'none'],
    ['SmolLM3', '{%- if xml_tools or python_tools or tools -%}tools{%- else -%}none{%- endif -%}', 'none'],
    ['Granite', '{%- if tools and documents %}both{%- elif documents %}documents{%- else %}none{%- endif %}', 'none'],
    ['one that knows them as None', '{{ tools is defined and tools is none and documents is none }}', 'true'],
    ['one that looks into them', '{%- if tools is iterable and tools | length > 0 %}tools{%- endif %}', ''],
  ])('finds none, as Hugging Face passes them: %s', (_, source, expected) => {
    expect(rendered(source)).toBe(expected);
  });
});

/** As Qwen3's does: thinking is on until it is switched off. */
const THINKING =
  "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}" +
  '{% if add_generation_prompt %}[assistant] {% if enable_thinking is defined and enable_thinking is false %}' +
  '<think></think>{% endif %}{% endif %}';

describe('a template with variables', () => {
  const template = new ChatTemplate(THINKING, { bos_token: '<s>' });
  const render = (chatTemplateKwargs?: ChatTemplateKwargs) =>
    template.render({ messages: HELLO, chatTemplateKwargs, now: LATE });
  const plain = '<s>[user] Hello\n[assistant] ';

  it('renders the conversation, and the opening of the answer', () => {
    expect(render()).toBe(plain);
  });

  it.each([
    ['a switch that is off', { enable_thinking: false }, `${plain}<think></think>`],
    ['a switch that is on', { enable_thinking: true }, plain],
    ['a variable that it does not read', { colour: 'red' }, plain],
  ])('is told %s', (_, kwargs, expected) => {
    expect(render(kwargs)).toBe(expected);
    expect(render(), 'and forgets it').toBe(plain);
  });

  it('keeps what it sets itself, whatever it is told', () => {
    const kwargs = { messages: [], add_generation_prompt: false, bos_token: '' };
    expect(render(kwargs)).toBe(plain);
    const none = { tools: ['a'], documents: ['a'], shoal_strftime_now: 'never' };
    const source = '{{ tools is none and documents is none }} {{ strftime_now("%d %b %Y") }}';
    expect(rendered(source, LATE, none)).toBe('true 04 Mar 2025');
  });

  it('reads values of every kind as JSON says them', () => {
    const source = "{{ 'nothing' if a is none }} {{ b[1] }} {{ 'on' if c.d }} {{ e * 2 }}";
    const kwargs = { a: null, b: ['x', 'y'], c: { d: true }, e: 1.5 };
    expect(rendered(source, LATE, kwargs)).toBe('nothing y on 3.0');
  });
});
