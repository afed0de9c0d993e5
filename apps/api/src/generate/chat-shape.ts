import { type Answer, type ResponseMeta, type ResponseShape, rideOf, usageOf } from './response-shape.ts';

/** `chat.completion` and `chat.completion.chunk` objects. */
export const chatShape: ResponseShape = {
  whole(meta, answers) {
    const only = answers.length === 1 ? answers[0] : undefined;
    return {
      ...head(meta, 'chat.completion'),
      choices: answers.map(({ index, jobId, result }) => ({
        index,
        message: { role: 'assistant', content: result.text, refusal: null },
        logprobs: null,
        finish_reason: result.finishReason,
        ...(only === undefined ? { shoal: rideOf(jobId, result) } : {}),
      })),
      usage: usageOf(answers),
      ...(only === undefined ? {} : { shoal: rideOf(only.jobId, only.result) }),
    };
  },
  opening(meta, index) {
    return chunk(meta, index, { role: 'assistant', content: '' }, null);
  },
  delta(meta, index, text) {
    return chunk(meta, index, { content: text }, null);
  },
  finish(meta, { index, jobId, result }: Answer) {
    return { ...chunk(meta, index, {}, result.finishReason), shoal: rideOf(jobId, result) };
  },
  usage(meta, answers) {
    return { ...head(meta, 'chat.completion.chunk'), choices: [], usage: usageOf(answers) };
  },
};

function chunk(meta: ResponseMeta, index: number, delta: object, finishReason: string | null): object {
  const choice = { index, delta, logprobs: null, finish_reason: finishReason };
  return { ...head(meta, 'chat.completion.chunk'), choices: [choice] };
}

function head({ id, created, model, fingerprint }: ResponseMeta, object: string): object {
  return { id: `chatcmpl-${id}`, object, created, model, system_fingerprint: fingerprint };
}
