import { setTimeout as sleep } from 'node:timers/promises';
import type { WebhookConfig } from '@shoal/config';
import type { WebhookCall, WebhookOutbox, WebhookOutcome } from '@shoal/queue';
import type { Logger } from '@shoal/telemetry';
import type { Models, ServedModel } from '../models.ts';
import { payloadOf, webhookId } from './payload.ts';
import { post } from './post.ts';
import type { Resolve } from './public-address.ts';
import { signatureOf } from './signature.ts';

export interface DispatcherOptions {
  config: WebhookConfig;
  models: Pick<Models, 'list'>;
  openOutbox: (model: string) => WebhookOutbox;
  logger: Pick<Logger, 'warn' | 'debug'>;
  /** Unix time in milliseconds. */
  clock: () => number;
  /** 0 ≤ x < 1, to spread what failed together. */
  random: () => number;
  /** Milliseconds between two looks into the outboxes. Default 1,000. */
  intervalMs?: number;
  /** How long a call belongs to this process, on top of its timeout. Default 20,000. */
  leaseMarginMs?: number;
  resolve?: Resolve;
}

/** Calls under way at once, of all models together. */
const AT_ONCE = 32;
const SHORTEST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 900_000;

/**
 * Makes the calls that wait in the models' outboxes. Every replica of the API runs one; leases keep them apart, and the
 * outboxes keep what a replica took along when it died.
 */
export class WebhookDispatcher {
  readonly #options: DispatcherOptions;
  readonly #outboxes = new Map<string, WebhookOutbox>();
  readonly #calls = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends calls under way: another replica makes them again. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#calls);
    for (const outbox of this.#outboxes.values()) outbox.close();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // While Redis is away nothing can be told; the next look makes it good.
      const more = await this.#look().catch(() => false);
      if (more) await Promise.race(this.#calls);
      else await sleep(this.#options.intervalMs ?? 1_000, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }

  /** Takes what is due, as far as there is room; true when there may be more. */
  async #look(): Promise<boolean> {
    const leaseMs = this.#options.config.webhookTimeoutMs + (this.#options.leaseMarginMs ?? 20_000);
    let more = false;
    for (const model of await this.#options.models.list()) {
      const room = AT_ONCE - this.#calls.size;
      if (room === 0) return true;
      const outbox = this.#outbox(model.card.name);
      const calls = await outbox.take(room, leaseMs);
      more ||= calls.length === room;
      for (const call of calls) this.#begin(model, outbox, call);
    }
    return more && this.#calls.size > 0;
  }

  #outbox(model: string): WebhookOutbox {
    const outbox = this.#outboxes.get(model) ?? this.#options.openOutbox(model);
    this.#outboxes.set(model, outbox);
    return outbox;
  }

  #begin(model: ServedModel, outbox: WebhookOutbox, call: WebhookCall): void {
    const made = this.#deliver(model, call)
      .then((outcome) => outbox.settle(call, outcome))
      // The lease ends by itself, and the call is made again.
      .catch((error: unknown) => this.#options.logger.debug({ err: error, jobId: call.jobId }, 'webhook not settled'))
      .finally(() => this.#calls.delete(made));
    this.#calls.add(made);
  }

  async #deliver(model: ServedModel, call: WebhookCall): Promise<WebhookOutcome> {
    const { config, clock, resolve } = this.#options;
    // Rejects while Redis is away: the call is made when the job can be seen, or is known to be gone.
    const view = await model.producer.view(call.jobId);
    const body = payloadOf(call, view, model.card.name);
    const id = webhookId(call);
    const timestamp = Math.floor(clock() / 1000);
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'shoal-webhooks/1',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatureOf(config.webhookSecret, id, timestamp, body),
    };
    const { webhookTimeoutMs: timeoutMs, webhookAllowPrivate: allowPrivate } = config;
    try {
      const status = await post(call.url, {
        body,
        headers,
        timeoutMs,
        allowPrivate,
        signal: this.#stop.signal,
        resolve,
      });
      if (status >= 200 && status < 300) return { state: 'delivered' };
      // Gone: the receiver says that it wants no more.
      return this.#missed(call, `HTTP ${status}`, status === 410);
    } catch (error) {
      return this.#missed(call, error instanceof Error ? error.message : 'no connection', false);
    }
  }

  #missed(call: WebhookCall, reason: string, forGood: boolean): WebhookOutcome {
    const { config, logger, random } = this.#options;
    if (this.#stop.signal.aborted) return { state: 'pending', reason, delayMs: 0 };
    if (!forGood && call.attempt < config.webhookMaxAttempts) {
      return { state: 'pending', reason, delayMs: pauseAfter(call.attempt, random()) };
    }
    logger.warn({ jobId: call.jobId, attempts: call.attempt, reason }, 'a webhook is given up');
    return { state: 'failed', reason };
  }
}

/** Milliseconds after the given attempt: doubling from 2 s to 15 min, less up to a half. */
export function pauseAfter(attempt: number, random: number): number {
  const pause = Math.min(SHORTEST_PAUSE_MS * 2 ** Math.min(attempt - 1, 20), LONGEST_PAUSE_MS);
  return Math.round(pause * (1 - random / 2));
}
