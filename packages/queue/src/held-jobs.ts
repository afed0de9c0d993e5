import { DEFAULT_PRIORITY, LOWEST_PRIORITY } from '@shoal/protocol';
import type { ClaimedJob, ConsumerFact, LoggedTokens } from './consumer.ts';
import { cancelledByCaller, HeldJob } from './held-job.ts';
import type { Claim } from './outbox.ts';
import type { StepWriter } from './step-writer.ts';

/** What a consumer knows of a claim before it is handed over. */
export interface HoldOptions {
  writer: StepWriter;
  claim: Claim;
  request: HeldJob['request'];
  /** BullMQ's, 1 … 10; 0 for a job that was added without one. */
  bullPriority: number;
  queuedAt: number;
  /** Unix time in milliseconds of the claim, by the clock that deadlines are measured by. */
  now: number;
  /** Claims so far, this one included. */
  attempts: number;
  logged: LoggedTokens;
  traceContext: string | undefined;
  /** Milliseconds; negative where nothing was predicted. */
  predictedMs: number;
  /** Called when the job is no longer held. */
  released(): void;
}

/** The jobs that a consumer holds, and what it tells of them. */
export class HeldJobs {
  readonly #jobs = new Map<string, HeldJob>();
  readonly #listeners = new Set<(fact: ConsumerFact) => void>();
  #emptied: (() => void)[] = [];
  #extraChoices = 0;
  /** The consumer's handler. */
  handle: (job: ClaimedJob) => void = () => {};

  get size(): number {
    return this.#jobs.size;
  }

  /** Choices beyond one of each job: every choice takes a slot of the engine. */
  get extraChoices(): number {
    return this.#extraChoices;
  }

  observe(listener: (fact: ConsumerFact) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(fact: ConsumerFact): void {
    for (const listener of this.#listeners) listener(fact);
  }

  hold(options: HoldOptions): void {
    const { claim, queuedAt, logged } = options;
    const extra = (options.request.params.n ?? 1) - 1;
    // A claim of the same job that this worker lost, and whose handler is still at work.
    this.#jobs.get(claim.id)?.lose();
    const job = new HeldJob({
      outbox: options.writer.open(claim, logged.tokenIds.length),
      writer: options.writer,
      request: options.request,
      priority: Math.min(Math.max((options.bullPriority || DEFAULT_PRIORITY + 1) - 1, 0), LOWEST_PRIORITY),
      queuedAt,
      now: options.now,
      logged,
      traceContext: options.traceContext,
      onEnd: (outcome, code) => {
        this.#extraChoices -= extra;
        if (this.#jobs.get(claim.id) === job) this.#jobs.delete(claim.id);
        this.tell({ type: 'finished', jobId: claim.id, outcome, code, totalMs: Math.max(0, Date.now() - queuedAt) });
        options.released();
        if (this.#jobs.size === 0) for (const resolve of this.#emptied.splice(0)) resolve();
      },
    });
    this.#jobs.set(claim.id, job);
    this.#extraChoices += extra;
    const queueMs = Math.max(0, job.claimedAt - queuedAt);
    const redelivered = options.attempts > 1;
    const predicted = redelivered || options.predictedMs < 0 ? {} : { predictedMs: options.predictedMs };
    const resumedTokens = logged.tokenIds.length;
    // The engine begins while this thread does the rest.
    this.handle(job);
    this.tell({ type: 'claimed', jobId: claim.id, queueMs, redelivered, resumedTokens, ...predicted });
  }

  cancel(id: string): void {
    this.#jobs.get(id)?.abort(cancelledByCaller());
  }

  loseId(id: string): void {
    this.#jobs.get(id)?.lose();
  }

  lose(claim: Claim): void {
    const job = this.#jobs.get(claim.id);
    if (job?.token === claim.token) job.lose();
  }

  /** Waits until nothing is held, at most `timeoutMs`; then hands the rest back. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#jobs.size > 0 && timeoutMs > 0) {
      const emptied = new Promise<void>((resolve) => this.#emptied.push(resolve));
      await within(timeoutMs, emptied);
    }
    await within(2_000, Promise.all([...this.#jobs.values()].map((job) => job.handBack())));
    for (const job of [...this.#jobs.values()]) job.lose();
  }
}

/** Waits for `done`, but no longer than `timeoutMs`; a rejection counts as done. */
export async function within(timeoutMs: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([done.catch(() => {}), timeout]);
  clearTimeout(timer);
}
