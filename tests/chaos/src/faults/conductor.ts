import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from '../cluster/member.ts';
import type { Random } from '../random.ts';
import { within } from '../within.ts';
import type { Fault, Stage } from './fault.ts';

/** Longer than anything that a fault waits for takes on a slow machine; whoever waits longer waits for ever. */
const STRIKE_LIMIT_MS = 240_000;

/** One fault of the plan. */
interface Strike {
  /** Milliseconds from the beginning. */
  readonly at: number;
  readonly fault: Fault;
  /** Which of the processes that it may hit. */
  readonly choice: number;
  readonly random: Random;
}

/** What is struck, when, and how hard: decided by the seed alone. */
export function planStrikes(random: Random, faults: readonly Fault[], durationMs: number, everyMs: number): Strike[] {
  const total = faults.reduce((sum, { weight }) => sum + weight, 0);
  const strikes: Strike[] = [];
  for (let at = random.exponential(everyMs); at < durationMs; at += random.exponential(everyMs)) {
    let left = random.next() * total;
    const fault = faults.find(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    if (fault !== undefined) strikes.push({ at, fault, choice: random.between(0, 1_000), random: random.fork() });
  }
  return strikes;
}

/** Carries out a plan. Faults overlap, but each process, and Redis, has one at a time: a later one waits its turn. */
export class Conductor {
  readonly #stage: Stage;
  readonly #turns = new Map<unknown, Promise<void>>();
  /** Faults done, by name. */
  readonly done = new Map<string, number>();
  readonly current = new Set<string>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get count(): number {
    return [...this.done.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when the last fault is over; `signal` ends the waiting for the next ones. */
  async perform(strikes: readonly Strike[], signal: AbortSignal): Promise<void> {
    const begin = Date.now();
    const all: Promise<void>[] = [];
    for (const strike of strikes) {
      await sleep(Math.max(0, begin + strike.at - Date.now()), undefined, { signal }).catch(() => {});
      if (signal.aborted) break;
      all.push(this.#queue(strike));
    }
    await Promise.all(all);
  }

  #queue(strike: Strike): Promise<void> {
    const member = this.#memberFor(strike);
    const resource = member ?? strike.fault.target;
    const turn = (this.#turns.get(resource) ?? Promise.resolve()).then(() => this.#strike(strike, member));
    this.#turns.set(resource, turn);
    return turn;
  }

  async #strike({ fault, random }: Strike, member: Member | undefined): Promise<void> {
    const { timeline } = this.#stage.ledger;
    const name = member === undefined ? fault.name : `${fault.name} (${member.name})`;
    timeline.add(`${name} begins`);
    this.current.add(name);
    // An API has no part in when a request ends.
    const calm = member?.app === 'api' ? () => {} : timeline.disturb();
    try {
      const struck =
        fault.target === 'redis' || fault.target === 'queue'
          ? fault.strike(this.#stage, random)
          : member === undefined
            ? Promise.resolve()
            : fault.strike(this.#stage, random, member);
      if (!(await within(STRIKE_LIMIT_MS, struck)))
        throw new Error(`it was not over after ${STRIKE_LIMIT_MS / 1000} s`);
      this.done.set(fault.name, (this.done.get(fault.name) ?? 0) + 1);
    } catch (error) {
      this.#stage.ledger.find(
        `${name} could not be carried through: ${error instanceof Error ? error.message : error}`,
      );
    } finally {
      calm();
      this.current.delete(name);
      timeline.add(`${name} is over`);
    }
  }

  #memberFor({ fault, choice }: Strike): Member | undefined {
    const { apis, workers } = this.#stage.cluster;
    const pool = { worker: workers, api: apis, any: [...workers, ...apis], redis: [], queue: [] }[fault.target];
    return pool[choice % Math.max(1, pool.length)];
  }
}
