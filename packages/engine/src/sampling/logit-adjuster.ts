import type { SamplingParams } from '@shoal/protocol';

/**
 * What a request adds to the logits of one of its steps: penalties for what was said, bias, and the ban on ending too
 * early. In this order: repetition penalty (over prompt and answer; Keskar et al., CTRL, arXiv 1909.05858), frequency
 * and presence penalty (over the answer; OpenAI's definition), bias, ban.
 */
export class LogitAdjuster {
  readonly #params: SamplingParams;
  readonly #prompt: ReadonlySet<number>;
  readonly #bias: ReadonlyMap<number, number>;
  /** Tokens that may not be chosen before `minTokens`. */
  readonly #ends: readonly number[];
  /** Occurrences in the answer. */
  readonly #said = new Map<number, number>();
  #length = 0;

  private constructor(params: SamplingParams, promptTokenIds: readonly number[], ends: readonly number[]) {
    this.#params = params;
    this.#prompt = new Set((params.repetitionPenalty ?? 1) === 1 ? [] : promptTokenIds);
    this.#bias = new Map(Object.entries(params.logitBias ?? {}).map(([id, bias]) => [Number(id), bias]));
    this.#ends = ends;
  }

  /** Undefined for a request that adjusts nothing. */
  static for(
    params: SamplingParams,
    promptTokenIds: readonly number[],
    ends: readonly number[],
  ): LogitAdjuster | undefined {
    const penalises = (params.repetitionPenalty ?? 1) !== 1 || params.frequencyPenalty || params.presencePenalty;
    if (!penalises && !params.minTokens && params.logitBias === undefined) return undefined;
    return new LogitAdjuster(params, promptTokenIds, ends);
  }

  /** A token was added to the answer. */
  say(token: number): void {
    this.#said.set(token, (this.#said.get(token) ?? 0) + 1);
    this.#length += 1;
  }

  /** Additions by token id for the next token, whose logits these are. */
  additions(logits: Float32Array): Map<number, number> {
    const additions = new Map<number, number>();
    for (const token of new Set([...this.#prompt, ...this.#said.keys()])) {
      const change = this.#penalised(token, logits[token] ?? 0) - (logits[token] ?? 0);
      if (change !== 0) additions.set(token, change);
    }
    for (const [token, bias] of this.#bias) additions.set(token, (additions.get(token) ?? 0) + bias);
    if (this.#length < (this.#params.minTokens ?? 0)) {
      for (const token of this.#ends) additions.set(token, Number.NEGATIVE_INFINITY);
    }
    return additions;
  }

  #penalised(token: number, logit: number): number {
    const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = this.#params;
    const said = this.#said.get(token) ?? 0;
    const repeated = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    return repeated - frequencyPenalty * said - (said > 0 ? presencePenalty : 0);
  }
}
