import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { answer } from '../queue/child.ts';
import type { Arrival } from './arrivals.ts';
import { LoneCaller, type LoneTime } from './lone-caller.ts';
import { type Answered, openLoop, type Timing } from './open-loop.ts';
import { sendTo } from './send-request.ts';

// The load generator: a process of its own, so that nobody's work in the bench delays what it sends.

/** Above the servers: on a machine whose cores are all busy it would otherwise be late. */
const NICE = -10;
/** Timers fire up to this late; the rest of the way it looks at the clock. */
const TIMER_MS = 1.5;

interface LoadOptions {
  url: string;
  /** Fields of each body beside `prompt`, `max_tokens`. */
  fields: Record<string, unknown>;
  arrivals: readonly Arrival[];
  patienceMs: number;
  quietMs: number;
}

interface LoneOptions {
  url: string;
  body: Record<string, unknown>;
}

const timing: Timing = {
  now: () => performance.now(),
  async until(ms, signal) {
    while (performance.now() < ms && !signal?.aborted) {
      const left = ms - performance.now();
      if (left > TIMER_MS) await sleep(left - TIMER_MS, undefined, { signal }).catch(() => {});
      else await new Promise(setImmediate);
    }
  },
};

async function load({ url, fields, arrivals, patienceMs, quietMs }: LoadOptions): Promise<{
  records: Answered[];
  endMs: number;
}> {
  const server = sendTo(url, fields);
  const start = performance.now();
  const records = await openLoop({ arrivals, send: server.send, timing, patienceMs, quietMs });
  const endMs = performance.now() - start;
  server.close();
  return { records, endMs };
}

/** Each keeps its connection from one request to the next. */
const callers = new Map<string, LoneCaller>();

/** What a request that comes alone takes a caller whose connection is open since its first. */
async function lone({ url, body }: LoneOptions): Promise<LoneTime> {
  const key = JSON.stringify([url, body]);
  const caller = callers.get(key) ?? new LoneCaller(url, body);
  callers.set(key, caller);
  return await caller.time();
}

/** Whether the system let it go before others. */
async function prioritise(): Promise<boolean> {
  try {
    setPriority(NICE);
    return true;
  } catch {
    return false;
  }
}

export type LoadGeneratorCalls = { load: typeof load; lone: typeof lone; prioritise: typeof prioritise };

const calls: LoadGeneratorCalls = { load, lone, prioritise };
answer(calls);
