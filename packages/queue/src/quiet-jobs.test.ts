import type { GenerateRequest, RequestEvent } from '@shoal/protocol';
import { describe, expect, inject, it } from 'vitest';
import type { ClaimedJob } from './consumer.ts';
import { consumerRig } from './testing/consumer-rig.ts';
import { sampleResult, sampleTokens } from './testing/requests.ts';
import { eventually } from './testing/waiting.ts';

const NEVER_MS = 600_000;
/** Nothing that comes round at intervals writes. */
const still = { lockDurationMs: NEVER_MS, stalledIntervalMs: NEVER_MS, prefetch: 0 };

describe('tokens that nobody reads as they come', () => {
  const rig = consumerRig(inject('redisUrl'));

  async function claimed(restMs: number, requests: Readonly<Record<string, Partial<GenerateRequest>>>) {
    const { jobs } = rig.start({ ...still, restMs });
    for (const [id, fields] of Object.entries(requests)) await rig.bulk([id], fields);
    await eventually('all claims', () => jobs.length === Object.keys(requests).length);
    return (id: string): ClaimedJob => {
      const job = jobs.find((each) => each.id === id);
      if (job === undefined) throw new Error(`no job ${id}`);
      return job;
    };
  }

  const logLength = async (id: string): Promise<number> => Number(await rig.redis.lindex(rig.keys.log(id), -1));
  const logged = (id: string, tokens: number): Promise<void> =>
    eventually(`${tokens} tokens of ${id}`, async () => (await logLength(id)) === tokens);

  /** Reads a job as one who joins it. */
  function join(id: string): RequestEvent[] {
    const heard: RequestEvent[] = [];
    const events = rig.queue.replies.attach(id);
    void (async () => {
      for await (const event of events) heard.push(event);
    })();
    return heard;
  }
  const tokensOf = (events: readonly RequestEvent[]): number[] =>
    events.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []));

  for (const [what, fields] of [
    ['of a job for which nobody waits', {}],
    ['of a job whose end alone is waited for', { replyTo: 'producer', quiet: true }],
  ] as const) {
    it(`${what}: the first is written at once, the others rest until the end`, async () => {
      const job = await claimed(NEVER_MS, { quiet: fields, read: { replyTo: 'producer' } });
      job('quiet').append(sampleTokens(0));
      await logged('quiet', 1);
      for (const position of [0, 1, 2]) {
        if (position > 0) job('quiet').append(sampleTokens(position));
        job('read').append(sampleTokens(position));
        await logged('read', position + 1);
      }
      expect(await logLength('quiet')).toBe(1);
      await job('quiet').complete(sampleResult(3));
      expect(await logLength('quiet')).toBe(3);
      expect(await rig.status('quiet')).toBe('completed');
    });
  }

  it('are written when they have rested', async () => {
    const job = await claimed(30, { quiet: {} });
    for (const position of [0, 1, 2]) {
      job('quiet').append(sampleTokens(position));
      await logged('quiet', position + 1);
    }
  });

  it('are handed over with the job', async () => {
    const job = await claimed(NEVER_MS, { quiet: {} });
    job('quiet').append(sampleTokens(0));
    await logged('quiet', 1);
    job('quiet').append(sampleTokens(1));
    rig.consumers[0]?.pause();
    await job('quiet').handBack();
    expect(await logLength('quiet')).toBe(2);
  });

  it('are written as they come when somebody joins before the first', async () => {
    const job = await claimed(NEVER_MS, { quiet: {} });
    const heard = join('quiet');
    await eventually('the reader', async () => (await rig.redis.scard(`${rig.keys.own}readers:quiet`)) === 1);
    for (const position of [0, 1, 2, 3]) {
      job('quiet').append(sampleTokens(position));
      await eventually(`token ${position}`, () => tokensOf(heard).length === position + 1);
    }
    await job('quiet').complete(sampleResult(4));
    await eventually('the end', () => heard.at(-1)?.type === 'completed');
    expect(tokensOf(heard)).toEqual([0, 1, 2, 3]);
  });

  it('are written as they come from the next time on when somebody joins later', async () => {
    const job = await claimed(2_000, { quiet: {} });
    job('quiet').append(sampleTokens(0));
    await logged('quiet', 1);
    const heard = join('quiet');
    await eventually('what is there', () => tokensOf(heard).length === 1);
    job('quiet').append(sampleTokens(1));
    await eventually('what rested', () => tokensOf(heard).length === 2);
    const at = performance.now();
    for (const position of [2, 3, 4, 5]) {
      job('quiet').append(sampleTokens(position));
      await eventually(`token ${position}`, () => tokensOf(heard).length === position + 1);
    }
    // Four times two seconds, were they to rest.
    expect(performance.now() - at).toBeLessThan(6_000);
    await job('quiet').complete(sampleResult(6));
  });
});
