import type { ChosenLogprob, RunMark, TokensEvent } from '@shoal/protocol';
import type { LoggedTokens } from './consumer.ts';
import { readLogEntry } from './log-entry.ts';

/** Entries of a token log, in order → what they say together. What does not follow is left out. */
export function mergeLog(entries: readonly string[]): LoggedTokens {
  const events = consecutive(entries.flatMap((entry) => readLogEntry(entry) ?? []));
  const tokenIds = events.flatMap((event) => event.tokenIds);
  const choices = events.flatMap((event) => event.tokenIds.map(() => event.choice ?? 0));
  const logprobs: ChosenLogprob[] = events.flatMap((event) => event.logprobs ?? []);
  const runs: RunMark[] = events.flatMap((event) => event.run ?? []);
  return {
    tokenIds,
    text: events.map((event) => event.text).join(''),
    ...(choices.some((choice) => choice > 0) ? { choices } : {}),
    ...(logprobs.length > 0 && logprobs.length === tokenIds.length ? { logprobs } : {}),
    ...(events[0]?.run === undefined ? {} : { runs }),
  };
}

function consecutive(events: readonly TokensEvent[]): TokensEvent[] {
  const merged: TokensEvent[] = [];
  let position = 0;
  for (const event of events) {
    // A repeated entry is invisible, a gap ends what is known.
    if (event.position < position) continue;
    if (event.position > position) break;
    merged.push(event);
    position += event.tokenIds.length;
  }
  return merged;
}
