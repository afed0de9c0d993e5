import { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import { asShoalError, inOneWrite, promptly } from './connection.ts';
import { SUBMIT, type SubmittedJob, submitArguments } from './lua/submit.ts';
import type { RedisClient } from './redis-address.ts';

/**
 * Scripts under way at once: Redis and this process overlap, and a flood of requests does not hold up the workers. Of a
 * distant Redis as many more as it could run while one is on its way.
 */
const LEAST_IN_FLIGHT = 2;
const MOST_IN_FLIGHT = 64;
/** What a script takes Redis, about. */
const SCRIPT_MS = 0.5;
/** Jobs, and characters of their requests, in one script: for so long Redis serves nobody else. */
const JOBS_PER_SCRIPT = 8;
const CHARACTERS_PER_SCRIPT = 500_000;
/** Requests, and their characters, that wait for their turn, and for how long. */
const MOST_WAITING = 20_000;
const CHARACTERS_WAITING = 64_000_000;
const LONGEST_WAIT_MS = 500;

const Replies = z.array(z.array(z.string()).min(1));

interface Waiting {
  readonly job: SubmittedJob;
  /** By `performance.now()`. */
  readonly since: number;
  resolve(reply: string[]): void;
  reject(error: unknown): void;
  /** Redis has had it, or never will. */
  landed(): void;
}

export interface SubmitterOptions {
  redis: RedisClient;
  /** Any key of the model's slot. */
  key: string;
  /** What {@link submitTerms} made. */
  terms: string;
  /** Runs behind every script that took jobs, before they are called accepted. */
  confirm?: () => Promise<void>;
}

/**
 * Puts requests on the queue, as many in one script as came together. Each gets its own answer: the reply of the script,
 * or `unavailable`. It waits for its turn for half a second at most, and then for Redis as any command does.
 */
export class Submitter {
  readonly #options: SubmitterOptions;
  readonly #waiting: Waiting[] = [];
  /** The shortest round trip so far, ms. */
  #fastestMs = Number.POSITIVE_INFINITY;
  #charactersWaiting = 0;
  /** Until each has landed, by the id under which the request is known. */
  readonly #onTheWay = new Map<string, Promise<void>>();
  #inFlight = 0;
  #scheduled = false;

  constructor(options: SubmitterOptions) {
    this.#options = options;
  }

  submit(job: SubmittedJob): Promise<string[]> {
    const characters = this.#charactersWaiting + job.data.length;
    // The largest request is let in wherever it is the only one.
    const isFull = this.#waiting.length > 0 && characters > CHARACTERS_WAITING;
    if (isFull || this.#waiting.length >= MOST_WAITING) return Promise.reject(tooSlow());
    this.#charactersWaiting = characters;
    const landed = this.#expect(job.shared?.record ?? job.id);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, since: performance.now(), resolve, reject, landed });
      this.#schedule();
    });
  }

  /** Resolves when Redis has had what was submitted under this id, or never will; absent when nothing is on its way. */
  landing(id: string): Promise<void> | undefined {
    return this.#onTheWay.get(id);
  }

  get #mostInFlight(): number {
    // Those that stand behind a WAIT are confirmed together with it.
    if (this.#options.confirm !== undefined) return MOST_IN_FLIGHT;
    if (this.#fastestMs === Number.POSITIVE_INFINITY) return LEAST_IN_FLIGHT;
    return Math.min(MOST_IN_FLIGHT, LEAST_IN_FLIGHT + Math.floor(this.#fastestMs / SCRIPT_MS));
  }

  #expect(id: string): () => void {
    let land: () => void = () => {};
    const landing = new Promise<void>((resolve) => {
      land = resolve;
    });
    this.#onTheWay.set(id, landing);
    return () => {
      land();
      if (this.#onTheWay.get(id) === landing) this.#onTheWay.delete(id);
    };
  }

  /** What is submitted in one turn of the event loop leaves together. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= this.#mostInFlight || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      inOneWrite(this.#options.redis, () => {
        while (this.#inFlight < this.#mostInFlight && this.#waiting.length > 0) void this.#send(this.#take());
      });
    });
  }

  /** Those that wait the longest. */
  #take(): Waiting[] {
    let characters = 0;
    let count = 0;
    for (const { job } of this.#waiting) {
      characters += job.data.length;
      if (count === JOBS_PER_SCRIPT || (count > 0 && characters > CHARACTERS_PER_SCRIPT)) break;
      count += 1;
    }
    const taken = this.#waiting.splice(0, count);
    for (const { job } of taken) this.#charactersWaiting -= job.data.length;
    return taken;
  }

  async #send(taken: readonly Waiting[]): Promise<void> {
    const oldest = performance.now() - LONGEST_WAIT_MS;
    const sent = taken.filter(({ since }) => since >= oldest);
    refuse(
      taken.filter(({ since }) => since < oldest),
      tooSlow(),
    );
    if (sent.length === 0) return;
    const { redis, key, terms, confirm } = this.#options;
    this.#inFlight += 1;
    try {
      const jobs = sent.map(({ job }) => job);
      const args = submitArguments(terms, jobs);
      const sentAt = performance.now();
      const replies = Replies.parse(await promptly(redis, (connection) => SUBMIT.run(connection, key, args)));
      this.#fastestMs = Math.min(this.#fastestMs, performance.now() - sentAt);
      for (const { landed } of sent) landed();
      const unconfirmed = replies.some(isTaken) ? await failureOf(confirm) : undefined;
      for (const [at, { resolve, reject }] of sent.entries()) {
        const reply = replies[at];
        if (reply === undefined) reject(new ShoalError('unavailable', 'Redis gave no answer'));
        else if (reply[0] === 'error') reject(asShoalError(new Error(reply[1])));
        else if (unconfirmed !== undefined && isTaken(reply)) reject(unconfirmed);
        else resolve(reply);
      }
    } catch (error) {
      refuse(sent, error);
    } finally {
      this.#inFlight -= 1;
      this.#schedule();
    }
  }
}

function refuse(refused: readonly Waiting[], error: unknown): void {
  for (const { reject, landed } of refused) {
    reject(error);
    landed();
  }
}

/** Whether the request is on the queue, by this submission or an earlier one. */
function isTaken([outcome]: readonly string[]): boolean {
  return outcome === 'added' || outcome === 'again' || outcome === 'shared' || outcome === 'cached';
}

async function failureOf(confirm: (() => Promise<void>) | undefined): Promise<unknown> {
  return await confirm?.().then(
    () => undefined,
    (error: unknown) => error,
  );
}

function tooSlow(): ShoalError {
  const message =
    'the requests before this one wait for Redis, or for its replica; check both, then try again, or let fewer come at a time';
  return new ShoalError('unavailable', message, { retryAfterMs: 1_000 });
}
