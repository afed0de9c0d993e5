import type { OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import { KvSlabs } from '../kv-cache/kv-slabs.ts';
import { DecodeFeeds } from './decode-feeds.ts';
import type { GraphSignature } from './graph-signature.ts';
import { Disposables } from './disposables.ts';
import { logitsOf } from './logits.ts';
import type { ModelRunner, StepOutput } from './model-runner.ts';

export interface OrtRunnerOptions {
  ort: OrtBackend;
  session: OrtSession;
  signature: GraphSignature;
  slots: number;
  maxLength: number;
}

/**
 * Cache positions allocated at first where outputs are copied at every run (onnxruntime-node's own sessions): the copy
 * grows with what is allocated, so rows grow by doubling. Otherwise they have their full length from the start.
 */
const FIRST_COPIED_LENGTH = 64;

/** The decode step of one batch size: bound once, run many times. */
interface BoundDecode {
  binding: OrtBinding;
  maskWidth: number;
  freeViews: () => void;
}

/** ModelRunner over ONNX Runtime, for decoders whose attention updates its cache in place. */
export class OrtRunner implements ModelRunner {
  readonly slots: number;
  readonly maxLength: number;
  readonly vocabSize: number;
  readonly #ort: OrtBackend;
  readonly #session: OrtSession;
  readonly #signature: GraphSignature;
  readonly #decodeFeeds: DecodeFeeds;
  /** `[slots, 1, vocabSize]`: decode steps write their logits here. */
  readonly #decodeLogits: OrtTensor;
  readonly #bound = new Map<number, BoundDecode>();
  #slabs: KvSlabs;
  /** The logits of the last prefill, kept until the next run. */
  #prefillLogits: OrtTensor | undefined;

  constructor({ ort, session, signature, slots, maxLength }: OrtRunnerOptions) {
    this.slots = slots;
    this.maxLength = maxLength;
    this.vocabSize = signature.vocabSize;
    this.#ort = ort;
    this.#session = session;
    this.#signature = signature;
    this.#decodeFeeds = new DecodeFeeds(ort, slots, maxLength, signature.positionIds);
    this.#decodeLogits = ort.allocate(signature.logitsType, [slots, 1, signature.vocabSize]);
    const copied = !ort.capabilities.zeroCopyOutputs;
    this.#slabs = this.#allocate(copied ? Math.min(FIRST_COPIED_LENGTH, maxLength) : maxLength);
  }

  prefill(firstSlot: number, prompts: readonly (readonly number[])[]): Promise<StepOutput> {
    // A pass over one position takes another attention kernel: a lone one-token prompt gets company from padding.
    const width = Math.max(2, ...prompts.map((prompt) => prompt.length));
    const lengths = prompts.map((prompt) => prompt.length);
    return this.#pass({
      firstSlot,
      ids: prompts,
      width,
      past: 0,
      maskOnes: lengths,
      maskWidth: width,
    });
  }

  extend(slot: number, past: number, tokenIds: readonly number[]): Promise<StepOutput> {
    const total = past + tokenIds.length;
    return this.#pass({
      firstSlot: slot,
      ids: [tokenIds],
      width: tokenIds.length,
      past,
      maskOnes: [total],
      maskWidth: total,
    });
  }

  async decode(tokenIds: readonly number[], pasts: readonly number[]): Promise<StepOutput> {
    const rows = tokenIds.length;
    this.#reserve(Math.max(...pasts) + 1);
    this.#dropPrefillLogits();
    const maskWidth = this.#decodeFeeds.write(tokenIds, pasts);
    await this.#boundDecode(rows, maskWidth).run();
    return { rows, logits: (row) => logitsOf(this.#decodeLogits, row, this.vocabSize) };
  }

  copySlot(from: number, to: number, length: number): void {
    this.#slabs.copyRow(from, to, length);
  }

  freeSlot(slot: number): void {
    this.#slabs.giveBack(slot, 0);
  }

  async close(): Promise<void> {
    this.#dropPrefillLogits();
    this.#unbind();
    this.#decodeFeeds.dispose();
    this.#decodeLogits.dispose();
    this.#slabs.dispose();
    this.#session.dispose();
  }

  /** A run over several positions of each row. */
  async #pass(pass: {
    firstSlot: number;
    ids: readonly (readonly number[])[];
    width: number;
    past: number;
    maskOnes: readonly number[];
    maskWidth: number;
  }): Promise<StepOutput> {
    const { firstSlot, ids, width, past } = pass;
    this.#reserve(pass.maskWidth);
    this.#dropPrefillLogits();
    const rows = ids.length;
    using feeds = new Disposables();
    const matrix = (columns: number, at: (row: number, column: number) => number): OrtTensor => {
      const tensor = feeds.use(this.#ort.allocate('int64', [rows, columns]));
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) tensor.data[row * columns + column] = BigInt(at(row, column));
      }
      return tensor;
    };
    const binding = feeds.use(this.#session.createBinding());
    binding.bindInput('input_ids', matrix(width, (row, column) => ids[row]?.[column] ?? 0));
    binding.bindInput('attention_mask', matrix(pass.maskWidth, (row, at) => (at < (pass.maskOnes[row] ?? 0) ? 1 : 0)));
    if (this.#signature.positionIds) binding.bindInput('position_ids', matrix(width, (_, column) => past + column));
    const lastOf = (row: number) => (ids[row]?.length ?? 1) - 1;
    const selects = this.#signature.logitsIndex;
    if (selects) binding.bindInput('logits_index', matrix(1, lastOf));
    binding.bindOutput('logits');
    feeds.defer(this.#slabs.bind(binding, firstSlot, rows));
    await binding.run();
    const logits = binding.output('logits');
    this.#prefillLogits = logits;
    const index = (row: number) => (selects ? row : row * width + lastOf(row));
    return { rows, logits: (row) => logitsOf(logits, index(row), this.vocabSize) };
  }

  #boundDecode(rows: number, maskWidth: number): OrtBinding {
    const known = this.#bound.get(rows);
    if (known !== undefined && known.maskWidth === maskWidth) return known.binding;
    const bound = known ?? this.#bindDecode(rows);
    this.#decodeFeeds.bind(bound.binding, rows);
    bound.maskWidth = maskWidth;
    return bound.binding;
  }

  #bindDecode(rows: number): BoundDecode {
    const binding = this.#session.createBinding();
    const logits = this.#decodeLogits.view(0, [rows, 1, this.vocabSize]);
    binding.bindOutput('logits', logits);
    const freeSlabViews = this.#slabs.bind(binding, 0, rows);
    const freeViews = () => {
      logits.dispose();
      freeSlabViews();
    };
    const bound = { binding, maskWidth: 0, freeViews };
    this.#bound.set(rows, bound);
    return bound;
  }

  #unbind(): void {
    for (const { binding, freeViews } of this.#bound.values()) {
      binding.dispose();
      freeViews();
    }
    this.#bound.clear();
  }

  #dropPrefillLogits(): void {
    this.#prefillLogits?.dispose();
    this.#prefillLogits = undefined;
  }

  #allocate(length: number): KvSlabs {
    return new KvSlabs({
      signature: this.#signature,
      slots: this.slots,
      length,
      allocate: (type, shape) => this.#ort.allocate(type, shape),
    });
  }

  /** Makes every row at least `positions` long, keeping what they hold. */
  #reserve(positions: number): void {
    if (positions > this.maxLength) throw new Error(`${positions} positions do not fit rows of ${this.maxLength}`);
    if (positions <= this.#slabs.length) return;
    let length = this.#slabs.length;
    while (length < positions) length *= 2;
    const grown = this.#allocate(Math.min(length, this.maxLength));
    this.#slabs.copyInto(grown);
    this.#unbind();
    this.#slabs.dispose();
    this.#slabs = grown;
  }
}
