import { randomUUID } from 'node:crypto';
import { JOB_NAME, type RequestEvent } from '@shoal/protocol';
import { type ModelQueue, openQueue } from '@shoal/queue';
import { Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';
import { answer } from './child.ts';
import { type QueueAddress, requestOf, sharedNow, textOf } from './jobs.ts';
import { meter, type Spent } from './meter.ts';

const PRIORITY = 5;
/** Five minutes: a result that has not come by then will not come. */
const LONGEST_WAIT_MS = 300_000;

/** `events`: BullMQ's `waitUntilFinished`. `replies`: our own. */
export type ProducerKind = 'events' | 'replies';

/** Submits one request and waits for its result; answers when the result was done, by the worker's clock. */
type Ask = () => Promise<number>;

let ask: Ask = () => Promise.reject(new Error('connect first'));
let queue: ModelQueue | undefined;
let disconnect: () => Promise<void> = async () => {};

async function connect({ kind, address }: { kind: ProducerKind; address: QueueAddress }): Promise<void> {
  if (kind === 'events') await connectEvents(address);
  else await connectStream(address);
}

async function connectStream(address: QueueAddress): Promise<void> {
  const opened = openQueue(address);
  await opened.ready();
  queue = opened;
  const request = requestOf({ replyTo: opened.replies.replyTo });
  ask = async () => {
    const id = randomUUID();
    const events = opened.replies.listen(id);
    await opened.producer.submit(request, { id, priority: PRIORITY });
    for await (const event of events) {
      if (event.type === 'completed') return event.result.timings.finishedAt;
      if (event.type === 'failed') throw new Error(event.error.message);
    }
    throw new Error('the reader ended without a result');
  };
  disconnect = () => opened.close();
}

async function connectEvents({ redisUrl, prefix, model }: QueueAddress): Promise<void> {
  const options = { prefix: `{${prefix}:${model}}` };
  const connections = [new Redis(redisUrl), new Redis(redisUrl, { maxRetriesPerRequest: null })] as const;
  const plain = new Queue(model, { ...options, connection: connections[0] });
  const events = new QueueEvents(model, { ...options, connection: connections[1] });
  // BullMQ adds listeners for every job that is waited for.
  plain.setMaxListeners(0);
  events.setMaxListeners(0);
  await Promise.all([plain.waitUntilReady(), events.waitUntilReady()]);
  const request = requestOf();
  const jobOptions = { priority: PRIORITY + 1, removeOnComplete: { age: 3_600 }, removeOnFail: { age: 3_600 } };
  ask = async () => {
    const job = await plain.add(JOB_NAME, request, jobOptions);
    const result = await job.waitUntilFinished(events, LONGEST_WAIT_MS);
    return result.timings.finishedAt;
  };
  disconnect = async () => {
    await Promise.all([plain.close(), events.close()]);
    for (const connection of connections) connection.disconnect();
  };
}

async function close(): Promise<void> {
  await disconnect();
  queue = undefined;
}

/** Keeps `inFlight` requests going until `jobs` are answered. Delays from done to received, in ms. */
async function roundTrips(options: { jobs: number; inFlight: number }): Promise<Spent & { delays: number[] }> {
  const delays: number[] = [];
  let left = options.jobs;
  const spent = meter();
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const doneAt = await ask();
      delays.push(sharedNow() - doneAt);
    }
  };
  await Promise.all(Array.from({ length: options.inFlight }, one));
  return { ...spent(), delays };
}

/** Submits requests and reads their streams to the end. `wrong`: streams that are not tokens 0, 1, 2 … and the result. */
async function read({ ids, tokens }: { ids: string[]; tokens: number }): Promise<{ wrong: number }> {
  const { producer, replies } = opened();
  const request = requestOf({ replyTo: replies.replyTo });
  const streams = ids.map(async (id) => {
    const events = replies.listen(id);
    await producer.submit(request, { id, priority: PRIORITY });
    return await isWhole(events, tokens);
  });
  const whole = await Promise.all(streams);
  return { wrong: whole.filter((one) => !one).length };
}

async function isWhole(events: AsyncIterable<RequestEvent>, tokens: number): Promise<boolean> {
  const heard: number[] = [];
  let text = '';
  for await (const event of events) {
    if (event.type === 'failed') return false;
    if (event.type === 'completed') {
      return heard.every((token, index) => token === index) && heard.length === tokens && event.result.text === text;
    }
    heard.push(...event.tokenIds);
    text += event.text;
    if (textOf(event.tokenIds) !== event.text) return false;
  }
  return false;
}

function opened(): ModelQueue {
  if (queue === undefined) throw new Error('connect to a queue first');
  return queue;
}

export type ProducerCalls = {
  connect: typeof connect;
  close: typeof close;
  roundTrips: typeof roundTrips;
  read: typeof read;
};

const calls: ProducerCalls = { connect, close, roundTrips, read };
answer(calls);
