import { randomUUID } from 'node:crypto';
import { DelayedError, type Job, WaitingError, Worker } from 'bullmq';
import { admitClaim } from './admit-claim.ts';
import { CancelListener } from './cancel-listener.ts';
import { connector } from './connection.ts';
import type { ClaimedJob, Consumer, ConsumerFact } from './consumer.ts';
import { type ConsumerOptions, type ConsumerSettings, consumerSettings } from './consumer-options.ts';
import { HeldJobs, within } from './held-jobs.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { mergeLog } from './merge-log.ts';
import type { RedisClient } from './redis-address.ts';
import type { End } from './step-codec.ts';
import { StepWriter } from './step-writer.ts';

/** BullMQ fails every job of a dead worker whose stall count passes this; here a stall alone fails nothing. */
const NEVER_FAIL_STALLED = 1_000_000;
const LATER_MS = 1_000;
const LOOK_INTERVAL_MS = 1_000;

/**
 * A {@link Consumer} over BullMQ's Worker: it claims one job at a time up to `capacity`, and each claim is parked in
 * the Worker until the job ends. The Worker claims, keeps locks and finds stalled jobs; tokens and ends are written by
 * the {@link StepWriter}, results, final events and job states in one script. Prefer the bulk consumer; this one is
 * what it is measured against.
 */
export function openCollectorConsumer(options: ConsumerOptions): Consumer {
  return new CollectorConsumer(consumerSettings(options, `worker-${randomUUID()}`));
}

class CollectorConsumer implements Consumer {
  #settings: ConsumerSettings;
  readonly #keys: ModelKeys;
  readonly #commands: RedisClient;
  readonly #writer: StepWriter;
  readonly #cancels: CancelListener;
  readonly #jobs = new HeldJobs();
  #worker: Worker | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: ConsumerSettings) {
    this.#settings = settings;
    this.#keys = modelKeys(settings.prefix, settings.model);
    const connect = settings.connect ?? connector(settings.redisUrl);
    this.#commands = connect('commands');
    this.#writer = new StepWriter({
      redis: this.#commands,
      keys: this.#keys,
      resultTtlS: settings.resultTtlS,
      repliesMax: settings.repliesMax,
      emitIntervalMs: settings.emitIntervalMs,
      restMs: settings.restMs,
      lookIntervalMs: LOOK_INTERVAL_MS,
      endsPerStep: settings.capacity,
      onLost: (claim) => this.#jobs.lose(claim),
      onCancelled: (id) => this.#jobs.cancel(id),
      onEmit: (emit) => this.#jobs.tell({ type: 'emit', ...emit }),
      onError: (message) => this.#jobs.tell({ type: 'error', message }),
    });
    this.#cancels = new CancelListener(connect('subscriber'), this.#keys, (id) => this.#jobs.cancel(id));
  }

  get held(): number {
    return this.#jobs.size;
  }

  observe(listener: (fact: ConsumerFact) => void): () => void {
    return this.#jobs.observe(listener);
  }

  start(handle: (job: ClaimedJob) => void): void {
    this.#jobs.handle = handle;
    if (this.#worker !== undefined) {
      void this.#worker.resume();
      return;
    }
    this.#worker = this.#openWorker();
  }

  pause(): void {
    void this.#worker?.pause(true);
  }

  resize(capacity: number): void {
    if (this.#worker === undefined) this.#settings = { ...this.#settings, capacity };
    else this.#worker.concurrency = capacity;
  }

  close({ timeoutMs }: { timeoutMs: number }): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  #openWorker(): Worker {
    const { capacity, lockDurationMs, stalledIntervalMs, worker: name } = this.#settings;
    // Its own connection, so that a slow emit never delays a lock; the Worker makes its blocking one from it.
    const connection = (this.#settings.connect ?? connector(this.#settings.redisUrl))('blocking');
    const worker = new Worker(this.#keys.queueName, (job, token) => this.#take(job, token ?? ''), {
      connection,
      prefix: this.#keys.bullPrefix,
      name,
      concurrency: capacity,
      lockDuration: lockDurationMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount: NEVER_FAIL_STALLED,
      runRetryDelay: 500,
    });
    worker.on('error', (error) => this.#jobs.tell({ type: 'error', message: error.message.slice(0, 200) }));
    worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#jobs.loseId(id);
    });
    worker.once('closed', () => connection.disconnect());
    return worker;
  }

  /** BullMQ's processor: settles when the job is no longer held. The job was moved by then, hence WaitingError. */
  async #take(job: Job, token: string): Promise<void> {
    const id = job.id ?? '';
    if (this.#closing !== undefined) {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    const admission = admitClaim(job.data, job.timestamp, Date.now(), this.#settings.maxQueueWaitMs);
    if (admission.kind === 'later') {
      await job.moveToDelayed(Date.now() + LATER_MS, token);
      throw new DelayedError();
    }
    if (admission.kind === 'fail') {
      const outbox = this.#writer.open({ id, token, replyTo: admission.replyTo }, 0);
      const end: End = { kind: 'failed', value: JSON.stringify(admission.error) };
      await new Promise((settle) => this.#writer.end(outbox, end, settle));
      this.#jobs.tell({ type: 'finished', jobId: id, outcome: 'failed', code: admission.error.code });
      throw new WaitingError();
    }
    const log = job.attemptsStarted > 1 ? await this.#commands.lrange(this.#keys.log(id), 0, -1) : [];
    // Behind each entry stands how long the log is after it.
    const logged = mergeLog(log.filter((_, at) => at % 2 === 0));
    await new Promise<void>((released) =>
      this.#jobs.hold({
        writer: this.#writer,
        claim: { id, token, replyTo: admission.request.replyTo ?? '' },
        request: admission.request,
        bullPriority: job.priority,
        queuedAt: job.timestamp,
        now: Date.now(),
        attempts: job.attemptsStarted,
        logged,
        traceContext: job.opts.telemetry?.metadata,
        predictedMs: -1,
        released,
      }),
    );
    throw new WaitingError();
  }

  async #close(timeoutMs: number): Promise<void> {
    this.pause();
    await this.#jobs.drain(timeoutMs);
    await within(2_000, this.#worker?.close() ?? Promise.resolve());
    this.#writer.close();
    this.#cancels.close();
    this.#commands.disconnect();
  }
}
