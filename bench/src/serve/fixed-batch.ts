export interface FixedBatchOptions<Item, Result> {
  /** How many make a batch. */
  readonly size: number;
  /** After which an incomplete batch runs, counted from its first item; undefined: it waits for ever. */
  readonly timeoutMs: number | undefined;
  /** Runs a batch; results in the order of the items. */
  run(items: readonly Item[]): Promise<readonly Result[]>;
}

interface Waiting<Item, Result> {
  item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** The article's batching: items wait until a batch is full, and all are answered when the batch is through. */
export class FixedBatch<Item, Result> {
  readonly #options: FixedBatchOptions<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FixedBatchOptions<Item, Result>) {
    this.#options = options;
  }

  add(item: Item): Promise<Result> {
    const { size, timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length === size) void this.#run();
      else if (timeoutMs !== undefined) this.#timer ??= setTimeout(() => void this.#run(), timeoutMs);
    });
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      const results = await this.#options.run(batch.map(({ item }) => item));
      for (const [i, { resolve }] of batch.entries()) resolve(results[i] as Result);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
