import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { answer, request, type Work } from '../contestants/engine-load.ts';
import { FixedBatch } from './fixed-batch.ts';
import { serveRuns } from './run-counter.ts';
import { engineFromEnvironment } from './worker-engine.ts';

// BullMQ's Worker with the engine in it. A batch of one is one prompt at a time; a larger one is the article's design:
// the Worker takes as many jobs as a batch has, parks them until they are all there, and runs them together.

interface JobData {
  prompt: number[];
  max_tokens: number;
}

const { REDIS_URL = '', QUEUE = '', MAX_BATCH_SIZE = '', TIMEOUT_MS } = process.env;
const size = Number(MAX_BATCH_SIZE);
const engine = await engineFromEnvironment('static');
const generate = async (work: Work): Promise<number[]> => (await answer(engine, request(work))).tokenIds;
const batch = new FixedBatch<Work, number[]>({
  size,
  timeoutMs: TIMEOUT_MS === undefined ? undefined : Number(TIMEOUT_MS),
  run: (works) => Promise.all(works.map(generate)),
});
const connection = new Redis(REDIS_URL, { maxRetriesPerRequest: null });
const worker = new Worker<JobData, number[]>(
  QUEUE,
  ({ data }) => batch.add({ prompt: data.prompt, maxTokens: data.max_tokens }),
  { connection, concurrency: size },
);
worker.on('error', (error) => console.error(error.message));
await worker.waitUntilReady();
serveRuns(engine);
process.on('SIGTERM', () => process.exit(0));
