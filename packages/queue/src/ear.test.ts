import { type RequestEvent, ShoalError, type TokensEvent } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { Ear, type LogReading } from './ear.ts';
import { randomness } from './testing/randomness.ts';
import { sampleResult, sampleTokens } from './testing/requests.ts';
import { all, soon } from './testing/waiting.ts';

function openEar(
  options: { fromLog?: boolean; position?: number; read?: (ear: Ear) => Promise<LogReading> } = {},
): Ear {
  return new Ear({
    id: 'a',
    position: options.position ?? 0,
    fromLog: options.fromLog ?? false,
    read: options.read ?? (() => Promise.reject(new Error('the log was not to be read'))),
    onClose: () => {},
  });
}

const completed = (count: number): RequestEvent => ({ type: 'completed', result: sampleResult(count) });
const positions = (events: RequestEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []));

describe('ear', () => {
  it('gives events in order and ends after the terminal one', async () => {
    const ear = openEar();
    for (const event of [sampleTokens(0), sampleTokens(1), completed(2)]) ear.offer(event);
    expect(await all('events', ear)).toEqual([sampleTokens(0), sampleTokens(1), completed(2)]);
  });

  it('drops what it had before, also an entry that does not say how its text is divided', async () => {
    const undivided: TokensEvent = { type: 'tokens', position: 2, tokenIds: [2, 3], text: 'two of them' };
    const [first, second, last] = [sampleTokens(0), sampleTokens(1), completed(4)];
    const ear = openEar();
    for (const event of [first, first, second, first, second, undivided, undivided, last]) ear.offer(event);
    expect(await all('events', ear)).toEqual([first, second, undivided, last]);
  });

  it('reads the log after a gap', async () => {
    const asked: number[] = [];
    const ear = openEar({
      read: async (reading) => {
        asked.push(reading.position);
        return { events: [sampleTokens(1), sampleTokens(2)] };
      },
    });
    ear.offer(sampleTokens(0));
    ear.offer(sampleTokens(2));
    const events = ear[Symbol.asyncIterator]();
    const next = async (): Promise<RequestEvent | undefined> =>
      (await soon('an event', events.next())).value ?? undefined;
    expect([await next(), await next(), await next()]).toEqual([sampleTokens(0), sampleTokens(1), sampleTokens(2)]);
    ear.offer(completed(3));
    expect(await next()).toEqual(completed(3));
    expect(asked).toEqual([1]);
  });

  it('ends with a failure only behind all that the log has, since that does not say how much it is', async () => {
    const failed: RequestEvent = { type: 'failed', error: { code: 'cancelled', message: 'stopped' } };
    const ear = openEar({
      read: () => Promise.resolve({ events: [sampleTokens(1), sampleTokens(2)], terminal: failed }),
    });
    for (const event of [sampleTokens(0), sampleTokens(2), failed]) ear.offer(event);
    expect(positions(await all('events', ear))).toEqual([0, 1, 2]);
    // Told while the log is read, in which there is more.
    const logs: LogReading[] = [
      { events: [sampleTokens(0)] },
      { events: [sampleTokens(1), sampleTokens(2)], terminal: failed },
    ];
    const joining: Ear = openEar({
      fromLog: true,
      read: (reading) => {
        if (logs.length === 2) for (const event of [sampleTokens(2), failed]) reading.offer(event);
        return Promise.resolve(logs.shift() ?? { events: [] });
      },
    });
    expect(positions(await all('events', joining))).toEqual([0, 1, 2]);
  });

  it('reads the log when it fell behind by more than its buffer', async () => {
    const total = 1_000;
    const ear = openEar({
      read: async ({ position }) => ({
        events: Array.from({ length: total - position }, (_, n) => sampleTokens(position + n)),
        terminal: completed(total),
      }),
    });
    for (let position = 0; position < total; position += 1) ear.offer(sampleTokens(position));
    ear.offer(completed(total));
    const seen = await all('events', ear);
    expect(positions(seen)).toEqual(sampleResult(total).tokenIds);
    expect(seen.at(-1)).toEqual(completed(total));
  });

  it('gives every token once when a log that lost its end is written anew with other borders', async () => {
    const entry = (from: number, to: number): TokensEvent => {
      const tokens = Array.from({ length: to - from }, (_, n) => sampleTokens(from + n));
      const lengths = tokens.map(({ text }) => text.length);
      const text = tokens.map((each) => each.text).join('');
      return { type: 'tokens', position: from, tokenIds: tokens.flatMap(({ tokenIds }) => tokenIds), text, lengths };
    };
    const ear = openEar();
    // Redis comes back at 6, and the next worker writes on in entries of its own.
    for (const [from, to] of [
      [0, 3],
      [3, 6],
      [6, 10],
      [6, 9],
      [9, 12],
    ] as const)
      ear.offer(entry(from, to));
    ear.offer(completed(12));
    const seen = await all('events', ear);
    expect(positions(seen)).toEqual(sampleResult(12).tokenIds);
    expect(seen.flatMap((event) => (event.type === 'tokens' ? event.text : [])).join('')).toBe(sampleResult(12).text);
  });

  it('rejects when it is failed, after what it had', async () => {
    const ear = openEar();
    ear.offer(sampleTokens(0));
    ear.fail(new ShoalError('unavailable', 'Redis stays away'));
    const events = ear[Symbol.asyncIterator]();
    expect((await soon('the event', events.next())).value).toEqual(sampleTokens(0));
    await expect(soon('the error', events.next())).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('ends quietly when its reader leaves', async () => {
    const ear = openEar();
    const seen = all('events', ear);
    ear.close();
    expect(await seen).toEqual([]);
  });

  it('gives every token once, in order, whatever is repeated, lost or late (200 random histories)', async () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = randomness(seed);
      const total = Math.floor(random() * 40);
      let written = 0;
      const ear = openEar({
        read: async ({ position }) => {
          const length = written;
          await Promise.resolve();
          const events = Array.from({ length: length - position }, (_, n) => sampleTokens(position + n));
          return length === total ? { events, terminal: completed(total) } : { events };
        },
      });
      const seen = all(`events of history ${seed}`, ear);
      for (let position = 0; position < total; position += 1) {
        written = position + 1;
        if (random() < 0.8) ear.offer(sampleTokens(position));
        if (random() < 0.2) ear.offer(sampleTokens(Math.floor(random() * written)));
        if (random() < 0.1) ear.doubt();
        if (random() < 0.5) await Promise.resolve();
      }
      if (random() < 0.8) ear.offer(completed(total));
      else ear.doubt();
      const events = await seen;
      expect(positions(events), `history ${seed}`).toEqual(sampleResult(total).tokenIds);
      expect(events.at(-1)?.type).toBe('completed');
    }
  });
});
