import { randomUUID } from 'node:crypto';
import type { WorkerReport } from '@shoal/protocol';
import { type ClaimedJob, type Consumer, openConsumer, openRegistry } from '@shoal/queue';
import { type QueueAddress, resultOf, sharedNow } from '../queue/jobs.ts';

/** A device that does not exist: how long one of its steps takes, and how many sequences it runs at once. */
export interface SimulatedDevice {
  readonly slots: number;
  /** A step of n sequences takes `stepMs + sequenceMs · n` milliseconds, whatever it computes. */
  readonly stepMs: number;
  readonly sequenceMs: number;
}

/** Tokens per second of a device whose slots are all taken. */
export function fullSpeed({ slots, stepMs, sequenceMs }: SimulatedDevice): number {
  return (1000 * slots) / (stepMs + sequenceMs * slots);
}

interface Running {
  readonly job: ClaimedJob;
  readonly tokenIds: number[];
  readonly tokens: number;
}

/**
 * A worker as it is, but for its model: the real consumer claims, renews locks, writes tokens and results, the real
 * registry gets its heartbeats; the engine behind it is a timer that gives every running sequence a token per step. A token's id is the time of its step, in
 * milliseconds since `epoch`, so that whoever reads it knows its age.
 */
export class SimulatedWorker {
  readonly consumer: Consumer;
  readonly #device: SimulatedDevice;
  readonly #epoch: number;
  readonly #running = new Set<Running>();
  readonly #retire: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  /** Steps so far, and the sequences that ran in them. */
  steps = 0;
  stepped = 0;

  constructor(address: QueueAddress, device: SimulatedDevice, epoch: number) {
    this.#device = device;
    this.#epoch = epoch;
    const worker = `simulated-${randomUUID()}`;
    this.consumer = openConsumer({ ...address, capacity: device.slots, worker });
    const registry = openRegistry(address);
    const card = { name: address.model, maxModelLen: 2_048, vocabSize: 32_000, chat: false, revision: 'none' };
    const leave = registry.announce(
      worker,
      { ...card, dtype: 'fp32', executionProvider: 'simulated' },
      () => {},
      () => this.#report(worker),
    );
    this.#retire = () => leave().finally(() => registry.close());
  }

  /** Sequences that run now, at most the device's slots. */
  get running(): number {
    return this.#running.size;
  }

  start(): void {
    this.consumer.start((job) => this.#join(job));
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { job } of this.#running) void job.handBack();
    await Promise.all([this.consumer.close({ timeoutMs: 2_000 }), this.#retire()]);
  }

  #report(worker: string): WorkerReport {
    const { slots } = this.#device;
    const kv = { kvUsedTokens: 0, kvBudgetTokens: 0 };
    const now = { running: this.#running.size, waiting: 0, tokensPerSecond: 0 };
    return { worker, state: 'ready', slots, ...kv, ...now, settings: {}, startedAt: Math.round(this.#epoch) };
  }

  #join(job: ClaimedJob): void {
    this.#running.add({ job, tokenIds: [], tokens: job.request.params.maxTokens ?? 1 });
    if (this.#timer !== undefined) return;
    this.#dueAt = performance.now();
    this.#next();
  }

  /** Steps begin where the one before was to end: a timer that rings late does not make the device slower. */
  #next(): void {
    const { stepMs, sequenceMs } = this.#device;
    // A process that got no processor for a while does not make up for it: its device stood still, too.
    this.#dueAt = Math.max(this.#dueAt + stepMs + sequenceMs * this.#running.size, performance.now());
    this.#timer = setTimeout(() => this.#step(), this.#dueAt - performance.now());
  }

  #step(): void {
    const token = Math.round(sharedNow() - this.#epoch);
    this.steps += 1;
    this.stepped += this.#running.size;
    for (const sequence of this.#running) {
      const { job, tokenIds, tokens } = sequence;
      if (job.signal.aborted) {
        this.#running.delete(sequence);
        continue;
      }
      job.append({ type: 'tokens', position: tokenIds.length, tokenIds: [token], text: 'word ' });
      tokenIds.push(token);
      if (tokenIds.length < tokens) continue;
      this.#running.delete(sequence);
      void job.complete(resultOf(tokenIds, 'simulated', 'word '.repeat(tokens)));
    }
    if (this.#running.size > 0) this.#next();
    else this.#timer = undefined;
  }
}
