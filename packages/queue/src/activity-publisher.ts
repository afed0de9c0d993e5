import { type ActivitySource, FRAME_INTERVAL_MS, LOOK_LASTS_MS } from './activity.ts';
import { type Connect, connector } from './connection.ts';
import { modelKeys } from './keys.ts';
import type { RedisClient } from './redis-address.ts';

export interface ActivityPublisherOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  source: ActivitySource;
  /** For tests: how connections are made. */
  connect?: Connect;
}

export interface ActivityPublisher {
  close(): void;
}

/** Publishes what a worker's engine does, while somebody watches. Never rejects, never waits, keeps no process alive. */
export function openActivityPublisher(options: ActivityPublisherOptions): ActivityPublisher {
  return new RedisActivityPublisher(options);
}

class RedisActivityPublisher implements ActivityPublisher {
  readonly #source: ActivitySource;
  readonly #channel: string;
  readonly #subscriber: RedisClient;
  readonly #commands: RedisClient;
  #watchedUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #sending = false;

  constructor({ source, redisUrl, prefix, model, connect = connector(redisUrl) }: ActivityPublisherOptions) {
    const keys = modelKeys(prefix, model);
    this.#source = source;
    this.#channel = keys.activityChannel;
    this.#subscriber = connect('subscriber');
    // Fails at once while Redis is away: a frame that comes late tells nothing.
    this.#commands = connect('commands-now');
    this.#subscriber.on('message', () => this.#watched());
    const listen = (): void => void this.#subscriber.subscribe(keys.lookChannel).catch(() => {});
    this.#subscriber.on('ready', listen);
  }

  close(): void {
    this.#stop();
    this.#subscriber.disconnect();
    this.#commands.disconnect();
  }

  #watched(): void {
    this.#watchedUntil = performance.now() + LOOK_LASTS_MS;
    if (this.#timer !== undefined) return;
    this.#source.begin();
    this.#timer = setInterval(() => this.#tick(), FRAME_INTERVAL_MS);
    this.#timer.unref();
    this.#tick();
  }

  /** While a frame is under way the source goes on collecting. */
  #tick(): void {
    if (performance.now() > this.#watchedUntil) this.#stop();
    else if (!this.#sending) void this.#send();
  }

  async #send(): Promise<void> {
    const frame = this.#source.take();
    if (frame === undefined) return;
    this.#sending = true;
    await this.#commands.publish(this.#channel, JSON.stringify(frame)).catch(() => {});
    this.#sending = false;
  }

  #stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#source.end();
  }
}
