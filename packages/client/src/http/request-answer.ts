import { type ChatMessage, ChatTemplateKwargs } from '@shoal/protocol';
import { z } from 'zod';
import type { ShoalRequest } from '../request.ts';

const message: z.ZodType<ChatMessage, unknown> = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
});
const count = z.int().min(0).optional();
const number = z.number().optional();

/** The words of the endpoint for what a job was asked: the other way round than `request-json.ts`. */
const asked = z.object({
  model: z.string(),
  prompt: z.union([z.string(), z.array(z.int().min(0))]).optional(),
  messages: z.array(message).optional(),
  asked_at: count,
  chat_template_kwargs: ChatTemplateKwargs.optional(),
  max_tokens: count,
  temperature: number,
  top_p: number,
  top_k: count,
  min_p: number,
  seed: count,
  stop: z.array(z.string()).optional(),
  stop_token_ids: z.array(z.int().min(0)).optional(),
  repetition_penalty: number,
  frequency_penalty: number,
  presence_penalty: number,
  logit_bias: z.record(z.string(), z.number()).optional(),
  ignore_eos: z.boolean().optional(),
  min_tokens: count,
  n: count,
  logprobs: z.union([z.boolean(), z.int().min(0)]).optional(),
  top_logprobs: count,
});

/** A job as `/v1/jobs/:id?include=request` shows it, read as what it was asked. */
export const RequestAnswer: z.ZodType<ShoalRequest, unknown> = z.object({ request: asked }).transform(({ request }) => {
  const { prompt, messages, logprobs, top_logprobs: listed } = request;
  return {
    model: request.model,
    ...(typeof prompt === 'string' ? { prompt } : {}),
    ...(Array.isArray(prompt) ? { promptTokenIds: prompt } : {}),
    ...(messages === undefined
      ? {}
      : { messages, askedAt: request.asked_at, chatTemplateKwargs: request.chat_template_kwargs }),
    maxTokens: request.max_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    seed: request.seed,
    stop: request.stop,
    stopTokenIds: request.stop_token_ids,
    repetitionPenalty: request.repetition_penalty,
    frequencyPenalty: request.frequency_penalty,
    presencePenalty: request.presence_penalty,
    logitBias: request.logit_bias,
    ignoreEos: request.ignore_eos,
    minTokens: request.min_tokens,
    n: request.n,
    logprobs: typeof logprobs === 'number' ? logprobs : logprobs === true ? (listed ?? 0) : undefined,
  };
});
