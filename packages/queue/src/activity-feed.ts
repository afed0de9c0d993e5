import { ActivityFrame } from '@shoal/protocol';
import { type ActivityEvent, LOOK_INTERVAL_MS } from './activity.ts';
import { Watcher } from './activity-watcher.ts';
import { type Connect, connector } from './connection.ts';
import { modelKeys } from './keys.ts';
import { parseJson } from './parse-json.ts';
import type { QueueDepth } from './producer.ts';
import type { RedisClient } from './redis-address.ts';

/** How often the length of the queue is read while somebody watches. */
const DEPTH_INTERVAL_MS = 500;

export interface ActivityFeedOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** Reads the length of the queue. */
  depth(): Promise<QueueDepth>;
  /** For tests: how connections are made. */
  connect?: Connect;
}

export interface ActivityFeed {
  /**
   * What the workers of the model do from now on, until `signal` aborts or the feed closes. A watcher that does not keep
   * up misses the oldest events. Never rejects: while Redis is away nothing comes.
   */
  watch(signal?: AbortSignal): AsyncIterable<ActivityEvent>;
  close(): void;
}

/** Everybody who watches one model in this process shares two connections, open while there is somebody. */
export function openActivityFeed(options: ActivityFeedOptions): ActivityFeed {
  return new RedisActivityFeed(options);
}

interface Line {
  subscriber: RedisClient;
  commands: RedisClient;
  timers: NodeJS.Timeout[];
}

class RedisActivityFeed implements ActivityFeed {
  readonly #options: ActivityFeedOptions;
  readonly #watchers = new Set<Watcher>();
  #line: Line | undefined;
  #closed = false;

  constructor(options: ActivityFeedOptions) {
    this.#options = options;
  }

  async *watch(signal?: AbortSignal): AsyncGenerator<ActivityEvent, void, undefined> {
    const watcher = new Watcher();
    const leave = (): void => watcher.close();
    if (this.#closed || signal?.aborted) return;
    signal?.addEventListener('abort', leave, { once: true });
    this.#watchers.add(watcher);
    this.#line ??= this.#open();
    try {
      yield* watcher;
    } finally {
      signal?.removeEventListener('abort', leave);
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#hangUp();
    }
  }

  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.close();
    this.#hangUp();
  }

  #open(): Line {
    const { prefix, model, redisUrl, connect = connector(redisUrl) } = this.#options;
    const { lookChannel, activityChannel } = modelKeys(prefix, model);
    const [subscriber, commands] = [connect('subscriber'), connect('commands-now')];
    const look = (): void => void commands.publish(lookChannel, '').catch(() => {});
    subscriber.on('message', (_channel: string, json: string) => this.#receive(json));
    // Workers answer at once: the question goes out when the answer can be heard.
    subscriber.on('ready', () => void subscriber.subscribe(activityChannel).then(look, () => {}));
    commands.once('ready', look);
    const readDepth = (): void => void this.#readDepth();
    readDepth();
    const timers = [setInterval(look, LOOK_INTERVAL_MS), setInterval(readDepth, DEPTH_INTERVAL_MS)];
    for (const timer of timers) timer.unref();
    return { subscriber, commands, timers };
  }

  #hangUp(): void {
    for (const timer of this.#line?.timers ?? []) clearInterval(timer);
    this.#line?.subscriber.disconnect();
    this.#line?.commands.disconnect();
    this.#line = undefined;
  }

  #receive(json: string): void {
    const frame = ActivityFrame.safeParse(parseJson(json));
    if (frame.success) this.#tell({ type: 'frame', frame: frame.data });
  }

  /** A reading that fails is made good by the next. */
  async #readDepth(): Promise<void> {
    const depth = await this.#options.depth().catch(() => undefined);
    if (depth !== undefined) this.#tell({ type: 'depth', ...depth });
  }

  #tell(event: ActivityEvent): void {
    for (const watcher of this.#watchers) watcher.offer(event);
  }
}
