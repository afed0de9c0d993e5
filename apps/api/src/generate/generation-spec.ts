import { type ChatTemplateKwargs, type ModelCard, ShoalError } from '@shoal/protocol';
import type { ChatBody, CompletionBody } from '../schemas/bodies.ts';
import { chatMessages } from '../schemas/messages.ts';
import { MAX_PROMPTS, type Prompt, promptsOf } from '../schemas/prompt.ts';
import { type Service, serviceOf } from '../schemas/service.ts';
import { refuseOptionsOfChats, refuseUnsupported } from '../schemas/unsupported.ts';

/** What one job is asked: the part of a `GenerateRequest` that says it. */
export type GenerationInput =
  | { prompt: string }
  | { promptTokenIds: number[]; echo?: true }
  | { messages: ReturnType<typeof chatMessages>; askedAt?: number; chatTemplateKwargs?: ChatTemplateKwargs };

/** A request in the API's inside form: one input per job, and how to serve them. */
export interface GenerationSpec extends Service {
  model: string;
  inputs: GenerationInput[];
  /** Text that goes before each answer, one per input, '' where a worker tells it; `undefined` for none. */
  echo: string[] | undefined;
}

export function specOfCompletion(body: CompletionBody): GenerationSpec {
  refuseUnsupported(body);
  refuseOptionsOfChats(body);
  checkLengths(body, 'max_tokens', body.max_tokens);
  const prompts = promptsOf(body.prompt);
  const service = serviceOf(body, { maxTokens: body.max_tokens, logprobs: body.logprobs ?? undefined });
  const answers = body.n ?? 1;
  if ((body.best_of ?? answers) !== answers) throw unsupported('best_of', 'is supported only where it equals n');
  if (prompts.length * answers > MAX_PROMPTS) throw unsupported('n', `times prompts must be at most ${MAX_PROMPTS}`);
  const inputs = prompts.map((prompt) => inputOf(prompt, body.echo === true));
  const echo = body.echo === true ? echoOf(prompts, service.params.logprobs) : undefined;
  return specOf(service, { model: body.model, inputs, echo });
}

export function specOfChat(body: ChatBody): GenerationSpec {
  refuseUnsupported(body);
  const asked = body.logprobs === true;
  if (!asked && (body.top_logprobs ?? 0) > 0) throw unsupported('top_logprobs', 'needs logprobs to be true');
  const logprobs = asked ? (body.top_logprobs ?? 0) : undefined;
  const limit = typeof body.max_completion_tokens === 'number' ? 'max_completion_tokens' : 'max_tokens';
  checkLengths(body, limit, body[limit]);
  const service = serviceOf(body, { maxTokens: body[limit], logprobs });
  return specOf(service, { model: body.model, inputs: [conversationOf(body)], echo: undefined });
}

/** A worker would see it, too, but only after the wait in the queue, and it does not know the caller's words. */
function checkLengths({ min_tokens }: CompletionBody | ChatBody, limit: string, most: number | null | undefined): void {
  if (typeof most !== 'number' || (min_tokens ?? 0) <= most) return;
  throw unsupported('min_tokens', `must not be above ${limit}; lower the one or raise the other`);
}

/** What is not given has no field: the fingerprints of jobs from before there were such fields still hold. */
function conversationOf({ messages, asked_at, chat_template_kwargs }: ChatBody): GenerationInput {
  const askedAt = asked_at ?? undefined;
  const kwargs = chat_template_kwargs ?? {};
  const said = { messages: chatMessages(messages) };
  const conversation = askedAt === undefined ? said : { ...said, askedAt };
  return Object.keys(kwargs).length === 0 ? conversation : { ...conversation, chatTemplateKwargs: kwargs };
}

/** By name: a spread that is added to costs V8 as much as parsing a body. The order is part of a job's fingerprint. */
function specOf(
  { params, priority, timeoutMs, stream, includeUsage }: Service,
  { model, inputs, echo }: Omit<GenerationSpec, keyof Service>,
): GenerationSpec {
  return { params, priority, timeoutMs, stream, includeUsage, model, inputs, echo };
}

/** Only a worker can turn token ids into text. */
function inputOf(prompt: Prompt, echo: boolean): GenerationInput {
  if (typeof prompt === 'string') return { prompt };
  return echo ? { promptTokenIds: prompt, echo } : { promptTokenIds: prompt };
}

function echoOf(prompts: readonly Prompt[], logprobs: number | undefined): string[] {
  if (logprobs !== undefined) throw unsupported('echo', 'is not supported together with logprobs');
  return prompts.map((prompt) => (typeof prompt === 'string' ? prompt : ''));
}

function unsupported(param: string, problem: string): ShoalError {
  return new ShoalError('invalid_request_error', `${param}: ${problem}`, { param });
}

/** Refuses what the model cannot take, as far as it can be told without its tokenizer. */
export function checkAgainstModel(spec: GenerationSpec, card: ModelCard, maxPromptBytes: number): void {
  const bytes = spec.inputs.reduce((sum, input) => sum + promptBytes(input), 0);
  if (bytes > maxPromptBytes) {
    throw new ShoalError(
      'payload_too_large',
      `the prompt is ${bytes} bytes long; at most ${maxPromptBytes} are accepted: shorten it, or raise MAX_PROMPT_BYTES`,
    );
  }
  for (const input of spec.inputs) {
    if ('messages' in input && !card.chat) {
      throw new ShoalError(
        'invalid_request_error',
        'this model has no chat template; use /v1/completions, or another model',
        { param: 'messages' },
      );
    }
    if ('promptTokenIds' in input) checkTokenIds(input.promptTokenIds, card);
  }
  checkVocabulary(spec.params.stopTokenIds ?? [], card, 'stop_token_ids');
  checkVocabulary(Object.keys(spec.params.logitBias ?? {}).map(Number), card, 'logit_bias');
}

function checkTokenIds(tokenIds: readonly number[], card: ModelCard): void {
  if (tokenIds.length >= card.maxModelLen) {
    throw new ShoalError(
      'context_length_exceeded',
      `the prompt has ${tokenIds.length} tokens; this model takes at most ${card.maxModelLen} of prompt and answer together`,
      { param: 'prompt' },
    );
  }
  checkVocabulary(tokenIds, card, 'prompt');
}

function checkVocabulary(tokenIds: readonly number[], { vocabSize }: ModelCard, param: string): void {
  if (tokenIds.every((id) => id < vocabSize)) return;
  const message = `${param}: token ids must be below ${vocabSize} for this model`;
  throw new ShoalError('invalid_request_error', message, { param });
}

function promptBytes(input: GenerationInput): number {
  if ('prompt' in input) return Buffer.byteLength(input.prompt);
  if ('messages' in input) return input.messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  return 0;
}

const BYTES_PER_TOKEN = 4;

/** Tokens of a prompt; of text an estimate, as only a worker knows them. */
export function promptTokensOf(input: GenerationInput): number {
  if ('promptTokenIds' in input) return input.promptTokenIds.length;
  return Math.ceil(promptBytes(input) / BYTES_PER_TOKEN);
}

/** Tokens of prompts and answers that a request may come to, for accounts that cannot wait for its end. */
export function expectedTokens({ inputs, params }: GenerationSpec, { maxModelLen }: ModelCard): number {
  const { maxTokens = maxModelLen, n = 1 } = params;
  return inputs.map(promptTokensOf).reduce((sum, prompt) => {
    const answer = Math.min(maxTokens, Math.max(0, maxModelLen - prompt));
    return sum + prompt + answer * n;
  }, 0);
}
