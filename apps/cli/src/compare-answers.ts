import type { ChoiceResult, GenerateResult } from '@shoal/protocol';

/** The first thing in which two answers to one request are not the same; token ids are null where an answer has ended. */
export interface Difference {
  /** Which of the answers, 0 …. */
  choice: number;
  what: 'choices' | 'tokens' | 'text' | 'finishReason';
  /** Index of the token in its answer, where tokens differ. */
  position?: number;
  recorded: number | string | null;
  replayed: number | string | null;
}

/** Compares token ids, text and finish reason of every choice; undefined when all of them are the same. */
export function firstDifference(recorded: GenerateResult, replayed: GenerateResult): Difference | undefined {
  const [before, after] = [choicesOf(recorded), choicesOf(replayed)];
  if (before.length !== after.length) {
    return { choice: 0, what: 'choices', recorded: before.length, replayed: after.length };
  }
  for (const [choice, one] of before.entries()) {
    const other = after[choice];
    const difference = other === undefined ? undefined : differenceOf(choice, one, other);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

/** All answers of a result, also where it is only one. */
export function choicesOf({ choices, text, tokenIds, finishReason }: GenerateResult): ChoiceResult[] {
  return choices ?? [{ text, tokenIds, finishReason }];
}

function differenceOf(choice: number, one: ChoiceResult, other: ChoiceResult): Difference | undefined {
  const length = Math.max(one.tokenIds.length, other.tokenIds.length);
  for (let position = 0; position < length; position += 1) {
    const [recorded = null, replayed = null] = [one.tokenIds[position], other.tokenIds[position]];
    if (recorded !== replayed) return { choice, what: 'tokens', position, recorded, replayed };
  }
  if (one.text !== other.text) return { choice, what: 'text', recorded: one.text, replayed: other.text };
  if (one.finishReason === other.finishReason) return undefined;
  return { choice, what: 'finishReason', recorded: one.finishReason, replayed: other.finishReason };
}
