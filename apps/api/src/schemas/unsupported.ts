import { ShoalError } from '@shoal/protocol';

/** True when a value asks for nothing beyond OpenAI's default. */
type AsksNothing = (value: unknown) => boolean;

const isEmpty: AsksNothing = (value) =>
  value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);

/**
 * Options that change the answer and that Shoal does not have. Ignoring one would be a wrong answer that looks right,
 * so a request that asks for one is refused; a request that sends its default, or null, is served.
 */
const UNSUPPORTED: Readonly<Record<string, AsksNothing>> = {
  suffix: isEmpty,
  tools: isEmpty,
  functions: isEmpty,
  tool_choice: (value) => value === 'none' || value === 'auto',
  function_call: (value) => value === 'none' || value === 'auto',
  response_format: (value) => typeof value === 'object' && value !== null && 'type' in value && value.type === 'text',
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  audio: isEmpty,
  prediction: isEmpty,
  web_search_options: isEmpty,
  prompt_logprobs: (value) => value === false,
};

/** Throws `invalid_request_error` for an option that this version does not have. */
export function refuseUnsupported(body: object): void {
  for (const [param, value] of Object.entries(body)) {
    if (value === null || value === undefined || !Object.hasOwn(UNSUPPORTED, param)) continue;
    if (UNSUPPORTED[param]?.(value) === true) continue;
    throw new ShoalError('invalid_request_error', `${param}: not supported by this version; leave it out`, { param });
  }
}
