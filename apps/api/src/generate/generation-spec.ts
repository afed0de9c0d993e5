import { type ModelCard, ShoalError } from '@shoal/protocol';
import type { ChatBody, CompletionBody } from '../schemas/bodies.ts';
import { chatMessages } from '../schemas/messages.ts';
import { type Service, serviceOf } from '../schemas/options.ts';
import { promptsOf } from '../schemas/prompt.ts';
import { refuseUnsupported } from '../schemas/unsupported.ts';

/** What one job is asked: the part of a `GenerateRequest` that says it. */
export type GenerationInput =
  | { prompt: string }
  | { promptTokenIds: number[] }
  | { messages: ReturnType<typeof chatMessages> };

/** A request in the API's inside form: one input per choice, and how to serve them. */
export interface GenerationSpec extends Service {
  model: string;
  inputs: GenerationInput[];
}

export function specOfCompletion(body: CompletionBody): GenerationSpec {
  refuseUnsupported(body);
  const inputs = promptsOf(body.prompt).map((prompt) =>
    typeof prompt === 'string' ? { prompt } : { promptTokenIds: prompt },
  );
  return { ...serviceOf(body), model: body.model, inputs };
}

export function specOfChat(body: ChatBody): GenerationSpec {
  refuseUnsupported(body);
  const input = { messages: chatMessages(body.messages) };
  return { ...serviceOf(body, body.max_completion_tokens), model: body.model, inputs: [input] };
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
}

function checkTokenIds(tokenIds: readonly number[], card: ModelCard): void {
  if (tokenIds.length >= card.maxModelLen) {
    throw new ShoalError(
      'context_length_exceeded',
      `the prompt has ${tokenIds.length} tokens; this model takes at most ${card.maxModelLen} of prompt and answer together`,
      { param: 'prompt' },
    );
  }
  if (tokenIds.some((id) => id >= card.vocabSize)) {
    throw new ShoalError('invalid_request_error', `prompt: token ids must be below ${card.vocabSize} for this model`, {
      param: 'prompt',
    });
  }
}

function promptBytes(input: GenerationInput): number {
  if ('prompt' in input) return Buffer.byteLength(input.prompt);
  if ('messages' in input) return input.messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  return 0;
}
