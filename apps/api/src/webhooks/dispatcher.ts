import { setTimeout as sleep } from 'node:timers/promises';
import type { WebhookConfig } from '@shoal/config';
import type { WebhookCall, WebhookOutbox, WebhookOutcome } from '@shoal/queue';
import type { Logger } from '@shoal/telemetry';
import type { Models, ServedModel } from '../models.ts';
import { Tally } from '../tally.ts';
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

/** Calls under way at once: of all models together, of one model, of one tenant, and to one host. */
const AT_ONCE = 32;
const PER_MODEL = 16;
const PER_TENANT = 8;
const PER_HOST = 4;
const SHORTEST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 900_000;

/**
 * Makes the calls that wait in the models' outboxes. Every replica of the API runs one; leases keep them apart, and the
 * outboxes keep what a replica took along when it died. A receiver that does not answer holds up calls to itself alone,
 * all of one tenant leave room for other tenants, and all that go out for one model for the others.
 */
export class WebhookDispatcher {
  readonly #options: DispatcherOptions;
  readonly #outboxes = new Map<string, WebhookOutbox>();
  readonly #calls = new Set<Promise<void>>();
  readonly #ofModel = new Tally();
  readonly #ofTenant = new Tally();
  readonly #toHost = new Tally();
  /** Models whose outbox could not be read, and it was told. */
  readonly #failing = new Set<string>();
  /** Looks so far: each begins with another model. */
  #looks = 0;
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
      await this.#pause(more);
    }
  }

  /** Until the next look is due, or a call that is over has made room for more. */
  async #pause(more: boolean): Promise<void> {
    const enough = new AbortController();
    const signal = AbortSignal.any([enough.signal, this.#stop.signal]);
    const due = sleep(this.#options.intervalMs ?? 1_000, undefined, { signal }).catch(() => {});
    await (more ? Promise.race([due, ...this.#calls]) : due);
    enough.abort();
  }

  /** Takes what is due, as far as there is room; true when there may be more. */
  async #look(): Promise<boolean> {
    const leaseMs = this.#options.config.webhookTimeoutMs + (this.#options.leaseMarginMs ?? 20_000);
    const models = await this.#options.models.list();
    const first = this.#looks++ % Math.max(1, models.length);
    let more = false;
    for (const model of [...models.slice(first), ...models.slice(0, first)]) {
      const { name } = model.card;
      const room = Math.min(AT_ONCE - this.#calls.size, PER_MODEL - this.#ofModel.of(name));
      const calls = room > 0 ? await this.#take(name, room, leaseMs) : [];
      more ||= calls.length === room;
      for (const call of calls) this.#begin(model, this.#outbox(name), call);
    }
    return more && this.#calls.size > 0;
  }

  /** What one model's outbox has for us; nothing when it cannot be read, which keeps the others from nothing. */
  async #take(model: string, room: number, leaseMs: number): Promise<WebhookCall[]> {
    try {
      const calls = await this.#outbox(model).take(room, leaseMs, {
        hosts: { most: PER_HOST, underWay: this.#toHost.all },
        tenants: { most: PER_TENANT, underWay: this.#ofTenant.all },
      });
      this.#failing.delete(model);
      return calls;
    } catch (error) {
      if (!this.#failing.has(model)) this.#options.logger.warn({ err: error, model }, 'webhooks cannot be read');
      this.#failing.add(model);
      return [];
    }
  }

  #outbox(model: string): WebhookOutbox {
    const outbox = this.#outboxes.get(model) ?? this.#options.openOutbox(model);
    this.#outboxes.set(model, outbox);
    return outbox;
  }

  #begin(model: ServedModel, outbox: WebhookOutbox, call: WebhookCall): void {
    this.#ofModel.add(model.card.name);
    if (call.tenant !== undefined) this.#ofTenant.add(call.tenant);
    this.#toHost.add(call.host);
    const made = this.#deliver(model, call)
      .then((outcome) => outbox.settle(call, outcome))
      // The lease ends by itself, and the call is made again.
      .catch((error: unknown) => this.#options.logger.debug({ err: error, jobId: call.jobId }, 'webhook not settled'))
      .finally(() => {
        this.#calls.delete(made);
        this.#ofModel.remove(model.card.name);
        if (call.tenant !== undefined) this.#ofTenant.remove(call.tenant);
        this.#toHost.remove(call.host);
      });
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
