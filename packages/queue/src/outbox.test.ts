import { describe, expect, it } from 'vitest';
import { chunkEvent, Outbox } from './outbox.ts';
import { sampleTokens } from './testing/requests.ts';

const claim = { id: 'a', token: 't', replyTo: '' };

function filled(from: number, to: number): Outbox {
  const outbox = new Outbox(claim, from);
  for (let position = from; position < to; position += 1) outbox.append(sampleTokens(position));
  return outbox;
}

const spans = (outbox: Outbox): [number, number][] => outbox.take(10).map((chunk) => [chunk.position, chunk.end]);

describe('outbox', () => {
  it('merges what was appended since the last take', () => {
    const outbox = filled(0, 3);
    const [chunk] = outbox.take(10);
    expect(chunk && chunkEvent(chunk)).toEqual({ type: 'tokens', position: 0, tokenIds: [0, 1, 2], text: 'abc' });
    outbox.append(sampleTokens(3));
    expect(spans(outbox)).toEqual([[3, 4]]);
    expect(outbox.waiting).toBe(false);
    expect(outbox.length).toBe(4);
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
