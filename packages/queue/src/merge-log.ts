import type { LoggedTokens } from './consumer.ts';
import { readLogEntry } from './log-entry.ts';

/** Entries of a token log, in order → what they say together. What does not follow is left out. */
export function mergeLog(entries: readonly string[]): LoggedTokens {
  const tokenIds: number[] = [];
  const choices: number[] = [];
  let text = '';
  for (const event of entries.flatMap((entry) => readLogEntry(entry) ?? [])) {
    if (event.position !== tokenIds.length) break;
    tokenIds.push(...event.tokenIds);
    for (const _ of event.tokenIds) choices.push(event.choice ?? 0);
    text += event.text;
  }
  return { tokenIds, text, ...(choices.some((choice) => choice > 0) ? { choices } : {}) };
}
