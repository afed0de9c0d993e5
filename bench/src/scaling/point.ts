import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../queue/child.ts';
import type { QueueAddress } from '../queue/jobs.ts';
import type { CallersCalls, CallersOptions, CallersWindow } from './callers-process.ts';
import type { FleetCalls, FleetOptions, FleetWindow } from './fleet-process.ts';
import { hostLoad } from './host-load.ts';
import { type RedisLoad, RedisObserver } from './redis-load.ts';
import { fullSpeed, type SimulatedDevice } from './simulated-worker.ts';

/** Processes over which the simulated workers are spread: one alone would be a bottleneck of its own. */
const FLEET_PROCESSES = 2;
/** Connections, scripts and the first answers are no part of what is measured. */
const WARM_UP_MS = 2_000;
/** Until the slots are taken; a fleet that Redis cannot fill is measured as it is. */
const FILL_LIMIT_MS = 8_000;
const FILLED = 0.95;
const FEWEST_WAITING = 32;
/** A caller is an API replica, with one reply channel; so many workers' tokens are what one is given to read. */
const WORKERS_PER_CALLER = 64;

/** What is put on the queues, and who works on it. */
export interface Load {
  /** One queue per model. */
  readonly addresses: readonly QueueAddress[];
  /** Per model. */
  readonly workers: number;
  readonly device: SimulatedDevice;
  /** Tokens of an answer, drawn evenly. */
  readonly answer: { readonly least: number; readonly most: number };
  /** Whether every token is read by a caller as it comes. */
  readonly streamed: boolean;
  /** Whether there is any work: without, what idle workers cost. */
  readonly idle?: boolean;
}

/** One measured point. Rates are per second; cores are processor seconds per second. */
export interface Point {
  readonly workers: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly jobsPerSecond: number;
  /** Tokens per second, divided by what so many devices make when all of their slots are taken. */
  readonly shareOfDevices: number;
  /** Share of its slots that a device's step used, in the mean. */
  readonly fill: number;
  readonly redis: RedisLoad;
  readonly workerCores: number;
  readonly callerCores: number;
  /** Busy cores of the whole machine, whoever kept them busy. */
  readonly hostCores: number;
  /** Tokens of a job that were written together: above 1 where a step's write waited for the one before. */
  readonly tokensPerPiece: number;
  /** Round trip of a write, in ms. */
  readonly emitP50Ms: number;
  readonly emitP99Ms: number;
  /** From the step that made a token until its caller had it, in ms; absent where nobody reads. */
  readonly ageP50Ms?: number;
  readonly ageP99Ms?: number;
  /** Streams that were not whole, and jobs that did not complete. */
  readonly wrong: number;
  /** Calls of callers that Redis did not answer in time. */
  readonly refused: number;
  readonly errors: readonly string[];
}

/** Lets a fleet work for a while, and tells what it did and what that cost. */
export async function measurePoint(load: Load, servers: readonly string[], windowMs: number): Promise<Point> {
  const observer = new RedisObserver(servers);
  const epoch = Date.now();
  const fleets = load.addresses.flatMap((address) => fleetOf(address, load, epoch));
  const callers = load.addresses.flatMap((address, i) => callersOf(address, load, { epoch, seed: i + 1 }));
  try {
    await observer.clear();
    await Promise.all(fleets.map(({ child, options }) => child.call('open', options)));
    if (load.idle !== true) {
      await Promise.all(callers.map(({ child, options }) => child.call('start', options)));
    }
    if (load.idle !== true) await untilFilled(fleets.map(({ child }) => child));
    await sleep(WARM_UP_MS);
    await observer.mark();
    await Promise.all([
      ...fleets.map(({ child }) => child.call('mark', undefined as never)),
      ...callers.map(({ child }) => child.call('mark', undefined as never)),
    ]);
    const host = hostLoad();
    await sleep(windowMs);
    const hostCores = host();
    const [redis, worked, asked] = await Promise.all([
      observer.read(),
      Promise.all(fleets.map(({ child }) => child.call('read', undefined as never))),
      Promise.all(callers.map(({ child }) => child.call('read', undefined as never))),
    ]);
    await Promise.all(callers.map(({ child }) => child.call('close', undefined as never)));
    await Promise.all(fleets.map(({ child }) => child.call('close', undefined as never)));
    return pointOf(load, { redis, hostCores, worked, asked });
  } finally {
    for (const { child } of fleets) child.close();
    for (const { child } of callers) child.close();
    observer.close();
  }
}

async function untilFilled(fleets: readonly Child<FleetCalls>[]): Promise<void> {
  const until = performance.now() + FILL_LIMIT_MS;
  while (performance.now() < until) {
    const shares = await Promise.all(fleets.map((child) => child.call('filled', undefined as never)));
    if (shares.every((share) => share >= FILLED)) return;
    await sleep(100);
  }
}

/** The processes that hold a model's workers, and what each of them opens. */
function fleetOf(
  address: QueueAddress,
  { workers, device }: Load,
  epoch: number,
): { child: Child<FleetCalls>; options: FleetOptions }[] {
  const processes = Math.min(FLEET_PROCESSES, workers);
  return Array.from({ length: processes }, (_, i) => ({
    child: new Child<FleetCalls>('../scaling/fleet-process.js'),
    options: { address, workers: Math.floor((workers + i) / processes), device, epoch },
  }));
}

/** The processes that ask a model, and what each of them keeps waiting; together, as much as the fleet runs at once. */
function callersOf(
  address: QueueAddress,
  { workers, device, answer, streamed }: Load,
  { epoch, seed }: { epoch: number; seed: number },
): { child: Child<CallersCalls>; options: CallersOptions }[] {
  const processes = Math.ceil(workers / WORKERS_PER_CALLER);
  // Each looks at the whole queue, and sees to its share of the gap.
  const waiting = FEWEST_WAITING + workers * device.slots;
  return Array.from({ length: processes }, (_, i) => ({
    child: new Child<CallersCalls>('../scaling/callers-process.js'),
    options: { address, waiting, share: 1 / processes, ...answer, streamed, epoch, seed: 1_000 * seed + i },
  }));
}

interface Measured {
  readonly redis: RedisLoad;
  readonly hostCores: number;
  readonly worked: readonly FleetWindow[];
  readonly asked: readonly CallersWindow[];
}

function pointOf(load: Load, { redis, hostCores, worked, asked }: Measured): Point {
  const workers = load.workers * load.addresses.length;
  const perSecond = (of: (window: FleetWindow) => number): number =>
    worked.reduce((sum, window) => sum + (1000 * of(window)) / window.ms, 0);
  const cores = (windows: readonly { cpuMicros: number; ms: number }[]): number =>
    windows.reduce((sum, { cpuMicros, ms }) => sum + cpuMicros / ms / 1000, 0);
  const worst = (of: (window: FleetWindow) => number): number => Math.max(...worked.map(of));
  const tokensPerSecond = perSecond(({ tokens }) => tokens);
  const ages = asked.filter(({ ageP50Ms }) => Number.isFinite(ageP50Ms));
  return {
    workers,
    seconds: worst(({ ms }) => ms) / 1000,
    tokensPerSecond,
    jobsPerSecond: perSecond(({ completed }) => completed),
    shareOfDevices: tokensPerSecond / (workers * fullSpeed(load.device)),
    fill: worked.reduce((sum, { fill }) => sum + fill, 0) / worked.length,
    redis,
    workerCores: cores(worked),
    callerCores: cores(asked),
    hostCores,
    tokensPerPiece:
      tokensPerSecond /
      Math.max(
        1,
        perSecond(({ pieces }) => pieces),
      ),
    emitP50Ms: worst(({ emitP50Ms }) => emitP50Ms),
    emitP99Ms: worst(({ emitP99Ms }) => emitP99Ms),
    ...(ages.length > 0 && {
      ageP50Ms: Math.max(...ages.map(({ ageP50Ms }) => ageP50Ms)),
      ageP99Ms: Math.max(...ages.map(({ ageP99Ms }) => ageP99Ms)),
    }),
    wrong: worst(({ lost }) => lost) + asked.reduce((sum, { wrong }) => sum + wrong, 0),
    refused: asked.reduce((sum, { refused }) => sum + refused, 0),
    errors: [...new Set(worked.flatMap(({ errors }) => errors))],
  };
}
