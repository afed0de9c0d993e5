import { parse, Template, tokenize } from '@huggingface/jinja';
import { type ChatMessage, type ChatTemplateKwargs, ShoalError } from '@shoal/protocol';
import { strftime } from './strftime.ts';

/** What the template knows `strftime_now` by, see {@link parsed}. */
const OWN_NOW = 'shoal_strftime_now';

export interface RenderOptions {
  messages: readonly ChatMessage[];
  /** Further variables; none of them takes the place of those that are set here. */
  chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  /** Unix time in milliseconds that the template takes for the present; it prints dates in UTC and in English. */
  now: number;
}

/** Renders a conversation into the text that a chat model was trained on. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #specialTokens: Record<string, string>;

  /**
   * @param source Jinja, from `chat_template.jinja` or `tokenizer_config.json`
   * @param specialTokens `bos_token`, `eos_token`, … which templates refer to by name
   * @throws when the template does not parse
   */
  constructor(source: string, specialTokens: Record<string, string>) {
    this.#template = parsed(source);
    this.#specialTokens = specialTokens;
  }

  /** Throws `invalid_request_error` with the template's own reason when it refuses the conversation. */
  render({ messages, chatTemplateKwargs, now }: RenderOptions): string {
    try {
      return this.#template.render({
        ...chatTemplateKwargs,
        messages,
        add_generation_prompt: true,
        // Hugging Face passes None, which counts as defined, where there are none.
        tools: null,
        documents: null,
        [OWN_NOW]: (format: unknown) => strftime(String(format), now),
        ...this.#specialTokens,
      });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ShoalError('invalid_request_error', `the model's chat template refused the messages: ${reason}`, {
        param: 'messages',
        cause,
      });
    }
  }
}

/**
 * The library's `strftime_now` goes by the clock, time zone and language of the machine, and it lets nobody declare
 * another: templates call ours by another name.
 */
function parsed(source: string): Template {
  const tokens = tokenize(source, { lstrip_blocks: true, trim_blocks: true });
  for (const token of tokens) {
    if (token.type === 'Identifier' && token.value === 'strftime_now') token.value = OWN_NOW;
  }
  const template = new Template('');
  template.parsed = parse(tokens);
  return template;
}
