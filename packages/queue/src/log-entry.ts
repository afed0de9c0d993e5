import { RequestEvent, TokensEvent } from '@shoal/protocol';
import { z } from 'zod';
import { parseJson } from './parse-json.ts';

const TokensEvents = z.array(TokensEvent);

/** What one entry of a token log says; `undefined` when it is not one of ours. */
export function readLogEntry(entry: string): TokensEvent[] | undefined {
  const json = parseJson(entry);
  return TokensEvents.safeParse(Array.isArray(json) ? json : [json]).data;
}

/** What one entry of a reply stream says: a log entry, or the end of a request. */
export function readReply(entry: string): RequestEvent[] | undefined {
  const json = parseJson(entry);
  if (Array.isArray(json)) return TokensEvents.safeParse(json).data;
  const event = RequestEvent.safeParse(json).data;
  return event === undefined ? undefined : [event];
}
