import type { ChosenLogprob, TokensEvent } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { mergeLog } from './merge-log.ts';
import { chunkEntry, Outbox } from './outbox.ts';
import { sampleTokens } from './testing/requests.ts';

const claim = { id: 'a', token: 't', replyTo: '' };

function filled(from: number, to: number): Outbox {
  const outbox = new Outbox(claim, from);
  for (let position = from; position < to; position += 1) outbox.append(sampleTokens(position));
  return outbox;
}

const entryOf = (outbox: Outbox): unknown => {
  const [chunk] = outbox.take(1);
  return chunk === undefined ? undefined : JSON.parse(chunkEntry(chunk));
};

const spans = (outbox: Outbox): [number, number][] => outbox.take(10).map((chunk) => [chunk.position, chunk.end]);

describe('outbox', () => {
  it('merges what was appended since the last take', () => {
    const outbox = filled(0, 3);
    expect(entryOf(outbox)).toEqual({
      type: 'tokens',
      position: 0,
      tokenIds: [0, 1, 2],
      text: 'abc',
      lengths: [1, 1, 1],
    });
    outbox.append(sampleTokens(3));
    expect(spans(outbox)).toEqual([[3, 4]]);
    expect(outbox.waiting).toBe(false);
    expect(outbox.length).toBe(4);
  });

  it('keeps choices that take turns, and the probabilities of their tokens, apart', () => {
    const outbox = new Outbox(claim, 0);
    const logprob = (tokenId: number): ChosenLogprob => ({ tokenId, text: '?', logprob: -1, top: [] });
    const events: TokensEvent[] = [
      { type: 'tokens', position: 0, tokenIds: [5], text: 'a', choice: 0, logprobs: [logprob(5)] },
      { type: 'tokens', position: 1, tokenIds: [6], text: 'b', choice: 0, logprobs: [logprob(6)] },
      { type: 'tokens', position: 2, tokenIds: [7], text: 'x', choice: 1, logprobs: [logprob(7)] },
    ];
    for (const event of events) outbox.append(event);
    const entry = entryOf(outbox);
    expect(entry).toEqual([
      {
        ...{ type: 'tokens', position: 0, tokenIds: [5, 6], text: 'ab', lengths: [1, 1], choice: 0 },
        logprobs: [logprob(5), logprob(6)],
      },
      events[2],
    ]);
    expect(mergeLog([JSON.stringify(entry)])).toEqual({
      ...{ tokenIds: [5, 6, 7], text: 'abx', choices: [0, 0, 1] },
      logprobs: [5, 6, 7].map(logprob),
    });
  });

  it('cannot mend a log that lost what it had before the claim', () => {
    const outbox = filled(5, 8);
    const [chunk] = outbox.take(10);
    if (chunk === undefined) throw new Error('one chunk');
    expect(outbox.acknowledge(chunk, 4)).toBe(false);
    expect(outbox.resendFrom(4)).toBe(false);
    expect(outbox.waiting).toBe(false);
    expect(outbox.resendFrom(5)).toBe(true);
    expect(spans(outbox)).toEqual([[5, 8]]);
  });

  it('tells in the log who generated what', () => {
    const runs = [
      { numerics: 'f00d', exact: true },
      { numerics: 'beef', exact: false },
    ] as const;
    const outbox = new Outbox(claim, 0);
    const events = [0, 1, 2].map(sampleTokens);
    const [first, second, third] = events;
    if (first === undefined || second === undefined || third === undefined) throw new Error('three events');
    for (const event of [{ ...first, run: runs[0] }, second, { ...third, run: runs[1] }]) outbox.append(event);
    const entry = entryOf(outbox);
    expect(entry).toHaveLength(2);
    expect(mergeLog([JSON.stringify(entry)])).toMatchObject({ tokenIds: [0, 1, 2], runs });
    // A log that begins without a mark, written by an older worker, does not say who wrote all of it.
    expect(mergeLog([first, { ...second, run: runs[0] }].map((event) => JSON.stringify(event)))).not.toHaveProperty(
      'runs',
    );
  });

  it('keeps the borders of what it sends again', () => {
    const outbox = filled(0, 2);
    outbox.take(10);
    outbox.append(sampleTokens(2));
    outbox.rewind();
    expect(spans(outbox)).toEqual([
      [0, 2],
      [2, 3],
    ]);
  });

  it('sends again from the gap that Redis names', () => {
    const outbox = filled(0, 2);
    outbox.take(10);
    outbox.append(sampleTokens(2));
    const [late] = outbox.take(10);
    if (late === undefined) throw new Error('no chunk');
    expect(outbox.acknowledge(late, 0)).toBe(true);
    expect(spans(outbox)).toEqual([
      [0, 2],
      [2, 3],
    ]);
  });

  it('cuts a chunk where another claim ended the log', () => {
    const outbox = filled(0, 5);
    const [chunk] = outbox.take(10);
    if (chunk === undefined) throw new Error('no chunk');
    expect(outbox.acknowledge(chunk, 3)).toBe(true);
    expect(spans(outbox)).toEqual([[3, 5]]);
  });

  it('says when an event straddles the end of the log', () => {
    const outbox = new Outbox(claim, 0);
    outbox.append({ type: 'tokens', position: 0, tokenIds: [1, 2], text: 'ab' });
    const [chunk] = outbox.take(10);
    if (chunk === undefined) throw new Error('no chunk');
    expect(outbox.acknowledge(chunk, 1)).toBe(false);
  });

  it('sends nothing twice once it is acknowledged', () => {
    const outbox = filled(0, 2);
    const [chunk] = outbox.take(10);
    if (chunk === undefined) throw new Error('no chunk');
    outbox.acknowledge(chunk, 2);
    outbox.rewind();
    expect(outbox.waiting).toBe(false);
  });
});
