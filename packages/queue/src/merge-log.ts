import { TokensEvent } from '@shoal/protocol';
import type { LoggedTokens } from './consumer.ts';
import { parseJson } from './parse-json.ts';

/** Entries of a token log (TokensEvent as JSON, in order) → what they say together. What does not follow is left out. */
export function mergeLog(entries: readonly string[]): LoggedTokens {
  const logged: LoggedTokens = { tokenIds: [], text: '' };
  for (const entry of entries) {
    const event = TokensEvent.safeParse(parseJson(entry));
    if (!event.success || event.data.position !== logged.tokenIds.length) break;
    logged.tokenIds.push(...event.data.tokenIds);
    logged.text += event.data.text;
  }
  return logged;
}
