import { Template } from '@huggingface/jinja';
import { type ChatMessage, ShoalError } from '@shoal/protocol';

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
    this.#template = new Template(source);
    this.#specialTokens = specialTokens;
  }

  /** Throws `invalid_request_error` with the template's own reason when it refuses the conversation. */
  render(messages: readonly ChatMessage[]): string {
    try {
      return this.#template.render({ messages, add_generation_prompt: true, ...this.#specialTokens });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ShoalError('invalid_request_error', `the model's chat template refused the messages: ${reason}`, {
        param: 'messages',
        cause,
      });
    }
  }
}
