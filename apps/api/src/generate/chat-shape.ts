import type { ChosenLogprob, TokenLogprob } from '@shoal/protocol';
import {
  choicesOf,
  type ResponseJson,
  type ResponseMeta,
  type ResponseParts,
  type ResponseShape,
  rideOf,
  ridesOf,
  usageOf,
} from './response-shape.ts';

/** `chat.completion` and `chat.completion.chunk` objects. */
export const chatShape: ResponseShape = {
  whole(meta, answers) {
    const rides = ridesOf(answers);
    const choices = answers.flatMap(choicesOf).map((choice) => ({
      index: choice.index,
      message: { role: 'assistant', content: choice.text, refusal: null },
      logprobs: logprobsJson(choice.logprobs),
      finish_reason: choice.finishReason,
      shoal: rides.choice(choice),
    }));
    return chatJson(meta, 'chat.completion', choices, { usage: usageOf(answers), shoal: rides.response });
  },
  opening(meta, index) {
    return chunk(meta, { index, delta: { role: 'assistant', content: '' } });
  },
  delta(meta, index, { text, logprobs }) {
    return chunk(meta, {
      index,
      delta: { content: text },
      logprobs: logprobs.length === 0 ? null : logprobsJson(logprobs),
    });
  },
  finish(meta, { index, finishReason, answer }) {
    return chunk(meta, { index, delta: {}, finishReason }, rideOf(answer));
  },
  usage(meta, answers) {
    return chatJson(meta, 'chat.completion.chunk', [], { usage: usageOf(answers) });
  },
};

interface ChunkChoice {
  index: number;
  delta: object;
  logprobs?: object | null;
  finishReason?: string;
}

function chunk(
  meta: ResponseMeta,
  { index, delta, logprobs = null, finishReason }: ChunkChoice,
  shoal?: object,
): ResponseJson {
  return chatJson(meta, 'chat.completion.chunk', [{ index, delta, logprobs, finish_reason: finishReason ?? null }], {
    shoal,
  });
}

function chatJson(
  { id, created, model, fingerprint }: ResponseMeta,
  object: string,
  choices: readonly object[],
  { usage, shoal }: ResponseParts,
): ResponseJson {
  return { id: `chatcmpl-${id}`, object, created, model, system_fingerprint: fingerprint, choices, usage, shoal };
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
