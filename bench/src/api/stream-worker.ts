import { type ClaimedJob, type Consumer, openConsumer } from '@shoal/queue';
import { answer } from '../queue/child.ts';
import { type QueueAddress, resultOf, sharedNow, textOf } from '../queue/jobs.ts';

// A worker whose answers are told by the bench: at once, or token by token to all streams it holds.

const ANSWER = [0, 1, 2, 3, 4, 5, 6, 7];

let consumer: Consumer | undefined;
let held: ClaimedJob[] = [];
let position = 0;

async function serve({
  address,
  capacity,
  atOnce,
}: {
  address: QueueAddress;
  capacity: number;
  atOnce: boolean;
}): Promise<void> {
  consumer = openConsumer({ ...address, capacity });
  consumer.start((job) => {
    if (!atOnce) {
      held.push(job);
      return;
    }
    job.append({ type: 'tokens', position: 0, tokenIds: ANSWER, text: textOf(ANSWER) });
    void job.complete(resultOf(ANSWER, 'bench'));
  });
}

async function holding(): Promise<number> {
  return held.length;
}

/** One token to every stream; its text is the time at which it was emitted. */
async function tick(): Promise<void> {
  const text = `${sharedNow().toFixed(1)} `;
  for (const job of held) job.append({ type: 'tokens', position, tokenIds: [position], text });
  position += 1;
}

async function finish(): Promise<void> {
  const tokenIds = Array.from({ length: position }, (_, index) => index);
  await Promise.all(held.map((job) => job.complete(resultOf(tokenIds, 'bench'))));
  held = [];
  position = 0;
}

async function stop(): Promise<void> {
  await consumer?.close({ timeoutMs: 1_000 });
}

export type StreamWorkerCalls = {
  serve: typeof serve;
  holding: typeof holding;
  tick: typeof tick;
  finish: typeof finish;
  stop: typeof stop;
};

const calls: StreamWorkerCalls = { serve, holding, tick, finish, stop };
answer(calls);
