import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { type ModelKeys, modelKeys } from '../keys.ts';
import { Script } from '../script.ts';
import { decodeStep, type StepReply } from '../step-codec.ts';
import { randomness } from '../testing/randomness.ts';
import { sampleRequest, sampleTokens } from '../testing/requests.ts';
import { EMIT } from './emit.ts';
import { ON_CHANNEL } from './readers.ts';
import { STEP } from './step.ts';
import { SUBMIT, submitArguments, submitTerms } from './submit.ts';

const LIMITS = { resultTtlS: 3_600, recordTtlMs: 60_000, maxQueueSize: 10_000, maxQueueWaitMs: 0 };

interface Operation {
  kind: 'E' | 'C' | 'F';
  id: string;
  token: string;
  from: number;
  to: number;
}

const event = (position: number, end: number): string =>
  JSON.stringify({
    ...sampleTokens(position),
    tokenIds: Array.from({ length: end - position }, (_, n) => position + n),
  });

function itemOf({ kind, id, token, from, to }: Operation, reader: string): (string | number)[] {
  if (kind === 'E') return ['E', id, token, reader, from, to, event(from, to)];
  return [kind, id, token, reader, from, `"of ${id}"`];
}

/** What the script must do, in a few lines: one job. */
class JobModel {
  readonly log: { position: number; end: number }[] = [];
  holder: string | undefined;
  state: 'active' | 'completed' | 'failed' = 'active';

  constructor(holder: string) {
    this.holder = holder;
  }

  get length(): number {
    return this.log.at(-1)?.end ?? 0;
  }

  apply({ kind, id, token, from, to }: Operation, told: string[]): number {
    if (kind === 'E') {
      if (!this.take(token)) return -1;
      if (this.length === from) {
        this.log.push({ position: from, end: to });
        told.push(id, event(from, to));
      }
      return this.length;
    }
    const state = kind === 'C' ? 'completed' : 'failed';
    if (this.state === state) return 0;
    if (this.state !== 'active') return -2;
    if (!this.take(token)) return -6;
    if (this.length < from) return -1000 - this.length;
    this.state = state;
    this.holder = undefined;
    told.push(id, kind === 'C' ? `{"type":"completed","result":"of ${id}"}` : `{"type":"failed","error":"of ${id}"}`);
    return 0;
  }

  /** A lapsed lock goes to whoever comes first, while the job is active. */
  take(token: string): boolean {
    if (this.holder === undefined && this.state === 'active') this.holder = token;
    return this.holder === token;
  }
}

describe('the step script', () => {
  let redis: Redis;
  let listener: Redis;
  /** By channel. */
  let published: Map<string, string[]>;
  let keys: ModelKeys;
  /** Redis knows no script any more. A real `SCRIPT FLUSH` would break the transactions of the tests beside this one. */
  let forgotten: boolean;
  beforeAll(() => {
    redis = new Redis(inject('redisUrl'));
    listener = new Redis(inject('redisUrl'));
    listener.on('message', (channel, text) => published.get(channel)?.push(text));
  });
  beforeEach(() => {
    keys = modelKeys(`test-${randomUUID()}`, 'minnow');
    forgotten = false;
    published = new Map();
  });
  afterAll(() => {
    redis.disconnect();
    listener.disconnect();
  });

  const step = async (items: (string | number)[], wanted = 0, stepId: string = randomUUID()): Promise<StepReply> => {
    const header = [keys.bull, keys.own, 60_000, 10_000, 3_600, stepId, wanted, 0, 60_000, 'w', 0];
    // As the writer chooses.
    const known = wanted > 0 || items.some((item) => item === 'C' || item === 'F') ? STEP : EMIT;
    const script = forgotten ? new Script(known.name, `${known.text}\n-- ${randomUUID()}`) : known;
    return decodeStep(await script.run(redis, keys.bull, [...header, ...items]));
  };
  const listenFor = async (reader: string): Promise<void> => {
    const key = keys.replies(reader);
    if (reader.startsWith(ON_CHANNEL)) {
      published.set(key, []);
      await listener.subscribe(key);
    } else {
      await redis.xadd(key, '*', '', '');
    }
  };
  /** Job ids and what was told of each, in turn. */
  const repliesTo = async (reader: string): Promise<string[]> => {
    if (reader.startsWith(ON_CHANNEL)) {
      // Answered behind what was published before.
      await listener.ping();
      return (published.get(keys.replies(reader)) ?? []).flatMap((lines) => lines.split('\n'));
    }
    const [, ...entries] = await redis.xrange(keys.replies(reader), '-', '+');
    return entries.flatMap(([, [, lines = '']]) => lines.split('\n'));
  };
  const submit = (id: string, replyTo = ''): Promise<unknown> => {
    const data = JSON.stringify(sampleRequest(replyTo === '' ? {} : { replyTo }));
    const terms = submitTerms({ own: keys.own, ...LIMITS });
    return SUBMIT.run(redis, keys.bull, submitArguments(terms, [{ id, priority: 6, work: 1, deadline: 0, data }]));
  };
  it('does what the model does, whatever is repeated, reordered, forged or lapsed (60 histories of 50 steps)', async () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = randomness(seed);
      const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
      const reader = `${seed % 2 === 0 ? ON_CHANNEL : 'reader-'}${seed}`;
      await listenFor(reader);
      const ids = [0, 1, 2].map((n) => `job-${seed}-${n}`);
      for (const id of ids) await submit(id);
      const { claims } = (await step([], 3)).claim;
      const models = new Map(claims.map(({ id, token }) => [id, new JobModel(token)]));
      const tokens = new Map(claims.map(({ id, token }) => [id, token]));
      expect([...models.keys()].sort()).toEqual(ids);
      const modelOf = (id: string): JobModel => {
        const model = models.get(id);
        if (model === undefined) throw new Error(`no model of ${id}`);
        return model;
      };
      const told: string[] = [];
      for (let turn = 0; turn < 50; turn += 1) {
        if (random() < 0.1) {
          const id = pick(ids);
          await redis.del(`${keys.bull}${id}:lock`);
          modelOf(id).holder = undefined;
        }
        forgotten = random() < 0.1;
        const operations: Operation[] = [];
        for (let n = 0; n < 1 + Math.floor(random() * 4); n += 1) {
          const id = pick(ids);
          const token = random() < 0.85 ? (tokens.get(id) ?? '') : 'zombie';
          const { length } = modelOf(id);
          if (random() < 0.92) {
            const position = Math.max(0, length + pick([0, 0, 0, 0, -1, 1]));
            operations.push({ kind: 'E', id, token, from: position, to: position + pick([1, 2, 3]) });
          } else {
            operations.push({ kind: pick(['C', 'F'] as const), id, token, from: length + pick([0, 0, 1]), to: 0 });
          }
        }
        // One in three steps is sent twice, as after a lost reply.
        for (let sent = random() < 0.3 ? 2 : 1; sent > 0; sent -= 1) {
          const expected = operations.map((operation) => modelOf(operation.id).apply(operation, told));
          const { codes } = await step(operations.flatMap((operation) => itemOf(operation, reader)));
          expect(codes, `history ${seed}, turn ${turn}`).toEqual(expected);
        }
      }
      for (const id of ids) {
        const entries = (await redis.lrange(keys.log(id), 0, -1)).filter((_, at) => at % 2 === 0);
        expect(entries).toEqual(models.get(id)?.log.map(({ position, end }) => event(position, end)));
        const set = models.get(id)?.state;
        if (set !== 'active') expect(await redis.zscore(`${keys.bull}${set}`, id)).not.toBeNull();
      }
      expect(await repliesTo(reader)).toEqual(told);
      if (reader.startsWith(ON_CHANNEL)) expect(await redis.exists(keys.replies(reader))).toBe(0);
    }
  }, 120_000);

  it('tells others in order beside a job whose name, and an end whose text, has line breaks', async () => {
    const reader = randomUUID();
    await listenFor(reader);
    const ids = ['two\nlines', 'b', 'c'];
    for (const id of ids) await submit(id);
    const { claims } = (await step([], 3)).claim;
    const token = (id: string): string => claims.find((claim) => claim.id === id)?.token ?? '';
    const tokens = ids.flatMap((id) => ['E', id, token(id), reader, 0, 1, event(0, 1)]);
    expect((await step([...tokens, 'C', 'b', token('b'), reader, 1, '{\n"text": 1\n}'])).codes).toEqual([1, 1, 1, 0]);
    const told = ['b', event(0, 1), 'c', event(0, 1), 'b', '{"type":"completed","result":{ "text": 1 }}'];
    expect(await repliesTo(reader)).toEqual(told);
  });

  it('gives a step that is sent again the same claims, less those whose lock is gone', async () => {
    for (const id of ['x', 'y', 'z']) await submit(id);
    const first = await step([], 2, 'the-step');
    const again = await step([], 2, 'the-step');
    const named = ({ id, token }: { id: string; token: string }): string => `${id} under ${token}`;
    expect(again.claim.claims.map(named)).toEqual(first.claim.claims.map(named));
    expect(again.claim.claims[0]?.fields.get('data')).toBe(first.claim.claims[0]?.fields.get('data'));
    expect(first.claim.claims.map(({ id }) => id)).toEqual(['x', 'y']);
    await redis.set(`${keys.bull}x:lock`, 'another');
    expect((await step([], 2, 'the-step')).claim.claims.map(({ id }) => id)).toEqual(['y']);
    expect((await step([], 2, 'another-step')).claim.claims.map(({ id }) => id)).toEqual(['z']);
  });

  it('neither renews nor takes the lock of another', async () => {
    await submit('l');
    const { claims } = (await step([], 1)).claim;
    const token = claims[0]?.token ?? '';
    const lock = `${keys.bull}l:lock`;
    expect((await step(['L', 'l', 'zombie'])).codes).toEqual([-1]);
    expect(await redis.get(lock)).toBe(token);
    await redis.del(lock);
    expect((await step(['L', 'l', token])).codes).toEqual([0]);
    expect(await redis.get(lock)).toBe(token);
  });

  it('does the rest when one item cannot be done', async () => {
    for (const id of ['p', 'q']) await submit(id);
    const { claims } = (await step([], 2)).claim;
    const token = (id: string): string => claims.find((claim) => claim.id === id)?.token ?? '';
    await redis.set(keys.log('p'), 'not a log');
    const { codes } = await step([
      ...['E', 'p', token('p'), '', 0, 1, event(0, 1)],
      ...['E', 'q', token('q'), '', 0, 1, event(0, 1)],
      ...['C', 'q', token('q'), '', 1, '{}'],
    ]);
    expect(codes).toEqual([-100, 1, 0]);
    await redis.del(keys.log('p'));
  });

  it('builds no key from a reader that is not an opaque id', async () => {
    await submit('r');
    const { claims } = (await step([], 1)).claim;
    const evil = `x}:${randomUUID()}`;
    await redis.xadd(keys.replies(evil), '*', '', '');
    await step(['E', 'r', claims[0]?.token ?? '', evil, 0, 1, event(0, 1)]);
    expect(await redis.xlen(keys.replies(evil))).toBe(1);
    await redis.del(keys.replies(evil));
    expect(await redis.llen(keys.log('r'))).toBe(2);
  });
});
