import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ShoalError } from '@shoal/protocol';
import type { JobActions, Producer } from '@shoal/queue';
import type { Job, Queue } from 'bullmq';

type CleanedStatus = Parameters<BullMQAdapter['clean']>[0];
type BoardOptions = ConstructorParameters<typeof BullMQAdapter>[1];

/** Waiting jobs that are cancelled before the next ones are looked up, and such rounds. */
const AT_ONCE = 500;
const MOST_ROUNDS = 1_000;

/**
 * A queue on the board whose buttons keep Shoal's promises: a job that is retried begins anew, one that is removed takes
 * its token log with it, and whoever waits for a job that is removed is told that it was cancelled.
 */
export class ShoalQueueAdapter extends BullMQAdapter {
  readonly #queue: Queue;
  readonly #actions: JobActions;
  readonly #producer: Pick<Producer, 'cancel'>;

  constructor(
    queue: Queue,
    parts: { actions: JobActions; producer: Pick<Producer, 'cancel'> },
    options: NonNullable<BoardOptions>,
  ) {
    super(queue, options);
    this.#queue = queue;
    this.#actions = parts.actions;
    this.#producer = parts.producer;
  }

  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    return job && this.#careful(job);
  }

  override async getJobs(...asked: Parameters<BullMQAdapter['getJobs']>): Promise<Job[]> {
    return (await super.getJobs(...asked)).map((job) => this.#careful(job));
  }

  override async clean(status: CleanedStatus, graceTimeMs: number): Promise<void> {
    await this.#actions.forget(await this.#queue.clean(graceTimeMs, Number.MAX_SAFE_INTEGER, status));
  }

  /** Empties the queue: nobody waits for nothing. The jobs stay on the board, as cancelled. */
  override async empty(): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const waiting = await this.#queue.getJobs(['waiting', 'prioritized', 'delayed'], 0, AT_ONCE - 1);
      if (waiting.length === 0) return;
      await Promise.all(waiting.map((job) => this.#cancelOrRemove(job)));
    }
  }

  /** The same job, with care around its buttons. */
  #careful(job: Job): Job {
    const retry = job.retry.bind(job);
    const remove = job.remove.bind(job);
    job.retry = async (state) => {
      await this.#actions.cleanSlate(idOf(job));
      await retry(state, { resetAttemptsMade: true, resetAttemptsStarted: true });
    };
    job.remove = async (options) => {
      if (!(await job.isCompleted()) && !(await job.isFailed())) await this.#cancel(job);
      await remove(options);
      await this.#actions.forget([idOf(job)]);
    };
    return job;
  }

  /** BullMQ's own ids are numbers, which no reader of Shoal's can wait for. */
  async #cancel(job: Job): Promise<void> {
    try {
      await this.#producer.cancel(idOf(job));
    } catch (error) {
      if (!(error instanceof ShoalError && error.code === 'invalid_request_error')) throw error;
    }
  }

  /** A job that is none of Shoal's has an id that cannot be cancelled. */
  async #cancelOrRemove(job: Job): Promise<void> {
    await this.#producer.cancel(idOf(job)).catch(() => job.remove());
  }
}

function idOf(job: Job): string {
  return job.id ?? '';
}
