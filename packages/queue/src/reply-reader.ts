import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { GenerateResult, type RequestEvent, ShoalError } from '@shoal/protocol';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { Ear, type LogReading } from './ear.ts';
import { refuseEviction } from './eviction.ts';
import { checkJobId, type ModelKeys, modelKeys } from './keys.ts';
import { readLogEntry, readReply } from './log-entry.ts';
import { ATTACH, DETACH, KEEP_STREAM, MAX_READERS } from './lua/attach.ts';
import { parseJson } from './parse-json.ts';
import { endOfRecord, errorOf } from './queue-producer.ts';
import type { Replies } from './replies.ts';

const BLOCK_MS = 5_000;
/** How long Redis may stay silent to a blocking read before the connection is made anew. */
const WATCHDOG_MS = BLOCK_MS + 3_000;
const ENTRIES_PER_READ = 1_000;
/** The stream outlives its producer by at most this; it is kept alive four times as often. */
const STREAM_TTL_MS = 60_000;
/** A request that was silent for this long is looked up, so that an end that nobody announced is found. */
const SILENCE_MS = 2_000;
const LONGEST_SILENCE_MS = 30_000;
const LOOKUPS_PER_SECOND = 256;
/** A request that is not on the queue this often in a row, with silence between, does not exist. */
const MISSES = 3;

export interface RepliesOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** Seconds that results and token logs are kept. Default 3,600. */
  resultTtlS?: number;
  /** How long Redis may be away before readers are told `unavailable`. Default 30,000. */
  giveUpMs?: number;
  /** For tests: how connections are made. */
  connect?: Connect;
}

/** {@link Replies} over one blocking XREAD per process and model. `ready` resolves once events can arrive. */
export function openReplies(options: RepliesOptions): Replies & { ready(): Promise<void> } {
  return new ReplyReader({ resultTtlS: 3_600, giveUpMs: 30_000, ...options });
}

const StreamReply = z.array(z.tuple([z.string(), z.array(z.tuple([z.string(), z.array(z.string())]))])).nullable();
const AttachReply = z.array(
  z.tuple([
    z.enum(['missing', 'open', 'completed', 'failed', 'full', 'cancelled', 'expired']),
    z.number(),
    z.string(),
    z.array(z.string()),
    z.string(),
  ]),
);

class ReplyReader implements Replies {
  readonly replyTo: string = randomUUID();
  readonly #options: RepliesOptions & { resultTtlS: number; giveUpMs: number };
  readonly #keys: ModelKeys;
  readonly #commands: Redis;
  readonly #blocking: Redis;
  readonly #ears = new Map<string, Set<Ear>>();
  readonly #timers: NodeJS.Timeout[];
  /** Silence after which an ear is looked up next. */
  readonly #patience = new WeakMap<Ear, number>();
  #lastId = '0-0';
  #reachedAt = Date.now();
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(options: RepliesOptions & { resultTtlS: number; giveUpMs: number }) {
    this.#options = options;
    this.#keys = modelKeys(options.prefix, options.model);
    const connect = options.connect ?? connector(options.redisUrl);
    this.#commands = connect('commands-now');
    this.#blocking = connect('blocking');
    this.#timers = [
      setInterval(() => void this.#keepStream().catch(() => {}), STREAM_TTL_MS / 4),
      setInterval(() => void this.#lookUpSilent().catch(() => {}), 1_000),
    ];
    for (const timer of this.#timers) timer.unref();
    this.#blocking.on('ready', () => void this.#keepStream().catch(() => {}));
    void this.#readLoop();
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
    await this.#keepStream();
  }

  listen(id: string, signal?: AbortSignal): AsyncIterable<RequestEvent> {
    return this.#open(id, 0, false, signal);
  }

  attach(id: string, options: { position?: number; signal?: AbortSignal } = {}): AsyncIterable<RequestEvent> {
    return this.#open(id, options.position ?? 0, true, options.signal);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const ear of this.#allEars()) ear.close();
    await promptly(this.#commands, (redis) => redis.unlink(this.#keys.replies(this.replyTo))).catch(() => {});
    this.#commands.disconnect();
    this.#blocking.disconnect();
  }

  #open(id: string, position: number, fromLog: boolean, signal: AbortSignal | undefined): Ear {
    checkJobId(id);
    let first = fromLog;
    const ear = new Ear({
      id,
      position,
      fromLog,
      read: (reading) => {
        // Whoever joins is told at once that Redis is away; whoever waits already, waits longer.
        const patience = first ? 0 : this.#options.giveUpMs;
        first = false;
        return this.#readLog(reading, fromLog, patience);
      },
      onClose: (closing) => this.#forget(closing),
    });
    this.#file(ear);
    if (signal?.aborted) ear.close();
    else signal?.addEventListener('abort', () => ear.close(), { once: true });
    return ear;
  }

  #file(ear: Ear): void {
    const ears = this.#ears.get(ear.jobId) ?? new Set();
    this.#ears.set(ear.jobId, ears.add(ear));
  }

  /** A request that shares a generation is told of it under the job's id. */
  #follow(ear: Ear, jobId: string): void {
    if (ear.jobId === jobId || ear.ended) return;
    const ears = this.#ears.get(ear.jobId);
    ears?.delete(ear);
    if (ears?.size === 0) this.#ears.delete(ear.jobId);
    ear.jobId = jobId;
    this.#file(ear);
    // What was told under that id before this ear stood there is read from the log.
    ear.doubt();
  }

  #forget(ear: Ear): void {
    const ears = this.#ears.get(ear.jobId);
    if (ears === undefined || !ears.delete(ear) || ears.size > 0) return;
    this.#ears.delete(ear.jobId);
    if (!ear.joined || ear.ended || this.#closed) return;
    const { bull, own } = this.#keys;
    promptly(this.#commands, (redis) => DETACH.run(redis, bull, [own, this.replyTo, ear.jobId])).catch(() => {});
  }

  async #readLoop(): Promise<void> {
    while (!this.#closed) {
      try {
        const reply = await this.#readStream();
        this.#reachedAt = Date.now();
        for (const [, entries] of StreamReply.parse(reply) ?? []) this.#deliver(entries);
      } catch {
        // The connection broke, or the stream's content is not ours: the next read, or a look-up, makes it good.
        if (!this.#closed) await sleep(100);
      }
    }
  }

  /** XREAD, with a watchdog: ioredis may lose track of a blocking command when a connection dies without a word. */
  async #readStream(): Promise<unknown> {
    const key = this.#keys.replies(this.replyTo);
    const watchdog = setTimeout(() => this.#blocking.disconnect(true), WATCHDOG_MS);
    watchdog.unref();
    try {
      return await this.#blocking.xread('COUNT', ENTRIES_PER_READ, 'BLOCK', BLOCK_MS, 'STREAMS', key, this.#lastId);
    } finally {
      clearTimeout(watchdog);
    }
  }

  #deliver(entries: [string, string[]][]): void {
    for (const [entryId, fields] of entries) {
      this.#lastId = entryId;
      for (let at = 0; at + 1 < fields.length; at += 2) {
        const ears = this.#ears.get(fields[at] ?? '');
        if (ears === undefined) continue;
        const events = readReply(fields[at + 1] ?? '');
        for (const ear of ears) {
          if (events === undefined) ear.doubt();
          else for (const event of events) ear.offer(event);
        }
      }
    }
  }

  /** Makes the stream, or keeps it; when it had gone, everybody may have missed something. */
  async #keepStream(): Promise<void> {
    if (this.#closed) return;
    const { bull } = this.#keys;
    const key = this.#keys.replies(this.replyTo);
    const made = z
      .string()
      .parse(await promptly(this.#commands, (redis) => KEEP_STREAM.run(redis, bull, [key, STREAM_TTL_MS])));
    if (made === '') return;
    this.#lastId = made;
    for (const ear of this.#allEars()) ear.doubt();
  }

  /** What an ear missed, read when it asks; Redis may be away for a while, but not for ever. */
  async #readLog(ear: Ear, mustExist: boolean, patienceMs: number): Promise<LogReading> {
    const until = Date.now() + patienceMs;
    for (;;) {
      try {
        const [reply] = await this.#attach([ear], true);
        if (reply === undefined) throw new ShoalError('unavailable', 'Redis gave no answer');
        ear.joined = true;
        this.#follow(ear, reply[4]);
        return readingOf(ear.id, reply, mustExist);
      } catch (error) {
        if (!(error instanceof ShoalError && error.code === 'unavailable') || Date.now() >= until) throw error;
        await sleep(500);
      }
    }
  }

  async #lookUpSilent(): Promise<void> {
    if (this.#closed) return;
    const now = Date.now();
    if (now - this.#reachedAt > this.#options.giveUpMs) {
      for (const ear of this.#allEars()) ear.fail(new ShoalError('unavailable', AWAY, { retryAfterMs: 5_000 }));
      return;
    }
    const silent = [...this.#allEars()]
      .filter((ear) => now - ear.heardAt >= (this.#patience.get(ear) ?? SILENCE_MS))
      .sort((a, b) => a.heardAt - b.heardAt)
      .slice(0, LOOKUPS_PER_SECOND);
    if (silent.length === 0) return;
    const replies = await this.#attach(silent, false);
    for (const [index, ear] of silent.entries()) {
      const reply = replies[index];
      if (reply !== undefined) this.#answerLookUp(ear, reply);
    }
  }

  #answerLookUp(ear: Ear, [state, length]: z.infer<typeof AttachReply>[number]): void {
    ear.heardAt = Date.now();
    this.#patience.set(ear, Math.min(2 * (this.#patience.get(ear) ?? SILENCE_MS), LONGEST_SILENCE_MS));
    if (state === 'missing') {
      ear.misses += 1;
      this.#patience.set(ear, SILENCE_MS);
      if (ear.misses >= MISSES) ear.fail(notFound(ear.id));
    } else {
      ear.misses = 0;
      ear.joined ||= state === 'open';
      if (state !== 'open' || length > ear.position) ear.doubt();
    }
  }

  async #attach(ears: readonly Ear[], wantLog: boolean): Promise<z.infer<typeof AttachReply>> {
    const { bull, own } = this.#keys;
    const args: (string | number)[] = [own, bull, this.replyTo, this.#options.resultTtlS * 1000];
    for (const ear of ears) args.push(ear.id, ear.position, wantLog ? '1' : '0');
    return AttachReply.parse(await promptly(this.#commands, (redis) => ATTACH.run(redis, bull, args)));
  }

  *#allEars(): Generator<Ear> {
    for (const ears of [...this.#ears.values()]) yield* [...ears];
  }
}

const AWAY = 'Redis has been away for too long; the request goes on if it was accepted: ask for it again later';

function readingOf(
  id: string,
  [state, , value, entries]: z.infer<typeof AttachReply>[number],
  mustExist: boolean,
): LogReading {
  if (state === 'missing' && mustExist) throw notFound(id);
  if (state === 'full') {
    throw new ShoalError('rate_limit_exceeded', `a request can have at most ${MAX_READERS} readers at once`);
  }
  const events = entries.flatMap((entry) => readLogEntry(entry) ?? []);
  if (state === 'cancelled' || state === 'expired') {
    return { events, terminal: { type: 'failed', error: endOfRecord(state) } };
  }
  if (state === 'failed') return { events, terminal: { type: 'failed', error: errorOf(value) } };
  if (state !== 'completed') return { events };
  const result = GenerateResult.safeParse(parseJson(value));
  const unreadable = { code: 'inference_error', message: 'the stored result is not a GenerateResult' } as const;
  return {
    events,
    terminal: result.success ? { type: 'completed', result: result.data } : { type: 'failed', error: unreadable },
  };
}

function notFound(id: string): ShoalError {
  return new ShoalError('job_not_found', `there is no request ${id}, or its result is no longer kept`);
}
