import { ShoalError } from '@shoal/protocol';
import { promptly } from './connection.ts';
import type { Ear } from './ear.ts';
import type { ModelKeys } from './keys.ts';
import { type Attached, readAttached, type Wanted } from './log-reading.ts';
import { ATTACH } from './lua/attach.ts';
import type { RedisClient } from './redis-address.ts';

/** After a broken connection every open request is read at once: so many in one script, and scripts under way. */
const EARS_PER_READ = 32;
const MOST_IN_FLIGHT = 2;

interface Asked {
  ear: Ear;
  wanted: Wanted;
  resolve(reply: Attached): void;
  reject(error: unknown): void;
}

export interface LogReaderOptions {
  commands: RedisClient;
  keys: ModelKeys;
  /** The name under which its ears join jobs. */
  replyTo: string;
  resultTtlS: number;
}

/** Reads the logs of this process's requests. */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #waiting: Asked[] = [];
  #inFlight = 0;

  constructor(options: LogReaderOptions) {
    this.#options = options;
  }

  /** What Redis says of one ear's request, at once: its reader waits. Rejects with `unavailable`. */
  async readNow(ear: Ear, wanted: Wanted): Promise<Attached> {
    const [reply] = await this.readAll([ear], () => wanted);
    if (reply === undefined) throw new ShoalError('unavailable', 'Redis gave no answer');
    return reply;
  }

  /** The same, together with others that doubt what they have: those that are asked for together, together. */
  read(ear: Ear, wanted: Wanted): Promise<Attached> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ear, wanted, resolve, reject });
      void this.#work();
    });
  }

  /** The same of several, in one script. */
  async readAll(ears: readonly Ear[], wanted: (ear: Ear) => Wanted): Promise<Attached[]> {
    const { commands, keys, replyTo, resultTtlS } = this.#options;
    const args: (string | number)[] = [keys.own, keys.bull, replyTo, resultTtlS * 1000];
    for (const ear of ears) args.push(ear.id, ear.position, wanted(ear));
    const reply = await promptly(commands, (redis) => ATTACH.run(redis, keys.bull, args));
    return readAttached(
      reply,
      ears.map(({ id }) => id),
    );
  }

  async #work(): Promise<void> {
    if (this.#inFlight >= MOST_IN_FLIGHT) return;
    this.#inFlight += 1;
    while (this.#waiting.length > 0) await this.#readSome(this.#waiting.splice(0, EARS_PER_READ));
    this.#inFlight -= 1;
  }

  async #readSome(all: readonly Asked[]): Promise<void> {
    // Whoever left meanwhile is to join nothing any more.
    const asked = all.filter(({ ear }) => !ear.closed);
    for (const { ear, reject } of all) if (ear.closed) reject(new ShoalError('cancelled', 'its reader left'));
    if (asked.length === 0) return;
    try {
      const wanted = new Map(asked.map((one) => [one.ear, one.wanted]));
      const replies = await this.readAll(
        asked.map(({ ear }) => ear),
        (ear) => wanted.get(ear) ?? 'look',
      );
      for (const [index, { resolve, reject }] of asked.entries()) {
        const reply = replies[index];
        if (reply === undefined) reject(new ShoalError('unavailable', 'Redis gave no answer'));
        else resolve(reply);
      }
    } catch (error) {
      // Whoever is behind them would wait for the same refusal: who may, asks again.
      for (const { reject } of [...asked, ...this.#waiting.splice(0)]) reject(error);
    }
  }
}
