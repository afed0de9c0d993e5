import type { PullEvent, PullProgress } from '@shoal/engine';
import type { Output } from './terminal.ts';

const INTERVAL_MS = 100;
const BAR = 24;

/** A download at the foot of a terminal, redrawn at most ten times a second; elsewhere its troubles alone. */
export class DownloadBar {
  readonly #out: Output;
  readonly #clock: () => number;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #latest: PullProgress | undefined;

  constructor(out: Output, clock: () => number) {
    this.#out = out;
    this.#clock = clock;
  }

  show(event: PullEvent): void {
    if (event.type === 'progress') this.#progress(event);
    else if (event.type === 'retry') this.#say(`${event.what}: ${event.reason}; trying again`);
    else if (event.type === 'waiting') this.#say(`${event.path}: another process downloads it; waiting`);
    else if (event.type === 'warning') this.#say(event.message);
  }

  /** Leaves a last line that stays. */
  end(): void {
    if (this.#latest === undefined || !this.#out.isTTY) return;
    this.#out.write(`\r${renderDownload(this.#latest, this.#out.columns)}\u001b[K\n`);
    this.#latest = undefined;
  }

  #progress(progress: PullProgress): void {
    this.#latest = progress;
    const now = this.#clock();
    if (!this.#out.isTTY || now - this.#drawnAt < INTERVAL_MS) return;
    this.#drawnAt = now;
    this.#out.write(`\r${renderDownload(progress, this.#out.columns)}\u001b[K`);
  }

  #say(line: string): void {
    this.#out.write(`${this.#out.isTTY ? '\r\u001b[K' : ''}shoal: ${line}\n`);
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }
}

/** `[########----------------] 3/7 files  412.5/1290.0 MB  38.1 MB/s  ETA 0:24`, cut to the terminal's width. */
export function renderDownload(progress: PullProgress, columns: number = 80): string {
  const { files, filesDone, bytes, bytesDone, bytesPerSecond, etaMs } = progress;
  const filled = bytes === 0 ? BAR : Math.floor((bytesDone / bytes) * BAR);
  const parts = [
    `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}] ${filesDone}/${files} files`,
    `${megabytes(bytesDone)}/${megabytes(bytes)} MB`,
    ...(bytesPerSecond > 0 ? [`${megabytes(bytesPerSecond)} MB/s`] : []),
    ...(etaMs !== undefined && bytesDone < bytes ? [`ETA ${clock(etaMs / 1000)}`] : []),
  ];
  return parts.join('  ').slice(0, Math.max(1, columns - 1));
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** 68 s → `1:08` */
function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
