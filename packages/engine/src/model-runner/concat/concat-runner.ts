import {
  type OrtBackend,
  type OrtBinding,
  OrtError,
  type OrtSession,
  type OrtTensor,
  type RunControl,
} from '@shoal/ort';
import { KvSlabs } from '../../kv-cache/kv-slabs.ts';
import { rowsWithCompany } from '../../lone-row.ts';
import type { GraphSignature } from '../graph-signature.ts';
import { logitsOf } from '../logits.ts';
import type { ModelRunner, StepOutput } from '../model-runner.ts';
import { rowsOfCache } from '../ort-runner.ts';
import { SamplingHead } from '../sampling-head.ts';
import { DecodeGroup, type DecodeRow } from './decode-group.ts';
import { blockLength, blockStart, paddedPast } from './pass-shapes.ts';
import { runPrefillPass } from './prefill-pass.ts';
import { RowCache } from './row-cache.ts';

export interface ConcatRunnerOptions {
  ort: OrtBackend;
  session: OrtSession;
  signature: GraphSignature;
  slots: number;
  /** Rows of the cache beyond `slots`, which never run: for kept prefixes. Default 0. */
  prefixSlots?: number | undefined;
  maxLength: number;
  /** Positions that the graph was built for, at least `maxLength`, which is the default. */
  contextLength?: number | undefined;
  /** Of the sampling head. */
  intraOpThreads: number;
}

/** A part of a prompt that is computed in one pass. */
interface Block {
  slot: number;
  start: number;
  tokenIds: readonly number[];
}

/**
 * ModelRunner for decoders whose cache comes out of every run as new, longer tensors. The rows of the cache are kept
 * here; each pass gets copies of those it needs.
 *
 * Kernels round differently for tensors of other shapes. So that a sequence's bits do not depend on its company or on
 * how its prompt was cut, the shapes of its passes follow from its own positions alone: prompts are computed in blocks
 * of fixed boundaries, and decode steps over a cache padded to a multiple of a fixed length. Rows that come to the same
 * shape run together.
 */
export class ConcatRunner implements ModelRunner {
  readonly slots: number;
  readonly maxLength: number;
  readonly vocabSize: number;
  /** Gives a lone decoding row its own copy for company, see `OrtRunner`. */
  padsLoneRow = false;
  /**
   * Lets rows of different lengths decode together, with hidden columns between a row's cache and its new position.
   * Otherwise only rows of one length do. For graphs that take position ids and look at no other distances.
   */
  padsCache: boolean;
  readonly #options: ConcatRunnerOptions;
  readonly #contextLength: number;
  readonly #control: RunControl;
  readonly #slabs: KvSlabs;
  readonly #cache: RowCache;
  /** `[slots, 1, vocabSize]`: every run leaves the logits of its rows' last positions here. */
  readonly #logits: OrtTensor;
  readonly #head: SamplingHead;
  /** Tokens of each row that a prefill computed: an unfinished block is computed again when it goes on. */
  readonly #prefilled: number[][];
  readonly #versions: number[];
  /** By the columns that their rows are padded to. */
  readonly #groups = new Map<number, DecodeGroup>();

  constructor(options: ConcatRunnerOptions) {
    const { ort, signature, slots, maxLength, intraOpThreads } = options;
    this.slots = slots;
    this.maxLength = maxLength;
    this.vocabSize = signature.vocabSize;
    this.padsCache = signature.positionIds;
    this.#options = options;
    this.#contextLength = Math.max(maxLength, options.contextLength ?? maxLength);
    this.#control = ort.createRunControl();
    const cacheRows = rowsOfCache(options);
    this.#slabs = new KvSlabs({
      signature,
      slots: cacheRows,
      length: maxLength,
      allocate: (type, shape) => ort.allocate(type, shape),
    });
    this.#cache = new RowCache(this.#slabs, signature);
    this.#logits = ort.allocate(signature.logitsType, [rowsWithCompany(slots), 1, signature.vocabSize]);
    this.#head = new SamplingHead({ ort, intraOpThreads, logits: this.#logits, logitsType: signature.logitsType });
    this.#prefilled = Array.from({ length: cacheRows }, () => []);
    this.#versions = new Array<number>(cacheRows).fill(0);
  }

  get cachePath(): string {
    return this.padsCache ? 'concat padded' : 'concat';
  }

  get interruptHandle(): bigint {
    return this.#control.handle;
  }

  async prefill(firstSlot: number, prompts: readonly (readonly number[])[]): Promise<StepOutput> {
    for (const prompt of prompts) this.#requireRoom(prompt.length);
    await this.#compute(prompts.map((tokenIds, row) => ({ slot: firstSlot + row, start: 0, tokenIds })));
    return this.#output(prompts.length);
  }

  async extend(slot: number, past: number, tokenIds: readonly number[]): Promise<StepOutput> {
    this.#requireRoom(past + tokenIds.length);
    const known = this.#prefilled[slot] ?? [];
    if (known.length < past) throw new Error(`row ${slot} holds ${known.length} positions of a prefill, not ${past}`);
    const start = blockStart(past);
    await this.#compute([{ slot, start, tokenIds: [...known.slice(start, past), ...tokenIds] }]);
    return this.#output(1);
  }

  async decode(tokenIds: readonly number[], pasts: readonly number[]): Promise<StepOutput> {
    this.#requireRoom(Math.max(...pasts) + 1);
    const slotsByColumns = this.#slotsByColumns(pasts);
    // Before others take memory of their own.
    this.#dropGroups((group, columns) => group.size !== this.#groupSize(slotsByColumns.get(columns)));
    for (const [columns, slots] of slotsByColumns) {
      const group = this.#group(columns, this.#groupSize(slots));
      const rows = slots.map((slot) => this.#decodeRow(slot, tokenIds[slot] ?? 0, pasts[slot] ?? 0));
      const [first] = rows;
      if (rows.length < group.size && first !== undefined) rows.push(first);
      await group.step(rows, (binding) => this.#run(binding));
      for (const [row, slot] of slots.entries()) this.#keepLogits(group.logits, row, slot);
    }
    return this.#output(tokenIds.length);
  }

  copySlot(from: number, to: number, length: number): void {
    this.#slabs.copyRow(from, to, length);
    this.#written(to, (this.#prefilled[from] ?? []).slice(0, length));
  }

  freeSlot(slot: number): void {
    this.#written(slot, []);
    this.#slabs.giveBack(slot, 0);
  }

  async close(): Promise<void> {
    this.#dropGroups(() => true);
    this.#head.dispose();
    this.#logits.dispose();
    this.#slabs.dispose();
    this.#control.dispose();
    this.#options.session.dispose();
  }

  /** Computes token ids of several rows, block by block; leaves the logits of the `i`-th one's last in row `i`. */
  async #compute(parts: readonly Block[]): Promise<void> {
    for (const { slot, start, tokenIds } of parts) {
      this.#written(slot, [...(this.#prefilled[slot] ?? []).slice(0, start), ...tokenIds]);
    }
    const most = Math.max(...parts.map(({ tokenIds }) => tokenIds.length));
    const [{ start = 0 } = {}] = parts;
    for (let from = 0; from < most; ) {
      const steps = blockLength(start + from, this.#contextLength);
      await this.#computeBlock(parts, from, steps);
      from += steps;
    }
  }

  /** Positions `from` … `from + steps − 1` of those parts that reach there, all of which begin at the same position. */
  async #computeBlock(parts: readonly Block[], from: number, steps: number): Promise<void> {
    const { ort, session, signature } = this.#options;
    const present = [...parts.entries()].filter(([, { tokenIds }]) => tokenIds.length > from);
    const rows = present.map(([, { slot, tokenIds }]) => ({ slot, tokenIds: tokenIds.slice(from, from + steps) }));
    const start = (parts[0]?.start ?? 0) + from;
    await runPrefillPass({
      ort,
      session,
      signature,
      cache: this.#cache,
      start,
      steps,
      rows,
      run: (binding) => this.#run(binding),
      keepLogits: (tensor, index, row) => {
        const [part, { tokenIds } = { tokenIds: [] }] = present[row] ?? [0];
        if (tokenIds.length <= from + steps) this.#keepLogits(tensor, index, part);
      },
    });
  }

  /** Rows 0 … by the columns that their caches are padded to. */
  #slotsByColumns(pasts: readonly number[]): Map<number, number[]> {
    const groups = new Map<number, number[]>();
    for (const [slot, past] of pasts.entries()) {
      const columns = this.padsCache ? paddedPast(past, this.#contextLength) : past;
      const group = groups.get(columns);
      if (group === undefined) groups.set(columns, [slot]);
      else group.push(slot);
    }
    return groups;
  }

  #decodeRow(slot: number, tokenId: number, past: number): DecodeRow {
    return { slot, tokenId, past, version: this.#versions[slot] ?? 0 };
  }

  /** Rows of the tensors in which these decode: a lone one may have company. */
  #groupSize(slots: readonly number[] = []): number {
    return this.padsLoneRow ? rowsWithCompany(slots.length) : slots.length;
  }

  #group(past: number, size: number): DecodeGroup {
    const known = this.#groups.get(past);
    if (known !== undefined) return known;
    const { ort, session, signature } = this.#options;
    const group = new DecodeGroup({ ort, session, signature, cache: this.#cache, size, past });
    this.#groups.set(past, group);
    return group;
  }

  /** Gives up the tensors of groups: the budget has room for those of rows that run, and for these once. */
  #dropGroups(which: (group: DecodeGroup, columns: number) => boolean): void {
    for (const [columns, group] of this.#groups) {
      if (!which(group, columns)) continue;
      this.#groups.delete(columns);
      group.dispose();
    }
  }

  async #run(binding: OrtBinding): Promise<void> {
    try {
      await binding.run({ control: this.#control });
    } catch (cause) {
      // Whoever ended this run did not mean those that follow.
      if (cause instanceof OrtError && cause.code === 'terminated') this.#control.reset();
      throw cause;
    }
  }

  /** The content of a row changed other than by a decode step. */
  #written(slot: number, prefilled: number[]): void {
    this.#prefilled[slot] = prefilled;
    this.#versions[slot] = (this.#versions[slot] ?? 0) + 1;
    this.#dropGroups((group) => group.holds(slot));
  }

  /** Copies the `index`-th run of logits of a tensor to where those of `row` belong. */
  #keepLogits(all: OrtTensor, index: number, row: number): void {
    this.#logits.copyFrom(all, index * this.vocabSize, row * this.vocabSize, this.vocabSize);
  }

  #output(rows: number): StepOutput {
    return {
      rows,
      logits: (row) => logitsOf(this.#logits, row, this.vocabSize),
      candidates: (request) => this.#head.run(rows, request),
    };
  }

  #requireRoom(positions: number): void {
    if (positions > this.maxLength) throw new Error(`${positions} positions do not fit rows of ${this.maxLength}`);
  }
}
