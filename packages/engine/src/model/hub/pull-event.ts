/** What a download tells while it goes on. */
export type PullEvent =
  /** What the variant consists of, and how much of it is not in the cache yet. */
  | { type: 'listed'; repo: string; commit: string; files: number; bytes: number; missingBytes: number }
  | PullProgress
  /** A transfer broke and begins again where it broke. */
  | { type: 'retry'; what: string; attempt: number; reason: string; delayMs: number }
  /** Another process downloads this file: its copy is used when it is there. */
  | { type: 'waiting'; path: string }
  /** Something to tell whoever started this, in one line. */
  | { type: 'warning'; message: string };

/** Files and bytes of the variant that are in the cache, of all. */
export interface PullProgress {
  type: 'progress';
  files: number;
  filesDone: number;
  bytes: number;
  bytesDone: number;
  /** Mean of this download so far. */
  bytesPerSecond: number;
  /** Milliseconds to go at that rate; undefined until there is one. */
  etaMs: number | undefined;
}

export type PullListener = (event: PullEvent) => void;

/** Adds up what arrives; told after every piece. */
export class PullMeter {
  readonly #tell: PullListener;
  readonly #now: () => number;
  #startedAt: number | undefined;
  #received = 0;
  #files = 0;
  #filesDone = 0;
  #bytes = 0;
  #bytesDone = 0;

  /** `now` is a clock in milliseconds. */
  constructor(tell: PullListener, now: () => number) {
    this.#tell = tell;
    this.#now = now;
  }

  /** A file of the variant: whole in the cache, or with so many bytes there from an earlier download. */
  expect(bytes: number, present: 'all' | number): void {
    this.#files += 1;
    this.#bytes += bytes;
    this.#bytesDone += present === 'all' ? bytes : present;
    if (present === 'all') this.#filesDone += 1;
  }

  received(bytes: number): void {
    this.#startedAt ??= this.#now();
    this.#received += bytes;
    this.#bytesDone += bytes;
    this.report();
  }

  /** Bytes that turned out to be wrong. */
  lost(bytes: number): void {
    this.#bytesDone -= bytes;
    this.report();
  }

  fileDone(): void {
    this.#filesDone += 1;
    this.report();
  }

  report(): void {
    const elapsedMs = this.#startedAt === undefined ? 0 : this.#now() - this.#startedAt;
    const bytesPerSecond = elapsedMs > 0 ? (this.#received / elapsedMs) * 1000 : 0;
    const left = this.#bytes - this.#bytesDone;
    this.#tell({
      type: 'progress',
      files: this.#files,
      filesDone: this.#filesDone,
      bytes: this.#bytes,
      bytesDone: this.#bytesDone,
      bytesPerSecond,
      etaMs: bytesPerSecond > 0 ? (left / bytesPerSecond) * 1000 : undefined,
    });
  }
}
