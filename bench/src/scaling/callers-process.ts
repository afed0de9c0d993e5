import { randomUUID } from 'node:crypto';
import type { GenerateRequest } from '@shoal/protocol';
import { type ModelQueue, openQueue } from '@shoal/queue';
import { answer } from '../queue/child.ts';
import { type QueueAddress, requestOf, sharedNow } from '../queue/jobs.ts';
import { meter, type Spent } from '../queue/meter.ts';
import { random } from '../random.ts';
import { quantile } from '../statistics.ts';

const PRIORITY = 5;
const REFILL_EVERY_MS = 40;

export interface CallersOptions {
  readonly address: QueueAddress;
  /** Jobs that shall be waiting, so that no slot stays empty. */
  readonly waiting: number;
  /** Of the jobs that are missing, how much these callers see to, 0 … 1. */
  readonly share: number;
  /** Tokens of an answer: drawn evenly from `least` to `most`. */
  readonly least: number;
  readonly most: number;
  /** Whether every token is read as it comes; else nobody listens, and the result lies in Redis. */
  readonly streamed: boolean;
  readonly epoch: number;
  readonly seed: number;
}

export interface CallersWindow extends Spent {
  readonly answered: number;
  /** Streams that lacked a token, had one twice, or ended with an error. */
  readonly wrong: number;
  /** Calls that Redis did not answer in time. */
  readonly refused: number;
  /** From the step that made a token until it was read, in ms. NaN where nobody reads. */
  readonly ageP50Ms: number;
  readonly ageP99Ms: number;
}

interface Callers {
  readonly queue: ModelQueue;
  stopped: boolean;
  /** Resolves when nothing is submitted any more. */
  readonly refilling: Promise<void>;
}

let open: Callers[] = [];
let spent: () => Spent = meter();
let counts = { answered: 0, wrong: 0, refused: 0, ages: [] as number[] };

/** Keeps a model's queue filled until {@link close}. */
async function start(options: CallersOptions): Promise<void> {
  const queue = openQueue({ ...options.address, maxQueueSize: 10 * options.waiting + 1_000 });
  // A Redis that is held back may not be ready within a second; the rounds below ask again.
  await queue.ready().catch(refused);
  const callers: Callers = { queue, stopped: false, refilling: Promise.resolve() };
  open.push(Object.assign(callers, { refilling: refill(callers, options) }));
}

async function refill(callers: Callers, options: CallersOptions): Promise<void> {
  const { producer, replies } = callers.queue;
  const next = random(options.seed);
  const template = requestOf(options.streamed ? { replyTo: replies.replyTo } : {});
  /** On their way: however long Redis takes, it is not asked twice for the same gap, and not one by one either. */
  const submitting = new Set<Promise<unknown>>();
  while (!callers.stopped) {
    const begun = performance.now();
    const { waiting } = await producer.depth().catch(refused);
    const missing = Math.max(0, Math.ceil(options.share * (options.waiting - waiting)) - submitting.size);
    for (let i = 0; i < missing; i++) {
      const maxTokens = options.least + Math.floor(next() * (options.most - options.least + 1));
      const request = { ...template, params: { ...template.params, maxTokens } };
      const asked: Promise<unknown> = ask(callers.queue, request, options)
        .catch(refused)
        .finally(() => submitting.delete(asked));
      submitting.add(asked);
    }
    const rest = REFILL_EVERY_MS - (performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, rest)));
  }
  await Promise.all(submitting);
}

/** A Redis that has no time is a finding, and no end: what was refused is asked again in the next round. */
function refused(): { waiting: number } {
  counts.refused += 1;
  return { waiting: Number.POSITIVE_INFINITY };
}

/** Resolves once the request is accepted; its stream is read on its own. */
async function ask(
  { producer, replies }: ModelQueue,
  request: GenerateRequest,
  options: CallersOptions,
): Promise<void> {
  const id = randomUUID();
  const events = options.streamed ? replies.listen(id) : undefined;
  await producer.submit(request, { id, priority: PRIORITY, checked: true });
  if (events !== undefined) void follow(events, request, options.epoch);
}

async function follow(
  events: ReturnType<ModelQueue['replies']['listen']>,
  { params }: GenerateRequest,
  epoch: number,
): Promise<void> {
  let heard = 0;
  try {
    for await (const event of events) {
      if (event.type === 'failed') throw new Error(event.error.message);
      if (event.type === 'tokens') {
        if (event.position !== heard) throw new Error('a token is missing or came twice');
        heard += event.tokenIds.length;
        const now = sharedNow() - epoch;
        for (const token of event.tokenIds) counts.ages.push(now - token);
      } else if (event.type === 'completed') {
        if (heard !== params.maxTokens || event.result.tokenIds.length !== heard) throw new Error('it is not whole');
        counts.answered += 1;
      }
    }
  } catch {
    if (open.length > 0) counts.wrong += 1;
  }
}

async function mark(): Promise<void> {
  spent = meter();
  counts = { answered: 0, wrong: 0, refused: 0, ages: [] };
}

/** What happened since the last mark. */
async function read(): Promise<CallersWindow> {
  const { ages, ...rest } = counts;
  return { ...spent(), ...rest, ageP50Ms: quantile(ages, 0.5), ageP99Ms: quantile(ages, 0.99) };
}

/** Stops to ask, and forgets the streams that are open. */
async function close(): Promise<void> {
  const closing = open;
  open = [];
  for (const callers of closing) callers.stopped = true;
  await Promise.all(closing.map(({ refilling }) => refilling));
  await Promise.all(closing.map(({ queue }) => queue.close()));
}

export type CallersCalls = { start: typeof start; mark: typeof mark; read: typeof read; close: typeof close };

const calls: CallersCalls = { start, mark, read, close };
answer(calls);
