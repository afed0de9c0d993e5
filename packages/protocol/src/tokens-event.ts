import type { TokensEvent } from './events.ts';

/** A copy that may be extended: its arrays are its own. */
export function ownTokens(event: TokensEvent): TokensEvent {
  return {
    ...event,
    tokenIds: [...event.tokenIds],
    ...(event.lengths === undefined ? {} : { lengths: textLengths(event)?.slice() }),
    ...(event.logprobs === undefined ? {} : { logprobs: [...event.logprobs] }),
  };
}

/** Appends the event that follows, of the same choice, to an {@link ownTokens} one. */
export function extendTokens(event: TokensEvent, next: TokensEvent): void {
  const more = textLengths(next);
  const lengths = event.lengths ?? (event.tokenIds.length === 1 ? [event.text.length] : undefined);
  if (more !== undefined) lengths?.push(...more);
  event.lengths = more === undefined ? undefined : lengths;
  event.tokenIds.push(...next.tokenIds);
  event.text += next.text;
  event.logprobs?.push(...(next.logprobs ?? []));
}

/**
 * What of an event lies at a position and behind it: a log that was written anew, after Redis had lost its end, may have
 * other entries than those that a reader has seen. An event that does not say where its tokens' texts end is returned whole.
 */
export function tokensFrom(event: TokensEvent, position: number): TokensEvent {
  const skipped = position - event.position;
  const lengths = textLengths(event);
  if (skipped <= 0 || lengths === undefined) return event;
  return {
    ...event,
    position,
    tokenIds: event.tokenIds.slice(skipped),
    text: event.text.slice(sum(lengths.slice(0, skipped))),
    lengths: lengths.slice(skipped),
    ...(event.logprobs === undefined ? {} : { logprobs: event.logprobs.slice(skipped) }),
  };
}

/** Of each token's text; undefined where that is not known. */
function textLengths({ tokenIds, text, lengths }: TokensEvent): number[] | undefined {
  if (lengths === undefined) return tokenIds.length === 1 ? [text.length] : undefined;
  return lengths.length === tokenIds.length && sum(lengths) === text.length ? lengths : undefined;
}

function sum(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total + length, 0);
}
