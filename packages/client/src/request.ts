import {
  type ChatMessage,
  type ChatTemplateKwargs,
  DEFAULT_PRIORITY,
  LOWEST_PRIORITY,
  type SamplingParams,
  ShoalError,
} from '@shoal/protocol';

/** {@link SamplingParams}, of which all may be left out. */
export type SamplingOptions = { [Name in keyof SamplingParams]?: SamplingParams[Name] | undefined };

/**
 * One request: exactly one of `prompt`, `messages` and `promptTokenIds`, and how to answer it. Meaning, ranges and
 * defaults of the sampling options are those of {@link SamplingParams}.
 */
export interface ShoalRequest extends SamplingOptions {
  /** Text to continue. */
  prompt?: string | undefined;
  /** A conversation, for models with a chat template. */
  messages?: ChatMessage[] | undefined;
  /** Unix time in milliseconds that the chat template takes for the present. Default: when the job is added. */
  askedAt?: number | undefined;
  /** With `messages`: variables for the chat template, such as `enable_thinking`. */
  chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  /** Token ids to continue. */
  promptTokenIds?: number[] | undefined;
  /** A served model. Default: the client's. */
  model?: string | undefined;
  /** 0 is served first, 9 last. Default 5. */
  priority?: number | undefined;
  /** Milliseconds from acceptance after which the answer is worthless, 1 … 86,400,000. */
  timeoutMs?: number | undefined;
  /** With `submit`: told of the job's end, at least once and signed. An https URL. */
  webhookUrl?: string | undefined;
}

/** A request taken apart: what is asked of which model, how it is sampled, how it is served. */
export interface CheckedRequest {
  readonly model: string;
  readonly input:
    | { prompt: string }
    | { messages: ChatMessage[]; askedAt?: number; chatTemplateKwargs?: ChatTemplateKwargs }
    | { promptTokenIds: number[] };
  readonly params: SamplingOptions;
  readonly priority: number;
  readonly timeoutMs: number | undefined;
  readonly webhookUrl: string | undefined;
}

/** Throws `invalid_request_error` where no server is needed to see that something is missing. */
export function checkRequest(request: ShoalRequest, defaultModel: string | undefined): CheckedRequest {
  const { prompt, messages, askedAt, chatTemplateKwargs, promptTokenIds, model = defaultModel, ...others } = request;
  const { priority, timeoutMs, webhookUrl, ...params } = others;
  if (model === undefined) throw invalid('model', 'name one in the request, or when the client is made');
  const ofChat = { ...(askedAt !== undefined && { askedAt }), ...(chatTemplateKwargs && { chatTemplateKwargs }) };
  const inputs = [
    ...(prompt === undefined ? [] : [{ prompt }]),
    ...(messages === undefined ? [] : [{ messages, ...ofChat }]),
    ...(promptTokenIds === undefined ? [] : [{ promptTokenIds }]),
  ];
  const [input] = inputs;
  if (input === undefined || inputs.length > 1) {
    throw invalid('prompt', 'exactly one of prompt, messages and promptTokenIds must be given');
  }
  if (chatTemplateKwargs !== undefined && messages === undefined) {
    throw invalid('chatTemplateKwargs', 'goes with messages; leave it out');
  }
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= LOWEST_PRIORITY)) {
    throw invalid('priority', `must be a whole number from 0 to ${LOWEST_PRIORITY}`);
  }
  return { model, input, params, priority: priority ?? DEFAULT_PRIORITY, timeoutMs, webhookUrl };
}

function invalid(param: string, problem: string): ShoalError {
  return new ShoalError('invalid_request_error', `${param}: ${problem}`, { param });
}
