/** What a step's logits come to, row by row. Valid until the next run. */
export interface Candidates {
  /** Most likely tokens listed per row, at most the vocabulary; 0 when none were asked for. */
  readonly count: number;
  /** The most likely token, the lowest id among equals; −1 where the row has no finite logit. Only where asked for. */
  best(row: number): number;
  /** Token id of the `index`-th most likely one; of equal ones the lower id comes first. */
  id(row: number, index: number): number;
  /**
   * Probabilities `[vocabSize]` after additions and temperature, in float32: of every token, not of the listed ones
   * alone. Only where temperatures were given.
   */
  probabilities(row: number): Float32Array;
  /** Their sums over consecutive blocks of vocabSize / length tokens. */
  blockMasses(row: number): Float32Array;
}

/** Numbers to add to logits before anything else. Pairs of row and token are distinct. */
export interface SparseAdditions {
  rows: number[];
  tokenIds: number[];
  /** −Infinity rules a token out. */
  values: number[];
}

export interface CandidateRequest {
  /** Whether the single most likely token of a row is asked for. */
  best?: boolean | undefined;
  /** One per row, above 0. Absent: nobody samples. */
  temperatures?: readonly number[] | undefined;
  /** With temperatures: whether to list the most likely tokens too. */
  likeliest?: boolean | undefined;
  additions?: SparseAdditions | undefined;
}
