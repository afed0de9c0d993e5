import { type ChangeableSettings, readChangeable } from '@shoal/config';
import type { Logger } from '@shoal/telemetry';

const LOOK_INTERVAL_MS = 5_000;

/** What a worker takes from them; the others are looked at where requests are submitted. */
export type WorkerTuning = Required<
  Pick<ChangeableSettings, 'maxBatchSize' | 'maxQueueDelayMs' | 'maxBatchTokens' | 'logLevel'>
>;

export interface LiveSettingsOptions {
  /** What the worker was started with. */
  atStart: WorkerTuning;
  /** Slots of the engine: no batch is larger. */
  slots: number;
  batching: 'continuous' | 'static';
  /** The model's changed settings, by environment name, unchecked. */
  read: () => Promise<Record<string, string>>;
  /** Called with all of them when any has changed. */
  apply: (tuning: WorkerTuning) => void;
  logger: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Follows the settings that an operator changes while workers run (`shoal set`): looks every five seconds. A value that
 * is none is refused with one line and changes nothing; one that is taken back returns to what the worker was started with.
 */
export class LiveSettings {
  readonly #options: LiveSettingsOptions;
  #inForce: WorkerTuning;
  /** Valid changes, and faults that were told. */
  #changes: ChangeableSettings = {};
  #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(options: LiveSettingsOptions) {
    this.#options = options;
    this.#inForce = this.#bounded(options.atStart);
  }

  get inForce(): Readonly<WorkerTuning> {
    return this.#inForce;
  }

  /**
   * Jobs that the worker may hold: only what can run now, so that no job waits inside a busy worker while another is free.
   * A static batch runs to its end: there, the next one fills meanwhile.
   */
  get capacity(): number {
    const { maxBatchSize } = this.#inForce;
    return this.#options.batching === 'static' ? 2 * maxBatchSize : maxBatchSize;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_INTERVAL_MS);
    this.#timer.unref();
    void this.look();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Never rejects: while Redis is away, what is in force stays, and the next look makes it good. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      this.#take(await this.#options.read());
    } catch {
      // As said.
    } finally {
      this.#looking = false;
    }
  }

  #take(raw: Record<string, string>): void {
    const { atStart, apply, logger } = this.#options;
    const { settings, faults } = readChangeable(raw);
    const told = new Set<string>();
    for (const { name, value, problem } of faults) {
      const line = `a change of ${name} to ${JSON.stringify(value)} is refused: ${problem}`;
      if (!this.#told.has(line)) logger.warn(line);
      told.add(line);
    }
    this.#told = told;
    // What was refused stays as it was, changed before or not.
    const kept = Object.fromEntries(
      Object.entries(this.#changes).filter(([key]) => faults.some(({ name }) => name === environmentName(key))),
    );
    this.#changes = { ...kept, ...settings };
    const { maxBatchSize, maxQueueDelayMs, maxBatchTokens, logLevel } = { ...atStart, ...this.#changes };
    const wanted = this.#bounded({ maxBatchSize, maxQueueDelayMs, maxBatchTokens, logLevel });
    if (JSON.stringify(wanted) === JSON.stringify(this.#inForce)) return;
    this.#inForce = wanted;
    apply(wanted);
    logger.info({ settings: byName(wanted) }, 'settings changed');
  }

  #bounded(tuning: WorkerTuning): WorkerTuning {
    return { ...tuning, maxBatchSize: Math.min(tuning.maxBatchSize, this.#options.slots) };
  }
}

/** By environment name, as text: what the heartbeat tells. */
export function byName(tuning: WorkerTuning): Record<string, string> {
  return Object.fromEntries(Object.entries(tuning).map(([key, value]) => [environmentName(key), String(value)]));
}

/** `maxBatchSize` → `MAX_BATCH_SIZE`. */
function environmentName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
