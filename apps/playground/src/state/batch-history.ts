import type { Frame, RideFrame, StepRun } from '../service/activity.ts';

/** Steps that are kept, and pictured at once. */
export const MOST_STEPS = 600;

export type Ride = RideFrame;

/** After so long with nobody in the batch, what comes is a new burst of work. */
const PAUSE_MS = 1_500;

interface Known {
  slots: number;
  waiting: number;
  step: number;
  burstFrom: number;
  activeAt: number;
  runs: readonly StepRun[];
  rides: ReadonlyMap<string, Ride>;
  riding: readonly Ride[];
}

const NOTHING: Known = {
  slots: 0,
  waiting: 0,
  step: 0,
  burstFrom: 0,
  activeAt: 0,
  runs: [],
  rides: new Map(),
  riding: [],
};

/**
 * What is known of the batches of one worker: the last {@link MOST_STEPS} steps, and who rode in which of them. It never
 * changes: {@link after} makes the next one. Frames may be missing; each tells the whole of the present.
 */
export class BatchHistory {
  readonly worker: string;
  readonly #known: Known;

  constructor(worker: string, known: Known = NOTHING) {
    this.worker = worker;
    this.#known = known;
  }

  get slots(): number {
    return this.#known.slots;
  }

  /** Sequences that are in the engine and have no slot. */
  get waiting(): number {
    return this.#known.waiting;
  }

  /** Number of the last step. */
  get step(): number {
    return this.#known.step;
  }

  /** The last step before the present burst of work, or before the last one. */
  get burstFrom(): number {
    return this.#known.burstFrom;
  }

  /** The first step of the picture: where the present burst of work began, as far as it is kept. */
  get pictured(): number {
    return Math.max(1, this.burstFrom + 1, this.step - MOST_STEPS + 1);
  }

  get runs(): readonly StepRun[] {
    return this.#known.runs;
  }

  /** In the order in which they were seen. */
  get rides(): Ride[] {
    return [...this.#known.rides.values()];
  }

  /** Who rides at the end of the last frame, by lane. */
  get riding(): readonly Ride[] {
    return this.#known.riding;
  }

  /** The most sequences that one known step had. */
  get largestBatch(): number {
    return this.runs.reduce((most, { rows }) => Math.max(most, rows), 0);
  }

  /** Who rode in a step, by lane. */
  at(step: number): Ride[] {
    return this.rides.filter(({ joined, left = this.step }) => joined <= step && step <= left).sort(byLane);
  }

  /** The run that a step belongs to, where it is known. */
  runAt(step: number): StepRun | undefined {
    return this.runs.find(({ from, count }) => from <= step && step < from + count);
  }

  after(frame: Frame): BatchHistory {
    // A worker that counts backwards began anew.
    const before = frame.step < this.step ? NOTHING : this.#known;
    const first = frame.step - MOST_STEPS;
    const active = frame.rides.length > 0;
    const begins = active && before.riding.length === 0 && frame.at - before.activeAt > PAUSE_MS;
    return new BatchHistory(this.worker, {
      slots: frame.slots,
      waiting: frame.waiting,
      step: frame.step,
      burstFrom: begins ? Math.min(...frame.rides.map(({ joined }) => joined)) - 1 : before.burstFrom,
      activeAt: active ? frame.at : before.activeAt,
      runs: joinRuns([...before.runs, ...frame.runs]).filter(({ from, count }) => from + count > first),
      rides: new Map([...ridesAfter(before.rides, frame)].filter(([, { left }]) => left === undefined || left > first)),
      riding: frame.rides.filter(({ left }) => left === undefined).sort(byLane),
    });
  }
}

function ridesAfter(before: ReadonlyMap<string, Ride>, frame: Frame): Map<string, Ride> {
  const rides = new Map(before);
  const told = new Map(frame.rides.map((ride) => [keyOf(ride), ride]));
  // Whoever is not told of any more left in a frame that was missed.
  for (const [key, ride] of rides)
    if (ride.left === undefined && !told.has(key)) rides.set(key, { ...ride, left: frame.step });
  for (const [key, ride] of told) rides.set(key, ride);
  return rides;
}

/** A run that goes on in the next frame is one run. */
function joinRuns(runs: readonly StepRun[]): StepRun[] {
  const joined: StepRun[] = [];
  for (const run of runs) {
    const last = joined.at(-1);
    const goesOn = last?.phase === run.phase && last.rows === run.rows && last.from + last.count === run.from;
    if (last !== undefined && goesOn) joined[joined.length - 1] = { ...last, count: last.count + run.count };
    else joined.push(run);
  }
  return joined;
}

function keyOf({ lane, joined }: Ride): string {
  return `${lane}/${joined}`;
}

function byLane(a: Ride, b: Ride): number {
  return a.lane - b.lane;
}
