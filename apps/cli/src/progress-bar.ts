import type { BatchProgress } from '@shoal/client';
import type { Output } from './terminal.ts';

const INTERVAL_MS = 100;
const BAR = 24;

/** One line at the foot of a terminal, redrawn at most ten times a second. */
export class ProgressBar {
  readonly #out: Output;
  readonly #clock: () => number;
  readonly #startedAt: number;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #latest: BatchProgress | undefined;

  constructor(out: Output, clock: () => number) {
    this.#out = out;
    this.#clock = clock;
    this.#startedAt = clock();
  }

  update(progress: BatchProgress): void {
    this.#latest = progress;
    const now = this.#clock();
    if (now - this.#drawnAt < INTERVAL_MS) return;
    this.#drawnAt = now;
    this.#out.write(`\r${renderProgress(progress, now - this.#startedAt, this.#out.columns)}\u001b[K`);
  }

  /** Takes the line away, so that something else can be written. */
  clear(): void {
    if (this.#drawnAt === Number.NEGATIVE_INFINITY) return;
    this.#out.write('\r\u001b[K');
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }

  /** Leaves a last line that stays. */
  end(): void {
    if (this.#latest === undefined) return;
    this.#out.write(`\r${renderProgress(this.#latest, this.#clock() - this.#startedAt, this.#out.columns)}\u001b[K\n`);
  }
}

/** `[########----------------] 12/36  1 failed  812 tok/s  ETA 0:08`, cut to the terminal's width. */
export function renderProgress(progress: BatchProgress, elapsedMs: number, columns: number = 80): string {
  const { total, completed, failed, tokens } = progress;
  const done = completed + failed;
  const seconds = elapsedMs / 1000;
  const filled = total ? Math.round((done / total) * BAR) : 0;
  const parts = [
    `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}] ${done}/${total ?? '?'}`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    `${seconds > 0 ? Math.round(tokens / seconds) : 0} tok/s`,
    ...(total === undefined || done === 0 || done >= total ? [] : [`ETA ${clock((seconds / done) * (total - done))}`]),
  ];
  return parts.join('  ').slice(0, Math.max(1, columns - 1));
}

/** 68 s → `1:08` */
function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
