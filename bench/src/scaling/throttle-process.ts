import { setTimeout as sleep } from 'node:timers/promises';
import { answer } from '../queue/child.ts';

/** Short beside what a caller notices, long beside what a timer is late by. */
const PERIOD_MS = 40;

export interface Throttled {
  readonly pids: readonly number[];
  /** Of a core, 0 … 1. */
  readonly share: number;
}

let running = false;
let pids: readonly number[] = [];
let stopped: Promise<void> = Promise.resolve();

// A process that stands still could not even be asked to end.
process.on('exit', () => {
  for (const pid of pids) process.kill(pid, 'SIGCONT');
});

/** Lets processes run for a share of the time, one after the other where they are several: as a smaller core would. */
async function throttle(options: Throttled): Promise<void> {
  running = true;
  pids = options.pids;
  stopped = Promise.all(pids.map((pid, i) => alternate(pid, i / pids.length, options.share))).then(() => {});
}

async function alternate(pid: number, phase: number, share: number): Promise<void> {
  const begun = performance.now() + phase * PERIOD_MS;
  const until = (at: number): Promise<void> => sleep(Math.max(0, at - performance.now()));
  for (let period = 0; running; period++) {
    const at = begun + period * PERIOD_MS;
    await until(at);
    process.kill(pid, 'SIGCONT');
    await until(at + share * PERIOD_MS);
    process.kill(pid, 'SIGSTOP');
  }
  process.kill(pid, 'SIGCONT');
}

async function release(): Promise<void> {
  running = false;
  await stopped;
  pids = [];
}

export type ThrottleCalls = { throttle: typeof throttle; release: typeof release };

const calls: ThrottleCalls = { throttle, release };
answer(calls);
