import type { ChosenLogprob } from '@shoal/protocol';
import type { Candidates, SparseAdditions } from '../model-runner/candidates.ts';
import type { StepOutput } from '../model-runner/model-runner.ts';
import type { Sequence } from '../sequence.ts';
import { drawByBlocks, drawListed, type Listed, type Narrowing, narrows, sumOf } from './distribution.ts';
import { logprobsOf } from './logprobs.ts';
import { uniform } from './random.ts';
import { RankedRow } from './ranked-row.ts';
import { acceptsMost, drawByRejection } from './rejection.ts';

/** Number of the random number that a ranked row is drawn with, beyond those of other draws. */
const LAST_ATTEMPT = 1000;

/** Below it the likeliest token is taken: a logit divided by less may be more than float32 holds. */
const COLDEST = 1e-30;

/** A token chosen, with its log probability where that was asked for. */
export interface Choice {
  token: number;
  logprob?: ChosenLogprob | undefined;
}

/** The step's logits, made ready for choosing. Valid until the next run of the model. */
export class StepSampler {
  readonly #output: StepOutput;
  readonly #candidates: Candidates;
  #wholeRows = 0;

  private constructor(output: StepOutput, candidates: Candidates) {
    this.#output = output;
    this.#candidates = candidates;
  }

  /** @param rows the sequences of the step's rows; those that choose no token now are left out by `undefined` */
  static async prepare(output: StepOutput, rows: readonly (Sequence | undefined)[]): Promise<StepSampler> {
    const additions = new Map<number, ReadonlyMap<number, number>>();
    for (const [row, sequence] of rows.entries()) {
      if (sequence?.adjuster !== undefined) additions.set(row, sequence.adjuster.additions(output.logits(row)));
    }
    const asked = rows.filter((sequence) => sequence !== undefined);
    const sampled = asked.filter((sequence) => !isGreedy(sequence));
    const candidates = await output.candidates({
      best: sampled.length < asked.length,
      temperatures: sampled.length === 0 ? undefined : rows.map(temperatureOf),
      likeliest: sampled.some((sequence) => needsList(sequence.params)),
      additions: flatten(additions),
    });
    return new StepSampler(output, candidates);
  }

  /** Rows of this step that were looked through in full, as no shorter way decided the draw. */
  get wholeRows(): number {
    return this.#wholeRows;
  }

  /**
   * The next token of a sequence, from the logits of `row`.
   *
   * @throws when the logits are no numbers: the model's output is broken for this row
   */
  choose(row: number, sequence: Sequence): Choice {
    const { logprobs } = sequence.params;
    const token = isGreedy(sequence) ? this.#likeliest(row) : this.#draw(row, sequence);
    if (logprobs === undefined) return { token };
    return { token, logprob: logprobsOf(this.#output.logits(row), token, logprobs, sequence.text.single()) };
  }

  #likeliest(row: number): number {
    const token = this.#candidates.best(row);
    if (token >= 0) return token;
    throw new Error('the model returned no finite logit');
  }

  /** The random number comes first; the shortest way that decides it exactly is taken. Only the row's own wishes choose it. */
  #draw(row: number, sequence: Sequence): number {
    const probabilities = this.#candidates.probabilities(row);
    // One logit that is no number makes all probabilities so.
    if (!Number.isFinite(probabilities[0])) throw new Error('the model returned no finite logit');
    const masses = this.#candidates.blockMasses(row);
    const at = (attempt: number) => uniform(sequence.seed, sequence.choice, sequence.tokenIds.length, attempt);
    const narrowing: Narrowing = sequence.params;
    if (!narrows(narrowing)) return drawByBlocks(probabilities, masses, at(0) * sumOf(masses));
    const listed = needsList(narrowing) ? this.#listed(row, probabilities) : undefined;
    const token = listed === undefined ? undefined : drawListed(listed, narrowing, at(0));
    if (token !== undefined) return token;
    if (listed !== undefined) this.#wholeRows += 1;
    // Whether the listed tokens suffice does not depend on the number drawn, so that it may be used again.
    const threshold = (narrowing.minP ?? 0) * (listed?.probability(0) ?? 0);
    const { topK, topP } = narrowing;
    const accepted = topK > 0 ? undefined : drawByRejection(probabilities, masses, { threshold, topP }, at);
    if (accepted !== undefined) return accepted;
    if (listed === undefined) this.#wholeRows += 1;
    return new RankedRow(probabilities).draw(narrowing, at(LAST_ATTEMPT));
  }

  #listed(row: number, probabilities: Float32Array): Listed {
    const size = this.#candidates.count;
    return {
      size,
      complete: size === probabilities.length,
      id: (index) => this.#candidates.id(row, index),
      probability: (index) => probabilities[this.#candidates.id(row, index)] ?? 0,
    };
  }
}

function isGreedy({ params }: Sequence): boolean {
  return params.temperature < COLDEST;
}

/** What a row's logits are divided by; 1 where nobody draws from it. */
function temperatureOf(sequence: Sequence | undefined): number {
  return sequence === undefined || isGreedy(sequence) ? 1 : sequence.params.temperature;
}

/** Whether a draw begins with the most likely tokens: a nucleus of most of the mass is drawn from without them. */
function needsList(narrowing: Narrowing): boolean {
  return narrows(narrowing) && !acceptsMost(narrowing);
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
