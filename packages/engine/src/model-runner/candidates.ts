/**
 * The most likely tokens of each row of a step, and what all tokens together weigh. Valid until the next run.
 */
export interface Candidates {
  /** Candidates per row, at most the vocabulary. */
  readonly count: number;
  /** Token id of the `index`-th most likely one; of equal ones the lower id comes first. */
  id(row: number, index: number): number;
  /** Its logit, additions included, not divided by the temperature. */
  value(row: number, index: number): number;
  /** log Σ exp(logit / temperature) over the whole vocabulary. */
  logSumExp(row: number): number;
}

/** Numbers to add to logits before the candidates are chosen. Pairs of row and token are distinct. */
export interface SparseAdditions {
  rows: number[];
  tokenIds: number[];
  /** −Infinity rules a token out. */
  values: number[];
}

export interface CandidateRequest {
  /** One per row, above 0. Absent: only the first candidate is asked for, and no log-sum-exp. */
  temperatures?: readonly number[] | undefined;
  additions?: SparseAdditions | undefined;
}
