import { describe, expect, inject, it } from 'vitest';
import type { ClaimedJob, ConsumerFact } from './consumer.ts';
import { consumerRig, ids, type Started } from './testing/consumer-rig.ts';
import { sampleTokens } from './testing/requests.ts';
import { eventually } from './testing/waiting.ts';

const INTERVAL_MS = 1_000;
/** Nothing else that comes round at intervals ends or claims. */
const quiet = { lockDurationMs: 600_000, stalledIntervalMs: 600_000, prefetch: 0, emitIntervalMs: INTERVAL_MS };

type Emit = Extract<ConsumerFact, { type: 'emit' }>;

describe('how often tokens are written', () => {
  const rig = consumerRig(inject('redisUrl'));

  /** A worker that holds so many jobs, of which all but `silent` have written their first token. */
  async function holding(count: number, silent = 0): Promise<Started & { emits: Emit[]; startedAt: number[] }> {
    const emits: Emit[] = [];
    const startedAt: number[] = [];
    const started = rig.start({ capacity: count, ...quiet });
    started.consumer.observe((fact) => {
      if (fact.type !== 'emit') return;
      emits.push(fact);
      startedAt.push(performance.now() - fact.durationMs);
    });
    await rig.bulk(ids(count), { replyTo: rig.queue.replies.replyTo });
    await eventually('all claims', () => started.jobs.length === count);
    const told = started.jobs.slice(silent);
    for (const job of told) job.append(sampleTokens(0));
    await eventually('the first tokens', () => tokensOf(emits) === told.length);
    return { ...started, emits, startedAt };
  }

  const tokensOf = (emits: readonly Emit[]): number => emits.reduce((sum, { tokens }) => sum + tokens, 0);

  /** Milliseconds from the last round trip to the next, which brings these tokens. */
  async function gap({ emits, startedAt }: { emits: Emit[]; startedAt: number[] }, told: () => void): Promise<number> {
    const before = emits.length;
    told();
    await eventually('the next tokens', () => emits.length > before);
    return (startedAt[before] ?? Number.NaN) - (startedAt[before - 1] ?? Number.NaN);
  }

  const append = (jobs: readonly ClaimedJob[], position: number): void => {
    for (const job of jobs) job.append(sampleTokens(position));
  };

  it('once in an interval for few jobs, less often for many', async () => {
    const few = await holding(4);
    expect(await gap(few, () => append(few.jobs, 1))).toBeLessThan(1.9 * INTERVAL_MS);
    await few.consumer.close({ timeoutMs: 0 });
    const many = await holding(36);
    // Timers may come late, and never early but for their rounding.
    expect(await gap(many, () => append(many.jobs, 1))).toBeGreaterThan(2 * INTERVAL_MS);
  });

  it('does not let the first token of a job wait for longer among many', async () => {
    const many = await holding(36, 1);
    const [late, ...others] = many.jobs;
    const waited = await gap(many, () => {
      append(others, 1);
      late?.append(sampleTokens(0));
    });
    expect(waited).toBeGreaterThan(INTERVAL_MS - 50);
    expect(waited).toBeLessThan(1.9 * INTERVAL_MS);
  });

  it('does not let what one round trip cannot take wait for longer', async () => {
    const many = await holding(520);
    const before = many.emits.length;
    append(many.jobs, 1);
    await eventually('all second tokens', () => tokensOf(many.emits) === 2 * 520);
    const [first = Number.NaN, second = Number.NaN] = many.startedAt.slice(before);
    expect(second - first).toBeGreaterThan(INTERVAL_MS - 50);
    expect(second - first).toBeLessThan(1.9 * INTERVAL_MS);
  });
});
