import {
  type OrtBackend,
  type OrtBinding,
  OrtError,
  type OrtSession,
  type OrtTensor,
  type RunControl,
} from '@shoal/ort';
import type { CacheRows } from '../kv-cache/cache-rows.ts';
import { KvSlabs } from '../kv-cache/kv-slabs.ts';
import { leavesLoneRow, rowsWithCompany } from '../lone-row.ts';
import { DecodeBindings } from './decode-bindings.ts';
import { DecodeFeeds } from './decode-feeds.ts';
import { Disposables } from './disposables.ts';
import type { GraphSignature } from './graph-signature.ts';
import { logitsOf } from './logits.ts';
import { MixedPass } from './mixed/mixed-pass.ts';
import type { ModelRunner, PromptChunk, StepOutput } from './model-runner.ts';
import { SamplingHead } from './sampling-head.ts';

export interface OrtRunnerOptions {
  ort: OrtBackend;
  session: OrtSession;
  signature: GraphSignature;
  slots: number;
  /** Rows of the cache beyond `slots`, which never run: for kept prefixes. Default 0. */
  prefixSlots?: number | undefined;
  maxLength: number;
  /** Of the sampling head. */
  intraOpThreads: number;
  /** A session for mixed passes with the same weights; closed with the runner. Only for a cache in host memory. */
  mixedSession?: OrtSession | undefined;
  /** The cache, if it does not lie in host memory: all its rows, of `maxLength` positions. Closed with the runner. */
  cache?: CacheRows | undefined;
}

/**
 * Cache positions allocated at first where outputs are copied at every run (onnxruntime-node's own sessions): the copy
 * grows with what is allocated, so rows grow by doubling. Otherwise they have their full length from the start.
 */
const FIRST_COPIED_LENGTH = 64;

/** Rows of the cache: those that run, one for a lone row's company, and those of kept prefixes. */
export function rowsOfCache(options: { slots: number; prefixSlots?: number | undefined }): number {
  return rowsWithCompany(options.slots) + (options.prefixSlots ?? 0);
}

/** ModelRunner over ONNX Runtime, for decoders whose attention updates its cache in place. */
export class OrtRunner implements ModelRunner {
  readonly slots: number;
  readonly maxLength: number;
  readonly vocabSize: number;
  readonly cachePath = 'in-place';
  readonly #ort: OrtBackend;
  readonly #session: OrtSession;
  readonly #signature: GraphSignature;
  /**
   * Sees to it that no row of a pass is alone ({@link leavesLoneRow}): a decode step takes the row behind it for company,
   * what computes prompts is done in two passes.
   */
  padsLoneRow = false;
  readonly #cacheRows: number;
  readonly #control: RunControl;
  readonly #decodeFeeds: DecodeFeeds;
  /** `[slots, 1, vocabSize]`: every run leaves the logits of its rows' last positions here. */
  readonly #logits: OrtTensor;
  /** `[slots, 1]` zeros: a decode step has one position per row, where the graph asks which logits to compute. */
  readonly #onlyPosition: OrtTensor | undefined;
  readonly #head: SamplingHead;
  readonly #decodeBindings: DecodeBindings;
  /** Undefined where decode steps carry no chunks, or were found to compute other bits. */
  mixed: ModelRunner['mixed'];
  readonly #mixedPass: MixedPass | undefined;
  #slabs: CacheRows;

  constructor(options: OrtRunnerOptions) {
    const { ort, session, signature, slots, maxLength, intraOpThreads } = options;
    this.slots = slots;
    this.maxLength = maxLength;
    this.vocabSize = signature.vocabSize;
    const rows = rowsWithCompany(slots);
    this.#cacheRows = rowsOfCache(options);
    this.#ort = ort;
    this.#session = session;
    this.#signature = signature;
    this.#control = ort.createRunControl();
    this.#decodeFeeds = new DecodeFeeds(ort, rows, maxLength, signature.positionIds);
    this.#logits = ort.allocate(signature.logitsType, [rows, 1, signature.vocabSize]);
    this.#onlyPosition = signature.logitsIndex ? ort.allocate('int64', [rows, 1]) : undefined;
    const [feeds, logits, onlyPosition] = [this.#decodeFeeds, this.#logits, this.#onlyPosition];
    this.#decodeBindings = new DecodeBindings({ session, feeds, logits, onlyPosition });
    this.#head = new SamplingHead({ ort, intraOpThreads, logits: this.#logits, logitsType: signature.logitsType });
    const copied = !ort.capabilities.zeroCopyOutputs;
    if (options.mixedSession !== undefined) {
      const run = (binding: OrtBinding) => this.#compute(binding);
      this.#mixedPass = new MixedPass({ ort, session: options.mixedSession, logits, run });
      this.mixed = (...pass) => this.#mixed(...pass);
    }
    this.#slabs = options.cache ?? this.#allocate(copied ? Math.min(FIRST_COPIED_LENGTH, maxLength) : maxLength);
  }

  /** A pass that `mixedSession` computes over the same slabs. */
  async #mixed(tokenIds: readonly number[], pasts: readonly number[], chunk: PromptChunk): Promise<StepOutput> {
    this.#reserve(Math.max(Math.max(...pasts) + 1, chunk.past + chunk.tokenIds.length));
    if (this.#mixedPass === undefined || !(this.#slabs instanceof KvSlabs)) throw new Error('there is no mixed pass');
    // Of the chunk only the last token goes on to the product that makes logits.
    const [all, heads] = [tokenIds.length + chunk.tokenIds.length, tokenIds.length + 1];
    if (this.#leavesLoneRow(all) || this.#leavesLoneRow(heads)) return this.#mixedApart(tokenIds, pasts, chunk);
    await this.#mixedPass.run(tokenIds, pasts, chunk, this.#slabs);
    return this.#output(tokenIds.length + 1);
  }

  /** All but the end of the chunk goes before; where it is too short for that, or its end would be alone, all of it. */
  async #mixedApart(tokenIds: readonly number[], pasts: readonly number[], chunk: PromptChunk): Promise<StepOutput> {
    const rows = tokenIds.length;
    const { past, tokenIds: ids } = chunk;
    const first = ids.slice(0, this.#leavesLoneRow(rows + 2) ? -3 : -2);
    if (first.length >= 2 && !this.#leavesLoneRow(rows + 1)) {
      await this.#prompt(rows, past, first, 0);
      return this.#mixed(tokenIds, pasts, { past: past + first.length, tokenIds: ids.slice(first.length) });
    }
    await this.#prompt(rows, past, ids, rows);
    await this.decode(tokenIds, pasts, past + ids.length);
    return this.#output(rows + 1);
  }

  #leavesLoneRow(rows: number): boolean {
    return this.padsLoneRow && leavesLoneRow(rows);
  }

  get interruptHandle(): bigint {
    return this.#control.handle;
  }

  prefill(firstSlot: number, prompts: readonly (readonly number[])[]): Promise<StepOutput> {
    return this.#prefill(firstSlot, prompts, 0);
  }

  extend(slot: number, past: number, tokenIds: readonly number[]): Promise<StepOutput> {
    return this.#prompt(slot, past, tokenIds, 0);
  }

  async decode(tokenIds: readonly number[], pasts: readonly number[], behind: number): Promise<StepOutput> {
    if (this.#leavesLoneRow(tokenIds.length)) {
      const [token = 0] = tokenIds;
      return this.decode([...tokenIds, token], [...pasts, behind], behind);
    }
    const rows = tokenIds.length;
    this.#reserve(Math.max(...pasts) + 1);
    this.#slabs.noteStep(pasts);
    const maskWidth = this.#decodeFeeds.write(tokenIds, pasts);
    await this.#compute(this.#decodeBindings.get(rows, maskWidth, this.#slabs));
    return this.#output(rows);
  }

  copySlot(from: number, to: number, length: number): void {
    this.#slabs.copyRow(from, to, length);
  }

  freeSlot(slot: number): void {
    this.#slabs.giveBack(slot, 0);
  }

  async close(): Promise<void> {
    this.#decodeBindings.clear();
    this.#mixedPass?.dispose();
    this.#head.dispose();
    this.#decodeFeeds.dispose();
    this.#logits.dispose();
    this.#onlyPosition?.dispose();
    this.#slabs.dispose();
    this.#control.dispose();
    this.#session.dispose();
  }

  /** Whole prompts, or their first chunks; leaves the logits of the `i`-th in row `into + i`. */
  async #prefill(firstSlot: number, prompts: readonly (readonly number[])[], into: number): Promise<StepOutput> {
    // A pass over one position takes another attention kernel: a lone one-token prompt gets company from padding.
    const width = Math.max(2, ...prompts.map((prompt) => prompt.length));
    const last = prompts.length - 1;
    if (this.#leavesLoneRow(prompts.length * width)) {
      if (last === 0) return this.#inTwo(firstSlot, 0, prompts[0] ?? [], into);
      await this.#prefill(firstSlot, prompts.slice(0, last), into);
      await this.#prefill(firstSlot + last, prompts.slice(last), into + last);
      return this.#output(into + prompts.length);
    }
    const lengths = prompts.map((prompt) => prompt.length);
    return this.#pass({ firstSlot, ids: prompts, width, past: 0, maskOnes: lengths, maskWidth: width, into });
  }

  /** A chunk of one prompt. */
  #prompt(slot: number, past: number, tokenIds: readonly number[], into: number): Promise<StepOutput> {
    if (past === 0) return this.#prefill(slot, [tokenIds], into);
    if (this.#leavesLoneRow(tokenIds.length)) return this.#inTwo(slot, past, tokenIds, into);
    const total = past + tokenIds.length;
    const width = tokenIds.length;
    return this.#pass({ firstSlot: slot, ids: [tokenIds], width, past, maskOnes: [total], maskWidth: total, into });
  }

  async #inTwo(slot: number, past: number, tokenIds: readonly number[], into: number): Promise<StepOutput> {
    const first = tokenIds.slice(0, -2);
    await this.#prompt(slot, past, first, into);
    return this.#prompt(slot, past + first.length, tokenIds.slice(first.length), into);
  }

  /** A run over several positions of each row. */
  async #pass(pass: {
    firstSlot: number;
    ids: readonly (readonly number[])[];
    width: number;
    past: number;
    maskOnes: readonly number[];
    maskWidth: number;
    into: number;
  }): Promise<StepOutput> {
    const { firstSlot, ids, width, past, into } = pass;
    this.#reserve(pass.maskWidth);
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
    binding.bindInput(
      'input_ids',
      matrix(width, (row, column) => ids[row]?.[column] ?? 0),
    );
    binding.bindInput(
      'attention_mask',
      matrix(pass.maskWidth, (row, at) => (at < (pass.maskOnes[row] ?? 0) ? 1 : 0)),
    );
    if (this.#signature.positionIds)
      binding.bindInput(
        'position_ids',
        matrix(width, (_, column) => past + column),
      );
    const lastOf = (row: number) => (ids[row]?.length ?? 1) - 1;
    if (this.#slabs.pending !== undefined) await this.#slabs.pending;
    const bound = await this.#slabs.bindPass(binding, { first: firstSlot, rows, past, total: pass.maskWidth });
    feeds.defer(bound.free);
    if (this.#signature.logitsIndex) {
      binding.bindInput('logits_index', matrix(1, lastOf));
      binding.bindOutput('logits', feeds.use(this.#logits.view(into * this.vocabSize, [rows, 1, this.vocabSize])));
      await this.#compute(binding);
      await bound.keep();
    } else {
      binding.bindOutput('logits');
      await this.#compute(binding);
      await bound.keep();
      const all = feeds.use(binding.output('logits'));
      const vocab = this.vocabSize;
      for (let row = 0; row < rows; row++) {
        this.#logits.copyFrom(all, (row * width + lastOf(row)) * vocab, (into + row) * vocab, vocab);
      }
    }
    return this.#output(into + rows);
  }

  async #compute(binding: OrtBinding): Promise<void> {
    if (this.#slabs.pending !== undefined) await this.#slabs.pending;
    try {
      await binding.run({ control: this.#control });
    } catch (cause) {
      // Whoever ended this run did not mean those that follow.
      if (cause instanceof OrtError && cause.code === 'terminated') this.#control.reset();
      throw cause;
    }
  }

  #output(rows: number): StepOutput {
    return {
      rows,
      logits: (row) => logitsOf(this.#logits, row, this.vocabSize),
      candidates: (request) => this.#head.run(rows, request),
    };
  }

  #allocate(length: number): KvSlabs {
    return new KvSlabs({
      signature: this.#signature,
      slots: this.#cacheRows,
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
    if (this.#slabs instanceof KvSlabs) this.#slabs.copyInto(grown);
    this.#decodeBindings.clear();
    this.#slabs.dispose();
    this.#slabs = grown;
  }
}
