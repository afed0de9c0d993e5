import { ErrorBodySchema, GenerateResult, type RequestEvent, TokensEvent } from '@shoal/protocol';
import { z } from 'zod';
import { parseJson } from './parse-json.ts';
import { isPlainEnd, isPlainTokens } from './plain-event.ts';

const TokensEvents = z.array(TokensEvent);
const RequestEnd: z.ZodType<RequestEvent, unknown> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('completed'), result: GenerateResult }),
  z.object({ type: z.literal('failed'), error: ErrorBodySchema }),
]);

/** What one entry of a token log says; `undefined` when it is not one of ours. */
export function readLogEntry(entry: string): TokensEvent[] | undefined {
  const json = parseJson(entry);
  return TokensEvents.safeParse(Array.isArray(json) ? json : [json]).data;
}

/** What is told of one job at once: a log entry, or the end of a request. */
export function readReply(entry: string): RequestEvent[] | undefined {
  const json = parseJson(entry);
  if (isPlainTokens(json) || isPlainEnd(json)) return [json];
  if (Array.isArray(json)) return json.every(isPlainTokens) ? json : TokensEvents.safeParse(json).data;
  // Most entries are tokens; the union of all events would try its members one by one.
  const schema = isTokens(json) ? TokensEvent : RequestEnd;
  const event = schema.safeParse(json).data;
  return event === undefined ? undefined : [event];
}

function isTokens(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'type' in json && json.type === 'tokens';
}
