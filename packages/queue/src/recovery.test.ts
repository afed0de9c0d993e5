import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, inject, it } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import type { ClaimedJob } from './consumer.ts';
import { modelKeys } from './keys.ts';
import { mergeLog } from './merge-log.ts';
import { openQueue } from './open-queue.ts';
import { breakableConnections } from './testing/breakable.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { all, eventually, soon } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');
const TOKENS = 400;
const JOBS = 8;

/** Streams eight jobs of 400 tokens while `disturb` is done 200 times with emits in flight; every log must be right. */
async function streamUnder(disturb: (connections: { drop(): void; redis: Redis }) => unknown): Promise<void> {
  const prefix = `test-${randomUUID()}`;
  const keys = modelKeys(prefix, 'minnow');
  const redis = new Redis(redisUrl);
  const queue = openQueue({ redisUrl, prefix, model: 'minnow' });
  await queue.ready();
  const connections = breakableConnections(redisUrl);
  const consumer = openConsumer({ redisUrl, prefix, model: 'minnow', capacity: JOBS, connect: connections.connect });
  const jobs: ClaimedJob[] = [];
  const ids = Array.from({ length: JOBS }, (_, n) => `job-${n}`);
  const events = ids.map((id) => all(`the events of ${id}`, queue.replies.listen(id), 60_000));
  for (const id of ids)
    await queue.producer.submit(sampleRequest({ replyTo: queue.replies.replyTo }), { id, priority: 5 });
  consumer.start((job) => jobs.push(job));
  await eventually('all claims', () => jobs.length === JOBS);
  let disturbances = 0;
  for (let position = 0; position < TOKENS; position += 1) {
    for (const job of jobs) job.append(sampleTokens(position));
    await sleep(16);
    if (position % 2 === 1) {
      // Twice per token pair: once right after an emit went out, once somewhere in between.
      disturbances += 1;
      await disturb({ drop: () => connections.drop(), redis });
    }
  }
  expect(disturbances).toBe(200);
  await soon('the ends', Promise.all(jobs.map((job) => job.complete(sampleResult(TOKENS)))), 30_000);
  const wanted = sampleResult(TOKENS);
  for (const [n, id] of ids.entries()) {
    const log = mergeLog((await redis.xrange(keys.log(id), '-', '+')).map(([, fields]) => fields[1] ?? ''));
    expect(log).toEqual({ tokenIds: wanted.tokenIds, text: wanted.text });
    const seen = (await events[n]) ?? [];
    expect(seen.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []))).toEqual(wanted.tokenIds);
    expect(seen.at(-1)?.type).toBe('completed');
    expect((await queue.producer.view(id))?.attempts).toBe(1);
  }
  await consumer.close({ timeoutMs: 1_000 });
  await queue.close();
  redis.disconnect();
}

describe('logs are exact', () => {
  it('when sockets drop 200 times with emits in flight', () => streamUnder(({ drop }) => drop()), 90_000);
  it(
    'when the script cache is lost 200 times with emits in flight',
    () => streamUnder(({ redis }) => redis.script('FLUSH')),
    90_000,
  );
});
