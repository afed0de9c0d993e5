import type { ChosenLogprob } from '@shoal/protocol';
import { choicesOf, type ResponseMeta, type ResponseShape, rideOf, ridesOf, usageOf } from './response-shape.ts';

/** `text_completion` objects. */
export const completionShape: ResponseShape = {
  whole(meta, answers) {
    const rides = ridesOf(answers);
    const choices = answers.flatMap(choicesOf).map((choice) => ({
      ...choiceJson(choice.index, choice.text, choice.finishReason, logprobsJson(choice.logprobs, 0)),
      ...rides.choice(choice),
    }));
    return { ...head(meta), choices, usage: usageOf(answers), ...rides.response };
  },
  delta(meta, index, piece) {
    const logprobs = piece.logprobs.length === 0 ? null : logprobsJson(piece.logprobs, piece.offset);
    return { ...head(meta), choices: [choiceJson(index, piece.text, null, logprobs)] };
  },
  finish(meta, { index, finishReason, answer }) {
    return { ...head(meta), choices: [choiceJson(index, '', finishReason, null)], shoal: rideOf(answer) };
  },
  usage(meta, answers) {
    return { ...head(meta), choices: [], usage: usageOf(answers) };
  },
};

function head({ id, created, model, fingerprint }: ResponseMeta): object {
  return { id: `cmpl-${id}`, object: 'text_completion', created, model, system_fingerprint: fingerprint };
}

function choiceJson(index: number, text: string, finishReason: string | null, logprobs: object | null): object {
  return { index, text, logprobs, finish_reason: finishReason };
}

/** OpenAI's four parallel arrays; `offset` is where the first token begins in the answer's text. */
function logprobsJson(logprobs: readonly ChosenLogprob[] | undefined, offset: number): object | null {
  if (logprobs === undefined) return null;
  let at = offset;
  const textOffsets = logprobs.map(({ text }) => {
    const begin = at;
    at += text.length;
    return begin;
  });
  return {
    tokens: logprobs.map(({ text }) => text),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    // The chosen token is always among them, whether or not it is one of the likeliest.
    top_logprobs: logprobs.map((chosen) =>
      Object.fromEntries([...chosen.top, chosen].map(({ text, logprob }) => [text, logprob])),
    ),
    text_offset: textOffsets,
  };
}
