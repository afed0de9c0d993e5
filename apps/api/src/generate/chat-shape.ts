import type { ChosenLogprob, TokenLogprob } from '@shoal/protocol';
import { choicesOf, type ResponseMeta, type ResponseShape, rideOf, ridesOf, usageOf } from './response-shape.ts';

/** `chat.completion` and `chat.completion.chunk` objects. */
export const chatShape: ResponseShape = {
  whole(meta, answers) {
    const rides = ridesOf(answers);
    const choices = answers.flatMap(choicesOf).map((choice) => ({
      index: choice.index,
      message: { role: 'assistant', content: choice.text, refusal: null },
      logprobs: logprobsJson(choice.logprobs),
      finish_reason: choice.finishReason,
      ...rides.choice(choice),
    }));
    return { ...head(meta, 'chat.completion'), choices, usage: usageOf(answers), ...rides.response };
  },
  opening(meta, index) {
    return chunk(meta, index, { role: 'assistant', content: '' });
  },
  delta(meta, index, { text, logprobs }) {
    return chunk(meta, index, { content: text }, logprobs.length === 0 ? null : logprobsJson(logprobs));
  },
  finish(meta, { index, finishReason, answer }) {
    return { ...chunk(meta, index, {}, null, finishReason), shoal: rideOf(answer) };
  },
  usage(meta, answers) {
    return { ...head(meta, 'chat.completion.chunk'), choices: [], usage: usageOf(answers) };
  },
};

function chunk(
  meta: ResponseMeta,
  index: number,
  delta: object,
  logprobs: object | null = null,
  finishReason: string | null = null,
): object {
  return { ...head(meta, 'chat.completion.chunk'), choices: [{ index, delta, logprobs, finish_reason: finishReason }] };
}

function head({ id, created, model, fingerprint }: ResponseMeta, object: string): object {
  return { id: `chatcmpl-${id}`, object, created, model, system_fingerprint: fingerprint };
}

function logprobsJson(logprobs: readonly ChosenLogprob[] | undefined): object | null {
  if (logprobs === undefined) return null;
  const content = logprobs.map((chosen) => ({ ...tokenJson(chosen), top_logprobs: chosen.top.map(tokenJson) }));
  return { content, refusal: null };
}

/** `bytes` is null where the token is only part of a character: its bytes are not known from its text. */
function tokenJson({ text, logprob }: TokenLogprob): object {
  return { token: text, logprob, bytes: text.includes('\uFFFD') ? null : [...Buffer.from(text)] };
}
