import { type GenerateResult, type RequestEvent, ShoalError } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { followResumed } from './resume.ts';
import type { RetryPolicy } from './retry.ts';

const RESULT: GenerateResult = {
  v: 1,
  text: 'abcd',
  tokenIds: [1, 2, 3, 4],
  finishReason: 'stop',
  usage: { promptTokens: 1, completionTokens: 4 },
  seed: 0,
  timings: { queuedAt: 0, claimedAt: 0, startedAt: 0, firstTokenAt: 0, finishedAt: 0 },
  ride: { worker: 'w', batchId: 0, batchSize: 1 },
};
const token = (position: number): RequestEvent => ({
  type: 'tokens',
  position,
  tokenIds: [position + 1],
  text: 'abcd'[position] ?? '',
});
const completed: RequestEvent = { type: 'completed', result: RESULT };
const broken = new ShoalError('unavailable', 'the wire broke');

/** Each connection in turn: events, and an error thrown after them if it is last. */
function transport(...connections: (RequestEvent | ShoalError)[][]) {
  const positions: number[] = [];
  return {
    positions,
    async *follow(_id: string, position: number): AsyncGenerator<RequestEvent> {
      const events = connections[positions.length] ?? [broken];
      positions.push(position);
      for (const event of events) {
        if (event instanceof ShoalError) throw event;
        yield event;
      }
    },
  };
}

function policy(maxRetries = 2) {
  const pauses: number[] = [];
  const of: RetryPolicy = { maxRetries, random: () => 0, sleep: async (ms) => void pauses.push(ms) };
  return { pauses, of };
}

async function read(events: AsyncIterable<RequestEvent>): Promise<string> {
  let text = '';
  for await (const event of events) text += event.type === 'tokens' ? event.text : `|${event.type}`;
  return text;
}

const never = new AbortController().signal;

describe('followResumed', () => {
  it('goes on where a connection broke, or ended without an end', async () => {
    const { pauses, of } = policy();
    const wire = transport([token(0), token(1), broken], [token(2)], [token(3), completed]);
    expect(await read(followResumed(wire, 'j', of, never))).toBe('abcd|completed');
    expect(wire.positions).toEqual([0, 2, 3]);
    expect(pauses).toEqual([250, 250]);
  });

  it('drops what was read before, and reads a gap again', async () => {
    const wire = transport([token(0), token(1), token(0), token(3)], [token(1), token(2), token(3), completed]);
    expect(await read(followResumed(wire, 'j', policy().of, never))).toBe('abcd|completed');
    expect(wire.positions).toEqual([0, 2]);
  });

  it('takes the rest of an event that begins before what was read', async () => {
    const merged: RequestEvent = { type: 'tokens', position: 1, tokenIds: [1, 2, 3], text: 'bcd', lengths: [1, 1, 1] };
    const wire = transport([token(0), token(1), token(2), broken], [merged, completed]);
    expect(await read(followResumed(wire, 'j', policy().of, never))).toBe('abcd|completed');
  });

  it('gives up after so many breaks without a token between', async () => {
    const { pauses, of } = policy(2);
    const wire = transport([broken], [token(0), broken], [broken], [broken], [token(1), completed]);
    await expect(read(followResumed(wire, 'j', of, never))).rejects.toBe(broken);
    expect(wire.positions).toEqual([0, 0, 1, 1]);
    expect(pauses).toEqual([250, 250, 500]);
  });

  it('does not retry what cannot pass', async () => {
    const gone = new ShoalError('job_not_found', 'no such job');
    const wire = transport([gone], [completed]);
    await expect(read(followResumed(wire, 'j', policy().of, never))).rejects.toBe(gone);
    expect(wire.positions).toEqual([0]);
  });

  it('ends when the signal is aborted', async () => {
    const abort = new AbortController();
    const events = followResumed(transport([token(0)], [token(1)]), 'j', policy().of, abort.signal);
    expect((await events.next()).value).toEqual(token(0));
    abort.abort();
    await expect(events.next()).rejects.toMatchObject({ code: 'cancelled' });
  });
});
