import { setTimeout as sleep } from 'node:timers/promises';
import { type ClaimedJob, type Consumer, openCollectorConsumer, openConsumer } from '@shoal/queue';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { answer } from './child.ts';
import { type QueueAddress, resultOf, textOf } from './jobs.ts';
import { meter, type Spent } from './meter.ts';
import { occupy } from './stepped-engine.ts';

/**
 * - `plain`: BullMQ's Worker with the batch as its concurrency.
 * - `collector`: BullMQ's Worker with promises parked in a collector, at twice the batch.
 * - `bulk`: ours, with room for two batches: one is worked on while the other is on its way.
 */
export type WorkerKind = 'plain' | 'collector' | 'bulk';

/** Connections are made before the clock runs. */
const CONNECT_MS = 150;
/** Results alone: tokens, which BullMQ's Worker does not have, are measured for themselves. */
const ANSWER = 'the answer of an engine that does nothing';

interface Engine {
  close(): Promise<void>;
}

interface ServeOptions {
  kind: WorkerKind;
  address: QueueAddress;
  batch: number;
}

/** Completes every job at once, and tells after each. */
async function openEngine(
  { kind, address, batch }: ServeOptions,
  onDone: () => void,
): Promise<Engine & { start(): void }> {
  if (kind === 'plain') {
    const { redisUrl, prefix, model } = address;
    const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
    const worker = new Worker(model, async () => resultOf([], 'plain', ANSWER), {
      connection,
      prefix: `{${prefix}:${model}}`,
      concurrency: batch,
      autorun: false,
    });
    worker.on('error', () => {});
    worker.on('completed', onDone);
    await worker.waitUntilReady();
    return {
      start: () => void worker.run(),
      close: async () => {
        await worker.close();
        connection.disconnect();
      },
    };
  }
  const consumer = openKind(kind, address, 2 * batch);
  await sleep(CONNECT_MS);
  return {
    start: () => consumer.start((job) => void job.complete(resultOf([], kind, ANSWER)).then(onDone)),
    close: () => consumer.close({ timeoutMs: 1_000 }),
  };
}

function openKind(kind: 'collector' | 'bulk', address: QueueAddress, capacity: number): Consumer {
  return (kind === 'bulk' ? openConsumer : openCollectorConsumer)({ ...address, capacity });
}

/** Works off a backlog of a known length. */
async function drain({ jobs, ...options }: ServeOptions & { jobs: number }): Promise<Spent> {
  let left = jobs;
  let tell: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const engine = await openEngine(options, () => {
    left -= 1;
    if (left === 0) tell();
  });
  const spent = meter();
  engine.start();
  await done;
  const cost = spent();
  await engine.close();
  return cost;
}

let serving: { engine: Engine; spent: () => Spent; done: number } | undefined;

/** Works until it is stopped. */
async function serve(options: ServeOptions): Promise<void> {
  const state = { engine: await openEngine(options, () => (state.done += 1)), spent: meter(), done: 0 };
  (state.engine as Engine & { start(): void }).start();
  serving = state;
}

/** Begins to count anew: what the start cost is no part of it. */
async function mark(): Promise<void> {
  if (serving !== undefined) serving.spent = meter();
}

async function stop(): Promise<Spent & { done: number }> {
  if (serving === undefined) throw new Error('nothing is served');
  const { engine, spent, done } = serving;
  const cost = spent();
  serving = undefined;
  await engine.close();
  return { ...cost, done };
}

interface GenerateOptions {
  address: QueueAddress;
  /** Jobs that generate together; it begins when all of them are there. */
  sequences: number;
  /** Tokens of each. */
  tokens: number;
  /** Length of a step; every step gives each sequence a token. 0: the next begins when the last one's tokens are written. */
  stepMs: number;
}

/** An engine whose steps take a given time: tokens 0, 1, 2 … of every sequence, then the result. */
async function generate({ address, sequences, tokens, stepMs }: GenerateOptions): Promise<void> {
  const consumer = openConsumer({ ...address, capacity: sequences, ...(stepMs === 0 ? { emitIntervalMs: 0 } : {}) });
  const jobs: ClaimedJob[] = [];
  const ready = new Promise<void>((resolve) => {
    consumer.start((job) => {
      jobs.push(job);
      if (jobs.length === sequences) resolve();
    });
  });
  await ready;
  const startedAt = performance.now();
  for (let position = 0; position < tokens; position += 1) {
    if (stepMs > 0) await sleep(Math.max(0, startedAt + position * stepMs - performance.now()));
    else if (position > 0) await written(consumer, sequences);
    for (const job of jobs) {
      job.append({ type: 'tokens', position, tokenIds: [position], text: textOf([position]) });
    }
  }
  const all = Array.from({ length: tokens }, (_, position) => position);
  await Promise.all(jobs.map((job) => job.complete(resultOf(all, 'generate'))));
  await consumer.close({ timeoutMs: 1_000 });
}

/** Resolves when so many tokens more are written. */
async function written(consumer: Consumer, tokens: number): Promise<void> {
  let left = tokens;
  await new Promise<void>((resolve) => {
    const forget = consumer.observe((fact) => {
      if (fact.type !== 'emit') return;
      left -= fact.tokens;
      if (left > 0) return;
      forget();
      resolve();
    });
  });
}

interface PaceOptions {
  address: QueueAddress;
  slots: number;
  tokenMs: number;
  /** Jobs after which it stops. */
  jobs: number;
}

/** Waits as they were predicted at submission and as they came to be, in ms, in the order of the claims. */
async function pace({
  address,
  slots,
  tokenMs,
  jobs,
}: PaceOptions): Promise<{ predictedMs: number; queueMs: number }[]> {
  const waits: { predictedMs: number; queueMs: number }[] = [];
  const consumer = openConsumer({ ...address, capacity: slots });
  let left = jobs;
  let tell: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    tell = resolve;
  });
  consumer.observe((fact) => {
    if (fact.type !== 'claimed') return;
    // Nothing is predicted before a rate is known.
    if (fact.predictedMs !== undefined) waits.push({ predictedMs: fact.predictedMs, queueMs: fact.queueMs });
    left -= 1;
    if (left === 0) tell();
  });
  consumer.start((job) => {
    const tokens = job.request.params.maxTokens ?? 0;
    setTimeout(() => void job.complete(resultOf([], 'pace', ANSWER)), tokens * tokenMs);
  });
  await done;
  await consumer.close({ timeoutMs: 60_000 });
  return waits;
}

export type WorkerCalls = {
  drain: typeof drain;
  serve: typeof serve;
  mark: typeof mark;
  stop: typeof stop;
  generate: typeof generate;
  pace: typeof pace;
  occupy: typeof occupy;
};

const calls: WorkerCalls = { drain, serve, mark, stop, generate, pace, occupy };
answer(calls);
