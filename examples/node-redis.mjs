// The same calls without HTTP, for services in the same network as Redis.
import { redisClient } from '@shoal/client/redis';

const client = redisClient({
  redisUrl: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  prefix: process.env.QUEUE_PREFIX ?? 'shoal',
  model: 'minnow',
});

const job = await client.submit({ prompt: '47 + 38 =', temperature: 0 });
console.log('job', job.id);
const result = await client.result(job.id);
console.log('answer:', result.text.trim());

await client.close();
