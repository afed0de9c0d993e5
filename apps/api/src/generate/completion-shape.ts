import { type Answer, type ResponseMeta, type ResponseShape, rideOf, usageOf } from './response-shape.ts';

/** `text_completion` objects. */
export const completionShape: ResponseShape = {
  whole(meta, answers) {
    const only = answers.length === 1 ? answers[0] : undefined;
    return {
      ...head(meta),
      choices: answers.map((answer) => ({
        ...choice(answer.index, answer.result.text, answer.result.finishReason),
        ...(only === undefined ? { shoal: rideOf(answer.jobId, answer.result) } : {}),
      })),
      usage: usageOf(answers),
      ...(only === undefined ? {} : { shoal: rideOf(only.jobId, only.result) }),
    };
  },
  delta(meta, index, text) {
    return { ...head(meta), choices: [choice(index, text, null)] };
  },
  finish(meta, { index, jobId, result }: Answer) {
    return { ...head(meta), choices: [choice(index, '', result.finishReason)], shoal: rideOf(jobId, result) };
  },
  usage(meta, answers) {
    return { ...head(meta), choices: [], usage: usageOf(answers) };
  },
};

function head({ id, created, model, fingerprint }: ResponseMeta): object {
  return { id: `cmpl-${id}`, object: 'text_completion', created, model, system_fingerprint: fingerprint };
}

function choice(index: number, text: string, finishReason: string | null): object {
  return { index, text, logprobs: null, finish_reason: finishReason };
}
