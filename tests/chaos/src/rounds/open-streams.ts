import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../ledger/entry.ts';
import { describeAsk } from '../load/ask.ts';
import { Client } from '../load/client.ts';
import { followJob } from '../load/follow-job.ts';
import { stream, submitJob } from '../load/requests.ts';
import { within } from '../within.ts';
import type { Arena } from './scenario.ts';

const FLOWING_LIMIT_MS = 60_000;
const DONE_LIMIT_MS = 180_000;

export interface OpenStreamsOptions {
  count: number;
  /** Index of the API that all of them are read at; default: any. */
  api?: number;
}

/**
 * Requests that are read at the same time: half of them greedy, half sampled with a seed; half of each as streams of the
 * OpenAI endpoints, half as jobs whose events carry positions.
 */
export class OpenStreams {
  readonly entries: readonly Entry[];
  readonly #all: Promise<unknown>;

  constructor({ asks, answers, cluster, ledger, random }: Arena, { count, api }: OpenStreamsOptions) {
    const urls = cluster.apis.map(({ url }) => url);
    const from = 2 * random.between(0, Math.floor((asks.length - count) / 2));
    const opened = asks.slice(from, from + count).map((ask, index) => {
      const asJob = Math.floor(index / 2) % 2 === 0;
      const terms = { kind: asJob ? 'job' : 'stream', expected: answers[ask.index], allowed: [] };
      const entry = ledger.open(describeAsk(ask), terms);
      const client = new Client(urls, random.fork(), { first: api });
      const read = async (): Promise<void> => {
        if (!asJob) await stream(entry, ask, client);
        else if (await submitJob(entry, ask, client)) await followJob(entry, client);
      };
      return { entry, done: read() };
    });
    this.entries = opened.map(({ entry }) => entry);
    this.#all = Promise.all(opened.map(({ done }) => done));
  }

  /** Resolves once every one of them is in the middle of its answer; false when one has ended before. */
  async flowing(pieces: number): Promise<boolean> {
    await this.#until(({ reads }) => reads.length >= pieces, 'the streams did not begin to flow');
    return this.entries.every(({ open }) => open);
  }

  /** Resolves once every one of them is accepted; some wait, then, some run, and some have ended. */
  accepted(): Promise<void> {
    return this.#until(({ acceptedAt }) => acceptedAt !== undefined, 'not every request was accepted');
  }

  async #until(holds: (entry: Entry) => boolean, complaint: string): Promise<void> {
    const until = Date.now() + FLOWING_LIMIT_MS;
    while (!this.entries.every(holds)) {
      if (Date.now() > until) throw new Error(complaint);
      await sleep(5);
    }
  }

  /** Resolves when all have their answers, or when it took too long: then those without are lost. */
  async done(): Promise<void> {
    await within(DONE_LIMIT_MS, this.#all);
    for (const entry of this.entries) entry.close();
  }
}
