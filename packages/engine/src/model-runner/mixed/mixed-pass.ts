import type { ElementType, OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import type { KvSlabs } from '../../kv-cache/kv-slabs.ts';
import { Disposables } from '../disposables.ts';
import type { PromptChunk } from '../model-runner.ts';

export interface MixedPassOptions {
  ort: OrtBackend;
  /** Of a graph that `mixedDecoder` of `@shoal/onnx-graph` made. */
  session: OrtSession;
  /** `[rows, 1, vocabSize]`: gets the logits of each row that decodes, then those of the chunk's last token. */
  logits: OrtTensor;
  run: (binding: OrtBinding) => Promise<void>;
}

/** A decode step that carries a chunk of a prompt: all tokens share the products with the weights. */
export class MixedPass {
  readonly #options: MixedPassOptions;
  readonly #positionIds: boolean;

  constructor(options: MixedPassOptions) {
    this.#options = options;
    this.#positionIds = options.session.inputs.some(({ name }) => name === 'position_ids');
  }

  /** The chunk belongs to the row behind the last one. */
  async run(tokenIds: readonly number[], pasts: readonly number[], chunk: PromptChunk, slabs: KvSlabs): Promise<void> {
    const { session, logits, run } = this.#options;
    const rows = tokenIds.length;
    const size = chunk.tokenIds.length;
    const total = chunk.past + size;
    using feeds = new Disposables();
    const binding = feeds.use(session.createBinding());
    const feed = (name: string, type: 'int32' | 'int64', shape: readonly number[], values: readonly number[]): void => {
      binding.bindInput(name, feeds.use(this.#tensor(type, shape, values)));
    };
    feed('input_ids', 'int64', [1, rows + size], [...tokenIds, ...chunk.tokenIds]);
    if (this.#positionIds) {
      feed('position_ids', 'int64', [1, rows + size], [...pasts, ...chunk.tokenIds.map((_, i) => chunk.past + i)]);
    }
    feed('group_sizes', 'int64', [2], [rows, size]);
    feed('logits_index', 'int64', [1, rows + 1], [...tokenIds.keys(), rows + size - 1]);
    feed('decode.seqlens_k', 'int32', [rows], pasts);
    feed('decode.total_sequence_length', 'int32', [], [Math.max(...pasts) + 1]);
    feed('chunk.seqlens_k', 'int32', [1], [total - 1]);
    feed('chunk.total_sequence_length', 'int32', [], [total]);
    slabs.noteStep(pasts);
    slabs.notePass({ first: rows, rows: 1, past: chunk.past, total });
    feeds.defer(slabs.bindRows(binding, { first: 0, rows, prefix: 'decode.' }));
    feeds.defer(slabs.bindRows(binding, { first: rows, rows: 1, prefix: 'chunk.' }));
    binding.bindOutput('logits', feeds.use(logits.view(0, [1, rows + 1, ...logits.shape.slice(2)])));
    await run(binding);
  }

  dispose(): void {
    this.#options.session.dispose();
  }

  #tensor(type: ElementType & ('int32' | 'int64'), shape: readonly number[], values: readonly number[]): OrtTensor {
    const { ort } = this.#options;
    if (type === 'int64') {
      const tensor = ort.allocate(type, shape);
      for (const [i, value] of values.entries()) tensor.data[i] = BigInt(value);
      return tensor;
    }
    const tensor = ort.allocate(type, shape);
    tensor.data.set(values);
    return tensor;
  }
}
