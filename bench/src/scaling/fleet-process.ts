import { setTimeout as sleep } from 'node:timers/promises';
import { answer } from '../queue/child.ts';
import type { QueueAddress } from '../queue/jobs.ts';
import { meter, type Spent } from '../queue/meter.ts';
import { quantile } from '../statistics.ts';
import { type SimulatedDevice, SimulatedWorker } from './simulated-worker.ts';

/** Between two workers that connect: a fleet does not start in one instant, nor do its devices step in one. */
const CONNECT_EVERY_MS = 7;

export interface FleetOptions {
  readonly address: QueueAddress;
  readonly workers: number;
  readonly device: SimulatedDevice;
  /** Unix milliseconds from which tokens count. */
  readonly epoch: number;
}

export interface FleetWindow extends Spent {
  readonly tokens: number;
  /** Share of its slots that a step used, in the mean. */
  readonly fill: number;
  /** Pieces of a job's tokens that were written together. */
  readonly pieces: number;
  readonly completed: number;
  readonly lost: number;
  readonly errors: readonly string[];
  /** Round trips that wrote tokens, in ms. */
  readonly emitP50Ms: number;
  readonly emitP99Ms: number;
}

let fleet: SimulatedWorker[] = [];
let slots = 1;
let spent: () => Spent = meter();
let counts = { tokens: 0, pieces: 0, completed: 0, lost: 0, errors: new Set<string>(), emits: [] as number[] };

/** Opens so many workers of one model, beside those that are open. */
async function open({ address, workers, device, epoch }: FleetOptions): Promise<void> {
  slots = device.slots;
  for (let i = 0; i < workers; i++) {
    const worker = new SimulatedWorker(address, device, epoch);
    worker.consumer.observe((fact) => {
      if (fact.type === 'emit') {
        counts.tokens += fact.tokens;
        counts.pieces += fact.jobs;
        counts.emits.push(fact.durationMs);
      } else if (fact.type === 'finished') {
        if (fact.outcome === 'completed') counts.completed += 1;
        else counts.lost += 1;
      } else if (fact.type === 'error') counts.errors.add(fact.message);
    });
    worker.start();
    fleet.push(worker);
    await sleep(CONNECT_EVERY_MS);
  }
}

/** Share of all slots that are taken now. */
async function filled(): Promise<number> {
  const running = fleet.reduce((sum, worker) => sum + worker.running, 0);
  return running / Math.max(1, fleet.length * slots);
}

async function mark(): Promise<void> {
  spent = meter();
  for (const worker of fleet) {
    worker.steps = 0;
    worker.stepped = 0;
  }
  counts = { tokens: 0, pieces: 0, completed: 0, lost: 0, errors: new Set(), emits: [] };
}

/** What happened since the last mark. */
async function read(): Promise<FleetWindow> {
  const { emits, errors, ...rest } = counts;
  const sum = (of: (worker: SimulatedWorker) => number): number => fleet.reduce((so, worker) => so + of(worker), 0);
  return {
    ...spent(),
    ...rest,
    fill: sum(({ stepped }) => stepped) / Math.max(1, slots * sum(({ steps }) => steps)),
    errors: [...errors],
    emitP50Ms: quantile(emits, 0.5),
    emitP99Ms: quantile(emits, 0.99),
  };
}

async function close(): Promise<void> {
  const closing = fleet;
  fleet = [];
  await Promise.all(closing.map((worker) => worker.close()));
}

export type FleetCalls = {
  open: typeof open;
  filled: typeof filled;
  mark: typeof mark;
  read: typeof read;
  close: typeof close;
};

const calls: FleetCalls = { open, filled, mark, read, close };
answer(calls);
