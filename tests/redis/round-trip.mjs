// One request that is answered and one that is cancelled, over the Redis that REDIS_URL names; prints what was heard.
import { openConsumer, openQueue } from '@shoal/queue';

const LIMIT_MS = 20_000;
setTimeout(() => {
  console.error(`no end within ${LIMIT_MS} ms`);
  process.exit(3);
}, LIMIT_MS).unref();

const options = { redisUrl: process.env.REDIS_URL ?? '', prefix: 'kinds', model: 'minnow' };
const consumer = openConsumer({ ...options, capacity: 4 });
consumer.start((job) => {
  job.append({ type: 'tokens', position: 0, tokenIds: [7], text: 'heard' });
  if (job.request.prompt === 'wait') {
    job.signal.addEventListener('abort', () => void job.fail({ code: 'cancelled', message: 'stopped' }));
    return;
  }
  void job.complete({
    v: 1,
    text: 'heard',
    tokenIds: [7],
    finishReason: 'stop',
    usage: { promptTokens: 1, completionTokens: 1 },
    seed: 1,
    timings: { queuedAt: 1, claimedAt: 2, startedAt: 3, firstTokenAt: 4, finishedAt: 5 },
    ride: { worker: 'round-trip', batchId: 1, batchSize: 1 },
  });
});

const queue = openQueue(options);
await queue.ready();

/**
 * @param {string} id
 * @param {string} prompt
 */
async function ask(id, prompt) {
  const heard = [];
  const events = queue.replies.listen(id);
  const params = { temperature: 1, topP: 1, topK: 0, stop: [] };
  await queue.producer.submit({ v: 1, prompt, params, replyTo: queue.replies.replyTo }, { id, priority: 5 });
  for await (const event of events) {
    if (event.type === 'tokens') {
      heard.push(event.text);
      if (prompt === 'wait') await queue.producer.cancel(id);
    } else {
      heard.push(event.type === 'failed' ? event.error.code : event.type);
    }
  }
  return heard;
}

console.log(JSON.stringify([await ask('answered', 'go'), await ask('stopped', 'wait')]));
await Promise.all([consumer.close({ timeoutMs: 1_000 }), queue.close()]);
