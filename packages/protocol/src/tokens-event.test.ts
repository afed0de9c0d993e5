import { expect, it } from 'vitest';
import type { TokensEvent } from './events.ts';
import { extendTokens, ownTokens, tokensFrom } from './tokens-event.ts';

const EVENTS: TokensEvent[] = [
  { type: 'tokens', position: 4, tokenIds: [40], text: 'ab' },
  { type: 'tokens', position: 5, tokenIds: [50], text: '' },
  { type: 'tokens', position: 6, tokenIds: [60, 61], text: 'cdé', lengths: [2, 1] },
];

function merged(): TokensEvent {
  const [first, ...others] = EVENTS;
  if (first === undefined) throw new Error('no events');
  const event = ownTokens(first);
  for (const other of others) extendTokens(event, other);
  return event;
}

it('gives the rest from any position of an event that was merged of several', () => {
  expect(merged()).toEqual({ ...EVENTS[0], tokenIds: [40, 50, 60, 61], text: 'abcdé', lengths: [2, 0, 2, 1] });
  expect(tokensFrom(merged(), 4)).toEqual(merged());
  expect(tokensFrom(merged(), 5)).toMatchObject({
    position: 5,
    tokenIds: [50, 60, 61],
    text: 'cdé',
    lengths: [0, 2, 1],
  });
  expect(tokensFrom(merged(), 7)).toMatchObject({ position: 7, tokenIds: [61], text: 'é', lengths: [1] });
});

it('leaves the events that it merged as they were', () => {
  merged();
  expect(EVENTS[0]?.tokenIds).toEqual([40]);
  expect(EVENTS[2]?.lengths).toEqual([2, 1]);
});

it('gives an event whole that does not say how its text is divided, or says it wrongly', () => {
  const older: TokensEvent = { type: 'tokens', position: 0, tokenIds: [1, 2], text: 'xy' };
  expect(tokensFrom(older, 1)).toBe(older);
  const wrong = { ...older, lengths: [1, 5] };
  expect(tokensFrom(wrong, 1)).toBe(wrong);
  const event = ownTokens(older);
  extendTokens(event, { type: 'tokens', position: 2, tokenIds: [3], text: 'z' });
  expect(event.lengths).toBeUndefined();
});
