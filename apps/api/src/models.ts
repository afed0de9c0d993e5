import type { ModelCard, WorkerReport } from '@shoal/protocol';
import type { ActivityFeed, Producer, Replies } from '@shoal/queue';

/** One served model as the API reaches it. */
export interface ServedModel {
  readonly card: ModelCard;
  readonly producer: Producer;
  readonly replies: Replies;
  /** What its workers do, for people who watch. */
  readonly activity: Pick<ActivityFeed, 'watch'>;
  /** What each of its live workers reported last. */
  readonly reports: () => Promise<WorkerReport[]>;
  /** Workers heard of lately; 0 means that requests wait for one. */
  readonly workers: number;
}

/**
 * The models that workers have announced. Every call answers in bounded time and rejects with `unavailable` when Redis
 * is away.
 */
export interface Models {
  /** The model of that name; `undefined` when no worker has announced it. */
  find(name: string): Promise<ServedModel | undefined>;
  list(): Promise<ServedModel[]>;
  /** Resolves when Redis answers. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
