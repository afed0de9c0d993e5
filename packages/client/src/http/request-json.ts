import type { CheckedRequest } from '../request.ts';

/** The body of `POST /v1/jobs` for a request. What is left out keeps the API's default. */
export function requestJson({ model, input, params, priority, timeoutMs, webhookUrl }: CheckedRequest): object {
  return {
    model,
    ...inputJson(input, params.logprobs),
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
    priority,
    timeout_ms: timeoutMs,
    webhook_url: webhookUrl,
  };
}

/** The two endpoints ask for log probabilities in different words. */
function inputJson(input: CheckedRequest['input'], logprobs: number | undefined): object {
  if ('messages' in input) {
    const asked = logprobs === undefined ? {} : { logprobs: true, top_logprobs: logprobs };
    return { endpoint: '/v1/chat/completions', messages: input.messages, ...asked };
  }
  return {
    endpoint: '/v1/completions',
    prompt: 'prompt' in input ? input.prompt : input.promptTokenIds,
    logprobs,
  };
}
