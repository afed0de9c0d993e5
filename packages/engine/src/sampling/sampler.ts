import type { ChosenLogprob } from '@shoal/protocol';
import type { Candidates, SparseAdditions } from '../model-runner/candidates.ts';
import type { StepOutput } from '../model-runner/model-runner.ts';
import type { Sequence } from '../sequence.ts';
import { type Distribution, draw } from './distribution.ts';
import { logprobsOf } from './logprobs.ts';
import { uniform } from './random.ts';
import { drawBeyond, drawFromRow } from './whole-row.ts';

/** A token chosen, with its log probability where that was asked for. */
export interface Choice {
  token: number;
  logprob?: ChosenLogprob | undefined;
}

/** The step's logits, made ready for choosing. Valid until the next run of the model. */
export class StepSampler {
  readonly #output: StepOutput;
  readonly #candidates: Candidates;
  readonly #additions: ReadonlyMap<number, ReadonlyMap<number, number>>;
  readonly #textOf: (tokenId: number) => string;
  #wholeRows = 0;

  private constructor(
    output: StepOutput,
    candidates: Candidates,
    additions: ReadonlyMap<number, ReadonlyMap<number, number>>,
    textOf: (tokenId: number) => string,
  ) {
    this.#output = output;
    this.#candidates = candidates;
    this.#additions = additions;
    this.#textOf = textOf;
  }

  /**
   * @param rows the sequences of the step's rows; those that choose no token now are left out by `undefined`
   * @param textOf a token by itself
   */
  static async prepare(
    output: StepOutput,
    rows: readonly (Sequence | undefined)[],
    textOf: (tokenId: number) => string,
  ): Promise<StepSampler> {
    const additions = new Map<number, ReadonlyMap<number, number>>();
    for (const [row, sequence] of rows.entries()) {
      if (sequence?.adjuster !== undefined) additions.set(row, sequence.adjuster.additions(output.logits(row)));
    }
    const greedy = rows.every((sequence) => sequence === undefined || sequence.params.temperature === 0);
    const candidates = await output.candidates({
      temperatures: greedy ? undefined : rows.map((sequence) => sequence?.params.temperature || 1),
      additions: flatten(additions),
    });
    return new StepSampler(output, candidates, additions, textOf);
  }

  /** Rows of this step that had to be read in full because their candidates did not reach far enough. */
  get wholeRows(): number {
    return this.#wholeRows;
  }

  /**
   * The next token of a sequence, from the logits of `row`.
   *
   * @throws when the logits are no numbers: the model's output is broken for this row
   */
  choose(row: number, sequence: Sequence): Choice {
    const { temperature, logprobs } = sequence.params;
    if (!Number.isFinite(this.#candidates.value(row, 0))) throw new Error('the model returned no finite logit');
    const token = temperature === 0 ? this.#candidates.id(row, 0) : this.#draw(row, sequence);
    if (logprobs === undefined) return { token };
    return { token, logprob: logprobsOf(this.#output.logits(row), token, logprobs, this.#textOf) };
  }

  /** The random number comes first; the row is read in full only where the candidates cannot decide it. */
  #draw(row: number, sequence: Sequence): number {
    const { temperature, topK, topP, minP } = sequence.params;
    const logSumExp = this.#candidates.logSumExp(row);
    if (!Number.isFinite(logSumExp)) throw new Error('the model returned no finite logit');
    const u = uniform(sequence.seed, sequence.choice, sequence.tokenIds.length);
    const distribution: Distribution = {
      size: this.#candidates.count,
      complete: this.#candidates.count === this.#output.logits(row).length,
      id: (index) => this.#candidates.id(row, index),
      probability: (index) => Math.exp(this.#candidates.value(row, index) / temperature - logSumExp),
    };
    const narrowing = { topK, topP, minP };
    const token = draw(distribution, narrowing, u);
    if (token !== undefined) return token;
    this.#wholeRows += 1;
    const whole = { logits: this.#adjusted(row), temperature, logSumExp };
    const narrowed = topK > 0 || topP < 1 || (minP ?? 0) > 0;
    return narrowed ? drawFromRow(whole, narrowing, u) : drawBeyond(whole, distribution, u);
  }

  #adjusted(row: number): Float32Array {
    const additions = this.#additions.get(row);
    if (additions === undefined) return this.#output.logits(row);
    const logits = this.#output.logits(row).slice();
    for (const [token, addition] of additions) logits[token] = (logits[token] ?? 0) + addition;
    return logits;
  }
}

function flatten(additions: ReadonlyMap<number, ReadonlyMap<number, number>>): SparseAdditions | undefined {
  if (additions.size === 0) return undefined;
  const flat: SparseAdditions = { rows: [], tokenIds: [], values: [] };
  for (const [row, ofRow] of additions) {
    for (const [token, value] of ofRow) {
      flat.rows.push(row);
      flat.tokenIds.push(token);
      flat.values.push(value);
    }
  }
  return flat;
}
