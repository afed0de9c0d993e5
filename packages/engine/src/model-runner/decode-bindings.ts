import type { OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import type { CacheRows } from '../kv-cache/cache-rows.ts';
import type { DecodeFeeds } from './decode-feeds.ts';

export interface DecodeBindingsOptions {
  session: OrtSession;
  feeds: DecodeFeeds;
  /** `[slots, 1, vocabSize]`. */
  logits: OrtTensor;
  /** `[slots, 1]` of zeros, where the graph takes `logits_index`: a decode step has one position. */
  onlyPosition: OrtTensor | undefined;
}

interface Bound {
  binding: OrtBinding;
  maskWidth: number;
  views: OrtTensor[];
  freeSlabViews: () => void;
}

/** The decode step of each batch size: bound once, run many times. */
export class DecodeBindings {
  readonly #options: DecodeBindingsOptions;
  readonly #bound = new Map<number, Bound>();

  constructor(options: DecodeBindingsOptions) {
    this.#options = options;
  }

  /** The binding for the first `rows` rows of the slabs, which must be those of the calls before, or {@link clear}. */
  get(rows: number, maskWidth: number, slabs: CacheRows): OrtBinding {
    const bound = this.#bound.get(rows) ?? this.#bind(rows, slabs);
    if (bound.maskWidth !== maskWidth) this.#options.feeds.bind(bound.binding, rows);
    bound.maskWidth = maskWidth;
    return bound.binding;
  }

  clear(): void {
    for (const { binding, views, freeSlabViews } of this.#bound.values()) {
      binding.dispose();
      freeSlabViews();
      for (const view of views) view.dispose();
    }
    this.#bound.clear();
  }

  #bind(rows: number, slabs: CacheRows): Bound {
    const { session, logits, onlyPosition } = this.#options;
    const binding = session.createBinding();
    const views = [logits.view(0, [rows, ...logits.shape.slice(1)])];
    for (const view of views) binding.bindOutput('logits', view);
    if (onlyPosition !== undefined) {
      const position = onlyPosition.view(0, [rows, 1]);
      binding.bindInput('logits_index', position);
      views.push(position);
    }
    const bound = { binding, maskWidth: 0, views, freeSlabViews: slabs.bind(binding, rows) };
    this.#bound.set(rows, bound);
    return bound;
  }
}
