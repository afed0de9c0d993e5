/** Something that happened, by this process's own clock. */
export interface Moment {
  /** Unix milliseconds. */
  readonly at: number;
  readonly what: string;
}

/** From one moment to another, in Unix milliseconds. */
interface Period {
  from: number;
  to: number;
}

/** After a fault, processes connect again, take locks again, and write what they had to keep: this long at most. */
const RECOVERY_MS = 5_000;

/** What was done to the processes, and what became of them. */
export class Timeline {
  readonly #moments: Moment[] = [];
  /** When nothing was being done to a worker or to Redis; the last one lasts. */
  readonly #calms: Period[] = [{ from: Date.now(), to: Number.POSITIVE_INFINITY }];
  #disturbances = 0;
  /** When Redis acknowledged what a crash may have taken from it. */
  readonly #losses: Period[] = [];

  add(what: string): void {
    this.#moments.push({ at: Date.now(), what });
  }

  /** What happened from `from` to `to`, in order. */
  between(from: number, to: number): Moment[] {
    return this.#moments.filter(({ at }) => at >= from && at <= to);
  }

  /** Something is being done to a worker or to Redis, until the returned function is called. */
  disturb(): () => void {
    const calm = this.#calms.at(-1);
    if (this.#disturbances === 0 && calm !== undefined) calm.to = Date.now();
    this.#disturbances += 1;
    return () => {
      this.#disturbances -= 1;
      if (this.#disturbances > 0) return;
      this.#calms.push({ from: Date.now() + RECOVERY_MS, to: Number.POSITIVE_INFINITY });
    };
  }

  /** Milliseconds of that time in which no worker and no Redis had an excuse. */
  calmBetween(from: number, to: number): number {
    return this.#calms.reduce((sum, calm) => sum + Math.max(0, Math.min(to, calm.to) - Math.max(from, calm.from)), 0);
  }

  /** Redis is killed. Until the returned function tells what that may have cost, it may have cost anything. */
  crash(): (from: number, to: number) => void {
    const loss: Period = { from: 0, to: Number.POSITIVE_INFINITY };
    this.#losses.push(loss);
    return (from, to) => {
      loss.from = from;
      loss.to = to;
    };
  }

  /** Whether a crash may have taken from Redis what it wrote at some time between these two. */
  mayHaveLost(from: number, to: number): boolean {
    return this.#losses.some((loss) => loss.from <= to && loss.to >= from);
  }
}
