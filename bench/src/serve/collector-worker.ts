import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { GenerationEngine } from '@shoal/engine';
import { type ClaimedJob, openCollectorConsumer, openRegistry } from '@shoal/queue';
import { serveRuns } from './run-counter.ts';
import { engineFromEnvironment } from './worker-engine.ts';

// Batching as one can have it from BullMQ's own Worker: each job is parked in the Worker until the batch it joined is
// through. The engine is Shoal's, with static batches; the road back is Shoal's, so that its API can stand before it.

type Handle = (
  job: ClaimedJob,
  engine: GenerationEngine,
  options: { worker: string; resume: 'exact' },
) => Promise<void>;

/** As fast as the plain Worker, and as full: with as many as the batch, it would wait for the last of each batch. */
const CLAIMS_PER_SLOT = 2;

const { REDIS_URL = '', QUEUE_PREFIX = '', MODEL_NAME = '', MAX_BATCH_SIZE = '' } = process.env;
const names = { redisUrl: REDIS_URL, prefix: QUEUE_PREFIX };
const handleFile = join(import.meta.dirname, '..', '..', '..', 'apps', 'worker', 'dist', 'handle.js');
const { handle } = (await import(pathToFileURL(handleFile).href)) as { handle: Handle };
const engine = await engineFromEnvironment('static');
const consumer = openCollectorConsumer({
  ...names,
  model: MODEL_NAME,
  capacity: CLAIMS_PER_SLOT * Number(MAX_BATCH_SIZE),
});
consumer.start((job) => void handle(job, engine, { worker: 'collector', resume: 'exact' }));
openRegistry(names).announce('collector', { name: MODEL_NAME, ...engine.model });
serveRuns(engine);
process.on('SIGTERM', () => process.exit(0));
