import type { GenerateRequest } from '@shoal/protocol';
import type { JobEndpoint } from '../schemas/bodies.ts';

/**
 * What a job was asked, as the body of `POST /v1/jobs` that asks it again: with the seed that it was given. How it was
 * served (priority, deadline, webhook) is left out. What is `undefined` is not sent.
 */
export function bodyOfRequest(request: GenerateRequest, model: string): object {
  const { params } = request;
  return {
    model,
    ...inputOf(request),
    max_tokens: params.maxTokens,
    temperature: params.temperature,
    top_p: params.topP,
    top_k: params.topK,
    min_p: params.minP,
    seed: params.seed,
    stop: params.stop,
    stop_token_ids: params.stopTokenIds,
    repetition_penalty: params.repetitionPenalty,
    frequency_penalty: params.frequencyPenalty,
    presence_penalty: params.presencePenalty,
    logit_bias: params.logitBias,
    ignore_eos: params.ignoreEos,
    min_tokens: params.minTokens,
    n: params.n,
  };
}

/** The two endpoints ask for log probabilities in different words. */
function inputOf({ prompt, messages, promptTokenIds, params }: GenerateRequest): { endpoint: JobEndpoint } {
  const { logprobs } = params;
  if (messages === undefined) {
    return { endpoint: '/v1/completions', ...{ prompt: prompt ?? promptTokenIds, logprobs } };
  }
  const asked = logprobs === undefined ? {} : { logprobs: true, top_logprobs: logprobs };
  return { endpoint: '/v1/chat/completions', ...{ messages, ...asked } };
}
