import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, inject, it } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import type { ClaimedJob } from './consumer.ts';
import { modelKeys } from './keys.ts';
import { mergeLog } from './merge-log.ts';
import { openQueue } from './open-queue.ts';
import { type BreakableConnections, breakableConnections } from './testing/breakable.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { all, eventually, soon } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');
const TOKENS = 400;
const JOBS = 8;
const STRIKES = 200;

/** Streams eight jobs of 400 tokens while `strike` hits 200 emits under way; every log must be right. */
async function streamUnder(strike: (connections: BreakableConnections) => Promise<void>): Promise<void> {
  const prefix = `test-${randomUUID()}`;
  const keys = modelKeys(prefix, 'minnow');
  const redis = new Redis(redisUrl);
  const queue = openQueue({ redisUrl, prefix, model: 'minnow' });
  await queue.ready();
  const connections = breakableConnections(redisUrl);
  const consumer = openConsumer({ redisUrl, prefix, model: 'minnow', capacity: JOBS, connect: connections.connect });
  const jobs: ClaimedJob[] = [];
  const ids = Array.from({ length: JOBS }, (_, n) => `job-${n}`);
  const events = ids.map((id) => all(`the events of ${id}`, queue.replies.listen(id), 80_000));
  for (const id of ids)
    await queue.producer.submit(sampleRequest({ replyTo: queue.replies.replyTo }), { id, priority: 5 });
  consumer.start((job) => jobs.push(job));
  await eventually('all claims', () => jobs.length === JOBS);
  const repeatedBefore = connections.repeatedEmits;
  for (let position = 0; position < TOKENS; position += 1) {
    // Every other token goes its way undisturbed. The strike is ready before there is anything that it could miss.
    const passed = position % (TOKENS / STRIKES) === 1 ? strike(connections) : sleep(16);
    for (const job of jobs) job.append(sampleTokens(position));
    await soon(`what follows token ${position}`, passed);
  }
  // One that hit no emit under way would have caused none to be sent again.
  await eventually('the last repetition', () => connections.repeatedEmits - repeatedBefore >= STRIKES);
  await soon('the ends', Promise.all(jobs.map((job) => job.complete(sampleResult(TOKENS)))), 30_000);
  const wanted = sampleResult(TOKENS);
  for (const [n, id] of ids.entries()) {
    const log = mergeLog((await redis.lrange(keys.log(id), 0, -1)).filter((_, at) => at % 2 === 0));
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
  it(
    'when sockets drop 200 times with emits in flight',
    () => streamUnder((connections) => connections.dropUnderEmit()),
    90_000,
  );
  it(
    'when Redis has lost the script of 200 emits in flight',
    () => streamUnder((connections) => connections.forgetUnderEmit()),
    90_000,
  );
});
