import { randomUUID } from 'node:crypto';
import { openBullQueue, openProducer } from '@shoal/queue';
import { expect, inject, test } from 'vitest';
import { MemoryModel } from '../testing/memory-models.ts';
import { listJobs } from './list-jobs.ts';

// Real Redis.

test('jobs behind a whole round of ones that are no longer kept are still found', async () => {
  const names = { redisUrl: inject('redisUrl'), prefix: `test-${randomUUID().slice(0, 8)}`, model: 'minnow' };
  const producer = openProducer(names);
  const bull = openBullQueue(names);
  const params = { temperature: 0, topP: 1, topK: 0, stop: [] };
  const ids = Array.from({ length: 120 }, (_, n) => `job-${n}`);
  for (const id of ids) await producer.submit({ v: 1, prompt: 'hi', params }, { id, priority: 5, listed: true });
  // All but the oldest went, as when their time is over.
  for (const id of ids.slice(1)) await (await bull.getJob(id))?.remove();
  const model = Object.assign(new MemoryModel(), { producer });
  const page = await listJobs([model], { tenant: undefined, status: undefined, limit: 1, after: undefined });
  expect(page.jobs.map(({ view }) => view.id)).toEqual(['job-0']);
  expect(page.after).toBeUndefined();
  await Promise.all([producer.close(), bull.close()]);
});
