// No package of Shoal's: any BullMQ client may add a job. Its return value is the result.
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';

const prefix = process.env.QUEUE_PREFIX ?? 'shoal';
const queue = new Queue('minnow', {
  connection: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' },
  prefix: `{${prefix}:minnow}`,
});

const request = { v: 1, prompt: '47 + 38 =', params: { temperature: 0, maxTokens: 16 } };
// BullMQ's priorities begin at 1: Shoal's default of 5 is 6 here.
const job = await queue.add('generate', request, { priority: 6 });
const deadline = Date.now() + 30_000;
let state = await job.getState();
while (state !== 'completed' && state !== 'failed' && Date.now() < deadline) {
  await sleep(50);
  state = await job.getState();
}
const { returnvalue, failedReason } = await queue.getJob(job.id);
console.log(state === 'completed' ? `answer: ${returnvalue.text.trim()}` : `${state}: ${failedReason}`);
process.exitCode = state === 'completed' ? 0 : 1;

await queue.close();
