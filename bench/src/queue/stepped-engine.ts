import { setTimeout as sleep } from 'node:timers/promises';
import { type ClaimedJob, openConsumer } from '@shoal/queue';
import { type QueueAddress, resultOf, textOf } from './jobs.ts';

export interface OccupyOptions {
  address: QueueAddress;
  slots: number;
  /** Jobs that are held besides those in the slots, and take the next one that is free. */
  prefetched: number;
  stepMs: number;
  /** Shortest and longest answer in tokens; the lengths between take turns. */
  answers: readonly [number, number];
  /** The backlog: it is watched for as long as some of it waits. */
  jobs: number;
}

/** An engine with slots: every step gives each sequence a token; who is claimed joins at the next step, if a slot is free. */
export async function occupy(options: OccupyOptions): Promise<{ idleShare: number; steps: number }> {
  const { address, slots, prefetched, stepMs, answers, jobs } = options;
  const [shortest, longest] = answers;
  const waiting: ClaimedJob[] = [];
  let running: { job: ClaimedJob; position: number; tokens: number }[] = [];
  let claimed = 0;
  let joined = 0;
  let idle = 0;
  let steps = 0;
  const ends: Promise<void>[] = [];
  const consumer = openConsumer({ ...address, capacity: slots, prefetch: prefetched });
  consumer.start((job) => {
    claimed += 1;
    waiting.push(job);
  });
  while (claimed === 0) await sleep(1);
  while (joined < jobs || running.length > 0) {
    const startedAt = performance.now();
    for (const job of waiting.splice(0, slots - running.length)) {
      running.push({ job, position: 0, tokens: shortest + (joined % (longest - shortest + 1)) });
      joined += 1;
    }
    if (joined < jobs) {
      steps += 1;
      idle += slots - running.length;
    }
    await sleep(Math.max(0, startedAt + stepMs - performance.now()));
    for (const sequence of running) {
      const { job, position, tokens } = sequence;
      job.append({ type: 'tokens', position, tokenIds: [position], text: textOf([position]) });
      sequence.position += 1;
      if (sequence.position < tokens) continue;
      const all = Array.from({ length: tokens }, (_, at) => at);
      ends.push(job.complete(resultOf(all, 'occupy')));
    }
    running = running.filter(({ position, tokens }) => position < tokens);
  }
  await Promise.all(ends);
  await consumer.close({ timeoutMs: 5_000 });
  return { idleShare: idle / (steps * slots), steps };
}
