import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ShoalError } from '@shoal/protocol';
import type { JobActions, Producer } from '@shoal/queue';
import type { Job, JobType, Queue } from 'bullmq';

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

  /** What has ended is removed; what is delayed still has somebody who waits for it, and is cancelled as `empty` does. */
  override async clean(status: CleanedStatus, graceTimeMs: number): Promise<void> {
    if (status === 'delayed') return this.#cancelAll(['delayed']);
    // Bull Board passes on whatever stands in the path.
    if (status !== 'completed' && status !== 'failed') throw notCleaned();
    await this.#actions.forget(await this.#queue.clean(graceTimeMs, Number.MAX_SAFE_INTEGER, status));
  }

  /** Empties the queue: nobody waits for nothing. The jobs stay on the board, as cancelled. */
  override async empty(): Promise<void> {
    await this.#cancelAll(['waiting', 'prioritized', 'delayed']);
  }

  async #cancelAll(states: JobType[]): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const waiting = await this.#queue.getJobs(states, 0, AT_ONCE - 1);
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

  /** Returns whether the job can be cancelled: BullMQ's own ids are numbers, which no reader of Shoal's can wait for. */
  async #cancel(job: Job): Promise<boolean> {
    try {
      await this.#producer.cancel(idOf(job));
      return true;
    } catch (error) {
      if (error instanceof ShoalError && error.code === 'invalid_request_error') return false;
      throw error;
    }
  }

  async #cancelOrRemove(job: Job): Promise<void> {
    if (!(await this.#cancel(job))) await job.remove();
  }
}

/** With the status that Bull Board answers with. */
function notCleaned(): Error {
  const message = 'only completed, failed and delayed jobs are cleaned; empty the queue to cancel what waits';
  return Object.assign(new Error(message), { statusCode: 400 });
}

function idOf(job: Job): string {
  return job.id ?? '';
}
