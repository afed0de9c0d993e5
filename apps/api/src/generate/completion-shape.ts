import type { ChosenLogprob } from '@shoal/protocol';
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

/** `text_completion` objects. */
export const completionShape: ResponseShape = {
  whole(meta, answers) {
    const rides = ridesOf(answers);
    const choices = answers.flatMap(choicesOf).map((choice) => {
      const { index, text, finishReason, logprobs } = choice;
      return choiceJson(index, text, finishReason, logprobsJson(logprobs, 0), rides.choice(choice));
    });
    return completionJson(meta, choices, { usage: usageOf(answers), shoal: rides.response });
  },
  delta(meta, index, piece) {
    const logprobs = piece.logprobs.length === 0 ? null : logprobsJson(piece.logprobs, piece.offset);
    return completionJson(meta, [choiceJson(index, piece.text, null, logprobs)]);
  },
  finish(meta, { index, finishReason, answer }) {
    return completionJson(meta, [choiceJson(index, '', finishReason, null)], { shoal: rideOf(answer) });
  },
  usage(meta, answers) {
    return completionJson(meta, [], { usage: usageOf(answers) });
  },
};

function completionJson(
  { id, created, model, fingerprint }: ResponseMeta,
  choices: readonly object[],
  { usage, shoal }: ResponseParts = {},
): ResponseJson {
  return {
    id: `cmpl-${id}`,
    object: 'text_completion',
    created,
    model,
    system_fingerprint: fingerprint,
    choices,
    usage,
    shoal,
  };
}

function choiceJson(
  index: number,
  text: string,
  finishReason: string | null,
  logprobs: object | null,
  shoal?: object,
): object {
  return { index, text, logprobs, finish_reason: finishReason, shoal };
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
