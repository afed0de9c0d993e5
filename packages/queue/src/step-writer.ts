import { setTimeout as sleep } from 'node:timers/promises';
import { isOutage } from './connection.ts';
import { EMIT } from './lua/emit.ts';
import { STEP } from './lua/step.ts';
import { type Chunk, type Claim, Outbox } from './outbox.ts';
import type { RedisClient } from './redis-address.ts';
import {
  asksForJobs,
  type ClaimReply,
  type ClaimRequest,
  decodeStep,
  type End,
  type EndOutcome,
  encodeStep,
  FAILED,
  FULL,
  type Item,
  NOT_HELD,
  type StepLimits,
  TOO_SHORT,
} from './step-codec.ts';

/** Round trips under way at once: worker and Redis overlap, and nothing piles up. */
const MOST_IN_FLIGHT = 2;
/** Chunks of one job, and items of all jobs, in one round trip. */
const CHUNKS_PER_JOB = 8;
const ITEMS_PER_STEP = 512;
const RETRY_DELAY_MS = 250;
/** Jobs that share a round trip for the shortest interval; for more it is longer in proportion, up to a limit. */
const JOBS_PER_INTERVAL = 16;
const LONGEST_INTERVAL = 2.5;
/** A job whose items fail this often in a row, while Redis answers, is given up. */
const MOST_FAILURES = 20;

/** Who claims through the writer's round trips. */
export interface ClaimSource {
  /** What the next step is to claim, given that it ends `ends` jobs; that may be nothing. Every request is answered. */
  request(ends: number): ClaimRequest;
  /** True when a step should go out for the claim alone. */
  readonly eager: boolean;
  take(request: ClaimRequest, ends: number, reply: ClaimReply): void;
  /** The step failed; its claims, if it made any, come when the request is sent again. */
  failed(request: ClaimRequest, ends: number): void;
}

export interface StepWriterOptions extends StepLimits {
  redis: RedisClient;
  /**
   * Shortest time from one round trip to the next for up to 16 jobs, and for any in which a claim speaks for the first
   * time. Ends and claims do not wait.
   */
  emitIntervalMs: number;
  /** Longest time that tokens wait which nobody reads as they come: so much of them a worker's death takes with it. */
  restMs: number;
  /** How often every held job is looked at, whether or not it wrote: a lost lock or a missed cancel call shows. */
  lookIntervalMs: number;
  /** Ends in one round trip: with half of all jobs, worker and Redis work on two halves at the same time. */
  endsPerStep: number;
  /** True to renew the locks while looking. */
  renewLocks?: () => boolean;
  claims?: ClaimSource;
  onLost(claim: Claim): void;
  onCancelled(jobId: string): void;
  onEmit(emit: { jobs: number; tokens: number; durationMs: number }): void;
  onError(message: string): void;
}

/**
 * Writes for all held jobs together: tokens to logs and readers, and the ends of jobs. Nobody waits for it but those
 * who end a job; an end goes out only behind the job's tokens.
 */
export class StepWriter {
  readonly #options: StepWriterOptions;
  readonly #outboxes = new Map<string, Outbox>();
  readonly #dirty = new Set<Outbox>();
  /** Those with tokens that nobody reads as they come. */
  readonly #resting = new Set<Outbox>();
  #restTimer: NodeJS.Timeout | undefined;
  readonly #ending = new Map<Outbox, { end: End; settle: (outcome: EndOutcome) => void }>();
  readonly #failures = new Map<Outbox, number>();
  readonly #lookTimer: NodeJS.Timeout;
  #looks: Outbox[] = [];
  #inFlight = 0;
  #lastFlushAt = 0;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is due, by `performance.now()`. */
  #dueAt = 0;
  /** What is to be sent brings the first tokens of a claim, or was left over by the last round trip. */
  #beginning = false;
  #closed = false;

  constructor(options: StepWriterOptions) {
    this.#options = options;
    this.#lookTimer = setInterval(() => this.#lookAtAll(), options.lookIntervalMs);
    this.#lookTimer.unref();
  }

  /** Begins to write for a claim whose log is `position` long. */
  open(claim: Claim, position: number): Outbox {
    const outbox = new Outbox(claim, position);
    this.#outboxes.set(claim.token, outbox);
    return outbox;
  }

  /** Tells that the outbox has something new. */
  touch(outbox: Outbox): void {
    if (!this.#outboxes.has(outbox.claim.token)) return;
    if (outbox.mayRest && !this.#ending.has(outbox)) {
      this.#resting.add(outbox);
      this.#restTimer ??= setTimeout(() => this.#wake(this.#resting), this.#options.restMs);
      return;
    }
    this.#dirty.add(outbox);
    this.#beginning ||= outbox.untold;
    this.schedule();
  }

  /** Writes what rested. */
  #wake(outboxes: Iterable<Outbox>): void {
    const before = this.#dirty.size;
    for (const outbox of outboxes) {
      if (this.#resting.delete(outbox)) this.#dirty.add(outbox);
    }
    if (this.#resting.size === 0) {
      clearTimeout(this.#restTimer);
      this.#restTimer = undefined;
    }
    if (this.#dirty.size > before) this.schedule();
  }

  /** Ends a claim behind its tokens; `settle` is called once. Waits for Redis as long as Redis is away. */
  end(outbox: Outbox, end: End, settle: (outcome: EndOutcome) => void): void {
    if (!this.#outboxes.has(outbox.claim.token)) {
      settle('lost');
      return;
    }
    this.#ending.set(outbox, { end, settle });
    this.#resting.delete(outbox);
    this.#dirty.add(outbox);
    this.schedule();
  }

  /** Stops writing for a claim that is no longer this worker's. */
  drop(outbox: Outbox): void {
    this.#outboxes.delete(outbox.claim.token);
    this.#dirty.delete(outbox);
    this.#resting.delete(outbox);
    this.#failures.delete(outbox);
    const ending = this.#ending.get(outbox);
    this.#ending.delete(outbox);
    ending?.settle('lost');
  }

  /** Sends what there is: at once when a job ends or is wanted, else when the interval is over. */
  schedule(): void {
    if (this.#closed || this.#immediate !== undefined || this.#inFlight >= MOST_IN_FLIGHT) return;
    const urgent = this.#ending.size > 0 || this.#options.claims?.eager === true;
    const dueAt = urgent ? 0 : this.#lastFlushAt + this.#intervalMs;
    if (this.#timer !== undefined && this.#dueAt <= dueAt) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const wait = dueAt - performance.now();
    if (wait <= 0) {
      this.#immediate = setImmediate(() => {
        this.#immediate = undefined;
        void this.#flush();
      });
      return;
    }
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#flush();
    }, wait);
  }

  /** The more jobs write together, the more Redis has to do for each round trip: what it does in a second stays alike. */
  get #intervalMs(): number {
    const stretch = this.#beginning ? 1 : Math.max(1, this.#outboxes.size / JOBS_PER_INTERVAL);
    return this.#options.emitIntervalMs * Math.min(stretch, LONGEST_INTERVAL);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#lookTimer);
    clearTimeout(this.#timer);
    clearTimeout(this.#restTimer);
    for (const outbox of [...this.#outboxes.values()]) this.drop(outbox);
  }

  #lookAtAll(): void {
    this.#looks = [...this.#outboxes.values()];
    if (this.#looks.length > 0 || this.#options.claims?.eager === true) this.schedule();
  }

  async #flush(): Promise<void> {
    if (this.#closed || this.#inFlight >= MOST_IN_FLIGHT) return;
    const items = this.#collect();
    const ends = items.filter((item) => item.kind === 'end').length;
    const claim = this.#options.claims?.request(ends);
    if (items.length === 0 && !asksForJobs(claim)) return;
    this.#inFlight += 1;
    const startedAt = performance.now();
    this.#lastFlushAt = startedAt;
    // What did not fit goes out as soon as it may.
    this.#beginning = this.#dirty.size > 0;
    try {
      const { redis, keys } = this.#options;
      const script = ends > 0 || asksForJobs(claim) ? STEP : EMIT;
      const sent = script.run(redis, keys.bull, encodeStep(this.#options, items, claim));
      if (this.#dirty.size > 0) this.schedule();
      const reply = decodeStep(await sent);
      if (this.#closed) return;
      this.#settle(items, reply.codes, startedAt);
      this.#hear(items, reply.joinedIds);
      for (const id of reply.cancelledIds) this.#options.onCancelled(id);
      if (claim !== undefined) this.#options.claims?.take(claim, ends, reply.claim);
    } catch (error) {
      if (claim !== undefined) this.#options.claims?.failed(claim, ends);
      await this.#putBack(items, error);
    } finally {
      this.#inFlight -= 1;
      const more = this.#dirty.size > 0 || this.#looks.length > 0 || this.#options.claims?.eager === true;
      if (more) this.schedule();
    }
  }

  #collect(): Item[] {
    const items: Item[] = [];
    let ends = 0;
    for (const outbox of this.#dirty) {
      if (items.length >= ITEMS_PER_STEP || ends >= this.#options.endsPerStep) break;
      for (const chunk of outbox.take(CHUNKS_PER_JOB)) items.push({ kind: 'emit', outbox, chunk });
      if (outbox.waiting) continue;
      this.#dirty.delete(outbox);
      this.#resting.delete(outbox);
      const ending = this.#ending.get(outbox);
      if (ending === undefined) continue;
      this.#ending.delete(outbox);
      ends += 1;
      items.push({ kind: 'end', outbox, ...ending });
    }
    const renew = this.#options.renewLocks?.() ?? false;
    for (const outbox of this.#looks.splice(0, ITEMS_PER_STEP)) {
      if (this.#outboxes.has(outbox.claim.token)) items.push({ kind: 'look', outbox, renew });
    }
    return items;
  }

  #settle(items: readonly Item[], codes: readonly number[], startedAt: number): void {
    const jobs = new Set<string>();
    let tokens = 0;
    for (const [index, item] of items.entries()) {
      const code = codes[index] ?? FAILED;
      if (code === FAILED || code === FULL) {
        this.#retry(item, code);
      } else if (item.kind === 'end') {
        this.#settleEnd(item, code);
      } else if (code === NOT_HELD) {
        this.#lose(item.outbox);
      } else if (item.kind === 'emit') {
        this.#settleEmit(item.outbox, item.chunk, code);
        jobs.add(item.outbox.claim.id);
        tokens += item.chunk.end - item.chunk.position;
      }
    }
    if (jobs.size > 0) this.#options.onEmit({ jobs: jobs.size, tokens, durationMs: performance.now() - startedAt });
  }

  /** Whoever joined a job reads its tokens as they come from now on, those first that rested meanwhile. */
  #hear(items: readonly Item[], joinedIds: readonly string[]): void {
    if (joinedIds.length === 0) return;
    const joined = new Set(joinedIds);
    const outboxes = items.map(({ outbox }) => outbox).filter(({ claim }) => joined.has(claim.id));
    for (const outbox of outboxes) outbox.hear();
    this.#wake(outboxes);
  }

  #settleEmit(outbox: Outbox, chunk: Chunk, length: number): void {
    this.#failures.delete(outbox);
    if (!outbox.acknowledge(chunk, length)) this.#loseUnfit(outbox);
    else if (outbox.waiting) this.touch(outbox);
  }

  /** Another claim of the job begins from what the log has. */
  #loseUnfit(outbox: Outbox): void {
    this.#options.onError(`the token log of job ${outbox.claim.id} does not fit what this worker generated`);
    this.#lose(outbox);
  }

  #settleEnd(item: Item & { kind: 'end' }, code: number): void {
    const known = this.#outboxes.has(item.outbox.claim.token);
    if (code <= TOO_SHORT && known) {
      this.#ending.set(item.outbox, item);
      if (item.outbox.resendFrom(TOO_SHORT - code)) this.touch(item.outbox);
      else this.#loseUnfit(item.outbox);
      return;
    }
    this.#outboxes.delete(item.outbox.claim.token);
    this.#failures.delete(item.outbox);
    item.settle(code === 0 ? 'done' : 'lost');
  }

  /** Redis answered, but this item failed inside the script: for want of memory, or (a key of a foreign type) for good. */
  #retry(item: Item, code: number): void {
    if (!this.#outboxes.has(item.outbox.claim.token)) {
      // Given up meanwhile, by an item before this one.
      if (item.kind === 'end') item.settle('lost');
      return;
    }
    const failures = (this.#failures.get(item.outbox) ?? 0) + (code === FULL ? 0 : 1);
    this.#failures.set(item.outbox, failures);
    if (item.kind === 'end') this.#ending.set(item.outbox, item);
    if (failures > MOST_FAILURES) {
      this.#options.onError(`job ${item.outbox.claim.id} could not be written ${failures} times and is given up`);
      this.#lose(item.outbox);
      return;
    }
    item.outbox.rewind();
    setTimeout(() => this.touch(item.outbox), RETRY_DELAY_MS).unref();
  }

  #lose(outbox: Outbox): void {
    if (!this.#outboxes.has(outbox.claim.token)) return;
    this.drop(outbox);
    this.#options.onLost(outbox.claim);
  }

  async #putBack(items: readonly Item[], error: unknown): Promise<void> {
    if (this.#closed) return;
    this.#options.onError(`writing to Redis failed and is tried again: ${messageOf(error)}`);
    for (const item of items) {
      if (!this.#outboxes.has(item.outbox.claim.token)) {
        if (item.kind === 'end') item.settle('lost');
        continue;
      }
      item.outbox.rewind();
      if (item.kind === 'end') this.#ending.set(item.outbox, item);
      this.#dirty.add(item.outbox);
    }
    await sleep(isOutage(error) ? RETRY_DELAY_MS : 4 * RETRY_DELAY_MS, undefined, { ref: false });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : 'unknown error';
}
