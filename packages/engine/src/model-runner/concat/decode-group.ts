import type { OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import { Disposables } from '../disposables.ts';
import type { GraphSignature } from '../graph-signature.ts';
import { CacheTensors } from './cache-tensors.ts';
import { bindPast, bindPresent, type PassFeeds } from './pass-bindings.ts';
import type { RowCache } from './row-cache.ts';

/** One row of a decode step. */
export interface DecodeRow {
  slot: number;
  /** Counts what was written into the slot, decode steps apart: another number means another content. */
  version: number;
  /** Positions it holds. */
  past: number;
  tokenId: number;
}

export interface DecodeGroupOptions {
  ort: OrtBackend;
  session: OrtSession;
  signature: GraphSignature;
  cache: RowCache;
  /** Rows that decode together. */
  size: number;
  /** Columns that the caches of all of them are padded to. */
  past: number;
}

/**
 * Rows whose caches are padded to one length, and the tensors of their decode step. The tensors hold the rows' keys
 * and values from step to step, so that only what is new is copied while the same rows stay together.
 */
export class DecodeGroup {
  readonly logits: OrtTensor;
  readonly #options: DecodeGroupOptions;
  readonly #owned = new Disposables();
  readonly #feeds: PassFeeds;
  readonly #past: CacheTensors;
  readonly #present: CacheTensors;
  readonly #binding: OrtBinding;
  /** What each row of the tensors holds. */
  readonly #held: { slot: number; version: number; past: number }[] = [];

  constructor(options: DecodeGroupOptions) {
    const { ort, session, signature, size, past } = options;
    this.#options = options;
    const own = this.#owned;
    this.#feeds = {
      ids: own.use(ort.allocate('int64', [size, 1])),
      mask: own.use(ort.allocate('int64', [size, past + 1])),
      positions: own.use(ort.allocate('int64', [size, 1])),
      logitsIndex: own.use(ort.allocate('int64', [size, 1])),
      useCache: own.use(ort.allocate('bool', [1])),
    };
    this.#feeds.useCache.data[0] = 1;
    this.logits = own.use(ort.allocate(signature.logitsType, [size, 1, signature.vocabSize]));
    this.#past = this.#allocate(past);
    this.#present = this.#allocate(past + 1);
    this.#binding = own.use(session.createBinding());
    bindPast(this.#binding, signature, this.#feeds, this.#past);
    bindPresent(this.#binding, signature, this.#present);
    this.#binding.bindOutput('logits', this.logits);
  }

  get size(): number {
    return this.#options.size;
  }

  /** Whether its tensors hold what is, or was, in a slot. */
  holds(slot: number): boolean {
    return this.#held.some((held) => held.slot === slot);
  }

  /** Feeds one token to each row; `run` runs the binding. What it computed is kept in the rows' slots too. */
  async step(rows: readonly DecodeRow[], run: (binding: OrtBinding) => Promise<void>): Promise<void> {
    const { cache, past: columns } = this.#options;
    for (const [row, { slot, version, past, tokenId }] of rows.entries()) {
      const held = this.#held[row];
      if (held?.slot !== slot || held.version !== version || held.past !== past) {
        cache.load(slot, past, this.#past, row);
      }
      this.#held[row] = { slot, version, past };
      this.#feeds.ids.data[row] = BigInt(tokenId);
      this.#feeds.positions.data[row] = BigInt(past);
      const mask = this.#feeds.mask.data.subarray(row * (columns + 1), (row + 1) * (columns + 1));
      mask.fill(1n, 0, past).fill(0n, past, columns).fill(1n, columns);
    }
    await run(this.#binding);
    for (const [row, { slot, version, past }] of rows.entries()) {
      cache.store(this.#present, row, columns, 1, slot, past);
      if (past < columns) cache.append(this.#present, row, columns, this.#past, past);
      this.#held[row] = { slot, version, past: past + 1 };
    }
  }

  dispose(): void {
    this.#owned[Symbol.dispose]();
  }

  #allocate(length: number): CacheTensors {
    const { ort, signature, size } = this.#options;
    const { kvHeads, headSize, cacheType } = signature;
    const tensors = signature.layers.flatMap(() =>
      [0, 1].map(() => this.#owned.use(ort.allocate(cacheType, [size, kvHeads, length, headSize]))),
    );
    return new CacheTensors(length, tensors);
  }
}
