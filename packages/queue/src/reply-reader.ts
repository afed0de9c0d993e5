import { setTimeout as sleep } from 'node:timers/promises';
import { type RequestEvent, ShoalError } from '@shoal/protocol';
import { Cluster } from 'ioredis';
import { type Connect, connector, promptly } from './connection.ts';
import { Deafness } from './deafness.ts';
import { Ear, type LogReading } from './ear.ts';
import { EarsByJob } from './ears-by-job.ts';
import { refuseEviction } from './eviction.ts';
import { checkJobId, type ModelKeys, modelKeys } from './keys.ts';
import { LogReader } from './log-reader.ts';
import { type Attached, notFound, readingOf } from './log-reading.ts';
import { DETACH } from './lua/attach.ts';
import type { RedisClient } from './redis-address.ts';
import type { Hearing, Replies } from './replies.ts';
import { ReplyChannel } from './reply-channel.ts';
import type { ReplySource, ReplySourceOptions } from './reply-source.ts';
import { ReplyStream } from './reply-stream.ts';

const LOOK_INTERVAL_MS = 1_000;
/** A request that was silent for this long is looked up, so that an end that nobody announced is found. */
const SILENCE_MS = 2_000;
const LONGEST_SILENCE_MS = 30_000;
const LOOKUPS_PER_SECOND = 256;
/** A request that is not on the queue this often in a row, with silence between, does not exist. */
const MISSES = 3;
/** Longest time in which a Redis that is there gives a sign. */
const REST_MS = 5_000;
const SHORTEST_REST_MS = 100;
/** Looks come every second: after longer than this the process itself stood still. */
const STANDSTILL_MS = 3_000;

export interface RepliesOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** Seconds that results and token logs are kept. Default 3,600. */
  resultTtlS?: number;
  /** How long Redis may be away before readers are told `unavailable`. Default 30,000. */
  giveUpMs?: number;
  /** What replies come on. Default a channel, but on a Redis Cluster a stream. */
  replyOn?: 'channel' | 'stream';
  /** For tests: how connections are made. */
  connect?: Connect;
}

/** {@link Replies} over one connection per process and model. `ready` resolves once events can arrive. */
export function openReplies(options: RepliesOptions): Replies & { ready(): Promise<void> } {
  return new ReplyReader({ resultTtlS: 3_600, giveUpMs: 30_000, ...options });
}

class ReplyReader implements Replies {
  readonly replyTo: string;
  readonly #options: RepliesOptions & { resultTtlS: number; giveUpMs: number };
  readonly #keys: ModelKeys;
  readonly #commands: RedisClient;
  readonly #source: ReplySource;
  readonly #logs: LogReader;
  readonly #ears = new EarsByJob();
  readonly #lookUpTimer: NodeJS.Timeout;
  /** Silence after which an ear is looked up next. */
  readonly #patience = new WeakMap<Ear, number>();
  readonly #deafness = new Deafness();
  #lookedAt: number = performance.now();
  /** The end of a standstill of this process: what came meanwhile is read first. */
  #awakeSince = Number.NEGATIVE_INFINITY;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(options: RepliesOptions & { resultTtlS: number; giveUpMs: number }) {
    this.#options = options;
    this.#keys = modelKeys(options.prefix, options.model);
    const connect = options.connect ?? connector(options.redisUrl);
    this.#commands = connect('commands-now');
    const told: ReplySourceOptions = {
      keys: this.#keys,
      restMs: Math.max(SHORTEST_REST_MS, Math.min(REST_MS, Math.floor(options.giveUpMs / 3))),
      onEvents: (jobId, events) => this.#deliver(jobId, events),
      onOpen: () => this.#doubtAll(),
    };
    this.#source =
      (options.replyOn ?? (this.#commands instanceof Cluster ? 'stream' : 'channel')) === 'channel'
        ? new ReplyChannel({ ...told, subscriber: connect('subscriber') })
        : new ReplyStream({ ...told, commands: this.#commands, blocking: connect('blocking') });
    this.replyTo = this.#source.replyTo;
    this.#logs = new LogReader({
      commands: this.#commands,
      keys: this.#keys,
      replyTo: this.replyTo,
      resultTtlS: options.resultTtlS,
    });
    this.#lookUpTimer = setInterval(() => void this.#lookUpSilent().catch(() => {}), LOOK_INTERVAL_MS);
    this.#lookUpTimer.unref();
  }

  ready(): Promise<void> {
    this.#opening ??= this.#begin().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #begin(): Promise<void> {
    await promptly(this.#commands, refuseEviction);
    await this.#source.open();
  }

  listen(id: string, signal?: AbortSignal): Hearing {
    return this.#open(id, 0, false, signal);
  }

  attach(id: string, options: { position?: number; signal?: AbortSignal } = {}): Hearing {
    return this.#open(id, options.position ?? 0, true, options.signal);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#lookUpTimer);
    for (const ear of this.#ears.all()) ear.close();
    await this.#source.close();
    this.#commands.disconnect();
  }

  #open(id: string, position: number, fromLog: boolean, signal: AbortSignal | undefined): Ear {
    checkJobId(id);
    let first = fromLog;
    const ear = new Ear({
      id,
      position,
      fromLog,
      read: (reading) => {
        const joining = first;
        first = false;
        return joining ? this.#joinLog(reading) : this.#readAgain(reading, fromLog);
      },
      onClose: (closing) => this.#forget(closing),
    });
    this.#ears.add(ear);
    if (signal?.aborted) ear.close();
    else signal?.addEventListener('abort', () => ear.close(), { once: true });
    return ear;
  }

  /** A request that shares a generation is told of it under the job's id. */
  #follow(ear: Ear, jobId: string): void {
    if (ear.jobId === jobId || !this.#hears(ear)) return;
    this.#ears.remove(ear);
    ear.jobId = jobId;
    this.#ears.add(ear);
    // What was told under that id before this ear stood there is read from the log.
    ear.doubt();
  }

  #forget(ear: Ear): void {
    if (!this.#ears.remove(ear) || !ear.joined || this.#closed) return;
    // With the job its readers are gone; a request that shares one may end alone.
    if (!ear.ended || ear.id !== ear.jobId) this.#leave(ear.jobId);
  }

  /** Unless others of this process read it. */
  #leave(jobId: string): void {
    if (this.#ears.of(jobId).some(({ joined }) => joined)) return;
    const { bull, own } = this.#keys;
    promptly(this.#commands, (redis) => DETACH.run(redis, bull, [own, this.replyTo, jobId])).catch(() => {});
  }

  #deliver(jobId: string, events: RequestEvent[] | undefined): void {
    this.#deafness.told();
    for (const ear of this.#ears.of(jobId)) {
      // It is alive again: its next silence is looked into as soon as its first.
      this.#patience.delete(ear);
      if (events === undefined) ear.doubt();
      else for (const event of events) ear.offer(event);
    }
  }

  #hears(ear: Ear): boolean {
    return this.#ears.of(ear.jobId).includes(ear);
  }

  #doubtAll(): void {
    for (const ear of this.#ears.all()) ear.doubt();
  }

  /** What there is already for whoever joins, who is told at once that Redis is away. */
  async #joinLog(ear: Ear): Promise<LogReading> {
    return this.#take(ear, await this.#logs.readNow(ear, 'log'), true);
  }

  /** What an ear missed, read when it asks; Redis may be away for a while, but not for ever. */
  async #readAgain(ear: Ear, mustExist: boolean): Promise<LogReading> {
    const until = performance.now() + this.#options.giveUpMs;
    for (;;) {
      try {
        // Whoever is told as the job's producer joins nothing: its worker would take it for a reader of tokens.
        return this.#take(ear, await this.#logs.read(ear, ear.joined ? 'log' : 'read'), mustExist);
      } catch (error) {
        const over = ear.closed || performance.now() >= until;
        if (over || !(error instanceof ShoalError && error.code === 'unavailable')) throw error;
        await sleep(500);
        if (ear.closed) throw error;
      }
    }
  }

  #take(ear: Ear, reply: Attached, mustExist: boolean): LogReading {
    // Its reader left while Redis let it join.
    if (reply.joined && !this.#hears(ear)) this.#leave(reply.jobId);
    ear.joined ||= reply.joined;
    this.#follow(ear, reply.jobId);
    return readingOf(ear.id, reply, mustExist);
  }

  async #lookUpSilent(): Promise<void> {
    if (this.#closed) return;
    const now = performance.now();
    const { giveUpMs } = this.#options;
    if (now - this.#lookedAt > STANDSTILL_MS && now - this.#awakeSince > giveUpMs) this.#awakeSince = now;
    this.#lookedAt = now;
    if (now - Math.max(this.#source.reachedAt, this.#awakeSince) > giveUpMs) {
      for (const ear of this.#ears.all()) ear.fail(new ShoalError('unavailable', AWAY, { retryAfterMs: 5_000 }));
      return;
    }
    const silent = [...this.#ears.all()]
      .filter((ear) => now - ear.heardAt >= (this.#patience.get(ear) ?? SILENCE_MS))
      .sort((a, b) => a.heardAt - b.heardAt)
      .slice(0, LOOKUPS_PER_SECOND);
    if (silent.length === 0) return;
    const replies = await this.#logs.readAll(silent, ({ joined }) => (joined ? 'join' : 'look'));
    let foundUntold = false;
    for (const [index, ear] of silent.entries()) {
      const reply = replies[index];
      if (reply !== undefined && this.#answerLookUp(ear, reply)) foundUntold = true;
    }
    if (this.#deafness.looked(now, foundUntold)) this.#source.renew();
  }

  /** True when something happened that this ear should have been told, and was not. */
  #answerLookUp(ear: Ear, { state, length }: Attached): boolean {
    const patience = this.#patience.get(ear) ?? SILENCE_MS;
    ear.heardAt = performance.now();
    this.#patience.set(ear, Math.min(2 * patience, LONGEST_SILENCE_MS));
    if (state === 'missing') {
      ear.misses += 1;
      this.#patience.delete(ear);
      if (ear.misses >= MISSES) ear.fail(notFound(ear.id));
      return false;
    }
    ear.misses = 0;
    if (state === 'error' || (state === 'open' && length <= ear.position)) return false;
    this.#patience.delete(ear);
    const { behind } = ear;
    ear.doubt();
    return !behind;
  }
}

const AWAY = 'Redis has been away for too long; the request goes on if it was accepted: ask for it again later';
