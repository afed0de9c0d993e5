import { Queue, QueueEvents } from 'bullmq';
import { fastify } from 'fastify';
import { Redis } from 'ioredis';
import { z } from 'zod';

// A route in front of a plain BullMQ queue: adds the job, waits for its end, answers.

const Body = z.object({ prompt: z.array(z.int()), max_tokens: z.int() });

const { REDIS_URL = '', QUEUE = '', PORT = '' } = process.env;
const connect = (): Redis => new Redis(REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue(QUEUE, { connection: connect() });
const events = new QueueEvents(QUEUE, { connection: connect() });
const app = fastify({ logger: false });
app.get('/health', () => ({ ok: true }));
app.post('/v1/completions', async (request) => {
  const body = Body.parse(request.body);
  // Kept for a while: what is removed at once is not found by the one who waits.
  const job = await queue.add('generate', body, { removeOnComplete: { age: 60 } });
  const tokenIds = (await job.waitUntilFinished(events)) as number[];
  return { token_ids: tokenIds, usage: { completion_tokens: tokenIds.length } };
});
await events.waitUntilReady();
await app.listen({ host: '127.0.0.1', port: Number(PORT) });
process.on('SIGTERM', () => process.exit(0));
