import type { GenerateRequest } from './generate-request.ts';
import type { SamplingParams } from './sampling-params.ts';

/**
 * What a request asks, in OpenAI's words: the body of `POST /v1/jobs` that asks it. How it is served (model, priority,
 * deadline, webhook) is for the caller to add. What is `undefined` is not sent, and keeps the API's default.
 */
export function openaiBody(
  request: Pick<GenerateRequest, 'prompt' | 'messages' | 'askedAt' | 'chatTemplateKwargs' | 'promptTokenIds'> & {
    readonly params: { readonly [Name in keyof SamplingParams]?: SamplingParams[Name] | undefined };
  },
): object {
  const { prompt, messages, askedAt, chatTemplateKwargs, promptTokenIds, params } = request;
  const input =
    messages === undefined
      ? { endpoint: '/v1/completions', prompt: prompt ?? promptTokenIds, logprobs: params.logprobs }
      : {
          endpoint: '/v1/chat/completions',
          messages,
          asked_at: askedAt,
          chat_template_kwargs: chatTemplateKwargs,
          ...chatLogprobs(params.logprobs),
        };
  return {
    ...input,
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
function chatLogprobs(logprobs: number | undefined): object {
  return logprobs === undefined ? {} : { logprobs: true, top_logprobs: logprobs };
}
