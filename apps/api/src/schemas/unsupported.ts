import { ShoalError } from '@shoal/protocol';

/** True when a value asks for nothing beyond the default. */
type AsksNothing = (value: unknown) => boolean;

type Options = Readonly<Record<string, AsksNothing>>;

const isEmpty: AsksNothing = (value) =>
  value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
const isBlank: AsksNothing = (value) => value === '';
const isFalse: AsksNothing = (value) => value === false;
const isTrue: AsksNothing = (value) => value === true;
const never: AsksNothing = () => false;

/**
 * Options that change the answer and that Shoal does not have. Ignoring one would be a wrong answer that looks right,
 * so a request that asks for one is refused; a request that sends its default, or null, is served.
 */
const UNSUPPORTED: Options = {
  suffix: isEmpty,
  tools: isEmpty,
  functions: isEmpty,
  tool_choice: (value) => value === 'none' || value === 'auto',
  function_call: (value) => value === 'none' || value === 'auto',
  response_format: (value) => typeof value === 'object' && value !== null && 'type' in value && value.type === 'text',
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  audio: isEmpty,
  prediction: isEmpty,
  // An empty object turns it on.
  web_search_options: never,
  reasoning_effort: (value) => value === 'none',
  verbosity: (value) => value === 'medium',
  // What follows is not OpenAI's, but what other servers of open models take. An empty JSON schema asks for JSON.
  structured_outputs: isEmpty,
  guided_json: isBlank,
  guided_regex: isBlank,
  guided_choice: isEmpty,
  guided_grammar: isBlank,
  json_schema: isBlank,
  grammar: isBlank,
  regex: isBlank,
  ebnf: isBlank,
  prompt_logprobs: isFalse,
  use_beam_search: isFalse,
  include_stop_str_in_output: isFalse,
  skip_special_tokens: isTrue,
  bad_words: isEmpty,
  allowed_token_ids: isEmpty,
  logits_processors: isEmpty,
  truncate_prompt_tokens: never,
  chat_template: isBlank,
  documents: isEmpty,
  add_generation_prompt: isTrue,
  continue_final_message: isFalse,
};

/** What chats have, and completions have not. */
const OF_CHATS: Options = { chat_template_kwargs: isEmpty };

/** Throws `invalid_request_error` for an option that this version does not have. */
export function refuseUnsupported(body: object): void {
  refuse(body, UNSUPPORTED, 'not supported by this version; leave it out');
}

/** Throws `invalid_request_error` for an option of chats in the body of a completion. */
export function refuseOptionsOfChats(body: object): void {
  refuse(body, OF_CHATS, 'goes with messages, in a chat; leave it out');
}

function refuse(body: object, options: Options, problem: string): void {
  for (const [param, value] of Object.entries(body)) {
    if (value === null || value === undefined || !Object.hasOwn(options, param)) continue;
    if (options[param]?.(value) === true) continue;
    throw new ShoalError('invalid_request_error', `${param}: ${problem}`, { param });
  }
}
