import type { ErrorBody, GenerateResult } from '@shoal/protocol';

/** One line of `--json`. */
export function answerJson(answer: {
  index?: number;
  id?: string | undefined;
  result?: GenerateResult | undefined;
  error?: ErrorBody | undefined;
}): object {
  const { index, id, result, error } = answer;
  return {
    ...(index === undefined ? {} : { index }),
    ...(id === undefined ? {} : { id }),
    ...(result === undefined ? {} : resultJson(result)),
    ...(error === undefined ? {} : { error }),
  };
}

function resultJson({ text, choices, finishReason, usage, seed }: GenerateResult): object {
  const texts = choices === undefined ? {} : { choices: choices.map((choice) => choice.text) };
  return { text, ...texts, finishReason, usage, seed };
}
