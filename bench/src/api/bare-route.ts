import { Queue } from 'bullmq';
import { fastify } from 'fastify';
import { Redis } from 'ioredis';
import type { z } from 'zod';

// What the API is measured against: a route that checks the same body with the same schema and adds a plain BullMQ job.

const { REDIS_URL = '', QUEUE = '', SCHEMAS = '', PORT = '0' } = process.env;
const { CompletionBody } = (await import(SCHEMAS)) as { CompletionBody: z.ZodType<{ prompt: unknown }> };
const queue = new Queue(QUEUE, {
  connection: new Redis(REDIS_URL, { maxRetriesPerRequest: null }),
  prefix: `{bench:${QUEUE}}`,
});
const app = fastify({ logger: false });
app.post('/v1/completions', async (request, reply) => {
  const body = CompletionBody.safeParse(request.body);
  if (!body.success) return reply.code(400).send({ error: body.error.message });
  const job = await queue.add('generate', body.data, { removeOnComplete: true });
  return { id: job.id };
});
await queue.waitUntilReady();
await app.listen({ host: '127.0.0.1', port: Number(PORT) });
process.on('SIGTERM', () => process.exit(0));
