import type { ModelCard } from '@shoal/protocol';
import type { Producer, Replies } from '@shoal/queue';

/** One served model as the API reaches it. */
export interface ServedModel {
  readonly card: ModelCard;
  readonly producer: Producer;
  readonly replies: Replies;
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
