import { randomUUID } from 'node:crypto';
import type { ActivityFrame } from '@shoal/protocol';
import { Redis } from 'ioredis';
import { afterEach, expect, inject, it } from 'vitest';
import type { ActivityEvent, ActivitySource } from './activity.ts';
import { openActivityFeed } from './activity-feed.ts';
import { openActivityPublisher } from './activity-publisher.ts';
import { Watcher } from './activity-watcher.ts';
import { modelKeys } from './keys.ts';
import { eventually, soon } from './testing/waiting.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function frame(worker: string, step: number): ActivityFrame {
  const rides = [{ lane: 0, jobId: 'a', tenant: 'acme', joined: 1 }];
  return { v: 1, worker, at: 1, forMs: 100, slots: 4, waiting: 0, step, runs: [], rides, ...NOTHING };
}
const NOTHING = { generatedTokens: 0, firstTokensMs: [] };

/** A worker whose steps only count how often it was asked. */
class CountingSource implements ActivitySource {
  readonly worker: string;
  begun = 0;
  ended = 0;
  taken = 0;

  constructor(worker: string) {
    this.worker = worker;
  }

  begin(): void {
    this.begun += 1;
  }

  take(): ActivityFrame {
    this.taken += 1;
    return frame(this.worker, this.taken);
  }

  end(): void {
    this.ended += 1;
  }
}

function setUp() {
  const options = { redisUrl: inject('redisUrl'), prefix: `test-${randomUUID()}`, model: 'minnow' };
  const publish = (source: ActivitySource) => {
    const publisher = openActivityPublisher({ ...options, source });
    closers.push(() => publisher.close());
    return publisher;
  };
  const feed = openActivityFeed({ ...options, depth: async () => ({ waiting: 3, running: 2 }) });
  closers.push(() => feed.close());
  const redis = new Redis(options.redisUrl);
  closers.push(() => redis.quit());
  const { lookChannel, activityChannel } = modelKeys(options.prefix, options.model);
  const listeners = async (channel: string): Promise<number> => Number((await redis.pubsub('NUMSUB', channel))[1]);
  return { publish, feed, redis, options, lookChannel, activityChannel, listeners };
}

/** Reads until every worker in `workers` and a depth were heard of. */
async function hear(events: AsyncIterable<ActivityEvent>, workers: string[]): Promise<void> {
  const missing = new Set([...workers, 'depth']);
  for await (const event of events) {
    missing.delete(event.type === 'depth' ? 'depth' : event.frame.worker);
    if (missing.size === 0) return;
  }
}

it('tells a watcher what every worker does, and how long the queue is', async () => {
  const { publish, feed, lookChannel, listeners } = setUp();
  publish(new CountingSource('one'));
  publish(new CountingSource('two'));
  await eventually('two workers that listen', async () => (await listeners(lookChannel)) === 2);
  await soon('both workers', hear(feed.watch(), ['one', 'two']));
});

it('asks a worker for nothing until somebody watches, and hangs up after the last watcher', async () => {
  const { publish, feed, lookChannel, activityChannel, listeners } = setUp();
  const source = new CountingSource('one');
  publish(source);
  await eventually('a worker that listens', async () => (await listeners(lookChannel)) === 1);
  expect([source.begun, source.taken]).toEqual([0, 0]);
  await soon('one watcher', hear(feed.watch(), ['one']));
  expect([source.begun, source.ended]).toEqual([1, 0]);
  await eventually('nobody on the channel', async () => (await listeners(activityChannel)) === 0);
});

it('stops at once when it is closed', async () => {
  const { publish, feed, lookChannel, listeners } = setUp();
  const source = new CountingSource('one');
  const publisher = publish(source);
  await eventually('a worker that listens', async () => (await listeners(lookChannel)) === 1);
  await soon('one watcher', hear(feed.watch(), ['one']));
  publisher.close();
  expect(source.ended).toBe(1);
});

it('passes over what is not a frame', async () => {
  const { feed, redis, activityChannel, listeners } = setUp();
  const heard = soon('one', hear(feed.watch(), ['one']));
  await eventually('a feed that listens', async () => (await listeners(activityChannel)) === 1);
  for (const junk of ['{', '{"v":2}', JSON.stringify({ ...frame('one', 1), step: -1 })])
    await redis.publish(activityChannel, junk);
  await redis.publish(activityChannel, JSON.stringify(frame('one', 1)));
  await heard;
});

it('ends a watch that is aborted, and every watch when the feed closes', async () => {
  const { feed } = setUp();
  const leaving = new AbortController();
  const [first, second] = [feed.watch(leaving.signal), feed.watch()].map(async (events) => {
    for await (const _ of events) leaving.abort();
  });
  await soon('the aborted one', Promise.resolve(first));
  feed.close();
  await soon('the other', Promise.resolve(second));
});

it('drops the oldest events of a watcher that does not read', async () => {
  const watcher = new Watcher();
  for (let step = 1; step <= 1000; step++) watcher.offer({ type: 'frame', frame: frame('one', step) });
  const steps: number[] = [];
  for await (const event of watcher) {
    if (event.type === 'frame') steps.push(event.frame.step);
    if (steps.at(-1) === 1000) break;
  }
  expect([steps.length, steps[0]]).toEqual([64, 937]);
});
