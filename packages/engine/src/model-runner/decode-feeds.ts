import type { OrtBackend, OrtBinding, OrtTensor } from '@shoal/ort';

const NARROWEST_MASK = 64;

/**
 * The inputs of decode steps, in memory that is bound once: one token per row, and an attention mask of as many ones
 * as the row has positions, the new one included. From step to step a row's mask grows by a single one, so that is
 * what is written; the mask's width grows by doubling.
 */
export class DecodeFeeds {
  readonly #slots: number;
  readonly #maxLength: number;
  readonly #inputIds: OrtTensor<'int64'>;
  readonly #positionIds: OrtTensor<'int64'> | undefined;
  readonly #mask: OrtTensor<'int64'>;
  readonly #views = new Map<number, OrtTensor[]>();
  #maskWidth = 0;
  /** Ones that each mask row holds now. */
  #ones: number[];

  constructor(ort: OrtBackend, slots: number, maxLength: number, positionIds: boolean) {
    this.#slots = slots;
    this.#maxLength = maxLength;
    this.#inputIds = ort.allocate('int64', [slots, 1]);
    this.#positionIds = positionIds ? ort.allocate('int64', [slots, 1]) : undefined;
    this.#mask = ort.allocate('int64', [slots, maxLength]);
    this.#ones = new Array<number>(slots).fill(0);
  }

  /** Writes one step. Returns the mask's width: when it changed, {@link bind} is due again. */
  write(tokenIds: readonly number[], pasts: readonly number[]): number {
    this.#widen(Math.max(...pasts) + 1);
    const ids = this.#inputIds.data;
    const positions = this.#positionIds?.data;
    for (let row = 0; row < tokenIds.length; row++) {
      const past = pasts[row] ?? 0;
      ids[row] = BigInt(tokenIds[row] ?? 0);
      if (positions !== undefined) positions[row] = BigInt(past);
      this.#setOnes(row, past + 1);
    }
    return this.#maskWidth;
  }

  /** Binds the first `rows` rows. */
  bind(binding: OrtBinding, rows: number): void {
    for (const view of this.#views.get(rows) ?? []) view.dispose();
    const mask = this.#mask.view(0, [rows, this.#maskWidth]);
    const ids = this.#inputIds.view(0, [rows, 1]);
    const positions = this.#positionIds?.view(0, [rows, 1]);
    binding.bindInput('attention_mask', mask);
    binding.bindInput('input_ids', ids);
    if (positions !== undefined) binding.bindInput('position_ids', positions);
    this.#views.set(rows, positions === undefined ? [mask, ids] : [mask, ids, positions]);
  }

  dispose(): void {
    for (const tensor of [...this.#views.values()].flat()) tensor.dispose();
    this.#views.clear();
    for (const tensor of [this.#inputIds, this.#positionIds, this.#mask]) tensor?.dispose();
  }

  #setOnes(row: number, ones: number): void {
    const held = this.#ones[row] ?? 0;
    const start = row * this.#maskWidth;
    if (ones > held) this.#mask.data.fill(1n, start + held, start + ones);
    else this.#mask.data.fill(0n, start + ones, start + held);
    this.#ones[row] = ones;
  }

  #widen(longest: number): void {
    if (longest <= this.#maskWidth) return;
    let width = Math.max(NARROWEST_MASK, this.#maskWidth);
    while (width < longest) width *= 2;
    this.#maskWidth = Math.min(width, this.#maxLength);
    this.#mask.data.fill(0n);
    this.#ones = new Array<number>(this.#slots).fill(0);
  }
}
